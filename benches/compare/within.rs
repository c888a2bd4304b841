//! What a request costs that comes from the broker's own program, over a
//! stream in memory and over TCP: the CPU of both ends, as both are here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use respd::Broker;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::clients::request;
use crate::result::Result;
use crate::run::Run;

/// What a client does while it waits.
#[derive(Clone, Copy)]
pub enum Waiting {
    /// It blocks its thread.
    Blocking,
    /// Its thread runs other tasks of tokio's.
    Async,
}

/// The two take turns of so many requests or pipelines.
const TURN: usize = 500;

/// Sends the requests, and reads as many bytes as come back, so often.
type Exchange<'a> = Box<dyn FnMut(usize) -> Result<()> + 'a>;

/// CPU µs of a GET in pipelines of `depth`: in memory, over TCP, and the ratio.
pub fn gets(waiting: Waiting, depth: usize, time: Duration) -> Result<Run> {
    let broker = Broker::start()?;
    broker.client().call(&["SET", "key", "value"]);
    let requests = request(&["GET", "key"]).repeat(depth);
    let replies = "$5\r\nvalue\r\n".len() * depth;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tcp = TcpStream::connect(broker.addr())?;
    tcp.set_nodelay(true)?;
    let mut exchanges = match waiting {
        Waiting::Blocking => [
            blocking(broker.connect().into_blocking(), &requests, replies),
            blocking(tcp, &requests, replies),
        ],
        Waiting::Async => {
            tcp.set_nonblocking(true)?;
            let _context = runtime.enter();
            let tcp = tokio::net::TcpStream::from_std(tcp)?;
            [
                in_tasks(&runtime, broker.connect(), &requests, replies),
                in_tasks(&runtime, tcp, &requests, replies),
            ]
        }
    };
    let (began, mut used, mut turns) = (Instant::now(), [Duration::ZERO; 2], 0);
    while began.elapsed() < time || turns == 0 {
        for (exchange, used) in exchanges.iter_mut().zip(&mut used) {
            let before = cpu()?;
            exchange(TURN)?;
            *used += cpu()? - before;
        }
        turns += 1;
    }
    let [memory, tcp] = used.map(|used| used.as_secs_f64() * 1e6 / (turns * TURN * depth) as f64);
    Ok(Run {
        costs: vec![memory, tcp, memory / tcp],
        per_second: None,
    })
}

fn blocking<'a>(
    mut stream: impl Read + Write + 'a,
    requests: &'a [u8],
    replies: usize,
) -> Exchange<'a> {
    let mut buffer = vec![0; replies];
    Box::new(move |times| {
        for _ in 0..times {
            stream.write_all(requests)?;
            stream.read_exact(&mut buffer)?;
        }
        Ok(())
    })
}

fn in_tasks<'a>(
    runtime: &'a Runtime,
    mut stream: impl AsyncRead + AsyncWrite + Unpin + 'a,
    requests: &'a [u8],
    replies: usize,
) -> Exchange<'a> {
    let mut buffer = vec![0; replies];
    Box::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                stream.write_all(requests).await?;
                stream.read_exact(&mut buffer).await?;
            }
            Ok(())
        })
    })
}

/// What all threads of this process have used.
fn cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}
