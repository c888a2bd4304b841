//! What the user has chosen: a pane, a row in each, what is filtered, opened and typed.

use super::contents::Subject;
use super::detail::Detail;
use super::pane::Pane;
use super::prompt::Prompt;
use super::rows::Row;
use super::scroll::Scroll;

/// Something to tell the user, until the next key.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub text: String,
    pub is_bad: bool,
}

pub struct State {
    pub pane: Pane,
    /// Whether it has the screen for itself.
    pub is_alone: bool,
    pub by_size: bool,
    pub filter: String,
    pub is_paused: bool,
    pub is_monitoring: bool,
    /// There while the keys are shown.
    pub help: Option<Scroll>,
    pub prompt: Option<Prompt>,
    pub detail: Option<Detail>,
    pub notice: Option<Notice>,
    /// Why the broker is away, while it is.
    pub away: Option<String>,
    rows: [Vec<Row>; 6],
    chosen: [Chosen; 6],
}

/// A row by its id, and where it was last, for the time after it has gone.
#[derive(Clone, Default)]
struct Chosen {
    id: Option<Vec<u8>>,
    index: usize,
}

impl State {
    pub fn new() -> State {
        State {
            pane: Pane::Queues,
            is_alone: false,
            by_size: false,
            filter: String::new(),
            is_paused: false,
            is_monitoring: false,
            help: None,
            prompt: None,
            detail: None,
            notice: None,
            away: None,
            rows: Default::default(),
            chosen: Default::default(),
        }
    }

    pub fn set_rows(&mut self, pane: Pane, rows: Vec<Row>) {
        self.rows[pane as usize] = rows;
        self.choose(pane, self.chosen_index(pane));
    }

    /// How many rows a pane has, filtered or not.
    pub fn all(&self, pane: Pane) -> usize {
        self.rows[pane as usize].len()
    }

    /// How many things those are: rows that are no part of another.
    pub fn things(&self, pane: Pane) -> usize {
        let things = self.rows[pane as usize].iter();
        things.filter(|row| !row.is_part).count()
    }

    /// How many of them are shown.
    pub fn shown_things(&self, pane: Pane) -> usize {
        let things = self.shown(pane).into_iter();
        things.filter(|row| !row.is_part).count()
    }

    /// The rows to show, in their order.
    pub fn shown(&self, pane: Pane) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let mut rows: Vec<&Row> = self.rows[pane as usize]
            .iter()
            .filter(|row| filter.is_empty() || row.name.to_lowercase().contains(&filter))
            .collect();
        // What is in the order of time stays in it.
        if self.by_size && pane != Pane::Commands {
            rows.sort_by_key(|row| std::cmp::Reverse(row.size));
        }
        rows
    }

    /// The place of the chosen row among those that are shown.
    pub fn chosen_index(&self, pane: Pane) -> usize {
        let chosen = &self.chosen[pane as usize];
        let rows = self.shown(pane);
        let by_id = |id: &Vec<u8>| rows.iter().position(|row| row.id == *id);
        let index = chosen.id.as_ref().and_then(by_id);
        let last = rows.len().saturating_sub(1);
        index.unwrap_or(chosen.index).min(last)
    }

    fn choose(&mut self, pane: Pane, index: usize) {
        let id = self.shown(pane).get(index).map(|row| row.id.clone());
        // The newest command is the one that is newest then; so is whatever stands at the top,
        // as long as nobody has moved away from it.
        let id = id.filter(|_| index > 0);
        self.chosen[pane as usize] = Chosen { id, index };
    }

    pub fn move_by(&mut self, by: isize) {
        let last = self.shown(self.pane).len().saturating_sub(1);
        let index = self.chosen_index(self.pane);
        let index = index.saturating_add_signed(by).min(last);
        self.choose(self.pane, index);
    }

    /// What the chosen row is about, or what is opened.
    pub fn subject(&self) -> Option<Subject> {
        match &self.detail {
            Some(detail) => Some(detail.subject.clone()),
            None => {
                let index = self.chosen_index(self.pane);
                self.shown(self.pane).get(index)?.subject.clone()
            }
        }
    }

    pub fn tell(&mut self, text: String) {
        self.notice = Some(Notice {
            text,
            is_bad: false,
        });
    }

    pub fn warn(&mut self, text: String) {
        self.notice = Some(Notice { text, is_bad: true });
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(name: &str, size: u64) -> Row {
        Row {
            id: name.as_bytes().to_vec(),
            name: name.to_owned(),
            cells: vec![size.to_string()],
            size,
            is_part: false,
            subject: Some(Subject::Queue(name.as_bytes().to_vec())),
            is_alarming: false,
        }
    }

    fn names(state: &State) -> Vec<&str> {
        let rows = state.shown(Pane::Queues);
        rows.into_iter().map(|row| &*row.name).collect()
    }

    fn chosen(state: &State) -> &str {
        let rows = state.shown(Pane::Queues);
        &rows[state.chosen_index(Pane::Queues)].name
    }

    #[test]
    fn a_chosen_row_stays_chosen() {
        let mut state = State::new();
        assert_eq!(state.chosen_index(Pane::Queues), 0);
        state.move_by(3);
        let rows = || vec![row("a", 1), row("b", 3), row("c", 2)];
        state.set_rows(Pane::Queues, rows());
        state.move_by(1);
        assert_eq!(chosen(&state), "b");
        state.set_rows(Pane::Queues, [vec![row("A", 9)], rows()].concat());
        assert_eq!(chosen(&state), "b");
        state.by_size = true;
        assert_eq!(names(&state), ["A", "b", "c", "a"]);
        assert_eq!(chosen(&state), "b");
        // Where it was when it has gone.
        state.set_rows(Pane::Queues, vec![row("x", 3), row("y", 2)]);
        assert_eq!(chosen(&state), "y");
        state.set_rows(Pane::Queues, vec![]);
        assert_eq!(state.subject(), None);
    }

    #[test]
    fn a_filter_ignores_case() {
        let mut state = State::new();
        state.set_rows(Pane::Queues, vec![row("Mail", 1), row("news", 3)]);
        state.filter = "mAI".to_owned();
        assert_eq!((names(&state), state.all(Pane::Queues)), (vec!["Mail"], 2));
        assert_eq!(state.subject(), Some(Subject::Queue(b"Mail".to_vec())));
    }
}
