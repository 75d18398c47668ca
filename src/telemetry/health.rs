//! Whether limpid is at work: starting → ready → draining, or broken, and each lane's last
//! progress.
//!
//! Lanes write, the admin server reads. A lane that waits for a broker is not broken: it will go on
//! by itself, and a restart would only make it rejoin. So only a fatal error breaks it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Some lane hasn't joined its group yet.
    Starting,
    /// Every lane has joined.
    Ready,
    /// It delivers what it has read, and stops.
    Draining,
    /// It stopped for this reason, which is never made of a record.
    Broken(String),
}

/// Shared by the lanes and the admin server.
#[derive(Debug)]
pub struct Health {
    /// Draining or broken; otherwise the lanes say.
    ending: Mutex<Option<Status>>,
    lanes: Vec<Lane>,
    start: Instant,
    policies: Mutex<PolicyState>,
}

/// A set of policies, as it is told of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PolicySet {
    /// How many policies it has.
    pub count: usize,
    /// Hex digits that are equal where the policies' texts are.
    pub fingerprint: String,
    /// When it came into force, or was last found to be what the files say; Unix milliseconds.
    pub loaded_ms: i64,
}

/// The policies in force, and what became of a later try.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PolicyState {
    /// What is in force, once it was told.
    pub in_force: Option<PolicySet>,
    /// The last reload was refused: how many faults, and when (Unix milliseconds).
    pub refused: Option<(usize, i64)>,
}

/// Milliseconds from the start to the last progress, plus one; 0 before the lane has joined.
#[derive(Debug, Default)]
struct Lane(AtomicU64);

impl Health {
    /// Starting, with so many lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        Self { ending: Mutex::default(), lanes, start: Instant::now(), policies: Mutex::default() }
    }

    /// A lane has joined its group, or has delivered a batch, or has found nothing to do.
    pub fn progress(&self, lane: usize) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        if let Some(lane) = self.lanes.get(lane) {
            lane.0.store(since + 1, Ordering::Relaxed);
        }
    }

    /// These policies are in force, and are what the files say.
    pub fn policies(&self, in_force: PolicySet) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        *policies = PolicyState { in_force: Some(in_force), refused: None };
    }

    /// A reload was refused; what was in force stays.
    pub fn policies_refused(&self, faults: usize, at_ms: i64) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.refused = Some((faults, at_ms));
    }

    /// Which policies are in force.
    #[must_use]
    pub fn policy_state(&self) -> PolicyState {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The drain has begun. What is broken stays broken.
    pub fn draining(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.get_or_insert(Status::Draining);
    }

    /// A fatal error. The first one is kept.
    pub fn broken(&self, reason: impl Into<String>) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*ending, Some(Status::Broken(_))) {
            *ending = Some(Status::Broken(reason.into()));
        }
    }

    /// What the process is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.clone().unwrap_or_else(|| {
            let (joined, lanes) = self.lanes();
            if joined == lanes { Status::Ready } else { Status::Starting }
        })
    }

    /// How many lanes have joined, and how many there are.
    #[must_use]
    pub fn lanes(&self) -> (usize, usize) {
        (self.quiet().flatten().count(), self.lanes.len())
    }

    /// By lane: how long ago its last progress was; `None` before it has joined.
    pub fn quiet(&self) -> impl Iterator<Item = Option<Duration>> {
        let now = self.start.elapsed();
        self.lanes.iter().map(move |lane| {
            let at = lane.0.load(Ordering::Relaxed).checked_sub(1)?;
            Some(now.saturating_sub(Duration::from_millis(at)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_every_lane_has_joined() {
        let health = Health::new(2);
        assert_eq!(health.status(), Status::Starting);
        health.progress(1);
        assert_eq!((health.status(), health.lanes()), (Status::Starting, (1, 2)));
        health.progress(0);
        assert_eq!(health.status(), Status::Ready);
        assert!(health.quiet().all(|quiet| quiet.is_some()));
    }

    #[test]
    fn a_broken_process_does_not_drain_itself_healthy() {
        let health = Health::new(0);
        health.draining();
        assert_eq!(health.status(), Status::Draining);
        health.broken("first");
        health.broken("second");
        health.draining();
        assert_eq!(health.status(), Status::Broken("first".into()));
    }
}
