//! One command as COMMAND DOCS answers it, in the shapes of Redis 7.2 in both
//! protocols. The summaries are our own words.

use super::flags::Flags;
use super::info::{write_names, write_text};
use super::row::{Command, Row, Table};
use super::usage::{self, Argument};
use crate::resp::Reply;

/// Commands by name, as COMMAND DOCS answers them.
pub fn write_named_docs<'t>(
    reply: &mut Reply<'_>,
    table: &'t Table,
    commands: impl Iterator<Item = &'t Command>,
) {
    let commands: Vec<_> = commands.collect();
    reply.map(commands.len());
    for command in commands {
        reply.bulk(command.full_name.as_bytes());
        write_docs(reply, table, command);
    }
}

/// One command as COMMAND DOCS answers it.
pub fn write_docs(reply: &mut Reply<'_>, table: &Table, command: &Command) {
    let row = &command.row;
    let arguments = arguments(row);
    let system = row.flags.contains(Flags::SYSTEM);
    let deprecated = row.deprecated.is_some();
    let optional = [
        !row.complexity.is_empty(),
        deprecated || system,
        deprecated, // since when
        deprecated, // replaced by what
        !row.history.is_empty(),
        !arguments.is_empty(),
        command.has_subcommands(),
    ];
    reply.map(3 + optional.iter().filter(|&&there| there).count());
    write_text(reply, "summary", row.summary);
    write_text(reply, "since", row.since);
    write_text(reply, "group", row.group.name());
    if !row.complexity.is_empty() {
        write_text(reply, "complexity", row.complexity);
    }
    if deprecated || system {
        reply.bulk(b"doc_flags");
        write_names(
            reply,
            &[(deprecated, "deprecated"), (system, "syscmd")],
            |there| there,
        );
    }
    if let Some((since, replacement)) = row.deprecated {
        write_text(reply, "deprecated_since", since);
        write_text(reply, "replaced_by", replacement);
    }
    if !row.history.is_empty() {
        reply.bulk(b"history");
        reply.set(row.history.len());
        for (since, change) in row.history {
            reply.array(2);
            reply.bulk(since.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments);
    }
    if command.has_subcommands() {
        reply.bulk(b"subcommands");
        write_named_docs(reply, table, table.subcommands(command));
    }
}

/// The arguments that the row declares.
pub fn arguments(row: &Row) -> Vec<Argument> {
    usage::parse(row.usage, row.keys.len()).expect("a test parses the usage of every row")
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let inner = argument.kind.arguments();
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flagged = flags.iter().any(|(there, _)| *there);
        let optional = [
            argument.key_spec.is_some(),
            argument.token.is_some(),
            argument.since.is_some(),
            argument.deprecated.is_some(),
            flagged,
        ];
        // Name and type, and either a text to show or the arguments inside.
        reply.map(3 + optional.iter().filter(|&&there| there).count());
        write_text(reply, "name", &argument.name);
        write_text(reply, "type", argument.kind.name());
        if inner.is_none() {
            write_text(reply, "display_text", &argument.display);
        }
        if let Some(index) = argument.key_spec {
            reply.bulk(b"key_spec_index");
            reply.len(index);
        }
        for (name, value) in [
            ("token", argument.token),
            ("since", argument.since),
            ("deprecated_since", argument.deprecated),
        ] {
            if let Some(value) = value {
                write_text(reply, name, value);
            }
        }
        if flagged {
            reply.bulk(b"flags");
            write_names(reply, &flags, |there| there);
        }
        if let Some(inner) = inner {
            reply.bulk(b"arguments");
            write_arguments(reply, inner);
        }
    }
}
