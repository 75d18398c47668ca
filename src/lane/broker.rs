//! What a lane needs of a broker. Two implementors: [`crate::kafka`] and [`crate::memory`].
//!
//! The bytes of a batch have one owner at a time. A fetch gives them to the loop; with the clean
//! copies they make a [`Parcel`], and [`Broker::load`] gives that to the broker, which may point
//! into it (the client sends straight from the arena) until it gives it back in
//! [`Broker::unload`]. So nothing can free or change what is still to be sent.
//!
//! What may be published is not the caller's to say: [`Broker::publish`] takes a record's number
//! and looks up the engine's own [`Outcome`]; [`Broker::quarantine`] takes a [`Sealed`] message.
//! There is no third way out.

use super::{BatchId, Partition, Position, Span};
use crate::engine::{Batch, Outcome};
use crate::error::{Error, Result};
use crate::policy::Policies;
use crate::quarantine::Sealed;
use crate::record::Record;
use std::sync::Arc;
use std::time::Duration;

/// A source topic, by the broker's number for it: small, from 0 on, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// A clean topic, by the broker's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanTopic(pub u32);

/// The records of one fetch, in order.
pub trait Fetched {
    /// How many.
    fn len(&self) -> usize;
    /// True for none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Record number `index`, borrowed.
    fn record(&self, index: usize) -> Record<'_>;
    /// Its topic.
    fn topic(&self, index: usize) -> TopicId;
    /// What it holds of each partition.
    fn spans(&self) -> &[Span];
    /// Bytes of keys and values.
    fn bytes(&self) -> usize;
}

/// A batch on its way: the records as they came, and what the engine made of them.
pub struct Parcel<F> {
    /// As they came.
    pub fetched: F,
    /// As they may go.
    pub batch: Batch,
    /// The policies that they were cleaned by.
    pub policies: Arc<Policies>,
}

impl<F: Fetched> Parcel<F> {
    /// What became of record number `index`.
    #[must_use]
    pub fn outcome(&self, index: usize) -> Outcome<'_> {
        self.batch.outcome(index, &self.fetched.record(index), &self.policies)
    }
}

/// What a broker reports.
#[derive(Debug)]
pub enum Notice {
    /// The group gives these partitions; wait for [`Broker::accept`].
    Assigned(Vec<Partition>),
    /// The group takes them; wait for [`Broker::yield_up`].
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// They already belong to someone else.
        lost: bool,
    },
    /// All of a batch is stored.
    Delivered(BatchId),
    /// A record of it was refused, or the transaction it is in has failed.
    Failed(BatchId, Error),
    /// The clean topic takes no record of this size. It is for the quarantine: without
    /// transactions at once, then [`Broker::settle`]d; with them when the batch is done again, for
    /// the refusal has spoilt the transaction.
    TooLarge(BatchId, usize),
    /// The commit is answered. With an error, a transaction may be stored all the same.
    Committed(Result<()>),
    /// No transaction is open, and none that was can commit any more.
    Cleared,
    /// Something that concerns no batch: the client's own error.
    Trouble(Error),
}

/// What became of one record that was to be published.
#[derive(Debug)]
pub enum Published {
    /// On its way; counted until its delivery is reported.
    Taken,
    /// No room: again later, from the same record on.
    Full,
    /// The engine withheld it: it is for the quarantine.
    Withheld,
    /// Larger than the topic takes: it is for the quarantine.
    TooLarge,
    /// It cannot be sent at all.
    Refused(Error),
}

/// A member of a consumer group with its own producer.
pub trait Broker {
    /// The records of one fetch.
    type Fetched: Fetched;

    /// Waits at most `wait` for records and takes what is there, up to the batch limit. Group
    /// events that come up on the way become notices.
    fn fetch(&mut self, wait: Duration) -> Option<Self::Fetched>;
    /// Waits at most `wait` for deliveries and commits; fetches nothing.
    fn attend(&mut self, wait: Duration);
    /// The next notice, if any.
    fn notice(&mut self) -> Option<Notice>;

    /// The name of a source topic.
    fn topic_name(&self, topic: TopicId) -> &str;
    /// Finds a clean topic and checks that its partitions match the source's.
    ///
    /// # Errors
    /// It is not there, or has other partitions.
    fn clean_topic(&mut self, source: &str, clean: &str) -> Result<CleanTopic>;

    /// Takes a batch over. Numbers come in order; without gaps while any is loaded.
    fn load(&mut self, id: BatchId, parcel: Parcel<Self::Fetched>);
    /// Begins a transaction. If that fails, so does the first batch in it.
    fn begin(&mut self);
    /// A loaded batch, to read.
    fn parcel(&self, id: BatchId) -> Option<&Parcel<Self::Fetched>>;
    /// Publishes what the engine made of record number `index`.
    fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published;
    /// Sends a withheld record of the batch to the quarantine topic.
    fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published;
    /// A record that was [`Notice::TooLarge`] has been dealt with.
    fn settle(&mut self, id: BatchId);
    /// Every record of the batch was published or quarantined: it can be reported as delivered.
    fn sent(&mut self, id: BatchId);
    /// Gives a batch back: the oldest one that is loaded, nothing of it on its way any more (all is
    /// delivered, or its transaction undone).
    fn unload(&mut self, id: BatchId) -> Option<Parcel<Self::Fetched>>;

    /// Takes assigned partitions, to be read whether or not they were paused when they went.
    fn accept(&mut self, partitions: &[Partition]);
    /// Gives up revoked partitions.
    fn yield_up(&mut self, partitions: &[Partition]);
    /// Stops reading all partitions.
    fn pause(&mut self);
    /// Reads them again.
    fn resume(&mut self);
    /// Commits offsets, and with transactions the open one; answered by [`Notice::Committed`].
    fn commit(&mut self, offsets: &[Position]);
    /// Undoes the open transaction; answered by [`Notice::Cleared`].
    fn abort(&mut self);
    /// Reads again from these offsets.
    ///
    /// # Errors
    /// The partitions cannot be moved.
    fn rewind(&mut self, positions: &[Position]) -> Result<()>;
    /// Reads again from where the group stands, pending commits awaited; from these offsets where
    /// it has none.
    ///
    /// # Errors
    /// The group cannot be asked, or the partitions cannot be moved.
    fn recall(&mut self, positions: &[Position]) -> Result<()>;
    /// Records that wait in a partition past `next`, as far as known without asking.
    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64>;
    /// Leaves the group.
    fn leave(&mut self);
}
