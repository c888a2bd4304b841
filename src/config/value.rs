//! The text forms of single values: numbers, sizes, paths, quoted strings.
//!
//! Each parser takes what Redis takes and nothing else. The reasons for a refusal are
//! Redis's texts and stand beside the kinds of settings in `settings.rs`.

use std::io;
use std::path::{Path, PathBuf};

/// A decimal integer in the only form Redis accepts: no sign but `-`, no leading zeros, no
/// blanks, so that each number has one spelling.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (itoa::Buffer::new().format(number) == text).then_some(number)
}

/// An octal integer, such as a file mode. Redis reads the empty string as zero.
pub(super) fn parse_octal(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(str::from_utf8(text).ok()?, 8).ok()
}

/// A size with an optional unit: `k` is 1000 bytes and `kb` 1024, likewise `m`, `g`.
///
/// Redis reads no digits as zero, so `gb` is a valid way to write nothing. What does not fit
/// becomes the largest size, which the bounds of most settings then refuse.
pub(super) fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match &unit.to_ascii_lowercase()[..] {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = number.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number.saturating_mul(factor))
}

/// A size with the largest unit that divides it, as CONFIG REWRITE prints it.
pub(super) fn format_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

pub(super) fn parse_yes_no(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"no") {
        Some(false)
    } else {
        None
    }
}

/// A percentile in the shortest of Redis's spellings: at most six decimals, no trailing zeros.
pub(super) fn format_percentile(percentile: f64) -> String {
    format!("{percentile:.6}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// In double quotes, with escapes such that [`split_words`] reads the same bytes back.
pub(super) fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for &byte in text {
        match byte {
            b'\\' | b'"' => quoted.extend([b'\\', byte]),
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            b'\t' => quoted.extend(b"\\t"),
            0x07 => quoted.extend(b"\\a"),
            0x08 => quoted.extend(b"\\b"),
            b' '..=b'~' => quoted.push(byte),
            _ => quoted.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Splits a line into words at blanks; `None` when a quote is not closed, or is closed in the
/// middle of a word.
///
/// Inside `"` a backslash escapes as in C, plus `\xHH`; inside `'` it escapes only `'`.
pub(super) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = trim_start(rest);
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = take_word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn take_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [blank, ..] if is_blank(*blank) => return Some((word, rest)),
            // A quote may open anywhere, but where it closes the word must end.
            [quote @ (b'"' | b'\''), inside @ ..] => {
                let after = take_quoted(*quote, inside, &mut word)?;
                return after
                    .first()
                    .is_none_or(|next| is_blank(*next))
                    .then_some((word, after));
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// Appends to `word` up to the closing quote and returns what follows it.
fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [byte, after @ ..] if *byte == quote => return Some(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && is_hex(*high) && is_hex(*low) =>
            {
                (hex_digit(*high) << 4 | hex_digit(*low), after)
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        _ => byte,
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

/// C's `isspace`, which unlike Rust's counts the vertical tab.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(unix)]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(not(unix))]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The system's words for an error, as C's `strerror` has them.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, number) in [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX)] {
            assert_eq!(parse_integer(text.as_bytes()), Some(number));
        }
        for text in [
            "",
            "-0",
            "05",
            "+5",
            " 5",
            "5 ",
            "1.5",
            "0x1",
            "9223372036854775808",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("100", 100),
            ("1b", 1),
            ("1k", 1000),
            ("1KB", 1024),
            ("2m", 2_000_000),
            ("2mB", 2 << 20),
            ("3g", 3_000_000_000),
            ("3Gb", 3 << 30),
            ("", 0),
            ("gb", 0),
            ("99999999999999999999gb", u64::MAX),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text:?}");
        }
        for text in ["1x", "-1", "1.5gb", "1 gb", " 1", "0x10", "1tb"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text:?}");
        }
        for (bytes, text) in [
            (0, "0"),
            (1000, "1000"),
            (1536 << 10, "1536kb"),
            (1 << 30, "1gb"),
        ] {
            assert_eq!(format_memory(bytes), text);
        }
    }

    #[test]
    fn words_are_split_at_blanks_and_quoted() {
        for (line, words) in [
            ("", &[][..]),
            ("  a\tb\x0bc ", &["a", "b", "c"]),
            (r#"a "" ''"#, &["a", "", ""]),
            (r#""a b" 'c "d' "e 'f""#, &["a b", "c \"d", "e 'f"]),
            (r#""\x41\n\"\\\q" '\n\'x'"#, &["A\n\"\\q", "\\n'x"]),
            (r#""\x4" "\xzz""#, &["x4", "xzz"]),
            (r#"a"b c""#, &["ab c"]),
            (r"a\n", &["a\\n"]),
        ] {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(split_words(line.as_bytes()), Some(words), "{line}");
        }
        for line in [
            r#"port "6379"#,
            r#"port "1"2"#,
            r"port '12\'",
            "'",
            r#"'x\'"#,
            "a'b'c",
        ] {
            assert_eq!(split_words(line.as_bytes()), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(text: Vec<u8>) {
            let mut line = b"requirepass ".to_vec();
            line.extend(quote(&text));
            proptest::prop_assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
            proptest::prop_assert_eq!(split_words(&line), Some(vec![b"requirepass".to_vec(), text]));
        }
    }
}
