//! HELP of a container: derived from the rows of its subcommands. The shape is
//! Redis's, the words are our own.

use super::args::Args;
use super::context::Context;
use super::docs::arguments;
use super::flags::Group;
use super::row::{Command, Handler, Row, Table};
use super::usage;
use super::vocabulary::ANYTIME;
use crate::error::{Error, Result};
use crate::resp::Reply;

/// The HELP of a container. The container's row adds its group and version.
pub const HELP: Row = Row {
    name: "help",
    arity: 2,
    flags: ANYTIME,
    summary: "Lists the subcommands.",
    handler: Handler::Table(help),
    ..Row::of(Group::Server)
};

/// HELP of any container: the request's first word says which.
fn help(
    _: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let name = args.argv().get(0).unwrap_or_default();
    let container = table.find(name).ok_or(Error::SYNTAX)?;
    let lines = lines(table, container);
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    Ok(())
}

/// The lines of a container's HELP, in the shape of Redis: the syntax of each
/// subcommand, and under it what it is for.
pub fn lines(table: &Table, container: &Command) -> Vec<String> {
    let name = container.full_name.to_ascii_uppercase();
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    if !matches!(container.row.handler, Handler::Container) {
        lines.push("(no subcommand)".to_owned());
        lines.push(format!("    {}", container.row.summary));
    }
    for row in table.subcommands(container).map(|sub| &sub.row) {
        if row.name == HELP.name {
            continue;
        }
        let syntax = format!(
            "{} {}",
            row.name.to_ascii_uppercase(),
            usage::render(&arguments(row))
        );
        lines.push(syntax.trim_end().to_owned());
        lines.push(format!("    {}", row.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Print this help.".to_owned());
    lines
}
