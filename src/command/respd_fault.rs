//! RESPD FAULT: what is to go wrong.

use super::respd_clock::millis;
use crate::error::{Error, Result};
use crate::lab::faults::{Action, Fault, Late, When};
use crate::lab::scope::{Named, Scope};
use crate::resp::Reply;
use crate::session::ClientFlags;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Command, Context, Flags, Handler, Row, Table};

/// RESPD FAULT
#[rustfmt::skip]
pub const FAULT: Row = Row {
    name: "fault", arity: -3, flags: FOR_TESTS.flags.union(Flags::NO_DATA),
    usage: "operation(ADD data(\
        action(ERROR text | DELAY milliseconds:integer | DROP place(BEFORE|AFTER|MIDDLE) | REFUSE | HANG | STALL | \
        TRICKLE | LOSE | DUPLICATE | REORDER) \
        [COMMAND command] [KEY key:pattern] [CHANNEL channel:pattern] [NAME client-name:pattern] [ID client-id:integer] \
        [USER username] [LIBRARY libname:pattern] [DB index:integer] \
        [when(NTH nth:integer | EVERY every:integer | TIMES times:integer | CHANCE chance(percent:integer [SEED seed:integer]))]\
        ) | LIST | REMOVE fault:integer | CLEAR)",
    complexity: "O(N) where N is the number of faults or of clients",
    summary: "Has something go wrong for some commands, keys, channels or clients, and answers the number of the fault; lists faults, or removes them.",
    handler: Handler::Table(fault),
    ..FOR_TESTS
};

fn fault(
    context: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    // No fault of connections is to keep it from removing one.
    context.set_flag(ClientFlags::TESTER, true);
    let server = context.server;
    let operation = args.next()?.to_ascii_lowercase();
    match (&*operation, args.remaining()) {
        (b"add", 1..) => {
            let fault = parse(context, table, &mut args)?;
            reply.int(server.add_fault(fault)? as i64);
        }
        (b"list", 0) => list(context, reply),
        (b"remove", 1) => {
            let number = args.int()?;
            let is_meant = |id| i64::try_from(id) == Ok(number);
            if server.remove_faults(is_meant) == 0 {
                return Err(Error::NO_FAULT);
            }
            reply.ok();
        }
        (b"clear", 0) => {
            server.remove_faults(|_| true);
            reply.ok();
        }
        _ => return Err(args.wrong_subcommand()),
    }
    Ok(())
}

fn list(context: &Context<'_>, reply: &mut Reply<'_>) {
    let faults = context.server.faults();
    let reports = faults.map(|faults| faults.reports()).unwrap_or_default();
    reply.array(reports.len());
    for report in reports {
        reply.map(4);
        reply.bulk(b"id");
        reply.int(report.id as i64);
        reply.bulk(b"fault");
        reply.bulk(report.fault.as_bytes());
        reply.bulk(b"matches");
        reply.int(report.matches as i64);
        reply.bulk(b"hits");
        reply.int(report.hits as i64);
    }
}

fn parse(context: &Context<'_>, table: &'static Table, args: &mut Args<'_>) -> Result<Fault> {
    let action = action(args)?;
    let (mut scope, mut when) = (Scope::default(), None);
    while args.remaining() > 0 {
        if narrow(&mut scope, context, table, args)? {
            continue;
        }
        match &*args.next()?.to_ascii_lowercase() {
            b"nth" => once(&mut when, When::Nth(positive(args, Error::NOT_POSITIVE)?))?,
            b"every" => once(&mut when, When::Every(positive(args, Error::NOT_POSITIVE)?))?,
            b"times" => once(&mut when, When::Times(positive(args, Error::NOT_POSITIVE)?))?,
            b"chance" => once(&mut when, chance(context, args)?)?,
            _ => return Err(Error::FAULT_LIMIT),
        }
    }
    // This command is what removes it.
    let own = table.lookup(args.argv()).ok();
    let meets = |named: &Named, own: &Command| named.id == own.id || own.parent == Some(named.id);
    if scope
        .command
        .as_ref()
        .zip(own)
        .is_some_and(|(named, own)| meets(named, own))
    {
        return Err(Error::FAULT_OF_FAULTS);
    }
    Ok(Fault {
        action,
        scope,
        when: when.unwrap_or_default(),
    })
}

/// Takes a word of a scope and what it names; answers false if the next word is
/// none of a scope.
pub fn narrow(
    scope: &mut Scope,
    context: &Context<'_>,
    table: &Table,
    args: &mut Args<'_>,
) -> Result<bool> {
    let mut ahead = *args;
    let Some(word) = ahead.next_if_any() else {
        return Ok(false);
    };
    match &*word.to_ascii_lowercase() {
        b"command" => once(&mut scope.command, named(table, ahead.next()?)?)?,
        b"key" => once(&mut scope.key, ahead.next()?.to_vec())?,
        b"channel" => once(&mut scope.channel, ahead.next()?.to_vec())?,
        b"name" => once(&mut scope.name, ahead.next()?.to_vec())?,
        b"id" => once(
            &mut scope.id,
            positive(&mut ahead, Error::CLIENT_ID_NOT_POSITIVE)?,
        )?,
        b"user" => once(&mut scope.user, ahead.next()?.to_vec())?,
        b"library" => once(&mut scope.library, ahead.next()?.to_vec())?,
        b"db" => {
            let last = i64::from(context.server.config().databases) - 1;
            let db = ahead.int_in(0..=last, Error::DB_OUT_OF_RANGE)?;
            once(&mut scope.db, db.unsigned_abs() as usize)?;
        }
        _ => return Ok(false),
    }
    *args = ahead;
    Ok(true)
}

fn action(args: &mut Args<'_>) -> Result<Action> {
    Ok(match &*args.next()?.to_ascii_lowercase() {
        b"error" => Action::error(args.next()?),
        b"delay" => Action::Reply(Late::Delay(millis(args, Error::CLOCK_RANGE)?)),
        b"drop" => match &*args.next()?.to_ascii_lowercase() {
            b"before" => Action::DropBefore,
            b"after" => Action::Reply(Late::Drop),
            b"middle" => Action::Reply(Late::Cut),
            _ => return Err(Error::DROP_PLACE),
        },
        b"refuse" => Action::Refuse,
        b"hang" => Action::Hang,
        b"stall" => Action::Stall,
        b"trickle" => Action::Trickle,
        b"lose" => Action::Lose,
        b"duplicate" => Action::Duplicate,
        b"reorder" => Action::Reorder,
        _ => return Err(Error::NO_FAULT_ACTION),
    })
}

/// Sets what may be said once.
fn once<T>(option: &mut Option<T>, value: T) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::SYNTAX),
    }
}

fn named(table: &Table, name: &[u8]) -> Result<Named> {
    let command = table.find(name).ok_or(Error::INVALID_COMMAND)?;
    Ok(Named {
        id: command.id,
        name: command.full_name.clone(),
    })
}

fn positive(args: &mut Args<'_>, error: Error) -> Result<u64> {
    Ok(args.int_in(1..=i64::MAX, error)?.unsigned_abs())
}

fn chance(context: &Context<'_>, args: &mut Args<'_>) -> Result<When> {
    let percent = args.int_in(0..=100, Error::CHANCE_RANGE)?.unsigned_abs() as u32;
    let seed = match args.keyword("SEED") {
        true => args.int_in(0..=i64::MAX, Error::SEED_RANGE)?.unsigned_abs(),
        // One that can be given again.
        false => context.server.random() >> 1,
    };
    Ok(When::Chance { percent, seed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::faults::{FAULTS_MAX, WORD_MAX};
    use crate::testing::{client, engine_for_tests};

    #[test]
    fn a_fault_is_listed_as_it_was_added() {
        let engine = engine_for_tests();
        let mut client = client(&engine);
        let lines = [
            "ERROR boom COMMAND config|get USER default",
            "DELAY 500 KEY order:* CHANNEL n?ws NAME w ID 7 LIBRARY py DB 15 NTH 3",
            "DROP BEFORE EVERY 2",
            "DROP AFTER TIMES 4",
            "DROP MIDDLE CHANCE 50 SEED 9",
            "REFUSE",
            "HANG NAME w",
            "STALL ID 3",
            "TRICKLE DB 0",
            "LOSE CHANNEL c NAME w",
            "DUPLICATE",
            "REORDER",
        ];
        for (line, id) in lines.iter().zip(1..) {
            let reply = client.line(&format!("RESPD FAULT ADD {}", line.to_lowercase()));
            assert_eq!(reply, format!(":{id}"), "{line}");
        }
        let faults = engine.server.faults().unwrap().reports();
        let faults: Vec<_> = faults.iter().map(|one| &*one.fault).collect();
        assert_eq!(faults, lines);
        let listed = client.line("RESPD FAULT LIST");
        let first = "*12\r\n*8\r\n$2\r\nid\r\n:1\r\n$5\r\nfault\r\n";
        assert!(listed.starts_with(first), "{listed}");
        assert_eq!(client.line("RESPD FAULT REMOVE 2"), "+OK");
        assert_eq!(client.line("RESPD FAULT REMOVE 2"), "-ERR no such fault");
        assert_eq!(client.line("RESPD FAULT CLEAR"), "+OK");
        assert_eq!(client.line("RESPD FAULT LIST"), "*0");
        assert_eq!(client.line("RESPD FAULT ADD REFUSE"), ":13");
    }

    #[test]
    fn what_can_be_no_fault_is_refused() {
        let mut client = client(&engine_for_tests());
        let long = "x".repeat(WORD_MAX + 1);
        let usage =
            "-ERR unknown subcommand or wrong number of arguments for 'FAULT'. Try RESPD HELP.";
        for (line, reply) in [
            ("ADD", usage),
            ("SUBTRACT REFUSE", usage),
            ("LIST 1", usage),
            ("REMOVE", usage),
            ("CLEAR 1", usage),
            ("REMOVE one", "-ERR value is not an integer or out of range"),
            ("REMOVE -1", "-ERR no such fault"),
            ("ADD RAIN", &format!("-{}", Error::NO_FAULT_ACTION)),
            ("ADD ERROR", "-ERR syntax error"),
            ("ADD ERROR boom NTH", "-ERR syntax error"),
            ("ADD ERROR boom SOON", &format!("-{}", Error::FAULT_LIMIT)),
            ("ADD ERROR boom KEY a KEY b", "-ERR syntax error"),
            ("ADD ERROR boom NTH 1 TIMES 2", "-ERR syntax error"),
            (
                "ADD ERROR boom COMMAND flurp",
                "-ERR Invalid command specified",
            ),
            (
                "ADD ERROR boom COMMAND RESPD",
                &format!("-{}", Error::FAULT_OF_FAULTS),
            ),
            (
                "ADD DROP AFTER COMMAND respd|fault TIMES 2",
                &format!("-{}", Error::FAULT_OF_FAULTS),
            ),
            ("ADD ERROR boom DB 16", "-ERR DB index is out of range"),
            (
                "ADD ERROR boom ID 0",
                "-ERR client-id should be greater than 0",
            ),
            (
                "ADD ERROR boom NTH 0",
                "-ERR value is out of range, must be positive",
            ),
            (
                "ADD ERROR boom CHANCE 101",
                "-ERR a chance is a percentage from 0 to 100",
            ),
            (
                "ADD ERROR boom CHANCE 1 SEED -1",
                &format!("-{}", Error::SEED_RANGE),
            ),
            ("ADD DELAY -1", &format!("-{}", Error::CLOCK_RANGE)),
            ("ADD DROP", "-ERR syntax error"),
            ("ADD DROP OFF", "-ERR DROP takes BEFORE, AFTER or MIDDLE"),
            ("ADD REFUSE NAME w", "-ERR the fault REFUSE takes no NAME"),
            (
                "ADD HANG COMMAND get",
                "-ERR the fault HANG takes no COMMAND",
            ),
            ("ADD LOSE KEY k", "-ERR the fault LOSE takes no KEY"),
            (
                &format!("ADD ERROR {long}"),
                &format!("-{}", Error::FAULT_WORD),
            ),
            (
                &format!("ADD LOSE CHANNEL {long}"),
                &format!("-{}", Error::FAULT_WORD),
            ),
        ] {
            assert_eq!(
                client.line(&format!("RESPD FAULT {line}")),
                reply,
                "{line:.40}"
            );
        }
        assert_eq!(client.line("RESPD FAULT LIST"), "*0");
        for id in 1..=FAULTS_MAX {
            assert_eq!(client.line("RESPD FAULT ADD REFUSE"), format!(":{id}"));
        }
        let refused = format!("-{}", Error::TOO_MANY_FAULTS);
        assert_eq!(client.line("RESPD FAULT ADD REFUSE"), refused);
    }
}
