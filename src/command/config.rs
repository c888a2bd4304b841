//! CONFIG: the settings of the running server. What a setting is, is said in
//! [`crate::config`]; here it is only asked and put into effect.

use crate::db::Stats;
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::secrets;
use crate::table::vocabulary::{ADMIN, CONTAINER, SERVER};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "config", group: Group::Server, since: "2.0.0",
        summary: "Reads and changes settings.",
        subcommands: &[
            Row {
                name: "get", arity: -3, flags: ADMIN.union(Flags::NO_DATA),
                usage: "parameter...", since: "2.0.0",
                complexity: "O(N) when N is the number of configuration parameters provided",
                history: &[
                    ("7.0.0", "Added the ability to pass multiple pattern parameters in one call"),
                ],
                summary: "Settings whose names match, with their values.",
                handler: Handler::Session(config_get),
                ..SERVER
            },
            Row {
                name: "set", arity: -4, flags: ADMIN, secrets: Some(secrets::sensitive_settings),
                usage: "data(parameter value)...",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.0.0",
                complexity: "O(N) when N is the number of configuration parameters provided",
                history: &[("7.0.0", "Added the ability to set multiple parameters in one call.")],
                summary: "Changes settings while the server runs; either all of them or none.",
                handler: Handler::Session(config_set),
                ..SERVER
            },
            Row {
                name: "resetstat", arity: 2, flags: ADMIN,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.0.0",
                summary: "Sets the counters of INFO back to zero.",
                handler: Handler::Session(config_resetstat),
                ..SERVER
            },
            Row {
                name: "rewrite", arity: 2, flags: ADMIN,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.8.0",
                summary: "Writes the settings in force back to the configuration file.",
                handler: Handler::Session(config_rewrite),
                ..SERVER
            },
            Row { since: "5.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn config_get(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let settings = context.server.config().get(&patterns);
    reply.map(settings.len());
    for (name, value) in settings {
        reply.bulk(name.as_bytes());
        reply.bulk(&value);
    }
    Ok(())
}

fn config_set(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let words: Vec<&[u8]> = args.rest().collect();
    let (pairs, odd) = words.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Error::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    // Whoever has the keyspace is alone, so no other change gets lost.
    context.turn.state();
    let mut config = context.server.config().clone();
    let changed = config
        .set(&pairs)
        .map_err(|error| Error::quoting("ERR ", error.text(), ""))?;
    let max = config.maxmemory;
    if max > 0 && max != context.server.config().maxmemory {
        let used = context.turn.state().used_memory(context.server) as u64;
        if max < used {
            tracing::warn!(
                "WARNING: the new maxmemory value set via CONFIG SET ({}) is smaller than the current memory usage ({used}). This will result in key eviction and/or the inability to accept new write commands depending on the maxmemory-policy.",
                max,
            );
        }
    }
    let client = &context.session.client;
    for setting in changed {
        let value = match setting.is_sensitive() {
            true => "(redacted)".into(),
            false => setting.get(&config),
        };
        tracing::debug!(
            id = client.id,
            addr = client.peer.remote(),
            name = client.name(),
            "CONFIG SET {} {}",
            setting.name(),
            String::from_utf8_lossy(&value),
        );
    }
    context.turn.apply(config);
    context.server.reconfigured.notify_one();
    reply.ok();
    Ok(())
}

fn config_resetstat(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.turn.count_calls();
    context.server.metrics.reset();
    let uptime = context.turn.uptime;
    let state = context.turn.state();
    state.keyspace.stats = Stats::default();
    state.keyspace.garbage.freed = 0;
    state.evictor.reset(uptime);
    reply.ok();
    Ok(())
}

fn config_rewrite(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let server = context.server;
    let rewritten = server.config().rewrite(server.config_file.as_deref());
    rewritten.map_err(|why| Error::new(format!("ERR {why}")))?;
    tracing::info!("CONFIG REWRITE executed with success.");
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine};

    #[test]
    fn settings_change_together_or_not_at_all() {
        let engine = engine();
        let mut client = client(&engine);
        let refused = client.line("CONFIG SET slowlog-max-len 7 maxclients many");
        assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
        assert_eq!(engine.server.config().slowlog_max_len, 128);
        assert_eq!(
            client.line("CONFIG SET slowlog-max-len 7 maxclients 9"),
            "+OK"
        );
        assert_eq!(engine.server.config().slowlog_max_len, 7);
        // Those who read it at every request see it, too.
        let maxclients = engine
            .server
            .live
            .max_clients
            .load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(maxclients, 9);
    }

    #[test]
    fn counters_begin_anew() {
        let engine = engine();
        let mut client = client(&engine);
        client.run(b"GET a\r\nGET b\r\nNOSUCH\r\nCONFIG RESETSTAT\r\n");
        let info = client.line("INFO everything");
        // CONFIG RESETSTAT itself is the first that counts again.
        for field in [
            "total_commands_processed:1\r\n",
            "total_error_replies:0\r\n",
            "keyspace_misses:0\r\n",
        ] {
            assert!(info.contains(field), "{field}: {info}");
        }
        assert!(!info.contains("cmdstat_get"), "{info}");
        assert!(!info.contains("percentiles_usec_get"), "{info}");
    }

    #[test]
    fn without_a_file_there_is_nothing_to_rewrite() {
        let reply = client(&engine()).line("CONFIG REWRITE");
        assert_eq!(reply, "-ERR The server is running without a config file");
    }
}
