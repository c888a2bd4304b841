//! One line of MONITOR, taken apart: who ran which command, and what it means for channels and
//! queues.

use std::str;

use super::contents::Channel;

/// A command that somebody ran.
#[derive(Debug, PartialEq)]
pub struct Monitored {
    /// In seconds since 1970.
    pub at: f64,
    pub database: u32,
    /// The client's address, or `lua` for a command of a script.
    pub client: String,
    pub arguments: Vec<Vec<u8>>,
}

/// What a command does that is counted.
#[derive(Debug, PartialEq)]
pub enum Deed<'a> {
    Publish(Channel),
    /// So many items to a list.
    Push(&'a [u8], u64),
    /// It may wait for what comes into one of these keys.
    Wait(Kind, Vec<&'a [u8]>),
    Other,
}

/// What clients wait for something in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    List,
    Stream,
}

impl Kind {
    /// What a client that is blocked in a command waits for.
    pub fn of(command: &str) -> Option<Kind> {
        match command {
            "blpop" | "brpop" | "brpoplpush" | "blmove" | "blmpop" => Some(Kind::List),
            "xread" | "xreadgroup" => Some(Kind::Stream),
            _ => None,
        }
    }
}

impl Monitored {
    /// As in `1339518083.107412 [0 127.0.0.1:60866] "set" "key" "a \"quoted\" value\x00"`.
    pub fn parse(line: &[u8]) -> Option<Monitored> {
        let place = line.iter().position(|&byte| byte == b'[')?;
        let end = place + line[place..].windows(2).position(|pair| pair == b"] ")?;
        let at = str::from_utf8(&line[..place]).ok()?.trim().parse().ok()?;
        let (database, client) = str::from_utf8(&line[place + 1..end])
            .ok()?
            .split_once(' ')?;
        Some(Monitored {
            at,
            database: database.parse().ok()?,
            client: client.to_owned(),
            arguments: unquote(&line[end + 2..]),
        })
    }

    pub fn deed(&self) -> Deed<'_> {
        let arguments: Vec<&[u8]> = self.arguments.iter().map(Vec::as_slice).collect();
        let [name, rest @ ..] = &arguments[..] else {
            return Deed::Other;
        };
        match (&*name.to_ascii_lowercase(), rest) {
            (b"publish", [channel, ..]) => Deed::Publish(Channel::plain(channel)),
            (b"spublish", [channel, ..]) => Deed::Publish(Channel::of_shard(channel)),
            (b"lpush" | b"rpush" | b"lpushx" | b"rpushx", [key, items @ ..]) => {
                Deed::Push(key, items.len() as u64)
            }
            // What moves is pushed to the second list. To the first, its length tells.
            (b"rpoplpush" | b"lmove", [_, to, ..]) => Deed::Push(to, 1),
            (b"blpop" | b"brpop", [keys @ .., _timeout]) => Deed::Wait(Kind::List, keys.to_vec()),
            (b"brpoplpush" | b"blmove", [from, ..]) => Deed::Wait(Kind::List, vec![from]),
            (b"blmpop", [_timeout, count, keys @ ..]) => {
                let count = number(count).min(keys.len());
                Deed::Wait(Kind::List, keys[..count].to_vec())
            }
            (b"xread", rest) => streams(rest),
            (b"xreadgroup", [_group, _name, _consumer, rest @ ..]) => streams(rest),
            _ => Deed::Other,
        }
    }
}

/// As in `[BLOCK milliseconds] STREAMS key [key ...] id [id ...]`.
fn streams<'a>(arguments: &[&'a [u8]]) -> Deed<'a> {
    let find = |word: &[u8]| {
        let mut arguments = arguments.iter();
        arguments.position(|argument| argument.eq_ignore_ascii_case(word))
    };
    match (find(b"block"), find(b"streams")) {
        (Some(block), Some(streams)) if block < streams => {
            let keys = &arguments[streams + 1..];
            Deed::Wait(Kind::Stream, keys[..keys.len() / 2].to_vec())
        }
        _ => Deed::Other,
    }
}

fn number(text: &[u8]) -> usize {
    let text = str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Words in double quotes, in which a backslash escapes.
fn unquote(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[start + 1..];
        let mut word = Vec::new();
        loop {
            rest = match rest {
                [] => break,
                [b'"', after @ ..] => {
                    rest = after;
                    break;
                }
                [b'\\', b'x', high, low, after @ ..] => {
                    let digits = [*high, *low];
                    let digits = str::from_utf8(&digits).ok();
                    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    word.extend(byte);
                    after
                }
                [b'\\', escaped, after @ ..] => {
                    word.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'a' => 7,
                        b'b' => 8,
                        other => *other,
                    });
                    after
                }
                [byte, after @ ..] => {
                    word.push(*byte);
                    after
                }
            };
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(command: &str) -> Monitored {
        let line = format!("1795363977.290230 [3 127.0.0.1:37584] {command}");
        Monitored::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn a_line_is_taken_apart() {
        let command = parsed(r#""lpush" "q] 1" "a\"b\\n" "c\x01\xff\r\n\t\a\b" """#);
        assert_eq!(command.at, 1_795_363_977.290_23);
        assert_eq!((command.database, &*command.client), (3, "127.0.0.1:37584"));
        let expected: [&[u8]; 5] = [
            b"lpush",
            b"q] 1",
            b"a\"b\\n",
            b"c\x01\xff\r\n\t\x07\x08",
            b"",
        ];
        assert_eq!(command.arguments, expected);
        let lua = Monitored::parse(b"1.5 [0 lua] \"get\" \"a\"").unwrap();
        assert_eq!(lua.client, "lua");
        let odd: [&[u8]; 5] = [b"", b"OK", b"1 [0 lua]", b"[] ", b"x [0 lua] \"a\""];
        for odd in odd {
            assert_eq!(Monitored::parse(odd), None, "{odd:?}");
        }
        // Whatever the server sends, nothing panics.
        for odd in [r#""a\"#, r#""\x"#, r#""\x1" "b"#] {
            parsed(odd);
        }
    }

    #[test]
    fn commands_are_told_by_what_they_do() {
        let wait = |kind, keys: &[&'static str]| {
            Deed::Wait(kind, keys.iter().map(|key| key.as_bytes()).collect())
        };
        let keys = |keys| wait(Kind::List, keys);
        let streams = |keys| wait(Kind::Stream, keys);
        let deeds = [
            (
                r#""PUBLISH" "news" "x""#,
                Deed::Publish(Channel::plain(b"news")),
            ),
            (
                r#""spublish" "news" "x""#,
                Deed::Publish(Channel::of_shard(b"news")),
            ),
            (r#""rpush" "q" "a" "b""#, Deed::Push(b"q", 2)),
            (r#""lmove" "a" "b" "left" "right""#, Deed::Push(b"b", 1)),
            (r#""blpop" "a" "b" "0""#, keys(&["a", "b"])),
            (r#""blmove" "a" "b" "left" "right" "0""#, keys(&["a"])),
            (r#""blmpop" "0" "2" "a" "b" "left""#, keys(&["a", "b"])),
            (r#""blmpop" "0" "99" "a""#, keys(&["a"])),
            (r#""xread" "block" "0" "streams" "s" "$""#, streams(&["s"])),
            (
                r#""XREADGROUP" "GROUP" "streams" "c" "BLOCK" "0" "STREAMS" "s" "t" ">" ">""#,
                streams(&["s", "t"]),
            ),
            (r#""xread" "streams" "block" "0""#, Deed::Other),
            (r#""xread" "block" "0" "streams""#, streams(&[])),
            (r#""blpop""#, Deed::Other),
            (r#""get" "a""#, Deed::Other),
        ];
        for (command, deed) in deeds {
            assert_eq!(parsed(command).deed(), deed, "{command}");
        }
    }
}
