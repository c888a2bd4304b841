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
    let step = 1 << ((len - 1).ilog2() - 2);
    len.next_multiple_of(step)
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
