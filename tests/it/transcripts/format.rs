//! Reads transcripts: what to send, on which connection, and the reply expected.
//!
//! The format is described in `tests/transcripts/README.md`. Nothing here
//! touches a socket; a line that is not understood is an error with its number,
//! so that a typing slip cannot silently test nothing.

use std::collections::HashMap;

/// Bytes that were captured from a reply, by name.
pub type Variables = HashMap<String, String>;

#[derive(Debug)]
pub struct Transcript {
    /// Settings the broker is started with.
    pub settings: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// Line of the prompt in the file, counted from one.
    pub line: usize,
    pub action: Action,
    pub reply: Vec<ReplyLine>,
}

#[derive(Debug, PartialEq)]
pub enum Action {
    /// Sends a request and, unless the prompt is `>>`, reads one reply.
    Send {
        connection: String,
        text: String,
        raw: bool,
        read: bool,
        sorted: bool,
        until: bool,
        /// Whether the events that it causes are shown behind its reply.
        events: bool,
    },
    /// Reads one more reply.
    Read { connection: String, sorted: bool },
    /// Reads as many replies as such steps follow each other, in any order.
    ReadAny { connection: String },
    /// Waits until this many clients are blocked.
    Blocked(usize),
    /// Half-closes a connection and waits for the broker's end of it.
    Close(String),
}

#[derive(Debug, PartialEq)]
pub struct ReplyLine {
    pub text: String,
    pub pattern: bool,
}

pub fn parse(source: &str) -> Result<Transcript, String> {
    let mut transcript = Transcript {
        settings: Vec::new(),
        steps: Vec::new(),
    };
    // Where the next reply line must stand to belong to the last step.
    let mut next_reply = 0;
    for (index, line) in source.lines().enumerate() {
        let number = index + 1;
        let wrong = |why: &str| format!("{number}: {why}: {line}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(reply) = parse_reply_line(line) {
            let step = transcript.steps.last_mut();
            let step = step.ok_or_else(|| wrong("a reply without a command"))?;
            if !step.action.reads() || next_reply != number {
                return Err(wrong("a reply without a command"));
            }
            step.reply.push(reply);
            next_reply += 1;
            continue;
        }
        if let Some(setting) = line.strip_prefix("@config ") {
            if !transcript.steps.is_empty() {
                return Err(wrong("@config comes before the first command"));
            }
            let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
            let value = value.trim_matches('"').to_owned();
            transcript.settings.push((name.to_owned(), value));
            continue;
        }
        let action = match line.strip_prefix('@') {
            Some(directive) => parse_directive(directive),
            None => parse_prompt(line),
        };
        transcript.steps.push(Step {
            line: number,
            action: action.ok_or_else(|| wrong("not a line of a transcript"))?,
            reply: Vec::new(),
        });
        next_reply = number + 1;
    }
    match transcript.steps.iter().find(|step| step.is_unanswered()) {
        Some(step) => Err(format!("{}: no reply is recorded", step.line)),
        None => Ok(transcript),
    }
}

impl Step {
    fn is_unanswered(&self) -> bool {
        self.action.reads() && self.reply.is_empty()
    }
}

impl Action {
    /// Whether a reply belongs to it.
    fn reads(&self) -> bool {
        match self {
            Action::Send { read, .. } => *read,
            Action::Read { .. } | Action::ReadAny { .. } => true,
            Action::Blocked(_) | Action::Close(_) => false,
        }
    }
}

/// The gutter of two characters says how a reply line is compared. `!` marks a
/// text of Redis 7.2 that 7.0 lacks, which is the recorder's affair alone.
fn parse_reply_line(line: &str) -> Option<ReplyLine> {
    let (gutter, text) = line.split_at_checked(2)?;
    let pattern = match gutter {
        "  " | "! " => false,
        "~ " | "!~" => true,
        _ => return None,
    };
    Some(ReplyLine {
        text: text.to_owned(),
        pattern,
    })
}

fn parse_directive(directive: &str) -> Option<Action> {
    match directive.split_once(' ')? {
        ("blocked", count) => Some(Action::Blocked(count.parse().ok()?)),
        ("close", name) => Some(Action::Close(name.to_owned())),
        _ => None,
    }
}

fn parse_prompt(line: &str) -> Option<Action> {
    let end = line.find(['>', '<'])?;
    let (words, rest) = line.split_at(end);
    let (mut raw, mut sorted, mut until, mut any) = (false, false, false, false);
    let mut events = false;
    let mut connection = None;
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "raw" => raw = true,
            "sorted" => sorted = true,
            "until" => until = true,
            "any" => any = true,
            "events" => events = true,
            name if is_name(name) && connection.is_none() => connection = Some(name),
            _ => return None,
        }
    }
    let connection = connection.unwrap_or("a").to_owned();
    if let Some(rest) = rest.strip_prefix('<') {
        if !rest.trim().is_empty() || raw || until || events || (any && sorted) {
            return None;
        }
        return Some(match any {
            true => Action::ReadAny { connection },
            false => Action::Read { connection, sorted },
        });
    }
    if any {
        return None;
    }
    let (read, rest) = match rest.strip_prefix(">>") {
        Some(rest) => (false, rest),
        None => (true, &rest[1..]),
    };
    if events && (until || !read) {
        return None;
    }
    Some(Action::Send {
        connection,
        text: rest.strip_prefix(' ')?.to_owned(),
        raw,
        read,
        sorted,
        until,
        events,
    })
}

fn is_name(text: &str) -> bool {
    let first_is_letter = text.starts_with(|first: char| first.is_ascii_lowercase());
    first_is_letter
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Encodes a command line as the array of bulk strings that clients send.
pub fn encode_request(text: &str, variables: &Variables) -> Result<Vec<u8>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (word, tail) = unescape(quoted, Some('"'), variables)?;
                let tail = tail.strip_prefix('"').ok_or("a quote is not closed")?;
                (word, tail)
            }
            None => unescape(rest, Some(' '), variables)?,
        };
        words.push(word);
        rest = tail.trim_start_matches(' ');
    }
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(&word);
        request.extend_from_slice(b"\r\n");
    }
    Ok(request)
}

/// Decodes the text of a `raw` prompt.
pub fn decode_raw(text: &str, variables: &Variables) -> Result<Vec<u8>, String> {
    unescape(text, None, variables).map(|(bytes, _)| bytes)
}

/// Decodes up to `stop`, and returns the bytes and what is left from `stop` on.
fn unescape<'a>(
    text: &'a str,
    stop: Option<char>,
    variables: &Variables,
) -> Result<(Vec<u8>, &'a str), String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if stop == Some(char) {
            break;
        }
        if let Some(escaped) = rest.strip_prefix('\\') {
            let (byte, tail) =
                unescape_one(escaped).ok_or_else(|| format!("a bad escape: \\{escaped}"))?;
            bytes.push(byte);
            rest = tail;
        } else if let Some((brace, tail)) = split_brace(rest) {
            match brace {
                Brace::Variable(name) => {
                    let value = variables.get(name);
                    let value = value.ok_or_else(|| format!("{{{name}}} was not captured"))?;
                    bytes.extend_from_slice(value.as_bytes());
                }
                Brace::Repeat(byte, count) => bytes.resize(bytes.len() + count, byte),
            }
            rest = tail;
        } else {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[char.len_utf8()..];
        }
    }
    Ok((bytes, rest))
}

fn unescape_one(escaped: &str) -> Option<(u8, &str)> {
    let byte = match escaped.chars().next()? {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            let digits = escaped.get(1..3)?;
            return Some((u8::from_str_radix(digits, 16).ok()?, &escaped[3..]));
        }
        _ => return None,
    };
    Some((byte, &escaped[1..]))
}

enum Brace<'a> {
    /// `{name}`
    Variable(&'a str),
    /// `{x*1000}`
    Repeat(u8, usize),
}

fn split_brace(text: &str) -> Option<(Brace<'_>, &str)> {
    let (inner, tail) = text.strip_prefix('{')?.split_once('}')?;
    if is_name(inner) {
        return Some((Brace::Variable(inner), tail));
    }
    let (char, count) = inner.split_once('*')?;
    match (char.as_bytes(), count.parse()) {
        (&[byte], Ok(count)) => Some((Brace::Repeat(byte, count), tail)),
        _ => None,
    }
}

/// Compares a reply's lines; values that patterns capture join the variables.
pub fn reply_matches(want: &[ReplyLine], got: &[String], variables: &mut Variables) -> bool {
    let (want, open) = match want.split_last() {
        Some((last, head)) if last.pattern && last.text == "..." => (head, true),
        _ => (want, false),
    };
    let length_fits = got.len() == want.len() || (open && got.len() > want.len());
    length_fits
        && want.iter().zip(got).all(|(want, got)| match want.pattern {
            true => pattern_matches(&want.text, got, variables),
            false => want.text == *got,
        })
}

fn pattern_matches(pattern: &str, got: &str, variables: &mut Variables) -> bool {
    let mut captures = Vec::new();
    if !match_from(pattern, got, variables, &mut captures) {
        return false;
    }
    variables.extend(captures);
    true
}

/// A line has a handful of placeholders, so trying every length of each is fast enough.
fn match_from(
    pattern: &str,
    got: &str,
    variables: &Variables,
    captures: &mut Vec<(String, String)>,
) -> bool {
    let Some(start) = pattern.find(['<', '{']) else {
        return pattern == got;
    };
    let (literal, special) = pattern.split_at(start);
    let Some(got) = got.strip_prefix(literal) else {
        return false;
    };
    if let Some((Brace::Variable(name), tail)) = split_brace(special) {
        let value = variables.get(name).map(String::as_str).unwrap_or("{}");
        return got
            .strip_prefix(value)
            .is_some_and(|got| match_from(tail, got, variables, captures));
    }
    let Some((place, tail)) = Place::split(special) else {
        // No placeholder after all: the character stands for itself.
        return got
            .strip_prefix(&special[..1])
            .is_some_and(|got| match_from(&special[1..], got, variables, captures));
    };
    let longest = place.longest(got);
    for length in (0..=longest).rev() {
        let (value, rest) = got.split_at(length);
        if !place.accepts(value) {
            continue;
        }
        let depth = captures.len();
        if let Some(name) = &place.name {
            captures.push((name.clone(), value.to_owned()));
        }
        if match_from(tail, rest, variables, captures) {
            return true;
        }
        captures.truncate(depth);
    }
    false
}

/// `<int>`, `<float>`, `<hex>`, `<word>`, `<any>` or `<1..5>`, with `:name` to capture it.
struct Place {
    class: Class,
    name: Option<String>,
}

enum Class {
    Int,
    Float,
    Hex,
    Word,
    Any,
    Range(i64, i64),
}

impl Place {
    fn split(text: &str) -> Option<(Place, &str)> {
        let (inner, tail) = text.strip_prefix('<')?.split_once('>')?;
        let (class, name) = match inner.split_once(':') {
            Some((class, name)) if is_name(name) => (class, Some(name.to_owned())),
            Some(_) => return None,
            None => (inner, None),
        };
        let class = match class {
            "int" => Class::Int,
            "float" => Class::Float,
            "hex" => Class::Hex,
            "word" => Class::Word,
            "any" => Class::Any,
            range => {
                let (low, high) = range.split_once("..")?;
                Class::Range(low.parse().ok()?, high.parse().ok()?)
            }
        };
        Some((Place { class, name }, tail))
    }

    /// How far a value can reach at most. Replies are rendered as ASCII.
    fn longest(&self, got: &str) -> usize {
        let fits = |byte: u8| match self.class {
            Class::Int | Class::Range(..) => byte == b'-' || byte.is_ascii_digit(),
            Class::Float => byte == b'-' || byte == b'.' || byte.is_ascii_digit(),
            Class::Hex => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
            Class::Word => byte != b' ',
            Class::Any => true,
        };
        got.bytes().take_while(|&byte| fits(byte)).count()
    }

    fn accepts(&self, value: &str) -> bool {
        match self.class {
            Class::Int => is_integer(value),
            Class::Range(low, high) => value
                .parse()
                .is_ok_and(|number: i64| low <= number && number <= high),
            Class::Float => value.parse::<f64>().is_ok(),
            Class::Hex | Class::Word => !value.is_empty(),
            Class::Any => true,
        }
    }
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(text: &str) -> Action {
        Action::Send {
            connection: "a".into(),
            text: text.into(),
            raw: false,
            read: true,
            sorted: false,
            until: false,
            events: false,
        }
    }

    #[test]
    fn a_file_is_settings_then_steps_with_replies() {
        let source = "# words\n@config requirepass \"foo bar\"\n\n> GET k\n  $1 v\n\
                      b>> BLPOP q 0\n@blocked 1\nb<\n~ *<int>\n!   $1 q\n@close b\n";
        let transcript = parse(source).unwrap();
        let expected = [("requirepass".to_owned(), "foo bar".to_owned())];
        assert_eq!(transcript.settings, expected);
        let lines: Vec<_> = transcript.steps.iter().map(|step| step.line).collect();
        assert_eq!(lines, [4, 6, 7, 8, 11]);
        assert_eq!(transcript.steps[0].action, send("GET k"));
        assert_eq!(transcript.steps[2].action, Action::Blocked(1));
        let reply = &transcript.steps[3].reply;
        assert_eq!(reply[0].text, "*<int>");
        assert!(reply[0].pattern && !reply[1].pattern);
        assert_eq!(reply[1].text, "  $1 q");
        assert_eq!(transcript.steps[4].action, Action::Close("b".into()));
    }

    #[test]
    fn a_prompt_names_flags_and_a_connection_in_any_order() {
        let expected = Action::Send {
            connection: "b2".into(),
            text: " x\\r\\n".into(),
            raw: true,
            read: false,
            sorted: false,
            until: false,
            events: false,
        };
        assert_eq!(parse_prompt("b2 raw>>  x\\r\\n"), Some(expected));
        let expected = Action::Read {
            connection: "c".into(),
            sorted: true,
        };
        assert_eq!(parse_prompt("sorted c<"), Some(expected));
        let connection = "c".to_owned();
        assert_eq!(parse_prompt("c any<"), Some(Action::ReadAny { connection }));
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_with_its_number() {
        for (source, number) in [
            ("  +OK", "1:"),
            ("> PING", "1:"),
            ("> PING\n  +PONG\n\n  +PONG", "4:"),
            (">> PING\n  +PONG", "2:"),
            ("b c> PING\n  +PONG", "1:"),
            ("\n@nosuch 1", "2:"),
            ("@blocked many", "1:"),
            ("B> PING\n  +PONG", "1:"),
            (">PING\n  +PONG", "1:"),
            ("< PING\n  +PONG", "1:"),
            ("any> PING\n  +PONG", "1:"),
            ("events< PING\n  +PONG", "1:"),
            ("events>> PING\n  +PONG", "1:"),
            ("until events> PING\n  +PONG", "1:"),
            ("> PING\n  +PONG\n@config a b", "3:"),
            ("> PING\n +PONG", "2:"),
        ] {
            let error = parse(source).expect_err(source);
            assert!(error.starts_with(number), "{source:?}: {error}");
        }
    }

    #[test]
    fn words_are_split_quoted_escaped_and_expanded() {
        let variables = Variables::from([("id".to_owned(), "42".to_owned())]);
        let encode = |text: &str| {
            let bytes = encode_request(text, &variables)?;
            Ok::<_, String>(String::from_utf8_lossy(&bytes).replace("\r\n", "|"))
        };
        assert_eq!(encode("GET  k ").unwrap(), "*2|$3|GET|$1|k|");
        assert_eq!(encode("\"\" \"a b\"").unwrap(), "*2|$0||$3|a b|");
        assert_eq!(encode("\\x41\\\\ \"\\\"\"").unwrap(), "*2|$2|A\\|$1|\"|");
        assert_eq!(encode("ID {id}x {x*3}").unwrap(), "*3|$2|ID|$3|42x|$3|xxx|");
        assert_eq!(encode("a\"b {} {A}").unwrap(), "*3|$3|a\"b|$2|{}|$3|{A}|");
        assert!(encode("\"open").is_err());
        assert!(encode("\\q").is_err());
        assert!(encode("\\x4").is_err());
        assert!(encode("{unknown}").is_err());
    }

    #[test]
    fn raw_text_is_sent_as_it_is_but_for_escapes() {
        let bytes = decode_raw("*1\\r\\n \"x\\xff {a*2}", &Variables::new()).unwrap();
        assert_eq!(bytes, b"*1\r\n \"x\xff aa");
    }

    #[test]
    fn placeholders_match_their_class_and_capture() {
        let mut variables = Variables::from([("a".to_owned(), "7".to_owned())]);
        let mut matches = |pattern: &str, got: &str| pattern_matches(pattern, got, &mut variables);
        assert!(matches(":<int>", ":-12"));
        assert!(!matches(":<int>", ":"));
        assert!(!matches(":<int>", ":1.5"));
        assert!(matches(":<99..100>", ":99"));
        assert!(!matches(":<99..100>", ":98"));
        assert!(!matches(":<99..100>", ":1000"));
        assert!(matches("$<int> id={a} <any> x=<any>", "$9 id=7 x=1 x="));
        assert!(!matches("id={a}", "id=8"));
        assert!(matches("<word> <hex>", "a.b 0af"));
        assert!(!matches("<word>", "a b"));
        assert!(matches("<float>", "-1.25"));
        assert!(matches("1 < 2 <any>", "1 < 2 "));
        assert!(matches("id=<int:b> <any>", "id=31 y"));
        assert_eq!(variables["b"], "31");
    }

    #[test]
    fn a_reply_matches_line_by_line_or_up_to_dots() {
        let parsed = |lines: &[&str]| -> Vec<ReplyLine> {
            let lines = lines.iter().map(|line| parse_reply_line(line));
            lines.map(|line| line.unwrap()).collect()
        };
        let got = ["*2".to_owned(), "  :1".to_owned(), "  :2".to_owned()];
        let matches = |want: &[&str]| reply_matches(&parsed(want), &got, &mut Variables::new());
        assert!(matches(&["  *2", "    :1", "    :2"]));
        assert!(matches(&["  *2", "~   :<int>", "!   :2"]));
        assert!(matches(&["~ *2", "~ ..."]));
        assert!(!matches(&["  *2", "    :1"]));
        assert!(!matches(&["  *2", "    :1", "    :3"]));
        assert!(!matches(&["  *2", "  ..."]));
        assert!(matches(&["  *2", "    :1", "    :2", "~ ..."]));
    }
}
