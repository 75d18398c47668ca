//! What a policy does to one event, value by value, and why; and what another would do instead.
//!
//! The problem: people who answer for a policy must see what it does before it does it to
//! everybody's data. The rejected alternative: a model of the rules that is made to be explained.
//! It would explain itself. Here the engine does the work and is looked on ([`Watch`]); that a path
//! names a value is found out by the kernel's own walk with that path alone. What this module adds
//! is names: of values, of rules, of lines in the policy.
//!
//! It shows values of records: that is its purpose. It is for commands that somebody runs on a few
//! events, and imports nothing that could send or log one.

pub mod event;
mod near;
mod shown;

use crate::document::Source;
use crate::engine::{At, Decided, Limits, Watch};
use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch, Texts};
use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment};
use crate::format::{Container, Out, Scalar};
use crate::policy::trial::{Bench, Tried};
use crate::policy::{
    CompiledPolicy, Decides, OnKey, Place, Plan, Policies, WrittenPath, parse_path,
};
use crate::record::{Part, Raw, Record};
use event::Node;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A policy that can be asked about events.
pub struct Explainer {
    source: Arc<Source>,
    policies: Policies,
    paths: Vec<LonePath>,
    /// The paths to texts that are read as JSON.
    inside: Vec<Place>,
    limits: Limits,
}

/// A path of the policy, and the kernel's tables for it alone.
struct LonePath {
    written: WrittenPath,
    place: Place,
    /// For a path into the value or the key.
    alone: Option<Paths>,
}

/// What became of an event and of its values.
#[derive(Debug)]
pub struct Explained {
    /// The tenant whose policy it is, and the policy's version.
    pub policy: (Arc<str>, u64),
    /// Key, headers and values, in that order and in the order of the event. Of what a rule takes
    /// whole there is one entry.
    pub values: Vec<Value>,
    /// Paths of the policy that name nothing in this event.
    pub idle: Vec<Named>,
    /// What came out.
    pub outcome: Tried,
    /// Of a malformed event, what is wrong with it.
    pub flaw: Option<String>,
}

/// What became of one value.
#[derive(Debug)]
pub struct Value {
    /// `$key`, `$header.NAME`, or the path in the event or its key.
    pub path: String,
    /// It is about the name of the member there, and not about its value.
    pub name: bool,
    /// The value, or the name, as it stands in the event.
    pub before: Vec<u8>,
    /// What became of it.
    pub fate: Fate,
    /// The rule that decided; `None`: none names it.
    pub by: Option<Named>,
    /// The value was of a kind that the rule does not work on, and `mismatch` decided.
    pub mismatch: bool,
    /// That may be because nobody is named whose time it is, and not because of its kind.
    pub of_somebody: bool,
    /// Rules that name it too, and came too late.
    pub late: Vec<Named>,
    /// Rules that name it too and came first, but do not apply to this record, or are less strict
    /// than one of another list.
    pub passed_by: Vec<Named>,
    /// Rules that nearly name it: paths that name nothing here, and what they may have meant.
    pub near: Vec<(Named, String)>,
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, byte for byte.
    Kept,
    /// This stands in its place.
    Replaced(Vec<u8>),
    /// It goes.
    Dropped,
    /// The whole record is withheld for it.
    Withheld,
}

/// A rule, by the path that names the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Number (from 1) and transform, such as `3 drop`.
    pub rule: String,
    /// The path as it is written.
    pub path: String,
    /// Its line in the policy, or in `file`.
    pub line: usize,
    /// The file, if it is one that policies share.
    pub file: Option<String>,
}

impl Explainer {
    /// Explains what this policy does.
    ///
    /// # Panics
    /// Never: the paths of a compiled policy can be read, and one policy has one tenant.
    #[must_use]
    pub fn new(policy: CompiledPolicy, limits: Limits) -> Self {
        let source = policy.tests.source().clone();
        let inside: Vec<Place> = policy.paths.iter().filter_map(leads_inside).collect();
        let paths = policy.paths.into_iter().map(|path| LonePath::new(path, &inside)).collect();
        let policies = Policies::new(vec![policy.plan]).expect("one policy has one tenant");
        Self { source, policies, paths, inside, limits }
    }

    /// The policy's plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.policies.plan(0)
    }

    /// A bench to clean records on.
    #[must_use]
    pub fn bench(&self) -> Bench<'_> {
        Bench::new(&self.policies, self.plan().tenant.clone(), self.limits)
    }

    /// Cleans one record, and tells what was decided about each of its values.
    fn trace(&self, record: &Record<'_>) -> (Tried, Trace) {
        let mut trace = Trace::default();
        let tried = self.bench().watched(record, &mut trace);
        (tried, trace)
    }

    /// Cleans one record, and says why.
    #[must_use]
    pub fn explain(&self, record: &Record<'_>) -> Explained {
        let (outcome, trace) = self.trace(record);
        let asked = Asked::new(self, record, &outcome, trace);
        let mut values = asked.key_and_headers();
        values.extend(asked.values());
        let plan = self.plan();
        let idle = asked.idle.iter().map(|&path| self.named(path)).collect();
        let flaw = match outcome {
            Tried::Withheld(Reason::Malformed) => self.flaw(record),
            _ => None,
        };
        Explained { policy: (plan.tenant.clone(), plan.version), values, idle, outcome, flaw }
    }

    /// What is wrong with a malformed event.
    fn flaw(&self, record: &Record<'_>) -> Option<String> {
        let of_key = record.key.filter(|_| self.reads_key()).and_then(|key| flaw(key.expose()));
        let of_value = record.value.and_then(|value| flaw(value.expose()));
        of_value.or_else(|| of_key.map(|flaw| format!("its key: {flaw}")))
    }

    /// Does the policy take the key for JSON?
    #[must_use]
    pub fn reads_key(&self) -> bool {
        matches!(self.plan().key, OnKey::Within(_))
    }

    fn named(&self, path: usize) -> Named {
        let written = &self.paths[path].written;
        let rule = self.plan().rules[usize::from(written.rule)].label.clone();
        let (line, _) = written.source.place(written.span.start);
        let shared = !Arc::ptr_eq(&written.source, &self.source);
        let file = shared.then(|| written.source.name.clone());
        Named { rule, path: written.text.clone(), line, file }
    }
}

impl LonePath {
    fn new(written: WrittenPath, inside: &[Place]) -> Self {
        let place = parse_path(&written.text).expect("the policy was compiled");
        let alone = alone(&place, written.decides, inside);
        Self { written, place, alone }
    }

    /// Where the values begin that it names in a part of the record.
    fn found(&self, part: Part, json: &[u8], limits: Limits) -> HashSet<usize> {
        match (self.place.steps_in(part), &self.alone) {
            (Some(_), Some(alone)) => found(json, alone, limits),
            _ => HashSet::new(),
        }
    }

    fn names_part(&self, at: At, record: &Record<'_>) -> bool {
        match (&self.place, at) {
            (Place::Key, At::Key) => true,
            (Place::Header(wanted), At::Header(index)) => {
                record.headers.get(index).is_some_and(|(name, _)| wanted.fits(name))
            }
            _ => false,
        }
    }
}

/// The path, if texts there are read as JSON.
fn leads_inside(written: &WrittenPath) -> Option<Place> {
    parse_path(&written.text).ok().filter(|_| written.decides == Decides::Inside)
}

/// The kernel's tables for one path, which leads into the texts that the policy reads as JSON; none for a
/// part of the record that is one value.
fn alone(place: &Place, decides: Decides, inside: &[Place]) -> Option<Paths> {
    let Place::In(part, segments) = place else { return None };
    let on_container = match decides {
        Decides::Value => OnContainer::Leave,
        Decides::Name | Decides::Names => OnContainer::Rename,
        Decides::Inside => OnContainer::Open,
    };
    let path = RulePath { rule: 0, on_container, segments: decides.steps(segments) };
    let opens = |segments: &[Segment]| RulePath {
        rule: 1,
        on_container: OnContainer::Open,
        segments: segments.to_vec(),
    };
    let inside = inside.iter().filter_map(|place| place.steps_in(*part));
    let paths: Vec<RulePath> = [path].into_iter().chain(inside.map(opens)).collect();
    Paths::compile(&paths).ok()
}

/// What was decided about the values of one record.
#[derive(Debug, Default)]
pub struct Trace {
    decisions: HashMap<At, Decision>,
    /// Where the texts begin that were read as JSON; in the value, in the key.
    opened: [HashSet<usize>; 2],
    /// By rule, whether it may apply; none: all do.
    applies: Vec<bool>,
    at: Option<At>,
}

/// What was decided about one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rule that did.
    pub rule: RuleId,
    /// The value was of another kind, so `mismatch` did.
    pub mismatch: bool,
    /// What became of it.
    pub fate: Fate,
}

impl Watch for Trace {
    const WATCHES: bool = true;

    fn at(&mut self, at: At) {
        self.at = Some(at);
    }

    fn applies(&mut self, rules: &[bool]) {
        self.applies = rules.to_vec();
    }

    fn opened(&mut self, part: Part, start: usize) {
        self.opened[part as usize].insert(start);
    }

    fn decided(&mut self, decided: Decided<'_>) {
        let fate = match decided.edit {
            None => Fate::Withheld,
            Some(Edit::Keep) => Fate::Kept,
            Some(Edit::Drop) => Fate::Dropped,
            Some(Edit::Replace) => Fate::Replaced(decided.written.to_vec()),
        };
        let decision = Decision { rule: decided.rule, mismatch: decided.mismatch, fate };
        self.decisions.extend(self.at.map(|at| (at, decision)));
    }
}

impl Trace {
    /// What was decided about the value at a place; of a value in a container that was taken
    /// whole, ask for the container.
    #[must_use]
    pub fn decision(&self, at: At) -> Option<&Decision> {
        self.decisions.get(&at)
    }

    fn may_apply(&self, rule: RuleId) -> bool {
        self.applies.get(usize::from(rule)).is_none_or(|applies| *applies)
    }

    /// Where the texts of a part begin that were read as JSON.
    #[must_use]
    pub const fn opened(&self, part: Part) -> &HashSet<usize> {
        &self.opened[part as usize]
    }
}

/// Notes where the values, or the members' names, stand that a path names, and leaves them as they are.
#[derive(Default)]
struct Finder {
    at: usize,
    found: HashSet<usize>,
    texts: Texts,
}

impl Finder {
    /// The path that is looked for is rule 0; the others only lead into texts.
    fn find(&mut self, rule: RuleId, start: usize) {
        if rule == 0 {
            self.found.insert(self.texts.place(start));
        }
    }
}

impl Editor for Finder {
    fn at(&mut self, start: usize) {
        self.at = start;
    }

    fn opened(&mut self, rule: RuleId, start: usize) {
        self.find(rule, start);
    }

    fn no_json(&mut self, rule: RuleId, _: &mut Out<'_>) -> Result<Edit, Reason> {
        self.find(rule, self.at);
        Ok(Edit::Keep)
    }

    fn enter_text(&mut self, start: usize, spelled: &str) {
        self.texts.enter(start, spelled);
    }

    fn leave_text(&mut self) {
        self.texts.leave();
    }

    fn always(&self, _: RuleId) -> Option<Edit> {
        Some(Edit::Keep)
    }

    fn did(&mut self, rule: RuleId, _: Edit) {
        self.find(rule, self.at);
    }

    fn scalar(&mut self, _: RuleId, _: Scalar<'_>, _: &mut Out<'_>) -> Result<Edit, Reason> {
        Ok(Edit::Keep)
    }

    fn container(&mut self, _: RuleId, _: Container, _: &mut Out<'_>) -> Result<Edit, Reason> {
        Ok(Edit::Keep)
    }

    fn name(
        &mut self,
        rule: RuleId,
        start: usize,
        _: &str,
        _: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        self.find(rule, start);
        Ok(Edit::Keep)
    }
}

/// Where the values begin that a path names; the walk is the kernel's own.
fn found(json: &[u8], paths: &Paths, limits: Limits) -> HashSet<usize> {
    let mut finder = Finder::default();
    match Scratch::default().read(json, paths, limits.depth, &mut finder) {
        Ok(()) => finder.found,
        Err(_) => HashSet::new(),
    }
}

/// Where an event stops being JSON, in a second reader's opinion and without a word of it.
fn flaw(json: &[u8]) -> Option<String> {
    match serde_json::from_slice::<serde_json::Value>(json) {
        Ok(value) if value.is_object() || value.is_array() => None,
        Ok(_) => Some("its root is neither an object nor a list of objects".into()),
        Err(error) if error.is_eof() => Some("it ends too soon".into()),
        Err(error) => {
            Some(format!("it is no JSON at line {}, column {}", error.line(), error.column()))
        }
    }
}

/// One record being explained.
struct Asked<'a> {
    explainer: &'a Explainer,
    record: &'a Record<'a>,
    /// Its value, and its key if that is JSON.
    texts: Vec<Document<'a>>,
    trace: Trace,
    /// Paths that name nothing.
    idle: Vec<usize>,
}

/// A part of the record that is JSON.
struct Document<'a> {
    part: Part,
    json: &'a [u8],
    nodes: Vec<Node>,
    /// By path of the policy: where the values begin that it names.
    found: Vec<HashSet<usize>>,
    /// Of idle paths: where the values begin that something like it names, and what that is.
    near: Vec<(usize, HashSet<usize>, String)>,
}

impl<'a> Document<'a> {
    /// The part, if the record has it and it is JSON to the policy.
    fn read(
        explainer: &Explainer,
        part: Part,
        record: &Record<'a>,
        opened: &HashSet<usize>,
    ) -> Option<Self> {
        let json = match part {
            Part::Value => record.value,
            Part::Key => record.key.filter(|_| explainer.reads_key()),
        };
        let json = json.map(Raw::expose)?;
        let nodes = event::read_inside(json, opened)?;
        let found = explainer.paths.iter().map(|path| path.found(part, json, explainer.limits));
        Some(Self { part, json, nodes, found: found.collect(), near: Vec::new() })
    }

    fn near_paths(
        &self,
        explainer: &Explainer,
        idle: &[usize],
    ) -> Vec<(usize, HashSet<usize>, String)> {
        let names: BTreeSet<&str> = near::names(&self.nodes);
        let mut near = Vec::new();
        for &path in idle {
            let LonePath { place, written, .. } = &explainer.paths[path];
            let Some(segments) = place.steps_in(self.part) else { continue };
            for meant in near::alternatives(segments, &names) {
                let meant = Place::In(self.part, meant);
                let paths = alone(&meant, written.decides, &explainer.inside);
                let found = paths.map(|paths| found(self.json, &paths, explainer.limits));
                if let Some(found) = found.filter(|found| !found.is_empty()) {
                    near.push((path, found, meant.to_string()));
                    break;
                }
            }
        }
        near
    }
}

impl<'a> Asked<'a> {
    fn new(
        explainer: &'a Explainer,
        record: &'a Record<'a>,
        outcome: &Tried,
        trace: Trace,
    ) -> Self {
        // Of what is no JSON, or too deep, nothing can be told value by value.
        let readable = !matches!(outcome, Tried::Withheld(Reason::Malformed | Reason::Limits));
        let read = |part| Document::read(explainer, part, record, trace.opened(part));
        let texts = Part::ALL.into_iter().filter(|_| readable).filter_map(read).collect();
        let mut asked = Self { explainer, record, texts, trace, idle: Vec::new() };
        if readable {
            asked.idle = asked.idle_paths();
            for document in &mut asked.texts {
                document.near = document.near_paths(explainer, &asked.idle);
            }
        }
        asked
    }

    fn idle_paths(&self) -> Vec<usize> {
        let named = |path: usize| {
            let lone = &self.explainer.paths[path];
            let part = |at| lone.names_part(at, self.record);
            self.texts.iter().any(|document| !document.found[path].is_empty())
                || self.parts().any(|(at, ..)| part(at))
        };
        (0..self.explainer.paths.len()).filter(|&path| !named(path)).collect()
    }

    /// Key and headers that the record has: place, name, bytes.
    fn parts(&self) -> impl Iterator<Item = (At, String, Vec<u8>)> {
        // A key that is JSON is told value by value.
        let key = self.record.key.filter(|_| !self.explainer.reads_key());
        let key = key.map(|key| (At::Key, "$key".to_owned(), key.expose().to_vec()));
        let header = |index| {
            let (name, value) = self.record.headers.get(index)?;
            let name = crate::policy::shown_name(&String::from_utf8_lossy(name));
            let value = value.map_or(&b""[..], Raw::expose).to_vec();
            Some((At::Header(index), format!("$header.{name}"), value))
        };
        key.into_iter().chain((0..self.record.headers.count()).filter_map(header))
    }

    fn key_and_headers(&self) -> Vec<Value> {
        let parts: Vec<_> = self.parts().collect();
        let value = |(at, path, before)| {
            let names = |lone: &LonePath| lone.names_part(at, self.record);
            self.value(path, before, self.trace.decision(at), &|path| {
                names(&self.explainer.paths[path])
            })
        };
        parts.into_iter().map(value).collect()
    }

    /// The values of the event and of its key.
    fn values(&self) -> Vec<Value> {
        self.texts.iter().rev().flat_map(|document| self.values_in(document)).collect()
    }

    /// What is in a container that a rule took whole is passed over.
    fn values_in(&self, document: &Document<'_>) -> Vec<Value> {
        let mut values = Vec::new();
        let (mut number, mut above) = (0, Vec::new());
        while let Some(node) = document.nodes.get(number) {
            above.retain(|&at: &usize| document.nodes[at].next > number);
            above.push(number);
            let decision = self.trace.decision(At::Value(document.part, node.span.start));
            let single = node.next == number + 1;
            values.extend(self.name_at(document, node, decision));
            // The root is the record: no rule decides it, and it is shown by its values.
            if number > 0 && (single || decision.is_some()) {
                values.push(self.value_at(document, node, decision, &above));
                number = node.next;
            } else {
                number += 1;
            }
        }
        values
    }

    /// The name of a member that stays, if a rule decides it.
    fn name_at(
        &self,
        document: &Document<'_>,
        node: &Node,
        of_value: Option<&Decision>,
    ) -> Option<Value> {
        let name = node.name.clone()?;
        let decision = self.trace.decision(At::Name(document.part, name.start))?;
        if of_value.is_some_and(|decision| decision.fate == Fate::Dropped) {
            return None;
        }
        let names = |path: usize| document.found[path].contains(&name.start);
        let before = node.name_spelled(document.json).to_vec();
        let value = self.value(node.path.within(document.part), before, Some(decision), &names);
        Some(Value { name: true, ..value })
    }

    /// `above`: the node and those that it is in.
    fn value_at(
        &self,
        document: &Document<'_>,
        node: &Node,
        decision: Option<&Decision>,
        above: &[usize],
    ) -> Value {
        let holds = |found: &HashSet<usize>| {
            above.iter().any(|&number| found.contains(&document.nodes[number].span.start))
        };
        let before = node.spelled(document.json).to_vec();
        let names = |path: usize| holds(&document.found[path]);
        let mut value = self.value(node.path.within(document.part), before, decision, &names);
        if decision.is_none() {
            let paths = &self.explainer.paths;
            let applies = |path: usize| self.trace.may_apply(paths[path].written.rule);
            let near = document.near.iter();
            let near = near.filter(|(path, found, _)| holds(found) && applies(*path));
            value.near =
                near.map(|(path, _, meant)| (self.explainer.named(*path), meant.clone())).collect();
        }
        value
    }

    fn value(
        &self,
        path: String,
        before: Vec<u8>,
        decision: Option<&Decision>,
        names: &dyn Fn(usize) -> bool,
    ) -> Value {
        let paths = &self.explainer.paths;
        let naming = || (0..paths.len()).filter(|&path| names(path));
        let written = self.explainer.plan().rules_written();
        let rule = decision.map(|decision| decision.rule);
        let rule = rule.filter(|&rule| usize::from(rule) < written);
        let by = rule.map(|rule| {
            let of_rule = |path: &usize| paths[*path].written.rule == rule;
            let path = naming().find(of_rule);
            path.map_or_else(|| self.rule_alone(rule), |path| self.explainer.named(path))
        });
        // What a rule says of a text is beside what becomes of the value.
        let beside = |path: &usize| paths[*path].written.decides == Decides::Inside;
        let others = |wanted: &dyn Fn(RuleId) -> bool| {
            let others = naming().filter(|path| !beside(path));
            let others = others.filter(|&path| wanted(paths[path].written.rule));
            others.map(|path| self.explainer.named(path)).collect()
        };
        let too_late = |other| rule.is_some_and(|rule| rule < other);
        let late = others(&|other| too_late(other) && self.trace.may_apply(other));
        let passed_by = others(&|other| rule.is_none_or(|rule| other < rule));
        Value {
            path,
            name: false,
            before,
            fate: decision.map_or(Fate::Kept, |decision| decision.fate.clone()),
            by,
            mismatch: decision.is_some_and(|decision| decision.mismatch),
            of_somebody: decision.is_some_and(|decision| {
                self.explainer.plan().rules[usize::from(decision.rule)].transform.asks_for_subject()
            }),
            late,
            passed_by,
            near: Vec::new(),
        }
    }

    fn rule_alone(&self, rule: RuleId) -> Named {
        let rule = &self.explainer.plan().rules[usize::from(rule)];
        Named { rule: rule.label.clone(), path: String::new(), line: 0, file: None }
    }
}
