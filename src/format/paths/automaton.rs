//! The automaton before its tables are laid out: what the compiler makes, what two automata are
//! joined from, and how it is frozen to what the walk reads.

use super::{
    EMPTY, Here, NO_RULE, Next, Paths, RuleId, Slot, State, StateId, TooManyStates, first_word,
    hash, slot_of,
};
use std::collections::BTreeMap;
use std::num::TryFromIntError;

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
        let says = self.nodes.iter().map(|node| node.says).collect();
        // The first slot stays empty: it is the table of states that no name leads on from.
        let (slots, elements) = (vec![EMPTY], vec![Box::default()]);
        let paths = Paths { states: Vec::new(), slots, names: Vec::new(), elements, decides };
        let mut layout = Layout { says, paths };
        for node in &self.nodes {
            layout.add(node).map_err(|_| TooManyStates)?;
        }
        Ok(layout.paths)
    }
}

/// Tables being laid out.
struct Layout {
    /// By state.
    says: Vec<Says>,
    paths: Paths,
}

impl Layout {
    fn add(&mut self, node: &Node) -> Result<(), TryFromIntError> {
        let mut state = State {
            scalar: node.says.scalar,
            object: node.says.object,
            array: node.says.array,
            element: self.next(node.element)?,
            elements: 0,
            other: self.next(node.other)?,
            base: 0,
            mask: 0,
            shift: 0,
            renamed: node.says.renamed.unwrap_or(NO_RULE),
            renames: node.members().any(|member| self.says[member as usize].renamed.is_some()),
            opens: node.says.opens.unwrap_or(NO_RULE),
        };
        if !node.elements.is_empty() {
            state.elements = u32::try_from(self.paths.elements.len())?;
            let elements = node.elements.iter().map(|&element| self.next(element));
            let elements = elements.collect::<Result<_, _>>()?;
            self.paths.elements.push(elements);
        }
        if !node.names.is_empty() {
            self.table(&node.names, &mut state)?;
        }
        self.paths.states.push(state);
        Ok(())
    }

    fn next(&self, state: StateId) -> Result<Next, TryFromIntError> {
        let says = &self.says[state as usize];
        Ok(Next { state: state.try_into()?, scalar: says.of_scalar(), inert: says.is_inert() })
    }

    /// The state's hash table: a slot for every name that some path spells here.
    fn table(
        &mut self,
        names: &BTreeMap<Box<str>, StateId>,
        state: &mut State,
    ) -> Result<(), TryFromIntError> {
        let (size, shift) = room_for(names);
        let base = self.paths.slots.len();
        self.paths.slots.resize(base + size, EMPTY);
        state.base = u32::try_from(base)?;
        state.mask = u32::try_from(size - 1)?;
        state.shift = shift;
        for (name, &next) in names {
            let bytes = name.as_bytes();
            let slot = Slot {
                word: first_word(bytes, 0, bytes.len()),
                name: u32::try_from(self.paths.names.len())?,
                // One too long for this does not fit into a policy either.
                length: u16::try_from(bytes.len())?,
                crowded: false,
                next: self.next(next)?,
            };
            place(&mut self.paths.slots[base..], slot, shift);
            self.paths.names.extend_from_slice(bytes);
        }
        Ok(())
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
