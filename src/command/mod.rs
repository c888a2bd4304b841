//! The command table: one row declares a command, and everything that asks
//! about commands (dispatch, COMMAND, help, access categories) reads the rows.
//!
//! A family of commands is a file that holds its rows, its handlers and their
//! tests, in the same order. This module collects the families and looks
//! commands up by name; it runs nothing.

pub mod args;
mod blocking_list;
mod client;
mod config;
mod connection;
mod debug;
pub mod dispatch;
mod expire;
mod info;
pub mod introspect;
mod keys;
mod keyspace;
mod latency;
mod lcs;
mod list;
mod memory;
pub mod pubsub;
mod redact;
mod scan;
mod server;
mod slowlog;
mod spec;
mod string;
#[cfg(test)]
pub mod testing;
mod transaction;
pub mod usage;

use std::collections::HashMap;
use std::sync::LazyLock;

use bitflags::bitflags;

pub use args::Args;

use crate::db::Db;
use crate::engine::Attempt;
use crate::error::Result;
use crate::resp::{Argv, Reply};
use crate::server::Context;

/// What a command may touch, told by the type of its handler.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Data alone. It may run in a transaction, in a script and on replay.
    Data(fn(&mut Db<'_>, Args<'_>, &mut Reply<'_>) -> Result<()>),
    /// Data, and it may ask to wait for keys to change instead of replying.
    Blocking(Attempt),
    /// The client that sent it and the server around it.
    Session(fn(&mut Context<'_>, Args<'_>, &mut Reply<'_>) -> Result<()>),
    /// Nothing by itself: the row has subcommands.
    Container,
}

/// A row of the command table. The columns are those of Redis's COMMAND.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower case; of a subcommand only its own word.
    pub name: &'static str,
    /// Number of arguments with the name counted; negative: at least so many.
    pub arity: i32,
    /// What the dispatcher must know before it runs the command.
    pub flags: Flags,
    /// Access categories beyond those that follow from flags and group.
    pub acl: Acl,
    /// Where the keys are among the arguments, and what becomes of them.
    pub keys: &'static [KeySpec],
    /// Hints for proxies and clients, as COMMAND INFO lists them.
    pub tips: &'static [&'static str],
    /// The family in the documentation.
    pub group: Group,
    /// The arguments after the name, in the notation of [`usage`].
    pub usage: &'static str,
    /// The version of Redis that introduced it.
    pub since: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Changes since then: version and what changed.
    pub history: &'static [(&'static str, &'static str)],
    /// Since when it is deprecated, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Rows of the subcommands.
    pub subcommands: &'static [Command],
    /// What runs.
    pub handler: Handler,
}

impl Command {
    /// The columns that most rows leave alone.
    pub const BASE: Command = Command {
        name: "",
        arity: 0,
        flags: Flags::empty(),
        acl: Acl::empty(),
        keys: &[],
        tips: &[],
        group: Group::Generic,
        usage: "",
        since: "",
        complexity: "O(1)",
        summary: "",
        history: &[],
        deprecated: None,
        subcommands: &[],
        handler: Handler::Container,
    };

    /// Whether a request of `argc` words, the name counted, has a fitting length.
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            argc >= wanted
        } else {
            argc == wanted
        }
    }
}

bitflags! {
    /// The flags of a command, named as Redis documents them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        const WRITE = 1 << 0;
        const READONLY = 1 << 1;
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const SKIP_MONITOR = 1 << 9;
        const SKIP_SLOWLOG = 1 << 10;
        const ASKING = 1 << 11;
        const FAST = 1 << 12;
        const NO_AUTH = 1 << 13;
        const MAY_REPLICATE = 1 << 14;
        const NO_MULTI = 1 << 15;
        const MOVABLEKEYS = 1 << 16;
        const ALLOW_BUSY = 1 << 17;
        const NO_ASYNC_LOADING = 1 << 18;
        const NO_MANDATORY_KEYS = 1 << 19;
        /// Refused unless a setting permits it; COMMAND does not tell.
        const PROTECTED = 1 << 20;
    }

    /// Access categories, as ACL CAT names them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Acl: u32 {
        const KEYSPACE = 1 << 0;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SET = 1 << 3;
        const SORTEDSET = 1 << 4;
        const LIST = 1 << 5;
        const HASH = 1 << 6;
        const STRING = 1 << 7;
        const BITMAP = 1 << 8;
        const HYPERLOGLOG = 1 << 9;
        const GEO = 1 << 10;
        const STREAM = 1 << 11;
        const PUBSUB = 1 << 12;
        const ADMIN = 1 << 13;
        const FAST = 1 << 14;
        const SLOW = 1 << 15;
        const BLOCKING = 1 << 16;
        const DANGEROUS = 1 << 17;
        const CONNECTION = 1 << 18;
        const TRANSACTION = 1 << 19;
        const SCRIPTING = 1 << 20;
    }

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

/// The families of the documentation; COMMAND DOCS calls them groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// `generic`: keys of any type.
    Generic,
    /// `string`
    String,
    /// `list`
    List,
    /// `pubsub`
    Pubsub,
    /// `transactions`
    Transactions,
    /// `connection`
    Connection,
    /// `server`
    Server,
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
}

/// Where the search for keys begins.
#[derive(Clone, Copy)]
pub enum Begin {
    /// At this argument; the name of the command is argument 0.
    Index(usize),
    /// After this word, which is looked for from an argument (negative: from the end).
    Keyword(&'static str, i32),
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
}

/// The families, in the order in which COMMAND lists them.
const FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    expire::COMMANDS,
    introspect::COMMANDS,
    keys::COMMANDS,
    keyspace::COMMANDS,
    pubsub::COMMANDS,
    scan::COMMANDS,
    transaction::COMMANDS,
    list::COMMANDS,
    blocking_list::COMMANDS,
    string::COMMANDS,
    lcs::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    config::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    debug::COMMANDS,
];

/// A command as the table knows it: its row and what follows from its place.
pub struct Entry {
    /// The place in [`TABLE`], for per-command counters.
    pub id: usize,
    /// `get`, `config|get`.
    pub full_name: String,
    /// The row.
    pub command: Command,
    /// The keys that are told by their place alone; enough to fetch them early.
    pub first_keys: FirstKeys,
    /// It takes about the same time, whatever its arguments and the data, if
    /// these are few and small.
    pub constant_time: bool,
    /// Ids of the subcommands.
    pub subcommands: Vec<usize>,
    /// The id of the command it is a subcommand of.
    pub parent: Option<usize>,
}

impl Entry {
    /// Whether a request that begins with `name` is for this command, as far
    /// as the name alone tells: where there are subcommands, it does not.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.parent.is_none()
            && self.subcommands.is_empty()
            && name.eq_ignore_ascii_case(self.command.name.as_bytes())
    }

    fn new(id: usize, full_name: String, row: &Command, parent: Option<usize>) -> Entry {
        Entry {
            id,
            full_name,
            command: *row,
            first_keys: FirstKeys::of(row.keys),
            constant_time: !matches!(row.handler, Handler::Blocking(_))
                && (row.flags.contains(Flags::FAST) || row.complexity.starts_with("O(1)")),
            subcommands: Vec::new(),
            parent,
        }
    }
}

/// Places of keys among the words of a request.
#[derive(Clone, Copy, Default, Debug)]
pub struct FirstKeys {
    /// The first one; 0 if there is none.
    first: usize,
    /// The last one; negative: from the end.
    last: i32,
    step: usize,
}

impl FirstKeys {
    fn of(specs: &[KeySpec]) -> FirstKeys {
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

/// All commands, with their subcommands behind each.
pub struct Table {
    /// By id.
    pub entries: Vec<Entry>,
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::FixedState>,
}

/// The table, built from the families at first use.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES));

/// The longest name that a command can have; a longer word is not looked up.
const NAME_MAX: usize = 32;

impl Table {
    fn new(families: &[&[Command]]) -> Table {
        let mut table = Table {
            entries: Vec::new(),
            by_name: HashMap::default(),
        };
        for row in families.iter().copied().flatten() {
            let id = table.add(row.name.to_owned(), row, None);
            for sub in row.subcommands {
                let sub_id = table.add(format!("{}|{}", row.name, sub.name), sub, Some(id));
                table.entries[id].subcommands.push(sub_id);
            }
        }
        table
    }

    fn add(&mut self, full_name: String, row: &Command, parent: Option<usize>) -> usize {
        let id = self.entries.len();
        self.by_name.insert(full_name.as_bytes().into(), id);
        self.entries.push(Entry::new(id, full_name, row, parent));
        id
    }

    /// The command of this name in any case; `config|get` names a subcommand.
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        let mut lower = [0; NAME_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).map(|&id| &self.entries[id])
    }

    /// The subcommand of `container` of this name, in any case.
    pub fn find_subcommand(&self, container: &Entry, name: &[u8]) -> Option<&Entry> {
        let subcommands = container.subcommands.iter().map(|&id| &self.entries[id]);
        subcommands
            .into_iter()
            .find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The commands that are not subcommands.
    pub fn top_level(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.parent.is_none())
    }
}
