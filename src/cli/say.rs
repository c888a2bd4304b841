//! What is said to the user apart from the output, and in which words.

use std::io::{self, Write};

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The same, and what it is like.
pub const FULL_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (speaks RESP, behaves as Redis 7.2)"
);

/// Says one line to the user, apart from the output.
pub fn tell(line: &str) {
    // Without anyone to hear it, work goes on.
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
        match char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    if text.chars().nth(MAX).is_some() {
        line.push('…');
    }
    line
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
    fn one_is_singular_and_nothing_plural() {
        assert_eq!(counted(0, "subscriber"), "0 subscribers");
        assert_eq!(counted(1, "subscriber"), "1 subscriber");
        assert_eq!(counted(2, "subscriber"), "2 subscribers");
    }
}
