//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET understand them.
//!
//! This is Redis's own dialect, which no crate speaks: `[^a-z]` negates, a range may be
//! written backwards, a class that is never closed ends with the pattern, and a backslash
//! takes the next character literally, even inside a class. The matcher is iterative and its
//! work is bounded, so that no pattern a client can send holds the server up.

/// Steps that a match may take beyond those that its length explains (see [`matches()`]).
const SPARE_STEPS: usize = 1 << 22;

/// Steps per byte of pattern and text. A retry after a `*` costs at most the length of the
/// piece up to the next `*`, so a pattern whose pieces stay below this is never cut short.
const STEPS_PER_BYTE: usize = 64;

/// Whether `text` matches the glob `pattern`; `nocase` ignores the case of ASCII letters.
///
/// Only the last `*` is ever retried, which is sufficient because every other token takes
/// exactly one byte; `*a*a*a*b` therefore costs no more than `*a*b`. What remains is the
/// product of text and the longest piece between two stars. It is cut off, with "no match",
/// only when a piece is longer than 64 bytes *and* millions of steps were in vain.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let mut steps = SPARE_STEPS
        .saturating_add((pattern.len().saturating_add(text.len())).saturating_mul(STEPS_PER_BYTE));
    // The empty text matches the empty pattern only, as in Redis, where `PSUBSCRIBE *` does
    // not hear `PUBLISH ""`. KEYS and SCAN ask whether the pattern is exactly `*` beforehand.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: the token after the last star, and the text it was
    // tried on.
    let mut retry: Option<(usize, usize)> = None;

    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        let (matched, next) = match_token(pattern, p, text[t], nocase);
        let Some(left) = steps.checked_sub(next - p + 1) else {
            return false;
        };
        steps = left;
        if matched {
            (p, t) = (next, t + 1);
            continue;
        }
        let Some((after_star, tried_at)) = retry else {
            return false;
        };
        (p, t) = (after_star, tried_at + 1);
        retry = Some((p, t));
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Compares one byte with the token at `p`, which is not a star. Returns whether it matched
/// and where the next token begins; past the end of the pattern nothing matches.
fn match_token(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    match pattern.get(p) {
        None => (false, p),
        Some(b'?') => (true, p + 1),
        Some(b'[') => match_class(pattern, p + 1, byte, nocase),
        Some(b'\\') if p + 1 < pattern.len() => (same(pattern[p + 1], byte, nocase), p + 2),
        Some(&literal) => (same(literal, byte, nocase), p + 1),
    }
}

/// Compares one byte with the class whose first byte after `[` is at `p`.
///
/// Two oddities are Redis's: an escaped byte in a class is compared with its case even when
/// `nocase` is set, and ranges compare bytes as signed characters.
fn match_class(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[p..] {
            [] => return (found != negated, p),
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                p += 2;
            }
            [b']', ..] => return (found != negated, p + 1),
            [from, b'-', to, ..] => {
                found |= in_range(*from, *to, byte, nocase);
                p += 3;
            }
            [literal, ..] => {
                found |= same(*literal, byte, nocase);
                p += 1;
            }
        }
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || nocase && a.eq_ignore_ascii_case(&b)
}

fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let fold = |byte: u8| {
        if nocase {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
        .cast_signed()
    };
    let (from, to) = if from.cast_signed() > to.cast_signed() {
        (to, from)
    } else {
        (from, to)
    };
    (fold(from)..=fold(to)).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `SCAN 0 MATCH pattern` on a Redis 7.0.15 that held the keys named on
    /// either side.
    #[test]
    fn answers_like_scan() {
        for (pattern, matching, others) in [
            ("", &[""][..], &["a", "*"][..]),
            ("**", &["a", "ab"], &[""]),
            ("*?*", &["a", "abc"], &[""]),
            ("h?llo", &["hello", "h?llo"], &["hllo", "heello"]),
            ("h*llo", &["hllo", "heeello", "hllollo"], &["hllo2"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo", "h[ae]llo"]),
            ("h[^e]llo", &["hallo", "hbllo", "h^llo"], &["hello"]),
            ("h[a-c]llo", &["hbllo"], &["hdllo", "h-llo"]),
            ("h[c-a]llo", &["hbllo"], &["hdllo"]),
            ("h[-a]llo", &["h-llo", "hallo"], &["hbllo"]),
            ("h[a-]llo", &[], &["hallo", "hbllo", "h-llo"]),
            ("[a-", &["a", "-"], &["b", "a-"]),
            ("[abc", &["a", "c"], &["d", "abc", "[abc"]),
            ("[", &[], &["[", "a"]),
            ("[^", &["a", "[", "^"], &["ab"]),
            ("[]", &[], &["]", "a"]),
            ("[^]", &["a", "]"], &["ab"]),
            ("[]a]", &[], &["]a]", "aa]", "]"]),
            ("[\\]]", &["]"], &["\\", "a"]),
            ("[\\", &["\\"], &["[", "a"]),
            ("\\", &["\\"], &["a"]),
            ("a\\", &["a\\"], &["a"]),
            ("\\*", &["*"], &["a", "\\*"]),
            ("*\\[*", &["a[b", "["], &["ab"]),
            ("A", &["A"], &["a"]),
        ] {
            for text in matching {
                assert!(
                    matches(pattern.as_bytes(), text.as_bytes(), false),
                    "{pattern} {text}"
                );
            }
            for text in others {
                assert!(
                    !matches(pattern.as_bytes(), text.as_bytes(), false),
                    "{pattern} {text}"
                );
            }
        }
    }

    #[test]
    fn ranges_compare_signed_characters() {
        // Recorded: 0xff is -1, so the range runs from -1 up to 'a' and leaves 'b' out.
        assert!(matches(b"[a-\xff]", b"\xff", false));
        assert!(matches(b"[a-\xff]", b"B", false));
        assert!(!matches(b"[a-\xff]", b"b", false));
        assert!(!matches(b"[a-\xff]", b"\x80", false));
        assert!(matches(b"[\x80-\xff]", b"\x80", false));
    }

    /// Recorded from `CONFIG GET pattern*`, which ignores case.
    #[test]
    fn ignoring_case_stops_at_escapes_in_classes() {
        for pattern in ["[P]ORT", "[\\p]ORT", "[A-Z]ORT", "POR?", "PO\\RT"] {
            assert!(matches(pattern.as_bytes(), b"port", true), "{pattern}");
        }
        for pattern in ["[\\P]ort", "[Q-p]ort"] {
            assert!(!matches(pattern.as_bytes(), b"port", true), "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let text = vec![b'a'; 64 << 10];
        let stars = [b"*a".repeat(32 << 10), b"b".to_vec()].concat();
        assert!(!matches(&stars, &text, false));
        // Half a text of literals after one star: a thousand million comparisons uncapped.
        let literals = [b"*".to_vec(), vec![b'a'; 32 << 10], b"b".to_vec()].concat();
        assert!(!matches(&literals, &text, false));
        let class = [b"*[".to_vec(), vec![b'b'; 64 << 10]].concat();
        assert!(!matches(&class, &text, false));
        // Work that is not in vain is not cut off.
        assert!(matches(b"*aab*", &[&text[..], b"b"].concat(), false));
    }
}
