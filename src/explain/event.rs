//! An event's values with their paths and places: what an explanation is about.
//!
//! The kernel knows where a value begins and which rule decides it, but forgets the names on the
//! way; nobody else needs them. This reader is run beside it, on events that the kernel has
//! accepted, and may be as slow as it likes. It decides nothing.

use crate::format::json::Texts;
use crate::limits::DEPTH_MAX;
use crate::policy::shown_name;
use crate::record::Part;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// One step from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// To the member of that name, by meaning.
    Name(String),
    /// To the element of that number.
    Element(usize),
}

/// A value of an event.
#[derive(Debug, Clone)]
pub struct Node {
    /// The steps that lead to it.
    pub path: Path,
    /// Where it stands in the event, in bytes.
    pub span: Range<usize>,
    /// Of a member, where its name stands, with the quotes.
    pub name: Option<Range<usize>>,
    /// What is in a text that is read as JSON: as it is spelled there, with its name. In the event its
    /// quotes are escaped.
    inside: Option<[Box<str>; 2]>,
    /// The number of the first node behind it and all that is in it.
    pub next: usize,
}

/// Steps from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// As a policy would spell it, in this part of a record.
    #[must_use]
    pub fn within(&self, part: Part) -> String {
        match (part, self.0.first()) {
            (Part::Value, _) => self.to_string(),
            (Part::Key, Some(Step::Name(_))) => format!("$key.{self}"),
            (Part::Key, _) => format!("$key{self}"),
        }
    }
}

impl fmt::Display for Path {
    /// As a policy would spell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if index > 0 => write!(f, ".{}", shown_name(name))?,
                Step::Name(name) => f.write_str(&shown_name(name))?,
                Step::Element(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

impl Node {
    /// The value as it is spelled, in the event or in the text that it stands in.
    #[must_use]
    pub fn spelled<'a>(&'a self, json: &'a [u8]) -> &'a [u8] {
        match &self.inside {
            Some([value, _]) => value.as_bytes(),
            None => &json[self.span.clone()],
        }
    }

    /// The same of its name.
    #[must_use]
    pub fn name_spelled<'a>(&'a self, json: &'a [u8]) -> &'a [u8] {
        match (&self.inside, &self.name) {
            (Some([_, name]), _) => name.as_bytes(),
            (None, Some(name)) => &json[name.clone()],
            (None, None) => b"",
        }
    }
}

/// The values of an event, each container before what is in it; `None` if it is not JSON.
#[must_use]
pub fn read(json: &[u8]) -> Option<Vec<Node>> {
    read_inside(json, &HashSet::new())
}

/// As [`read`], with what is in the texts that begin at these places: they are read as JSON.
#[must_use]
pub fn read_inside(json: &[u8], opened: &HashSet<usize>) -> Option<Vec<Node>> {
    let text = std::str::from_utf8(json).ok()?;
    let (path, nodes, texts) = (Path::default(), Vec::new(), Texts::default());
    let mut reader = Reader { text, at: 0, path, name: None, nodes, texts, opened };
    reader.whole()?;
    Some(reader.nodes)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    path: Path,
    /// Of the member whose value comes next.
    name: Option<Range<usize>>,
    nodes: Vec<Node>,
    /// The texts that one is in.
    texts: Texts,
    opened: &'a HashSet<usize>,
}

impl Reader<'_> {
    fn whole(&mut self) -> Option<()> {
        self.space();
        self.value()?;
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    fn value(&mut self) -> Option<()> {
        let (number, start, name) = (self.nodes.len(), self.at, self.name.take());
        let path = self.path.clone();
        self.nodes.push(Node { path, span: 0..0, name: None, inside: None, next: 0 });
        match self.peek()? {
            b'{' => self.members()?,
            b'[' => self.elements()?,
            b'"' => self.string_value()?,
            _ => self.bare()?,
        }
        let next = self.nodes.len();
        let place =
            |range: Range<usize>| self.texts.place(range.start)..self.texts.place(range.end);
        let spelled = |range: Range<usize>| self.text.get(range).unwrap_or_default().into();
        let inside = self
            .texts
            .inside()
            .then(|| [spelled(start..self.at), name.clone().map_or_else(Box::default, spelled)]);
        let (span, name) = (place(start..self.at), name.map(place));
        let node = &mut self.nodes[number];
        (node.span, node.name, node.inside, node.next) = (span, name, inside, next);
        Some(())
    }

    /// A string, and what is in it if it is read as JSON.
    fn string_value(&mut self) -> Option<()> {
        let start = self.at;
        let meaning = self.string()?;
        if !self.opened.contains(&self.texts.place(start)) {
            return Some(());
        }
        let mut texts = std::mem::take(&mut self.texts);
        texts.enter(start, self.text.get(start + 1..self.at - 1)?);
        let (path, nodes) = (self.path.clone(), std::mem::take(&mut self.nodes));
        let opened = self.opened;
        let mut inner = Reader { text: &meaning, at: 0, path, name: None, nodes, texts, opened };
        inner.whole()?;
        (self.nodes, self.texts) = (inner.nodes, inner.texts);
        self.texts.leave();
        Some(())
    }

    fn members(&mut self) -> Option<()> {
        self.items(b'}', |reader, _| {
            let start = reader.at;
            let name = reader.string()?;
            reader.name = Some(start..reader.at);
            reader.space();
            reader.eat(b':')?;
            reader.space();
            Some(Step::Name(name))
        })
    }

    fn elements(&mut self) -> Option<()> {
        self.items(b']', |_, number| Some(Step::Element(number)))
    }

    /// What stands between a container's brackets; `step` reads what leads to an item.
    fn items(&mut self, close: u8, step: impl Fn(&mut Self, usize) -> Option<Step>) -> Option<()> {
        if self.path.0.len() >= DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.space();
        if self.eat(close).is_some() {
            return Some(());
        }
        for number in 0.. {
            let step = step(self, number)?;
            self.path.0.push(step);
            self.value()?;
            self.path.0.pop();
            self.space();
            if self.eat(close).is_some() {
                break;
            }
            self.eat(b',')?;
            self.space();
        }
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.eat(b'"')?;
        while self.peek()? != b'"' {
            self.at += if self.peek()? == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn bare(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \n\r\t".contains(&byte)) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path_and_place() {
        let json = r#" {"a": {"b.c":[1.50, {}]}, "\u0061" : "x\"}" } "#;
        let nodes = read(json.as_bytes()).expect("an event");
        let seen: Vec<(String, &str)> =
            nodes.iter().map(|node| (node.path.to_string(), &json[node.span.clone()])).collect();
        let seen: Vec<(&str, &str)> = seen.iter().map(|(path, text)| (&**path, *text)).collect();
        assert_eq!(
            seen[1..],
            [
                ("a", r#"{"b.c":[1.50, {}]}"#),
                ("a.\"b.c\"", "[1.50, {}]"),
                ("a.\"b.c\"[0]", "1.50"),
                ("a.\"b.c\"[1]", "{}"),
                ("a", r#""x\"}""#),
            ]
        );
        let next: Vec<usize> = nodes.iter().map(|node| node.next).collect();
        assert_eq!(next, [6, 5, 5, 4, 5, 6]);
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for json in ["", "{", "{\"a\":1", "{\"a\" 1}", "[1,]", "{} x", "\"\\", "[-é]"] {
            assert!(read(json.as_bytes()).is_none(), "{json}");
        }
        assert!(read("[".repeat(100_000).as_bytes()).is_none());
    }
}
