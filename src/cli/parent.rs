//! `--exit-with-parent`: the broker ends with the process that started it, however that one ends.
//!
//! A handle of that process tells. The signal that Linux can send instead comes when the *thread*
//! ends that started us, as a thread of a test may long before its process does.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, getppid};
use tokio::sync::oneshot;

/// How often it is looked for where there are no such handles.
const LOOK: Duration = Duration::from_millis(100);

/// The process that started this one.
pub struct Parent {
    end: oneshot::Receiver<()>,
}

impl Parent {
    /// Keeps an eye on it from now on, on a thread that waits for nothing else.
    pub fn watch() -> io::Result<Parent> {
        let parent = getppid();
        let handle = parent.and_then(handle_of);
        let (sender, end) = oneshot::channel();
        thread::Builder::new().spawn(move || {
            wait(parent, handle);
            // The broker may have ended by itself meanwhile.
            let _ = sender.send(());
        })?;
        Ok(Parent { end })
    }

    /// Returns when it has ended.
    pub async fn ended(&mut self) {
        // The thread says nothing else, and goes on until it does.
        let _ = (&mut self.end).await;
    }
}

fn wait(parent: Option<Pid>, handle: Option<OwnedFd>) {
    if let Some(handle) = handle {
        loop {
            match poll(&mut [PollFd::new(&handle, PollFlags::IN)], None) {
                Ok(_) => return,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
    }
    // Whose parent has ended gets another one.
    while getppid() == parent {
        thread::sleep(LOOK);
    }
}

/// What becomes readable when a process ends.
#[cfg(target_os = "linux")]
fn handle_of(process: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// What becomes readable when a process ends.
#[cfg(not(target_os = "linux"))]
fn handle_of(_: Pid) -> Option<OwnedFd> {
    None
}
