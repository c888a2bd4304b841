//! SLOWLOG: the commands that took long.

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{ANYTIME, CONTAINER, SERVER};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "slowlog", group: Group::Server, since: "2.2.12",
        summary: "Asks about commands that took long.",
        subcommands: &[
            Row {
                name: "get", arity: -2, flags: ANYTIME.union(Flags::ADMIN).union(Flags::NO_DATA),
                usage: "[count:integer]",
                tips: &["request_policy:all_nodes", "nondeterministic_output"],
                since: "2.2.12", complexity: "O(N) where N is the number of entries returned",
                history: &[("4.0.0", "Added client IP address, port and name to the reply.")],
                summary: "The latest entries of the slow log.",
                handler: Handler::Session(slowlog_get),
                ..SERVER
            },
            Row {
                name: "len", arity: 2, flags: ANYTIME.union(Flags::ADMIN).union(Flags::NO_DATA),
                tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
                since: "2.2.12",
                summary: "How many entries the slow log holds.",
                handler: Handler::Session(slowlog_len),
                ..SERVER
            },
            Row {
                name: "reset", arity: 2, flags: ANYTIME.union(Flags::ADMIN).union(Flags::NO_DATA),
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.2.12", complexity: "O(N) where N is the number of entries in the slowlog",
                summary: "Empties the slow log.", handler: Handler::Session(slowlog_reset),
                ..SERVER
            },
            Row { since: "6.2.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn slowlog_get(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.remaining() > 1 {
        return Err(args.wrong_subcommand());
    }
    let count = match args.remaining() {
        0 => 10,
        _ => args.int_in(-1..=i64::MAX, Error::SLOWLOG_COUNT)?,
    };
    // -1 asks for all.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let log = context.server.slow_log();
    let entries = log.entries().take(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at);
        reply.int(entry.micros as i64);
        reply.bulks(entry.words.iter());
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn slowlog_len(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.len(context.server.slow_log().entries().len());
    Ok(())
}

fn slowlog_reset(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.server.slow_log().reset();
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine};

    #[test]
    fn the_latest_comes_first_and_its_words_are_cut() {
        let engine = engine();
        let mut client = client(&engine);
        client.line("CLIENT SETNAME me");
        client.line("CONFIG SET slowlog-log-slower-than 0");
        client.line(&format!("ECHO {}", "x".repeat(130)));
        client.line(&format!("DEL{}", " k".repeat(40)));
        let log = client.line("SLOWLOG GET 2");
        let (newest, older) = log.split_once("$4\r\nECHO\r\n").expect("two entries");
        assert!(newest.contains("*32\r\n$3\r\nDEL\r\n"), "{newest}");
        assert!(newest.contains("... (10 more arguments)"), "{newest}");
        assert!(older.contains("... (2 more bytes)"), "{older}");
        assert!(older.ends_with("$2\r\nme"), "{older}");
        // SLOWLOG GET is in it by now.
        assert_eq!(client.line("SLOWLOG LEN"), ":4");
        client.line("CONFIG SET slowlog-max-len 1");
        assert_eq!(client.line("SLOWLOG LEN"), ":1");
        client.line("CONFIG SET slowlog-log-slower-than -1");
        assert_eq!(client.line("SLOWLOG RESET"), "+OK");
        assert_eq!(client.line("SLOWLOG LEN"), ":0");
    }

    #[test]
    fn passwords_are_not_logged() {
        let mut client = client(&engine());
        client.line("CONFIG SET slowlog-log-slower-than 0");
        client.line("AUTH secret");
        client.line("CONFIG SET requirepass secret");
        let log = client.line("SLOWLOG GET");
        assert!(
            log.contains("(redacted)") && !log.contains("secret"),
            "{log}"
        );
    }
}
