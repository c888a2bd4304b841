//! COMMAND and HELP: what the command table tells about itself.
//!
//! Every answer is derived from the rows; nothing here knows a command, but
//! for two remarks that no column holds. Shapes are those of Redis 7.2 in
//! both protocols. The texts of HELP and the summaries of COMMAND DOCS are
//! our own.

use super::spec::{ANYTIME, MODIFY_KEY, OVERWRITE_KEY};
use super::usage::{self, Argument};
use super::{
    Acl, Args, Argv, Begin, Command, Entry, Find, Flags, Group, Handler, KeyFlags, KeySpec, TABLE,
};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::server::Context;
use crate::{glob, number};

const SERVER: Command = Command {
    group: Group::Server,
    ..Command::BASE
};

/// The HELP of a container. The container's row adds its group and version.
pub const HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: ANYTIME,
    summary: "Lists the subcommands.",
    handler: Handler::Session(help),
    ..SERVER
};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command {
        name: "command", arity: -1, flags: ANYTIME, acl: Acl::CONNECTION,
        tips: &["nondeterministic_output_order"],
        since: "2.8.13", complexity: "O(N) where N is the total number of Redis commands",
        summary: "Describes every command: arity, flags, keys and access categories.",
        handler: Handler::Session(command),
        subcommands: &[
            Command {
                name: "count", arity: 2, flags: ANYTIME, acl: Acl::CONNECTION, since: "2.8.13",
                summary: "The number of commands.", handler: Handler::Session(command_count),
                ..SERVER
            },
            Command {
                name: "docs", arity: -2, flags: ANYTIME, acl: Acl::CONNECTION,
                usage: "[command-name...]", tips: &["nondeterministic_output_order"],
                since: "7.0.0", complexity: "O(N) where N is the number of commands to look up",
                summary: "Documentation of commands, made for command lines and completion.",
                handler: Handler::Session(command_docs),
                ..SERVER
            },
            Command {
                name: "info", arity: -2, flags: ANYTIME, acl: Acl::CONNECTION,
                usage: "[command-name...]", tips: &["nondeterministic_output_order"],
                since: "2.8.13", complexity: "O(N) where N is the number of commands to look up",
                history: &[
                    ("7.0.0", "Allowed to be called with no argument to get info on all commands."),
                ],
                summary: "Describes the commands that are named.",
                handler: Handler::Session(command_info),
                ..SERVER
            },
            Command {
                name: "list", arity: -2, flags: ANYTIME, acl: Acl::CONNECTION,
                usage: "[FILTERBY filterby(MODULE module-name | ACLCAT category | \
                    PATTERN pattern:pattern)]",
                tips: &["nondeterministic_output_order"],
                since: "7.0.0", complexity: "O(N) where N is the total number of Redis commands",
                summary: "The names of commands, all or those that pass a filter.",
                handler: Handler::Session(command_list),
                ..SERVER
            },
            Command {
                name: "getkeys", arity: -3, flags: ANYTIME, acl: Acl::CONNECTION,
                usage: "command [arg...]", since: "2.8.13",
                complexity: "O(N) where N is the number of arguments to the command",
                summary: "Picks the keys out of a whole command line.",
                handler: Handler::Session(command_getkeys),
                ..SERVER
            },
            Command {
                name: "getkeysandflags", arity: -3, flags: ANYTIME, acl: Acl::CONNECTION,
                usage: "command [arg...]", since: "7.0.0",
                complexity: "O(N) where N is the number of arguments to the command",
                summary: "Picks the keys out of a whole command line and tells what becomes of \
                    each.",
                handler: Handler::Session(command_getkeysandflags),
                ..SERVER
            },
            Command { acl: Acl::CONNECTION, since: "5.0.0", ..HELP },
        ],
        ..SERVER
    },
];

fn command(_ctx: &mut Context<'_>, _args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    write_all_info(reply);
    Ok(())
}

fn command_count(_ctx: &mut Context<'_>, _args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.len(TABLE.top_level().count());
    Ok(())
}

fn command_docs(_ctx: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.remaining() == 0 {
        write_named_docs(reply, TABLE.top_level());
    } else {
        // A name that nobody has is passed over.
        write_named_docs(reply, args.rest().filter_map(|name| TABLE.find(name)));
    }
    Ok(())
}

fn command_info(_ctx: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.remaining() == 0 {
        write_all_info(reply);
        return Ok(());
    }
    reply.array(args.remaining());
    for name in args.rest() {
        match TABLE.find(name) {
            Some(entry) => write_info(reply, entry),
            None => reply.null(),
        }
    }
    Ok(())
}

fn command_list(_ctx: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let filter = Filter::parse(args)?;
    let names: Vec<_> = TABLE
        .entries
        .iter()
        .filter(|entry| filter.passes(entry))
        .map(|entry| &entry.full_name)
        .collect();
    reply.bulks(names.into_iter());
    Ok(())
}

fn command_getkeys(_ctx: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let keys = keys_of_request(args.argv(), WORDS_BEFORE_REQUEST)?;
    reply.bulks(keys.iter().map(|(key, _)| key));
    Ok(())
}

fn command_getkeysandflags(
    _ctx: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let keys = keys_of_request(args.argv(), WORDS_BEFORE_REQUEST)?;
    reply.array(keys.len());
    for (key, flags) in keys {
        reply.array(2);
        reply.bulk(key);
        write_names(reply, KEY_FLAG_NAMES, |flag| flags.contains(flag));
    }
    Ok(())
}

/// HELP of any container: the request's first word says which.
pub fn help(_ctx: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let container = args
        .argv()
        .get(0)
        .and_then(|name| TABLE.find(name))
        .ok_or(Error::SYNTAX)?;
    let lines = help_lines(container);
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    Ok(())
}

/// The access categories of a command: those of its row, and those that
/// follow from its flags and its group.
pub fn categories(command: &Command) -> Acl {
    let flags = command.flags;
    // What a script reads is its own affair, says Redis.
    let reads = flags.contains(Flags::READONLY) && !command.acl.contains(Acl::SCRIPTING);
    let fast = flags.contains(Flags::FAST);
    let implied = [
        (flags.contains(Flags::WRITE), Acl::WRITE),
        (reads, Acl::READ),
        (
            flags.contains(Flags::ADMIN),
            Acl::ADMIN.union(Acl::DANGEROUS),
        ),
        (flags.contains(Flags::PUBSUB), Acl::PUBSUB),
        (flags.contains(Flags::BLOCKING), Acl::BLOCKING),
        (fast, Acl::FAST),
        (!fast, Acl::SLOW),
    ];
    let implied = implied.iter().filter(|(follows, _)| *follows);
    let acl = implied.fold(command.acl, |acl, (_, category)| acl | *category);
    // A container by itself does nothing that a category could permit.
    if matches!(command.handler, Handler::Container) {
        acl
    } else {
        acl | category(command.group)
    }
}

fn category(group: Group) -> Acl {
    match group {
        Group::Generic => Acl::KEYSPACE,
        Group::String => Acl::STRING,
        Group::List => Acl::LIST,
        Group::Transactions => Acl::TRANSACTION,
        Group::Connection => Acl::CONNECTION,
        // Their commands are told apart by flags, or by their rows.
        Group::Pubsub | Group::Server => Acl::empty(),
    }
}

/// The keys of the request that begins behind the first `skip` words: the
/// index of each, counted from there, and what becomes of the key. Shard
/// channels are not keys.
///
/// It answers an error if the words contradict each other, as when a request
/// announces more keys than it has; the command itself will refuse it too.
fn keys_behind(entry: &Entry, argv: Argv<'_>, skip: usize) -> Result<Vec<(usize, KeyFlags)>> {
    let request = Request { argv, skip };
    let mut keys = Vec::new();
    for spec in entry
        .command
        .keys
        .iter()
        .filter(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
    {
        let Some(begin) = request.begin(spec)? else {
            continue;
        };
        let (first, last, step) = request.range(begin, spec.find)?;
        if first > last {
            continue;
        }
        if last >= request.len() {
            return Err(invalid_arguments());
        }
        let flags = request.flags(entry, spec);
        keys.extend((first..=last).step_by(step).map(|index| (index, flags)));
    }
    Ok(keys)
}

fn invalid_arguments() -> Error {
    Error::new("ERR Invalid arguments specified for command")
}

/// A request inside another one.
#[derive(Clone, Copy)]
struct Request<'a> {
    argv: Argv<'a>,
    skip: usize,
}

impl<'a> Request<'a> {
    fn len(self) -> usize {
        self.argv.len().saturating_sub(self.skip)
    }

    fn word(self, index: usize) -> Option<&'a [u8]> {
        self.argv.get(index.checked_add(self.skip)?)
    }

    /// Where the keys of `spec` begin, if they are there.
    fn begin(self, spec: &KeySpec) -> Result<Option<usize>> {
        match spec.begin {
            Begin::Index(index) => Ok(Some(index)),
            Begin::Keyword(keyword, from) => {
                let is_keyword = |&index: &usize| {
                    self.word(index)
                        .is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()))
                };
                let found = match usize::try_from(from) {
                    Ok(from) => (from..self.len()).find(is_keyword),
                    // Backwards from the end, down to the first argument.
                    Err(_) => {
                        let end = (self.len() + 1).saturating_sub(from.unsigned_abs() as usize);
                        (1..end).rev().find(is_keyword)
                    }
                };
                Ok(found.map(|index| index + 1))
            }
        }
    }

    /// The first and the last key, and the distance between keys; the first
    /// is behind the last if there is none.
    fn range(self, begin: usize, find: Find) -> Result<(usize, usize, usize)> {
        let end = self.len() as i64;
        let (first, last, step) = match find {
            Find::Range { last, step, .. } if last >= 0 => {
                (begin as i64, begin as i64 + i64::from(last), step)
            }
            Find::Range { last, step, limit } if limit > 1 => {
                // Redis divides what is left, as for `STREAMS key… id…`.
                let first = begin as i64;
                (
                    first,
                    first + (end - first) / i64::from(limit) + i64::from(last),
                    step,
                )
            }
            Find::Range { last, step, .. } => (begin as i64, end + i64::from(last), step),
            Find::Keynum {
                keynum,
                first,
                step,
            } => {
                let count = usize::try_from(begin as i64 + i64::from(keynum)).ok();
                let count = count
                    .and_then(|index| self.word(index))
                    .and_then(number::parse_i64);
                let count = count
                    .filter(|&count| (0..=end).contains(&count))
                    .ok_or_else(invalid_arguments)?;
                let first = begin as i64 + i64::from(first);
                (first, first + (count - 1) * i64::from(step), step)
            }
        };
        if last < first {
            return Ok((1, 0, 1));
        }
        let index = |value: i64| usize::try_from(value).map_err(|_| invalid_arguments());
        Ok((index(first)?, index(last)?, index(i64::from(step))?.max(1)))
    }

    /// What becomes of the keys of `spec` in this request.
    fn flags(self, entry: &Entry, spec: &KeySpec) -> KeyFlags {
        if !spec.flags.contains(KeyFlags::VARIABLE_FLAGS) {
            return spec.flags;
        }
        match entry.full_name.as_str() {
            "set" => {
                let gets = (3..self.len()).any(|index| {
                    self.word(index)
                        .is_some_and(|word| word.eq_ignore_ascii_case(b"get"))
                });
                if gets {
                    MODIFY_KEY.flags
                } else {
                    OVERWRITE_KEY.flags
                }
            }
            _ => spec.flags,
        }
    }
}

/// `COMMAND GETKEYS` stands before the request that it is asked about.
const WORDS_BEFORE_REQUEST: usize = 2;

/// The keys of the request behind the first `skip` words of another.
fn keys_of_request(argv: Argv<'_>, skip: usize) -> Result<Vec<(&[u8], KeyFlags)>> {
    let entry =
        entry_of_request(argv, skip).ok_or_else(|| Error::new("ERR Invalid command specified"))?;
    let row = &entry.command;
    if row
        .keys
        .iter()
        .all(|spec| spec.flags.contains(KeyFlags::NOT_KEY))
    {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !row.accepts(argv.len() - skip) {
        return Err(Error::new(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let keys = match keys_behind(entry, argv, skip) {
        Ok(keys) if !keys.is_empty() => keys,
        _ if row.flags.contains(Flags::NO_MANDATORY_KEYS) => Vec::new(),
        Ok(_) => return Err(invalid_arguments()),
        Err(error) => return Err(error),
    };
    Ok(keys
        .into_iter()
        .filter_map(|(index, flags)| Some((argv.get(skip + index)?, flags)))
        .collect())
}

/// The command, or the subcommand, that the request behind `skip` words names.
fn entry_of_request(argv: Argv<'_>, skip: usize) -> Option<&'static Entry> {
    let name = argv.get(skip)?;
    // `config|get` names a subcommand where one word is expected, not in a request.
    let entry = TABLE.find(name).filter(|entry| entry.parent.is_none())?;
    match argv.get(skip + 1) {
        Some(word) if !entry.subcommands.is_empty() => TABLE.find_subcommand(entry, word),
        _ => Some(entry),
    }
}

/// Which names COMMAND LIST answers.
enum Filter<'a> {
    All,
    /// Nothing comes from a module.
    Module,
    Category(Acl),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(mut args: Args<'a>) -> Result<Filter<'a>> {
        if args.remaining() == 0 {
            return Ok(Filter::All);
        }
        if args.remaining() != 3 || !args.keyword("filterby") {
            return Err(Error::SYNTAX);
        }
        if args.keyword("module") {
            return Ok(Filter::Module);
        }
        if args.keyword("aclcat") {
            return Ok(Filter::Category(category_named(args.next()?)));
        }
        if args.keyword("pattern") {
            return Ok(Filter::Pattern(args.next()?));
        }
        Err(Error::SYNTAX)
    }

    fn passes(&self, entry: &Entry) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(category) => categories(&entry.command).intersects(*category),
            Filter::Pattern(pattern) => glob::matches(pattern, entry.full_name.as_bytes(), true),
        }
    }
}

/// The category of this name in any case, or none.
fn category_named(name: &[u8]) -> Acl {
    Acl::all()
        .iter_names()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
        .map_or(Acl::empty(), |(_, category)| category)
}

fn write_all_info(reply: &mut Reply<'_>) {
    reply.array(TABLE.top_level().count());
    for entry in TABLE.top_level() {
        write_info(reply, entry);
    }
}

/// One command as COMMAND INFO answers it.
fn write_info(reply: &mut Reply<'_>, entry: &Entry) {
    let row = &entry.command;
    let plain = PlainKeys::of(row.keys);
    let flags = if plain.movable {
        row.flags | Flags::MOVABLEKEYS
    } else {
        row.flags
    };
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.int(i64::from(row.arity));
    write_names(reply, FLAG_NAMES, |flag| flags.contains(flag));
    reply.int(plain.first);
    reply.int(plain.last);
    reply.int(plain.step);
    let categories = categories(row);
    reply.set(categories.iter().count());
    for (name, _) in categories.iter_names() {
        reply.simple(&format!("@{}", name.to_ascii_lowercase()));
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
    if entry.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(entry.subcommands.len());
    }
    for sub in subcommands(entry) {
        write_info(reply, sub);
    }
}

fn subcommands(entry: &Entry) -> impl Iterator<Item = &'static Entry> {
    entry.subcommands.iter().map(|&id| &TABLE.entries[id])
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

/// The keys as commands declared them before there were specifications.
struct PlainKeys {
    first: i64,
    last: i64,
    step: i64,
    /// Whether this does not tell all keys.
    movable: bool,
}

impl PlainKeys {
    /// As Redis derives them: specifications that follow one another are
    /// joined, and any that does not fit makes the keys movable.
    fn of(specs: &[KeySpec]) -> PlainKeys {
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

fn write_named_docs(reply: &mut Reply<'_>, entries: impl Iterator<Item = &'static Entry>) {
    let entries: Vec<_> = entries.collect();
    reply.map(entries.len());
    for entry in entries {
        reply.bulk(entry.full_name.as_bytes());
        write_docs(reply, entry);
    }
}

/// One command as COMMAND DOCS answers it.
fn write_docs(reply: &mut Reply<'_>, entry: &Entry) {
    let row = &entry.command;
    let arguments = arguments(row);
    let system = SYSTEM_COMMANDS.contains(&entry.full_name.as_str());
    let deprecated = row.deprecated.is_some();
    let optional = [
        !row.complexity.is_empty(),
        deprecated || system,
        deprecated, // since when
        deprecated, // replaced by what
        !row.history.is_empty(),
        !arguments.is_empty(),
        !entry.subcommands.is_empty(),
    ];
    reply.map(3 + optional.iter().filter(|&&there| there).count());
    write_text(reply, "summary", row.summary);
    write_text(reply, "since", row.since);
    write_text(reply, "group", group_name(row.group));
    if !row.complexity.is_empty() {
        write_text(reply, "complexity", row.complexity);
    }
    if deprecated || system {
        reply.bulk(b"doc_flags");
        write_names(
            reply,
            &[(deprecated, "deprecated"), (system, "syscmd")],
            |there| there,
        );
    }
    if let Some((since, replacement)) = row.deprecated {
        write_text(reply, "deprecated_since", since);
        write_text(reply, "replaced_by", replacement);
    }
    if !row.history.is_empty() {
        reply.bulk(b"history");
        reply.set(row.history.len());
        for (since, change) in row.history {
            reply.array(2);
            reply.bulk(since.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments);
    }
    if !entry.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        write_named_docs(reply, subcommands(entry));
    }
}

fn arguments(row: &Command) -> Vec<Argument> {
    usage::parse(row.usage, row.keys.len()).expect("a test parses the usage of every row")
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let inner = argument.kind.arguments();
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flagged = flags.iter().any(|(there, _)| *there);
        let optional = [
            argument.key_spec.is_some(),
            argument.token.is_some(),
            argument.since.is_some(),
            argument.deprecated.is_some(),
            flagged,
        ];
        // Name and type, and either a text to show or the arguments inside.
        reply.map(3 + optional.iter().filter(|&&there| there).count());
        write_text(reply, "name", &argument.name);
        write_text(reply, "type", argument.kind.name());
        if inner.is_none() {
            write_text(reply, "display_text", &argument.display);
        }
        if let Some(index) = argument.key_spec {
            reply.bulk(b"key_spec_index");
            reply.len(index);
        }
        for (name, value) in [
            ("token", argument.token),
            ("since", argument.since),
            ("deprecated_since", argument.deprecated),
        ] {
            if let Some(value) = value {
                write_text(reply, name, value);
            }
        }
        if flagged {
            reply.bulk(b"flags");
            write_names(reply, &flags, |there| there);
        }
        if let Some(inner) = inner {
            reply.bulk(b"arguments");
            write_arguments(reply, inner);
        }
    }
}

/// The lines of a container's HELP, in the shape of Redis: the syntax of each
/// subcommand, and under it what it is for.
fn help_lines(container: &Entry) -> Vec<String> {
    let name = container.full_name.to_ascii_uppercase();
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    if !matches!(container.command.handler, Handler::Container) {
        lines.push("(no subcommand)".to_owned());
        lines.push(format!("    {}", container.command.summary));
    }
    for row in subcommands(container).map(|entry| &entry.command) {
        if row.name == HELP.name {
            continue;
        }
        let syntax = format!(
            "{} {}",
            row.name.to_ascii_uppercase(),
            usage::render(&arguments(row))
        );
        lines.push(syntax.trim_end().to_owned());
        lines.push(format!("    {}", row.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Print this help.".to_owned());
    lines
}

fn write_text(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// A set of the names of the flags that are there.
fn write_names<F: Copy>(reply: &mut Reply<'_>, names: &[(F, &str)], is_there: impl Fn(F) -> bool) {
    let there = || names.iter().filter(|(flag, _)| is_there(*flag));
    reply.set(there().count());
    for (_, name) in there() {
        reply.simple(name);
    }
}

/// The flags that COMMAND shows, in its order. `may_replicate` it hides.
const FLAG_NAMES: &[(Flags, &str)] = &[
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

const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
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

/// Commands that COMMAND DOCS marks as not meant for applications.
const SYSTEM_COMMANDS: &[&str] = &["debug"];

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Generic => "generic",
        Group::String => "string",
        Group::List => "list",
        Group::Pubsub => "pubsub",
        Group::Transactions => "transactions",
        Group::Connection => "connection",
        Group::Server => "server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Output, Protocol};
    use std::collections::HashMap;
    use std::fmt::Write as _;

    /// What Redis answers; a later line for a command replaces an earlier one.
    const RECORDED: &str = include_str!("redis.tsv");

    fn entry(name: &str) -> &'static Entry {
        TABLE
            .find(name.as_bytes())
            .unwrap_or_else(|| panic!("{name} is not in the table"))
    }

    /// What `write` writes, with `~` for each line end.
    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut output = Output::default();
        write(&mut Reply::new(&mut output, protocol));
        String::from_utf8_lossy(&output.into_vec()).replace("\r\n", "~")
    }

    /// Words of one request, in one buffer.
    struct Words(Vec<u8>, Vec<std::ops::Range<u32>>);

    impl Words {
        fn of(line: &str) -> Words {
            let mut words = Words(line.as_bytes().to_vec(), Vec::new());
            let mut start = 0;
            for word in line.split(' ') {
                words.1.push(start..start + word.len() as u32);
                start += word.len() as u32 + 1;
            }
            words
        }

        fn argv(&self) -> Argv<'_> {
            Argv::new(&self.0, &self.1)
        }
    }

    /// `a:RW,access b:RO`, or the text of the error.
    fn keys(line: &str) -> String {
        let words = Words::of(line);
        match keys_of_request(words.argv(), 0) {
            Err(error) => error.to_string(),
            Ok(keys) => {
                let shown = keys.iter().map(|(key, flags)| {
                    let names = KEY_FLAG_NAMES
                        .iter()
                        .filter(|(flag, _)| flags.contains(*flag));
                    let names: Vec<_> = names.map(|(_, name)| *name).collect();
                    format!("{}:{}", String::from_utf8_lossy(key), names.join(","))
                });
                shown.collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn listed(line: &str) -> Result<Vec<&'static str>> {
        let words = Words::of(line);
        let filter = Filter::parse(Args::new(words.argv(), 2))?;
        let entries = TABLE.entries.iter().filter(|entry| filter.passes(entry));
        Ok(entries.map(|entry| entry.full_name.as_str()).collect())
    }

    /// The columns of a line of the recording, but for the arguments.
    fn columns(entry: &Entry) -> String {
        let row = &entry.command;
        let plain = PlainKeys::of(row.keys);
        let flags = if plain.movable {
            row.flags | Flags::MOVABLEKEYS
        } else {
            row.flags
        };
        let flags: Vec<_> = FLAG_NAMES
            .iter()
            .filter(|(flag, _)| flags.contains(*flag))
            .map(|(_, name)| *name)
            .collect();
        let acl: Vec<_> = categories(row)
            .iter_names()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        let specs: Vec<_> = row.keys.iter().map(shown_spec).collect();
        let history: Vec<_> = row.history.iter().map(|(since, _)| *since).collect();
        let deprecated = row
            .deprecated
            .map(|(since, instead)| format!("{since} {instead}"));
        [
            entry.full_name.clone(),
            row.arity.to_string(),
            flags.join(" "),
            format!("{} {} {}", plain.first, plain.last, plain.step),
            acl.join(" "),
            row.tips.join(" "),
            specs.join(", "),
            group_name(row.group).to_owned(),
            row.since.to_owned(),
            deprecated.unwrap_or_default(),
            history.join(" "),
        ]
        .join("\t")
    }

    fn shown_spec(spec: &KeySpec) -> String {
        let flags = KEY_FLAG_NAMES
            .iter()
            .filter(|(flag, _)| spec.flags.contains(*flag));
        let mut shown = flags.map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
        match spec.begin {
            Begin::Index(index) => write!(shown, " @{index}"),
            Begin::Keyword(keyword, from) => write!(shown, " {keyword}@{from}"),
        }
        .unwrap();
        match spec.find {
            Find::Range { last, step, limit } => write!(shown, " {last}/{step}/{limit}"),
            Find::Keynum {
                keynum,
                first,
                step,
            } => write!(shown, " {keynum}#{first}/{step}"),
        }
        .unwrap();
        if !spec.notes.is_empty() {
            write!(shown, " ({})", spec.notes).unwrap();
        }
        shown
    }

    #[test]
    fn rows_say_what_redis_says() {
        let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
        let recorded: HashMap<_, _> = lines
            .map(|line| (line.split('\t').next().unwrap_or_default(), line))
            .collect();
        let mut differences = String::new();
        for entry in &TABLE.entries {
            let name = entry.full_name.as_str();
            let (expected, usage) = recorded
                .get(name)
                .and_then(|line| line.rsplit_once('\t'))
                .unwrap_or_else(|| panic!("redis.tsv has no {name}"));
            let ours = columns(entry);
            if ours != expected {
                writeln!(differences, "redis {expected}\nrespd {ours}").unwrap();
            }
            let specs = entry.command.keys.len();
            let (redis, respd) = (
                usage::parse(usage, specs),
                usage::parse(entry.command.usage, specs),
            );
            if redis != respd || respd.is_err() {
                writeln!(differences, "{name}\nredis {redis:#?}\nrespd {respd:#?}").unwrap();
            }
        }
        assert!(differences.is_empty(), "{differences}");
    }

    #[test]
    fn names_are_lower_case_and_unique_and_texts_are_there() {
        let mut seen = std::collections::HashSet::new();
        for entry in &TABLE.entries {
            let (name, row) = (&entry.full_name, &entry.command);
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(*name, name.to_lowercase());
            assert!(
                row.summary.ends_with('.') && !row.since.is_empty(),
                "{name}"
            );
        }
    }

    // The expectations of the following tests were recorded from a server.

    #[test]
    fn info_of_a_command() {
        assert_eq!(
            written(Protocol::Resp2, |reply| write_info(reply, entry("get"))),
            "*10~$3~get~:2~*2~+readonly~+fast~:1~:1~:1~*3~+@read~+@string~+@fast~*0~*1~*6~$5~flags~*2~+RO~\
             +access~$12~begin_search~*4~$4~type~$5~index~$4~spec~*2~$5~index~:1~$9~find_keys~*4~$4~type~\
             $5~range~$4~spec~*6~$7~lastkey~:0~$7~keystep~:1~$5~limit~:0~*0~"
        );
        assert_eq!(
            written(Protocol::Resp3, |reply| write_info(reply, entry("get"))),
            "*10~$3~get~:2~~2~+readonly~+fast~:1~:1~:1~~3~+@read~+@string~+@fast~~0~~1~%3~$5~flags~~2~+RO~\
             +access~$12~begin_search~%2~$4~type~$5~index~$4~spec~%1~$5~index~:1~$9~find_keys~%2~$4~type~\
             $5~range~$4~spec~%3~$7~lastkey~:0~$7~keystep~:1~$5~limit~:0~~0~"
        );
    }

    #[test]
    fn info_of_a_container_nests_its_subcommands() {
        let info = written(Protocol::Resp3, |reply| write_info(reply, entry("object")));
        let start = "*10~$6~object~:-2~~0~:0~:0~:0~~1~+@slow~~0~~0~*5~*10~$15~object|encoding~:3~~1~+readonly~:2~:2~:1~";
        assert_eq!(info.get(..start.len()), Some(start));
        let end =
            "*10~$11~object|help~:2~~2~+loading~+stale~:0~:0~:0~~2~+@keyspace~+@slow~~0~~0~~0~";
        assert!(info.ends_with(end), "{info}");
    }

    #[test]
    fn docs_leave_out_what_is_empty() {
        let texts = |name| {
            let command = &entry(name).command;
            format!("$7~summary~${}~{}~", command.summary.len(), command.summary)
        };
        assert_eq!(
            written(Protocol::Resp3, |reply| write_docs(reply, entry("debug"))),
            format!(
                "%5~{}$5~since~$5~1.0.0~$5~group~$6~server~$10~complexity~$22~Depends on subcommand.~\
                 $9~doc_flags~~1~+syscmd~",
                texts("debug")
            )
        );
        assert_eq!(
            written(Protocol::Resp2, |reply| write_docs(reply, entry("getset"))),
            format!(
                "*16~{}$5~since~$5~1.0.0~$5~group~$6~string~$10~complexity~$4~O(1)~$9~doc_flags~*1~+deprecated~\
                 $16~deprecated_since~$5~6.2.0~$11~replaced_by~$30~`SET` with the `!GET` argument~$9~arguments~\
                 *2~*8~$4~name~$3~key~$4~type~$3~key~$12~display_text~$3~key~$14~key_spec_index~:0~\
                 *6~$4~name~$5~value~$4~type~$6~string~$12~display_text~$5~value~",
                texts("getset")
            )
        );
    }

    #[test]
    fn docs_of_nested_arguments() {
        let docs = written(Protocol::Resp3, |reply| write_docs(reply, entry("getex")));
        let (_, arguments) = docs.split_once("$9~arguments~").unwrap();
        let start = "*2~%4~$4~name~$3~key~$4~type~$3~key~$12~display_text~$3~key~$14~key_spec_index~:0~\
                     %4~$4~name~$10~expiration~$4~type~$5~oneof~$5~flags~~1~+optional~$9~arguments~\
                     *5~%4~$4~name~$7~seconds~$4~type~$7~integer~$12~display_text~$7~seconds~$5~token~$2~EX~";
        assert_eq!(arguments.get(..start.len()), Some(start));
    }

    #[test]
    fn keys_are_found_in_requests() {
        for (request, expected) in [
            ("get a", "a:RO,access"),
            ("blpop a b 0", "a:RW,access,delete b:RW,access,delete"),
            ("mset a b c d", "a:OW,update c:OW,update"),
            ("mset a b c", "a:OW,update c:OW,update"),
            ("set a b", "a:OW,update"),
            ("set a b GET", "a:RW,access,update"),
            ("lcs a b", "a:RO,access b:RO,access"),
            ("lmove a b left right", "a:RW,access,delete b:RW,insert"),
            ("memory usage k", "k:RO"),
            (
                "lmpop 3 a b LEFT",
                "a:RW,access,delete b:RW,access,delete LEFT:RW,access,delete",
            ),
            (
                "lmpop 4 a b LEFT",
                "ERR Invalid arguments specified for command",
            ),
            (
                "lmpop 0 a LEFT",
                "ERR Invalid arguments specified for command",
            ),
            (
                "lmpop -1 a LEFT",
                "ERR Invalid arguments specified for command",
            ),
            (
                "lmpop x a LEFT",
                "ERR Invalid arguments specified for command",
            ),
            (
                "blmpop 0 9223372036854775807 a LEFT",
                "ERR Invalid arguments specified for command",
            ),
            ("ping x", "ERR The command has no key arguments"),
            ("spublish a b", "ERR The command has no key arguments"),
            ("client list", "ERR The command has no key arguments"),
            (
                "get a b",
                "ERR Invalid number of arguments specified for command",
            ),
            (
                "object encoding",
                "ERR Invalid number of arguments specified for command",
            ),
            ("foo a", "ERR Invalid command specified"),
            ("memory foo k", "ERR Invalid command specified"),
            ("memory|usage k", "ERR Invalid command specified"),
        ] {
            assert_eq!(keys(request), expected, "{request}");
        }
    }

    /// Specifications that only later families use.
    #[test]
    fn keys_behind_a_word_or_before_their_match() {
        let find = |spec: KeySpec, line: &str| -> Vec<usize> {
            let row = Command {
                keys: Vec::leak(vec![spec]),
                ..Command::BASE
            };
            let entry = Entry::new(0, "x".into(), &row, None);
            let words = Words::of(line);
            let keys = keys_behind(&entry, words.argv(), 0).unwrap();
            keys.into_iter().map(|(index, _)| index).collect()
        };
        assert_eq!(find(MODIFY_KEY.after("STORE", 2), "x a b store c"), [4]);
        assert_eq!(find(MODIFY_KEY.after("STORE", 2), "x a b c"), [0; 0]);
        assert_eq!(find(MODIFY_KEY.after("KEYS", -2), "x keys keys k1 k2"), [3]);
        let halves = KeySpec {
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            },
            ..MODIFY_KEY.after("STREAMS", 1)
        };
        assert_eq!(find(halves, "x COUNT 1 streams a b 0 0"), [4, 5]);
    }

    #[test]
    fn names_are_listed_by_filter() {
        let all = listed("command list").unwrap();
        assert_eq!(all.len(), TABLE.entries.len());
        assert_eq!(
            listed("command list filterby pattern COMMAND|GETKEYS*").unwrap(),
            ["command|getkeys", "command|getkeysandflags"]
        );
        assert!(
            listed("command list filterby aclcat LIST")
                .unwrap()
                .contains(&"blpop")
        );
        for empty in ["filterby aclcat nope", "filterby module x"] {
            assert_eq!(
                listed(&format!("command list {empty}")).unwrap(),
                [""; 0],
                "{empty}"
            );
        }
        for wrong in ["filterby", "filterby foo x", "x", "filterby pattern a b"] {
            assert_eq!(
                listed(&format!("command list {wrong}")).unwrap_err(),
                Error::SYNTAX,
                "{wrong}"
            );
        }
    }

    #[test]
    fn help_lists_each_subcommand_with_its_syntax() {
        let lines = help_lines(entry("slowlog"));
        assert_eq!(
            lines[0],
            "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        );
        assert_eq!(lines[1], "GET [count]");
        assert_eq!(
            lines[2],
            format!("    {}", entry("slowlog|get").command.summary)
        );
        assert_eq!(lines[lines.len() - 2..], ["HELP", "    Print this help."]);
        assert_eq!(help_lines(entry("command"))[1], "(no subcommand)");
    }
}
