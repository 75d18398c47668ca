//! The lane: what may be fetched, committed, yielded and when, as a synchronous state machine.
//!
//! The problem: offsets must never be committed past a record whose clean copy is not yet stored,
//! while deliveries come back out of order, partitions are taken away at any moment, brokers fail,
//! and someone stops the process. Spread over callbacks, as consumer code usually is, that cannot
//! be tested. So all of it is here, in one `step(event) -> actions` that does no I/O, reads no
//! clock and knows no client; [`crate::run`] is the one loop that does what it says.
//!
//! It works at the granularity of batches: what one fetch brought, any mix of partitions, in fetch
//! order. Nothing here runs per record.
//!
//! The invariant: an offset is committed only when every batch fetched before it, and its own, has
//! been delivered whole (*the delivered prefix*). A partition that was taken away leaves all
//! batches in flight, so a later delivery cannot commit for it any more.
//!
//! What failed and may pass is done again from the delivered prefix on ([`Action::Rewind`]), for
//! order's sake: sending one record again would put it behind its successors. Transactions will
//! use the same way: a batch's actions become begin, process, send offsets, commit; abort is a
//! rewind.

mod broker;

pub use broker::{Broker, CleanTopic, Fetched, Notice, Parcel, Published, TopicId};

use crate::error::Fate;
use std::collections::{BTreeMap, VecDeque};

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
    /// A record of the batch was refused for good.
    Failed(BatchId, Fate),
    /// The commit that was asked for is answered.
    Committed {
        /// Whether it is stored.
        stored: bool,
    },
    /// The rewind that was asked for is done.
    Rewound,
    /// Stop: deliver what was fetched, commit, leave.
    Shutdown,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the group that the new partitions are taken.
    Accept(Vec<Partition>),
    /// Fetch once, for a short while. While paused it brings only group events.
    Fetch,
    /// Clean and hand over this batch: the one just fetched.
    Process(BatchId),
    /// Commit these offsets; answered by [`Event::Committed`]. Never two at a time.
    Commit(Vec<Position>),
    /// Stop reading all partitions, so that the group can be attended to without new records.
    Pause,
    /// Read again.
    Resume,
    /// The batch's memory may be used again.
    Release(BatchId),
    /// Tell the group that the partitions are given up.
    Yield(Vec<Partition>),
    /// Read again from here; answered by [`Event::Rewound`].
    Rewind(Vec<Position>),
    /// Leave the group; the last action.
    Leave,
    /// It will not pass: stop the process.
    Abort,
}

/// What bounds a lane. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// No fetch while the batches in flight hold this many bytes.
    pub bytes: usize,
    /// No fetch while so many batches are in flight.
    pub batches: usize,
    /// Pause between commits while all goes well.
    pub commit_every: u64,
    /// Longest wait for deliveries before revoked partitions are yielded.
    pub yield_within: u64,
    /// Without room for so long, partitions are paused and the group is attended to.
    pub stalled_after: u64,
    /// Longest wait for deliveries at the end.
    pub drain_within: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Processing,
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

/// The state machine.
#[derive(Debug)]
pub struct Lane {
    bounds: Bounds,
    now: u64,
    /// Batches from `first_id` on, in fetch order.
    flight: VecDeque<InFlight>,
    first_id: u64,
    bytes: usize,
    /// Partitions held, with the delivered prefix once there is one.
    held: BTreeMap<Partition, Option<i64>>,
    committed: BTreeMap<Partition, i64>,
    committing: Option<Vec<Position>>,
    commit_refused: bool,
    next_commit: u64,
    revocation: Option<Revocation>,
    rewinding: bool,
    paused: bool,
    room_since: u64,
    stop_by: Option<u64>,
    left: bool,
    aborted: bool,
}

impl Lane {
    /// A lane that holds nothing yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            now: 0,
            flight: VecDeque::new(),
            first_id: 0,
            bytes: 0,
            held: BTreeMap::new(),
            committed: BTreeMap::new(),
            committing: None,
            commit_refused: false,
            next_commit: 0,
            revocation: None,
            rewinding: false,
            paused: false,
            room_since: 0,
            stop_by: None,
            left: false,
            aborted: false,
        }
    }

    /// Takes what happened, appends what to do.
    pub fn step(&mut self, event: Event, actions: &mut Vec<Action>) {
        if self.left || self.aborted {
            return;
        }
        let tick = matches!(event, Event::Tick(_));
        self.take(event, actions);
        self.advance(actions);
        if tick && !self.left && !self.aborted {
            self.fetch_or_pause(actions);
        }
    }

    /// The partitions held, with the offset up to which all is delivered, where any is.
    pub fn held(&self) -> impl Iterator<Item = (Partition, Option<i64>)> {
        self.held.iter().map(|(partition, next)| (*partition, *next))
    }

    /// Batches between fetch and release.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flight.len()
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
            Event::Fetched { spans, bytes } => {
                let id = BatchId(self.first_id + self.flight.len() as u64);
                self.bytes += bytes;
                self.flight.push_back(InFlight { stage: Stage::Processing, bytes, spans });
                actions.push(Action::Process(id));
            }
            Event::Sent(id) => _ = self.reach(id, Stage::Sent),
            Event::Delivered(id) => _ = self.reach(id, Stage::Delivered),
            Event::Failed(id, Fate::Retry) => self.rewinding |= self.reach(id, Stage::Failed),
            Event::Failed(_, Fate::Fatal | Fate::Usage) => {
                self.aborted = true;
                actions.push(Action::Abort);
            }
            Event::Committed { stored } => self.commit_answered(stored),
            Event::Rewound => self.rewinding = false,
            Event::Shutdown => {
                self.stop_by.get_or_insert(self.now + self.bounds.drain_within);
            }
        }
    }

    fn assigned(&mut self, partitions: Vec<Partition>, actions: &mut Vec<Action>) {
        for partition in &partitions {
            self.held.insert(*partition, None);
        }
        actions.push(Action::Accept(partitions));
        if self.paused {
            actions.push(Action::Pause);
        }
    }

    /// Notes how far a batch is; false if it is not in flight.
    fn reach(&mut self, id: BatchId, stage: Stage) -> bool {
        let batch = usize::try_from(id.0.wrapping_sub(self.first_id))
            .ok()
            .and_then(|index| self.flight.get_mut(index));
        let Some(batch) = batch else { return false };
        // A failed batch stays failed, whatever its other records come to.
        if batch.stage != Stage::Failed {
            batch.stage = stage;
        }
        true
    }

    fn commit_answered(&mut self, stored: bool) {
        let Some(offsets) = self.committing.take() else { return };
        self.commit_refused = !stored;
        if stored {
            for (partition, next) in offsets {
                if self.held.contains_key(&partition) {
                    self.committed.insert(partition, next);
                }
            }
        }
        self.next_commit = self.now + self.bounds.commit_every;
    }

    /// Whatever has become possible.
    fn advance(&mut self, actions: &mut Vec<Action>) {
        self.release_prefix(actions);
        self.rewind(actions);
        self.yield_revoked(actions);
        self.leave(actions);
        self.commit_in_time(actions);
    }

    /// Moves the delivered prefix on.
    fn release_prefix(&mut self, actions: &mut Vec<Action>) {
        while self.flight.front().is_some_and(|batch| batch.stage == Stage::Delivered) {
            let Some(batch) = self.release_front(actions) else { return };
            for span in batch.spans {
                if let Some(next) = self.held.get_mut(&span.partition) {
                    *next = Some(span.next);
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

    /// Once nothing is on its way any more, goes back to the delivered prefix.
    fn rewind(&mut self, actions: &mut Vec<Action>) {
        if !self.rewinding || self.flight.is_empty() || self.stop_by.is_some() || !self.resolved() {
            return;
        }
        let mut positions = BTreeMap::new();
        while let Some(batch) = self.release_front(actions) {
            for span in batch.spans {
                // The first span of a partition is where its delivered prefix ends.
                positions.entry(span.partition).or_insert(span.first);
            }
        }
        actions.push(Action::Rewind(positions.into_iter().collect()));
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
        if let Some(Revocation { partitions, .. }) = self.revocation.take() {
            self.forget(&partitions);
            actions.push(Action::Yield(partitions));
        }
    }

    /// Takes partitions out of everything that could still commit for them.
    fn forget(&mut self, partitions: &[Partition]) {
        for batch in &mut self.flight {
            batch.spans.retain(|span| !partitions.contains(&span.partition));
        }
        for partition in partitions {
            self.held.remove(partition);
            self.committed.remove(partition);
        }
        if let Some(revocation) = &mut self.revocation {
            revocation.partitions.retain(|partition| !partitions.contains(partition));
        }
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
        self.next_commit = self.now + self.bounds.commit_every;
        true
    }

    fn uncommitted(&self) -> impl Iterator<Item = Position> {
        self.held.iter().filter_map(|(partition, next)| {
            let next = (*next)?;
            (self.committed.get(partition) != Some(&next)).then_some((*partition, next))
        })
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
        !self.rewinding
            && self.bytes < self.bounds.bytes
            && self.flight.len() < self.bounds.batches
            && self.flight.back().is_none_or(|batch| batch.stage != Stage::Processing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        batches: 3,
        commit_every: 10,
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

    /// A lane that holds partitions 0 and 1, and time at which it started.
    fn lane() -> Lane {
        let mut lane = Lane::new(BOUNDS);
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
        assert_eq!(step(lane, fetched(number, first, first + 10)), [Action::Process(BatchId(id))]);
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
        let (release, commit) = actions.split_at(2);
        assert_eq!(release, [Action::Release(BatchId(0)), Action::Release(BatchId(1))]);
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
        assert_eq!(actions, [Action::Accept(given), Action::Pause]);
        step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(step(&mut lane, Event::Tick(26)), [Action::Resume, Action::Fetch]);
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
        assert_eq!(actions[1], Action::Commit(vec![(partition(0), 10)]));
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
        assert_eq!(actions, [Action::Release(BatchId(0))], "not committed for the next owner");
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
        assert_eq!(actions, [Action::Release(BatchId(0))]);
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
        step(&mut lane, Event::Rewound);
        assert_eq!(step(&mut lane, Event::Tick(2)), [Action::Fetch]);
    }

    #[test]
    fn what_will_not_pass_ends_it_without_a_commit() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        assert_eq!(step(&mut lane, Event::Failed(BatchId(0), Fate::Fatal)), [Action::Abort]);
        assert_eq!(step(&mut lane, Event::Tick(1_000)), []);
    }

    #[test]
    fn a_shutdown_delivers_commits_and_leaves() {
        let mut lane = lane();
        send(&mut lane, 0, 0, 0);
        assert_eq!(step(&mut lane, Event::Shutdown), []);
        let actions = step(&mut lane, Event::Delivered(BatchId(0)));
        assert_eq!(actions[1], Action::Commit(vec![(partition(0), 10)]));
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
}
