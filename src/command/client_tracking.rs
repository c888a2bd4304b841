//! CLIENT TRACKING: a client that keeps what it has read is told of what
//! changes. What that means is in `tracking`; here it is turned on and off.

use std::sync::atomic::Ordering::Relaxed;

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::session::{Client, ClientFlags};
use crate::table::vocabulary::{CONNECTION, SESSION};
use crate::table::{Args, Context, Handler, Row};
use crate::tracking::{Options, Overlap, overlap};

/// CLIENT TRACKING
#[rustfmt::skip]
pub const TRACKING: Row = Row {
    name: "tracking", arity: -3, flags: SESSION,
    usage: "status(ON|OFF) [REDIRECT client-id:integer] [PREFIX prefix...+] [BCAST] [OPTIN] \
        [OPTOUT] [NOLOOP]",
    since: "6.0.0",
    complexity: "O(1). Some options may introduce additional complexity.",
    summary: "Has this connection told when keys change that it has read, or that have a prefix.",
    handler: Handler::Session(client_tracking),
    ..CONNECTION
};

/// CLIENT CACHING
#[rustfmt::skip]
pub const CACHING: Row = Row {
    name: "caching", arity: 3, flags: SESSION, usage: "mode(YES|NO)", since: "6.0.0",
    summary: "Says whether what the next command reads is tracked.",
    handler: Handler::Session(client_caching),
    ..CONNECTION
};

/// CLIENT GETREDIR
#[rustfmt::skip]
pub const GETREDIR: Row = Row {
    name: "getredir", arity: 2, flags: SESSION, since: "6.0.0",
    summary: "The connection that receives this one's invalidation messages.",
    handler: Handler::Session(client_getredir),
    ..CONNECTION
};

/// CLIENT TRACKINGINFO
#[rustfmt::skip]
pub const TRACKINGINFO: Row = Row {
    name: "trackinginfo", arity: 2, flags: SESSION, since: "6.2.0",
    summary: "Whether and how this connection has key tracking switched on.",
    handler: Handler::Session(client_trackinginfo),
    ..CONNECTION
};

fn client_tracking(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    // Redis looks at the options first.
    let status = args.next()?;
    let options = parse(context, args)?;
    if status.eq_ignore_ascii_case(b"ON") {
        check(context, &options)?;
        context.turn.start_tracking(context.session, &options);
    } else if status.eq_ignore_ascii_case(b"OFF") {
        context.turn.stop_tracking(context.session);
    } else {
        return Err(Error::SYNTAX);
    }
    reply.ok();
    Ok(())
}

fn parse<'a>(context: &Context<'_>, mut args: Args<'a>) -> Result<Options<'a>> {
    const FLAGS: [(&str, ClientFlags); 4] = [
        ("BCAST", ClientFlags::BROADCAST),
        ("OPTIN", ClientFlags::OPTIN),
        ("OPTOUT", ClientFlags::OPTOUT),
        ("NOLOOP", ClientFlags::NOLOOP),
    ];
    let mut options = Options::default();
    while args.remaining() > 0 {
        // A word that wants a value and has none is no option.
        let has_value = args.remaining() > 1;
        if has_value && args.keyword("REDIRECT") {
            if options.redirect != 0 {
                return Err(Error::TRACKING_REDIRECTS);
            }
            // It may go later; now it has to be there.
            let target = u64::try_from(args.int()?).ok();
            let target = target.filter(|id| context.server.clients.get(*id).is_some());
            options.redirect = target.ok_or(Error::TRACKING_REDIRECT)?;
        } else if has_value && args.keyword("PREFIX") {
            options.prefixes.push(args.next()?);
        } else {
            let flag = FLAGS.iter().find(|(word, _)| args.keyword(word));
            options.flags |= flag.ok_or(Error::SYNTAX)?.1;
        }
    }
    Ok(options)
}

/// Whether the options go together, and with what the client has now.
fn check(context: &Context<'_>, options: &Options<'_>) -> Result<()> {
    const BOTH: ClientFlags = ClientFlags::OPTIN.union(ClientFlags::OPTOUT);
    let (old, new) = (context.session.client.flags(), options.flags);
    let broadcasts = new.contains(ClientFlags::BROADCAST);
    if !broadcasts && !options.prefixes.is_empty() {
        return Err(Error::TRACKING_PREFIX);
    }
    if old.contains(ClientFlags::TRACKING) && old.contains(ClientFlags::BROADCAST) != broadcasts {
        return Err(Error::TRACKING_BCAST);
    }
    if broadcasts && new.intersects(BOTH) {
        return Err(Error::TRACKING_BCAST_OPT);
    }
    if new.contains(BOTH) {
        return Err(Error::TRACKING_OPT_BOTH);
    }
    if (new | old).contains(BOTH) && new.intersects(BOTH) {
        return Err(Error::TRACKING_OPT);
    }
    let existing = context.session.broadcast.as_ref();
    let existing = existing.map(|broadcast| &broadcast.prefixes);
    match overlap(existing, &options.prefixes) {
        None => Ok(()),
        Some(Overlap {
            prefix,
            other,
            exists,
        }) => {
            let which = match exists {
                true => "an existing",
                false => "another provided",
            };
            Err(Error::overlapping_prefixes(prefix, which, other))
        }
    }
}

fn client_caching(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let flags = context.session.client.flags();
    if !flags.contains(ClientFlags::TRACKING) {
        return Err(Error::CACHING_WITHOUT_TRACKING);
    }
    if args.keyword("YES") {
        if !flags.contains(ClientFlags::OPTIN) {
            return Err(Error::CACHING_YES);
        }
    } else if args.keyword("NO") {
        if !flags.contains(ClientFlags::OPTOUT) {
            return Err(Error::CACHING_NO);
        }
    } else {
        return Err(Error::SYNTAX);
    }
    context.session.caching = true;
    reply.ok();
    Ok(())
}

fn client_getredir(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.int(redirect(&context.session.client));
    Ok(())
}

/// The client that is told what this one tracks; 0: itself; -1: it tracks nothing.
pub fn redirect(client: &Client) -> i64 {
    match client.flags().contains(ClientFlags::TRACKING) {
        true => client.redirect.load(Relaxed) as i64,
        false => -1,
    }
}

fn client_trackinginfo(
    context: &mut Context<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let session = &*context.session;
    let flags = session.client.flags();
    let caching = |flag, word| (flags.contains(flag) && session.caching, word);
    let words = [
        (flags.contains(ClientFlags::TRACKING), "on"),
        (!flags.contains(ClientFlags::TRACKING), "off"),
        (flags.contains(ClientFlags::BROADCAST), "bcast"),
        (flags.contains(ClientFlags::OPTIN), "optin"),
        caching(ClientFlags::OPTIN, "caching-yes"),
        (flags.contains(ClientFlags::OPTOUT), "optout"),
        caching(ClientFlags::OPTOUT, "caching-no"),
        (flags.contains(ClientFlags::NOLOOP), "noloop"),
        (
            flags.contains(ClientFlags::BROKEN_REDIRECT),
            "broken_redirect",
        ),
    ];
    let shown = words.iter().filter(|(is_so, _)| *is_so);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(shown.clone().count());
    shown.for_each(|(_, word)| reply.bulk(word.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect(&session.client));
    reply.bulk(b"prefixes");
    match &session.broadcast {
        Some(broadcast) => reply.bulks(broadcast.prefixes.iter()),
        None => reply.array(0),
    }
    Ok(())
}
