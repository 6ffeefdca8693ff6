//! What peers and operators send, as it is shown to people: on one line, without control characters, and not too long.

use std::fmt::{self, Display, Write};

use crate::limits::SHOWN_CHARS_MAX;

/// Shows a value in that way: control characters are escaped, and what is longer than [`SHOWN_CHARS_MAX`] is cut.
///
/// Whatever a peer has written, the line in which it is shown stays one, and no terminal obeys it.
pub struct Printable<T> {
    value: T,
    chars_max: usize,
}

impl<T: Display> Printable<T> {
    /// A value of the usual length.
    pub fn new(value: T) -> Self {
        Self { value, chars_max: SHOWN_CHARS_MAX }
    }

    /// The same with another bound.
    #[must_use]
    pub fn cut_at(self, chars_max: usize) -> Self {
        Self { chars_max, ..self }
    }
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Escaping { out: f, left: self.chars_max, cut: false };
        match write!(out, "{}", self.value) {
            // It is the way in which writing ends early.
            Err(fmt::Error) if out.cut => f.write_str("..."),
            shown => shown,
        }
    }
}

/// Writes so many characters and no more.
struct Escaping<'a, W: ?Sized> {
    out: &'a mut W,
    left: usize,
    cut: bool,
}

impl<W: Write + ?Sized> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.left == 0 {
                self.cut = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            if misleads(letter) {
                write!(self.out, "{}", letter.escape_default())?;
            } else {
                self.out.write_char(letter)?;
            }
        }
        Ok(())
    }
}

/// Control characters, and what breaks lines or turns the direction of writing.
fn misleads(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_stays_on_its_line() {
        for (sent, shown) in [
            ("guest", "guest"),
            ("käse 兎", "käse 兎"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("x\u{2028}y\u{202e}z", "x\\u{2028}y\\u{202e}z"),
        ] {
            assert_eq!(Printable::new(sent).to_string(), shown);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let exact = "x".repeat(SHOWN_CHARS_MAX);
        assert_eq!(Printable::new(&exact).to_string(), exact);
        let long = Printable::new("\n".repeat(100 * SHOWN_CHARS_MAX)).to_string();
        assert!(long.ends_with("..."));
        assert_eq!(long.len(), 2 * SHOWN_CHARS_MAX + 3);
        assert_eq!(Printable::new("abcd").cut_at(2).to_string(), "ab...");
    }
}
