//! What a batch did, in plain numbers. The loop adds batches up until they are certain, and then
//! publishes the sum.

use crate::error::Reason;
use crate::policy::Policies;
use std::ops::Range;

/// A route's row.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RouteTally {
    /// Records read.
    pub records_in: u64,
    /// Bytes of their values.
    pub bytes_in: u64,
    /// Records made clean, tombstones included.
    pub records_out: u64,
    /// Bytes of the clean values.
    pub bytes_out: u64,
    /// Tombstones passed.
    pub tombstones: u64,
    /// Records withheld, by `Reason as usize`.
    pub withheld: [u64; Reason::ALL.len()],
}

impl RouteTally {
    /// Adds the numbers of another.
    pub fn absorb(&mut self, other: &Self) {
        self.records_in += other.records_in;
        self.bytes_in += other.bytes_in;
        self.records_out += other.records_out;
        self.bytes_out += other.bytes_out;
        self.tombstones += other.tombstones;
        for (sum, count) in self.withheld.iter_mut().zip(other.withheld) {
            *sum += count;
        }
    }
}

/// A rule's counters in one batch. Small: with 10,000 tenants they are seldom in the cache.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RuleTally {
    /// Values it decided.
    pub hits: u32,
    /// Of them, those of another kind.
    pub mismatches: u32,
}

/// What the records of one batch came to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// By [`super::Route::index`]; grown on demand.
    pub routes: Vec<RouteTally>,
    /// By rule: `policies.rule_base(slot) + rule`. Rows of untouched plans are all zero.
    pub rules: Vec<RuleTally>,
    /// Slots of the plans used in this batch, each once.
    pub touched: Vec<usize>,
    /// By slot: records of its tenant in this batch, clean or withheld.
    pub plan_records: Vec<u64>,
    /// The [`Policies`] that the rows are of, and where each slot's rules begin in them.
    pub(crate) generation: u64,
    pub(crate) rule_bases: Vec<usize>,
}

impl Tally {
    /// The row of a route, made if it is new.
    pub fn route(&mut self, index: usize) -> &mut RouteTally {
        if self.routes.len() <= index {
            self.routes.resize_with(index + 1, RouteTally::default);
        }
        &mut self.routes[index]
    }

    /// Makes room for the policies' rules, once for each set of policies.
    pub(super) fn fit(&mut self, policies: &Policies) {
        if self.generation == policies.generation() {
            return;
        }
        let slots = policies.plans().len();
        *self = Self {
            routes: std::mem::take(&mut self.routes),
            rules: vec![RuleTally::default(); policies.rules_total()],
            touched: Vec::with_capacity(slots),
            plan_records: vec![0; slots],
            generation: policies.generation(),
            rule_bases: (0..slots).map(|slot| policies.rule_base(slot)).collect(),
        };
    }

    /// Counts records of a plan.
    pub(super) fn touch(&mut self, slot: usize, records: u64) {
        if self.plan_records[slot] == 0 {
            self.touched.push(slot);
        }
        self.plan_records[slot] += records;
    }

    /// Adds a batch that was cleaned by these policies.
    pub fn absorb(&mut self, batch: &Self, policies: &Policies) {
        self.fit(policies);
        for (index, row) in batch.routes.iter().enumerate() {
            self.route(index).absorb(row);
        }
        for &slot in &batch.touched {
            self.touch(slot, batch.plan_records[slot]);
            let rules = self.rules_of(slot);
            for (sum, counts) in self.rules[rules.clone()].iter_mut().zip(&batch.rules[rules]) {
                sum.hits += counts.hits;
                sum.mismatches += counts.mismatches;
            }
        }
    }

    fn rules_of(&self, slot: usize) -> Range<usize> {
        let end = self.rule_bases.get(slot + 1).copied().unwrap_or(self.rules.len());
        self.rule_bases[slot]..end
    }

    /// Back to zero. Only the rows of touched plans are visited: there may be 10,000 others.
    pub fn clear(&mut self) {
        self.routes.fill_with(RouteTally::default);
        while let Some(slot) = self.touched.pop() {
            self.plan_records[slot] = 0;
            let rules = self.rules_of(slot);
            self.rules[rules].fill(RuleTally::default());
        }
    }
}
