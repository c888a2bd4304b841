//! Words on a line: split at blanks, with quotes, and quoted again.
//!
//! Inline requests and the configuration file have the same rules, which are those of
//! redis-cli: inside `"` a backslash escapes as in C, plus `\xHH`; inside `'` it escapes only
//! `'`; a quote may open anywhere, but where it closes the word must end.

/// C's `isspace`, which unlike Rust's counts the vertical tab.
pub fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// What follows the blanks at the front.
pub fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

/// Splits a line into words; `None` when a quote is not closed, or is closed in the middle of a
/// word.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = trim_start(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = trim_start(take(rest, &mut word)?);
        words.push(word);
    }
    Some(words)
}

/// Appends the word at the front of `rest` to `word`, and returns what follows it. `None` as
/// for [`split`].
pub fn take<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [blank, ..] if is_blank(*blank) => return Some(rest),
            [quote @ (b'"' | b'\''), inside @ ..] => {
                let after = take_quoted(*quote, inside, word)?;
                let ends = after.first().is_none_or(|next| is_blank(*next));
                return ends.then_some(after);
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
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
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

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

/// In double quotes, with escapes such that it is printable and [`split`] reads the same bytes
/// back.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(word.len() + 2);
    quoted.push(b'"');
    for &byte in word {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(split(line.as_bytes()), Some(words), "{line}");
        }
        for line in [
            r#"port "6379"#,
            r#"port "1"2"#,
            r"port '12\'",
            "'",
            r#"'x\'"#,
            "a'b'c",
        ] {
            assert_eq!(split(line.as_bytes()), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(text: Vec<u8>) {
            let mut line = b"requirepass ".to_vec();
            line.extend(quote(&text));
            proptest::prop_assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
            proptest::prop_assert_eq!(split(&line), Some(vec![b"requirepass".to_vec(), text]));
        }
    }
}
