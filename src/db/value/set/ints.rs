//! Integers as a small set of nothing else holds them: sorted, side by side,
//! all of the same width, behind a byte that tells it.

/// Bytes of an integer: as many as the one needs that is furthest from 0.
const WIDTHS: [usize; 3] = [2, 4, 8];

/// The integers in some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Ints<'a> {
    width: usize,
    numbers: &'a [u8],
}

/// How many bytes an integer needs.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[inline]
fn decode(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// The integer in as many bytes as `into` has, which is enough.
fn encode(value: i64, into: &mut [u8]) {
    let len = into.len();
    into.copy_from_slice(&value.to_le_bytes()[..len]);
}

impl<'a> Ints<'a> {
    /// What these bytes hold; no bytes are an empty set.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Ints<'a> {
        let (width, numbers) = bytes.split_first().unwrap_or((&2, &[]));
        let width = usize::from(*width);
        debug_assert!(WIDTHS.contains(&width) && numbers.len().is_multiple_of(width));
        Ints { width, numbers }
    }

    /// How many integers there are.
    #[inline]
    pub fn len(self) -> usize {
        self.numbers.len() / self.width
    }

    /// The integer at `index`, in ascending order; there is one.
    #[inline]
    pub fn get(self, index: usize) -> i64 {
        decode(&self.numbers[index * self.width..][..self.width])
    }

    /// Where an integer is, or where it would be.
    pub fn find(self, value: i64) -> Result<usize, usize> {
        let (mut start, mut end) = (0, self.len());
        // Integers often come in ascending order.
        if let Some(last) = end.checked_sub(1)
            && self.get(last) < value
        {
            return Err(end);
        }
        while start < end {
            let middle = start.midpoint(end);
            match self.get(middle).cmp(&value) {
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        Err(start)
    }

    /// The integers, in ascending order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = i64> + Clone + use<'a> {
        self.numbers.chunks_exact(self.width).map(decode)
    }
}

/// Adds an integer; false if it is there already.
pub fn insert(bytes: &mut Vec<u8>, value: i64) -> bool {
    let ints = Ints::new(bytes);
    let Err(at) = ints.find(value) else {
        return false;
    };
    let (len, needed) = (ints.len(), width_of(value));
    if bytes.is_empty() || needed > ints.width {
        *bytes = widened(ints, needed);
    }
    let width = usize::from(bytes[0]);
    let start = 1 + at * width;
    bytes.resize(1 + (len + 1) * width, 0);
    bytes.copy_within(start..1 + len * width, start + width);
    encode(value, &mut bytes[start..start + width]);
    true
}

/// The same integers in `width` bytes each, which is more than they have, and
/// room for another.
fn widened(ints: Ints<'_>, width: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + (ints.len() + 1) * width);
    bytes.push(width as u8);
    for value in ints.iter() {
        bytes.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    bytes
}

/// Takes out the integer at `index`; there is one.
pub fn remove(bytes: &mut Vec<u8>, index: usize) {
    let width = Ints::new(bytes).width;
    let start = 1 + index * width;
    bytes.drain(start..start + width);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn they_are_a_sorted_set_of_the_narrowest_width() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..60 {
            let (mut bytes, mut model) = (Vec::new(), BTreeSet::new());
            let bits = 8 + round;
            for _ in 0..400 {
                let value = rng.i64(..) >> (64 - bits.min(64));
                let value = if rng.u8(..8) == 0 { value >> 20 } else { value };
                if rng.u8(..3) > 0 {
                    assert_eq!(insert(&mut bytes, value), model.insert(value));
                } else if let Ok(at) = Ints::new(&bytes).find(value) {
                    remove(&mut bytes, at);
                    assert!(model.remove(&value));
                } else {
                    assert!(!model.contains(&value));
                }
                let ints = Ints::new(&bytes);
                assert_eq!(ints.len(), model.len());
                assert!(ints.iter().eq(model.iter().copied()));
            }
            let widest = model.iter().map(|&value| width_of(value)).max();
            assert!(Some(usize::from(bytes[0])) >= widest);
        }
    }

    #[test]
    fn the_edges_of_the_widths_are_kept() {
        let edges = [
            i64::MIN,
            i32::MIN as i64 - 1,
            i32::MIN as i64,
            i16::MIN as i64 - 1,
            i16::MIN as i64,
            -1,
            0,
            i16::MAX as i64,
            i16::MAX as i64 + 1,
            i32::MAX as i64,
            i32::MAX as i64 + 1,
            i64::MAX,
        ];
        let widths = [8, 8, 4, 4, 2, 2, 2, 2, 4, 4, 8, 8];
        let mut all = Vec::new();
        for (value, width) in edges.into_iter().zip(widths) {
            let mut one = Vec::new();
            assert!(insert(&mut one, value));
            assert_eq!(one.len(), 1 + width, "{value}");
            assert!(insert(&mut all, value));
            assert!(!insert(&mut all, value));
        }
        assert!(Ints::new(&all).iter().eq(edges));
    }
}
