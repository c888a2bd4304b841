//! Colours and weights: few, for what is to be seen first.

use std::ffi::OsString;

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy)]
pub struct Theme {
    has_colours: bool,
}

impl Theme {
    /// `no_color` is the variable `NO_COLOR`, which takes the colours away when it says anything.
    pub fn new(no_color: Option<OsString>) -> Theme {
        Theme {
            has_colours: no_color.is_none_or(|value| value.is_empty()),
        }
    }

    fn coloured(self, colour: Color) -> Style {
        match self.has_colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The pane that the keys are for.
    pub fn focus(self) -> Style {
        self.coloured(Color::Cyan)
            .add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn alarm(self) -> Style {
        self.coloured(Color::Yellow)
    }

    pub fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub fn good(self) -> Style {
        self.coloured(Color::Green)
    }
}
