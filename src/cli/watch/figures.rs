//! Numbers, sizes, times and names as they stand in a table: short, and harmless to a terminal.

use std::time::Duration;

use ratatui::buffer::CellWidth;

use super::super::say::harmless;

/// What others have sent on one line: escaped wherever it would do something on a terminal.
pub fn name(bytes: &[u8]) -> String {
    // No terminal is as wide.
    const LONGEST: usize = 1000;
    harmless(&bytes[..bytes.len().min(LONGEST)], &[])
}

/// As in `1,234,567`, and `12.3M` when it gets long.
pub fn count(count: u64) -> String {
    match count {
        0..10_000_000 => grouped(&count.to_string()),
        10_000_000..10_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// How often a second; nothing for what is not known.
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => String::new(),
        Some(rate) if rate.abs() < 0.05 => "0".to_owned(),
        Some(rate) if rate.abs() < 100.0 => format!("{rate:.1}"),
        Some(rate) => match rate < 0.0 {
            true => format!("-{}", count(-rate as u64)),
            false => count(rate as u64),
        },
    }
}

/// The same with its sign.
pub fn change(change: Option<f64>) -> String {
    let text = rate(change);
    match change {
        Some(change) if change >= 0.05 => format!("+{text}"),
        _ => text,
    }
}

/// As in `13.1 MB`, in units of 1024 as INFO has them.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit < 4 {
        size /= 1024.0;
        unit += 1;
    }
    let unit = ["B", "KB", "MB", "GB", "TB"][unit];
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{size:.1} {unit}"),
    }
}

/// The largest unit alone, two for what is hours and days long.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// How long a command took.
pub fn took(took: Duration) -> String {
    let milliseconds = took.as_secs_f64() * 1e3;
    match milliseconds {
        0.0..10.0 => format!("{milliseconds:.2} ms"),
        10.0..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", milliseconds / 1e3),
    }
}

/// Words as one would type them, in quotes where they would not be one word.
pub fn command(words: &[Vec<u8>]) -> String {
    let words = words.iter().map(|word| {
        let text = name(word);
        let is_plain = !text.is_empty() && !text.contains([' ', '"', '\'']);
        match is_plain {
            true => text,
            false => format!("\"{}\"", text.replace('"', "\\\"")),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.cell_width().into()
}

/// The beginning of a text that fits, with a sign that there is more.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fitting = String::new();
    let mut left = columns.saturating_sub(1);
    for char in text.chars() {
        let taken = width(char.encode_utf8(&mut [0; 4]));
        if taken > left {
            break;
        }
        left -= taken;
        fitting.push(char);
    }
    if columns > 0 {
        fitting.push('…');
    }
    fitting
}

/// The text in lines of so many columns.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for char in text.chars() {
        let more = width(char.encode_utf8(&mut [0; 4]));
        if taken + more > columns.max(1) && taken > 0 {
            lines.push(String::new());
            taken = 0;
        }
        taken += more;
        if let Some(line) = lines.last_mut() {
            line.push(char);
        }
    }
    lines
}

/// The same at the blanks between words, for what we say ourselves.
pub fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| width(line));
        let is_first = line == 0;
        if !is_first && line + 1 + width(word) > columns {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let lines = lines.iter().flat_map(|line| wrap(line, columns));
    lines.collect()
}

/// The last numbers as a line of bars, the highest as high as there are.
pub fn bars(numbers: impl Iterator<Item = u64> + Clone) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = numbers.clone().max().unwrap_or(0).max(1) as f64;
    numbers
        .map(|number| BARS[((number as f64 / most * 7.0).round() as usize).min(7)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [0, 999, 1234, 1_234_567].map(count),
            ["0", "999", "1,234", "1,234,567"]
        );
        assert_eq!(count(12_345_678), "12.3M");
        let rates = [0.0, 0.04, 12.34, -1.0, -1234.0, 99_999.0];
        let shown = ["0", "0", "12.3", "-1.0", "-1,234", "99,999"];
        assert_eq!(rates.map(|of| rate(Some(of))), shown);
        assert_eq!(
            (rate(None), change(Some(2.0))),
            (String::new(), "+2.0".to_owned())
        );
        assert_eq!(
            [0, 999, 1024, 13_700_496].map(bytes),
            ["0 B", "999 B", "1.0 KB", "13.1 MB"]
        );
        let seconds = [5, 119, 3660, 180_000].map(Duration::from_secs);
        assert_eq!(seconds.map(age), ["5s", "1m", "1h 1m", "2d 2h"]);
        let times = [1_500, 12_345, 2_500_000].map(Duration::from_micros);
        assert_eq!(times.map(took), ["1.50 ms", "12 ms", "2.5 s"]);
        assert_eq!(bars([0, 5, 10].into_iter()), "▁▅█");
        assert_eq!(bars([0, 0].into_iter()), "▁▁");
    }

    #[test]
    fn texts_fit() {
        assert_eq!(fit("hello", 5), "hello");
        assert_eq!(fit("hello!", 5), "hell…");
        // A letter may take two columns.
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(
            (fit("ab", 0), fit("ab", 1)),
            (String::new(), "…".to_owned())
        );
        assert_eq!(wrap("日本語ab", 4), ["日本", "語ab"]);
        assert_eq!(wrap("", 4), [""]);
        let lines = wrap_words("one two three fourteen", 7);
        assert_eq!(lines, ["one two", "three", "fourtee", "n"]);
        assert_eq!(wrap("日", 1), ["日"]);
    }

    #[test]
    fn what_others_sent_does_nothing() {
        assert_eq!(name(b"a\x1b[2J\xff"), "a\\u{1b}[2J\\xff");
        let words: [&[u8]; 4] = [b"set", b"a b", b"", b"\""];
        let words = words.map(<[u8]>::to_vec);
        assert_eq!(command(&words), r#"set "a b" "" "\"""#);
    }
}
