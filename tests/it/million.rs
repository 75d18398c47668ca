//! The whole judgement: made-up events of three tenants through `limpid run` as a process of its
//! own, and every record that comes out compared with what the naive twin makes of it.
//!
//! With `LIMPID_KAFKA=host:port` on a real Kafka, else on librdkafka's simulated broker.
//! `LIMPID_MILLION=1000000` says how many events; the default is small enough for every CI run.
//!
//! The policies are the demo's own files. The twin reads them with a reader of its own, which
//! knows just enough of YAML for them, and refuses what it does not know. One event in 40 carries
//! canaries; they are searched in all topics that limpid writes, in its metrics and its log.

use crate::naive::transforms::Keys;
use crate::naive::{self, Action, Bounds, Expected, Flaw, Parts, Policy, Rule};
use limpid::demo::events::{Event, Events, Kind, TENANT_HEADER};
use limpid::error::Reason;
use limpid::format::paths::Segment;
use limpid::keys::PrivateKey;
use limpid::policy::{Decides, OnMismatch, Unlisted};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SEED: u64 = 20_260_101;
const PARTITIONS: i32 = 4;
/// How long nothing may arrive before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);
const CANARY: &str = "zaunkoenig";
const CANARY_EVERY: u64 = 40;
const FIRST_MS: i64 = 1_767_225_600_000;

#[test]
fn every_record_is_what_the_twin_says() {
    let (broker, real) = match std::env::var("LIMPID_KAFKA") {
        Ok(servers) if !servers.is_empty() => (Broker::Real(servers), true),
        _ => (Broker::Simulated(Box::new(MockCluster::new(1).expect("a broker"))), false),
    };
    let asked = std::env::var("LIMPID_MILLION").ok().map(|count| count.parse().expect("a count"));
    let events = asked.unwrap_or(if real { 20_000 } else { 4_000 });
    let scene = Scene::new(&broker);
    let service = scene.start();
    let mut judge = Judge::new(&scene, events);
    scene.produce(events);
    scene.read_all(events, &mut judge);
    let metrics = scene.metrics();
    let log = service.terminate();
    judge.verdict(&metrics, &log);
}

/// That the judgement can fail: on a flawed twin, and on a canary.
#[test]
fn a_wrong_record_is_noticed() {
    let tenants = Tenants::read();
    let flaws =
        [Flaw::KeepsUnlisted, Flaw::KeepsFragment, Flaw::PassesMismatch, Flaw::FirstDuplicateOnly];
    let differs =
        |flaw, made: &Made| tenants.expected(made, flaw) != tenants.expected(made, Flaw::None);
    for flaw in flaws {
        assert!(
            Made::all().take(2_000).any(|made| differs(flaw, &made)),
            "{flaw:?} is not noticed"
        );
    }
    let mut all = Made::all();
    let is_clean = |made: &Made| tenants.expected(made, Flaw::None).is_ok();
    let made = all.find(|made| made.canary && is_clean(made)).expect("one in 40");
    let nothing = Policy::new(Vec::new(), Unlisted::Keep);
    let bare = naive::clean(
        &nothing,
        &made.event.value,
        &Keys::new(&[0; 32], "", 0, 0),
        USUAL,
        Flaw::None,
    );
    assert!(matches!(bare, Expected::Clean(clean) if shows(&clean)), "it is in there");
}

const USUAL: Bounds = Bounds { depth: 128, value_bytes: 16 << 20, clean_bytes: 16 << 20 };

// The events.

/// An event as it is produced.
#[derive(Debug)]
struct Made {
    number: u64,
    event: Event,
    canary: bool,
}

impl Made {
    fn all() -> impl Iterator<Item = Self> {
        let mut events = Events::new(SEED);
        (0..).map(move |number| {
            let mut event = Event::default();
            events.next(&mut event);
            let canary = number % CANARY_EVERY == CANARY_EVERY - 1;
            if canary {
                plant(&mut event, number / CANARY_EVERY);
            }
            Self { number, event, canary }
        })
    }

    fn kind(&self) -> Kind {
        self.event.kind.expect("made")
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.number % 4).expect("small")
    }

    fn timestamp_ms(&self) -> i64 {
        timestamp_ms(self.number)
    }
}

/// The event of that number.
fn made(number: u64) -> Made {
    Made::all().nth(usize::try_from(number).expect("fits")).expect("endless")
}

/// Six a minute: a day's epoch passes in CI, a month's in a million.
fn timestamp_ms(number: u64) -> i64 {
    FIRST_MS + i64::try_from(number).expect("small") * 10_000
}

/// Canaries where every demo policy takes them out, or where nothing can be made clean.
fn plant(event: &mut Event, turn: u64) {
    let c = match turn % 3 {
        0 => CANARY.to_owned(),
        1 => CANARY.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect(),
        _ => CANARY.replace('o', "\\u006f"),
    };
    match turn % 8 {
        0 => event.value = format!("{{\"user\":{{\"{c}\":\"{c}").into_bytes(),
        1 => event.value = format!("[\"{c}\",{{\"{c}\":\"{c}\"}}]").into_bytes(),
        2 => event.value = format!("{{\"a\":\"{c}\\ud800\"}}").into_bytes(),
        3 => {
            // Nobody has a policy for it; its name is the record's own content.
            event.key = CANARY.into();
            event.headers = vec![(TENANT_HEADER.into(), Some(CANARY.into()))];
            event.value = format!("{{\"tenant\":\"{c}\"}}").into_bytes();
        }
        _ => planted_inside(event, &c),
    }
}

fn planted_inside(event: &mut Event, c: &str) {
    let members = format!(
        r#""user":{{"email":"{c}","phone":"{c}"}},"\u0075ser":{{"ema\u0069l":["{c}"]}},"note":"{c}",
        "client_ip":"{c}","sourceIPs":["10.0.0.1","{c}"],"session":"{c}","actor":{{"login":"{c}"}},
        "url":"https://{c}:{c}@x.example/?{c}={c}&q={c}#{c}","referrer":"mailto:{c}",
        "x":{{"podIP":"{c}"}},"#
    );
    if event.value.first() == Some(&b'{') {
        event.value.splice(1..1, members.bytes());
    }
    for (name, value) in &mut event.headers {
        if name == b"client" {
            *value = Some(CANARY.into());
        }
    }
    if event.kind != Some(Kind::Audit) {
        event.key = CANARY.into();
    }
}

fn shows(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window.eq_ignore_ascii_case(CANARY.as_bytes()))
        || escaped().iter().any(|form| {
            bytes.windows(form.len()).any(|window| window.eq_ignore_ascii_case(form.as_bytes()))
        })
}

fn escaped() -> [String; 2] {
    [
        CANARY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
        CANARY.replace('o', "\\u006f"),
    ]
}

// What the twin makes of them.

/// A demo policy, as the twin reads it.
struct Tenant {
    policy: Policy,
    epoch_ms: u64,
}

struct Tenants(BTreeMap<String, Tenant>);

type OwnHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What should arrive: a clean record, or a withheld one's possible reasons.
type Arrives = Result<Parts, Vec<Reason>>;

fn hash(parts: &Parts) -> blake3::Hash {
    blake3::hash(format!("{parts:?}").as_bytes())
}

/// A record for people to read.
fn shown(parts: &Parts) -> String {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "none".to_owned(),
    };
    let mut shown = format!("{}\n  key {}", text(&parts.value), text(&parts.key));
    for (name, value) in &parts.headers {
        shown += &format!("\n  {}: {}", String::from_utf8_lossy(name), text(value));
    }
    shown
}

impl Tenants {
    fn read() -> Self {
        let files = fs::read_dir(demo_policies()).expect("the demo's policies");
        let mut tenants = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(file.expect("readable").path()).expect("text");
            let (name, tenant) = Tenant::read(&text);
            tenants.insert(name, tenant);
        }
        assert_eq!(tenants.len(), 3);
        Self(tenants)
    }

    /// What the twin makes of an event.
    fn expected(&self, made: &Made, flaw: Flaw) -> Arrives {
        let event = &made.event;
        let header = |wanted: &str| {
            event.headers.iter().find(|(name, _)| name == wanted.as_bytes())?.1.clone()
        };
        let name = match made.kind() {
            Kind::Web => header(TENANT_HEADER),
            Kind::Audit => Some(event.key.clone()),
            Kind::Access => match tenant_member(&event.value) {
                Ok(name) => name.map(String::into_bytes),
                Err(reason) => return Err(vec![reason]),
            },
        };
        let name = name.and_then(|name| String::from_utf8(name).ok()).unwrap_or_default();
        let Some(tenant) = self.0.get(&name) else {
            return Err(vec![Reason::Tenant]);
        };
        tenant.expected(made, &name, flaw)
    }
}

/// The member `tenant` of a value.
fn tenant_member(value: &[u8]) -> Result<Option<String>, Reason> {
    let parsed = naive::json::parse(value).map_err(|_| Reason::Malformed)?;
    let naive::json::Kind::Object(members) = parsed.root.kind else {
        return Err(Reason::Malformed);
    };
    let mut tenant = members.into_iter().filter(|member| member.key == "tenant");
    Ok(tenant.next().and_then(|member| match member.value.kind {
        naive::json::Kind::Text(text) => Some(text),
        _ => None,
    }))
}

impl Tenant {
    fn expected(&self, made: &Made, name: &str, flaw: Flaw) -> Arrives {
        let keys = self.keys(name, made.timestamp_ms());
        let Event { key: bare_key, value, headers, .. } = &made.event;
        let parts = Parts {
            key: Some(bare_key.clone()),
            value: Some(value.clone()),
            headers: headers.clone(),
        };
        naive::clean_parts(&self.policy, &parts, &keys, USUAL, flaw)
    }

    fn keys(&self, tenant: &str, timestamp_ms: i64) -> Keys {
        let epoch = match i64::try_from(self.epoch_ms).expect("days") {
            0 => 0,
            length => timestamp_ms.div_euclid(length),
        };
        Keys::new(&secret(tenant), tenant, self.epoch_ms, epoch)
    }

    /// Reads a demo policy, line by line.
    fn read(text: &str) -> (String, Self) {
        let mut name = String::new();
        let mut tenant = Self { policy: Policy::new(Vec::new(), Unlisted::Keep), epoch_ms: 0 };
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).peekable();
        while let Some(line) = lines.next().filter(|line| *line != "tests:") {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("tenant", value) => value.clone_into(&mut name),
                ("unlisted", "drop") => tenant.policy.unlisted = Unlisted::Drop,
                ("epoch", value) => tenant.epoch_ms = epoch_ms(value),
                ("version" | "key", _) | ("rules:", "") => {}
                ("  - fields", fields) => {
                    let mut params = BTreeMap::new();
                    while let Some(param) = lines.next_if(|line| line.starts_with("    ")) {
                        let (name, value) = param.trim().split_once(": ").expect("a parameter");
                        params.insert(name, value);
                    }
                    tenant.add(&list(fields), params);
                }
                _ => panic!("the twin cannot read {line:?}"),
            }
        }
        (name, tenant)
    }

    fn add(&mut self, fields: &[String], mut params: BTreeMap<&str, &str>) {
        let number = self.policy.rules.len();
        let mut paths = Vec::new();
        for field in fields {
            if field == "$key" {
                self.policy.key_rule.get_or_insert(number);
            } else if let Some(name) = field.strip_prefix("$header.") {
                self.policy.header_rules.push((Some(name.to_owned()), number));
            } else {
                paths.push(path(field));
            }
        }
        let mut number = |name: &str, default: usize| {
            params.remove(name).map_or(default, |value| value.parse().expect("a number"))
        };
        let bits = |bits| u8::try_from(bits).expect("a prefix");
        let (v4, v6) = (bits(number("v4", 24)), bits(number("v6", 48)));
        let (first, last) = (number("keep_first", 0), number("keep_last", 0));
        let digits = number("digits", 0);
        let prefix = params.remove("prefix").unwrap_or_default().to_owned();
        let keep = params.remove("keep").map_or_else(Vec::new, list);
        let action = match params.remove("do").expect("a transform") {
            "keep" => Action::Keep,
            "drop" => Action::Drop,
            "redact" => Action::Redact,
            "mask" => Action::Mask { first, last },
            "truncate_ip" => Action::TruncateIp { v4, v6 },
            "pseudonymize" => Action::Pseudonymize { prefix },
            "strip_query" => Action::StripQuery { keep },
            "round" => Action::Round { digits },
            other => panic!("the twin does not know {other}"),
        };
        assert!(params.is_empty(), "the twin does not know {params:?}");
        self.policy.rules.push(Rule {
            paths,
            decides: Decides::Value,
            action,
            mismatch: OnMismatch::Redact,
            when: Vec::new(),
        });
    }
}

fn epoch_ms(text: &str) -> u64 {
    match text.strip_suffix('d') {
        Some(days) => days.parse::<u64>().expect("days") * 86_400_000,
        None => 0,
    }
}

/// A list in brackets, its items bare or in quotes; no comma in an item.
fn list(text: &str) -> Vec<String> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).expect("a list");
    let item = |item: &str| {
        let item = item.trim();
        let quote = item.chars().next().filter(|first| matches!(first, '"' | '\''));
        match quote {
            Some(quote) => item.trim_matches(quote).to_owned(),
            None => item.to_owned(),
        }
    };
    inside.split(',').map(item).collect()
}

/// A path: names with dots between them, a name with dots in quotes.
fn path(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            segments.push(Segment::Name(part.into()));
            continue;
        }
        for name in part.split('.').filter(|name| !name.is_empty()) {
            let bare = name.trim_end_matches("[*]");
            match bare {
                "" => {}
                "*" => segments.push(Segment::AnyName),
                "**" => segments.push(Segment::AnyDepth),
                _ => segments.push(Segment::Name(bare.into())),
            }
            let elements = (name.len() - bare.len()) / "[*]".len();
            segments.extend(std::iter::repeat_n(Segment::AnyElement, elements));
        }
    }
    segments
}

fn demo_policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/demo/policies")
}

fn secret(tenant: &str) -> [u8; 32] {
    *blake3::hash(tenant.as_bytes()).as_bytes()
}

// The service and its topics.

enum Broker {
    Real(String),
    Simulated(Box<MockCluster<'static, rdkafka::producer::DefaultProducerContext>>),
}

struct Scene {
    servers: String,
    id: String,
    admin: String,
    folder: TempDir,
}

impl Scene {
    fn new(broker: &Broker) -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
        let servers = match broker {
            Broker::Real(servers) => servers.clone(),
            Broker::Simulated(cluster) => cluster.bootstrap_servers(),
        };
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let admin = free.local_addr().expect("bound").to_string();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let scene = Self { servers, id: format!("million-{since}"), admin, folder };
        scene.create_topics(broker);
        scene.write_files();
        scene
    }

    fn raw(&self, kind: Kind) -> String {
        format!("{}-raw-{}", self.id, kind.name())
    }

    fn clean(&self, kind: Kind) -> String {
        format!("{}-clean-{}", self.id, kind.name())
    }

    fn quarantine(&self) -> String {
        format!("{}-quarantine", self.id)
    }

    fn topics(&self) -> Vec<String> {
        let kinds = Kind::ALL.into_iter();
        let mut topics: Vec<String> =
            kinds.flat_map(|kind| [self.raw(kind), self.clean(kind)]).collect();
        topics.push(self.quarantine());
        topics
    }

    fn create_topics(&self, broker: &Broker) {
        let topics = self.topics();
        if let Broker::Simulated(cluster) = broker {
            for topic in &topics {
                cluster.create_topic(topic, PARTITIONS, 1).expect("created");
            }
            return;
        }
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("a client");
        let new = |topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        let new: Vec<_> = topics.iter().map(|topic| new(topic)).collect();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let made = runtime.block_on(admin.create_topics(&new, &AdminOptions::new()));
        assert!(made.expect("an answer").iter().all(Result::is_ok));
    }

    fn write_files(&self) {
        let write = |name: &str, text: String| fs::write(self.path(name), text).expect("written");
        fs::create_dir(self.path("policies")).expect("created");
        for file in fs::read_dir(demo_policies()).expect("the demo's policies") {
            let file = file.expect("readable");
            let to = self.path("policies").join(file.file_name());
            fs::copy(file.path(), to).expect("copied");
        }
        let mut keyring = String::new();
        for tenant in Tenants::read().0.keys() {
            let secret = data_encoding::HEXLOWER.encode(&secret(tenant));
            keyring += &format!("{tenant}: {{secret: \"{secret}\", created: 2026-01-01}}\n");
        }
        write("keyring.yaml", keyring);
        private(&self.path("keyring.yaml"));
        // When the lanes join apart, the simulated broker lets the group wait for nearly a session.
        let mut config = format!(
            "brokers: \"{}\"\ngroup: {}\nlanes: 2\npolicies: policies\n\
             consumer: {{session.timeout.ms: 6000}}\n\
             keyring: {{file: keyring.yaml}}\nadmin: {{listen: \"{}\"}}\n\
             quarantine: {{topic: {}, public_key: {}}}\nroutes:\n",
            self.servers,
            self.id,
            self.admin,
            self.quarantine(),
            PrivateKey::generate().expect("randomness").public(),
        );
        for (kind, tenant) in [
            (Kind::Web, "{header: tenant}"),
            (Kind::Access, "{field: tenant}"),
            (Kind::Audit, "key"),
        ] {
            let (name, raw, clean) = (kind.name(), self.raw(kind), self.clean(kind));
            config += &format!(
                "  - {{name: {name}, topics: [{raw}], clean: {clean}, tenant: {tenant}}}\n"
            );
        }
        write("limpid.yaml", config);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.servers);
        client
    }

    fn start(&self) -> Service {
        let log = self.path("log");
        let child = Command::new(env!("CARGO_BIN_EXE_limpid"))
            .args(["run", "--config"])
            .arg(self.path("limpid.yaml"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.path("out")).expect("created"))
            .stderr(fs::File::create(&log).expect("created"))
            .spawn()
            .expect("starts");
        Service { child, log }
    }

    fn produce(&self, events: u64) {
        let mut client = self.client();
        client.set("enable.idempotence", "true").set("linger.ms", "5");
        let producer: BaseProducer = client.create().expect("a producer");
        let topics: BTreeMap<&str, String> =
            Kind::ALL.iter().map(|kind| (kind.name(), self.raw(*kind))).collect();
        for made in Made::all().take(usize::try_from(events).expect("fits")) {
            let mut headers = OwnedHeaders::new();
            for (name, value) in &made.event.headers {
                let key = std::str::from_utf8(name).expect("text");
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut record = BaseRecord::to(&topics[made.kind().name()])
                .partition(made.partition())
                .timestamp(made.timestamp_ms())
                .key(&made.event.key)
                .payload(&made.event.value)
                .headers(headers);
            while let Err((error, back)) = producer.send(record) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full);
                producer.poll(Duration::from_millis(20));
                record = back;
            }
        }
        producer.flush(PATIENCE).expect("delivered");
    }

    /// Shows the judge what arrives until all has, or nothing more does.
    fn read_all(&self, events: u64, judge: &mut Judge) {
        let mut client = self.client();
        client.set("group.id", format!("{}-judge", self.id)).set("enable.auto.commit", "false");
        let reader: BaseConsumer = client.create().expect("a consumer");
        let mut all = TopicPartitionList::new();
        for topic in self.topics().iter().filter(|topic| !topic.contains("-raw-")) {
            for partition in 0..PARTITIONS {
                all.add_partition_offset(topic, partition, Offset::Beginning).expect("named");
            }
        }
        reader.assign(&all).expect("assigned");
        let mut last = Instant::now();
        while judge.seen() < events {
            assert!(last.elapsed() < PATIENCE, "{} of {events}\n{}", judge.seen(), self.log());
            if let Some(message) = reader.poll(Duration::from_millis(100)) {
                judge.look(&message.expect("a message"));
                last = Instant::now();
            }
        }
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.admin).expect("the admin server listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        text
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}

/// A running service; killed when dropped.
struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// SIGTERM; it must end by itself, with success. Gives what it told.
    fn terminate(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("sent").success());
        let status = self.child.wait().expect("ends");
        let told = fs::read_to_string(&self.log).expect("a log");
        assert!(status.success(), "{status}\n{told}");
        told
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone if it was terminated.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// The judgement.

/// Where an event lies: its topic's kind, its partition, its offset.
type Place = (&'static str, i32, i64);

/// A clean record to come: the number of its event, and a hash of what the twin makes of it. A
/// million records themselves would be too much to keep.
struct ToCome {
    number: u64,
    hash: blake3::Hash,
}

struct Judge {
    tenants: Tenants,
    /// In each clean partition, in order.
    to_come: BTreeMap<(&'static str, i32), std::vec::IntoIter<ToCome>>,
    /// Where those lie that are to be withheld. Offsets of fresh topics count up from zero.
    withheld: BTreeMap<Place, Vec<Reason>>,
    clean_topics: BTreeMap<String, &'static str>,
    raw_topics: BTreeMap<String, &'static str>,
    clean_seen: u64,
    withheld_seen: u64,
}

impl Judge {
    fn new(scene: &Scene, events: u64) -> Self {
        let tenants = Tenants::read();
        let mut withheld = BTreeMap::new();
        let mut ends: BTreeMap<(&'static str, i32), i64> = BTreeMap::new();
        let mut clean: BTreeMap<(&'static str, i32), Vec<ToCome>> = BTreeMap::new();
        for made in Made::all().take(usize::try_from(events).expect("fits")) {
            let there = (made.kind().name(), made.partition());
            let end = ends.entry(there).or_default();
            match tenants.expected(&made, Flaw::None) {
                Err(reasons) => {
                    let _ = withheld.insert((there.0, there.1, *end), reasons);
                }
                Ok(parts) => {
                    let to_come = ToCome { number: made.number, hash: hash(&parts) };
                    clean.entry(there).or_default().push(to_come);
                }
            }
            *end += 1;
        }
        let topics = |name: fn(&Scene, Kind) -> String| {
            Kind::ALL.iter().map(|kind| (name(scene, *kind), kind.name())).collect()
        };
        Self {
            tenants,
            to_come: clean.into_iter().map(|(there, all)| (there, all.into_iter())).collect(),
            withheld,
            clean_topics: topics(Scene::clean),
            raw_topics: topics(Scene::raw),
            clean_seen: 0,
            withheld_seen: 0,
        }
    }

    fn seen(&self) -> u64 {
        self.clean_seen + self.withheld_seen
    }

    fn look(&mut self, message: &BorrowedMessage<'_>) {
        let parts = [message.key(), message.payload()];
        assert!(!parts.into_iter().flatten().any(shows), "a canary in {}", message.topic());
        let headers: OwnHeaders = message.headers().map_or_else(Vec::new, |headers| {
            let own = |header: Header<'_, &[u8]>| {
                (header.key.as_bytes().to_vec(), header.value.map(<[u8]>::to_vec))
            };
            headers.iter().map(own).collect()
        });
        let topic = message.topic();
        for (name, value) in &headers {
            assert!(!shows(name), "a canary in a header's name in {topic}");
            assert!(
                !shows(value.as_deref().unwrap_or_default()),
                "a canary in a header in {topic}"
            );
        }
        match self.clean_topics.get(message.topic()).copied() {
            Some(kind) => self.look_at_clean(kind, message, headers),
            None => self.look_at_withheld(&headers),
        }
    }

    /// The next clean record of its partition: this one, byte for byte.
    fn look_at_clean(
        &mut self,
        kind: &'static str,
        message: &BorrowedMessage<'_>,
        headers: OwnHeaders,
    ) {
        let partition = message.partition();
        let next = self.to_come.get_mut(&(kind, partition)).and_then(Iterator::next);
        let next = next.unwrap_or_else(|| panic!("more came than was made in {kind}/{partition}"));
        let own = |bytes: &[u8]| bytes.to_vec();
        let got = Parts { key: message.key().map(own), value: message.payload().map(own), headers };
        if hash(&got) != next.hash {
            let made = made(next.number);
            let want = self.tenants.expected(&made, Flaw::None).expect("clean before");
            panic!("{made:?}\ncame as {}\nnot as  {}", shown(&got), shown(&want));
        }
        let timestamp = message.timestamp().to_millis();
        assert_eq!(timestamp, Some(timestamp_ms(next.number)), "event {}", next.number);
        self.clean_seen += 1;
    }

    fn look_at_withheld(&mut self, headers: &OwnHeaders) {
        let header = |wanted: &str| {
            let value = headers.iter().find(|(name, _)| name == wanted.as_bytes());
            let value = value.and_then(|(_, value)| value.clone()).expect("a quarantine header");
            String::from_utf8(value).expect("text")
        };
        let kind = self.raw_topics[&header("limpid-topic")];
        let partition = header("limpid-partition").parse().expect("a partition");
        let offset = header("limpid-offset").parse().expect("an offset");
        let reasons = self.withheld.remove(&(kind, partition, offset));
        let reasons = reasons.unwrap_or_else(|| panic!("{kind}/{partition}/{offset} is withheld"));
        let reason = Reason::from_name(&header("limpid-reason")).expect("a reason");
        assert!(reasons.contains(&reason), "{kind}/{partition}/{offset}: {reason}");
        self.withheld_seen += 1;
    }

    fn verdict(self, metrics: &str, log: &str) {
        assert!(self.withheld.is_empty() && self.to_come.values().all(|left| left.len() == 0));
        assert!(self.clean_seen > self.withheld_seen && self.withheld_seen > 0);
        assert!(metrics.contains("limpid_") && !shows(metrics.as_bytes()), "{metrics}");
        assert!(!shows(log.as_bytes()), "a canary in the log");
        println!("{} clean, {} withheld, each as expected", self.clean_seen, self.withheld_seen);
    }
}
