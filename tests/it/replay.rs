//! `limpid quarantine replay` as users run it, on a real Kafka where `LIMPID_KAFKA=host:port` names
//! one: what is replayed is there once, whatever dies on the way.

use limpid::engine::Withheld;
use limpid::error::Reason;
use limpid::keys::PrivateKey;
use limpid::quarantine::Sealer;
use limpid::record::{Raw, Record};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PARTITIONS: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);
const CANARY: &str = "canary@leak.example";

#[test]
fn real_replay_publishes_what_is_allowed_by_now_and_leaves_the_rest() {
    let Some(scene) = Scene::on_real("allowed") else { return };
    scene.withhold(0..40, |number| match number % 4 {
        0 => Reason::Malformed,
        _ => Reason::Tenant,
    });
    let before = scene.run(&["replay", "--dry-run"]);
    assert_eq!(
        stderr(&before).lines().last().unwrap(),
        "limpid: 0 would be replayed, 40 stay, 0 were before"
    );
    assert!(stderr(&before).contains("stays: it is still withheld: tenant"), "{}", stderr(&before));
    assert_eq!(before.status.code(), Some(1));

    scene.write_policy("globex");
    let dry = scene.run(&["replay", "--reason", "tenant", "--dry-run"]);
    assert_eq!(stderr(&dry), "limpid: 30 would be replayed, 0 stay, 0 were before\n");
    assert!(scene.clean().is_empty(), "a rehearsal publishes nothing");

    let elsewhere = scene.run(&["replay", "--route", "elsewhere"]);
    assert_eq!(stderr(&elsewhere), "limpid: 0 replayed, 0 stay, 0 were before\n");
    let done = scene.run(&["replay", "--reason", "tenant"]);
    assert_eq!(stderr(&done), "limpid: 30 replayed, 0 stay, 0 were before\n");
    assert!(done.status.success());
    let clean = scene.clean();
    let numbers: Vec<i64> = clean.iter().map(|got| got.number).collect();
    assert_eq!(numbers, (0..40).filter(|number| number % 4 != 0).collect::<Vec<_>>());
    for got in &clean {
        assert_eq!(*got, Got::expected(got.number), "as the service would have published it");
    }

    let again = scene.run(&["replay"]);
    let last = stderr(&again).lines().last().unwrap().to_owned();
    assert_eq!(last, "limpid: 0 replayed, 10 stay, 30 were before");
    assert!(!stderr(&again).contains(CANARY), "{}", stderr(&again));
    assert_eq!(scene.clean().len(), 30);
    let list = scene.run(&["list"]);
    assert_eq!(stderr(&list), "limpid: 10 withheld (malformed 10); 30 more were replayed\n");
    let all = scene.run(&["list", "--all"]);
    assert_eq!(stderr(&all), "limpid: 40 withheld (malformed 10, tenant 30)\n");
}

#[test]
fn real_replay_that_is_killed_neither_loses_nor_doubles() {
    let Some(scene) = Scene::on_real("killed") else { return };
    scene.write_policy("globex");
    scene.withhold(0..8_000, |_| Reason::Tenant);
    let mut seen = 0;
    for _ in 0..2 {
        let mut replay = scene.start(&["replay"]);
        seen = scene.await_clean(seen + 1);
        replay.kill().unwrap();
        replay.wait().unwrap();
    }
    // Two at a time: the one that comes later shuts out the other.
    let mut first = scene.start(&["replay"]);
    let second = scene.run(&["replay"]);
    let first = first.wait().unwrap();
    assert!(first.success() || second.status.success(), "{}", stderr(&second));
    let rest = scene.run(&["replay"]);
    assert!(rest.status.success(), "{}", stderr(&rest));
    let numbers: Vec<i64> = scene.clean().iter().map(|got| got.number).collect();
    assert_eq!(numbers, (0..8_000).collect::<Vec<_>>());
}

#[test]
fn real_replay_takes_repaired_records_once_each_and_no_others() {
    let Some(scene) = Scene::on_real("repaired") else { return };
    scene.write_policy("globex");
    scene.withhold(0..8, |_| Reason::Malformed);
    let opened = scene.run(&["open"]);
    let mut lines: Vec<Value> = String::from_utf8(opened.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.retain(|line| line["offset"].as_i64().unwrap() < 5);
    for line in &mut lines {
        let value = line["value"].as_str().unwrap();
        line["value"] = format!("{value}}}").into();
    }
    let file = scene.folder.path().join("repaired.ndjson");
    let write = |lines: &[Value]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&file, text).unwrap();
    };
    let replay = |more: &[&str]| {
        scene.run(&[&["replay", "--repaired", file.to_str().unwrap()], more].concat())
    };
    let mut foreign = lines.clone();
    foreign[0]["offset"] = 4711.into();
    foreign[1]["value"] = "{\"n\": 1".into();
    write(&foreign);
    let done = replay(&["--dry-run"]);
    assert!(stderr(&done).ends_with("limpid: 3 would be replayed, 2 stay, 0 were before\n"));
    assert!(stderr(&done).contains("that of another raw record"), "{}", stderr(&done));
    assert!(stderr(&done).contains("still withheld: malformed"), "{}", stderr(&done));
    foreign[1]["vlaue"] = CANARY.into();
    write(&foreign);
    let done = replay(&[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("line 2: it has a member") && !stderr(&done).contains(CANARY));

    write(&lines);
    let none = replay(&["--reason", "tenant"]);
    assert!(stderr(&none).contains("5 of the repaired records are not among"), "{}", stderr(&none));
    let done = replay(&[]);
    assert_eq!(stderr(&done), "limpid: 5 replayed, 0 stay, 0 were before\n");
    let again = replay(&[]);
    assert_eq!(stderr(&again), "limpid: 0 replayed, 0 stay, 5 were before\n");
    let clean = scene.clean();
    let expected: Vec<Got> = (0..5).map(Got::expected).collect();
    assert_eq!(clean, expected, "with the partition, time, key and headers that they had");
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A clean record as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    number: i64,
    partition: i32,
    key: Option<String>,
    value: Option<String>,
    timestamp: Option<i64>,
    tenant: Option<String>,
}

impl Got {
    fn expected(number: i64) -> Self {
        Self {
            number,
            partition: partition(number),
            key: Some(format!("key {number}")),
            value: Some(format!("{{\"n\": {number}, \"user\": {{}}}}")),
            timestamp: Some(timestamp(number)),
            tenant: Some("globex".to_owned()),
        }
    }
}

fn partition(number: i64) -> i32 {
    i32::try_from(number).unwrap() % PARTITIONS
}

fn timestamp(number: i64) -> i64 {
    1_700_000_000_000 + number
}

struct Scene {
    brokers: String,
    id: String,
    folder: TempDir,
    key: PrivateKey,
}

impl Scene {
    fn on_real(name: &str) -> Option<Self> {
        let Some(brokers) = std::env::var("LIMPID_KAFKA").ok().filter(|it| !it.is_empty()) else {
            println!("left out: no broker (LIMPID_KAFKA is not set)");
            return None;
        };
        let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let id = format!("replay-{name}-{since}");
        let folder = TempDir::new().unwrap();
        let scene = Self { brokers, id, folder, key: PrivateKey::generate().unwrap() };
        scene.make_topics();
        scene.write_files();
        Some(scene)
    }

    fn topic(&self, kind: &str) -> String {
        format!("{kind}-{}", self.id)
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client
    }

    fn make_topics(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let names = ["raw", "clean", "quarantine"].map(|kind| self.topic(kind));
        let new = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| new(name)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    fn write_files(&self) {
        let path = |name: &str| self.folder.path().join(name);
        fs::create_dir(path("policies")).unwrap();
        self.write_policy("acme");
        fs::write(path("private"), self.key.written().as_str()).unwrap();
        fs::set_permissions(path("private"), fs::Permissions::from_mode(0o600)).unwrap();
        let (raw, clean, quarantine) =
            (self.topic("raw"), self.topic("clean"), self.topic("quarantine"));
        let config = format!(
            "brokers: \"{}\"\ngroup: {}\npolicies: policies\nquarantine: {{topic: {quarantine}}}\n\
             routes: [{{name: web, topics: [{raw}], clean: {clean}, tenant: {{header: tenant}}}}]\n",
            self.brokers, self.id
        );
        fs::write(path("limpid.yaml"), config).unwrap();
    }

    fn write_policy(&self, tenant: &str) {
        let policy = format!(
            "tenant: {tenant}\nversion: 1\nrules:\n  - fields: [user.email]\n    do: drop\n"
        );
        let path = self.folder.path().join(format!("policies/{tenant}.yaml"));
        fs::write(path, policy).unwrap();
    }

    /// Withholds these records as a lane would; the malformed ones are.
    fn withhold(&self, numbers: std::ops::Range<i64>, reason: impl Fn(i64) -> Reason) {
        let producer: BaseProducer = self.client().set("linger.ms", "5").create().unwrap();
        let mut sealer = Sealer::new(Some(&self.key.public()));
        let raw = self.topic("raw");
        for number in numbers {
            let reason = reason(number);
            let value = format!("{{\"n\": {number}, \"user\": {{\"email\": \"{CANARY}\"}}");
            let value = if reason == Reason::Malformed { value } else { value + "}" };
            let headers = vec![
                (b"number".to_vec(), Some(number.to_string().into_bytes())),
                (b"tenant".to_vec(), Some(b"globex".to_vec())),
            ];
            let key = format!("key {number}");
            let record = Record {
                topic: &raw,
                partition: partition(number),
                offset: number,
                timestamp_ms: Some(timestamp(number)),
                key: Some(Raw::new(key.as_bytes())),
                value: Some(Raw::new(value.as_bytes())),
                headers: &headers,
            };
            let sealed = sealer.seal("web", &record, &Withheld { reason, tenant: None });
            let headers = sealed.headers().iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value) })
            });
            let topic = self.topic("quarantine");
            let message = BaseRecord::<(), [u8]>::to(&topic).headers(headers);
            let message = message.payload(sealed.payload().unwrap());
            producer.send(message).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn start(&self, words: &[&str]) -> Child {
        self.command(words).stderr(Stdio::null()).spawn().unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limpid"));
        command.arg("quarantine").args(words);
        command.arg("--config").arg(self.folder.path().join("limpid.yaml"));
        if ["replay", "open"].contains(&words[0]) {
            command.arg("--key").arg(self.folder.path().join("private"));
        }
        command
    }

    fn reader(&self) -> BaseConsumer {
        self.client()
            .set("group.id", &self.id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap()
    }

    /// Waits until so much of the clean topic can be read; gives how much.
    fn await_clean(&self, least: i64) -> i64 {
        let (reader, topic, begin) = (self.reader(), self.topic("clean"), Instant::now());
        let end = |partition| reader.fetch_watermarks(&topic, partition, PATIENCE).unwrap().1;
        loop {
            let all = (0..PARTITIONS).map(end).sum();
            if all >= least {
                return all;
            }
            assert!(begin.elapsed() < PATIENCE, "nothing is replayed");
        }
    }

    /// All that a read_committed reader finds, by number.
    fn clean(&self) -> Vec<Got> {
        let reader = self.reader();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&self.topic("clean"), partition, Offset::Beginning).unwrap();
        }
        reader.assign(&all).unwrap();
        let (mut got, mut ended) = (Vec::new(), 0);
        while ended < PARTITIONS {
            match reader.poll(PATIENCE).expect("the broker answers") {
                Ok(message) => got.push(as_read(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        got.sort_by_key(|it| it.number);
        got
    }
}

fn as_read(message: &rdkafka::message::BorrowedMessage<'_>) -> Got {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let header = |name| {
        let found = message.headers()?.iter().find(|it| it.key == name)?;
        found.value.map(text)
    };
    Got {
        number: header("number").unwrap().parse().unwrap(),
        partition: message.partition(),
        key: message.key().map(text),
        value: message.payload().map(text),
        timestamp: message.timestamp().to_millis(),
        tenant: header("tenant"),
    }
}
