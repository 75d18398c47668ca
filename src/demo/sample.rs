//! One event at a time, followed from the raw topic to the clean one, to be shown.

use super::events::{Event, Kind, NUMBER_HEADER, TENANTS};
use crate::kafka::cluster::Tapped;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No event is under way.
const NONE: u64 = u64::MAX;

/// An event before and after.
pub(super) struct Sample {
    pub(super) kind: Kind,
    pub(super) tenant: &'static str,
    pub(super) before: Vec<u8>,
    pub(super) after: Option<Vec<u8>>,
}

/// Asked for by the view, filled in by the feed, then by the tap, taken by the view.
pub(super) struct Samples {
    wanted: AtomicBool,
    /// Number of the event under way, for a look that takes no lock.
    number: AtomicU64,
    turn: AtomicU64,
    sample: Mutex<Option<Sample>>,
}

impl Samples {
    pub(super) const fn new() -> Self {
        Self {
            wanted: AtomicBool::new(false),
            number: AtomicU64::new(NONE),
            turn: AtomicU64::new(0),
            sample: Mutex::new(None),
        }
    }

    /// Asks for the next one: kinds and tenants in turn.
    pub(super) fn ask(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Takes this event, if it is the one wanted.
    pub(super) fn offer(&self, number: u64, event: &Event) {
        if !self.wanted.load(Ordering::Relaxed) || event.flaw.is_some() {
            return;
        }
        let (kind, tenant) = turn(self.turn.load(Ordering::Relaxed));
        if event.kind != Some(kind) || event.tenant != tenant {
            return;
        }
        self.wanted.store(false, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Relaxed);
        *self.lock() = Some(Sample { kind, tenant, before: event.value.clone(), after: None });
        self.number.store(number, Ordering::Release);
    }

    /// Takes what became of it, if this record is it.
    pub(super) fn came(&self, record: &Tapped<'_>) {
        let number = self.number.load(Ordering::Acquire);
        if number == NONE || record.header(NUMBER_HEADER) != Some(number.to_string().as_bytes()) {
            return;
        }
        self.number.store(NONE, Ordering::Relaxed);
        if let Some(sample) = self.lock().as_mut() {
            sample.after = record.value().map(<[u8]>::to_vec);
        }
    }

    /// The sample, once it is whole.
    pub(super) fn take(&self) -> Option<Sample> {
        self.lock().take_if(|sample| sample.after.is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sample>> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every kind with every tenant within nine turns, both changing each time.
fn turn(number: u64) -> (Kind, &'static str) {
    let kinds = Kind::ALL.len() as u64;
    let pick = |number: u64| usize::try_from(number % kinds).unwrap_or(0);
    (Kind::ALL[pick(number)], TENANTS[pick(number + number / kinds)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_turns_show_every_kind_of_every_tenant() {
        let mut seen: Vec<_> =
            (0..9).map(|number| (turn(number).0.name(), turn(number).1)).collect();
        assert_eq!(seen[..3], [("web", "acme"), ("access", "globex"), ("audit", "initech")]);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9);
    }
}
