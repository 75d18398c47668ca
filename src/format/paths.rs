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
//!   match, the walk looks inside (`Here::Sift`), and if nothing was left the container goes
//!   whole after all. Rules that take things themselves leave nothing, and open nothing.
//! - What a member is called, and whether a text is read as JSON, is decided apart from what becomes of
//!   values, by the lowest rule that names the member or the text itself ([`OnContainer::Rename`],
//!   [`OnContainer::Open`]). Such paths are automata of their own, joined to the other at the end: where
//!   nothing of the kind is decided, nothing is different. What is in a text is where the text is: it
//!   has no step of its own.

mod automaton;
mod beside;
mod compile;
mod product;
mod strictest;

pub use strictest::{Keeps, Strictness, stricter};

use crate::scan::prefetch;
use automaton::Automaton;
use std::sync::Arc;

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Nothing: what it decides is the name of a member, whatever its value is (`rename`).
    Rename,
    /// Nothing: a text that is JSON is taken for what it spells (`inside: json`).
    Open,
}

impl OnContainer {
    /// Of what kind it is, if what it decides is not what becomes of values.
    const fn beside(self) -> Option<Self> {
        match self {
            Self::Rename | Self::Open => Some(self),
            Self::EachScalar | Self::Leave | Self::Take => None,
        }
    }
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
    /// A scalar that, if it is a text, is read as JSON.
    Opens,
}

/// A state's number.
pub(crate) type StateId = u32;

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Next {
    state: u16,
    /// What becomes of a scalar there.
    pub(crate) scalar: Here,
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
    /// By number, where the others lead.
    elements: Box<[Next]>,
    /// Where a member of a name that no path spells leads.
    other: Next,
    /// The names that some path spells here: a hash table, of a power of two.
    slots: Box<[Slot]>,
    /// The bytes of those names.
    names: Box<[u8]>,
    /// Which bits of a hash number the slots: where possible, such that each name has its own.
    shift: u32,
    /// The rule that decides the name of the member that is here, or [`NO_RULE`].
    renamed: RuleId,
    /// Does any rule decide the name of a member of the object here?
    renames: bool,
    /// The rule that has a text here read as JSON, or [`NO_RULE`].
    opens: RuleId,
}

/// No rule has this number.
const NO_RULE: RuleId = RuleId::MAX;

impl State {
    #[inline]
    pub(crate) fn object(&self) -> Here {
        self.object
    }

    #[inline]
    pub(crate) fn array(&self) -> Here {
        self.array
    }

    /// Does any rule decide the name of a member of the object here?
    #[inline]
    pub(crate) fn renames(&self) -> bool {
        self.renames
    }

    /// Asks for the memory of its table.
    pub(crate) fn prefetch_table(&self) {
        prefetch(&self.slots);
    }

    /// What becomes of a scalar that is not read as JSON.
    pub(crate) fn scalar(&self) -> Here {
        self.scalar
    }

    /// The rule that has a text here read as JSON.
    pub(crate) fn opens(&self) -> Option<RuleId> {
        (self.opens != NO_RULE).then_some(self.opens)
    }

    /// The rule that decides the name of the member that is here.
    pub(crate) fn renamed(&self) -> Option<RuleId> {
        (self.renamed != NO_RULE).then_some(self.renamed)
    }
}

const _: () = assert!(crate::limits::PATH_STATES_MAX <= 1 << u16::BITS);

/// A name in a state's hash table. With thousands of tenants these are waited for: two fit into
/// one line of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    /// The first sixteen bytes, little-endian, zero-padded: most names are compared at once.
    word: u128,
    /// The whole name: `State::names[name..name + length]`.
    name: u32,
    length: u16,
    /// A name whose slot this would be stands in one behind it.
    crowded: bool,
    next: Next,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// No name has this length.
const EMPTY: Slot = Slot {
    word: 0,
    name: 0,
    length: u16::MAX,
    crowded: false,
    next: Next { state: 0, scalar: Here::Stay, inert: false },
};

/// Paths, compiled. Those of many tenants are alike but for a state or two, so each state has its
/// tables itself, and paths can share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paths {
    states: Arc<[Arc<State>]>,
    decides: Box<[bool]>,
}

/// Where the elements of an array lead.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    first: &'a [Next],
    other: &'a Next,
}

impl<'a> Elements<'a> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> &'a Next {
        self.first.get(index).unwrap_or(self.other)
    }

    /// Where all elements lead, if no path names one by number.
    pub(crate) const fn all(&self) -> Option<&'a Next> {
        if self.first.is_empty() { Some(self.other) } else { None }
    }
}

impl Paths {
    /// Compiles paths; earlier rules win (`rule` ascending decides, not the order of `paths`).
    ///
    /// # Errors
    /// More than [`crate::limits::PATH_STATES_MAX`] states.
    pub fn compile(paths: &[RulePath]) -> Result<Self, TooManyStates> {
        let mut decides = vec![false; paths.len()];
        compile::compile(paths, &mut decides)?.frozen(decides)
    }

    /// Compiles several lists of paths, whose rules are numbered alike, to the strictest of them:
    /// each value is decided by the strictest of the rules that would decide it. `rules` by number.
    ///
    /// # Errors
    /// As [`Paths::compile`].
    pub fn strictest(lists: &[&[RulePath]], rules: &[Strictness]) -> Result<Self, TooManyStates> {
        let mut joined: Option<Automaton> = None;
        for list in lists {
            let automaton = compile::compile(list, &mut vec![false; list.len()])?;
            joined = Some(match joined {
                None => automaton,
                Some(before) => strictest::join(&before, &automaton, rules)?,
            });
        }
        joined.map_or_else(|| Self::compile(&[]), |joined| joined.frozen(Vec::new()))
    }

    /// Does this rule decide any value or name?
    #[must_use]
    pub fn uses(&self, rule: RuleId) -> bool {
        let by = |here| match here {
            Here::Rule(by) | Here::Gone(by) | Here::Sift { rule: by, .. } => by == rule,
            Here::Stay | Here::Descend | Here::Opens => false,
        };
        let by = |state: &State| [state.scalar, state.object, state.array].into_iter().any(by);
        self.states.iter().any(|state| by(state) || [state.renamed, state.opens].contains(&rule))
    }

    /// Does the walk, in any record, come to a name that this rule decides, or to a text that it has read
    /// as JSON? It does not come inside what is taken whole.
    #[must_use]
    pub fn comes_to(&self, rule: RuleId) -> bool {
        let goes = |here| matches!(here, Here::Gone(_));
        let enters = |here| matches!(here, Here::Descend | Here::Sift { .. });
        let (mut seen, mut open) = (vec![false; self.states.len()], vec![self.root()]);
        while let Some(state) = open.pop() {
            let mut next = Vec::new();
            if enters(state.object) {
                let slots = state.slots.iter();
                let named = slots.filter(|slot| slot.length != EMPTY.length);
                next.extend(named.map(|slot| &slot.next).chain([&state.other]));
            }
            if enters(state.array) {
                let Elements { first, other } = self.elements(state);
                next.extend(first.iter().chain([other]));
            }
            for to in next {
                let there = self.state(to);
                let goes = [there.scalar, there.object, there.array].into_iter().all(goes);
                if [there.renamed, there.opens].contains(&rule) && !goes {
                    return true;
                }
                if !std::mem::replace(&mut seen[usize::from(to.state)], true) {
                    open.push(there);
                }
            }
        }
        false
    }

    /// For path number `index` of those given to [`Paths::compile`]: is there any value, or name, that
    /// it decides? If not, earlier rules shadow it.
    #[must_use]
    pub fn decides(&self, index: usize) -> bool {
        self.decides[index]
    }

    /// Its states, so that others that are the same can be put in their place.
    pub(crate) const fn states_mut(&mut self) -> &mut Arc<[Arc<State>]> {
        &mut self.states
    }

    /// Its states.
    pub(crate) const fn states(&self) -> &Arc<[Arc<State>]> {
        &self.states
    }

    /// The state of the record's root.
    pub(crate) fn root(&self) -> &State {
        &self.states[Self::ROOT as usize]
    }

    const ROOT: StateId = 0;

    /// The state that a step has led to.
    #[inline(always)]
    pub(crate) fn state(&self, next: &Next) -> &State {
        &self.states[usize::from(next.state)]
    }

    /// Where elements of the array at a state lead.
    pub(crate) fn elements<'a>(&'a self, state: &'a State) -> Elements<'a> {
        Elements { first: &state.elements, other: &state.element }
    }

    /// Where members of the object at a state lead.
    #[inline(always)]
    pub(crate) fn members<'a>(&'a self, state: &'a State) -> Members<'a> {
        let State { slots, shift, other, names, .. } = state;
        Members { slots, shift: *shift, other, names }
    }
}

/// What an object's members are called, and where each leads.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    slots: &'a [Slot],
    shift: u32,
    other: &'a Next,
    names: &'a [u8],
}

impl<'a> Members<'a> {
    /// Where the member whose name is `text[at..end]` leads. The surrounding text lets words be
    /// read at once.
    #[inline(always)]
    pub(crate) fn next(&self, text: &[u8], at: usize, end: usize) -> &'a Next {
        let length = end - at;
        let word = first_word(text, at, length);
        let slot = &self.slots[slot_of(hash(word, length), self.shift, self.slots.len())];
        let begins = slot.word == word && usize::from(slot.length) == length;
        if begins && (length <= WORD || self.name(slot) == &text[at..end]) {
            &slot.next
        } else if slot.crowded {
            self.find(word, &text[at..end])
        } else {
            self.other
        }
    }

    /// [`Self::next`], slot by slot.
    #[cold]
    #[inline(never)]
    fn find(&self, word: u128, name: &[u8]) -> &'a Next {
        let mut probe = slot_of(hash(word, name.len()), self.shift, self.slots.len());
        loop {
            let slot = &self.slots[probe & (self.slots.len() - 1)];
            if slot.length == EMPTY.length {
                return self.other;
            }
            if self.name(slot) == name {
                return &slot.next;
            }
            probe += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn name(&self, slot: &Slot) -> &'a [u8] {
        &self.names[slot.name as usize..][..usize::from(slot.length)]
    }
}

/// Bytes of a name that are compared at once.
const WORD: usize = size_of::<u128>();

/// The first sixteen bytes of `text[at..at + length]`, zero-padded.
#[inline(always)]
fn first_word(text: &[u8], at: usize, length: usize) -> u128 {
    const MASKS: [u128; WORD + 1] = {
        let mut masks = [u128::MAX; WORD + 1];
        let mut bytes = 0;
        while bytes < WORD {
            masks[bytes] = (1 << (8 * bytes)) - 1;
            bytes += 1;
        }
        masks
    };
    match text.get(at..at + WORD) {
        Some(bytes) => {
            u128::from_le_bytes(bytes.try_into().unwrap_or_default()) & MASKS[length.min(WORD)]
        }
        None => last_word(&text[at..at + length]),
    }
}

/// [`first_word`] where the text ends so soon behind the name.
#[cold]
#[inline(never)]
fn last_word(name: &[u8]) -> u128 {
    let mut bytes = [0; WORD];
    bytes.iter_mut().zip(name).for_each(|(byte, &of_name)| *byte = of_name);
    u128::from_le_bytes(bytes)
}

#[inline(always)]
const fn hash(word: u128, length: usize) -> u64 {
    let folded = word as u64 ^ (word >> 64) as u64;
    folded.wrapping_add(length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Which slot of a table of `size`, a power of two, a name of that hash should have.
#[inline(always)]
const fn slot_of(hash: u64, shift: u32, size: usize) -> usize {
    (hash >> shift) as usize & (size - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each of these names of the root's members leads, by rule.
    fn decided(paths: &Paths, name: &str) -> Here {
        let mut text = name.as_bytes().to_vec();
        let next = *paths.members(paths.root()).next(&text, 0, name.len());
        text.extend_from_slice(b"\":1}      ");
        assert_eq!(*paths.members(paths.root()).next(&text, 0, name.len()), next, "{name}");
        next.scalar
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
