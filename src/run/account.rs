//! What released batches came to, until it is certain.
//!
//! A batch's memory goes back as soon as its records are stored; whether they count is known when
//! their transaction is committed, many batches later. What is kept until then is small: one row of
//! numbers for all of them, and eight bytes a record, so that delays end where a reader's wait does.
//! Of a transaction that is undone nothing is told: its records come again.

use crate::engine::{RouteTally, Tally};
use crate::policy::Policies;
use crate::telemetry::Metrics;
use std::sync::Arc;

/// What is stored and not yet certain.
#[derive(Default)]
pub struct Account {
    /// By policies: a transaction may see a reload.
    sums: Vec<(Arc<Policies>, Tally)>,
    /// By route: records' own times, in milliseconds since the Unix epoch.
    times: Vec<Vec<i64>>,
    /// Emptied, for the next. It holds no policies: replaced ones go as soon as nobody needs them.
    spare: Tally,
}

impl Account {
    /// Adds a batch.
    pub fn add(&mut self, policies: &Arc<Policies>, tally: &Tally) {
        let same = |(other, _): &(Arc<Policies>, Tally)| Arc::ptr_eq(other, policies);
        if !self.sums.last().is_some_and(same) {
            self.sums.push((policies.clone(), std::mem::take(&mut self.spare)));
        }
        if let Some((_, sum)) = self.sums.last_mut() {
            sum.absorb(tally, policies);
        }
    }

    /// Adds the time of a record that has one.
    pub fn add_time(&mut self, route: usize, at_ms: i64) {
        if self.times.len() <= route {
            self.times.resize_with(route + 1, Vec::new);
        }
        self.times[route].push(at_ms);
    }

    /// It is certain, as of `now_ms`: publishes all, and adds it to `total`.
    pub fn count(&mut self, metrics: &Metrics, total: &mut RouteTally, now_ms: i64) {
        for (policies, sum) in &self.sums {
            metrics.records(policies, sum);
            sum.routes.iter().for_each(|row| total.absorb(row));
        }
        for (route, times) in self.times.iter().enumerate().filter(|(_, times)| !times.is_empty()) {
            #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^52 ms")]
            let delays = times.iter().map(|at| (now_ms - at) as f64 / 1_000.0);
            metrics.delays(route, delays);
        }
        self.empty();
    }

    /// It was undone.
    pub fn empty(&mut self) {
        if let Some((_, mut sum)) = self.sums.drain(..).next_back() {
            sum.clear();
            self.spare = sum;
        }
        self.times.iter_mut().for_each(Vec::clear);
    }
}
