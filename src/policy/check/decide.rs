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
use super::when::{self, Active};
use crate::document::{Fault, Faults, Reader, Source, Span};
use crate::format::paths::{
    OnContainer, Paths, RuleId, RulePath, Segment, Strictness, TooManyStates, stricter,
};
use crate::limits::PATH_STATES_MAX;
use crate::policy::conditions::{Conditions, View, When};
use crate::policy::path::{self, Flaw, Place};
use crate::policy::syntax::{self, At};
use crate::policy::{Decides, HeaderName, OnKey, OnMismatch, Unlisted};
use crate::record::Part;
use crate::transform::Shows;
use std::collections::HashMap;
use std::sync::Arc;

/// Who decides what.
pub(super) struct Decided {
    /// In a record of which nothing is asked.
    pub(super) view: View,
    /// In the others.
    pub(super) conditions: Option<Conditions>,
}

/// Finds out who decides what. Faults are added; `None` only if there was one.
pub(super) fn decide(lists: &Lists<'_>, reader: &mut Reader<'_>) -> Option<Decided> {
    let places = places(lists, reader);
    let base = places.partition_point(|named| usize::from(named.rule) < lists.base.len());
    whole_and_within(&places, reader);
    let in_key = places.iter().any(|named| matches!(named.place, Place::In(Part::Key, _)));
    let (base, own) = places.split_at(base);
    let (rest, strictness) = (rest(lists), strictness(lists));
    let board = Board { lists, base, own, rest, in_key, strictness };
    let own = board.check(reader);
    let all: Active = board.rules().map(|rule| rule.when.is_none()).collect();
    // Most policies are one list: it is compiled already.
    let one_list = base.is_empty() && all.iter().all(|applies| *applies);
    let view = board.view_of([&all].into_iter(), own.filter(|_| one_list), reader);
    let conditions = when::conditions(&board, reader);
    Some(Decided { view: view?, conditions })
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
        keeps: None,
    };
    lists.all().map(|rule| of_rule(rule, lists.subjects)).chain([rest]).collect()
}

const DROP: u8 = 6;
const TAKE: u8 = 5;

/// A higher rank shows less. A value of another kind that a rule keeps is shown whole.
fn of_rule(rule: &syntax::Rule, subjects: &[Place]) -> Strictness {
    let on_container = rule.on_container();
    let Some(At { value: spec, .. }) = &rule.transform else {
        // What differs between two that read a text as JSON is what they do with one that is none.
        let shows_all = rule.decides == Decides::Value || rule.mismatch == OnMismatch::Keep;
        let rank = if shows_all { 0 } else { TAKE };
        return Strictness { on_container, rank, keeps: None };
    };
    let rank = match (on_container, spec.shows) {
        // The name that comes is not the one that came.
        _ if rule.decides == Decides::Name => TAKE,
        (OnContainer::Take, _) if spec.name == "drop" => DROP,
        (OnContainer::Take, _) => TAKE,
        (_, Shows::All) => 0,
        _ if rule.mismatch == OnMismatch::Keep => 1,
        (_, Shows::Part) => 2,
        (_, Shows::AllWithKey) => 3,
        (_, Shows::Sameness) => 4,
        (_, Shows::Nothing) => TAKE,
    };
    let keeps = rule.build(subjects).and_then(|built| built.ok()?.keeps());
    Strictness { on_container, rank, keeps }
}

/// A path, read, with the rule that it belongs to.
struct Named<'a> {
    rule: RuleId,
    place: Place,
    on_container: OnContainer,
    decides: Decides,
    source: &'a Arc<Source>,
    /// That is not the policy's own file, and not the base.
    included: bool,
    /// The rule's condition.
    when: Option<&'a When>,
    written: &'a At<String>,
}

impl Named<'_> {
    fn within(&self, part: Part, rule: RuleId) -> Option<RulePath> {
        let segments = self.place.steps_in(part)?;
        let (on_container, segments) = (self.on_container, self.decides.steps(segments));
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

    /// What it decides of what.
    fn says(&self) -> (&Place, Decides) {
        (&self.place, self.decides)
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
        let (on_container, decides) = (rule.on_container(), rule.decides);
        for field in &rule.fields {
            let Some(place) = place(rule, field, reader.faults) else { continue };
            all.push(Named {
                rule: number,
                place,
                on_container,
                decides,
                source: &rule.source,
                included: usize::from(number) >= lists.base.len()
                    && !Arc::ptr_eq(&rule.source, reader.source),
                when: rule.when.as_ref().map(|condition| &condition.when),
                written: field,
            });
        }
    }
    all
}

/// What a rule's path names; `None` and a fault if it can be nothing.
fn place(rule: &syntax::Rule, field: &At<String>, faults: &mut Faults) -> Option<Place> {
    let place = path::parse(&field.value).and_then(|place| of_members(place, field, rule.decides));
    let tell = |flaw: Flaw| {
        let span = inside(&rule.source, field, &flaw.at);
        faults.add(&rule.source, flaw.code, span, flaw.message).hint(flaw.hint);
    };
    place.map_err(tell).ok()
}

/// Tells of each path of a rule that can name nothing.
pub fn paths(rule: &syntax::Rule, faults: &mut Faults) {
    for field in &rule.fields {
        place(rule, field, faults);
    }
}

/// The place, if what a rule decides of it is there to be decided: members have names.
fn of_members(place: Place, field: &At<String>, decides: Decides) -> Result<Place, Flaw> {
    let last = match &place {
        Place::In(_, segments) => segments.last(),
        _ => None,
    };
    let message = match (decides, last) {
        (Decides::Value, _) | (Decides::Name, Some(Segment::Name(_))) => return Ok(place),
        (Decides::Names | Decides::Inside, Some(_)) => return Ok(place),
        (Decides::Names, None) => format!("`{place}` is one value and has no members"),
        (Decides::Inside, None) => format!("`{place}` is one value and not read as JSON"),
        (Decides::Name, _) => format!("`{place}` is not the name of one member"),
    };
    let hint = match (decides, &place) {
        (Decides::Names, _) => {
            "name objects in the record's value, or `$key.NAME` in a key that is JSON"
        }
        (Decides::Inside, Place::Key) => {
            "a key that is JSON needs no `inside`: `$key.NAME` names what is in it"
        }
        (Decides::Inside, _) => "name texts in the record's value, or `$key.NAME`",
        _ => "`rename` gives one member another name: end the path with its name",
    };
    Err(Flaw { code: "P029", at: 0..field.value.len(), message, hint })
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

fn repeated(places: &[&Named<'_>], when: Option<&When>, reader: &mut Reader<'_>) {
    let mut first: HashMap<(&Place, Decides), &Named<'_>> = HashMap::new();
    for named in places {
        if let Some(earlier) = first.get(&named.says()) {
            if named.when != when || named.yields_to(earlier) {
                continue;
            }
            let at = earlier.place_for(named);
            let message = format!("`{}` is named twice, first in {at}", named.place);
            named
                .fault("P020", message, reader)
                .hint("the first rule that names a value decides: take this path out");
        } else {
            first.insert(named.says(), named);
        }
    }
}

/// Refuses to take the record's key for one value and for JSON.
fn whole_and_within(places: &[Named<'_>], reader: &mut Reader<'_>) {
    let whole = places.iter().find(|named| named.place == Place::Key);
    let within = places.iter().find(|named| matches!(named.place, Place::In(Part::Key, _)));
    let (Some(whole), Some(within)) = (whole, within) else { return };
    let (first, later) = if whole.rule <= within.rule { (whole, within) } else { (within, whole) };
    let (field, at) = (&within.place, first.place_for(later));
    let message = match first.place {
        Place::Key => format!("`{field}` is a field of the key, and `$key` in {at} all of it"),
        _ => format!("`$key` is all of the key, and `{field}` in {at} a field of it"),
    };
    later
        .fault("P065", message, reader)
        .hint("take the key for one value, or name what is in it: `$key.*` is every field of it");
}

fn shadowed_headers(places: &[&Named<'_>], when: Option<&When>, reader: &mut Reader<'_>) {
    let any = |named: &&Named<'_>| named.place == Place::Header(HeaderName::Any);
    let Some(index) = places.iter().position(any) else { return };
    for named in &places[index + 1..] {
        let name = matches!(&named.place, Place::Header(HeaderName::Named(_)));
        if name && named.when == when && !named.yields_to(places[index]) {
            shadowed(named, Some(places[index]), reader);
        }
    }
}

/// The two lists, side by side.
pub(super) struct Board<'a> {
    lists: &'a Lists<'a>,
    base: &'a [Named<'a>],
    own: &'a [Named<'a>],
    rest: Option<RuleId>,
    /// Does any rule name what is in the key? Then it must be JSON, whatever applies to a record.
    in_key: bool,
    strictness: Vec<Strictness>,
}

/// Rules that decide for themselves: paths in order, and the rule for what is unlisted.
#[derive(PartialEq, Eq)]
struct Column {
    /// In the value and in the key.
    paths: [Vec<RulePath>; 2],
    parts: Vec<(Place, RuleId)>,
    rest: Option<RuleId>,
}

impl Board<'_> {
    /// All rules, by number.
    pub(super) fn rules(&self) -> impl Iterator<Item = &syntax::Rule> {
        self.lists.all()
    }

    /// Refuses paths that decide nothing. Whether a rule that has a condition does is seen beside
    /// the rules that have none, or the same: of others, any may or may not apply.
    ///
    /// Gives the policy's own list, compiled, as far as its rules have no conditions.
    fn check(&self, reader: &mut Reader<'_>) -> Option<Paths> {
        let mut compiled = None;
        let mut whens: Vec<Option<&When>> = vec![None];
        for rule in self.rules() {
            let when = rule.when.as_ref().map(|condition| &condition.when);
            if !whens.contains(&when) {
                whens.push(when);
            }
        }
        for when in whens {
            let beside = |list: &'_ [Named<'_>]| -> Vec<usize> {
                let fits = |named: &Named<'_>| named.when.is_none() || named.when == when;
                (0..list.len()).filter(|&index| fits(&list[index])).collect()
            };
            let of = |indices: Vec<usize>, list| -> Vec<&Named<'_>> {
                let list: &[Named<'_>] = list;
                indices.into_iter().map(|index| &list[index]).collect()
            };
            let (base, own) = (of(beside(self.base), self.base), of(beside(self.own), self.own));
            for list in [&base, &own] {
                repeated(list, when, reader);
                shadowed_headers(list, when, reader);
            }
            let lasting: Vec<&Named<'_>> =
                base.iter().copied().filter(|named| named.when.is_none()).collect();
            for part in self.parts() {
                self.idle_paths(part, &base, None, when, reader);
                let (deciding, paths) = self.idle_paths(part, &own, self.rest, when, reader);
                if part == Part::Value && when.is_none() {
                    compiled = paths;
                }
                if !lasting.is_empty() {
                    self.loose_paths(part, &lasting, &deciding, when, reader);
                }
            }
            self.loose_parts(&lasting, &own, when, reader);
        }
        compiled
    }

    /// The parts of a record that are JSON.
    fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let in_key = self.in_key;
        Part::ALL.into_iter().filter(move |part| *part == Part::Value || in_key)
    }

    /// Refuses paths of one list that decide nothing in it. The others are given back.
    fn idle_paths<'n>(
        &self,
        part: Part,
        list: &[&'n Named<'n>],
        rest: Option<RuleId>,
        when: Option<&When>,
        reader: &mut Reader<'_>,
    ) -> (Vec<&'n Named<'n>>, Option<Paths>) {
        let values: Vec<&Named<'_>> = values(part, list).collect();
        let written = within(part, list);
        let Ok(paths) = Paths::compile(&with_rest(written.clone(), rest)) else {
            self.too_many(reader);
            return (Vec::new(), None);
        };
        let mut deciding = Vec::new();
        for (index, &named) in values.iter().enumerate() {
            let twin = values[..index].iter().any(|earlier| earlier.says() == named.says());
            if paths.decides(index) {
                deciding.push(named);
                if named.decides != Decides::Value && named.when == when {
                    self.fruitless(part, &values, named, rest, reader);
                }
            } else if !twin && named.when == when {
                idle(&values, &written, index, reader);
            }
        }
        (deciding, Some(paths))
    }

    /// Refuses to rename, or to read, what other rules of the list take along with all that it is in.
    fn fruitless(
        &self,
        part: Part,
        list: &[&Named<'_>],
        named: &Named<'_>,
        rest: Option<RuleId>,
        reader: &mut Reader<'_>,
    ) {
        let comes = |others: &[&Named<'_>], rest| {
            let own = named.within(part, named.rule);
            let paths: Vec<RulePath> = within(part, others).into_iter().chain(own).collect();
            let paths = Paths::compile(&with_rest(paths, rest));
            paths.is_err() || paths.is_ok_and(|paths| paths.comes_to(named.rule))
        };
        let others: Vec<&Named<'_>> =
            list.iter().copied().filter(|other| other.decides == Decides::Value).collect();
        if comes(&others, rest) {
            return;
        }
        match others.iter().find(|other| !comes(&[**other], None)) {
            Some(other) if named.yields_to(other) => {}
            Some(other) => undone(named, other, reader),
            None if named.included => {}
            None => {
                let message = format!("`{}` changes nothing: nothing there stays", named.place);
                named
                    .fault("P026", message, reader)
                    .hint("take this path out, or name what is to stay in a rule of its own");
            }
        }
    }

    fn too_many(&self, reader: &mut Reader<'_>) {
        let message = format!("the paths multiply to more than {PATH_STATES_MAX} states");
        reader.fault("P009", self.lists.span, message).hint(
            "several `**` in one path, or many paths with `**` beside each other, cost most: \
             name the members that lead to the value",
        );
    }

    /// Refuses paths of the policy that the base leaves nothing to. To tell path from path, each is
    /// a rule of its own here.
    fn loose_paths(
        &self,
        part: Part,
        base: &[&Named<'_>],
        own: &[&Named<'_>],
        when: Option<&When>,
        reader: &mut Reader<'_>,
    ) {
        let first = self.lists.base.len();
        let (mut paths, mut strictness) = (Vec::new(), self.strictness[..first].to_vec());
        for named in own {
            let Ok(number) = RuleId::try_from(strictness.len()) else { return };
            strictness.push(self.strictness[usize::from(named.rule)]);
            paths.extend(named.within(part, number));
        }
        let rest = self.rest.and_then(|_| RuleId::try_from(strictness.len()).ok());
        strictness.extend(self.strictness.last());
        let (written, paths) = (within(part, base), with_rest(paths, rest));
        let Ok(joined) = Paths::strictest(&[&written, &paths], &strictness) else { return };
        for (named, path) in own.iter().zip(&paths) {
            if named.when == when && !named.included && !joined.uses(path.rule) {
                let alone = |base: &&RulePath| {
                    let lists = [std::slice::from_ref(*base), std::slice::from_ref(path)];
                    Paths::strictest(&lists, &strictness).is_ok_and(|paths| !paths.uses(path.rule))
                };
                let by = written.iter().zip(values(part, base)).find(|(base, _)| alone(base));
                loose(named, by.map(|(_, by)| by), reader);
            }
        }
    }

    /// Refuses the policy's `$key` and `$header` where the base's decides.
    fn loose_parts(
        &self,
        base: &[&Named<'_>],
        own: &[&Named<'_>],
        when: Option<&When>,
        reader: &mut Reader<'_>,
    ) {
        for named in own.iter().filter(|named| named.when == when && !named.included) {
            let covers = |base: &&&Named<'_>| match (&base.place, &named.place) {
                (Place::In(..), _) => false,
                (Place::Header(HeaderName::Any), Place::Header(_)) => true,
                (base, own) => base == own,
            };
            if let Some(by) = base.iter().find(covers)
                && self.stricter(by.rule, named.rule) == by.rule
            {
                loose(named, Some(by), reader);
            }
        }
    }

    fn stricter(&self, first: RuleId, second: RuleId) -> RuleId {
        stricter(&self.strictness, first, second)
    }

    /// Who decides what where the rules that apply are these, or one of these.
    pub(super) fn view<'c>(
        &self,
        cases: impl Iterator<Item = &'c Active>,
        reader: &mut Reader<'_>,
    ) -> Option<View> {
        self.view_of(cases, None, reader)
    }

    /// [`Self::view`], whose paths may be known.
    fn view_of<'c>(
        &self,
        cases: impl Iterator<Item = &'c Active>,
        known: Option<Paths>,
        reader: &mut Reader<'_>,
    ) -> Option<View> {
        let mut columns: Vec<Column> = Vec::new();
        let mut applies: Active = vec![false; self.lists.len()];
        for active in cases {
            applies.iter_mut().zip(active).for_each(|(applies, active)| *applies |= active);
            for (list, rest) in [(self.base, None), (self.own, self.rest)] {
                let column = column(list, rest, active);
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
        }
        let paths = known.map_or_else(|| self.paths(Part::Value, &columns), Ok);
        let (Ok(paths), Ok(key)) = (paths, self.on_key(&columns)) else {
            self.too_many(reader);
            return None;
        };
        let header_rules = self.headers(&columns);
        Some(View { paths: paths.into(), applies, key, header_rules })
    }

    fn on_key(&self, columns: &[Column]) -> Result<OnKey, TooManyStates> {
        if self.in_key {
            return Ok(OnKey::Within(self.paths(Part::Key, columns)?.into()));
        }
        let whole = self.part(columns, |place| *place == Place::Key);
        Ok(whole.map_or(OnKey::Nobody, OnKey::Whole))
    }

    fn paths(&self, part: Part, columns: &[Column]) -> Result<Paths, TooManyStates> {
        let lists = columns.iter().map(|column| &*column.paths[part as usize]);
        let deciding: Vec<&[RulePath]> =
            lists.filter(|paths: &&[RulePath]| !paths.is_empty()).collect();
        match deciding.as_slice() {
            [] => Paths::compile(&[]),
            [alone] => Paths::compile(alone),
            several => Paths::strictest(several, &self.strictness),
        }
    }

    /// The rule for a part of a record: the strictest of each column's first.
    fn part(&self, columns: &[Column], fits: impl Fn(&Place) -> bool) -> Option<RuleId> {
        let first = |column: &Column| {
            let named = column.parts.iter().find(|(place, _)| fits(place));
            named.map(|(_, rule)| *rule).or(column.rest)
        };
        let rules = columns.iter().filter_map(first);
        rules.reduce(|found, rule| self.stricter(found, rule))
    }

    fn headers(&self, columns: &[Column]) -> Vec<(HeaderName, RuleId)> {
        let mut headers: Vec<(HeaderName, RuleId)> = Vec::new();
        for (place, _) in columns.iter().flat_map(|column| &column.parts) {
            let Place::Header(HeaderName::Named(name)) = place else { continue };
            let name = HeaderName::Named(name.clone());
            if headers.iter().all(|(known, _)| *known != name) {
                let fits = |place: &Place| match (place, &name) {
                    (Place::Header(HeaderName::Any), _) => true,
                    (Place::Header(header), name) => header == name,
                    _ => false,
                };
                headers.extend(self.part(columns, fits).map(|rule| (name.clone(), rule)));
            }
        }
        let any = self.part(columns, |place| *place == Place::Header(HeaderName::Any));
        headers.extend(any.map(|rule| (HeaderName::Any, rule)));
        headers
    }
}

/// The rules of a list that apply.
fn column(list: &[Named<'_>], rest: Option<RuleId>, active: &Active) -> Column {
    let applying: Vec<&Named<'_>> =
        list.iter().filter(|named| active[usize::from(named.rule)]).collect();
    let part = |named: &&Named<'_>| (named.place.clone(), named.rule);
    let parts = applying.iter().filter(|named| !matches!(named.place, Place::In(..)));
    let paths = Part::ALL.map(|part| with_rest(within(part, &applying), rest));
    Column { parts: parts.map(part).collect(), paths, rest }
}

fn values<'a, 'n>(
    part: Part,
    list: &'a [&'n Named<'n>],
) -> impl Iterator<Item = &'n Named<'n>> + use<'a, 'n> {
    list.iter().copied().filter(move |named| named.place.steps_in(part).is_some())
}

fn within(part: Part, list: &[&Named<'_>]) -> Vec<RulePath> {
    list.iter().filter_map(|named| named.within(part, named.rule)).collect()
}

/// And last, the rule for what is unlisted.
fn with_rest(mut paths: Vec<RulePath>, rest: Option<RuleId>) -> Vec<RulePath> {
    let (on_container, segments) = (OnContainer::Take, vec![Segment::AnyName]);
    paths.extend(rest.map(|rule| RulePath { rule, on_container, segments }));
    paths
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
    named
        .fault("P026", message, reader)
        .hint("what a rule takes whole is gone: take this path out, or `keep` what is to stay");
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
