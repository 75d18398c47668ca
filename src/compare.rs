//! Two policies over the same records: what becomes more exposed, and what less.
//!
//! The problem: a policy is reviewed as text, and a moved line or a wider number looks harmless in
//! text. So both policies clean the same records, each looked on as in [`crate::explain`], and every
//! value's two fates are compared. The rejected alternative, comparing the rules themselves, would
//! have to know which values there are.
//!
//! **The order.** [`Exposure`] is what a fate still tells, from nothing (the record is withheld) to all
//! (the value is kept). Within one step of it, say a coarser and a finer prefix of addresses, the data
//! decide: over all values of a path, does the new output tell values apart that the old one did not?
//! Then it shows more. Does it only merge? Then it shows less. If the data show neither, nothing is
//! claimed: [`Verdict::Unclear`] counts as loosened, because a pass that should not have been given is
//! a leak, and a second look costs little.
//!
//! What it prints are paths, with the names of members that look like names. Values are kept only as
//! keyed hashes, and as examples if those are asked for.

use crate::engine::At;
use crate::error::Reason;
use crate::explain::event::{self, Node, Step};
use crate::explain::{Decision, Explainer, Fate, Trace};
use crate::keys::Epoch;
use crate::policy::trial::{Bench, Tried};
use crate::policy::{Unlisted, shown_name};
use crate::record::{Part, Raw, Record};
use crate::transform::{self, Shows, Transform};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

/// What a value's fate still tells of it, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// The whole record is withheld.
    Withheld,
    /// The value goes.
    Dropped,
    /// Something else stands there, which tells this much.
    Replaced(Shows),
    /// It stays.
    Kept,
}

impl Exposure {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Dropped => "dropped",
            Self::Replaced(Shows::Nothing) => "redacted",
            Self::Replaced(Shows::Sameness) => "pseudonym",
            Self::Replaced(Shows::AllWithKey) => "encrypted",
            Self::Replaced(Shows::Part) => "a part",
            Self::Replaced(Shows::All) | Self::Kept => "kept",
        }
    }
}

/// What the new policy does to a path, compared with the old one; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The same.
    Same,
    /// Something else that tells as much: another prefix, another key.
    Changed,
    /// It shows less.
    Tightened,
    /// Something else, and the data do not tell whether it shows more. Counts as loosened.
    Unclear,
    /// It shows more of at least one value.
    Loosened,
}

impl Verdict {
    /// Every verdict, the worst first.
    pub const ALL: [Self; 5] =
        [Self::Loosened, Self::Unclear, Self::Tightened, Self::Changed, Self::Same];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Tightened => "tightened",
            Self::Unclear => "unclear",
            Self::Loosened => "loosened",
        }
    }

    /// Does it need somebody's consent?
    #[must_use]
    pub fn loosens(self) -> bool {
        self >= Self::Unclear
    }
}

/// Most distinct values of a path that are told apart; further ones still count.
const DISTINCT_MAX: usize = 1 << 16;

/// Most names of members of one object; further ones are shown as `*`.
const NAMES_MAX: usize = 100;

/// Two policies and what they have made of the records so far.
pub struct Comparison<'a> {
    sides: [Side<'a>; 2],
    /// Are pseudonyms made with real keys, so that they can be compared?
    keyed: bool,
    /// Are examples kept?
    examples: bool,
    hasher: RandomState,
    names: HashMap<String, HashSet<String>>,
    /// Records compared.
    pub records: u64,
    /// By path, as a policy would spell it.
    pub paths: BTreeMap<String, PathTally>,
}

/// One policy at work.
struct Side<'a> {
    explainer: &'a Explainer,
    bench: Bench<'a>,
    withheld: [u64; Reason::ALL.len()],
}

/// What became of the values of one path.
#[derive(Debug, Default)]
pub struct PathTally {
    /// How many there were.
    pub values: u64,
    /// How many moved from which exposure to which; or stayed.
    pub moves: BTreeMap<(Exposure, Exposure), u64>,
    /// Values of the same exposure with another outcome.
    pub differ: u64,
    outputs: Outputs,
    /// The first value whose outcome differs, if examples are kept.
    pub example: Option<Example>,
}

/// A value, and what either policy makes of it; `None`: it goes.
#[derive(Debug)]
pub struct Example {
    /// As it came.
    pub before: String,
    /// By the old policy and by the new one.
    pub after: [Option<String>; 2],
}

/// Which outputs of the old policy go with which of the new one.
#[derive(Debug, Default)]
struct Outputs {
    /// By the hash of the old output: that of the new one; `None` if there are several.
    new_of_old: HashMap<u64, Option<u64>>,
    old_of_new: HashMap<u64, Option<u64>>,
}

impl<'a> Side<'a> {
    fn new(explainer: &'a Explainer) -> Self {
        Self { explainer, bench: explainer.bench(), withheld: [0; Reason::ALL.len()] }
    }

    /// Cleans a record; gives what was decided, or that it is withheld.
    fn clean(&mut self, record: &Record<'_>) -> Option<Trace> {
        let mut trace = Trace::default();
        match self.bench.watched(record, &mut trace) {
            Tried::Clean { .. } => Some(trace),
            Tried::Withheld(reason) => {
                self.withheld[reason as usize] += 1;
                None
            }
        }
    }

    /// That a transform leaves a value as it is (it truncates what is truncated) is chance: its
    /// other values count.
    fn exposure(&self, decision: Option<&Decision>) -> Exposure {
        let Some(decision) = decision else { return Exposure::Kept };
        match (&decision.fate, decision.mismatch) {
            (Fate::Dropped, _) => Exposure::Dropped,
            (Fate::Withheld, _) => Exposure::Withheld,
            (Fate::Kept, true) => Exposure::Kept,
            (Fate::Replaced(_), true) => Exposure::Replaced(Shows::Nothing),
            (Fate::Kept | Fate::Replaced(_), false) => match self.shows(decision) {
                Shows::All => Exposure::Kept,
                shows => Exposure::Replaced(shows),
            },
        }
    }

    /// What the deciding rule's transform tells, by the name that ends the rule's label.
    fn shows(&self, decision: &Decision) -> Shows {
        let rule = &self.explainer.plan().rules[usize::from(decision.rule)];
        let name = rule.label.rsplit(' ').next().unwrap_or_default();
        transform::named(name).map_or(Shows::All, |spec| spec.shows)
    }
}

/// What becomes of a value under one policy.
struct Seen<'t> {
    exposure: Exposure,
    after: Option<&'t [u8]>,
    /// The transform that decided.
    transform: Option<&'t Transform>,
}

impl<'a> Comparison<'a> {
    /// Compares `new` with `old`. Without real keys (`keyed`), other pseudonyms are no difference.
    #[must_use]
    pub fn new(old: &'a Explainer, new: &'a Explainer, keyed: bool, examples: bool) -> Self {
        Self {
            sides: [Side::new(old), Side::new(new)],
            keyed,
            examples,
            hasher: RandomState::new(),
            names: HashMap::new(),
            records: 0,
            paths: BTreeMap::new(),
        }
    }

    /// Records that the old and the new policy withheld, by `Reason as usize`.
    #[must_use]
    pub fn withheld(&self) -> [[u64; Reason::ALL.len()]; 2] {
        [self.sides[0].withheld, self.sides[1].withheld]
    }

    /// Compares what becomes of one record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.records += 1;
        let [old, new] = &mut self.sides;
        let traces = [old.clean(record), new.clean(record)];
        if traces.iter().all(Option::is_none) {
            return;
        }
        if let Some(key) = record.key.map(Raw::expose) {
            self.key(key, &traces);
        }
        for index in 0..record.headers.count() {
            let Some((name, value)) = record.headers.get(index) else { break };
            let name = format!("$header.{}", shown_name(&String::from_utf8_lossy(name)));
            let at = [At::Header(index); 2];
            self.value(&name, at, value.map_or(&b""[..], Raw::expose), &traces);
        }
        let json = record.value.map_or(&b""[..], Raw::expose);
        self.values(
            Part::Value,
            json,
            &read(Part::Value, json, &traces),
            Taken::default(),
            &traces,
        );
    }

    /// A key that either policy takes for JSON is compared value by value; to the other it may be one.
    fn key(&mut self, key: &[u8], traces: &[Option<Trace>; 2]) {
        let reads_key = self.sides.each_ref().map(|side| side.explainer.reads_key());
        let json = reads_key.contains(&true);
        let nodes = if json { read(Part::Key, key, traces) } else { Vec::new() };
        if nodes.is_empty() {
            return self.value("$key", [At::Key; 2], key, traces);
        }
        let whole = reads_key.map(|reads| (!reads).then_some((At::Key, nodes.len())));
        self.values(Part::Key, key, &nodes, Taken(whole), traces);
    }

    /// The values in a part of the record; `taken`: what has taken all of it.
    fn values(
        &mut self,
        part: Part,
        json: &[u8],
        nodes: &[Node],
        mut taken: Taken,
        traces: &[Option<Trace>; 2],
    ) {
        // The containers around: where each ends, and how its path is shown.
        let path = if part == Part::Key { "$key" } else { "" }.to_owned();
        let mut around: Vec<Around> = vec![Around { end: nodes.len(), steps: 0, path }];
        for (number, node) in nodes.iter().enumerate().skip(1) {
            let here = At::Value(part, node.span.start);
            around.retain(|around| number < around.end);
            let parent = around.last().cloned().unwrap_or_default();
            let decided = |at| traces.iter().flatten().any(|trace| trace.decision(at).is_some());
            let name = node.name.clone().filter(|name| decided(At::Name(part, name.start)));
            let path = self.path(&parent, node, name.is_some());
            taken.leave(number);
            if let Some(name) = name {
                let at = taken.or(At::Name(part, name.start), here, traces);
                self.value(&format!("{path} (name)"), at, node.name_spelled(json), traces);
            }
            taken.enter(here, node.next, traces);
            if node.next == number + 1 {
                self.value(&path, taken.at(here), node.spelled(json), traces);
            }
            around.push(Around { end: node.next, steps: node.path.0.len(), path });
        }
    }

    /// One value, decided about by either policy there: itself, or a container that it is in.
    fn value(&mut self, path: &str, at: [At; 2], before: &[u8], traces: &[Option<Trace>; 2]) {
        let [old, new] = [0, 1].map(|index: usize| {
            let at = at[index];
            let Some(trace) = &traces[index] else {
                return Seen { exposure: Exposure::Withheld, after: None, transform: None };
            };
            let decision = trace.decision(at);
            let rules = &self.sides[index].explainer.plan().rules;
            let transform = decision.map(|decision| &rules[usize::from(decision.rule)].transform);
            let after = match decision.map(|decision| &decision.fate) {
                Some(Fate::Replaced(after)) => Some(after.as_slice()),
                Some(Fate::Dropped | Fate::Withheld) => None,
                Some(Fate::Kept) | None => Some(before),
            };
            Seen { exposure: self.sides[index].exposure(decision), after, transform }
        });
        let tally = self.paths.entry(path.to_owned()).or_default();
        tally.add(&old, &new, self.keyed, &self.hasher);
        if self.examples && tally.example.is_none() && old.after != new.after {
            tally.example = Some(Example::new(before, [old.after, new.after]));
        }
    }

    /// The path of a value in a container: elements as `[*]`, and as `*` what is hardly a name, or what
    /// a policy renames: the names of members can be somebody's too.
    fn path(&mut self, parent: &Around, node: &Node, renamed: bool) -> String {
        let Around { path: parent, steps, .. } = parent;
        match node.path.0.last() {
            // What a text is read as has no step of its own.
            _ if node.path.0.len() == *steps => parent.clone(),
            // The records of a list are records of their own.
            Some(Step::Element(_)) if node.path.0.len() == 1 => parent.clone(),
            Some(Step::Element(_)) => format!("{parent}[*]"),
            Some(Step::Name(name)) => {
                let name = if renamed { "*".into() } else { self.name(parent, name) };
                if parent.is_empty() { name } else { format!("{parent}.{name}") }
            }
            None => parent.clone(),
        }
    }

    fn name(&mut self, parent: &str, name: &str) -> String {
        let names = self.names.entry(parent.to_owned()).or_default();
        let known = names.contains(name);
        if !known && (names.len() >= NAMES_MAX || !is_name(name)) {
            return "*".into();
        }
        if !known {
            names.insert(name.to_owned());
        }
        shown_name(name)
    }

    /// Settings of the whole policy that differ: which, what they were and are, the verdict.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String, String, Verdict)> {
        let [old, new] = self.sides.each_ref().map(|side| side.explainer.plan());
        let moved = |looser| if looser { Verdict::Loosened } else { Verdict::Tightened };
        let mut all = Vec::new();
        if old.tenant != new.tenant {
            all.push(("tenant", old.tenant.to_string(), new.tenant.to_string(), Verdict::Changed));
        }
        let [left_old, left_new] = [old, new].map(|plan| unlisted(plan.unlisted));
        if left_old != left_new {
            let verdict = moved(left_new.0 > left_old.0);
            all.push(("unlisted", left_old.1.into(), left_new.1.into(), verdict));
        }
        let [epoch_old, epoch_new] =
            [old, new].map(|plan| plan.keys.as_ref().map(|p| epoch_ms(p.epoch())));
        if let (Some(old), Some(new)) = (epoch_old, epoch_new)
            && old != new
        {
            // A longer epoch links more records to one another.
            all.push(("epoch", epoch_text(old), epoch_text(new), moved(new > old)));
        }
        all
    }

    /// The worst verdict of all.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        let settings = self.settings().into_iter().map(|(.., verdict)| verdict);
        self.paths.values().map(PathTally::verdict).chain(settings).max().unwrap_or(Verdict::Same)
    }
}

/// The values of a part of a record, with those in texts that either policy reads as JSON.
fn read(part: Part, json: &[u8], traces: &[Option<Trace>; 2]) -> Vec<Node> {
    let opened = traces.iter().flatten().flat_map(|trace| trace.opened(part)).copied().collect();
    event::read_inside(json, &opened).unwrap_or_default()
}

/// A container, or a text that is read as one.
#[derive(Clone, Default)]
struct Around {
    /// The node behind it.
    end: usize,
    steps: usize,
    path: String,
}

/// For either policy, the container above that it has taken whole, and the node behind it.
#[derive(Default)]
struct Taken([Option<(At, usize)>; 2]);

impl Taken {
    fn leave(&mut self, number: usize) {
        self.0 = self.0.map(|taken| taken.filter(|(_, end)| number < *end));
    }

    fn enter(&mut self, here: At, end: usize, traces: &[Option<Trace>; 2]) {
        for (taken, trace) in self.0.iter_mut().zip(traces) {
            if taken.is_none() && trace.as_ref().is_some_and(|t| t.decision(here).is_some()) {
                *taken = Some((here, end));
            }
        }
    }

    /// Where either policy decides about the value here.
    fn at(&self, here: At) -> [At; 2] {
        self.0.map(|taken| taken.map_or(here, |(at, _)| at))
    }

    /// Where either policy decides about the name of the value here: a member that goes takes it along.
    fn or(&self, name: At, here: At, traces: &[Option<Trace>; 2]) -> [At; 2] {
        let drops = |trace: &Trace| {
            trace.decision(here).is_some_and(|decision| decision.fate == Fate::Dropped)
        };
        [0, 1].map(|side: usize| match (self.0[side], &traces[side]) {
            (Some((at, _)), _) => at,
            (None, Some(trace)) if drops(trace) => here,
            _ => name,
        })
    }
}

/// What it leaves, in order, and its word.
const fn unlisted(unlisted: Unlisted) -> (u8, &'static str) {
    match unlisted {
        Unlisted::Drop => (0, "drop"),
        Unlisted::Redact => (1, "redact"),
        Unlisted::Keep => (2, "keep"),
    }
}

const fn epoch_ms(epoch: Epoch) -> u64 {
    match epoch {
        Epoch::Never => u64::MAX,
        Epoch::Every(length) => length.get(),
    }
}

fn epoch_text(ms: u64) -> String {
    match ms {
        u64::MAX => "never".into(),
        ms if ms.is_multiple_of(86_400_000) => format!("{}d", ms / 86_400_000),
        ms if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms => format!("{ms}ms"),
    }
}

/// Does it look like a name that a programmer gave, and not like somebody's number or address?
fn is_name(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:$ ".contains(&byte));
    plain && (1..=64).contains(&name.len()) && digits * 3 <= name.len()
}

impl Example {
    fn new(before: &[u8], after: [Option<&[u8]>; 2]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { before: text(before), after: after.map(|after| after.map(text)) }
    }
}

impl PathTally {
    fn add(&mut self, old: &Seen<'_>, new: &Seen<'_>, keyed: bool, hasher: &RandomState) {
        self.values += 1;
        let same = old.after.is_some() && old.after == new.after;
        let before = if same { new.exposure } else { old.exposure };
        *self.moves.entry((before, new.exposure)).or_default() += 1;
        let (Exposure::Replaced(shows), true) = (old.exposure, old.exposure == new.exposure) else {
            return;
        };
        // Encryption may give one value many outputs: its outputs tell nothing about one another.
        self.differ += u64::from(match shows {
            Shows::AllWithKey => old.transform != new.transform,
            Shows::Sameness => keyed && old.after != new.after,
            Shows::Nothing | Shows::Part | Shows::All => old.after != new.after,
        });
        if matches!(shows, Shows::Sameness | Shows::Part) {
            self.outputs.add(hasher.hash_one(old.after), hasher.hash_one(new.after));
        }
    }

    /// What the new policy does to the path, compared with the old one.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let moved = self.moves.keys().map(|(old, new)| match new.cmp(old) {
            std::cmp::Ordering::Greater => Verdict::Loosened,
            std::cmp::Ordering::Less => Verdict::Tightened,
            std::cmp::Ordering::Equal => Verdict::Same,
        });
        let moved = moved.max().unwrap_or(Verdict::Same);
        let within = match self.outputs.refined() {
            Refined::Finer => Verdict::Loosened,
            Refined::Coarser => Verdict::Tightened,
            Refined::Neither => Verdict::Unclear,
            Refined::Renamed if self.differ == 0 => Verdict::Same,
            Refined::Renamed if self.has(Shows::Part) || self.has(Shows::AllWithKey) => {
                Verdict::Unclear
            }
            Refined::Renamed => Verdict::Changed,
        };
        moved.max(within)
    }

    /// Were there values that both policies replaced by what shows this much?
    fn has(&self, shows: Shows) -> bool {
        let replaced = Exposure::Replaced(shows);
        self.moves.contains_key(&(replaced, replaced))
    }
}

/// How the new outputs tell values apart, compared with the old ones.
enum Refined {
    /// They are told apart alike.
    Renamed,
    /// The new outputs tell apart what the old ones did not; if they also merge some, there are
    /// more of them.
    Finer,
    /// The new outputs merge what the old ones told apart.
    Coarser,
    /// Both, and there are no more of them than before.
    Neither,
}

impl Outputs {
    fn add(&mut self, old: u64, new: u64) {
        note(&mut self.new_of_old, old, new);
        note(&mut self.old_of_new, new, old);
    }

    fn refined(&self) -> Refined {
        let splits = self.new_of_old.values().any(Option::is_none);
        let merges = self.old_of_new.values().any(Option::is_none);
        let more = self.old_of_new.len() > self.new_of_old.len();
        match (splits, merges) {
            (false, false) => Refined::Renamed,
            (true, true) if !more => Refined::Neither,
            (true, _) => Refined::Finer,
            (false, true) => Refined::Coarser,
        }
    }
}

fn note(map: &mut HashMap<u64, Option<u64>>, from: u64, to: u64) {
    let full = map.len() >= DISTINCT_MAX;
    match map.entry(from) {
        Entry::Occupied(mut known) if *known.get() != Some(to) => drop(known.insert(None)),
        Entry::Occupied(_) => {}
        Entry::Vacant(free) if !full => drop(free.insert(Some(to))),
        Entry::Vacant(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Faults, Source};
    use crate::engine::Limits;
    use crate::policy::rehearse;
    use crate::record::NO_HEADERS;

    fn explainer(rules: &str) -> Explainer {
        let text = format!("tenant: a\nversion: 1\nkey: a\n{rules}\n");
        let mut faults = Faults::default();
        let policy = rehearse(&Source::new("a.yaml", text), &mut faults);
        Explainer::new(policy.unwrap_or_else(|| panic!("{faults}")), Limits::default())
    }

    /// The verdicts on every path, `PATH VERDICT`.
    fn verdicts(old: &str, new: &str, events: &[&str]) -> Vec<String> {
        let (old, new) = (explainer(old), explainer(new));
        let mut comparison = Comparison::new(&old, &new, false, true);
        for event in events {
            comparison.add(&Record {
                topic: "",
                partition: 0,
                offset: 0,
                timestamp_ms: Some(0),
                key: None,
                value: Some(Raw::new(event.as_bytes())),
                headers: NO_HEADERS,
            });
        }
        let paths = comparison.paths.iter();
        paths.map(|(path, tally)| format!("{path} {}", tally.verdict().name())).collect()
    }

    fn on_x(old: &str, new: &str, values: &[&str]) -> String {
        let rule = |what: &str| format!("rules: [{{fields: x, {what}}}]");
        let events: Vec<String> = values.iter().map(|value| format!("{{\"x\":{value}}}")).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        verdicts(&rule(old), &rule(new), &events).concat()
    }

    #[test]
    fn fates_have_an_order() {
        let fates = ["do: drop", "do: redact", "do: pseudonymize", "do: mask", "do: keep"];
        for (low, less) in fates.iter().enumerate() {
            for (high, more) in fates.iter().enumerate().skip(low) {
                let (up, down) = match low == high {
                    true => ("x same", "x same"),
                    false => ("x loosened", "x tightened"),
                };
                assert_eq!(on_x(less, more, &["\"some text\""]), up, "{less} → {more}");
                assert_eq!(on_x(more, less, &["\"some text\""]), down, "{more} → {less}");
            }
        }
        assert_eq!(on_x("do: redact", "do: keep", &["null"]), "x same", "null stays in either");
        let withheld = "do: truncate_ip, mismatch: quarantine";
        assert_eq!(on_x(withheld, "do: redact", &["7"]), "x loosened");
        assert_eq!(on_x("do: drop", withheld, &["7"]), "x tightened");
    }

    #[test]
    fn among_parts_the_data_decide() {
        let prefix = |bits: u8| format!("do: truncate_ip, v4: {bits}");
        let values = ["\"10.1.2.3\"", "\"10.1.3.3\"", "\"10.2.2.0\""];
        assert_eq!(on_x(&prefix(16), &prefix(24), &values), "x loosened");
        assert_eq!(on_x(&prefix(24), &prefix(16), &values), "x tightened");
        assert_eq!(on_x(&prefix(24), &prefix(24), &values), "x same");
        assert_eq!(on_x(&prefix(16), &prefix(24), &values[..1]), "x unclear");
        let (first, last) = ("do: mask, keep_first: 1", "do: mask, keep_last: 1");
        assert_eq!(on_x(first, last, &["\"aax\"", "\"aby\"", "\"bay\""]), "x unclear");
        let digits = |digits: u8| format!("do: round, digits: {digits}");
        let places = ["1.25", "1.249", "1.251", "1.26", "1.34", "1.36"];
        assert_eq!(on_x(&digits(1), &digits(2), &places), "x loosened");
    }

    #[test]
    fn a_container_is_compared_value_by_value() {
        let old = "rules: [{fields: user, do: drop}]";
        let new = "rules: [{fields: user.id, do: keep}, {fields: user.home, do: mask}, \
                   {fields: user, do: drop}]";
        let event = r#"[{"user":{"id":1,"name":"x","home":{"zip":1}},"hits":[{"a":1},{"a":2}]}]"#;
        let wanted =
            ["hits[*].a same", "user.home.zip loosened", "user.id loosened", "user.name same"];
        assert_eq!(verdicts(old, new, &[event]), wanted);
    }

    #[test]
    fn names_that_could_be_somebody_s_are_not_shown() {
        let event = r#"{"by":{"jo@mail.example":1,"49170123":1,"x_1":1}}"#;
        let rules = "rules: []";
        assert_eq!(verdicts(rules, rules, &[event]), ["by.* same", "by.x_1 same"]);
        let members = (0..200u32).map(|n| {
            let letter = |n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap());
            format!("\"n{}{}\":1", letter(n), letter(n / 26))
        });
        let event = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        assert_eq!(verdicts(rules, rules, &[&event]).len(), NAMES_MAX + 1);
    }

    #[test]
    fn names_that_a_policy_edits_are_compared_too() {
        let edits = "rules: [{fields: by, rename_keys: pseudonymize}]";
        let event = r#"{"by":{"jane":{"n":1},"jo":{"n":2}}}"#;
        let wanted = |name: &str| vec![format!("by.* (name) {name}"), "by.*.n same".to_owned()];
        assert_eq!(verdicts(edits, edits, &[event]), wanted("same"));
        assert_eq!(verdicts(edits, "rules: []", &[event]), wanted("loosened"));
        assert_eq!(verdicts("rules: []", edits, &[event]), wanted("tightened"));
        let drops = "rules: [{fields: by, do: drop}]";
        assert_eq!(verdicts(drops, edits, &[event]), ["by.* (name) loosened", "by.*.n loosened"]);
    }

    #[test]
    fn what_is_in_texts_is_compared_too() {
        let inside = |rule: &str| {
            format!("rules: [{{fields: t, inside: json, mismatch: keep}}, {{fields: t.a, {rule}}}]")
        };
        let (drops, masks) = (inside("do: drop"), inside("do: mask"));
        let event = r#"{"t":"{\"a\":\"x\",\"b\":[1]}"}"#;
        let wanted = |name: &str| vec![format!("t.a {name}"), "t.b[*] same".to_owned()];
        assert_eq!(verdicts(&drops, &drops, &[event]), wanted("same"));
        assert_eq!(verdicts(&drops, &masks, &[event]), wanted("loosened"));
        assert_eq!(verdicts(&drops, "rules: []", &[event]), wanted("loosened"));
        let whole = "rules: [{fields: t, do: redact}]";
        assert_eq!(verdicts(&masks, whole, &[event]), ["t.a tightened", "t.b[*] tightened"]);
    }

    #[test]
    fn settings_are_compared_too() {
        let (old, new) = (
            explainer("epoch: 30d\nunlisted: drop\nrules: []"),
            explainer("epoch: never\nunlisted: redact\nrules: []"),
        );
        let settings = |old, new| {
            let comparison = Comparison::new(old, new, false, false);
            let settings = comparison.settings().into_iter();
            settings.map(|(name, _, _, verdict)| (name, verdict)).collect::<Vec<_>>()
        };
        let (looser, tighter) = (Verdict::Loosened, Verdict::Tightened);
        assert_eq!(settings(&old, &new), [("unlisted", looser), ("epoch", looser)]);
        assert_eq!(settings(&new, &old), [("unlisted", tighter), ("epoch", tighter)]);
        assert!(settings(&old, &old).is_empty());
    }
}
