//! JSON for the policies' own tests: written from YAML, compared by meaning, told apart by line.
//!
//! Not the kernel's JSON: this may be slow and may allocate, and it is a second opinion. Numbers
//! keep the spelling of the test, because a record's numbers do.

use super::trial::ANY_TEXT;
use crate::document::{Kind, Node, Reader};
use simd_json::owned::Object;
use simd_json::{OwnedValue, StaticNode};
use std::fmt::Write as _;

/// Writes a tree as JSON without spaces.
pub fn write(node: &Node, out: &mut String, reader: &mut Reader<'_>) -> Option<()> {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Kind::Number(spelling) if is_json_number(spelling) => out.push_str(spelling),
        Kind::Number(_) => {
            reader
                .fault("P031", node.span, "this number cannot be written in JSON")
                .hint("write it as JSON does (no leading `+`, zeros or dot, no `0x`), or in quotes if it is text");
            return None;
        }
        Kind::Text(text) => quoted(text, out),
        Kind::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                comma(index, out);
                write(item, out, reader)?;
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                comma(index, out);
                quoted(&entry.key, out);
                out.push(':');
                write(&entry.value, out, reader)?;
            }
            out.push('}');
        }
        Kind::Refused => return None,
    }
    Some(())
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_json_number(spelling: &str) -> bool {
    let unsigned = spelling.strip_prefix('-').unwrap_or(spelling);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

/// Is `got` what `wanted` says, as JSON by meaning? In `wanted`'s strings `…` stands for any text.
#[must_use]
pub fn fits(wanted: &[u8], got: &[u8]) -> bool {
    let read = |bytes: &[u8]| simd_json::to_owned_value(&mut bytes.to_vec());
    match (read(wanted), read(got)) {
        (Ok(wanted), Ok(got)) => value_fits(&wanted, &got),
        _ => wanted == got,
    }
}

fn value_fits(wanted: &OwnedValue, got: &OwnedValue) -> bool {
    match (wanted, got) {
        (OwnedValue::Static(wanted), OwnedValue::Static(got)) => static_fits(wanted, got),
        (OwnedValue::String(wanted), OwnedValue::String(got)) => text_fits(wanted, got),
        (OwnedValue::Array(wanted), OwnedValue::Array(got)) => {
            wanted.len() == got.len()
                && wanted.iter().zip(got.iter()).all(|(wanted, got)| value_fits(wanted, got))
        }
        (OwnedValue::Object(wanted), OwnedValue::Object(got)) => {
            wanted.len() == got.len() && members_fit(wanted, got)
        }
        _ => false,
    }
}

/// Names are compared like texts: `…` in one stands for any. Each fits one member.
fn members_fit(wanted: &Object, got: &Object) -> bool {
    let (open, plain): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|(name, _)| name.contains(ANY_TEXT));
    let named = |name: &str| plain.iter().any(|(wanted, _)| *wanted == name);
    let mut left: Vec<_> = got.iter().filter(|(name, _)| !named(name)).collect();
    let mut takes_one = |name: &str, wanted: &OwnedValue| {
        let fits = |(got, value): &(&String, &OwnedValue)| {
            text_fits(name, got) && value_fits(wanted, value)
        };
        left.iter().position(fits).map(|found| left.swap_remove(found)).is_some()
    };
    plain.iter().all(|(name, wanted)| got.get(*name).is_some_and(|got| value_fits(wanted, got)))
        && open.iter().all(|(name, wanted)| takes_one(name, wanted))
}

/// Numbers agree if their values do: `1.0` is `1`.
fn static_fits(wanted: &StaticNode, got: &StaticNode) -> bool {
    match (float(wanted), float(got)) {
        (Some(wanted), Some(got)) => wanted.to_bits() == got.to_bits() || wanted == got,
        _ => wanted == got,
    }
}

fn float(node: &StaticNode) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "compared with a float, which has lost it too")]
    match node {
        StaticNode::F64(value) => Some(*value),
        StaticNode::I64(value) if value.unsigned_abs() < 1 << 53 => Some(*value as f64),
        StaticNode::U64(value) if *value < 1 << 53 => Some(*value as f64),
        _ => None,
    }
}

/// Is `got` the text `wanted`, where `…` stands for any text?
#[must_use]
pub fn text_fits(wanted: &str, got: &str) -> bool {
    let Some((head, rest)) = wanted.split_once(ANY_TEXT) else { return wanted == got };
    let Some(mut got) = got.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once(ANY_TEXT).unwrap_or(("", rest));
    for part in middle.split(ANY_TEXT) {
        let Some(at) = got.find(part) else { return false };
        got = &got[at + part.len()..];
    }
    got.ends_with(tail)
}

/// Two events, laid out one value a line, as lines of a diff: `-` wanted, `+` got.
#[must_use]
pub fn difference(wanted: &str, got: &str) -> Vec<String> {
    use similar::{ChangeTag, TextDiff};
    let got = laid_out(got);
    let wanted = filled_in(&laid_out(wanted), &got);
    let diff = TextDiff::from_lines(&wanted, &got);
    let mut lines = vec!["- wanted, + got:".to_owned()];
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        lines.push(format!("{sign} {}", change.value().trim_end_matches('\n')));
    }
    lines
}

/// The lines of `wanted`; in the place of one with `…` the next of `got` that it fits, for that is no
/// difference.
fn filled_in(wanted: &str, got: &str) -> String {
    let got: Vec<&str> = got.lines().collect();
    let mut next = 0;
    let mut line = |line: &str| {
        let fits = |got: &&str| line.contains(ANY_TEXT) && text_fits(line, got);
        let found = got[next..].iter().position(fits);
        next = found.map_or(next, |found| next + found + 1);
        found.map_or(line, |_| got[next - 1]).to_owned() + "\n"
    };
    wanted.lines().map(&mut line).collect()
}

/// Puts every value on a line of its own, whatever its spelling, and leaves the commas out, so that
/// a value that goes changes one line. What is no JSON stays readable.
fn laid_out(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().filter(|c| !c.is_control()).peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' if matches!(chars.peek(), Some('}' | ']')) => out.push(c),
            '{' | '[' => {
                depth += 1;
                out.push(c);
                new_line(depth, &mut out);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    new_line(depth, &mut out);
                }
                out.push(c);
            }
            ',' => new_line(depth, &mut out),
            ':' => out.push_str(": "),
            ' ' => {}
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}

fn new_line(depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_any_text() {
        for (wanted, got, fits) in [
            ("u_…", "u_abc", true),
            ("u_…", "u_", true),
            ("u_…", "x_abc", false),
            ("…", "", true),
            ("a…a", "a", false),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c2b", false),
            ("abc", "abcd", false),
            ("………", "x", true),
        ] {
            assert_eq!(text_fits(wanted, got), fits, "{wanted} {got}");
        }
    }

    #[test]
    fn events_are_compared_by_meaning() {
        for (wanted, got, same) in [
            (r#"{"a":1,"b":[1.0]}"#, r#"{ "b": [1], "a": 1 }"#, true),
            (r#"{"a":"…"}"#, r#"{"a":"x"}"#, true),
            (r#"{"a":"…"}"#, r#"{"a":1}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":null}"#, r#"{"a":false}"#, false),
            (r#"{"em\u0061il":1}"#, r#"{"email":1}"#, true),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, false),
            ("{", "{", true),
        ] {
            assert_eq!(fits(wanted.as_bytes(), got.as_bytes()), same, "{wanted} {got}");
        }
    }

    #[test]
    fn numbers_of_json() {
        for good in ["0", "-1", "1.50", "1e400", "0.1E-7"] {
            assert!(is_json_number(good), "{good}");
        }
        for bad in ["01", "+1", ".5", "1.", "0x1", ".inf", "-"] {
            assert!(!is_json_number(bad), "{bad}");
        }
    }

    #[test]
    fn a_difference_shows_the_lines_that_differ() {
        let lines = difference(r#"{"a":{},"b":["x, y"]}"#, r#"{"a":{}, "b":["z"]}"#);
        assert_eq!(
            lines,
            [
                "- wanted, + got:",
                "  {",
                "    \"a\": {}",
                "    \"b\": [",
                "-     \"x, y\"",
                "+     \"z\"",
                "    ]",
                "  }"
            ]
        );
    }
}
