//! A keyring's text, changed: a secret added to a name, secrets taken out.
//!
//! The file is people's: it has comments, an order, names that are none of our business. So only the
//! one entry is written anew, in one form whatever it had before, and all around it stays byte for
//! byte. What comes out is read again and must be what was meant, or nothing is written: a keyring that
//! cannot be read stops the service.
//!
//! It does no I/O and reads no clock.

use super::keyring::record_time_ms;
use super::{Keyring, Secret};
use crate::document::{Entry, Faults, Kind, Node, Show, Source, parse};
use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use std::ops::Range;
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// A keyring that was read to be changed.
pub struct Draft {
    source: Arc<Source>,
    entries: Vec<Entries>,
    /// Where the text is `{…}` and not indented lines.
    flow: bool,
}

/// The secrets of one name, as they were written.
pub struct Entries {
    /// The name.
    pub name: String,
    /// Its secrets, by time.
    pub rows: Vec<Row>,
    place: Range<usize>,
}

/// One secret, as it was written. Its text is zeroized when dropped.
#[derive(Clone, Default)]
pub struct Row {
    secret: Option<Zeroizing<String>>,
    /// When it was made.
    pub created: Option<String>,
    /// The first record time that it serves.
    pub from: Option<String>,
    /// When it was destroyed.
    pub destroyed: Option<String>,
}

impl Row {
    /// The first record time that it serves, in Unix milliseconds; `None`: the beginning of time.
    #[must_use]
    pub fn from_ms(&self) -> Option<i64> {
        self.from.as_deref().and_then(record_time_ms)
    }
}

impl Draft {
    /// Reads a keyring's text.
    ///
    /// # Errors
    /// It is refused, with all that is wrong.
    pub fn new(name: &str, text: &str) -> Result<Self> {
        let source = Source::with(name, text, Show::Nothing);
        let mut faults = Faults::default();
        let refused = |faults: &Faults| Error::usage(format!("the keyring is refused\n{faults:#}"));
        let keyring = Keyring::read(&source, &mut faults);
        let mut node = parse(&source, &mut faults).ok_or_else(|| refused(&faults))?;
        if keyring.is_none() || !faults.is_empty() {
            return Err(refused(&faults));
        }
        let flow = source.text.get(node.span.start..).is_some_and(|text| text.starts_with('{'));
        let entries = entries(&source.text, &mut node);
        Ok(Self { source, entries, flow })
    }

    /// Every name with its secrets, in the order of the text.
    #[must_use]
    pub fn entries(&self) -> &[Entries] {
        &self.entries
    }

    /// The secrets of a name.
    ///
    /// # Errors
    /// There is no such name.
    pub fn named(&self, name: &str) -> Result<&Entries> {
        self.entries.iter().find(|entries| entries.name == name).ok_or_else(|| {
            Error::usage(format!("{}: holds no secret of that name", self.source.name))
        })
    }

    /// The text with secrets added to a name, each with the record time from which it is used.
    ///
    /// # Errors
    /// There is no such name, a time is not later than the last one there is, or the text is of a
    /// form that can only be changed by hand.
    pub fn rotated(
        &self,
        name: &str,
        new: &[(Secret, jiff::Timestamp)],
        created: &str,
    ) -> Result<Zeroizing<String>> {
        let entries = self.named(name)?;
        let mut rows = entries.rows.clone();
        rows.extend(new.iter().map(|(secret, from)| Row {
            secret: Some(Zeroizing::new(HEXLOWER.encode(secret.expose()))),
            created: Some(created.to_owned()),
            from: Some(from.to_string()),
            destroyed: None,
        }));
        self.written(entries, &rows)
    }

    /// The text without some secrets of a name (by their index); their places stay.
    ///
    /// # Errors
    /// There is no such name, or the text is of a form that can only be changed by hand.
    pub fn destroyed(&self, name: &str, which: &[usize], today: &str) -> Result<Zeroizing<String>> {
        let entries = self.named(name)?;
        let mut rows = entries.rows.clone();
        for (at, row) in rows.iter_mut().enumerate() {
            if which.contains(&at) {
                row.secret = None;
                row.destroyed = Some(today.to_owned());
            }
        }
        self.written(entries, &rows)
    }

    fn written(&self, entries: &Entries, rows: &[Row]) -> Result<Zeroizing<String>> {
        let text = &self.source.text;
        let (before, after) = (&text[..entries.place.start], &text[entries.place.end..]);
        let entry = match self.flow {
            true => in_flow(&entries.name, rows),
            false => in_lines(&entries.name, rows),
        };
        let mut new = Zeroizing::new(String::with_capacity(text.len() + entry.len()));
        new.push_str(before);
        new.push_str(&entry);
        new.push_str(after);
        self.checked(new, entries, rows)
    }

    /// Reads what was written: it must hold what was meant, and all else as it was.
    fn checked(
        &self,
        new: Zeroizing<String>,
        changed: &Entries,
        rows: &[Row],
    ) -> Result<Zeroizing<String>> {
        let told = |what: &str| Error::usage(format!("{}: {what}", self.source.name));
        if !rows.windows(2).all(|pair| pair[0].from_ms() < pair[1].from_ms()) {
            return Err(told("a new secret's time must be later than those of all before"));
        }
        let by_hand = || told("this keyring's form can only be changed by hand");
        let read = Self::new(&self.source.name, &new).map_err(|_| by_hand())?;
        let same = |(mine, theirs): (&Entries, &Entries)| {
            let wanted = if mine.name == changed.name { rows } else { &mine.rows };
            mine.name == theirs.name && alike(wanted, &theirs.rows)
        };
        let as_meant = self.entries.len() == read.entries.len()
            && self.entries.iter().zip(&read.entries).all(same);
        if as_meant { Ok(new) } else { Err(by_hand()) }
    }
}

fn alike(wanted: &[Row], found: &[Row]) -> bool {
    let same = |(a, b): (&Row, &Row)| {
        let secrets = (a.secret.as_deref(), b.secret.as_deref());
        secrets.0 == secrets.1
            && (&a.created, &a.from, &a.destroyed) == (&b.created, &b.from, &b.destroyed)
    };
    wanted.len() == found.len() && wanted.iter().zip(found).all(same)
}

/// The tree's entries; the secrets are taken out of it.
fn entries(text: &str, node: &mut Node) -> Vec<Entries> {
    let Kind::Map(list) = &mut node.kind else { return Vec::new() };
    let starts: Vec<usize> = list.iter().map(|entry| entry.key_span.start).collect();
    let mut all = Vec::new();
    for (at, Entry { key, key_span, value }) in list.iter_mut().enumerate() {
        let next = starts.get(at + 1).copied().unwrap_or(text.len());
        let end = end_of_entry(text, key_span.start, next, value);
        let rows = match &mut value.kind {
            Kind::List(items) => items.iter_mut().map(row).collect(),
            _ => vec![row(value)],
        };
        all.push(Entries { name: key.clone(), rows, place: key_span.start..end });
    }
    all
}

/// In lines, an entry ends before the blank lines and comments that lead to the next one; in `{…}`, with
/// its last bracket.
fn end_of_entry(text: &str, start: usize, next: usize, value: &Node) -> usize {
    let entry = &text[start..next];
    if let Some(length) = text.get(value.span.start..).and_then(bracketed) {
        return value.span.start + length;
    }
    let mut end = entry.len();
    for line in entry.split_inclusive('\n').rev() {
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            break;
        }
        end -= line.len();
    }
    start + entry[..end].trim_end().len()
}

/// The length of the `{…}` or `[…]` that a text begins with, by its brackets outside of quotes and
/// comments; `None` if it begins with neither.
fn bracketed(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut at) = (0_usize, None, 0);
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'#') if at > 0 && bytes[at - 1].is_ascii_whitespace() => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
            }
            (None, b'{' | b'[') => depth += 1,
            (None, b'}' | b']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return (at > 1).then_some(at);
        }
    }
    None
}

fn row(node: &mut Node) -> Row {
    let mut row = Row::default();
    let Kind::Map(entries) = &mut node.kind else { return row };
    for Entry { key, value, .. } in entries {
        let (Kind::Text(text) | Kind::Number(text)) = &mut value.kind else { continue };
        match key.as_str() {
            "secret" => row.secret = Some(Zeroizing::new(text.clone())),
            "created" => row.created = Some(text.clone()),
            "from" => row.from = Some(text.clone()),
            "destroyed" => row.destroyed = Some(text.clone()),
            _ => {}
        }
        text.zeroize();
    }
    row
}

/// `"name":` and a line a secret. Grown aside, so that no outgrown buffer keeps a secret.
fn in_lines(name: &str, rows: &[Row]) -> Zeroizing<String> {
    let mut text = room_for(name, rows);
    text.push_str(&format!("\"{name}\":"));
    for row in rows {
        text.push_str("\n  - ");
        write_row(row, "", &mut text);
    }
    text
}

fn in_flow(name: &str, rows: &[Row]) -> Zeroizing<String> {
    let mut text = room_for(name, rows);
    text.push_str(&format!("\"{name}\": ["));
    for (at, row) in rows.iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        write_row(row, "\"", &mut text);
    }
    text.push(']');
    text
}

fn room_for(name: &str, rows: &[Row]) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(name.len() + 16 + rows.len() * 256))
}

/// `{secret: "…", …}`; with its keys in quotes it is JSON, too.
fn write_row(row: &Row, quote: &str, text: &mut String) {
    let fields = [
        ("secret", row.secret.as_ref().map(|secret| secret.as_str())),
        ("created", row.created.as_deref()),
        ("from", row.from.as_deref()),
        ("destroyed", row.destroyed.as_deref()),
    ];
    text.push('{');
    let written = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
    for (at, (key, value)) in written.enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        text.push_str(&format!("{quote}{key}{quote}: \""));
        text.push_str(value);
        text.push('"');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";
    const TWO: &str = "1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26";

    fn secret(byte: u8) -> Secret {
        Secret::new(std::array::from_fn(|at| (at as u8).wrapping_mul(37) ^ byte))
    }

    fn rotated(text: &str, name: &str) -> Result<String> {
        let from: jiff::Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let draft = Draft::new("k", text)?;
        draft.rotated(name, &[(secret(1), from)], "2026-11-24").map(|text| text.to_string())
    }

    #[test]
    fn an_entry_of_any_form_is_rotated_and_all_around_it_stays() {
        let new = HEXLOWER.encode(secret(1).expose());
        let forms = [
            format!("\"acme\": {{secret: \"{ONE}\", created: 2026-01-01}}"),
            format!("acme: {{secret: {ONE},\n   created: 2026-01-01}}"),
            format!("acme:\n  secret: {ONE}\n  created: 2026-01-01"),
            format!("acme:\n  - secret: {ONE}\n    # ours\n    created: 2026-01-01"),
            format!("acme:\n- {{secret: {ONE}, created: \"2026-01-01\"}}"),
            format!("acme: [{{secret: {ONE}, created: 2026-01-01}}]"),
        ];
        for form in forms {
            for (before, after) in [
                ("", ""),
                ("# head\n\n", "\n"),
                ("# head\n", format!("\n\n# of beta\nbeta: {{secret: {TWO}}} # tail\n").as_str()),
                (format!("beta:\n  secret: {TWO}\n\n").as_str(), " # a comment\n"),
            ] {
                if after.starts_with(" #") && !form.ends_with('}') {
                    continue;
                }
                let text = format!("{before}{form}{after}");
                let got = rotated(&text, "acme").unwrap_or_else(|error| panic!("{text}\n{error}"));
                let want = format!(
                    "{before}\"acme\":\n  - {{secret: \"{ONE}\", created: \"2026-01-01\"}}\n  - \
                     {{secret: \"{new}\", created: \"2026-11-24\", from: \"2027-01-01T00:00:00Z\"}}\
                     {after}"
                );
                assert_eq!(got, want, "from\n{text}");
            }
        }
    }

    #[test]
    fn a_keyring_in_json_stays_one() {
        let text =
            format!("{{\"a\": {{\"secret\": \"{ONE}\"}}, \"b\": {{\"secret\": \"{TWO}\"}}}}\n");
        let got = rotated(&text, "a").unwrap();
        assert!(
            got.starts_with(&format!("{{\"a\": [{{\"secret\": \"{ONE}\"}}, {{\"secret\":")),
            "{got}"
        );
        assert!(got.ends_with(&format!("], \"b\": {{\"secret\": \"{TWO}\"}}}}\n")), "{got}");
        assert!(serde_json::from_str::<serde_json::Value>(&got).is_ok(), "{got}");
    }

    #[test]
    fn what_is_destroyed_is_gone_from_the_text_and_keeps_its_place() {
        let text = format!("a:\n  - {{secret: {ONE}}}\n  - {{secret: {TWO}, from: 2026-05-01}}\n");
        let draft = Draft::new("k", &text).unwrap();
        let got = draft.destroyed("a", &[0], "2026-11-24").unwrap();
        let want = format!(
            "\"a\":\n  - {{destroyed: \"2026-11-24\"}}\n  - {{secret: \"{TWO}\", from: \"2026-05-01\"}}\n"
        );
        assert_eq!(*got, want);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let text = format!("a: [{{secret: {ONE}, from: 2027-02-01}}]\n");
        assert!(rotated(&text, "a").unwrap_err().to_string().contains("later"));
        assert!(rotated(&text, "b").unwrap_err().to_string().contains("no secret of that name"));
        let refused = rotated("a: {secret: canary}\n", "a").unwrap_err().to_string();
        assert!(refused.contains("K002") && !refused.contains("canary"), "{refused}");
    }
}
