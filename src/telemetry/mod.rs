//! What limpid tells: Prometheus metrics (published once per batch), its health, and the log.
//!
//! Nothing here is told per record, and nothing of a record's content is ever told: see the
//! invariants of [`table`] and [`log`].

mod health;
pub mod log;
mod metrics;
mod process;
pub mod table;

pub use health::{Health, PolicySet, PolicyState, Status};
pub use log::{LogFormat, log_init};
pub use metrics::{Metrics, RouteTotals, Totals};
