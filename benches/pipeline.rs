//! The whole way over a real Kafka: what does cleaning cost beside passing records through?
//!
//! ```text
//! LIMPID_KAFKA_SETTINGS=group.initial.rebalance.delay.ms=1000 deploy/dev/kafka.sh up
//! LIMPID_KAFKA=127.0.0.1:29092 cargo bench --bench pipeline --features floor -- \
//!     [--records N] [--turns N] [--json FILE] [--keep] [--peer PROGRAM] \
//!     [--lanes N] [--more YAML]
//! ```
//! With that setting, which brokers have by default, all lanes join before partitions are given out. Without
//! it the first has all of them until the broker's next heartbeat, and a turn may be over by then.
//!
//! `--peer` adds a program that passes records through by another client: benches/peers/franz, at least
//! once. `--lanes` are as many as cores unless it says otherwise, `--more` is a line of configuration.
//!
//! The floor is limpid itself with the kernel replaced by a copy (the feature `floor`): the same
//! consumer, producer, settings, commits. Both run in turns over the same records, which were
//! produced before; measured is the middle four fifths of each run, so that joining the group and
//! draining do not count. CPU seconds are the whole process', librdkafka's threads included.

use limpid::config;
use limpid::demo::events::Events;
use limpid::engine::floor;
use limpid::reload::Start;
use limpid::run::{self, Stop};
use limpid::telemetry::{Health, Metrics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PARTITIONS: i32 = 8;
const PATIENCE: Duration = Duration::from_secs(120);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// limpid is to have this share of the floor, in records a second and per CPU second.
const SHARE: f64 = 0.9;
/// And so many times the speed of the Go client that only passes records through.
const BESIDE_PEER: f64 = 1.4;

fn main() -> ExitCode {
    let (Some(brokers), Ok(options)) = (std::env::var("LIMPID_KAFKA").ok(), Options::parse())
    else {
        eprintln!("pipeline: set LIMPID_KAFKA=host:port; see the head of benches/pipeline.rs");
        return ExitCode::from(2);
    };
    let cluster = Cluster::new(brokers, &options);
    let mut all = Vec::new();
    for topic in [Topic::Plain, Topic::Headers] {
        cluster.fill(topic, options.records);
        let mut runs: [Vec<Figures>; 3] = Default::default();
        let contenders = 2 + usize::from(options.peer.is_some());
        for turn in 0..options.turns {
            // Who begins changes from turn to turn.
            for step in 0..contenders {
                let contender = (turn + step) % contenders;
                let figures = match (contender, &options.peer) {
                    (PEER, Some(program)) => cluster.run_peer(program, topic, options.records),
                    _ => cluster.run(topic, contender == FLOOR, options.records),
                };
                println!("{topic:?} {:6} {figures}", NAMES[contender]);
                all.push(figures.json(topic, NAMES[contender]));
                runs[contender].push(figures);
            }
        }
        tell(topic, &runs);
        if !options.keep {
            cluster.delete(&[topic.raw(), topic.clean()]);
        }
    }
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", Value::from(all));
        fs::write(path, text).expect("the figures can be written");
    }
    ExitCode::SUCCESS
}

const FLOOR: usize = 0;
const LIMPID: usize = 1;
const PEER: usize = 2;
const NAMES: [&str; 3] = ["floor", "limpid", "peer"];

struct Options {
    records: u64,
    turns: usize,
    json: Option<String>,
    keep: bool,
    peer: Option<String>,
    lanes: usize,
    more: String,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Self {
            records: 1_000_000,
            turns: 5,
            json: None,
            keep: false,
            peer: None,
            lanes: thread::available_parallelism().map_or(1, usize::from),
            more: String::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--bench" => {}
                "--keep" => options.keep = true,
                "--peer" => options.peer = Some(value()?),
                "--json" => options.json = Some(value()?),
                "--lanes" => options.lanes = value()?.parse().map_err(|_| "a number")?,
                "--more" => options.more = value()?,
                "--records" => options.records = value()?.parse().map_err(|_| "a number")?,
                "--turns" => options.turns = value()?.parse().map_err(|_| "a number")?,
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        Ok(options)
    }
}

/// Records without headers, whose policy is the route's default; or with two, one of which names
/// the tenant.
#[derive(Debug, Clone, Copy)]
enum Topic {
    Plain,
    Headers,
}

impl Topic {
    const fn raw(self) -> &'static str {
        match self {
            Self::Plain => "bench-raw-plain",
            Self::Headers => "bench-raw-headers",
        }
    }

    const fn clean(self) -> &'static str {
        match self {
            Self::Plain => "bench-clean-plain",
            Self::Headers => "bench-clean-headers",
        }
    }

    /// The floor has no reason to look at a header.
    const fn tenant(self, is_floor: bool) -> &'static str {
        match self {
            Self::Headers if !is_floor => "tenant: {header: tenant}",
            Self::Headers | Self::Plain => "default_policy: acme",
        }
    }
}

struct Cluster {
    brokers: String,
    lanes: usize,
    more: String,
    dir: TempDir,
}

impl Cluster {
    fn new(brokers: String, options: &Options) -> Self {
        let dir = TempDir::new().expect("a folder for the configuration");
        let policies = dir.path().join("policies");
        fs::create_dir(&policies).expect("a folder for the policies");
        fs::write(policies.join("acme.yaml"), include_str!("policies/web.yaml")).expect("a policy");
        let keyring = dir.path().join("keyring.yaml");
        let secret: String =
            (0..32u8).map(|at| format!("{:02x}", at.wrapping_mul(167) ^ 0x5a)).collect();
        fs::write(&keyring, format!("bench: {{secret: \"{secret}\"}}\n")).expect("a keyring");
        fs::set_permissions(&keyring, fs::Permissions::from_mode(0o600))
            .expect("a private keyring");
        Self { brokers, lanes: options.lanes, more: options.more.clone(), dir }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client
    }

    fn admin<T>(
        &self,
        work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
    ) -> T {
        let admin = self.client().create().expect("an admin client");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work(&admin, &options))
    }

    fn delete(&self, topics: &[&str]) {
        let done = self.admin(async |admin, options| admin.delete_topics(topics, options).await);
        for outcome in done.expect("an answer") {
            if let Err((topic, code)) = outcome {
                assert!(code == RDKafkaErrorCode::UnknownTopicOrPartition, "{topic}: {code}");
            }
        }
    }

    /// Creates topics; one that is still being deleted is waited for.
    fn create(&self, topics: &[&str]) {
        let new = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let begin = Instant::now();
        for topic in topics {
            loop {
                let done = self.admin(async |admin, options| {
                    admin.create_topics(&[new(topic)], options).await
                });
                match done.expect("an answer").remove(0) {
                    Ok(_) => break,
                    Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                        assert!(begin.elapsed() < PATIENCE, "{topic} is not deleted");
                        thread::sleep(LOOK);
                    }
                    Err((topic, code)) => panic!("{topic}: {code}"),
                }
            }
        }
    }

    /// Produces the raw records, and an empty clean topic beside them.
    fn fill(&self, topic: Topic, records: u64) {
        self.delete(&[topic.raw(), topic.clean(), "bench-quarantine"]);
        self.create(&[topic.raw(), topic.clean(), "bench-quarantine"]);
        let mut client = self.client();
        client.set("linger.ms", "20").set("batch.size", "1000000").set("compression.type", "lz4");
        let producer: BaseProducer = client.create().expect("a producer");
        let (mut events, mut value, mut bytes) = (Events::new(20_261_124), Vec::new(), 0);
        for number in 0..records {
            value.clear();
            events.web(&mut value);
            bytes += value.len() as u64;
            let key = (number % 5_000).to_string();
            let partition = i32::try_from(number % 8).unwrap_or(0);
            let at = 1_767_225_600_000 + i64::try_from(number).unwrap_or(0);
            let mut record = BaseRecord::to(topic.raw())
                .partition(partition)
                .key(&key)
                .payload(&value)
                .timestamp(at);
            if let Topic::Headers = topic {
                let tenant = Header { key: "tenant", value: Some("acme") };
                let trace =
                    Header { key: "trace", value: Some("4bf92f3577b34da6a3ce929d0e0e4736") };
                record = record.headers(OwnedHeaders::new().insert(tenant).insert(trace));
            }
            send(&producer, record);
        }
        producer.flush(PATIENCE).expect("all is produced");
        println!("\n{}: {records} records of {} B", topic.raw(), bytes / records.max(1));
    }

    /// One run over all records of a topic, by a group of its own.
    fn run(&self, topic: Topic, is_floor: bool, records: u64) -> Figures {
        floor::set(is_floor);
        let config = self.config(topic, is_floor);
        let config = config::load(&config).unwrap_or_else(|error| panic!("{error}"));
        let policies = Start::new(&config).unwrap_or_else(|error| panic!("{error}")).in_force;
        let metrics = Metrics::new(&["web".to_owned()]);
        metrics.policies(&policies.current());
        let (health, stop) = (Health::new(config.lanes), Stop::new());
        thread::scope(|scope| {
            let lanes = scope.spawn(|| run::run(&config, &policies, &metrics, &health, &stop));
            let delivered = || metrics.totals().routes[0].delivered;
            await_at_least(records / 10, delivered);
            let begin = Mark::now(&metrics);
            await_at_least(records - records / 10, delivered);
            let end = Mark::now(&metrics);
            await_at_least(records, delivered);
            stop.drain();
            let summary = lanes.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
            assert!(summary.clean >= records, "{summary:?}");
            begin.until(&end)
        })
    }

    /// One run of the other program.
    fn run_peer(&self, program: &str, topic: Topic, records: u64) -> Figures {
        let mut command = Command::new(program);
        command.args([&self.brokers, topic.raw(), topic.clean(), &records.to_string()]);
        let output = command.stderr(Stdio::inherit()).output().expect("the peer can be started");
        assert!(output.status.success(), "the peer failed");
        let told: Value = serde_json::from_slice(&output.stdout).expect("figures");
        let figure = |name: &str| told[name].as_f64().expect("a number");
        Figures {
            speed: figure("records_per_second"),
            cpu: figure("cpu_seconds_per_million"),
            kernel: 0.0,
            threads: BTreeMap::new(),
        }
    }

    fn config(&self, topic: Topic, is_floor: bool) -> std::path::PathBuf {
        let path = self.dir.path().join("limpid.yaml");
        let text = format!(
            "brokers: [\"{}\"]\ngroup: bench-{}\nlanes: {}\n{}\npolicies: policies\n\
             keyring: {{file: keyring.yaml}}\nquarantine: {{topic: bench-quarantine}}\n\
             routes:\n  - name: web\n    topics: [{}]\n    clean: {}\n    {}\n",
            self.brokers,
            std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos()),
            self.lanes,
            self.more,
            topic.raw(),
            topic.clean(),
            topic.tenant(is_floor),
        );
        fs::write(&path, text).expect("a configuration");
        path
    }
}

fn send(producer: &BaseProducer, mut record: BaseRecord<'_, String, Vec<u8>>) {
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                producer.poll(LOOK);
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

fn await_at_least(wanted: u64, count: impl Fn() -> u64) {
    let begin = Instant::now();
    while count() < wanted {
        assert!(begin.elapsed() < PATIENCE, "{} of {wanted} in {PATIENCE:?}", count());
        thread::sleep(LOOK);
    }
}

/// A moment of a run.
struct Mark {
    at: Instant,
    cpu: f64,
    records: u64,
    kernel: Duration,
    threads: BTreeMap<(String, String), f64>,
}

impl Mark {
    fn now(metrics: &Metrics) -> Self {
        let totals = metrics.totals();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self {
            at: Instant::now(),
            cpu: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            records: totals.routes[0].delivered,
            kernel: totals.kernel,
            threads: threads(),
        }
    }

    fn until(&self, end: &Self) -> Figures {
        let records = (end.records - self.records) as f64;
        let mut threads: BTreeMap<String, f64> = BTreeMap::new();
        for (thread, seconds) in &end.threads {
            let before = self.threads.get(thread).copied().unwrap_or(0.0);
            *threads.entry(thread.1.clone()).or_default() += (seconds - before) / records * 1e6;
        }
        threads.retain(|_, seconds| *seconds > 0.005);
        Figures {
            speed: records / (end.at - self.at).as_secs_f64(),
            cpu: (end.cpu - self.cpu) / records * 1e6,
            kernel: (end.kernel.saturating_sub(self.kernel)).as_secs_f64() / records * 1e6,
            threads,
        }
    }
}

/// CPU seconds of this process' threads, by number and name.
fn threads() -> BTreeMap<(String, String), f64> {
    let mut all = BTreeMap::new();
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return all };
    for task in tasks.filter_map(Result::ok) {
        let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
        let name = read(&task.path().join("comm")).trim().to_owned();
        let spent = read(&task.path().join("schedstat"));
        let nanos: f64 =
            spent.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0);
        all.insert((task.file_name().to_string_lossy().into_owned(), name), nanos / 1e9);
    }
    all
}

/// What one run came to. Seconds are for a million records.
struct Figures {
    speed: f64,
    cpu: f64,
    kernel: f64,
    threads: BTreeMap<String, f64>,
}

impl Figures {
    fn json(&self, topic: Topic, name: &str) -> Value {
        json!({
            "topic": format!("{topic:?}"), "contender": name, "records_per_second": self.speed,
            "cpu_seconds_per_million": self.cpu, "kernel_seconds_per_million": self.kernel,
            "threads": self.threads,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { speed, cpu, kernel, threads } = self;
        write!(f, "{speed:>8.0} records/s, {cpu:.2} CPU s a million, kernel {kernel:.2} (")?;
        for (index, (name, seconds)) in threads.iter().enumerate() {
            write!(f, "{}{name} {seconds:.2}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")
    }
}

/// Middle figures, limpid's share of the floor, and how it stands to the peer.
fn tell(topic: Topic, runs: &[Vec<Figures>; 3]) {
    let speed = |who: usize| median(runs[who].iter().map(|it| it.speed));
    let cpu = |who: usize| median(runs[who].iter().map(|it| it.cpu));
    for (who, name) in NAMES.iter().enumerate().filter(|(who, _)| !runs[*who].is_empty()) {
        let (speed, cpu) = (speed(who), cpu(who));
        println!(
            "{topic:?} {name:6} {speed:>8.0} records/s, {cpu:.2} CPU s a million (middle ones)"
        );
    }
    let (faster, cheaper) = (speed(LIMPID) / speed(FLOOR), cpu(FLOOR) / cpu(LIMPID));
    println!(
        "{topic:?}: {faster:.2} of the floor's records/s, {cheaper:.2} per CPU second (target {SHARE})"
    );
    if !runs[PEER].is_empty() {
        let (faster, cheaper) = (speed(LIMPID) / speed(PEER), cpu(PEER) / cpu(LIMPID));
        println!(
            "{topic:?}: {faster:.2} x the peer's records/s, {cheaper:.2} x per CPU second (target {BESIDE_PEER})"
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
