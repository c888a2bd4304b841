//! What a piece of memory takes that is asked of an allocator.
//!
//! It is not asked, because an embedder's may be any, and to ask takes longer
//! than to store a key. But all give pieces of certain sizes only.

/// Bytes that a piece of `len` bytes takes, about: as with mimalloc and
/// jemalloc there are four sizes between a power of two and the next.
#[inline]
pub fn held(len: usize) -> usize {
    const FINE_MAX: usize = 64;
    if len <= FINE_MAX {
        return len.next_multiple_of(8);
    }
    // A division would take longer than the rest.
    let mask = (1 << ((len - 1).ilog2() - 2)) - 1;
    (len + mask) & !mask
}

/// Moves what is there into a piece with room for `room` things, or for all
/// there are, if it is smaller. Asked to make a piece smaller, mimalloc leaves
/// it as it is unless half of it would be free.
pub fn shrink<T>(things: &mut Vec<T>, room: usize) {
    let room = room.max(things.len());
    if room < things.capacity() {
        let mut shrunk = Vec::with_capacity(room);
        shrunk.append(things);
        *things = shrunk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_takes_what_it_needs_and_a_fourth_more_at_most() {
        assert_eq!([0, 1, 8, 9].map(held), [0, 8, 8, 16]);
        assert_eq!([64, 65, 128, 129].map(held), [64, 80, 128, 160]);
        for len in (65..200_000).step_by(7) {
            assert!((len..len + len / 4).contains(&held(len)), "{len}");
        }
    }
}
