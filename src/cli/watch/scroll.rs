//! From which line on a text is shown that is longer than the screen.

use std::cell::Cell;

/// Only who draws the text knows where it ends, and keeps it within.
#[derive(Default)]
pub struct Scroll(Cell<usize>);

impl Scroll {
    pub fn move_by(&self, by: isize) {
        self.0.set(self.0.get().saturating_add_signed(by));
    }

    /// The first line to show of so many, where there is room for some.
    pub fn first(&self, lines: usize, room: usize) -> usize {
        self.0.set(self.0.get().min(lines.saturating_sub(room)));
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_where_it_ends() {
        let scroll = Scroll::default();
        scroll.move_by(isize::MAX);
        assert_eq!(scroll.first(12, 10), 2);
        scroll.move_by(-1);
        assert_eq!(scroll.first(12, 10), 1);
        scroll.move_by(-10);
        assert_eq!(scroll.first(12, 10), 0);
        scroll.move_by(10);
        assert_eq!(scroll.first(3, 10), 0);
    }
}
