//! What is said to the user apart from the output, and in which words.

use std::io::{self, Write};

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The same, and what it is like.
pub const FULL_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (speaks RESP, behaves as Redis 7.2)"
);

/// Says something to the user, apart from the output.
pub fn tell(line: &str) {
    // Without anyone to hear it, work goes on.
    let line = harmless(line.as_bytes(), &['\n']);
    let _ = writeln!(io::stderr(), "respd: {line}");
}

/// The system's words for an error, without its number.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A text as one line of bounded length that moves no cursor: clients and files may be quoted in
/// it.
pub fn one_line(text: &str) -> String {
    // Escaped and with what stands around it, it still fits into PIPE_BUF, so that nobody else's
    // line comes in between.
    const MAX: usize = 600;
    let mut line = String::with_capacity(text.len());
    for char in text.chars().take(MAX) {
        match moves(char) {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    if text.chars().nth(MAX).is_some() {
        line.push('…');
    }
    line
}

/// What others have sent, as a terminal may show it: escaped wherever it would do something there.
/// `kept` are the exceptions.
pub fn harmless(bytes: &[u8], kept: &[char]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match moves(char) && !kept.contains(&char) {
                true => text.extend(char.escape_default()),
                false => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    text
}

/// Whether a terminal does something else with a character than to show it: controls, and those
/// that nobody sees or that turn the direction of what follows.
pub fn moves(char: char) -> bool {
    let is_unseen = matches!(char, '\u{ad}' | '\u{61c}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}');
    char.is_control() || is_unseen
}

/// A number and its noun, in the plural where it is due.
pub fn counted(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[0m é"), "a\\r\\nb\\u{1b}[0m é");
        let long = one_line(&"é".repeat(601));
        assert_eq!(long, "é".repeat(600) + "…");
    }

    #[test]
    fn what_others_sent_is_harmless() {
        let sent = b"\x1b]0;title\x07 a\r\n\tb \xff\xc2\x9b2J \xe2\x80\xae \xc3\xa9\x7f";
        assert_eq!(
            harmless(sent, &['\n', '\t']),
            "\\u{1b}]0;title\\u{7} a\\r\n\tb \\xff\\u{9b}2J \\u{202e} é\\u{7f}"
        );
        assert_eq!(harmless(b"a\nb", &[]), "a\\nb");
    }

    #[test]
    fn one_is_singular_and_nothing_plural() {
        assert_eq!(counted(0, "subscriber"), "0 subscribers");
        assert_eq!(counted(1, "subscriber"), "1 subscriber");
        assert_eq!(counted(2, "subscriber"), "2 subscribers");
    }
}
