//! The whole service against a real Kafka, while everything around it fails: processes are killed
//! and frozen, the broker too, members come and go, the network is cut. Then every record is held
//! against what a read_committed consumer finds.
//!
//! These tests start brokers of their own with `deploy/dev/kafka.sh`, and run where
//! `LIMPID_OWN_KAFKA=1` says that they may. How long and how many, from the environment:
//!
//! ```sh
//! LIMPID_OWN_KAFKA=1 cargo test --test it chaos                # a round of all faults
//! LIMPID_OWN_KAFKA=1 LIMPID_CHAOS_SECONDS=3600 LIMPID_CHAOS_RECORDS=10000000 \
//!   cargo test --release --test it chaos_under -- --nocapture  # an hour of them
//! ```
//!
//! `LIMPID_CHAOS_SEED` picks the order of the faults from the second round on, and
//! `LIMPID_CHAOS_TURNS=KillBroker,Stall` which of them there are.

mod broker;
mod cluster;
mod feed;
mod fleet;
mod proxy;
mod turns;
mod verdict;

pub use broker::Broker;
pub use proxy::{Proxy, Weather};

use cluster::{Cluster, Place};
use feed::Feed;
use fleet::Fleet;
use limpid::keys::PrivateKey;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use turns::Turn;
use verdict::{Verdict, verdict};

/// Longest wait until all that was sent is committed: every time-out in a row.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the broker is asked where the group stands.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Partitions of the raw topics, at first.
const PARTITIONS: [i32; 3] = [3, 2, 1];

/// Delivery that doubles records when a process dies.
const AT_LEAST_ONCE: &str = "delivery: at_least_once\n";

/// May tests start brokers? If so, one test at a time.
pub fn own() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    if std::env::var_os("LIMPID_OWN_KAFKA").is_none() {
        println!("left out: LIMPID_OWN_KAFKA is not set");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn chaos_under_which_nothing_is_lost_or_doubled() {
    let Some(_alone) = own() else { return };
    let plan = Plan::from_environment();
    let mut scene = Scene::start("", plan.records_per_second());
    let begin = Instant::now();
    let mut recoveries = BTreeMap::<Turn, Vec<Duration>>::new();
    for (round, turn) in
        plan.turns().take_while(|(round, _)| *round == 0 || begin.elapsed() < plan.time)
    {
        turns::make(turn, &mut scene);
        let took = scene.await_all_committed("the group to recover");
        println!(
            "{:5} s  round {round}  {turn:?}: back after {} ms",
            begin.elapsed().as_secs(),
            took.as_millis()
        );
        recoveries.entry(turn).or_default().push(took);
    }
    while begin.elapsed() < plan.time {
        scene.await_all_committed("the group to go on");
    }
    report(&scene, &recoveries, begin.elapsed());
    let (verdict, logs) = scene.end();
    println!("{verdict}");
    assert!(verdict.is_clean(), "{verdict}\n{logs}");
    let reloads = recoveries.contains_key(&Turn::Reload);
    assert!(verdict.reloaded > 0 || !reloads, "no reload had an effect: {verdict}\n{logs}");
}

/// The canary: at least once is not exactly once, and the check must say so.
#[test]
fn chaos_of_which_the_duplicates_are_found() {
    let Some(_alone) = own() else { return };
    let mut scene = Scene::start(AT_LEAST_ONCE, 4_000);
    for _ in 0..2 {
        turns::make(Turn::KillLimpid, &mut scene);
        scene.await_all_committed("the group to recover");
    }
    let (verdict, logs) = scene.end();
    println!("{verdict}");
    assert!(verdict.doubled > 0, "two were killed, and nothing came twice: {verdict}\n{logs}");
    let Verdict { lost, wrong, unsealed, .. } = verdict;
    assert_eq!((lost, wrong, unsealed), (0, 0, 0), "{verdict}\n{logs}");
}

/// How long, how many, in which order.
struct Plan {
    time: Duration,
    records: u64,
    seed: u64,
    turns: Vec<Turn>,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str, default| {
            std::env::var(name).map_or(default, |number| number.parse().expect(name))
        };
        Self {
            time: Duration::from_secs(number("LIMPID_CHAOS_SECONDS", 75)),
            records: number("LIMPID_CHAOS_RECORDS", 1_000_000),
            seed: number("LIMPID_CHAOS_SEED", 1),
            turns: std::env::var("LIMPID_CHAOS_TURNS").map_or(Turn::ALL.to_vec(), |names| {
                let named = |turn: &Turn| names.split(',').any(|name| name == format!("{turn:?}"));
                Turn::ALL.into_iter().filter(named).collect()
            }),
        }
    }

    fn records_per_second(&self) -> u64 {
        self.records / self.time.as_secs().max(1)
    }

    /// Rounds of all faults for ever: the first in their own order, the others shuffled.
    fn turns(&self) -> impl Iterator<Item = (usize, Turn)> + use<> {
        let (mut state, all) = (self.seed, self.turns.clone());
        (0..).flat_map(move |round| {
            let mut turns = all.clone();
            if round > 0 {
                shuffle(&mut turns, &mut state);
            }
            turns.into_iter().map(move |turn| (round, turn))
        })
    }
}

/// Fisher and Yates, with Knuth's linear congruential generator (MMIX).
fn shuffle(turns: &mut [Turn], state: &mut u64) {
    for last in (1..turns.len()).rev() {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from((*state >> 33) % (last as u64 + 1)).unwrap();
        turns.swap(last, other);
    }
}

/// A broker, a proxy before it, records that flow in, and limpids at work. Fields are dropped in
/// this order.
pub struct Scene {
    fleet: Fleet,
    feed: Feed,
    proxy: Proxy,
    cluster: Cluster,
    broker: Broker,
    key: PrivateKey,
    places: Vec<Place>,
}

impl Scene {
    /// Starts all of it; `more` is added to limpid's configuration.
    fn start(more: &str, records_per_second: u64) -> Self {
        // Transactions of the dead are looked for often.
        let broker = Broker::start(&[(
            "SETTINGS",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
        )]);
        let proxy = Proxy::start(broker.proxy_port(), broker.proxied_port());
        let cluster = Cluster::with_topics(&broker.address(), &PARTITIONS);
        let of_topic = |(topic, count): (usize, i32)| {
            (0..count).map(move |partition| Place { topic, partition })
        };
        let places: Vec<Place> = PARTITIONS.into_iter().enumerate().flat_map(of_topic).collect();
        let key = PrivateKey::generate().unwrap();
        let mut fleet = Fleet::new(&proxy.address(), &key.public(), more);
        fleet.start();
        fleet.start();
        let feed = Feed::start(&cluster, &places, records_per_second);
        let mut scene = Self { fleet, feed, proxy, cluster, broker, key, places };
        scene.await_committed("the group to begin", |_| 1);
        scene
    }

    /// Waits until all that has been sent by now is committed; gives how long that took.
    fn await_all_committed(&mut self, what: &str) -> Duration {
        let ends = self.feed.ends();
        self.await_committed(what, |place| ends[&place])
    }

    /// Waits until as much of each partition is committed; gives how long that took.
    fn await_committed(&mut self, what: &str, wanted: impl Fn(Place) -> i64) -> Duration {
        let begin = Instant::now();
        loop {
            self.fleet.tend();
            let committed = self.cluster.committed(&self.places);
            if committed.is_some_and(|at| at.iter().all(|(place, at)| *at >= wanted(*place))) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}\n{}", self.fleet.logs());
            sleep(LOOK_EVERY);
        }
    }

    /// No more records; all are committed; all limpids drain; what came out?
    fn end(mut self) -> (Verdict, String) {
        self.feed.end();
        self.await_all_committed("the last records");
        let Self { mut fleet, feed, proxy, cluster, broker, key, .. } = self;
        let sent = feed.into_sent();
        while fleet.count() > 0 {
            fleet.retire();
        }
        let verdict = verdict(&cluster, &sent, &key);
        drop((proxy, broker));
        (verdict, fleet.logs())
    }
}

fn report(scene: &Scene, recoveries: &BTreeMap<Turn, Vec<Duration>>, time: Duration) {
    let records = scene.feed.records();
    let rate = records / time.as_secs().max(1);
    println!("{records} records in {} s: {rate} a second", time.as_secs());
    println!("{} MB through the proxy", scene.proxy.passed() / 1_000_000);
    for (turn, times) in recoveries {
        let mut times: Vec<u128> = times.iter().map(Duration::as_millis).collect();
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{turn:?}: {} times; back after {median} ms (median), {most} ms (most)",
            times.len()
        );
    }
    println!("{} limpids gave up and were started again:", scene.fleet.gave_up.len());
    for (status, last) in &scene.fleet.gave_up {
        println!("  {status}: {last}");
    }
}
