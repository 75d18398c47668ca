//! Kafka: the only user of the client library, librdkafka through rdkafka.
//!
//! One [`Member`] a lane: a consumer of the group and an idempotent producer, on one thread. The
//! library's own threads fetch, decompress, compress and send; what is written here is the thin
//! part between them and the engine, and it is the only part of limpid besides `scan` that has
//! `unsafe`. Nobody else sees a native pointer.
//!
//! - [`settings`]: what limpid sets and what users may set;
//! - [`topics`]: what is looked at before records flow;
//! - `fetched`: records borrowed from the fetch buffers; `consumer`: the group; `producer`: the way
//!   out, zero-copy; `transaction`: what ties the two ends together; `outlet`: what the producer
//!   lends it; `native`: the handles.
//!
//! Where the time goes (a profile of 3,000,000 events of 716 B without headers, 8 partitions, lz4,
//! one lane, a rule that finds nothing; broker and other work on the same two cores, so the shares
//! say more than the speed, 220–290k records/s at 1.9–2.2 CPU seconds a million): lz4 compression
//! 24%, copying inside the client 9%, decompression 5%, the kernel 11%; most of the rest is the
//! client's bookkeeping for each message, its allocations and its locks. `fetch.min.bytes` and
//! `check.crcs` made no difference above the noise; more than 24 MiB in flight made none either and
//! doubled the memory. What did: that the producer's thread no longer asks the socket in a busy loop
//! (`settings::IN_FLIGHT`), a fifth of the CPU time with one lane, half of it with two.
#![allow(unsafe_code)]

pub mod cluster;
mod consumer;
mod fetched;
mod native;
mod outlet;
mod producer;
pub mod reader;
pub mod republish;
pub mod settings;
pub mod topics;
mod transaction;

pub use fetched::Fetched;
pub use settings::{Kind, RESERVED, check_setting};

use crate::config::Config;
use crate::error::{Error, Fate, Result};
use crate::lane::{
    BatchId, Broker, CleanTopic, Delivery, Notice, Parcel, Partition, Position, Published, TopicId,
};
use crate::quarantine::Sealed;
use consumer::Consumer;
use producer::Producer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a member needs to know beside the configuration.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Topics to subscribe; a pattern begins with `^`.
    pub topics: Vec<String>,
    /// Partitions of every topic, as listed at the start.
    pub listing: Arc<topics::Listing>,
    /// `max.message.bytes`, of the topics for which it is known.
    pub message_bytes: Arc<BTreeMap<String, usize>>,
    /// This lane's part of `buffer_bytes_max`.
    pub buffer_bytes: usize,
    /// The process's name in transactional ids.
    pub instance: Arc<str>,
    /// The lane's number.
    pub lane: usize,
}

/// How long a look at a topic that was not there at the start may take.
const LOOK: Duration = Duration::from_secs(10);

/// A member of the group, with its producer.
pub struct Member {
    // The producer's parcels hold fetched messages, which hold the consumer's client.
    producer: Producer,
    consumer: Consumer,
    delivery: Delivery,
    scout: topics::Scout,
    membership: Membership,
    notices: VecDeque<Notice>,
    troubles: Vec<Error>,
}

impl Member {
    /// Joins the group.
    ///
    /// # Errors
    /// The settings do not make a client.
    pub fn join(config: &Config, membership: Membership) -> Result<Self> {
        // An eighth waits fetched (a fetch response comes whole, so it may be twice that); the lane
        // bounds what is between fetch and delivery; the producer's own bound is the outer wall.
        let share = membership.buffer_bytes;
        let quarantine = &config.quarantine.topic;
        let producer = match config.delivery {
            Delivery::AtLeastOnce => {
                Producer::new(settings::producer(config, &membership), quarantine)?
            }
            Delivery::ExactlyOnce => {
                let sets = settings::transactional(config, &membership);
                Producer::transactional(sets, quarantine, membership.lane)?
            }
        };
        let consumer = settings::consumer(config, share / 8, membership.lane);
        Ok(Self {
            producer,
            consumer: Consumer::new(&consumer, &membership.topics)?,
            delivery: config.delivery,
            scout: topics::Scout::new(config)?,
            membership,
            notices: VecDeque::new(),
            troubles: Vec::new(),
        })
    }

    fn serve(&mut self, wait: Duration) {
        self.producer.attend(wait, &mut self.notices);
        self.consumer.attend(Duration::ZERO);
    }
}

impl Broker for Member {
    type Fetched = Fetched;

    fn fetch(&mut self, wait: Duration) -> Option<Fetched> {
        self.serve(Duration::ZERO);
        let fetched = self.consumer.fetch(wait, &mut self.troubles);
        for trouble in self.troubles.drain(..) {
            self.notices.push_back(Notice::Trouble(trouble));
        }
        fetched
    }

    fn attend(&mut self, wait: Duration) {
        self.serve(wait);
    }

    fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front().or_else(|| self.consumer.notice())
    }

    fn topic_name(&self, topic: TopicId) -> &str {
        self.consumer.names().name(topic)
    }

    fn clean_topic(&mut self, source: &str, clean: &str) -> Result<CleanTopic> {
        let known =
            |listing: &topics::Listing| Some((*listing.get(source)?, listing.get(clean).copied()));
        let (theirs, ours) = match known(&self.membership.listing) {
            Some((theirs, Some(ours))) if theirs == ours => (theirs, Some(ours)),
            // It may have been made since.
            _ => known(&self.scout.list(LOOK)?).unwrap_or((0, None)),
        };
        same_partitions(source, theirs, clean, ours)?;
        Ok(self.producer.target(clean, self.membership.message_bytes.get(clean).copied()))
    }

    fn load(&mut self, id: BatchId, parcel: Parcel<Fetched>) {
        self.producer.load(id, parcel);
    }

    fn parcel(&self, id: BatchId) -> Option<&Parcel<Fetched>> {
        self.producer.parcel(id)
    }

    fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published {
        self.producer.publish(id, index, to)
    }

    fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published {
        self.producer.quarantine(id, sealed)
    }

    fn settle(&mut self, id: BatchId) {
        self.producer.settle(id);
    }

    fn sent(&mut self, id: BatchId) {
        self.producer.sent(id);
    }

    fn unload(&mut self, id: BatchId) -> Option<Parcel<Fetched>> {
        self.producer.unload(id)
    }

    fn accept(&mut self, partitions: &[Partition]) {
        self.consumer.accept(partitions);
    }

    fn yield_up(&mut self, partitions: &[Partition]) {
        self.consumer.yield_up(partitions);
    }

    fn pause(&mut self) {
        self.consumer.pause();
    }

    fn resume(&mut self) {
        self.consumer.resume();
    }

    fn begin(&mut self) {
        self.producer.begin();
    }

    fn commit(&mut self, offsets: &[Position]) {
        if self.delivery == Delivery::AtLeastOnce {
            return self.consumer.commit(offsets);
        }
        // Afresh for each commit: it carries the generation that the group is in now.
        let outcome = match self.consumer.group_metadata() {
            Some(group) => self.producer.commit(self.consumer.positions(offsets), group),
            None => Err(Error::retry("the consumer is in no group")),
        };
        if let Err(error) = outcome {
            self.notices.push_back(Notice::Committed(Err(error)));
        }
    }

    fn abort(&mut self) {
        self.producer.abort();
    }

    fn recall(&mut self, positions: &[Position]) -> Result<()> {
        self.consumer.recall(positions)
    }

    fn rewind(&mut self, positions: &[Position]) -> Result<()> {
        self.consumer.rewind(positions)
    }

    fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        self.consumer.lag(partition, next)
    }

    fn leave(&mut self) {
        self.producer.part();
        if self.consumer.fatal_error().is_none_or(|error| error.fate() != Fate::Fatal) {
            self.consumer.leave();
        }
    }
}

/// Checks that a clean topic has its source's partitions.
///
/// # Errors
/// It is not there, or has others.
pub fn same_partitions(
    source: &str,
    theirs: usize,
    clean: &str,
    ours: Option<usize>,
) -> Result<()> {
    match ours {
        Some(ours) if ours == theirs => Ok(()),
        Some(ours) => Err(Error::usage(format!(
            "clean topic `{clean}` has {ours} partitions and `{source}` has {theirs}: give it \
             {theirs}, so that every record keeps its partition"
        ))),
        None => Err(Error::usage(format!(
            "clean topic `{clean}` does not exist or may not be seen: create it with {theirs} \
             partitions, like `{source}`"
        ))),
    }
}
