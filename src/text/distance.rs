//! How far two names are from each other, to tell what somebody may have meant.

/// Longer names are compared up to here.
const MAX: usize = 64;

/// How many bytes must be put in, left out or changed to make one of the other
/// (Levenshtein).
pub fn distance(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (&a[..a.len().min(MAX)], &b[..b.len().min(MAX)]);
    // From the first bytes of `a` to each beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn it_counts_what_must_be_changed() {
        for (a, b, expected) in [
            ("", "", 0),
            ("orders", "orders", 0),
            ("orders", "order", 1),
            ("orders", "odrers", 2),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
        assert_eq!(distance(&[b'x'; 1 << 20], &[b'y'; 1 << 20]), super::MAX);
    }
}
