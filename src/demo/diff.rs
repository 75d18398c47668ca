//! Before and after, as a line diff.
//!
//! The events are spread over lines byte for byte: only white space is put in, so that what is
//! shown is what the topics hold, numbers and escapes as they are spelt. Commas at line ends are
//! left out, because a last member's missing comma would show as a change.
//!
//! Showing records at all is this module's privilege: they are the generator's, of people who do
//! not exist. Nothing else in limpid shows one.

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;

const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const SAME: Style = Style::new().dimmed();

/// Most lines of one diff.
const LINES_MAX: usize = 28;

/// What changed, with one line around it. `colour` dresses it for a terminal.
pub(super) fn diff(before: &[u8], after: &[u8], colour: bool) -> String {
    let (before, after) = (spread(before), spread(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(1).iter().enumerate() {
        if index > 0 {
            lines.push((SAME, "    …".to_owned()));
        }
        let changes = group.iter().flat_map(|operation| diff.iter_changes(operation));
        lines.extend(changes.map(|change| dressed(change.tag(), change.value())));
    }
    shown(&lines, colour)
}

fn dressed(tag: ChangeTag, line: &str) -> (Style, String) {
    let (style, sign) = match tag {
        ChangeTag::Delete => (GONE, '-'),
        ChangeTag::Insert => (NEW, '+'),
        ChangeTag::Equal => (SAME, ' '),
    };
    (style, format!("  {sign} {}", line.trim_end()))
}

fn shown(lines: &[(Style, String)], colour: bool) -> String {
    let mut text = String::new();
    for (style, line) in lines.iter().take(LINES_MAX) {
        let _ = match colour {
            true => writeln!(text, "{style}{line}{style:#}"),
            false => writeln!(text, "{line}"),
        };
    }
    if lines.len() > LINES_MAX {
        let _ = writeln!(text, "    … {} lines more", lines.len() - LINES_MAX);
    }
    text
}

/// JSON with every member and element on its own line, otherwise as it is.
fn spread(json: &[u8]) -> String {
    let json = String::from_utf8_lossy(json);
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let mut opened = false;
    for character in json.chars() {
        if quoted {
            text.push(character);
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closing = matches!(character, '}' | ']');
        if closing {
            depth = depth.saturating_sub(1);
        }
        // An empty array or object stays on one line.
        if opened != closing {
            new_line(&mut text, depth);
        }
        opened = matches!(character, '{' | '[');
        depth += usize::from(opened);
        match character {
            ',' => new_line(&mut text, depth),
            ':' => text.push_str(": "),
            _ => text.push(character),
        }
        quoted = character == '"';
    }
    text.push('\n');
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_over_lines_and_otherwise_as_it_was() {
        let json = br#"{"a" : 1.50e1,"b":["x, \"}", {} ],"c":[], "d":{"e":"\u00e9\\"}}"#;
        let lines = [
            "{",
            "  \"a\": 1.50e1",
            "  \"b\": [",
            "    \"x, \\\"}\"",
            "    {}",
            "  ]",
            "  \"c\": []",
            "  \"d\": {",
            "    \"e\": \"\\u00e9\\\\\"",
            "  }",
            "}",
            "",
        ];
        assert_eq!(spread(json), lines.join("\n"));
    }

    #[test]
    fn only_what_changed_is_shown_in_colour_only_if_asked() {
        let before = br#"{"id":1,"a":0,"b":0,"c":0,"mail":"x","z":9}"#;
        let after = br#"{"id":1,"a":0,"b":0,"c":0,"z":9}"#;
        let plain = "      \"c\": 0\n  -   \"mail\": \"x\"\n      \"z\": 9\n";
        assert_eq!(diff(before, after, false), plain);
        assert!(diff(before, after, true).contains("\u{1b}[31m  -   \"mail\""));
        assert_eq!(diff(before, before, true), "");
    }
}
