//! The engine's promise: in steady state, cleaning a record allocates nothing. Its own test binary,
//! as an allocator that counts is one for all of a process.

use limpid::document::{Faults, Source};
use limpid::engine::{Batch, Engine, FieldPath, Limits, Route, TenantSource};
use limpid::keys::{Keyring, Secret};
use limpid::policy::{self, Policies};
use limpid::record::{Raw, Record};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the allocations of each thread, so that the test runner's own do not count.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread on its way out has no counter any more, and no test either.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[allow(unsafe_code, reason = "an allocator is the one way to see allocations")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps alloc's contract, which is the same here.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from `System`, and the caller keeps realloc's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLICY: &str = r#"
tenant: acme
version: 1
key: acme
epoch: 30d
rules:
  - fields: [$key, id, "$header.user"]
    do: pseudonymize
    prefix: u_
  - fields: ["ips[*]", ip]
    do: truncate_ip
  - fields: ["**.mail"]
    do: drop
  - fields: [name, phone]
    do: mask
    keep_first: 1
  - fields: [url]
    do: strip_query
    keep: [a, b]
  - fields: [lat, lon]
    do: round
    digits: 1
  - fields: [notes, "$header.*"]
    do: redact
  - fields: mails
    do: pseudonymize
    as: email
  - fields: phones
    do: pseudonymize
    as: phone
    country: "49"
  - fields: peers
    do: pseudonymize
    as: ip
  - fields: constant
    do: set
    to: "é\""
  - fields: cards
    do: mask
    keep_separators: true
    keep_last: 4
  - fields: ages
    do: bucket
    edges: [18, 65]
  - fields: sealed.a
    do: encrypt_ip
  - fields: sealed.b
    do: encrypt_ip
    mode: prefix
  - fields: sealed.c
    do: encrypt_ip
    mode: nd
  - fields: sealed.d
    do: encrypt_ip
    mode: ndx
  - fields: sealed.e
    do: encrypt_digits
    luhn: true
  - fields: sealed.f
    do: tokenize
  - fields: more.address
    do: email
    local: hash
  - fields: more.url
    do: url
    path: first
    query: names
  - fields: more.ua
    do: user_agent
  - fields: more.at
    do: date
    epoch: ms
    shift_days: 30
  - fields: more.seen
    do: date
    shift_days: 30
    shift_by: id
  - fields: more.place
    do: geo
    grid_metres: 1000
  - fields: sums
    do: bucket
    size: 100
  - fields: people
    rename_keys: pseudonymize
  - fields: old
    do: rename
    to: new
  - fields: [payload, payload.inner]
    inside: json
  - fields: "**.user"
    do: pseudonymize
"#;

/// The same for a key that is JSON.
const KEYED: &str = r#"
tenant: keyed
version: 1
key: acme
epoch: 30d
rules:
  - fields: [$key.user.id, id]
    do: pseudonymize
    prefix: u_
  - fields: $key.ip
    do: truncate_ip
  - fields: at
    do: date
    shift_days: 30
    shift_by: $key.user.id
  - fields: $key.user.mail
    do: drop
    when: {$key.kind: person}
"#;

/// Records with every transform, escapes, mismatches, and faults.
const VALUES: [&str; 12] = [
    r#"{"tenant":"acme","id":42,"ip":"1.2.3.4","ips":["::1, 10.1.2.3:80","[2001:DB8::1%e]:1"]}"#,
    r#"{"tenant":"acme","\u0069d":"\u00e9\ud83d\ude00","x":{"ma\u0069l":["a",{"b":1.0}]}}"#,
    r#"{"tenant":"acme","url":"https:\/\/u:p@h\/p?a=1&c=2;b=3#f","name":"J\u00fcrgen","phone":491}"#,
    r#"{"tenant":"acme","lat":52.52437,"lon":"-13.4e0","id":1.5e-300,"id":12.50,"id":1e400}"#,
    r#"{"tenant":"acme","ip":"n/a","url":1,"lat":"far","id":true,"notes":{"a":[1,2,{"b":null}]}}"#,
    r#"{"tenant":"acme","mails":["Jane+x\u0040X.EXAMPLE","n/a"],"phones":["+49 (0)170/1234567",5]}"#,
    r#"{"tenant":"acme","peers":["[::1]:80"],"constant":{"a":1},"cards":"4111-1111 \u00e9","ages":[7,"x"],"sums":-1.5e3,"people":{"jo":1,"\u00e9":{}},"old":null,"payload":["{\"user\":\"jo\",\"inner\":\"{\\\"user\\\":1}\"}","n\/a"]}"#,
    r#"{"tenant":"acme","sealed":{"a":["1.2.3.4:1","::1"],"b":["1.2.3.4","::2"],"c":"::1","d":"::1","e":[4111111111111111,"12"],"f":[42,"\u00e9"]}}"#,
    r#"{"tenant":"acme","more":{"address":["j@x.example","\u00e9@x"],"url":"https:\/\/h\/a\/b?c=1#d","ua":"curl/8.1","at":["2026-11-24T22:05:23Z",1795557923517],"seen":"2026-11-24","place":["52.5,13.4",7]},"id":4.250e1}"#,
    r#"[{"tenant":"acme","name":""},{"tenant":"acme","mail":null}]"#,
    r#"{"tenant":"acme","id":"cut off"#,
    r#"{"tenant":"nobody"}"#,
];

fn policies(text: &str) -> Policies {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new(*b"a secret that keeps no secret :)"));
    let mut faults = Faults::default();
    let policy = policy::compile(&Source::new("p.yaml", text), Some(&keyring), &mut faults);
    let policy = policy.unwrap_or_else(|| panic!("{faults}"));
    Policies::new(vec![policy.plan]).expect("one tenant")
}

type OwnHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Cleans every value a few times over, as one batch; gives the allocations that it took.
fn one_batch(
    engine: &mut Engine,
    policies: &Policies,
    route: &Route,
    headers: &OwnHeaders,
    keys: &[&str],
    batch: &mut Batch,
) -> u64 {
    batch.clear();
    let before = COUNT.get();
    let records = (0..200).map(|offset| {
        let number = usize::try_from(offset).expect("small");
        let (value, key) = (VALUES[number % VALUES.len()], keys[number % keys.len()]);
        let record = Record {
            topic: "raw",
            partition: 0,
            offset,
            // Two epochs, in runs.
            timestamp_ms: Some(1_790_000_000_000 + offset / 100 * 30 * 86_400_000),
            key: Some(Raw::new(key.as_bytes())),
            value: Some(Raw::new(value.as_bytes())),
            headers,
        };
        (route, record)
    });
    engine.clean_all(policies, records, batch);
    batch.complete();
    COUNT.get() - before
}

/// Two epochs a batch mean that each batch derives two keys; that alone allocates.
#[test]
fn a_record_in_steady_state_allocates_nothing() {
    let policies = policies(POLICY);
    let field = FieldPath::new(&["tenant".into()]);
    let route = Route { index: 0, tenant: TenantSource::Field(field), default_tenant: None };
    let header = |name: &str| (name.as_bytes().to_vec(), Some(b"jane@x.example".to_vec()));
    let headers = vec![header("user"), header("agent")];
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let warm: u64 = (0..3)
        .map(|_| one_batch(&mut engine, &policies, &route, &headers, &["jane"], &mut batch))
        .sum();
    assert!(warm > 0, "the counter counts");
    let steady = one_batch(&mut engine, &policies, &route, &headers, &["jane"], &mut batch);
    let (rows, plan) = (&batch.tally().routes[0], batch.tally().plans().next());
    let rules = plan.expect("it had records").rules;
    assert_eq!((rows.records_in, rows.records_out), (200, 168));
    assert!(rules.iter().all(|rule| rule.hits > 0), "every rule has work: {rules:?}");
    assert!(steady <= 2, "{steady} allocations for 200 records");
}

#[test]
fn nor_does_a_key_that_is_json() {
    const KEYS: [&str; 4] = [
        r#"{"kind":"person","user":{"id":"7","mail":"a\u0040b"},"ip":"10.1.2.3"}"#,
        r#"{"user":{"id":"\u00e9"},"user":{"id":1e2},"ip":["::1","n/a"]}"#,
        r#"{"kind":"company"}"#,
        "jane",
    ];
    let policies = policies(KEYED);
    let tenant = TenantSource::Fixed("keyed".into());
    let route = Route { index: 0, tenant, default_tenant: None };
    let (headers, mut engine, mut batch) =
        (Vec::new(), Engine::new(Limits::default()), Batch::default());
    let mut once = || {
        let count = one_batch(&mut engine, &policies, &route, &headers, &KEYS, &mut batch);
        (count, batch.tally().routes[0].records_out)
    };
    for _ in 0..3 {
        once();
    }
    let (steady, out) = once();
    assert!(out > 100, "{out} records are clean");
    assert!(steady <= 2, "{steady} allocations for 200 records");
}
