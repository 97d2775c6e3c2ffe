//! Foreign text made safe for a terminal.
//!
//! A message may hold anything that is UTF-8. Printed raw it could move the cursor, change
//! colours, answer questions in the reader's name, or show its letters in another order than they
//! are in. So everything that acts instead of being seen is shown as an escape sequence, and the
//! backslash too, so that each printed form has exactly one meaning.

use std::fmt::Write;

use serde_json::Value;

/// One message's text, on one line.
pub(crate) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = Before::Other;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if before.allows(c, characters.peek().copied()) || !acts(c) => escaped.push(c),
            c => push_code(&mut escaped, c),
        }
        before = before.then(c);
    }
    escaped
}

/// Our own words around what a user typed: line ends stay, and so do backslashes.
pub(crate) fn lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && acts(c) {
            push_code(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A JSON document on one line.
///
/// `serde_json` escapes what JSON demands (C0 controls, quotes); the rest of what could drive a
/// terminal is legal there, and can only stand inside a string, so it is escaped afterwards.
pub(crate) fn json(value: &Value) -> String {
    let plain = value.to_string();
    let mut escaped = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    escaped
}

fn push_code(to: &mut String, c: char) {
    let _ = write!(to, "\\u{{{:x}}}", u32::from(c));
}

/// Whether a character does something to the text around it, or cannot be seen at all.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}' // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}' // zero-width characters, direction marks
            | '\u{2028}'..='\u{202e}' // line and paragraph ends, direction overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, direction isolates
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // interlinear annotation
            | '\u{13430}'..='\u{1345f}' // hieroglyph format controls
            | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}' // musical format controls
            | '\u{e0000}'..='\u{e0fff}') // tags, further selectors
}

/// What stood before a character: joiners and selectors are part of an emoji or a word where
/// they follow one, and invisible anywhere else.
#[derive(Clone, Copy)]
enum Before {
    /// Something one sees, beyond ASCII: it may take a joiner or a selector.
    Visible,
    /// A digit, `#` or `*`: begins a keycap, so it may take a selector.
    Keycap,
    /// A selector after something visible.
    Selector,
    Other,
}

impl Before {
    fn then(self, c: char) -> Self {
        match c {
            '\u{fe0e}' | '\u{fe0f}' if matches!(self, Self::Visible | Self::Keycap) => {
                Self::Selector
            }
            '0'..='9' | '#' | '*' => Self::Keycap,
            c if !c.is_ascii() && !acts(c) => Self::Visible,
            _ => Self::Other,
        }
    }

    fn allows(self, c: char, next: Option<char>) -> bool {
        match c {
            '\u{fe0e}' | '\u{fe0f}' => matches!(self, Self::Visible | Self::Keycap),
            // Joins two that are seen: an emoji family, or letters of an Indic or Persian word.
            '\u{200c}' | '\u{200d}' => {
                matches!(self, Self::Visible | Self::Selector)
                    && next.is_some_and(|next| !next.is_ascii() && !acts(next))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{json as json_line, *};

    #[test]
    fn letters_and_emoji_pass() {
        for plain in
            ["banana", "Übung macht", "日本語", "שלום", "🍌", "👩‍👩‍👧", "❤️‍🔥", "1️⃣", "👍🏽", "می‌خواهم"]
        {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn characters_that_drive_a_terminal_are_shown_as_codes() {
        assert_eq!(text("a\nb\tc\rd"), "a\\nb\\tc\\rd");
        assert_eq!(text("\x1b[31mred"), "\\u{1b}[31mred");
        assert_eq!(text("\u{9b}31m\u{7f}\0"), "\\u{9b}31m\\u{7f}\\u{0}");
        assert_eq!(text("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
        assert_eq!(text("\u{feff}a\u{200b}b\u{2028}"), "\\u{feff}a\\u{200b}b\\u{2028}");
        assert_eq!(text("\u{e0041}"), "\\u{e0041}");
    }

    #[test]
    fn joiners_and_selectors_pass_only_where_they_join() {
        assert_eq!(text("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(text("👩\u{200d}"), "👩\\u{200d}");
        assert_eq!(text("👩\u{200d}\u{200d}👩"), "👩\\u{200d}\\u{200d}👩");
        assert_eq!(text("❤\u{fe0f}\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}");
    }

    #[test]
    fn the_backslash_is_escaped_so_that_nothing_can_pose_as_an_escape() {
        assert_eq!(text("\\n"), "\\\\n");
        assert_ne!(text("\\n"), text("\n"));
    }

    #[test]
    fn json_reads_back_and_holds_nothing_that_acts() {
        let foreign = "a\x1b[0m\u{9b}\u{202e}\u{7f}\u{feff}\u{e0041}\n\\\"🍌";
        let document = json_line(&json!({ "text": foreign }));
        assert!(!document.trim_end().chars().any(acts), "{document}");
        let back: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(back["text"], foreign);
    }

    #[test]
    fn our_own_words_keep_their_lines() {
        assert_eq!(lines("error: a\n  why:  \x1b b\\c"), "error: a\n  why:  \\u{1b} b\\c");
    }
}
