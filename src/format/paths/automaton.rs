//! The automaton before its tables are laid out: what the compiler makes, what two automata are
//! joined from, and how it is frozen to what the walk reads.

use super::{
    Here, NOWHERE, Paths, Slot, State, StateId, TooManyStates, first_word, hash, length_bit,
};
use std::collections::BTreeMap;

/// States by number; the first is the record's root.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    pub(super) nodes: Vec<Node>,
}

/// A state, and where it leads.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) scalar: Here,
    pub(super) object: Here,
    pub(super) array: Here,
    /// Where the first elements lead; the others to `element`.
    pub(super) elements: Vec<StateId>,
    pub(super) element: StateId,
    /// Where members of these names lead; the others to `other`.
    pub(super) names: BTreeMap<Box<str>, StateId>,
    pub(super) other: StateId,
}

impl Node {
    pub(super) fn member(&self, name: &str) -> StateId {
        self.names.get(name).copied().unwrap_or(self.other)
    }

    pub(super) fn element(&self, number: usize) -> StateId {
        self.elements.get(number).copied().unwrap_or(self.element)
    }
}

impl Automaton {
    /// The tables for the walk.
    pub(super) fn frozen(self, decides: Vec<bool>) -> Result<Paths, TooManyStates> {
        let elements = vec![Box::default()];
        let (states, slots, names) = (Vec::new(), Vec::new(), Vec::new());
        let mut paths = Paths { states, slots, names, elements, decides };
        for node in &self.nodes {
            let state = paths.state(node).map_err(|_| TooManyStates)?;
            paths.states.push(state);
        }
        Ok(paths)
    }
}

impl Paths {
    fn state(&mut self, node: &Node) -> Result<State, std::num::TryFromIntError> {
        let mut state = State {
            scalar: node.scalar,
            object: node.object,
            array: node.array,
            element: node.element,
            elements: 0,
            other: node.other,
            lengths: 0,
            base: 0,
            mask: 0,
        };
        if !node.elements.is_empty() {
            state.elements = u32::try_from(self.elements.len())?;
            self.elements.push(node.elements.as_slice().into());
        }
        self.table(&node.names, &mut state)?;
        Ok(state)
    }

    /// The state's hash table: a slot for every name that some path spells here.
    fn table(
        &mut self,
        names: &BTreeMap<Box<str>, StateId>,
        state: &mut State,
    ) -> Result<(), std::num::TryFromIntError> {
        if names.is_empty() {
            return Ok(());
        }
        let size = (names.len() * 2).next_power_of_two();
        let base = self.slots.len();
        let empty = Slot { word: 0, length: 0, name: 0, next: NOWHERE };
        self.slots.resize(base + size, empty);
        state.base = u32::try_from(base)?;
        state.mask = u32::try_from(size - 1)?;
        for (name, &next) in names {
            let bytes = name.as_bytes();
            state.lengths |= length_bit(bytes.len());
            let word = first_word(bytes, 0, bytes.len());
            let mut probe = hash(word, bytes.len()) & state.mask;
            while self.slots[base + probe as usize].next != NOWHERE {
                probe = (probe + 1) & state.mask;
            }
            let (length, name) = (u32::try_from(bytes.len())?, u32::try_from(self.names.len())?);
            self.slots[base + probe as usize] = Slot { word, length, name, next };
            self.names.extend_from_slice(bytes);
        }
        Ok(())
    }
}
