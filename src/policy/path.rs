//! Path strings → steps.
//!
//! ```text
//! path  = "$key" | "$header." ( "*" | name ) | "$key." steps | steps
//! steps = step { "." step }                 (they may begin with "["; then `$key` has no dot)
//! step  = ( name | "*" | "**" ) { "[" ( "*" | number ) "]" }
//! name  = plain characters | '"' characters, with \" and \\ '"'
//! ```
//!
//! Whatever could be read in two ways is refused rather than guessed: a path that silently names
//! nothing is a leak. A header's name is everything behind `$header.`, dots included, because dots
//! are common in header names and headers have no members.

use super::HeaderName;
use crate::format::paths::Segment;
use crate::record::Part;
use std::fmt;
use std::ops::Range;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// Values inside the record's value or key.
    In(Part, Vec<Segment>),
    /// The record's key, as one value.
    Key,
    /// Headers.
    Header(HeaderName),
}

impl Place {
    /// The steps, if it is in this part of a record.
    #[must_use]
    pub fn steps_in(&self, part: Part) -> Option<&[Segment]> {
        match self {
            Self::In(within, segments) if *within == part => Some(segments),
            _ => None,
        }
    }
}

/// Why a path was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Its code.
    pub code: &'static str,
    /// The bad step: bytes of the path.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: &'static str,
}

/// Reads a path.
///
/// # Errors
/// The first flaw in it.
pub fn parse(text: &str) -> Result<Place, Flaw> {
    if let Some(part) = text.strip_prefix('$') {
        return other_part(text, part);
    }
    within(Part::Value, text, 0)
}

/// The steps that begin at `at`.
fn within(part: Part, text: &str, at: usize) -> Result<Place, Flaw> {
    let mut steps = Steps { text, at, segments: Vec::new() };
    steps.read()?;
    Ok(Place::In(part, steps.segments))
}

impl fmt::Display for Place {
    /// The path, written out again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, segments) = match self {
            Self::Key => return f.write_str("$key"),
            Self::Header(HeaderName::Any) => return f.write_str("$header.*"),
            Self::Header(HeaderName::Named(name)) => return write!(f, "$header.{}", shown(name)),
            Self::In(part, segments) => (*part, segments),
        };
        if part == Part::Key {
            f.write_str("$key")?;
        }
        for (index, segment) in segments.iter().enumerate() {
            let first = index == 0 && part == Part::Value;
            if !first && !matches!(segment, Segment::AnyElement | Segment::Element(_)) {
                f.write_str(".")?;
            }
            match segment {
                Segment::Name(name) => f.write_str(&shown(name))?,
                Segment::AnyName => f.write_str("*")?,
                Segment::AnyElement => f.write_str("[*]")?,
                Segment::Element(number) => write!(f, "[{number}]")?,
                Segment::AnyDepth => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

/// A name as a path spells it: in quotes where it needs them.
#[must_use]
pub fn shown(name: &str) -> String {
    let plain = !name.is_empty() && name.trim() == name && !name.contains(SPECIAL);
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Characters that a name has only in quotes.
const SPECIAL: [char; 9] = ['.', '*', '[', ']', '"', '$', ',', ';', '/'];

fn flaw<T>(
    code: &'static str,
    at: Range<usize>,
    message: impl Into<String>,
    hint: &'static str,
) -> Result<T, Flaw> {
    Err(Flaw { code, at, message: message.into(), hint })
}

/// `$key`, `$key.PATH`, `$header.NAME`, `$header.*`; `part` is what follows the `$`.
fn other_part(text: &str, part: &str) -> Result<Place, Flaw> {
    const HINT: &str = "write `$key`, `$key.NAME`, `$header.NAME` or `$header.*`; \
        a member whose name starts with `$` goes in double quotes inside the path: '\"$name\"'";
    let whole = 0..text.len();
    if part == "key" {
        return Ok(Place::Key);
    }
    match part.strip_prefix("header.") {
        Some("*") => Ok(Place::Header(HeaderName::Any)),
        Some(name) => header_name(text, name),
        None if part.starts_with("key.") => within(Part::Key, text, "$key.".len()),
        None if part.starts_with("key[") => within(Part::Key, text, "$key".len()),
        None if part == "value" || part.starts_with("value.") => {
            let hint = "leave `$value.` out: paths begin at the root of the record's value";
            flaw("P014", whole, "the record's value has no name of its own", hint)
        }
        None if part.starts_with('.') => {
            let hint = "leave `$.` out: paths begin at the root of the record's value";
            flaw("P014", whole, "a path does not begin with `$.`", hint)
        }
        None => flaw("P014", whole, format!("`{text}` names no part of a record"), HINT),
    }
}

fn header_name(text: &str, name: &str) -> Result<Place, Flaw> {
    let start = text.len() - name.len();
    let at = start..text.len();
    if name.is_empty() {
        return flaw(
            "P010",
            0..text.len(),
            "`$header.` lacks the header's name",
            "write `$header.NAME`, or `$header.*` for all",
        );
    }
    if name.starts_with('"') {
        let mut steps = Steps { text, at: start, segments: Vec::new() };
        let name = steps.quoted()?;
        if steps.at < text.len() {
            return flaw(
                "P013",
                steps.at..text.len(),
                "something follows the closing quote",
                "a header's name ends the path",
            );
        }
        return Ok(Place::Header(HeaderName::Named(name)));
    }
    if name.contains('*') {
        return flaw(
            "P011",
            at,
            "`*` cannot be a part of a header's name",
            "`$header.*` names every header; a name that has a `*` goes in double quotes",
        );
    }
    if name.contains([',', ';']) {
        return flaw(
            "P016",
            at,
            "a comma or semicolon in a header's name",
            "several paths are a list: `[$header.a, $header.b]`; a name that has a comma goes in double quotes",
        );
    }
    if name.trim() != name {
        return flaw(
            "P016",
            at,
            "the header's name starts or ends with a space",
            "take the space out, or put the name in double quotes",
        );
    }
    Ok(Place::Header(HeaderName::Named(name.into())))
}

struct Steps<'a> {
    text: &'a str,
    at: usize,
    segments: Vec<Segment>,
}

impl Steps<'_> {
    fn read(&mut self) -> Result<(), Flaw> {
        if !self.rest().starts_with('[') {
            self.step()?;
        }
        self.elements()?;
        while !self.rest().is_empty() {
            self.dot()?;
            self.step()?;
            self.elements()?;
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn dot(&mut self) -> Result<(), Flaw> {
        if self.rest().starts_with('.') {
            self.at += 1;
            return Ok(());
        }
        let hint = "join names with dots; a name that has special characters goes in double quotes";
        flaw("P013", self.at..self.step_end(), "a dot is missing here", hint)
    }

    fn step(&mut self) -> Result<(), Flaw> {
        if self.rest().starts_with('"') {
            let name = self.quoted()?;
            self.segments.push(Segment::Name(name));
            return Ok(());
        }
        let at = self.at..self.step_end();
        let segment = self.plain(at.clone())?;
        self.at = at.end;
        self.segments.push(segment);
        Ok(())
    }

    /// A step without quotes: it ends at the next dot or bracket.
    fn plain(&self, at: Range<usize>) -> Result<Segment, Flaw> {
        let step = &self.text[at.clone()];
        match step {
            "" => self.empty(at),
            "*" => Ok(Segment::AnyName),
            "**" if self.segments.last() == Some(&Segment::AnyDepth) => {
                flaw("P015", at, "`**` follows `**`", "one `**` already stands for any depth")
            }
            "**" => Ok(Segment::AnyDepth),
            _ if step.contains('*') => {
                let hint = "`*` stands for one whole name, `**` for any depth; a name that has a `*` goes in double quotes";
                flaw("P011", at, "`*` cannot be a part of a name", hint)
            }
            _ if step.contains(['"', ']']) => {
                let hint = "names with dots, brackets or quotes go in double quotes: '\"a.b\".c'";
                flaw("P016", at, "a quote or bracket in the middle of a name", hint)
            }
            _ if step.contains([',', ';', '/']) => {
                let hint = "names are joined with dots, and several paths are a list: `[a.b, c]`; a name that has a comma or a slash goes in double quotes: '\"a/b\"'";
                flaw("P016", at, "a comma or slash in a name", hint)
            }
            _ if step.trim() != step => {
                let hint = "take the space out, or put the name in double quotes";
                flaw("P016", at, "a name starts or ends with a space", hint)
            }
            _ if step.starts_with('$') => {
                let hint = "`$key` and `$header.NAME` stand alone; a member whose name starts with `$` goes in double quotes inside the path: 'a.\"$name\"'";
                flaw("P014", at, "a name that starts with `$`", hint)
            }
            _ => Ok(Segment::Name(step.into())),
        }
    }

    fn empty(&self, at: Range<usize>) -> Result<Segment, Flaw> {
        if self.text.is_empty() {
            return flaw(
                "P010",
                at,
                "the path is empty",
                "write the names that lead to the value, joined by dots",
            );
        }
        // The dots around the gap are what can be seen.
        let around = at.start.saturating_sub(1)..(at.end + 1).min(self.text.len());
        let hint =
            "take the extra dot out; a member whose name is empty is written \"\" inside the path";
        flaw("P010", around, "a name is missing beside a dot", hint)
    }

    fn elements(&mut self) -> Result<(), Flaw> {
        while self.rest().starts_with('[') {
            let start = self.at;
            let end = self.rest().find(']').map_or(self.text.len(), |length| start + length + 1);
            let Some(segment) = element(&self.text[start..end]) else {
                let hint = "`[*]` stands for every element, `[0]` for the first, up to `[255]`";
                let message = "only `*` or a number from 0 to 255 can stand in brackets";
                return flaw("P012", start..end, message, hint);
            };
            if self.segments.last() == Some(&Segment::AnyDepth) {
                let hint = "`**` reaches into lists by itself: leave the brackets out, or name the member that holds the list";
                return flaw("P015", start..end, "brackets follow `**`", hint);
            }
            self.segments.push(segment);
            self.at = end;
        }
        Ok(())
    }

    /// A name in double quotes, from its opening quote on.
    fn quoted(&mut self) -> Result<Box<str>, Flaw> {
        let start = self.at;
        let mut name = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            let at = start + 1 + offset;
            match c {
                '"' => {
                    self.at = at + 1;
                    return Ok(name.into());
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => name.push(escaped),
                    other => {
                        let end = other.map_or(at + 1, |(_, c)| at + 1 + c.len_utf8());
                        let hint = "inside the double quotes write \\\" for a quote and \\\\ for a backslash";
                        return flaw("P013", at..end, "unknown escape", hint);
                    }
                },
                _ => name.push(c),
            }
        }
        flaw(
            "P013",
            start..self.text.len(),
            "the closing quote is missing",
            "put a `\"` behind the name",
        )
    }

    fn step_end(&self) -> usize {
        self.rest().find(['.', '[']).map_or(self.text.len(), |length| self.at + length)
    }
}

/// `[*]` or `[NUMBER]`, the number as JSON writes it.
fn element(text: &str) -> Option<Segment> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    match inside {
        "*" => Some(Segment::AnyElement),
        number if number.starts_with('+') || (number.starts_with('0') && number != "0") => None,
        number => number.parse().ok().map(Segment::Element),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Segment {
        Segment::Name(text.into())
    }

    fn value(text: &str) -> Vec<Segment> {
        match parse(text) {
            Ok(Place::In(Part::Value, segments)) => segments,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn steps() {
        use Segment::{AnyDepth, AnyElement, AnyName, Element};
        assert_eq!(value("user.email"), [name("user"), name("email")]);
        assert_eq!(value("a[*].b"), [name("a"), AnyElement, name("b")]);
        assert_eq!(value("[*].b"), [AnyElement, name("b")]);
        assert_eq!(value("a[*][*]"), [name("a"), AnyElement, AnyElement]);
        assert_eq!(value("a[0][255]"), [name("a"), Element(0), Element(255)]);
        assert_eq!(value("**.ssn"), [AnyDepth, name("ssn")]);
        assert_eq!(value("a.*.**"), [name("a"), AnyName, AnyDepth]);
        assert_eq!(value("*"), [AnyName]);
        assert_eq!(value(r#""a.b".c"#), [name("a.b"), name("c")]);
        assert_eq!(value(r#"a."x\"y\\z"[*]"#), [name("a"), name(r#"x"y\z"#), AnyElement]);
        assert_eq!(value(r#""""#), [name("")]);
        assert_eq!(value("x-y z@ñ"), [name("x-y z@ñ")]);
    }

    #[test]
    fn other_parts() {
        let header = |name: &str| Ok(Place::Header(HeaderName::Named(name.into())));
        assert_eq!(parse("$key"), Ok(Place::Key));
        let in_key = |segments| Ok(Place::In(Part::Key, segments));
        assert_eq!(parse("$key.user.id"), in_key(vec![name("user"), name("id")]));
        assert_eq!(parse("$key[*].id"), in_key(vec![Segment::AnyElement, name("id")]));
        assert_eq!(parse(r#"$key."a.b""#), in_key(vec![name("a.b")]));
        assert_eq!(parse("$header.*"), Ok(Place::Header(HeaderName::Any)));
        assert_eq!(parse("$header.x-user.id"), header("x-user.id"));
        assert_eq!(parse(r#"$header."*""#), header("*"));
    }

    #[test]
    fn flaws_point_at_the_bad_step() {
        let cases = [
            ("", "P010", ""),
            ("a..b", "P010", ".."),
            (".a", "P010", "."),
            ("a.", "P010", "."),
            ("a.b*.c", "P011", "b*"),
            ("a.***", "P011", "***"),
            ("a[-1].b", "P012", "[-1]"),
            ("a[00].b", "P012", "[00]"),
            ("a[+1]", "P012", "[+1]"),
            ("a[256]", "P012", "[256]"),
            ("a[]", "P012", "[]"),
            ("**[0]", "P015", "[0]"),
            ("a[*", "P012", "[*"),
            (r#"a."b"#, "P013", r#""b"#),
            (r#"a."\n""#, "P013", r"\n"),
            (r#"a."b"c.d"#, "P013", "c"),
            ("a[*]b", "P013", "b"),
            ("$keys", "P014", "$keys"),
            ("$key.", "P010", "."),
            ("$key.a..b", "P010", ".."),
            ("$key[0", "P012", "[0"),
            ("$key.$a", "P014", "$a"),
            ("$header", "P014", "$header"),
            ("$header.", "P010", "$header."),
            ("$header.a*", "P011", "a*"),
            ("$header.a, $header.b", "P016", "a, $header.b"),
            ("$value.a", "P014", "$value.a"),
            ("a.$b", "P014", "$b"),
            ("**.**.a", "P015", "**"),
            ("**[*].a", "P015", "[*]"),
            ("a.b]", "P016", "b]"),
            ("a. b", "P016", " b"),
            ("a/b", "P016", "a/b"),
            ("a.b, c.d", "P016", "b, c"),
            (r#"a.b"c""#, "P016", r#"b"c""#),
        ];
        for (text, code, bad) in cases {
            let flaw = parse(text).expect_err(text);
            assert_eq!((flaw.code, &text[flaw.at.clone()]), (code, bad), "{text}: {flaw:?}");
        }
    }

    #[test]
    fn a_path_written_out_reads_back() {
        for text in [
            "a[*].b",
            "a[7][0].b",
            "**.ssn",
            r#""a.b".c"#,
            r#"x."\"\\""#,
            "$key",
            "$key.a[*].b",
            "$key.**",
            "$key[0].a",
            "$header.*",
            "[*].a",
            r#""".x"#,
        ] {
            let place = parse(text).expect(text);
            assert_eq!(place.to_string(), text);
            assert_eq!(parse(&place.to_string()), Ok(place));
        }
    }
}
