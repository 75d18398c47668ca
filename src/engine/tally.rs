//! What a batch did, in plain numbers. The loop publishes it once per batch.

use crate::error::Reason;

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

/// A rule's counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RuleTally {
    /// Values it decided.
    pub hits: u64,
    /// Of them, those of another kind.
    pub mismatches: u64,
}

/// What the records of one batch came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// By [`super::Route::index`]; grown on demand.
    pub routes: Vec<RouteTally>,
    /// By rule: `policies.rule_base(slot) + rule`. Rows of untouched plans are all zero.
    pub rules: Vec<RuleTally>,
    /// Slots of the plans used in this batch, each once.
    pub touched: Vec<usize>,
    /// By slot: records it cleaned or withheld in this batch.
    pub plan_records: Vec<u64>,
}

impl Tally {
    /// The row of a route, made if it is new.
    pub fn route(&mut self, index: usize) -> &mut RouteTally {
        if self.routes.len() <= index {
            self.routes.resize_with(index + 1, RouteTally::default);
        }
        &mut self.routes[index]
    }
}
