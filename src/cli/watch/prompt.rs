//! A line that the user types: a name, a message, what to filter by.

use super::contents::Channel;

/// What the line is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    Channel { is_of_shard: bool },
    Message { channel: Channel },
    Queue,
    Item { queue: Vec<u8> },
    Filter,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub purpose: Purpose,
    text: Vec<char>,
    /// Before which character the next one comes.
    cursor: usize,
}

impl Prompt {
    pub fn new(purpose: Purpose, text: &str) -> Prompt {
        let text: Vec<char> = text.chars().collect();
        Prompt {
            purpose,
            cursor: text.len(),
            text,
        }
    }

    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What stands before the cursor, and after it.
    pub fn halves(&self) -> (String, String) {
        let (before, after) = self.text.split_at(self.cursor);
        (before.iter().collect(), after.iter().collect())
    }

    pub fn insert(&mut self, text: &str) {
        let text: Vec<char> = text.chars().collect();
        let inserted = text.len();
        self.text.splice(self.cursor..self.cursor, text);
        self.cursor += inserted;
    }

    pub fn erase(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    pub fn erase_after(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Erases the word before the cursor.
    pub fn erase_word(&mut self) {
        while self.cursor > 0 && self.text[self.cursor - 1] == ' ' {
            self.erase();
        }
        while self.cursor > 0 && self.text[self.cursor - 1] != ' ' {
            self.erase();
        }
    }

    /// Erases all before the cursor.
    pub fn erase_line(&mut self) {
        self.text.drain(..self.cursor);
        self.cursor = 0;
    }

    pub fn move_by(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_anywhere() {
        let mut prompt = Prompt::new(Purpose::Filter, "caf");
        prompt.insert("é x");
        prompt.move_by(-2);
        prompt.insert("!");
        assert_eq!(prompt.halves(), ("café!".to_owned(), " x".to_owned()));
        prompt.erase();
        prompt.erase_after();
        assert_eq!(prompt.text(), "caféx");
        prompt.move_by(isize::MAX);
        prompt.insert(" two words ");
        prompt.erase_word();
        assert_eq!(prompt.text(), "caféx two ");
        prompt.move_by(-4);
        prompt.erase_line();
        assert_eq!(prompt.halves(), (String::new(), "two ".to_owned()));
        prompt.move_by(isize::MIN);
        prompt.erase();
        prompt.move_by(99);
        prompt.erase_after();
        assert_eq!(prompt.text(), "two ");
    }
}
