//! `limpid keys` and `limpid quarantine`, as users run them. The broker is librdkafka's simulated
//! one: enough to read a topic to its end.

use limpid::document::{Faults, Show, Source};
use limpid::engine::Withheld;
use limpid::error::Reason;
use limpid::keys::{Keyring, PrivateKey, PublicKey};
use limpid::quarantine::Sealer;
use limpid::record::{Raw, Record};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// What must show in `open` and nowhere else.
const CANARY: &str = "canary-7f3a@example.org";
const TOPIC: &str = "limpid.quarantine";

fn limpid(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limpid")).args(words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A simulated broker, a configuration for it, and a key pair.
struct Scene {
    folder: TempDir,
    broker: MockCluster<'static, DefaultProducerContext>,
    key: PrivateKey,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
            broker: MockCluster::new(1).unwrap(),
            key: PrivateKey::generate().unwrap(),
        };
        scene.broker.create_topic(TOPIC, 2, 1).unwrap();
        let config = format!(
            "brokers: \"{}\"\npolicies: policies\nquarantine: {{topic: {TOPIC}}}\n\
             routes: [{{name: web, topics: [raw.web], clean: clean.web, tenant: key}}]\n",
            scene.broker.bootstrap_servers(),
        );
        std::fs::write(scene.path("limpid.yaml"), config).unwrap();
        scene.write_key("private", &scene.key);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_key(&self, name: &str, key: &PrivateKey) {
        std::fs::write(self.path(name), key.written().as_str()).unwrap();
        set_mode(&self.path(name), 0o600);
    }

    fn run(&self, words: &[&str]) -> Output {
        let config = self.path("limpid.yaml");
        limpid(&[&["quarantine"], words, &["--config", config.to_str().unwrap()]].concat())
    }

    fn open(&self, key: &str, words: &[&str]) -> Output {
        let key = self.path(key);
        self.run(&[&["open", "--key", key.to_str().unwrap()], words].concat())
    }

    /// Withholds records as a lane would, one after the other in partition 0.
    fn withhold(&self, key: Option<&PublicKey>, records: &[(Reason, Option<&str>, &[u8])]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .create()
            .unwrap();
        let mut sealer = Sealer::new(key);
        for (offset, (reason, tenant, value)) in (40..).zip(records) {
            let headers = vec![(b"mail".to_vec(), Some(CANARY.as_bytes().to_vec()))];
            let record = Record {
                topic: "raw.web",
                partition: 3,
                offset,
                timestamp_ms: Some(1_795_478_400_123),
                key: Some(Raw::new(CANARY.as_bytes())),
                value: Some(Raw::new(value)),
                headers: &headers,
            };
            let sealed =
                sealer.seal("web", &record, &Withheld { reason: *reason, tenant: *tenant });
            let headers = sealed.headers().iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value) })
            });
            let message = BaseRecord::<(), [u8]>::to(TOPIC).partition(0).headers(headers);
            let message = match sealed.payload() {
                Some(payload) => message.payload(payload),
                None => message,
            };
            producer.send(message).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn list_shows_the_clear_part_and_open_the_record() {
    let scene = Scene::new();
    let value = format!("{{\"mail\": \"{CANARY}\"");
    let records: [(Reason, Option<&str>, &[u8]); 3] = [
        (Reason::Malformed, Some("acme"), value.as_bytes()),
        (Reason::Tenant, None, &[0xff, 0xfe]),
        (Reason::Malformed, Some("globex"), b"\x1b[31m\xc2\x9b"),
    ];
    scene.withhold(Some(&scene.key.public()), &records);

    let list = scene.run(&["list"]);
    assert!(list.status.success(), "{}", stderr(&list));
    assert!(stdout(&list).lines().all(|line| !line.contains(CANARY)));
    let first = stdout(&list).lines().next().unwrap().to_owned();
    assert!(first.starts_with("0/0  "), "{first}");
    assert!(first.contains("  malformed  acme  raw.web/3/40  "), "{first}");
    assert_eq!(stderr(&list), "limpid: 3 withheld (malformed 2, tenant 1)\n");

    let picked = scene.run(&["list", "--json", "--reason", "malformed", "--tenant", "globex"]);
    let [line] = &json_lines(&picked)[..] else { panic!("{}", stdout(&picked)) };
    assert_eq!((line["offset"].as_i64(), line["tenant"].as_str()), (Some(42), Some("globex")));

    let opened = scene.open("private", &[]);
    assert!(opened.status.success(), "{}", stderr(&opened));
    let lines = json_lines(&opened);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["value"], value);
    assert_eq!(lines[0]["key"], CANARY);
    assert_eq!(lines[0]["headers"][0]["value"], CANARY);
    assert_eq!(lines[0]["record_time"], "2026-11-24T00:00:00.123Z");
    assert_eq!(lines[1]["value_base64"], "//4=");
    assert_eq!(lines[2]["value"], "\u{1b}[31m\u{9b}");
    assert!(!stdout(&opened).contains(['\u{1b}', '\u{9b}']), "nothing for a terminal to obey");

    let one = scene.open("private", &["--partition", "0", "--offset", "1"]);
    assert_eq!(json_lines(&one), lines[1..2]);
    let none = scene.open("private", &["--partition", "0", "--offset", "7"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no such record at 0/7"), "{}", stderr(&none));
}

#[test]
fn what_does_not_open_is_counted() {
    let scene = Scene::new();
    scene.withhold(None, &[(Reason::Limits, Some("acme"), CANARY.as_bytes())]);
    scene.withhold(Some(&scene.key.public()), &[(Reason::Limits, None, b"x")]);
    let list = scene.run(&["list"]);
    assert!(stdout(&list).lines().next().unwrap().ends_with("left out"), "{}", stdout(&list));

    let opened = scene.open("private", &[]);
    assert_eq!(opened.status.code(), Some(1));
    assert_eq!(json_lines(&opened).len(), 1);
    assert!(stderr(&opened).contains("0/0 not opened: its payload was left out"));
    assert!(stderr(&opened).ends_with("limpid: 1 opened, 1 not\n"), "{}", stderr(&opened));

    scene.write_key("other", &PrivateKey::generate().unwrap());
    let wrong = scene.open("other", &[]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert!(stderr(&wrong).contains("0/1 not opened: it is sealed to another key"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let scene = Scene::new();
    set_mode(&scene.path("private"), 0o644);
    let refused = scene.open("private", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("chmod 600"), "{}", stderr(&refused));
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let scene = Scene::new();
    let config = std::fs::read_to_string(scene.path("limpid.yaml")).unwrap();
    std::fs::write(scene.path("limpid.yaml"), config.replace(TOPIC, "elsewhere")).unwrap();
    let missing = scene.run(&["list"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("there is no topic elsewhere"), "{}", stderr(&missing));
}

#[test]
fn new_keys_are_what_the_readers_take() {
    let made = limpid(&["keys", "new", "acme"]);
    assert!(made.status.success() && made.stderr.is_empty());
    let source = Source::with("keyring", stdout(&made), Show::Nothing);
    let mut faults = Faults::default();
    let keyring = Keyring::read(&source, &mut faults).unwrap();
    assert!(faults.is_empty(), "{faults}");
    assert_eq!(keyring.names().collect::<Vec<_>>(), ["acme"]);
    assert_ne!(stdout(&made), stdout(&limpid(&["keys", "new", "acme"])));
    assert_eq!(limpid(&["keys", "new", "a b"]).status.code(), Some(2));
}

#[test]
fn a_quarantine_key_goes_into_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = limpid(&["keys", "quarantine", path.to_str().unwrap()]);
    assert!(made.status.success() && made.stderr.is_empty(), "{}", stderr(&made));
    let public: PublicKey =
        stdout(&made).strip_prefix("public_key: ").unwrap().trim().parse().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(PrivateKey::from_text(&text).unwrap().public(), public);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = limpid(&["keys", "quarantine", path.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2), "no key is overwritten");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let both = stdout(&limpid(&["keys", "quarantine"]));
    assert!(PrivateKey::from_text(&both).is_ok());
}
