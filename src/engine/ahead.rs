//! Looking ahead: whose the next records are, and their plans on the way from memory.
//!
//! With thousands of tenants a record's plan, its tables and its keys are seldom in the cache, and each
//! stands behind a pointer in the one before. Asked for when the record's turn comes, they are waited
//! for in turn. So the engine knows the next few records, and takes one step for each of them whenever
//! it has cleaned one: what a step asks for has arrived when the next one reads it.
//!
//! ```text
//! 1  read the tenant's name; ask for its seat in the table of tenants
//! 2  look it up; ask for the plan, its keys and its row in the tally
//! 3  ask for the plan's lists of states and rules
//! 4  for the states and the rules in them
//! 5  for the states' tables
//! 6  clean
//! ```
//! No states are asked for where records are followed, not walked (`format/shapes.rs`).
//!
//! Nothing but time depends on it. A look-up fails, or panics, for its own record alone.
//!
//! Web events of 10,000 tenants at random, as a share of one tenant's speed (`cargo bench --bench
//! kernel`, in turns, on an EPYC whose caches others share; from the third line on the bench has its
//! tenants' names in a row, as in a fetch buffer, and not where the heap had room):
//!
//! | | alike | each different |
//! | --- | --- | --- |
//! | asked for when the record's turn has come | 0.74 | 0.41 |
//! | looked ahead; tallies of touched plans only | 0.87 | 0.48 |
//! | the states and rules that policies share are one | 0.86 | 0.70 |
//! | and only what few share is asked for | 0.88 | 0.77 |
//! | and no states where records are followed, on Zen 4; one tenant is quicker by 14 % | 0.84 | 0.85 |
//!
//! What is left is the processor's own table of pages: with pages of 2 MB (`GLIBC_TUNABLES=
//! glibc.malloc.hugetlb=1`) the line before the last is 0.94 and 0.85. One tenant pays 25 ns a record.
//!
//! Tried and thrown away: asking for the plan and all that it points to at once, four records ahead, was
//! slower than not asking (1,619 ns alike became 1,809): to ask for what stands behind a pointer is to wait
//! for the pointer. Putting what is each plan's own side by side when policies are put in force gained
//! nothing (0.78 of one tenant's speed before and after): neither by the allocator, which used whatever holes
//! there were, nor packed into one table of states for all, whose numbers a list for each plan held.

use super::tenant::Whose;
use super::{Batch, Route, guarded};
use crate::error::Reason;
use crate::format::json::Scratch;
use crate::format::paths::State;
use crate::keys::EpochKeys;
use crate::policy::{Plan, Policies};
use crate::record::Record;
use crate::scan::prefetch;

/// How many plans there must be: one stays in the cache, and to look ahead costs some 20 ns a record.
pub(super) const PLANS_MIN: usize = 2;
/// Steps for what a plan points to.
const PARTS: usize = 3;
/// Steps before a record is cleaned.
const STEPS: usize = 2 + PARTS;
/// Places for the records on their way; a power of two.
const PLACES: usize = 8;
const _: () = assert!(STEPS < PLACES && PLACES.is_power_of_two());

/// A record on its way.
pub(super) struct Coming<'r> {
    pub(super) route: &'r Route,
    pub(super) record: Record<'r>,
    whose: Result<Whose<'r>, Reason>,
    /// Known from the second step on.
    pub(super) slot: Result<Option<usize>, Reason>,
    /// The slot, unless it is that of the record before: then all is in the cache.
    cold: Option<usize>,
}

impl<'r> Coming<'r> {
    pub(super) fn new(
        route: &'r Route,
        record: Record<'r>,
        whose: Result<Whose<'r>, Reason>,
    ) -> Self {
        Self { route, record, whose, slot: Ok(None), cold: None }
    }
}

/// The records that come next.
pub(super) struct Ahead<'r> {
    /// Record number `n` is in place `n % PLACES`.
    places: [Option<Coming<'r>>; PLACES],
    /// How many steps were taken: record number `n` comes in at step `n`.
    steps: usize,
    /// How many records are on their way.
    waiting: usize,
    /// The slot that was looked up last.
    last: Option<usize>,
}

impl<'r> Ahead<'r> {
    pub(super) const fn new() -> Self {
        Self { places: [const { None }; PLACES], steps: 0, waiting: 0, last: None }
    }

    /// True for none.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes a record in, if there is one more, and a step with each that is on its way. Gives the one
    /// whose turn it is to be cleaned.
    pub(super) fn step(
        &mut self,
        next: Option<Coming<'r>>,
        policies: &Policies,
        keys: &[Option<EpochKeys>],
        batch: &Batch,
        scratch: &Scratch,
    ) -> Option<&Coming<'r>> {
        self.waiting += usize::from(next.is_some());
        if let Some(Coming { whose: Ok(whose), .. }) = &next {
            whose.prefetch(policies);
        }
        let now = self.steps;
        self.steps += 1;
        self.places[now % PLACES] = next;
        self.look_up(now.wrapping_sub(1), policies);
        if let Some(slot) = self.cold(now.wrapping_sub(1)) {
            prefetch(std::slice::from_ref(policies.plan(slot)));
            prefetch(&keys[slot..=slot]);
            batch.tally().prefetch(slot);
        }
        for part in 0..PARTS {
            if let Some(slot) = self.cold(now.wrapping_sub(2 + part)) {
                prefetch_part(policies.plan(slot), part, scratch.follows(slot));
            }
        }
        let ready = self.places[now.wrapping_sub(STEPS) % PLACES].as_ref();
        self.waiting -= usize::from(ready.is_some());
        ready
    }

    fn look_up(&mut self, number: usize, policies: &Policies) {
        let Some(coming) = &mut self.places[number % PLACES] else { return };
        coming.slot =
            coming.whose.and_then(|whose| guarded(|| Ok(whose.slot(policies, coming.route))));
        let slot = coming.slot.unwrap_or_default();
        if slot.is_some() && slot != self.last {
            coming.cold = slot;
            self.last = slot;
        }
    }

    fn cold(&self, number: usize) -> Option<usize> {
        self.places[number % PLACES].as_ref()?.cold
    }
}

/// Asks for what a record needs of its plan, as far as that is not in the cache for other tenants' records.
/// Each part reads what the one before has asked for. A record that will be followed needs no states.
fn prefetch_part(plan: &Plan, part: usize, follows: bool) {
    let Plan { rules, own, .. } = plan;
    match part {
        0 => prefetch(own.rules.list(rules)),
        1 => own.rules.each(rules, |rule| prefetch(std::slice::from_ref(rule))),
        _ => {}
    }
    if follows {
        return;
    }
    let states = plan.paths.states();
    match part {
        0 => prefetch(own.states.list(states)),
        1 => own.states.each(states, |state| prefetch(std::slice::from_ref(state))),
        _ => own.states.each(states, State::prefetch_table),
    }
}
