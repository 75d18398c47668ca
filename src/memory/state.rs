//! The brokers' side: logs, transactions, the group. Every rule here is one that real brokers keep.

use super::{Arrived, Chance, Fault, Stored, Weather};
use crate::error::{Error, Result};
use crate::lane::{BatchId, Delivery, Notice, Partition, Position, TopicId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A partition of a clean topic, by the topic's number; none is the quarantine.
pub(super) type To = Option<(usize, i32)>;

pub(super) struct State {
    pub chance: Chance,
    pub delivery: Delivery,
    pub weather: Weather,
    pub topics: Vec<(String, Vec<Vec<Stored>>)>,
    pub clean: Vec<String>,
    pub clean_bytes_max: usize,
    logs: BTreeMap<To, Vec<Entry>>,
    /// Source records that a reader sees somewhere.
    seen: BTreeSet<(Partition, i64)>,
    /// By source partition: the newest offset that arrived in the clean topic.
    newest: BTreeMap<Partition, i64>,
    /// By transactional id.
    producers: BTreeMap<String, Epoch>,
    /// Requests to commit that were sent twice: the first may still come.
    late: VecDeque<(String, u32)>,
    /// Commits that were answered, by transactional id, and whose offsets are still on their way to
    /// the group. Those of one id are through before the next of that id begins.
    closing: VecDeque<(String, Vec<Position>)>,
    pub committed: BTreeMap<Partition, i64>,
    pub owner: BTreeMap<Partition, u32>,
    /// Who is to have a partition once its owner has yielded it.
    heir: BTreeMap<Partition, u32>,
    pub members: BTreeMap<u32, Seat>,
    pub next_member: u32,
    generation: u64,
    /// Which records a clean topic does not take, once that is decided.
    too_large: BTreeMap<(Partition, i64), bool>,
    pub calls: u64,
    pub faults: BTreeMap<u64, Fault>,
    pub broken: Option<String>,
}

struct Entry {
    arrived: Arrived,
    shown: Shown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Open,
    Committed,
    Aborted,
}

/// The newest producer of a transactional id.
#[derive(Default)]
struct Epoch {
    number: u32,
    open: Option<Open>,
}

/// An open transaction.
#[derive(Default)]
struct Open {
    entries: Vec<(To, usize)>,
    offsets: Vec<Position>,
}

/// A member as the cluster sees it.
#[derive(Default)]
pub(super) struct Seat {
    pub alive: bool,
    /// The newest generation of the group that it is in; none while it is out.
    pub generation: Option<u64>,
    pub notices: VecDeque<Notice>,
    /// Asked to yield or to accept, and not yet answered.
    pub busy: bool,
    pub on_the_way: VecDeque<Sending>,
    pub reports: VecDeque<(BatchId, Report)>,
    pub commit: Option<Vec<Position>>,
    /// Its producers, whose turn it is first.
    pub producers: [Producer; 2],
    pub job: Option<Job>,
}

/// One of a member's two producers: its transactional id, and its epoch once it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Producer {
    pub name: String,
    pub epoch: Option<u32>,
}

/// What became of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Stored,
    Failed,
    /// The number of a record that its topic does not take.
    TooLarge(usize),
}

/// What a member's transaction waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Name,
    /// Sent in the name of the generation that the member was in when it began to commit.
    Offsets(Vec<Position>, Option<u64>),
    End,
    Undo,
}

pub(super) struct Sending {
    pub batch: BatchId,
    pub index: usize,
    pub to: To,
    pub arrived: Arrived,
}

/// Why the brokers refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The transactional id has a newer producer.
    Fenced,
    /// Whatever else.
    Refused,
}

impl State {
    pub fn new(chance: Chance, delivery: Delivery, weather: Weather) -> Self {
        Self {
            chance,
            delivery,
            weather,
            topics: Vec::new(),
            clean: Vec::new(),
            clean_bytes_max: usize::MAX,
            logs: BTreeMap::new(),
            seen: BTreeSet::new(),
            newest: BTreeMap::new(),
            producers: BTreeMap::new(),
            late: VecDeque::new(),
            closing: VecDeque::new(),
            committed: BTreeMap::new(),
            owner: BTreeMap::new(),
            heir: BTreeMap::new(),
            members: BTreeMap::new(),
            next_member: 0,
            generation: 0,
            too_large: BTreeMap::new(),
            calls: 0,
            faults: BTreeMap::new(),
            broken: None,
        }
    }

    pub fn partitions(&self) -> Vec<Partition> {
        let topics = self.topics.iter().enumerate();
        let partitions = topics.flat_map(|(topic, (_, logs))| {
            (0..logs.len()).map(move |number| Partition {
                topic: TopicId(topic as u32),
                number: number as i32,
            })
        });
        partitions.collect()
    }

    pub fn log(&self, partition: Partition) -> &Vec<Stored> {
        &self.topics[partition.topic.0 as usize].1[partition.number as usize]
    }

    /// What a reader of committed records sees: up to the first record of an open transaction.
    pub fn visible(&self, to: Option<(&str, i32)>) -> Vec<Arrived> {
        let to = match to {
            None => None,
            Some((topic, number)) => match self.clean.iter().position(|name| name == topic) {
                Some(topic) => Some((topic, number)),
                None => return Vec::new(),
            },
        };
        let log = self.logs.get(&to).map_or(&[][..], Vec::as_slice);
        let stable = log.iter().take_while(|entry| entry.shown != Shown::Open);
        let committed = stable.filter(|entry| entry.shown == Shown::Committed);
        committed.map(|entry| entry.arrived.clone()).collect()
    }

    pub fn break_promise(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}

/// Logs and transactions.
impl State {
    /// A producer takes its name: what an earlier one left open is undone.
    pub fn name_producer(&mut self, name: &str) -> u32 {
        self.undo(name);
        self.closing.retain(|(closing, _)| closing != name);
        let epoch = self.producers.entry(name.to_owned()).or_default();
        epoch.number += 1;
        epoch.number
    }

    fn open(&mut self, name: &str, epoch: Option<u32>) -> std::result::Result<&mut Open, Refusal> {
        match self.producers.get_mut(name) {
            Some(producer) if Some(producer.number) == epoch => {
                self.closing.retain(|(closing, _)| closing != name);
                Ok(producer.open.get_or_insert_default())
            }
            _ => Err(Refusal::Fenced),
        }
    }

    /// Stores a member's record: in its open transaction, or for all to see.
    fn store(&mut self, member: u32, sending: Sending) -> std::result::Result<(), Refusal> {
        let Sending { to, arrived, .. } = sending;
        if let Some((_, number)) = to
            && number != arrived.partition.number
        {
            self.break_promise(format!("{arrived:?} arrives in partition {number}"));
        }
        if self.delivery == Delivery::AtLeastOnce {
            self.show(to, &arrived);
            self.logs.entry(to).or_default().push(Entry { arrived, shown: Shown::Committed });
            return Ok(());
        }
        let Some(seat) = self.members.get(&member) else { return Err(Refusal::Refused) };
        let Producer { name, epoch } = seat.producers[0].clone();
        let place = self.logs.get(&to).map_or(0, Vec::len);
        self.open(&name, epoch)?.entries.push((to, place));
        self.logs.entry(to).or_default().push(Entry { arrived, shown: Shown::Open });
        Ok(())
    }

    /// A record becomes visible: for the first time, in order; with transactions only once.
    fn show(&mut self, to: To, arrived: &Arrived) {
        let (partition, offset) = (arrived.partition, arrived.offset);
        let fresh = self.seen.insert((partition, offset));
        if !fresh && self.delivery == Delivery::ExactlyOnce {
            self.break_promise(format!("{partition:?}: {offset} is visible twice"));
        }
        if to.is_none() {
            return;
        }
        let newest = self.newest.entry(partition).or_insert(-1);
        let before = *newest;
        *newest = offset.max(before);
        if fresh && offset < before {
            self.break_promise(format!("{partition:?}: {offset} arrives after {before}"));
        }
    }

    /// Takes offsets into a member's transaction, if the group is still in the generation in whose
    /// name they come. Whose partitions they are is not asked.
    pub fn send_offsets(
        &mut self,
        member: u32,
        offsets: &[Position],
        generation: Option<u64>,
    ) -> std::result::Result<(), Refusal> {
        let Some(seat) = self.members.get(&member) else { return Err(Refusal::Refused) };
        let Producer { name, epoch } = seat.producers[0].clone();
        let current = Some(self.generation);
        let open = self.open(&name, epoch)?;
        if generation != current {
            return Err(Refusal::Refused);
        }
        open.offsets.extend_from_slice(offsets);
        Ok(())
    }

    /// Ends the transaction that is open under a producer, whichever that is.
    pub fn end(
        &mut self,
        name: &str,
        epoch: Option<u32>,
        commit: bool,
    ) -> std::result::Result<(), Refusal> {
        self.open(name, epoch)?;
        let open = self.producers.get_mut(name).and_then(|producer| producer.open.take());
        let open = open.unwrap_or_default();
        if commit {
            self.closing.push_back((name.to_owned(), open.offsets.clone()));
        }
        self.settle(open, commit);
        Ok(())
    }

    fn undo(&mut self, name: &str) {
        let open = self.producers.get_mut(name).and_then(|producer| producer.open.take());
        if let Some(open) = open {
            self.settle(open, false);
        }
    }

    fn settle(&mut self, open: Open, commit: bool) {
        let shown = if commit { Shown::Committed } else { Shown::Aborted };
        for (to, place) in open.entries {
            let Some(entry) = self.logs.get_mut(&to).and_then(|log| log.get_mut(place)) else {
                continue;
            };
            entry.shown = shown;
            let arrived = entry.arrived.clone();
            if commit {
                self.show(to, &arrived);
            }
        }
        if commit {
            self.store_offsets(open.offsets);
        }
    }

    /// Offsets become the group's: what they cover must be visible, and with transactions nothing
    /// that they do not cover may be.
    fn store_offsets(&mut self, offsets: Vec<Position>) {
        for (partition, next) in offsets {
            let from = self.committed.insert(partition, next).unwrap_or(0);
            if from > next {
                self.break_promise(format!("{partition:?}: {next} committed after {from}"));
            }
            let lost = (from.min(next)..next).find(|it| !self.seen.contains(&(partition, *it)));
            if let Some(lost) = lost {
                let what = format!("{partition:?}: {next} committed, {lost} has not arrived");
                self.break_promise(what);
            }
        }
        if self.delivery == Delivery::ExactlyOnce {
            let beyond = self.seen.iter().find(|(partition, offset)| {
                *offset >= self.committed.get(partition).copied().unwrap_or(0)
            });
            if let Some((partition, offset)) = beyond {
                let what = format!("{partition:?}: {offset} is visible and not committed");
                self.break_promise(what);
            }
        }
    }

    /// The offset that the group's coordinator tells; none while a transaction may still change it.
    pub fn stable_offset(&self, partition: Partition) -> Option<Option<i64>> {
        let open = self.producers.values().filter_map(|producer| producer.open.as_ref());
        let open = open.map(|open| &open.offsets);
        let mut offsets = open.chain(self.closing.iter().map(|(_, offsets)| offsets)).flatten();
        let pending = offsets.any(|(it, _)| *it == partition);
        (!pending).then(|| self.committed.get(&partition).copied())
    }

    pub fn settled(&self) -> bool {
        self.closing.is_empty() && self.producers.values().all(|producer| producer.open.is_none())
    }

    /// Ends one transaction for its age: its producer is fenced.
    fn expire(&mut self, name: &str) {
        self.undo(name);
        if let Some(producer) = self.producers.get_mut(name) {
            producer.number += 1;
        }
    }

    /// What goes on without anyone's call.
    pub fn blow(&mut self) {
        let members: Vec<u32> = self.members.keys().copied().collect();
        for member in members {
            self.carry(member);
            if !self.members[&member].alive {
                self.expire_of(member);
            }
        }
        self.deliver_late();
        if !self.closing.is_empty() && self.chance.once_in(2) {
            let picked = self.chance.below(self.closing.len());
            self.closing.remove(picked);
        }
        if self.chance.once_in(self.weather.expired) {
            let open = self.producers.iter().filter(|(_, producer)| producer.open.is_some());
            let open: Vec<String> = open.map(|(name, _)| name.clone()).collect();
            if !open.is_empty() {
                let picked = self.chance.below(open.len());
                self.expire(&open[picked]);
            }
        }
    }

    /// A request that was lost sight of comes when it can do harm: while something is open under
    /// its producer. Without effect once that is fenced.
    fn deliver_late(&mut self) {
        let Some((name, epoch)) = self.late.pop_front() else { return };
        let producer = self.producers.get(&name).filter(|producer| producer.number == epoch);
        let (there, open) = (producer.is_some(), producer.is_some_and(|it| it.open.is_some()));
        if open && self.chance.once_in(4) {
            _ = self.end(&name, Some(epoch), true);
        } else if there {
            self.late.push_back((name, epoch));
        }
    }

    /// A dead member's transaction ends some time, if nobody has its names.
    fn expire_of(&mut self, member: u32) {
        if self.delivery == Delivery::AtLeastOnce || !self.chance.once_in(4) {
            return;
        }
        for name in self.names(member) {
            let living = self.members.values().filter(|seat| seat.alive);
            let mut taken = living.flat_map(|seat| &seat.producers);
            if !taken.any(|producer| producer.name == name) {
                self.expire(&name);
            }
        }
    }

    fn names(&self, member: u32) -> Vec<String> {
        let producers = self.members.get(&member).map(|seat| &seat.producers);
        producers.into_iter().flatten().map(|producer| producer.name.clone()).collect()
    }

    /// Makes a member stand still: its transaction and the group go on without it.
    pub fn stand_still(&mut self, member: u32) {
        if self.delivery == Delivery::ExactlyOnce {
            for name in self.names(member) {
                self.expire(&name);
            }
        }
        if self.members.get(&member).is_some_and(|seat| seat.alive && !seat.busy) {
            self.evict(member);
        }
    }
}

/// The group.
impl State {
    pub fn enter(&mut self, name: &str) -> u32 {
        let id = self.next_member;
        self.next_member += 1;
        let job = (self.delivery == Delivery::ExactlyOnce).then_some(Job::Name);
        let producer = |which| Producer { name: format!("{name} {which}"), epoch: None };
        let producers = ["a", "b"].map(producer);
        self.members.insert(id, Seat { alive: true, producers, job, ..Seat::default() });
        self.enter_again(id);
        id
    }

    /// A member that was out is in again, which makes a new generation.
    pub fn enter_again(&mut self, member: u32) {
        if let Some(seat) = self.members.get_mut(&member) {
            seat.generation.get_or_insert_default();
        }
        self.next_generation();
    }

    fn next_generation(&mut self) {
        self.generation += 1;
        for seat in self.members.values_mut() {
            seat.generation = seat.generation.map(|_| self.generation);
        }
    }

    pub fn living(&self) -> Vec<u32> {
        self.members.iter().filter(|(_, seat)| seat.alive).map(|(id, _)| *id).collect()
    }

    pub fn rebalance(&mut self) {
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
    pub fn inherit(&mut self) {
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
        if !assigned.is_empty() {
            self.next_generation();
        }
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

    pub fn free(&mut self, member: u32, partitions: &[Partition]) {
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

    pub fn evict_any(&mut self) {
        let idle: Vec<u32> =
            self.living().into_iter().filter(|id| !self.members[id].busy).collect();
        if !idle.is_empty() {
            let picked = self.chance.below(idle.len());
            self.evict(idle[picked]);
        }
    }

    fn evict(&mut self, member: u32) {
        let partitions = self.owned(member);
        self.free(member, &partitions);
        if let Some(seat) = self.members.get_mut(&member) {
            seat.busy = true;
            seat.generation = None;
            seat.notices.push_back(Notice::Revoked { partitions, lost: true });
        }
    }

    pub fn gone(&mut self, member: u32) {
        let partitions = self.owned(member);
        self.free(member, &partitions);
        if let Some(seat) = self.members.get_mut(&member) {
            seat.alive = false;
            seat.busy = false;
            seat.generation = None;
            seat.notices.clear();
            seat.commit = None;
            seat.job = None;
        }
        self.heir.retain(|_, to| *to != member);
    }

    /// Moves some of a member's sends to their topics, in order per partition, and answers its
    /// commit of offsets alone.
    pub fn carry(&mut self, member: u32) {
        if self.chance.once_in(self.weather.silent) {
            return;
        }
        let fails = self.chance.once_in(self.weather.failed);
        for _ in 0..self.chance.below(8) {
            let Some(seat) = self.members.get_mut(&member) else { return };
            if seat.on_the_way.is_empty() {
                break;
            }
            let picked = self.chance.below(seat.on_the_way.len());
            let to = seat.on_the_way[picked].to;
            let first = seat.on_the_way.iter().position(|sending| sending.to == to).unwrap_or(0);
            let Some(sending) = seat.on_the_way.remove(first) else { break };
            self.arrive(member, sending);
        }
        let Some(seat) = self.members.get_mut(&member) else { return };
        if fails && seat.alive {
            let failed = seat.on_the_way.drain(..).map(|it| (it.batch, Report::Failed));
            seat.reports.extend(failed);
        }
        if let Some(offsets) = seat.commit.take() {
            let answer = self.answer_commit(member, offsets);
            if let Some(seat) = self.members.get_mut(&member) {
                seat.notices.push_back(Notice::Committed(answer));
            }
        }
    }

    fn arrive(&mut self, member: u32, sending: Sending) {
        let (batch, index, to) = (sending.batch, sending.index, sending.to);
        let report = if to.is_some() && self.is_too_large(&sending.arrived) {
            Report::TooLarge(index)
        } else if self.store(member, sending).is_ok() {
            Report::Stored
        } else {
            Report::Failed
        };
        if let Some(seat) = self.members.get_mut(&member) {
            seat.reports.push_back((batch, report));
        }
    }

    /// Decided once for a record: it would not shrink.
    fn is_too_large(&mut self, arrived: &Arrived) -> bool {
        let large = self.chance.once_in(self.weather.too_large);
        *self.too_large.entry((arrived.partition, arrived.offset)).or_insert(large)
    }

    fn answer_commit(&mut self, member: u32, offsets: Vec<Position>) -> Result<()> {
        let fenced =
            offsets.iter().any(|(partition, _)| self.owner.get(partition) != Some(&member));
        if fenced || self.chance.once_in(self.weather.commit_refused) {
            return Err(Error::retry("the commit was refused"));
        }
        self.store_offsets(offsets);
        Ok(())
    }

    /// A request to commit that was sent, lost sight of and sent again.
    pub fn send_again(&mut self, name: &str, epoch: u32) {
        self.late.push_back((name.to_owned(), epoch));
    }
}
