//! Publish and subscribe: the commands around [`crate::pubsub`].

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::pubsub::Target;
use crate::resp::Reply;
use crate::session::{Session, Subscriptions};
use crate::table::keys::Channels;
use crate::table::vocabulary::{ANYTIME, CHANNEL, CONTAINER, PUBLISH, PUBSUB, SUBSCRIBE};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "subscribe", arity: -2, flags: SUBSCRIBE, channels: Channels::All,
        usage: "channel...",
        since: "2.0.0", complexity: "O(N) where N is the number of channels to subscribe to.",
        summary: "Receives the messages published to channels from now on.",
        handler: Handler::Session(subscribe),
        ..PUBSUB
    },
    Row {
        name: "unsubscribe", arity: -1, flags: SUBSCRIBE, channels: Channels::All,
        usage: "[channel...]",
        since: "2.0.0", complexity: "O(N) where N is the number of channels to unsubscribe.",
        summary: "Ends subscriptions to channels, to all if none is named.",
        handler: Handler::Session(unsubscribe),
        ..PUBSUB
    },
    Row {
        name: "psubscribe", arity: -2, flags: SUBSCRIBE, channels: Channels::All,
        usage: "pattern:pattern...",
        since: "2.0.0", complexity: "O(N) where N is the number of patterns to subscribe to.",
        summary: "Receives the messages published to channels whose names match patterns.",
        handler: Handler::Session(psubscribe),
        ..PUBSUB
    },
    Row {
        name: "punsubscribe", arity: -1, flags: SUBSCRIBE, channels: Channels::All,
        usage: "[pattern:pattern...]",
        since: "2.0.0", complexity: "O(N) where N is the number of patterns to unsubscribe.",
        summary: "Ends subscriptions to patterns, to all if none is named.",
        handler: Handler::Session(punsubscribe),
        ..PUBSUB
    },
    Row {
        name: "publish", arity: 3, flags: PUBLISH, channels: Channels::First,
        usage: "channel message", since: "2.0.0",
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel \
            and M is the total number of subscribed patterns (by any client).",
        summary: "Sends a message to the subscribers of a channel, and answers how many they are.",
        handler: Handler::Session(publish),
        ..PUBSUB
    },
    Row {
        name: "ssubscribe", arity: -2, flags: SUBSCRIBE, channels: Channels::All, keys: &[CHANNEL.all()],
        usage: "shardchannel...", since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels to subscribe to.",
        summary: "Receives the messages published to shard channels from now on.",
        handler: Handler::Session(ssubscribe),
        ..PUBSUB
    },
    Row {
        name: "sunsubscribe", arity: -1, flags: SUBSCRIBE, channels: Channels::All, keys: &[CHANNEL.all()],
        usage: "[shardchannel...]",
        since: "7.0.0", complexity: "O(N) where N is the number of shard channels to unsubscribe.",
        summary: "Ends subscriptions to shard channels, to all if none is named.",
        handler: Handler::Session(sunsubscribe),
        ..PUBSUB
    },
    Row {
        name: "spublish", arity: 3, flags: PUBLISH, channels: Channels::First, keys: &[CHANNEL],
        usage: "shardchannel message", since: "7.0.0",
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard \
            channel.",
        summary: "Sends a message to the subscribers of a shard channel.",
        handler: Handler::Session(spublish),
        ..PUBSUB
    },
    Row {
        name: "pubsub", group: Group::Pubsub, since: "2.8.0",
        summary: "Asks about channels and subscribers.",
        subcommands: &[
            Row {
                name: "channels", arity: -2, flags: ANYTIME.union(Flags::PUBSUB).union(Flags::NO_DATA),
                usage: "[pattern:pattern]", since: "2.8.0",
                complexity: "O(N) where N is the number of active channels, and assuming constant \
                    time pattern matching (relatively short channels and patterns).",
                summary: "The channels that have subscribers.",
                handler: Handler::Session(pubsub_channels),
                ..PUBSUB
            },
            Row {
                name: "numsub", arity: -2, flags: ANYTIME.union(Flags::PUBSUB).union(Flags::NO_DATA),
                usage: "[channel...]", since: "2.8.0",
                complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested \
                    channels",
                summary: "How many subscribers each channel has.",
                handler: Handler::Session(pubsub_numsub),
                ..PUBSUB
            },
            Row {
                name: "numpat", arity: 2, flags: ANYTIME.union(Flags::PUBSUB).union(Flags::NO_DATA), since: "2.8.0",
                summary: "How many different patterns are subscribed to.",
                handler: Handler::Session(pubsub_numpat),
                ..PUBSUB
            },
            Row {
                name: "shardchannels", arity: -2, flags: ANYTIME.union(Flags::PUBSUB).union(Flags::NO_DATA),
                usage: "[pattern:pattern]", since: "7.0.0",
                complexity: "O(N) where N is the number of active shard channels, and assuming \
                    constant time pattern matching (relatively short shard channels).",
                summary: "The shard channels that have subscribers.",
                handler: Handler::Session(pubsub_shardchannels),
                ..PUBSUB
            },
            Row {
                name: "shardnumsub", arity: -2, flags: ANYTIME.union(Flags::PUBSUB).union(Flags::NO_DATA),
                usage: "[shardchannel...]", since: "7.0.0",
                complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of \
                    requested shard channels",
                summary: "How many subscribers each shard channel has.",
                handler: Handler::Session(pubsub_shardnumsub),
                ..PUBSUB
            },
            Row { group: Group::Pubsub, since: "6.2.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn subscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    add(context, Target::Channel, args, reply)
}

fn unsubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(context, Target::Channel, args, reply)
}

fn psubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    add(context, Target::Pattern, args, reply)
}

fn punsubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(context, Target::Pattern, args, reply)
}

fn ssubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // Only the other two go back to a time when nobody asked.
    if context.in_exec {
        return Err(Error::SSUBSCRIBE_IN_EXEC);
    }
    add(context, Target::ShardChannel, args, reply)
}

fn sunsubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(context, Target::ShardChannel, args, reply)
}

fn publish(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (channel, payload) = (args.next()?, args.next()?);
    let receivers = context
        .server
        .publish(channel, payload, context.turn.uptime);
    context.turn.handed_out(receivers);
    reply.len(receivers);
    Ok(())
}

fn spublish(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (channel, payload) = (args.next()?, args.next()?);
    let receivers = context
        .server
        .publish_shard(channel, payload, context.turn.uptime);
    context.turn.handed_out(receivers);
    reply.len(receivers);
    Ok(())
}

fn pubsub_channels(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    list_channels(context, Target::Channel, args, reply)
}

fn pubsub_shardchannels(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    list_channels(context, Target::ShardChannel, args, reply)
}

fn pubsub_numsub(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    count_subscribers(context, Target::Channel, args, reply)
}

fn pubsub_shardnumsub(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    count_subscribers(context, Target::ShardChannel, args, reply)
}

fn pubsub_numpat(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.len(context.server.pubsub.count(Target::Pattern));
    Ok(())
}

fn list_channels(
    context: &Context<'_>,
    target: Target,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let pattern = args.next_if_any();
    if args.remaining() > 0 {
        return Err(args.wrong_subcommand());
    }
    reply.bulks(context.server.pubsub.channels(target, pattern).iter());
    Ok(())
}

fn count_subscribers(
    context: &Context<'_>,
    target: Target,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let channels = args.rest();
    reply.array(2 * channels.len());
    for channel in channels {
        reply.bulk(channel);
        reply.len(context.server.pubsub.subscriber_count(target, channel));
    }
    Ok(())
}

/// The names of the two kinds of confirmation.
fn confirmations(target: Target) -> (&'static [u8], &'static [u8]) {
    match target {
        Target::Channel => (b"subscribe", b"unsubscribe"),
        Target::Pattern => (b"psubscribe", b"punsubscribe"),
        Target::ShardChannel => (b"ssubscribe", b"sunsubscribe"),
    }
}

/// What a confirmation counts: shard channels apart from the others.
fn count(session: &Session, target: Target) -> usize {
    match target {
        Target::ShardChannel => session.shard_subscription_count(),
        Target::Channel | Target::Pattern => session.subscription_count(),
    }
}

fn confirm(
    session: &Session,
    target: Target,
    kind: &[u8],
    name: Option<&[u8]>,
    reply: &mut Reply<'_>,
) {
    reply.push(3);
    reply.bulk(kind);
    reply.bulk_or_null(name);
    reply.len(count(session, target));
}

fn add(
    context: &mut Context<'_>,
    target: Target,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    for name in args.rest() {
        let subscriptions = &mut context.session.subscriptions;
        let none = || Subscriptions::new(context.server.seed).into();
        let subscriptions = subscriptions.get_or_insert_with(none);
        let names = target.names(subscriptions);
        if !names.contains(name) {
            let name = Bytes::copy_from_slice(name);
            names.insert_new(name.clone());
            context.session.show_subscriptions();
            context
                .server
                .pubsub
                .subscribe(target, name, &context.session.client);
        }
        confirm(
            context.session,
            target,
            confirmations(target).0,
            Some(name),
            reply,
        );
    }
    Ok(())
}

fn remove(
    context: &mut Context<'_>,
    target: Target,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let named: Vec<Bytes> = if args.remaining() > 0 {
        args.rest().map(Bytes::copy_from_slice).collect()
    } else {
        let subscriptions = context.session.subscriptions.as_mut();
        subscriptions
            .map(|s| target.names(s).iter().cloned().collect())
            .unwrap_or_default()
    };
    let kind = confirmations(target).1;
    if named.is_empty() {
        confirm(context.session, target, kind, None, reply);
    }
    for name in named {
        let subscriptions = context.session.subscriptions.as_mut();
        if subscriptions.is_some_and(|s| target.names(s).remove(&name)) {
            context
                .server
                .pubsub
                .unsubscribe(target, &name, &context.session.client);
            take_messages(context, reply);
        }
        context.session.show_subscriptions();
        confirm(context.session, target, kind, Some(&name), reply);
    }
    Ok(())
}

/// Lets messages that others have sent while this batch ran go before a
/// confirmation after which none may come. A transaction's replies are one
/// array, so there they come later.
pub fn take_messages(context: &Context<'_>, reply: &mut Reply<'_>) {
    if !context.in_exec {
        let mut outbox = context.session.client.outbox.lock();
        outbox.take(reply.output(), 0);
    }
}
