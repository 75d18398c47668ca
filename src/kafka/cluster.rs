//! A cluster for the demo: the client library's simulated one, or topics of a run's own on a real
//! one; a feed into it and a tap out of it.
//!
//! The simulated cluster lives in this process. It serves groups, commits and idempotent producers,
//! but it keeps only the last 5 MiB of a partition, shows aborted records and fences nobody: good
//! for a demo, never proof of anything about delivery.

use super::settings;
use crate::error::{Error, Result};
use crate::record::Headers;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult};
use rdkafka::producer::{Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that a partition of the simulated cluster keeps.
pub const KEPT_BYTES: usize = 5 << 20;

/// How long a real cluster may take to make or delete topics.
const PATIENCE: Duration = Duration::from_secs(15);

/// A cluster with topics of one run's own. Dropping it takes them away.
pub struct Cluster {
    brokers: String,
    topics: Vec<String>,
    /// Keeps the simulated one alive; none for a real one.
    simulated: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    /// A simulated cluster of one broker.
    ///
    /// # Errors
    /// The client library can't make one.
    pub fn simulated(topics: Vec<String>, partitions: i32) -> Result<Self> {
        let cannot = |error| failed("start the simulated broker", &error);
        let cluster = MockCluster::new(1).map_err(cannot)?;
        for topic in &topics {
            cluster.create_topic(topic, partitions, 1).map_err(cannot)?;
        }
        Ok(Self { brokers: cluster.bootstrap_servers(), topics, simulated: Some(cluster) })
    }

    /// A real cluster, on which the topics are made.
    ///
    /// # Errors
    /// No broker answers, or it doesn't let us make topics.
    pub fn real(brokers: &str, topics: Vec<String>, partitions: i32) -> Result<Self> {
        Self::of_topics(brokers, topics, partitions, &[])
    }

    /// The same; the topics note when a record was appended, whatever time it was produced with.
    ///
    /// # Errors
    /// No broker answers, or it doesn't let us make topics.
    pub fn dated(brokers: &str, topics: Vec<String>, partitions: i32) -> Result<Self> {
        Self::of_topics(brokers, topics, partitions, &[("message.timestamp.type", "LogAppendTime")])
    }

    fn of_topics(
        brokers: &str,
        topics: Vec<String>,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        // -1: as often as the broker's configuration says.
        let new = |topic| {
            let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
            settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
        };
        let new: Vec<_> = topics.iter().map(|topic| new(topic)).collect();
        let cannot = |error| failed(&format!("make the demo's topics at {brokers}"), &error);
        let admin = admin(&client(brokers))?;
        let made = waited(admin.create_topics(&new, &patient()))?.map_err(cannot)?;
        // From here on some topics may be there: they go again, whatever happens next.
        let cluster = Self { brokers: brokers.into(), topics, simulated: None };
        for outcome in made {
            outcome.map_err(|(_, code)| cannot(KafkaError::AdminOp(code)))?;
        }
        Ok(cluster)
    }

    /// Where it is: for `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Is it the simulated one?
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// A way in.
    ///
    /// # Errors
    /// The client library can't make a producer.
    pub fn feed(&self) -> Result<Feed> {
        let deliveries = Arc::new(Deliveries::default());
        let producer = client(&self.brokers)
            .set("linger.ms", "5")
            .set(settings::MAX_IN_FLIGHT, settings::IN_FLIGHT)
            .set("compression.type", "lz4")
            .create_with_context(Context(deliveries.clone()))
            .map_err(|error| failed("make a producer", &error))?;
        Ok(Feed { producer, deliveries })
    }

    /// A way out: all records of these topics from their beginnings.
    ///
    /// # Errors
    /// The client library can't make a consumer.
    pub fn tap(&self, topics: &[String], partitions: i32) -> Result<Tap> {
        let cannot = |error| failed("make a consumer", &error);
        let consumer: BaseConsumer = client(&self.brokers)
            .set("group.id", "limpid-demo-tap") // never joined: partitions are assigned
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            // With the default, 1 s, a fast reader starves.
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .map_err(cannot)?;
        let mut all = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                all.add_partition_offset(topic, partition, Offset::Beginning).map_err(cannot)?;
            }
        }
        consumer.assign(&all).map_err(cannot)?;
        Ok(Tap { consumer })
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client
}

fn admin(client: &ClientConfig) -> Result<AdminClient<DefaultClientContext>> {
    client.create().map_err(|error| failed("make an administrator", &error))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.simulated.is_some() {
            return;
        }
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let deleted = admin(&client(&self.brokers))
            .and_then(|admin| waited(admin.delete_topics(&topics, &patient())));
        if !matches!(deleted, Ok(Ok(_))) {
            tracing::warn!("the demo's topics could not be deleted");
        }
    }
}

/// A producer that counts what was delivered.
pub struct Feed {
    producer: BaseProducer<Context>,
    deliveries: Arc<Deliveries>,
}

#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

struct Context(Arc<Deliveries>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, outcome: &DeliveryResult<'_>, (): ()) {
        let counter = if outcome.is_ok() { &self.0.delivered } else { &self.0.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Feed {
    /// Hands a record over; waits while the producer's queue is full.
    ///
    /// # Errors
    /// The record can't be sent.
    pub fn send(&self, topic: &str, key: &[u8], value: &[u8], headers: &dyn Headers) -> Result<()> {
        let mut owned = OwnedHeaders::new_with_capacity(headers.count());
        for index in 0..headers.count() {
            let Some((name, value)) = headers.get(index) else { break };
            let Ok(key) = std::str::from_utf8(name) else { continue };
            owned = owned.insert(Header { key, value: value.map(crate::record::Raw::expose) });
        }
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        if owned.count() > 0 {
            record = record.headers(owned);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.attend(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(failed("send a record", &error)),
            }
        }
    }

    /// Serves deliveries for so long.
    pub fn attend(&self, time: Duration) {
        self.producer.poll(time);
    }

    /// Waits until all that was handed over is delivered or given up.
    ///
    /// # Errors
    /// It takes too long.
    pub fn flush(&self) -> Result<()> {
        self.producer.flush(PATIENCE).map_err(|error| failed("deliver the events", &error))
    }

    /// Records delivered.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.deliveries.delivered.load(Ordering::Relaxed)
    }

    /// Records given up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.deliveries.failed.load(Ordering::Relaxed)
    }
}

/// A consumer of some topics, outside of any group.
pub struct Tap {
    consumer: BaseConsumer,
}

/// A record that came out of a [`Tap`].
pub struct Tapped<'a>(&'a BorrowedMessage<'a>);

impl Tap {
    /// Shows `look` the next record; `None` if none came for so long.
    ///
    /// # Errors
    /// What will not pass by waiting.
    pub fn next<T>(
        &self,
        wait: Duration,
        look: impl FnOnce(&Tapped<'_>) -> T,
    ) -> Result<Option<T>> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(look(&Tapped(&message)))),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                Err(failed("read the clean topics", &KafkaError::MessageConsumptionFatal(code)))
            }
            Some(Err(_)) => Ok(None), // the client library goes on by itself
        }
    }
}

impl Tapped<'_> {
    /// The topic it came from.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// Milliseconds since the Unix epoch; that of its arrival if its topic says so.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// The value of its first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.headers()?.iter().find(|header| header.key == name)?.value
    }
}

fn patient() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// The administrator's answers are futures; nothing else here is.
fn waited<F: Future>(answer: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Error::fatal(format!("cannot wait: {error}")))?;
    Ok(runtime.block_on(answer))
}

fn failed(what: &str, error: &KafkaError) -> Error {
    Error::fatal(format!("cannot {what}: {error}"))
}
