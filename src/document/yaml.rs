//! YAML text → a tree whose every part knows its place.
//!
//! Built on saphyr-parser's events, not on a serde deserializer: serde forgets where things stood,
//! stops at the first fault and lets a duplicate key pass. Scalars follow the YAML 1.2 core schema,
//! so `no` and `on` are text. What makes a reviewed file mean something else than it seems to say
//! (anchors, aliases, merge keys, tags, a second document, a key given twice) is refused; that also
//! leaves no way to write a small file that unfolds to a huge one.

use super::{Faults, Show, Source, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};
use std::sync::Arc;

/// Deepest nesting of a file; the tree is dropped and walked by recursion.
const DEPTH_MAX: usize = 64;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The place.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a value is, by the YAML 1.2 core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// Text; in quotes always, else what is none of the above.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file, keys distinct.
    Map(Vec<Entry>),
    /// Something that was refused already: readers pass it by in silence.
    Refused,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key is.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// What it is, in words for a message.
    #[must_use]
    pub const fn is_a(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "`true` or `false`",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "keys and values",
            Kind::Refused => "something that is refused",
        }
    }

    /// Where to point when the value as a whole is meant: its first key, or itself.
    #[must_use]
    pub fn head(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => entries.first().map_or(self.span, |first| first.key_span),
            _ => self.span,
        }
    }
}

/// Reads a file's text. Faults are added; `None` if there is no tree to go on with.
pub fn parse(source: &Arc<Source>, faults: &mut Faults) -> Option<Node> {
    let mut builder = Builder::new(source, faults);
    let mut parser = Parser::new_from_str(builder.text());
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => return builder.broken(&error),
        }
    }
    builder.finish()
}

/// A collection that is still open.
struct Open {
    start: usize,
    depth_refused: bool,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    /// `key` waits for its value; `Some(None)` is one that was refused: its value goes with it.
    Map {
        entries: Vec<Entry>,
        key: Option<Option<(String, Span)>>,
    },
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    faults: &'a mut Faults,
    /// Byte offset of every character, if they are not the same.
    offsets: Option<Vec<usize>>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

/// A byte order mark is none of the text.
const BOM: char = '\u{feff}';

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>, faults: &'a mut Faults) -> Self {
        let text = source.text.trim_start_matches(BOM);
        let skipped = source.text.len() - text.len();
        let offsets = (!source.text.is_ascii())
            .then(|| text.char_indices().map(|(at, _)| skipped + at).collect());
        Self { source, faults, offsets, open: Vec::new(), root: None, documents: 0 }
    }

    fn text(&self) -> &'a str {
        self.source.text.trim_start_matches(BOM)
    }

    fn offset(&self, marker: &Marker) -> usize {
        match &self.offsets {
            None => marker.index().min(self.source.text.len()),
            Some(offsets) => offsets.get(marker.index()).copied().unwrap_or(self.source.text.len()),
        }
    }

    fn span(&self, span: &saphyr_parser::Span) -> Span {
        let start = self.offset(&span.start);
        Span::new(start, self.offset(&span.end).max(start))
    }

    fn event(&mut self, event: Event<'_>, place: saphyr_parser::Span) -> Option<()> {
        let span = self.span(&place);
        match event {
            Event::DocumentStart(_) => self.documents += 1,
            Event::Alias(_) => {
                self.refuse_reference(span);
                self.put(Node { span, kind: Kind::Refused });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span);
                self.scalar(&text, style, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span);
                self.enter(span, Inside::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span);
                self.enter(span, Inside::Map { entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.documents > 1 {
            self.faults
                .add(self.source, "Y006", span, "the file holds a second document")
                .hint("one file, one document: take out the `---` in between, or make two files");
            return None;
        }
        Some(())
    }

    fn refuse_reference(&mut self, span: Span) {
        self.faults
            .add(self.source, "Y003", span, "references (`*name`) are not accepted")
            .hint("write the value out; if it is a path that starts with `*`, put it in quotes");
    }

    fn refuse_extras(&mut self, anchor: usize, tag: bool, span: Span) {
        if anchor != 0 {
            self.faults.add(self.source, "Y003", span, "anchors (`&name`) are not accepted").hint(
                "write the value out where it is needed; put text with a `&` first in quotes",
            );
        }
        if tag {
            self.faults
                .add(self.source, "Y004", span, "tags (`!name`) are not accepted")
                .hint("leave the tag out; put text that starts with `!` in quotes");
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) {
        let plain = style == ScalarStyle::Plain;
        let awaits_key =
            matches!(self.open.last(), Some(Open { inside: Inside::Map { key: None, .. }, .. }));
        if awaits_key {
            return self.key(text, plain, span);
        }
        let kind = if plain { plain_kind(text) } else { Kind::Text(text.to_owned()) };
        self.put(Node { span, kind });
    }

    fn key(&mut self, text: &str, plain: bool, span: Span) {
        let refused = plain && text == "<<";
        if refused {
            self.faults
                .add(self.source, "Y005", span, "merge keys (`<<`) are not accepted")
                .hint("write the keys out");
        }
        if let Some(Open { inside: Inside::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some((!refused).then(|| (text.to_owned(), span)));
        }
    }

    fn enter(&mut self, span: Span, inside: Inside) {
        let depth_refused = self.open.len() == DEPTH_MAX;
        if depth_refused {
            self.faults
                .add(self.source, "Y007", span, format!("nested deeper than {DEPTH_MAX} levels"))
                .hint("no file that limpid reads needs that");
        }
        self.open.push(Open { start: span.start, depth_refused, inside });
    }

    fn leave(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let kind = match open.inside {
            _ if open.depth_refused => Kind::Refused,
            Inside::List(items) => Kind::List(items),
            Inside::Map { entries, .. } => Kind::Map(entries),
        };
        self.put(Node { span: Span::new(open.start, span.end.max(open.start)), kind });
    }

    /// Puts a finished value where it belongs: into a list, behind its key, or at the root.
    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, key }) => match key.take() {
                Some(None) => {}
                Some(Some((name, span))) => {
                    let first = entries.iter().find(|entry| entry.key == name);
                    match first.map(|first| first.key_span) {
                        Some(first) => self.duplicate(&name, span, first),
                        None => entries.push(Entry { key: name, key_span: span, value: node }),
                    }
                }
                None => {
                    *key = Some(None);
                    self.faults
                        .add(self.source, "Y008", node.span, "a key must be text")
                        .hint("lists and nested keys cannot be keys");
                }
            },
        }
    }

    fn duplicate(&mut self, name: &str, span: Span, first: Span) {
        let (line, _) = self.source.place(first.start);
        let message = match self.source.show {
            Show::Nothing => format!("a key is given twice, first in line {line}"),
            _ => format!("the key `{name}` is given twice, first in line {line}"),
        };
        self.faults.add(self.source, "Y002", span, message).hint("keep one of them");
    }

    fn broken<T>(self, error: &ScanError) -> Option<T> {
        let at = self.offset(error.marker());
        // The parser notices a missing colon at the next line.
        let no_colon = error.info().contains("simple key expect");
        let span = if no_colon { self.line_before(at) } else { Span::new(at, at) };
        let (_, line) = self.source.line(span.start);
        let message = match self.source.show {
            Show::Nothing => "not valid YAML".to_owned(),
            _ if no_colon => "not valid YAML: neither `key: value` nor `- item`".to_owned(),
            _ => format!("not valid YAML: {}", error.info()),
        };
        let advice = match error.info() {
            _ if line.contains(false_space) => {
                "write its spaces anew: one of them only looks like a space, as word processors and web \
                 pages make them"
            }
            _ if no_colon => "write a colon and a space between key and value",
            info if info.contains("quoted scalar") => "close the quote that is opened here",
            info if info.contains("'-' indicator") => {
                "indent this line as far as those that it belongs to"
            }
            _ => advice(line),
        };
        self.faults.add(self.source, "Y001", span, message).hint(advice);
        None
    }

    /// The last line before an offset's own on which something stands.
    fn line_before(&self, at: usize) -> Span {
        let (start, _) = self.source.line(at);
        let text = self.source.text[..start].trim_end();
        let (start, line) = self.source.line(text.len());
        let indent = line.len() - line.trim_start().len();
        Span::new(start + indent, text.len().max(start + indent))
    }

    fn finish(self) -> Option<Node> {
        let empty = match &self.root {
            None => true,
            Some(node) => node.kind == Kind::Null,
        };
        if empty {
            self.faults.add(self.source, "Y009", Span::default(), "the file is empty");
            return None;
        }
        self.root
    }
}

/// The usual reasons why a line is not YAML.
/// What looks like a space, and is text to YAML.
fn false_space(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

fn advice(line: &str) -> &'static str {
    let quoted = line.contains('"') || line.contains('\'');
    if line.contains('\t') {
        "indent with spaces, never with tabs"
    } else if line.contains(['“', '”', '„', '’']) {
        "write plain quotes: \" or '; those of a word processor are text to YAML"
    } else if line.contains('*') && !quoted {
        "put a path with `*` or `[` in quotes: \"**.ssn\", \"ips[*]\""
    } else {
        "check the indentation, that every quote and bracket is closed, and that text with `: `, ` #`, `[`, `{` or a leading `*`, `&`, `!`, `@`, `%` is in quotes"
    }
}

fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ if is_number(text) => Kind::Number(text.to_owned()),
        _ => Kind::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let all = |digits: &str, fits: fn(&u8) -> bool| {
        !digits.is_empty() && digits.as_bytes().iter().all(fits)
    };
    if let Some(octal) = text.strip_prefix("0o") {
        return all(octal, |byte| (b'0'..=b'7').contains(byte));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return all(hex, u8::is_ascii_hexdigit);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF")
        || matches!(text, ".nan" | ".NaN" | ".NAN")
        || is_decimal(unsigned)
}

/// `12`, `1.5`, `.5`, `1.`, each with or without an exponent.
fn is_decimal(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<&'static str>) {
        let mut faults = Faults::default();
        let node = parse(&Source::new("x.yaml", text), &mut faults);
        (node, faults.iter().map(|fault| fault.code).collect())
    }

    fn kind(text: &str) -> Kind {
        read(text).0.expect("a tree").kind
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for text in
            ["no", "on", "yes", "off", "'1'", "\"true\"", "1_000", "0b1", "1e", "2026-01-01"]
        {
            let plain = text.trim_matches(['\'', '"']).to_owned();
            assert_eq!(kind(text), Kind::Text(plain), "{text}");
        }
        for text in ["0", "-12", "+3", "1.0", ".5", "1.", "1e400", "0x1F", "0o17", "-.inf", ".nan"]
        {
            assert_eq!(kind(text), Kind::Number(text.into()), "{text}");
        }
        assert_eq!(kind("True"), Kind::Bool(true));
        for text in ["[~]", "[null]", "[~, ]"] {
            let Kind::List(items) = kind(text) else { panic!("no list") };
            assert_eq!(items[0].kind, Kind::Null, "{text}");
        }
    }

    #[test]
    fn places_are_bytes_whatever_the_line_ends_and_characters() {
        for text in
            ["a: ñ\nb: xyz\n", "a: ñ\r\nb: xyz\r\n", "\u{feff}a: ñ\nb: xyz\n", "a: n\r\nb: xyz"]
        {
            let Kind::Map(entries) = kind(text) else { panic!("no map") };
            let span = entries[1].value.span;
            assert_eq!(&text[span.start..span.end], "xyz", "{text:?}");
            let key = entries[1].key_span;
            assert_eq!(&text[key.start..key.end], "b", "{text:?}");
        }
    }

    #[test]
    fn what_misleads_is_refused() {
        assert_eq!(read("a: 1\na: 2\n").1, ["Y002"]);
        assert_eq!(read("a: &x 1\nb: *x\n").1, ["Y003", "Y003"]);
        assert_eq!(read("a: !!str 1\n").1, ["Y004"]);
        assert_eq!(read("<<: {a: 1}\n").1, ["Y005"]);
        assert_eq!(read("a: 1\n---\nb: 2\n").1, ["Y006"]);
        assert_eq!(read("[a]: 1\n").1, ["Y008"]);
        assert_eq!(read("# nothing\n").1, ["Y009"]);
        assert_eq!(read("a: [1\n").1, ["Y001"]);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEPTH_MAX)).1.is_empty());
        assert_eq!(read(&deep(DEPTH_MAX + 1)).1, ["Y007"]);
    }
}
