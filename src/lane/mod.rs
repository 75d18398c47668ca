//! The lane: what may be fetched, published, committed, yielded and when, as a synchronous state
//! machine.
//!
//! The problem: a record's clean copy and the note that it was read must become true together or
//! not at all, while brokers fail, partitions are taken away at any moment, and someone stops the
//! process. Spread over callbacks, as consumer code usually is, that cannot be tested. So all of it
//! is here, in one `step(event) -> actions` that does no I/O, reads no clock and knows no client;
//! [`crate::run`] is the one loop that does what it says.
//!
//! It works at the granularity of batches: what one fetch brought, any mix of partitions, in fetch
//! order. Nothing here runs per record.
//!
//! **Exactly once** ([`Delivery::ExactlyOnce`]). Batches are handed over inside a transaction that
//! begins with the first of them and ends, by time, size, revocation or shutdown, in one commit of
//! records and offsets. A batch's memory is given back as soon as it is stored, not when it is
//! committed: what is in use then fits into the cache, however large the transaction is, and a large
//! one costs its brokers less. While the commit is on its way the next batches are fetched and
//! cleaned, so that it costs no work, only order. Invariants:
//!
//! - one transaction at a time, and none while an earlier one's end is not known;
//! - what ended otherwise than by a stored commit is undone whole: abort, forget every batch, go
//!   back. If a commit was on its way, nobody but the group knows where "back" is: it is asked
//!   ([`Action::Recall`]), and the answer is believed over what the lane remembers;
//! - a partition that was taken away is in no transaction any more that can still commit.
//!
//! **At least once**, without transactions or to another cluster: an offset is committed only when every
//! batch fetched before it, and its own, has been delivered whole (*the delivered prefix*). What
//! failed is done again from there, for order's sake: sending one record again would put it behind
//! its successors.
//!
//! Thrown away: keeping the batches that a failed transaction held, to send them again without a
//! new fetch. It saves a fetch once in a while, and needs a second way to be wrong about offsets.

mod broker;

pub use broker::{Broker, CleanTopic, Fetched, Notice, Parcel, Published, TopicId};

use crate::error::Fate;
use std::collections::{BTreeMap, VecDeque};

/// How the two ends, records out and offsets in, are tied together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In one transaction: source and clean topics are on one cluster.
    ExactlyOnce,
    /// Offsets follow deliveries: after a failure records come again.
    AtLeastOnce,
}

/// A source partition: the broker's number for the topic, and the partition's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: TopicId,
    /// Its number in the topic.
    pub number: i32,
}

/// A stretch of one partition: what a batch holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub partition: Partition,
    /// Offset of its first record in the batch.
    pub first: i64,
    /// One past the offset of its last.
    pub next: i64,
}

/// A partition and the offset to read next, committed or to be gone back to.
pub type Position = (Partition, i64);

/// Number of a batch: they count up without gaps in a lane's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time went on; milliseconds from any fixed start. The only event that may answer
    /// [`Action::Fetch`].
    Tick(u64),
    /// The group gives these partitions to this lane.
    Assigned(Vec<Partition>),
    /// The group takes them away; when `lost`, they already belong to someone else.
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// Too late to commit.
        lost: bool,
    },
    /// A fetch brought records. Not sent for an empty one.
    Fetched {
        /// What it holds, each partition once.
        spans: Vec<Span>,
        /// Bytes it keeps in memory until it is released.
        bytes: usize,
    },
    /// Every record of the batch was handed to the producer.
    Sent(BatchId),
    /// Every record of the batch is stored.
    Delivered(BatchId),
    /// A record of the batch was refused, or the transaction it is in has failed.
    Failed(BatchId, Fate),
    /// The commit that was asked for is answered.
    Committed {
        /// Whether it is stored. If not, a transaction may be stored all the same: only the group
        /// knows.
        stored: bool,
    },
    /// No transaction is open, and none of an earlier producer can commit any more: answers
    /// [`Action::Abort`], and comes once at the start.
    Cleared,
    /// The rewind or recall that was asked for is answered.
    Rewound {
        /// Whether it is done; it is asked for again if not.
        done: bool,
    },
    /// Stop: commit what was handed over, leave.
    Shutdown,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the group that the new partitions are taken.
    Accept(Vec<Partition>),
    /// Fetch once, for a short while. While paused it brings only group events.
    Fetch,
    /// Clean this batch: the one just fetched.
    Process(BatchId),
    /// Begin a transaction.
    Begin,
    /// Hand this batch to the producer; answered by [`Event::Sent`]. Never two at a time.
    HandOver(BatchId),
    /// Commit these offsets, and the transaction if one is open; answered by [`Event::Committed`].
    /// Never two at a time.
    Commit(Vec<Position>),
    /// Undo the open transaction; answered by [`Event::Cleared`]. What was handed over is not sent
    /// any more.
    Abort,
    /// Stop reading all partitions, so that the group can be attended to without new records.
    Pause,
    /// Read again.
    Resume,
    /// The batch is stored; its memory may be used again.
    Release(BatchId),
    /// All that was released is published for good: it counts. What is released after an
    /// [`Action::Abort`] counts anew.
    Count,
    /// The batch will be fetched again; its memory may be used again.
    Discard(BatchId),
    /// Tell the group that the partitions are given up.
    Yield(Vec<Partition>),
    /// Read again from here; answered by [`Event::Rewound`].
    Rewind(Vec<Position>),
    /// Ask where the group stands and read again from there; from here where it stands nowhere.
    /// Answered by [`Event::Rewound`].
    Recall(Vec<Position>),
    /// Leave the group; the last action.
    Leave,
    /// It will not pass: stop the process.
    GiveUp,
}

/// What bounds a lane. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// No fetch while the batches in flight hold this many bytes.
    pub bytes: usize,
    /// No fetch while so many batches are in flight.
    pub batches: usize,
    /// A transaction that holds this many bytes is committed before its time.
    pub transaction_bytes: usize,
    /// From one commit to the next, at least. What comes after a longer pause is committed at once.
    pub commit_least: u64,
    /// And at most. With transactions it is between the two: `commit_share` decides.
    pub commit_most: u64,
    /// One part in so many of a lane's time may be spent on waiting for commits. A broker under load
    /// answers late, because it has much to store: then transactions are to be larger, so that it
    /// keeps up; and when it answers at once, smaller, for that is when nobody has to wait for
    /// their end.
    pub commit_share: u64,
    /// Longest wait for deliveries before revoked partitions are yielded.
    pub yield_within: u64,
    /// Without room for so long, partitions are paused and the group is attended to.
    pub stalled_after: u64,
    /// Longest wait for deliveries at the end.
    pub drain_within: u64,
}

/// Pause before the next transaction after one was undone: doubles up to the second figure with
/// every further one, so that a broker which refuses everything is not asked in a busy loop.
const PAUSE_MS: (u64, u64) = (50, 5_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Cleaned, not handed over.
    Ready,
    /// Being handed over.
    Handing,
    Sent,
    Delivered,
    Failed,
}

#[derive(Debug)]
struct InFlight {
    stage: Stage,
    bytes: usize,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Revocation {
    partitions: Vec<Partition>,
    deadline: u64,
    commit_tried: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// The broker has not said yet that there is none.
    Clearing,
    Closed,
    /// With so many bytes of records.
    Open(usize),
    Committing,
}

/// A going back that was asked for, or is to be.
#[derive(Debug)]
struct Return {
    positions: Vec<Position>,
    /// To where the group stands.
    recall: bool,
    /// Not before then: it has been asked, or was refused just now.
    ask_after: u64,
}

/// The state machine.
#[derive(Debug)]
pub struct Lane {
    delivery: Delivery,
    bounds: Bounds,
    now: u64,
    /// Batches from `first_id` on, in fetch order.
    flight: VecDeque<InFlight>,
    first_id: u64,
    bytes: usize,
    /// What the transaction holds of batches that were released: they are in flight no more.
    stored: BTreeMap<Partition, Span>,
    /// Partitions held, with the offset up to which all is delivered once there is one.
    held: BTreeMap<Partition, Option<i64>>,
    committed: BTreeMap<Partition, i64>,
    committing: Option<Vec<Position>>,
    commit_refused: bool,
    next_commit: u64,
    /// When the commit that is on its way was asked for.
    closed_at: u64,
    transaction: Transaction,
    /// All that is in flight is to be forgotten, what is in a transaction to be aborted.
    undoing: bool,
    /// A commit was on its way, and nobody has said how it ended.
    uncertain: bool,
    /// Undone transactions since the last stored one.
    undone: u32,
    begin_after: u64,
    returning: Option<Return>,
    revocation: Option<Revocation>,
    paused: bool,
    room_since: u64,
    stop_by: Option<u64>,
    left: bool,
    given_up: bool,
}

impl Lane {
    /// A lane that holds nothing yet.
    #[must_use]
    pub fn new(delivery: Delivery, bounds: Bounds) -> Self {
        Self {
            delivery,
            bounds,
            now: 0,
            flight: VecDeque::new(),
            first_id: 0,
            bytes: 0,
            stored: BTreeMap::new(),
            held: BTreeMap::new(),
            committed: BTreeMap::new(),
            committing: None,
            commit_refused: false,
            next_commit: 0,
            closed_at: 0,
            transaction: Transaction::Clearing,
            undoing: false,
            uncertain: false,
            undone: 0,
            begin_after: 0,
            returning: None,
            revocation: None,
            paused: false,
            room_since: 0,
            stop_by: None,
            left: false,
            given_up: false,
        }
    }

    /// Takes what happened, appends what to do.
    pub fn step(&mut self, event: Event, actions: &mut Vec<Action>) {
        if self.left || self.given_up {
            return;
        }
        let tick = matches!(event, Event::Tick(_));
        self.take(event, actions);
        if self.given_up {
            return;
        }
        match self.delivery {
            Delivery::ExactlyOnce => self.advance_transaction(actions),
            Delivery::AtLeastOnce => self.advance_prefix(actions),
        }
        if tick && !self.left {
            self.fetch_or_pause(actions);
        }
    }

    /// The partitions held, with the offset up to which all is delivered, where any is.
    pub fn held(&self) -> impl Iterator<Item = (Partition, Option<i64>)> {
        self.held.iter().map(|(partition, next)| (*partition, *next))
    }

    /// True while something is between its fetch and its commit.
    #[must_use]
    pub fn busy(&self) -> bool {
        !self.flight.is_empty() || self.may_commit()
    }

    /// True while something that was handed over is not committed.
    #[must_use]
    pub fn unsettled(&self) -> bool {
        !self.stored.is_empty() || self.flight.iter().any(|batch| batch.stage != Stage::Ready)
    }

    /// True while the answer to a commit, an abort or a producer's start is waited for.
    #[must_use]
    pub fn settling(&self) -> bool {
        matches!(self.transaction, Transaction::Committing | Transaction::Clearing)
            && self.delivery == Delivery::ExactlyOnce
    }

    /// True once it has left.
    #[must_use]
    pub const fn left(&self) -> bool {
        self.left
    }

    fn take(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Tick(now) => self.now = now,
            Event::Assigned(partitions) => self.assigned(partitions, actions),
            Event::Revoked { partitions, lost: true } => {
                self.forget(&partitions);
                actions.push(Action::Yield(partitions));
            }
            Event::Revoked { partitions, lost: false } => {
                let deadline = self.now + self.bounds.yield_within;
                self.revocation = Some(Revocation { partitions, deadline, commit_tried: false });
            }
            Event::Fetched { spans, bytes } => self.fetched(spans, bytes, actions),
            Event::Sent(id) => self.reach(id, Stage::Sent),
            Event::Delivered(id) => self.reach(id, Stage::Delivered),
            Event::Failed(id, Fate::Retry) => self.failed(id),
            Event::Failed(_, Fate::Fatal | Fate::Usage) => {
                self.given_up = true;
                actions.push(Action::GiveUp);
            }
            Event::Committed { stored } => self.commit_answered(stored, actions),
            Event::Cleared => self.transaction = Transaction::Closed,
            Event::Rewound { done: true } => self.returning = None,
            Event::Rewound { done: false } => {
                if let Some(returning) = &mut self.returning {
                    returning.ask_after = self.now + PAUSE_MS.0;
                }
            }
            Event::Shutdown => {
                self.stop_by.get_or_insert(self.now + self.bounds.drain_within);
            }
        }
    }

    /// New partitions are not paused at once, though others are: clients lose their way when a
    /// partition is paused while they still ask where it begins (librdkafka does). All are paused
    /// again later, if need be.
    fn assigned(&mut self, partitions: Vec<Partition>, actions: &mut Vec<Action>) {
        for partition in &partitions {
            self.held.insert(*partition, None);
        }
        if self.paused {
            self.paused = false;
            self.room_since = self.now;
            actions.push(Action::Resume);
        }
        actions.push(Action::Accept(partitions));
    }

    fn fetched(&mut self, spans: Vec<Span>, bytes: usize, actions: &mut Vec<Action>) {
        // A client that has fallen back would have records published twice: it is sent forward.
        self.undoing |= self.delivery == Delivery::ExactlyOnce
            && spans.iter().any(|span| self.reached(span.partition) > Some(span.first));
        let id = BatchId(self.first_id + self.flight.len() as u64);
        self.bytes += bytes;
        self.flight.push_back(InFlight { stage: Stage::Ready, bytes, spans });
        actions.push(Action::Process(id));
        if self.delivery == Delivery::AtLeastOnce {
            self.reach(id, Stage::Handing);
            actions.push(Action::HandOver(id));
        }
    }

    /// Up to where a partition was fetched, as far as is known.
    fn reached(&self, partition: Partition) -> Option<i64> {
        let spans = self.flight.iter().rev().flat_map(|batch| &batch.spans);
        let fetched = spans.filter(|span| span.partition == partition).map(|span| span.next).max();
        let stored = || self.stored.get(&partition).map(|span| span.next);
        fetched.or_else(stored).or_else(|| self.held.get(&partition).copied().flatten())
    }

    fn batch(&mut self, id: BatchId) -> Option<&mut InFlight> {
        let index = usize::try_from(id.0.checked_sub(self.first_id)?).ok()?;
        self.flight.get_mut(index)
    }

    /// Notes how far a batch is, if it is in flight.
    fn reach(&mut self, id: BatchId, stage: Stage) {
        // A failed batch stays failed, whatever its other records come to.
        if let Some(batch) = self.batch(id)
            && batch.stage != Stage::Failed
        {
            batch.stage = stage;
        }
    }

    /// A failure of what is no longer in flight, or is being undone already, says nothing new.
    fn failed(&mut self, id: BatchId) {
        if self.transaction != Transaction::Clearing || self.delivery == Delivery::AtLeastOnce {
            self.undoing |= self.batch(id).is_some();
        }
        self.reach(id, Stage::Failed);
    }

    fn commit_answered(&mut self, stored: bool, actions: &mut Vec<Action>) {
        let Some(offsets) = self.committing.take() else { return };
        if self.delivery == Delivery::ExactlyOnce {
            return self.transaction_answered(stored, offsets, actions);
        }
        self.commit_refused = !stored;
        self.next_commit = self.now + self.bounds.commit_most;
        if stored {
            for (partition, next) in offsets {
                if self.held.contains_key(&partition) {
                    self.committed.insert(partition, next);
                }
            }
        }
    }

    fn release_front(&mut self, actions: &mut Vec<Action>) -> Option<InFlight> {
        let batch = self.flight.pop_front()?;
        self.bytes -= batch.bytes;
        actions.push(Action::Release(BatchId(self.first_id)));
        self.first_id += 1;
        Some(batch)
    }

    /// Forgets all that is not committed; gives where each partition's first record was.
    fn discard(&mut self, actions: &mut Vec<Action>) -> Vec<Position> {
        let mut positions = BTreeMap::new();
        for span in std::mem::take(&mut self.stored).into_values() {
            positions.insert(span.partition, span.first);
        }
        for batch in self.flight.drain(..) {
            for span in batch.spans {
                let delivered = self.held.get(&span.partition).copied().flatten();
                positions.entry(span.partition).or_insert(span.first.max(delivered.unwrap_or(0)));
            }
            actions.push(Action::Discard(BatchId(self.first_id)));
            self.first_id += 1;
        }
        self.bytes = 0;
        positions.into_iter().collect()
    }

    /// Asks for what is still to be gone back to.
    fn go_back(&mut self, actions: &mut Vec<Action>) {
        let Some(returning) = &mut self.returning else { return };
        returning.positions.retain(|(partition, _)| self.held.contains_key(partition));
        if returning.positions.is_empty() {
            self.returning = None;
        } else if returning.ask_after <= self.now {
            returning.ask_after = u64::MAX;
            let positions = returning.positions.clone();
            actions.push(match returning.recall {
                true => Action::Recall(positions),
                false => Action::Rewind(positions),
            });
        }
    }

    /// Takes partitions out of everything that could still commit for them.
    fn forget(&mut self, partitions: &[Partition]) {
        for batch in &mut self.flight {
            let before = batch.spans.len();
            batch.spans.retain(|span| !partitions.contains(&span.partition));
            // Its records must not be published for someone who no longer holds the partition.
            self.undoing |= batch.spans.len() < before && self.delivery == Delivery::ExactlyOnce;
        }
        for partition in partitions {
            self.undoing |= self.stored.remove(partition).is_some();
            self.held.remove(partition);
            self.committed.remove(partition);
        }
        if let Some(returning) = &mut self.returning {
            returning.positions.retain(|(partition, _)| !partitions.contains(partition));
        }
        if let Some(revocation) = &mut self.revocation {
            revocation.partitions.retain(|partition| !partitions.contains(partition));
        }
    }

    /// Gives up what is being revoked.
    fn give_back(&mut self, actions: &mut Vec<Action>) {
        if let Some(Revocation { partitions, .. }) = self.revocation.take() {
            self.forget(&partitions);
            actions.push(Action::Yield(partitions));
        }
    }

    /// Fetches while there is room. Without room for long, pauses and attends to the group: a
    /// member that does not poll within max.poll.interval.ms is thrown out.
    fn fetch_or_pause(&mut self, actions: &mut Vec<Action>) {
        if self.revocation.is_some() || self.stop_by.is_some() {
            return;
        }
        if self.has_room() {
            self.room_since = self.now;
            if self.paused {
                self.paused = false;
                actions.push(Action::Resume);
            }
            actions.push(Action::Fetch);
        } else if self.paused {
            actions.push(Action::Fetch);
        } else if self.now.saturating_sub(self.room_since) >= self.bounds.stalled_after {
            self.paused = true;
            actions.push(Action::Pause);
            actions.push(Action::Fetch);
        }
    }

    fn has_room(&self) -> bool {
        let handing = self.flight.back().is_some_and(|batch| batch.stage == Stage::Handing);
        // What is fetched while something is being undone is forgotten with it; so the group is
        // attended to meanwhile. After a failure without transactions there is no end to it.
        !(self.undoing && self.delivery == Delivery::AtLeastOnce)
            && self.returning.is_none()
            && self.bytes < self.bounds.bytes
            && self.flight.len() < self.bounds.batches
            && !(handing && self.delivery == Delivery::AtLeastOnce)
    }
}

/// Exactly once.
impl Lane {
    /// Whatever has become possible.
    fn advance_transaction(&mut self, actions: &mut Vec<Action>) {
        self.release_stored(actions);
        self.close(actions);
        self.yield_when_settled(actions);
        self.undo(actions);
        self.go_back(actions);
        self.leave_when_settled(actions);
        self.hand_over(actions);
    }

    /// Gives the memory of stored batches back. Their offsets are still to be committed, and if they
    /// are not, they are read again. Not while a commit is on its way: what the transaction holds
    /// is then not the lane's to touch.
    fn release_stored(&mut self, actions: &mut Vec<Action>) {
        let open = matches!(self.transaction, Transaction::Open(_)) && !self.undoing;
        while open && self.flight.front().is_some_and(|batch| batch.stage == Stage::Delivered) {
            let Some(batch) = self.release_front(actions) else { return };
            for span in batch.spans {
                self.stored.entry(span.partition).or_insert(span).next = span.next;
            }
        }
    }

    /// True while a transaction can still commit.
    const fn may_commit(&self) -> bool {
        matches!(self.transaction, Transaction::Open(_) | Transaction::Committing)
    }

    fn handing(&self) -> bool {
        self.flight.iter().any(|batch| batch.stage == Stage::Handing)
    }

    /// Is the open transaction to end?
    fn is_due(&self) -> bool {
        let Transaction::Open(bytes) = self.transaction else { return false };
        self.now >= self.next_commit
            || bytes >= self.transaction_bytes()
            || self.revocation.is_some()
            || self.stop_by.is_some()
    }

    /// A transaction that was too much for the broker's patience is tried again at half the size.
    fn transaction_bytes(&self) -> usize {
        self.bounds.transaction_bytes >> self.undone.min(16)
    }

    fn close(&mut self, actions: &mut Vec<Action>) {
        if self.undoing || !self.is_due() || self.handing() {
            return;
        }
        let stored = self.stored.iter().map(|(partition, span)| (*partition, span.next));
        let mut offsets: BTreeMap<Partition, i64> = stored.collect();
        let sent = self.flight.iter().take_while(|batch| batch.stage != Stage::Ready);
        for span in sent.flat_map(|batch| &batch.spans) {
            offsets.insert(span.partition, span.next);
        }
        let offsets: Vec<Position> = offsets.into_iter().collect();
        actions.push(Action::Commit(offsets.clone()));
        self.committing = Some(offsets);
        self.closed_at = self.now;
        self.next_commit = self.now + self.bounds.commit_most;
        self.transaction = Transaction::Committing;
    }

    fn transaction_answered(
        &mut self,
        stored: bool,
        offsets: Vec<Position>,
        actions: &mut Vec<Action>,
    ) {
        if !stored {
            self.uncertain = true;
            self.undoing = true;
            self.transaction = Transaction::Open(0);
            return;
        }
        self.next_commit = self.closed_at + self.commit_every();
        self.undone = 0;
        self.transaction = Transaction::Closed;
        while self.flight.front().is_some_and(|batch| batch.stage != Stage::Ready) {
            self.release_front(actions);
        }
        self.stored.clear();
        actions.push(Action::Count);
        for (partition, next) in offsets {
            if let Some(held) = self.held.get_mut(&partition) {
                *held = Some(next);
            }
        }
    }

    /// From the commit that was answered just now to the next.
    fn commit_every(&self) -> u64 {
        let Bounds { commit_least, commit_most, commit_share, .. } = self.bounds;
        ((self.now - self.closed_at) * commit_share).clamp(commit_least, commit_most)
    }

    /// Yields revoked partitions when no transaction can commit for them any more, or in time.
    fn yield_when_settled(&mut self, actions: &mut Vec<Action>) {
        let Some(revocation) = &self.revocation else { return };
        let late = self.now >= revocation.deadline;
        if late || !self.may_commit() || self.undoing && self.committing.is_none() {
            self.give_back(actions);
        }
    }

    /// Aborts what is open; once it is, forgets all that is in flight.
    fn undo(&mut self, actions: &mut Vec<Action>) {
        if !self.undoing {
            return;
        }
        match self.transaction {
            Transaction::Open(_) => {
                self.transaction = Transaction::Clearing;
                let (first, most) = PAUSE_MS;
                self.begin_after = self.now + most.min(first << self.undone.min(10));
                self.undone += 1;
                actions.push(Action::Abort);
            }
            Transaction::Clearing | Transaction::Committing => {}
            Transaction::Closed => {
                self.undoing = false;
                let positions = self.discard(actions);
                let recall = std::mem::take(&mut self.uncertain);
                self.returning = Some(Return { positions, recall, ask_after: 0 });
            }
        }
    }

    /// Leaves when no transaction is open, or in time.
    fn leave_when_settled(&mut self, actions: &mut Vec<Action>) {
        let Some(deadline) = self.stop_by else { return };
        if self.now >= deadline || !self.may_commit() && self.revocation.is_none() {
            self.left = true;
            actions.push(Action::Leave);
        }
    }

    /// Hands the next batch over, in a transaction that is begun for it if none is open.
    fn hand_over(&mut self, actions: &mut Vec<Action>) {
        if self.undoing || self.left || self.returning.is_some() || self.handing() {
            return;
        }
        let next = self.flight.iter().position(|batch| batch.stage == Stage::Ready);
        let Some(index) = next else { return };
        let more = self.flight[index].bytes;
        match self.transaction {
            Transaction::Closed if self.may_begin() => {
                self.transaction = Transaction::Open(more);
                actions.push(Action::Begin);
            }
            Transaction::Open(bytes) if !self.is_due() => {
                self.transaction = Transaction::Open(bytes + more);
            }
            _ => return,
        }
        self.flight[index].stage = Stage::Handing;
        actions.push(Action::HandOver(BatchId(self.first_id + index as u64)));
    }

    fn may_begin(&self) -> bool {
        self.revocation.is_none() && self.stop_by.is_none() && self.now >= self.begin_after
    }
}

/// At least once.
impl Lane {
    /// Whatever has become possible.
    fn advance_prefix(&mut self, actions: &mut Vec<Action>) {
        self.release_prefix(actions);
        self.rewind(actions);
        self.go_back(actions);
        self.yield_revoked(actions);
        self.leave(actions);
        self.commit_in_time(actions);
    }

    /// Moves the delivered prefix on.
    fn release_prefix(&mut self, actions: &mut Vec<Action>) {
        let before = self.first_id;
        while self.flight.front().is_some_and(|batch| batch.stage == Stage::Delivered) {
            let Some(batch) = self.release_front(actions) else { return };
            for span in batch.spans {
                if let Some(next) = self.held.get_mut(&span.partition) {
                    *next = Some(span.next);
                }
            }
        }
        if self.first_id > before {
            actions.push(Action::Count);
        }
    }

    /// Once nothing is on its way any more, goes back to the delivered prefix.
    fn rewind(&mut self, actions: &mut Vec<Action>) {
        if !self.undoing || self.stop_by.is_some() || !self.resolved() {
            return;
        }
        self.undoing = false;
        let positions = self.discard(actions);
        self.returning = Some(Return { positions, recall: false, ask_after: 0 });
    }

    fn resolved(&self) -> bool {
        self.flight.iter().all(|batch| matches!(batch.stage, Stage::Delivered | Stage::Failed))
    }

    /// Yields revoked partitions when their records are delivered and committed, or in time.
    fn yield_revoked(&mut self, actions: &mut Vec<Action>) {
        let Some(revocation) = &self.revocation else { return };
        let late = self.now >= revocation.deadline;
        let waiting = self
            .flight
            .iter()
            .flat_map(|batch| &batch.spans)
            .any(|span| revocation.partitions.contains(&span.partition));
        if !late && (waiting || self.committing.is_some()) {
            return;
        }
        if !late && !revocation.commit_tried {
            let partitions = revocation.partitions.clone();
            if let Some(revocation) = &mut self.revocation {
                revocation.commit_tried = true;
            }
            if self.commit(|partition| partitions.contains(partition), actions) {
                return;
            }
        }
        self.give_back(actions);
    }

    /// Leaves when all is delivered and committed, or in time.
    fn leave(&mut self, actions: &mut Vec<Action>) {
        let Some(deadline) = self.stop_by else { return };
        let late = self.now >= deadline;
        if !late && (!self.resolved() || self.committing.is_some() || self.revocation.is_some()) {
            return;
        }
        let again_later = self.commit_refused && self.now < self.next_commit;
        if !late && (again_later || self.commit(|_| true, actions)) {
            return;
        }
        self.left = true;
        actions.push(Action::Leave);
    }

    fn commit_in_time(&mut self, actions: &mut Vec<Action>) {
        if self.now >= self.next_commit && self.stop_by.is_none() && self.revocation.is_none() {
            self.commit(|_| true, actions);
        }
    }

    /// Asks for a commit of what is delivered and not yet committed; false if there is none.
    fn commit(&mut self, wanted: impl Fn(&Partition) -> bool, actions: &mut Vec<Action>) -> bool {
        if self.left || self.committing.is_some() {
            return false;
        }
        let offsets: Vec<Position> =
            self.uncommitted().filter(|(partition, _)| wanted(partition)).collect();
        if offsets.is_empty() {
            return false;
        }
        actions.push(Action::Commit(offsets.clone()));
        self.committing = Some(offsets);
        self.next_commit = self.now + self.bounds.commit_most;
        true
    }

    fn uncommitted(&self) -> impl Iterator<Item = Position> {
        self.held.iter().filter_map(|(partition, next)| {
            let next = (*next)?;
            (self.committed.get(partition) != Some(&next)).then_some((*partition, next))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        batches: 3,
        transaction_bytes: 80,
        commit_least: 10,
        commit_most: 10,
        commit_share: 5,
        yield_within: 50,
        stalled_after: 20,
        drain_within: 100,
    };

    fn partition(number: i32) -> Partition {
        Partition { topic: TopicId(0), number }
    }

    fn fetched(number: i32, first: i64, next: i64) -> Event {
        Event::Fetched {
            spans: vec![Span { partition: partition(number), first, next }],
            bytes: 40,
        }
    }

    /// A lane that holds partitions 0 and 1.
    fn lane() -> Lane {
        holding(Lane::new(Delivery::AtLeastOnce, BOUNDS))
    }

    fn holding(mut lane: Lane) -> Lane {
        let given = vec![partition(0), partition(1)];
        assert_eq!(step(&mut lane, Event::Assigned(given.clone())), [Action::Accept(given)]);
        lane
    }

    fn step(lane: &mut Lane, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        lane.step(event, &mut actions);
        actions
    }

    /// One batch of ten records of partition `number`, sent.
    fn send(lane: &mut Lane, id: u64, number: i32, first: i64) {
        let actions = step(lane, fetched(number, first, first + 10));
        assert_eq!(actions, [Action::Process(BatchId(id)), Action::HandOver(BatchId(id))]);
        assert_eq!(step(lane, Event::Sent(BatchId(id))), []);
    }

    #[test]
    fn only_the_delivered_prefix_is_committed() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        send(&mut lane, 1, 0, 10);
        assert_eq!(step(&mut lane, Event::Tick(10)), [Action::Fetch]);
        assert_eq!(step(&mut lane, Event::Delivered(BatchId(1))), []);
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        let (release, commit) = actions.split_at(3);
        let both = [Action::Release(BatchId(0)), Action::Release(BatchId(1)), Action::Count];
        assert_eq!(release, both);
        assert_eq!(commit, [Action::Commit(vec![(partition(0), 20)])]);
    }

    #[test]
    fn without_room_it_pauses_and_goes_on_attending_to_the_group() {
        let mut lane = lane();
        for id in 0..3 {
            send(&mut lane, id, 0, id as i64 * 10);
        }
        assert_eq!(step(&mut lane, Event::Tick(19)), []);
        assert_eq!(step(&mut lane, Event::Tick(20)), [Action::Pause, Action::Fetch]);
        assert_eq!(step(&mut lane, Event::Tick(25)), [Action::Fetch]);
        let given = vec![partition(2)];
        let actions = step(&mut lane, Event::Assigned(given.clone()));
        assert_eq!(actions, [Action::Resume, Action::Accept(given)], "it is not paused at once");
        assert_eq!(step(&mut lane, Event::Tick(26)), []);
        assert_eq!(step(&mut lane, Event::Tick(45)), [Action::Pause, Action::Fetch]);
        step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(step(&mut lane, Event::Tick(46))[..2], [Action::Resume, Action::Fetch]);
    }

    #[test]
    fn revoked_partitions_are_yielded_after_their_commit() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        let gone = vec![partition(0)];
        let revoked = Event::Revoked { partitions: gone.clone(), lost: false };
        assert_eq!(step(&mut lane, revoked), []);
        assert_eq!(step(&mut lane, Event::Tick(5)), [], "nothing is fetched meanwhile");
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(actions[2], Action::Commit(vec![(partition(0), 10)]));
        let actions = step(&mut lane, Event::Committed { stored: true });
        assert_eq!(actions, [Action::Yield(gone)]);
    }

    #[test]
    fn revoked_partitions_are_not_kept_for_ever() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        let gone = vec![partition(0)];
        step(&mut lane, Event::Revoked { partitions: gone.clone(), lost: false });
        assert_eq!(step(&mut lane, Event::Tick(50)), [Action::Yield(gone), Action::Fetch]);
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        let released = [Action::Release(BatchId(0)), Action::Count];
        assert_eq!(actions, released, "not committed for the next owner");
    }

    #[test]
    fn lost_partitions_are_never_committed() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        let gone = vec![partition(0)];
        let lost = Event::Revoked { partitions: gone.clone(), lost: true };
        assert_eq!(step(&mut lane, lost), [Action::Yield(gone)]);
        step(&mut lane, Event::Tick(30));
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(actions, [Action::Release(BatchId(0)), Action::Count]);
    }

    #[test]
    fn after_a_failure_it_goes_back_to_the_delivered_prefix() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        send(&mut lane, 1, 1, 70);
        send(&mut lane, 2, 0, 10);
        step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(step(&mut lane, Event::Failed(BatchId(1), Fate::Retry)), []);
        assert_eq!(step(&mut lane, Event::Tick(1)), [], "nothing is fetched meanwhile");
        let actions = step(&mut lane, Event::Delivered(BatchId(2)));
        let back = vec![(partition(0), 10), (partition(1), 70)];
        assert_eq!(actions.last(), Some(&Action::Rewind(back)));
        step(&mut lane, Event::Rewound { done: true });
        assert_eq!(step(&mut lane, Event::Tick(2)), [Action::Fetch]);
    }

    #[test]
    fn what_will_not_pass_ends_it_without_a_commit() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        assert_eq!(step(&mut lane, Event::Failed(BatchId(0), Fate::Fatal)), [Action::GiveUp]);
        assert_eq!(step(&mut lane, Event::Tick(1_000)), []);
    }

    #[test]
    fn a_shutdown_delivers_commits_and_leaves() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        assert_eq!(step(&mut lane, Event::Shutdown), []);
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(actions[2], Action::Commit(vec![(partition(0), 10)]));
        assert_eq!(step(&mut lane, Event::Committed { stored: false }), []);
        let again = step(&mut lane, Event::Tick(10));
        assert_eq!(again, [Action::Commit(vec![(partition(0), 10)])]);
        assert_eq!(step(&mut lane, Event::Committed { stored: true }), [Action::Leave]);
        assert!(lane.left());
    }

    #[test]
    fn a_shutdown_does_not_wait_for_ever() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        step(&mut lane, Event::Shutdown);
        assert_eq!(step(&mut lane, Event::Tick(100)), [Action::Leave]);
    }

    /// A transactional lane that holds partitions 0 and 1 and may begin.
    fn transactional() -> Lane {
        let mut lane = holding(Lane::new(Delivery::ExactlyOnce, BOUNDS));
        assert_eq!(step(&mut lane, Event::Cleared), []);
        lane
    }

    /// A transaction of one batch, whose commit is on its way.
    fn committing(lane: &mut Lane) -> Vec<Position> {
        let actions = step(lane, fetched(0, 0, 10));
        let batch = BatchId(0);
        let expected = [Action::Process(batch), Action::Begin, Action::HandOver(batch)];
        assert_eq!(actions, expected);
        let offsets = vec![(partition(0), 10)];
        assert_eq!(step(lane, Event::Sent(batch)), [Action::Commit(offsets.clone())]);
        offsets
    }

    #[test]
    fn nothing_is_begun_before_the_producer_is_cleared() {
        let mut lane = holding(Lane::new(Delivery::ExactlyOnce, BOUNDS));
        assert_eq!(step(&mut lane, fetched(0, 0, 10)), [Action::Process(BatchId(0))]);
        let actions = step(&mut lane, Event::Cleared);
        assert_eq!(actions, [Action::Begin, Action::HandOver(BatchId(0))]);
    }

    #[test]
    fn while_a_commit_is_on_its_way_the_next_batches_get_ready() {
        let mut lane = transactional();
        committing(&mut lane);
        assert_eq!(step(&mut lane, Event::Tick(1)), [Action::Fetch]);
        assert_eq!(step(&mut lane, fetched(0, 10, 20)), [Action::Process(BatchId(1))]);
        let actions = step(&mut lane, Event::Committed { stored: true });
        let (before, next) = actions.split_at(2);
        assert_eq!(before, [Action::Release(BatchId(0)), Action::Count]);
        assert_eq!(next, [Action::Begin, Action::HandOver(BatchId(1))]);
        assert_eq!(step(&mut lane, Event::Sent(BatchId(1))), [], "not before its time");
        let actions = step(&mut lane, Event::Tick(10));
        assert_eq!(actions, [Action::Commit(vec![(partition(0), 20)]), Action::Fetch]);
    }

    #[test]
    fn the_longer_commits_take_the_further_apart_they_are() {
        let bounds = Bounds { commit_least: 10, commit_most: 200, ..BOUNDS };
        let mut lane = holding(Lane::new(Delivery::ExactlyOnce, bounds));
        step(&mut lane, Event::Cleared);
        committing(&mut lane);
        step(&mut lane, Event::Tick(6));
        step(&mut lane, Event::Committed { stored: true });
        step(&mut lane, fetched(0, 10, 20));
        step(&mut lane, Event::Sent(BatchId(1)));
        let due = 6 * bounds.commit_share;
        assert_eq!(step(&mut lane, Event::Tick(due - 1)), [Action::Fetch], "not before its time");
        assert_eq!(step(&mut lane, Event::Tick(due))[0], Action::Commit(vec![(partition(0), 20)]));
    }

    #[test]
    fn a_full_transaction_is_committed_before_its_time() {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, Event::Committed { stored: true });
        step(&mut lane, fetched(0, 10, 20));
        assert_eq!(step(&mut lane, Event::Sent(BatchId(1))), []);
        step(&mut lane, fetched(1, 0, 10));
        let actions = step(&mut lane, Event::Sent(BatchId(2)));
        assert_eq!(actions, [Action::Commit(vec![(partition(0), 20), (partition(1), 10)])]);
    }

    #[test]
    fn a_failed_transaction_is_undone_and_done_again() {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, Event::Committed { stored: true });
        step(&mut lane, fetched(0, 10, 20));
        step(&mut lane, fetched(1, 0, 10));
        assert_eq!(step(&mut lane, Event::Failed(BatchId(1), Fate::Retry)), [Action::Abort]);
        let discarded = [Action::Discard(BatchId(1)), Action::Discard(BatchId(2))];
        let actions = step(&mut lane, Event::Cleared);
        assert_eq!(actions[..2], discarded);
        assert_eq!(actions[2..], [Action::Rewind(vec![(partition(0), 10), (partition(1), 0)])]);
        assert_eq!(step(&mut lane, Event::Rewound { done: false }), []);
        let again = step(&mut lane, Event::Tick(PAUSE_MS.0));
        assert_eq!(again[0], Action::Rewind(vec![(partition(0), 10), (partition(1), 0)]));
        step(&mut lane, Event::Rewound { done: true });
        let actions = step(&mut lane, fetched(0, 10, 20));
        assert_eq!(actions[0], Action::Process(BatchId(3)));
        let actions = &actions[1..];
        assert!(actions.starts_with(&[Action::Begin, Action::HandOver(BatchId(3))]), "{actions:?}");
    }

    /// A transaction of one batch that is stored, and so released.
    fn released() -> Lane {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, Event::Committed { stored: true });
        step(&mut lane, fetched(0, 10, 20));
        step(&mut lane, Event::Sent(BatchId(1)));
        let stored = step(&mut lane, Event::Delivered(BatchId(1)));
        assert_eq!(stored, [Action::Release(BatchId(1))], "it does not count yet");
        lane
    }

    #[test]
    fn what_is_released_before_its_commit_is_committed_all_the_same() {
        let mut lane = released();
        assert!(lane.busy());
        step(&mut lane, fetched(1, 0, 10));
        let actions = step(&mut lane, Event::Sent(BatchId(2)));
        assert_eq!(actions, [Action::Commit(vec![(partition(0), 20), (partition(1), 10)])]);
        assert_eq!(step(&mut lane, Event::Delivered(BatchId(2))), [], "not while it is ending");
        let actions = step(&mut lane, Event::Committed { stored: true });
        assert_eq!(actions, [Action::Release(BatchId(2)), Action::Count]);
        assert!(!lane.busy());
    }

    #[test]
    fn what_is_released_and_not_committed_is_read_again() {
        let mut lane = released();
        step(&mut lane, fetched(0, 20, 30));
        assert_eq!(step(&mut lane, Event::Failed(BatchId(2), Fate::Retry)), [Action::Abort]);
        let back = Action::Rewind(vec![(partition(0), 10)]);
        assert_eq!(step(&mut lane, Event::Cleared), [Action::Discard(BatchId(2)), back]);
    }

    #[test]
    fn a_partition_of_which_something_is_released_takes_the_transaction_with_it() {
        let mut lane = released();
        let gone = vec![partition(0)];
        let lost = Event::Revoked { partitions: gone.clone(), lost: true };
        assert_eq!(step(&mut lane, lost), [Action::Yield(gone), Action::Abort]);
    }

    #[test]
    fn when_nobody_knows_how_a_commit_ended_the_group_is_asked() {
        let mut lane = transactional();
        committing(&mut lane);
        assert_eq!(step(&mut lane, Event::Committed { stored: false }), [Action::Abort]);
        let actions = step(&mut lane, Event::Cleared);
        let recall = Action::Recall(vec![(partition(0), 0)]);
        assert_eq!(actions, [Action::Discard(BatchId(0)), recall]);
    }

    #[test]
    fn revoked_partitions_are_yielded_after_the_commit_and_the_others_fetched_again() {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, fetched(0, 10, 20));
        step(&mut lane, fetched(1, 0, 10));
        let gone = vec![partition(0)];
        let revoked = Event::Revoked { partitions: gone.clone(), lost: false };
        assert_eq!(step(&mut lane, revoked), []);
        let actions = step(&mut lane, Event::Committed { stored: true });
        assert_eq!(actions[0], Action::Release(BatchId(0)));
        assert_eq!(actions[1..3], [Action::Count, Action::Yield(gone)]);
        assert_eq!(actions.last(), Some(&Action::Rewind(vec![(partition(1), 0)])));
    }

    #[test]
    fn a_client_that_falls_back_is_sent_forward() {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, Event::Committed { stored: true });
        let actions = step(&mut lane, fetched(0, 5, 15));
        let forward = Action::Rewind(vec![(partition(0), 10)]);
        assert_eq!(actions[1..], [Action::Discard(BatchId(1)), forward]);
    }

    #[test]
    fn lost_partitions_take_the_transaction_with_them() {
        let mut lane = transactional();
        step(&mut lane, Event::Tick(5));
        step(&mut lane, fetched(0, 0, 10));
        let gone = vec![partition(0)];
        let lost = Event::Revoked { partitions: gone.clone(), lost: true };
        assert_eq!(step(&mut lane, lost), [Action::Yield(gone), Action::Abort]);
        assert_eq!(step(&mut lane, Event::Cleared), [Action::Discard(BatchId(0))]);
    }

    #[test]
    fn a_shutdown_commits_what_was_handed_over_and_leaves_the_rest() {
        let mut lane = transactional();
        committing(&mut lane);
        step(&mut lane, fetched(0, 10, 20));
        assert_eq!(step(&mut lane, Event::Shutdown), []);
        let actions = step(&mut lane, Event::Committed { stored: true });
        assert_eq!(actions, [Action::Release(BatchId(0)), Action::Count, Action::Leave]);
    }
}
