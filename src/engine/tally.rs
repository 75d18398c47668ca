//! What a batch did, in plain numbers. The loop adds batches up until they are certain, and then
//! publishes the sum.

use crate::error::Reason;
use crate::policy::Policies;
use crate::scan::prefetch;
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

/// A rule's counters in one batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RuleTally {
    /// Values it decided.
    pub hits: u32,
    /// Of them, those of another kind.
    pub mismatches: u32,
}

/// A plan's row: its records, and its rules' counters.
#[derive(Debug, Clone, Copy)]
pub struct PlanTally<'a> {
    /// The plan's slot.
    pub slot: usize,
    /// Records of its tenant, clean or withheld.
    pub records: u64,
    /// By rule.
    pub rules: &'a [RuleTally],
}

/// What the records of one batch came to.
///
/// A plan has a row only once it has a record, and rows stand in the order of those: a row for each of
/// 10,000 plans, a place for each, was memory that every record waited for, 1 MB a batch.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// By [`super::Route::index`]; grown on demand.
    pub routes: Vec<RouteTally>,
    rows: Vec<Row>,
    /// The rows' counters, one row behind the other.
    rules: Vec<RuleTally>,
    /// By slot: the number of its row, or [`NO_ROW`].
    row_of: Vec<u32>,
    /// The [`Policies`] that the slots are of.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    slot: usize,
    records: u64,
    /// Where its rules stand in `Tally::rules`, and how many they are.
    first: usize,
    count: usize,
}

impl Row {
    const fn rules(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// Where a plan's counters stand.
pub(crate) struct RulesAt(Range<usize>);

const NO_ROW: u32 = u32::MAX;

impl Tally {
    /// The row of a route, made if it is new.
    pub fn route(&mut self, index: usize) -> &mut RouteTally {
        if self.routes.len() <= index {
            self.routes.resize_with(index + 1, RouteTally::default);
        }
        &mut self.routes[index]
    }

    /// The rows of the plans that had records, each once.
    pub fn plans(&self) -> impl Iterator<Item = PlanTally<'_>> {
        self.rows.iter().map(|row| PlanTally {
            slot: row.slot,
            records: row.records,
            rules: &self.rules[row.rules()],
        })
    }

    /// Makes room for the policies' slots, once for each set of policies.
    pub(crate) fn fit(&mut self, policies: &Policies) {
        if self.generation != policies.generation() {
            self.rows.clear();
            self.rules.clear();
            self.row_of.clear();
            self.row_of.resize(policies.plans().len(), NO_ROW);
            self.generation = policies.generation();
        }
    }

    /// Asks for what [`Self::touch`] looks at first.
    #[inline]
    pub(super) fn prefetch(&self, slot: usize) {
        prefetch(self.row_of.get(slot..=slot).unwrap_or_default());
    }

    /// Counters of rules.
    #[inline]
    pub(crate) fn at(&mut self, RulesAt(rules): RulesAt) -> &mut [RuleTally] {
        &mut self.rules[rules]
    }

    /// Counts records of a plan; gives the place of its rules' counters.
    #[inline]
    pub(crate) fn touch(&mut self, policies: &Policies, slot: usize, records: u64) -> RulesAt {
        if self.row_of[slot] == NO_ROW {
            self.add_row(policies, slot);
        }
        let row = &mut self.rows[self.row_of[slot] as usize];
        row.records += records;
        RulesAt(row.rules())
    }

    #[cold]
    fn add_row(&mut self, policies: &Policies, slot: usize) {
        let (first, count) = (self.rules.len(), policies.plan(slot).rules.len());
        self.row_of[slot] = u32::try_from(self.rows.len()).expect("slots are numbered by u32");
        self.rows.push(Row { slot, records: 0, first, count });
        self.rules.resize(first + count, RuleTally::default());
    }

    /// Adds a batch that was cleaned by these policies.
    pub fn absorb(&mut self, batch: &Self, policies: &Policies) {
        self.fit(policies);
        for (index, row) in batch.routes.iter().enumerate() {
            self.route(index).absorb(row);
        }
        for plan in batch.plans() {
            let sums = self.touch(policies, plan.slot, plan.records);
            for (sum, counts) in self.at(sums).iter_mut().zip(plan.rules) {
                sum.hits += counts.hits;
                sum.mismatches += counts.mismatches;
            }
        }
    }

    /// Back to zero. Only the places of plans that have a row are visited: there may be 10,000 others.
    pub fn clear(&mut self) {
        self.routes.fill_with(RouteTally::default);
        self.rows.drain(..).for_each(|row| self.row_of[row.slot] = NO_ROW);
        self.rules.clear();
    }
}
