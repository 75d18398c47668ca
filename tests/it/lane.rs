//! The lane and its loop, run through random schedules against the broker in memory: at-least-once
//! delivery must hold whatever happens, and a lane that commits too early must be caught.

use limpid::config::{Config, Quarantine, RouteConfig, Settings, TenantConfig, Topics, Tuning};
use limpid::engine::Limits;
use limpid::error::Result;
use limpid::format::paths::Paths;
use limpid::lane::{
    BatchId, Bounds, Broker, CleanTopic, Delivery, Notice, Parcel, Partition, Position, Published,
    TopicId,
};
use limpid::memory::{Chance, Cluster, Fetched, Member, Stored, Weather};
use limpid::policy::{Plan, Policies, Unlisted};
use limpid::quarantine::Sealed;
use limpid::reload::InForce;
use limpid::run::{Pump, Routes, Tools};
use limpid::telemetry::{Health, Metrics};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: usize = 3;
const LARGEST: usize = 40;

/// Schedules a run: few where every change waits for them, many where `LIMPID_SCHEDULES` says so.
fn schedules() -> u64 {
    std::env::var("LIMPID_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

#[test]
fn whatever_happens_nothing_is_lost_or_committed_too_early() {
    for seed in 0..schedules() {
        Trial::new(seed).run(|member| member).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_lane_that_commits_before_delivery_is_caught() {
    let caught = (0..200).filter(|seed| Trial::new(*seed).run(Hasty::new).is_err()).count();
    assert!(caught > 0, "the predicate let every hasty lane pass");
}

/// Dies at each call of a small workload in turn, and goes on with a new member.
#[test]
fn a_member_may_die_at_any_call() {
    let mut call = 1;
    loop {
        let mut trial = Trial::calm(7);
        trial.cluster.die_at(call);
        trial.run(|member| member).unwrap_or_else(|what| panic!("dying at call {call}: {what}"));
        if trial.cluster.calls() < call {
            break;
        }
        call += 1;
    }
    assert!(call > 30, "the workload makes only {call} calls");
}

#[test]
fn a_record_arrives_as_it_was_and_what_is_withheld_is_sealed() {
    let mut trial = Trial::calm(1);
    trial.run(|member| member).unwrap();
    let arrived = trial.cluster.arrived("clean", 0);
    for one in &arrived {
        let source = trial.source[&(0, one.offset)].clone();
        assert_eq!(one.record.as_ref(), Some(&source));
    }
    let sealed: Vec<i64> = trial.cluster.quarantined().iter().map(|it| it.offset).collect();
    for ((partition, offset), source) in &trial.source {
        let clean =
            trial.cluster.arrived("clean", *partition).iter().any(|it| it.offset == *offset);
        let fits = source.value.as_ref().is_none_or(|value| value.len() <= LARGEST);
        let malformed = source.value.as_deref() == Some(b"{oops");
        assert_eq!(clean, fits && !malformed, "{partition}/{offset}");
        assert!(clean || sealed.contains(offset));
    }
}

/// One workload on one cluster, with everything that its seed makes happen.
struct Trial {
    chance: Chance,
    cluster: Cluster,
    config: Config,
    policies: InForce,
    metrics: Metrics,
    health: Health,
    source: BTreeMap<(i32, i64), Stored>,
    stormy: bool,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let mut once = |most| u32::try_from(chance.below(most)).unwrap();
        let weather = Weather {
            full: once(12),
            failed: if once(3) == 0 { 6 + once(20) } else { 0 },
            commit_refused: once(6),
            silent: once(5),
        };
        Self::with(seed, chance, weather, true)
    }

    /// No faults but those that the test asks for.
    fn calm(seed: u64) -> Self {
        Self::with(seed, Chance::new(seed), Weather::default(), false)
    }

    fn with(seed: u64, mut chance: Chance, weather: Weather, stormy: bool) -> Self {
        let cluster = Cluster::new(seed, weather);
        cluster.create("raw", PARTITIONS);
        cluster.clean_bytes_max(LARGEST);
        let mut source = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for offset in 0..3 + chance.below(12) {
                let stored = record(&mut chance, offset);
                cluster.append(0, partition, stored.clone());
                source.insert((partition as i32, offset as i64), stored);
            }
        }
        Self {
            chance,
            cluster,
            config: config(),
            policies: InForce::new(Arc::new(policies())),
            metrics: Metrics::new(&["web".to_owned()]),
            health: Health::new(1),
            source,
            stormy,
        }
    }

    /// Lets members work, come, go, die and be thrown out; then lets calm weather finish it.
    fn run<B: Broker>(&mut self, wrap: impl Fn(Member) -> B) -> std::result::Result<(), String> {
        let routes = Routes::new(&self.config);
        let bounds = Bounds {
            bytes: 60 + self.chance.below(400),
            batches: 1 + self.chance.below(6),
            transaction_bytes: usize::MAX,
            commit_every: self.chance.below(20) as u64,
            yield_within: 5 + self.chance.below(60) as u64,
            stalled_after: 3 + self.chance.below(20) as u64,
            drain_within: 10 + self.chance.below(200) as u64,
        };
        let tools = || Tools {
            routes: &routes,
            policies: &self.policies,
            metrics: &self.metrics,
            health: &self.health,
            lane: 0,
            limits: Limits::default(),
            quarantine_key: None,
            delivery: Delivery::AtLeastOnce,
            bounds,
        };
        let chance = &mut self.chance;
        let cluster = &self.cluster;
        let mut pumps = vec![Pump::new(wrap(cluster.join()), tools())];
        cluster.rebalance();
        let mut calm = !self.stormy;
        for now in 0..6_000_u64 {
            if now == 400 && self.stormy {
                cluster.weather(Weather::default());
                calm = true;
            }
            if !calm {
                match chance.below(60) {
                    0 | 1 => cluster.rebalance(),
                    2 => cluster.evict(),
                    3 if pumps.len() < 3 => pumps.push(Pump::new(wrap(cluster.join()), tools())),
                    4 if pumps.len() > 1 => {
                        drop(pumps.swap_remove(chance.below(pumps.len())));
                    }
                    5 if pumps.len() > 1 => {
                        let leaver = chance.below(pumps.len());
                        pumps[leaver].shut_down();
                    }
                    _ => {}
                }
            }
            cluster.blow();
            for pump in &mut pumps {
                if chance.once_in(4) {
                    continue;
                }
                pump.turn(now).map_err(|error| error.to_string())?;
                cluster.check()?;
            }
            pumps.retain(|pump| !pump.left());
            if pumps.is_empty() || now % 16 == 15 {
                // A member that died in a call is replaced, as a supervisor would.
                if pumps.is_empty() || cluster.living() == 0 {
                    pumps = vec![Pump::new(wrap(cluster.join()), tools())];
                }
                cluster.rebalance();
            }
            if calm && cluster.all_committed() {
                return cluster.check();
            }
        }
        Err("not everything was committed in the end".to_owned())
    }
}

fn record(chance: &mut Chance, offset: usize) -> Stored {
    let value = match chance.below(8) {
        0 => None,
        1 => Some(b"{oops".to_vec()),
        2 => Some(format!("{{\"long\":\"{}\"}}", "x".repeat(LARGEST)).into_bytes()),
        _ => Some(format!("{{\"n\": {offset}}}").into_bytes()),
    };
    Stored {
        timestamp_ms: (!chance.once_in(5)).then_some(1_700_000_000_000 + offset as i64),
        key: (!chance.once_in(3)).then(|| format!("key {offset}").into_bytes()),
        value,
        headers: vec![(b"h".to_vec(), None), (b"h".to_vec(), Some(b"v".to_vec()))],
    }
}

fn policies() -> Policies {
    let plan = Plan {
        tenant: "acme".into(),
        version: 1,
        paths: Paths::compile(&[]).unwrap().into(),
        rules: [].into(),
        key_rule: None,
        header_rules: Vec::new(),
        conditions: None,
        unlisted: Unlisted::Keep,
        pseudonyms: None,
    };
    Policies::new(vec![plan]).unwrap()
}

fn config() -> Config {
    Config {
        kafka: Settings::default(),
        consumer: Settings::default(),
        producer: Settings::default(),
        group: "limpid".into(),
        group_instance: None,
        delivery: Delivery::AtLeastOnce,
        tuning: Tuning::default(),
        transactional_id_prefix: "limpid-".into(),
        routes: vec![RouteConfig {
            name: "web".into(),
            topics: Topics::Listed(vec!["raw".into()]),
            clean: "clean".into(),
            tenant: TenantConfig::Nowhere,
            default_policy: Some("acme".into()),
        }],
        lanes: 1,
        policies: "policies".into(),
        keyring: None,
        reload_watch: None,
        quarantine: Quarantine { topic: "quarantine".into(), public_key: None },
        admin: None,
        limits: Limits::default(),
        buffer_bytes_max: 1 << 20,
        drain_deadline: Duration::from_secs(1),
    }
}

/// A wrong member: it reports a batch as delivered as soon as it is sent.
struct Hasty {
    member: Member,
    early: VecDeque<BatchId>,
}

impl Hasty {
    fn new(member: Member) -> Self {
        Self { member, early: VecDeque::new() }
    }
}

impl Broker for Hasty {
    type Fetched = Fetched;

    fn fetch(&mut self, wait: Duration) -> Option<Fetched> {
        self.member.fetch(wait)
    }
    fn attend(&mut self, wait: Duration) {
        self.member.attend(wait);
    }
    fn notice(&mut self) -> Option<Notice> {
        if let Some(id) = self.early.pop_front() {
            return Some(Notice::Delivered(id));
        }
        match self.member.notice()? {
            Notice::Delivered(_) => self.notice(),
            other => Some(other),
        }
    }
    fn topic_name(&self, topic: TopicId) -> &str {
        self.member.topic_name(topic)
    }
    fn clean_topic(&mut self, source: &str, clean: &str) -> Result<CleanTopic> {
        self.member.clean_topic(source, clean)
    }
    fn load(&mut self, id: BatchId, parcel: Parcel<Fetched>) {
        self.member.load(id, parcel);
    }
    fn parcel(&self, id: BatchId) -> Option<&Parcel<Fetched>> {
        self.member.parcel(id)
    }
    fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published {
        self.member.publish(id, index, to)
    }
    fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published {
        self.member.quarantine(id, sealed)
    }
    fn settle(&mut self, id: BatchId) {
        self.member.settle(id);
    }
    fn sent(&mut self, id: BatchId) {
        self.member.sent(id);
        self.early.push_back(id);
    }
    fn unload(&mut self, id: BatchId) -> Option<Parcel<Fetched>> {
        self.member.unload(id)
    }
    fn accept(&mut self, partitions: &[Partition]) {
        self.member.accept(partitions);
    }
    fn yield_up(&mut self, partitions: &[Partition]) {
        self.member.yield_up(partitions);
    }
    fn pause(&mut self) {
        self.member.pause();
    }
    fn resume(&mut self) {
        self.member.resume();
    }
    fn begin(&mut self) {
        self.member.begin();
    }
    fn commit(&mut self, offsets: &[Position]) {
        self.member.commit(offsets);
    }
    fn abort(&mut self) {
        self.member.abort();
    }
    fn recall(&mut self, positions: &[Position]) -> Result<()> {
        self.member.recall(positions)
    }
    fn rewind(&mut self, positions: &[Position]) -> Result<()> {
        self.member.rewind(positions)
    }
    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        self.member.lag(partition, next)
    }
    fn leave(&mut self) {
        self.member.leave();
    }
}
