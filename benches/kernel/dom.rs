//! The usual way: parse to a document tree, edit the tree, write it out. Once over `serde_json`,
//! once over simd-json. The first is the twin that all answers are compared with.
//!
//! Both use limpid's own transforms on the scalars, so that what is compared is how a rule gets to
//! its value and the value into the output, not how well an address is parsed.

use crate::contender::{Arena, Contender};
use crate::corpus::Corpus;
use crate::rules::{Rule, Rules};
use limpid::format::paths::Segment;
use limpid::format::{Container, Out, Scalar};
use limpid::keys::EpochKeys;
use limpid::transform::{self, Context, Outcome, Transform};
use simd_json::prelude::*;
use simd_json::{BorrowedValue, StaticNode};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// What a document tree must be able to do.
pub trait Tree: Sized {
    /// The scalar; numbers are spelled into `number`. `None` for containers.
    fn scalar<'a>(&'a self, number: &'a mut String) -> Option<Scalar<'a>>;
    fn items(&mut self) -> Option<&mut Vec<Self>>;
    fn is_object(&self) -> bool;
    fn member(&mut self, name: &str) -> Option<&mut Self>;
    fn remove(&mut self, name: &str);
    /// Visits every member; those for which it says true go.
    fn remove_if(&mut self, visit: &mut dyn FnMut(&mut Self) -> bool);
    fn text(text: &str) -> Self;
    fn number(spelling: &str) -> Self;
}

impl Tree for serde_json::Value {
    fn scalar<'a>(&'a self, number: &'a mut String) -> Option<Scalar<'a>> {
        Some(match self {
            Self::Null => Scalar::Null,
            Self::Bool(bool) => Scalar::Bool(*bool),
            Self::Number(value) => {
                number.clear();
                let _ = write!(number, "{value}");
                Scalar::Number(number)
            }
            Self::String(text) => Scalar::Text(text),
            Self::Array(_) | Self::Object(_) => return None,
        })
    }

    fn items(&mut self) -> Option<&mut Vec<Self>> {
        self.as_array_mut()
    }

    fn is_object(&self) -> bool {
        self.is_object()
    }

    fn member(&mut self, name: &str) -> Option<&mut Self> {
        self.as_object_mut()?.get_mut(name)
    }

    fn remove(&mut self, name: &str) {
        if let Self::Object(members) = self {
            // As swapping would not keep the order.
            members.shift_remove(name);
        }
    }

    fn remove_if(&mut self, visit: &mut dyn FnMut(&mut Self) -> bool) {
        if let Self::Object(members) = self {
            members.retain(|_, member| !visit(member));
        }
    }

    fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    fn number(spelling: &str) -> Self {
        spelling.parse().map_or(Self::Null, Self::Number)
    }
}

impl Tree for BorrowedValue<'_> {
    fn scalar<'a>(&'a self, number: &'a mut String) -> Option<Scalar<'a>> {
        let mut spelled = |value: &dyn std::fmt::Display| {
            number.clear();
            let _ = write!(number, "{value}");
        };
        match self {
            Self::String(text) => return Some(Scalar::Text(text)),
            Self::Static(StaticNode::Null) => return Some(Scalar::Null),
            Self::Static(StaticNode::Bool(bool)) => return Some(Scalar::Bool(*bool)),
            Self::Static(value) => spelled(value),
            Self::Array(_) | Self::Object(_) => return None,
        }
        Some(Scalar::Number(number))
    }

    fn items(&mut self) -> Option<&mut Vec<Self>> {
        self.as_array_mut()
    }

    fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    fn member(&mut self, name: &str) -> Option<&mut Self> {
        self.as_object_mut()?.get_mut(name)
    }

    fn remove(&mut self, name: &str) {
        if let Self::Object(members) = self {
            members.remove(name);
        }
    }

    fn remove_if(&mut self, visit: &mut dyn FnMut(&mut Self) -> bool) {
        if let Self::Object(members) = self {
            members.retain(|_, member| !visit(member));
        }
    }

    fn text(text: &str) -> Self {
        Self::String(text.to_owned().into())
    }

    fn number(spelling: &str) -> Self {
        let whole = spelling.parse().map(StaticNode::I64);
        let number = whole.or_else(|_| spelling.parse::<f64>().map(StaticNode::from));
        Self::Static(number.unwrap_or(StaticNode::Null))
    }
}

/// Edits trees; keeps its scratch.
pub struct TreeEditor {
    rules: Rules,
    number: String,
    written: Vec<u8>,
}

impl TreeEditor {
    pub fn new(rules: Rules) -> Self {
        Self { rules, number: String::new(), written: Vec::new() }
    }

    /// Pseudonyms are made with these keys from now on.
    pub fn set_keys(&mut self, keys: &Arc<EpochKeys>) {
        self.rules.keys = Some(keys.clone());
    }

    /// Applies all rules.
    pub fn edit<T: Tree>(&mut self, root: &mut T) {
        let list = self.rules.list.clone();
        for rule in &*list {
            self.walk(root, &rule.segments, rule);
        }
    }

    /// Follows a path; says whether the value goes.
    fn walk<T: Tree>(&mut self, value: &mut T, path: &[Segment], rule: &Rule) -> bool {
        match path {
            [] => return self.decide(value, rule),
            [Segment::AnyDepth] => self.below(value, rule),
            [Segment::AnyElement, rest @ ..] => match value.items() {
                Some(items) => self.items(items, rest, rule),
                None => return self.walk(value, rest, rule),
            },
            [Segment::Name(name), rest @ ..] => {
                if let Some(items) = value.items() {
                    self.items(items, path, rule);
                } else if value.member(name).is_some_and(|member| self.walk(member, rest, rule)) {
                    value.remove(name);
                }
            }
            _ => panic!("a path that the twin does not know"),
        }
        false
    }

    fn items<T: Tree>(&mut self, items: &mut Vec<T>, path: &[Segment], rule: &Rule) {
        items.retain_mut(|item| !self.walk(item, path, rule));
    }

    fn decide<T: Tree>(&mut self, value: &mut T, rule: &Rule) -> bool {
        let mut number = std::mem::take(&mut self.number);
        let scalar = value.scalar(&mut number);
        let edit = match scalar {
            Some(scalar) => self.scalar(scalar, rule),
            None if rule.whole => self.whole(rule),
            None => {
                self.below(value, rule);
                None
            }
        };
        self.number = number;
        match edit {
            Some(New::Value(new)) => *value = new,
            Some(New::Nothing) => return true,
            None => {}
        }
        false
    }

    /// Every scalar below.
    fn below<T: Tree>(&mut self, value: &mut T, rule: &Rule) {
        if let Some(items) = value.items() {
            return self.items(items, &[], rule);
        }
        if value.is_object() {
            value.remove_if(&mut |member| self.decide(member, rule));
        }
    }

    fn scalar<T: Tree>(&mut self, scalar: Scalar<'_>, rule: &Rule) -> Option<New<T>> {
        self.written.clear();
        let rounds = matches!(rule.transform, Transform::Round(_));
        let number = rounds && matches!(scalar, Scalar::Number(_));
        let mut context = Context { keys: self.rules.keys.as_deref(), ..Context::default() };
        match rule.transform.apply(scalar, &mut context, &mut Out::plain(&mut self.written)) {
            Outcome::Unchanged => None,
            Outcome::Dropped => Some(New::Nothing),
            Outcome::Replaced if number => Some(New::Value(T::number(self.written()))),
            Outcome::Replaced => Some(New::Value(T::text(self.written()))),
            Outcome::Mismatch => {
                self.written.clear();
                transform::redact(&mut Out::plain(&mut self.written));
                Some(New::Value(T::text(self.written())))
            }
        }
    }

    fn whole<T: Tree>(&mut self, rule: &Rule) -> Option<New<T>> {
        self.written.clear();
        match rule.transform.apply_whole(Container::Object, &mut Out::plain(&mut self.written)) {
            Outcome::Unchanged => None,
            Outcome::Dropped => Some(New::Nothing),
            Outcome::Replaced | Outcome::Mismatch => Some(New::Value(T::text(self.written()))),
        }
    }

    fn written(&self) -> &str {
        std::str::from_utf8(&self.written).expect("transforms write text")
    }
}

enum New<T> {
    Nothing,
    Value(T),
}

/// `serde_json`'s tree.
pub struct SerdeJson {
    editor: TreeEditor,
    arena: Arena,
}

impl SerdeJson {
    pub fn new(rules: Rules) -> Self {
        Self { editor: TreeEditor::new(rules), arena: Arena::default() }
    }
}

impl Contender for SerdeJson {
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>) {
        self.arena.clear(batch.start);
        for record in batch {
            let parsed = serde_json::from_slice(corpus.record(record));
            let mut root: serde_json::Value = parsed.expect("JSON");
            self.editor.edit(&mut root);
            serde_json::to_writer(&mut self.arena.bytes, &root).expect("it can be written");
            self.arena.end();
        }
    }

    fn output<'a>(&'a self, _: &'a Corpus, record: usize) -> &'a [u8] {
        self.arena.get(record)
    }
}

/// simd-json's borrowed tree. It parses in place, so the record is copied first; its buffers are
/// reused.
pub struct SimdJson {
    editor: TreeEditor,
    arena: Arena,
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl SimdJson {
    pub fn new(rules: Rules) -> Self {
        Self {
            editor: TreeEditor::new(rules),
            arena: Arena::default(),
            copy: Vec::new(),
            buffers: simd_json::Buffers::default(),
        }
    }
}

impl Contender for SimdJson {
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>) {
        self.arena.clear(batch.start);
        for record in batch {
            self.copy.clear();
            self.copy.extend_from_slice(corpus.record(record));
            let (copy, buffers) = (&mut self.copy, &mut self.buffers);
            let parsed = simd_json::to_borrowed_value_with_buffers(copy, buffers);
            let mut root = parsed.expect("JSON");
            self.editor.edit(&mut root);
            root.write(&mut self.arena.bytes).expect("it can be written");
            self.arena.end();
        }
    }

    fn output<'a>(&'a self, _: &'a Corpus, record: usize) -> &'a [u8] {
        self.arena.get(record)
    }
}
