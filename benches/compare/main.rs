//! Compares respd with redis-server, from outside and in the same minutes.
//!
//! `cargo bench --bench compare [-- --rows kv,pub --markdown]`. A row is one
//! load, or one thing to weigh: `rows` lists them all with what the project
//! aims at, and `load` says what each does. The servers of a row run at the
//! same time and are measured in turn, round by round, so that a machine whose
//! speed drifts slows both; a figure is the median of the rounds, and a ratio
//! the median of the rounds' ratios. CPU is what the kernel accounts to the
//! server's threads, and the figure to steer by: the clients share the machine
//! and bound the throughput. All is over loopback, and needs Linux.

#[cfg(not(target_os = "linux"))]
compile_error!("the comparison reads Linux's /proc and waits with epoll");

mod benchmark;
mod cache;
mod clients;
mod collections;
mod figures;
mod footprint;
mod load;
mod machine;
mod result;
mod rows;
mod run;
mod scripts;
mod server;
mod setting;
mod stalls;
mod streams;
mod table;
mod traffic;
mod within;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use result::Result;
use rows::Row;
use run::Run;
use server::Subject;
use setting::{Scale, Setting};
use table::Line;

/// Measures respd beside redis-server and prints one table.
#[derive(Parser)]
struct Options {
    /// How often each row is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What one run of a load aims to take
    #[arg(long, default_value = "1", value_parser = run_seconds)]
    seconds: f64,
    /// Groups of rows (kv collections streams scripts pub queue eviction memory connections startup within idle
    /// stalls workers) or how their names begin; workers are left out unless asked for
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// The server to compare with
    #[arg(long, default_value = "redis-server", value_name = "PATH")]
    redis_server: OsString,
    /// The program that makes the load of single commands
    #[arg(long, default_value = "redis-benchmark", value_name = "PATH")]
    redis_benchmark: OsString,
    /// Run every row once and small, to see that it works
    #[arg(long)]
    test: bool,
    /// What cargo says to a bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    // Like any bench, it measures only when `cargo bench` runs it.
    options.test |= !options.bench;
    for program in [&options.redis_server, &options.redis_benchmark] {
        if let Err(error) = machine::version(program) {
            eprintln!("compare: nothing measured: {}: {error}", program.display());
            return ExitCode::from(u8::from(!options.test));
        }
    }
    match compare(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse().ok();
    // A run is given up after a minute, and the guess may be off by half.
    let seconds = seconds.filter(|seconds| (0.01..=30.0).contains(seconds));
    seconds.ok_or_else(|| "from 0.01 to 30".to_owned())
}

/// Measures and prints; whether every row could be measured.
fn compare(options: &Options) -> Result<bool> {
    let scale = Scale::new(options.test, options.seconds, machine::allow_open_files());
    let (workers, rows): (Vec<Row>, _) = rows::select(rows::rows(&scale), &options.rows)?
        .into_iter()
        .partition(|row| row.group == rows::WORKERS);
    let against_redis = (
        [Subject::respd(), Subject::redis(&options.redis_server)],
        vec![options.redis_benchmark.clone()],
        rows,
    );
    let (respd, benchmark) = machine::apart(&options.redis_benchmark);
    let among_workers = (
        [2, 1].map(|count| Subject::workers(count, &respd)),
        benchmark,
        workers,
    );
    let (mut measured, mut failed) = (0, 0);
    for (subjects, benchmark, rows) in [against_redis, among_workers] {
        let setting = Setting {
            scale: &scale,
            benchmark: &benchmark,
        };
        let mut lines = Vec::new();
        for row in &rows {
            match measure(row, &subjects, &setting, options) {
                Ok(runs) => {
                    measured += 1;
                    lines.extend(Line::all(row, &runs));
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("compare: {}: {error}", row.name);
                }
            }
        }
        if !lines.is_empty() && !options.test {
            let names = subjects.each_ref().map(|subject| subject.name.as_str());
            print!("{}", table::render(names, &lines, options.markdown));
        }
    }
    if options.test {
        println!("compare: {measured} rows ran, {failed} failed");
    } else {
        println!("\nAn aim is a ratio unless it has a unit; ✗ says that it is missed.");
        println!("{}", machine::describe(&options.redis_server));
    }
    Ok(failed == 0)
}

/// Runs a row's load on both subjects in turn; the runs of each, by round.
fn measure(
    row: &Row,
    subjects: &[Subject; 2],
    setting: &Setting,
    options: &Options,
) -> Result<[Vec<Run>; 2]> {
    let terminal = std::io::stderr().is_terminal();
    let rounds = if options.test { 1 } else { options.rounds };
    let mut servers = [subjects[0].start()?, subjects[1].start()?];
    let requests = row.load.calibrate(&servers, setting)?;
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..row.load.rounds(rounds) {
        if terminal {
            eprint!("\r\x1b[K{}, round {}", row.name, round + 1);
        }
        // Who comes first changes, lest it be an advantage.
        for subject in [round % 2, 1 - round % 2].map(|subject| subject as usize) {
            if subject == 1 && row.load.is_ours_alone() {
                continue;
            }
            if row.load.needs_a_fresh_server() {
                servers[subject] = subjects[subject].start()?;
            }
            let run = row
                .load
                .run(&subjects[subject], &servers[subject], requests, setting)?;
            runs[subject].push(run);
        }
    }
    if terminal {
        eprint!("\r\x1b[K");
    }
    Ok(runs)
}
