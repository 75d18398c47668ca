//! The kernel's naive twin: the contract once more, in the plainest way that can be checked by
//! reading, as slow as it likes. Property tests (`oracle`) and the fuzz targets hold the two
//! together, byte for byte.
//!
//! It shares no code with the kernel: a parser of its own, paths matched by recursion instead of
//! an automaton, transforms on std's parsers. What it takes from limpid are words ([`Segment`],
//! [`OnMismatch`]) and, in [`bridge`], the way into the engine.
//!
//! A [`Flaw`] makes the twin wrong on purpose, so that the tests can prove that they would notice.

pub mod bridge;
pub mod conditions;
pub mod forms;
pub mod json;
pub mod made;
pub mod paths;
pub mod slips;
pub mod subjects;
pub mod target;
pub mod transforms;

use forms::Form;
use json::{Kind, Node, Unread};
use limpid::error::Reason;
use limpid::format::paths::Segment;
use limpid::policy::{Decides, OnMismatch, Unlisted};
use paths::Step;
use std::cmp::Ordering;
use std::fmt;
use transforms::{Done, Keys, Scalar};

/// What a redacted value becomes.
pub const REDACTED: &str = "[redacted]";

/// A policy, as the twin understands it.
#[derive(Debug, Clone)]
pub struct Policy {
    pub rules: Vec<Rule>,
    /// How many of the rules, the first ones, are the base's: the others may only tighten them.
    pub base: usize,
    pub unlisted: Unlisted,
    /// The rule for the record's key.
    pub key_rule: Option<usize>,
    /// Or, if the key is JSON, what is done in it: as in a value, by rules of its own.
    pub in_key: Option<Box<Self>>,
    /// Rules for headers: of this name, or of any.
    pub header_rules: Vec<(Option<String>, usize)>,
}

impl Policy {
    /// A policy for values alone.
    pub const fn new(rules: Vec<Rule>, unlisted: Unlisted) -> Self {
        Self { rules, base: 0, unlisted, key_rule: None, in_key: None, header_rules: Vec::new() }
    }

    /// Lists of rules, each of which decides for itself; of what they say the strictest is done.
    pub fn lists(&self) -> Vec<Vec<Rule>> {
        let (base, own) = self.rules.split_at(self.base);
        let lists = [base, own].into_iter().filter(|list| !list.is_empty());
        lists.map(<[Rule]>::to_vec).collect()
    }

    /// What is done with what no rule names.
    pub const fn unlisted_action(&self) -> Option<Action> {
        match self.unlisted {
            Unlisted::Keep => None,
            Unlisted::Drop => Some(Action::Drop),
            Unlisted::Redact => Some(Action::Redact),
        }
    }
}

/// One rule a line: its paths, what it does.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "unlisted: {:?}, {} rules are the base's", self.unlisted, self.base)?;
        for rule in &self.rules {
            let paths: Vec<String> = rule.paths.iter().map(|path| written(path)).collect();
            let paths = paths.join(" | ");
            let Rule { decides, action, mismatch, .. } = rule;
            writeln!(f, "  {paths}: {decides:?} {action:?}, mismatch {mismatch:?}")?;
        }
        if self.key_rule.is_some() || !self.header_rules.is_empty() {
            writeln!(f, "  $key: {:?}, $header: {:?}", self.key_rule, self.header_rules)?;
        }
        if let Some(in_key) = &self.in_key {
            write!(f, "in $key: {in_key}")?;
        }
        Ok(())
    }
}

fn written(path: &[Segment]) -> String {
    let segments = path.iter().map(|segment| match segment {
        Segment::Name(name) => format!("{name:?}"),
        Segment::AnyName => "*".to_owned(),
        Segment::AnyElement => "[*]".to_owned(),
        Segment::Element(number) => format!("[{number}]"),
        Segment::AnyDepth => "**".to_owned(),
    });
    segments.collect::<Vec<_>>().join(".")
}

/// A rule: where, what, and what about values of another kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub paths: Vec<Vec<Segment>>,
    /// The value that a path leads to, the name of that member, or the names of the members in it?
    pub decides: Decides,
    pub action: Action,
    pub mismatch: OnMismatch,
    /// All of these must hold.
    pub when: Vec<conditions::Term>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Keep,
    Drop,
    Redact,
    Mask { first: usize, last: usize },
    TruncateIp { v4: u8, v6: u8 },
    Pseudonymize { prefix: String },
    StripQuery { keep: Vec<String> },
    Round { digits: usize },
    Rename { to: String },
    Form(Form),
}

impl Action {
    /// Does it take arrays and objects whole, and leave nothing of them?
    pub const fn takes(&self) -> bool {
        matches!(self, Self::Drop | Self::Redact | Self::Form(Form::RedactAs { .. } | Form::Set(_)))
    }

    /// What it makes of an array or object that it takes whole, or of a key or header that is no
    /// text; `None` if it takes none.
    fn on_anything(&self, other: forms::Other) -> Option<Done> {
        match self {
            Self::Keep => Some(Done::Unchanged),
            Self::Drop => Some(Done::Dropped),
            Self::Redact => Some(Done::Text(REDACTED.to_owned())),
            Self::Form(form) => form.on_anything(other),
            _ => None,
        }
    }
}

impl Rule {
    /// How strict it is: a higher number shows less.
    pub fn strictness(&self) -> u8 {
        match (&self.action, self.mismatch) {
            (_, OnMismatch::Redact | OnMismatch::Quarantine) if self.decides == Decides::Inside => {
                5
            }
            (Action::Keep, _) => 0,
            (Action::Drop, _) => 6,
            (Action::Rename { .. }, _) => 5,
            (action, _) if action.takes() => 5,
            (_, OnMismatch::Keep) => 1,
            (Action::Pseudonymize { .. } | Action::Form(Form::PseudonymOf { .. }), _) => 4,
            _ => 2,
        }
    }
}

impl Rule {
    /// Do both do the same, and this one keeps less in some respect and more in none?
    fn keeps_less_than(&self, other: &Self) -> bool {
        use forms::Form::{Date, MaskBetween};
        let units = ["year", "month", "day", "hour", "minute", "second"];
        let unit = |to: &str| units.iter().position(|unit| *unit == to).expect("a unit");
        let pairs: Vec<(usize, usize)> = match (&self.action, &other.action) {
            (Action::TruncateIp { v4, v6 }, Action::TruncateIp { v4: w4, v6: w6 }) => {
                vec![((*v4).into(), (*w4).into()), ((*v6).into(), (*w6).into())]
            }
            (Action::Round { digits }, Action::Round { digits: others }) => {
                vec![(*digits, *others)]
            }
            (
                Action::Form(Date { to, epoch, shift_days, shift_by }),
                Action::Form(Date {
                    to: unto,
                    epoch: other_epoch,
                    shift_days: other_days,
                    shift_by: by_other,
                }),
            ) if (epoch, shift_days, shift_by) == (other_epoch, other_days, by_other) => {
                vec![(unit(to), unit(unto))]
            }
            (one, other) => {
                let masked = |action: &Action| match action {
                    Action::Mask { first, last } => Some([*first, *last, 0]),
                    Action::Form(MaskBetween { first, last }) => Some([*first, *last, 1]),
                    _ => None,
                };
                let (Some(one), Some(other)) = (masked(one), masked(other)) else { return false };
                one.into_iter().zip(other).collect()
            }
        };
        pairs.iter().all(|(one, other)| one <= other)
            && pairs.iter().any(|(one, other)| one < other)
    }
}

/// Bounds on a record.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub depth: usize,
    pub value_bytes: usize,
    pub clean_bytes: usize,
}

/// What the twin expects of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Clean(Vec<u8>),
    /// Withheld, for one of these reasons: where more than one holds, which is told first is
    /// nobody's contract.
    Withheld(Vec<Reason>),
}

/// A way in which the twin can be wrong. Each must be noticed by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Only the first of several members of one key is treated.
    FirstDuplicateOnly,
    /// Keys are compared as they are spelled.
    KeySpelling,
    /// The last rule that names a value decides.
    LastRuleDecides,
    /// Names do not reach through arrays.
    OpaqueArrays,
    /// A container is taken whole even where an earlier rule leaves something inside.
    WholeRegardless,
    /// A container that a rule takes stays, emptied, where an earlier rule might have left something.
    OpensForNothing,
    /// Where the base and a tenant's rule differ, the tenant's counts.
    BaseIsAdvice,
    /// Where the base and a tenant's rule do the same, it does not matter how much they keep.
    AnyAmount,
    /// What a rule takes beside something that an earlier rule leaves keeps its name.
    NamesBesideStay,
    /// What no rule names stays in spite of `unlisted: drop`.
    KeepsUnlisted,
    /// A dropped element leaves the space before its comma.
    LeavesSpace,
    /// `null` is treated like a string.
    TreatsNull,
    /// Deeper nesting than allowed is accepted by one level.
    DepthOffByOne,
    /// A root that is a scalar, or an array with scalars, is accepted.
    AnyRoot,
    /// A value of another kind stays.
    PassesMismatch,
    /// No member is renamed.
    NamesStay,
    /// A rule for names is one for those of all that is below, too.
    NamesBelow,
    /// Members of different names may come to have the same.
    NamesCollide,
    /// A text that is JSON is a text like any other.
    TextsUnread,
    /// A text that should be JSON stays, if it is none.
    TextsAnyhow,
    /// What is in a text is not part of how deep a record is.
    TextsShallow,
    /// What is in a key stays as it is.
    KeyStays,
    /// A key that should be JSON stays, if it is none.
    KeyAnyhow,
    /// Of several whose times a record's may be, the first is taken.
    AnySubject,
    /// Quotes and control characters in a replacement are not escaped.
    EscapesNothing,
    MaskCountsBytes,
    MappedAsV6,
    NumberSpelling,
    KeepsFragment,
    KeepsUserInfo,
    HalfDown,
    /// A form is taken for another.
    Slip(slips::Slip),
}

impl Flaw {
    /// Those that a record's key shows.
    pub const OF_KEYS: [Self; 2] = [Self::KeyStays, Self::KeyAnyhow];

    /// All others, without [`Flaw::None`].
    pub const ALL: [Self; 29] = [
        Self::FirstDuplicateOnly,
        Self::KeySpelling,
        Self::LastRuleDecides,
        Self::OpaqueArrays,
        Self::WholeRegardless,
        Self::OpensForNothing,
        Self::NamesBesideStay,
        Self::BaseIsAdvice,
        Self::AnyAmount,
        Self::KeepsUnlisted,
        Self::LeavesSpace,
        Self::TreatsNull,
        Self::DepthOffByOne,
        Self::AnyRoot,
        Self::PassesMismatch,
        Self::NamesStay,
        Self::NamesBelow,
        Self::NamesCollide,
        Self::TextsUnread,
        Self::TextsAnyhow,
        Self::TextsShallow,
        Self::AnySubject,
        Self::EscapesNothing,
        Self::MaskCountsBytes,
        Self::MappedAsV6,
        Self::NumberSpelling,
        Self::KeepsFragment,
        Self::KeepsUserInfo,
        Self::HalfDown,
    ];
}

/// A record's parts beside its value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    pub key: Option<&'a [u8]>,
    pub headers: &'a [(Vec<u8>, Option<Vec<u8>>)],
}

/// What the kernel should make of `bytes`, a record's value with nothing beside it.
pub fn clean(policy: &Policy, bytes: &[u8], keys: &Keys, bounds: Bounds, flaw: Flaw) -> Expected {
    clean_value(policy, bytes, Beside::default(), keys, bounds, flaw)
}

/// What the kernel should make of a record's value.
pub fn clean_value(
    policy: &Policy,
    bytes: &[u8],
    beside: Beside<'_>,
    keys: &Keys,
    bounds: Bounds,
    flaw: Flaw,
) -> Expected {
    let root = json::parse(bytes).map(|parsed| parsed.root);
    keys.subjects.replace(subjects::said(root.as_ref().ok(), beside, flaw));
    clean_json(policy, bytes, beside, keys, bounds, flaw)
}

/// What the kernel should make of a part of a record that is JSON.
fn clean_json(
    policy: &Policy,
    bytes: &[u8],
    beside: Beside<'_>,
    keys: &Keys,
    bounds: Bounds,
    flaw: Flaw,
) -> Expected {
    if bytes.len() > bounds.value_bytes {
        return Expected::Withheld(vec![Reason::Limits]);
    }
    let parsed = match json::parse(bytes) {
        Ok(parsed) => parsed,
        Err(unread) => return Expected::Withheld(unread_reasons(policy, bytes, bounds, &unread)),
    };
    let mut reasons = Vec::new();
    if parsed.depth > bounds.depth + usize::from(flaw == Flaw::DepthOffByOne) {
        reasons.push(Reason::Limits);
    }
    if !is_record(&parsed.root) && flaw != Flaw::AnyRoot {
        reasons.push(Reason::Malformed);
    }
    if !reasons.is_empty() {
        reasons.extend(mismatch(policy));
        return Expected::Withheld(reasons);
    }
    let lists = match policy.unlisted_action() {
        Some(action) if flaw != Flaw::KeepsUnlisted => {
            // What no rule names is as if the last rule of the policy's own named it.
            let rest = vec![vec![Segment::AnyName]];
            let rest = Rule {
                paths: rest,
                decides: Decides::Value,
                action,
                mismatch: OnMismatch::Redact,
                when: vec![],
            };
            let mut all = policy.clone();
            all.rules.push(rest);
            all.lists()
        }
        _ => policy.lists(),
    };
    let lists: Vec<Vec<Rule>> =
        lists.iter().flat_map(|list| conditions::readings(list, &parsed.root, beside)).collect();
    let none = vec![false; lists.len()];
    let (steps, splices, withheld) = (vec![], vec![], false);
    let around = usize::from(matches!(parsed.root.kind, Kind::Array(_)));
    let depth_left = bounds.depth.saturating_sub(around);
    let mut walk = Walk { policy, lists, keys, flaw, steps, splices, withheld, depth_left };
    // There is nothing to take a record out of: it is never taken whole. The elements of a root
    // array are records of their own: rules begin anew in each.
    match &parsed.root.kind {
        Kind::Array(records) => records.iter().for_each(|record| walk.inside(record, &none)),
        _ => walk.inside(&parsed.root, &none),
    }
    let out = spliced(bytes, &walk.splices);
    if walk.withheld {
        reasons.push(Reason::Mismatch);
    }
    if out.len() > bounds.clean_bytes {
        reasons.push(Reason::Limits);
    }
    if reasons.is_empty() { Expected::Clean(out) } else { Expected::Withheld(reasons) }
}

/// A record's parts; what a plan leaves of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What the engine should make of a whole record: its clean parts, or the possible reasons.
pub fn clean_parts(
    policy: &Policy,
    parts: &Parts,
    keys: &Keys,
    bounds: Bounds,
    flaw: Flaw,
) -> Result<Parts, Vec<Reason>> {
    let mut reasons = Vec::new();
    let beside = Beside { key: parts.key.as_deref(), headers: &parts.headers };
    keys.subjects.replace(subjects::said(None, beside, flaw));
    let value = parts.value.as_ref();
    let value = value.map(|value| clean_value(policy, value, beside, keys, bounds, flaw));
    let value = match value {
        None => None,
        Some(Expected::Clean(value)) => Some(value),
        Some(Expected::Withheld(found)) => {
            reasons = found;
            None
        }
    };
    let in_key = policy.in_key.as_deref().filter(|_| flaw != Flaw::KeyStays);
    let cleaned_key = in_key.zip(parts.key.as_deref()).map(|(in_key, key)| {
        // How long a clean key may be, the topic says.
        let bounds = Bounds { clean_bytes: usize::MAX, ..bounds };
        match clean_json(in_key, key, beside, keys, bounds, flaw) {
            Expected::Clean(clean) => clean,
            Expected::Withheld(found) => {
                if flaw != Flaw::KeyAnyhow {
                    reasons.extend(found);
                }
                key.to_vec()
            }
        }
    });
    let mut bare = |rule: Option<usize>, value: Option<&[u8]>| match (rule, value) {
        (None, value) => match (policy.unlisted, value) {
            (Unlisted::Drop, _) => None,
            (Unlisted::Redact, Some(_)) => Some(Some(REDACTED.into())),
            (_, value) => Some(value.map(<[u8]>::to_vec)),
        },
        (Some(rule), None) => match &policy.rules[rule].action {
            Action::Drop => None,
            Action::Form(Form::Set(constant)) => Some(Some(forms::bare(constant))),
            _ => Some(None),
        },
        (Some(rule), Some(bytes)) => match bare_bytes(&policy.rules[rule], bytes, keys, flaw) {
            Ok(value) => value.map(Some),
            Err(reason) => {
                reasons.push(reason);
                None
            }
        },
    };
    let clean_key = match (cleaned_key, parts.key.as_deref()) {
        (Some(clean), _) => Some(clean),
        (None, Some(key)) if policy.in_key.is_some() => Some(key.to_vec()),
        (None, key) => key.and_then(|key| bare(policy.key_rule, Some(key)).flatten()),
    };
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        let fits = |wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == name)
        };
        let rule = policy.header_rules.iter().find(|(wanted, _)| fits(wanted));
        Some((name.clone(), bare(rule.map(|(_, rule)| *rule), value.as_deref())?))
    });
    let clean = Parts { value, key: clean_key, headers: headers.collect() };
    if reasons.is_empty() { Ok(clean) } else { Err(reasons) }
}

/// A key or a header's value under a rule: text, or a value of another kind.
fn bare_bytes(
    rule: &Rule,
    bytes: &[u8],
    keys: &Keys,
    flaw: Flaw,
) -> Result<Option<Vec<u8>>, Reason> {
    let done = match std::str::from_utf8(bytes) {
        Ok(text) => transforms::apply(&rule.action, &Scalar::Text(text), keys, flaw),
        Err(_) => rule.action.on_anything(forms::Other::Bytes).unwrap_or(Done::Mismatch),
    };
    match (done, rule.mismatch) {
        (Done::Unchanged, _) | (Done::Mismatch, OnMismatch::Keep) => Ok(Some(bytes.to_vec())),
        (Done::Text(text) | Done::Number(text), _) => Ok(Some(text.into_bytes())),
        (Done::Dropped, _) => Ok(None),
        (Done::Mismatch, OnMismatch::Redact) => Ok(Some(REDACTED.into())),
        (Done::Mismatch, OnMismatch::Quarantine) => Err(Reason::Mismatch),
    }
}

/// What cannot be read is malformed. A reader that goes from left to right may meet too deep a
/// nesting before the fault, or a value of another kind; whether it does is left open.
fn unread_reasons(policy: &Policy, bytes: &[u8], bounds: Bounds, unread: &Unread) -> Vec<Reason> {
    let mut reasons = vec![Reason::Malformed];
    let opened = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if opened > bounds.depth || *unread == Unread::TooDeep {
        reasons.push(Reason::Limits);
    }
    reasons.extend(mismatch(policy));
    reasons
}

/// The reason that a rule of the policy may have to withhold a record.
fn mismatch(policy: &Policy) -> Option<Reason> {
    let quarantines =
        |rule: &Rule| rule.mismatch == OnMismatch::Quarantine || rule.decides != Decides::Value;
    policy.rules.iter().any(quarantines).then_some(Reason::Mismatch)
}

/// An object, or an array of objects.
fn is_record(root: &Node) -> bool {
    match &root.kind {
        Kind::Object(_) => true,
        Kind::Array(elements) => {
            elements.iter().all(|element| matches!(element.kind, Kind::Object(_)))
        }
        _ => false,
    }
}

/// A stretch of the input and what stands there instead.
struct Splice {
    start: usize,
    end: usize,
    text: String,
}

fn spliced(bytes: &[u8], splices: &[Splice]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for splice in splices {
        out.extend_from_slice(&bytes[at..splice.start]);
        out.extend_from_slice(splice.text.as_bytes());
        at = splice.end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// What becomes of one value.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    Becomes(String),
    /// An array or object that stays, and whose content is decided one by one. By list of rules:
    /// does one of them take it? Then only what earlier rules of the list leave stays.
    Inside(Vec<bool>),
}

struct Walk<'a> {
    policy: &'a Policy,
    lists: Vec<Vec<Rule>>,
    keys: &'a Keys,
    flaw: Flaw,
    /// Where the walk stands.
    steps: Vec<Step>,
    /// In the order of the input, not overlapping.
    splices: Vec<Splice>,
    /// A rule wants the record withheld.
    withheld: bool,
    /// How deep what is in a record may be.
    depth_left: usize,
}

/// A child of a container: its own bytes, and the step to it.
struct Child<'a> {
    start: usize,
    value: &'a Node,
    step: Step,
    /// Of a member, its name.
    name: Option<&'a json::Member>,
    /// The flawed twin does not look at it.
    overlooked: bool,
}

impl Walk<'_> {
    /// What becomes of a value. `taken`, by list: a rule takes the container that it is in.
    fn fate(&mut self, node: &Node, taken: &[bool]) -> Fate {
        let is_array = matches!(node.kind, Kind::Array(_));
        let rules: Vec<Option<Rule>> =
            self.lists.iter().map(|list| self.decider(list, is_array)).collect();
        let gone = rules
            .iter()
            .zip(taken)
            .any(|(rule, &taken)| taken && rule.as_ref().is_some_and(|rule| rule.action.takes()));
        if let (Kind::Text(text), Some(opener)) = (&node.kind, self.opener()) {
            let strictest = self.strictest(rules.iter().flatten()).cloned();
            let taker = strictest.filter(|rule| rule.action.takes());
            match (self.read(text), taker) {
                (Some(root), _) => return self.inside_text(&root, text, taken),
                (None, _) if gone => return Fate::Goes,
                (None, Some(taker)) => return self.transformed(&taker, &Scalar::Text(text)),
                (None, None) => match opener.mismatch {
                    _ if self.flaw == Flaw::TextsAnyhow => return Fate::Stays,
                    OnMismatch::Redact => return Fate::Becomes(self.quoted(REDACTED)),
                    OnMismatch::Quarantine => {
                        self.withheld = true;
                        return Fate::Stays;
                    }
                    OnMismatch::Keep => {}
                },
            }
        }
        let takers = || rules.iter().flatten().filter(|rule| rule.action.takes());
        let scalar = match &node.kind {
            Kind::Array(_) | Kind::Object(_) if takers().count() == 0 => {
                return Fate::Inside(vec![false; rules.len()]);
            }
            Kind::Array(_) | Kind::Object(_) => {
                let strictest = self.strictest(takers()).cloned();
                return self.container(node, &rules, strictest.as_ref().filter(|_| !gone));
            }
            _ if gone => return Fate::Goes,
            Kind::Null => Scalar::Text("null"),
            Kind::Bool => Scalar::Bool,
            Kind::Number(text) => Scalar::Number(text),
            Kind::Text(text) => Scalar::Text(text),
        };
        let Some(rule) = self.strictest(rules.iter().flatten()) else { return Fate::Stays };
        if matches!(node.kind, Kind::Null) && self.flaw != Flaw::TreatsNull {
            return match &rule.action {
                Action::Drop => Fate::Goes,
                Action::Form(Form::Set(constant)) => Fate::Becomes(constant.clone()),
                _ => Fate::Stays,
            };
        }
        self.transformed(rule, &scalar)
    }

    /// The strictest of some rules; of equals, the first of the policy.
    fn strictest<'r>(&self, rules: impl Iterator<Item = &'r Rule>) -> Option<&'r Rule> {
        let mut found: Option<&Rule> = None;
        for rule in rules {
            let place = |rule: &Rule| {
                let place = self.policy.rules.iter().position(|known| known == rule);
                place.unwrap_or(usize::MAX)
            };
            let less = |one: &Rule, other: &Rule| {
                self.flaw != Flaw::AnyAmount && one.keeps_less_than(other)
            };
            let stricter = |found: &Rule| match rule.strictness().cmp(&found.strictness()) {
                Ordering::Less => false,
                Ordering::Greater => true,
                Ordering::Equal => {
                    less(rule, found) || !less(found, rule) && place(rule) < place(found)
                }
            };
            if found.is_none_or(stricter) || self.flaw == Flaw::BaseIsAdvice {
                found = Some(rule);
            }
        }
        found
    }

    /// The first rule of a list that names the value where the walk stands.
    fn decider(&self, list: &[Rule], is_array: bool) -> Option<Rule> {
        let opaque = self.flaw == Flaw::OpaqueArrays;
        let names = |rule: &&Rule| {
            rule.decides == Decides::Value
                && rule.paths.iter().any(|path| paths::names(path, &self.steps, is_array, opaque))
        };
        match self.flaw {
            Flaw::LastRuleDecides => list.iter().rfind(names).cloned(),
            _ => list.iter().find(names).cloned(),
        }
    }

    /// The rule that has a text where the walk stands read as JSON.
    fn opener(&self) -> Option<Rule> {
        let opens = |rule: &&Rule| {
            rule.decides == Decides::Inside
                && rule.paths.iter().any(|path| paths::leads_to_text(path, &self.steps))
        };
        let first = |list: &Vec<Rule>| list.iter().find(opens).cloned();
        let rules: Vec<Rule> = self.lists.iter().filter_map(first).collect();
        self.strictest(rules.iter()).filter(|_| self.flaw != Flaw::TextsUnread).cloned()
    }

    /// The object or list that a text spells, if it is not too deep.
    fn read(&self, text: &str) -> Option<Node> {
        let parsed = json::parse(text.as_bytes()).ok()?;
        let around = if self.flaw == Flaw::TextsShallow { 0 } else { self.steps.len() };
        let fits = parsed.depth + around <= self.depth_left;
        let container = matches!(parsed.root.kind, Kind::Array(_) | Kind::Object(_));
        (fits && container).then_some(parsed.root)
    }

    /// What becomes of a text that is JSON: what becomes of what it spells.
    fn inside_text(&mut self, root: &Node, text: &str, taken: &[bool]) -> Fate {
        let fate = self.fate(root, taken);
        let Fate::Inside(taken) = fate else { return fate };
        let around = std::mem::take(&mut self.splices);
        self.inside(root, &taken);
        let inside = std::mem::replace(&mut self.splices, around);
        let new = String::from_utf8(spliced(text.as_bytes(), &inside)).expect("UTF-8");
        if new == text { Fate::Stays } else { Fate::Becomes(self.quoted(&new)) }
    }

    /// What the member where the walk stands is called from now on; `None`: as before.
    fn renamed(&mut self, name: &str) -> Option<String> {
        let leads = |rule: &Rule, path: &Vec<Segment>| {
            let path = match rule.decides {
                Decides::Value | Decides::Inside => return false,
                Decides::Name => path.clone(),
                Decides::Names => [path.as_slice(), &[Segment::AnyName]].concat(),
            };
            match self.flaw {
                Flaw::NamesBelow => paths::names(&path, &self.steps, false, false),
                flaw => paths::leads(&path, &self.steps, flaw == Flaw::OpaqueArrays),
            }
        };
        let first = |list: &Vec<Rule>| {
            let mut names =
                list.iter().filter(|rule| rule.paths.iter().any(|path| leads(rule, path)));
            if self.flaw == Flaw::LastRuleDecides { names.next_back() } else { names.next() }
                .cloned()
        };
        let rules: Vec<Rule> = self.lists.iter().filter_map(first).collect();
        let rule = self.strictest(rules.iter()).filter(|_| self.flaw != Flaw::NamesStay)?;
        match transforms::apply(&rule.action, &Scalar::Text(name), self.keys, self.flaw) {
            Done::Text(text) => Some(text),
            Done::Mismatch if self.flaw == Flaw::PassesMismatch => None,
            Done::Mismatch => match rule.mismatch {
                OnMismatch::Redact => Some(REDACTED.to_owned()),
                OnMismatch::Keep => None,
                OnMismatch::Quarantine => {
                    self.withheld = true;
                    None
                }
            },
            Done::Unchanged => None,
            Done::Number(_) | Done::Dropped => panic!("no name"),
        }
    }

    /// An array or object that a rule takes: it stays only for what is left in it. Else `taker`
    /// has it, or it goes if there is none.
    fn container(&mut self, node: &Node, rules: &[Option<Rule>], taker: Option<&Rule>) -> Fate {
        let taken = |rule: &Option<Rule>| rule.as_ref().is_some_and(|rule| rule.action.takes());
        let taken: Vec<bool> = rules.iter().map(taken).collect();
        let left = match self.flaw {
            Flaw::WholeRegardless => false,
            Flaw::OpensForNothing => self.lists.iter().flatten().any(|rule| !rule.action.takes()),
            _ => self.anything_stays(node, &taken),
        };
        match taker {
            _ if left && self.flaw == Flaw::NamesBesideStay => {
                Fate::Inside(vec![false; taken.len()])
            }
            _ if left => Fate::Inside(taken),
            None => Fate::Goes,
            Some(rule) if rule.action == Action::Drop => Fate::Goes,
            Some(rule) => {
                let array = matches!(node.kind, Kind::Array(_));
                let other = if array { forms::Other::Array } else { forms::Other::Object };
                match rule.action.on_anything(other) {
                    Some(Done::Number(spelling)) => Fate::Becomes(spelling),
                    Some(Done::Text(text)) => Fate::Becomes(self.quoted(&text)),
                    _ => Fate::Becomes(self.quoted(REDACTED)),
                }
            }
        }
    }

    /// Does anything in this container, which a rule takes, stay?
    fn anything_stays(&mut self, container: &Node, taken: &[bool]) -> bool {
        let (mut stays, drawn) = (false, self.keys.drawn.get());
        for child in self.children(container) {
            self.steps.push(child.step.clone());
            stays |= self.fate(child.value, taken) != Fate::Goes;
            self.steps.pop();
        }
        // This was only a look.
        self.keys.drawn.set(drawn);
        stays
    }

    fn transformed(&mut self, rule: &Rule, scalar: &Scalar<'_>) -> Fate {
        match transforms::apply(&rule.action, scalar, self.keys, self.flaw) {
            Done::Unchanged => Fate::Stays,
            Done::Text(text) => Fate::Becomes(self.quoted(&text)),
            Done::Number(text) => Fate::Becomes(text),
            Done::Dropped => Fate::Goes,
            Done::Mismatch if self.flaw == Flaw::PassesMismatch => Fate::Stays,
            Done::Mismatch => match rule.mismatch {
                OnMismatch::Redact => Fate::Becomes(self.quoted(REDACTED)),
                OnMismatch::Keep => Fate::Stays,
                OnMismatch::Quarantine => {
                    self.withheld = true;
                    Fate::Stays
                }
            },
        }
    }

    fn quoted(&self, text: &str) -> String {
        if self.flaw == Flaw::EscapesNothing { format!("\"{text}\"") } else { quoted(text) }
    }

    fn inside(&mut self, container: &Node, taken: &[bool]) {
        let children = self.children(container);
        let mut retained_before = false;
        // What the members that stay are called, and were.
        let mut called: Vec<(String, String)> = Vec::new();
        for (index, child) in children.iter().enumerate() {
            self.steps.push(child.step.clone());
            let fate = if child.overlooked { Fate::Stays } else { self.fate(child.value, taken) };
            if let (Some(name), true) = (&child.name, fate != Fate::Goes) {
                let new = if child.overlooked { None } else { self.renamed(&name.key) };
                if let Some(new) = &new {
                    let (start, end) = (child.start, child.start + name.spelling.len() + 2);
                    let text = self.quoted(new);
                    self.splices.push(Splice { start, end, text });
                }
                called.push((new.unwrap_or_else(|| name.key.clone()), name.key.clone()));
            }
            match fate {
                Fate::Stays => retained_before = true,
                Fate::Inside(taken) => {
                    retained_before = true;
                    self.inside(child.value, &taken);
                }
                Fate::Becomes(text) => {
                    retained_before = true;
                    let Node { start, end, .. } = *child.value;
                    self.splices.push(Splice { start, end, text });
                }
                Fate::Goes => {
                    let (start, end) = if retained_before {
                        (children[index - 1].value.end, child.value.end)
                    } else {
                        let next = children.get(index + 1);
                        (child.start, next.map_or(child.value.end, |next| next.start))
                    };
                    let text = match self.flaw {
                        Flaw::LeavesSpace if end - start > child.value.end - child.start + 1 => " ",
                        _ => "",
                    };
                    self.splices.push(Splice { start, end, text: text.to_owned() });
                }
            }
            self.steps.pop();
        }
        let collide = |(index, (now, before)): (usize, &(String, String))| {
            called[..index].iter().any(|other| other.0 == *now && other.1 != *before)
        };
        if self.flaw != Flaw::NamesCollide && called.iter().enumerate().any(collide) {
            self.withheld = true;
        }
    }

    fn children<'n>(&self, container: &'n Node) -> Vec<Child<'n>> {
        match &container.kind {
            Kind::Array(elements) => elements
                .iter()
                .enumerate()
                .map(|(number, value)| Child {
                    start: value.start,
                    value,
                    step: Step::Element(number),
                    name: None,
                    overlooked: false,
                })
                .collect(),
            Kind::Object(members) => members
                .iter()
                .enumerate()
                .map(|(index, member)| {
                    let name =
                        if self.flaw == Flaw::KeySpelling { &member.spelling } else { &member.key };
                    let repeated = members[..index].iter().any(|other| other.key == member.key);
                    Child {
                        start: member.start,
                        value: &member.value,
                        step: Step::Name(name.clone()),
                        name: Some(member),
                        overlooked: repeated && self.flaw == Flaw::FirstDuplicateOnly,
                    }
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A string as the kernel writes it: short escapes where JSON has the usual ones, `\u00xx` for
/// the other control characters, everything else as it is.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..'\u{20}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
