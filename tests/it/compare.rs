//! `limpid diff` as a user meets it: what it reports, what it keeps to itself, its exit code; over
//! files and over a topic.

use crate::cli::run_in;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const OLD: &str = "tenant: acme\nversion: 1\nkey: acme\nrules:\n  \
                   - {fields: [user.email, user.phone], do: drop}\n  \
                   - {fields: client_ip, do: truncate_ip}\n  \
                   - {fields: user.id, do: pseudonymize}\n";
const EVENTS: &str = "{\"client_ip\":\"10.1.2.3\",\"user\":{\"id\":1,\"email\":\"canary@b.example\"}}\n\
                      {\"client_ip\":\"10.1.7.3\",\"user\":{\"id\":2,\"phone\":\"canary-49\"}}\n{\n";

fn folder(new: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("old.yaml", OLD), ("new.yaml", new), ("in.ndjson", EVENTS)] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

/// A broker with a topic `raw`, which has these events, all of one key.
fn topic(key: &str, events: &[&str]) -> MockCluster<'static, DefaultProducerContext> {
    let broker = MockCluster::new(1).expect("a broker");
    broker.create_topic("raw", 1, 1).expect("a topic");
    let servers = broker.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &servers).create().expect("a producer");
    for event in events {
        let message = BaseRecord::to("raw").key(key).payload(*event).partition(0);
        producer.send(message).map_err(|(error, _)| error).expect("sent");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
    broker
}

fn diff(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    run_in(dir, &[&["diff", "old.yaml", "new.yaml"], args].concat(), b"").told()
}

#[test]
fn what_is_loosened_is_told_and_no_value() {
    let new = OLD.replace("user.email, ", "").replace("truncate_ip", "truncate_ip, v4: 16");
    let dir = folder(&new);
    let (code, out, err) = diff(dir.path(), &["in.ndjson"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(
        out,
        "loosened   user.email: dropped → kept 1 of 1\n\
         tightened  client_ip: replaced otherwise 2 of 2\n\
         3 records: 1 loosened, 0 unclear, 1 tightened, 0 changed, 2 same\n\
         withheld: 1 by the old policy, 1 by the new one\n"
    );
    let (_, out, _) = diff(dir.path(), &["in.ndjson", "--json"]);
    assert!(!out.contains("canary") && !out.contains("10.1."), "{out}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&report["verdict"], &report["records"]), (&"loosened".into(), &3.into()));
    assert_eq!(report["paths"][1]["path"], "user.email");
    let (_, out, _) = diff(dir.path(), &["in.ndjson", "--values"]);
    assert!(out.contains("           was \"canary@b.example\"\n           old gone\n"), "{out}");
}

#[test]
fn the_same_and_the_stricter_are_exit_code_0() {
    let (code, out, _) = diff(folder(OLD).path(), &["in.ndjson"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("3 records: 0 loosened, 0 unclear, 0 tightened, 0 changed, 4 same\n"));
    let stricter = OLD
        .replace("user.phone", "client_ip")
        .replace("- {fields: client_ip,", "- {fields: user.phone,");
    let (code, out, _) = diff(folder(&stricter).path(), &["in.ndjson"]);
    assert_eq!(code, Some(1), "a phone number is no address: redacted, not dropped\n{out}");
    let stricter = OLD.replace("user.phone]", "user]").replace("do: pseudonymize", "do: redact");
    let (code, _, err) = diff(folder(&stricter).path(), &["in.ndjson"]);
    assert_eq!(code, Some(2), "a shadowed rule: {err}");
    let (code, _, err) = diff(folder(OLD).path(), &["in.ndjson", "none.ndjson"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot read none.ndjson"), "{err}");
}

#[test]
fn no_record_is_no_comparison() {
    let dir = folder(OLD);
    std::fs::write(dir.path().join("in.ndjson"), "\n").expect("a file");
    let (code, _, err) = diff(dir.path(), &["in.ndjson"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(2), "limpid: there was no record to compare the policies on\n")
    );
}

/// A key is compared by its fields as soon as one of the policies knows any.
#[test]
fn keys_that_are_json_are_compared_by_their_fields() {
    let broker = topic("{\"user\":\"canary\",\"kind\":1}", &["{}"]);
    let servers = broker.bootstrap_servers();
    let told = |old: &str, new: &str| {
        let dir = folder(&format!("{OLD}  - {{fields: {new}}}\n"));
        std::fs::write(dir.path().join("old.yaml"), format!("{OLD}  - {{fields: {old}}}\n"))
            .expect("it");
        let (_, out, _) = diff(dir.path(), &["--topic", "raw", "--brokers", &servers]);
        assert!(!out.contains("canary"), "{out}");
        out
    };
    let out = told("$key, do: pseudonymize", "$key.user, do: pseudonymize");
    assert!(out.starts_with("loosened   $key.kind: pseudonym → kept 1 of 1\n"), "{out}");
    let out = told("$key.user, do: mask", "'$key.*', do: drop");
    assert!(out.contains("tightened  $key.kind: kept → dropped 1 of 1\n"), "{out}");
    assert!(out.contains("tightened  $key.user: a part → dropped 1 of 1\n"), "{out}");
}

#[test]
fn a_topic_or_its_end() {
    let broker = topic("42", &["{\"user\":{\"email\":\"a\"}}", "{\"user\":{\"id\":7}}"]);
    let servers = broker.bootstrap_servers();
    let dir = folder(&OLD.replace("user.email, ", ""));
    let (code, out, err) = diff(dir.path(), &["--topic", "raw", "--brokers", &servers]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert!(out.starts_with("loosened   user.email: dropped → kept 1 of 1\n2 records:"), "{out}");
    let (code, out, _) =
        diff(dir.path(), &["--topic", "raw", "--brokers", &servers, "--last", "1"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("1 record: 0 loosened"), "{out}");
    let config = |topics: &str| {
        format!(
            "brokers: {servers}\npolicies: policies\nroutes:\n  - {{name: r, topics: [{topics}], clean: \
             c, tenant: key, default_policy: acme}}\nquarantine: {{topic: q}}\n"
        )
    };
    let with_config = |topics: &str, key: &str| {
        std::fs::create_dir_all(dir.path().join("policies")).expect("a folder");
        let other = format!("tenant: \"{key}\"\nversion: 1\nrules: []\n");
        std::fs::write(dir.path().join("policies/other.yaml"), other).expect("a file");
        std::fs::write(dir.path().join("limpid.yaml"), config(topics)).expect("a file");
        diff(dir.path(), &["--topic", "raw", "--config", "limpid.yaml"])
    };
    let (code, _, err) = with_config("raw", "42");
    assert_eq!(code, Some(2), "both are another tenant's");
    assert!(err.contains("2 records of other tenants, or of none, were left out"), "{err}");
    let (code, out, _) = with_config("raw", "43");
    assert_eq!(code, Some(1), "the default policy's: {out}");
    let (code, _, err) = with_config("other", "43");
    assert_eq!(code, Some(2));
    assert!(err.contains("no route takes raw"), "{err}");
}
