//! The best that can be built on a fast parser without writing one: simd-json's tape, and the
//! untouched bytes copied from the record as they are.
//!
//! The tape has no offsets, but its strings lie in the parsed copy where they lie in the record.
//! So members are found by their keys' addresses, and a value's end by looking for it.

use crate::contender::{Arena, Contender};
use crate::corpus::Corpus;
use crate::rules::Rules;
use limpid::format::paths::Segment;
use limpid::format::{Container, Out, Scalar};
use limpid::transform::{self, Context, Outcome, Transform};
use simd_json::{Node, StaticNode, Tape};
use std::ops::Range;

/// Paths as a tree of names.
#[derive(Default)]
struct Place {
    rule: Option<usize>,
    members: Vec<(Box<str>, Place)>,
    element: Option<Box<Place>>,
}

impl Place {
    fn insert(&mut self, path: &[Segment], rule: usize) {
        match path {
            [] => self.rule = Some(rule),
            [Segment::AnyElement, rest @ ..] => {
                self.element.get_or_insert_default().insert(rest, rule);
            }
            [Segment::Name(name), rest @ ..] => {
                let at = self.members.iter().position(|(known, _)| known == name);
                let at = at.unwrap_or_else(|| {
                    self.members.push((name.clone(), Self::default()));
                    self.members.len() - 1
                });
                self.members[at].1.insert(rest, rule);
            }
            _ => panic!("a path that the tape does not know"),
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        self.members.iter().find(|(known, _)| **known == *name).map(|(_, place)| place)
    }
}

/// simd-json's tape, then splices.
pub struct TapeSplice {
    rules: Rules,
    places: Place,
    arena: Arena,
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
    tape: Option<Tape<'static>>,
}

impl TapeSplice {
    pub fn new(rules: Rules) -> Self {
        let mut places = Place::default();
        for (number, rule) in rules.list.iter().enumerate() {
            places.insert(&rule.segments, number);
        }
        Self {
            rules,
            places,
            arena: Arena::default(),
            copy: Vec::new(),
            buffers: simd_json::Buffers::default(),
            tape: Some(Tape::null()),
        }
    }
}

impl Contender for TapeSplice {
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>) {
        self.arena.clear(batch.start);
        for index in batch {
            let record = corpus.record(index);
            self.copy.clear();
            self.copy.extend_from_slice(record);
            let base = self.copy.as_ptr() as usize;
            let mut tape = self.tape.take().unwrap_or(Tape::null()).reset();
            simd_json::fill_tape(&mut self.copy, &mut self.buffers, &mut tape).expect("JSON");
            let out = &mut self.arena.bytes;
            let mut splice =
                Splice { record, base, nodes: &tape.0, rules: &self.rules, out, copied: 0 };
            splice.walk(0, &self.places);
            splice.flush(record.len());
            self.tape = Some(tape.reset());
            self.arena.end();
        }
    }

    fn output<'a>(&'a self, _: &'a Corpus, record: usize) -> &'a [u8] {
        self.arena.get(record)
    }
}

/// One record at work.
struct Splice<'a> {
    record: &'a [u8],
    /// The address of the parsed copy's first byte.
    base: usize,
    nodes: &'a [Node<'a>],
    rules: &'a Rules,
    out: &'a mut Vec<u8>,
    /// How much of the record is in `out` or has been cut.
    copied: usize,
}

impl Splice<'_> {
    fn walk(&mut self, at: usize, place: &Place) {
        match self.nodes[at] {
            Node::Object { len, .. } => self.object(at + 1, len, place),
            Node::Array { len, .. } => self.array(at + 1, len, place),
            _ => {}
        }
    }

    fn object(&mut self, mut at: usize, len: usize, place: &Place) {
        for member in 0..len {
            let Node::String(key) = self.nodes[at] else { panic!("a key") };
            let next = at + 1 + self.size(at + 1);
            match place.member(key) {
                Some(Place { rule: Some(rule), .. }) => {
                    let key_at = self.offset(key);
                    let value_at = self.value_behind(key_at);
                    let last = member + 1 == len;
                    let next_key = if last { None } else { Some(next) };
                    self.value(at + 1, value_at, *rule, Some((key_at, next_key)));
                }
                Some(inner) => self.walk(at + 1, inner),
                None => {}
            }
            at = next;
        }
    }

    fn array(&mut self, mut at: usize, len: usize, place: &Place) {
        for _ in 0..len {
            match (self.nodes[at], place.element.as_deref()) {
                (Node::String(text), Some(Place { rule: Some(rule), .. })) => {
                    self.value(at, self.offset(text), *rule, None);
                }
                (_, Some(inner)) => self.walk(at, inner),
                (_, None) => self.walk(at, place),
            }
            at += self.size(at);
        }
    }

    /// How many nodes a value takes.
    fn size(&self, at: usize) -> usize {
        match self.nodes[at] {
            Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
            _ => 1,
        }
    }

    /// Where a string's opening quote stands.
    fn offset(&self, text: &str) -> usize {
        text.as_ptr() as usize - self.base - 1
    }

    fn value_behind(&self, key_at: usize) -> usize {
        let mut at = string_end(self.record, key_at);
        while matches!(self.record[at], b':' | b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Applies a rule to the value at `start`. `member`: its key's place, and the next key's node.
    fn value(
        &mut self,
        node: usize,
        start: usize,
        rule: usize,
        member: Option<(usize, Option<usize>)>,
    ) {
        let rule = &self.rules.list[rule];
        if let (Transform::Drop, Some((key_at, next))) = (&rule.transform, member) {
            return self.cut(key_at, start, next);
        }
        let end = value_end(self.record, start);
        self.flush(start);
        let mark = self.out.len();
        let spelling = std::str::from_utf8(&self.record[start..end]).expect("UTF-8");
        let scalar = match self.nodes[node] {
            Node::String(text) => Some(Scalar::Text(text)),
            Node::Static(StaticNode::Null) => Some(Scalar::Null),
            Node::Static(StaticNode::Bool(bool)) => Some(Scalar::Bool(bool)),
            Node::Static(_) => Some(Scalar::Number(spelling)),
            Node::Object { .. } | Node::Array { .. } => None,
        };
        let mut context = Context { keys: self.rules.keys.as_deref(), ..Context::default() };
        let mut out = Out::json(self.out);
        let outcome = match scalar {
            Some(scalar) => rule.transform.apply(scalar, &mut context, &mut out),
            None => rule.transform.apply_whole(Container::Object, &mut out),
        };
        match outcome {
            Outcome::Replaced => {}
            Outcome::Unchanged => return self.out.truncate(mark),
            Outcome::Mismatch => {
                self.out.truncate(mark);
                transform::redact(&mut Out::json(self.out));
            }
            Outcome::Dropped => panic!("only members are dropped here"),
        }
        self.copied = end;
    }

    /// Takes a member out, with one of its commas.
    fn cut(&mut self, key_at: usize, value_at: usize, next_key: Option<usize>) {
        self.flush(key_at);
        if let Some(Node::String(key)) = next_key.map(|at| self.nodes[at]) {
            self.copied = self.offset(key);
            return;
        }
        let kept = self.out.trim_ascii_end();
        let kept = kept.strip_suffix(b",").unwrap_or(kept).len();
        self.out.truncate(kept);
        self.copied = value_end(self.record, value_at);
    }

    fn flush(&mut self, to: usize) {
        self.out.extend_from_slice(&self.record[self.copied..to]);
        self.copied = to;
    }
}

/// Behind the string whose opening quote stands at `start`.
fn string_end(record: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', &record[at..]).expect("a closed string");
        if record[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
}

/// Behind the value that begins at `start`.
fn value_end(record: &[u8], start: usize) -> usize {
    match record[start] {
        b'"' => string_end(record, start),
        b'{' | b'[' => {
            let (mut at, mut depth) = (start, 0);
            loop {
                match record[at] {
                    b'"' => {
                        at = string_end(record, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
        }
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            record[start..].iter().position(ends).map_or(record.len(), |length| start + length)
        }
    }
}
