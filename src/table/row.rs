//! The command table: one row declares a command, and everything that asks
//! about commands (the checks, COMMAND, help, access categories) reads rows.
//!
//! # How to add a command
//!
//! 1. Find its family, a file in `command`; a new family is one more file, with
//!    a line in `command/mod.rs`.
//! 2. Add its row to `COMMANDS` there: copy a row like it, and take flags and
//!    keys from [`vocabulary`](super::vocabulary). What Redis says of it stands
//!    in `command/redis.tsv`, which a test compares; `usage` is written in the
//!    notation of [`usage`](super::usage).
//! 3. Write the handler below, at the same place among its neighbours. The kind
//!    of [`Handler`] says what it may touch; prefer `Data`.
//! 4. Tests stand at the end of the file; a conversation with a real server
//!    goes into `tests/transcripts`, and is recorded.
//!
//! There is nothing else to tell about a command: what must be known of one is
//! a column here. The manual's list of commands is compared by a test.

use std::collections::HashMap;
use std::time::Duration;

use super::args::Args;
use super::context::Context;
use super::flags::{Acl, Flags, Group};
use super::keys::{Channels, Elements, FirstKeys, KeySpec};
use super::secrets::IsSecret;
use crate::db::Db;
use crate::engine::{Attempt, Awaited, State, Turn};
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};

/// What a command may touch, told by the type of its handler.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Data alone. It may run in a transaction, in a script and on replay.
    Data(fn(&mut Db<'_>, Args<'_>, &mut Reply<'_>) -> Result<()>),
    /// Data, and it may ask to wait for keys to change instead of replying.
    Blocking(Attempt),
    /// The client that sent it and the server around it.
    Session(fn(&mut Context<'_>, Args<'_>, &mut Reply<'_>) -> Result<()>),
    /// The same, and it may have the client wait for an answer that comes later.
    Later(fn(&mut Context<'_>, Args<'_>, &mut Reply<'_>) -> Result<Option<Begin>>),
    /// The same as for a session, and the table: it tells about commands, or runs some.
    Table(fn(&mut Context<'_>, &'static Table, Args<'_>, &mut Reply<'_>) -> Result<()>),
    /// Nothing by itself: the row has subcommands.
    Container,
    /// Nothing ever, which is why. The row is [`Flags::PROTECTED`].
    Forbidden(fn() -> Error),
}

/// Begins what a client waits for, which ends with [`Turn::answer`]. It has the
/// keyspace.
pub type Begin = Box<dyn FnOnce(&mut Turn<'_>, Awaited)>;

/// A row of the command table. The columns are those of Redis's COMMAND.
#[derive(Clone, Copy)]
pub struct Row {
    /// Lower case; of a subcommand only its own word.
    pub name: &'static str,
    /// Number of arguments with the name counted; negative: at least so many.
    pub arity: i32,
    /// What must be known of it before it runs.
    pub flags: Flags,
    /// Access categories beyond those that follow from flags and group.
    pub acl: Acl,
    /// Where the keys are among the arguments, and what becomes of them. A
    /// blocking command waits for those of the first specification.
    pub keys: &'static [KeySpec],
    /// Which arguments are looked up in the collection under the first key.
    pub elements: Elements,
    /// Which arguments are channels.
    pub channels: Channels,
    /// Hints for proxies and clients, as COMMAND INFO lists them.
    pub tips: &'static [&'static str],
    /// The family in the documentation.
    pub group: Group,
    /// The arguments after the name, in the notation of [`usage`](super::usage).
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
    /// Which words of a request MONITOR and the slow log cover.
    pub secrets: Option<IsSecret>,
    /// What a request does beyond what the flags say, if that is for the
    /// script to say that it runs.
    pub effects: Option<fn(&State, Argv<'_>) -> Flags>,
    /// Rows of the subcommands.
    pub subcommands: &'static [Row],
    /// What runs.
    pub handler: Handler,
}

impl Row {
    /// The columns that most rows leave alone.
    pub const BASE: Row = Row::of(Group::Generic);

    /// The same for a group.
    pub const fn of(group: Group) -> Row {
        Row {
            name: "",
            arity: 0,
            flags: Flags::empty(),
            acl: Acl::empty(),
            keys: &[],
            elements: Elements::NONE,
            channels: Channels::None,
            tips: &[],
            group,
            usage: "",
            since: "",
            complexity: "O(1)",
            summary: "",
            history: &[],
            deprecated: None,
            secrets: None,
            effects: None,
            subcommands: &[],
            handler: Handler::Container,
        }
    }

    /// Whether a request of `argc` words, the name counted, has a fitting length.
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            argc >= wanted
        } else {
            argc == wanted
        }
    }

    /// The access categories: those of the row, and those that follow from its
    /// flags and its group.
    pub fn categories(&self) -> Acl {
        let flags = self.flags;
        // What a script reads is its own affair, says Redis.
        let reads = flags.contains(Flags::READONLY) && self.group != Group::Scripting;
        let fast = flags.contains(Flags::FAST);
        let admin = Acl::ADMIN.union(Acl::DANGEROUS);
        let implied = [
            (flags.contains(Flags::WRITE), Acl::WRITE),
            (reads, Acl::READ),
            (flags.contains(Flags::ADMIN), admin),
            (flags.contains(Flags::PUBSUB), Acl::PUBSUB),
            (flags.contains(Flags::BLOCKING), Acl::BLOCKING),
            (fast, Acl::FAST),
            (!fast, Acl::SLOW),
        ];
        let implied = implied.iter().filter(|(follows, _)| *follows);
        let acl = implied.fold(self.acl, |acl, (_, category)| acl | *category);
        // A container by itself does nothing that a category could permit, and
        // SORT is of the kinds of values that it sorts instead.
        const SORTED: Acl = Acl::LIST.union(Acl::SET).union(Acl::SORTEDSET);
        match self.handler {
            Handler::Container => acl,
            _ if self.acl.contains(SORTED) => acl,
            // WAIT is about no key, wherever it is documented.
            _ if self.acl.contains(Acl::CONNECTION) => acl,
            _ => acl | self.group.category(),
        }
    }

    /// Whether it takes about the same time, whatever its arguments and the
    /// data, if these are few and small.
    fn is_constant_time(&self) -> bool {
        let says_so = self.flags.contains(Flags::FAST) || self.complexity.starts_with("O(1)");
        says_so && !matches!(self.handler, Handler::Blocking(_))
    }
}

/// A command as the table knows it: its row and what follows from its place.
pub struct Command {
    /// The place in the table, for per-command counters.
    pub id: usize,
    /// `get`, `config|get`.
    pub full_name: String,
    /// The row.
    pub row: Row,
    /// The keys that are told by their place alone; enough to fetch them early.
    pub first_keys: FirstKeys,
    /// It takes about the same time, whatever its arguments and the data, if
    /// these are few and small.
    pub constant_time: bool,
    /// Ids of the subcommands.
    subcommands: Vec<usize>,
    /// The id of the command it is a subcommand of.
    pub parent: Option<usize>,
}

/// What a command has done.
pub enum Outcome {
    /// It has replied, with an error perhaps.
    Replied,
    /// The client waits, for so long, or for ever. The reply comes later.
    Blocked(Option<Duration>),
}

impl Command {
    /// Whether a request that begins with `name` is for this command, as far
    /// as the name alone tells: where there are subcommands, it does not.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.parent.is_none()
            && self.subcommands.is_empty()
            && name.eq_ignore_ascii_case(self.row.name.as_bytes())
    }

    /// Whether it has subcommands.
    pub fn has_subcommands(&self) -> bool {
        !self.subcommands.is_empty()
    }

    /// How many words of a request name it.
    pub fn name_words(&self) -> usize {
        1 + usize::from(self.parent.is_some())
    }

    fn new(id: usize, full_name: String, row: &Row, parent: Option<usize>) -> Command {
        Command {
            id,
            full_name,
            row: *row,
            first_keys: FirstKeys::of(row.keys),
            constant_time: row.is_constant_time(),
            subcommands: Vec::new(),
            parent,
        }
    }
}

/// All commands, with their subcommands behind each.
pub struct Table {
    commands: Vec<Command>,
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::FixedState>,
}

/// The longest name that a command can have; a longer word is not looked up.
const NAME_MAX: usize = 32;

impl Table {
    /// The table of these families.
    pub fn new(families: &[&[Row]]) -> Table {
        let mut table = Table {
            commands: Vec::new(),
            by_name: HashMap::default(),
        };
        for row in families.iter().copied().flatten() {
            let id = table.add(row.name.to_owned(), row, None);
            for sub in row.subcommands {
                let sub_id = table.add(format!("{}|{}", row.name, sub.name), sub, Some(id));
                table.commands[id].subcommands.push(sub_id);
            }
        }
        table
    }

    fn add(&mut self, full_name: String, row: &Row, parent: Option<usize>) -> usize {
        let id = self.commands.len();
        self.by_name.insert(full_name.as_bytes().into(), id);
        let command = Command::new(id, full_name, row, parent);
        self.commands.push(command);
        id
    }

    /// All commands and subcommands, by id.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The commands that are not subcommands.
    pub fn top_level(&self) -> impl Iterator<Item = &Command> {
        self.commands
            .iter()
            .filter(|command| command.parent.is_none())
    }

    /// The subcommands of a command.
    pub fn subcommands<'t>(
        &'t self,
        of: &'t Command,
    ) -> impl ExactSizeIterator<Item = &'t Command> {
        of.subcommands.iter().map(|&id| &self.commands[id])
    }

    /// The command of this name in any case; `config|get` names a subcommand.
    pub fn find(&self, name: &[u8]) -> Option<&Command> {
        let mut lower = [0; NAME_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).map(|&id| &self.commands[id])
    }

    /// The command that a request is for: a row, or the row of its subcommand.
    ///
    /// # Errors
    ///
    /// There is none of that name, or no such subcommand.
    pub fn lookup(&self, argv: Argv<'_>) -> Result<&Command> {
        let name = argv.get(0).unwrap_or_default();
        // `config|get` names a subcommand where one word is expected, not in a
        // request.
        let command = self
            .find(name)
            .filter(|command| command.parent.is_none())
            .ok_or_else(|| Error::unknown_command(name, argv.iter().skip(1)))?;
        match argv.get(1) {
            Some(word) if command.has_subcommands() => self
                .subcommands(command)
                .find(|sub| sub.row.name.as_bytes().eq_ignore_ascii_case(word))
                .ok_or_else(|| Error::unknown_subcommand(&command.full_name, word)),
            _ => Ok(command),
        }
    }
}
