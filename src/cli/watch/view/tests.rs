//! What the screen shows, at sizes that people have and at those that nobody has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::board::Board;
use super::super::contents::{Channel, Content, Subject};
use super::super::detail::{Detail, Source};
use super::super::keyspace::{Group, Keys, Stream};
use super::super::pane::Pane;
use super::super::prompt::{Prompt, Purpose};
use super::super::rows::rows;
use super::super::sampler::{Channels, Sample};
use super::super::scroll::Scroll;
use super::super::server::{Client, Server};
use super::super::state::State;
use super::*;

fn sample(at: Instant, jobs: u64) -> Sample {
    let client = Client::parse(
        "id=7 addr=127.0.0.1:50001 name=worker-1 age=61 idle=1 flags=b psub=1 cmd=brpop \
         tot-mem=22314",
    );
    let stream = Stream {
        length: 1000,
        added: Some(jobs),
        groups: vec![Group {
            name: b"mailers".to_vec(),
            consumers: 2,
            pending: 3,
            lag: Some(40),
        }],
    };
    let channels = [(&b"news"[..], 3), (b"odd\x1b[2J", 1)]
        .map(|(name, subscribers)| (Channel::plain(name), subscribers));
    Sample {
        at,
        server: Ok(Server {
            version: "respd 0.1.0".to_owned(),
            uptime: Duration::from_secs(3700),
            clients: 2,
            commands_per_second: 1234,
            memory: 13_700_496,
            keys: 5,
            ..Server::default()
        }),
        others: None,
        channels: Some(Ok(Channels {
            subscribers: BTreeMap::from(channels),
            patterns: 1,
            more: 0,
        })),
        clients: Some(Ok(vec![client])),
        keys: Ok(Keys {
            queues: BTreeMap::from([(b"jobs".to_vec(), jobs), (b"mail".to_vec(), 0)]),
            streams: BTreeMap::from([(b"events".to_vec(), stream)]),
            progress: Some(0.43),
            ..Keys::default()
        }),
        slow: Err("NOPERM no permissions".to_owned()),
    }
}

fn desk() -> (State, Board) {
    let start = Instant::now();
    let mut board = Board::default();
    board.see(sample(start, 100), None);
    board.see(sample(start + Duration::from_secs(1), 112), None);
    let mut state = State::new();
    for pane in Pane::ALL {
        state.set_rows(pane, rows(pane, &board, None));
    }
    (state, board)
}

fn drawn(state: &State, board: &Board, columns: u16, lines: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    let view = View {
        target: "redis://localhost:6379/0",
        interval: Duration::from_secs(1),
        state,
        board,
        theme: Theme::new(None),
        now: board.sampled.unwrap_or_else(Instant::now),
    };
    terminal.draw(|frame| view.draw(frame)).unwrap();
    terminal
}

/// The screen as text, without the blanks at the ends of lines.
fn shown(state: &State, board: &Board, columns: u16, lines: u16) -> String {
    let terminal = drawn(state, board, columns, lines);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for line in 0..lines {
        let cells = (0..columns).map(|column| buffer[(column, line)].symbol());
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[track_caller]
fn assert_shows(screen: &str, texts: &[&str]) {
    for text in texts {
        assert!(screen.contains(text), "{text:?} is not on\n{screen}");
    }
}

#[test]
fn all_is_seen_at_a_glance() {
    let (state, board) = desk();
    let screen = shown(&state, &board, 100, 30);
    assert_shows(
        &screen,
        &[
            "respd 0.1.0 redis://localhost:6379/0  up 1h 1m\n",
            "commands/s 1,234",
            "memory 13.1 MB",
            "1 Channels  2 Queues",
            &format!("news{:28}3", ""),
            "worker-1 (1 pattern)",
            // What others have named does nothing to the terminal.
            "odd\\u{1b}[2J",
            "Queues 2 (of 43 % of the keys so far)",
            "jobs         112      +12.0",
            "mail           0          0",
            "  mailers",
            "worker-1        brpop*",
            "q quit  ? help",
        ],
    );
    // Without MONITOR nobody knows them, and what nobody knows takes no room.
    assert!(!screen.contains("WAITING"), "{screen}");
}

#[test]
fn the_most_important_remains_at_any_size() {
    let (mut state, board) = desk();
    let small = shown(&state, &board, 20, 5);
    assert_eq!(
        small,
        "1,234/s 13.1 MB\n\
         Queues 2 (of 43 % o…\n\
         jobs         112\n\
         mail           0\n\
         q quit  ? help\n"
    );
    let queue = || Subject::Queue(b"jobs".to_vec());
    let contents = || {
        let content = |n: usize| Content {
            head: format!("-{n}"),
            body: format!("{{\"item\": \"日本語 {n}\x1b[2J\"}}").into_bytes(),
            size: 30,
        };
        (1..60).map(content).collect::<Vec<_>>()
    };
    let prompt = Prompt::new(
        Purpose::Item {
            queue: b"jobs".to_vec(),
        },
        &"日本語".repeat(30),
    );
    for (columns, lines) in
        (0..60).flat_map(|columns| [(columns, 5), (columns, 30), (90, columns), (3, columns)])
    {
        for pane in Pane::ALL {
            state.pane = pane;
            drawn(&state, &board, columns, lines);
        }
        state.detail = Some(Detail::of(queue(), Source::Window(Some(contents()))));
        drawn(&state, &board, columns, lines);
        state.detail.as_mut().unwrap().is_open = true;
        drawn(&state, &board, columns, lines);
        state.prompt = Some(prompt.clone());
        state.help = Some(Scroll::default());
        drawn(&state, &board, columns, lines);
        (state.detail, state.prompt, state.help) = (None, None, None);
    }
}

#[test]
fn items_are_shown_in_lines_and_as_a_whole() {
    let (mut state, board) = desk();
    let content = Content {
        head: "-1".to_owned(),
        body: b"{\"to\":\"a\",\"bell\":\"\x07\"}".to_vec(),
        size: 23,
    };
    let json = Content {
        head: "-2".to_owned(),
        body: b"{\"to\":\"b\"}".to_vec(),
        size: 5_000_000,
    };
    let subject = Subject::Queue(b"jobs".to_vec());
    let source = Source::Window(Some(vec![content, json]));
    state.detail = Some(Detail::of(subject, source));
    let screen = shown(&state, &board, 80, 12);
    assert_shows(
        &screen,
        &[
            "Queue jobs: 2 from the right",
            "-1 {\"to\":\"a\",\"bell\":\"\\u{7}\"}\n",
            "-2 {\"to\":\"b\"}\n",
        ],
    );
    let detail = state.detail.as_mut().unwrap();
    detail.move_by(1);
    detail.is_open = true;
    let screen = shown(&state, &board, 80, 12);
    assert_shows(
        &screen,
        &[
            "-2, the first 10 B of 4.8 MB, Queue jobs",
            "{\n  \"to\": \"b\"\n}\n",
        ],
    );
}

#[test]
fn what_is_wrong_is_said() {
    let (mut state, board) = desk();
    state.pane = Pane::Slow;
    assert_shows(&shown(&state, &board, 60, 12), &["NOPERM no permissions"]);
    let screen = shown(&state, &board, 12, 12);
    assert_shows(&screen, &["Slow\nNOPERM no\npermissions\n"]);
    state.pane = Pane::Commands;
    assert_shows(&shown(&state, &board, 60, 12), &["m shows every command"]);
    state.away = Some("the connection was lost: it closed the connection".to_owned());
    let screen = shown(&state, &board, 100, 12);
    assert_shows(
        &screen,
        &[" AWAY\n", "trying again: the connection was lost"],
    );
    assert_shows(&shown(&state, &board, 30, 5), &[" AWAY\n"]);
    state.away = None;
    state.filter = "nothing like it".to_owned();
    assert_shows(&shown(&state, &board, 60, 12), &["/nothing like it"]);
    state.pane = Pane::Queues;
    let screen = shown(&state, &board, 60, 12);
    assert_shows(&screen, &["Queues 0 of 2", "none with the text"]);
}

#[test]
fn a_slow_server_is_told_from_a_long_interval() {
    let (state, board) = desk();
    let shown = |silence: u64| {
        let mut terminal = Terminal::new(TestBackend::new(100, 10)).unwrap();
        let view = View {
            target: "redis://localhost:6379/0",
            interval: Duration::from_secs(60),
            state: &state,
            board: &board,
            theme: Theme::new(None),
            now: board.sampled.unwrap() + Duration::from_secs(silence),
        };
        terminal.draw(|frame| view.draw(frame)).unwrap();
        terminal.backend().to_string()
    };
    assert!(!shown(62).contains("no answer"), "{}", shown(62));
    assert_shows(&shown(65), &["no answer for 5s"]);
}

#[test]
fn groups_and_patterns_are_no_streams_and_channels() {
    let (state, board) = desk();
    let screen = shown(&state, &board, 100, 30);
    assert_shows(&screen, &["Streams 1 (of", "Channels 2 and 1 by pattern"]);
}

#[test]
fn what_is_typed_last_is_seen() {
    let prompt = Prompt::new(Purpose::Filter, &("long ".repeat(100_000) + "end"));
    let (line, cursor) = typed(&prompt, 20);
    assert_eq!(line.to_string(), "/long long long end");
    assert_eq!(cursor, 19);
}

#[test]
fn help_has_every_key() {
    let (mut state, board) = desk();
    state.help = Some(Scroll::default());
    let screen = shown(&state, &board, 100, 30);
    for (keys, what) in KEYS {
        assert_shows(&screen, &[keys, what]);
    }
    // And where there is less room, it can be reached, above the last line.
    state.help.as_ref().unwrap().move_by(1000);
    let screen = shown(&state, &board, 30, 12);
    assert_shows(&screen, &["socket.\nq quit  Esc back"]);
}

#[test]
fn colours_go_when_they_are_not_wanted() {
    let (mut state, board) = desk();
    state.warn("bad".to_owned());
    let colours = |no_color: Option<&str>| {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        let view = View {
            target: "redis://localhost:6379/0",
            interval: Duration::from_secs(1),
            state: &state,
            board: &board,
            theme: Theme::new(no_color.map(OsString::from)),
            now: Instant::now(),
        };
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content();
        let coloured = cells
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        coloured.count()
    };
    assert!(colours(None) > 0);
    assert!(colours(Some("")) > 0);
    assert_eq!(colours(Some("1")), 0);
}
