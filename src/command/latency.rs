//! LATENCY: spikes by event, and how long commands take.
//!
//! GRAPH draws what Redis draws. DOCTOR's words are our own; nobody parses them.

use std::fmt::Write as _;
use std::iter;

use crate::error::{Error, Result};
use crate::metrics::{CommandStats, Histogram, Spikes};
use crate::resp::Reply;
use crate::table::vocabulary::{ADMIN, CONTAINER, SERVER};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row, Table};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "latency", group: Group::Server, since: "2.8.13",
        summary: "Asks about delays inside the server.",
        subcommands: &[
            Row {
                name: "latest", arity: 2, flags: ADMIN.union(Flags::NO_DATA),
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                since: "2.8.13",
                summary: "The latest and the worst delay of each event.",
                handler: Handler::Session(latency_latest),
                ..SERVER
            },
            Row {
                name: "history", arity: 3, flags: ADMIN.union(Flags::NO_DATA),
                usage: "event",
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                since: "2.8.13",
                summary: "The recorded delays of one event with their times.",
                handler: Handler::Session(latency_history),
                ..SERVER
            },
            Row {
                name: "reset", arity: -2, flags: ADMIN.union(Flags::NO_DATA),
                usage: "[event...]", tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
                since: "2.8.13",
                summary: "Forgets the delays of some events, or of all.",
                handler: Handler::Session(latency_reset),
                ..SERVER
            },
            Row {
                name: "graph", arity: 3, flags: ADMIN.union(Flags::NO_DATA),
                usage: "event",
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                since: "2.8.13",
                summary: "Draws the delays of one event as text.",
                handler: Handler::Session(latency_graph),
                ..SERVER
            },
            Row {
                name: "doctor", arity: 2, flags: ADMIN.union(Flags::NO_DATA),
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                since: "2.8.13",
                summary: "Explains the recorded delays in words.",
                handler: Handler::Session(latency_doctor),
                ..SERVER
            },
            Row {
                name: "histogram", arity: -2, flags: ADMIN.union(Flags::NO_DATA),
                usage: "[command...]",
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                since: "7.0.0",
                complexity: "O(N) where N is the number of commands with latency information being \
                    retrieved.",
                summary: "How the running times of commands are distributed.",
                handler: Handler::Table(latency_histogram),
                ..SERVER
            },
            Row { since: "2.8.13", ..HELP },
        ],
        ..CONTAINER
    },
];

fn latency_latest(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let latency = context.server.latency();
    reply.array(latency.events().len());
    for (name, spikes) in latency.events() {
        let (at, millis) = spikes.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(at);
        reply.int(millis as i64);
        reply.int(spikes.max as i64);
    }
    Ok(())
}

fn latency_history(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let name = args.next()?;
    let latency = context.server.latency();
    let spikes = latency.event(name).map(|(_, spikes)| spikes);
    let samples = spikes.map(|spikes| spikes.samples.iter());
    let samples = samples.unwrap_or_default();
    reply.array(samples.len());
    for &(at, millis) in samples {
        reply.array(2);
        reply.int(at);
        reply.int(millis as i64);
    }
    Ok(())
}

fn latency_reset(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut latency = context.server.latency();
    let forgotten = match args.remaining() {
        0 => latency.reset(None),
        _ => args.rest().map(|name| latency.reset(Some(name))).sum(),
    };
    reply.len(forgotten);
    Ok(())
}

fn latency_graph(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let name = args.next()?;
    let latency = context.server.latency();
    let (event, spikes) = latency
        .event(name)
        .ok_or_else(|| Error::quoting("ERR No samples available for event '", name, "'"))?;
    let graph = graph(event, spikes, context.turn.now / 1000);
    reply.verbatim(b"txt", graph.as_bytes());
    Ok(())
}

const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// From low to high within a row.
const POINTS: [char; 3] = ['_', 'o', '#'];

/// Draws spikes from the lowest to the highest; below each stands its age,
/// from top to bottom.
fn graph(event: &str, spikes: &Spikes, now: i64) -> String {
    let samples = spikes.samples.iter().map(|&(_, millis)| millis);
    let low = samples.clone().min().unwrap_or_default();
    let high = samples.clone().max().unwrap_or_default();
    let mut out = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        spikes.max,
        "-".repeat(COLUMNS),
    );
    let steps = POINTS.len() * ROWS;
    let step = |millis: u64| {
        let range = (high - low).max(1) as f64;
        ((millis - low) as f64 * steps as f64 / range).min(steps as f64 - 1.0) as usize
    };
    let columns: Vec<(usize, String)> = spikes
        .samples
        .iter()
        .map(|&(at, millis)| (step(millis), age(now - at)))
        .collect();
    for (index, columns) in columns.chunks(COLUMNS).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        for row in (0..ROWS).rev() {
            let point = |step: usize| match step.checked_sub(row * POINTS.len()) {
                None => ' ',
                Some(within) => *POINTS.get(within).unwrap_or(&'|'),
            };
            out.extend(columns.iter().map(|(step, _)| point(*step)));
            out.push('\n');
        }
        out.extend(columns.iter().map(|_| ' '));
        out.push('\n');
        let longest = columns.iter().map(|(_, age)| age.len()).max();
        for line in 0..longest.unwrap_or_default() {
            let letter = |age: &str| age.as_bytes().get(line).map_or(' ', |&byte| byte as char);
            out.extend(columns.iter().map(|(_, age)| letter(age)));
            out.push('\n');
        }
    }
    out
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn latency_doctor(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (threshold, slower_than) = {
        let config = context.server.config();
        (
            config.latency_monitor_threshold,
            config.slowlog_log_slower_than,
        )
    };
    let latency = context.server.latency();
    let mut report = String::new();
    // Writing to a String cannot fail.
    let _ = match (threshold, latency.events().len()) {
        (0, _) => writeln!(
            report,
            "Nothing is recorded, because the latency monitor is off. CONFIG SET \
             latency-monitor-threshold <milliseconds> turns it on."
        ),
        (_, 0) => writeln!(
            report,
            "All is well: nothing has taken {threshold} ms or longer since recording began."
        ),
        _ => write_report(&mut report, latency.events(), threshold, slower_than),
    };
    reply.verbatim(b"txt", report.as_bytes());
    Ok(())
}

fn write_report<'a>(
    out: &mut String,
    events: impl Iterator<Item = (&'static str, &'a Spikes)>,
    threshold: u64,
    slower_than: i64,
) -> std::fmt::Result {
    writeln!(out, "These took {threshold} ms or longer:\n")?;
    for (name, spikes) in events {
        let count = spikes.samples.len().max(1) as u64;
        let average = spikes.samples.iter().map(|(_, millis)| millis).sum::<u64>() / count;
        writeln!(
            out,
            "- {name}: {average} ms on average, {} ms at worst, spikes kept: {count}",
            spikes.max
        )?;
    }
    writeln!(out, "\nWhat may help:\n")?;
    let micros = threshold.saturating_mul(1000).min(i64::MAX as u64);
    let logs_all = (0..=micros as i64).contains(&slower_than);
    if logs_all {
        writeln!(out, "- SLOWLOG GET names the commands that took so long.")?;
    } else {
        writeln!(
            out,
            "- The slow log keeps less than this monitor sees. CONFIG SET \
             slowlog-log-slower-than {micros} has it name every such command."
        )?;
    }
    writeln!(
        out,
        "- Commands whose work grows with the data, such as KEYS, or LRANGE and DEL of a long \
         list, hold everybody up: ask for less at a time.\n\
         - Other programs on this machine may take its processors: `top` shows them."
    )
}

fn latency_histogram(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let stats = context.server.metrics.all_commands();
    let asked: Vec<&CommandStats> = match args.remaining() {
        0 => stats.iter().collect(),
        // A name that nobody has is passed over; one of a container stands
        // for its subcommands, too.
        _ => args
            .rest()
            .filter_map(|name| table.find(name))
            .flat_map(|command| iter::once(command).chain(table.subcommands(command)))
            .map(|command| &stats[command.id])
            .collect(),
    };
    let used: Vec<(&str, &Histogram)> = asked
        .into_iter()
        .filter_map(|stats| Some((stats.name, stats.histogram()?)))
        .collect();
    reply.map(used.len());
    for (name, histogram) in used {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.int(histogram.total() as i64);
        reply.bulk(b"histogram_usec");
        // From a microsecond on.
        let doublings = histogram.doublings(10);
        reply.map(doublings.len());
        for (exponent, count) in doublings {
            reply.int(label(exponent));
            reply.int(count as i64);
        }
    }
    Ok(())
}

/// Redis labels what ends at 2^n nanoseconds with the end of that value's own
/// bucket, in microseconds: 1, 2, 4, 8, 16, 33, 66 …
fn label(exponent: u32) -> i64 {
    const BUCKET_BITS: u32 = 7;
    ((1 << exponent) + (1 << exponent.saturating_sub(BUCKET_BITS)) - 1) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, engine};

    #[test]
    fn spikes_are_kept_by_event_and_forgotten_in_any_case() {
        let engine = engine();
        let mut client = client(&engine);
        for (at, millis) in [(10, 5), (10, 9), (12, 7)] {
            engine.server.latency().add("command", at, millis);
        }
        assert_eq!(
            client.line("LATENCY LATEST"),
            "*1\r\n*4\r\n$7\r\ncommand\r\n:12\r\n:7\r\n:9"
        );
        assert_eq!(
            client.line("LATENCY HISTORY command"),
            "*2\r\n*2\r\n:10\r\n:9\r\n*2\r\n:12\r\n:7"
        );
        assert_eq!(client.line("LATENCY HISTORY COMMAND"), "*0");
        assert_eq!(client.line("LATENCY RESET nosuch COMMAND"), ":1");
        assert_eq!(client.line("LATENCY LATEST"), "*0");
    }

    #[test]
    fn a_container_stands_for_its_subcommands() {
        let mut client = client(&engine());
        client.run(b"GET a\r\nCLIENT ID\r\nCLIENT ID\r\n");
        let reply = client.line("LATENCY HISTOGRAM client nosuch");
        assert!(
            reply.starts_with("*2\r\n$9\r\nclient|id\r\n*4\r\n$5\r\ncalls\r\n:2\r\n"),
            "{reply}"
        );
        assert_eq!(client.line("LATENCY HISTOGRAM nosuch"), "*0");
    }

    #[test]
    fn a_graph_shows_each_spike_above_its_age() {
        let spikes = Spikes {
            samples: [(998, 23), (999, 203), (1000, 50)].into(),
            max: 203,
        };
        let expected = [
            "command - high 203 ms, low 23 ms (all time high 203 ms)",
            &"-".repeat(80),
            " # ",
            " | ",
            " | ",
            "_|o",
            "   ",
            "210",
            "sss",
            "",
        ];
        assert_eq!(graph("command", &spikes, 1000), expected.join("\n"));
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(age);
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
    }

    #[test]
    fn doublings_are_labelled_as_in_redis() {
        let labels: Vec<_> = (10..=20).map(label).collect();
        assert_eq!(labels, [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056]);
    }
}
