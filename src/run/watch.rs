//! The watch over the brokers: asks one every few seconds, and tells health whether it answered.
//!
//! Lanes cannot tell: one that has nothing to fetch looks like one whose brokers are gone, and their
//! client reports lost connections, not found ones. So a client of its own asks, on a thread of its
//! own, for as long as lanes run.

use crate::config::Config;
use crate::kafka::topics::Scout;
use crate::telemetry::Health;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, Thread};
use std::time::{Duration, Instant};

/// From one question to the next.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A watch that stands.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Watch {
    /// Starts it.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        config: &'scope Config,
        health: &'scope Health,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = over.clone();
        let work = move || match Scout::new(config) {
            Ok(scout) => stand(&scout, health, &asked),
            Err(error) => unwatched(&error),
        };
        let thread = thread::Builder::new().name("watch".into()).spawn_scoped(scope, work);
        let thread = thread.inspect_err(|error| unwatched(error)).ok();
        Self { over, thread: thread.map(|handle| handle.thread().clone()) }
    }

    /// Ends it; it may take the time of one answer.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            thread.unpark();
        }
    }
}

fn stand(scout: &Scout, health: &Health, over: &AtomicBool) {
    let mut answers = true;
    while !over.load(Ordering::Relaxed) {
        let next = Instant::now() + EVERY;
        let answered = scout.ping(PATIENCE).is_ok();
        if answered {
            health.heard();
        }
        if answered != answers {
            answers = answered;
            tell(answers);
        }
        while !over.load(Ordering::Relaxed) && Instant::now() < next {
            thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// Then readiness rests on the lanes alone.
fn unwatched(error: &dyn std::fmt::Display) {
    tracing::warn!("nobody watches over the brokers: {error}");
}

fn tell(answers: bool) {
    if answers {
        tracing::info!("a broker answers again");
    } else {
        tracing::warn!("no broker answers; waiting, with nothing lost");
    }
}
