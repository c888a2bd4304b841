//! What was opened: its contents in a line each, or one of them as a whole.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::super::pretty::pretty;
use super::super::super::say::{counted, harmless};
use super::super::contents::{Content, End, Subject};
use super::super::detail::{Detail, Source};
use super::super::figures::{bytes, count, fit, name, width, wrap};
use super::theme::Theme;

pub fn detail(detail: &Detail, theme: Theme, columns: usize, lines: usize) -> Vec<Line<'static>> {
    let title = fit(&title(detail), columns);
    let mut shown = vec![Line::styled(title, theme.focus())];
    let room = lines.saturating_sub(1);
    if let Some(refusal) = &detail.refusal {
        shown.push(Line::styled(fit(refusal, columns), theme.bad()));
    } else if let Some(opened) = detail.opened().filter(|_| detail.is_open) {
        let text = laid_out(&opened.body, columns);
        let first = detail.scroll.first(text.len(), room);
        shown.extend(text.into_iter().skip(first).take(room).map(Line::from));
    } else {
        shown.extend(contents(detail, theme, columns, room));
    }
    shown.truncate(lines);
    shown
}

fn title(detail: &Detail) -> String {
    let contents = match detail.is_cut() {
        true => counted(detail.len() as i64, "large one"),
        false => count(detail.len() as u64),
    };
    let what = match (&detail.subject, detail.end) {
        (Subject::Channel(channel), _) => {
            let messages = count(detail.messages());
            let missed = match detail.gaps() {
                0 => String::new(),
                gaps => format!(", with {}", counted(gaps, "gap")),
            };
            let name = name(&channel.name);
            format!("Channel {name}: {messages} since it was opened{missed}")
        }
        (Subject::Queue(key), End::Right) => format!(
            "Queue {}: {contents} from the right, where pop takes (e: from the left)",
            name(key)
        ),
        (Subject::Queue(key), End::Left) => format!(
            "Queue {}: {contents} from the left, where push puts (e: from the right)",
            name(key)
        ),
        (Subject::Stream(key), _) => format!("Stream {}: the newest {contents}", name(key)),
        (Subject::Client(id), _) => format!("Client #{id}"),
        (Subject::Slow(_), _) => "Slow command".to_owned(),
        (Subject::Command(_), _) => "Command".to_owned(),
    };
    let is_one_of_many = detail.is_open && !matches!(detail.source, Source::Text(_));
    let opened = detail.opened().filter(|_| is_one_of_many);
    match opened {
        Some(opened) if opened.body.len() < opened.size => {
            let (shown, all) = (bytes(opened.body.len() as u64), bytes(opened.size as u64));
            format!("{}, the first {shown} of {all}, {what}", opened.head)
        }
        Some(opened) => format!("{}, {}", opened.head, what),
        None => what,
    }
}

fn contents(detail: &Detail, theme: Theme, columns: usize, room: usize) -> Vec<Line<'static>> {
    let all = detail.len();
    if all == 0 {
        let why = match &detail.source {
            Source::Window(None) => "…",
            Source::Window(_) => "nothing there",
            Source::Messages(_) => "waiting for messages",
            Source::Text(_) => "",
        };
        return vec![Line::styled(fit(why, columns), theme.quiet())];
    }
    let chosen = detail.chosen.min(all - 1);
    let first = chosen
        .saturating_sub(room / 2)
        .min(all.saturating_sub(room));
    let contents = detail.lines(first, room);
    let heads = contents.iter().map(|content| width(&content.head));
    let head = heads.max().unwrap_or(0).min(columns / 2);
    let line = |(index, content): (usize, &Content)| {
        let text = fit(&content.head, head);
        let padding = " ".repeat(head - width(&text) + 1);
        let body = fit(&name(&content.body), columns.saturating_sub(head + 1));
        let style = match first + index == chosen {
            true => theme.chosen(),
            false => Style::new(),
        };
        let head_style = match first + index == chosen {
            true => theme.chosen(),
            false => theme.quiet(),
        };
        Line::from(vec![
            Span::styled(text + &padding, head_style),
            Span::styled(body, style),
        ])
    };
    contents.iter().enumerate().map(line).collect()
}

/// A text in lines, JSON with a member on each, and nothing in it that a terminal would obey.
fn laid_out(body: &[u8], columns: usize) -> Vec<String> {
    let pretty = pretty(body);
    let body = pretty.as_deref().unwrap_or(body);
    harmless(body, &['\n'])
        .lines()
        .flat_map(|line| wrap(line, columns))
        .collect()
}
