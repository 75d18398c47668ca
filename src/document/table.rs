//! Reading a tree: which keys there are, what they hold, and what is wrong with them.
//!
//! Every read adds its fault and goes on. A reader takes each key it knows; [`Table::finish`]
//! refuses the rest, with the key that was probably meant. Messages name keys and kinds, never a
//! value: the caret shows the value, if the file may be shown at all.

use super::nearest::{listed, nearest};
use super::units::{self, BYTES_FORM, DURATION_FORM};
use super::{Entry, Fault, Faults, Kind, Node, Show, Source, Span};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A file under reading and the faults found so far.
pub struct Reader<'a> {
    /// The file.
    pub source: &'a Arc<Source>,
    /// What is wrong.
    pub faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    /// A reader of `source`.
    pub fn new(source: &'a Arc<Source>, faults: &'a mut Faults) -> Self {
        Self { source, faults }
    }

    /// Adds a fault of this file.
    pub fn fault(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Fault {
        self.faults.add(self.source, code, span, message)
    }
}

/// The keys of one mapping.
pub struct Table<'a> {
    what: String,
    head: Span,
    entries: &'a [Entry],
    taken: Vec<bool>,
    known: Vec<&'static str>,
    called: Vec<&'static [Called]>,
}

/// What keys are called elsewhere, and what is meant, in back-quotes.
pub type Called = (&'static [&'static str], &'static str);

/// The value of a key, or an item of its list.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The key.
    pub name: &'a str,
    /// Where the key is; for an item, where the item is.
    pub name_span: Span,
    /// The value.
    pub node: &'a Node,
    item: bool,
}

impl<'a> Table<'a> {
    /// Reads `node` as keys and values; `what` it is, for messages, such as `a rule`.
    pub fn new(node: &'a Node, what: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self {
                what: what.to_owned(),
                head: node.head(),
                entries,
                taken: vec![false; entries.len()],
                known: Vec::new(),
                called: Vec::new(),
            }),
            Kind::Refused => None,
            _ => {
                let message = format!("{what} must be keys and values, found {}", node.is_a());
                let fault = reader.fault("Y012", node.span, message);
                if let Kind::Text(_) = node.kind {
                    fault.hint("write `{NAME: VALUE}`, or a line `NAME: VALUE` each, indented");
                }
                None
            }
        }
    }

    /// Where to point when the whole is meant.
    #[must_use]
    pub const fn head(&self) -> Span {
        self.head
    }

    /// The value of a key that may be left out.
    pub fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let at = self.entries.iter().position(|entry| entry.key == name)?;
        self.taken[at] = true;
        Some(Field::of(&self.entries[at]))
    }

    /// The value of a key that must be there.
    pub fn need(&mut self, name: &'static str, reader: &mut Reader<'_>) -> Option<Field<'a>> {
        let found = self.take(name);
        if found.is_none() {
            let message = format!("{} needs `{name}`", self.what);
            if !self.has_near(name) {
                reader.fault("Y011", self.head, message).hint(format!("add `{name}: …`"));
            }
        }
        found
    }

    /// Every key that was not taken yet; they count as taken.
    pub fn rest(&mut self) -> Vec<Field<'a>> {
        let rest = self.untaken().map(Field::of).collect();
        self.taken.fill(true);
        rest
    }

    /// Passes by a key that may or may not belong here; hints don't list it.
    pub fn pass(&mut self, name: &str) {
        if let Some(at) = self.entries.iter().position(|entry| entry.key == name) {
            self.taken[at] = true;
        }
    }

    /// Where a key stands.
    #[must_use]
    pub fn key_span(&self, name: &str) -> Option<Span> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| entry.key_span)
    }

    /// Hints tell what is meant by these keys too.
    pub fn know(&mut self, called: &'static [Called]) {
        self.called.push(called);
    }

    /// Is there a key that may be meant for this one, and will be refused for it?
    #[must_use]
    pub fn has_near(&self, name: &'static str) -> bool {
        let meant = format!("`{name}`");
        self.untaken().any(|entry| {
            nearest(&entry.key, [name]).is_some() || self.called(&entry.key) == Some(&meant)
        })
    }

    /// What is meant by a key that is called otherwise here.
    fn called(&self, key: &str) -> Option<&'static str> {
        let mut called = self.called.iter().rev().copied().flatten();
        called.find(|(keys, _)| keys.contains(&key)).map(|(_, meant)| *meant)
    }

    /// Calls it something else from now on, once more is known of it.
    pub fn call(&mut self, what: String) {
        self.what = what;
    }

    /// Refuses the keys that nobody took.
    pub fn finish(self, reader: &mut Reader<'_>) {
        for entry in self.untaken() {
            let message = match reader.source.show {
                Show::Nothing => format!("unknown key in {}", self.what),
                _ => format!("unknown key `{}` in {}", entry.key, self.what),
            };
            let free = self.known.iter().copied().filter(|name| !self.has(name));
            let takes = format!("{} takes {}", self.what, listed(self.known.iter().copied()));
            let near = || nearest(&entry.key, free).map(|meant| format!("`{meant}`"));
            let hint = match self.called(&entry.key).map(str::to_owned).or_else(near) {
                Some(meant) => format!("did you mean {meant}? {takes}"),
                None => takes,
            };
            reader.fault("Y010", entry.key_span, message).hint(hint);
        }
    }

    /// Is there such a key?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name)
    }

    fn untaken(&self) -> impl Iterator<Item = &'a Entry> + use<'a, '_> {
        self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(entry, _)| entry)
    }
}

impl<'a> Field<'a> {
    const fn of(entry: &'a Entry) -> Self {
        let Entry { key, key_span, value } = entry;
        Self { name: key.as_str(), name_span: *key_span, node: value, item: false }
    }

    /// Where the value is, or its key if there is none.
    #[must_use]
    pub const fn span(&self) -> Span {
        if matches!(self.node.kind, Kind::Null) { self.name_span } else { self.node.span }
    }

    /// Text.
    pub fn text(&self, reader: &mut Reader<'_>) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            _ => self.wrong("text", reader),
        }
    }

    /// `true` or `false`.
    pub fn bool(&self, reader: &mut Reader<'_>) -> Option<bool> {
        match self.node.kind {
            Kind::Bool(value) => Some(value),
            _ => self.wrong("`true` or `false`", reader),
        }
    }

    /// A whole number within bounds.
    pub fn int(&self, bounds: RangeInclusive<i64>, reader: &mut Reader<'_>) -> Option<i64> {
        let Kind::Number(spelling) = &self.node.kind else {
            return self.wrong("a whole number", reader);
        };
        match whole(spelling) {
            Some(value) if bounds.contains(&value) => Some(value),
            Some(_) => self.out_of_bounds(&bounds, reader),
            None if is_integer(spelling) => self.out_of_bounds(&bounds, reader),
            None => self.wrong("a whole number", reader),
        }
    }

    /// One of some words, by its index.
    pub fn one_of(&self, words: &[&str], reader: &mut Reader<'_>) -> Option<usize> {
        let text = self.text(reader)?;
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let one_of = if words.len() > 1 { "one of " } else { "" };
            let words_listed = listed(words.iter().copied());
            let message = format!("{} must be {one_of}{words_listed}", self.called());
            let fault = reader.fault("Y015", self.span(), message);
            if let Some(meant) = nearest(text, words.iter().copied()) {
                fault.hint(format!("did you mean `{meant}`?"));
            }
        }
        found
    }

    /// A duration such as `30d`.
    pub fn duration(&self, reader: &mut Reader<'_>) -> Option<Duration> {
        let read = match &self.node.kind {
            Kind::Text(text) => units::duration(text),
            _ => None,
        };
        self.or_form(read, "a duration", DURATION_FORM, reader)
    }

    /// A size in bytes such as `64MiB`.
    pub fn bytes(&self, reader: &mut Reader<'_>) -> Option<u64> {
        let read = match &self.node.kind {
            Kind::Text(text) | Kind::Number(text) => units::bytes(text),
            _ => None,
        };
        self.or_form(read, "a size", BYTES_FORM, reader)
    }

    /// The items of a list.
    pub fn list(&self, reader: &mut Reader<'_>) -> Option<Vec<Field<'a>>> {
        match &self.node.kind {
            Kind::List(items) => Some(items.iter().map(|node| self.item(node)).collect()),
            _ => self.wrong("a list", reader),
        }
    }

    /// The items of a list, or one text on its own. Items of another kind are refused and left out.
    pub fn texts(&self, reader: &mut Reader<'_>) -> Option<Vec<(&'a str, Span)>> {
        let items = match &self.node.kind {
            Kind::Text(_) => vec![*self],
            Kind::List(items) => items.iter().map(|node| self.item(node)).collect(),
            _ => return self.wrong("text or a list of texts", reader),
        };
        let text = |item: &Field<'a>| Some((item.text(reader)?, item.node.span));
        Some(items.iter().filter_map(text).collect())
    }

    /// Keys and values.
    pub fn table(&self, reader: &mut Reader<'_>) -> Option<Table<'a>> {
        let mut table = Table::new(self.node, &self.called(), reader)?;
        if self.node.head() == self.node.span {
            table.head = self.name_span;
        }
        Some(table)
    }

    /// Makes this value's lines unprintable: for passwords and the like.
    pub fn hide(&self, reader: &mut Reader<'_>) {
        reader.faults.hide(reader.source, self.node.span);
    }

    fn item(&self, node: &'a Node) -> Self {
        Self { name: self.name, name_span: node.head(), node, item: true }
    }

    fn called(&self) -> String {
        let name = self.name;
        if self.item { format!("an item of `{name}`") } else { format!("`{name}`") }
    }

    fn wrong<T>(&self, wanted: &str, reader: &mut Reader<'_>) -> Option<T> {
        if self.node.kind == Kind::Refused {
            return None;
        }
        let found = match (wanted, &self.node.kind) {
            ("a whole number", Kind::Number(_)) => String::new(),
            _ => format!(", found {}", self.node.is_a()),
        };
        let message = format!("{} must be {wanted}{found}", self.called());
        let fault = reader.fault("Y012", self.span(), message);
        match self.node.kind {
            Kind::Number(_) | Kind::Bool(_) if wanted.starts_with("text") => {
                fault.hint("put it in quotes");
            }
            Kind::Text(ref text) if wanted.ends_with("number") => {
                fault.hint(match whole(text) {
                    Some(_) => "write it without quotes",
                    None => "write it in digits alone, without quotes and without a unit",
                });
            }
            Kind::Map(_) if wanted == "a list" => {
                fault.hint("begin each item with `- `: `- NAME: VALUE`");
            }
            Kind::Number(_) if wanted == "a whole number" => {
                fault.hint("write it without a point");
            }
            Kind::Text(_) if wanted.starts_with("`true`") => {
                fault.hint("`yes`, `no`, `on` and `off` are text, and so is what stands in quotes");
            }
            Kind::List(_) if wanted == "text" => {
                fault.hint("there can be one only: write it without brackets");
            }
            _ => {}
        }
        None
    }

    fn out_of_bounds<T>(&self, bounds: &RangeInclusive<i64>, reader: &mut Reader<'_>) -> Option<T> {
        let (least, most) = (bounds.start(), bounds.end());
        let message = match *most {
            i64::MAX if self.is_negative() => {
                format!("{} must be at least {least}", self.called())
            }
            i64::MAX => format!("{} is too large a number", self.called()),
            _ => format!("{} must be between {least} and {most}", self.called()),
        };
        reader.fault("Y013", self.span(), message);
        None
    }

    fn is_negative(&self) -> bool {
        matches!(&self.node.kind, Kind::Number(spelling) if spelling.starts_with('-'))
    }

    fn or_form<T>(
        &self,
        read: Option<T>,
        wanted: &str,
        form: &str,
        reader: &mut Reader<'_>,
    ) -> Option<T> {
        if read.is_none() && self.node.kind != Kind::Refused {
            let message = format!("{} must be {wanted}", self.called());
            reader.fault("Y014", self.span(), message).hint(format!("write {form}"));
        }
        read
    }
}

fn whole(spelling: &str) -> Option<i64> {
    if let Some(octal) = spelling.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok();
    }
    if let Some(hex) = spelling.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    spelling.parse().ok()
}

/// A whole number, too long for the machine.
fn is_integer(spelling: &str) -> bool {
    spelling.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    fn with(text: &str, read: impl FnOnce(&mut Table<'_>, &mut Reader<'_>)) -> String {
        let source = Source::new("x.yaml", text);
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).expect("a tree");
        let mut reader = Reader::new(&source, &mut faults);
        let mut table = Table::new(&node, "a thing", &mut reader).expect("a table");
        read(&mut table, &mut reader);
        table.finish(&mut reader);
        faults
            .iter()
            .map(|f| format!("{} {}; {}\n", f.code, f.message, f.hint.clone().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn all_faults_come_at_once() {
        let said = with("size: 12 MB\nage: no\nport: 70000\nsise: 1\n", |table, reader| {
            assert_eq!(table.take("size").and_then(|f| f.bytes(reader)), None);
            assert_eq!(table.take("age").and_then(|f| f.int(0..=9, reader)), None);
            assert_eq!(table.take("port").and_then(|f| f.int(0..=65_535, reader)), None);
            assert!(table.need("name", reader).is_none());
        });
        let codes: Vec<&str> = said.lines().map(|line| &line[..4]).collect();
        assert_eq!(codes, ["Y014", "Y012", "Y013", "Y011", "Y010"], "{said}");
        assert!(said.contains("`port` must be between 0 and 65535"), "{said}");
    }

    #[test]
    fn a_missing_key_beside_its_misspelling_is_one_fault() {
        let said = with("tennant: a\n", |table, reader| {
            assert!(table.need("tenant", reader).is_none());
        });
        assert_eq!(
            said,
            "Y010 unknown key `tennant` in a thing; did you mean `tenant`? a thing takes `tenant`\n"
        );
    }

    #[test]
    fn typed_reads() {
        let said =
            with("a: [x, y]\nb: x\nc: 0x10\nd: 12h\ne: drop\nf: {g: true}\n", |table, reader| {
                let texts = table.take("a").and_then(|f| f.texts(reader)).expect("texts");
                assert_eq!(texts.iter().map(|(text, _)| *text).collect::<Vec<_>>(), ["x", "y"]);
                let one = table.take("b").and_then(|f| f.texts(reader)).expect("texts");
                assert_eq!(one[0], ("x", Span::new(13, 14)));
                assert_eq!(table.take("c").and_then(|f| f.int(0..=16, reader)), Some(16));
                let half_a_day = table.take("d").and_then(|f| f.duration(reader));
                assert_eq!(half_a_day, Some(Duration::from_secs(43_200)));
                assert_eq!(
                    table.take("e").and_then(|f| f.one_of(&["keep", "drop"], reader)),
                    Some(1)
                );
                let mut inner = table.take("f").and_then(|f| f.table(reader)).expect("a table");
                assert_eq!(inner.take("g").and_then(|f| f.bool(reader)), Some(true));
                inner.finish(reader);
            });
        assert_eq!(said, "");
    }

    #[test]
    fn a_keyring_is_never_repeated() {
        let source =
            Source::with("k.yaml", "canary1: 7\ncanary2: [canary3]\ncanary2: 1\n", Show::Nothing);
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).expect("a tree");
        let mut reader = Reader::new(&source, &mut faults);
        let mut table = Table::new(&node, "a keyring", &mut reader).expect("a table");
        assert!(table.need("keys", &mut reader).is_none());
        table.finish(&mut reader);
        assert_eq!(faults.len(), 4);
        assert!(!faults.to_string().contains("canary"), "{faults}");
    }
}
