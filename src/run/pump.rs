//! The loop that does the I/O of one lane: notices in, the lane's actions out, one turn at a time.
//!
//! It decides nothing about offsets, partitions or waiting; that is [`Lane`]'s. What it knows is
//! how to do each action: fetch through the [`Broker`], clean with the [`Engine`], hand the batch
//! over record by record, seal what was withheld. When the producer has no room it keeps its place
//! in the batch and goes on next turn, so that the group is attended to meanwhile.
//!
//! Batches are cleaned as they come and handed over when the lane says so: while a transaction is
//! being committed the next ones get ready. Records are counted when they are delivered for good
//! ([`Account`]), so that work done twice is told once.

use super::account::Account;
use super::routes::Routes;
use super::start::circle;
use crate::clock;
use crate::engine::{Batch, Engine, Limits, Outcome, Route, RouteTally, Tally, Withheld};
use crate::error::{Error, Fate, Reason, Result};
use crate::lane::{
    Action, BatchId, Bounds, Broker, CleanTopic, Delivery, Event, Fetched, Lane, Notice, Parcel,
    Partition, Published, TopicId,
};
use crate::quarantine::{PublicKey, Sealer};
use crate::reload::InForce;
use crate::telemetry::{Health, Metrics};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Wait for records while deliveries are outstanding: their reports are looked for in between.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Wait for records, or for room, while nothing else is to be done.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How often lag is published.
const LAG_EVERY_MS: u64 = 1_000;

/// Emptied batches that are kept for reuse.
const SPARE_MAX: usize = 32;

/// What a lane's loop works with.
pub struct Tools<'a> {
    /// The routes.
    pub routes: &'a Routes<'a>,
    /// The policies in force.
    pub policies: &'a InForce,
    /// Where numbers go.
    pub metrics: &'a Metrics,
    /// Where progress goes.
    pub health: &'a Health,
    /// The lane's number.
    pub lane: usize,
    /// Bounds on one record.
    pub limits: Limits,
    /// The key withheld records are sealed to.
    pub quarantine_key: Option<&'a PublicKey>,
    /// How records and offsets are tied together.
    pub delivery: Delivery,
    /// Bounds on the lane.
    pub bounds: Bounds,
}

/// A lane's loop.
pub struct Pump<'a, B: Broker> {
    broker: B,
    tools: Tools<'a>,
    lane: Lane,
    engine: Engine,
    sealer: Sealer,
    /// By source topic: its route and its clean topic, once seen.
    ways: Vec<Option<Way>>,
    spare: Vec<Batch>,
    /// What the arenas of `spare` hold.
    spare_bytes: usize,
    fetched: Option<B::Fetched>,
    /// Batches in flight, in the order of their numbers.
    works: VecDeque<Work<B::Fetched>>,
    /// What was released and is not certain.
    account: Account,
    /// The batch that is being handed over.
    hand: Option<BatchId>,
    /// Records that a clean topic refused for their size, which spoilt their transaction.
    spoilers: BTreeSet<(Partition, i64)>,
    events: VecDeque<Event>,
    actions: Vec<Action>,
    failure: Option<Error>,
    attended: bool,
    joined: bool,
    next_lag: u64,
    total: RouteTally,
}

struct Way {
    route: Route,
    clean: CleanTopic,
}

/// A batch between its cleaning and its delivery.
struct Work<F> {
    id: BatchId,
    /// Until it is handed over, when the broker has it.
    parcel: Option<Parcel<F>>,
    /// The next record to hand over.
    next: usize,
    /// Records that the engine took for clean and the topic for too large: route and bytes.
    oversize: Vec<(usize, usize)>,
}

impl<'a, B: Broker> Pump<'a, B> {
    /// A loop over a member that has just joined.
    #[must_use]
    pub fn new(broker: B, tools: Tools<'a>) -> Self {
        Self {
            broker,
            lane: Lane::new(tools.delivery, tools.bounds),
            engine: Engine::new(tools.limits),
            sealer: Sealer::new(tools.quarantine_key),
            tools,
            ways: Vec::new(),
            spare: Vec::new(),
            spare_bytes: 0,
            fetched: None,
            works: VecDeque::new(),
            account: Account::default(),
            hand: None,
            spoilers: BTreeSet::new(),
            events: VecDeque::new(),
            actions: Vec::new(),
            failure: None,
            attended: false,
            joined: false,
            next_lag: 0,
            total: RouteTally::default(),
        }
    }

    /// True once the lane has left its group.
    #[must_use]
    pub const fn left(&self) -> bool {
        self.lane.left()
    }

    /// What it has delivered for good so far, over all routes.
    #[must_use]
    pub const fn total(&self) -> &RouteTally {
        &self.total
    }

    /// Begins to drain.
    pub fn shut_down(&mut self) {
        self.events.push_back(Event::Shutdown);
    }

    /// Takes what was reported, goes on with the batch in hand, lets time pass.
    ///
    /// # Errors
    /// What will not pass: the lane is over.
    pub fn turn(&mut self, now_ms: u64) -> Result<()> {
        self.attended = false;
        self.take_notices()?;
        self.work_off()?;
        self.hand_over()?;
        self.work_off()?;
        self.events.push_back(Event::Tick(now_ms));
        self.work_off()?;
        if !self.attended && !self.lane.left() {
            self.broker.attend(BUSY_WAIT);
        }
        self.publish_lag(now_ms);
        Ok(())
    }

    fn take_notices(&mut self) -> Result<()> {
        while let Some(notice) = self.broker.notice() {
            let event = match notice {
                Notice::Assigned(partitions) => Event::Assigned(partitions),
                Notice::Revoked { partitions, lost } => {
                    if lost {
                        self.joined = false;
                        self.tools.health.lost(self.tools.lane);
                    }
                    Event::Revoked { partitions, lost }
                }
                Notice::Delivered(id) => Event::Delivered(id),
                Notice::Failed(id, error) => self.failed(id, error),
                Notice::Committed(Ok(())) => Event::Committed { stored: true },
                Notice::Committed(Err(error)) => {
                    tracing::warn!("{error}");
                    Event::Committed { stored: false }
                }
                Notice::Cleared => Event::Cleared,
                Notice::TooLarge(id, index) if self.tools.delivery == Delivery::ExactlyOnce => {
                    self.spoilt(id, index)
                }
                Notice::TooLarge(id, index) => {
                    self.refused_as_too_large(id, index)?;
                    continue;
                }
                Notice::Trouble(error) if error.fate() == Fate::Retry => {
                    tracing::warn!("{error}");
                    continue;
                }
                Notice::Trouble(error) => return Err(error),
            };
            self.events.push_back(event);
        }
        Ok(())
    }

    fn failed(&mut self, id: BatchId, error: Error) -> Event {
        let fate = error.fate();
        if fate == Fate::Retry {
            tracing::warn!("{error}; reading again from the last committed record");
        } else {
            self.failure = Some(error);
        }
        Event::Failed(id, fate)
    }

    /// Steps the lane until nothing follows any more.
    fn work_off(&mut self) -> Result<()> {
        while let Some(event) = self.events.pop_front() {
            self.lane.step(event, &mut self.actions);
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.act(action)?;
            }
            self.actions = actions;
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Accept(partitions) => {
                self.broker.accept(&partitions);
                self.joined = true;
                self.tools.health.progress(self.tools.lane);
            }
            Action::Fetch => self.fetch(),
            Action::Process(id) => self.process(id)?,
            Action::Begin => self.broker.begin(),
            Action::HandOver(id) => self.begin_hand_over(id)?,
            Action::Commit(offsets) => self.broker.commit(&offsets),
            Action::Abort => {
                self.hand = None;
                self.account.empty();
                self.broker.abort();
            }
            Action::Pause => self.broker.pause(),
            Action::Resume => self.broker.resume(),
            Action::Release(id) => self.release(id),
            Action::Count => self.count(),
            Action::Discard(id) => self.discard(id),
            Action::Yield(partitions) => self.yield_up(&partitions),
            Action::Rewind(positions) => {
                let outcome = self.broker.rewind(&positions);
                self.rewound(outcome)?;
            }
            Action::Recall(positions) => {
                let outcome = self.broker.recall(&positions);
                self.rewound(outcome)?;
            }
            Action::Leave => {
                if self.lane.unsettled() {
                    tracing::warn!("not drained in time; what is left will be read again");
                }
                self.broker.leave();
            }
            Action::GiveUp => {
                return Err(self.failure.take().unwrap_or_else(|| Error::fatal("the lane failed")));
            }
        }
        Ok(())
    }

    fn rewound(&mut self, outcome: Result<()>) -> Result<()> {
        let done = match outcome {
            Ok(()) => true,
            Err(error) if error.fate() == Fate::Retry => {
                tracing::warn!("{error}");
                false
            }
            Err(error) => return Err(error),
        };
        self.events.push_back(Event::Rewound { done });
        Ok(())
    }

    fn fetch(&mut self) {
        let busy = self.lane.busy();
        // What is settled next is not records: the turn ends with waiting for that.
        let settling = busy && self.lane.settling();
        let wait = match busy {
            _ if settling => Duration::ZERO,
            true => BUSY_WAIT,
            false => IDLE_WAIT,
        };
        let fetched = self.broker.fetch(wait);
        self.attended = !settling || fetched.is_some();
        match fetched {
            Some(fetched) => {
                let (spans, bytes) = (fetched.spans().to_vec(), fetched.bytes());
                self.fetched = Some(fetched);
                self.events.push_back(Event::Fetched { spans, bytes });
            }
            None if self.joined && !busy => self.tools.health.progress(self.tools.lane),
            None => {}
        }
    }

    /// Cleans the batch that was fetched.
    fn process(&mut self, id: BatchId) -> Result<()> {
        let Some(fetched) = self.fetched.take() else { return Ok(()) };
        for span in fetched.spans() {
            self.find_way(span.partition.topic)?;
        }
        // The one place that asks which policies are in force: a batch has one answer.
        let policies = self.tools.policies.current();
        let mut batch = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= batch.arena_bytes();
        let begin = Instant::now();
        let records = (0..fetched.len()).filter_map(|index| {
            let way = way(&self.ways, fetched.topic(index))?;
            Some((&way.route, fetched.record(index)))
        });
        self.engine.clean_all(&policies, records, &mut batch);
        batch.complete();
        self.tools.metrics.batch(fetched.len(), begin.elapsed());
        let parcel = Some(Parcel { fetched, batch, policies });
        self.works.push_back(Work { id, parcel, next: 0, oversize: Vec::new() });
        Ok(())
    }

    fn find_way(&mut self, topic: TopicId) -> Result<()> {
        let index = topic.0 as usize;
        if self.ways.len() <= index {
            self.ways.resize_with(index + 1, || None);
        }
        if self.ways[index].is_none() {
            let source = self.broker.topic_name(topic).to_owned();
            let to = self.tools.routes.resolve(&source).ok_or_else(|| {
                Error::usage(format!("no route takes topic `{source}`, which was subscribed"))
            })?;
            if let Some(circle) = circle(self.tools.routes, &to.clean) {
                return Err(Error::usage(circle));
            }
            let clean = self.broker.clean_topic(&source, &to.clean)?;
            self.ways[index] = Some(Way { route: to.route, clean });
        }
        Ok(())
    }

    fn work(&mut self, id: BatchId) -> Option<&mut Work<B::Fetched>> {
        let first = self.works.front()?.id;
        self.works.get_mut(usize::try_from(id.0.checked_sub(first.0)?).ok()?)
    }

    /// Gives a cleaned batch to the broker, to be handed over.
    fn begin_hand_over(&mut self, id: BatchId) -> Result<()> {
        let Some(parcel) = self.work(id).and_then(|work| work.parcel.take()) else { return Ok(()) };
        self.broker.load(id, parcel);
        self.hand = Some(id);
        self.hand_over()
    }

    /// Goes on handing over the batch in hand, as far as there is room.
    fn hand_over(&mut self) -> Result<()> {
        let Some(id) = self.hand else { return Ok(()) };
        let Some(mut next) = self.work(id).map(|work| work.next) else { return Ok(()) };
        let count = self.broker.parcel(id).map_or(0, |parcel| parcel.fetched.len());
        while next < count && self.hand_over_one(id, next)? {
            next += 1;
        }
        if let Some(work) = self.work(id) {
            work.next = next;
        }
        if next == count {
            self.hand = None;
            self.broker.sent(id);
            self.events.push_back(Event::Sent(id));
        }
        Ok(())
    }

    /// Hands one record over; false if there was no room.
    fn hand_over_one(&mut self, id: BatchId, index: usize) -> Result<bool> {
        let Some(parcel) = self.broker.parcel(id) else { return Ok(true) };
        let Some(way) = way(&self.ways, parcel.fetched.topic(index)) else { return Ok(true) };
        let (route, clean) = (way.route.index, way.clean);
        if !self.spoilers.is_empty() && self.spoilers.contains(&place(&parcel.fetched, index)) {
            return self.seal_oversize(id, index, route);
        }
        match self.broker.publish(id, index, clean) {
            Published::Taken => Ok(true),
            Published::Full => Ok(false),
            Published::Refused(error) => Err(error),
            Published::Withheld => self.seal(id, index, route, None),
            Published::TooLarge => self.seal_oversize(id, index, route),
        }
    }

    /// Seals a record that the engine took for clean and the topic for too large.
    fn seal_oversize(&mut self, id: BatchId, index: usize, route: usize) -> Result<bool> {
        let bytes = clean_bytes(self.broker.parcel(id), index);
        let taken = self.seal(id, index, route, Some(Reason::Limits))?;
        if taken && let Some(work) = self.work(id) {
            work.oversize.push((route, bytes));
        }
        Ok(taken)
    }

    /// Seals one record and sends it to the quarantine; false if there was no room. The reason is
    /// the engine's unless another is given.
    fn seal(
        &mut self,
        id: BatchId,
        index: usize,
        route: usize,
        reason: Option<Reason>,
    ) -> Result<bool> {
        let Some(parcel) = self.broker.parcel(id) else { return Ok(true) };
        let withheld = match parcel.outcome(index) {
            Outcome::Withheld(withheld) => withheld,
            Outcome::Clean(_) => {
                Withheld { reason: reason.unwrap_or(Reason::Internal), tenant: None }
            }
        };
        let name = self.tools.routes.name(route);
        let sealed = self.sealer.seal(name, &parcel.fetched.record(index), &withheld);
        match self.broker.quarantine(id, &sealed) {
            Published::Full => Ok(false),
            Published::Refused(error) => Err(error),
            Published::Taken | Published::Withheld | Published::TooLarge => Ok(true),
        }
    }

    /// A record that the broker itself found too large, after it was sent.
    fn refused_as_too_large(&mut self, id: BatchId, index: usize) -> Result<()> {
        let Some(parcel) = self.broker.parcel(id) else { return Ok(()) };
        let Some(way) = way(&self.ways, parcel.fetched.topic(index)) else { return Ok(()) };
        let route = way.route.index;
        while !self.seal_oversize(id, index, route)? {
            self.broker.attend(BUSY_WAIT);
        }
        self.broker.settle(id);
        Ok(())
    }

    /// The same within a transaction: it is undone, and the record sealed the next time.
    fn spoilt(&mut self, id: BatchId, index: usize) -> Event {
        if let Some(parcel) = self.broker.parcel(id) {
            self.spoilers.insert(place(&parcel.fetched, index));
        }
        Event::Failed(id, Fate::Retry)
    }

    /// A batch is stored.
    fn release(&mut self, id: BatchId) {
        let Some(work) = self.works.pop_front() else { return };
        let Some(parcel) = self.broker.unload(id) else { return };
        let tally = parcel.batch.tally();
        if work.oversize.is_empty() {
            self.account.add(&parcel.policies, tally);
        } else {
            self.account.add(&parcel.policies, &correct(tally, &work.oversize));
        }
        self.add_times(&parcel.fetched);
        self.reuse(parcel);
        self.tools.health.progress(self.tools.lane);
    }

    fn add_times(&mut self, fetched: &B::Fetched) {
        for index in 0..fetched.len() {
            if let Some(at_ms) = fetched.record(index).timestamp_ms
                && let Some(way) = way(&self.ways, fetched.topic(index))
            {
                self.account.add_time(way.route.index, at_ms);
            }
        }
    }

    /// What was released is certain.
    fn count(&mut self) {
        self.account.count(self.tools.metrics, &mut self.total, clock::now_ms());
        if !self.spoilers.is_empty() {
            let held: BTreeMap<_, _> = self.lane.held().collect();
            self.spoilers.retain(|(partition, offset)| {
                held.get(partition).is_some_and(|next| next.is_none_or(|next| *offset >= next))
            });
        }
    }

    /// A batch is to be forgotten; it will be fetched again.
    fn discard(&mut self, id: BatchId) {
        let Some(work) = self.works.pop_front() else { return };
        if let Some(parcel) = work.parcel.or_else(|| self.broker.unload(id)) {
            self.reuse(parcel);
        }
    }

    fn reuse(&mut self, parcel: Parcel<B::Fetched>) {
        let mut batch = parcel.batch;
        let bytes = self.spare_bytes + batch.arena_bytes();
        if self.spare.len() < SPARE_MAX && bytes <= self.tools.bounds.bytes / 2 {
            batch.clear();
            self.spare.push(batch);
            self.spare_bytes = bytes;
        }
    }

    fn yield_up(&mut self, partitions: &[Partition]) {
        self.broker.yield_up(partitions);
        for partition in partitions {
            let topic = self.broker.topic_name(partition.topic);
            self.tools.metrics.lag(topic, partition.number, None);
        }
    }

    fn publish_lag(&mut self, now_ms: u64) {
        if now_ms < self.next_lag {
            return;
        }
        self.next_lag = now_ms + LAG_EVERY_MS;
        for (partition, next) in self.lane.held() {
            if let Some(lag) = self.broker.lag(partition, next) {
                let topic = self.broker.topic_name(partition.topic);
                self.tools.metrics.lag(topic, partition.number, Some(lag));
            }
        }
    }
}

fn place<F: Fetched>(fetched: &F, index: usize) -> (Partition, i64) {
    let record = fetched.record(index);
    (Partition { topic: fetched.topic(index), number: record.partition }, record.offset)
}

fn way(ways: &[Option<Way>], topic: TopicId) -> Option<&Way> {
    ways.get(topic.0 as usize)?.as_ref()
}

fn clean_bytes<F: Fetched>(parcel: Option<&Parcel<F>>, index: usize) -> usize {
    match parcel.map(|parcel| parcel.outcome(index)) {
        Some(Outcome::Clean(clean)) => clean.value().map_or(0, <[u8]>::len),
        _ => 0,
    }
}

/// A batch's tally, with records moved from clean to withheld.
fn correct(tally: &Tally, oversize: &[(usize, usize)]) -> Tally {
    let mut tally = tally.clone();
    for (route, bytes) in oversize {
        let Some(row) = tally.routes.get_mut(*route) else { continue };
        row.records_out = row.records_out.saturating_sub(1);
        row.bytes_out = row.bytes_out.saturating_sub(*bytes as u64);
        row.withheld[Reason::Limits as usize] += 1;
    }
    tally
}
