//! The metrics themselves: counters that lanes add to once per batch.
//!
//! The problem: a batch of 2,048 records may touch hundreds of (tenant, rule) series, and finding
//! a series by its labels takes a hash and a lock. So the handles are resolved beforehand, by the
//! same numbers that the [`Tally`] uses, and publishing a batch is one atomic add for each number
//! in it that isn't zero. A rule's series is made when it is first hit: 10,000 tenants of ten
//! rules cost two words a rule until then, not 200,000 series that say 0.
//!
//! Invariant: a tally is only read together with the policies it was made with. Around a reload a
//! lane may still publish a batch of the old set; the rows remember whose they are, and a batch
//! that doesn't fit them takes the slow way by labels.

use super::process::Process;
use super::table::{self, Spec};
use super::{Health, Status};
use crate::engine::{PlanTally, RouteTally, RuleTally, Tally};
use crate::error::Reason;
use crate::policy::{Plan, Policies};
use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

/// Every metric. Shared by lanes; an update is a few atomic adds per batch.
pub struct Metrics {
    registry: Registry,
    routes: Vec<RouteSeries>,
    plans: RwLock<Arc<PlanRows>>,
    tenant_records: IntCounterVec,
    rule_hits: IntCounterVec,
    rule_mismatches: IntCounterVec,
    policy_info: IntGaugeVec,
    policy_reloads: IntCounterVec,
    policy_good: IntGauge,
    policy_loaded: IntGauge,
    kernel_seconds: Histogram,
    batch_records: Histogram,
    lag: IntGaugeVec,
    state: StateSeries,
}

struct RouteSeries {
    records_in: IntCounter,
    bytes_in: IntCounter,
    records_out: IntCounter,
    bytes_out: IntCounter,
    tombstones: IntCounter,
    withheld: [IntCounter; Reason::ALL.len()],
    delay: Histogram,
}

/// The handles of one set of policies.
#[derive(Default)]
struct PlanRows {
    /// The set of policies; 0 before there is one.
    generation: u64,
    /// By slot.
    tenants: Vec<TenantRow>,
    /// By `policies.rule_base(slot) + rule`.
    rules: Vec<OnceLock<RuleSeries>>,
}

/// A policy, as the policy info metric tells of it: tenant, version, number of rules.
type Info = (Arc<str>, u64, usize);

struct TenantRow {
    info: Info,
    records: OnceLock<IntCounter>,
}

struct RuleSeries {
    hits: IntCounter,
    mismatches: IntCounter,
}

/// What is only read when somebody asks.
struct StateSeries {
    ready: IntGauge,
    lanes: IntGaugeVec,
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    open_fds: IntGauge,
    start_time: Gauge,
}

/// What a route has come to since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// The numbers of its tallies, added up.
    pub tally: RouteTally,
    /// Clean records delivered.
    pub delivered: u64,
    /// The sum of their delays.
    pub delay: Duration,
}

/// What the process has come to since the start.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// By route.
    pub routes: Vec<RouteTotals>,
    /// By slot of the policies in force: records of that tenant.
    pub tenants: Vec<(Arc<str>, u64)>,
    /// Time in the kernel.
    pub kernel: Duration,
}

impl Metrics {
    /// Metrics for these routes (by index).
    #[must_use]
    pub fn new(routes: &[String]) -> Self {
        let registry = Registry::new();
        build_info(&registry);
        Self {
            routes: route_series(&registry, routes),
            plans: RwLock::default(),
            tenant_records: counters(&registry, &table::TENANT_RECORDS),
            rule_hits: counters(&registry, &table::RULE_HITS),
            rule_mismatches: counters(&registry, &table::RULE_MISMATCHES),
            policy_info: gauges(&registry, &table::POLICY_INFO),
            policy_reloads: counters(&registry, &table::POLICY_RELOADS),
            policy_good: registered(&registry, IntGauge::with_opts(opts(&table::POLICY_GOOD))),
            policy_loaded: registered(&registry, IntGauge::with_opts(opts(&table::POLICY_LOADED))),
            kernel_seconds: histogram(&registry, &table::KERNEL_SECONDS),
            batch_records: histogram(&registry, &table::BATCH_RECORDS),
            lag: gauges(&registry, &table::LAG),
            state: StateSeries::new(&registry),
            registry,
        }
    }

    /// Announces the policies in force (the policy info metric, the rule labels). Only what differs
    /// from those before costs more than a look.
    pub fn policies(&self, policies: &Policies) {
        let rows = Arc::new(PlanRows::new(policies));
        let old = {
            let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *plans, rows.clone())
        };
        let (before, now) = differing(&old.tenants, &rows.tenants);
        for gone in before.difference(&now) {
            // An error says that there is no such series, which is what is wanted.
            drop(self.policy_info.remove_label_values(&labels(gone)));
        }
        for new in now.difference(&before) {
            self.policy_info.with_label_values(&labels(new)).set(1);
        }
    }

    /// Counts a reload by what came of it.
    pub fn reloaded(&self, outcome: &str) {
        self.policy_reloads.with_label_values(&[outcome]).inc();
    }

    /// The policies in force were found to be what the files say, then (Unix milliseconds).
    pub fn policies_good(&self, at_ms: i64) {
        self.policy_good.set(1);
        self.policy_loaded.set(at_ms.div_euclid(1_000));
    }

    /// The files say something else than the policies in force, and were refused.
    pub fn policies_refused(&self) {
        self.policy_good.set(0);
    }

    /// Publishes records that are delivered for good.
    pub fn records(&self, policies: &Policies, tally: &Tally) {
        for (series, row) in self.routes.iter().zip(&tally.routes) {
            series.add(row);
        }
        let rows = self.plan_rows();
        for counted in tally.plans() {
            self.add_plan(&rows, policies, counted);
        }
    }

    /// Publishes one batch that was cleaned: its records and the time the kernel took for them.
    pub fn batch(&self, records: usize, kernel: Duration) {
        self.kernel_seconds.observe(kernel.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch holds a few thousand records")]
        self.batch_records.observe(records as f64);
    }

    /// Publishes the delays of delivered records: seconds from record time to delivery.
    pub fn delays(&self, route: usize, seconds: impl Iterator<Item = f64>) {
        let Some(series) = self.routes.get(route) else { return };
        // Counted aside, added at once: otherwise every record would cost atomic adds.
        let delays = series.delay.local();
        seconds.for_each(|delay| delays.observe(delay.max(0.0)));
        delays.flush();
    }

    /// Publishes a partition's lag, in records; `None` takes the series away (partition revoked).
    pub fn lag(&self, topic: &str, partition: i32, records: Option<i64>) {
        let labels = [topic, &partition.to_string()];
        match records {
            Some(records) => self.lag.with_label_values(&labels).set(records),
            // An error says that there is no such series, which is what is wanted.
            None => drop(self.lag.remove_label_values(&labels)),
        }
    }

    /// Takes over what /readyz says, and reads the process' own numbers, before a rendering.
    pub fn observe(&self, health: &Health) {
        self.state.observe(health);
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for family in self.registry.gather() {
            // It fails on a family without series, which then has nothing to say.
            let _ = TextEncoder::new().encode_utf8(std::slice::from_ref(&family), &mut text);
        }
        text
    }

    /// The sums so far, for a live view.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let rows = self.plan_rows();
        let records = |row: &TenantRow| row.records.get().map_or(0, IntCounter::get);
        Totals {
            routes: self.routes.iter().map(RouteSeries::totals).collect(),
            tenants: rows.tenants.iter().map(|row| (row.info.0.clone(), records(row))).collect(),
            kernel: seconds(&self.kernel_seconds),
        }
    }

    fn plan_rows(&self) -> Arc<PlanRows> {
        self.plans.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add_plan(&self, rows: &PlanRows, policies: &Policies, counted: PlanTally<'_>) {
        let PlanTally { slot, records, rules } = counted;
        let plan = policies.plan(slot);
        let base = policies.rule_base(slot);
        let counted = rules.iter().zip(plan.rules.iter());
        let rows = (rows.generation == policies.generation()).then_some(rows);
        let row = rows.map(|rows| &rows.tenants[slot]);
        self.add_records(row, plan, records);
        for (index, (counts, rule)) in counted.enumerate().filter(|(_, (c, _))| c.hits > 0) {
            match rows.map(|rows| &rows.rules[base + index]) {
                Some(series) => series.get_or_init(|| self.rule(plan, &rule.label)).add(counts),
                None => self.rule(plan, &rule.label).add(counts),
            }
        }
    }

    fn add_records(&self, row: Option<&TenantRow>, plan: &Plan, records: u64) {
        let series = || self.tenant_records.with_label_values(&[&*plan.tenant]);
        match row {
            Some(row) => row.records.get_or_init(series).inc_by(records),
            None => series().inc_by(records),
        }
    }

    fn rule(&self, plan: &Plan, label: &str) -> RuleSeries {
        let labels = [&*plan.tenant, label];
        RuleSeries {
            hits: self.rule_hits.with_label_values(&labels),
            mismatches: self.rule_mismatches.with_label_values(&labels),
        }
    }
}

impl PlanRows {
    fn new(policies: &Policies) -> Self {
        let row = |plan: &Plan| TenantRow {
            info: (plan.tenant.clone(), plan.version, plan.rules_written()),
            records: OnceLock::new(),
        };
        Self {
            generation: policies.generation(),
            tenants: policies.plans().iter().map(row).collect(),
            rules: (0..policies.rules_total()).map(|_| OnceLock::new()).collect(),
        }
    }
}

/// What tells two rows of tenants apart: all between the first and the last that differ.
fn differing<'a>(
    before: &'a [TenantRow],
    now: &'a [TenantRow],
) -> (HashSet<&'a Info>, HashSet<&'a Info>) {
    let same = |(before, now): &(&TenantRow, &TenantRow)| before.info == now.info;
    let head = before.iter().zip(now).take_while(same).count();
    let (before, now) = (&before[head..], &now[head..]);
    let tail = before.iter().rev().zip(now.iter().rev()).take_while(same).count();
    let infos = |rows: &'a [TenantRow]| rows[..rows.len() - tail].iter().map(|row| &row.info);
    (infos(before).collect(), infos(now).collect())
}

fn labels((tenant, version, rules): &Info) -> [String; 3] {
    [tenant.to_string(), version.to_string(), rules.to_string()]
}

impl RouteSeries {
    fn add(&self, row: &RouteTally) {
        let counters = [
            (&self.records_in, row.records_in),
            (&self.bytes_in, row.bytes_in),
            (&self.records_out, row.records_out),
            (&self.bytes_out, row.bytes_out),
            (&self.tombstones, row.tombstones),
        ];
        for (counter, count) in counters.into_iter().chain(self.withheld.iter().zip(row.withheld)) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    fn totals(&self) -> RouteTotals {
        RouteTotals {
            tally: RouteTally {
                records_in: self.records_in.get(),
                bytes_in: self.bytes_in.get(),
                records_out: self.records_out.get(),
                bytes_out: self.bytes_out.get(),
                tombstones: self.tombstones.get(),
                withheld: self.withheld.each_ref().map(IntCounter::get),
            },
            delivered: self.delay.get_sample_count(),
            delay: seconds(&self.delay),
        }
    }
}

impl RuleSeries {
    fn add(&self, counts: &RuleTally) {
        self.hits.inc_by(counts.hits.into());
        if counts.mismatches > 0 {
            self.mismatches.inc_by(counts.mismatches.into());
        }
    }
}

impl StateSeries {
    fn new(registry: &Registry) -> Self {
        Self {
            ready: registered(registry, IntGauge::with_opts(opts(&table::READY))),
            lanes: gauges(registry, &table::LANES),
            cpu_seconds: registered(registry, Counter::with_opts(opts(&table::CPU_SECONDS))),
            resident_bytes: registered(registry, IntGauge::with_opts(opts(&table::RESIDENT_BYTES))),
            open_fds: registered(registry, IntGauge::with_opts(opts(&table::OPEN_FDS))),
            start_time: registered(registry, Gauge::with_opts(opts(&table::START_TIME))),
        }
    }

    fn observe(&self, health: &Health) {
        let (joined, lanes) = health.lanes();
        self.ready.set(i64::from(health.status() == Status::Ready));
        self.lanes.with_label_values(&["joined"]).set(count(joined));
        self.lanes.with_label_values(&["waiting"]).set(count(lanes - joined));
        let Some(process) = Process::read() else { return };
        self.resident_bytes.set(process.resident_bytes);
        self.open_fds.set(process.open_fds);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
        self.start_time.set(process.start_seconds as f64);
        self.cpu_seconds.inc_by((process.cpu_seconds - self.cpu_seconds.get()).max(0.0));
    }
}

fn route_series(registry: &Registry, routes: &[String]) -> Vec<RouteSeries> {
    let counters = |spec| counters(registry, spec);
    let (records_in, bytes_in) = (counters(&table::RECORDS_IN), counters(&table::BYTES_IN));
    let (records_out, bytes_out) = (counters(&table::RECORDS_OUT), counters(&table::BYTES_OUT));
    let (tombstones, withheld) = (counters(&table::TOMBSTONES), counters(&table::WITHHELD));
    let delays = HistogramVec::new(buckets(&table::DELAY_SECONDS), table::DELAY_SECONDS.labels);
    let delays = registered(registry, delays);
    let series = |route: &String| RouteSeries {
        records_in: records_in.with_label_values(&[route]),
        bytes_in: bytes_in.with_label_values(&[route]),
        records_out: records_out.with_label_values(&[route]),
        bytes_out: bytes_out.with_label_values(&[route]),
        tombstones: tombstones.with_label_values(&[route]),
        withheld: Reason::ALL.map(|why| withheld.with_label_values(&[route, why.name()])),
        delay: delays.with_label_values(&[route]),
    };
    routes.iter().map(series).collect()
}

fn build_info(registry: &Registry) {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let labels = [env!("CARGO_PKG_VERSION"), &target];
    gauges(registry, &table::BUILD_INFO).with_label_values(&labels).set(1);
}

fn opts(spec: &Spec) -> Opts {
    Opts::new(spec.name, spec.help)
}

fn buckets(spec: &Spec) -> HistogramOpts {
    HistogramOpts::new(spec.name, spec.help).buckets(spec.bounds().to_vec())
}

fn counters(registry: &Registry, spec: &Spec) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(spec), spec.labels))
}

fn gauges(registry: &Registry, spec: &Spec) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(spec), spec.labels))
}

fn histogram(registry: &Registry, spec: &Spec) -> Histogram {
    registered(registry, Histogram::with_opts(buckets(spec)))
}

/// Can only fail on a malformed or doubled entry of the table, which the first test would show.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric.expect("an entry of the table is well formed");
    registry.register(Box::new(metric.clone())).expect("an entry stands in the table once");
    metric
}

fn seconds(histogram: &Histogram) -> Duration {
    Duration::try_from_secs_f64(histogram.get_sample_sum()).unwrap_or_default()
}

fn count(lanes: usize) -> i64 {
    i64::try_from(lanes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::paths::Paths;
    use crate::policy::{OnKey, OnMismatch, Own, Rule, Unlisted};
    use crate::transform::Transform;

    fn plan(tenant: &str, rules: usize) -> Plan {
        let rule = |n| Rule {
            transform: Transform::Keep,
            mismatch: OnMismatch::Keep,
            label: format!("{} keep", n + 1),
        };
        Plan {
            tenant: tenant.into(),
            version: 3,
            paths: Paths::compile(&[]).unwrap(),
            rules: (0..rules).map(rule).map(Arc::new).collect(),
            key: OnKey::Nobody,
            header_rules: Vec::new(),
            conditions: None,
            subjects: None,
            unlisted: Unlisted::Keep,
            keys: None,
            own: Own::default(),
        }
    }

    fn policies(tenants: &[&str]) -> Policies {
        Policies::new(tenants.iter().map(|tenant| plan(tenant, 2)).collect()).unwrap()
    }

    /// Slot 1, its second rule: 5 hits, 2 of another kind, over 3 records.
    fn tally(policies: &Policies) -> Tally {
        let (records_in, bytes_in, records_out, bytes_out) = (4, 400, 3, 290);
        let row = RouteTally { records_in, bytes_in, records_out, bytes_out, ..Default::default() };
        let mut tally = Tally::default();
        tally.fit(policies);
        let rules = tally.touch(policies, 1, 3);
        tally.at(rules)[1] = RuleTally { hits: 5, mismatches: 2 };
        tally.routes.push(row);
        tally.routes[0].withheld[Reason::Tenant as usize] = 1;
        tally
    }

    fn metrics() -> Metrics {
        Metrics::new(&["web".into(), "audit".into()])
    }

    fn assert_has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "no line {line:?} in\n{text}");
        }
    }

    #[test]
    fn a_batch_shows_in_every_series_that_it_touched_and_in_no_other() {
        let (metrics, policies) = (metrics(), policies(&["acme", "globex"]));
        metrics.policies(&policies);
        metrics.records(&policies, &tally(&policies));
        metrics.batch(4, Duration::from_millis(2));
        metrics.records(&policies, &tally(&policies));
        metrics.batch(4, Duration::from_millis(2));
        metrics.delays(0, [0.02, -1.0].into_iter());
        let text = metrics.render();
        assert_has(
            &text,
            &[
                r#"limpid_records_in_total{route="web"} 8"#,
                r#"limpid_records_in_total{route="audit"} 0"#,
                r#"limpid_bytes_out_total{route="web"} 580"#,
                r#"limpid_withheld_total{reason="tenant",route="web"} 2"#,
                r#"limpid_rule_hits_total{rule="2 keep",tenant="globex"} 10"#,
                r#"limpid_rule_mismatches_total{rule="2 keep",tenant="globex"} 4"#,
                r#"limpid_tenant_records_total{tenant="globex"} 6"#,
                r#"limpid_policy_info{rules="2",tenant="acme",version="3"} 1"#,
                r#"limpid_kernel_seconds_bucket{le="0.0025"} 2"#,
                "limpid_batch_records_sum 8",
                r#"limpid_delay_seconds_count{route="web"} 2"#,
                r#"limpid_delay_seconds_bucket{route="web",le="0.001"} 1"#,
            ],
        );
        assert!(!text.contains(r#"hits_total{rule="1 keep""#), "a rule never hit has a series");
        let totals = metrics.totals();
        assert_eq!(totals.routes[0].tally.records_out, 6);
        assert_eq!(totals.tenants, [("acme".into(), 0), ("globex".into(), 6)]);
        assert_eq!(totals.kernel, Duration::from_millis(4));
    }

    #[test]
    fn a_batch_of_the_policies_before_a_reload_is_counted_for_its_own_tenants() {
        let (metrics, old) = (metrics(), policies(&["acme", "globex"]));
        let new = policies(&["globex", "initech"]);
        metrics.policies(&old);
        metrics.policies(&new);
        metrics.records(&old, &tally(&old));
        let text = metrics.render();
        assert_has(&text, &[r#"limpid_rule_hits_total{rule="2 keep",tenant="globex"} 5"#]);
        assert!(!text.contains(r#"rule="2 keep",tenant="initech""#), "{text}");
        assert!(!text.contains(r#"limpid_policy_info{rules="2",tenant="acme""#), "{text}");
    }

    #[test]
    fn counters_go_on_over_a_reload() {
        let (metrics, old) = (metrics(), policies(&["acme", "globex"]));
        let new = policies(&["abc", "globex"]);
        for set in [&old, &new] {
            metrics.policies(set);
            metrics.records(set, &tally(set));
        }
        assert_has(
            &metrics.render(),
            &[
                r#"limpid_rule_hits_total{rule="2 keep",tenant="globex"} 10"#,
                r#"limpid_policy_info{rules="2",tenant="abc",version="3"} 1"#,
            ],
        );
    }

    #[test]
    fn a_revoked_partition_has_no_lag() {
        let metrics = metrics();
        metrics.lag("raw", 3, Some(17));
        let line = r#"limpid_consumer_lag_records{partition="3",topic="raw"} 17"#;
        assert_has(&metrics.render(), &[line]);
        metrics.lag("raw", 3, None);
        metrics.lag("raw", 4, None);
        assert!(!metrics.render().contains("limpid_consumer_lag_records{"));
    }

    #[test]
    fn all_that_is_rendered_stands_in_the_table() {
        let (metrics, policies) = (metrics(), policies(&["acme", "globex"]));
        metrics.policies(&policies);
        metrics.records(&policies, &tally(&policies));
        metrics.lag("raw", 0, Some(0));
        metrics.observe(&Health::new(2));
        let text = metrics.render();
        let families: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(families.len() >= 17, "{families:?}");
        for family in families {
            let name = family.split(' ').next().unwrap();
            assert!(table::TABLE.iter().any(|spec| spec.name == name), "{name}");
        }
    }
}
