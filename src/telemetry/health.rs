//! Whether limpid is at work: starting → ready → draining, or broken, and each lane's last
//! progress.
//!
//! Lanes and the watch over the brokers write, the admin server reads. Two questions are kept apart.
//! *Ready*: do records flow, as far as limpid can tell? Every lane is in the group, a broker answers.
//! *Alive*: would a restart help? A lane that waits for a broker goes on by itself, and a restart would
//! only make it rejoin; so only a fatal error says no, and a lane whose loop has stopped turning. A loop
//! turns many times a second, whatever brokers do: it waits for nothing longer than a few seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Some lane isn't in its group: not yet, or not any more.
    Starting,
    /// Every lane is in its group, and a broker answers.
    Ready,
    /// No broker has answered for a while.
    Unreachable,
    /// The loop of the lane with this number does not turn.
    Stuck(usize),
    /// It delivers what it has read, and stops.
    Draining,
    /// It stopped for this reason, which is never made of a record.
    Broken(String),
}

impl Status {
    /// Would a restart be of no use?
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        !matches!(self, Self::Broken(_) | Self::Stuck(_))
    }
}

/// A loop that has not turned for so long is stuck. The longest that one turn may wait is some ten
/// seconds, for a broker that takes its time over offsets.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Brokers that have not answered for so long, asked every few seconds, count as gone.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(15);

/// Shared by the lanes and the admin server.
#[derive(Debug)]
pub struct Health {
    /// Draining or broken; otherwise the lanes say.
    ending: Mutex<Option<Status>>,
    lanes: Vec<Lane>,
    start: Instant,
    /// When a broker last answered.
    heard: Moment,
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

#[derive(Debug, Default)]
struct Lane {
    /// Its last progress; never while it is out of its group.
    progress: Moment,
    /// The last turn of its loop.
    turn: Moment,
}

/// Milliseconds from the start to something, plus one; 0 for never.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn is_at(&self, since_start: Duration) {
        let since = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(since + 1, Ordering::Relaxed);
    }

    fn is_never(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// How long ago it was.
    fn ago(&self, since_start: Duration) -> Option<Duration> {
        let at = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(since_start.saturating_sub(Duration::from_millis(at)))
    }
}

impl Health {
    /// Starting, with so many lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        Self {
            ending: Mutex::default(),
            lanes,
            start: Instant::now(),
            heard: Moment::default(),
            policies: Mutex::default(),
        }
    }

    /// A lane has joined its group, or has delivered a batch, or has found nothing to do.
    pub fn progress(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.progress.is_at(self.start.elapsed());
        }
    }

    /// The group has gone on without a lane: it was silent for too long.
    pub fn lost(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.progress.is_never();
        }
    }

    /// A lane's loop has turned.
    pub fn turned(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            lane.turn.is_at(self.start.elapsed());
        }
    }

    /// A broker has answered.
    pub fn heard(&self) {
        self.heard.is_at(self.start.elapsed());
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
        ending.clone().unwrap_or_else(|| self.at_work(self.start.elapsed()))
    }

    fn at_work(&self, now: Duration) -> Status {
        let stuck = |lane: &Lane| lane.turn.ago(now).is_some_and(|ago| ago > STUCK_AFTER);
        if let Some(lane) = self.lanes.iter().position(stuck) {
            return Status::Stuck(lane);
        }
        if self.heard.ago(now).is_some_and(|ago| ago > UNREACHABLE_AFTER) {
            return Status::Unreachable;
        }
        let (joined, lanes) = self.lanes();
        if joined == lanes { Status::Ready } else { Status::Starting }
    }

    /// How many lanes are in their group, and how many there are.
    #[must_use]
    pub fn lanes(&self) -> (usize, usize) {
        (self.quiet().flatten().count(), self.lanes.len())
    }

    /// By lane: how long ago its last progress was; `None` while it is not in its group.
    pub fn quiet(&self) -> impl Iterator<Item = Option<Duration>> {
        let now = self.start.elapsed();
        self.lanes.iter().map(move |lane| lane.progress.ago(now))
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
    fn a_lane_that_the_group_has_lost_makes_it_unready_not_dead() {
        let health = Health::new(1);
        health.progress(0);
        health.lost(0);
        assert_eq!((health.status(), health.lanes()), (Status::Starting, (0, 1)));
        assert!(health.status().is_alive());
        health.progress(0);
        assert_eq!(health.status(), Status::Ready);
    }

    #[test]
    fn a_loop_that_does_not_turn_is_stuck_and_silent_brokers_are_gone() {
        let health = Health::new(2);
        (0..2).for_each(|lane| health.progress(lane));
        let later = |more: u64| health.start.elapsed() + Duration::from_secs(more);
        assert_eq!(health.at_work(later(3_600)), Status::Ready, "nobody has looked yet");
        health.heard();
        assert_eq!(health.at_work(later(10)), Status::Ready);
        assert_eq!(health.at_work(later(20)), Status::Unreachable);
        assert!(Status::Unreachable.is_alive(), "a restart would not bring them back");
        health.turned(1);
        assert_eq!(health.at_work(later(50)), Status::Unreachable);
        assert_eq!(health.at_work(later(70)), Status::Stuck(1));
        assert!(!Status::Stuck(1).is_alive());
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
