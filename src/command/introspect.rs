//! COMMAND: what the command table tells about itself.
//!
//! Every answer is derived from the rows; nothing here knows a command.

use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::docs::write_named_docs;
use crate::table::info::{KEY_FLAG_NAMES, write_info, write_names};
use crate::table::keys::{self, KeyFlags, KeySpec};
use crate::table::vocabulary::{ANYTIME, SERVER};
use crate::table::{Acl, Args, Command, Context, Flags, HELP, Handler, Row, Table};
use crate::text::glob;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "command", arity: -1, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
        tips: &["nondeterministic_output_order"],
        since: "2.8.13", complexity: "O(N) where N is the total number of Redis commands",
        summary: "Describes every command: arity, flags, keys and access categories.",
        handler: Handler::Table(command),
        subcommands: &[
            Row {
                name: "count", arity: 2, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION, since: "2.8.13",
                summary: "The number of commands.", handler: Handler::Table(command_count),
                ..SERVER
            },
            Row {
                name: "docs", arity: -2, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
                usage: "[command-name...]", tips: &["nondeterministic_output_order"],
                since: "7.0.0", complexity: "O(N) where N is the number of commands to look up",
                summary: "Documentation of commands, made for command lines and completion.",
                handler: Handler::Table(command_docs),
                ..SERVER
            },
            Row {
                name: "info", arity: -2, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
                usage: "[command-name...]", tips: &["nondeterministic_output_order"],
                since: "2.8.13", complexity: "O(N) where N is the number of commands to look up",
                history: &[
                    ("7.0.0", "Allowed to be called with no argument to get info on all commands."),
                ],
                summary: "Describes the commands that are named.",
                handler: Handler::Table(command_info),
                ..SERVER
            },
            Row {
                name: "list", arity: -2, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
                usage: "[FILTERBY filterby(MODULE module-name | ACLCAT category | \
                    PATTERN pattern:pattern)]",
                tips: &["nondeterministic_output_order"],
                since: "7.0.0", complexity: "O(N) where N is the total number of Redis commands",
                summary: "The names of commands, all or those that pass a filter.",
                handler: Handler::Table(command_list),
                ..SERVER
            },
            Row {
                name: "getkeys", arity: -3, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
                usage: "command [arg...]", since: "2.8.13",
                complexity: "O(N) where N is the number of arguments to the command",
                summary: "Picks the keys out of a whole command line.",
                handler: Handler::Table(command_getkeys),
                ..SERVER
            },
            Row {
                name: "getkeysandflags", arity: -3, flags: ANYTIME.union(Flags::NO_DATA), acl: Acl::CONNECTION,
                usage: "command [arg...]", since: "7.0.0",
                complexity: "O(N) where N is the number of arguments to the command",
                summary: "Picks the keys out of a whole command line and tells what becomes of \
                    each.",
                handler: Handler::Table(command_getkeysandflags),
                ..SERVER
            },
            Row { acl: Acl::CONNECTION, since: "5.0.0", ..HELP },
        ],
        ..SERVER
    },
];

fn command(
    _: &mut Context<'_>,
    table: &'static Table,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    write_all_info(table, reply);
    Ok(())
}

fn command_count(
    _: &mut Context<'_>,
    table: &'static Table,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    reply.len(table.top_level().count());
    Ok(())
}

fn command_docs(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() == 0 {
        write_named_docs(reply, table, table.top_level());
    } else {
        // A name that nobody has is passed over.
        let named = args.rest().filter_map(|name| table.find(name));
        write_named_docs(reply, table, named);
    }
    Ok(())
}

fn command_info(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() == 0 {
        write_all_info(table, reply);
        return Ok(());
    }
    reply.array(args.remaining());
    for name in args.rest() {
        match table.find(name) {
            Some(command) => write_info(reply, table, command),
            None => reply.null(),
        }
    }
    Ok(())
}

fn write_all_info(table: &Table, reply: &mut Reply<'_>) {
    reply.array(table.top_level().count());
    for command in table.top_level() {
        write_info(reply, table, command);
    }
}

fn command_list(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let names = listed(table, args)?;
    reply.bulks(names.into_iter());
    Ok(())
}

fn listed<'t>(table: &'t Table, args: Args<'_>) -> Result<Vec<&'t str>> {
    let filter = Filter::parse(args)?;
    let passing = table
        .commands()
        .iter()
        .filter(|command| filter.passes(command));
    Ok(passing.map(|command| command.full_name.as_str()).collect())
}

fn command_getkeys(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let keys = keys_of_request(table, inner_request(args))?;
    reply.bulks(keys.iter().map(|(key, _)| key));
    Ok(())
}

fn command_getkeysandflags(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let keys = keys_of_request(table, inner_request(args))?;
    reply.array(keys.len());
    for (key, flags) in keys {
        reply.array(2);
        reply.bulk(key);
        write_names(reply, KEY_FLAG_NAMES, |flag| flags.contains(flag));
    }
    Ok(())
}

/// The request that COMMAND GETKEYS is asked about: its arguments.
fn inner_request(mut args: Args<'_>) -> Argv<'_> {
    args.take(args.remaining())
        .expect("there are as many as there are")
}

/// The keys of a request, and what becomes of each.
fn keys_of_request<'a>(table: &Table, argv: Argv<'a>) -> Result<Vec<(&'a [u8], KeyFlags)>> {
    let command = table.lookup(argv).map_err(|_| Error::INVALID_COMMAND)?;
    let row = &command.row;
    if row.keys.iter().all(KeySpec::is_of_channels) {
        return Err(Error::NO_KEY_ARGUMENTS);
    }
    if !row.accepts(argv.len()) {
        return Err(Error::INVALID_ARGUMENT_COUNT);
    }
    let keys = match keys::keys_of(row.keys, argv) {
        Ok(keys) if !keys.is_empty() => keys,
        _ if row.flags.contains(Flags::NO_MANDATORY_KEYS) => Vec::new(),
        Ok(_) => return Err(Error::INVALID_ARGUMENTS),
        Err(error) => return Err(error),
    };
    let keys = keys.into_iter();
    Ok(keys
        .filter_map(|(place, flags)| Some((argv.get(place)?, flags)))
        .collect())
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
            return Ok(Filter::Category(Acl::named(args.next()?)));
        }
        if args.keyword("pattern") {
            return Ok(Filter::Pattern(args.next()?));
        }
        Err(Error::SYNTAX)
    }

    fn passes(&self, command: &Command) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(category) => command.row.categories().intersects(*category),
            Filter::Pattern(pattern) => glob::matches(pattern, command.full_name.as_bytes(), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt::Write as _;

    use super::*;
    use crate::command::TABLE;
    use crate::resp::{Output, Protocol};
    use crate::table::docs::write_docs;
    use crate::table::help;
    use crate::table::info::{FLAG_NAMES, PlainKeys, shown_flags};
    use crate::table::keys::{Begin, Find};
    use crate::table::usage;
    use crate::table::vocabulary::MODIFY_KEY;

    /// What Redis answers; a later line for a command replaces an earlier one.
    const RECORDED: &str = include_str!("redis.tsv");

    fn named(name: &str) -> &'static Command {
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
        match keys_of_request(&TABLE, words.argv()) {
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
        super::listed(&TABLE, Args::new(words.argv(), 2))
    }

    /// The columns of a line of the recording, but for the arguments.
    fn columns(command: &Command) -> String {
        let row = &command.row;
        let plain = PlainKeys::of(row.keys);
        let flags = shown_flags(row);
        let flags: Vec<_> = FLAG_NAMES
            .iter()
            .filter(|(flag, _)| flags.contains(*flag))
            .map(|(_, name)| *name)
            .collect();
        let acl: Vec<_> = row
            .categories()
            .iter_names()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        let specs: Vec<_> = row.keys.iter().map(shown_spec).collect();
        let history: Vec<_> = row.history.iter().map(|(since, _)| *since).collect();
        let deprecated = row
            .deprecated
            .map(|(since, instead)| format!("{since} {instead}"));
        [
            command.full_name.clone(),
            row.arity.to_string(),
            flags.join(" "),
            format!("{} {} {}", plain.first, plain.last, plain.step),
            acl.join(" "),
            row.tips.join(" "),
            specs.join(", "),
            row.group.name().to_owned(),
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
            Begin::Unknown(_) => write!(shown, " @?"),
        }
        .unwrap();
        match spec.find {
            Find::Range { last, step, limit } => write!(shown, " {last}/{step}/{limit}"),
            Find::Keynum {
                keynum,
                first,
                step,
            } => write!(shown, " {keynum}#{first}/{step}"),
            Find::Unknown => write!(shown, " ?"),
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
        // RESPD is our own.
        let is_own = |command: &&Command| command.row.flags.contains(Flags::FOR_TESTS);
        let is_own_container =
            |command: &&Command| TABLE.subcommands(command).any(|sub| is_own(&sub));
        for command in TABLE.commands() {
            let name = command.full_name.as_str();
            if is_own(&command) || is_own_container(&command) {
                assert!(usage::parse(command.row.usage, 0).is_ok(), "{name}");
                continue;
            }
            let (expected, usage) = recorded
                .get(name)
                .and_then(|line| line.rsplit_once('\t'))
                .unwrap_or_else(|| panic!("redis.tsv has no {name}"));
            let ours = columns(command);
            if ours != expected {
                writeln!(differences, "redis {expected}\nrespd {ours}").unwrap();
            }
            let specs = command.row.keys.len();
            let (redis, respd) = (
                usage::parse(usage, specs),
                usage::parse(command.row.usage, specs),
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
        for command in TABLE.commands() {
            let (name, row) = (&command.full_name, &command.row);
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
            written(Protocol::Resp2, |reply| write_info(
                reply,
                &TABLE,
                named("get")
            )),
            "*10~$3~get~:2~*2~+readonly~+fast~:1~:1~:1~*3~+@read~+@string~+@fast~*0~*1~*6~$5~flags~*2~+RO~\
             +access~$12~begin_search~*4~$4~type~$5~index~$4~spec~*2~$5~index~:1~$9~find_keys~*4~$4~type~\
             $5~range~$4~spec~*6~$7~lastkey~:0~$7~keystep~:1~$5~limit~:0~*0~"
        );
        assert_eq!(
            written(Protocol::Resp3, |reply| write_info(
                reply,
                &TABLE,
                named("get")
            )),
            "*10~$3~get~:2~~2~+readonly~+fast~:1~:1~:1~~3~+@read~+@string~+@fast~~0~~1~%3~$5~flags~~2~+RO~\
             +access~$12~begin_search~%2~$4~type~$5~index~$4~spec~%1~$5~index~:1~$9~find_keys~%2~$4~type~\
             $5~range~$4~spec~%3~$7~lastkey~:0~$7~keystep~:1~$5~limit~:0~~0~"
        );
    }

    #[test]
    fn info_of_a_container_nests_its_subcommands() {
        let info = written(Protocol::Resp3, |reply| {
            write_info(reply, &TABLE, named("object"))
        });
        let start = "*10~$6~object~:-2~~0~:0~:0~:0~~1~+@slow~~0~~0~*5~*10~$15~object|encoding~:3~~1~+readonly~:2~:2~:1~";
        assert_eq!(info.get(..start.len()), Some(start));
        let end =
            "*10~$11~object|help~:2~~2~+loading~+stale~:0~:0~:0~~2~+@keyspace~+@slow~~0~~0~~0~";
        assert!(info.ends_with(end), "{info}");
    }

    #[test]
    fn docs_leave_out_what_is_empty() {
        let texts = |name| {
            let command = &named(name).row;
            format!("$7~summary~${}~{}~", command.summary.len(), command.summary)
        };
        assert_eq!(
            written(Protocol::Resp3, |reply| write_docs(
                reply,
                &TABLE,
                named("debug")
            )),
            format!(
                "%5~{}$5~since~$5~1.0.0~$5~group~$6~server~$10~complexity~$22~Depends on subcommand.~\
                 $9~doc_flags~~1~+syscmd~",
                texts("debug")
            )
        );
        assert_eq!(
            written(Protocol::Resp2, |reply| write_docs(
                reply,
                &TABLE,
                named("getset")
            )),
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
        let docs = written(Protocol::Resp3, |reply| {
            write_docs(reply, &TABLE, named("getex"))
        });
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
            let words = Words::of(line);
            let keys = keys::keys_of(&[spec], words.argv()).unwrap();
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
        assert_eq!(all.len(), TABLE.commands().len());
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
        let lines = help::lines(&TABLE, named("slowlog"));
        assert_eq!(
            lines[0],
            "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        );
        assert_eq!(lines[1], "GET [count]");
        assert_eq!(
            lines[2],
            format!("    {}", named("slowlog|get").row.summary)
        );
        assert_eq!(lines[lines.len() - 2..], ["HELP", "    Print this help."]);
        assert_eq!(help::lines(&TABLE, named("command"))[1], "(no subcommand)");
    }
}
