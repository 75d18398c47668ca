//! Looking ahead: asking for what the next records' tenants need while this one is cleaned.
//!
//! With thousands of tenants a record's plan, key and counters are seldom in the processor's cache, and
//! each pointer on the way to them is a wait of its own. The batch is known, so the records behind the
//! one that is being cleaned are told of ([`Ahead::expect`]), and what they need is asked for step by
//! step: the plan first, what it points to when it has come, what that points to after that.
//!
//! Nothing is decided here: whose record it is, the engine finds out again when its turn comes.

use super::tally::Tally;
use crate::policy::Policies;
use crate::scan::prefetch;

/// How many records before its turn a record is told of.
pub const RECORDS_AHEAD: usize = 4;

/// Tenants whose plans are in the cache anyway: for so few nothing is asked for.
pub(super) const FEW: usize = 64;

/// No tenant, or one that only the record's value tells.
const UNKNOWN: usize = usize::MAX;

/// The slots of the records told of, the last first.
#[derive(Debug)]
pub(super) struct Ahead([usize; RECORDS_AHEAD]);

impl Default for Ahead {
    fn default() -> Self {
        Self([UNKNOWN; RECORDS_AHEAD])
    }
}

impl Ahead {
    /// Takes note of a record's slot, and asks for the next part of what each noted one needs.
    pub(super) fn expect<K>(
        &mut self,
        slot: Option<usize>,
        policies: &Policies,
        keys: &[K],
        tally: &Tally,
    ) {
        self.0.rotate_right(1);
        self.0[0] = slot.unwrap_or(UNKNOWN);
        let [first, _, third, fourth] = self.0;
        if let Some(plan) = policies.plans().get(first) {
            prefetch(std::slice::from_ref(plan));
            prefetch(keys.get(first..=first).unwrap_or_default());
            tally.prefetch(policies, first);
        }
        if let Some(plan) = policies.plans().get(third) {
            prefetch(std::slice::from_ref(&*plan.paths));
            prefetch(&plan.rules);
        }
        if let Some(plan) = policies.plans().get(fourth) {
            plan.paths.prefetch();
        }
    }
}
