//! A broker in memory, for tests: the second implementor of [`Broker`].
//!
//! It exists so that the loop and the lane can be run through hundreds of thousands of schedules
//! that a real cluster shows once a year: deliveries that come late and out of order over
//! partitions, full queues, failed deliveries, refused commits, partitions taken away or lost,
//! members that die at any call. Everything is on one thread and chosen by a seed, so that what
//! failed once fails again.
//!
//! What it keeps of the real thing: offsets and order in a partition; at most one owner of a
//! partition; only the owner commits; a member's sends are stored in order per partition, also
//! after it died; when one send fails, those behind it fail too. What it leaves out: time,
//! networks, compacted logs, transactions.

use crate::engine::{Clean, CleanHeaders, Outcome};
use crate::error::{Error, Result};
use crate::lane::{
    self, BatchId, Broker, CleanTopic, Notice, Parcel, Partition, Position, Published, Span,
    TopicId,
};
use crate::quarantine::Sealed;
use crate::record::{Headers, Raw, Record};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// A record as it lies in a topic.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, value) = (self.key.as_deref().map(Raw::new), self.value.as_deref().map(Raw::new));
        write!(f, "Stored({key:?}, {value:?}, {} headers)", self.headers.len())
    }
}

/// A record of a clean topic, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Source partition.
    pub partition: Partition,
    /// Source offset.
    pub offset: i64,
    /// What arrived; nothing of a sealed record.
    pub record: Option<Stored>,
}

/// How often things go wrong: once in so many times, 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// A send finds no room.
    pub full: u32,
    /// A delivery fails, and with it all that its member has on the way.
    pub failed: u32,
    /// A commit is refused.
    pub commit_refused: u32,
    /// Deliveries and answers to commits stay out for this call.
    pub silent: u32,
}

/// The cluster: source topics, clean topics, the group. Cloned, it is the same one.
#[derive(Clone)]
pub struct Cluster(Rc<RefCell<State>>);

struct State {
    chance: Chance,
    weather: Weather,
    topics: Vec<(String, Vec<Vec<Stored>>)>,
    clean: Vec<String>,
    arrived: BTreeMap<(String, i32), Vec<Arrived>>,
    quarantined: Vec<Arrived>,
    clean_bytes_max: usize,
    committed: BTreeMap<Partition, i64>,
    owner: BTreeMap<Partition, u32>,
    /// Who is to have a partition once its owner has yielded it.
    heir: BTreeMap<Partition, u32>,
    members: BTreeMap<u32, Seat>,
    next_member: u32,
    calls: u64,
    die_at: Option<u64>,
    seen: BTreeSet<(Partition, i64)>,
    /// By source partition: the newest offset that went to the clean topic.
    newest: BTreeMap<Partition, i64>,
    broken: Option<String>,
}

/// A member as the cluster sees it.
#[derive(Default)]
struct Seat {
    alive: bool,
    notices: VecDeque<Notice>,
    /// Asked to yield or to accept, and not yet answered.
    busy: bool,
    on_the_way: VecDeque<Sending>,
    reports: VecDeque<(BatchId, bool)>,
    commit: Option<Vec<Position>>,
}

struct Sending {
    batch: BatchId,
    /// `None` is the quarantine.
    to: Option<(String, i32)>,
    arrived: Arrived,
}

/// A small generator of chances (splitmix64): seeded, so that a schedule can be run again.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Chances of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or(0) % bound.max(1)
    }

    /// True once in `times`; never for 0.
    pub fn once_in(&mut self, times: u32) -> bool {
        times > 0 && self.below(times as usize) == 0
    }
}

impl Cluster {
    /// A cluster whose chances follow `seed`.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self(Rc::new(RefCell::new(State {
            chance: Chance::new(seed),
            weather,
            topics: Vec::new(),
            clean: Vec::new(),
            arrived: BTreeMap::new(),
            quarantined: Vec::new(),
            clean_bytes_max: usize::MAX,
            committed: BTreeMap::new(),
            owner: BTreeMap::new(),
            heir: BTreeMap::new(),
            members: BTreeMap::new(),
            next_member: 0,
            calls: 0,
            die_at: None,
            seen: BTreeSet::new(),
            newest: BTreeMap::new(),
            broken: None,
        })))
    }

    /// Adds a source topic of so many partitions.
    pub fn create(&self, topic: &str, partitions: usize) {
        self.0.borrow_mut().topics.push((topic.to_owned(), vec![Vec::new(); partitions]));
    }

    /// Appends a record to a source partition.
    ///
    /// # Panics
    /// There is no such partition.
    pub fn append(&self, topic: usize, partition: usize, record: Stored) {
        self.0.borrow_mut().topics[topic].1[partition].push(record);
    }

    /// The largest value that a clean topic takes.
    pub fn clean_bytes_max(&self, bytes: usize) {
        self.0.borrow_mut().clean_bytes_max = bytes;
    }

    /// Other weather from now on.
    pub fn weather(&self, weather: Weather) {
        self.0.borrow_mut().weather = weather;
    }

    /// The member that makes call number `call` dies in it.
    pub fn die_at(&self, call: u64) {
        self.0.borrow_mut().die_at = Some(call);
    }

    /// Calls that members have made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// A new member of the group; it has nothing until a rebalance.
    #[must_use]
    pub fn join(&self) -> Member {
        let mut state = self.0.borrow_mut();
        let id = state.next_member;
        state.next_member += 1;
        state.members.insert(id, Seat { alive: true, ..Seat::default() });
        let names = state.topics.iter().map(|(name, _)| name.clone()).collect();
        drop(state);
        Member {
            cluster: self.clone(),
            id,
            names,
            positions: BTreeMap::new(),
            paused: false,
            first: 0,
            parcels: VecDeque::new(),
            last_asked: 0,
        }
    }

    /// Shares the partitions out anew, by chance. Nothing happens while a member has not answered
    /// the last time.
    pub fn rebalance(&self) {
        self.0.borrow_mut().rebalance();
    }

    /// Throws a living member out, by chance: its partitions are lost to it at once.
    pub fn evict(&self) {
        self.0.borrow_mut().evict();
    }

    /// Stores some of what is on the way, of all members, also of dead ones.
    pub fn blow(&self) {
        let mut state = self.0.borrow_mut();
        let members: Vec<u32> = state.members.keys().copied().collect();
        for member in members {
            state.carry(member);
        }
    }

    /// What the group has committed.
    #[must_use]
    pub fn committed(&self) -> BTreeMap<Partition, i64> {
        self.0.borrow().committed.clone()
    }

    /// What a clean partition holds.
    #[must_use]
    pub fn arrived(&self, topic: &str, partition: i32) -> Vec<Arrived> {
        self.0.borrow().arrived.get(&(topic.to_owned(), partition)).cloned().unwrap_or_default()
    }

    /// What the quarantine holds.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Arrived> {
        self.0.borrow().quarantined.clone()
    }

    /// How many members live.
    #[must_use]
    pub fn living(&self) -> usize {
        self.0.borrow().living().len()
    }

    /// True when every source record is committed.
    #[must_use]
    pub fn all_committed(&self) -> bool {
        let state = self.0.borrow();
        state.partitions().into_iter().all(|partition| {
            let end = state.log(partition).len();
            state.committed.get(&partition).copied().unwrap_or(0) == end as i64
        })
    }

    /// The promise of at-least-once delivery: nothing is committed that has not arrived, and in
    /// every partition records arrive first in the order of their offsets. What breaks it is
    /// noted when it happens, for a late arrival would cover it up.
    ///
    /// # Errors
    /// What broke it first.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.0.borrow().broken.clone().map_or(Ok(()), Err)
    }
}

impl State {
    fn partitions(&self) -> Vec<Partition> {
        let topics = self.topics.iter().enumerate();
        let partitions = topics.flat_map(|(topic, (_, logs))| {
            (0..logs.len()).map(move |number| Partition {
                topic: TopicId(topic as u32),
                number: number as i32,
            })
        });
        partitions.collect()
    }

    fn log(&self, partition: Partition) -> &Vec<Stored> {
        &self.topics[partition.topic.0 as usize].1[partition.number as usize]
    }

    fn living(&self) -> Vec<u32> {
        self.members.iter().filter(|(_, seat)| seat.alive).map(|(id, _)| *id).collect()
    }

    fn rebalance(&mut self) {
        let living = self.living();
        if living.is_empty() || self.members.values().any(|seat| seat.alive && seat.busy) {
            return;
        }
        let mut revoked: BTreeMap<u32, Vec<Partition>> = BTreeMap::new();
        for partition in self.partitions() {
            let to = living[self.chance.below(living.len())];
            match self.owner.get(&partition) {
                Some(owner) if *owner == to => {}
                Some(owner) => {
                    revoked.entry(*owner).or_default().push(partition);
                    self.heir.insert(partition, to);
                }
                None => _ = self.heir.insert(partition, to),
            }
        }
        for (owner, partitions) in revoked {
            if let Some(seat) = self.members.get_mut(&owner) {
                seat.busy = true;
                seat.notices.push_back(Notice::Revoked { partitions, lost: false });
            }
        }
        self.inherit();
    }

    /// Gives partitions without an owner to their heirs.
    fn inherit(&mut self) {
        let mut assigned: BTreeMap<u32, Vec<Partition>> = BTreeMap::new();
        let owner = &self.owner;
        let members = &self.members;
        self.heir.retain(|partition, to| {
            let free = !owner.contains_key(partition);
            let ready = members.get(to).is_some_and(|seat| seat.alive && !seat.busy);
            if free && ready {
                assigned.entry(*to).or_default().push(*partition);
            }
            !(free && ready) && members.get(to).is_some_and(|seat| seat.alive)
        });
        for (to, partitions) in assigned {
            for partition in &partitions {
                self.owner.insert(*partition, to);
            }
            if let Some(seat) = self.members.get_mut(&to) {
                seat.busy = true;
                seat.notices.push_back(Notice::Assigned(partitions));
            }
        }
    }

    fn free(&mut self, member: u32, partitions: &[Partition]) {
        for partition in partitions {
            if self.owner.get(partition) == Some(&member) {
                self.owner.remove(partition);
            }
        }
    }

    fn owned(&self, member: u32) -> Vec<Partition> {
        let owned = self.owner.iter().filter(|(_, owner)| **owner == member);
        owned.map(|(partition, _)| *partition).collect()
    }

    fn evict(&mut self) {
        let idle: Vec<u32> =
            self.living().into_iter().filter(|id| !self.members[id].busy).collect();
        if idle.is_empty() {
            return;
        }
        let member = idle[self.chance.below(idle.len())];
        let partitions = self.owned(member);
        self.free(member, &partitions);
        if let Some(seat) = self.members.get_mut(&member) {
            seat.busy = true;
            seat.notices.push_back(Notice::Revoked { partitions, lost: true });
        }
    }

    fn gone(&mut self, member: u32) {
        let partitions = self.owned(member);
        self.free(member, &partitions);
        if let Some(seat) = self.members.get_mut(&member) {
            seat.alive = false;
            seat.busy = false;
            seat.notices.clear();
            seat.commit = None;
        }
        self.heir.retain(|_, to| *to != member);
    }

    /// Moves some of a member's sends to their topics, in order per partition, and answers its
    /// commit.
    fn carry(&mut self, member: u32) {
        if self.chance.once_in(self.weather.silent) {
            return;
        }
        let fails = self.chance.once_in(self.weather.failed);
        let steps = self.chance.below(8);
        let Some(mut seat) = self.members.remove(&member) else { return };
        for _ in 0..steps {
            if seat.on_the_way.is_empty() {
                break;
            }
            let picked = self.chance.below(seat.on_the_way.len());
            let to = seat.on_the_way[picked].to.clone();
            let first = seat.on_the_way.iter().position(|sending| sending.to == to).unwrap_or(0);
            if let Some(sending) = seat.on_the_way.remove(first) {
                seat.reports.push_back((sending.batch, true));
                self.store(sending);
            }
        }
        if fails && seat.alive {
            let failed = seat.on_the_way.drain(..).map(|sending| (sending.batch, false));
            seat.reports.extend(failed);
        }
        if let Some(offsets) = seat.commit.take() {
            let answer = self.answer_commit(member, offsets);
            seat.notices.push_back(Notice::Committed(answer));
        }
        self.members.insert(member, seat);
    }

    fn store(&mut self, sending: Sending) {
        let Sending { to, arrived, .. } = sending;
        let (partition, offset) = (arrived.partition, arrived.offset);
        let fresh = self.seen.insert((partition, offset));
        let Some(to) = to else { return self.quarantined.push(arrived) };
        let newest = self.newest.entry(partition).or_insert(-1);
        if fresh && offset < *newest {
            let broken = format!("{partition:?}: {offset} arrives after {newest}");
            self.broken.get_or_insert(broken);
        }
        *newest = offset.max(*newest);
        if to.1 != partition.number {
            self.broken.get_or_insert(format!("{partition:?}: {offset} arrives in {}", to.1));
        }
        self.arrived.entry(to).or_default().push(arrived);
    }

    fn answer_commit(&mut self, member: u32, offsets: Vec<Position>) -> Result<()> {
        let fenced =
            offsets.iter().any(|(partition, _)| self.owner.get(partition) != Some(&member));
        if fenced || self.chance.once_in(self.weather.commit_refused) {
            return Err(Error::retry("the commit was refused"));
        }
        for (partition, next) in offsets {
            let from = self.committed.insert(partition, next).unwrap_or(0);
            let lost = (from.min(next)..next).find(|it| !self.seen.contains(&(partition, *it)));
            if let Some(lost) = lost {
                let broken = format!("{partition:?}: {next} committed, {lost} has not arrived");
                self.broken.get_or_insert(broken);
            }
        }
        Ok(())
    }
}

/// A member of the group.
pub struct Member {
    cluster: Cluster,
    id: u32,
    /// Of the topics that were there when it joined.
    names: Vec<String>,
    positions: BTreeMap<Partition, i64>,
    paused: bool,
    /// Number of the first batch in `parcels`.
    first: u64,
    parcels: VecDeque<Loaded>,
    /// The record that was asked about last: the one that a sealed message is of.
    last_asked: usize,
}

struct Loaded {
    parcel: Parcel<Fetched>,
    outstanding: usize,
    sent: bool,
    failed: bool,
    reported: bool,
}

impl Member {
    /// Whether it has died in a call.
    #[must_use]
    pub fn dead(&self) -> bool {
        self.cluster.0.borrow().members.get(&self.id).is_none_or(|seat| !seat.alive)
    }

    /// Counts a call; false if the member is dead or dies in it.
    fn call(&self) -> bool {
        let mut state = self.cluster.0.borrow_mut();
        state.calls += 1;
        if state.die_at == Some(state.calls) {
            state.gone(self.id);
        }
        drop(state);
        !self.dead()
    }

    fn loaded(&mut self, id: BatchId) -> Option<&mut Loaded> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.parcels.get_mut(index)
    }

    fn send(&mut self, id: BatchId, to: Option<(String, i32)>, arrived: Arrived) -> Published {
        if self.failing()
            && let Some(loaded) = self.loaded(id)
        {
            loaded.failed = true;
            return Published::Taken;
        }
        let mut state = self.cluster.0.borrow_mut();
        let full = state.weather.full;
        if state.chance.once_in(full) {
            return Published::Full;
        }
        if let Some(seat) = state.members.get_mut(&self.id) {
            seat.on_the_way.push_back(Sending { batch: id, to, arrived });
        }
        drop(state);
        if let Some(loaded) = self.loaded(id) {
            loaded.outstanding += 1;
        }
        Published::Taken
    }

    fn take_reports(&mut self) {
        let reports = match self.cluster.0.borrow_mut().members.get_mut(&self.id) {
            Some(seat) => std::mem::take(&mut seat.reports),
            None => return,
        };
        for (id, stored) in reports {
            if let Some(loaded) = self.loaded(id) {
                loaded.outstanding -= 1;
                loaded.failed |= !stored;
            }
        }
        let mut notices = Vec::new();
        for (id, loaded) in (self.first..).zip(&mut self.parcels) {
            if loaded.sent && loaded.outstanding == 0 && !loaded.reported {
                loaded.reported = true;
                notices.push(if loaded.failed {
                    Notice::Failed(BatchId(id), Error::retry("a delivery failed"))
                } else {
                    Notice::Delivered(BatchId(id))
                });
            }
        }
        if let Some(seat) = self.cluster.0.borrow_mut().members.get_mut(&self.id) {
            seat.notices.extend(notices);
        }
    }

    /// After a failure nothing more is sent until the lane has gone back: it would be stored
    /// before what failed.
    fn failing(&self) -> bool {
        let state = self.cluster.0.borrow();
        let reports = state.members.get(&self.id).map(|seat| &seat.reports);
        self.parcels.iter().any(|loaded| loaded.failed)
            || reports.is_some_and(|reports| reports.iter().any(|(_, stored)| !stored))
    }

    fn source(&self, id: BatchId, index: usize) -> Option<(Partition, i64)> {
        let fetched = &self.parcel(id)?.fetched;
        Some((fetched.records[index].0, fetched.records[index].1))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.cluster.0.borrow_mut().gone(self.id);
    }
}

impl Broker for Member {
    type Fetched = Fetched;

    fn fetch(&mut self, _: Duration) -> Option<Fetched> {
        if !self.call() {
            return None;
        }
        self.cluster.0.borrow_mut().carry(self.id);
        self.take_reports();
        if self.paused || self.positions.is_empty() {
            return None;
        }
        let mut state = self.cluster.0.borrow_mut();
        let mut fetched = Fetched::default();
        for _ in 0..=state.chance.below(3) {
            let picked = state.chance.below(self.positions.len());
            let most = 1 + state.chance.below(3);
            let Some((partition, next)) = self.positions.iter_mut().nth(picked) else { continue };
            let (topic, _) = &state.topics[partition.topic.0 as usize];
            for stored in state.log(*partition).iter().skip(*next as usize).take(most) {
                fetched.push(topic, *partition, *next, stored.clone());
                *next += 1;
            }
        }
        (!fetched.records.is_empty()).then_some(fetched)
    }

    fn attend(&mut self, _: Duration) {
        if self.call() {
            self.cluster.0.borrow_mut().carry(self.id);
            self.take_reports();
        }
    }

    fn notice(&mut self) -> Option<Notice> {
        self.cluster.0.borrow_mut().members.get_mut(&self.id)?.notices.pop_front()
    }

    fn topic_name(&self, topic: TopicId) -> &str {
        self.names.get(topic.0 as usize).map_or("", |name| name)
    }

    fn clean_topic(&mut self, _: &str, clean: &str) -> Result<CleanTopic> {
        let mut state = self.cluster.0.borrow_mut();
        let index = state.clean.iter().position(|known| known == clean).unwrap_or_else(|| {
            state.clean.push(clean.to_owned());
            state.clean.len() - 1
        });
        Ok(CleanTopic(index as u32))
    }

    fn load(&mut self, id: BatchId, parcel: Parcel<Fetched>) {
        if self.parcels.is_empty() {
            self.first = id.0;
        }
        self.parcels.push_back(Loaded {
            parcel,
            outstanding: 0,
            sent: false,
            failed: false,
            reported: false,
        });
    }

    fn parcel(&self, id: BatchId) -> Option<&Parcel<Fetched>> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.parcels.get(index).map(|loaded| &loaded.parcel)
    }

    fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published {
        if !self.call() {
            return Published::Full;
        }
        self.last_asked = index;
        let Some((partition, offset)) = self.source(id, index) else { return Published::Full };
        let state = self.cluster.0.borrow();
        let (topic, bytes_max) = (state.clean[to.0 as usize].clone(), state.clean_bytes_max);
        drop(state);
        let Some(parcel) = self.parcel(id) else { return Published::Full };
        let Outcome::Clean(clean) = parcel.outcome(index) else { return Published::Withheld };
        if clean.value().is_some_and(|value| value.len() > bytes_max) {
            return Published::TooLarge;
        }
        let record = Some(stored(&clean, &lane::Fetched::record(&parcel.fetched, index)));
        self.send(id, Some((topic, partition.number)), Arrived { partition, offset, record })
    }

    fn quarantine(&mut self, id: BatchId, _: &Sealed<'_>) -> Published {
        if !self.call() {
            return Published::Full;
        }
        let Some((partition, offset)) = self.source(id, self.last_asked) else {
            return Published::Full;
        };
        self.send(id, None, Arrived { partition, offset, record: None })
    }

    fn settle(&mut self, id: BatchId) {
        if let Some(loaded) = self.loaded(id) {
            loaded.outstanding -= 1;
        }
    }

    fn sent(&mut self, id: BatchId) {
        if let Some(loaded) = self.loaded(id) {
            loaded.sent = true;
        }
    }

    fn unload(&mut self, id: BatchId) -> Option<Parcel<Fetched>> {
        let front = self.parcels.front()?;
        if id.0 != self.first || !front.sent || front.outstanding > 0 {
            return None;
        }
        self.first += 1;
        self.parcels.pop_front().map(|loaded| loaded.parcel)
    }

    fn accept(&mut self, partitions: &[Partition]) {
        if !self.call() {
            return;
        }
        let mut state = self.cluster.0.borrow_mut();
        for partition in partitions {
            let next = state.committed.get(partition).copied().unwrap_or(0);
            self.positions.insert(*partition, next);
        }
        if let Some(seat) = state.members.get_mut(&self.id) {
            seat.busy = false;
        }
        state.inherit();
    }

    fn yield_up(&mut self, partitions: &[Partition]) {
        if !self.call() {
            return;
        }
        self.positions.retain(|partition, _| !partitions.contains(partition));
        let mut state = self.cluster.0.borrow_mut();
        state.free(self.id, partitions);
        if let Some(seat) = state.members.get_mut(&self.id) {
            seat.busy = false;
        }
        state.inherit();
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn commit(&mut self, offsets: &[Position]) {
        if !self.call() {
            return;
        }
        if let Some(seat) = self.cluster.0.borrow_mut().members.get_mut(&self.id) {
            debug_assert!(seat.commit.is_none(), "two commits at a time");
            seat.commit = Some(offsets.to_vec());
        }
    }

    fn begin(&mut self) {}

    fn abort(&mut self) {}

    fn recall(&mut self, positions: &[Position]) -> Result<()> {
        self.rewind(positions)
    }

    fn rewind(&mut self, positions: &[Position]) -> Result<()> {
        if self.call() {
            for (partition, next) in positions {
                if let Some(position) = self.positions.get_mut(partition) {
                    *position = *next;
                }
            }
        }
        Ok(())
    }

    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        let state = self.cluster.0.borrow();
        Some(state.log(partition).len() as i64 - next?)
    }

    fn leave(&mut self) {
        if self.call() {
            self.cluster.0.borrow_mut().gone(self.id);
        }
    }
}

fn stored(clean: &Clean<'_>, record: &Record<'_>) -> Stored {
    let owned = |headers: &dyn Headers| {
        let header = |(name, value): (&[u8], Option<Raw<'_>>)| {
            (name.to_vec(), value.map(|value| value.expose().to_vec()))
        };
        (0..headers.count()).filter_map(|index| headers.get(index).map(header)).collect()
    };
    Stored {
        timestamp_ms: record.timestamp_ms,
        key: clean.key().map(<[u8]>::to_vec),
        value: clean.value().map(<[u8]>::to_vec),
        headers: match clean.headers() {
            CleanHeaders::Same => owned(record.headers),
            CleanHeaders::Edited(headers) => owned(&headers),
        },
    }
}

/// The records of one fetch.
#[derive(Default)]
pub struct Fetched {
    records: Vec<(Partition, i64, Stored)>,
    names: Vec<(TopicId, String)>,
    spans: Vec<Span>,
    bytes: usize,
}

impl Fetched {
    fn push(&mut self, topic: &str, partition: Partition, offset: i64, stored: Stored) {
        if !self.names.iter().any(|(id, _)| *id == partition.topic) {
            self.names.push((partition.topic, topic.to_owned()));
        }
        match self.spans.iter_mut().find(|span| span.partition == partition) {
            Some(span) => span.next = offset + 1,
            None => self.spans.push(Span { partition, first: offset, next: offset + 1 }),
        }
        self.bytes += stored.value.as_ref().map_or(0, Vec::len);
        self.records.push((partition, offset, stored));
    }
}

impl lane::Fetched for Fetched {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn record(&self, index: usize) -> Record<'_> {
        let (partition, offset, stored) = &self.records[index];
        let name = self.names.iter().find(|(id, _)| *id == partition.topic);
        Record {
            topic: name.map_or("", |(_, name)| name),
            partition: partition.number,
            offset: *offset,
            timestamp_ms: stored.timestamp_ms,
            key: stored.key.as_deref().map(Raw::new),
            value: stored.value.as_deref().map(Raw::new),
            headers: &stored.headers,
        }
    }

    fn topic(&self, index: usize) -> TopicId {
        self.records[index].0.topic
    }

    fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
