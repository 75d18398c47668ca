//! Tables for people, raw figures for the record, and the targets.

use crate::{Entry, Group};
use limpid::scan::Scanner;
use serde_json::{Value, json};

/// A target: a ratio of two contenders' speeds, per byte.
struct Target {
    name: &'static str,
    group: &'static str,
    fast: &'static str,
    than: &'static str,
    ratio: f64,
}

const TARGETS: &[Target] = &[
    target("web events", "web", "limpid", "memcpy", 0.11),
    target("audit events", "audit", "limpid", "memcpy", 0.19),
    target("empty policy, web", "web", "limpid, empty policy", "memcpy", 0.2),
    target("empty policy, audit", "audit", "limpid, empty policy", "memcpy", 0.2),
    target("200 rules beside 10", "web", "limpid, 200 rules", "limpid", 0.8),
    target("10,000 alike tenants", "web", "limpid, 10,000 tenants, alike", "limpid", 0.8),
    target("10,000 different tenants", "web", "limpid, 10,000 tenants, different", "limpid", 0.8),
    // Cost may grow by 1.3 a byte.
    target("64 kB beside 1 kB", "1 kB", "limpid, 64 kB", "limpid, 1 kB", 1.0 / 1.3),
    target("1 MB beside 1 kB", "1 kB", "limpid, 1 MB", "limpid, 1 kB", 1.0 / 1.3),
];

const fn target(
    name: &'static str,
    group: &'static str,
    fast: &'static str,
    than: &'static str,
    ratio: f64,
) -> Target {
    Target { name, group, fast, than, ratio }
}

/// What the groups came to.
pub struct Report {
    quick: bool,
    groups: Vec<Value>,
    targets: Vec<Reached>,
}

/// What became of a target.
struct Reached {
    target: &'static Target,
    /// In the middle one of the rounds.
    is: f64,
    /// In the best one. Half a target missed even there is no noise.
    best: f64,
}

impl Report {
    pub const fn new(quick: bool) -> Self {
        Self { quick, groups: Vec::new(), targets: Vec::new() }
    }

    /// Prints a group's table and keeps its figures.
    pub fn add(&mut self, group: &Group) {
        for corpus in &group.corpora {
            println!(
                "\n{}: {} records of {} B, {:.0} MiB, scanner {}, {} rounds",
                corpus.name,
                corpus.len(),
                corpus.bytes() / corpus.len(),
                corpus.bytes() as f64 / f64::from(1 << 20),
                Scanner::detect().name(),
                group.entries[0].seconds.len(),
            );
        }
        println!(
            "{:34} {:>9} {:>19} {:>10} {:>8}",
            "", "MB/s", "(least – most)", "ns/record", "x memcpy"
        );
        for entry in &group.entries {
            println!("{}", row(group, entry));
        }
        let name = &*group.corpora[0].name;
        for target in TARGETS.iter().filter(|target| target.group == name) {
            let find = |name: &str| group.entries.iter().find(|entry| entry.name == name);
            if let (Some(fast), Some(than)) = (find(target.fast), find(target.than)) {
                let ratios = ratios(group, fast, than);
                let (is, best) = (median(&ratios), sorted(&ratios)[ratios.len() - 1]);
                self.targets.push(Reached { target, is, best });
            }
        }
        self.groups.push(figures(group));
    }

    /// Prints the targets and writes the raw figures; true if no ratio is under half its target in
    /// every round.
    pub fn finish(self, json: Option<&str>) -> bool {
        println!("\n{:34} {:>9} {:>9}", "target", "at least", "is");
        let mut met = true;
        for Reached { target, is, best } in &self.targets {
            let verdict = match is / target.ratio {
                share if share >= 1.0 => "met".to_owned(),
                share => format!("short by {:.0} %", (1.0 - share) * 100.0),
            };
            println!("{:34} {:>9.3} {is:>9.3}  {verdict}", target.name, target.ratio);
            met &= *best >= target.ratio / 2.0;
        }
        if self.quick && !met {
            println!("\na ratio is under half of its target");
        }
        if let Some(path) = json {
            let targets: Vec<Value> = self
                .targets
                .iter()
                .map(|Reached { target, is, .. }| {
                    json!({"name": target.name, "target": target.ratio, "is": is})
                })
                .collect();
            let all = json!({
                "limpid": env!("CARGO_PKG_VERSION"),
                "scanner": Scanner::detect().name(),
                "groups": self.groups,
                "targets": targets,
            });
            std::fs::write(path, format!("{all:#}\n")).expect("the figures can be written");
        }
        met
    }
}

fn row(group: &Group, entry: &Entry) -> String {
    let corpus = &group.corpora[entry.corpus];
    let speed = |seconds: f64| corpus.bytes() as f64 / seconds / 1e6;
    let sorted = sorted(&entry.seconds);
    let middle = median(&entry.seconds);
    let memcpy = group
        .entries
        .iter()
        .find(|other| other.corpus == entry.corpus && other.name.starts_with("memcpy"))
        .expect("every corpus is copied too");
    format!(
        "{:34} {:>9.0} {:>19} {:>10.0} {:>8.3}",
        entry.name,
        speed(middle),
        format!("({:.0} – {:.0})", speed(sorted[sorted.len() - 1]), speed(sorted[0])),
        middle * 1e9 / corpus.len() as f64,
        ratio(group, entry, memcpy),
    )
}

/// How much faster `fast` is than `than`, per byte: the middle one of the rounds' ratios.
fn ratio(group: &Group, fast: &Entry, than: &Entry) -> f64 {
    median(&ratios(group, fast, than))
}

/// The same of each round.
fn ratios(group: &Group, fast: &Entry, than: &Entry) -> Vec<f64> {
    let bytes = |entry: &Entry| group.corpora[entry.corpus].bytes() as f64;
    let share = bytes(fast) / bytes(than);
    fast.seconds.iter().zip(&than.seconds).map(|(fast, than)| than / fast * share).collect()
}

fn figures(group: &Group) -> Value {
    let entry = |entry: &Entry| {
        let corpus = &group.corpora[entry.corpus];
        json!({
            "name": entry.name, "corpus": corpus.name, "records": corpus.len(),
            "bytes": corpus.bytes(), "seconds": entry.seconds,
        })
    };
    group.entries.iter().map(entry).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let values = sorted(values);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
