//! `limpid explain`: it tells what the engine does, not what it might do.

use crate::cli::run_in;
use limpid::document::{Faults, Show, Source};
use limpid::engine::Limits;
use limpid::error::Reason;
use limpid::explain::{Explained, Explainer, Fate};
use limpid::keys::{Keyring, Secret};
use limpid::policy::{self, CompiledPolicy, Policies, trial};
use limpid::record::{NO_HEADERS, Raw, Record};
use std::path::Path;
use std::sync::Arc;

/// Record time of a policy's tests.
const TIME_MS: i64 = 1_767_225_600_000;

fn compiled(source: &Arc<Source>) -> CompiledPolicy {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new([1; 32]));
    let mut faults = Faults::default();
    let policy = policy::compile(source, Some(&keyring), &mut faults);
    policy.unwrap_or_else(|| panic!("{faults}"))
}

fn explain(policy: &str, event: &str) -> Explained {
    let policy = compiled(&Source::new("policy.yaml", policy));
    Explainer::new(policy, Limits::default()).explain(&record(event.as_bytes()))
}

fn record(value: &[u8]) -> Record<'_> {
    Record {
        topic: "test",
        partition: 0,
        offset: 0,
        timestamp_ms: Some(TIME_MS),
        key: None,
        value: Some(Raw::new(value)),
        headers: NO_HEADERS,
    }
}

/// On every case of every transform and every rule: the same outcome as without an onlooker, and a
/// path for each decision.
#[test]
fn an_explanation_is_of_what_comes_out() {
    let mut values = 0;
    for case in super::cases::cases() {
        let source = Source::read(&case.join("policy.yaml"), Show::Lines).expect("a policy");
        let several = compiled(&source).shares || source.text.contains("when:");
        let policies = Policies::new(vec![compiled(&source).plan]).expect("one plan");
        let tenant = policies.plan(0).tenant.clone();
        let mut bench = trial::Bench::new(&policies, tenant, Limits::default());
        let explainer = Explainer::new(compiled(&source), Limits::default());
        let input = std::fs::read(case.join("in.ndjson")).unwrap_or_default();
        for line in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let explained = explainer.explain(&record(line));
            assert_eq!(explained.outcome, bench.clean(Some(line), None, NO_HEADERS));
            let shown = String::from_utf8_lossy(line);
            for by in explained.values.iter().filter_map(|value| value.by.as_ref()) {
                assert!(by.line > 0, "{}: {shown}: no path of rule {}", case.display(), by.rule);
            }
            let passed_by = explained.values.iter().any(|value| !value.passed_by.is_empty());
            assert!(!passed_by || several, "{}: {shown}", case.display());
            check_fates(&explained, &format!("{}: {shown}", case.display()));
            values += explained.values.len();
        }
    }
    assert!(values > 300, "only {values} values");
}

/// What is said to be written is in the clean record, in that order.
fn check_fates(explained: &Explained, case: &str) {
    let trial::Tried::Clean { value: Some(clean), .. } = &explained.outcome else { return };
    let mut rest = clean.as_slice();
    for value in &explained.values {
        let wanted = match &value.fate {
            // In a text, which may be escaped in another way.
            Fate::Kept if !case.contains(&*String::from_utf8_lossy(&value.before)) => continue,
            Fate::Kept => &value.before,
            Fate::Replaced(after) => after,
            Fate::Dropped | Fate::Withheld => continue,
        };
        // What is in a text is escaped there.
        let wanted = String::from_utf8_lossy(wanted).into_owned();
        let escaped = |text: &String| {
            let quoted = serde_json::to_string(text).expect("a text");
            quoted[1..quoted.len() - 1].to_owned()
        };
        let spellings = std::iter::successors(Some(wanted), |text| Some(escaped(text))).take(3);
        let found = spellings.filter_map(|wanted| {
            let at = rest.windows(wanted.len()).position(|window| window == wanted.as_bytes())?;
            Some(at + wanted.len())
        });
        let end = found.min();
        let end = end.unwrap_or_else(|| panic!("{case}: {} is not as explained", value.path));
        rest = &rest[end..];
    }
}

const POLICY: &str = "tenant: acme
version: 3
rules:
  - fields: [client_ip, peer]
    do: truncate_ip
  - fields: [user.email, Total]
    do: drop
  - fields: geo.lat
    do: round
    digits: 1
  - fields: geo
    do: redact
  - fields: [emial, user_id]
    do: redact
";

/// The name of a member has a reason of its own, beside its value's.
#[test]
fn names_have_their_reasons() {
    let policy = "tenant: acme
version: 1
rules:
  - fields: by_mail
    rename_keys: email
  - fields: by_mail.*
    do: mask
  - fields: old
    do: rename
    to: new
  - fields: gone
    do: rename
    to: here
  - fields: gone
    do: drop
  - fields: odl
    do: rename
    to: older
";
    let event = r#"{"by_mail":{"jo@mail.example":12,"n/a":null},"old":{"a":1},"gone":1}"#;
    assert_eq!(
        explain(policy, event).to_string(),
        r#"the name of by_mail."jo@mail.example"  rule 1 rename_keys email (`by_mail`, line 4)
  - "jo@mail.example"
  + "***@mail.example"
by_mail."jo@mail.example"  rule 2 mask (`by_mail.*`, line 6)
  - 12
  + "**"
the name of by_mail."n/a"  rule 1 rename_keys email (`by_mail`, line 4), a value of another kind: mismatch
  - "n/a"
  + "[redacted]"
by_mail."n/a"  rule 2 mask (`by_mail.*`, line 6)
    null
the name of old  rule 3 rename (`old`, line 8)
  - "old"
  + "new"
old.a  no rule names it: kept
    1
gone  rule 5 drop (`gone`, line 14)
  - 1

nothing here is named by
    `odl` (rule 6 rename, line 16)

tenant acme, version 1: the record is clean
"#
    );
}

/// Two members that would have one name: the one that a rule renamed is told.
#[test]
fn a_name_that_is_taken_is_told() {
    let policy = "tenant: acme\nversion: 1\nrules: [{fields: old, do: rename, to: new}]\n";
    let explained = explain(policy, r#"{"new":1,"old":2}"#);
    let name = explained.values.iter().find(|value| value.name).expect("the name");
    assert_eq!((name.path.as_str(), &name.fate), ("old", &Fate::Withheld));
    assert_eq!(explained.outcome, trial::Tried::Withheld(Reason::Mismatch));
}

/// What is in a text that is read as JSON has its reasons as if it stood there itself.
#[test]
fn texts_are_explained_from_inside() {
    let policy = "tenant: acme
version: 1
rules:
  - fields: [payload, payload.inner, note]
    inside: json
  - fields: payload.name
    do: mask
  - fields: \"**.mail\"
    do: drop
  - fields: payload
    rename_keys: email
    mismatch: keep
  - fields: payload.nam
    do: redact
";
    let event = r#"{"payload":"{\"name\":\"ab\",\"inner\":\"{\\\"mail\\\":1,\\\"jo@x.example\\\":2}\",\"a@x.example\":[]}","note":"x","mail":3}"#;
    assert_eq!(
        explain(policy, event).to_string(),
        r#"the name of payload.name  rule 4 rename_keys email (`payload`, line 10), a value of another kind: mismatch
    "name"
payload.name  rule 2 mask (`payload.name`, line 6)
  - "ab"
  + "**"
the name of payload.inner  rule 4 rename_keys email (`payload`, line 10), a value of another kind: mismatch
    "inner"
payload.inner.mail  rule 3 drop (`**.mail`, line 8)
  - 1
payload.inner."jo@x.example"  no rule names it: kept
    2
the name of payload."a@x.example"  rule 4 rename_keys email (`payload`, line 10)
  - "a@x.example"
  + "***@x.example"
payload."a@x.example"  no rule names it: kept
    []
note  rule 1 inside json (`note`, line 4), a value of another kind: mismatch
  - "x"
  + "[redacted]"
mail  rule 3 drop (`**.mail`, line 8)
  - 3

nothing here is named by
    `payload.nam` (rule 5 redact, line 13)

tenant acme, version 1: the record is clean
"#
    );
}

#[test]
fn every_value_has_its_reason() {
    let event = r#"{"client_ip":"203.0.113.77","peer":7,"user":{"email":"jo@mail.example","id":7},
        "geo":{"lat":47.0707,"at":{"x":[1]}},"total":1.50,"userId":"\u001b[31m","list":[]}"#;
    assert_eq!(
        explain(POLICY, event).to_string(),
        r#"client_ip  rule 1 truncate_ip (`client_ip`, line 4)
  - "203.0.113.77"
  + "203.0.113.0"
peer  rule 1 truncate_ip (`peer`, line 4), a value of another kind: mismatch
  - 7
  + "[redacted]"
user.email  rule 2 drop (`user.email`, line 6)
  - "jo@mail.example"
user.id  no rule names it: kept
    7
geo.lat  rule 3 round (`geo.lat`, line 8)
  - 47.0707
  + 47.1
    too late: rule 4 redact names it too (`geo`, line 11)
geo.at  rule 4 redact (`geo`, line 11), in a container that goes but for what an earlier rule leaves
  - {"x":[1]}
total  no rule names it: kept
    1.50
    nearly: rule 2 drop (line 6) names `Total`; `total` would name it
userId  no rule names it: kept
    "\u001b[31m"
    nearly: rule 5 redact (line 13) names `user_id`; `userId` would name it
list  no rule names it: kept
    []

nothing here is named by
    `Total` (rule 2 drop, line 6)
    `emial` (rule 5 redact, line 13)
    `user_id` (rule 5 redact, line 13)

tenant acme, version 3: the record is clean
"#
    );
}

#[test]
fn a_name_at_another_place_is_told() {
    let policy = "tenant: acme\nversion: 1\nrules: [{fields: email, do: drop}]\n";
    let shown = explain(policy, r#"{"user":{"email":"x"}}"#).to_string();
    assert!(shown.contains("names `email`; `**.email` would name it"), "{shown}");
}

#[test]
fn what_withholds_a_record_is_told() {
    let policy = "tenant: acme\nversion: 1\nrules:\n  \
                  - {fields: ip, do: truncate_ip, mismatch: quarantine}\n";
    let shown = explain(policy, r#"{"a":1,"ip":"n/a"}"#).to_string();
    assert!(shown.contains("ip  rule 1 truncate_ip (`ip`, line 4), a value of another kind"));
    assert!(shown.ends_with("the record is withheld: mismatch\n"), "{shown}");
    for (event, flaw) in [
        ("{\"a\":", "it ends too soon"),
        ("{\"a\" 1}", "it is no JSON at line 1, column 6"),
        ("[1]", ""),
        ("7", "its root is neither an object nor a list of objects"),
    ] {
        let explained = explain(policy, event);
        assert_eq!(explained.flaw.unwrap_or_default(), flaw);
        assert!(matches!(explained.outcome, trial::Tried::Withheld(Reason::Malformed)));
    }
}

fn limpid(dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    run_in(dir, args, input.as_bytes()).told()
}

#[test]
fn the_command_says_what_filter_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let policy = "tenant: acme\nversion: 1\nkey: acme\nepoch: 1d\nunlisted: drop\nrules:\n  \
                  - {fields: [id, $key], do: pseudonymize}\n  - {fields: $header.t, do: keep}\n";
    std::fs::write(dir.path().join("acme.yaml"), policy).expect("a policy");
    let (_, keyring, _) = limpid(dir.path(), &["keys", "new", "acme"], "");
    let keys = dir.path().join("keys.yaml");
    std::fs::write(&keys, keyring).expect("a keyring");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    let shared = ["-p", "acme.yaml", "-k", "keys.yaml", "--timestamp", "2026-05-01T10:00:00Z"];
    let with = |first: &'static str, more: &[&'static str], input| {
        let args: Vec<&str> =
            [first].into_iter().chain(shared).chain(more.iter().copied()).collect();
        limpid(dir.path(), &args, input)
    };
    let events = "{\"id\":42,\"x\":1}\n{\"id\":\"43\"}\n";
    let (_, filtered, _) = with("filter", &[], events);
    let more = ["--json", "--key", "42", "--header", "t=1", "--header", "u=2"];
    let (code, explained, err) = with("explain", &more, events);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let mut values = String::new();
    for line in explained.lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(json["clean"]["headers"], serde_json::json!([["t", "1"]]));
        assert!(json["clean"]["key"].as_str().is_some_and(|key| key.len() == 26));
        values += json["clean"]["value"].as_str().expect("a value");
        values += "\n";
    }
    assert_eq!(values, filtered);

    let (code, out, err) = with("explain", &["--line", "3"], "{\"id\":1}\n\n{\"id\":\n");
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(
        out,
        "\ntenant acme, version 1: the record is withheld: malformed, it ends too soon\n"
    );
    let (code, _, err) = with("explain", &["--line", "9"], "{}\n");
    assert_eq!((code, err.as_str()), (Some(2), "limpid: there is no event to explain\n"));
}

/// The column that docs/COMPARISON.md has for limpid.
#[test]
fn the_awkward_records_of_the_comparison() {
    let source = Source::read(Path::new("benches/peers/corners.yaml"), Show::Lines).expect("it");
    let explainer = Explainer::new(compiled(&source), Limits::default());
    let events = std::fs::read("benches/peers/corners.ndjson").expect("the records");
    let clean = [
        r#"{"client_ip":"203.0.113.0","user":{},"n":1.0}"#,
        r#"{"user":{},"client_ip":"203.0.113.0","big":12345678901234567890123,"far":1e400,"spelt":1.50e1}"#,
        r#"{"user":{},"client_ip":"203.0.113.0"}"#,
        r#"{"client_ip":"198.51.100.0","client_ip":"203.0.113.0","user":{}}"#,
        r#"{"user":{},"client_ip":"203.0.113.0"}"#,
        r#"{ "z": "\u00e4\/", "client_ip": "203.0.113.0", "a": 1 }"#,
        r#"{"client_ip":"[redacted]","user":{}}"#,
        r#"{"client_ip":["203.0.113.0"],"user":{}}"#,
        r#"{"client_ip":"203.0.113.0, 198.51.100.0","user":{}}"#,
        r#"{"user":{}}"#,
        r#"{"client_ip":"203.0.113.0","user":"Jane <a@b.example>"}"#,
        "malformed",
        "malformed",
        "malformed",
        "malformed",
        "limits",
    ];
    let lines: Vec<&[u8]> = events.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), clean.len());
    for (line, wanted) in lines.into_iter().zip(clean) {
        let got = match explainer.explain(&record(line)).outcome {
            trial::Tried::Clean { value, .. } => String::from_utf8(value.unwrap()).unwrap(),
            trial::Tried::Withheld(reason) => reason.name().to_owned(),
        };
        assert_eq!(got, wanted);
    }
}

#[test]
fn a_rule_that_is_not_for_this_record_is_told() {
    let policy = "tenant: acme\nversion: 1\nrules:\n  \
                  - {fields: user, do: drop, when: {event: login}}\n  - {fields: user, do: mask}\n";
    let shown = explain(policy, r#"{"event":"view","user":"Jo"}"#).to_string();
    assert!(shown.contains("passed by: rule 1 drop names it too (`user`, line 4)"), "{shown}");
    let shown = explain(policy, r#"{"event":"login","user":"Jo"}"#).to_string();
    assert!(shown.contains("user  rule 1 drop (`user`, line 4)\n  - \"Jo\"\n"), "{shown}");
}

/// Nor is one told to come too late, or to nearly name something, that is not for this record.
#[test]
fn what_is_not_for_this_record_is_not_late_and_not_near() {
    let policy = "tenant: acme\nversion: 1\nrules:\n  \
                  - {fields: user.name, do: mask}\n  \
                  - {fields: user, do: drop, when: {event: {is: login, exists: true}}}\n  \
                  - {fields: emial, do: drop, when: {event: {is: login, exists: true}}}\n";
    let told = |event: &str| {
        let event = format!(r#"{{"event":"{event}","user":{{"name":"Jo"}},"email":"x"}}"#);
        let shown = explain(policy, &event).to_string();
        (shown.contains("too late: rule 2"), shown.contains("nearly: rule 3"))
    };
    assert_eq!(told("view"), (false, false));
    assert_eq!(told("login"), (true, true));
}

/// A key that is JSON is told value by value, by the paths that its rules have.
#[test]
fn a_key_that_is_json_is_told_by_its_fields() {
    let policy = "tenant: acme\nversion: 1\nrules:\n  \
                  - {fields: $key.note, inside: json}\n  \
                  - {fields: [$key.user.mail, mail, $key.usr], do: drop}\n  \
                  - {fields: $key.names, rename_keys: mask}\n  \
                  - {fields: $key.note.id, do: mask}\n";
    let key = br#"{"user":{"mail":"a","id":7},"names":{"jo":1},"note":"{\"id\":\"x\"}"}"#;
    let explainer = Explainer::new(compiled(&Source::new("p.yaml", policy)), Limits::default());
    let record = Record { key: Some(Raw::new(key)), ..record(br#"{"mail":"b"}"#) };
    let explained = explainer.explain(&record);
    let told: Vec<(&str, bool, &Fate)> =
        explained.values.iter().map(|value| (&*value.path, value.name, &value.fate)).collect();
    let replaced = |text: &str| Fate::Replaced(text.as_bytes().to_vec());
    assert_eq!(
        told,
        [
            ("$key.user.mail", false, &Fate::Dropped),
            ("$key.user.id", false, &Fate::Kept),
            ("$key.names.jo", true, &replaced("\"**\"")),
            ("$key.names.jo", false, &Fate::Kept),
            ("$key.note.id", false, &replaced("\"*\"")),
            ("mail", false, &Fate::Dropped),
        ]
    );
    let shown = explained.to_string();
    assert!(shown.contains("rule 2 drop (`$key.user.mail`, line 5)"), "{shown}");
    assert!(shown.contains("`$key.usr` (rule 2 drop, line 5)"), "{shown}");
    let record = Record { key: Some(Raw::new(b"jo")), ..record };
    let shown = explainer.explain(&record).to_string();
    assert!(
        shown.ends_with("withheld: malformed, its key: it is no JSON at line 1, column 1\n"),
        "{shown}"
    );
}

/// A time of which nobody knows whose it is, is told to be one, and not a value of another kind alone.
#[test]
fn a_time_without_its_subject_is_told() {
    let policy = "tenant: acme\nversion: 1\nkey: acme\nrules:\n  \
                  - {fields: at, do: date, shift_days: 30, shift_by: user.id}\n  \
                  - {fields: day, do: date}\n";
    let told = |event: &str| explain(policy, event).to_string();
    let without = "at  rule 1 date (`at`, line 5), a value of another kind, or without its subject: \
                   mismatch\n";
    assert!(told(r#"{"at":"2026-11-24"}"#).starts_with(without));
    let known = told(r#"{"at":"2026-11-24","user":{"id":7}}"#);
    assert!(known.starts_with("at  rule 1 date (`at`, line 5)\n"), "{known}");
    let other = told(r#"{"day":"n/a"}"#);
    assert!(
        other.starts_with("day  rule 2 date (`day`, line 6), a value of another kind: mismatch\n")
    );
}
