//! A pane as a table: a title, the heads of its columns, its rows around the chosen one.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::board::Board;
use super::super::figures::{count, fit, width, wrap_words};
use super::super::pane::{Column, Pane};
use super::super::rows::Row;
use super::super::state::State;
use super::theme::Theme;

/// The least room for names before a column goes, and before the last one goes.
const NAME: usize = 14;
const SHORT_NAME: usize = 6;

/// Between two columns.
const GAP: usize = 2;

/// The lines of a pane, as many as there is room for.
pub fn table(
    pane: Pane,
    state: &State,
    board: &Board,
    theme: Theme,
    columns: usize,
    lines: usize,
) -> Vec<Line<'static>> {
    let rows = state.shown(pane);
    let is_focused = state.pane == pane;
    let mut shown = vec![title(pane, state, board, theme, columns)];
    if let Some(why) = emptiness(pane, &rows, state, board) {
        let why = wrap_words(&why, columns).into_iter();
        shown.extend(why.map(|line| Line::styled(line, theme.quiet())));
    } else {
        let chosen = state.chosen_index(pane);
        let has_heads = lines >= 4;
        let room = lines.saturating_sub(1 + usize::from(has_heads));
        // The chosen row stays in sight, with what stands around it.
        let first = chosen
            .saturating_sub(room / 2)
            .min(rows.len().saturating_sub(room));
        let visible = &rows[first..rows.len().min(first + room)];
        let layout = Layout::of(pane, visible, columns);
        if has_heads {
            let heads = pane.columns().iter().map(|column| column.title);
            let line = layout.line(pane.heading(), heads);
            shown.push(Line::styled(line, theme.quiet()));
        }
        for (index, row) in visible.iter().enumerate() {
            let line = layout.line(&row.name, row.cells.iter().map(String::as_str));
            let style = match first + index == chosen && is_focused {
                true => theme.chosen(),
                false if row.is_alarming => theme.alarm(),
                false => Style::new(),
            };
            shown.push(Line::styled(line, style));
        }
    }
    shown.truncate(lines);
    shown
}

/// As in `Queues 12 of 340`, and what is to be known about it.
fn title(pane: Pane, state: &State, board: &Board, theme: Theme, columns: usize) -> Line<'static> {
    // Not the groups of a stream, and not who stands for patterns.
    let (shown, all) = (state.shown_things(pane), state.things(pane));
    let number = match shown == all {
        true if all == 0 && refusal(pane, board).is_some() => String::new(),
        true => count(all as u64),
        false => format!("{} of {}", count(shown as u64), count(all as u64)),
    };
    let style = match state.pane == pane {
        true => theme.focus(),
        false => theme.title(),
    };
    let title = fit(pane.title(), columns);
    let left = columns.saturating_sub(width(&title));
    let rest = [number, remark(pane, board)].join(" ");
    let rest = fit(&format!(" {}", rest.trim_end()), left);
    Line::from(vec![
        Span::styled(title, style),
        Span::styled(rest, theme.quiet()),
    ])
}

/// What is known of a pane as a whole.
fn remark(pane: Pane, board: &Board) -> String {
    let keys = &board.keys.known;
    let more = |more: usize| match more {
        0 => String::new(),
        more => format!("(the longest; {} more)", count(more as u64)),
    };
    let walked = match keys.progress {
        Some(progress) => format!("(of {:.0} % of the keys so far)", progress * 100.0),
        None => String::new(),
    };
    match pane {
        Pane::Channels => match (board.channels.known.patterns, board.channels.known.more) {
            (0, 0) => String::new(),
            (patterns, 0) => format!("and {} by pattern", count(patterns)),
            (_, more) => format!("({} more)", count(more as u64)),
        },
        Pane::Queues => format!("{}{walked}", more(keys.more.0)),
        Pane::Streams => format!("{}{walked}", more(keys.more.1)),
        Pane::Clients => match board.server.known.blocked {
            0 => String::new(),
            blocked => format!("({} waiting)", count(blocked)),
        },
        Pane::Slow | Pane::Commands => String::new(),
    }
}

/// Why there is nothing to see.
fn emptiness(pane: Pane, rows: &[&Row], state: &State, board: &Board) -> Option<String> {
    if let Some(refusal) = refusal(pane, board) {
        return Some(refusal.to_owned());
    }
    if !rows.is_empty() {
        return None;
    }
    let why = match pane {
        _ if state.all(pane) > 0 => "none with the text that is filtered by",
        Pane::Commands if !state.is_monitoring => "m shows every command, by MONITOR",
        _ if board.sampled.is_none() => "…",
        Pane::Channels => "nobody subscribes to a channel",
        Pane::Queues => "no list",
        Pane::Streams => "no stream",
        Pane::Clients => "none",
        Pane::Slow => "no slow command",
        Pane::Commands => "nothing yet",
    };
    Some(why.to_owned())
}

fn refusal(pane: Pane, board: &Board) -> Option<&str> {
    let refusal = match pane {
        Pane::Channels => &board.channels.refusal,
        Pane::Queues | Pane::Streams => &board.keys.refusal,
        Pane::Clients => &board.clients.refusal,
        Pane::Slow => &board.slow.refusal,
        Pane::Commands => &None,
    };
    refusal.as_deref()
}

/// How wide the columns are that there is room for.
struct Layout {
    name: usize,
    columns: Vec<Option<usize>>,
}

impl Layout {
    fn of(pane: Pane, rows: &[&Row], columns: usize) -> Layout {
        // A column without a text in it is none.
        let is_used = |n: usize| {
            rows.iter()
                .any(|row| row.cells.get(n).is_some_and(|c| !c.is_empty()))
        };
        let mut used: Vec<(usize, &Column)> = pane
            .columns()
            .iter()
            .enumerate()
            .filter(|(n, _)| is_used(*n))
            .collect();
        let names = rows.iter().map(|row| width(&row.name));
        let longest = names.max().unwrap_or(0).max(width(pane.heading()));
        let taken = |used: &[(usize, &Column)]| -> usize {
            used.iter().map(|(_, column)| column.width + GAP).sum()
        };
        while let Some(last) = used.iter().map(|(_, column)| column.rank).max() {
            let name = if last == 0 { SHORT_NAME } else { NAME };
            if taken(&used) + name.min(longest) <= columns {
                break;
            }
            used.retain(|(_, column)| column.rank < last);
        }
        let mut widths = vec![None; pane.columns().len()];
        for (n, column) in &used {
            widths[*n] = Some(column.width);
        }
        Layout {
            name: longest.min(columns.saturating_sub(taken(&used))),
            columns: widths,
        }
    }

    /// The name to the left, the others to the right of their columns.
    fn line<'a>(&self, name: &str, cells: impl Iterator<Item = &'a str>) -> String {
        let name = fit(name, self.name);
        let mut line = name.clone() + &" ".repeat(self.name - width(&name));
        for (cell, columns) in cells.zip(&self.columns) {
            if let Some(columns) = columns {
                let cell = fit(cell, *columns);
                line += &" ".repeat(GAP + columns - width(&cell));
                line += &cell;
            }
        }
        line
    }
}
