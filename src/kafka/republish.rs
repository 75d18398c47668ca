//! The way out of a replay: transactions that hold clean records and the marks that say so.
//!
//! Its transactional id is always the same, so a second replay shuts out the first (and ends what a
//! dead one left open) before it looks at what is marked: two cannot publish the same record. A
//! transaction that fails is not tried again here; the command ends, and the next one finds out from
//! the marks what there is left to do.

use super::producer::fits;
use super::settings;
use super::topics::{Listing, Scout, bounds};
use crate::config::Config;
use crate::engine::{Clean, CleanHeaders};
use crate::error::{Error, Result};
use crate::quarantine::Replayed;
use crate::record::{Headers, Raw, Record};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a broker may take to open, commit or abort a transaction, and to list topics.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the topics' settings may take: they can be done without.
const ASK: Duration = Duration::from_secs(2);

/// What a replay must know of the cluster.
pub struct Sizes {
    listing: Listing,
    message_bytes: BTreeMap<String, usize>,
}

impl Sizes {
    /// Asks the cluster.
    ///
    /// # Errors
    /// No broker answers.
    pub fn ask(config: &Config, clean_topics: impl Fn(&Listing) -> Vec<String>) -> Result<Self> {
        let scout = Scout::new(config)?;
        let listing = scout.list(PATIENCE)?;
        let topics = clean_topics(&listing);
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        Ok(Self { message_bytes: scout.message_bytes(&topics, ASK), listing })
    }

    /// Does a topic have this partition?
    #[must_use]
    pub fn has(&self, topic: &str, partition: i32) -> bool {
        let count = self.listing.get(topic).copied().unwrap_or(0);
        usize::try_from(partition).is_ok_and(|partition| partition < count)
    }

    /// Does a topic take a record of this size?
    #[must_use]
    pub fn fit(&self, topic: &str, record: &Record<'_>, clean: &Clean<'_>) -> bool {
        self.message_bytes.get(topic).is_none_or(|most| fits(record, clean, *most))
    }
}

/// The producer of a replay.
pub struct Republisher {
    producer: BaseProducer,
    quarantine: String,
}

impl Republisher {
    /// Takes the transactional id: from here on no other replay can publish.
    ///
    /// # Errors
    /// The settings make no client, no broker answers, or limpid's user may not.
    pub fn start(config: &Config, sizes: &Sizes) -> Result<Self> {
        let set = settings::replayer(config, bounds(&sizes.message_bytes));
        let producer: BaseProducer = set
            .create_with_context(rdkafka::producer::DefaultProducerContext)
            .map_err(|error| settings::refused("producer", error))?;
        producer
            .init_transactions(PATIENCE)
            .map_err(|error| failed("the replay's transactional id cannot be taken", &error))?;
        Ok(Self { producer, quarantine: config.quarantine.topic.clone() })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// Another replay has taken over, or the producer has broken down.
    pub fn begin(&self) -> Result<()> {
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| failed("a transaction cannot be begun", &error))
    }

    /// Publishes a clean record where the service would have, and marks it as replayed.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn publish(
        &self,
        topic: &str,
        record: &Record<'_>,
        clean: &Clean<'_>,
        mark: Replayed,
    ) -> Result<()> {
        let headers = match clean.headers() {
            CleanHeaders::Same => owned(record.headers),
            CleanHeaders::Edited(headers) => owned(&headers),
        };
        let mut message = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(record.partition)
            .timestamp(written_time(record.timestamp_ms))
            .headers(headers);
        message.key = clean.key();
        message.payload = clean.value();
        self.send(message)?;
        let (key, value) = mark.header();
        let header = OwnedHeaders::new().insert(Header { key, value: Some(&value) });
        let message = BaseRecord::<[u8], [u8]>::to(&self.quarantine).partition(mark.partition);
        self.send(message.headers(header))
    }

    /// Commits: what was published and marked since [`Republisher::begin`] is there, all of it.
    ///
    /// # Errors
    /// It is not known to be. What happened, the next replay finds out.
    pub fn commit(&self) -> Result<()> {
        // The commit waits for deliveries, and only a flush serves their reports.
        let flushed = self.producer.flush(PATIENCE);
        flushed.and_then(|()| self.producer.commit_transaction(PATIENCE)).map_err(|error| {
            // It may not be possible; then the next replay does it, or time.
            let _ = self.producer.abort_transaction(PATIENCE);
            failed("a transaction was not committed", &error)
        })
    }

    fn send(&self, mut message: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
        use RDKafkaErrorCode::QueueFull;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(QueueFull), back)) => {
                    message = back;
                    self.producer.poll(Duration::from_millis(100));
                }
                Err((error, _)) => return Err(failed("a record cannot be sent", &error)),
            }
        }
    }
}

/// 0 would mean now, and -1 means none: as the service writes them.
fn written_time(timestamp_ms: Option<i64>) -> i64 {
    match timestamp_ms {
        None => -1,
        Some(0) => 1,
        Some(at) => at,
    }
}

/// Kafka's header names are UTF-8; what is not was left out when the record was read.
fn owned(headers: &dyn Headers) -> OwnedHeaders {
    let one = |index| {
        let (name, value) = headers.get(index)?;
        Some((std::str::from_utf8(name).ok()?, value.map(Raw::expose)))
    };
    (0..headers.count())
        .filter_map(one)
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value }))
}

fn failed(what: &str, error: &KafkaError) -> Error {
    Error::retry(format!("{what}: {error}"))
}
