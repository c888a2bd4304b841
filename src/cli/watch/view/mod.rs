//! The screen as it is drawn, from what is known and what the user has chosen. It changes neither,
//! and it has something to show at any size.

mod detail;
mod table;
#[cfg(test)]
mod tests;
mod theme;

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

use super::super::say::harmless;
use super::board::Board;
use super::figures::{age, bars, bytes, count, fit, name, rate, width, wrap_words};
use super::keyboard::KEYS;
use super::pane::Pane;
use super::prompt::{Prompt, Purpose};
use super::state::State;
pub use theme::Theme;

/// How much room four panes take beside each other, of what is left for them.
const WIDE: usize = 80;
const HIGH: usize = 16;

/// A server that has not answered for so long is said to be slow.
const SLOW: Duration = Duration::from_secs(3);

pub struct View<'a> {
    pub target: &'a str,
    /// Between an answer and the next question.
    pub interval: Duration,
    pub state: &'a State,
    pub board: &'a Board,
    pub theme: Theme,
    pub now: Instant,
}

impl View<'_> {
    pub fn draw(&self, frame: &mut Frame) {
        let area = frame.area();
        let (columns, lines) = (usize::from(area.width), usize::from(area.height));
        // What is typed is most important, then what is chosen, and what is left of the head.
        let foot = usize::from(lines >= 2 || self.state.prompt.is_some());
        let mut head = match lines {
            0..4 => vec![],
            4..10 => vec![self.summary(columns)],
            _ => vec![
                self.identity(columns),
                self.figures(columns),
                self.tabs(columns),
            ],
        };
        if lines >= 16 {
            head.push(Line::default());
        }
        let body = lines.saturating_sub(head.len() + foot);
        let foot_at = lines - foot.min(lines);
        let body_at = head.len();
        put(frame, head, 0, 0, columns);
        if let Some(scroll) = &self.state.help {
            let lines = help(self.theme, columns);
            let from = scroll.first(lines.len(), body);
            let shown = lines.into_iter().skip(from).take(body).collect();
            put(frame, shown, 0, body_at, columns);
        } else if let Some(opened) = &self.state.detail {
            let shown = detail::detail(opened, self.theme, columns, body);
            put(frame, shown, 0, body_at, columns);
        } else {
            self.panes(frame, body_at, columns, body);
        }
        if foot > 0 {
            self.foot(frame, foot_at, columns);
        }
    }

    /// The pane of the keys, or it and its three neighbours.
    fn panes(&self, frame: &mut Frame, at: usize, columns: usize, lines: usize) {
        let pane = self.state.pane;
        let table = |pane, columns, lines| {
            table::table(pane, self.state, self.board, self.theme, columns, lines)
        };
        let has_room = columns >= WIDE && lines >= HIGH;
        if !has_room || self.state.is_alone || !Pane::BESIDE.contains(&pane) {
            put(frame, table(pane, columns, lines), 0, at, columns);
            return;
        }
        const GAP: usize = 3;
        let half = (columns - GAP) / 2;
        let upper = lines / 2;
        let places = [
            (0, at, half, upper - 1),
            (half + GAP, at, columns - half - GAP, upper - 1),
            (0, at + upper, half, lines - upper),
            (half + GAP, at + upper, columns - half - GAP, lines - upper),
        ];
        for (pane, (left, top, columns, lines)) in Pane::BESIDE.into_iter().zip(places) {
            put(frame, table(pane, columns, lines), left, top, columns);
        }
    }

    /// Which server it is, and what is special.
    fn identity(&self, columns: usize) -> Line<'static> {
        let server = &self.board.server.known;
        let mut about = format!(" {}", self.target);
        if !server.version.is_empty() {
            about += &format!("  up {}", age(server.uptime));
        }
        let version = match &*server.version {
            "" => "respd watch".to_owned(),
            version => name(version.as_bytes()),
        };
        let about = fit(&about, columns.saturating_sub(width(&version)));
        let mut line = vec![Span::styled(version, self.theme.title()), Span::raw(about)];
        let marks = self.marks();
        let taken: usize = line.iter().map(|span| width(&span.content)).sum();
        let marks_width: usize = marks.iter().map(|span| width(&span.content)).sum();
        if taken + marks_width < columns {
            line.push(Span::raw(" ".repeat(columns - taken - marks_width)));
            line.extend(marks);
            return Line::from(line);
        }
        // They matter more than the name of what one has chosen oneself.
        if marks_width > 0 {
            return Line::from(marks);
        }
        Line::from(line)
    }

    /// What changes what the figures mean.
    fn marks(&self) -> Vec<Span<'static>> {
        let mut marks = Vec::new();
        if self.state.away.is_some() {
            marks.push(Span::styled(" AWAY", self.theme.bad()));
        } else if self.state.is_paused {
            marks.push(Span::styled(" PAUSED", self.theme.alarm()));
        } else if let Some(sampled) = self.board.sampled {
            let silence = self.now.saturating_duration_since(sampled);
            let silence = silence.saturating_sub(self.interval);
            if silence >= SLOW {
                let text = format!(" no answer for {}", age(silence));
                marks.push(Span::styled(text, self.theme.bad()));
            }
        }
        if self.state.is_monitoring {
            marks.push(Span::styled(" MONITOR", self.theme.alarm()));
        }
        if !self.state.filter.is_empty() {
            let text = format!(" /{}", name(self.state.filter.as_bytes()));
            marks.push(Span::styled(text, self.theme.alarm()));
        }
        marks
    }

    fn figures(&self, columns: usize) -> Line<'static> {
        if let Some(refusal) = &self.board.server.refusal {
            return Line::styled(fit(refusal, columns), self.theme.bad());
        }
        let server = &self.board.server.known;
        let commands = self.commands_per_second();
        let memory = match server.max_memory {
            0 => bytes(server.memory),
            max => format!("{} of {}", bytes(server.memory), bytes(max)),
        };
        let mut figures = vec![
            ("commands/s", commands),
            ("", bars(self.board.commands.iter().copied())),
            ("memory", memory),
            ("clients", count(server.clients)),
            ("keys", count(server.keys)),
        ];
        if let Some(hits) = self.board.hit_rate() {
            figures.push(("hits", format!("{:.0} %", hits * 100.0)));
        }
        for (name, counted) in [
            ("expired/s", &self.board.expired),
            ("evicted/s", &self.board.evicted),
        ] {
            let per_second = counted.per_second();
            if per_second.is_some_and(|rate| rate >= 0.05) {
                figures.push((name, rate(per_second)));
            }
        }
        let mut line = Vec::new();
        let mut left = columns;
        for (name, figure) in figures {
            let text = match name {
                "" => format!("{figure}  "),
                name => format!("{name} {figure}  "),
            };
            if width(&text) > left + 2 {
                break;
            }
            left = left.saturating_sub(width(&text));
            let (name, _) = text.split_at(name.len());
            line.push(Span::styled(name.to_owned(), self.theme.quiet()));
            line.push(Span::raw(text[name.len()..].to_owned()));
        }
        Line::from(line)
    }

    fn commands_per_second(&self) -> String {
        count(self.board.commands.back().copied().unwrap_or(0))
    }

    /// The panes, each with the key that leads to it.
    fn tabs(&self, columns: usize) -> Line<'static> {
        let full: usize = Pane::ALL.iter().map(|pane| pane.title().len() + 4).sum();
        let mut line = Vec::new();
        for (index, pane) in Pane::ALL.into_iter().enumerate() {
            let is_here = pane == self.state.pane;
            // Where there is no room for all names, that of the pane one is in.
            let text = match is_here || full <= columns {
                true => format!("{} {}", index + 1, pane.title()),
                false => (index + 1).to_string(),
            };
            let style = match is_here {
                true => self.theme.focus(),
                false => self.theme.quiet(),
            };
            line.push(Span::styled(text, style));
            line.push(Span::raw("  "));
        }
        Line::from(line)
    }

    /// All of the head in one line.
    fn summary(&self, columns: usize) -> Line<'static> {
        let marks = self.marks();
        if !marks.is_empty() {
            return Line::from(marks);
        }
        let server = &self.board.server.known;
        let text = format!("{}/s {}", self.commands_per_second(), bytes(server.memory));
        Line::styled(fit(&text, columns), self.theme.quiet())
    }

    /// What is typed, what there is to tell, or what the keys are.
    fn foot(&self, frame: &mut Frame, at: usize, columns: usize) {
        if let Some(prompt) = &self.state.prompt {
            let (line, cursor) = typed(prompt, columns);
            put(frame, vec![line.style(self.theme.title())], 0, at, columns);
            frame.set_cursor_position((short(cursor), short(at)));
            return;
        }
        let line = match (&self.state.notice, &self.state.away) {
            (Some(notice), _) => {
                let style = match notice.is_bad {
                    true => self.theme.bad(),
                    false => self.theme.good(),
                };
                Line::styled(fit(&notice.text, columns), style)
            }
            (None, Some(away)) => {
                let text = format!("trying again: {away}");
                Line::styled(fit(&text, columns), self.theme.bad())
            }
            (None, None) => Line::styled(hints(self.state, columns), self.theme.quiet()),
        };
        put(frame, vec![line], 0, at, columns);
    }
}

/// As many keys as there is room for.
fn hints(state: &State, columns: usize) -> String {
    let hints: &[&str] = match &state.detail {
        _ if state.help.is_some() => &["q quit", "Esc back", "↑↓ scroll"],
        Some(detail) if detail.is_open => &["q quit", "Esc back", "? help", "↑↓ scroll"],
        Some(_) => &[
            "q quit",
            "Esc back",
            "? help",
            "Enter all of it",
            "p publish",
            "u push",
            "Space pause",
        ],
        None => &[
            "q quit",
            "? help",
            "Enter see",
            "Tab pane",
            "p publish",
            "u push",
            "m monitor",
            "Space pause",
            "/ filter",
            "s sort",
        ],
    };
    let mut line = String::new();
    for hint in hints {
        let more = match line.is_empty() {
            true => (*hint).to_owned(),
            false => format!("  {hint}"),
        };
        if width(&line) + width(&more) > columns {
            break;
        }
        line += &more;
    }
    line
}

/// The line that is typed, as far as it fits, and where the cursor stands in it.
fn typed(prompt: &Prompt, columns: usize) -> (Line<'static>, usize) {
    let label = match &prompt.purpose {
        Purpose::Channel { is_of_shard: false } => "Publish to channel: ".to_owned(),
        Purpose::Channel { is_of_shard: true } => "Publish to channel of a shard: ".to_owned(),
        Purpose::Message { channel } => format!("Publish to {}: ", name(&channel.name)),
        Purpose::Queue => "Push to queue: ".to_owned(),
        Purpose::Item { queue } => format!("Push to {}: ", name(queue)),
        Purpose::Filter => "/".to_owned(),
    };
    let (before, after) = prompt.halves();
    // What is typed matters more than what for.
    let label = fit(&label, columns / 2);
    let room = columns.saturating_sub(width(&label) + 1);
    // More than fits is not even looked at, however much was pasted.
    let first = before
        .char_indices()
        .rev()
        .nth(room)
        .map_or(0, |(at, _)| at);
    let before = harmless(&before.as_bytes()[first..], &[]);
    let after = name(after.as_bytes());
    let mut start = before.char_indices().map(|(at, _)| at);
    let mut end = before.as_str();
    while width(end) > room {
        match start.next() {
            Some(at) => end = &before[at..],
            None => break,
        }
    }
    let cursor = width(&label) + width(end);
    (Line::from(format!("{label}{end}{after}")), cursor)
}

fn help(theme: Theme, columns: usize) -> Vec<Line<'static>> {
    let keys = KEYS.iter().flat_map(|(keys, what)| {
        let mut keys = format!("{keys:<12}");
        let lines = wrap_words(what, columns.saturating_sub(width(&keys)));
        lines.into_iter().map(move |what| {
            let blank = " ".repeat(width(&keys));
            let keys = Span::styled(std::mem::replace(&mut keys, blank), theme.title());
            Line::from(vec![keys, Span::raw(what)])
        })
    });
    let remarks = [
        "",
        "Nothing is taken from queues and streams. A channel is subscribed to while it is open.",
        "LENGTH and its CHANGE/S are from LLEN; IN/S and OUT/S need MONITOR. A * waits; a ? in \
         WAITING stands for those who waited before MONITOR ran, or use a Unix socket.",
    ];
    let remarks = remarks
        .into_iter()
        .flat_map(|remark| wrap_words(remark, columns));
    let remarks = remarks.map(|remark| Line::styled(remark, theme.quiet()));
    keys.chain(remarks).collect()
}

/// Puts lines on the screen, as far as it reaches.
fn put(frame: &mut Frame, lines: Vec<Line<'static>>, left: usize, top: usize, columns: usize) {
    let area = Rect {
        x: short(left),
        y: short(top),
        width: short(columns),
        height: short(lines.len()),
    };
    let area = area.intersection(frame.area());
    frame.render_widget(Text::from(lines), area);
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
