//! How long do policies take to load, and how long one that changed?
//!
//! ```text
//! cargo bench --bench reload [-- POLICIES]
//! ```
//!
//! Writes a folder of POLICIES (10,000) policies with ten rules, a test and a key each, half of them
//! alike and half different, and a keyring with a secret for each. Loads it, then changes one policy
//! after the other and reloads, and checks each time that it was compiled alone and is in force.
//! Beside the time stands the process' CPU time: on a machine that does other work too, it says more.
//!
//! Then a thread cleans records of a hundred of the tenants, batch by batch as a lane does, while now and
//! then a policy changes and is reloaded: how many records are cleaned in each tenth of a second, with a
//! reload in it and without? The thread's own CPU time tells what the swap costs it (new plans, keys
//! derived anew, cold caches); the clock tells it together with what the machine does besides.

use limpid::document::Faults;
use limpid::engine::{Batch, Engine, Limits, Outcome, Route, TenantSource};
use limpid::keys::{Secret, SecretSource, keyring_entry};
use limpid::policy::Policies;
use limpid::record::{NO_HEADERS, Raw, Record};
use limpid::reload::{InForce, Library, Loaded};
use limpid::telemetry::Metrics;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const TURNS: usize = 21;

fn main() {
    let count = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(10_000);
    let dir = tempfile::tempdir().expect("a folder");
    let keyring = dir.path().join("keyring");
    write_keyring(&keyring, count);
    (0..count).for_each(|tenant| write_policy(dir.path(), tenant, 1));
    let mut library = Library::new(dir.path(), Some(SecretSource::File(keyring)));
    let metrics = Metrics::new(&[]);

    let mut load = |wanted: usize| {
        let (begin, cpu) = (Instant::now(), cpu_time());
        let mut faults = Faults::default();
        let loaded = library.load(&mut faults).unwrap_or_else(|| panic!("{faults}"));
        let policies = loaded.policies.as_ref().expect("a new set");
        metrics.policies(policies);
        let took = (begin.elapsed(), cpu_time() - cpu);
        assert_eq!((loaded.count, loaded.compiled), (count, wanted));
        (took, loaded)
    };
    let (first, _) = load(count);
    println!("{count} policies loaded in {} ms (CPU {} ms)", millis(first.0), millis(first.1));

    // Files that have just been written are read again once; see reload/library.rs.
    std::thread::sleep(Duration::from_secs(3));
    write_policy(dir.path(), 0, 2);
    load(1);
    let turns: Vec<(Duration, Duration)> = (0..TURNS)
        .map(|turn| {
            let tenant = turn * count / TURNS;
            write_policy(dir.path(), tenant, 3);
            let (took, loaded) = load(1);
            assert_eq!(version(&loaded, tenant), 3);
            took
        })
        .collect();
    println!(
        "one of them changed: reloaded in {} ms (CPU {} ms); medians of {TURNS}",
        millis(median(turns.iter().map(|turn| turn.0))),
        millis(median(turns.iter().map(|turn| turn.1))),
    );
    let in_force = InForce::new(load_one(&mut load, dir.path(), 0));
    while_cleaning(&in_force, |turn| {
        in_force.swap(load_one(&mut load, dir.path(), turn * count / TURNS));
    });
}

/// Changes a tenant's policy and loads it.
fn load_one(
    load: &mut impl FnMut(usize) -> ((Duration, Duration), Loaded),
    dir: &Path,
    tenant: usize,
) -> Arc<Policies> {
    static VERSION: AtomicU32 = AtomicU32::new(4);
    write_policy(dir, tenant, VERSION.fetch_add(1, Ordering::Relaxed));
    Arc::new(load(1).1.policies.expect("a new set"))
}

/// How long a window is.
const WINDOW: Duration = Duration::from_millis(100);
/// Records of a batch.
const BATCH: usize = 500;

/// What a lane's thread did in a window.
struct Window {
    begin: Instant,
    end: Instant,
    records: usize,
    cpu: Duration,
}

impl Window {
    fn by_clock(&self) -> f64 {
        self.records as f64 / (self.end - self.begin).as_secs_f64()
    }

    fn by_cpu(&self) -> f64 {
        self.records as f64 / self.cpu.as_secs_f64()
    }
}

/// Tells the pace of a thread that cleans, in windows with a reload and without.
fn while_cleaning(in_force: &InForce, mut reload: impl FnMut(usize)) {
    let ended = AtomicBool::new(false);
    let (windows, reloads) = std::thread::scope(|scope| {
        let lane = scope.spawn(|| clean_until(&ended, in_force));
        let reloads: Vec<(Instant, Instant)> = (0..TURNS)
            .map(|turn| {
                std::thread::sleep(4 * WINDOW);
                let begin = Instant::now();
                reload(turn);
                (begin, Instant::now())
            })
            .collect();
        // What the last reload costs comes after it.
        std::thread::sleep(4 * WINDOW);
        ended.store(true, Ordering::Relaxed);
        (lane.join().expect("it ends"), reloads)
    });
    // A window that begins within another's length after a swap has its cost, too.
    let meets = |window: &&Window| {
        reloads.iter().any(|(begin, end)| window.begin < *end + WINDOW && *begin < window.end)
    };
    let (with, without): (Vec<&Window>, Vec<&Window>) = windows.iter().partition(meets);
    let pace = |name: &str, windows: &[&Window]| {
        let (clock, cpu) = (paces(windows, Window::by_clock), paces(windows, Window::by_cpu));
        println!(
            "{name}: {} windows of 100 ms; {} (least {}) records a second, {} (least {}) by its CPU time",
            windows.len(),
            clock[clock.len() / 2],
            clock[0],
            cpu[cpu.len() / 2],
            cpu[0],
        );
    };
    pace("a lane that cleans, no reload ", &without);
    pace("a lane that cleans, a reload  ", &with);
}

/// In ascending order.
fn paces(windows: &[&Window], pace: impl Fn(&Window) -> f64) -> Vec<u64> {
    let mut paces: Vec<u64> = windows.iter().map(|window| pace(window) as u64).collect();
    paces.sort_unstable();
    paces
}

/// Cleans batches, each by the policies of its moment, until it has ended.
fn clean_until(ended: &AtomicBool, in_force: &InForce) -> Vec<Window> {
    let value = "{\"client_ip\":\"203.0.113.77\",\"forwarded\":[\"10.1.2.3\"],\"user\":{\"id\":42,\
                 \"email\":\"jane@x.example\",\"name\":\"Jane Doe\"},\"url\":\"https://x.example/a?b=c\",\
                 \"geo\":{\"lat\":52.52437,\"lon\":13.41053},\"items\":[{\"id\":7,\"note\":\"call her\"}],\
                 \"event\":\"click\",\"at\":\"2026-11-25T01:02:03Z\"}";
    let keys: Vec<String> = (0..100).map(|tenant| format!("t{tenant}")).collect();
    let records: Vec<Record<'_>> = keys.iter().map(|key| record(key, value)).collect();
    let route = Route { index: 0, tenant: TenantSource::Key, default_tenant: None };
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let mut windows = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let (begin, cpu, mut cleaned) = (Instant::now(), thread_time(), 0);
        while begin.elapsed() < WINDOW {
            let policies = in_force.current();
            batch.clear();
            for record in records.iter().cycle().take(BATCH) {
                engine.clean(&policies, &route, record, &mut batch);
            }
            batch.complete();
            let last = &records[(BATCH - 1) % records.len()];
            let outcome = batch.outcome(BATCH - 1, last, &policies);
            assert!(matches!(outcome, Outcome::Clean(_)), "{outcome:?}");
            cleaned += BATCH;
        }
        let (end, cpu) = (Instant::now(), thread_time() - cpu);
        windows.push(Window { begin, end, records: cleaned, cpu });
    }
    windows
}

fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
    Record {
        topic: "raw",
        partition: 0,
        offset: 0,
        timestamp_ms: Some(1_795_478_400_000),
        key: Some(Raw::new(key.as_bytes())),
        value: Some(Raw::new(value.as_bytes())),
        headers: NO_HEADERS,
    }
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn cpu_time() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

fn thread_time() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
}

fn clock(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or(0))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn version(loaded: &Loaded, tenant: usize) -> u64 {
    let policies: &Policies = loaded.policies.as_ref().expect("a new set");
    policies.plan(policies.slot(format!("t{tenant}")).expect("a tenant")).version
}

fn write_keyring(path: &Path, count: usize) {
    let mut text = String::new();
    for tenant in 0..count {
        let secret = Secret::generate().expect("randomness");
        text += &keyring_entry(&format!("t{tenant}"), &secret, "2026-11-24").expect("a name");
    }
    fs::write(path, text).expect("a keyring");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// As an editor does it: a new file, put in the old one's place.
fn write_policy(dir: &Path, tenant: usize, version: u32) {
    let own = if tenant.is_multiple_of(2) { String::new() } else { tenant.to_string() };
    let mut text = format!("tenant: t{tenant}\nversion: {version}\nkey: t{tenant}\nepoch: 30d\n");
    let _ = write!(
        text,
        "rules:\n\
         \x20 - {{fields: [client_ip, \"forwarded[*]\", context.ips{own}], do: truncate_ip}}\n\
         \x20 - {{fields: [user.id, $key], do: pseudonymize, prefix: u_}}\n\
         \x20 - {{fields: [user.email, user.phone, \"**.ssn{own}\"], do: drop}}\n\
         \x20 - {{fields: user.name, do: mask, keep_first: 1}}\n\
         \x20 - {{fields: [url, referrer], do: strip_query, keep: [utm_source]}}\n\
         \x20 - {{fields: [geo.lat, geo.lon], do: round, digits: 1}}\n\
         \x20 - {{fields: session.token{own}, do: redact}}\n\
         \x20 - {{fields: device.id, do: pseudonymize}}\n\
         \x20 - {{fields: \"items[*].note\", do: redact}}\n\
         \x20 - {{fields: debug, do: drop}}\n\
         tests:\n\
         \x20 - name: the mail address goes\n\
         \x20   in: {{user: {{id: \"42\", email: a@b.example, name: Ann}}}}\n\
         \x20   out: {{user: {{id: \"u_…\", name: \"A**\"}}}}\n"
    );
    let (new, old) = (dir.join("new"), dir.join(format!("t{tenant}.yaml")));
    fs::write(&new, text).expect("a policy");
    fs::rename(new, old).expect("a policy");
}
