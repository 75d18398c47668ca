//! Paths to values, compiled to the automaton that the walk follows.
//!
//! Trying each rule on each value would make a policy of 200 rules 20 times slower than one of
//! ten. So the paths are compiled (subset construction) to states: a state stands for "the walk
//! is here", knows what becomes of a scalar, an object or an array that stands here, and where a
//! member's name or an element leads. The walk does one table look-up a name, whatever the number
//! of rules; below a place where nothing can match any more it does none.
//!
//! What a path names:
//! - Names and `*` step over members; arrays on the way are transparent (`items.ip` is
//!   `items[*].ip`), at any depth.
//! - `[*]` steps over elements, `[2]` over the third; a value that is no array counts as its one
//!   element, which is number 0.
//! - `**` steps over any number of names, at a path's end over one or more names or elements.
//! - The lowest rule that names a value, or a container above it, decides it. So a state keeps
//!   the lowest rule met so far (`decided`) and only those unfinished paths whose rule is lower:
//!   the others can never win. That pruning is also what finds shadowed paths.
//! - A rule that takes containers whole takes their members' names too: names can be personal.
//!   Only what a lower rule leaves inside stays, with the names that lead to it. Whether there is
//!   any such value, only the record can tell; so where a lower rule that leaves something may still
//!   match, the walk looks inside ([`Here::Sift`]), and if nothing was left the container goes
//!   whole after all. Rules that take things themselves leave nothing, and open nothing.

use crate::limits::PATH_STATES_MAX;
use crate::scan::prefetch;
use std::collections::{BTreeSet, HashMap};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A member of that name (its meaning: unescaped).
    Name(Box<str>),
    /// `*`: a member of any name.
    AnyName,
    /// `[*]`: any element of an array; a value that is no array counts as its one element.
    AnyElement,
    /// `[0]`: the element of that number, counted from 0, at most [`ELEMENT_MAX`]; a value that is
    /// no array counts as element 0.
    Element(u8),
    /// `**`: any number of names; at the end of a path, one or more names or elements.
    AnyDepth,
}

/// The highest number of an element that a path can name.
pub const ELEMENT_MAX: u8 = u8::MAX;

/// A rule's number, counted from 0 in the order of the policy.
pub type RuleId = u16;

/// One path of one rule.
#[derive(Debug, Clone)]
pub struct RulePath {
    /// The rule that owns it.
    pub rule: RuleId,
    /// What the rule does with an array or object; the same in all paths of a rule.
    pub on_container: OnContainer,
    /// The steps; never empty.
    pub segments: Vec<Segment>,
}

/// What a rule does with an array or object that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnContainer {
    /// Works on every scalar below (`mask`).
    EachScalar,
    /// Leaves it as it is (`keep`).
    Leave,
    /// Takes it whole, names included (`drop`, `redact`).
    Take,
}

/// Why paths could not be compiled: their wildcards multiply to too many states.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyStates;

/// What becomes of a value that stands at a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Here {
    /// Nothing: it stays as it is, with all that is below.
    Stay,
    /// This rule decides it (a scalar), or has it whole (a container).
    Rule(RuleId),
    /// It goes, with its name and all that is below: this rule took the container that it is in.
    Gone(RuleId),
    /// A container: look inside.
    Descend,
    /// A container that this rule takes: look inside, for a lower rule may leave something there.
    /// If none did, the rule takes it whole, or it goes if the rule took the container it is in.
    Sift { rule: RuleId, taken: bool },
}

/// A state's number.
pub(crate) type StateId = u32;

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Next {
    state: StateId,
    /// Whatever stands there stays as it is, with all that is below.
    pub(crate) inert: bool,
}

/// A place in the record, to the rules.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    scalar: Here,
    object: Here,
    array: Here,
    /// Where an element leads that no path names by number.
    element: Next,
    /// Where the others lead: `Paths::elements[elements]`; number 0 has none.
    elements: u32,
    /// Where a member of a name that no path spells leads.
    other: Next,
    /// The state's stretch of `Paths::slots`: `base..base + (mask + 1)`, a power of two.
    base: u32,
    mask: u32,
}

impl State {
    /// Does whatever stands here stay as it is, with all that is below?
    fn is_inert(&self) -> bool {
        [self.scalar, self.object, self.array] == [Here::Stay; 3]
    }

    #[inline]
    pub(crate) fn scalar(&self) -> Here {
        self.scalar
    }

    #[inline]
    pub(crate) fn object(&self) -> Here {
        self.object
    }

    #[inline]
    pub(crate) fn array(&self) -> Here {
        self.array
    }
}

/// A name in a state's hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    /// The first eight bytes, little-endian, zero-padded.
    word: u64,
    /// The last eight, of names that have so many: up to 16 bytes the two are the name.
    tail: [u8; 8],
    length: u32,
    /// A name whose slot this would be stands in one behind it.
    crowded: bool,
    /// The whole name: `Paths::names[name..name + length]`.
    name: u32,
    next: Next,
}

/// No name has this length.
const EMPTY: Slot = Slot {
    word: 0,
    tail: [0; 8],
    length: u32::MAX,
    crowded: false,
    name: 0,
    next: Next { state: 0, inert: false },
};

/// Paths, compiled.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Paths {
    states: Vec<State>,
    slots: Vec<Slot>,
    names: Vec<u8>,
    /// By number, where the first elements of an array lead.
    elements: Vec<Box<[Next]>>,
    decides: Vec<bool>,
}

/// Where the elements of an array lead.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    first: &'a [Next],
    other: Next,
}

impl Elements<'_> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Next {
        self.first.get(index).copied().unwrap_or(self.other)
    }
}

impl Paths {
    /// Compiles paths; earlier rules win (`rule` ascending decides, not the order of `paths`).
    ///
    /// # Errors
    /// More than [`crate::limits::PATH_STATES_MAX`] states.
    pub fn compile(paths: &[RulePath]) -> Result<Self, TooManyStates> {
        Compiler::new(paths).compile()
    }

    /// For path number `index` of those given to [`Paths::compile`]: is there any value that it
    /// decides? If not, earlier rules shadow it.
    #[must_use]
    pub fn decides(&self, index: usize) -> bool {
        self.decides[index]
    }

    /// Asks for the memory of the tables before the walk needs them.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.states);
        prefetch(&self.slots);
        prefetch(&self.names);
    }

    /// The state of the record's root.
    pub(crate) fn root(&self) -> &State {
        &self.states[Self::ROOT as usize]
    }

    const ROOT: StateId = 0;

    /// The state that a step has led to.
    #[inline(always)]
    pub(crate) fn state(&self, next: Next) -> &State {
        &self.states[next.state as usize]
    }

    /// Where elements of the array at a state lead.
    pub(crate) fn elements(&self, state: &State) -> Elements<'_> {
        Elements { first: &self.elements[state.elements as usize], other: state.element }
    }

    /// Where members of the object at a state lead.
    #[inline(always)]
    pub(crate) fn members(&self, state: &State) -> Members<'_> {
        let (first, last) = (state.base as usize, (state.base + state.mask) as usize);
        Members { slots: &self.slots[first..=last], other: state.other, names: &self.names }
    }
}

/// What an object's members are called, and where each leads.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    slots: &'a [Slot],
    other: Next,
    names: &'a [u8],
}

impl Members<'_> {
    /// Where the member whose name is `text[at..end]` leads. The surrounding text lets words be
    /// read at once.
    #[inline(always)]
    pub(crate) fn next(&self, text: &[u8], at: usize, end: usize) -> Next {
        let length = end - at;
        let word = first_word(text, at, length);
        let slot = &self.slots[hash(word, length) & (self.slots.len() - 1)];
        let begins = slot.word == word && slot.length as usize == length;
        if begins && (length <= 8 || self.ends(slot, text, at, end)) {
            slot.next
        } else if slot.crowded {
            self.find(word, &text[at..end])
        } else {
            self.other
        }
    }

    /// Is a name that begins as the slot's, and is as long, the slot's?
    #[inline(always)]
    fn ends(&self, slot: &Slot, text: &[u8], at: usize, end: usize) -> bool {
        text.get(end - 8..end).is_some_and(|tail| *tail == slot.tail)
            && (end - at <= 16 || self.name(slot) == &text[at..end])
    }

    /// [`Self::next`], slot by slot.
    #[inline(never)]
    fn find(&self, word: u64, name: &[u8]) -> Next {
        let mut probe = hash(word, name.len());
        loop {
            let slot = &self.slots[probe & (self.slots.len() - 1)];
            if slot.length == EMPTY.length {
                return self.other;
            }
            if self.name(slot) == name {
                return slot.next;
            }
            probe = probe.wrapping_add(1);
        }
    }

    #[inline(never)]
    fn name(&self, slot: &Slot) -> &[u8] {
        &self.names[slot.name as usize..][..slot.length as usize]
    }
}

/// The first eight bytes of `text[at..at + length]`, zero-padded.
#[inline(always)]
fn first_word(text: &[u8], at: usize, length: usize) -> u64 {
    const MASKS: [u64; 9] = {
        let mut masks = [u64::MAX; 9];
        let mut bytes = 0;
        while bytes < 8 {
            masks[bytes] = (1 << (8 * bytes)) - 1;
            bytes += 1;
        }
        masks
    };
    match text.get(at..at + 8) {
        Some(bytes) => {
            u64::from_le_bytes(bytes.try_into().unwrap_or_default()) & MASKS[length.min(8)]
        }
        None => last_word(&text[at..at + length]),
    }
}

/// [`first_word`] where the text ends so soon behind the name.
#[inline(never)]
fn last_word(name: &[u8]) -> u64 {
    name.iter().take(8).rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the upper half of a product, and a length
const fn hash(word: u64, length: usize) -> usize {
    (word.wrapping_add(length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

/// A path, part of the way: index of the path, index of the next segment.
type Item = (usize, usize);

/// What a state stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Place {
    /// The lowest rule that named this value or one above it.
    decided: Option<RuleId>,
    /// That rule took the container that this value is in: unless a lower rule leaves it, it goes.
    taken: bool,
    /// The record itself.
    root: bool,
    /// Unfinished paths of lower rules.
    items: BTreeSet<Item>,
}

/// A step of the walk, for the subset construction.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    OtherMember,
    Element(u8),
    OtherElement,
}

struct Compiler<'a> {
    paths: &'a [RulePath],
    /// By rule.
    on_container: Vec<OnContainer>,
    places: Vec<Place>,
    numbers: HashMap<Place, StateId>,
    out: Paths,
}

impl<'a> Compiler<'a> {
    fn new(paths: &'a [RulePath]) -> Self {
        let decides = vec![false; paths.len()];
        // The first slot stays empty: it is the table of states that no name leads on from.
        let (states, slots, names) = (Vec::new(), vec![EMPTY], Vec::new());
        let elements = vec![Box::default()];
        let out = Paths { states, slots, names, elements, decides };
        let rules = paths.iter().map(|path| usize::from(path.rule) + 1).max().unwrap_or(0);
        let mut on_container = vec![OnContainer::EachScalar; rules];
        for path in paths {
            on_container[usize::from(path.rule)] = path.on_container;
        }
        Self { paths, on_container, places: Vec::new(), numbers: HashMap::new(), out }
    }

    fn compile(mut self) -> Result<Paths, TooManyStates> {
        let mut root = Place { root: true, ..Place::default() };
        for path in 0..self.paths.len() {
            self.enter(&mut root.items, (path, 0));
        }
        // Not numbered: a place below that happens to be like the root's must not share its state,
        // which is never dropped.
        self.places.push(root);
        let mut next = 0;
        while next < self.places.len() {
            let state = self.state(next)?;
            self.out.states.push(state);
            next += 1;
        }
        // The root is never taken whole, dropped or left unlooked at: it is the record.
        let root = &mut self.out.states[Paths::ROOT as usize];
        if root.object != Here::Stay {
            root.object = Here::Descend;
        }
        self.note_inert();
        Ok(self.out)
    }

    /// Notes at every step whether it leads to where nothing is to do.
    fn note_inert(&mut self) {
        let inert: Vec<bool> = self.out.states.iter().map(State::is_inert).collect();
        let note = |next: &mut Next| next.inert = inert[next.state as usize];
        self.out.slots.iter_mut().for_each(|slot| note(&mut slot.next));
        self.out.elements.iter_mut().flatten().for_each(note);
        for state in &mut self.out.states {
            note(&mut state.element);
            note(&mut state.other);
        }
    }

    /// A step to a place; [`Self::note_inert`] fills in the rest.
    fn next(&mut self, place: Place) -> Result<Next, TooManyStates> {
        Ok(Next { state: self.number(place)?, inert: false })
    }

    fn number(&mut self, place: Place) -> Result<StateId, TooManyStates> {
        if let Some(&number) = self.numbers.get(&place) {
            return Ok(number);
        }
        if self.places.len() >= PATH_STATES_MAX {
            return Err(TooManyStates);
        }
        let number = StateId::try_from(self.places.len()).map_err(|_| TooManyStates)?;
        self.places.push(place.clone());
        self.numbers.insert(place, number);
        Ok(number)
    }

    fn state(&mut self, index: usize) -> Result<State, TooManyStates> {
        let place = self.places[index].clone();
        // As no array, the value also completes the paths of which only `[*]` is left.
        let as_one = Place { root: place.root, ..self.as_one(&place) };
        let element = self.step(&place, Step::OtherElement);
        let element = self.next(element)?;
        let elements = self.elements(&place)?;
        let other = self.step(&as_one, Step::OtherMember);
        let other = self.next(other)?;
        let mut state = State {
            scalar: scalar(&as_one),
            object: self.container(&as_one),
            array: self.container(&place),
            element,
            elements,
            other,
            base: 0,
            mask: 0,
        };
        self.table(&as_one, &mut state)?;
        Ok(state)
    }

    /// The number of the list of where the first elements lead.
    fn elements(&mut self, place: &Place) -> Result<u32, TooManyStates> {
        let numbered = |&(path, at): &Item| match self.paths[path].segments[at] {
            Segment::Element(number) => Some(number),
            _ => None,
        };
        let Some(last) = place.items.iter().filter_map(numbered).max() else { return Ok(0) };
        let mut first = Vec::new();
        for number in 0..=last {
            let next = self.step(place, Step::Element(number));
            first.push(self.next(next)?);
        }
        self.out.elements.push(first.into());
        u32::try_from(self.out.elements.len() - 1).map_err(|_| TooManyStates)
    }

    /// The state's hash table: a slot for every name that some path spells here.
    fn table(&mut self, place: &Place, state: &mut State) -> Result<(), TooManyStates> {
        let paths = self.paths;
        let names: BTreeSet<&str> =
            place.items.iter().filter_map(|&item| spelled(paths, item)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let size = (names.len() * 2).next_power_of_two();
        let base = self.out.slots.len();
        self.out.slots.resize(base + size, EMPTY);
        state.base = u32::try_from(base).map_err(|_| TooManyStates)?;
        state.mask = u32::try_from(size - 1).map_err(|_| TooManyStates)?;
        for name in names {
            let next = self.step(place, Step::Member(name));
            let next = self.next(next)?;
            let bytes = name.as_bytes();
            let word = first_word(bytes, 0, bytes.len());
            let mut probe = hash(word, bytes.len()) & (size - 1);
            while self.out.slots[base + probe].length != EMPTY.length {
                self.out.slots[base + probe].crowded = true;
                probe = (probe + 1) & (size - 1);
            }
            self.out.slots[base + probe] = Slot {
                word,
                tail: bytes.last_chunk().copied().unwrap_or_default(),
                length: u32::try_from(bytes.len()).map_err(|_| TooManyStates)?,
                crowded: false,
                name: u32::try_from(self.out.names.len()).map_err(|_| TooManyStates)?,
                next,
            };
            self.out.names.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn container(&self, place: &Place) -> Here {
        let alive = !place.items.is_empty();
        let Some(rule) = place.decided else {
            return if alive { Here::Descend } else { Here::Stay };
        };
        match self.on_container[usize::from(rule)] {
            OnContainer::Take if self.may_leave(place) => Here::Sift { rule, taken: place.taken },
            OnContainer::Take if place.taken => Here::Gone(rule),
            OnContainer::Take => Here::Rule(rule),
            OnContainer::Leave if !alive => Here::Rule(rule),
            OnContainer::Leave | OnContainer::EachScalar => Here::Descend,
        }
    }

    /// May a lower rule leave something below?
    fn may_leave(&self, place: &Place) -> bool {
        place.items.iter().any(|&(path, _)| !self.takes(self.paths[path].rule))
    }

    fn takes(&self, rule: RuleId) -> bool {
        self.on_container[usize::from(rule)] == OnContainer::Take
    }

    /// The place, seen as a value that is no array: `[*]` has stepped to its one element.
    fn as_one(&mut self, place: &Place) -> Place {
        let mut items = BTreeSet::new();
        let mut completed = Vec::new();
        for &item in &place.items {
            self.enter_as_one(&mut items, &mut completed, item);
        }
        self.settle(place.decided, place.taken, items, &completed)
    }

    /// [`Self::enter`], and over every `[*]` that the item then stands before.
    fn enter_as_one(
        &self,
        items: &mut BTreeSet<Item>,
        completed: &mut Vec<usize>,
        (path, at): Item,
    ) {
        let segments = &self.paths[path].segments;
        match segments.get(at) {
            None => completed.push(path),
            Some(Segment::AnyElement | Segment::Element(0)) => {
                self.enter_as_one(items, completed, (path, at + 1));
            }
            Some(Segment::Element(_)) => {}
            Some(Segment::AnyDepth) if at + 1 < segments.len() => {
                items.insert((path, at));
                self.enter_as_one(items, completed, (path, at + 1));
            }
            Some(_) => drop(items.insert((path, at))),
        }
    }

    /// Where a step leads. Member steps are taken from [`Self::as_one`], so they meet no `[*]`.
    fn step(&mut self, place: &Place, step: Step<'_>) -> Place {
        // The root itself is never taken.
        let taken = !place.root && place.decided.is_some_and(|rule| self.takes(rule));
        if taken && !self.may_leave(place) {
            return Place { taken, items: BTreeSet::new(), ..place.clone() };
        }
        let mut items = BTreeSet::new();
        let mut completed = Vec::new();
        for &(path, at) in &place.items {
            let segments = &self.paths[path].segments;
            let to = match (&segments[at], step) {
                (Segment::AnyDepth, _) if at + 1 < segments.len() => at,
                (Segment::Name(_) | Segment::AnyName, Step::Element(_) | Step::OtherElement) => at,
                (Segment::Name(wanted), Step::Member(name)) if **wanted == *name => at + 1,
                (Segment::Element(wanted), Step::Element(number)) if *wanted == number => at + 1,
                (Segment::Name(_) | Segment::Element(_), _) => continue,
                (Segment::AnyDepth | Segment::AnyName | Segment::AnyElement, _) => at + 1,
            };
            if to == segments.len() {
                completed.push(path);
            } else {
                self.enter(&mut items, (path, to));
            }
        }
        self.settle(place.decided, taken, items, &completed)
    }

    /// Adds an item, and what it also is: `**` may step over no name at all.
    fn enter(&self, items: &mut BTreeSet<Item>, (path, at): Item) {
        let segments = &self.paths[path].segments;
        items.insert((path, at));
        if segments[at] == Segment::AnyDepth && at + 1 < segments.len() {
            self.enter(items, (path, at + 1));
        }
    }

    /// The place after `completed` paths named the value: the lowest rule decides, its first path
    /// is noted as useful, and items that can never win any more are dropped.
    fn settle(
        &mut self,
        before: Option<RuleId>,
        taken: bool,
        mut items: BTreeSet<Item>,
        completed: &[usize],
    ) -> Place {
        let paths = self.paths;
        let lowest = completed.iter().copied().min_by_key(|&path| (paths[path].rule, path));
        let mut decided = before;
        if let Some(path) = lowest.filter(|&path| before.is_none_or(|rule| paths[path].rule < rule))
        {
            decided = Some(paths[path].rule);
            self.out.decides[path] = true;
        }
        if let Some(decided) = decided {
            items.retain(|&(path, _)| paths[path].rule < decided);
        }
        let taken = taken && decided.is_some_and(|rule| self.takes(rule));
        Place { decided, taken, root: false, items }
    }
}

const fn scalar(place: &Place) -> Here {
    match place.decided {
        Some(rule) if place.taken => Here::Gone(rule),
        Some(rule) => Here::Rule(rule),
        None => Here::Stay,
    }
}

/// The name that an item waits for.
fn spelled(paths: &[RulePath], (path, at): Item) -> Option<&str> {
    match &paths[path].segments[at] {
        Segment::Name(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each of these names of the root's members leads, by rule.
    fn decided(paths: &Paths, name: &str) -> Here {
        let mut text = name.as_bytes().to_vec();
        let next = paths.members(paths.root()).next(&text, 0, name.len());
        text.extend_from_slice(b"\":1}      ");
        assert_eq!(paths.members(paths.root()).next(&text, 0, name.len()), next, "{name}");
        paths.state(next).scalar()
    }

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        let named = ["", "a", "requests", "responseObject", "responseStatus", "responseObjecu"];
        let long = ["a name of more than sixteen bytes", "a name of more THAN sixteen bytes"];
        let names: Vec<&str> = named.into_iter().chain(long).collect();
        let path = |(rule, name): (usize, &&str)| RulePath {
            rule: RuleId::try_from(rule).unwrap(),
            on_container: OnContainer::EachScalar,
            segments: vec![Segment::Name((*name).into())],
        };
        let rules: Vec<RulePath> = names.iter().enumerate().map(path).collect();
        let paths = Paths::compile(&rules).unwrap();
        for (rule, name) in names.iter().enumerate() {
            assert_eq!(
                decided(&paths, name),
                Here::Rule(RuleId::try_from(rule).unwrap()),
                "{name}"
            );
        }
        for name in ["b", "request", "responseStatuS", "a name of more than SIXTEEN bytes", "\0"] {
            assert_eq!(decided(&paths, name), Here::Stay, "{name}");
        }
    }
}
