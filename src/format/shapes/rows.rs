//! What each policy does behind each piece: rows of actions.
//!
//! A row is made when a record of its policy comes to a piece that it lacks. Rows that say the same are one.

use super::Action;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Most actions that all rows have: 4 MB, twice, as they are found by what they say.
pub(super) const ACTIONS_MAX: usize = 2 << 20;

/// What policies do behind each piece.
#[derive(Default)]
pub(super) struct Rows {
    /// By slot.
    of: Vec<RowOf>,
    rows: Vec<Box<[Action]>>,
    numbers: HashMap<Box<[Action]>, u32, RandomState>,
    /// How many actions all rows have.
    total: usize,
}

/// A policy's row.
#[derive(Clone, Copy, Default)]
struct RowOf {
    number: u32,
    /// How often its records could not be followed, of late.
    misses: u32,
}

impl Rows {
    /// The row of a policy that has none yet.
    const NOT_MADE: u32 = 0;
    /// The row of a policy that gets none: there is no room, or its records were not followed.
    const REFUSED: u32 = 1;

    /// There are other policies from now on, so many.
    pub(super) fn fit(&mut self, plans: usize) {
        self.of.clear();
        self.of.resize(plans, RowOf::default());
        self.clear();
    }

    #[cfg(test)]
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.of.fill(RowOf::default());
        self.numbers.clear();
        self.total = 0;
        self.rows.clear();
        self.rows.resize(2, Box::default());
    }

    /// The policy's row; what is not in it is not known yet.
    #[inline(always)]
    pub(super) fn get(&self, slot: usize) -> &[Action] {
        &self.rows[self.of[slot].number as usize]
    }

    /// Are its records not followed?
    pub(super) fn is_refused(&self, slot: usize) -> bool {
        self.of[slot].number == Self::REFUSED
    }

    /// Has it a row?
    pub(super) fn is_made(&self, slot: usize) -> bool {
        self.of[slot].number > Self::REFUSED
    }

    /// From now on its records are not followed.
    pub(super) fn refuse(&mut self, slot: usize) {
        self.of[slot].number = Self::REFUSED;
    }

    /// A record of the policy was followed.
    pub(super) fn hit(&mut self, slot: usize) {
        let RowOf { misses, .. } = &mut self.of[slot];
        *misses = misses.saturating_sub(1);
    }

    /// A record of the policy could not be followed and taught nothing. One that does what is not done along
    /// shapes would spoil the luck of all others.
    pub(super) fn miss(&mut self, slot: usize) {
        let RowOf { misses, number } = &mut self.of[slot];
        *misses += 4;
        if *misses >= 256 {
            *number = Self::REFUSED;
        }
    }

    /// Lets policies try again that were refused.
    pub(super) fn forgive(&mut self) {
        self.of
            .iter_mut()
            .filter(|of| of.number == Self::REFUSED)
            .for_each(|of| *of = RowOf::default());
    }

    /// Gives the policy this row, if there is room.
    pub(super) fn set(&mut self, slot: usize, row: Box<[Action]>) {
        self.of[slot].number = Self::NOT_MADE;
        if self.total + row.len() > ACTIONS_MAX {
            self.forget_unused();
        }
        self.of[slot].number = match self.numbers.get(&row) {
            Some(&number) => number,
            // Where so much room is needed, rows would be made anew all the time.
            None if self.total + row.len() > ACTIONS_MAX => Self::REFUSED,
            None => {
                let number = self.rows.len() as u32;
                self.total += row.len();
                self.rows.push(row.clone());
                self.numbers.insert(row, number);
                number
            }
        };
    }

    /// Lets go of the rows that no policy has any more, as it has longer ones.
    fn forget_unused(&mut self) {
        let (of, rows) = (self.of.clone(), std::mem::take(&mut self.rows));
        self.clear();
        for (slot, &before) in of.iter().enumerate() {
            self.of[slot] = before;
            if before.number > Self::REFUSED {
                self.set(slot, rows[before.number as usize].clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::paths::RuleId;
    use crate::format::shapes::Does;

    #[test]
    fn policies_that_there_is_no_room_for_are_refused() {
        let mut rows = Rows { of: vec![RowOf::default(); 4], ..Rows::default() };
        rows.clear();
        let row = |rule: RuleId, length: usize| -> Box<[Action]> {
            vec![Action::rule(rule, Does::Keeps); length].into()
        };
        rows.set(0, row(0, ACTIONS_MAX / 2));
        rows.set(1, row(0, ACTIONS_MAX / 2));
        assert_eq!(rows.total, ACTIONS_MAX / 2, "rows that are alike are one");
        rows.set(2, row(1, ACTIONS_MAX / 2));
        rows.set(3, row(2, 1));
        assert!(rows.is_refused(3) && !rows.is_refused(2));
        rows.set(2, row(3, 7));
        rows.set(3, row(2, 1));
        assert!(!rows.is_refused(3), "what nobody has any more made room");
        assert_eq!(rows.get(2).len(), 7);
        assert_eq!(rows.get(1).len(), ACTIONS_MAX / 2);
    }
}
