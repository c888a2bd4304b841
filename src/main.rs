//! The `respd` program: command line → a verb → exit code.

mod cli;

use std::process::ExitCode;

/// Small allocations, of which a broker makes many, cost less than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().skip(1).collect())
}
