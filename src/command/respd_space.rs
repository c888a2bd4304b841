//! RESPD SPACE: one broker serves many tests at once, each with a broker of its
//! own in the same process.

use crate::error::{Error, Result};
use crate::lab::spaces::Space;
use crate::resp::Reply;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Context, Flags, Handler, Row};

/// RESPD SPACE
#[rustfmt::skip]
pub const SPACE: Row = Row {
    name: "space", arity: -3,
    // To start a broker takes a while, and nothing of the data.
    flags: FOR_TESTS.flags.union(Flags::NO_DATA),
    usage: "action(NEW | DROP space:integer | LIST)",
    complexity: "O(N) where N is the number of spaces",
    summary: "Starts a broker beside this one that ends with the connection, or ends one, or lists them.",
    handler: Handler::Session(respd_space),
    ..FOR_TESTS
};

fn respd_space(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let unknown = args.wrong_subcommand();
    let lab = context.server.lab.as_ref().ok_or(Error::NOT_FOR_TESTS)?;
    let action = args.next()?.to_ascii_lowercase();
    match (&*action, args.remaining()) {
        (b"new", 0) => write(&lab.spaces.add(context.session.client.id)?, reply),
        (b"drop", 1) => {
            let id = u64::try_from(args.int()?).map_err(|_| Error::NO_SPACE)?;
            match lab.spaces.end(id) {
                true => reply.ok(),
                false => return Err(Error::NO_SPACE),
            }
        }
        (b"list", 0) => {
            let spaces = lab.spaces.list();
            reply.array(spaces.len());
            spaces.iter().for_each(|space| write(space, reply));
        }
        _ => return Err(unknown),
    }
    Ok(())
}

fn write(space: &Space, reply: &mut Reply<'_>) {
    reply.map(4);
    reply.bulk(b"id");
    reply.int(space.id as i64);
    reply.bulk(b"host");
    reply.bulk(space.address.ip().to_string().as_bytes());
    reply.bulk(b"port");
    reply.int(space.address.port().into());
    reply.bulk(b"url");
    reply.bulk(space.url.as_bytes());
}

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine_for_tests};

    #[test]
    fn what_is_wrong_is_told() {
        let mut client = client(&engine_for_tests());
        for (line, expected) in [
            // Nobody has handed down how to start one.
            ("RESPD SPACE NEW", "-ERR A space has no spaces of its own"),
            ("RESPD SPACE LIST", "*0"),
            ("RESPD SPACE DROP 1", "-ERR no such space"),
            ("RESPD SPACE DROP -1", "-ERR no such space"),
            (
                "RESPD SPACE DROP x",
                "-ERR value is not an integer or out of range",
            ),
            (
                "RESPD SPACE",
                "-ERR wrong number of arguments for 'respd|space' command",
            ),
            (
                "RESPD SPACE NEW 2",
                "-ERR unknown subcommand or wrong number of arguments for 'SPACE'. Try RESPD HELP.",
            ),
        ] {
            assert_eq!(client.line(line), expected, "{line}");
        }
    }
}
