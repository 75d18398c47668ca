//! Memory stays bounded, whatever the records and whatever the broker does: large records over many
//! partitions, read while none can be delivered. Then they can, and all arrive. On a real Kafka of
//! the test's own, for only there the client's buffers are what they are.
//!
//! Between limpid and the broker is a proxy that is clogged: records come, for a request is short, and
//! hardly anything goes.

use crate::chaos::{Broker, Proxy, Weather, own};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PARTITIONS: i32 = 200;
const RECORD_BYTES: usize = 9_000_000;
const LANES: usize = 2;
const BUFFER_BYTES: usize = 64 << 20;
/// The manual's formula: see docs/CONFIG.md, "Memory".
const BOUND_BYTES: usize = (32 << 20) + BUFFER_BYTES + LANES * 4 * RECORD_BYTES;
const PATIENCE: Duration = Duration::from_secs(60);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Memory that has not grown for so long will not.
const STILL: Duration = Duration::from_secs(4);

/// As many as show what is bounded; more where a backlog is to be judged: `LIMPID_BOUNDS_RECORDS`.
fn records() -> i32 {
    let asked = std::env::var("LIMPID_BOUNDS_RECORDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(40)
}

#[test]
fn real_memory_is_bounded_while_nothing_can_be_delivered() {
    let Some(_alone) = own() else { return };
    let broker = Broker::start(&[]);
    let proxy = Proxy::start(broker.proxy_port(), broker.proxied_port());
    let scene = Scene::new(&broker.address(), &proxy.address());
    scene.fill();
    proxy.set(Weather::Clogged);
    let limpid = scene.start();
    let stalled = scene.settled(&limpid);
    assert_eq!(scene.committed(), 0, "nothing can be delivered");
    proxy.set(Weather::Clear);
    scene.await_all(&limpid);
    let [stalled, peak, bound] =
        [stalled, limpid.peak_bytes(), BOUND_BYTES].map(|bytes| bytes >> 20);
    println!("{stalled} MiB stalled, {peak} MiB at most; the bound is {bound} MiB");
    assert!(peak <= bound, "{peak} MiB; the bound is {bound} MiB");
    // Each lane has at least one record and its clean copy in its hands.
    let held = (LANES * 2 * RECORD_BYTES) >> 20;
    assert!(stalled > held, "{stalled} MiB: it was not made to fill its buffers");
}

struct Scene {
    client: ClientConfig,
    topics: [String; 3],
    folder: TempDir,
}

impl Scene {
    fn new(broker: &str, proxy: &str) -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", broker).set("group.id", format!("bounds-{since}"));
        let topics = ["raw", "clean", "quarantine"].map(|it| format!("bounds-{since}-{it}"));
        let scene = Self { client, topics, folder: TempDir::new().unwrap() };
        scene.create_topics();
        scene.write_files(proxy, since);
        scene
    }

    fn create_topics(&self) {
        let [raw, clean, quarantine] = &self.topics;
        let topic = |name, partitions| {
            NewTopic::new(name, partitions, TopicReplication::Fixed(1))
                .set("max.message.bytes", "10000000")
        };
        let new = [topic(raw, PARTITIONS), topic(clean, PARTITIONS), topic(quarantine, 1)];
        let made = wait(self.admin().create_topics(&new, &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client.create().unwrap()
    }

    fn write_files(&self, brokers: &str, since: u128) {
        let policies = self.folder.path().join("policies");
        fs::create_dir(&policies).unwrap();
        let policy = "tenant: acme\nversion: 1\nrules:\n  - fields: [email]\n    do: drop\n";
        fs::write(policies.join("acme.yaml"), policy).unwrap();
        let [raw, clean, quarantine] = &self.topics;
        let config = format!(
            "brokers: \"{brokers}\"\ngroup: bounds-{since}\nlanes: {LANES}\npolicies: policies\n\
             buffer_bytes: {BUFFER_BYTES}\nquarantine: {{topic: {quarantine}}}\n\
             routes: [{{name: web, topics: [{raw}], clean: {clean}, default_policy: acme}}]\n"
        );
        fs::write(self.folder.path().join("limpid.yaml"), config).unwrap();
    }

    /// Records that hardly compress, to each partition in turn.
    fn fill(&self) {
        let mut client = self.client.clone();
        client.set("message.max.bytes", "10000000").set("linger.ms", "0");
        let producer: BaseProducer = client.create().unwrap();
        let value = record();
        for partition in (0..records()).map(|number| number % PARTITIONS) {
            let record = BaseRecord::<(), _>::to(&self.topics[0]).partition(partition);
            producer.send(record.payload(&value)).map_err(|(error, _)| error).unwrap();
            producer.flush(PATIENCE).unwrap();
        }
    }

    fn start(&self) -> Limpid {
        let log = self.folder.path().join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_limpid"))
            .args(["run", "--config"])
            .arg(self.folder.path().join("limpid.yaml"))
            .stderr(fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Limpid { child, log }
    }

    /// Waits until the service holds as much as it will; gives how much that was at most.
    fn settled(&self, limpid: &Limpid) -> usize {
        let (begin, mut since, mut most) = (Instant::now(), Instant::now(), 0);
        while since.elapsed() < STILL || most < BUFFER_BYTES / 2 {
            assert!(begin.elapsed() < PATIENCE, "it does not settle\n{}", limpid.log());
            let peak = limpid.peak_bytes();
            if peak > most + (1 << 20) {
                (since, most) = (Instant::now(), peak);
            }
            sleep(LOOK_EVERY);
        }
        most
    }

    fn committed(&self) -> i64 {
        let reader: BaseConsumer = self.client.create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topics[0], 0, PARTITIONS - 1);
        let known = reader.committed_offsets(asked, PATIENCE).unwrap();
        known.elements().iter().filter_map(|it| it.offset().to_raw()).map(|it| it.max(0)).sum()
    }

    fn await_all(&self, limpid: &Limpid) {
        let (mut since, mut most) = (Instant::now(), 0);
        while most < i64::from(records()) {
            if self.committed() > most {
                (since, most) = (Instant::now(), self.committed());
            }
            assert!(since.elapsed() < PATIENCE, "{}\n{}", self.committed(), limpid.log());
        }
    }
}

/// A running service; killed when dropped.
struct Limpid {
    child: Child,
    log: PathBuf,
}

impl Limpid {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The most memory that it ever had.
    fn peak_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.unwrap_or_else(|| panic!("limpid ended\n{}", self.log()));
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }
}

impl Drop for Limpid {
    fn drop(&mut self) {
        // It fails if the process has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// JSON of about [`RECORD_BYTES`].
fn record() -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut chance = limpid::memory::Chance::new(1);
    let mut value = b"{\"email\": \"a@b.example\", \"blob\": \"".to_vec();
    while value.len() < RECORD_BYTES {
        let drawn = chance.below(1 << 60);
        value.extend((0..10).map(|digit| DIGITS[drawn >> (6 * digit) & 63]));
    }
    value.extend(b"\"}");
    value
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
