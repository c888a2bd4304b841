//! DEBUG: what tests of clients use to make a server sleep, keep what has
//! expired, tell whether data are equal, or answer a value of each type.
//! Refused unless `enable-debug-command` permits it.
//!
//! It has no subcommands for the table: an unknown one is the handler's affair.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;

use crate::db::{Database, Db, Digest, Encoding, Handle, value};
use crate::error::{Error, Result};
use crate::rdb::{self, Reader, Writer};
use crate::resp::Reply;
use crate::server::Server;
use crate::table::vocabulary::{ADMIN, SERVER};
use crate::table::{Args, Context, Flags, Handler, Row};
use crate::text::glob;
use crate::text::long_double::LongDouble;
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "debug", arity: -2, flags: ADMIN.union(Flags::PROTECTED).union(Flags::SYSTEM),
        since: "1.0.0", complexity: "Depends on subcommand.",
        summary: "Reaches behind the scenes, for tests of the server.",
        handler: Handler::Session(debug),
        ..SERVER
    },
];

fn debug(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let name = args.next()?;
    let unknown = args.wrong_subcommand();
    match (name.to_ascii_lowercase().as_slice(), args.remaining()) {
        (b"digest", 0) => return digest(context, reply),
        (b"digest-value", _) => return digest_value(context, args, reply),
        (b"htstats", 1..) => return htstats(context, args, reply),
        (b"htstats-key", 1..) => return htstats_key(context, args, reply),
        (b"listpack", 1) => return listpack(context, args, reply),
        (b"object", 1 | 2) => return object(context, args, reply),
        (b"protocol", 1) => return protocol(args, reply),
        (b"populate", 1..=3) => populate(context, args)?,
        (b"reload", _) => reload(context, args)?,
        (b"loadaof", _) => return Err(Error::NO_AOF_TO_LOAD),
        (b"error", 1) => return Err(Error::quoting("", args.next()?, "")),
        (b"help", 0) => {
            reply.array(HELP.len());
            HELP.iter().for_each(|line| reply.simple(line));
            return Ok(());
        }
        (b"stringmatch-len" | b"stringmatch-test", 0) => {
            try_patterns();
            reply.simple("Apparently Redis did not crash: test passed");
            return Ok(());
        }
        (b"sleep", 1) => sleep(context, args)?,
        (b"set-active-expire", 1) => {
            let on = number::leading(args.next()?) != 0;
            context.server.active_expire.store(on, Relaxed);
            context.turn.wake_upkeep();
        }
        (b"log", 1) => {
            let message = args.next()?;
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(message));
        }
        // Nothing follows from these here; that they are asked for rightly is checked.
        (b"quicklist-packed-threshold", 1) => {
            const HIGHEST: u64 = (4 << 30) - (1 << 20);
            let bytes = number::parse_memory(args.next()?).filter(|bytes| *bytes <= HIGHEST);
            bytes.ok_or(Error::PACKED_THRESHOLD)?;
        }
        (b"replybuffer", 2) if args.keyword("peak-reset-time") => {
            if !args.keyword("never") && !args.keyword("reset") {
                args.int()?;
            }
        }
        (b"replybuffer", 2) if args.keyword("resizing") => {}
        (b"change-repl-id", 0) | (b"dict-resizing", 1) => {}
        _ => return Err(unknown),
    }
    reply.ok();
    Ok(())
}

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Does nothing: there are no replicas that would know another.",
    "DICT-RESIZING <0|1>",
    "    Does nothing: tables grow and shrink in small steps.",
    "DIGEST",
    "    A digest of all keys and values, with the digits that Redis has for the same data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    The same of what each key holds.",
    "ERROR <text>",
    "    Answers an error with this text.",
    "HTSTATS <db>",
    "    How many keys a database has, and how many of them expire.",
    "HTSTATS-KEY <key>",
    "    How many entries the hash table has that holds a value.",
    "LISTPACK <key>",
    "    Writes to the log how much a packed value holds.",
    "LOADAOF",
    "    Answers an error: there is no append-only file.",
    "LOG <message>",
    "    Writes a line to the log.",
    "OBJECT <key>",
    "    Shows how a value is stored.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Sets as many keys, key:0 and so on or <prefix>:0 and so on, that are not there yet.",
    "PROTOCOL <type>",
    "    Answers a value of this type: string, integer, double, bignum, null, array, set, map,",
    "    attrib, push, verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <bytes>",
    "    Does nothing: elements of any size are packed.",
    "RELOAD [MERGE] [NOFLUSH]",
    "    Writes every value as a snapshot would have it, and reads it back. With NOSAVE it answers",
    "    an error: there is no snapshot.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|milliseconds>",
    "REPLYBUFFER RESIZING <0|1>",
    "    Do nothing: buffers follow what is written.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys that have expired are removed before anybody asks for them.",
    "SLEEP <seconds>",
    "    Stops everything for a time, which may have decimals.",
    "STRINGMATCH-LEN",
    "STRINGMATCH-TEST",
    "    Matches patterns that are made up with texts that are.",
    "HELP",
    "    Prints this help.",
];

/// The entry of a key, which is not used by being shown.
fn peek(db: &mut Db<'_>, key: &[u8]) -> Result<Handle> {
    db.peek(key).ok_or(Error::NO_SUCH_KEY)
}

fn digest(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let databases = &context.turn.state().keyspace.databases;
    reply.simple(digest_of_all(databases).to_string());
    Ok(())
}

/// Of all keys and what they hold, those included that have expired and are not
/// removed yet.
fn digest_of_all(databases: &[Database]) -> Digest {
    let mut all = Digest::default();
    for (number, database) in (0u32..).zip(databases) {
        if database.is_empty() {
            continue;
        }
        all.append(&number.to_be_bytes());
        for handle in database.iter() {
            let mut one = Digest::default();
            one.append(database.key(handle));
            digest_value_into(&mut one, database, handle);
            all.add_digest(one);
        }
    }
    all
}

/// Of what one key holds. Of its expiry Redis tells only that there is one.
fn digest_value_into(digest: &mut Digest, database: &Database, handle: Handle) {
    database.value(handle).digest(digest);
    if database.expires_at(handle).is_some() {
        digest.add(b"!!expire!!");
    }
}

/// Of keys that are not there, the digest of nothing. One that has expired and was not removed
/// yet counts as there.
fn digest_value(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let db = context.db();
    let database = db.database();
    let keys = args.rest();
    reply.array(keys.len());
    for key in keys {
        let found = database.find(key);
        let mut digest = Digest::default();
        if let Some(handle) = found {
            digest_value_into(&mut digest, database, handle);
        }
        reply.simple(digest.to_string());
    }
    Ok(())
}

/// How many keys there are, in the words in which Redis tells of its hash tables. Ours have no
/// chains to tell of.
fn htstats(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let number = usize::try_from(args.int()?).map_err(|_| Error::NO_DATABASE)?;
    let databases = &context.turn.state().keyspace.databases;
    let database = databases.get(number).ok_or(Error::NO_DATABASE)?;
    let text = format!(
        "[Dictionary HT]\n{}[Expires HT]\n{}",
        table_stats(database.len()),
        table_stats(database.expiring())
    );
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn htstats_key(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut db = context.db();
    let handle = peek(&mut db, args.next()?)?;
    let len = db.database().value(handle).table_len();
    let text = table_stats(len.ok_or(Error::NO_HASH_TABLE)?);
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn table_stats(len: usize) -> String {
    let stats = match len {
        0 => "No stats available for empty dictionaries\n".to_owned(),
        len => format!(" number of elements: {len}\n"),
    };
    format!("Hash table 0 stats (main hash table):\n{stats}")
}

/// Sets keys that are not there yet: `key:0` holds `value:0`, with NULs behind
/// it up to a size.
fn populate(context: &mut Context<'_>, mut args: Args<'_>) -> Result<()> {
    let count = args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)?;
    let prefix = args.next_if_any().unwrap_or(b"key");
    let mut db = context.db();
    let longest = db.limits().string as i64;
    let size = match args.remaining() {
        0 => None,
        _ => Some(args.int_in(0..=longest, Error::NOT_POSITIVE)? as usize),
    };
    for n in 0..count {
        let mut digits = itoa::Buffer::new();
        let n = digits.format(n).as_bytes();
        let key = [prefix, b":", n].concat();
        if db.lookup(&key).is_some() {
            continue;
        }
        let mut value = [b"value:", n].concat();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        let put = db.put(&key, Bytes::from(value).into(), Encoding::Natural, None);
        put.map_err(|_| Error::OUT_OF_MEMORY)?;
    }
    Ok(())
}

/// Matches made-up patterns with made-up texts, as many as take some
/// milliseconds.
fn try_patterns() {
    const TRIALS: usize = 20_000;
    let mut rng = fastrand::Rng::with_seed(0);
    let mut make_up = |letters: &[u8]| -> Vec<u8> {
        let len = rng.usize(..32);
        (0..len)
            .map(|_| letters[rng.usize(..letters.len())])
            .collect()
    };
    for _ in 0..TRIALS {
        let (pattern, text) = (make_up(b"ab*?[]^-\\"), make_up(b"ab-\\"));
        std::hint::black_box(glob::matches(&pattern, &text, false));
    }
}

/// Redis prints to standard output, which may be an embedder's here.
fn listpack(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut db = context.db();
    let handle = peek(&mut db, args.next()?)?;
    let value = db.database().value(handle);
    if value.encoding_name() != "listpack" {
        return Err(Error::NO_LISTPACK);
    }
    let kind = value.kind().name;
    let bytes = db.database().memory(handle);
    tracing::info!("DEBUG LISTPACK: a {kind} of {bytes} bytes, its key included");
    reply.simple("Listpack structure written to the log");
    Ok(())
}

/// Writes every value as a snapshot would have it, and reads it back. There is
/// no snapshot that could be loaded instead.
fn reload(context: &mut Context<'_>, mut args: Args<'_>) -> Result<()> {
    let mut saves = true;
    while args.remaining() > 0 {
        if args.keyword("nosave") {
            saves = false;
        } else if !args.keyword("merge") && !args.keyword("noflush") {
            return Err(Error::RELOAD_OPTION);
        }
    }
    if !saves {
        return Err(Error::NOTHING_TO_RELOAD);
    }
    let mut db = context.db();
    let limits = *db.limits();
    for index in 0..db.database_count() {
        db.select(index).reload(|value| {
            let mut output = Writer::default();
            value.serialize(&mut output);
            let payload = output.seal();
            let serialized = rdb::open(&payload).ok_or(Error::PAYLOAD)?;
            let mut input = Reader::new(serialized, limits.string);
            value::read(&mut input, &limits).map_err(|_| Error::DATA_FORMAT)
        })?;
    }
    Ok(())
}

/// A value of each type that the protocol has.
#[expect(
    clippy::approx_constant,
    reason = "Redis answers these digits, not those of pi"
)]
fn protocol(mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let numbers = 0..3;
    match args.next()?.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            numbers.for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            numbers.for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in numbers {
                reply.int(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.attributes(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(Error::NO_RESP2);
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            // A push is no reply, and one is due.
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => return Err(Error::NO_PROTOCOL_TYPE),
    }
    Ok(())
}

/// Sleeps with the keyspace locked, so that nobody gets anything done, as in Redis. It stands for
/// work, so it takes the machine's time.
fn sleep(context: &mut Context<'_>, mut args: Args<'_>) -> Result<()> {
    // As with `strtod` of C, what is no number is 0.
    let seconds = LongDouble::parse(args.next()?).unwrap_or(LongDouble::ZERO);
    const LONGEST_MS: i64 = 86_400_000;
    let millis = seconds.to_millis_rounded_up().clamp(0, LONGEST_MS);
    // Whoever waits for the lock has not begun to sleep.
    context.turn.state();
    let end = context.server.clock.machine() + Duration::from_millis(millis as u64);
    while !sleep_on(context.server, end) {}
    Ok(())
}

/// Sleeps a little, at most until `end`; answers whether to wake up. A broker
/// that is to end does not wait for a sleeper.
fn sleep_on(server: &Server, end: Duration) -> bool {
    const NAP: Duration = Duration::from_millis(50);
    let left = end.saturating_sub(server.clock.machine());
    server.clock.sleep_thread(left.min(NAP));
    left <= NAP || server.over.is_cancelled()
}

fn object(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut db = context.db();
    let handle = peek(&mut db, args.next()?)?;
    let value = db.database().value(handle);
    let mut serialized = Writer::default();
    value.serialize(&mut serialized);
    // Values have no address that would mean something, and one owner.
    reply.simple(format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        value.encoding_name(),
        // Redis leaves out the byte that tells the type.
        serialized.written() - 1,
        db.database().accessed(handle),
        db.idle(handle).unwrap_or_default().as_secs(),
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalClient;
    use crate::config::{Config, DebugCommand};
    use crate::engine::{Engine, Turn};
    use crate::testing::{client, engine};

    #[test]
    fn it_is_refused_unless_a_setting_permits_it() {
        let engine = engine();
        let mut client = client(&engine);
        let refused = client.run(b"DEBUG SLEEP 0\r\nMULTI\r\nDEBUG SLEEP 0\r\nEXEC\r\n");
        let refused = String::from_utf8(refused).expect("text");
        let replies: Vec<_> = refused.lines().collect();
        assert!(
            replies[0].starts_with("-ERR DEBUG command not allowed."),
            "{refused}"
        );
        assert_eq!(replies[2], replies[0]);
        assert!(replies[3].starts_with("-EXECABORT "), "{refused}");
        permit(&engine);
        assert_eq!(client.line("DEBUG SLEEP 0"), "+OK");
    }

    fn permit(engine: &Engine) {
        let config = Config {
            enable_debug_command: DebugCommand::Local,
            ..engine.server.config().clone()
        };
        Turn::new(engine).apply(config);
    }

    /// A client that may use DEBUG.
    fn permitted() -> LocalClient {
        let engine = engine();
        permit(&engine);
        client(&engine)
    }

    #[test]
    fn what_the_help_tells_of_is_known() {
        let mut client = permitted();
        let lines = HELP[1..].iter().filter(|line| !line.starts_with(' '));
        for line in lines {
            // Options are left out, and any value is a number.
            let words = line.split(" [").next().expect("a first part").split(' ');
            let words: Vec<_> = words
                .map(|word| if word.starts_with('<') { "0" } else { word })
                .collect();
            let reply = client.line(&format!("DEBUG {}", words.join(" ")));
            assert!(!reply.contains("unknown subcommand"), "{line}: {reply}");
        }
    }

    #[test]
    fn what_cannot_be_loaded_says_what_is_missing() {
        let mut client = permitted();
        let (reload, load) = (Error::NOTHING_TO_RELOAD, Error::NO_AOF_TO_LOAD);
        for line in ["DEBUG RELOAD NOSAVE", "DEBUG RELOAD nosave NOFLUSH MERGE"] {
            assert_eq!(client.line(line), format!("-{reload}"));
        }
        assert_eq!(client.line("DEBUG LOADAOF"), format!("-{load}"));
    }
}
