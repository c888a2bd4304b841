//! What something in a broker for tests is limited to: commands, keys,
//! channels, clients. It knows names and numbers, and asks nobody for them.

use std::fmt;

use crate::text::glob;
use crate::text::words::quote;

/// What a fault is limited to, or is wanted of a record. All that is named must fit; what is not named
/// fits always.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Scope {
    /// A command, with all its subcommands, or a subcommand.
    pub command: Option<Named>,
    /// A pattern that one of the keys fits.
    pub key: Option<Vec<u8>>,
    /// A pattern that one of the channels fits.
    pub channel: Option<Vec<u8>>,
    /// A pattern of what CLIENT SETNAME has called the client.
    pub name: Option<Vec<u8>>,
    /// The client's number.
    pub id: Option<u64>,
    /// The client's user.
    pub user: Option<Vec<u8>>,
    /// A pattern of what CLIENT SETINFO says of the client's library.
    pub library: Option<Vec<u8>>,
    /// The database that the client has selected.
    pub db: Option<usize>,
}

/// A command, by its number and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its id.
    pub id: usize,
    /// `get`, `config|get`.
    pub name: String,
}

/// A client, as far as a scope can tell it from others.
#[derive(Clone, Debug)]
pub struct Who {
    /// Its number.
    pub id: u64,
    /// CLIENT SETNAME
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME
    pub library: Vec<u8>,
    /// Its user.
    pub user: &'static [u8],
    /// The database that it has selected.
    pub db: usize,
    /// It is a test's own: it has sent RESPD FAULT.
    pub is_tester: bool,
}

/// `client 3`, and its name if it has one.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.id)?;
        match &*self.name {
            b"" => Ok(()),
            name => write!(f, " '{}'", String::from_utf8_lossy(name)),
        }
    }
}

/// A request, as far as a scope can tell it from others.
#[derive(Debug)]
pub struct Request<'a> {
    /// The id of its command.
    pub command: usize,
    /// That of the container, of a subcommand.
    pub container: Option<usize>,
    /// Only who names the command can mean it.
    pub is_by_name: bool,
    /// Its keys.
    pub keys: Vec<&'a [u8]>,
    /// Its channels, or patterns of them.
    pub channels: Vec<&'a [u8]>,
}

fn fits(pattern: Option<&Vec<u8>>, mut words: impl Iterator<Item = impl AsRef<[u8]>>) -> bool {
    let fits = |pattern: &Vec<u8>| words.any(|word| glob::matches(pattern, word.as_ref(), false));
    pattern.is_none_or(fits)
}

impl Scope {
    /// Whether this client is meant, whatever it does.
    pub fn covers_client(&self, who: &Who) -> bool {
        self.id.is_none_or(|id| id == who.id)
            && self.db.is_none_or(|db| db == who.db)
            && self.user.as_ref().is_none_or(|user| user == who.user)
            && fits(self.name.as_ref(), [&who.name].into_iter())
            && fits(self.library.as_ref(), [&who.library].into_iter())
    }

    /// Whether this request of the client is meant.
    pub fn covers_request(&self, who: &Who, request: &Request<'_>) -> bool {
        let is_named = match &self.command {
            Some(named) => named.id == request.command || Some(named.id) == request.container,
            None => !request.is_by_name,
        };
        is_named
            && fits(self.key.as_ref(), request.keys.iter())
            && fits(self.channel.as_ref(), request.channels.iter())
            && self.covers_client(who)
    }

    /// Whether a message of this channel to the client is meant.
    pub fn covers_message(&self, who: &Who, channel: &[u8]) -> bool {
        fits(self.channel.as_ref(), [channel].into_iter()) && self.covers_client(who)
    }

    /// What is named, each word with what it names, in this order.
    pub fn words(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let number = |number: u64| number.to_string().into_bytes();
        let command = self.command.as_ref().map(|named| named.name.clone());
        let words = [
            ("COMMAND", command.map(String::into_bytes)),
            ("KEY", self.key.clone()),
            ("CHANNEL", self.channel.clone()),
            ("NAME", self.name.clone()),
            ("ID", self.id.map(number)),
            ("USER", self.user.clone()),
            ("LIBRARY", self.library.clone()),
            ("DB", self.db.map(|db| number(db as u64))),
        ];
        let words = words.into_iter();
        words.filter_map(|(word, value)| Some((word, value?)))
    }
}

/// As RESPD has it: ` COMMAND get KEY order:*`, or nothing.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, value) in self.words() {
            write!(f, " {word} {}", shown(&value))?;
        }
        Ok(())
    }
}

/// A word as one would type it.
pub fn shown(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    match !word.is_empty() && word.iter().all(is_plain) {
        true => String::from_utf8_lossy(word).into_owned(),
        false => String::from_utf8_lossy(&quote(word)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Who {
        Who {
            id: 7,
            name: b"worker-1".into(),
            library: b"redis-py".into(),
            user: b"default",
            db: 2,
            is_tester: false,
        }
    }

    #[test]
    fn all_that_is_named_must_fit() {
        let request = Request {
            command: 5,
            container: Some(4),
            is_by_name: false,
            keys: vec![b"cart:1", b"order:1"],
            channels: vec![b"news"],
        };
        let command = |id| {
            let name = "c".into();
            Some(Named { id, name })
        };
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let none = Scope::default;
        let cases = [
            (none(), true),
            (
                Scope {
                    command: command(5),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    command: command(4),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    command: command(3),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    key: text("order:*"),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    key: text("order"),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    channel: text("n?ws"),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    channel: text("old"),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    name: text("worker-*"),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    name: text("worker"),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    id: Some(7),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    id: Some(8),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    user: text("default"),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    user: text("*"),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    library: text("redis-*"),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    library: text("ioredis"),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    db: Some(2),
                    ..none()
                },
                true,
            ),
            (
                Scope {
                    db: Some(0),
                    ..none()
                },
                false,
            ),
            (
                Scope {
                    key: text("*"),
                    db: Some(0),
                    ..none()
                },
                false,
            ),
        ];
        for (scope, expected) in cases {
            assert_eq!(scope.covers_request(&who(), &request), expected, "{scope}");
        }
        let by_name = Request {
            is_by_name: true,
            ..request
        };
        assert!(!none().covers_request(&who(), &by_name));
        let named = Scope {
            command: command(4),
            ..none()
        };
        assert!(named.covers_request(&who(), &by_name));
        assert!(
            Scope {
                channel: text("o*"),
                ..none()
            }
            .covers_message(&who(), b"old")
        );
        assert!(
            !Scope {
                channel: text("n*"),
                ..none()
            }
            .covers_message(&who(), b"old")
        );
        // What has no key fits no pattern of one.
        let keyless = Request {
            keys: Vec::new(),
            is_by_name: false,
            ..by_name
        };
        assert!(
            !Scope {
                key: text("*"),
                ..none()
            }
            .covers_request(&who(), &keyless)
        );
    }
}
