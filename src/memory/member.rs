//! A member of the group: the broker as a lane sees it.

use super::state::{Job, Producer, Refusal, Report, Sending, State, To};
use super::{Arrived, Cluster, Fault, Stored, Weather};
use crate::engine::{Clean, CleanHeaders, Outcome};
use crate::error::{Error, Result};
use crate::lane::{
    self, BatchId, Broker, CleanTopic, Delivery, Notice, Parcel, Partition, Position, Published,
    Span, TopicId,
};
use crate::quarantine::Sealed;
use crate::record::{Headers, Raw, Record};
use std::cell::RefMut;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A member of the group.
pub struct Member {
    cluster: Cluster,
    id: u32,
    delivery: Delivery,
    /// Of the topics that were there when it joined.
    names: Vec<String>,
    /// Where it reads; `None` until the group has told.
    positions: BTreeMap<Partition, Option<i64>>,
    /// Where it was last sent.
    starts: BTreeMap<Partition, i64>,
    /// A pause outlives an assignment.
    paused: BTreeSet<Partition>,
    /// Number of the first batch in `parcels`.
    first: u64,
    parcels: VecDeque<Loaded>,
    /// What is handed over goes nowhere until the lane has gone back.
    failing: bool,
    /// A record was not taken when it was handed over: its client knows nothing of it.
    refused: bool,
    /// That is still to be told.
    untold: bool,
    /// Nothing may be begun any more before a new producer has taken the name.
    spent: bool,
    keeps_its_epoch: bool,
    keeps_its_pauses: bool,
    commits_without: bool,
    hides_its_falls: bool,
}

struct Loaded {
    parcel: Parcel<Fetched>,
    outstanding: usize,
    sent: bool,
    failed: bool,
    reported: bool,
}

/// How a call goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Goes,
    /// The member is dead.
    Dead,
    /// It fails without effect.
    Fails,
    /// It has its effect, and fails.
    Unanswered,
}

impl Member {
    pub(super) fn new(cluster: Cluster, id: u32, names: Vec<String>) -> Self {
        let delivery = cluster.0.borrow().delivery;
        Self {
            cluster,
            id,
            delivery,
            names,
            positions: BTreeMap::new(),
            starts: BTreeMap::new(),
            paused: BTreeSet::new(),
            first: 0,
            parcels: VecDeque::new(),
            failing: false,
            refused: false,
            untold: false,
            spent: false,
            keeps_its_epoch: false,
            keeps_its_pauses: false,
            commits_without: false,
            hides_its_falls: false,
        }
    }

    /// A flaw, for canaries: after a commit that nobody knows the end of it goes on under the same
    /// epoch, where a late request still finds it.
    #[must_use]
    pub fn that_keeps_its_epoch(mut self) -> Self {
        self.keeps_its_epoch = true;
        self
    }

    /// A flaw, for canaries: partitions that come back are as paused as they were when they went.
    #[must_use]
    pub fn that_keeps_its_pauses(mut self) -> Self {
        self.keeps_its_pauses = true;
        self
    }

    /// A flaw, for canaries: it commits a transaction though a record that belongs to it was not taken.
    #[must_use]
    pub fn that_commits_without(mut self) -> Self {
        self.commits_without = true;
        self
    }

    /// A flaw, for canaries: that its client has fallen back cannot be seen in what it fetches.
    #[must_use]
    pub fn that_hides_its_falls(mut self) -> Self {
        self.hides_its_falls = true;
        self
    }

    /// Whether it has died in a call.
    #[must_use]
    pub fn dead(&self) -> bool {
        self.cluster.0.borrow().members.get(&self.id).is_none_or(|seat| !seat.alive)
    }

    fn state(&self) -> RefMut<'_, State> {
        self.cluster.0.borrow_mut()
    }

    /// Counts a call and says how it goes.
    fn call(&self) -> Call {
        let mut state = self.state();
        if state.members.get(&self.id).is_none_or(|seat| !seat.alive) {
            return Call::Dead;
        }
        state.calls += 1;
        let calls = state.calls;
        match state.faults.get(&calls).copied() {
            None => Call::Goes,
            Some(Fault::Die) => {
                state.gone(self.id);
                Call::Dead
            }
            Some(Fault::Fail) => Call::Fails,
            Some(Fault::LoseAnswer) => Call::Unanswered,
            Some(Fault::StandStill) => {
                state.stand_still(self.id);
                Call::Goes
            }
        }
    }

    /// The same for a call that nothing can be answered to but its effect.
    fn called(&self) -> bool {
        self.call() != Call::Dead
    }

    /// True once in so many times as the weather says.
    fn chance(&self, times: impl Fn(&Weather) -> u32) -> bool {
        let mut state = self.state();
        let times = times(&state.weather);
        state.chance.once_in(times)
    }

    fn tell(&self, notice: Notice) {
        if let Some(seat) = self.state().members.get_mut(&self.id) {
            seat.notices.push_back(notice);
        }
    }

    fn loaded(&mut self, id: BatchId) -> Option<&mut Loaded> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.parcels.get_mut(index)
    }

    /// Sends a record, unless it has to fail with those before it.
    fn send(&mut self, id: BatchId, index: usize, to: To, arrived: Arrived) -> Published {
        let call = self.call();
        if call == Call::Dead {
            return Published::Full;
        }
        if self.failing() {
            if let Some(loaded) = self.loaded(id) {
                loaded.failed = true;
            }
            return Published::Taken;
        }
        let mut state = self.state();
        let Weather { full, refused, .. } = state.weather;
        if call == Call::Goes && state.chance.once_in(full) {
            return Published::Full;
        }
        let refused = match call {
            Call::Fails => 2,
            _ => refused,
        };
        if self.delivery == Delivery::ExactlyOnce && state.chance.once_in(refused) {
            drop(state);
            (self.refused, self.untold) = (true, true);
            return Published::Taken;
        }
        if let Some(seat) = state.members.get_mut(&self.id) {
            if call != Call::Fails {
                seat.on_the_way.push_back(Sending { batch: id, index, to, arrived });
            }
            // Stored or not: the report says that it failed.
            if call != Call::Goes {
                seat.reports.push_back((id, Report::Failed));
            }
        }
        drop(state);
        if let Some(loaded) = self.loaded(id) {
            loaded.outstanding += 1 + usize::from(call == Call::Unanswered);
        }
        Published::Taken
    }

    /// After a failure nothing more is sent until the lane has gone back: it would be stored
    /// before what failed.
    fn failing(&self) -> bool {
        self.refused || self.knows_of_a_failure()
    }

    fn knows_of_a_failure(&self) -> bool {
        let state = self.cluster.0.borrow();
        let reports = state.members.get(&self.id).map(|seat| &seat.reports);
        let failed = |(_, report): &(BatchId, Report)| *report == Report::Failed;
        self.failing
            || self.parcels.iter().any(|loaded| loaded.failed)
            || reports.is_some_and(|reports| reports.iter().any(failed))
    }

    fn take_reports(&mut self) {
        let reports = match self.state().members.get_mut(&self.id) {
            Some(seat) => std::mem::take(&mut seat.reports),
            None => return,
        };
        let in_transaction = self.delivery == Delivery::ExactlyOnce;
        let mut spoilt = None;
        for (id, report) in reports {
            let Some(loaded) = self.loaded(id) else { continue };
            match report {
                Report::Stored => loaded.outstanding -= 1,
                Report::Failed => {
                    loaded.outstanding -= 1;
                    loaded.failed = true;
                    spoilt.get_or_insert(Notice::Failed(id, Error::retry("a delivery failed")));
                }
                Report::TooLarge(index) => {
                    // Without transactions it is outstanding until it is settled.
                    if in_transaction {
                        loaded.outstanding -= 1;
                        spoilt = Some(Notice::TooLarge(id, index));
                    } else {
                        self.tell(Notice::TooLarge(id, index));
                    }
                }
            }
        }
        if in_transaction {
            // Told once; what is being undone says nothing new.
            if let Some(notice) = spoilt
                && !std::mem::replace(&mut self.failing, true)
            {
                self.tell(notice);
            }
            if self.failing || self.refused {
                return;
            }
        }
        self.report_deliveries();
    }

    fn report_deliveries(&mut self) {
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
        for notice in notices {
            self.tell(notice);
        }
    }

    fn source(&self, id: BatchId, index: usize) -> Option<(Partition, i64)> {
        let fetched = &self.parcel(id)?.fetched;
        Some((fetched.records[index].0, fetched.records[index].1))
    }

    /// Which record of the batch a sealed message is of: it says so itself.
    fn sealed_source(&self, id: BatchId, sealed: &Sealed<'_>) -> Option<(usize, Partition, i64)> {
        let number = |name| {
            let (_, value) = sealed.headers().iter().find(|(this, _)| *this == name)?;
            value.parse::<i64>().ok()
        };
        let (number, offset) = (number("limpid-partition")?, number("limpid-offset")?);
        let records = &self.parcel(id)?.fetched.records;
        let is_it = |(partition, at, _): &(Partition, i64, Stored)| {
            i64::from(partition.number) == number && *at == offset
        };
        let index = records.iter().position(is_it)?;
        Some((index, records[index].0, offset))
    }

    /// Lets what is on its way go on.
    fn serve(&mut self) {
        self.state().carry(self.id);
        self.take_reports();
        if std::mem::take(&mut self.untold) && !self.failing {
            self.tell(Notice::Failed(BatchId(self.first), Error::retry("a record was refused")));
        }
        self.go_on();
    }

    /// Goes on with what its transaction waits for: one request to the brokers.
    fn go_on(&mut self) {
        let (job, Producer { name, epoch }, draining) = {
            let state = self.state();
            let Some(seat) = state.members.get(&self.id) else { return };
            let Some(job) = seat.job.clone() else { return };
            (job, seat.producers[0].clone(), !seat.on_the_way.is_empty())
        };
        if self.chance(|weather| weather.silent) {
            return;
        }
        match job {
            Job::Name => self.name(&name),
            Job::Offsets(..) | Job::End if draining => {}
            Job::Offsets(offsets, generation) => self.send_offsets(&offsets, generation),
            Job::End => self.commit_transaction(&name, epoch),
            Job::Undo => self.undo(&name, epoch),
        }
    }

    fn next_job(&self, job: Option<Job>) {
        if let Some(seat) = self.state().members.get_mut(&self.id) {
            seat.job = job;
        }
    }

    fn name(&mut self, name: &str) {
        let call = self.call();
        if matches!(call, Call::Dead | Call::Fails) {
            return; // it is asked again
        }
        let epoch = self.state().name_producer(name);
        if call != Call::Goes {
            return;
        }
        self.spent = false;
        let named = self.state().members.get_mut(&self.id).is_none_or(|seat| {
            seat.producers[0].epoch = Some(epoch);
            seat.producers[1].epoch.is_some()
        });
        if named { self.cleared() } else { self.turn() }
    }

    /// The other producer's turn.
    fn turn(&mut self) {
        if let Some(seat) = self.state().members.get_mut(&self.id) {
            seat.producers.swap(0, 1);
        }
    }

    fn cleared(&mut self) {
        self.next_job(None);
        self.tell(Notice::Cleared);
    }

    fn committed(&mut self, outcome: Result<()>) {
        self.next_job(None);
        self.tell(Notice::Committed(outcome));
    }

    fn send_offsets(&mut self, offsets: &[Position], generation: Option<u64>) {
        let call = self.call();
        let refused = self.chance(|weather| weather.commit_refused);
        match call {
            Call::Dead => return,
            Call::Fails => return self.committed(Err(Error::retry("the offsets were refused"))),
            Call::Goes | Call::Unanswered if refused => {
                return self.committed(Err(Error::retry("the offsets were refused")));
            }
            Call::Goes | Call::Unanswered => {}
        }
        let taken = self.state().send_offsets(self.id, offsets, generation);
        if let Err(refusal) = taken {
            self.spent |= refusal == Refusal::Fenced;
            return self.committed(Err(Error::retry("the offsets were refused")));
        }
        match call {
            Call::Unanswered => self.committed(Err(Error::retry("the offsets were not answered"))),
            _ => self.next_job(Some(Job::End)),
        }
    }

    fn commit_transaction(&mut self, name: &str, epoch: Option<u32>) {
        if self.knows_of_a_failure() {
            return self.committed(Err(Error::retry("a record was not delivered")));
        }
        let call = match self.call() {
            // Lost on its way there or back.
            Call::Goes if self.chance(|weather| weather.answer_lost) => {
                if self.chance(|_| 2) {
                    Call::Unanswered
                } else {
                    Call::Fails
                }
            }
            call => call,
        };
        if call == Call::Dead {
            return;
        }
        let ended = match call {
            Call::Fails => Ok(()),
            _ => self.state().end(name, epoch, true),
        };
        if matches!(call, Call::Fails | Call::Unanswered) {
            // Lost sight of: the request may still be on its way, for this epoch.
            self.spent = !self.keeps_its_epoch;
            if let Some(epoch) = epoch {
                self.state().send_again(name, epoch);
            }
            return self.committed(Err(Error::retry("nobody knows how the commit ended")));
        }
        self.spent |= ended.is_err();
        self.committed(ended.map_err(|_| Error::retry("the commit was refused")));
    }

    fn undo(&mut self, name: &str, epoch: Option<u32>) {
        if self.spent {
            return self.next_job(Some(Job::Name));
        }
        let call = self.call();
        let done = match call {
            Call::Dead | Call::Fails => return,
            Call::Goes | Call::Unanswered => self.state().end(name, epoch, false),
        };
        match done {
            Ok(()) if call == Call::Goes => self.cleared(),
            Ok(()) => {}
            Err(_) => self.next_job(Some(Job::Name)),
        }
    }

    fn go_to(&mut self, positions: &[Position]) {
        for (partition, next) in positions {
            if let Some(position) = self.positions.get_mut(partition) {
                *position = Some(*next);
                self.starts.insert(*partition, *next);
            }
        }
    }

    /// Moves to a position that the group tells, once it is stable.
    fn settle_positions(&mut self) {
        let state = self.cluster.0.borrow();
        for (partition, position) in &mut self.positions {
            if position.is_none() {
                *position = state.stable_offset(*partition).map(|offset| offset.unwrap_or(0));
                self.starts.extend(position.map(|start| (*partition, start)));
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.state().gone(self.id);
    }
}

impl Broker for Member {
    type Fetched = Fetched;

    fn fetch(&mut self, _: Duration) -> Option<Fetched> {
        let call = self.call();
        if call == Call::Dead {
            return None;
        }
        self.serve();
        self.settle_positions();
        let mut open: Vec<_> =
            self.positions.iter_mut().filter(|(it, _)| !self.paused.contains(it)).collect();
        if open.is_empty() || call != Call::Goes {
            return None;
        }
        let mut state = self.cluster.0.borrow_mut();
        let mut fetched = Fetched::default();
        for _ in 0..=state.chance.below(3) {
            let picked = state.chance.below(open.len());
            let most = 1 + state.chance.below(3);
            let (partition, Some(next)) = &mut open[picked] else { continue };
            let (before, falls_back) = (*next, state.weather.falls_back);
            if state.chance.once_in(falls_back) {
                *next = self.starts.get(partition).copied().unwrap_or(*next);
            }
            let (topic, _) = &state.topics[partition.topic.0 as usize];
            for stored in state.log(**partition).iter().skip(*next as usize).take(most) {
                fetched.push(topic, **partition, *next, stored.clone());
                *next += 1;
            }
            if self.hides_its_falls {
                fetched.pretend(**partition, before);
            }
        }
        (!fetched.records.is_empty()).then_some(fetched)
    }

    fn attend(&mut self, _: Duration) {
        if self.called() {
            self.serve();
        }
    }

    fn notice(&mut self) -> Option<Notice> {
        self.state().members.get_mut(&self.id)?.notices.pop_front()
    }

    fn topic_name(&self, topic: TopicId) -> &str {
        self.names.get(topic.0 as usize).map_or("", |name| name)
    }

    fn clean_topic(&mut self, _: &str, clean: &str) -> Result<CleanTopic> {
        let mut state = self.state();
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
        let Some((partition, offset)) = self.source(id, index) else { return Published::Full };
        let bytes_max = self.state().clean_bytes_max;
        let Some(parcel) = self.parcel(id) else { return Published::Full };
        let Outcome::Clean(clean) = parcel.outcome(index) else { return Published::Withheld };
        if clean.value().is_some_and(|value| value.len() > bytes_max) {
            return Published::TooLarge;
        }
        let record = Some(stored(&clean, &lane::Fetched::record(&parcel.fetched, index)));
        let arrived = Arrived { partition, offset, record };
        self.send(id, index, Some((to.0 as usize, partition.number)), arrived)
    }

    fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published {
        let Some((index, partition, offset)) = self.sealed_source(id, sealed) else {
            return Published::Refused(Error::fatal("a sealed record of no batch"));
        };
        self.send(id, index, None, Arrived { partition, offset, record: None })
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
        let mut state = self.state();
        if state.members.get(&self.id).is_some_and(|seat| seat.job.is_some()) {
            state.break_promise(format!("{id:?} is taken back while its transaction is ending"));
        }
        drop(state);
        let front = self.parcels.front()?;
        if id.0 != self.first || front.outstanding > 0 {
            return None;
        }
        self.first += 1;
        self.parcels.pop_front().map(|loaded| loaded.parcel)
    }

    fn begin(&mut self) {
        self.turn();
        (self.refused, self.untold) = (false, false);
        self.failing = self.call() != Call::Goes;
        if self.failing {
            // Told with the first batch that is handed over.
            let id = BatchId(self.first + self.parcels.len() as u64);
            self.tell(Notice::Failed(id, Error::retry("a transaction was not begun")));
        }
    }

    fn commit(&mut self, offsets: &[Position]) {
        if self.delivery == Delivery::ExactlyOnce {
            if self.refused && !self.commits_without {
                return self.committed(Err(Error::retry("a record was refused")));
            }
            let generation = self.state().members.get(&self.id).and_then(|seat| seat.generation);
            return self.next_job(Some(Job::Offsets(offsets.to_vec(), generation)));
        }
        let call = self.call();
        if call == Call::Fails {
            return self.tell(Notice::Committed(Err(Error::retry("the commit was refused"))));
        }
        if let Some(seat) = self.state().members.get_mut(&self.id).filter(|_| call != Call::Dead) {
            debug_assert!(seat.commit.is_none(), "two commits at a time");
            seat.commit = Some(offsets.to_vec());
        }
    }

    fn abort(&mut self) {
        self.failing = true;
        for loaded in &mut self.parcels {
            loaded.outstanding = 0;
        }
        if let Some(seat) = self.state().members.get_mut(&self.id) {
            seat.on_the_way.clear();
            seat.reports.clear();
        }
        self.next_job(Some(Job::Undo));
    }

    fn accept(&mut self, partitions: &[Partition]) {
        if !self.called() {
            return;
        }
        for partition in partitions {
            self.positions.insert(*partition, None);
            if !self.keeps_its_pauses {
                self.paused.remove(partition);
            }
        }
        let mut state = self.state();
        if let Some(seat) = state.members.get_mut(&self.id) {
            seat.busy = false;
        }
        state.inherit();
    }

    fn yield_up(&mut self, partitions: &[Partition]) {
        if !self.called() {
            return;
        }
        self.positions.retain(|partition, _| !partitions.contains(partition));
        let mut state = self.state();
        state.free(self.id, partitions);
        if let Some(seat) = state.members.get_mut(&self.id) {
            seat.busy = false;
        }
        state.enter_again(self.id);
        state.inherit();
    }

    fn pause(&mut self) {
        if self.called() {
            self.paused.extend(self.positions.keys());
        }
    }

    fn resume(&mut self) {
        if self.called() {
            let positions = &self.positions;
            self.paused.retain(|partition| !positions.contains_key(partition));
        }
    }

    fn rewind(&mut self, positions: &[Position]) -> Result<()> {
        let call = self.call();
        if call == Call::Fails {
            return Err(Error::retry("the consumer cannot go back"));
        }
        self.go_to(positions);
        match call {
            Call::Unanswered => Err(Error::retry("nobody knows whether the consumer went back")),
            _ => Ok(()),
        }
    }

    fn recall(&mut self, positions: &[Position]) -> Result<()> {
        if matches!(self.call(), Call::Fails | Call::Unanswered) {
            return Err(Error::retry("the group cannot be asked"));
        }
        let mut back = Vec::new();
        for (partition, next) in positions {
            let Some(offset) = self.state().stable_offset(*partition) else {
                return Err(Error::retry("offsets are on their way"));
            };
            back.push((*partition, offset.unwrap_or(*next)));
        }
        self.go_to(&back);
        Ok(())
    }

    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        let state = self.cluster.0.borrow();
        Some(state.log(partition).len() as i64 - next?)
    }

    fn leave(&mut self) {
        if self.called() {
            self.state().gone(self.id);
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
            // The client fell back while the batch was taken.
            Some(span) if offset < span.next => return,
            Some(span) => span.next = offset + 1,
            None => self.spans.push(Span { partition, first: offset, next: offset + 1 }),
        }
        self.bytes += stored.value.as_ref().map_or(0, Vec::len);
        self.records.push((partition, offset, stored));
    }

    /// Says that its records of a partition begin no sooner than there.
    fn pretend(&mut self, partition: Partition, first: i64) {
        for span in self.spans.iter_mut().filter(|span| span.partition == partition) {
            span.first = span.first.max(first);
        }
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
