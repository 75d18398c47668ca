//! The service: start-up checks, a thread a lane, one end for all.
//!
//! A lane shares nothing with another but the policies, the metrics and the group on the broker:
//! Kafka spreads the work. A lane that fails for good stops the process, for its partitions would
//! only go to the next lane and fail there; the others drain first.

mod account;
mod pump;
mod routes;
mod start;
mod watch;

pub use pump::{Pump, Tools};
pub use routes::{Resolved, Routes};
pub use start::check;

use crate::config::Config;
use crate::engine::RouteTally;
use crate::error::{Error, Reason, Result};
use crate::kafka::{Member, Membership};
use crate::lane::{Bounds, Delivery};
use crate::reload::InForce;
use crate::telemetry::{Health, Metrics};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Instant;
use watch::Watch;

/// Most bytes of records that one lane has between fetch and delivery.
const IN_FLIGHT_BYTES_MAX: usize = 48 << 20;

/// Asks a run to end. Set from a signal or by whoever called [`run`].
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

const DRAIN: u8 = 1;
const AT_ONCE: u8 = 2;

impl Stop {
    /// A run that nobody has asked to end.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Deliver what was read, commit, leave the group, return.
    pub fn drain(&self) {
        self.0.fetch_max(DRAIN, Ordering::Relaxed);
    }

    /// Return as soon as possible; what is not delivered will be read again.
    pub fn at_once(&self) {
        self.0.fetch_max(AT_ONCE, Ordering::Relaxed);
    }

    /// Whether it was asked to end, in one way or the other.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= DRAIN
    }

    fn hurried(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= AT_ONCE
    }
}

/// What a run came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Records read.
    pub records_in: u64,
    /// Records made clean, tombstones included.
    pub clean: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Records withheld, by `Reason as usize`.
    pub withheld: [u64; Reason::ALL.len()],
}

impl From<RouteTally> for Summary {
    fn from(total: RouteTally) -> Self {
        let RouteTally { records_in, records_out, tombstones, withheld, .. } = total;
        Self { records_in, clean: records_out, tombstones, withheld }
    }
}

/// Runs the lanes until `stop` is asked or one fails for good. Whoever puts policies in force announces
/// them to the metrics ([`Metrics::policies`]).
///
/// # Errors
/// What the configuration or the cluster lacks, or what ended a lane.
pub fn run(
    config: &Config,
    policies: &InForce,
    metrics: &Metrics,
    health: &Health,
    stop: &Stop,
) -> Result<Summary> {
    let outcome = run_lanes(config, policies, metrics, health, stop);
    if let Err(error) = &outcome {
        health.broken(error.to_string());
    }
    outcome
}

fn run_lanes(
    config: &Config,
    policies: &InForce,
    metrics: &Metrics,
    health: &Health,
    stop: &Stop,
) -> Result<Summary> {
    let Some(membership) = start::look(config, stop)? else { return Ok(Summary::default()) };
    let routes = Routes::new(config);
    let tools = |lane| Tools {
        routes: &routes,
        policies,
        metrics,
        health,
        lane,
        limits: config.limits,
        quarantine_key: config.quarantine.public_key.as_ref(),
        delivery: config.delivery,
        bounds: bounds(config, &membership),
    };
    let outcomes = thread::scope(|scope| {
        let start = |lane| {
            let (tools, membership) = (tools(lane), Membership { lane, ..membership.clone() });
            let work = move || run_lane(config, membership, tools, stop);
            thread::Builder::new().name(format!("lane-{lane}")).spawn_scoped(scope, work)
        };
        let lanes: Vec<_> = (0..config.lanes.max(1)).map(start).collect();
        let watch = Watch::start(scope, config, health);
        let outcomes = lanes.into_iter().map(ended).collect::<Vec<_>>();
        watch.end();
        outcomes
    });
    let mut total = RouteTally::default();
    for outcome in outcomes {
        total.absorb(&outcome?);
    }
    Ok(total.into())
}

/// What a lane came to, over all routes.
type Ended = Result<RouteTally>;

fn ended(lane: std::io::Result<thread::ScopedJoinHandle<'_, Ended>>) -> Ended {
    lane.map_err(|error| Error::fatal(format!("a lane's thread cannot be started: {error}")))?
        .join()
        .unwrap_or_else(|_| Err(Error::fatal("a lane panicked; see the log for the place")))
}

/// One lane, on its own thread. Whatever ends it early ends the others too.
fn run_lane(config: &Config, membership: Membership, tools: Tools<'_>, stop: &Stop) -> Ended {
    let health = tools.health;
    let work = AssertUnwindSafe(|| drive(Member::join(config, membership)?, tools, stop));
    let outcome = catch_unwind(work)
        .unwrap_or_else(|_| Err(Error::fatal("a lane panicked; see the log for the place")));
    if let Err(error) = &outcome {
        health.broken(error.to_string());
        stop.drain();
    }
    outcome
}

fn drive(member: Member, tools: Tools<'_>, stop: &Stop) -> Ended {
    let (health, lane) = (tools.health, tools.lane);
    let start = Instant::now();
    let mut pump = Pump::new(member, tools);
    let mut draining = false;
    while !pump.left() && !stop.hurried() {
        if stop.asked() && !draining {
            draining = true;
            health.draining();
            pump.shut_down();
        }
        pump.turn(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))?;
        health.turned(lane);
    }
    Ok(pump.total().clone())
}

/// Records between fetch and delivery: a fifth of the lane's share. Their clean copies take another,
/// what the client compresses them to a third, arenas kept for reuse half of one; the rest is for
/// the client's queue of fetched records and for fetch responses, which come whole. More than a
/// few ten MiB a lane gain nothing (measured: 24, 48 and 96 MiB are equal within the noise), they
/// only grow stale in the cache.
fn bounds(config: &Config, membership: &Membership) -> Bounds {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bytes = (membership.buffer_bytes / 5).min(IN_FLIGHT_BYTES_MAX);
    let (commit_least, commit_most) = match config.delivery {
        Delivery::ExactlyOnce => config.tuning.commit_every_ms(),
        Delivery::AtLeastOnce => (1_000, 1_000),
    };
    Bounds {
        bytes,
        batches: 256,
        transaction_bytes: config.tuning.transaction_bytes(),
        commit_least,
        commit_most,
        commit_share: config.tuning.commit_share(),
        yield_within: 10_000,
        stalled_after: 2_000,
        drain_within: millis(config.drain_deadline),
    }
}

/// Makes panics tell their place and nothing else: a panic's message can carry a value.
pub fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(place, "limpid panicked");
    }));
}
