//! Bytes on their way to one client.
//!
//! Small pieces are copied into a buffer, the tail. A tail that is full joins
//! the queue before it and another begins, so nothing moves when more comes,
//! and what has left is freed while the rest still waits. A large piece joins
//! the queue by reference. All of them leave in vectored writes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A piece of at least this many bytes is kept by reference: copying less
/// costs about as much as the entry in the queue and the write's extra slice.
pub const SHARE_MIN: usize = 16 * 1024;

/// A tail grows up to this many bytes. The replies to a deep pipeline fit into
/// one, and so leave in one plain send; a client that is behind its limit of
/// some megabytes holds little more than what waits.
pub const CHUNK: usize = 64 * 1024;

/// The tail begins with room for this many bytes.
const TAIL_MIN: usize = 64;

/// A queue that has room for more pieces shrinks as they leave.
const QUEUE_MIN: usize = 128;

/// Replies and messages in the order in which they leave.
#[derive(Default, Debug)]
pub struct Output {
    /// What leaves before the tail. No piece is empty.
    queue: VecDeque<Bytes>,
    /// Where small pieces are written.
    tail: Vec<u8>,
    /// Bytes of the pieces in the queue.
    queued: usize,
    /// How many bytes of the first piece, or of the tail if it is the only
    /// one, have left.
    sent: usize,
}

/// A place in an [`Output`] to go back to; at first its beginning.
#[derive(Clone, Copy, Default)]
pub struct Mark {
    pieces: usize,
    tail: usize,
}

impl Output {
    /// One whose tail has room for so many bytes, even if they are more than a
    /// chunk's.
    pub fn with_capacity(capacity: usize) -> Output {
        Output {
            tail: Vec::with_capacity(capacity),
            ..Output::default()
        }
    }

    /// Bytes that have not left yet.
    pub fn len(&self) -> usize {
        self.queued + self.tail.len() - self.sent
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held, of which those of shared pieces may be held by
    /// others, too.
    pub fn memory(&self) -> usize {
        self.queued + self.tail.capacity() + self.queue.capacity() * size_of::<Bytes>()
    }

    /// How many pieces are queued.
    pub fn pieces(&self) -> usize {
        self.queue.len()
    }

    /// Forgets everything, and the buffer too unless it has at most `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.tail.clear();
        if self.tail.capacity() > keep {
            self.tail = Vec::new();
        }
        self.queue.clear();
        if self.queue.capacity() * size_of::<Bytes>() > keep {
            self.queue = VecDeque::new();
        }
        self.queued = 0;
        self.sent = 0;
    }

    /// A buffer to write small pieces into, with room for at least `room`
    /// bytes, which are much less than a chunk.
    #[inline]
    pub fn buffer(&mut self, room: usize) -> &mut Vec<u8> {
        if room > self.room() {
            self.make_room(room);
        }
        &mut self.tail
    }

    /// Makes the buffer as large as so many bytes more need, or a chunk, so
    /// that it does not grow step by step.
    pub fn reserve(&mut self, more: usize) {
        if more > self.room() && self.tail.capacity() < CHUNK {
            let needed = self.tail.len().saturating_add(more);
            let doubled = 2 * self.tail.capacity();
            let capacity = needed.max(doubled).clamp(TAIL_MIN, CHUNK);
            self.tail.reserve_exact(capacity - self.tail.len());
        }
    }

    /// Copies `bytes`.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() > self.room() {
            return self.extend_over(bytes);
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Adds `bytes` by reference if they are many.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_MIN {
            self.extend(bytes);
        } else {
            self.seal();
            self.queued += bytes.len();
            self.queue.push_back(bytes.clone());
        }
    }

    /// Moves everything of `other` behind what is here.
    pub fn append(&mut self, other: &mut Output) {
        other.drain_into(self, 0);
    }

    /// Moves everything behind what is in `target`, and keeps a buffer of at
    /// most `keep` bytes.
    pub fn drain_into(&mut self, target: &mut Output, keep: usize) {
        if self.is_empty() {
            return;
        }
        // What is copied stays a tail that more can join: many small pieces
        // would take more memory than what they hold.
        if self.tail.len() >= SHARE_MIN {
            self.seal();
        }
        if !self.queue.is_empty() {
            target.seal();
            let sent = std::mem::take(&mut self.sent);
            if target.queue.is_empty() {
                // However long the queue is, it changes hands at once.
                std::mem::swap(&mut target.queue, &mut self.queue);
                target.sent = sent;
            } else {
                self.queued -= sent;
                self.queue[0].advance(sent);
                target.queue.append(&mut self.queue);
            }
            target.queued += self.queued;
        }
        target.extend(&self.tail[self.sent..]);
        self.clear(keep);
    }

    /// Where the next piece will stand.
    pub fn mark(&self) -> Mark {
        Mark {
            pieces: self.queue.len(),
            tail: self.tail.len(),
        }
    }

    /// Whether something was written since `mark`.
    pub fn grew_since(&self, mark: Mark) -> bool {
        self.queue.len() > mark.pieces || self.tail.len() > mark.tail
    }

    /// A copy of what was written since `mark`, but of no more than `max` bytes,
    /// and how many they are. Nothing may have left since.
    pub fn since(&self, mark: Mark, max: usize) -> (Vec<u8>, usize) {
        // The piece that comes next begins with what was in the tail then.
        let mut before = mark.tail;
        let pieces = self.queue.iter().skip(mark.pieces).map(|piece| &piece[..]);
        let parts = pieces.chain([&self.tail[..]]);
        let (mut copy, mut len) = (Vec::new(), 0);
        for part in parts {
            let part = &part[std::mem::take(&mut before)..];
            let room = max - copy.len();
            copy.extend_from_slice(&part[..part.len().min(room)]);
            len += part.len();
        }
        (copy, len)
    }

    /// Takes back everything written since `mark`. Nothing may have left since.
    pub fn rewind(&mut self, mark: Mark) {
        let Some(next) = self.queue.get(mark.pieces) else {
            return self.tail.truncate(mark.tail);
        };
        // It begins with what was in the tail then.
        self.tail.clear();
        self.tail.extend_from_slice(&next[..mark.tail]);
        for piece in self.queue.drain(mark.pieces..) {
            self.queued -= piece.len();
        }
    }

    /// How many bytes were written since `mark`. None may have left since.
    pub fn written_since(&self, mark: Mark) -> usize {
        let queued = self.queue.iter().skip(mark.pieces).map(Bytes::len);
        queued.sum::<usize>() + self.tail.len() - mark.tail
    }

    /// The first piece.
    pub fn first(&self) -> &[u8] {
        self.parts().next().unwrap_or_default()
    }

    /// All that there is, if it is one piece.
    pub fn only(&self) -> Option<&[u8]> {
        match self.queue.len() {
            0 => Some(&self.tail[self.sent..]),
            1 if self.tail.is_empty() => Some(&self.queue[0][self.sent..]),
            _ => None,
        }
    }

    /// All that there is in one buffer, which costs nothing if it is in one.
    pub fn into_vec(self) -> Vec<u8> {
        if self.queue.is_empty() && self.sent == 0 {
            return self.tail;
        }
        self.parts().collect::<Vec<_>>().concat()
    }

    /// The first pieces in order, as many as fit into `slices`; answers how many.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = slices.iter_mut().zip(self.parts());
        parts.map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    /// Forgets the first `sent` bytes, which have left.
    pub fn advance(&mut self, sent: usize) {
        if sent == self.len() {
            // Mostly, and then there is no need to look for where to stop.
            self.tail.clear();
            self.queue.clear();
            self.queued = 0;
            self.sent = 0;
            return;
        }
        self.sent += sent;
        while let Some(first) = self.queue.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            self.queued -= first.len();
            self.queue.pop_front();
        }
        if self.queue.len() < self.queue.capacity() / 4 && self.queue.capacity() > QUEUE_MIN {
            self.queue.shrink_to(self.queue.capacity() / 2);
        }
    }

    /// What has not left of each piece, and then of the tail, which may be empty.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut sent = self.sent;
        let pieces = self.queue.iter().map(|piece| &piece[..]);
        let parts = pieces.chain([&self.tail[..]]);
        parts.map(move |part| &part[std::mem::take(&mut sent)..])
    }

    /// How many bytes the tail takes as it is.
    #[inline]
    fn room(&self) -> usize {
        self.tail.capacity() - self.tail.len()
    }

    /// Whether little of the tail's buffer would be wasted if it stayed as it is.
    fn is_full(&self) -> bool {
        self.room() <= self.tail.capacity() / 8
    }

    #[cold]
    fn make_room(&mut self, room: usize) {
        self.reserve(room);
        if room > self.room() {
            self.begin_chunk();
        }
    }

    /// Copies what the tail does not take as it is.
    #[cold]
    fn extend_over(&mut self, mut bytes: &[u8]) {
        self.reserve(bytes.len());
        loop {
            let (fitting, rest) = bytes.split_at(self.room().min(bytes.len()));
            self.tail.extend_from_slice(fitting);
            if rest.is_empty() {
                return;
            }
            self.begin_chunk();
            bytes = rest;
        }
    }

    fn begin_chunk(&mut self) {
        self.seal();
        self.tail.reserve_exact(CHUNK);
    }

    /// Has what is in the tail join the queue. A buffer that is full changes
    /// hands; otherwise the bytes are copied, so that what waits is about what
    /// is held, and the buffer is used again.
    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let piece = if self.is_full() {
            Bytes::from(std::mem::take(&mut self.tail))
        } else {
            let copy = Bytes::copy_from_slice(&self.tail);
            self.tail.clear();
            copy
        };
        self.queued += piece.len();
        self.queue.push_back(piece);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that would leave, a few slices at a time.
    fn drain(mut output: Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let used = output.slices(&mut slices);
            let chunk: Vec<u8> = slices[..used]
                .iter()
                .flat_map(|s| s.iter().copied())
                .take(step)
                .collect();
            assert!(
                !chunk.is_empty(),
                "{} bytes left and no slice",
                output.len()
            );
            all.extend_from_slice(&chunk);
            output.advance(chunk.len());
        }
        assert_eq!(output.len(), 0);
        all
    }

    /// What is done to an output, and how large it is.
    #[derive(Clone, Debug)]
    enum Step {
        Extend(usize),
        Share(usize),
        Rewind(usize),
        Advance(usize),
        /// Moved into another one and back, as between a worker and an outbox.
        Move(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let len = prop_oneof![0..40usize, 0..2 * SHARE_MIN, 0..2 * CHUNK];
        let step = (0..5, len).prop_map(|(kind, len)| match kind {
            0 => Step::Extend(len),
            1 => Step::Share(len),
            2 => Step::Rewind(len),
            3 => Step::Advance(len),
            _ => Step::Move(len),
        });
        prop::collection::vec(step, 0..12)
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_whatever_happens_to_them(
            steps in steps(),
            step in 1usize..60_000,
        ) {
            let (mut output, mut expected) = (Output::default(), Vec::new());
            for (step, fill) in steps.iter().zip(0..) {
                let bytes = |len: usize| vec![fill; len];
                match *step {
                    Step::Extend(len) => {
                        output.extend(&bytes(len));
                        expected.extend(bytes(len));
                    }
                    Step::Share(len) => {
                        output.share(&Bytes::from(bytes(len)));
                        expected.extend(bytes(len));
                    }
                    Step::Rewind(len) => {
                        let mark = output.mark();
                        prop_assert!(!output.grew_since(mark));
                        output.extend(&bytes(len));
                        output.share(&Bytes::from(bytes(SHARE_MIN)));
                        output.extend(&bytes(len));
                        prop_assert!(output.grew_since(mark));
                        prop_assert_eq!(output.written_since(mark), 2 * len + SHARE_MIN);
                        let (copy, since) = output.since(mark, len);
                        prop_assert_eq!(since, 2 * len + SHARE_MIN);
                        prop_assert_eq!(copy, bytes(len));
                        output.rewind(mark);
                        prop_assert!(!output.grew_since(mark));
                    }
                    Step::Advance(len) => {
                        let len = len.min(output.len());
                        output.advance(len);
                        expected.drain(..len);
                    }
                    Step::Move(len) => {
                        let mut other = Output::default();
                        other.extend(&bytes(len));
                        output.drain_into(&mut other, 100);
                        prop_assert!(output.is_empty());
                        output.extend(b"before");
                        output.append(&mut other);
                        prop_assert!(other.is_empty());
                        expected.splice(..0, [&b"before"[..], &bytes(len)].concat());
                    }
                }
                prop_assert_eq!(output.len(), expected.len());
                prop_assert!(expected.starts_with(output.first()));
                prop_assert_eq!(output.first().is_empty(), expected.is_empty());
            }
            prop_assert!(drain(output, step) == expected);
        }
    }

    #[test]
    fn what_is_held_is_about_what_waits() {
        fn check(output: &Output) {
            let (waiting, held) = (output.len(), output.memory());
            let most = waiting + waiting / 8 + 2 * CHUNK;
            assert!(held <= most, "{held} bytes held for {waiting}");
            // Each piece costs an allocation besides.
            let pieces = output.pieces();
            assert!(pieces <= 2 + waiting / SHARE_MIN * 2, "{pieces} pieces");
        }
        for lens in [&[7][..], &[0, 1, 40, 700, 3_000, 12_000, 200_000]] {
            let (mut output, mut aside) = (Output::default(), Output::default());
            for len in lens.iter().cycle().take(20_000 / lens.len()) {
                // As for a client that sends its requests one by one and reads nothing.
                aside.drain_into(&mut output, 4096);
                output.extend(&vec![0; *len]);
                output.drain_into(&mut aside, CHUNK);
                check(&aside);
            }
            while !aside.is_empty() {
                aside.advance(aside.len().min(10_000));
                check(&aside);
            }
        }
    }

    #[test]
    fn a_long_queue_of_shared_pieces_is_not_moved_at_each_write() {
        // With a queue that moves, this takes minutes.
        const PIECES: usize = 300_000;
        let (mut output, mut aside) = (Output::default(), Output::default());
        let value = Bytes::from(vec![0; SHARE_MIN]);
        for _ in 0..PIECES {
            output.extend(b"$16384\r\n");
            output.share(&value);
        }
        while !output.is_empty() {
            output.advance(value.len() + 8);
            output.drain_into(&mut aside, CHUNK);
            aside.drain_into(&mut output, CHUNK);
        }
        assert!(output.memory() < 2 * CHUNK, "{}", output.memory());
    }

    #[test]
    fn small_pieces_are_one_buffer_and_leave_in_one_send() {
        let mut output = Output::default();
        (0..CHUNK / 8).for_each(|_| output.extend(b"+QUEUED\r".as_slice()));
        assert_eq!(output.only().map(<[u8]>::len), Some(CHUNK));
        output.extend(b"\n");
        assert_eq!(output.only(), None);
        assert_eq!(output.into_vec().len(), CHUNK + 1);
    }
}
