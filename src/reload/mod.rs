//! Policies and keys without a restart: compiled, tried on their own tests, swapped whole.
//!
//! The problem: a policy that is being written must never be in force half, a faulty one never at
//! all, and lanes must not wait for either. So one thread of its own reads, compiles and tests; a
//! lane asks once a batch which policies are in force, and a batch keeps those it began with. What is
//! refused changes nothing: the last good set stays, and metrics, `/readyz` and the log say so.
//!
//! Three things ask for a reload: SIGHUP, `POST /reload`, and the reloader itself when it sees that a
//! file has changed. It looks at names, sizes and times every few seconds rather than listening for
//! the system's events: those do not cross network file systems, and what they say of a swapped link
//! differs. A look that takes long comes seldom: it may cost a hundredth of a core.
//!
//! Invariant: what a look found is loaded only when the next look finds the same. A policy file cut
//! off in the middle can be a valid policy with fewer rules; whoever is still writing is waited for.
//! Who asks by hand says that all is written.

mod library;
mod stamp;

pub use library::{Fingerprint, Library, Loaded, Look};

use crate::clock::now_ms;
use crate::config::Config;
use crate::document::Faults;
use crate::error::{Error, Result};
use crate::policy::Policies;
use crate::telemetry::{Health, Metrics, PolicySet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The policies in force. A reload swaps them here, whole, between batches.
#[derive(Debug)]
pub struct InForce(RwLock<Arc<Policies>>);

impl InForce {
    /// These, until others come.
    #[must_use]
    pub fn new(policies: Arc<Policies>) -> Self {
        Self(RwLock::new(policies))
    }

    /// Those of this moment; a batch keeps the ones it began with.
    #[must_use]
    pub fn current(&self) -> Arc<Policies> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, new batches get these.
    pub fn swap(&self, policies: Arc<Policies>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = policies;
    }
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of it.
    pub outcome: Outcome,
    /// Policies in the folder.
    pub policies: usize,
    /// How many of them were compiled for it.
    pub compiled: usize,
    /// How long it took.
    pub took: Duration,
    /// What is wrong, a line each, if it was refused: places and words of limpid's own.
    pub faults: Vec<String>,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The new set is in force.
    Loaded,
    /// Nothing has changed.
    Unchanged,
    /// Something is wrong: the last good set stays in force.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Loaded, Self::Unchanged, Self::Refused];

    /// Its name in metrics, the log and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// Asks the reloader. Clones ask the same one.
#[derive(Debug, Clone)]
pub struct Reloads(mpsc::Sender<Asked>);

#[derive(Debug)]
struct Asked {
    by: &'static str,
    answer: Option<oneshot::Sender<Report>>,
}

impl Reloads {
    /// Asks for a reload and does not wait for it. `by` is who asks, for the log.
    pub fn ask(&self, by: &'static str) {
        // If the reloader is gone, the process is ending.
        let _ = self.0.send(Asked { by, answer: None });
    }

    /// Asks for a reload and waits for what it came to; `None` if the reloader is gone.
    pub async fn report(&self, by: &'static str) -> Option<Report> {
        let (answer, report) = oneshot::channel();
        self.0.send(Asked { by, answer: Some(answer) }).ok()?;
        report.await.ok()
    }
}

/// The policies that a run starts with.
pub struct Start {
    /// What was compiled: a reload goes on from it.
    pub library: Library,
    /// What was loaded.
    pub loaded: Loaded,
    /// It, in force.
    pub in_force: Arc<InForce>,
}

impl Start {
    /// Loads the policies and keys of a configuration.
    ///
    /// # Errors
    /// All that is wrong with them, with places and hints.
    pub fn new(config: &Config) -> Result<Self> {
        let mut library = Library::new(&config.policies, config.keyring.clone());
        let mut faults = Faults::default();
        let loaded = library.load(&mut faults);
        faults.sort();
        let refused = || Error::usage(format!("the policies are refused\n{faults:#}"));
        let mut loaded = loaded.ok_or_else(refused)?;
        let policies = Arc::new(loaded.policies.take().unwrap_or_default());
        config.check_default_policies(&policies)?;
        Ok(Self { library, loaded, in_force: Arc::new(InForce::new(policies)) })
    }

    /// Tells that they are in force.
    pub fn tell(&self, metrics: &Metrics, health: &Health) {
        metrics.policies(&self.in_force.current());
        self.loaded.tell(metrics, health);
    }
}

/// Reloads what `library` holds into `in_force`.
pub struct Reloader {
    /// Says which default policies there must be, and how often to look.
    pub config: Arc<Config>,
    /// What was compiled so far.
    pub library: Library,
    /// Where new policies go.
    pub in_force: Arc<InForce>,
    /// Where numbers go.
    pub metrics: Arc<Metrics>,
    /// Where it is told what is in force.
    pub health: Arc<Health>,
}

impl Reloader {
    /// Starts the thread. It ends when every [`Reloads`] is dropped.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(mut self) -> Result<Reloads> {
        let (sender, asked) = mpsc::channel();
        let mut watch = self.config.reload_watch.map(Watch::new);
        let work = move || {
            while let Some(asked) = next(&asked, watch.as_mut(), &self.library) {
                let report = self.reload();
                told(&report, asked.by);
                // Who asked may have gone.
                asked.answer.map(|answer| answer.send(report));
            }
        };
        thread::Builder::new()
            .name("reload".into())
            .spawn(work)
            .map_err(|error| Error::fatal(format!("the reload thread cannot start: {error}")))?;
        Ok(Reloads(sender))
    }

    /// Loads, and swaps if all is well.
    pub fn reload(&mut self) -> Report {
        let begin = Instant::now();
        let mut faults = Faults::default();
        let loaded = self.library.load(&mut faults);
        faults.sort();
        let mut lines: Vec<String> = faults.iter().map(line).collect();
        let policies = loaded.as_ref().and_then(|loaded| loaded.policies.as_ref());
        if let Some(Err(error)) = policies.map(|new| self.config.check_default_policies(new)) {
            lines.extend(error.to_string().lines().map(str::to_owned));
            self.library.not_taken();
        }
        let (count, compiled) =
            loaded.as_ref().map_or((0, 0), |loaded| (loaded.count, loaded.compiled));
        let outcome = match loaded {
            Some(loaded) if lines.is_empty() => self.take(loaded),
            _ => Outcome::Refused,
        };
        let took = begin.elapsed();
        self.metrics.reloaded(outcome.name());
        if outcome == Outcome::Refused {
            self.metrics.policies_refused();
            self.health.policies_refused(lines.len(), now_ms());
        }
        Report { outcome, policies: count, compiled, took, faults: lines }
    }

    fn take(&self, loaded: Loaded) -> Outcome {
        loaded.tell(&self.metrics, &self.health);
        let Some(policies) = loaded.policies else { return Outcome::Unchanged };
        let policies = Arc::new(policies);
        self.metrics.policies(&policies);
        self.in_force.swap(policies);
        Outcome::Loaded
    }
}

impl Loaded {
    /// Tells that this set is in force.
    pub fn tell(&self, metrics: &Metrics, health: &Health) {
        let fingerprint = data_encoding::HEXLOWER.encode(&self.fingerprint);
        let loaded_ms = now_ms();
        metrics.policies_good(loaded_ms);
        health.policies(PolicySet { count: self.count, fingerprint, loaded_ms });
    }
}

/// A fault as one line of the log: its place, its message, its code. Not the file's text.
fn line(fault: &crate::document::Fault) -> String {
    let (line, column) = fault.source.place(fault.span.start);
    format!("{}:{line}:{column}: {} [{}]", fault.source.name, fault.message, fault.code)
}

/// More faults than these are counted, not listed.
const FAULTS_TOLD_MAX: usize = 20;

fn told(report: &Report, by: &'static str) {
    let Report { outcome, policies, compiled, took, faults } = report;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Loaded => tracing::info!(by, policies, compiled, took_ms, "policies reloaded"),
        Outcome::Unchanged => tracing::info!(by, policies, took_ms, "policies are as they were"),
        Outcome::Refused => {
            let count = faults.len();
            tracing::error!(by, faults = count, "policies refused: the last good ones stay");
            for fault in faults.iter().take(FAULTS_TOLD_MAX) {
                tracing::error!("{fault}");
            }
        }
    }
}

/// Waits for somebody to ask, looking meanwhile; `None` when nobody is left who could.
fn next(
    asked: &mpsc::Receiver<Asked>,
    mut watch: Option<&mut Watch>,
    library: &Library,
) -> Option<Asked> {
    loop {
        let Some(watch) = watch.as_mut() else { return asked.recv().ok() };
        match asked.recv_timeout(watch.pause) {
            Ok(asked) => return Some(asked),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if watch.sees_change(library) => {
                return Some(Asked { by: "watch", answer: None });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A look may take this part of the time between two.
const LOOK_SHARE: u32 = 100;

/// What the looks at the files have found.
struct Watch {
    every: Duration,
    pause: Duration,
    /// What the last look found.
    seen: Option<Look>,
}

impl Watch {
    fn new(every: Duration) -> Self {
        Self { every, pause: every, seen: None }
    }

    /// Is there something new, and has it come to rest?
    fn sees_change(&mut self, library: &Library) -> bool {
        let begin = Instant::now();
        let now = library.look();
        self.pause = self.every.max(begin.elapsed() * LOOK_SHARE);
        let rests = self.seen == Some(now);
        self.seen = Some(now);
        rests && library.looked() != Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_come_to_rest() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |text: &str| {
            // Another length each time: the stamp differs within one tick of the clock, too.
            std::fs::write(dir.path().join("acme.yaml"), text).expect("a file");
        };
        let policy = "tenant: acme\nversion: 1\nrules: []\n";
        write(policy);
        let mut library = Library::new(dir.path(), None);
        let mut watch = Watch::new(Duration::from_secs(1));
        assert!(library.load(&mut Faults::default()).is_some());
        assert!(!watch.sees_change(&library) && !watch.sees_change(&library), "nothing is new");

        write("tenant: acme\nversion: 1\nrules:\n");
        assert!(!watch.sees_change(&library), "somebody may still be writing");
        write("tenant: acme\nversion: 1\nrules:\n  - {fields: a, do: drop}\n");
        assert!(!watch.sees_change(&library), "somebody was");
        assert!(watch.sees_change(&library) && watch.sees_change(&library));
        assert!(library.load(&mut Faults::default()).is_some());
        assert!(!watch.sees_change(&library), "it is loaded");
    }
}
