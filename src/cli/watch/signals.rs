//! The signals that ask the watch to leave. None of them takes the terminal along.

use std::io;
use std::process::exit;
use std::time::Duration;

use ratatui::crossterm::terminal::disable_raw_mode;
use tokio::signal::unix::{SignalKind, signal};

/// How long the one who draws gets to leave.
const PATIENCE: Duration = Duration::from_secs(1);

/// Heeds them from now on, in a thread that lives as long as the process. `leave` is called at the
/// first one.
pub fn heed(leave: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before this returns, so that no signal finds its default still in place.
    let (mut int, mut term, mut hup) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let heed = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
            leave();
            tokio::time::sleep(PATIENCE).await;
            // Nothing can be written to a terminal on which the one who draws is stuck.
            let _ = disable_raw_mode();
            exit(0)
        })
    };
    thread.spawn(heed).map(drop)
}
