//! How a message or an item is shown: for reading, as it is, as JSON, or as a template has it.
//!
//! Into a pipe or a file its bytes go as they are. On a terminal nothing of it does anything but
//! show: who publishes must not move a reader's cursor.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::pretty::pretty;
use super::say::{harmless, moves};

/// What was received.
pub struct Record<'a> {
    /// "channel" or "queue".
    pub kind: &'static str,
    /// Its name.
    pub source: &'a [u8],
    pub pattern: Option<&'a [u8]>,
    pub time: Timestamp,
    pub payload: &'a [u8],
}

/// The flags that choose a style.
#[derive(Args)]
pub struct StyleFlags {
    /// Print an object of JSON a line, with time and payload, or payload_base64 where that is no
    /// text
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    json: bool,

    /// Print a line as TEMPLATE has it, such as '{time} {payload}'; {{ and }} are braces
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse, help_heading = "Output")]
    format: Option<Template>,
}

impl StyleFlags {
    /// The style that was chosen, if one was.
    pub fn style(self) -> Option<Style> {
        match self.format {
            Some(template) => Some(Style::Template(template)),
            None => self.json.then_some(Style::Json),
        }
    }
}

pub enum Style {
    /// The source, the payload with JSON laid out, a blank line.
    Block,
    /// The payload.
    Raw,
    Json,
    Template(Template),
}

/// How to show what comes, and where.
pub struct View {
    pub style: Style,
    pub on_terminal: bool,
}

impl View {
    pub fn show(&self, record: &Record) -> Vec<u8> {
        match &self.style {
            Style::Block => self.block(record),
            Style::Raw => [&self.text(record.payload), &b"\n"[..]].concat(),
            Style::Json => json(record).into_bytes(),
            Style::Template(template) => {
                let mut line = Vec::new();
                for part in &template.0 {
                    match part {
                        Part::Text(text) => line.extend_from_slice(text.as_bytes()),
                        Part::Source => line.extend(self.name(record.source)),
                        Part::Pattern => {
                            line.extend(self.name(record.pattern.unwrap_or_default()));
                        }
                        Part::Time => line.extend(time(record).into_bytes()),
                        Part::Payload => line.extend(self.text(record.payload)),
                    }
                }
                line.push(b'\n');
                line
            }
        }
    }

    fn block(&self, record: &Record) -> Vec<u8> {
        let pattern = match record.pattern {
            Some(pattern) => [b" (pattern ", &self.name(pattern)[..], b")"].concat(),
            None => Vec::new(),
        };
        let laid_out = pretty(record.payload);
        let payload = self.text(laid_out.as_deref().unwrap_or(record.payload));
        let source = self.name(record.source);
        [b"[", &source[..], b"]", &pattern, b"\n", &payload, b"\n\n"].concat()
    }

    /// A payload may have lines.
    fn text(&self, bytes: &[u8]) -> Vec<u8> {
        self.shown(bytes, &['\n', '\t'])
    }

    fn name(&self, bytes: &[u8]) -> Vec<u8> {
        self.shown(bytes, &[])
    }

    fn shown(&self, bytes: &[u8], kept: &[char]) -> Vec<u8> {
        match self.on_terminal {
            true => harmless(bytes, kept).into_bytes(),
            false => bytes.to_vec(),
        }
    }
}

fn time(record: &Record) -> String {
    format!("{:.3}", record.time)
}

/// By hand for the order of the members.
fn json(record: &Record) -> String {
    let mut line = String::from("{");
    member(&mut line, record.kind, Some(record.source));
    if record.kind == "channel" {
        line.push(',');
        member(&mut line, "pattern", record.pattern);
    }
    let _ = write!(line, r#","time":"{}","#, time(record));
    member(&mut line, "payload", Some(record.payload));
    line.push_str("}\n");
    line
}

fn member(line: &mut String, name: &str, value: Option<&[u8]>) {
    // Writing to memory cannot fail.
    let _ = match value.map(std::str::from_utf8) {
        None => write!(line, r#""{name}":null"#),
        Some(Ok(text)) => write!(line, r#""{name}":{}"#, json_text(text)),
        Some(Err(_)) => {
            let bytes = base64(value.unwrap_or_default());
            write!(line, r#""{name}_base64":"{bytes}""#)
        }
    };
}

/// A string of JSON in which no terminal sees a control character.
fn json_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    for char in Value::from(text).to_string().chars() {
        match moves(char) {
            // Those beyond are none that move.
            true => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(char));
            }
            false => escaped.push(char),
        }
    }
    escaped
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0, |bits: usize, byte| bits << 8 | usize::from(*byte));
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => text.push(char::from(DIGITS[bits >> (18 - 6 * digit) & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

/// What `--format` was given.
#[derive(Clone)]
pub struct Template(Vec<Part>);

#[derive(Clone)]
enum Part {
    Text(String),
    Source,
    Pattern,
    Time,
    Payload,
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = match (brace, after.split_once('}')) {
                ("{", Some(field)) => field,
                _ => {
                    return Err(format!(
                        "a single {brace}; write {brace}{brace} for a brace"
                    ));
                }
            };
            let part = match name {
                "channel" | "queue" => Part::Source,
                "pattern" => Part::Pattern,
                "time" => Part::Time,
                "payload" => Part::Payload,
                _ => {
                    let known = "{channel}, {queue}, {pattern}, {time} and {payload}";
                    return Err(format!("{{{name}}} is no field; there are {known}"));
                }
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Template(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(source: &'a [u8], pattern: Option<&'a [u8]>, payload: &'a [u8]) -> Record<'a> {
        Record {
            kind: "channel",
            source,
            pattern,
            time: Timestamp::from_millisecond(1_700_000_000_120).unwrap(),
            payload,
        }
    }

    fn shown(style: Style, on_terminal: bool, record: &Record) -> String {
        let view = View { style, on_terminal };
        String::from_utf8(view.show(record)).unwrap()
    }

    #[test]
    fn a_message_is_one_block() {
        let message = record(b"news", None, b"{\"a\":1}");
        let block = shown(Style::Block, false, &message);
        assert_eq!(block, "[news]\n{\n  \"a\": 1\n}\n\n");
        assert_eq!(shown(Style::Raw, false, &message), "{\"a\":1}\n");
        let view = View {
            style: Style::Block,
            on_terminal: false,
        };
        assert_eq!(
            view.show(&record(b"news", Some(b"n*"), b"\xff\r\nraw")),
            b"[news] (pattern n*)\n\xff\r\nraw\n\n"
        );
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        let message = record(b"a\n\x1b[2J", Some(b"*\x07"), b"\x1b]0;x\x07\r\nb\tc\xff");
        assert_eq!(
            shown(Style::Block, true, &message),
            "[a\\n\\u{1b}[2J] (pattern *\\u{7})\n\\u{1b}]0;x\\u{7}\\r\nb\tc\\xff\n\n"
        );
        let raw = "\\u{1b}]0;x\\u{7}\\r\nb\tc\\xff\n";
        assert_eq!(shown(Style::Raw, true, &message), raw);
        let json = "[a]\n{\n  \"x\": \"\\u{9b}2J\"\n}\n\n";
        let message = record(b"a", None, "{\"x\":\"\u{9b}2J\"}".as_bytes());
        assert_eq!(shown(Style::Block, true, &message), json);
    }

    #[test]
    fn json_is_one_line_with_base64_for_what_is_no_text() {
        assert_eq!(
            shown(
                Style::Json,
                false,
                &record(b"news", None, "é\n\u{7f}\u{9b}".as_bytes())
            ),
            "{\"channel\":\"news\",\"pattern\":null,\"time\":\"2023-11-14T22:13:20.120Z\",\
             \"payload\":\"é\\n\\u007f\\u009b\"}\n"
        );
        assert_eq!(
            shown(
                Style::Json,
                false,
                &record(b"\xff", Some(b"*"), b"\xfe\xff")
            ),
            "{\"channel_base64\":\"/w==\",\"pattern\":\"*\",\
             \"time\":\"2023-11-14T22:13:20.120Z\",\"payload_base64\":\"/v8=\"}\n"
        );
        let item = Record {
            kind: "queue",
            ..record(b"jobs", None, b"x")
        };
        assert_eq!(
            shown(Style::Json, false, &item),
            "{\"queue\":\"jobs\",\"time\":\"2023-11-14T22:13:20.120Z\",\"payload\":\"x\"}\n"
        );
    }

    #[test]
    fn base64_is_as_the_rfc_has_it() {
        let cases = [
            "", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==",
        ];
        for case in cases.chunks(2) {
            assert_eq!(base64(case[0].as_bytes()), case[1]);
        }
    }

    #[test]
    fn a_template_has_fields_and_braces() {
        let template = |text| Template::parse(text).map(Style::Template);
        let message = record(b"news", Some(b"n*"), b"hi");
        let style = template("{{{channel}}} {pattern}\t{time}: {payload}!").unwrap();
        assert_eq!(
            shown(style, false, &message),
            "{news} n*\t2023-11-14T22:13:20.120Z: hi!\n"
        );
        for text in ["{", "}", "{payload", "a}b", "{nosuch}", "{}"] {
            assert!(template(text).is_err(), "{text}");
        }
    }
}
