//! The pure middle: tenant, plan, kernel, transforms → [`Clean`] or [`Withheld`].
//!
//! No I/O, no clock, no allocation in steady state. The engine is the only place that can make a
//! [`Clean`]; the brokers take nothing else for a clean topic.

mod batch;
mod tally;

pub use batch::{Batch, Clean, CleanHeaders, Outcome, Withheld};
pub use tally::{RouteTally, RuleTally, Tally};

use crate::policy::Policies;
use crate::record::Record;
use std::sync::Arc;

/// Bounds on one record, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Deepest nesting.
    pub depth: usize,
    /// Largest value that is read, in bytes.
    pub value_bytes: usize,
    /// Largest clean value, in bytes: what the clean topic takes.
    pub clean_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: crate::limits::DEPTH_MAX,
            value_bytes: crate::limits::RECORD_BYTES_MAX,
            clean_bytes: crate::limits::RECORD_BYTES_MAX,
        }
    }
}

/// Where the name of a record's tenant stands.
#[derive(Debug)]
pub enum TenantSource {
    /// Known beforehand: taken from the topic's name, or the only one there is.
    Fixed(Arc<str>),
    /// The value of this header (its last, if repeated with different values: none).
    Header(Box<[u8]>),
    /// The record's key, whole.
    Key,
    /// A member of the JSON value: names from the root.
    Field(Vec<Box<str>>),
    /// Nowhere: only the route's default policy.
    Nowhere,
}

/// What the engine needs to know of a route, for one source topic.
#[derive(Debug)]
pub struct Route {
    /// Index of the route's row in the [`Tally`].
    pub index: usize,
    /// Where the tenant's name is.
    pub tenant: TenantSource,
    /// The tenant whose policy serves records of no or of an unknown tenant.
    pub default_tenant: Option<Arc<str>>,
}

/// Cleans records into batches. One per lane; keeps the scratch.
pub struct Engine {
    limits: Limits,
}

impl Engine {
    /// An engine with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Cleans one record and appends the outcome to `batch`. Never fails: what cannot be made
    /// clean is an outcome too.
    pub fn clean(
        &mut self,
        policies: &Policies,
        route: &Route,
        record: &Record<'_>,
        batch: &mut Batch,
    ) {
        let _ = (policies, route, record, batch, self.limits);
    }
}
