//! Policies: syntax → check → plan.

mod plan;

pub use plan::{HeaderName, OnMismatch, Plan, Policies, Rule, Unlisted};
