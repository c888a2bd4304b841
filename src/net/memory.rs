//! A connection within the program: what a socket is to a client elsewhere.
//!
//! Its ends are in different threads, mostly, and in different runtimes. Each
//! direction holds little, and who writes more waits for who reads. An end that
//! is dropped, in a panic too, is closed for the other as a socket would be.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

use crate::clock;

/// What a direction holds at most: as much as a worker reads at once.
const CAPACITY: usize = 64 * 1024;
/// Who waits for room is woken when there is so much, and not for each byte.
const ROOM_MIN: usize = CAPACITY / 2;
/// A direction that holds nothing keeps a buffer of this many bytes at most.
const KEEP: usize = 1024;

/// A connection to a broker in the same program, without a socket: an end of
/// a stream of bytes, for any client that takes one.
///
/// It is a client like any other: it authenticates if there is a password,
/// `CLIENT LIST` shows it, as `memory:1` and so on, and all limits hold for
/// it. It needs no runtime of the broker's nor of tokio's; who waits is woken,
/// on whatever runs there. Dropping it closes it. When the broker stops or
/// closes it, it reads what has come until then, and the end.
///
/// With the crate `redis` and its feature `tokio-comp`:
///
/// ```
/// use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};
/// use redis::aio::MultiplexedConnection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = respd::Broker::builder().without_port().start()?;
/// let (info, config) = (RedisConnectionInfo::default(), AsyncConnectionConfig::new());
/// let connection = MultiplexedConnection::new_with_config(&info, broker.connect(), config);
/// let (mut client, driver) = connection.await?;
/// tokio::spawn(driver);
/// client.set("greeting", "hello").await?;
/// assert_eq!(client.get("greeting").await?.as_deref(), Some("hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryStream {
    /// Where it reads.
    incoming: Arc<Direction>,
    /// Where it writes.
    outgoing: Arc<Direction>,
}

/// A [`MemoryStream`] whose reads and writes block the thread, as those of
/// [`TcpStream`](std::net::TcpStream) do.
///
/// ```
/// use std::io::{Read, Write};
///
/// let broker = respd::Broker::builder().without_port().start()?;
/// let mut client = broker.connect().into_blocking();
/// client.write_all(b"PING\r\n")?;
/// let mut reply = [0; 7];
/// client.read_exact(&mut reply)?;
/// assert_eq!(&reply, b"+PONG\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BlockingMemoryStream(MemoryStream);

/// Bytes on their way from one end to the other.
#[derive(Debug, Default)]
struct Direction {
    // Whoever holds it takes no other lock, and wakes nobody.
    flow: Mutex<Flow>,
}

#[derive(Debug, Default)]
struct Flow {
    bytes: VecDeque<u8>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    /// Who waits for bytes.
    reader: Option<Waker>,
    /// Who waits for room.
    writer: Option<Waker>,
}

/// Two ends of a connection.
pub fn pair() -> (MemoryStream, MemoryStream) {
    let (there, back) = (Arc::<Direction>::default(), Arc::<Direction>::default());
    let far = MemoryStream {
        incoming: back.clone(),
        outgoing: there.clone(),
    };
    let near = MemoryStream {
        incoming: there,
        outgoing: back,
    };
    (near, far)
}

impl Direction {
    fn poll_read(&self, cx: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<()> {
        let mut flow = self.flow.lock();
        if flow.bytes.is_empty() && !flow.ended {
            note(&mut flow.reader, cx);
            return Poll::Pending;
        }
        let (first, second) = flow.bytes.as_slices();
        let mut len = 0;
        for part in [first, second] {
            let fitting = part.len().min(buffer.remaining());
            buffer.put_slice(&part[..fitting]);
            len += fitting;
        }
        flow.bytes.drain(..len);
        if flow.bytes.is_empty() && flow.bytes.capacity() > KEEP {
            flow.bytes = VecDeque::new();
        }
        let has_room = CAPACITY - flow.bytes.len() >= ROOM_MIN;
        let writer = has_room.then(|| flow.writer.take()).flatten();
        drop(flow);
        wake(writer);
        Poll::Ready(())
    }

    fn poll_write<'a>(
        &self,
        cx: &Context<'_>,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        let mut flow = self.flow.lock();
        if flow.deaf || flow.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = flow.bytes.len();
        let mut is_empty = true;
        for part in parts {
            is_empty &= part.is_empty();
            let room = CAPACITY - flow.bytes.len();
            flow.bytes.extend(&part[..part.len().min(room)]);
        }
        let len = flow.bytes.len() - before;
        if len == 0 && !is_empty {
            note(&mut flow.writer, cx);
            return Poll::Pending;
        }
        let reader = flow.reader.take();
        drop(flow);
        wake(reader);
        Poll::Ready(Ok(len))
    }

    /// Its writer has nothing more to say.
    fn end(&self) {
        let mut flow = self.flow.lock();
        flow.ended = true;
        let reader = flow.reader.take();
        drop(flow);
        wake(reader);
    }

    /// Its reader has gone.
    fn close(&self) {
        let mut flow = self.flow.lock();
        flow.deaf = true;
        flow.bytes = VecDeque::new();
        let writer = flow.writer.take();
        drop(flow);
        wake(writer);
    }
}

/// Has the task woken that waits here.
fn note(waiter: &mut Option<Waker>, cx: &Context<'_>) {
    match waiter {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiter = Some(cx.waker().clone()),
    }
}

fn wake(waiter: Option<Waker>) {
    if let Some(waker) = waiter {
        waker.wake();
    }
}

impl MemoryStream {
    /// Has reads and writes block the thread, for a client that is no `async`
    /// one.
    pub fn into_blocking(self) -> BlockingMemoryStream {
        BlockingMemoryStream(self)
    }

    /// Writes what there is room for at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let cx = Context::from_waker(Waker::noop());
        match self.outgoing.poll_write(&cx, [bytes].into_iter()) {
            Poll::Ready(len) => len,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.incoming.close();
        self.outgoing.end();
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = ready!(poll_proceed(cx));
        ready!(self.incoming.poll_read(cx, buffer));
        turn.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A task that always finds something to do is to let others have their turn.
        let turn = ready!(poll_proceed(cx));
        let parts = slices.iter().map(|slice| &**slice);
        let len = ready!(self.outgoing.poll_write(cx, parts));
        turn.made_progress();
        Poll::Ready(len)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}

/// Has the thread wait until it is ready.
fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    // Mostly it is, or nobody is there to wake anybody.
    let waker = clock::unpark();
    let mut cx = Context::from_waker(&waker);
    loop {
        match poll(&mut cx) {
            Poll::Ready(ready) => return ready,
            Poll::Pending => std::thread::park(),
        }
    }
}

impl Read for BlockingMemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        block_on(|cx| self.0.incoming.poll_read(cx, &mut buffer));
        Ok(buffer.filled().len())
    }
}

impl Write for BlockingMemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block_on(|cx| self.0.outgoing.poll_write(cx, [bytes].into_iter()))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        block_on(|cx| {
            let parts = slices.iter().map(|slice| &**slice);
            self.0.outgoing.poll_write(cx, parts)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// How often somebody was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn write(direction: &Direction, cx: &Context<'_>, parts: &[&[u8]]) -> Poll<usize> {
        let written = direction.poll_write(cx, parts.iter().copied());
        written.map(|len| len.unwrap())
    }

    fn read(direction: &Direction, cx: &Context<'_>, len: usize) -> Poll<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = direction.poll_read(cx, &mut buffer);
        read.map(|()| buffer.filled().to_vec())
    }

    #[test]
    fn it_holds_a_bounded_number_of_bytes_and_nothing_when_it_is_empty() {
        let (direction, woken) = (Direction::default(), Arc::new(Count::default()));
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        let bytes: Vec<u8> = (0..2 * CAPACITY).map(|n| (n % 251) as u8).collect();
        let (first, second) = bytes.split_at(CAPACITY - 10);
        assert_eq!(
            write(&direction, &cx, &[first, second]),
            Poll::Ready(CAPACITY)
        );
        assert!(write(&direction, &cx, &[b"more"]).is_pending());
        assert!(direction.flow.lock().bytes.capacity() <= 2 * CAPACITY);
        // A little room is not worth waking anybody, though there is some.
        assert_eq!(read(&direction, &cx, 7), Poll::Ready(bytes[..7].to_vec()));
        assert_eq!(woken.0.load(Relaxed), 0);
        assert_eq!(write(&direction, &cx, &[b"", b"then"]), Poll::Ready(4));
        let rest = [&bytes[7..CAPACITY], b"then"].concat();
        assert_eq!(read(&direction, &cx, 2 * CAPACITY), Poll::Ready(rest));
        assert_eq!(woken.0.load(Relaxed), 1);
        assert_eq!(direction.flow.lock().bytes.capacity(), 0);
        assert!(read(&direction, &cx, 1).is_pending());
        assert_eq!(write(&direction, &cx, &[b""]), Poll::Ready(0));
        assert_eq!(write(&direction, &cx, &[b"x"]), Poll::Ready(1));
        assert_eq!(woken.0.load(Relaxed), 2);
    }

    #[test]
    fn an_end_that_goes_is_closed_for_the_other() {
        let (near, far) = pair();
        let mut near = near.into_blocking();
        near.write_all(b"last words").unwrap();
        far.try_write(b"unheard").unwrap();
        drop(near);
        assert_eq!(
            far.try_write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        let mut words = String::new();
        far.into_blocking().read_to_string(&mut words).unwrap();
        assert_eq!(words, "last words");
    }

    #[tokio::test]
    async fn who_always_finds_something_lets_others_have_their_turn() {
        let (near, mut far) = pair();
        let busy = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..100_000 {
                near.try_write(b"x").unwrap();
                far.read_exact(&mut byte).await.unwrap();
            }
        });
        tokio::task::yield_now().await;
        assert!(!busy.is_finished());
        busy.await.unwrap();
    }

    #[test]
    fn many_bytes_pass_between_two_threads() {
        let (near, far) = pair();
        let (mut near, mut far) = (near.into_blocking(), far.into_blocking());
        let bytes: Vec<u8> = (0..40 * CAPACITY).map(|n| (n % 251) as u8).collect();
        let echo = std::thread::spawn(move || {
            let mut chunk = [0; 5000];
            while let len @ 1.. = near.read(&mut chunk).unwrap() {
                near.write_all(&chunk[..len]).unwrap();
            }
        });
        let mut echoed = vec![0; bytes.len()];
        for (sent, got) in bytes.chunks(7_001).zip(echoed.chunks_mut(7_001)) {
            far.write_all(sent).unwrap();
            far.read_exact(got).unwrap();
        }
        drop(far);
        echo.join().unwrap();
        assert!(echoed == bytes);
    }
}
