//! What each key does. What it needs more for than what the user has chosen, it wishes for.

use std::str;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::contents::{Channel, Subject};
use super::detail::Source;
use super::pane::Pane;
use super::prompt::{Prompt, Purpose};
use super::sampler::Request;
use super::scroll::Scroll;
use super::state::State;

/// What is to be done for a key.
#[derive(Debug, PartialEq)]
pub enum Wish {
    Leave,
    /// To be put aside by the shell, for a while.
    Stop,
    /// To have everything drawn anew, over what others have written.
    Redraw,
    Open(Subject),
    Close,
    Monitor(bool),
    Ask(Request),
}

/// How far the keys for a page go.
const PAGE: isize = 10;

/// All of them, for the help: keys, and what they do.
pub const KEYS: &[(&str, &str)] = &[
    (
        "↑ ↓  j k",
        "choose a row; PgUp, PgDn, Home and End go further",
    ),
    ("Tab  1-6", "another pane; ← → and h l, too"),
    (
        "Enter",
        "see messages, items, entries; once more: the whole of one",
    ),
    ("Esc", "back"),
    ("p", "publish a message to a channel"),
    ("u", "push an item to a queue, with LPUSH"),
    ("e", "in a queue: from its other end"),
    (
        "m",
        "MONITOR, on and off: rates by channel and queue, who waits",
    ),
    (
        "",
        "where, and every command; it costs the server up to half its speed",
    ),
    ("Space", "pause the display, and ask the server nothing"),
    ("/", "show only what contains a text"),
    ("s", "sort by size, or by name"),
    ("z", "one pane alone, or four beside each other"),
    ("q  Ctrl-C", "quit; Ctrl-Z stops it until fg"),
];

pub fn press(state: &mut State, key: KeyEvent) -> Option<Wish> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if is_control => return Some(Wish::Leave),
        KeyCode::Char('z') if is_control => return Some(Wish::Stop),
        KeyCode::Char('l') if is_control => return Some(Wish::Redraw),
        _ => state.notice = None,
    }
    if state.prompt.is_some() {
        return type_key(state, key, is_control);
    }
    if let Some(help) = &state.help {
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Leave),
            KeyCode::Up | KeyCode::Char('k') => help.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => help.move_by(1),
            _ => state.help = None,
        }
        return None;
    }
    if is_control {
        return None;
    }
    match key.code {
        KeyCode::Char('q') => return Some(Wish::Leave),
        KeyCode::Char('?') => state.help = Some(Scroll::default()),
        KeyCode::Char('p') => ask_channel(state),
        KeyCode::Char('u') => ask_queue(state),
        KeyCode::Char('m') => return Some(Wish::Monitor(!state.is_monitoring)),
        KeyCode::Char(' ') => {
            state.is_paused = !state.is_paused;
            return Some(Wish::Ask(Request::Pause(state.is_paused)));
        }
        KeyCode::Char('/') if state.detail.is_none() => {
            state.prompt = Some(Prompt::new(Purpose::Filter, &state.filter));
        }
        KeyCode::Char('s') => state.by_size = !state.by_size,
        KeyCode::Char('z') => state.is_alone = !state.is_alone,
        KeyCode::Char('e') => return turn(state),
        KeyCode::Up | KeyCode::Char('k') => return move_by(state, -1),
        KeyCode::Down | KeyCode::Char('j') => return move_by(state, 1),
        KeyCode::PageUp => return move_by(state, -PAGE),
        KeyCode::PageDown => return move_by(state, PAGE),
        KeyCode::Home | KeyCode::Char('g') => return move_by(state, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => return move_by(state, isize::MAX),
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => {
            return go_to(state, state.pane.moved(1));
        }
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => {
            return go_to(state, state.pane.moved(-1));
        }
        KeyCode::Char(digit @ '1'..='6') => {
            let pane = Pane::ALL[digit as usize - '1' as usize];
            return go_to(state, pane);
        }
        KeyCode::Enter => return enter(state),
        KeyCode::Esc => return back(state),
        _ => {}
    }
    None
}

/// What was pasted is typed where something is typed, and does nothing elsewhere.
pub fn paste(state: &mut State, text: &str) {
    if let Some(prompt) = &mut state.prompt {
        prompt.insert(text);
    }
}

fn type_key(state: &mut State, key: KeyEvent, is_control: bool) -> Option<Wish> {
    let prompt = state.prompt.as_mut()?;
    match key.code {
        KeyCode::Enter => {
            let prompt = state.prompt.take()?;
            return submit(state, prompt);
        }
        KeyCode::Esc => {
            if prompt.purpose == Purpose::Filter {
                state.filter.clear();
            }
            state.prompt = None;
            return None;
        }
        KeyCode::Backspace => prompt.erase(),
        KeyCode::Delete => prompt.erase_after(),
        KeyCode::Left => prompt.move_by(-1),
        KeyCode::Right => prompt.move_by(1),
        KeyCode::Home => prompt.move_by(isize::MIN),
        KeyCode::End => prompt.move_by(isize::MAX),
        KeyCode::Char('a') if is_control => prompt.move_by(isize::MIN),
        KeyCode::Char('e') if is_control => prompt.move_by(isize::MAX),
        KeyCode::Char('w') if is_control => prompt.erase_word(),
        KeyCode::Char('u') if is_control => prompt.erase_line(),
        // What the key for Backspace sends on some terminals.
        KeyCode::Char('h') if is_control => prompt.erase(),
        KeyCode::Char(char) if !is_control => prompt.insert(char.encode_utf8(&mut [0; 4])),
        _ => {}
    }
    // One sees at once what is left.
    if prompt.purpose == Purpose::Filter {
        state.filter = prompt.text();
    }
    None
}

fn submit(state: &mut State, prompt: Prompt) -> Option<Wish> {
    let text = prompt.text();
    let bytes = text.clone().into_bytes();
    let next = match prompt.purpose {
        Purpose::Filter => {
            state.filter = text;
            return None;
        }
        Purpose::Message { channel } => return Some(Wish::Ask(Request::Publish(channel, bytes))),
        Purpose::Item { queue } => return Some(Wish::Ask(Request::Push(queue, bytes))),
        Purpose::Channel { is_of_shard } => {
            let name = bytes;
            let channel = Channel { name, is_of_shard };
            Purpose::Message { channel }
        }
        Purpose::Queue => Purpose::Item { queue: bytes },
    };
    if text.is_empty() {
        state.warn("nothing is sent without a name".to_owned());
    } else {
        state.prompt = Some(Prompt::new(next, ""));
    }
    None
}

/// Asks for the name of a channel, which is likely to be the chosen one.
fn ask_channel(state: &mut State) {
    let channel = match state.subject() {
        Some(Subject::Channel(channel)) => Some(channel),
        _ => None,
    };
    let name = channel.as_ref().map(|channel| channel.name.clone());
    let is_of_shard = channel.as_ref().is_some_and(|channel| channel.is_of_shard);
    let next = channel.map(|channel| Purpose::Message { channel });
    ask_name(state, Purpose::Channel { is_of_shard }, name, next);
}

fn ask_queue(state: &mut State) {
    let name = match state.subject() {
        Some(Subject::Queue(queue)) => Some(queue),
        _ => None,
    };
    let next = name.clone().map(|queue| Purpose::Item { queue });
    ask_name(state, Purpose::Queue, name, next);
}

/// `next` is what is asked with the name that is chosen.
fn ask_name(state: &mut State, purpose: Purpose, name: Option<Vec<u8>>, next: Option<Purpose>) {
    let name = name.unwrap_or_default();
    let prompt = match (str::from_utf8(&name), next) {
        // Nobody could type it.
        (Err(_) | Ok(""), Some(next)) => Prompt::new(next, ""),
        (name, _) => Prompt::new(purpose, name.unwrap_or_default()),
    };
    state.prompt = Some(prompt);
}

fn move_by(state: &mut State, by: isize) -> Option<Wish> {
    match &mut state.detail {
        None => state.move_by(by),
        Some(detail) => {
            if detail.move_by(by) {
                return Some(Wish::Ask(Request::Look(detail.look())));
            }
        }
    }
    None
}

fn turn(state: &mut State) -> Option<Wish> {
    let detail = state.detail.as_mut()?;
    if let Subject::Queue(_) = detail.subject {
        detail.turn();
        return Some(Wish::Ask(Request::Look(detail.look())));
    }
    None
}

fn go_to(state: &mut State, pane: Pane) -> Option<Wish> {
    state.pane = pane;
    state.detail.is_some().then_some(Wish::Close)
}

fn enter(state: &mut State) -> Option<Wish> {
    match &mut state.detail {
        None => state.subject().map(Wish::Open),
        Some(detail) => {
            if detail.len() > 0 && !detail.is_open {
                (detail.is_open, detail.scroll) = (true, Scroll::default());
            }
            None
        }
    }
}

fn back(state: &mut State) -> Option<Wish> {
    if let Some(detail) = &mut state.detail {
        // What is shown as a whole from the beginning has no list to go back to.
        let is_within = detail.is_open && !matches!(detail.source, Source::Text(_));
        if is_within {
            detail.is_open = false;
            return None;
        }
        return Some(Wish::Close);
    }
    if !state.filter.is_empty() {
        state.filter.clear();
    } else {
        state.is_alone = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::rows::Row;
    use super::super::state::tests::row;
    use super::*;

    fn code(state: &mut State, code: KeyCode) -> Option<Wish> {
        press(state, KeyEvent::new(code, KeyModifiers::NONE))
    }

    /// Types a text, and gives what the last key wishes for.
    fn typed(state: &mut State, text: &str) -> Option<Wish> {
        let mut wish = None;
        for char in text.chars() {
            wish = match char {
                '\n' => code(state, KeyCode::Enter),
                char => code(state, KeyCode::Char(char)),
            };
        }
        wish
    }

    #[test]
    fn something_is_published_and_pushed() {
        let mut state = State::new();
        let publish = |channel: &str, message: &str| {
            let channel = Channel::plain(channel.as_bytes());
            Some(Wish::Ask(Request::Publish(channel, message.into())))
        };
        assert_eq!(typed(&mut state, "pnews\nq?\n"), publish("news", "q?"));
        assert_eq!(state.prompt, None);
        assert_eq!(typed(&mut state, "pnews\n"), None);
        paste(&mut state, "two\nlines");
        assert_eq!(typed(&mut state, "\n"), publish("news", "two\nlines"));
        // Nothing, too, can be published, but not to nothing.
        assert_eq!(typed(&mut state, "pnews\n\n"), publish("news", ""));
        assert_eq!(typed(&mut state, "p\n"), None);
        assert!(state.prompt.is_none() && state.notice.take().unwrap().is_bad);
        typed(&mut state, "pnews");
        assert_eq!(code(&mut state, KeyCode::Esc), None);
        assert_eq!(state.prompt, None);

        // The chosen queue is there already.
        state.set_rows(Pane::Queues, vec![row("jobs", 1)]);
        let push = Some(Wish::Ask(Request::Push(b"jobs2".to_vec(), b"x".to_vec())));
        assert_eq!(typed(&mut state, "u2\nx\n"), push);
        // What could not be typed is not asked for.
        state.set_rows(Pane::Queues, vec![row("", 1)]);
        let push = Some(Wish::Ask(Request::Push(b"".to_vec(), b"x".to_vec())));
        assert_eq!(typed(&mut state, "ux\n"), push);
        // And what is chosen of a shard goes there.
        let channel = Channel::of_shard(b"news");
        let chosen = Row {
            subject: Some(Subject::Channel(channel.clone())),
            ..row("news", 1)
        };
        state.pane = Pane::Channels;
        state.set_rows(Pane::Channels, vec![chosen]);
        let publish = Some(Wish::Ask(Request::Publish(channel, b"x".to_vec())));
        assert_eq!(typed(&mut state, "p\nx\n"), publish);
        // Pasting outside does nothing.
        paste(&mut state, "q");
    }

    #[test]
    fn a_filter_shows_at_once_and_goes_with_escape() {
        let mut state = State::new();
        typed(&mut state, "/jo");
        assert_eq!(state.filter, "jo");
        typed(&mut state, "b\n");
        assert_eq!((&*state.filter, &state.prompt), ("job", &None));
        code(&mut state, KeyCode::Esc);
        assert_eq!(state.filter, "");
    }

    #[test]
    fn keys_move_between_rows_and_panes() {
        let mut state = State::new();
        state.set_rows(Pane::Queues, vec![row("a", 1), row("b", 1), row("c", 1)]);
        typed(&mut state, "jj");
        assert_eq!(state.chosen_index(Pane::Queues), 2);
        typed(&mut state, "kkkk");
        assert_eq!(state.chosen_index(Pane::Queues), 0);
        typed(&mut state, "G");
        let open = typed(&mut state, "\n");
        assert_eq!(open, Some(Wish::Open(Subject::Queue(b"c".to_vec()))));
        typed(&mut state, "1");
        assert_eq!(state.pane, Pane::Channels);
        code(&mut state, KeyCode::BackTab);
        assert_eq!(state.pane, Pane::Commands);
        code(&mut state, KeyCode::Tab);
        assert_eq!(state.pane, Pane::Channels);
        assert_eq!(typed(&mut state, "\n"), None);
    }

    #[test]
    fn leaving_is_always_possible() {
        let mut state = State::new();
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(typed(&mut state, "?jkq"), Some(Wish::Leave));
        assert_eq!(code(&mut state, KeyCode::Esc), None);
        assert!(state.help.is_none());
        assert_eq!(typed(&mut state, "q"), Some(Wish::Leave));
        assert_eq!(typed(&mut state, "pq"), None);
        assert_eq!(press(&mut state, interrupt), Some(Wish::Leave));
    }

    #[test]
    fn a_letter_with_control_is_not_the_letter() {
        let mut state = State::new();
        let press = |state: &mut State, letter| {
            press(
                state,
                KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL),
            )
        };
        assert_eq!(press(&mut state, 'z'), Some(Wish::Stop));
        assert_eq!(press(&mut state, 'l'), Some(Wish::Redraw));
        for letter in "pumsqe".chars() {
            assert_eq!(press(&mut state, letter), None, "{letter}");
        }
        assert!(!state.by_size && state.prompt.is_none() && state.pane == Pane::Queues);
        typed(&mut state, "pab");
        press(&mut state, 'h');
        assert_eq!(state.prompt.unwrap().text(), "a");
    }
}
