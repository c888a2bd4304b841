//! Where a command's keys are among its arguments, and what becomes of them:
//! how a row declares it, and how the keys of a request are found by that.

use std::iter::StepBy;
use std::ops::Range;

use bitflags::bitflags;

use crate::error::{Error, Result};
use crate::resp::Argv;
use crate::text::number;

bitflags! {
    /// What a command does to the keys of one specification.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct KeyFlags: u32 {
        const RO = 1 << 0;
        const RW = 1 << 1;
        const OW = 1 << 2;
        const RM = 1 << 3;
        const ACCESS = 1 << 4;
        const UPDATE = 1 << 5;
        const INSERT = 1 << 6;
        const DELETE = 1 << 7;
        const NOT_KEY = 1 << 8;
        const INCOMPLETE = 1 << 9;
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy)]
pub struct KeySpec {
    /// A remark that COMMAND INFO shows, or nothing.
    pub notes: &'static str,
    /// What becomes of the keys.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// How the keys follow from there.
    pub find: Find,
    /// Tells from the request what becomes of the keys in it, where that
    /// depends on the other arguments; `flags` say the most that can.
    pub flags_in: Option<fn(Argv<'_>) -> KeyFlags>,
}

/// Where the search for keys begins.
#[derive(Clone, Copy)]
pub enum Begin {
    /// At this argument; the name of the command is argument 0.
    Index(usize),
    /// After this word, which is looked for from an argument (negative: from the end).
    Keyword(&'static str, i32),
    /// No rule tells it. The function finds the one key that there is, if it is
    /// among the arguments.
    Unknown(fn(Argv<'_>) -> Option<usize>),
}

/// How the keys follow from where the search begins.
#[derive(Clone, Copy)]
pub enum Find {
    /// Up to `last` (counted from the begin; negative: from the end of all
    /// arguments), each `step`; `limit` above 1 divides what is left.
    Range {
        /// Last key, relative to the first.
        last: i32,
        /// Distance between keys.
        step: i32,
        /// 0 or 1: none.
        limit: i32,
    },
    /// An argument holds the number of keys. All are relative to the begin.
    Keynum {
        /// Which argument holds the number.
        keynum: i32,
        /// The first key.
        first: i32,
        /// Distance between keys.
        step: i32,
    },
    /// No rule tells it: there is one at the most.
    Unknown,
}

/// One key, which is the first argument.
pub const fn key(flags: KeyFlags) -> KeySpec {
    KeySpec {
        notes: "",
        flags,
        begin: Begin::Index(1),
        find: range(0, 1),
        flags_in: None,
    }
}

const fn range(last: i32, step: i32) -> Find {
    Find::Range {
        last,
        step,
        limit: 0,
    }
}

impl KeySpec {
    /// The first key is this argument.
    pub const fn at(self, index: usize) -> KeySpec {
        KeySpec {
            begin: Begin::Index(index),
            ..self
        }
    }

    /// The first key is behind this word, looked for from argument `from` on.
    pub const fn after(self, word: &'static str, from: i32) -> KeySpec {
        KeySpec {
            begin: Begin::Keyword(word, from),
            ..self
        }
    }

    /// All arguments from the first key on are keys.
    pub const fn all(self) -> KeySpec {
        KeySpec {
            find: range(-1, 1),
            ..self
        }
    }

    /// All but the last argument are keys.
    pub const fn but_last(self) -> KeySpec {
        KeySpec {
            find: range(-2, 1),
            ..self
        }
    }

    /// The first half of the arguments from the first key on are keys.
    pub const fn halves(self) -> KeySpec {
        KeySpec {
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            },
            ..self
        }
    }

    /// Every other argument is a key.
    pub const fn pairs(self) -> KeySpec {
        KeySpec {
            find: range(-1, 2),
            ..self
        }
    }

    /// The first key and the argument behind it are keys.
    pub const fn two(self) -> KeySpec {
        KeySpec {
            find: range(1, 1),
            ..self
        }
    }

    /// No rule tells where the key is: `find` looks for it.
    pub const fn unknown(self, find: fn(Argv<'_>) -> Option<usize>) -> KeySpec {
        KeySpec {
            begin: Begin::Unknown(find),
            find: Find::Unknown,
            ..self
        }
    }

    /// The number of keys is where the first key would be, and the keys follow.
    pub const fn counted(self) -> KeySpec {
        KeySpec {
            find: Find::Keynum {
                keynum: 0,
                first: 1,
                step: 1,
            },
            ..self
        }
    }

    /// What becomes of the key depends on the other arguments, as `flags_in`
    /// tells; the flags say the most that can.
    pub const fn varying(self, flags_in: fn(Argv<'_>) -> KeyFlags) -> KeySpec {
        KeySpec {
            flags: self.flags.union(KeyFlags::VARIABLE_FLAGS),
            flags_in: Some(flags_in),
            ..self
        }
    }

    /// A remark that COMMAND INFO shows.
    pub const fn noted(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}

/// Places of keys among the words of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    first: usize,
    /// Behind the last one.
    end: usize,
    step: usize,
}

impl Places {
    const NONE: Places = Places {
        first: 0,
        end: 0,
        step: 1,
    };

    /// The places in order.
    pub fn iter(self) -> StepBy<Range<usize>> {
        (self.first..self.end).step_by(self.step)
    }
}

impl KeySpec {
    /// Whether it tells shard channels, which a cluster places as it places keys.
    pub fn is_of_channels(&self) -> bool {
        self.flags.contains(KeyFlags::NOT_KEY)
    }

    /// Where its keys are in a request, whose first word is the command's name.
    ///
    /// # Errors
    ///
    /// The words contradict each other, as when a request announces more keys
    /// than it has; the command itself refuses it, too.
    pub fn places(&self, argv: Argv<'_>) -> Result<Places> {
        let places = match self.begin(argv) {
            Some(begin) => self.range(begin, argv)?,
            None => Places::NONE,
        };
        if places.end > argv.len() {
            return Err(Error::INVALID_ARGUMENTS);
        }
        Ok(places)
    }

    /// Where the keys begin, if they are there.
    fn begin(&self, argv: Argv<'_>) -> Option<usize> {
        let (keyword, from) = match self.begin {
            Begin::Index(index) => return Some(index),
            Begin::Keyword(keyword, from) => (keyword.as_bytes(), from),
            Begin::Unknown(find) => return find(argv),
        };
        let is_keyword = |index: &usize| {
            let word = argv.get(*index);
            word.is_some_and(|word| word.eq_ignore_ascii_case(keyword))
        };
        let found = match usize::try_from(from) {
            Ok(from) => (from..argv.len()).find(is_keyword),
            // Backwards from the end, down to the first argument.
            Err(_) => {
                let end = (argv.len() + 1).saturating_sub(from.unsigned_abs() as usize);
                (1..end).rev().find(is_keyword)
            }
        };
        // A word with nothing behind it names no key.
        found.map(|index| index + 1).filter(|at| *at < argv.len())
    }

    fn range(&self, begin: usize, argv: Argv<'_>) -> Result<Places> {
        let (begin, len) = (begin as i64, argv.len() as i64);
        let (first, last, step) = match self.find {
            Find::Range { last, step, .. } if last >= 0 => (begin, begin + i64::from(last), step),
            Find::Range { last, step, limit } if limit > 1 => {
                // Redis divides what is left, as for `STREAMS key… id…`.
                let last = begin + (len - begin) / i64::from(limit) + i64::from(last);
                (begin, last, step)
            }
            Find::Range { last, step, .. } => (begin, len + i64::from(last), step),
            Find::Unknown => (begin, begin, 1),
            Find::Keynum {
                keynum,
                first,
                step,
            } => {
                let count = usize::try_from(begin + i64::from(keynum)).ok();
                let count = count.and_then(|index| argv.get(index));
                let count = count.and_then(|text| {
                    // The command itself will refuse it, but its keys are found.
                    let lax = || Some(number::leading(text)).filter(|count| *count > 0);
                    number::parse_i64(text).or_else(lax)
                });
                let count = count.filter(|count| (0..=len).contains(count));
                let count = count.ok_or(Error::INVALID_ARGUMENTS)?;
                let first = begin + i64::from(first);
                (first, first + (count - 1) * i64::from(step), step)
            }
        };
        if last < first {
            return Ok(Places::NONE);
        }
        let index = |value: i64| usize::try_from(value).map_err(|_| Error::INVALID_ARGUMENTS);
        Ok(Places {
            first: index(first)?,
            end: index(last)? + 1,
            step: index(i64::from(step))?.max(1),
        })
    }
}

/// The keys of a request, whose first word is the command's name: the place of
/// each, and what becomes of the key.
///
/// # Errors
///
/// As for [`KeySpec::places`].
pub fn keys_of(specs: &[KeySpec], argv: Argv<'_>) -> Result<Vec<(usize, KeyFlags)>> {
    let mut keys = Vec::new();
    for spec in specs.iter().filter(|spec| !spec.is_of_channels()) {
        let flags = spec.flags_in.map_or(spec.flags, |flags_in| flags_in(argv));
        let places = spec.places(argv)?;
        // A request that announces no keys is refused, whatever else it names.
        if matches!(spec.find, Find::Keynum { .. }) && places == Places::NONE {
            return Ok(Vec::new());
        }
        keys.extend(places.iter().map(|place| (place, flags)));
    }
    Ok(keys)
}

/// Where a command names elements of the collection under its first key: the
/// members that it looks for, or the fields. Memory fetches them early, so that
/// nothing is wrong if these are other words at times.
#[derive(Clone, Copy, Debug)]
pub struct Elements {
    /// The first one; 0 if there is none.
    first: usize,
    step: usize,
}

impl Elements {
    /// It names none.
    pub const NONE: Elements = Elements { first: 0, step: 1 };

    /// All arguments from this one on, each `step`.
    pub const fn from(first: usize, step: usize) -> Elements {
        Elements { first, step }
    }

    /// The places of the elements in a request of `argc` words.
    pub fn places(self, argc: usize) -> impl Iterator<Item = usize> {
        let end = if self.first == 0 { 0 } else { argc };
        (self.first..end).step_by(self.step)
    }
}

/// Where a command names channels, or patterns of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// Nowhere.
    None,
    /// The first argument is one.
    First,
    /// All arguments are.
    All,
}

impl Channels {
    /// The channels in a request, whose first word is the command's name.
    pub fn of(self, argv: Argv<'_>) -> impl Iterator<Item = &[u8]> {
        let count = match self {
            Channels::None => 0,
            Channels::First => 1,
            Channels::All => argv.len(),
        };
        argv.iter().skip(1).take(count)
    }
}

/// Those keys of a request that are told by their place alone, so that they
/// can be found while it is being planned.
#[derive(Clone, Copy, Default, Debug)]
pub struct FirstKeys {
    /// The first one; 0 if there is none.
    first: usize,
    /// The last one; negative: from the end.
    last: i32,
    step: usize,
}

impl FirstKeys {
    pub fn of(specs: &[KeySpec]) -> FirstKeys {
        match specs.first() {
            Some(&KeySpec {
                flags,
                begin: Begin::Index(first),
                find: Find::Range { last, step, .. },
                ..
            }) if !flags.contains(KeyFlags::NOT_KEY) => FirstKeys {
                first,
                last: if last < 0 { last } else { first as i32 + last },
                step: step.max(1) as usize,
            },
            _ => FirstKeys::default(),
        }
    }

    /// The places of the keys in a request of `argc` words.
    pub fn places(self, argc: usize) -> impl Iterator<Item = usize> {
        let argc = argc as i32;
        let end = match self.last {
            last @ ..0 => argc + last + 1,
            last => argc.min(last + 1),
        };
        let end = if self.first == 0 { 0 } else { end };
        let mut next = self.first as i32;
        std::iter::from_fn(move || {
            let place = next;
            next += self.step as i32;
            (place < end).then_some(place as usize)
        })
    }
}
