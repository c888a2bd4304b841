//! One command as COMMAND INFO answers it, in the shapes of Redis 7.2 in both
//! protocols.

use super::flags::Flags;
use super::keys::{Begin, Find, KeyFlags, KeySpec};
use super::row::{Command, Row, Table};
use crate::resp::Reply;

/// One command as COMMAND INFO answers it.
pub fn write_info(reply: &mut Reply<'_>, table: &Table, command: &Command) {
    let row = &command.row;
    let plain = PlainKeys::of(row.keys);
    let flags = shown_flags(row);
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.int(i64::from(row.arity));
    write_names(reply, FLAG_NAMES, |flag| flags.contains(flag));
    reply.int(plain.first);
    reply.int(plain.last);
    reply.int(plain.step);
    let categories = row.categories();
    reply.set(categories.iter().count());
    for (name, _) in categories.iter_names() {
        reply.simple(format!("@{}", name.to_ascii_lowercase()));
    }
    reply.set(row.tips.len());
    for tip in row.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(row.keys.len());
    for spec in row.keys {
        write_key_spec(reply, spec);
    }
    // Redis has an array of subcommands, but an empty set where there is none.
    let subcommands = table.subcommands(command);
    match subcommands.len() {
        0 => reply.set(0),
        len => reply.array(len),
    }
    for sub in subcommands {
        write_info(reply, table, sub);
    }
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(!spec.notes.is_empty()));
    if !spec.notes.is_empty() {
        write_text(reply, "notes", spec.notes);
    }
    reply.bulk(b"flags");
    write_names(reply, KEY_FLAG_NAMES, |flag| spec.flags.contains(flag));
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_search(reply, "index", &[("index", index as i64)]),
        Begin::Keyword(keyword, from) => {
            reply.map(2);
            write_text(reply, "type", "keyword");
            reply.bulk(b"spec");
            reply.map(2);
            write_text(reply, "keyword", keyword);
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown(_) => write_search(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => write_search(
            reply,
            "range",
            &[
                ("lastkey", last.into()),
                ("keystep", step.into()),
                ("limit", limit.into()),
            ],
        ),
        Find::Keynum {
            keynum,
            first,
            step,
        } => write_search(
            reply,
            "keynum",
            &[
                ("keynumidx", keynum.into()),
                ("firstkey", first.into()),
                ("keystep", step.into()),
            ],
        ),
        Find::Unknown => write_search(reply, "unknown", &[]),
    }
}

fn write_search(reply: &mut Reply<'_>, kind: &str, spec: &[(&str, i64)]) {
    reply.map(2);
    write_text(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(spec.len());
    for (name, value) in spec {
        reply.bulk(name.as_bytes());
        reply.int(*value);
    }
}

/// The flags of a row as COMMAND shows them.
pub fn shown_flags(row: &Row) -> Flags {
    match PlainKeys::of(row.keys).movable {
        true => row.flags | Flags::MOVABLEKEYS,
        false => row.flags,
    }
}

/// The keys as commands declared them before there were specifications.
pub struct PlainKeys {
    /// The first one, 0 if there is none.
    pub first: i64,
    /// The last one; negative: from the end.
    pub last: i64,
    /// The distance between them.
    pub step: i64,
    /// Whether this does not tell all keys.
    pub movable: bool,
}

impl PlainKeys {
    /// As Redis derives them: specifications that follow one another are
    /// joined, and any that does not fit makes the keys movable.
    pub fn of(specs: &[KeySpec]) -> PlainKeys {
        let mut plain = PlainKeys {
            first: 0,
            last: 0,
            step: 0,
            movable: false,
        };
        for spec in specs {
            let (Begin::Index(begin), Find::Range { last, step, .. }) = (spec.begin, spec.find)
            else {
                plain.movable = true;
                continue;
            };
            let begin = begin as i64;
            // A step other than 1 can only be told if it is the only one.
            let alone = specs.len() == 1;
            let follows = plain.last == 0 || plain.last == begin - 1;
            if !alone && (step != 1 || !follows) {
                plain.movable = true;
                continue;
            }
            plain.movable |= spec.flags.contains(KeyFlags::INCOMPLETE);
            if plain.first == 0 {
                plain.first = begin;
            }
            plain.last = if last < 0 {
                last.into()
            } else {
                begin + i64::from(last)
            };
            plain.step = step.into();
        }
        plain
    }
}

/// A name, and a text under it.
pub fn write_text(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// A set of the names of the flags that are there.
pub fn write_names<F: Copy>(
    reply: &mut Reply<'_>,
    names: &[(F, &str)],
    is_there: impl Fn(F) -> bool,
) {
    let there = || names.iter().filter(|(flag, _)| is_there(*flag));
    reply.set(there().count());
    for (_, name) in there() {
        reply.simple(name);
    }
}

/// The flags that COMMAND shows, in its order. `may_replicate` it hides.
pub const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLEKEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

/// What becomes of keys, in the order in which COMMAND shows it.
pub const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (KeyFlags::RO, "RO"),
    (KeyFlags::RW, "RW"),
    (KeyFlags::OW, "OW"),
    (KeyFlags::RM, "RM"),
    (KeyFlags::ACCESS, "access"),
    (KeyFlags::UPDATE, "update"),
    (KeyFlags::INSERT, "insert"),
    (KeyFlags::DELETE, "delete"),
    (KeyFlags::NOT_KEY, "not_key"),
    (KeyFlags::INCOMPLETE, "incomplete"),
    (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
];
