//! Every metric in one table: name, kind, labels, unit, help.
//!
//! The metrics are made from these entries and the reference (docs/generated/metrics.md) is
//! rendered from them, so that neither can say what the other does not. Names and labels are a
//! contract with people's dashboards: they change only with a note in CHANGELOG.md.
//!
//! Invariant: no label ever holds a value of a record. Routes, topics and partitions come from
//! the configuration and the cluster, tenants and rules from loaded policies, reasons from
//! [`crate::error::Reason`].

use std::fmt::Write as _;

/// What kind of series a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels' names.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

impl Spec {
    /// The upper bounds of a histogram's buckets, in its unit; empty for the other kinds.
    #[must_use]
    pub const fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }
}

const ROUTE: &[&str] = &["route"];
const RULE: &[&str] = &["tenant", "rule"];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    unit: &'static str,
    help: &'static str,
) -> Spec {
    Spec { name, kind: Kind::Counter, labels, unit, help }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    unit: &'static str,
    help: &'static str,
) -> Spec {
    Spec { name, kind: Kind::Gauge, labels, unit, help }
}

pub(super) static RECORDS_IN: Spec =
    counter("limpid_records_in_total", ROUTE, "records", "Records read from the raw topics.");
pub(super) static BYTES_IN: Spec =
    counter("limpid_bytes_in_total", ROUTE, "bytes", "Bytes of the values read.");
pub(super) static RECORDS_OUT: Spec = counter(
    "limpid_records_out_total",
    ROUTE,
    "records",
    "Records made clean, tombstones included.",
);
pub(super) static BYTES_OUT: Spec =
    counter("limpid_bytes_out_total", ROUTE, "bytes", "Bytes of the clean values.");
pub(super) static TOMBSTONES: Spec =
    counter("limpid_tombstones_total", ROUTE, "records", "Tombstones (null values) passed on.");
pub(super) static WITHHELD: Spec = counter(
    "limpid_withheld_total",
    &["route", "reason"],
    "records",
    "Records withheld from the clean topic: malformed, limits, tenant, mismatch, key or internal.",
);
pub(super) static TENANT_RECORDS: Spec = counter(
    "limpid_tenant_records_total",
    &["tenant"],
    "records",
    "Records that a tenant's policy decided, clean and withheld.",
);
pub(super) static RULE_HITS: Spec =
    counter("limpid_rule_hits_total", RULE, "values", "Values that a rule decided.");
pub(super) static RULE_MISMATCHES: Spec = counter(
    "limpid_rule_mismatches_total",
    RULE,
    "values",
    "Values of another kind than the rule's transform takes.",
);
pub(super) static KERNEL_SECONDS: Spec = Spec {
    name: "limpid_kernel_seconds",
    kind: Kind::Histogram(&[
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
        1.0,
    ]),
    labels: &[],
    unit: "seconds",
    help: "Time the kernel took for a batch.",
};
pub(super) static BATCH_RECORDS: Spec = Spec {
    name: "limpid_batch_records",
    kind: Kind::Histogram(&[1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0]),
    labels: &[],
    unit: "records",
    help: "Records in a batch.",
};
pub(super) static DELAY_SECONDS: Spec = Spec {
    name: "limpid_delay_seconds",
    kind: Kind::Histogram(&[
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
        3600.0,
    ]),
    labels: ROUTE,
    unit: "seconds",
    help: "From a record's time to the delivery of its clean record.",
};
pub(super) static LAG: Spec = gauge(
    "limpid_consumer_lag_records",
    &["topic", "partition"],
    "records",
    "Records of a partition of this process that are still to be delivered.",
);
pub(super) static POLICY_INFO: Spec = gauge(
    "limpid_policy_info",
    &["tenant", "version", "rules"],
    "1",
    "The policies in force; always 1.",
);
pub(super) static POLICY_RELOADS: Spec = counter(
    "limpid_policy_reloads_total",
    &["outcome"],
    "reloads",
    "Reloads of policies and keys: loaded, unchanged or refused.",
);
pub(super) static POLICY_GOOD: Spec = gauge(
    "limpid_policy_reload_successful",
    &[],
    "0 or 1",
    "1 while the policies in force are what the files said at the last reload, 0 after a refused one.",
);
pub(super) static POLICY_LOADED: Spec = gauge(
    "limpid_policy_loaded_timestamp_seconds",
    &[],
    "seconds",
    "When the files were last found good, in seconds since the Unix epoch.",
);
pub(super) static BUILD_INFO: Spec =
    gauge("limpid_build_info", &["version", "target"], "1", "The program that runs; always 1.");
pub(super) static READY: Spec =
    gauge("limpid_ready", &[], "0 or 1", "1 while records are being cleaned, as /readyz says.");
pub(super) static LANES: Spec =
    gauge("limpid_lanes", &["state"], "lanes", "Lanes by state: joined or waiting.");
pub(super) static CPU_SECONDS: Spec = counter(
    "process_cpu_seconds_total",
    &[],
    "seconds",
    "Processor time of the process, user and system.",
);
pub(super) static RESIDENT_BYTES: Spec =
    gauge("process_resident_memory_bytes", &[], "bytes", "Memory of the process that is in RAM.");
pub(super) static OPEN_FDS: Spec =
    gauge("process_open_fds", &[], "descriptors", "File descriptors of the process that are open.");
pub(super) static START_TIME: Spec = gauge(
    "process_start_time_seconds",
    &[],
    "seconds",
    "When the process started, in seconds since the Unix epoch.",
);

/// Every metric, in the order of the docs. The process metrics carry the names that Prometheus'
/// own client libraries gave them, so that ready-made dashboards find them.
pub static TABLE: &[&Spec] = &[
    &RECORDS_IN,
    &BYTES_IN,
    &RECORDS_OUT,
    &BYTES_OUT,
    &TOMBSTONES,
    &WITHHELD,
    &TENANT_RECORDS,
    &RULE_HITS,
    &RULE_MISMATCHES,
    &KERNEL_SECONDS,
    &BATCH_RECORDS,
    &DELAY_SECONDS,
    &LAG,
    &READY,
    &LANES,
    &POLICY_INFO,
    &POLICY_RELOADS,
    &POLICY_GOOD,
    &POLICY_LOADED,
    &BUILD_INFO,
    &CPU_SECONDS,
    &RESIDENT_BYTES,
    &OPEN_FDS,
    &START_TIME,
];

/// The reference page, Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nServed at `/metrics` in Prometheus' text format. Made from \
         `src/telemetry/table.rs`; renew with `UPDATE=1 cargo test --test it generated`.\n\n\
         No label ever holds a value of a record. A tenant is named only if a loaded policy names \
         it; a\nrule's series begin with its first hit.\n\n\
         | name | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for spec in TABLE {
        let kind = match spec.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels = spec.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} | {} |",
            spec.name,
            if labels.is_empty() { "–".into() } else { labels.join(", ") },
            spec.unit,
            spec.help
        );
    }
    page.push_str("\n## Buckets\n\n");
    for spec in TABLE {
        let bounds = spec.bounds();
        if !bounds.is_empty() {
            let shown = bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
            let _ = writeln!(page, "- `{}` ({}): {shown}", spec.name, spec.unit);
        }
    }
    page
}
