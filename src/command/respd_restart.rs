//! RESPD RESTART: the whole broker goes and comes back.
//!
//! Every connection is cut but the one that asks. That one has its answer when
//! the broker serves again, and is closed then: a client library that sends again
//! what was not answered would have it go again and again.

use super::respd_clock::millis;
use crate::error::{Error, Result};
use crate::lab::faults::Faults;
use crate::lab::restarts::{Data, Restart};
use crate::resp::{Output, Protocol, Reply};
use crate::session::Ending;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Context, Flags, Handler, Row};

/// RESPD RESTART
#[rustfmt::skip]
pub const RESTART: Row = Row {
    name: "restart", arity: -2,
    // A script that runs for ever is a reason to.
    flags: FOR_TESTS.flags.union(Flags::NO_DATA).union(Flags::ALLOW_BUSY),
    usage: "[data(KEEP | LOSE)] [AFTER milliseconds:integer]",
    complexity: "O(N) where N is the number of clients, and of keys that are lost",
    summary: "Has the broker go and come back, with its data or without, at once or after a time.",
    handler: Handler::Session(respd_restart),
    ..FOR_TESTS
};

fn respd_restart(context: &mut Context<'_>, mut args: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    let data = match args.keyword("LOSE") {
        true => Data::Lose,
        false => {
            args.keyword("KEEP");
            Data::Keep
        }
    };
    let after = match args.keyword("AFTER") {
        true => millis(&mut args, Error::TIMEOUT_OUT_OF_RANGE)?,
        false => Default::default(),
    };
    args.end()?;
    // Nobody who is connected now is so then.
    if context.server.faults().is_some_and(Faults::keeps_all_out) {
        return Err(Error::LOCKED_OUT);
    }
    context.session.restart = Some(Box::new(Restart { data, after }));
    context.session.ending = Some(Ending::AfterReplies);
    Ok(())
}

/// What who has asked is answered when the broker is back, or cannot be.
pub fn answer(result: std::result::Result<(), String>, protocol: Protocol) -> Vec<u8> {
    let mut output = Output::default();
    let mut reply = Reply::new(&mut output, protocol);
    match result {
        Ok(()) => reply.ok(),
        Err(why) => reply.error(&Error::new(format!("ERR the broker is not back: {why}"))),
    }
    output.into_vec()
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::testing::{client, engine_for_tests};

    #[test]
    fn what_is_wrong_is_told() {
        let mut client = client(&engine_for_tests());
        for (line, expected) in [
            ("RESPD RESTART SOON", "-ERR syntax error"),
            ("RESPD RESTART KEEP LOSE", "-ERR syntax error"),
            ("RESPD RESTART AFTER", "-ERR syntax error"),
            (
                "RESPD RESTART LOSE AFTER -1",
                "-ERR timeout is out of range",
            ),
            ("PING", "+PONG"),
        ] {
            assert_eq!(client.line(line), expected, "{line}");
        }
    }

    #[test]
    fn nobody_is_kept_out_for_good() {
        let engine = engine_for_tests();
        let faults = engine.server.faults().unwrap();
        let mut client = client(&engine);
        for (fault, keeps_out) in [
            ("REFUSE", true),
            ("REFUSE EVERY 1", true),
            ("HANG CHANCE 100", true),
            ("STALL USER default DB 0", true),
            ("REFUSE TIMES 3", false),
            ("REFUSE EVERY 2", false),
            ("HANG CHANCE 99", false),
            ("HANG NAME worker", false),
            ("STALL DB 1", false),
            ("TRICKLE", false),
        ] {
            client.line(&format!("RESPD FAULT ADD {fault}"));
            assert_eq!(faults.keeps_all_out(), keeps_out, "{fault}");
            if keeps_out {
                let refused = client.line("RESPD RESTART LOSE");
                assert_eq!(refused, format!("-{}", Error::LOCKED_OUT), "{fault}");
                assert_eq!(client.line("PING"), "+PONG");
            }
            assert_eq!(client.line("RESPD FAULT CLEAR"), "+OK");
        }
    }
}
