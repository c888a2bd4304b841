//! Bytes on their way to one client.
//!
//! Small pieces are copied into one buffer. A large one is kept by reference
//! and leaves in the same vectored write.

use std::io::IoSlice;

use bytes::Bytes;

/// A piece of at least this many bytes is kept by reference: copying less
/// costs about as much as the entry in the list and the write's extra slice.
pub const SHARE_MIN: usize = 16 * 1024;

/// Replies and messages in the order in which they leave.
#[derive(Default, Debug)]
pub struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` have left. They are dropped when they are the
    /// larger half, so that a long backlog is not moved at every write.
    sent: usize,
    /// Pieces that stand before the byte at their position in `bytes`.
    shared: Vec<(usize, Bytes)>,
    /// Bytes of all shared pieces.
    shared_len: usize,
}

/// A place in an [`Output`] to go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    bytes: usize,
    shared: usize,
    shared_len: usize,
}

impl Output {
    /// Bytes that have not left yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.shared_len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.shared_len
    }

    /// How many pieces are kept by reference.
    pub fn shared_pieces(&self) -> usize {
        self.shared.len()
    }

    /// Forgets everything and keeps a buffer of at most `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.sent = 0;
        self.bytes.shrink_to(keep);
        self.shared.clear();
        self.shared.shrink_to(keep / size_of::<(usize, Bytes)>());
        self.shared_len = 0;
    }

    /// The buffer to write small pieces into.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Copies `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds `bytes` by reference if they are many.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_MIN {
            self.extend(bytes);
        } else {
            self.shared.push((self.bytes.len(), bytes.clone()));
            self.shared_len += bytes.len();
        }
    }

    /// Moves everything of `other` behind what is here.
    pub fn append(&mut self, other: &mut Output) {
        if self.is_empty() {
            *self = std::mem::take(other);
        } else {
            other.drain_into(self, 0);
        }
    }

    /// Moves everything behind what is in `target`, and keeps a buffer of at
    /// most `keep` bytes.
    pub fn drain_into(&mut self, target: &mut Output, keep: usize) {
        if self.is_empty() {
            return;
        }
        // A large buffer changes hands; the bytes of a small one are copied, so
        // that the target's buffer stays where it is.
        if self.bytes.len() >= SHARE_MIN && target.is_empty() {
            *target = std::mem::take(self);
            return;
        }
        self.compact();
        let shift = target.bytes.len();
        target
            .shared
            .extend(self.shared.drain(..).map(|(at, piece)| (at + shift, piece)));
        target.shared_len += std::mem::take(&mut self.shared_len);
        target.bytes.extend_from_slice(&self.bytes);
        self.bytes.clear();
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
    }

    /// Where the next piece will stand.
    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            shared: self.shared.len(),
            shared_len: self.shared_len,
        }
    }

    /// Whether something was written since `mark`.
    pub fn grew_since(&self, mark: Mark) -> bool {
        self.bytes.len() > mark.bytes || self.shared.len() > mark.shared
    }

    /// Takes back everything written since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.shared.truncate(mark.shared);
        self.shared_len = mark.shared_len;
    }

    /// All that there is, if it is one piece.
    pub fn only(&self) -> Option<&[u8]> {
        self.shared.is_empty().then(|| &self.bytes[self.sent..])
    }

    /// The first pieces in order, as many as fit into `slices`; answers how many.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut used, mut from) = (0, self.sent);
        let ends = self.shared.iter().map(|(at, piece)| (*at, Some(piece)));
        for (at, piece) in ends.chain([(self.bytes.len(), None)]) {
            for part in [&self.bytes[from..at], piece.map_or(&[][..], |piece| piece)] {
                if part.is_empty() {
                    continue;
                }
                let Some(slot) = slices.get_mut(used) else {
                    return used;
                };
                *slot = IoSlice::new(part);
                used += 1;
            }
            from = at;
        }
        used
    }

    /// Forgets the first `sent` bytes, which have left.
    pub fn advance(&mut self, mut sent: usize) {
        if sent == self.len() {
            self.bytes.clear();
            self.sent = 0;
            self.shared.clear();
            self.shared_len = 0;
            return;
        }
        let mut done = 0;
        for (at, piece) in &mut self.shared {
            let before = (*at - self.sent).min(sent);
            self.sent += before;
            sent -= before;
            let part = piece.len().min(sent);
            sent -= part;
            self.shared_len -= part;
            if part < piece.len() {
                bytes::Buf::advance(piece, part);
                break;
            }
            done += 1;
        }
        self.shared.drain(..done);
        self.sent += sent;
        if self.sent > self.bytes.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        self.shared.iter_mut().for_each(|(at, _)| *at -= self.sent);
        self.bytes.drain(..std::mem::take(&mut self.sent));
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

    proptest! {
        #[test]
        fn pieces_leave_in_order_however_they_are_cut(
            pieces in prop::collection::vec((any::<bool>(), any::<u8>()), 0..10),
            rest in prop::collection::vec((any::<bool>(), any::<u8>()), 0..4),
            step in 1usize..60_000,
        ) {
            let build = |pieces: &[(bool, u8)]| {
                let (mut output, mut expected) = (Output::default(), Vec::new());
                for &(large, fill) in pieces {
                    let piece = vec![fill; if large { SHARE_MIN + 7 } else { 5 }];
                    output.share(&Bytes::from(piece.clone()));
                    expected.extend_from_slice(&piece);
                }
                (output, expected)
            };
            let (mut output, mut expected) = build(&pieces);
            let (mut tail, tail_expected) = build(&rest);
            output.append(&mut tail);
            expected.extend_from_slice(&tail_expected);
            prop_assert_eq!(output.len(), expected.len());
            prop_assert_eq!(drain(output, step), expected);
        }
    }

    #[test]
    fn a_rewound_output_is_as_it_was() {
        let mut output = Output::default();
        output.extend(b"ab");
        let mark = output.mark();
        output.share(&Bytes::from(vec![0; SHARE_MIN]));
        output.extend(b"c");
        assert!(output.grew_since(mark));
        output.rewind(mark);
        assert!(!output.grew_since(mark));
        assert_eq!(drain(output, 9), b"ab");
    }
}
