//! A reader over one topic, from its beginning to the end that it has when the reader comes there:
//! for the command line, never for the service.
//!
//! It assigns partitions to itself and commits nothing, so it takes part in no group's work; the
//! group's name is only there because brokers allow reading by group. End-of-partition events end
//! it, not offsets: behind the last record there may be transaction markers that nobody sees. A
//! topic that is written to faster than it is read still ends, at the offset seen at the start.
//!
//! All that was committed by then is read. That takes a wait: an open transaction, any producer's,
//! hides whatever was committed behind it until it ends.

use super::settings;
use super::topics::Scout;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::record::{Raw, Record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long a broker may be silent before the reader gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a transaction may stay open. Brokers end those of the dead after a minute or less.
const OPEN_MAX: Duration = Duration::from_secs(90);
/// How long one look for a record takes.
const LOOK: Duration = Duration::from_millis(200);

/// Where to read.
#[derive(Debug, Clone, Copy)]
pub enum Reach {
    /// Every partition, from the beginning.
    Whole,
    /// The one record at this partition and offset.
    One(i32, i64),
    /// The last so many records of every partition.
    Last(i64),
    /// Records of this time and later, and before that, in milliseconds since the Unix epoch.
    Times(Option<i64>, Option<i64>),
}

impl Reach {
    /// Is a record of this time in it?
    fn holds(self, timestamp_ms: Option<i64>) -> bool {
        let Self::Times(from, to) = self else { return true };
        let Some(at) = timestamp_ms else { return from.is_none() && to.is_none() };
        from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to)
    }
}

/// Reads `topic` and gives each record to `each`, until the end or until that breaks off. Records
/// of one partition come in order.
///
/// # Errors
/// No broker answers, there is no such topic or partition, or `each` failed.
pub fn read_topic(
    config: &Config,
    topic: &str,
    reach: Reach,
    mut each: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    // What was aborted is not there, whatever the service is told to read.
    let consumer = reader(config, topic, "read_committed")?;
    let mut open = partitions(config, topic, reach)?;
    let all = reader(config, topic, "read_uncommitted")?;
    for (partition, end) in &mut open {
        *end = end_of(&all, topic, *partition)?;
        await_end(&consumer, topic, *partition, *end)?;
    }
    start(&consumer, topic, &mut open, reach)?;

    let mut heard = Instant::now();
    while !open.is_empty() {
        match consumer.poll(LOOK) {
            None if heard.elapsed() > PATIENCE => {
                return Err(Error::retry(format!("no Kafka broker gave a record of {topic}")));
            }
            None => continue,
            Some(Ok(message)) => {
                if give(&message, reach, &mut each)?.is_break() {
                    return Ok(());
                }
                if open.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                    open.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // The client goes on by itself after most errors: only silence ends it.
            Some(Err(error)) if heard.elapsed() > PATIENCE => {
                return Err(Error::retry(format!("reading {topic}: {error}")));
            }
            Some(Err(_)) => continue,
        }
        heard = Instant::now();
    }
    Ok(())
}

fn reader(config: &Config, topic: &str, isolation: &str) -> Result<BaseConsumer> {
    let mut set = settings::reader(config, topic);
    set.set("group.id", &config.group)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    set.create().map_err(|error| Error::usage(format!("the Kafka reader: {error}")))
}

/// The end of a partition, as this reader's isolation has it.
fn end_of(reader: &BaseConsumer, topic: &str, partition: i32) -> Result<i64> {
    match reader.fetch_watermarks(topic, partition, PATIENCE) {
        Ok((_, end)) => Ok(end),
        Err(error) => Err(Error::retry(format!("reading {topic}: {error}"))),
    }
}

/// Waits until no transaction is open before `end`.
fn await_end(consumer: &BaseConsumer, topic: &str, partition: i32, end: i64) -> Result<()> {
    let begin = Instant::now();
    while end_of(consumer, topic, partition)? < end {
        if begin.elapsed() > OPEN_MAX {
            return Err(Error::retry(format!(
                "a transaction in {topic}/{partition} stays open: what was committed behind it \
                 cannot be read yet"
            )));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The partitions to read; their ends come later.
fn partitions(config: &Config, topic: &str, reach: Reach) -> Result<BTreeMap<i32, i64>> {
    let listing = Scout::new(config)?.list(PATIENCE)?;
    let count = listing.get(topic).copied().unwrap_or(0);
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    match reach {
        _ if count == 0 => Err(Error::usage(format!("there is no topic {topic}"))),
        Reach::Whole | Reach::Last(_) | Reach::Times(..) => {
            Ok((0..count).map(|partition| (partition, i64::MAX)).collect())
        }
        Reach::One(partition, _) if (0..count).contains(&partition) => {
            Ok(BTreeMap::from([(partition, i64::MAX)]))
        }
        Reach::One(partition, _) => {
            Err(Error::usage(format!("{topic} has no partition {partition}")))
        }
    }
}

fn start(
    consumer: &BaseConsumer,
    topic: &str,
    open: &mut BTreeMap<i32, i64>,
    reach: Reach,
) -> Result<()> {
    let failed = |error: KafkaError| Error::retry(format!("reading {topic}: {error}"));
    let mut list = TopicPartitionList::new();
    for (partition, end) in open.iter() {
        let from = match reach {
            Reach::Whole | Reach::Times(None, _) => Offset::Beginning,
            Reach::One(_, offset) => Offset::Offset(offset),
            // Below the partition's beginning, it is the beginning.
            Reach::Last(count) => Offset::Offset((end - count).max(0)),
            // A time, until the broker has said which offset it is.
            Reach::Times(Some(from), _) => Offset::Offset(from),
        };
        list.add_partition_offset(topic, *partition, from).map_err(failed)?;
    }
    // What is empty gives no record; an end-of-partition event would do as well, later.
    open.retain(|_, end| *end > 0);
    if let Reach::Times(Some(_), _) = reach {
        list = consumer.offsets_for_times(list, PATIENCE).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)
}

fn give(
    message: &BorrowedMessage<'_>,
    reach: Reach,
    each: &mut impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    if let Reach::One(_, offset) = reach
        && message.offset() != offset
    {
        // There is none at that offset: the client has gone on to another.
        return Ok(ControlFlow::Break(()));
    }
    let timestamp_ms = message.timestamp().to_millis();
    if !reach.holds(timestamp_ms) {
        return Ok(ControlFlow::Continue(()));
    }
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = message.headers().map_or_else(Vec::new, |all| {
        all.iter()
            .map(|header| (header.key.as_bytes().to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    let flow = each(&Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms,
        key: message.key().map(Raw::new),
        value: message.payload().map(Raw::new),
        headers: &headers,
    })?;
    Ok(if matches!(reach, Reach::One(..)) { ControlFlow::Break(()) } else { flow })
}
