//! The whole way over a broker: librdkafka's simulated one always, a real Kafka where
//! `LIMPID_KAFKA=host:port` names one (`deploy/dev/kafka.sh up` starts it). The simulated one shows
//! that the calls into the client are right; only the real one shows that delivery is. What runs
//! on it is at least once, for it takes transactions and forgets their offsets.

use limpid::config;
use limpid::error::{Fate, Reason};
use limpid::kafka::reader::{Reach, read_topic};
use limpid::reload::Start;
use limpid::run::{self, Stop, Summary};
use limpid::telemetry::{Health, Metrics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const CANARY: &str = "canary@leak.example";
/// What the clean topics of these tests take.
const MESSAGE_BYTES: usize = 20_000;

#[test]
fn a_ci_run_has_a_broker() {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci || real().is_some(), "CI must set LIMPID_KAFKA, or delivery goes untested");
}

#[test]
fn simulated_whole_way() {
    let mock = MockCluster::new(1).unwrap();
    let scene = Scene::on_mock(&mock, "way");
    whole_way(&scene);
}

/// Each cluster has topics of the other's names, too narrow: whoever looks at the wrong one fails.
#[test]
fn simulated_clean_topics_on_a_cluster_of_their_own() {
    let (source, clean) = (MockCluster::new(1).unwrap(), MockCluster::new(1).unwrap());
    let mut scene = Scene::new(source.bootstrap_servers(), "two");
    scene.clean_brokers = clean.bootstrap_servers();
    source.create_topic(&scene.raw, PARTITIONS, 1).unwrap();
    clean.create_topic(&scene.raw, 1, 1).unwrap();
    for topic in [&scene.clean, &scene.quarantine] {
        source.create_topic(topic, 1, 1).unwrap();
        clean.create_topic(topic, PARTITIONS, 1).unwrap();
    }
    let brokers = &scene.clean_brokers;
    scene.configure(&format!("delivery: at_least_once\nclean_brokers: \"{brokers}\"\n"));
    whole_way(&scene);
    let config = config::load(&scene.config()).unwrap();
    let mut withheld = 0;
    read_topic(&config, &scene.quarantine, Reach::Whole, |_| {
        withheld += 1;
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(withheld, scene.read(&scene.quarantine).len());
}

#[test]
fn simulated_broker_goes_away_and_comes_back() {
    let mock = MockCluster::new(1).unwrap();
    let scene = Scene::on_mock(&mock, "gone");
    scene.produce(0, 400, plain);
    let stop = Stop::new();
    thread::scope(|scope| {
        let lanes = scope.spawn(|| scene.run(&stop));
        scene.await_clean(400);
        mock.broker_down(-1).unwrap();
        // Its records wait in the test's producer until the broker is back.
        let late = scope.spawn(|| scene.produce(400, 800, plain));
        mock.broker_up(-1).unwrap();
        late.join().unwrap();
        scene.await_committed(800);
        stop.drain();
        lanes.join().unwrap().unwrap();
    });
    assert_eq!(first_seen(&scene.clean()), (0..800).collect::<Vec<_>>());
}

#[test]
fn topics_that_do_not_fit_are_all_named_before_the_start() {
    let mock = MockCluster::new(1).unwrap();
    let scene = Scene::new(mock.bootstrap_servers(), "fit");
    mock.create_topic(&scene.raw, 4, 1).unwrap();
    mock.create_topic(&scene.clean, 3, 1).unwrap();
    let error = scene.run(&Stop::new()).unwrap_err();
    let expected = [
        format!("clean topic `{}` has 3 partitions and `{}` has 4", scene.clean, scene.raw),
        format!("quarantine topic `{}` does not exist", scene.quarantine),
    ];
    for part in expected {
        assert!(error.to_string().contains(&part), "{error}");
    }
    assert_eq!(error.fate(), Fate::Usage);
}

#[test]
fn real_whole_way() {
    let Some(scene) = Scene::on_real("way") else { return };
    whole_way(&scene);
}

#[test]
fn real_sigterm_drains_and_a_restart_goes_on() {
    let Some(scene) = Scene::on_real("term") else { return };
    scene.produce(0, 20_000, plain);
    let process = scene.start();
    scene.await_clean(1_000);
    let told = process.terminate();
    assert!(told.contains(" in, ") && !told.contains(CANARY), "{told}");
    let delivered = scene.clean().len() as i64;
    assert_eq!(scene.committed(), delivered, "what is delivered is committed");
    let process = scene.start();
    scene.produce(20_000, 21_000, plain);
    scene.await_committed(21_000);
    process.terminate();
    let clean = scene.clean();
    assert_eq!(first_seen(&clean), (0..21_000).collect::<Vec<_>>());
    assert_eq!(clean.len(), 21_000, "exactly once");
}

/// Its successor has its name, so that it needs not wait until the broker misses the dead one.
#[test]
fn real_killed_process_loses_and_doubles_nothing() {
    let Some(scene) = Scene::on_real("kill") else { return };
    scene.configure("group_instance: only\n");
    scene.produce(0, 20_000, plain);
    let mut process = scene.start();
    scene.await_clean(1_000);
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    let process = scene.start();
    scene.await_committed(20_000);
    process.terminate();
    let clean = scene.clean();
    assert_eq!(first_seen(&clean), (0..20_000).collect::<Vec<_>>());
    assert_eq!(clean.len(), 20_000, "exactly once");
}

#[test]
fn real_processes_share_the_partitions() {
    let Some(scene) = Scene::on_real("share") else { return };
    scene.produce(0, 10_000, plain);
    let first = scene.start();
    scene.await_clean(500);
    let second = scene.start();
    scene.produce(10_000, 20_000, plain);
    scene.await_clean(15_000);
    first.terminate();
    scene.produce(20_000, 21_000, plain);
    scene.await_committed(21_000);
    second.terminate();
    let clean = scene.clean();
    assert_eq!(first_seen(&clean), (0..21_000).collect::<Vec<_>>());
    assert_eq!(clean.len(), 21_000, "exactly once");
}

/// Records of three tenants, of none, malformed, too large, empty: each where it belongs, as it
/// was.
fn whole_way(scene: &Scene) {
    scene.produce(0, 2_000, mixed);
    let stop = Stop::new();
    let summary = thread::scope(|scope| {
        let lanes = scope.spawn(|| scene.run(&stop));
        scene.await_committed(2_000);
        stop.drain();
        lanes.join().unwrap().unwrap()
    });
    let clean = scene.clean();
    let sources: Vec<Source> = (0..2_000).map(mixed).collect();
    let expected: Vec<&Source> = sources.iter().filter(|source| source.clean.is_some()).collect();
    assert_eq!(clean.len(), expected.len());
    for (got, source) in clean.iter().zip(&expected) {
        assert_eq!(got.number, source.number);
        assert_eq!(got.partition, source.partition());
        assert_eq!(got.key.as_deref(), source.key.as_deref());
        assert_eq!(got.timestamp, source.timestamp);
        assert_eq!(got.headers, source.headers);
        assert_eq!(&got.value, source.clean.as_ref().unwrap());
    }
    for partition in 0..PARTITIONS {
        let there = clean.iter().filter(|got| got.partition == partition);
        let offsets: Vec<i64> = there.map(|got| got.offset).collect();
        assert!(offsets.is_sorted(), "order in partition {partition}");
    }
    check_quarantine(scene, &sources);
    check_summary(&summary, &sources);
}

fn check_quarantine(scene: &Scene, sources: &[Source]) {
    let sealed = scene.read(&scene.quarantine);
    let reasons: Vec<String> = sealed.iter().map(|it| it.header("limpid-reason")).collect();
    for reason in Reason::ALL {
        let expected = sources.iter().filter(|source| source.reason == Some(reason)).count();
        let got = reasons.iter().filter(|got| *got == reason.name()).count();
        assert_eq!(got, expected, "{reason}");
    }
    for one in &sealed {
        assert_eq!(one.value, None, "without a key the payload is left out");
        assert!(one.key.is_none());
        assert!(!format!("{:?}", one.headers).contains("canary"));
    }
}

fn check_summary(summary: &Summary, sources: &[Source]) {
    let withheld = |reason| sources.iter().filter(|source| source.reason == Some(reason)).count();
    assert_eq!(summary.records_in, sources.len() as u64);
    assert_eq!(summary.clean, sources.iter().filter(|it| it.clean.is_some()).count() as u64);
    for reason in Reason::ALL {
        assert_eq!(summary.withheld[reason as usize], withheld(reason) as u64, "{reason}");
    }
}

/// A record to be produced, and what is to become of it.
struct Source {
    number: usize,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
    /// The clean value, if it is to be clean.
    clean: Option<Option<Vec<u8>>>,
    reason: Option<Reason>,
}

impl Source {
    fn new(number: usize, tenant: Option<&str>, value: Option<String>) -> Self {
        let mut headers = vec![("number".to_owned(), Some(number.to_string().into_bytes()))];
        if let Some(tenant) = tenant {
            headers.push(("tenant".to_owned(), Some(tenant.as_bytes().to_vec())));
        }
        let value = value.map(String::into_bytes);
        Self {
            number,
            key: (!number.is_multiple_of(3)).then(|| format!("key {number}").into_bytes()),
            clean: Some(value.clone()),
            value,
            headers,
            timestamp: 1_700_000_000_000 + number as i64,
            reason: None,
        }
    }

    fn becomes(mut self, clean: String) -> Self {
        self.clean = Some(Some(clean.into_bytes()));
        self
    }

    fn withheld(mut self, reason: Reason) -> Self {
        self.clean = None;
        self.reason = Some(reason);
        self
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.number).unwrap() % PARTITIONS
    }
}

fn plain(number: usize) -> Source {
    let before = format!("{{\"n\": {number}, \"user\": {{\"email\": \"{CANARY}\"}}}}");
    let after = format!("{{\"n\": {number}, \"user\": {{}}}}");
    Source::new(number, Some("acme"), Some(before)).becomes(after)
}

fn mixed(number: usize) -> Source {
    let value = format!("{{\"n\": {number}, \"user\": {{\"email\": \"{CANARY}\"}}}}");
    match number % 20 {
        0 => Source::new(number, Some("acme"), None),
        1 => Source::new(number, Some("acme"), Some(format!("{{\"{CANARY}")))
            .withheld(Reason::Malformed),
        2 => Source::new(number, Some("canary-tenant"), Some(value)).withheld(Reason::Tenant),
        3 => Source::new(number, None, Some(value)).withheld(Reason::Tenant),
        4 => {
            let large = format!("{{\"large\": \"{}\"}}", "canary ".repeat(MESSAGE_BYTES / 7));
            Source::new(number, Some("acme"), Some(large)).withheld(Reason::Limits)
        }
        5 => {
            let mut source = Source::new(number, Some("initech"), Some("{}".to_owned()));
            source.headers.push(("empty".to_owned(), Some(Vec::new())));
            source.headers.push(("null".to_owned(), None));
            source.headers.push(("empty".to_owned(), Some(b"again".to_vec())));
            source
        }
        6..=9 => {
            let after = format!("{{\"n\": {number}}}");
            Source::new(number, Some("globex"), Some(value)).becomes(after)
        }
        10..=12 => Source::new(number, Some("initech"), Some(value)),
        _ => plain(number),
    }
}

/// A record as it was read.
#[derive(Debug)]
struct Got {
    number: usize,
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

impl Got {
    fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(this, _)| this == name);
        let value = found.and_then(|(_, value)| value.clone()).unwrap_or_default();
        String::from_utf8(value).unwrap()
    }
}

/// The record numbers, each once, after checking that in each partition they first came in order.
fn first_seen(clean: &[Got]) -> Vec<usize> {
    let mut by_partition: BTreeMap<i32, Vec<&Got>> = BTreeMap::new();
    for got in clean {
        by_partition.entry(got.partition).or_default().push(got);
    }
    let mut all = BTreeSet::new();
    for (partition, mut there) in by_partition {
        there.sort_by_key(|got| got.offset);
        let mut seen = BTreeSet::new();
        for got in there {
            let newest = seen.last().copied();
            if seen.insert(got.number) {
                assert!(newest < Some(got.number), "partition {partition}: out of order");
            }
        }
        all.extend(seen);
    }
    all.into_iter().collect()
}

/// Topics, policies and a configuration of one test.
struct Scene {
    /// Where what is written to is.
    clean_brokers: String,
    brokers: String,
    raw: String,
    clean: String,
    quarantine: String,
    group: String,
    dir: TempDir,
}

fn real() -> Option<String> {
    std::env::var("LIMPID_KAFKA").ok().filter(|brokers| !brokers.is_empty())
}

impl Scene {
    fn new(brokers: String, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let id = format!("{name}-{since}-{number}");
        let scene = Self {
            clean_brokers: brokers.clone(),
            brokers,
            raw: format!("raw-{id}"),
            clean: format!("clean-{id}"),
            quarantine: format!("quarantine-{id}"),
            group: format!("group-{id}"),
            dir: TempDir::new().unwrap(),
        };
        scene.write_files();
        scene
    }

    fn on_mock(mock: &MockCluster<'_, impl rdkafka::ClientContext>, name: &str) -> Self {
        let scene = Self::new(mock.bootstrap_servers(), name);
        for topic in [&scene.raw, &scene.clean, &scene.quarantine] {
            mock.create_topic(topic, PARTITIONS, 1).unwrap();
        }
        scene.configure("delivery: at_least_once\n");
        scene
    }

    fn on_real(name: &str) -> Option<Self> {
        let Some(brokers) = real() else {
            println!("left out: no broker (LIMPID_KAFKA is not set)");
            return None;
        };
        let scene = Self::new(brokers, name);
        let admin: AdminClient<DefaultClientContext> = scene.client().create().unwrap();
        let bytes = MESSAGE_BYTES.to_string();
        let topic = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let topics = [
            topic(&scene.raw),
            topic(&scene.clean).set("max.message.bytes", &bytes),
            topic(&scene.quarantine),
        ];
        let made = wait(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        Some(scene)
    }

    fn write_files(&self) {
        let policies = self.dir.path().join("policies");
        fs::create_dir(&policies).unwrap();
        for (tenant, rules) in [
            ("acme", "rules:\n  - fields: [user.email]\n    do: drop\n"),
            ("globex", "rules:\n  - fields: [user]\n    do: drop\n"),
            ("initech", "rules:\n  - fields: [nothing]\n    do: drop\n"),
        ] {
            let policy = format!("tenant: {tenant}\nversion: 1\n{rules}");
            fs::write(policies.join(format!("{tenant}.yaml")), policy).unwrap();
        }
        let config = format!(
            "brokers: [\"{}\"]\ngroup: {}\nlanes: 1\npolicies: policies\nquarantine:\n  topic: {}\n\
             consumer:\n  session.timeout.ms: 6000\nproducer:\n  message.max.bytes: {MESSAGE_BYTES}\n\
             routes:\n  - name: web\n    topics: [{}]\n    clean: {}\n    tenant:\n      header: tenant\n",
            self.brokers, self.group, self.quarantine, self.raw, self.clean
        );
        fs::write(self.config(), config).unwrap();
    }

    /// Adds to the configuration.
    fn configure(&self, more: &str) {
        let config = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), config + more).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("limpid.yaml")
    }

    /// The service in this process.
    fn run(&self, stop: &Stop) -> limpid::error::Result<Summary> {
        let config = config::load(&self.config())?;
        let policies = Start::new(&config)?.in_force;
        let metrics = Metrics::new(&["web".to_owned()]);
        metrics.policies(&policies.current());
        let outcome = run::run(&config, &policies, &metrics, &Health::new(config.lanes), stop);
        // Whoever waits for its records should learn why they do not come.
        outcome.inspect_err(|error| eprintln!("the service ended: {error}"))
    }

    /// The service as a process of its own.
    fn start(&self) -> Process {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.path().join(format!("log-{number}"));
        let child = Command::new(env!("CARGO_BIN_EXE_limpid"))
            .args(["run", "--config"])
            .arg(self.config())
            .stderr(fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Process { child, log }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client
    }

    fn produce(&self, from: usize, to: usize, make: impl Fn(usize) -> Source) {
        let mut client = self.client();
        client.set("enable.idempotence", "true").set("linger.ms", "5");
        let producer: BaseProducer = client.create().unwrap();
        for source in (from..to).map(make) {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &source.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut record = BaseRecord::<Vec<u8>, Vec<u8>>::to(&self.raw)
                .partition(source.partition())
                .timestamp(source.timestamp)
                .headers(headers);
            record.key = source.key.as_ref();
            record.payload = source.value.as_ref();
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn reader(&self) -> BaseConsumer {
        let mut client = self.client();
        client.set("group.id", &self.group).set("enable.auto.commit", "false");
        client.create().unwrap()
    }

    fn end(&self, topic: &str) -> i64 {
        let reader = self.reader();
        let end = |partition| reader.fetch_watermarks(topic, partition, PATIENCE).unwrap().1;
        (0..PARTITIONS).map(end).sum()
    }

    fn committed(&self) -> i64 {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.raw, 0, PARTITIONS - 1);
        let known = self.reader().committed_offsets(asked, PATIENCE).unwrap();
        let offset = |it: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            it.offset().to_raw().unwrap_or(0).max(0)
        };
        known.elements().iter().map(offset).sum()
    }

    fn await_clean(&self, records: i64) {
        self.until("clean records", || self.end(&self.clean) >= records);
    }

    fn await_committed(&self, records: i64) {
        self.until("commits", || self.committed() >= records);
    }

    /// Asks the broker until it says so; asking is what takes the time in between.
    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < PATIENCE, "no {what} in {PATIENCE:?}\n{}", self.logs());
        }
    }

    fn logs(&self) -> String {
        let files = fs::read_dir(self.dir.path()).unwrap().filter_map(Result::ok);
        let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("log-"));
        logs.map(|file| fs::read_to_string(file.path()).unwrap()).collect()
    }

    fn clean(&self) -> Vec<Got> {
        let mut clean = self.read(&self.clean);
        clean.sort_by_key(|got| (got.number, got.offset));
        clean
    }

    /// All committed records of a topic that is written to.
    fn read(&self, topic: &str) -> Vec<Got> {
        let mut client = self.client();
        client.set("bootstrap.servers", &self.clean_brokers);
        client.set("group.id", &self.group).set("enable.auto.commit", "false");
        client.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let reader: BaseConsumer = client.create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        reader.assign(&all).unwrap();
        let begin = Instant::now();
        let (mut got, mut ended) = (Vec::new(), BTreeSet::new());
        while (ended.len() as i32) < PARTITIONS {
            assert!(begin.elapsed() < PATIENCE, "{topic} has no end after {} records", got.len());
            match reader.poll(Duration::from_millis(100)) {
                Some(Err(KafkaError::PartitionEOF(partition))) => _ = ended.insert(partition),
                Some(message) => got.push(as_read(&message.unwrap())),
                None => {}
            }
        }
        got
    }
}

fn as_read(message: &rdkafka::message::BorrowedMessage<'_>) -> Got {
    let header =
        |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    let headers: Vec<_> =
        message.headers().map_or(Vec::new(), |headers| headers.iter().map(header).collect());
    let number = headers.iter().find(|(name, _)| name == "number");
    let number = number.and_then(|(_, value)| String::from_utf8(value.clone()?).ok());
    Got {
        number: number.map_or(usize::MAX, |number| number.parse().unwrap()),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
    }
}

/// A running service; killed when dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// SIGTERM; it must end by itself, with success. Gives what it told.
    fn terminate(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let told = fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{status}\n{told}");
        told
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails if the process has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
