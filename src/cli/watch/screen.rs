//! The terminal: taken for a while, and given back as it was, however that ends.

use std::io::{self, IsTerminal, Stdout};
use std::panic;
use std::process::exit;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::process::{Signal, kill_current_process_group};

/// What a program ends with that has panicked.
const PANICKED: i32 = 101;

/// Whether there is somebody to see it and to type.
pub fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// The terminal while it is ours.
pub struct Screen {
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    pub fn take() -> io::Result<Screen> {
        let terminal = terminal()?;
        // From here on it is given back, also when the next step fails.
        let screen = Screen { terminal };
        give_back_on_panic();
        take()?;
        Ok(screen)
    }

    /// Gives the terminal back to the shell that started the program, until that has it go on.
    pub fn stop(&mut self) -> io::Result<()> {
        give_back();
        // What the terminal does by itself while it is not ours: all that the shell has started
        // together stops, and nothing does where there is no shell to have it go on.
        kill_current_process_group(Signal::TSTP)?;
        take()?;
        self.clear()
    }

    /// Has all be drawn anew, whatever others have written there.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not by the terminal's own method, which asks where the cursor is, and does not get the
        // answer while the keys are read elsewhere.
        self.terminal = terminal()?;
        execute!(io::stdout(), Clear(ClearType::All))
    }
}

fn terminal() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    Terminal::new(CrosstermBackend::new(io::stdout()))
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A panic in any thread ends the program, with its message on a terminal that can show it.
fn give_back_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
        exit(PANICKED);
    }));
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

fn give_back() {
    // Whoever hung up does not need it back.
    let _ = execute!(
        io::stdout(),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    const CHILD: &str = "RESPD_TEST_PANICS_ON_A_TERMINAL";

    #[test]
    fn a_panic_in_any_thread_gives_the_terminal_back() {
        if std::env::var_os(CHILD).is_some() {
            let _screen = Screen::take().unwrap();
            let thread = std::thread::spawn(|| panic!("on purpose"));
            unreachable!("{:?}", thread.join());
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let desk = openpt(flags).unwrap();
        grantpt(&desk).unwrap();
        unlockpt(&desk).unwrap();
        let path = PathBuf::from(ptsname(&desk, Vec::new()).unwrap().into_string().unwrap());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap());
        let settings = format!("{:?}", tcgetattr(&terminal).unwrap());

        // This test in a process and on a terminal of its own.
        let name = std::thread::current().name().unwrap().to_owned();
        let stdio = || Stdio::from(terminal.try_clone().unwrap());
        let mut child = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(CHILD, "1")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(PANICKED));
        assert_eq!(format!("{:?}", tcgetattr(&terminal).unwrap()), settings);
        drop(terminal);
        let mut shown = Vec::new();
        // The end is an error on Linux.
        let _ = File::from(desk).read_to_end(&mut shown);
        let shown = String::from_utf8_lossy(&shown);
        let (taken, back) = shown.split_once("\x1b[?1049h").unwrap();
        assert!(!taken.contains("on purpose"), "{taken:?}");
        let (_, back) = back.split_once("\x1b[?1049l").unwrap();
        assert!(back.contains("\x1b[?25h"), "{back:?}");
        assert!(back.contains("on purpose"), "{back:?}");
    }
}
