//! The automaton before its tables are laid out: what the compiler makes, what two automata are
//! joined from, and how it is frozen to what the walk reads.

use super::{
    EMPTY, Here, NO_RULE, Next, Paths, RuleId, Slot, State, StateId, TooManyStates, first_word,
    hash, slot_of,
};
use std::collections::BTreeMap;
use std::num::TryFromIntError;
use std::sync::Arc;

/// States by number; the first is the record's root.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    pub(super) nodes: Vec<Node>,
}

/// What a state says of the value that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Says {
    pub(super) scalar: Here,
    pub(super) object: Here,
    pub(super) array: Here,
    /// The rule that decides the name of the member that is here.
    pub(super) renamed: Option<RuleId>,
    /// The rule that has a text here read as JSON.
    pub(super) opens: Option<RuleId>,
}

/// A state, and where it leads.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) says: Says,
    /// Where the first elements lead; the others to `element`.
    pub(super) elements: Vec<StateId>,
    pub(super) element: StateId,
    /// Where members of these names lead; the others to `other`.
    pub(super) names: BTreeMap<Box<str>, StateId>,
    pub(super) other: StateId,
}

impl Says {
    /// Does whatever stands here stay as it is, with all that is below?
    fn is_inert(&self) -> bool {
        [self.scalar, self.object, self.array] == [Here::Stay; 3] && self.opens.is_none()
    }

    /// What becomes of a scalar.
    fn of_scalar(&self) -> Here {
        if self.opens.is_some() { Here::Opens } else { self.scalar }
    }
}

impl Node {
    pub(super) fn member(&self, name: &str) -> StateId {
        self.names.get(name).copied().unwrap_or(self.other)
    }

    /// Where its members lead.
    fn members(&self) -> impl Iterator<Item = StateId> {
        self.names.values().copied().chain([self.other])
    }

    pub(super) fn element(&self, number: usize) -> StateId {
        self.elements.get(number).copied().unwrap_or(self.element)
    }
}

impl Automaton {
    /// The tables for the walk.
    pub(super) fn frozen(self, decides: Vec<bool>) -> Result<Paths, TooManyStates> {
        let layout = Layout { says: self.nodes.iter().map(|node| node.says).collect() };
        let states = self.nodes.iter().map(|node| layout.state(node).map(Arc::new));
        let states = states.collect::<Result<_, _>>().map_err(|_| TooManyStates)?;
        Ok(Paths { states, decides: decides.into() })
    }
}

/// A state's names, as it has them.
struct Table {
    slots: Box<[Slot]>,
    names: Box<[u8]>,
    shift: u32,
}

/// How states are laid out.
struct Layout {
    /// By state.
    says: Vec<Says>,
}

impl Layout {
    fn state(&self, node: &Node) -> Result<State, TryFromIntError> {
        let elements = node.elements.iter().map(|&element| self.next(element));
        let Table { slots, names, shift } = self.table(&node.names)?;
        Ok(State {
            scalar: node.says.scalar,
            object: node.says.object,
            array: node.says.array,
            element: self.next(node.element)?,
            elements: elements.collect::<Result<_, _>>()?,
            other: self.next(node.other)?,
            slots,
            names,
            shift,
            renamed: node.says.renamed.unwrap_or(NO_RULE),
            renames: node.members().any(|member| self.says[member as usize].renamed.is_some()),
            opens: node.says.opens.unwrap_or(NO_RULE),
        })
    }

    fn next(&self, state: StateId) -> Result<Next, TryFromIntError> {
        let says = &self.says[state as usize];
        Ok(Next { state: state.try_into()?, scalar: says.of_scalar(), inert: says.is_inert() })
    }

    /// A state's hash table: a slot for every name that some path spells there, at least one; the
    /// names; and which bits of a hash number the slots.
    fn table(&self, names: &BTreeMap<Box<str>, StateId>) -> Result<Table, TryFromIntError> {
        let (size, shift) = room_for(names);
        let (mut slots, mut spelled) = (vec![EMPTY; size], Vec::new());
        for (name, &next) in names {
            let bytes = name.as_bytes();
            let slot = Slot {
                word: first_word(bytes, 0, bytes.len()),
                name: u32::try_from(spelled.len())?,
                // One too long for this does not fit into a policy either.
                length: u16::try_from(bytes.len())?,
                crowded: false,
                next: self.next(next)?,
            };
            place(&mut slots, slot, shift);
            spelled.extend_from_slice(bytes);
        }
        Ok(Table { slots: slots.into(), names: spelled.into(), shift })
    }
}

/// The size of the smallest table in which each name has a slot of its own, and the shift that does
/// it; of four times as many slots as names at most. Else twice as many, and names share.
fn room_for(names: &BTreeMap<Box<str>, StateId>) -> (usize, u32) {
    /// The upper bits of a product are the ones that all those below mix into.
    const SHIFTS: std::ops::Range<u32> = 32..60;
    let of = |name: &str| hash(first_word(name.as_bytes(), 0, name.len()), name.len());
    let hashes: Vec<u64> = names.keys().map(|name| of(name)).collect();
    let least = names.len().next_power_of_two();
    let mut taken = Vec::new();
    for size in [least, 2 * least, 4 * least] {
        for shift in SHIFTS {
            taken.clear();
            taken.resize(size, false);
            let slots = hashes.iter().map(|hash| slot_of(*hash, shift, size));
            if slots.into_iter().all(|slot| !std::mem::replace(&mut taken[slot], true)) {
                return (size, shift);
            }
        }
    }
    (2 * least, SHIFTS.start)
}

/// Puts a slot into its table, in the first free place from its own on.
fn place(table: &mut [Slot], slot: Slot, shift: u32) {
    let mut probe = slot_of(hash(slot.word, slot.length.into()), shift, table.len());
    while table[probe].length != EMPTY.length {
        table[probe].crowded = true;
        probe = (probe + 1) & (table.len() - 1);
    }
    table[probe] = slot;
}
