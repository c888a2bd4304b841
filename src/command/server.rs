//! What concerns the server as a whole: INFO, TIME, SHUTDOWN, MONITOR, LOLWUT.

use super::info;
use crate::config::REDIS_VERSION;
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::session::{ClientFlags, Ending};
use crate::table::vocabulary::{ADMIN, ANYTIME, ANYTIME_FAST, READ_FAST, SERVER};
use crate::table::{Acl, Args, Context, Flags, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "info", arity: -1, flags: ANYTIME, acl: Acl::DANGEROUS,
        usage: "[section...]",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        since: "1.0.0",
        history: &[("7.0.0", "Added support for taking multiple section arguments.")],
        summary: "Reports on the server in sections of name:value lines.",
        handler: Handler::Session(info),
        ..SERVER
    },
    Row {
        name: "time", arity: 1, flags: ANYTIME_FAST.union(Flags::NO_DATA), tips: &["nondeterministic_output"],
        since: "2.6.0",
        summary: "The server's clock: seconds since 1970 and microseconds.",
        handler: Handler::Session(time),
        ..SERVER
    },
    Row {
        name: "shutdown", arity: -1, flags: ADMIN.union(Flags::NO_MULTI).union(Flags::ALLOW_BUSY),
        usage: "[save-selector(NOSAVE|SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]",
        since: "1.0.0",
        complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        history: &[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")],
        summary: "Stops the server, saving the data first where that is configured.",
        handler: Handler::Session(shutdown),
        ..SERVER
    },
    Row {
        name: "monitor", arity: 1, flags: ADMIN, since: "1.0.0", complexity: "",
        summary: "Shows every command that the server runs, as it runs.",
        handler: Handler::Session(monitor),
        ..SERVER
    },
    Row {
        name: "lolwut", arity: -1, flags: READ_FAST,
        usage: "[VERSION version:integer]", since: "5.0.0", complexity: "",
        summary: "Shows the version, and a picture for the fun of it.",
        handler: Handler::Session(lolwut),
        ..SERVER
    },
];

fn info(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let report = info::report(context, args.rest());
    reply.verbatim(b"txt", report.as_bytes());
    Ok(())
}

fn time(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let wall = || context.server.clock.wall();
    // It stands still for a script.
    let now = match context.in_script {
        true => *context.script_time.get_or_insert_with(wall),
        false => wall(),
    };
    reply.array(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(())
}

fn shutdown(context: &mut Context<'_>, args: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    let options = ShutdownOptions::parse(args)?;
    if options.abort {
        // A shutdown waits for nobody, so there is never one to abort.
        return Err(Error::NO_SHUTDOWN);
    }
    let running = &context.server.running_script;
    if !options.nosave && running.is_running() && !context.turn.begin() {
        return Err(running.busy_error());
    }
    if options.save && !options.force {
        return Err(Error::NOTHING_TO_SAVE_TO);
    }
    tracing::info!("User requested shutdown...");
    context.session.ending = Some(Ending::AfterReplies);
    context.server.shutdown.cancel();
    Ok(())
}

/// The options of SHUTDOWN. NOW is one, too, but nothing is waited for anyway.
#[derive(Default)]
struct ShutdownOptions {
    save: bool,
    nosave: bool,
    force: bool,
    abort: bool,
}

impl ShutdownOptions {
    fn parse(mut args: Args<'_>) -> Result<ShutdownOptions> {
        let mut options = ShutdownOptions::default();
        let mut now = false;
        while args.remaining() > 0 {
            if args.keyword("NOSAVE") {
                options.nosave = true;
            } else if args.keyword("SAVE") {
                options.save = true;
            } else if args.keyword("NOW") {
                now = true;
            } else if args.keyword("FORCE") {
                options.force = true;
            } else if args.keyword("ABORT") {
                options.abort = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let stops = options.nosave || now || options.save || options.force;
        if (options.abort && stops) || (options.nosave && options.save) {
            return Err(Error::SYNTAX);
        }
        Ok(options)
    }
}

fn monitor(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if context.in_exec {
        return Err(Error::MONITOR_IN_EXEC);
    }
    let client = &context.session.client;
    // As in Redis, who is one already gets no reply.
    if !client.flags().contains(ClientFlags::MONITOR) {
        context.server.monitors.add(client);
        context.set_flag(ClientFlags::MONITOR, true);
        reply.ok();
    }
    Ok(())
}

fn lolwut(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.keyword("VERSION") && args.remaining() > 0 {
        // There is one picture for all versions.
        args.int()?;
    }
    let seed = context.server.random();
    let text = format!("{}\nRedis ver. {REDIS_VERSION}\n", picture(seed));
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// A message on its way from a publisher to its subscribers.
fn picture(seed: u64) -> String {
    const WIDTH: usize = 32;
    const LINES: usize = 5;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut picture = String::new();
    for line in 0..LINES {
        let mut cells = [' '; WIDTH];
        for _ in 0..4 {
            cells[rng.usize(..WIDTH)] = rng.choice(['.', ':', '-', '=']).unwrap_or('.');
        }
        let publisher = if line == LINES / 2 { "(o)" } else { "   " };
        let subscriber = rng.choice(["<)", "<]", "<|"]).unwrap_or("<)");
        picture.push_str(publisher);
        picture.extend(cells);
        picture.push_str(subscriber);
        picture.push('\n');
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, engine};

    #[test]
    fn shutdown_stops_the_broker_unless_it_should_save() {
        let engine = engine();
        let refused = client(&engine).line("SHUTDOWN SAVE");
        assert!(refused.starts_with("-ERR "), "{refused}");
        assert_eq!(
            client(&engine).line("SHUTDOWN ABORT"),
            "-ERR No shutdown in progress."
        );
        for syntax in ["NOSAVE SAVE", "ABORT NOW", "NOW NOW ABORT", "soon"] {
            let refused = client(&engine).line(&format!("SHUTDOWN {syntax}"));
            assert_eq!(refused, "-ERR syntax error", "{syntax}");
        }
        assert!(!engine.server.shutdown.is_cancelled());
        let replies = client(&engine).run(b"PING\r\nSHUTDOWN\r\nPING\r\n");
        assert_eq!(replies, b"+PONG\r\n");
        assert!(engine.server.shutdown.is_cancelled());
    }

    #[test]
    fn data_that_cannot_be_saved_is_given_up_by_force_only() {
        let engine = engine();
        assert_eq!(client(&engine).run(b"SHUTDOWN SAVE FORCE\r\n"), b"");
        assert!(engine.server.shutdown.is_cancelled());
    }

    #[test]
    fn a_monitor_sees_what_runs_and_no_passwords() {
        let engine = engine();
        let (mut monitor, mut client) = (client(&engine), client(&engine));
        assert_eq!(monitor.line("MONITOR"), "+OK");
        client.run(b"SELECT 3\r\nSET \"a\\\"b\" \"\\x00\\n\"\r\n");
        client.run(b"AUTH me secret\r\nCONFIG GET save\r\nNOSUCH\r\nGET\r\n");
        client.run(b"MULTI\r\nINCR n\r\nEXEC\r\n");
        let seen = monitor.line("PING");
        let (pong, seen) = seen.split_once("\r\n").expect("lines");
        assert_eq!(pong, "+PONG");
        let commands: Vec<_> = seen
            .lines()
            .map(|line| line.split_once(' ').expect("a time").1)
            .collect();
        let expected = [
            r#"[3 local:0] "SELECT" "3""#,
            r#"[3 local:0] "SET" "a\"b" "\x00\n""#,
            r#"[3 local:0] "AUTH" "(redacted)" "(redacted)""#,
            r#"[3 local:0] "MULTI""#,
            r#"[3 local:0] "INCR" "n""#,
            r#"[3 local:0] "EXEC""#,
            r#"[0 local:0] "PING""#,
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn a_monitor_only_looks_until_it_is_reset() {
        let mut monitor = client(&engine());
        monitor.line("MONITOR");
        let refused = monitor.line("GET k");
        assert_eq!(refused, "-ERR Replica can't interact with the keyspace");
        let refused = monitor.line("PUBLISH c m");
        assert_eq!(refused, "-ERR Replica can't interact with the keyspace");
        // It is one already, and gets no reply.
        assert_eq!(monitor.line("MONITOR"), "");
        assert_eq!(monitor.line("RESET"), "+RESET");
        assert_eq!(monitor.line("GET k"), "$-1");
    }

    #[test]
    fn a_picture_is_a_rectangle_and_depends_on_the_seed_alone() {
        let widths: Vec<_> = picture(7)
            .lines()
            .map(|line| line.chars().count())
            .collect();
        assert_eq!(widths, [37; 5]);
        assert_eq!(picture(7), picture(7));
        assert_ne!(picture(7), picture(8));
    }
}
