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

use limpid::document::Faults;
use limpid::keys::{Secret, SecretSource, keyring_entry};
use limpid::policy::Policies;
use limpid::reload::{Library, Loaded};
use limpid::telemetry::Metrics;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
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
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or(0))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn version(loaded: &Loaded, tenant: usize) -> u64 {
    let policies: &Policies = loaded.policies.as_ref().expect("a new set");
    policies.plan(policies.slot(&format!("t{tenant}")).expect("a tenant")).version
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
