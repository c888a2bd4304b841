//! DEBUG: what tests of clients use to make a server sleep, keep what has
//! expired, or show a value. Refused unless `enable-debug-command` permits it.
//!
//! It has no subcommands for the table: an unknown one is the handler's affair.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::spec::ADMIN;
use super::{Args, Command, Flags, Group, Handler};
use crate::error::{Error, Result};
use crate::long_double::LongDouble;
use crate::number;
use crate::resp::Reply;
use crate::server::{Context, Server};

const SERVER: Command = Command {
    group: Group::Server,
    ..Command::BASE
};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command {
        name: "debug", arity: -2, flags: ADMIN.union(Flags::PROTECTED),
        since: "1.0.0", complexity: "Depends on subcommand.",
        summary: "Reaches behind the scenes, for tests of the server.",
        handler: Handler::Session(debug),
        ..SERVER
    },
];

fn debug(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let name = args.next()?;
    let unknown = || Error::subcommand_syntax("debug", name);
    match (name.to_ascii_lowercase().as_slice(), args.remaining()) {
        (b"sleep", 1) => sleep(context, args)?,
        (b"set-active-expire", 1) => {
            let on = leading_integer(args.next()?) != 0;
            context.server.active_expire.store(on, Relaxed);
        }
        (b"object", 1 | 2) => return object(context, args, reply),
        (b"error", 1) => return Err(Error::quoting("", args.next()?, "")),
        (b"log", 1) => {
            let message = args.next()?;
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(message));
        }
        (b"quicklist-packed-threshold", 1) => {
            // Elements are packed whatever their size, so the value has no use.
            const HIGHEST: u64 = (4 << 30) - (1 << 20);
            let bytes = number::parse_memory(args.next()?).filter(|bytes| *bytes <= HIGHEST);
            bytes.ok_or(Error::PACKED_THRESHOLD)?;
        }
        // There are no replicas that would know another.
        (b"change-repl-id", 0) => {}
        (b"help", 0) => {
            reply.array(HELP.len());
            HELP.iter().for_each(|line| reply.simple(line));
            return Ok(());
        }
        _ => return Err(unknown()),
    }
    reply.ok();
    Ok(())
}

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Does nothing: there are no replicas.",
    "ERROR <text>",
    "    Answers an error with this text.",
    "LOG <message>",
    "    Writes a line to the log.",
    "OBJECT <key>",
    "    Shows how a value is stored.",
    "QUICKLIST-PACKED-THRESHOLD <bytes>",
    "    Does nothing: elements of any size are packed.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys that have expired are removed before anybody asks for them.",
    "SLEEP <seconds>",
    "    Stops everything for a time, which may have decimals.",
    "HELP",
    "    Prints this help.",
];

/// Sleeps with the keyspace locked, so that nobody gets anything done, as in Redis.
fn sleep(context: &mut Context<'_>, mut args: Args<'_>) -> Result<()> {
    // As with `strtod` of C, what is no number is 0.
    let seconds = LongDouble::parse(args.next()?).unwrap_or(LongDouble::ZERO);
    const LONGEST_MS: i64 = 86_400_000;
    let millis = seconds.to_millis_rounded_up().clamp(0, LONGEST_MS);
    let end = Instant::now() + Duration::from_millis(millis as u64);
    context.turn.state();
    while !sleep_on(context.server, end) {}
    Ok(())
}

/// Sleeps a little, at most until `end`; answers whether to wake up. A broker
/// that is to end does not wait for a sleeper.
fn sleep_on(server: &Server, end: Instant) -> bool {
    const NAP: Duration = Duration::from_millis(50);
    let left = end.saturating_duration_since(Instant::now());
    std::thread::sleep(left.min(NAP));
    left <= NAP || server.shutdown.is_cancelled()
}

/// As `atoi` of C reads it: what it can make sense of.
fn leading_integer(word: &[u8]) -> i64 {
    let digits = |word: &[u8]| word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(word.starts_with(b"-"));
    let end = sign + digits(&word[sign..]);
    let text = str::from_utf8(&word[..end]).unwrap_or_default();
    text.parse().unwrap_or(0)
}

fn object(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let mut db = context.db();
    let handle = db.peek(key).ok_or(Error::NO_SUCH_KEY)?;
    let value = db.database().value(handle);
    // Values have no address that would mean something, and one owner.
    reply.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        value.encoding_name(),
        value.serialized_len(),
        db.database().accessed(handle),
        db.idle(handle).as_secs(),
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{client, server};
    use super::*;

    #[test]
    fn it_is_refused_unless_a_setting_permits_it() {
        let server = server();
        let mut client = client(&server);
        let refused = client.run(b"DEBUG SLEEP 0\r\nMULTI\r\nDEBUG SLEEP 0\r\nEXEC\r\n");
        let refused = String::from_utf8(refused).expect("text");
        let replies: Vec<_> = refused.lines().collect();
        assert!(
            replies[0].starts_with("-ERR DEBUG command not allowed."),
            "{refused}"
        );
        assert_eq!(replies[2], replies[0]);
        assert!(replies[3].starts_with("-EXECABORT "), "{refused}");
        let mut config = server.config().clone();
        config.enable_debug_command = crate::config::DebugCommand::Local;
        server.apply(config, &mut crate::engine::Turn::new(&server));
        assert_eq!(client.line("DEBUG SLEEP 0"), "+OK");
    }

    #[test]
    fn numbers_are_read_as_in_c() {
        let cases = [
            ("1", 1),
            ("12abc", 12),
            ("-3", -3),
            ("abc", 0),
            ("", 0),
            ("-", 0),
        ];
        for (word, value) in cases {
            assert_eq!(leading_integer(word.as_bytes()), value, "{word}");
        }
    }
}
