//! What the harness asks of the broker directly, past the proxy: topics, ends, commits.

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub const QUARANTINE: &str = "limpid.quarantine";
pub const QUARANTINE_PARTITIONS: i32 = 3;
pub const GROUP: &str = "limpid";

/// How long one question may take.
const ASK: Duration = Duration::from_secs(2);
/// How long work of an administrator may take, on a broker that has just been killed.
const WORK: Duration = Duration::from_secs(30);

/// A partition of the raw topic of that number, and of its clean topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: usize,
    pub partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl Place {
    /// Reads `topic/partition/number`.
    pub fn numbered(text: &str) -> Option<(Self, u64)> {
        let mut parts = text.split('/');
        let topic = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        Some((Self { topic, partition }, number))
    }
}

pub struct Cluster {
    address: String,
    topics: usize,
    /// Looks at offsets and commits; never joins the group.
    eye: BaseConsumer<Steadfast>,
}

/// A client's memory of having lost all connections. librdkafka may never ask again after a broker
/// answered with a list of no brokers (its issue 5301), as one does that its controller held for dead
/// while it was frozen: so it is told again where to begin.
#[derive(Default)]
pub struct Steadfast {
    lost: AtomicBool,
}

impl ClientContext for Steadfast {
    fn error(&self, error: KafkaError, _: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

impl ConsumerContext for Steadfast {}

impl ProducerContext for Steadfast {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl Steadfast {
    /// To be called now and then.
    #[expect(unsafe_code, reason = "the crate has no safe call for it")]
    pub fn look_after(client: &Client<Self>, address: &str) {
        if client.context().lost.swap(false, Ordering::Relaxed) {
            let address = CString::new(address).unwrap();
            // SAFETY: the client lives, the address ends with a NUL.
            unsafe {
                rdkafka::bindings::rd_kafka_brokers_add(client.native_ptr(), address.as_ptr())
            };
        }
    }
}

impl Cluster {
    /// Makes raw and clean topics of so many partitions each, and the quarantine.
    pub fn with_topics(address: &str, partitions: &[i32]) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", address);
        let mut eye = client.clone();
        // Stored commits, whatever transactions are open.
        eye.set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_uncommitted");
        let cluster = Self {
            address: address.to_owned(),
            topics: partitions.len(),
            eye: eye.create_with_context(Steadfast::default()).unwrap(),
        };
        let (raw, clean) = (cluster.raw_topics(), cluster.clean_topics());
        let new = |name, partitions| NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let mut topics = vec![new(QUARANTINE, QUARANTINE_PARTITIONS)];
        for (index, count) in partitions.iter().enumerate() {
            topics.push(new(&raw[index], *count));
            topics.push(new(&clean[index], *count));
        }
        let made = wait(cluster.admin().create_topics(&topics, &patient())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        cluster.await_listed(1 + 2 * partitions.len());
        cluster
    }

    /// Topics that were made are listed a little later.
    fn await_listed(&self, count: usize) {
        let begin = Instant::now();
        let listed = || self.eye.fetch_metadata(None, ASK).map_or(0, |all| all.topics().len());
        while listed() < count {
            assert!(begin.elapsed() < WORK, "the topics are not listed");
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.address);
        client
    }

    pub fn raw_topics(&self) -> Vec<String> {
        (0..self.topics).map(|index| format!("raw.{index}")).collect()
    }

    pub fn clean_topics(&self) -> Vec<String> {
        (0..self.topics).map(|index| format!("clean.{index}")).collect()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// Gives a topic so many partitions in all.
    pub fn widen(&self, topic: &str, partitions: usize) {
        let widened = NewPartitions::new(topic, partitions);
        let made = wait(self.admin().create_partitions([&widened], &patient())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    /// Where the group's commits stand, if the broker says.
    pub fn committed(&self, places: &[Place]) -> Option<BTreeMap<Place, i64>> {
        let mut asked = TopicPartitionList::new();
        for place in places {
            asked.add_partition(&format!("raw.{}", place.topic), place.partition);
        }
        self.eye.poll(Duration::ZERO);
        Steadfast::look_after(self.eye.client(), &self.address);
        let known = self.eye.committed_offsets(asked, ASK).ok()?;
        let at = |place: &Place| {
            let found = known.find_partition(&format!("raw.{}", place.topic), place.partition)?;
            // Nothing committed yet is a negative number.
            Some((*place, found.offset().to_raw()?.max(0)))
        };
        places.iter().map(at).collect()
    }

    /// End of a partition for a read_committed reader and for others: apart while a transaction is
    /// open.
    pub fn ends(&self, topic: &str, partition: i32) -> (i64, i64) {
        // New clients, who know of new partitions.
        let end =
            |isolation| self.reader(isolation).fetch_watermarks(topic, partition, WORK).unwrap().1;
        (end("read_committed"), end("read_uncommitted"))
    }

    /// A consumer that is given its partitions by hand.
    pub fn reader(&self, isolation: &str) -> BaseConsumer {
        let mut client = self.client();
        client
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("queued.max.messages.kbytes", "65536");
        client.create().unwrap()
    }
}

fn patient() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(WORK)).request_timeout(Some(WORK))
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
