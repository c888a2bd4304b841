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

/// The process that started this one, as long as that runs.
#[derive(Clone, Copy)]
pub struct Parent(Option<Pid>);

/// The end of that process.
pub struct ParentsEnd(oneshot::Receiver<()>);

impl Parent {
    /// The one that this process has now. Asked as early as can be: whose parent has ended before
    /// has got another one, and cannot tell.
    pub fn of_process() -> Parent {
        Parent(getppid())
    }

    /// Keeps an eye on it from now on, on a thread that waits for nothing else.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn watch(self) -> io::Result<ParentsEnd> {
        let Parent(parent) = self;
        let handle = parent.and_then(handle_of);
        // Asked when the handle is there: it may be one of a process that has got the number since.
        if getppid() != parent {
            return Err(io::Error::other("the process that started it has ended"));
        }
        let (sender, end) = oneshot::channel();
        thread::Builder::new().spawn(move || {
            wait(parent, handle);
            // The broker may have ended by itself meanwhile.
            let _ = sender.send(());
        })?;
        Ok(ParentsEnd(end))
    }
}

impl ParentsEnd {
    /// Returns when it has come.
    pub async fn came(&mut self) {
        // The thread says nothing else, and goes on until it does.
        let _ = (&mut self.0).await;
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
