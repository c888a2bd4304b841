//! RESPD LOAD, EXPORT and DIFF: data as text, in and out.

use std::sync::atomic::Ordering::Relaxed;

use super::respd_snapshot::snapshot_id;
use crate::error::{Error, Result};
use crate::lab::json::{self, Run, Words};
use crate::lab::requests::requests;
use crate::lab::state::State;
use crate::resp::{Output, OwnedArgv, Reply};
use crate::table::vocabulary::{FOR_TESTS, GROW};
use crate::table::{Args, Context, Flags, Handler, Row, Table, call};
use crate::text::{glob, words};

/// RESPD LOAD
#[rustfmt::skip]
pub const LOAD: Row = Row {
    name: "load", arity: 4,
    flags: FOR_TESTS.flags.union(GROW),
    usage: "format(COMMANDS | JSON) text",
    complexity: "O(N) where N is the length of the text, and what its commands take",
    summary: "Runs commands, one a line, or stores the keys that JSON names: all of it or nothing.",
    handler: Handler::Table(respd_load),
    ..FOR_TESTS
};

/// RESPD EXPORT
#[rustfmt::skip]
pub const EXPORT: Row = Row {
    name: "export", arity: -2,
    usage: "[format(COMMANDS)] [MATCH pattern:pattern]",
    complexity: "O(N*log(N)) where N is the number of keys, and of what is in them",
    summary: "All keys, or those that match, as text to be read and compared, or loaded again.",
    handler: Handler::Session(respd_export),
    ..FOR_TESTS
};

/// RESPD DIFF
#[rustfmt::skip]
pub const DIFF: Row = Row {
    name: "diff", arity: -2,
    usage: "[snapshot:integer]",
    complexity: "O(N*log(N)) where N is the number of keys that have changed, and of what is in \
        them",
    summary: "How the data differ from what they were at a snapshot, or at the last one.",
    handler: Handler::Session(respd_diff),
    ..FOR_TESTS
};

fn respd_load(
    context: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let is_json = args.keyword("json");
    if !is_json && !args.keyword("commands") {
        return Err(Error::LOAD_FORMAT);
    }
    let text = args.next()?;
    let db = context.session.db;
    let snapshot = context.turn.state().keyspace.snapshot();
    // Nothing blocks, and nobody is served before the end.
    context.in_exec = true;
    let mut run = |words: Words| run(context, table, &words).map_err(|error| error.to_string());
    let loaded = match is_json {
        true => json::load(text, db, &mut run),
        false => lines(text, &mut run),
    };
    context.in_exec = false;
    context.session.db = db;
    context.session.client.db.store(db, Relaxed);
    let now = context.turn.now;
    let keyspace = &mut context.turn.state().keyspace;
    let undone = match &loaded {
        Ok(_) => Ok(0),
        Err(_) => keyspace.roll_back(snapshot, now),
    };
    keyspace.drop_snapshot(snapshot);
    let loaded = loaded.map_err(|error| Error::new(format!("ERR {error}")))?;
    undone?;
    reply.int(loaded as i64);
    Ok(())
}

/// Runs the commands of a text, one a line; answers how many there are.
fn lines(text: &[u8], run: Run<'_>) -> std::result::Result<usize, String> {
    let mut count = 0;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = words::trim_start(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let words = words::split(line).ok_or_else(|| "unbalanced quotes".to_owned());
        let done = words.and_then(&mut *run);
        done.map_err(|error| format!("line {number}: {error}"))?;
        count += 1;
    }
    Ok(count)
}

fn run(context: &mut Context<'_>, table: &'static Table, words: &Words) -> Result<()> {
    let argv = OwnedArgv::new(words.iter().map(Vec::as_slice));
    let argv = argv.as_argv();
    let command = table.lookup(argv)?;
    if !command.row.accepts(argv.len()) {
        return Err(Error::wrong_arity(&command.full_name));
    }
    if command.row.flags.contains(Flags::NOSCRIPT) {
        return Err(Error::NO_DATA_TO_LOAD);
    }
    let mut output = Output::default();
    let mut reply = Reply::new(&mut output, context.session.protocol);
    call(context, table, command, true, argv, &mut reply);
    let answer = output.into_vec();
    match answer.strip_prefix(b"-") {
        Some(error) => Err(Error::new(String::from_utf8_lossy(error.trim_ascii_end()))),
        None => Ok(()),
    }
}

fn respd_export(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let as_commands = args.keyword("commands");
    let pattern = match args.keyword("match") {
        true => Some(args.next()?),
        false => None,
    };
    args.end()?;
    let is_wanted = |key: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, key, false));
    let now = context.turn.now;
    let keyspace = &context.turn.state().keyspace;
    let text = match as_commands {
        true => requests(keyspace, now, is_wanted),
        false => State::of(keyspace, now, is_wanted).to_string().into(),
    };
    answer(&text, reply)
}

fn respd_diff(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let now = context.turn.now;
    let keyspace = &context.turn.state().keyspace;
    let last = keyspace.snapshots().last();
    let id = match args.remaining() {
        0 => last.ok_or(Error::NO_SNAPSHOT)?,
        _ => snapshot_id(&mut args)?,
    };
    args.end()?;
    let difference = State::difference_to(keyspace, id, now)?;
    answer(difference.to_string().as_bytes(), reply)
}

fn answer(text: &[u8], reply: &mut Reply<'_>) -> Result<()> {
    reply.verbatim(b"txt", text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::LocalClient;
    use crate::resp::value::Value;
    use crate::testing::{client, engine_for_tests};

    fn text(client: &mut LocalClient, words: &[&str]) -> String {
        match client.call(words) {
            Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
            Value::Error(text) => String::from_utf8_lossy(&text).into_owned(),
            other => format!("{other:?}"),
        }
    }

    fn tester() -> LocalClient {
        client(&engine_for_tests())
    }

    const COMMANDS: &str = r#"
        # What a test begins with
        set greeting "hel\x00lo"
        SETBIT bits 7 1
        rpush jobs b a 'an empty one:' ""

        hset cart pears 1 apples 3
        sadd tags red new 7
        zadd scores 1.5 ann -inf bob
        xadd events 1-1 kind login
        xadd events 2-1 kind logout user "a b"
        xadd events 3-1 gone soon
        xdel events 3-1
        xgroup create events workers 1-1
        select 3
        set greeting elsewhere
    "#;

    #[test]
    fn what_commands_load_is_exported_in_order() {
        let mut client = tester();
        let loaded = client.call(&["RESPD", "LOAD", "COMMANDS", COMMANDS]);
        assert_eq!(loaded, Value::Integer(13));
        client.line("XREADGROUP GROUP workers alice STREAMS events >");
        let expected = r#"db 0
  "bits" string "\x01"
  "cart" hash
    "apples" "3"
    "pears" "1"
  "events" stream
    1-1 "kind" "login"
    2-1 "kind" "logout" "user" "a b"
    last id 3-1, 3 added, removed up to 3-1
    group "workers" at 2-1, ? read
    group "workers" consumer "alice"
    group "workers" pending 2-1 at "alice", delivered once
  "greeting" string "hel\x00lo"
  "jobs" list
    "b"
    "a"
    "an empty one:"
    ""
  "scores" zset
    "bob" -inf
    "ann" 1.5
  "tags" set
    "7"
    "new"
    "red"
db 3
  "greeting" string "elsewhere"
"#;
        assert_eq!(text(&mut client, &["RESPD", "EXPORT"]), expected);
        let some = text(&mut client, &["RESPD", "EXPORT", "MATCH", "*it*"]);
        assert_eq!(some, "db 0\n  \"bits\" string \"\\x01\"\n");
        assert_eq!(text(&mut client, &["RESPD", "EXPORT", "MATCH", "none"]), "");
    }

    #[test]
    fn what_is_exported_as_commands_can_be_loaded() {
        let mut client = tester();
        client.line("RESPD CLOCK FREEZE");
        client.call(&["RESPD", "LOAD", "COMMANDS", COMMANDS]);
        client.call(&[&b"SET"[..], b"bytes", b"\xff\""]);
        for line in [
            "XREADGROUP GROUP workers alice STREAMS events >",
            "PEXPIRE greeting 60000",
            "HPEXPIRE cart 5000 FIELDS 1 pears",
            "XADD gone 1-1 f v",
            "XGROUP CREATE gone g 0",
            "XREADGROUP GROUP g me STREAMS gone >",
            "XTRIM gone MAXLEN 0",
        ] {
            let reply = client.line(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        let expected = r#"SELECT 0
SET bits "\x01"
SET bytes "\xff\""
HSET cart pears 1 apples 3
HPEXPIRE cart 5000 FIELDS 1 pears
XADD events 1-1 kind login
XADD events 2-1 kind logout user "a b"
XGROUP CREATE events workers 2-1 ENTRIESREAD -1
XGROUP CREATECONSUMER events workers alice
XCLAIM events workers alice 0 2-1 IDLE 0 RETRYCOUNT 1 FORCE JUSTID
XSETID events 3-1 ENTRIESADDED 3 MAXDELETEDID 3-1
XADD gone 1-1 gone ""
XGROUP CREATE gone g 1-1 ENTRIESREAD 1
XGROUP CREATECONSUMER gone g me
XCLAIM gone g me 0 1-1 IDLE 0 RETRYCOUNT 1 FORCE JUSTID
XTRIM gone MAXLEN 0
XSETID gone 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0
SET greeting "hel\x00lo"
PEXPIRE greeting 60000
RPUSH jobs b a "an empty one:" ""
ZADD scores -inf bob 1.5 ann
SADD tags red new 7
SELECT 3
SET greeting elsewhere
"#;
        let exported = text(&mut client, &["RESPD", "EXPORT", "COMMANDS"]);
        assert_eq!(exported, expected);
        let before = text(&mut client, &["RESPD", "EXPORT"]);
        client.line("FLUSHALL");
        let loaded = client.call(&["RESPD", "LOAD", "COMMANDS", &exported]);
        assert_eq!(loaded, Value::Integer(24));
        assert_eq!(text(&mut client, &["RESPD", "EXPORT"]), before);
        let some = text(
            &mut client,
            &["RESPD", "EXPORT", "COMMANDS", "MATCH", "b*s"],
        );
        assert_eq!(some.lines().count(), 3, "{some}");
    }

    #[test]
    fn what_cannot_be_loaded_says_where_and_leaves_nothing_behind() {
        let mut client = tester();
        client.line("SET greeting before");
        client.line("SELECT 1");
        let before = text(&mut client, &["RESPD", "EXPORT"]);
        for (format, wrong, expected) in [
            (
                "COMMANDS",
                "flushall\nselect 2\nset greeting after\n\nlpush greeting x",
                "ERR line 5: WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "COMMANDS",
                "set a 1\nset b \"1",
                "ERR line 2: unbalanced quotes",
            ),
            (
                "COMMANDS",
                "set a 1\r\nset b\r\n",
                "ERR line 2: ERR wrong number of arguments for 'set' command",
            ),
            (
                "COMMANDS",
                "set a 1\nmulti",
                "ERR line 2: ERR This command does not load data",
            ),
            (
                "COMMANDS",
                "set a 1\nrespd load commands ''",
                "ERR line 2: ERR This command does not load data",
            ),
            (
                "JSON",
                r#"{"a": {"type": "string", "value": 1}, "b": 1}"#,
                "ERR key \"b\": an object is expected, not 1",
            ),
            (
                "JSON",
                r#"{"a": {"type": "string", "value": 1}, "b": {"type": "list", "value": []}}"#,
                "ERR key \"b\": nothing is in it",
            ),
            (
                "JSON",
                r#"{"a": {"type": "string", "value": 1, "db": 77}}"#,
                "ERR key \"a\": ERR DB index is out of range",
            ),
            (
                "YAML",
                "",
                "ERR RESPD LOAD takes COMMANDS or JSON, and a text",
            ),
        ] {
            assert_eq!(
                text(&mut client, &["RESPD", "LOAD", format, wrong]),
                expected
            );
            assert_eq!(text(&mut client, &["RESPD", "EXPORT"]), before, "{wrong}");
            assert_eq!(client.line("RESPD SNAPSHOT LIST"), "*0", "{wrong}");
        }
        client.line("RESPD LOAD COMMANDS set\x0bhere\x0b1");
        assert_eq!(
            client.line("GET here"),
            "$1\r\n1",
            "it has another database than before"
        );
    }

    #[test]
    fn a_snapshot_outlives_what_is_loaded_in_vain_after_it() {
        let mut client = tester();
        client.line("SET k 1");
        client.line("RESPD SNAPSHOT");
        client.line("SET k 2");
        for (lines, expected) in [
            ("flushall\nlpush k", "2"),
            ("set k 3", "3"),
            ("flushall", "nothing"),
        ] {
            client.call(&["RESPD", "LOAD", "COMMANDS", lines]);
            let value = text(&mut client, &["GET", "k"]).replace("Null", "nothing");
            assert_eq!(value, expected, "{lines}");
        }
        client.line("RESPD ROLLBACK");
        assert_eq!(client.line("GET k"), "$1\r\n1");
    }

    #[test]
    fn who_waits_gets_what_was_loaded_and_nothing_of_what_was_not() {
        let engine = engine_for_tests();
        let mut waiter = client(&engine);
        let waiting = std::thread::spawn(move || waiter.line("BLPOP jobs 0"));
        let is_blocked = |client: &std::sync::Arc<crate::session::Client>| {
            client
                .flags()
                .contains(crate::session::ClientFlags::BLOCKED)
        };
        while !engine.server.clients.all().iter().any(is_blocked) {
            std::thread::yield_now();
        }
        let mut tester = client(&engine);
        tester.call(&["RESPD", "LOAD", "COMMANDS", "rpush jobs lost\nlpush jobs"]);
        tester.call(&[
            "RESPD",
            "LOAD",
            "COMMANDS",
            "rpush jobs one\nrpush jobs two",
        ]);
        assert_eq!(waiting.join().unwrap(), "*2\r\n$4\r\njobs\r\n$3\r\none");
        assert_eq!(tester.line("LLEN jobs"), ":1");
    }

    #[test]
    fn a_difference_shows_what_has_come_and_gone() {
        let mut client = tester();
        client.call(&["RESPD", "LOAD", "COMMANDS", COMMANDS]);
        client.line("RESPD SNAPSHOT");
        assert_eq!(text(&mut client, &["RESPD", "DIFF"]), "");
        for line in [
            "HSET cart apples 4 plums 2",
            "HDEL cart pears",
            "LSET jobs 1 c",
            "DEL tags",
            "SADD new x",
            "SET greeting hello",
            "APPEND bits x",
            "SETRANGE bits 1 \0",
            "DEL scores",
            "RPUSH scores x",
            "SELECT 3",
            "FLUSHDB",
            "SET other x",
        ] {
            client.line(line);
        }
        let expected = r#"~ db 0 "bits" string
    - "\x01"
    + "\x01\x00"
~ db 0 "cart" hash
    - "apples" "3"
    - "pears" "1"
    + "apples" "4"
    + "plums" "2"
~ db 0 "greeting" string
    - "hel\x00lo"
    + "hello"
~ db 0 "jobs" list
    - "a"
    + "c"
+ db 0 "new" set
    "x"
~ db 0 "scores" list
    - zset
    + list
    - "bob" -inf
    - "ann" 1.5
    + "x"
- db 0 "tags" set
    "7"
    "new"
    "red"
- db 3 "greeting" string "elsewhere"
+ db 3 "other" string "x"
"#;
        assert_eq!(text(&mut client, &["RESPD", "DIFF", "2"]), expected);
        assert_eq!(
            text(&mut client, &["RESPD", "DIFF", "3"]),
            "ERR no such snapshot"
        );
        client.line("RESPD ROLLBACK");
        assert_eq!(text(&mut client, &["RESPD", "DIFF"]), "");
        let long = "x".repeat(500);
        let many: String = (0..150).map(|n| format!("set new{n} {long}\n")).collect();
        client.call(&["RESPD", "LOAD", "COMMANDS", &many]);
        let difference = text(&mut client, &["RESPD", "DIFF"]);
        assert!(difference.len() < 100 * 250, "{}", difference.len());
        assert!(
            difference.ends_with("... and 50 more lines\n"),
            "{difference}"
        );
    }

    #[test]
    fn times_are_told_by_what_is_left_and_compared_as_they_are() {
        let mut client = tester();
        let json = r#"{
            "session": {"type": "string", "value": "data", "ttl": 60},
            "cart": {"type": "hash", "value": {"apples": {"value": 3, "ttl": 600.5}, "pears": 1}},
            "events": {"type": "stream", "value": [{"id": "1-1", "fields": {"kind": "login"}}],
                       "groups": {"workers": 0}}
        }"#;
        assert_eq!(
            client.call(&["RESPD", "LOAD", "JSON", json]),
            Value::Integer(3)
        );
        let exported = text(&mut client, &["RESPD", "EXPORT", "MATCH", "*s*"]);
        let mut left = exported
            .split_once("\"session\" string, ")
            .expect(&exported)
            .1
            .splitn(2, ' ');
        let ms: i64 = left.next().unwrap().parse().expect(&exported);
        assert!((50_000..=60_000).contains(&ms), "{exported}");
        assert_eq!(left.next(), Some("ms left \"data\"\n"), "{exported}");
        let cart = text(&mut client, &["RESPD", "EXPORT", "MATCH", "cart"]);
        assert!(
            cart.starts_with("db 0\n  \"cart\" hash\n    \"apples\" \"3\", 6"),
            "{cart}"
        );
        assert!(cart.ends_with(" ms left\n    \"pears\" \"1\"\n"), "{cart}");
        client.line("RESPD SNAPSHOT");
        client.line("PERSIST session");
        let difference = text(&mut client, &["RESPD", "DIFF"]);
        let (first, rest) = difference.split_once(", ").expect(&difference);
        assert_eq!(
            first, "~ db 0 \"session\" string\n    - string",
            "{difference}"
        );
        assert!(rest.ends_with(" ms left\n    + string\n"), "{difference}");
    }
}
