//! Schedules: a workload on the broker in memory, with everything that a seed, or a list of faults,
//! makes happen to it; and the one judgement of what came out.

use limpid::config::{Config, Quarantine, RouteConfig, Settings, TenantConfig, Topics, Tuning};
use limpid::engine::Limits;
use limpid::error::Result;
use limpid::format::paths::Paths;
use limpid::lane::{
    BatchId, Bounds, Broker, CleanTopic, Delivery, Notice, Parcel, Partition, Position, Published,
    TopicId,
};
use limpid::memory::{Arrived, Chance, Cluster, Fault, Fetched, Member, Stored, Weather};
use limpid::policy::{OnKey, Own, Plan, Policies, Unlisted};
use limpid::quarantine::Sealed;
use limpid::reload::InForce;
use limpid::run::{Pump, Routes, Tools};
use limpid::telemetry::{Health, Metrics};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const PARTITIONS: usize = 3;
/// Bytes of the largest value that the clean topic takes.
const LARGEST: usize = 40;
/// A schedule that is not through by then never will be.
const TURNS_MAX: u64 = 6_000;

/// Runs seeds `0..count` on all cores; the first that fails is told. `LIMPID_SEED` runs that one
/// alone.
pub fn seeds(count: u64, run: impl Fn(&Stage, u64) -> std::result::Result<(), String> + Sync) {
    if let Some(seed) = std::env::var("LIMPID_SEED").ok().and_then(|text| text.parse().ok()) {
        return run(&Stage::new(), seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let stage = Stage::new();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            if let Err(what) = run(&stage, seed) {
                stop.store(true, Ordering::Relaxed);
                panic!("{what}\nto see it again: LIMPID_SEED={seed}");
            }
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// What all schedules of a thread share.
pub struct Stage {
    config: Config,
    policies: InForce,
    metrics: Metrics,
    health: Health,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            config: config(),
            policies: InForce::new(Arc::new(policies())),
            metrics: Metrics::new(&["web".to_owned()]),
            health: Health::new(1),
        }
    }

    fn tools<'a>(
        &'a self,
        routes: &'a Routes<'a>,
        delivery: Delivery,
        bounds: Bounds,
    ) -> Tools<'a> {
        Tools {
            routes,
            policies: &self.policies,
            metrics: &self.metrics,
            health: &self.health,
            lane: 0,
            limits: Limits::default(),
            quarantine_key: None,
            delivery,
            bounds,
        }
    }
}

/// One workload on one cluster.
pub struct Schedule {
    pub cluster: Cluster,
    pub source: BTreeMap<(i32, i64), Stored>,
    delivery: Delivery,
    chance: Chance,
    /// Turns of weather, and of members that come and go.
    storm: u64,
    /// Records may be too large for the broker that the member took for small enough.
    may_be_refused: bool,
}

impl Schedule {
    /// With everything that the seed makes happen.
    pub fn stormy(seed: u64, delivery: Delivery) -> Self {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let mut once = |most| u32::try_from(chance.below(most)).unwrap();
        let mut seldom = |least| if once(3) == 0 { least + once(20) } else { 0 };
        let (failed, answer_lost, too_large) = (seldom(6), seldom(2), seldom(8));
        let (expired, falls_back, refused) = (seldom(10), seldom(6), seldom(8));
        let falls_back = if delivery == Delivery::ExactlyOnce { falls_back } else { 0 };
        let weather = Weather {
            full: once(12),
            failed,
            commit_refused: once(6),
            silent: once(5),
            answer_lost,
            expired,
            falls_back,
            refused,
            too_large,
        };
        let storm = 10 + chance.below(120) as u64;
        let records = 2 + chance.below(8);
        Self::new(seed, delivery, weather, storm, records)
    }

    /// No faults but those that the test asks for; a second member comes and goes.
    pub fn calm(seed: u64, delivery: Delivery, records: usize) -> Self {
        Self::new(seed, delivery, Weather::default(), 0, records)
    }

    fn new(seed: u64, delivery: Delivery, weather: Weather, storm: u64, records: usize) -> Self {
        let mut chance = Chance::new(seed);
        let cluster = Cluster::new(seed, delivery, weather);
        cluster.create("raw", PARTITIONS);
        cluster.clean_bytes_max(LARGEST);
        let mut source = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for offset in 0..1 + chance.below(records) {
                let stored = record(&mut chance, offset);
                cluster.append(0, partition, stored.clone());
                source.insert((partition as i32, offset as i64), stored);
            }
        }
        let may_be_refused = weather.too_large > 0;
        Self { cluster, source, delivery, chance, storm, may_be_refused }
    }

    pub fn faults(self, faults: &[(u64, Fault)]) -> Self {
        for (call, fault) in faults {
            self.cluster.fault_at(*call, *fault);
        }
        self
    }

    fn bounds(&mut self) -> Bounds {
        let chance = &mut self.chance;
        Bounds {
            bytes: 60 + chance.below(400),
            batches: 1 + chance.below(6),
            transaction_bytes: 1 + chance.below(200),
            commit_least: chance.below(10) as u64,
            commit_most: 10 + chance.below(10) as u64,
            commit_share: 5,
            yield_within: 5 + chance.below(60) as u64,
            stalled_after: 3 + chance.below(20) as u64,
            drain_within: 10 + chance.below(200) as u64,
        }
    }

    /// Lets members work, come, go, die and be thrown out, then lets calm weather finish it, and
    /// judges.
    pub fn run<B: Broker>(
        &mut self,
        stage: &Stage,
        wrap: impl Fn(Member) -> B,
    ) -> std::result::Result<(), String> {
        let routes = Routes::new(&stage.config);
        let bounds = self.bounds();
        let cluster = self.cluster.clone();
        let join = || {
            let tools = stage.tools(&routes, self.delivery, bounds);
            Pump::new(wrap(cluster.join()), tools)
        };
        let mut pumps = vec![join()];
        let calm = self.storm == 0;
        cluster.rebalance();
        for now in 0..TURNS_MAX {
            match now {
                12 if calm => pumps.push(join()),
                13 if calm => cluster.rebalance(),
                20 if calm && pumps.len() > 1 => pumps[0].shut_down(),
                _ if now < self.storm => disturb(&mut self.chance, &cluster, &mut pumps, join),
                _ if now == self.storm => cluster.weather(Weather::default()),
                _ => {}
            }
            cluster.blow();
            for pump in &mut pumps {
                if !calm && self.chance.once_in(4) {
                    continue;
                }
                pump.turn(now).map_err(|error| error.to_string())?;
                cluster.check()?;
            }
            pumps.retain(|pump| !pump.left());
            if pumps.is_empty() || now % 16 == 15 {
                // A member that died in a call is replaced, as a supervisor would.
                if pumps.is_empty() || cluster.living() == 0 {
                    pumps = vec![join()];
                }
                cluster.rebalance();
            }
            if now > 24 && now >= self.storm && cluster.all_committed() && cluster.settled() {
                return self.judge();
            }
        }
        Err("not everything was committed in the end".to_owned())
    }

    /// The promise, on what a reader of committed records sees: every record arrived, where and as
    /// it should; exactly once, if that was promised.
    fn judge(&self) -> std::result::Result<(), String> {
        self.cluster.check()?;
        let mut all: BTreeMap<(i32, i64), Vec<Arrived>> = BTreeMap::new();
        for number in 0..PARTITIONS as i32 {
            for arrived in self.cluster.arrived("clean", number) {
                all.entry((number, arrived.offset)).or_default().push(arrived);
            }
        }
        for arrived in self.cluster.quarantined() {
            if arrived.record.is_some() {
                return Err(format!("{arrived:?} is in the quarantine and not sealed"));
            }
            all.entry((arrived.partition.number, arrived.offset)).or_default().push(arrived);
        }
        for (place, source) in &self.source {
            let arrived = all.remove(place).unwrap_or_default();
            self.judge_one(source, &arrived).map_err(|what| format!("{place:?}: {what}"))?;
        }
        if all.is_empty() { Ok(()) } else { Err(format!("nobody produced {:?}", all.keys())) }
    }

    fn judge_one(&self, source: &Stored, arrived: &[Arrived]) -> std::result::Result<(), String> {
        match (arrived.len(), self.delivery) {
            (0, _) => return Err("lost".to_owned()),
            (1, _) | (_, Delivery::AtLeastOnce) => {}
            (count, Delivery::ExactlyOnce) => return Err(format!("arrived {count} times")),
        }
        let fits = source.value.as_ref().is_none_or(|value| value.len() <= LARGEST);
        let clean = fits && source.value.as_deref() != Some(b"{oops");
        let as_it_should = |one: &Arrived| match &one.record {
            Some(record) => clean && record == source,
            None => !clean || self.may_be_refused,
        };
        if arrived.iter().all(as_it_should) { Ok(()) } else { Err("not as it should".to_owned()) }
    }
}

/// Something that happens to a group, by chance.
fn disturb<'a, B: Broker>(
    chance: &mut Chance,
    cluster: &Cluster,
    pumps: &mut Vec<Pump<'a, B>>,
    join: impl Fn() -> Pump<'a, B>,
) {
    match chance.below(40) {
        0 | 1 => cluster.rebalance(),
        2 => cluster.evict(),
        3 if pumps.len() < 3 => pumps.push(join()),
        4 if pumps.len() > 1 => drop(pumps.swap_remove(chance.below(pumps.len()))),
        5 if pumps.len() > 1 => {
            let leaver = chance.below(pumps.len());
            pumps[leaver].shut_down();
        }
        _ => {}
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
        paths: Paths::compile(&[]).unwrap(),
        rules: [].into(),
        key: OnKey::Nobody,
        header_rules: Vec::new(),
        conditions: None,
        subjects: None,
        unlisted: Unlisted::Keep,
        keys: None,
        own: Own::default(),
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
        clean_brokers: None,
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

/// What is wrong with a member, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It reports a batch as delivered as soon as it is sent.
    DeliversEarly,
    /// It commits the offsets of records that come only after the transaction.
    CommitsAhead,
    /// Its transactions carry no offsets; the next one's do.
    CommitsLate,
    /// After an abort it reads on where it was.
    ForgetsToGoBack,
    /// It believes its own memory about a commit that nobody answered.
    TrustsItself,
    /// After such a commit it goes on under the same epoch.
    KeepsItsEpoch,
    /// It leaves partitions paused that come back.
    StaysPaused,
    /// It gives partitions up while they are in an open transaction, and does not undo it.
    YieldsOpen,
    /// It commits though its client did not take a record of the transaction.
    CommitsWithout,
    /// Nobody can see that its client has fallen back, and reads again what was read.
    HidesItsFalls,
}

/// A member with a flaw.
pub struct Flawed {
    member: Member,
    flaw: Flaw,
    early: VecDeque<BatchId>,
    offsets: Vec<Position>,
}

impl Flawed {
    pub fn new(member: Member, flaw: Flaw) -> Self {
        let member = match flaw {
            Flaw::KeepsItsEpoch => member.that_keeps_its_epoch(),
            Flaw::StaysPaused => member.that_keeps_its_pauses(),
            Flaw::CommitsWithout => member.that_commits_without(),
            Flaw::HidesItsFalls => member.that_hides_its_falls(),
            _ => member,
        };
        Self { member, flaw, early: VecDeque::new(), offsets: Vec::new() }
    }

    fn delivers_early(&self) -> bool {
        self.flaw == Flaw::DeliversEarly
    }
}

impl Broker for Flawed {
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
            Notice::Delivered(_) if self.delivers_early() => self.notice(),
            Notice::Revoked { partitions, .. } if self.flaw == Flaw::YieldsOpen => {
                self.member.yield_up(&partitions);
                self.notice()
            }
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
        self.early.extend(self.delivers_early().then_some(id));
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
        match self.flaw {
            Flaw::CommitsAhead => {
                let ahead: Vec<_> = offsets.iter().map(|(at, next)| (*at, next + 1)).collect();
                self.member.commit(&ahead);
            }
            Flaw::CommitsLate => {
                let late = std::mem::replace(&mut self.offsets, offsets.to_vec());
                self.member.commit(&late);
            }
            _ => self.member.commit(offsets),
        }
    }
    fn abort(&mut self) {
        self.member.abort();
    }
    fn rewind(&mut self, positions: &[Position]) -> Result<()> {
        match self.flaw {
            Flaw::ForgetsToGoBack => Ok(()),
            _ => self.member.rewind(positions),
        }
    }
    fn recall(&mut self, positions: &[Position]) -> Result<()> {
        match self.flaw {
            Flaw::ForgetsToGoBack => Ok(()),
            Flaw::TrustsItself => self.member.rewind(positions),
            _ => self.member.recall(positions),
        }
    }
    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        self.member.lag(partition, next)
    }
    fn leave(&mut self) {
        self.member.leave();
    }
}
