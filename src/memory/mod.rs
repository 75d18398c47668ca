//! A broker in memory, for tests: the second implementor of [`Broker`](crate::lane::Broker).
//!
//! It exists so that the loop and the lane can be run through hundreds of thousands of schedules
//! that a real cluster shows once a year: deliveries that come late and out of order over
//! partitions, full queues, failed deliveries, refused commits, commits whose answer is lost,
//! partitions taken away or lost, transactions that end for their age, members that die or stand
//! still at any call. Everything is on one thread and chosen by a seed or by a list of [`Fault`]s,
//! so that what failed once fails again.
//!
//! What it keeps of the real thing: offsets and order in a partition; at most one owner of a
//! partition; a member's sends are stored in order per partition, also after it died. With
//! transactions: records and offsets become visible together or never, the group's answer about them
//! some time after the commit's; a transactional id belongs to its newest producer, older ones are
//! fenced; who is not in the group any more cannot send
//! offsets, but whoever is may send any; offsets on their way keep the group's answer back; a
//! request to end a transaction that comes late ends whatever is open under that producer.
//! Without: only the owner commits; when one send fails, those behind it fail too. What it leaves
//! out: time, networks, replicas, compacted logs.

mod member;
mod state;

pub use member::{Fetched, Member};

use crate::lane::{Delivery, Partition};
use crate::record::Raw;
use state::State;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

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

/// A record that limpid wrote, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Source partition.
    pub partition: Partition,
    /// Source offset.
    pub offset: i64,
    /// What arrived; nothing of a sealed record.
    pub record: Option<Stored>,
}

/// How often things go wrong by chance: once in so many times, 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// A send finds no room.
    pub full: u32,
    /// A delivery fails, and with it all that its member has on the way.
    pub failed: u32,
    /// A commit, or its offsets, are refused.
    pub commit_refused: u32,
    /// Deliveries and answers stay out for this call.
    pub silent: u32,
    /// The answer to a commit is lost, whether it is stored or not; its request is sent again, and
    /// the first one may come late.
    pub answer_lost: u32,
    /// The broker ends a transaction for its age.
    pub expired: u32,
    /// A member's client forgets how far it has read, and begins again where it was last sent.
    pub falls_back: u32,
    /// A member's client does not take a record that may pass later.
    pub refused: u32,
    /// The broker finds a record too large that the member took for small enough.
    pub too_large: u32,
}

/// What goes wrong at one call of a member to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The member dies before the call.
    Die,
    /// The call fails without effect.
    Fail,
    /// The call has its effect, and its answer is a failure.
    LoseAnswer,
    /// The member stands still so long that the group and its transaction go on without it, and
    /// makes the call then.
    StandStill,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Die, Self::Fail, Self::LoseAnswer, Self::StandStill];
}

/// The cluster: source topics, clean topics, the group. Cloned, it is the same one.
#[derive(Clone)]
pub struct Cluster(Rc<RefCell<State>>);

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
    /// A cluster whose chances follow `seed`, for members of one kind of delivery.
    #[must_use]
    pub fn new(seed: u64, delivery: Delivery, weather: Weather) -> Self {
        Self(Rc::new(RefCell::new(State::new(Chance::new(seed), delivery, weather))))
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

    /// What goes wrong at call number `call`, counted from 1 over all members.
    pub fn fault_at(&self, call: u64, fault: Fault) {
        self.0.borrow_mut().faults.insert(call, fault);
    }

    /// Calls that members have made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// A new member of the group, whose transactional id no other has; it has nothing until a
    /// rebalance.
    #[must_use]
    pub fn join(&self) -> Member {
        let name = format!("process {}", self.0.borrow().next_member);
        self.join_as(&name)
    }

    /// A new member with this transactional id.
    #[must_use]
    pub fn join_as(&self, name: &str) -> Member {
        let mut state = self.0.borrow_mut();
        let id = state.enter(name);
        let names = state.topics.iter().map(|(name, _)| name.clone()).collect();
        drop(state);
        Member::new(self.clone(), id, names)
    }

    /// Shares the partitions out anew, by chance. Nothing happens while a member has not answered
    /// the last time.
    pub fn rebalance(&self) {
        self.0.borrow_mut().rebalance();
    }

    /// Throws a living member out, by chance: its partitions are lost to it at once.
    pub fn evict(&self) {
        self.0.borrow_mut().evict_any();
    }

    /// Lets what is on its way go on, of all members, also of dead ones: sends, late requests,
    /// transactions that grow too old.
    pub fn blow(&self) {
        self.0.borrow_mut().blow();
    }

    /// What the group has committed.
    #[must_use]
    pub fn committed(&self) -> BTreeMap<Partition, i64> {
        self.0.borrow().committed.clone()
    }

    /// What a reader of committed records sees in a clean partition.
    #[must_use]
    pub fn arrived(&self, topic: &str, partition: i32) -> Vec<Arrived> {
        self.0.borrow().visible(Some((topic, partition)))
    }

    /// What such a reader sees in the quarantine.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Arrived> {
        self.0.borrow().visible(None)
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

    /// True when no transaction is open.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.0.borrow().settled()
    }

    /// The promise of the delivery, as far as it can be judged at any moment. At least once:
    /// nothing is committed that has not arrived, and in every partition records arrive first in
    /// the order of their offsets. Exactly once: besides, nothing arrives twice, and nothing is
    /// visible that is not committed. What breaks it is noted when it happens, for a late arrival
    /// would cover it up.
    ///
    /// # Errors
    /// What broke it first.
    pub fn check(&self) -> Result<(), String> {
        self.0.borrow().broken.clone().map_or(Ok(()), Err)
    }
}
