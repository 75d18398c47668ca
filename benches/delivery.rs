//! What do transactions cost? Throughput with and without them, and how long a record takes from
//! being produced to being read by a consumer of committed records, over a real Kafka.
//!
//! ```text
//! deploy/dev/kafka.sh up
//! LIMPID_KAFKA=127.0.0.1:29092 cargo bench --bench delivery -- \
//!     [--records N] [--turns N] [--seconds N] [--rate N] [--lanes N] [--more YAML] [--json FILE]
//! LIMPID_KAFKA=127.0.0.1:29092 cargo bench --bench delivery -- --reloads MS    # what does a reload cost?
//! ```
//! Throughput: the kinds of delivery in turns over the same records, which were produced before;
//! measured is the middle four fifths of each run, in records a second and in CPU seconds of the
//! process (the broker's not among them), which other work on the machine disturbs less. Delay: events
//! are produced at half of the median throughput of the same kind (or at `--rate` records a second).
//! The broker notes when it appends a raw record, and limpid keeps a record's time: so the delay is
//! from there until a reader of committed records has the clean one. Generator, limpid and reader
//! share one process, and the machine with the broker. `--turns 0` leaves throughput out,
//! `--seconds 0` delay; `--lanes` are as many as cores unless it says otherwise, `--more` is a line of
//! configuration for all kinds. `--reloads` measures another thing: the throughput while one of 10,000
//! policies changes and is reloaded every so many milliseconds, beside the throughput while none does.

use limpid::config::{self, Config};
use limpid::demo::events::Events;
use limpid::document::Faults;
use limpid::kafka::cluster::{Cluster, Feed};
use limpid::reload::{InForce, Start};
use limpid::run::{self, Stop};
use limpid::telemetry::{Health, Metrics};
use serde_json::{Value, json};
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tempfile::TempDir;

const PARTITIONS: i32 = 8;
const PATIENCE: Duration = Duration::from_secs(180);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What a delay's measurement begins with and does not count.
const WARM_UP: Duration = Duration::from_secs(3);
/// Transactions are to leave this share of the throughput without.
const SHARE: f64 = 0.97;
/// The delay that 99 of 100 records are to stay under.
const DELAY_MS: f64 = 150.0;

/// How many events differ.
const EVENTS: usize = 20_000;

/// Number of the last of [`KINDS`].
const THROUGHPUT: usize = 2;
/// Policies of which one is reloaded.
const POLICIES: usize = 10_000;

const KINDS: [(&str, &str); 3] = [
    ("at least once", "delivery: at_least_once"),
    ("exactly once, latency", "tuning: latency"),
    ("exactly once, throughput", "tuning: throughput"),
];

fn main() -> ExitCode {
    let (Some(brokers), Ok(options)) = (std::env::var("LIMPID_KAFKA").ok(), Options::parse())
    else {
        eprintln!("delivery: set LIMPID_KAFKA=host:port; see the head of benches/delivery.rs");
        return ExitCode::from(2);
    };
    let bench = Bench::new(brokers, &options);
    let mut figures = Vec::new();
    if let Some(every) = options.reloads {
        bench.reloads(every, &options);
        return ExitCode::SUCCESS;
    }
    let speeds = bench.throughput(&options, &mut figures);
    for (kind, speed) in (0..KINDS.len()).zip(speeds).skip(1).filter(|_| options.seconds > 0) {
        bench.delay(kind, options.rate.unwrap_or(speed / 2.0), &options, &mut figures);
    }
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", Value::from(figures))).expect("the figures are written");
    }
    ExitCode::SUCCESS
}

struct Options {
    records: u64,
    turns: usize,
    seconds: u64,
    rate: Option<f64>,
    lanes: usize,
    more: String,
    reloads: Option<Duration>,
    json: Option<String>,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Self {
            records: 1_000_000,
            turns: 5,
            seconds: 20,
            rate: None,
            lanes: thread::available_parallelism().map_or(1, usize::from),
            more: String::new(),
            reloads: None,
            json: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--bench" => {}
                "--json" => options.json = Some(value()?),
                "--records" => options.records = value()?.parse().map_err(|_| "a number")?,
                "--turns" => options.turns = value()?.parse().map_err(|_| "a number")?,
                "--seconds" => options.seconds = value()?.parse().map_err(|_| "a number")?,
                "--lanes" => options.lanes = value()?.parse().map_err(|_| "a number")?,
                "--reloads" => {
                    let ms = value()?.parse().map_err(|_| "a number")?;
                    options.reloads = Some(Duration::from_millis(ms));
                }
                "--more" => options.more = value()?,
                "--rate" => options.rate = Some(value()?.parse().map_err(|_| "a number")?),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        Ok(options)
    }
}

struct Bench {
    brokers: String,
    lanes: usize,
    more: String,
    dir: TempDir,
}

impl Bench {
    fn new(brokers: String, options: &Options) -> Self {
        let dir = TempDir::new().expect("a folder for the configuration");
        let policies = dir.path().join("policies");
        fs::create_dir(&policies).expect("a folder for the policies");
        let policy = "tenant: acme\nversion: 1\nrules:\n  - fields: [client_ip]\n    \
                      do: truncate_ip\n  - fields: [user.email]\n    do: drop\n";
        fs::write(policies.join("acme.yaml"), policy).expect("a policy");
        Self { brokers, lanes: options.lanes, more: options.more.clone(), dir }
    }

    /// Topics of their own: raw, clean, quarantine.
    fn topics(&self, name: &str) -> ([Cluster; 2], [String; 3]) {
        let since = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
        let topics = ["raw", "clean", "quarantine"].map(|it| format!("bench-{name}-{since}-{it}"));
        let raw = Cluster::dated(&self.brokers, topics[..1].to_vec(), PARTITIONS);
        let others = Cluster::real(&self.brokers, topics[1..].to_vec(), PARTITIONS);
        ([raw, others].map(|made| made.unwrap_or_else(|error| panic!("{error}"))), topics)
    }

    fn config(&self, kind: usize, [raw, clean, quarantine]: &[String; 3]) -> Config {
        let path = self.dir.path().join("limpid.yaml");
        let text = format!(
            "brokers: \"{}\"\ngroup: bench-{}\nlanes: {}\npolicies: policies\n{}\n{}\n\
             quarantine: {{topic: {quarantine}}}\n\
             routes: [{{name: web, topics: [{raw}], clean: {clean}, default_policy: acme}}]\n",
            self.brokers,
            UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos()),
            self.lanes,
            KINDS[kind].1,
            self.more,
        );
        fs::write(&path, text).expect("a configuration");
        config::load(&path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The service, as long as `work` takes.
    fn serve<T>(&self, config: &Config, work: impl FnOnce(&Metrics) -> T) -> T {
        let policies = Start::new(config).unwrap_or_else(|error| panic!("{error}")).in_force;
        self.serve_with(config, &policies, work)
    }

    fn serve_with<T>(
        &self,
        config: &Config,
        policies: &Arc<InForce>,
        work: impl FnOnce(&Metrics) -> T,
    ) -> T {
        let metrics = Metrics::new(&["web".to_owned()]);
        let (health, stop) = (Health::new(config.lanes), Stop::new());
        thread::scope(|scope| {
            let lanes = scope.spawn(|| run::run(config, policies, &metrics, &health, &stop));
            let outcome = work(&metrics);
            stop.drain();
            lanes.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
            outcome
        })
    }

    /// Records a second of each kind: the median of its turns.
    fn throughput(&self, options: &Options, figures: &mut Vec<Value>) -> Vec<f64> {
        let ([cluster, _others], topics) = self.topics("throughput");
        if options.turns > 0 {
            fill(&cluster, &topics[0], options.records);
        }
        let mut passes = vec![Vec::new(); KINDS.len()];
        for turn in 0..options.turns {
            // Who begins changes from turn to turn.
            for step in 0..KINDS.len() {
                let kind = (turn + step) % KINDS.len();
                let pass = self.serve(&self.config(kind, &topics), |metrics| {
                    pass(options.records, || metrics.totals().routes[0].delivered)
                });
                let Pass { speed, cpu } = pass;
                println!("{:24} {speed:9.0} records/s, {cpu:.2} CPU s a million", KINDS[kind].0);
                figures.push(json!({
                    "kind": KINDS[kind].0, "records_per_second": speed.round(),
                    "cpu_seconds_per_million": cpu,
                }));
                passes[kind].push(pass);
            }
        }
        let median = |of: fn(&Pass) -> f64, kind: usize| {
            quantile(passes[kind].iter().map(of).collect(), 0.5)
        };
        for kind in (1..KINDS.len()).filter(|_| options.turns > 0) {
            let speed = median(|it| it.speed, kind) / median(|it| it.speed, 0);
            let cpu = median(|it| it.cpu, kind) / median(|it| it.cpu, 0);
            println!(
                "{}: {speed:.3} of the throughput without (target {SHARE}), {cpu:.3} of the CPU time",
                KINDS[kind].0
            );
        }
        (0..KINDS.len()).map(|kind| median(|it| it.speed, kind)).collect()
    }

    /// Throughput without and with a reload every so often, in turns.
    fn reloads(&self, every: Duration, options: &Options) {
        let policies = self.dir.path().join("policies");
        let write = |tenant: usize, version: usize| {
            let text = format!(
                "tenant: tenant-{tenant}\nversion: {version}\nrules:\n  - fields: [client_ip]\n    \
                 do: truncate_ip\n  - fields: [user.email, user.name]\n    do: drop\n"
            );
            fs::write(policies.join(format!("{tenant}.yaml")), text).expect("a policy");
        };
        (0..POLICIES).for_each(|tenant| write(tenant, 1));
        let ([cluster, _others], topics) = self.topics("reloads");
        fill(&cluster, &topics[0], options.records);
        let mut speeds = [Vec::new(), Vec::new()];
        let mut version = 1;
        for turn in 0..2 * options.turns {
            let with = (turn + turn / 2) % 2;
            let config = self.config(THROUGHPUT, &topics);
            let Start { mut library, in_force, .. } =
                Start::new(&config).unwrap_or_else(|error| panic!("{error}"));
            let (over, forced) = (AtomicBool::new(with == 0), in_force.clone());
            let reload = || {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    version += 1;
                    write(version % POLICIES, version);
                    let loaded = library.load(&mut Faults::default()).expect("policies");
                    forced.swap(Arc::new(loaded.policies.expect("a new set")));
                    count += 1;
                    thread::sleep(every);
                }
                count
            };
            let (pass, count) = thread::scope(|scope| {
                let reloader = scope.spawn(reload);
                let pass = self.serve_with(&config, &in_force, |metrics| {
                    pass(options.records, || metrics.totals().routes[0].delivered)
                });
                over.store(true, Ordering::Relaxed);
                (pass, reloader.join().expect("no panic"))
            });
            println!("{:9.0} records/s, {count} reloads", pass.speed);
            speeds[with].push(pass.speed);
        }
        let [without, with] = speeds.map(|speeds| quantile(speeds, 0.5));
        println!("with reloads {with:.0} records/s, without {without:.0}: {:.3}", with / without);
    }

    /// Delays at so many records a second.
    fn delay(&self, kind: usize, rate: f64, options: &Options, figures: &mut Vec<Value>) {
        let ([cluster, _others], topics) = self.topics("delay");
        let config = self.config(kind, &topics);
        let feed = cluster.feed().unwrap_or_else(|error| panic!("{error}"));
        let stop = AtomicBool::new(false);
        let delays = self.serve(&config, |metrics| {
            // Joining takes seconds: what waits after it would be measured, too.
            Source::new().send(&feed, &topics[0], 0);
            await_at_least(1, &|| metrics.totals().routes[0].delivered);
            thread::scope(|scope| {
                scope.spawn(|| produce(&feed, &topics[0], rate, &stop));
                let delays = read(&cluster, &topics[1], Duration::from_secs(options.seconds));
                stop.store(true, Ordering::Relaxed);
                delays
            })
        });
        let read = delays.len() as f64 / options.seconds as f64 * f64::from(PARTITIONS);
        let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| quantile(delays.clone(), share));
        println!(
            "{}: at {rate:.0} records/s ({read:.0} read): delay p50 {half:.0} ms, p99 {most:.0} ms, \
             max {worst:.0} ms (target p99 {DELAY_MS})",
            KINDS[kind].0
        );
        figures.push(json!({
            "kind": KINDS[kind].0, "rate": rate.round(), "read_per_second": read.round(),
            "p50_ms": half, "p99_ms": most, "max_ms": worst,
        }));
    }
}

/// Produces the records that throughput is measured on.
fn fill(cluster: &Cluster, raw: &str, records: u64) {
    let feed = cluster.feed().unwrap_or_else(|error| panic!("{error}"));
    let source = Source::new();
    for number in 0..records {
        source.send(&feed, raw, number);
    }
    feed.flush().unwrap_or_else(|error| panic!("{error}"));
}

/// What the middle four fifths of a run came to.
#[derive(Clone, Copy)]
struct Pass {
    /// Records a second.
    speed: f64,
    /// CPU seconds of this process for a million records.
    cpu: f64,
}

fn pass(records: u64, delivered: impl Fn() -> u64) -> Pass {
    let from = await_at_least(records / 10, &delivered);
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let to = await_at_least(records - records / 10, &delivered);
    let (time, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    await_at_least(records, &delivered);
    let passed = (to - from) as f64;
    Pass { speed: passed / time, cpu: cpu / passed * 1e6 }
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9
}

fn await_at_least(wanted: u64, count: &impl Fn() -> u64) -> u64 {
    let begin = Instant::now();
    loop {
        let there = count();
        if there >= wanted {
            return there;
        }
        assert!(begin.elapsed() < PATIENCE, "{there} of {wanted} in {PATIENCE:?}");
        thread::sleep(LOOK);
    }
}

/// Produces at a steady rate until it is stopped.
fn produce(feed: &Feed, raw: &str, rate: f64, stop: &AtomicBool) {
    let (source, begin, mut number) = (Source::new(), Instant::now(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_secs_f64() * rate;
        while (number as f64) < due {
            source.send(feed, raw, number);
            number += 1;
        }
        feed.attend(Duration::from_millis(1));
    }
}

/// Reads committed records of one partition, for all fare alike, and says how old each was, in milliseconds.
fn read(cluster: &Cluster, clean: &str, time: Duration) -> Vec<f64> {
    let tap = cluster.tap(&[clean.to_owned()], 1);
    let tap = tap.unwrap_or_else(|error| panic!("{error}"));
    let (begin, mut delays) = (Instant::now(), Vec::new());
    while begin.elapsed() < WARM_UP + time {
        let delay = tap.next(LOOK, |tapped| tapped.timestamp_ms().map(|at| now_ms() - at));
        let Ok(Some(Some(delay))) = delay else { continue };
        if begin.elapsed() > WARM_UP {
            delays.push(delay as f64);
        }
    }
    assert!(!delays.is_empty(), "nothing was read");
    delays
}

/// Web events, made beforehand: what is measured shares the machine with who makes them.
struct Source {
    keys: Vec<String>,
    events: Vec<Vec<u8>>,
}

impl Source {
    fn new() -> Self {
        let mut events = Events::new(20_261_124);
        let event = |_| {
            let mut event = Vec::new();
            events.web(&mut event);
            event
        };
        let keys = (0..5_000).map(|key: usize| key.to_string()).collect();
        Self { keys, events: (0..EVENTS).map(event).collect() }
    }

    fn send(&self, feed: &Feed, raw: &str, number: u64) {
        let number = usize::try_from(number).expect("64 bits");
        let (key, value) =
            (&self.keys[number % self.keys.len()], &self.events[number % self.events.len()]);
        let sent = feed.send(raw, key.as_bytes(), value, &Vec::new());
        sent.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn now_ms() -> i64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
