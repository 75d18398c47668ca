//! The demo: everything that limpid does, shown on made-up data.
//!
//! The service that it shows is the real one: the same [`crate::run::run`] with the same lanes,
//! metrics and admin server, only with a configuration and policies that are built in. Around it
//! stand what a user would have to set up otherwise: a cluster (simulated, and said to be), a feed
//! that produces events, and a tap that reads what comes out.
//!
//! Invariant: the count. What was produced has to come out of the tap, clean or withheld, record
//! for record; the tap counts what the topics hold, and takes nobody's word for it. The feed never
//! runs further ahead of the tap than the simulated cluster can keep.

mod diff;
pub mod events;
mod json;
mod sample;
mod view;

use crate::admin::{self, Admin};
use crate::config::{
    AdminConfig, Config, Quarantine, RouteConfig, Settings, TenantConfig, Topics, Tuning,
};
use crate::document::{Faults, Source};
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::kafka::cluster::{Cluster, Feed, KEPT_BYTES, Tap};
use crate::keys::{Keyring, PrivateKey, Secret};
use crate::lane::Delivery;
use crate::policy::{self, Policies};
use crate::reload::InForce;
use crate::run::{Stop, Summary, run};
use crate::telemetry::{Health, Metrics, Status};
use events::{Event, Events, Kind, TENANTS};
use sample::Samples;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use view::View;

/// The built-in policies; deploy/demo/policies holds them for users to try.
pub const POLICIES: [(&str, &str); 3] = [
    ("acme.yaml", include_str!("../../deploy/demo/policies/acme.yaml")),
    ("globex.yaml", include_str!("../../deploy/demo/policies/globex.yaml")),
    ("initech.yaml", include_str!("../../deploy/demo/policies/initech.yaml")),
];

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

/// One lane. The simulated broker takes the better part of a minute over a second member of a
/// group, coming and going.
const LANES: usize = 1;

/// Most records between the feed and the tap.
const AHEAD_MAX: u64 = 10_000;

/// If one partition got the largest records of all that are ahead, it would still keep them: audit
/// events, one in ten, are those that share few keys.
const _: () = assert!(AHEAD_MAX as usize / 10 * 4_000 < KEPT_BYTES);

/// How long nothing may come out of the tap before the demo gives up waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks of the view.
const TICK: Duration = Duration::from_millis(50);

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(3);

/// What is asked of a demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// End by itself after so many records.
    pub records: Option<u64>,
    /// Records a second.
    pub rate: u64,
    /// A real cluster instead of the simulated one.
    pub brokers: Option<String>,
    /// What decides the events.
    pub seed: u64,
    /// Where the admin server listens; if that is taken, at any free port.
    pub admin: SocketAddr,
}

/// What a demo came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records produced.
    pub produced: u64,
    /// What the service counted.
    pub counted: Summary,
    /// Records found in the clean topics.
    pub clean: u64,
    /// Records found in the quarantine.
    pub withheld: u64,
}

impl Report {
    /// Does every record produced stand exactly once in a clean topic or in the quarantine, and
    /// does the service say the same?
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let counted: u64 = self.counted.withheld.iter().sum();
        self.produced == self.clean + self.withheld
            && self.counted.records_in == self.produced
            && (self.counted.clean, counted) == (self.clean, self.withheld)
    }
}

/// Runs a demo until it has seen its records or `end` is set.
///
/// # Errors
/// The cluster can't be reached, or the service fails.
pub fn demo(options: &Options, end: &AtomicBool) -> Result<Report> {
    let (cluster, stage) = set(options)?;
    let metrics = Arc::new(Metrics::new(&Kind::ALL.map(|kind| kind.name().to_owned())));
    let health = Arc::new(Health::new(LANES));
    let admin = admin_near(options.admin, &metrics, &health)?;
    let mut view = View::new();
    view.say(&greeting(&cluster, &admin));
    let show = Show { stage: &stage, metrics: &metrics, health: &health, end };
    show.run(options, &cluster, &mut view)
}

/// What doesn't move, and every thread may look at.
struct Stage {
    config: Config,
    policies: Arc<Policies>,
}

impl Stage {
    /// What the names of this demo's topics begin with.
    fn prefix(&self) -> &str {
        &self.config.group
    }
}

fn set(options: &Options) -> Result<(Cluster, Stage)> {
    let policies = Arc::new(built_in_policies()?);
    let prefix = match options.brokers {
        None => "limpid-demo".to_owned(),
        Some(_) => format!("limpid-demo-{}", suffix()?),
    };
    let mut topics = vec![quarantine(&prefix)];
    topics.extend(Kind::ALL.iter().flat_map(|kind| [raw(&prefix, *kind), clean(&prefix, *kind)]));
    let cluster = match &options.brokers {
        None => Cluster::simulated(topics, PARTITIONS)?,
        Some(brokers) => Cluster::real(brokers, topics, PARTITIONS)?,
    };
    let config = config(&prefix, cluster.brokers())?;
    Ok((cluster, Stage { config, policies }))
}

fn greeting(cluster: &Cluster, admin: &Admin) -> String {
    let brokers = cluster.brokers();
    let place = if cluster.is_simulated() {
        format!("a simulated Kafka broker in this process ({brokers}); nothing is kept")
    } else {
        format!("the Kafka cluster at {brokers}; its topics are deleted at the end")
    };
    format!(
        "limpid {} demo, on {place}\n\
         tenants {} · made-up people, generated events · metrics http://{}/metrics\n\
         Ctrl-C ends it: what was read is delivered first",
        env!("CARGO_PKG_VERSION"),
        TENANTS.join(", "),
        admin.address()
    )
}

fn raw(prefix: &str, kind: Kind) -> String {
    format!("{prefix}.raw.{}", kind.name())
}

fn clean(prefix: &str, kind: Kind) -> String {
    format!("{prefix}.clean.{}", kind.name())
}

fn quarantine(prefix: &str) -> String {
    format!("{prefix}.quarantine")
}

/// So that two demos on one cluster don't meet.
fn suffix() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Error::fatal(format!("no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// The built-in policies, with secrets that live as long as the process.
fn built_in_policies() -> Result<Policies> {
    let mut keyring = Keyring::default();
    for tenant in TENANTS {
        keyring.insert(tenant, Secret::generate()?);
    }
    let mut faults = Faults::default();
    let mut compiled = |(name, text)| {
        let source = Source::new(format!("deploy/demo/policies/{name}"), text);
        policy::compile(&source, Some(&keyring), &mut faults).map(|policy| policy.plan)
    };
    let plans = POLICIES.into_iter().map_while(&mut compiled).collect();
    match Policies::new(plans) {
        Ok(policies) if faults.is_empty() => Ok(policies),
        _ => Err(Error::fatal(format!("a built-in policy is refused\n{faults:#}"))),
    }
}

fn config(prefix: &str, brokers: &str) -> Result<Config> {
    let route = |kind: Kind| RouteConfig {
        name: kind.name().into(),
        topics: Topics::Listed(vec![raw(prefix, kind)]),
        clean: clean(prefix, kind),
        tenant: match kind {
            Kind::Web => TenantConfig::Header(events::TENANT_HEADER.into()),
            Kind::Access => TenantConfig::Field(vec!["tenant".into()]),
            Kind::Audit => TenantConfig::Key,
        },
        default_policy: None,
    };
    // Sealed to a key that nobody keeps: what the demo withholds, nobody will open.
    let public_key = Some(PrivateKey::generate()?.public());
    Ok(Config {
        kafka: Settings(vec![("bootstrap.servers".into(), brokers.into())]),
        clean_brokers: None,
        // When the lanes join apart, the simulated broker lets the group wait for nearly this long.
        consumer: Settings(vec![("session.timeout.ms".into(), "6000".into())]),
        producer: Settings::default(),
        group: prefix.into(),
        group_instance: None,
        delivery: Delivery::ExactlyOnce,
        tuning: Tuning::default(),
        transactional_id_prefix: String::new(),
        routes: Kind::ALL.map(route).into(),
        lanes: LANES,
        policies: PathBuf::new(), // built in
        reload_watch: None,
        keyring: None, // likewise
        quarantine: Quarantine { topic: quarantine(prefix), public_key },
        admin: None, // started by the demo, which tells its address
        limits: Limits::default(),
        buffer_bytes_max: 64 << 20,
        drain_deadline: Duration::from_secs(10),
    })
}

/// The admin server at the address asked for, or at any free port beside it.
fn admin_near(at: SocketAddr, metrics: &Arc<Metrics>, health: &Arc<Health>) -> Result<Admin> {
    let serve = |listen| {
        let config = AdminConfig { listen, token: None };
        admin::serve(&config, metrics.clone(), health.clone(), None)
    };
    serve(at).or_else(|_| serve(SocketAddr::new(at.ip(), 0)))
}

/// What the threads share.
#[derive(Clone, Copy)]
struct Show<'a> {
    stage: &'a Stage,
    metrics: &'a Metrics,
    health: &'a Health,
    end: &'a AtomicBool,
}

/// Counts and samples, between feed, tap and view.
struct Exchange {
    samples: Samples,
    /// Handed over by the feed.
    fed: AtomicU64,
    /// Seen by the tap.
    clean: AtomicU64,
    withheld: AtomicU64,
    /// The feed has come to its end.
    fed_all: AtomicBool,
    /// The tap may close.
    closed: AtomicBool,
}

impl Exchange {
    const fn new() -> Self {
        Self {
            samples: Samples::new(),
            fed: AtomicU64::new(0),
            clean: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
            fed_all: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    fn arrived(&self) -> u64 {
        self.clean.load(Ordering::Acquire) + self.withheld.load(Ordering::Acquire)
    }

    fn ahead(&self) -> u64 {
        self.fed.load(Ordering::Relaxed).saturating_sub(self.arrived())
    }
}

impl Show<'_> {
    fn run(self, options: &Options, cluster: &Cluster, view: &mut View) -> Result<Report> {
        let prefix = self.stage.prefix();
        let feed = cluster.feed()?;
        let outputs: Vec<String> = Kind::ALL.map(|kind| clean(prefix, kind)).into();
        let outputs = [outputs, vec![quarantine(prefix)]].concat();
        let tap = cluster.tap(&outputs, PARTITIONS)?;
        let (exchange, stop) = (&Exchange::new(), &Stop::new());
        thread::scope(|scope| {
            let service = scope.spawn(move || self.serve(stop));
            let feeding = scope.spawn(move || self.feed(options, &feed, exchange));
            let tapping = scope.spawn(move || self.drink(&tap, exchange));
            self.watch(view, exchange);
            self.end.store(true, Ordering::Relaxed);
            stop.drain();
            let fed = joined(feeding);
            let counted = joined(service);
            // The service has delivered all it will: what the tap hasn't seen now isn't there.
            self.await_tap(exchange);
            exchange.closed.store(true, Ordering::Relaxed);
            joined(tapping)?;
            view.clear();
            Ok(Report {
                counted: counted?,
                produced: fed?,
                clean: exchange.clean.load(Ordering::Acquire),
                withheld: exchange.withheld.load(Ordering::Acquire),
            })
        })
    }

    fn serve(self, stop: &Stop) -> Result<Summary> {
        let Stage { config, policies } = self.stage;
        self.metrics.policies(policies);
        run(config, &InForce::new(policies.clone()), self.metrics, self.health, stop)
    }

    /// Produces events at the rate asked for, never too far ahead of the tap; gives their number.
    fn feed(self, options: &Options, feed: &Feed, exchange: &Exchange) -> Result<u64> {
        let fed = self.feed_all(options, feed, exchange);
        // Whatever became of it: nothing more will come.
        exchange.fed_all.store(true, Ordering::Release);
        if fed.is_err() {
            self.end.store(true, Ordering::Relaxed);
        }
        fed
    }

    fn feed_all(self, options: &Options, feed: &Feed, exchange: &Exchange) -> Result<u64> {
        let topics = Kind::ALL.map(|kind| raw(self.stage.prefix(), kind));
        let (mut events, mut event) = (Events::new(options.seed), Event::default());
        let mut pace = Pace::new(options.rate);
        let records = options.records.unwrap_or(u64::MAX);
        while events.made() < records && !self.end.load(Ordering::Relaxed) {
            let waits = self.health.status() == Status::Starting || exchange.ahead() >= AHEAD_MAX;
            if waits || !pace.allows() {
                feed.attend(Duration::from_millis(5));
                continue;
            }
            let number = events.made();
            events.next(&mut event);
            let Some(kind) = event.kind else { continue };
            exchange.samples.offer(number, &event);
            feed.send(&topics[kind as usize], &event.key, &event.value, &event.headers)?;
            exchange.fed.store(events.made(), Ordering::Release);
        }
        feed.flush()?;
        match feed.failed() {
            0 => Ok(events.made()),
            failed => Err(Error::fatal(format!("{failed} events could not be produced"))),
        }
    }

    /// Counts what comes out, until it is told to stop.
    fn drink(self, tap: &Tap, exchange: &Exchange) -> Result<()> {
        let quarantine = quarantine(self.stage.prefix());
        while !exchange.closed.load(Ordering::Relaxed) {
            tap.next(TICK, |record| {
                if record.topic() == quarantine {
                    exchange.withheld.fetch_add(1, Ordering::Release);
                } else {
                    exchange.samples.came(record);
                    exchange.clean.fetch_add(1, Ordering::Release);
                }
            })?;
        }
        Ok(())
    }

    /// Shows what happens until everything has come through, somebody ends it, or it breaks.
    fn watch(self, view: &mut View, exchange: &Exchange) {
        exchange.samples.ask();
        let mut sampled = Instant::now();
        let mut progress = Progress::new();
        loop {
            let fed_all = exchange.fed_all.load(Ordering::Acquire);
            let over = fed_all && exchange.ahead() == 0;
            let mut heard = true;
            if let Some(sample) = exchange.samples.take() {
                heard = view.show(&sample);
                sampled = Instant::now();
            } else if exchange.fed.load(Ordering::Relaxed) == 0 {
                sampled = Instant::now();
            } else if sampled.elapsed() > SAMPLE_EVERY {
                exchange.samples.ask();
                sampled = Instant::now();
            }
            heard &= view.numbers(&self.metrics.totals());
            if !heard {
                // Nobody watches any more; what was read is still delivered.
                self.end.store(true, Ordering::Relaxed);
            }
            let broken = matches!(self.health.status(), Status::Broken(_));
            if over || broken || (fed_all && progress.stalled(exchange.arrived())) {
                return;
            }
            thread::sleep(TICK);
        }
    }

    fn await_tap(self, exchange: &Exchange) {
        let mut progress = Progress::new();
        let broken = matches!(self.health.status(), Status::Broken(_));
        while !broken && exchange.ahead() > 0 && !progress.stalled(exchange.arrived()) {
            thread::sleep(TICK);
        }
    }
}

/// A thread that panicked has told its place already.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::fatal("a thread of the demo panicked")))
}

/// Has a count stood still for too long?
struct Progress {
    count: u64,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { count: 0, since: Instant::now() }
    }

    fn stalled(&mut self, count: u64) -> bool {
        if count != self.count {
            *self = Self { count, since: Instant::now() };
        }
        self.since.elapsed() > PATIENCE
    }
}

/// Lets records through at a rate. What couldn't be used for a while is not made up for later: a
/// start that took seconds must not end in a flood.
struct Pace {
    rate: u64,
    /// Records that may go now.
    credit: f64,
    at: Instant,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { rate, credit: 0.0, at: Instant::now() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is far below 2^53")]
    fn allows(&mut self) -> bool {
        if self.credit < 1.0 {
            let now = Instant::now();
            let rate = self.rate as f64;
            let earned = now.duration_since(self.at).as_secs_f64() * rate;
            self.credit = (self.credit + earned).min((rate / 10.0).max(1.0));
            self.at = now;
        }
        let allowed = self.credit >= 1.0;
        if allowed {
            self.credit -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::trial::Tests;

    #[test]
    fn the_built_in_policies_pass_their_own_tests() {
        for (name, text) in POLICIES {
            let source = Source::new(name, text);
            let mut faults = Faults::default();
            let Some(policy) = policy::rehearse(&source, &mut faults) else {
                panic!("{faults}");
            };
            let tests: Tests = policy.tests;
            let policies = Policies::new(vec![policy.plan]).unwrap();
            tests.run(&policies, &mut faults);
            assert!(!tests.is_empty() && faults.is_empty(), "{faults}");
        }
        assert_eq!(built_in_policies().unwrap().plans().len(), 3);
    }

    #[test]
    fn a_pace_does_not_make_up_for_a_pause() {
        let mut pace = Pace::new(1_000);
        pace.at = Instant::now() - Duration::from_secs(60);
        let burst = (0..10_000).take_while(|_| pace.allows()).count();
        assert!((100..500).contains(&burst), "{burst}");
    }

    #[test]
    fn a_report_adds_up_only_if_all_three_counts_agree() {
        let counted =
            Summary { records_in: 10, clean: 8, tombstones: 0, withheld: [1, 0, 1, 0, 0, 0] };
        let report = Report { produced: 10, counted, clean: 8, withheld: 2 };
        assert!(report.adds_up());
        assert!(!Report { produced: 11, ..report.clone() }.adds_up());
        assert!(!Report { clean: 9, withheld: 1, ..report.clone() }.adds_up());
        assert!(!Report { clean: 7, ..report }.adds_up());
    }
}
