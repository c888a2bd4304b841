//! MODULE: there are no modules, and none can be loaded.

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{CONTAINER, SERVER};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row};

/// Asks about modules, or for one.
const MODULES: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_DATA);
/// Asks for one.
const LOAD: Row = Row {
    flags: MODULES
        .union(Flags::NO_ASYNC_LOADING)
        .union(Flags::PROTECTED),
    // As of a Redis with `enable-module-command no`, which is all that can be set.
    handler: Handler::Forbidden(|| Error::MODULE_NOT_ALLOWED),
    ..SERVER
};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "module", group: Group::Server, since: "4.0.0",
        summary: "Asks about modules, of which there are none.",
        subcommands: &[
            Row {
                name: "list", arity: 2, flags: MODULES, tips: &["nondeterministic_output_order"],
                since: "4.0.0", summary: "The modules that are loaded.",
                handler: Handler::Session(list),
                ..SERVER
            },
            Row {
                name: "load", arity: -3, usage: "path [arg...]", since: "4.0.0",
                summary: "Loads a module, if that is allowed.",
                ..LOAD
            },
            Row {
                name: "loadex", arity: -3,
                usage: "path [CONFIG configs(name value)...+] [ARGS args(arg)...]",
                since: "7.0.0", summary: "Loads a module with settings, if that is allowed.",
                ..LOAD
            },
            Row {
                name: "unload", arity: 3, usage: "name", since: "4.0.0",
                summary: "Unloads a module, if that is allowed.",
                ..LOAD
            },
            Row { since: "5.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn list(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.array(0);
    Ok(())
}
