//! Canaries: a word planted wherever a record can carry one, then searched in all that leaves
//! limpid: clean records, the quarantine, metrics, the log, errors, and the Debug and Display of
//! every public type that has been near a record. It may appear nowhere.
//!
//! The word is also searched in the guises that it could leave in: escaped, encoded, as a list of
//! byte numbers. And a plan without rules must be caught leaking, or the search would prove
//! nothing.

use data_encoding::{BASE64, HEXLOWER};
use limpid::document::{Faults, Source};
use limpid::engine::{
    Batch, CleanHeaders, Engine, FieldPath, Limits, Outcome, Route, TenantSource,
};
use limpid::error::Reason;
use limpid::format::json::Scratch;
use limpid::keys::{Keyring, PrivateKey, PublicKey, Secret};
use limpid::policy::{self, Policies};
use limpid::quarantine::{Opener, Sealer};
use limpid::record::{Headers, Raw, Record};
use limpid::telemetry::Metrics;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The word. No part of limpid says it.
const CANARY: &str = "zaunkoenig";
/// The word as a number.
const CANARY_NUMBER: &str = "4917263548109";
/// The word as addresses.
const CANARY_V4: &str = "203.113.177.241";
const CANARY_V6: &str = "2001:db8:4a7b:9c1d:e5f2:83a6:b0c4:1d2e";

/// Takes out what names a person, keeps the rest.
const DENY: &str = r#"
tenant: acme
version: 1
key: acme
rules:
  - fields: [user.email, "**.secret", "$header.mail"]
    do: drop
  - fields: "**.client"
    do: truncate_ip
  - fields: [by_mail, notes, "tags[*]"]
    do: redact
  - fields: visits
    do: drop
  - fields: people
    rename_keys: pseudonymize
  - fields: people.*.note
    do: drop
  - fields: by_name
    rename_keys: mask
  - fields: [payload, payload.inner, "logs[*]"]
    inside: json
  - fields: [payload.name, payload.inner.name, "logs.**"]
    do: redact
  - fields: [$key, user.id, "$header.user"]
    do: pseudonymize
  - fields: [user.name, phone]
    do: mask
  - fields: [url, referrer]
    do: strip_query
  - fields: [ip, "hops[*]"]
    do: truncate_ip
  - fields: [score, count]
    do: round
  - fields: ["$header.*"]
    do: redact
"#;

/// Keeps what names nobody, takes out the rest.
const ALLOW: &str = r#"
tenant: globex
version: 1
key: acme
unlisted: drop
rules:
  - fields: [event, "**.kind"]
    do: keep
  - fields: [user]
    do: pseudonymize
"#;

/// Withholds what is of another kind.
const STRICT: &str = r#"
tenant: initech
version: 1
rules:
  - fields: [ip]
    do: truncate_ip
    mismatch: quarantine
"#;

/// Every transform that the other policies do without, each in a field of its own.
const FORMS: &str = r#"
tenant: hooli
version: 1
key: acme
epoch: 30d
rules:
  - {fields: $key, do: pseudonymize}
  - {fields: f_set, do: set, to: gone}
  - {fields: f_kind, do: redact, keep_kind: true}
  - {fields: f_mask, do: mask, keep_last: 2, keep_separators: true}
  - {fields: f_mail_id, do: pseudonymize, as: email}
  - {fields: f_phone_id, do: pseudonymize, as: phone, country: "49"}
  - {fields: f_ip_id, do: pseudonymize, as: ip}
  - {fields: f_det, do: encrypt_ip}
  - {fields: f_prefix, do: encrypt_ip, mode: prefix}
  - {fields: f_cryptopan, do: encrypt_ip, mode: cryptopan}
  - {fields: f_nd, do: encrypt_ip, mode: nd}
  - {fields: f_ndx, do: encrypt_ip, mode: ndx}
  - {fields: f_digits, do: encrypt_digits}
  - {fields: f_luhn, do: encrypt_digits, keep_first: 2, luhn: true}
  - {fields: f_token, do: tokenize}
  - {fields: f_mail, do: email}
  - {fields: f_domain, do: email, local: drop}
  - {fields: f_mail_hash, do: email, local: hash}
  - {fields: f_url, do: url, path: drop}
  - {fields: f_agent, do: user_agent}
  - {fields: f_day, do: date}
  - {fields: f_month, do: date, to: month, epoch: ms}
  - {fields: f_moved, do: date, to: month, shift_days: 30, epoch: ms}
  - {fields: f_by, do: date, to: second, shift_days: 30, shift_by: f_by, epoch: ms}
  - {fields: f_place, do: geo, grid_metres: 1000}
  - {fields: f_lat, do: geo, grid_metres: 1000, of: lat}
  - {fields: f_size, do: bucket, size: 1000000}
  - {fields: f_edges, do: bucket, edges: [0, 18, 65]}
"#;

/// Takes the key for JSON.
const KEYED: &str = r#"
tenant: piper
version: 1
key: acme
unlisted: drop
rules:
  - fields: [$key.kind, "$key.names.*.n"]
    do: keep
  - fields: "$key.**.id"
    do: pseudonymize
  - fields: $key.names
    rename_keys: pseudonymize
  - fields: $key.text
    inside: json
  - fields: event
    do: keep
"#;

/// A policy that leaks everything.
const LEAKY: &str = "tenant: acme\nversion: 1\nrules: []\n";

fn policies(texts: &[&str]) -> Policies {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new(*b"not the canary, but a secret too"));
    let compiled = texts.iter().map(|text| {
        let mut faults = Faults::default();
        let policy = policy::compile(&Source::new("p.yaml", *text), Some(&keyring), &mut faults);
        policy.unwrap_or_else(|| panic!("{faults}")).plan
    });
    Policies::new(compiled.collect()).expect("distinct tenants")
}

/// The canary, spelled in the ways that JSON has for it.
fn spellings() -> [String; 4] {
    let units = || CANARY.chars().map(u32::from);
    [
        CANARY.to_owned(),
        units().map(|unit| format!("\\u{unit:04x}")).collect(),
        units().map(|unit| format!("\\u{unit:04X}")).collect(),
        CANARY.replacen('z', "\\u007a", 1),
    ]
}

struct Planted {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Planted {
    fn new(tenant: &str, value: impl Into<Vec<u8>>) -> Self {
        let header =
            |name: &str, value: &str| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        let personal = match tenant {
            "acme" => vec![
                header("user", CANARY),
                header("mail", CANARY),
                header("x-forwarded", CANARY),
                (b"cookie".to_vec(), Some([b"\xff", CANARY.as_bytes()].concat())),
            ],
            "globex" => vec![header("user", CANARY)],
            _ => vec![],
        };
        let mut headers = vec![header("tenant", tenant)];
        headers.extend(personal);
        let key = (tenant != "initech").then(|| format!("{CANARY}-1").into_bytes());
        Self { key, value: value.into(), headers }
    }

    fn record(&self, offset: i64) -> Record<'_> {
        Record {
            topic: "raw.web",
            partition: 0,
            offset,
            timestamp_ms: Some(1_790_000_000_000),
            key: self.key.as_deref().map(Raw::new),
            value: Some(Raw::new(&self.value)),
            headers: &self.headers,
        }
    }
}

/// Records with the canary wherever the policies promise to remove it, or that nobody can clean.
fn planted() -> Vec<Planted> {
    let mut all = Vec::new();
    for canary in spellings() {
        clean_ones(&canary, &mut all);
        formed_ones(&canary, &mut all);
        broken_ones(&canary, &mut all);
    }
    all
}

fn clean_ones(c: &str, all: &mut Vec<Planted>) {
    let n = CANARY_NUMBER;
    for value in [
        format!(r#"{{"user":{{"id":"{c}","email":"{c}","name":"{c}"}},"event":"click"}}"#),
        format!(r#"{{"\u0075ser":{{"\u0069d":"{c}","ema\u0069l":"{c}","name":"{c}"}}}}"#),
        format!(r#"{{"user":[{{"id":["{c}"]}},{{"email":[["{c}"]]}}],"user":{{"id":{n}}}}}"#),
        format!(r#"{{"user":{{"email":{{"{c}":["{c}"]}}}},"a":{{"b":[{{"secret":"{c}"}}]}}}}"#),
        format!(r#"{{"by_mail":{{"{c}@x.example":1,"{c}":{{}}}},"notes":["{c}",{{"{c}":1}}]}}"#),
        format!(
            r#"{{"by_mail":{{"{c}":{{"secret":1,"a":[{{"{c}":2}}]}}}},"notes":{{"{c}":{{}}}}}}"#
        ),
        format!(r#"{{"visits":{{"de":{{"client":"{c}"}}}},"visits":{{"{c}":{{"at":1}},"x":2}}}}"#),
        format!(
            r#"{{"peer":{{"client":"{c}"}},"visits":{{"de":{{"client":"1.2.3.4","{c}":1}},"{c}":[[{{}}]]}}}}"#
        ),
        format!(r#"{{"url":"https://{c}:{c}@x.example/p?q={c}#{c}","referrer":"mailto:{c}"}}"#),
        format!(r#"{{"url":"http:\/\\{c}@x/?{c}","referrer":"//{c}@x?a={c}","url":"/?{c}"}}"#),
        format!(r#"{{"url":"{c}@x.example","referrer":["tel:{n}", "\u0009//{c}@x"]}}"#),
        format!(r#"{{"ip":"{c}","hops":["1.2.3.4, {c}","::1%{c}","[::1]:{c}","1.2.3.4:{c}"]}}"#),
        format!(r#"{{"hops":"{c}","tags":"{c}","score":"{c}","count":true,"tags":["{c}",{n}]}}"#),
        format!(r#"{{"phone":"{c}","phone":{n},"user":{{"name":{n}}}}}"#),
        format!(r#"[{{"notes":"{c}"}},{{"phone":{n}}}]"#),
        format!(r#"{{"people":{{"{c}":{{"note":"{c}"}},"{n}":[],"\"{c}\u0001":{{"n":1}}}}}}"#),
        format!(r#"{{"payload":"{{\"name\":\"{c}\",\"ip\":1,\"a\":{{\"secret\":\"{c}\"}}}}"}}"#),
        format!(r#"{{"payload":["{c}","{{\"name\":\"{c}","[]{c}"],"logs":"{{\"k\":{n}}}"}}"#),
        format!(r#"{{"payload":"{{\"inner\":\"{{\\\"name\\\":\\\"{c}\\\"}}\"}}"}}"#),
        format!(r#"{{"payload":"{{\"inner\":\"{c}\"}}","user":{{"email":"{{\"{c}\":1}}"}}}}"#),
        format!(r#"[{{"people":[{{"{c}":1}},{{"{c}":2}}],"by_name":{{"{c}":{{}}, "x":1}}}}]"#),
        format!(r#"{{"by_name":{{"{c}":1,"{n}":2}},"p\u0065ople":{{"{c}":1,"{c}":2}}}}"#),
    ] {
        all.push(Planted::new("acme", value));
    }
    for value in [
        format!(r#"{{"event":"click","{c}":1,"x":"{c}","y":["{c}",{{"{c}":{n}}}],"z":{n}}}"#),
        format!(r#"{{"context":{{"kind":1,"{c}":"{c}"}},"user":["{c}",{n},{{"id":"{c}"}}]}}"#),
        format!(r#"{{ "{c}" : 1 , "event":"click" , "contex\u0074":{{"{c}":2}} }}"#),
    ] {
        all.push(Planted::new("globex", value));
    }
}

/// The canary dressed as what each transform knows, and as what it does not, in every field of [`FORMS`].
fn formed_ones(c: &str, all: &mut Vec<Planted>) {
    let (n, v4, v6) = (CANARY_NUMBER, CANARY_V4, CANARY_V6);
    let dressed = [
        format!("\"{c}\""),
        n.to_owned(),
        format!("\"{n}\""),
        format!("\"{c}@x.example\""),
        format!("\"https://{c}:{c}@x.example/{c}/p?q={c}#{c}\""),
        format!("\"/{c}?{c}\""),
        format!("\"Mozilla/5.0 ({c}) Firefox/{n} {c}/1\""),
        format!("\"2026-11-25T01:02:03.{n}+01:00\""),
        format!("\"52.{n}, 13.{n}\""),
        format!("17.{n}"),
        format!("\"{v4}\""),
        format!("\"[{v6}]:443, ::ffff:{v4},{v4}:80\""),
        format!("\"{v6}%{c}\""),
        format!("\"+49 {n}\""),
        format!("{{\"a\":[\"{c}\",{n},\"{v4}\"]}}"),
    ];
    for key in [
        format!(r#"{{"kind":"user","user":{{"id":"{c}","name":"{c}"}},"{c}":"{c}"}}"#),
        format!(
            r#"{{"kind":1,"us\u0065r":[{{"id":["{c}",{n}]}}],"names":{{"{c}":{{"n":1}},"{c}":2}}}}"#
        ),
        format!(r#"{{"text":"{{\"id\":\"{c}\",\"{c}\":{n}}}","text":"{c}","id":{{"id":{n}}}}}"#),
        format!(r#"[{{"kind":2,"id":"{c}"}},{{"{c}":{{"{c}":"{c}"}}}}]"#),
        format!(r#"{{"kind":"{c}"#),
        format!(r#"{{"kind":1}} {c}"#),
        format!("\"{c}\""),
        c.to_owned(),
    ] {
        let key = Some(key.into_bytes());
        all.push(Planted { key, ..Planted::new("piper", r#"{"event":"click"}"#) });
    }
    let fields = FORMS.split("fields: ").filter(|rule| rule.starts_with("f_"));
    for field in fields.filter_map(|rule| rule.split(',').next()) {
        let values = dressed.iter().map(|value| format!("{{\"{field}\":{value}}}"));
        all.extend(values.map(|value| Planted::new("hooli", value)));
    }
}

fn broken_ones(c: &str, all: &mut Vec<Planted>) {
    for value in [
        format!(r#"{{"user":{{"id":"{c}"#),
        format!(r#"{{"{c}":"{c}","#),
        format!(r#"{{"a":"{c}\ud800"}}"#),
        format!("{{\"a\":\"{c}\n\"}}"),
        format!(r#"{{"a":"{c}"}} {c}"#),
        format!(r#""{c}""#),
        format!(r#"["{c}"]"#),
        format!(r#"{{"a":{}"{c}"{}}}"#, "[".repeat(200), "]".repeat(200)),
        c.to_owned(),
    ] {
        all.push(Planted::new("acme", value));
    }
    let mut not_utf8 = format!(r#"{{"a":"{c}"#).into_bytes();
    not_utf8.extend(b"\xff\"}");
    all.push(Planted::new("acme", not_utf8));
    all.push(Planted::new("initech", format!(r#"{{"ip":"{c}"}}"#)));
    // A tenant that no policy knows is the record's own content.
    all.push(Planted::new(CANARY, format!(r#"{{"a":"{c}"}}"#)));
}

/// All that left limpid on the way of the records.
#[derive(Default)]
struct Left {
    /// Clean values, keys and headers.
    clean: Vec<u8>,
    /// Payloads and headers of the quarantine.
    quarantine: Vec<u8>,
    /// What limpid tells about it.
    told: String,
    withheld: usize,
}

impl Left {
    /// What shows the canary, in whatever guise.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for record in self.clean.split(|byte| *byte == b'\n') {
            if shows_canary(record).is_some() {
                leaks.push(format!("clean: {}", String::from_utf8_lossy(record)));
            }
        }
        for (place, bytes) in [("quarantine", &self.quarantine[..]), ("told", self.told.as_bytes())]
        {
            leaks.extend(shows_canary(bytes).map(|guise| format!("{place}: {guise}")));
        }
        leaks
    }
}

/// The guise in which the canary shows in `bytes`.
fn shows_canary(bytes: &[u8]) -> Option<String> {
    let text = unescaped(&String::from_utf8_lossy(bytes)).to_lowercase();
    let words = [CANARY, CANARY_NUMBER, CANARY_V4, CANARY_V6];
    let guises = words.into_iter().flat_map(guises);
    guises.into_iter().find(|guise| text.contains(guise))
}

/// The ways in which a word may be dressed, in lower case.
fn guises(word: &str) -> Vec<String> {
    let mut guises = vec![word.to_owned(), HEXLOWER.encode(word.as_bytes())];
    guises.push(word.chars().rev().collect());
    guises.push(word.bytes().map(|byte| format!("%{byte:02x}")).collect());
    let numbers: Vec<String> = word.bytes().map(|byte| byte.to_string()).collect();
    guises.push(numbers.join(", "));
    guises.push(numbers.join(","));
    // Base64 of the word at each of the three places that it can have in a longer text, without
    // the characters that its neighbours have a part in.
    for before in 0..3 {
        let padded = [&[0; 2][..before], word.as_bytes()].concat();
        let code = BASE64.encode(&padded);
        let from = [0, 2, 3][before];
        let to = padded.len() * 8 / 6;
        guises.push(code[from..to].to_lowercase());
    }
    guises
}

/// `\uXXXX` undone, for characters of ASCII: enough to find the canary.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..4).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) if code.is_ascii() => {
                out.push(char::from(code));
                out.push_str(&part[4..]);
            }
            _ => {
                out.push_str("\\u");
                out.push_str(part);
            }
        }
    }
    out
}

/// Sends the records through engine, quarantine and telemetry, as a lane does.
fn run(policies: &Policies, tenant: TenantSource, quarantine: Option<&PublicKey>) -> Left {
    let log = Log::default();
    let logged = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || logged.clone())
        .finish();
    let mut left = tracing::subscriber::with_default(subscriber, || {
        let mut left = Left::default();
        let route = Route { index: 0, tenant, default_tenant: None };
        through_the_engine(policies, &route, quarantine, &mut left);
        left
    });
    left.told.push_str(&String::from_utf8_lossy(&log.0.lock().expect("one thread")));
    left
}

fn through_the_engine(
    policies: &Policies,
    route: &Route,
    quarantine: Option<&PublicKey>,
    left: &mut Left,
) {
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let mut sealer = Sealer::new(quarantine);
    let planted = planted();
    for (offset, planted) in (0..).zip(&planted) {
        engine.clean(policies, route, &planted.record(offset), &mut batch);
    }
    batch.complete();
    for (index, planted) in planted.iter().enumerate() {
        let record = planted.record(0);
        let outcome = batch.outcome(index, &record, policies);
        write!(left.told, "{record:?} {:?} {outcome:?} ", record.value).expect("a string");
        match outcome {
            Outcome::Clean(clean) => {
                left.clean.extend(clean.value().unwrap_or_default());
                left.clean.extend(clean.key().unwrap_or_default());
                let edited = clean.headers();
                let edited: &dyn Headers = match &edited {
                    CleanHeaders::Same => record.headers,
                    CleanHeaders::Edited(edited) => edited,
                };
                for index in 0..edited.count() {
                    let (name, value) = edited.get(index).expect("as many as counted");
                    left.clean.extend(name);
                    left.clean.extend(value.map_or(&[][..], Raw::expose));
                }
                left.clean.push(b'\n');
            }
            Outcome::Withheld(withheld) => {
                left.withheld += 1;
                let sealed = sealer.seal("web", &record, &withheld);
                left.quarantine.extend(sealed.payload().unwrap_or_default());
                for (name, value) in sealed.headers() {
                    writeln!(left.quarantine, "{name}: {value}").expect("a vector");
                }
                write!(left.told, "{sealed:?} {} ", withheld.reason).expect("a string");
            }
        }
    }
    let metrics = Metrics::new(&["web".to_owned()]);
    metrics.policies(policies);
    metrics.records(policies, batch.tally());
    write!(left.told, "{} {:?} {policies:?} {route:?}", metrics.render(), batch.tally())
        .expect("a string");
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn by_header() -> TenantSource {
    TenantSource::Header(b"tenant".as_slice().into())
}

fn no_leaks() -> Vec<String> {
    Vec::new()
}

#[test]
fn no_canary_leaves() {
    let policies = policies(&[DENY, ALLOW, STRICT, FORMS, KEYED]);
    let key = PrivateKey::generate().expect("randomness").public();
    for quarantine in [Some(&key), None] {
        let left = run(&policies, by_header(), quarantine);
        assert_eq!(left.leaks(), no_leaks());
        assert!(left.clean.windows(5).any(|bytes| bytes == b"click"), "some came through");
        assert_eq!(left.withheld, 16 * spellings().len(), "the broken ones are withheld");
    }
}

/// The tenant's name is looked for in the key and in the value: unknown there, it is content.
#[test]
fn no_canary_leaves_as_the_name_of_a_tenant() {
    let policies = policies(&[DENY, ALLOW, STRICT, FORMS]);
    let field = FieldPath::new(&["user".into(), "name".into()]);
    for tenant in [TenantSource::Key, TenantSource::Field(field), TenantSource::Nowhere] {
        let left = run(&policies, tenant, None);
        assert_eq!(left.leaks(), no_leaks());
        assert_eq!(left.withheld, planted().len(), "all are withheld");
        assert!(left.clean.is_empty());
    }
}

/// What the lane's pieces would print of themselves after such records.
#[test]
fn debug_of_what_was_near_a_record_is_silent() {
    let policies = policies(&[DENY]);
    let mut shown = String::new();
    let mut scratch = Scratch::default();
    let mut keep = Everything;
    for planted in planted() {
        let paths = &policies.plan(0).paths;
        let read = scratch.read(&planted.value, paths, 128, &mut keep);
        write!(shown, "{scratch:?} {read:?} ").expect("a string");
    }
    assert_eq!(shows_canary(shown.as_bytes()), None);
    let private = PrivateKey::generate().expect("randomness");
    let planted = Planted::new("acme", CANARY);
    let withheld = limpid::engine::Withheld { reason: Reason::Malformed, tenant: None };
    let mut sealer = Sealer::new(Some(&private.public()));
    let sealed = sealer.seal("web", &planted.record(0), &withheld);
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = sealed
        .headers()
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())))
        .collect();
    let opened = Opener::new(&private).open(&headers, sealed.payload()).expect("opens");
    assert_eq!(opened.value(), Some(CANARY.as_bytes()), "the canary is in there");
    assert_eq!(shows_canary(format!("{opened:?} {private:?} {withheld:?}").as_bytes()), None);
}

/// An editor that leaves everything.
struct Everything;

impl limpid::format::json::Editor for Everything {
    fn always(&self, _: limpid::format::paths::RuleId) -> Option<limpid::format::json::Edit> {
        None
    }
    fn did(&mut self, _: limpid::format::paths::RuleId, _: limpid::format::json::Edit) {}
    fn scalar(
        &mut self,
        _: limpid::format::paths::RuleId,
        _: limpid::format::Scalar<'_>,
        _: &mut limpid::format::Out<'_>,
    ) -> Result<limpid::format::json::Edit, Reason> {
        Ok(limpid::format::json::Edit::Keep)
    }
    fn container(
        &mut self,
        _: limpid::format::paths::RuleId,
        _: limpid::format::Container,
        _: &mut limpid::format::Out<'_>,
    ) -> Result<limpid::format::json::Edit, Reason> {
        Ok(limpid::format::json::Edit::Keep)
    }
}

/// `limpid filter` on the same records: what it cannot clean it leaves out, and says so in numbers.
#[test]
fn filter_lets_no_canary_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("acme.yaml");
    let keyring = folder.path().join("keys.yaml");
    std::fs::write(&policy, DENY).expect("written");
    let fresh = Command::new(env!("CARGO_BIN_EXE_limpid")).args(["keys", "new", "acme"]).output();
    std::fs::write(&keyring, fresh.expect("starts").stdout).expect("written");
    private(&keyring);
    let mut filter = Command::new(env!("CARGO_BIN_EXE_limpid"))
        .args(["filter", "--policy"])
        .arg(&policy)
        .arg("--keys")
        .arg(&keyring)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines: Vec<u8> = planted()
        .iter()
        .filter(|planted| planted.headers.len() > 2 && !planted.value.contains(&b'\n'))
        .flat_map(|planted| [&planted.value[..], b"\n"].concat())
        .collect();
    filter.stdin.take().expect("piped").write_all(&lines).expect("it reads");
    let output = filter.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("withheld (malformed"), "{told}");
    assert!(!output.stdout.is_empty());
    assert_eq!(shows_canary(&output.stdout), None);
    assert_eq!(shows_canary(&output.stderr), None);
}

fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

// That the search can fail:

#[test]
fn a_leaky_plan_is_caught() {
    let left = run(&policies(&[LEAKY]), by_header(), None);
    let leaks = left.leaks();
    assert!(leaks.len() > 40 && leaks.iter().all(|leak| leak.starts_with("clean")), "{leaks:?}");
}

#[test]
fn each_rule_of_the_policies_is_needed() {
    [DENY, FORMS].into_iter().for_each(each_rule_is_needed);
}

fn each_rule_is_needed(policy: &str) {
    let rules: Vec<&str> = policy.split("  - ").collect();
    let (head, rules) = rules.split_first().expect("a head and rules");
    for without in 0..rules.len() {
        let mut text = (*head).to_owned();
        for (_, rule) in rules.iter().enumerate().filter(|(index, _)| *index != without) {
            text.push_str("  - ");
            text.push_str(rule);
        }
        let left = run(&policies(&[&text]), by_header(), None);
        assert!(!left.leaks().is_empty(), "not missed: {}", rules[without]);
    }
}

#[test]
fn a_canary_is_found_in_every_guise() {
    for dressed in [
        format!("x{CANARY}x"),
        format!("x{}x", CANARY.to_uppercase()),
        spellings()[1].clone(),
        spellings()[3].clone(),
        format!("Raw({:?})", CANARY.as_bytes()),
        HEXLOWER.encode(CANARY.as_bytes()).to_uppercase(),
        BASE64.encode(format!("a{CANARY}b").as_bytes()),
        BASE64.encode(format!("ab{CANARY}").as_bytes()),
        BASE64.encode(format!("abc{CANARY}de").as_bytes()),
        format!("{{\"x\":{CANARY_NUMBER}.0}}"),
    ] {
        assert!(shows_canary(dressed.as_bytes()).is_some(), "{dressed}");
    }
    assert_eq!(shows_canary(b"nothing here"), None);
}
