//! Which rule decides what: paths read, compiled, and held against each other.
//!
//! A path that decides nothing is refused, whatever the reason: a reviewer would take it for
//! protection. That needs no reasoning about paths: the automaton says which of them decide
//! anything, and pairs of paths, compiled alone, say which other one is to blame.
//!
//! A rule set that policies include is the exception: where the policy's own rule comes first, it is
//! meant to, for a policy cannot take a path out of a file that others include too.
//!
//! The rules of a base and a policy's own are two lists. Each decides by its own first rule, and of
//! what the two say the stricter is done, so that a policy can tighten its base and not loosen it.

use super::Lists;
use crate::document::{Fault, Reader, Source, Span};
use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment, Strictness};
use crate::limits::PATH_STATES_MAX;
use crate::policy::path::{self, Place};
use crate::policy::syntax::{self, At};
use crate::policy::{HeaderName, OnMismatch, Unlisted};
use crate::transform::Shows;
use std::collections::HashMap;
use std::sync::Arc;

/// Who decides what.
pub(super) struct Decided {
    /// In the value.
    pub(super) paths: Paths,
    /// The record's key.
    pub(super) key_rule: Option<RuleId>,
    /// Headers; the first that fits.
    pub(super) header_rules: Vec<(HeaderName, RuleId)>,
}

/// Finds out who decides what. Faults are added; `None` only if there was one.
pub(super) fn decide(lists: &Lists<'_>, reader: &mut Reader<'_>) -> Option<Decided> {
    let places = places(lists, reader);
    let base = places.partition_point(|named| usize::from(named.rule) < lists.base.len());
    let (base, own) = places.split_at(base);
    for list in [base, own] {
        repeated(list, reader);
        shadowed_headers(list, reader);
    }
    let board = Board { lists, base, own, rest: rest(lists), strictness: strictness(lists) };
    let paths = board.paths(reader);
    let key_rule = board.part(&|place| *place == Place::Key);
    let header_rules = board.headers();
    board.loose_parts(key_rule, &header_rules, reader);
    Some(Decided { paths: paths?, key_rule, header_rules })
}

/// The number of the rule for what is unlisted.
fn rest(lists: &Lists<'_>) -> Option<RuleId> {
    if lists.unlisted == Unlisted::Keep { None } else { RuleId::try_from(lists.len()).ok() }
}

/// By rule: how strict it is.
fn strictness(lists: &Lists<'_>) -> Vec<Strictness> {
    let rest = Strictness {
        on_container: OnContainer::Take,
        rank: if lists.unlisted == Unlisted::Drop { DROP } else { TAKE },
    };
    lists.all().map(of_rule).chain([rest]).collect()
}

const DROP: u8 = 6;
const TAKE: u8 = 5;

/// A higher rank shows less. A value of another kind that a rule keeps is shown whole.
fn of_rule(rule: &syntax::Rule) -> Strictness {
    let Some(At { value: spec, .. }) = &rule.transform else {
        return Strictness { on_container: OnContainer::EachScalar, rank: 0 };
    };
    let on_container = spec.on_container();
    let rank = match (on_container, spec.shows) {
        (OnContainer::Take, _) if spec.name == "drop" => DROP,
        (OnContainer::Take, _) => TAKE,
        (_, Shows::All) => 0,
        _ if rule.mismatch == OnMismatch::Keep => 1,
        (_, Shows::Part) => 2,
        (_, Shows::AllWithKey) => 3,
        (_, Shows::Sameness) => 4,
        (_, Shows::Nothing) => TAKE,
    };
    Strictness { on_container, rank }
}

/// A path, read, with the rule that it belongs to.
struct Named<'a> {
    rule: RuleId,
    place: Place,
    on_container: OnContainer,
    source: &'a Arc<Source>,
    /// That is not the policy's own file, and not the base.
    included: bool,
    written: &'a At<String>,
}

impl Named<'_> {
    fn in_value(&self, rule: RuleId) -> Option<RulePath> {
        let Place::Value(segments) = &self.place else { return None };
        let (on_container, segments) = (self.on_container, segments.clone());
        Some(RulePath { rule, on_container, segments })
    }

    fn fault<'r>(
        &self,
        code: &'static str,
        message: String,
        reader: &'r mut Reader<'_>,
    ) -> &'r mut Fault {
        reader.faults.add(self.source, code, self.written.span, message)
    }

    /// Is it an included path that gives way to a rule of another file?
    fn yields_to(&self, other: &Named<'_>) -> bool {
        self.included && !Arc::ptr_eq(self.source, other.source)
    }

    /// Where it stands, for a message about `other`.
    fn place_for(&self, other: &Named<'_>) -> String {
        let (line, _) = self.source.place(self.written.span.start);
        match Arc::ptr_eq(self.source, other.source) {
            true => format!("line {line}"),
            false => format!("{}, line {line}", self.source.name),
        }
    }
}

fn places<'a>(lists: &Lists<'a>, reader: &mut Reader<'_>) -> Vec<Named<'a>> {
    let mut all = Vec::new();
    for (rule, number) in lists.all().zip(0..=RuleId::MAX) {
        let on_container = of_rule(rule).on_container;
        for field in &rule.fields {
            match path::parse(&field.value) {
                Ok(place) => all.push(Named {
                    rule: number,
                    place,
                    on_container,
                    source: &rule.source,
                    included: usize::from(number) >= lists.base.len()
                        && !Arc::ptr_eq(&rule.source, reader.source),
                    written: field,
                }),
                Err(flaw) => {
                    let span = inside(&rule.source, field, &flaw.at);
                    reader.faults.add(&rule.source, flaw.code, span, flaw.message).hint(flaw.hint);
                }
            }
        }
    }
    all
}

/// Where a part of a path stands in the file: exact if the file spells the path without escapes,
/// else the whole path.
fn inside(source: &Source, field: &At<String>, at: &std::ops::Range<usize>) -> Span {
    let written = source.text.get(field.span.start..field.span.end).unwrap_or_default();
    let quote = usize::from(written.starts_with(['"', '\'']));
    match written.get(quote..).is_some_and(|written| written.starts_with(field.value.as_str())) {
        true => Span::new(field.span.start + quote + at.start, field.span.start + quote + at.end),
        false => field.span,
    }
}

fn repeated(places: &[Named<'_>], reader: &mut Reader<'_>) {
    let mut first: HashMap<&Place, &Named<'_>> = HashMap::new();
    for named in places {
        if let Some(earlier) = first.get(&named.place) {
            if named.yields_to(earlier) {
                continue;
            }
            let at = earlier.place_for(named);
            let message = format!("`{}` is named twice, first in {at}", named.place);
            named
                .fault("P020", message, reader)
                .hint("the first rule that names a value decides: take this path out");
        } else {
            first.insert(&named.place, named);
        }
    }
}

fn shadowed_headers(places: &[Named<'_>], reader: &mut Reader<'_>) {
    let any = |named: &&Named<'_>| named.place == Place::Header(HeaderName::Any);
    let Some(index) = places.iter().position(|named| any(&named)) else { return };
    for named in &places[index + 1..] {
        let name = matches!(&named.place, Place::Header(HeaderName::Named(_)));
        if name && !named.yields_to(&places[index]) {
            shadowed(named, Some(&places[index]), reader);
        }
    }
}

/// The two lists, side by side.
struct Board<'a> {
    lists: &'a Lists<'a>,
    base: &'a [Named<'a>],
    own: &'a [Named<'a>],
    rest: Option<RuleId>,
    strictness: Vec<Strictness>,
}

impl Board<'_> {
    fn paths(&self, reader: &mut Reader<'_>) -> Option<Paths> {
        let own = self.compiled(self.own, self.rest, reader);
        if self.base.is_empty() {
            return own;
        }
        self.compiled(self.base, None, reader)?;
        let lists = [in_value(self.base), with_rest(in_value(self.own), self.rest)];
        let Ok(paths) = Paths::strictest(&[&lists[0], &lists[1]], &self.strictness) else {
            return self.too_many(reader);
        };
        if own.is_some() {
            self.loose_paths(&lists[0], reader);
        }
        Some(paths)
    }

    /// One list alone, each of whose paths must decide something.
    fn compiled(
        &self,
        list: &[Named<'_>],
        rest: Option<RuleId>,
        reader: &mut Reader<'_>,
    ) -> Option<Paths> {
        let values: Vec<&Named<'_>> = values(list).collect();
        let written = in_value(list);
        let compiled = with_rest(written.clone(), rest);
        let Ok(paths) = Paths::compile(&compiled) else { return self.too_many(reader) };
        for (index, named) in values.iter().enumerate() {
            let twin = values[..index].iter().any(|earlier| earlier.place == named.place);
            if !twin && !paths.decides(index) {
                idle(&values, &written, index, reader);
            }
        }
        Some(paths)
    }

    fn too_many(&self, reader: &mut Reader<'_>) -> Option<Paths> {
        let message = format!("the paths multiply to more than {PATH_STATES_MAX} states");
        reader.fault("P009", self.lists.span, message).hint(
            "several `**` in one path, or many paths with `**` beside each other, cost most: \
             name the members that lead to the value",
        );
        None
    }

    /// Refuses paths of the policy that the base leaves nothing to. To tell path from path, each is
    /// a rule of its own here.
    fn loose_paths(&self, base: &[RulePath], reader: &mut Reader<'_>) {
        let first = self.lists.base.len();
        let (mut own, mut strictness) = (Vec::new(), self.strictness[..first].to_vec());
        for named in values(self.own) {
            let Ok(number) = RuleId::try_from(strictness.len()) else { return };
            strictness.push(self.strictness[usize::from(named.rule)]);
            own.extend(named.in_value(number));
        }
        let rest = self.rest.and_then(|_| RuleId::try_from(strictness.len()).ok());
        strictness.extend(self.strictness.last());
        let own = with_rest(own, rest);
        let Ok(paths) = Paths::strictest(&[base, &own], &strictness) else { return };
        for (named, path) in values(self.own).zip(&own) {
            if !named.included && !paths.uses(path.rule) {
                let alone = |base: &&RulePath| {
                    let lists = [std::slice::from_ref(*base), std::slice::from_ref(path)];
                    Paths::strictest(&lists, &strictness).is_ok_and(|paths| !paths.uses(path.rule))
                };
                let by = base.iter().zip(values(self.base)).find(|(base, _)| alone(base));
                loose(named, by.map(|(_, by)| by), reader);
            }
        }
    }

    /// The rule for a part of a record: the stricter of the base's first and the policy's first.
    fn part(&self, fits: &dyn Fn(&Place) -> bool) -> Option<RuleId> {
        let first = |list: &[Named<'_>]| {
            list.iter().find(|named| fits(&named.place)).map(|named| named.rule)
        };
        let base = first(self.base);
        let own = first(self.own).or(self.rest);
        let rank = |rule: RuleId| self.strictness[usize::from(rule)].rank;
        match (base, own) {
            (Some(base), Some(own)) => Some(if rank(own) > rank(base) { own } else { base }),
            (base, own) => base.or(own),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, RuleId)> {
        let mut headers: Vec<(HeaderName, RuleId)> = Vec::new();
        for name in self.base.iter().chain(self.own).filter_map(header) {
            let known = headers.iter().any(|(known, _)| known == name);
            if let (HeaderName::Named(text), false) = (name, known) {
                let fits = |place: &Place| match place {
                    Place::Header(header) => header.fits(text.as_bytes()),
                    _ => false,
                };
                headers.extend(self.part(&fits).map(|rule| (name.clone(), rule)));
            }
        }
        let any = |place: &Place| *place == Place::Header(HeaderName::Any);
        headers.extend(self.part(&any).map(|rule| (HeaderName::Any, rule)));
        headers
    }

    /// Refuses the policy's `$key` and `$header` where the base's decides.
    fn loose_parts(
        &self,
        key: Option<RuleId>,
        headers: &[(HeaderName, RuleId)],
        reader: &mut Reader<'_>,
    ) {
        for named in self.own {
            let decides = match &named.place {
                Place::Value(_) => true,
                Place::Key => key == Some(named.rule),
                Place::Header(_) => headers.iter().any(|(_, rule)| *rule == named.rule),
            };
            let covers = |base: &&Named<'_>| match (&base.place, &named.place) {
                (Place::Header(HeaderName::Any), Place::Header(_)) => true,
                (base, own) => base == own,
            };
            let by = self.base.iter().find(covers);
            if !decides && by.is_some() {
                loose(named, by, reader);
            }
        }
    }
}

fn values<'a, 'n>(list: &'a [Named<'n>]) -> impl Iterator<Item = &'a Named<'n>> {
    list.iter().filter(|named| matches!(named.place, Place::Value(_)))
}

fn in_value(list: &[Named<'_>]) -> Vec<RulePath> {
    list.iter().filter_map(|named| named.in_value(named.rule)).collect()
}

/// And last, the rule for what is unlisted.
fn with_rest(mut paths: Vec<RulePath>, rest: Option<RuleId>) -> Vec<RulePath> {
    let (on_container, segments) = (OnContainer::Take, vec![Segment::AnyName]);
    paths.extend(rest.map(|rule| RulePath { rule, on_container, segments }));
    paths
}

const fn header<'a>(named: &'a Named<'_>) -> Option<&'a HeaderName> {
    match &named.place {
        Place::Header(name) => Some(name),
        _ => None,
    }
}

/// Says why a path decides nothing.
fn idle(values: &[&Named<'_>], paths: &[RulePath], index: usize, reader: &mut Reader<'_>) {
    let (named, path) = (values[index], &paths[index]);
    let (earlier, later) = (&paths[..index], &paths[index + 1..]);
    let by = earlier.iter().position(|earlier| useless([earlier, path], 1));
    let undoes = || later.iter().position(|later| useless([path, later], 0));
    let later = by.is_none().then(undoes).flatten().map(|later| values[index + 1 + later]);
    let by = by.map(|by| values[by]);
    let yields = match (by, later) {
        (Some(other), _) | (None, Some(other)) => named.yields_to(other),
        (None, None) => named.included,
    };
    match later {
        _ if yields => {}
        Some(later) => undone(named, later, reader),
        None => shadowed(named, by, reader),
    }
}

/// Of two paths alone, does the one of that index decide nothing?
fn useless([earlier, later]: [&RulePath; 2], index: usize) -> bool {
    let mut pair = [earlier.clone(), later.clone()];
    pair[0].rule = 0;
    pair[1].rule = 1;
    Paths::compile(&pair).is_ok_and(|paths| !paths.decides(index))
}

fn undone(named: &Named<'_>, by: &Named<'_>, reader: &mut Reader<'_>) {
    let at = by.place_for(named);
    let message =
        format!("`{}` changes nothing: `{}` in {at} takes all of it", named.place, by.place);
    named.fault("P026", message, reader).hint(
        "what a later rule takes whole is gone; take this path out, or `keep` what is to stay",
    );
}

fn shadowed(named: &Named<'_>, by: Option<&Named<'_>>, reader: &mut Reader<'_>) {
    let message = match by {
        None => format!("`{}` can never match: earlier paths name all of it", named.place),
        Some(by) => {
            let at = by.place_for(named);
            format!("`{}` can never match: `{}` in {at} names all of it", named.place, by.place)
        }
    };
    named.fault("P021", message, reader).hint(
        "the first rule that names a value decides: put this rule before that one, or take it out",
    );
}

fn loose(named: &Named<'_>, by: Option<&Named<'_>>, reader: &mut Reader<'_>) {
    let base = match by {
        None => "the base".to_owned(),
        Some(by) => format!("the base (`{}` in {})", by.place, by.place_for(named)),
    };
    let message = format!("`{}` changes nothing: {base} is at least as strict", named.place);
    named.fault("P056", message, reader).hint(
        "a policy can tighten its base and not loosen it: take this path out, or do what shows less",
    );
}
