//! Colour, which never carries a meaning alone: every line reads the same without it.

use std::fmt::Display;

/// Whether a stream gets colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Coloured,
}

/// One after the other for units, so that neighbours in a log differ. Red and green are kept for verdicts.
const UNIT_COLOURS: [u8; 6] = [36, 33, 35, 34, 96, 95];

impl Paint {
    pub fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    pub fn caution(self, text: impl Display) -> String {
        self.with("1;33", text)
    }

    pub fn hint(self, text: impl Display) -> String {
        self.with("1;36", text)
    }

    pub fn strong(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub fn faint(self, text: impl Display) -> String {
        self.with("2", text)
    }

    /// The `index`-th unit's own colour.
    pub fn unit(self, index: usize, text: impl Display) -> String {
        self.with(&UNIT_COLOURS[index % UNIT_COLOURS.len()].to_string(), text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// A stranger's line, fit for a terminal: it can neither move the cursor nor colour what follows.
pub fn printable(line: &str) -> String {
    console::strip_ansi_codes(line).chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_app_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m \u{7}\u{1b}[2Jgone\ttab"), "red \u{fffd}gone\ttab");
    }
}
