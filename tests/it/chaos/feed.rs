//! The raw records: identified, numbered without gaps within their partition, at an even rate,
//! whatever happens to the broker.
//!
//! The producer is idempotent and never gives up, so a record's number is its offset in the raw
//! topic: its identity needs no reading back. What is to become of each is decided here and kept.

use super::cluster::{Cluster, Place, Steadfast};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What no rule may let through: stands in every record, in its value.
pub const CANARY: &str = "canary@leak.example";

/// How often records are sent.
const SLICE: Duration = Duration::from_millis(10);
/// Longest wait for the broker at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The clean topic gets it, without the canary.
    Clean,
    /// A tombstone: the clean topic gets it.
    Tombstone,
    /// The quarantine gets it, `malformed`.
    Malformed,
    /// The quarantine gets it, `tenant`.
    Stranger,
}

impl Fate {
    /// In a burst every other record is malformed; else few are.
    fn of(number: u64, burst: bool) -> Self {
        match number % 200 {
            7 => Self::Tombstone,
            13 => Self::Malformed,
            17 => Self::Stranger,
            odd if burst && odd % 2 == 1 => Self::Malformed,
            _ => Self::Clean,
        }
    }

    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Clean | Self::Tombstone => None,
            Self::Malformed => Some("malformed"),
            Self::Stranger => Some("tenant"),
        }
    }
}

/// What was sent, by partition: the fate of each record, by its number.
pub type Sent = BTreeMap<Place, Vec<Fate>>;

/// The value that is sent.
pub fn raw_value(place: Place, number: u64, fate: Fate) -> Option<String> {
    let open = format!(
        "{{\"at\": \"{place}/{number}\", \"user\": {{\"email\": \"{CANARY}\", \"name\": \"Ada {number}\"}}"
    );
    match fate {
        Fate::Tombstone => None,
        Fate::Malformed => Some(open),
        Fate::Clean | Fate::Stranger => Some(open + "}"),
    }
}

/// The values that it may be published as: by the first policy, or by the one that a reload brings.
pub fn clean_values(place: Place, number: u64) -> [String; 2] {
    [
        format!("{{\"at\": \"{place}/{number}\", \"user\": {{\"name\": \"Ada {number}\"}}}}"),
        format!("{{\"at\": \"{place}/{number}\", \"user\": {{}}}}"),
    ]
}

/// A thread that produces until it is told to end.
pub struct Feed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    sent: Mutex<Sent>,
    records_per_second: u64,
    burst: AtomicBool,
    over: AtomicBool,
}

impl Feed {
    /// Begins to produce into these partitions.
    pub fn start(cluster: &Cluster, places: &[Place], records_per_second: u64) -> Self {
        let shared = Arc::new(Shared {
            sent: Mutex::new(places.iter().map(|place| (*place, Vec::new())).collect()),
            records_per_second,
            burst: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let producer = producer(cluster);
        let work = shared.clone();
        let (names, address) = (cluster.raw_topics(), cluster.address().to_owned());
        let thread = thread::spawn(move || work.produce(&producer, &names, &address));
        Self { shared, thread: Some(thread) }
    }

    pub fn burst(&self, on: bool) {
        self.shared.burst.store(on, Ordering::Relaxed);
    }

    /// Goes on into this partition, too.
    pub fn add(&self, place: Place) {
        self.shared.sent.lock().unwrap().insert(place, Vec::new());
    }

    /// Records sent so far, by partition.
    pub fn ends(&self) -> BTreeMap<Place, i64> {
        let sent = self.shared.sent.lock().unwrap();
        sent.iter().map(|(place, fates)| (*place, fates.len() as i64)).collect()
    }

    pub fn records(&self) -> u64 {
        self.shared.sent.lock().unwrap().values().map(|fates| fates.len() as u64).sum()
    }

    /// What was sent; it ends.
    pub fn into_sent(mut self) -> Sent {
        self.end();
        std::mem::take(&mut *self.shared.sent.lock().unwrap())
    }

    /// Ends it: all that was sent is stored then.
    pub fn end(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the feed panicked");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end();
    }
}

fn producer(cluster: &Cluster) -> BaseProducer<Steadfast> {
    let mut client: ClientConfig = cluster.client();
    client
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        .set("topic.metadata.refresh.interval.ms", "500");
    client.create_with_context(Steadfast::default()).unwrap()
}

impl Shared {
    fn produce(&self, producer: &BaseProducer<Steadfast>, names: &[String], address: &str) {
        let begin = Instant::now();
        let mut due = 0.0;
        let mut last = begin;
        let mut turn = 0;
        while !self.over.load(Ordering::Relaxed) {
            let now = Instant::now();
            #[expect(clippy::cast_precision_loss, reason = "a rate is far below 2^52")]
            let rate = self.records_per_second as f64;
            due += rate * (now - last).as_secs_f64();
            last = now;
            while due >= 1.0 && self.send_next(producer, names, &mut turn) {
                due -= 1.0;
            }
            producer.poll(SLICE);
            Steadfast::look_after(producer.client(), address);
        }
        producer.flush(PATIENCE).expect("all that was sent is stored");
    }

    /// Sends one record to the next partition; false if there is no room.
    fn send_next(
        &self,
        producer: &BaseProducer<Steadfast>,
        names: &[String],
        turn: &mut usize,
    ) -> bool {
        let mut sent = self.sent.lock().unwrap();
        *turn += 1;
        let index = *turn % sent.len();
        let (place, fates) = sent.iter_mut().nth(index).unwrap();
        let number = fates.len() as u64;
        let fate = Fate::of(number, self.burst.load(Ordering::Relaxed));
        let taken = send(producer, &names[place.topic], *place, number, fate);
        if taken {
            fates.push(fate);
        }
        taken
    }
}

fn send(
    producer: &BaseProducer<Steadfast>,
    topic: &str,
    place: Place,
    number: u64,
    fate: Fate,
) -> bool {
    let tenant = if fate == Fate::Stranger { "nobody" } else { "acme" };
    let at = format!("{place}/{number}");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "at", value: Some(&at) })
        .insert(Header { key: "tenant", value: Some(tenant) });
    let value = raw_value(place, number, fate);
    let mut record =
        BaseRecord::<String, String>::to(topic).partition(place.partition).headers(headers);
    record.key = Some(&at);
    record.payload = value.as_ref();
    match producer.send(record) {
        Ok(()) => true,
        // No room; or a new partition that this client has not heard of yet.
        Err((KafkaError::MessageProduction(code), _)) => {
            use RDKafkaErrorCode::{QueueFull, UnknownPartition};
            assert!(matches!(code, QueueFull | UnknownPartition), "{code}");
            false
        }
        Err((error, _)) => panic!("{error}"),
    }
}
