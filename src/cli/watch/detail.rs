//! A row that was opened: what of it is shown, and which of its contents is chosen.

use std::sync::Arc;

use super::contents::{Content, End, Look, Messages, Subject, fitting};
use super::scroll::Scroll;
use super::traffic::Shared;

/// How many items or entries are asked for, more when the last of them is reached, and the most.
const STEP: usize = 100;
const MOST: usize = 1000;

/// How much of a content stands in one line.
const LINE: usize = 2000;

pub enum Source {
    /// What lies there, once the server has told.
    Window(Option<Vec<Content>>),
    /// What comes.
    Messages(Arc<Shared<Messages>>),
    /// What is known already.
    Text(Vec<u8>),
}

pub struct Detail {
    pub subject: Subject,
    pub end: End,
    pub source: Source,
    /// Why there is nothing to show.
    pub refusal: Option<String>,
    /// Which content is chosen, the first one being the newest, or the next.
    pub chosen: usize,
    /// Whether the chosen one is shown as a whole, and from which line on.
    pub is_open: bool,
    pub scroll: Scroll,
    count: usize,
    /// How many messages had come when they were shown last.
    seen: u64,
    /// How often some may have been missed.
    gaps: u64,
}

impl Detail {
    pub fn of(subject: Subject, source: Source) -> Detail {
        Detail {
            subject,
            end: End::Right,
            is_open: matches!(source, Source::Text(_)),
            source,
            refusal: None,
            chosen: 0,
            scroll: Scroll::default(),
            count: STEP,
            seen: 0,
            gaps: 0,
        }
    }

    /// What to ask the server for, if it has to be asked.
    pub fn look(&self) -> Option<Look> {
        matches!(self.source, Source::Window(_)).then(|| Look {
            subject: self.subject.clone(),
            end: self.end,
            count: self.count,
        })
    }

    /// Takes what the server told, if it still is what is shown.
    pub fn hear(&mut self, look: &Look, contents: Result<Vec<Content>, String>) {
        if self.look().as_ref() != Some(look) {
            return;
        }
        match contents {
            Ok(contents) => {
                self.source = Source::Window(Some(contents));
                self.refusal = None;
            }
            Err(refusal) => self.refusal = Some(refusal),
        }
        self.chosen = self.chosen.min(self.len().saturating_sub(1));
    }

    /// Lets in what has come since. Who has chosen a message keeps it, and who looks at the newest
    /// sees the newest.
    pub fn settle(&mut self) {
        if let Source::Messages(messages) = &self.source {
            let messages = messages.lock();
            if self.chosen > 0 || self.is_open {
                let new = usize::try_from(messages.count - self.seen).unwrap_or(usize::MAX);
                let last = messages.last.len().saturating_sub(1);
                self.chosen = self.chosen.saturating_add(new).min(last);
            }
            self.seen = messages.count;
            self.gaps = messages.begun.saturating_sub(1);
            self.refusal.clone_from(&messages.ended);
        }
    }

    /// How many messages have come since the channel was opened.
    pub fn messages(&self) -> u64 {
        self.seen
    }

    /// How many times the channel had to be subscribed to again.
    pub fn gaps(&self) -> i64 {
        i64::try_from(self.gaps).unwrap_or(i64::MAX)
    }

    /// Whether there are more than were asked for at once, because they are large.
    pub fn is_cut(&self) -> bool {
        match &self.source {
            Source::Window(Some(contents)) => {
                (fitting(contents)..self.count).contains(&contents.len())
            }
            _ => false,
        }
    }

    pub fn len(&self) -> usize {
        match &self.source {
            Source::Window(contents) => contents.as_ref().map_or(0, Vec::len),
            Source::Messages(messages) => {
                let messages = messages.lock();
                messages.last.len() - self.unseen(&messages)
            }
            Source::Text(_) => 1,
        }
    }

    /// What stands in lines: the beginnings of so many contents, from one on.
    pub fn lines(&self, first: usize, count: usize) -> Vec<Content> {
        let line = |content: &Content| Content {
            head: content.head.clone(),
            body: content.body[..content.body.len().min(LINE)].to_vec(),
            size: content.size,
        };
        match &self.source {
            Source::Window(contents) => {
                let contents = contents.iter().flatten();
                contents.skip(first).take(count).map(line).collect()
            }
            Source::Messages(messages) => {
                let messages = messages.lock();
                let first = first + self.unseen(&messages);
                let contents = messages.last.iter();
                contents.skip(first).take(count).map(line).collect()
            }
            Source::Text(_) => Vec::new(),
        }
    }

    /// All of the chosen one.
    pub fn opened(&self) -> Option<Content> {
        match &self.source {
            Source::Window(contents) => contents.as_ref()?.get(self.chosen).cloned(),
            Source::Messages(messages) => {
                let messages = messages.lock();
                let index = self.chosen + self.unseen(&messages);
                messages.last.get(index).cloned()
            }
            Source::Text(text) => Some(Content {
                head: String::new(),
                body: text.clone(),
                size: text.len(),
            }),
        }
    }

    /// Moves on, or scrolls what is open. Says whether more is to be asked for.
    pub fn move_by(&mut self, by: isize) -> bool {
        if self.is_open {
            self.scroll.move_by(by);
            return false;
        }
        let last = self.len().saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(by).min(last);
        let is_window = matches!(self.source, Source::Window(_));
        let has_more = is_window && self.len() == self.count && self.count < MOST;
        if self.chosen == last && has_more {
            self.count += STEP;
            return true;
        }
        false
    }

    /// Shows the queue from its other end.
    pub fn turn(&mut self) {
        self.end = match self.end {
            End::Left => End::Right,
            End::Right => End::Left,
        };
        self.source = Source::Window(None);
        (self.chosen, self.count, self.is_open) = (0, STEP, false);
    }

    /// How many of the newest messages came after what is shown, which is paused.
    fn unseen(&self, messages: &Messages) -> usize {
        let unseen = usize::try_from(messages.count - self.seen).unwrap_or(usize::MAX);
        unseen.min(messages.last.len())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use respd::resp::value::Value;

    use super::super::contents::Channel;
    use super::*;

    fn contents(count: usize) -> Vec<Content> {
        let content = |n: usize| Content {
            head: n.to_string(),
            body: format!("body {n}").into_bytes(),
            size: 10,
        };
        (0..count).map(content).collect()
    }

    #[test]
    fn more_is_asked_for_at_the_end() {
        let subject = Subject::Queue(b"q".to_vec());
        let mut detail = Detail::of(subject, Source::Window(None));
        assert!(!detail.move_by(1));
        let look = detail.look().unwrap();
        detail.hear(&look, Ok(contents(STEP)));
        assert!(!detail.move_by(98));
        assert!(detail.move_by(5));
        let more = detail.look().unwrap();
        assert_eq!((more.count, detail.chosen), (STEP * 2, STEP - 1));
        // What was asked for before is of no interest any more.
        detail.hear(&look, Ok(contents(1)));
        assert_eq!(detail.len(), STEP);
        detail.hear(&more, Ok(contents(STEP + 1)));
        assert!(!detail.move_by(5));
        assert_eq!(detail.opened().unwrap().body, b"body 100");
        detail.turn();
        assert_eq!((detail.len(), detail.look().unwrap().end), (0, End::Left));
    }

    #[test]
    fn a_chosen_message_stays_chosen_and_a_pause_holds_all_still() {
        let messages = Arc::new(Shared::new(Messages::default()));
        let publish = |text: &str| {
            let parts = ["message", "c", text].map(|part| Value::Bulk(part.to_owned().into()));
            let value = Value::Array(parts.to_vec());
            messages.lock().hear(&value, Timestamp::UNIX_EPOCH);
        };
        let source = Source::Messages(Arc::clone(&messages));
        let mut detail = Detail::of(Subject::Channel(Channel::plain(b"c")), source);
        let chosen = |detail: &Detail| String::from_utf8(detail.opened().unwrap().body).unwrap();
        publish("one");
        publish("two");
        assert_eq!(detail.len(), 0);
        detail.settle();
        assert_eq!((detail.len(), &*chosen(&detail)), (2, "two"));
        publish("three");
        assert_eq!((detail.len(), &*chosen(&detail)), (2, "two"));
        assert_eq!(detail.lines(0, 9).len(), 2);
        detail.settle();
        assert_eq!(&*chosen(&detail), "three");
        detail.move_by(1);
        publish("four");
        detail.settle();
        assert_eq!((&*chosen(&detail), detail.messages()), ("two", 4));
    }
}
