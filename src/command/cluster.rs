//! CLUSTER and what else nodes of a cluster are asked: this server is none, and
//! says so in the words by which clients tell it from one.

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{ANYTIME, ANYTIME_FAST, CONTAINER};
use crate::table::{Acl, Args, Context, Flags, Group, Handler, Row};

/// A command that only a node of a cluster would obey.
const NODE: Row = Row {
    handler: Handler::Session(refuse),
    ..Row::of(Group::Cluster)
};
/// Asks a node.
const ASK: Flags = Flags::STALE.union(Flags::NO_DATA);
/// Asks a node, and is an administrator's.
const ADMIN_ASK: Flags = ASK.union(Flags::ADMIN);
/// Changes what a node holds or knows.
const CHANGE: Flags = ADMIN_ASK.union(Flags::NO_ASYNC_LOADING);
/// Concerns the client's connection to a node.
const CONNECTED: Flags = ANYTIME_FAST.union(Flags::NO_DATA);
const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "asking", arity: 1, flags: Flags::FAST.union(Flags::NO_DATA), acl: Acl::CONNECTION,
        since: "3.0.0",
        summary: "Says that the next command follows an ASK.",
        ..NODE
    },
    Row {
        name: "readonly", arity: 1, flags: CONNECTED, acl: Acl::CONNECTION, since: "3.0.0",
        summary: "Has a replica in a cluster answer what only reads.",
        ..NODE
    },
    Row {
        name: "readwrite", arity: 1, flags: CONNECTED, acl: Acl::CONNECTION, since: "3.0.0",
        summary: "Ends what READONLY has begun.",
        ..NODE
    },
    Row {
        name: "cluster", group: Group::Cluster, since: "3.0.0",
        summary: "Asks a node of a cluster, which this server is not.",
        subcommands: &[
            Row {
                name: "addslots", arity: -3, flags: CHANGE, usage: "slot:integer...",
                since: "3.0.0", summary: "Gives the node slots.",
                ..NODE
            },
            Row {
                name: "addslotsrange", arity: -4, flags: CHANGE,
                usage: "start-slot_end-slot(start-slot:integer end-slot:integer)...",
                since: "7.0.0", summary: "Gives the node ranges of slots.",
                ..NODE
            },
            Row {
                name: "bumpepoch", arity: 2, flags: CHANGE, tips: NONDETERMINISTIC,
                since: "3.0.0", summary: "Raises the epoch of the cluster.",
                ..NODE
            },
            Row {
                name: "count-failure-reports", arity: 3, flags: ADMIN_ASK, usage: "node-id",
                tips: NONDETERMINISTIC, since: "3.0.0",
                summary: "How many nodes say that one has failed.",
                ..NODE
            },
            Row {
                name: "countkeysinslot", arity: 3, flags: ASK, usage: "slot:integer",
                since: "3.0.0", summary: "How many keys are in a slot.",
                ..NODE
            },
            Row {
                name: "delslots", arity: -3, flags: CHANGE, usage: "slot:integer...",
                since: "3.0.0", summary: "Takes slots from the node.",
                ..NODE
            },
            Row {
                name: "delslotsrange", arity: -4, flags: CHANGE,
                usage: "start-slot_end-slot(start-slot:integer end-slot:integer)...",
                since: "7.0.0", summary: "Takes ranges of slots from the node.",
                ..NODE
            },
            Row {
                name: "failover", arity: -2, flags: CHANGE, usage: "[options(FORCE | TAKEOVER)]",
                since: "3.0.0", summary: "Has a replica take the place of its master.",
                ..NODE
            },
            Row {
                name: "flushslots", arity: 2, flags: CHANGE, since: "3.0.0",
                summary: "Takes all slots from the node.",
                ..NODE
            },
            Row {
                name: "forget", arity: 3, flags: CHANGE, usage: "node-id", since: "3.0.0",
                summary: "Removes a node from those that are known.",
                ..NODE
            },
            Row {
                name: "getkeysinslot", arity: 4, flags: ASK, usage: "slot:integer count:integer",
                tips: NONDETERMINISTIC, since: "3.0.0", summary: "Some of the keys in a slot.",
                ..NODE
            },
            Row {
                // Redis answers even this only as a node.
                name: "help", arity: 2, flags: ANYTIME, since: "5.0.0",
                summary: "Lists the subcommands.",
                ..NODE
            },
            Row {
                name: "info", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "3.0.0",
                summary: "The state of the cluster as the node sees it.",
                ..NODE
            },
            Row {
                name: "keyslot", arity: 3, flags: ASK, usage: "key", since: "3.0.0",
                summary: "The slot of a key.",
                ..NODE
            },
            Row {
                name: "links", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "7.0.0",
                summary: "The connections between the node and others.",
                ..NODE
            },
            Row {
                name: "meet", arity: -4, flags: CHANGE,
                usage: "ip port:integer [cluster_bus_port:integer@4.0.0]", since: "3.0.0",
                history: &[("4.0.0", "Added the optional `cluster_bus_port` argument.")],
                summary: "Introduces another node.",
                ..NODE
            },
            Row {
                name: "myid", arity: 2, flags: ASK, since: "3.0.0",
                summary: "The id of the node.",
                ..NODE
            },
            Row {
                name: "myshardid", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "7.2.0",
                summary: "The id of the node's shard.",
                ..NODE
            },
            Row {
                name: "nodes", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "3.0.0",
                summary: "The nodes, with their slots, as text.",
                ..NODE
            },
            Row {
                name: "replicas", arity: 3, flags: ADMIN_ASK, usage: "node-id",
                tips: NONDETERMINISTIC, since: "5.0.0", summary: "The replicas of a master.",
                ..NODE
            },
            Row {
                name: "replicate", arity: 3, flags: CHANGE, usage: "node-id", since: "3.0.0",
                summary: "Has the node follow a master.",
                ..NODE
            },
            Row {
                name: "reset", arity: -2, flags: ADMIN_ASK.union(Flags::NOSCRIPT),
                usage: "[hard_soft(HARD | SOFT)]", since: "3.0.0",
                summary: "Has the node forget the cluster.",
                ..NODE
            },
            Row {
                name: "saveconfig", arity: 2, flags: CHANGE, since: "3.0.0",
                summary: "Writes what the node knows to its file.",
                ..NODE
            },
            Row {
                name: "set-config-epoch", arity: 3, flags: CHANGE, usage: "config-epoch:integer",
                since: "3.0.0", summary: "Sets the epoch of a new node.",
                ..NODE
            },
            Row {
                name: "setslot", arity: -4, flags: CHANGE,
                usage: "slot:integer subcommand(IMPORTING node-id | MIGRATING node-id | \
                    NODE node-id | STABLE)",
                since: "3.0.0", summary: "Says to whom a slot belongs, or is moved.",
                ..NODE
            },
            Row {
                name: "shards", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "7.0.0",
                summary: "The shards, with their slots and nodes.",
                ..NODE
            },
            Row {
                name: "slaves", arity: 3, flags: ADMIN_ASK, usage: "node-id",
                tips: NONDETERMINISTIC, since: "3.0.0",
                deprecated: Some(("5.0.0", "`CLUSTER REPLICAS`")),
                summary: "The old name of CLUSTER REPLICAS.",
                ..NODE
            },
            Row {
                name: "slots", arity: 2, flags: ASK, tips: NONDETERMINISTIC, since: "3.0.0",
                deprecated: Some(("7.0.0", "`CLUSTER SHARDS`")),
                history: &[
                    ("4.0.0", "Added node IDs."),
                    ("7.0.0", "Added additional networking metadata field."),
                ],
                summary: "The slots, with the nodes that hold them.",
                ..NODE
            },
        ],
        ..CONTAINER
    },
];

fn refuse(_: &mut Context<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    Err(Error::NO_CLUSTER)
}
