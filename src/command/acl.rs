//! ACL: what it answers of the one user that there is.

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{CONTAINER, SERVER, SESSION};
use crate::table::{Acl, Args, Context, Flags, Group, HELP, Handler, Row, Table};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "acl", group: Group::Server, since: "6.0.0",
        summary: "Asks who may do what.",
        subcommands: &[
            Row {
                name: "cat", arity: -2, flags: SESSION.union(Flags::NO_DATA), usage: "[categoryname]",
                since: "6.0.0", complexity: "O(N) where N is the number of commands",
                summary: "The categories of commands, or the commands of one.",
                handler: Handler::Table(cat),
                ..SERVER
            },
            Row {
                name: "users", arity: 2, flags: SESSION.union(Flags::ADMIN).union(Flags::NO_DATA),
                since: "6.0.0", summary: "The names of the users.",
                handler: Handler::Session(users),
                ..SERVER
            },
            Row {
                name: "whoami", arity: 2, flags: SESSION.union(Flags::NO_DATA), since: "6.0.0",
                summary: "The user of this connection.", handler: Handler::Session(whoami),
                ..SERVER
            },
            Row { since: "6.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

/// So much of a category that there is not is told.
const CATEGORY_SHOWN: usize = 128;
/// The only user.
const USER: &[u8] = b"default";

fn cat(
    _: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() == 0 {
        reply.array(Acl::all().iter_names().count());
        for (name, _) in Acl::all().iter_names() {
            reply.bulk(name.to_ascii_lowercase().as_bytes());
        }
        return Ok(());
    }
    let word = args.argv().get(1).unwrap_or_default();
    let name = args.next()?;
    if args.remaining() > 0 {
        return Err(Error::subcommand_syntax("acl", word));
    }
    let category = Acl::named(name);
    if category.is_empty() {
        let shown = &name[..name.len().min(CATEGORY_SHOWN)];
        return Err(Error::quoting("ERR Unknown category '", shown, "'"));
    }
    let commands = table.commands().iter();
    let commands = commands.filter(|command| command.row.categories().intersects(category));
    reply.array(commands.clone().count());
    for command in commands {
        reply.bulk(command.full_name.as_bytes());
    }
    Ok(())
}

fn users(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.array(1);
    reply.bulk(USER);
    Ok(())
}

fn whoami(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.bulk(USER);
    Ok(())
}
