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

mod automaton;
mod compile;
mod strictest;

pub use strictest::Strictness;

use crate::scan::prefetch;
use automaton::Automaton;

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

#[derive(Debug, PartialEq, Eq, Hash)]
struct State {
    scalar: Here,
    object: Here,
    array: Here,
    /// Where an element leads that no path names by number.
    element: StateId,
    /// Where the others lead: `Paths::elements[elements]`; number 0 has none.
    elements: u32,
    /// Where a member of a name that no path spells leads.
    other: StateId,
    /// Lengths of the names in the table: bit `min(length, 63)`.
    lengths: u64,
    /// The state's stretch of `Paths::slots`: `base..base + (mask + 1)`, a power of two.
    base: u32,
    mask: u32,
}

/// A name in a state's hash table. Empty where `next` is [`NOWHERE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    /// The first eight bytes, little-endian, zero-padded.
    word: u64,
    length: u32,
    /// The whole name: `Paths::names[name..name + length]`.
    name: u32,
    next: StateId,
}

const NOWHERE: StateId = StateId::MAX;

/// Paths, compiled.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Paths {
    states: Vec<State>,
    slots: Vec<Slot>,
    names: Vec<u8>,
    /// By number, where the first elements of an array lead.
    elements: Vec<Box<[StateId]>>,
    decides: Vec<bool>,
}

/// Where the elements of an array lead.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    first: &'a [StateId],
    other: StateId,
}

impl Elements<'_> {
    /// Of an array in which nothing is edited.
    pub(crate) const fn none(state: StateId) -> Self {
        Self { first: &[], other: state }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> StateId {
        self.first.get(index).copied().unwrap_or(self.other)
    }
}

impl Paths {
    /// Compiles paths; earlier rules win (`rule` ascending decides, not the order of `paths`).
    ///
    /// # Errors
    /// More than [`crate::limits::PATH_STATES_MAX`] states.
    pub fn compile(paths: &[RulePath]) -> Result<Self, TooManyStates> {
        let (automaton, decides) = compile::compile(paths)?;
        automaton.frozen(decides)
    }

    /// Compiles several lists of paths, whose rules are numbered alike, to the strictest of them:
    /// each value is decided by the strictest of the rules that would decide it. `rules` by number.
    ///
    /// # Errors
    /// As [`Paths::compile`].
    pub fn strictest(lists: &[&[RulePath]], rules: &[Strictness]) -> Result<Self, TooManyStates> {
        let mut joined: Option<Automaton> = None;
        for list in lists {
            let (automaton, _) = compile::compile(list)?;
            joined = Some(match joined {
                None => automaton,
                Some(before) => strictest::join(&before, &automaton, rules)?,
            });
        }
        joined.map_or_else(|| Self::compile(&[]), |joined| joined.frozen(Vec::new()))
    }

    /// Does this rule decide any value?
    #[must_use]
    pub fn uses(&self, rule: RuleId) -> bool {
        let by = |here| match here {
            Here::Rule(by) | Here::Gone(by) | Here::Sift { rule: by, .. } => by == rule,
            Here::Stay | Here::Descend => false,
        };
        self.states.iter().any(|state| by(state.scalar) || by(state.object) || by(state.array))
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
    pub(crate) const ROOT: StateId = 0;

    pub(crate) fn scalar(&self, state: StateId) -> Here {
        self.states[state as usize].scalar
    }

    pub(crate) fn object(&self, state: StateId) -> Here {
        self.states[state as usize].object
    }

    pub(crate) fn array(&self, state: StateId) -> Here {
        self.states[state as usize].array
    }

    pub(crate) fn elements(&self, state: StateId) -> Elements<'_> {
        let state = &self.states[state as usize];
        Elements { first: &self.elements[state.elements as usize], other: state.element }
    }

    /// Where the member whose name is `text[at..at + length]` leads. The surrounding text lets
    /// the first eight bytes be read at once.
    #[inline(always)]
    pub(crate) fn member(&self, state: StateId, text: &[u8], at: usize, length: usize) -> StateId {
        let state = &self.states[state as usize];
        if state.lengths & length_bit(length) == 0 {
            return state.other;
        }
        self.find(state, text, at, length)
    }

    /// A name whose length some path's name has.
    #[inline(never)]
    fn find(&self, state: &State, text: &[u8], at: usize, length: usize) -> StateId {
        let word = first_word(text, at, length);
        let slots = &self.slots[state.base as usize..][..=state.mask as usize];
        let mut probe = (hash(word, length) & state.mask) as usize;
        while let Some(slot) = slots.get(probe).filter(|slot| slot.next != NOWHERE) {
            if slot.word == word && slot.length as usize == length {
                let rest = 8.min(length);
                if length == rest || self.name(slot)[rest..] == text[at + rest..at + length] {
                    return slot.next;
                }
            }
            probe = (probe + 1) & state.mask as usize;
        }
        state.other
    }

    fn name(&self, slot: &Slot) -> &[u8] {
        &self.names[slot.name as usize..][..slot.length as usize]
    }
}

const fn length_bit(length: usize) -> u64 {
    1 << if length < 63 { length } else { 63 }
}

/// The first eight bytes of `text[at..at + length]`, zero-padded.
#[inline]
fn first_word(text: &[u8], at: usize, length: usize) -> u64 {
    if let (Some(bytes), 1..) = (text.get(at..at + 8), length) {
        let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        return word & (u64::MAX >> (64 - 8 * length.min(8)));
    }
    let mut bytes = [0; 8];
    let short = length.min(8);
    bytes[..short].copy_from_slice(&text[at..at + short]);
    u64::from_le_bytes(bytes)
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the upper half of a product, and a length
const fn hash(word: u64, length: usize) -> u32 {
    (word.wrapping_add(length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}
