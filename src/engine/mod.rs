//! The pure middle: tenant, plan, kernel, transforms → [`Clean`] or [`Withheld`].
//!
//! No I/O, no clock, no allocation in steady state. The engine is the only place that can make a
//! [`Clean`]; the brokers take nothing else for a clean topic. It never fails: what cannot be made
//! clean is an outcome too, and a panic below it is caught and becomes [`Reason::Internal`] for
//! that one record.

mod ahead;
mod batch;
mod edit;
mod fields;
mod tally;
mod tenant;
mod watch;

pub use batch::{Batch, Clean, CleanHeaders, CleanLines, EditedHeaders, Outcome, Withheld};
pub use tally::{PlanTally, RouteTally, RuleTally, Tally};
pub use tenant::{FieldPath, TenantSource};
pub use watch::{At, Decided, Watch};

use crate::error::Reason;
use crate::format::json::{Scratch, splice, splice_known};
use crate::format::paths::{Paths, RuleId};
use crate::keys::{EpochKeys, NoSecret};
use crate::policy::{HeaderName, LastTenant, OnKey, Plan, Policies, View};
use crate::record::{Raw, Record};
use crate::scan::Scanner;
use crate::transform::{Context, Place, Recent};
use ahead::{Ahead, Coming};
use edit::PlanEditor;
use fields::Answers;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tenant::Whose;

/// Bounds on one record, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Deepest nesting.
    pub depth: usize,
    /// Largest value that is read, in bytes.
    pub value_bytes: usize,
    /// Largest clean value, in bytes: what the clean topic takes.
    pub clean_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: crate::limits::DEPTH_MAX,
            value_bytes: crate::limits::RECORD_BYTES_MAX,
            clean_bytes: crate::limits::RECORD_BYTES_MAX,
        }
    }
}

/// What the engine needs to know of a route, for one source topic.
#[derive(Debug)]
pub struct Route {
    /// Index of the route's row in the [`Tally`].
    pub index: usize,
    /// Where the tenant's name is.
    pub tenant: TenantSource,
    /// The tenant whose policy serves records of no or of an unknown tenant.
    pub default_tenant: Option<Arc<str>>,
}

/// Cleans records into batches. One per lane; keeps the scratch.
pub struct Engine {
    limits: Limits,
    scratch: Scratch,
    answers: Answers,
    /// The keys of each slot's last epoch.
    keys: Vec<Option<EpochKeys>>,
    /// Addresses encrypted with them.
    recent: Recent,
    /// Whose the last record was.
    last: LastTenant,
    /// Which [`Policies`] the keys are of.
    generation: u64,
}

impl Engine {
    /// An engine with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_scanner(limits, Scanner::detect())
    }

    /// An engine whose kernel runs on `scanner`: for tests and benches that compare them.
    #[must_use]
    pub fn with_scanner(limits: Limits, scanner: Scanner) -> Self {
        Self {
            limits,
            scratch: Scratch::new(scanner),
            answers: Answers::default(),
            keys: Vec::new(),
            recent: Recent::default(),
            last: LastTenant::default(),
            generation: 0,
        }
    }

    /// Cleans one record and appends its outcome to `batch`. All records of a batch are cleaned
    /// with the same `policies`.
    pub fn clean(
        &mut self,
        policies: &Policies,
        route: &Route,
        record: &Record<'_>,
        batch: &mut Batch,
    ) {
        self.clean_watched(policies, route, record, batch, &mut ());
    }

    /// As [`Engine::clean`], reporting to `watch` what is decided about each value. The outcome is
    /// the same.
    pub fn clean_watched<W: Watch>(
        &mut self,
        policies: &Policies,
        route: &Route,
        record: &Record<'_>,
        batch: &mut Batch,
        watch: &mut W,
    ) {
        let slot = guarded(|| self.slot(policies, route, record));
        self.clean_whose(policies, route, record, slot, batch, watch);
    }

    /// As [`Engine::clean`] for each of these records in turn, quicker where they are of many tenants.
    pub fn clean_all<'r>(
        &mut self,
        policies: &Policies,
        records: impl IntoIterator<Item = (&'r Route, Record<'r>)>,
        batch: &mut Batch,
    ) {
        if policies.plans().len() < ahead::PLANS_MIN {
            for (route, record) in records {
                self.clean(policies, route, &record, batch);
            }
        } else {
            self.clean_each(policies, &mut records.into_iter().fuse(), batch);
        }
    }

    /// [`Engine::clean_all`] of several plans, compiled once: the kernel is not inlined into each of its
    /// callers.
    fn clean_each<'r>(
        &mut self,
        policies: &Policies,
        records: &mut dyn Iterator<Item = (&'r Route, Record<'r>)>,
        batch: &mut Batch,
    ) {
        self.fit(policies);
        batch.fit(policies);
        let mut ahead = Ahead::new();
        loop {
            let next = records.next().map(|(route, record)| {
                let whose = guarded(|| self.whose(policies, route, &record));
                Coming::new(route, record, whose)
            });
            if next.is_none() && ahead.is_empty() {
                return;
            }
            if let Some(turn) = ahead.step(next, policies, &self.keys, batch, &self.scratch) {
                self.clean_whose(policies, turn.route, &turn.record, turn.slot, batch, &mut ());
            }
        }
    }

    /// Forgets the keys of other policies.
    fn fit(&mut self, policies: &Policies) {
        if self.generation != policies.generation() {
            self.keys.clear();
            self.last = LastTenant::default();
            self.keys.resize_with(policies.plans().len(), || None);
            self.scratch.fit(policies.plans().len());
            self.generation = policies.generation();
        }
    }

    /// Cleans a record of which it is known whose it is, and why not if not.
    fn clean_whose<W: Watch>(
        &mut self,
        policies: &Policies,
        route: &Route,
        record: &Record<'_>,
        slot: Result<Option<usize>, Reason>,
        batch: &mut Batch,
        watch: &mut W,
    ) {
        batch.begin(policies);
        let cleaned = slot
            .and_then(|slot| slot.ok_or(Reason::Tenant))
            .and_then(|slot| guarded(|| self.clean_inner(policies, slot, record, batch, watch)));
        batch.finish(route.index, record, cleaned);
    }

    /// Whose record it is: the slot of the plan that would serve it; `None`: none would.
    ///
    /// # Errors
    /// Its value is too large, or would have to be read for that, and cannot be.
    pub fn slot(
        &mut self,
        policies: &Policies,
        route: &Route,
        record: &Record<'_>,
    ) -> Result<Option<usize>, Reason> {
        self.fit(policies);
        let whose = self.whose(policies, route, record)?;
        Ok(whose.slot_again(policies, route, &mut self.last))
    }

    /// What a record that is not too large says of its tenant.
    fn whose<'r>(
        &mut self,
        policies: &Policies,
        route: &'r Route,
        record: &Record<'r>,
    ) -> Result<Whose<'r>, Reason> {
        if record.value.is_some_and(|value| value.len() > self.limits.value_bytes) {
            return Err(Reason::Limits);
        }
        tenant::whose(policies, route, record, self.limits.depth, &mut self.scratch)
    }

    fn clean_inner<W: Watch>(
        &mut self,
        policies: &Policies,
        slot: usize,
        record: &Record<'_>,
        batch: &mut Batch,
        watch: &mut W,
    ) -> Result<(), Reason> {
        let depth = self.limits.depth;
        let plan = policies.plan(slot);
        let rules = batch.name_tenant(policies, slot);
        let value = record.value.map(Raw::expose);
        let decides = match &plan.conditions {
            None => Decides::always(plan),
            Some(asked) => {
                let view = self.answers.view(asked, record, depth, &mut self.scratch)?;
                watch.applies(&view.applies);
                view.into()
            }
        };
        let keys = epoch_keys(&mut self.keys[slot], plan, record.timestamp_ms)?;
        let subjects = match &plan.subjects {
            None => &[],
            Some(fields) => {
                self.answers.subjects(fields, record, keys, depth, &mut self.scratch)?
            }
        };
        let batch::Open { out: mut parts, rules, waiting } = batch.parts(rules);
        let (place, recent) = (place(record), Some(&mut self.recent));
        let context = Context { waiting: Some(waiting), keys, place, subjects, recent, drawn: 0 };
        let mut editor = PlanEditor::new(plan, context, rules, watch);
        if let Some(value) = value {
            let scratch = &mut self.scratch;
            parts.value(|out| {
                #[cfg(feature = "floor")]
                if floor::is_on() {
                    out.extend_from_slice(value);
                    return Ok(());
                }
                if W::WATCHES || plan.conditions.is_some() {
                    splice(value, decides.paths, depth, scratch, &mut editor, out)
                } else {
                    let paths = (slot, decides.paths);
                    splice_known(value, paths, depth, scratch, &mut editor, out)
                }
            })?;
        }
        let (limits, scratch) = (self.limits, &mut self.scratch);
        edit::key(&mut editor, decides.key, record.key, limits, scratch, &mut parts)?;
        edit::headers(&mut editor, decides.header_rules, record.headers, &mut parts)?;
        if parts.value_bytes() > self.limits.clean_bytes {
            return Err(Reason::Limits);
        }
        Ok(())
    }
}

/// Who decides what in one record.
#[derive(Clone, Copy)]
struct Decides<'p> {
    paths: &'p Paths,
    key: &'p OnKey,
    header_rules: &'p [(HeaderName, RuleId)],
}

impl<'p> Decides<'p> {
    fn always(plan: &'p Plan) -> Self {
        Self { paths: &plan.paths, key: &plan.key, header_rules: &plan.header_rules }
    }
}

impl<'p> From<&'p View> for Decides<'p> {
    fn from(view: &'p View) -> Self {
        Self { paths: &view.paths, key: &view.key, header_rules: &view.header_rules }
    }
}

/// The floor that `benches/pipeline.rs` compares with: the same service with the kernel replaced by a
/// copy. It cleans nothing, so no other build has it: the feature is that bench's alone.
#[cfg(feature = "floor")]
pub mod floor {
    use std::sync::atomic::{AtomicBool, Ordering};

    static ON: AtomicBool = AtomicBool::new(false);

    /// From now on values are copied as they are, or cleaned again.
    pub fn set(on: bool) {
        ON.store(on, Ordering::Relaxed);
    }

    pub(super) fn is_on() -> bool {
        ON.load(Ordering::Relaxed)
    }
}

/// Runs what looks at one record; its panic is that record's fate alone.
fn guarded<T>(clean: impl FnOnce() -> Result<T, Reason>) -> Result<T, Reason> {
    catch_unwind(AssertUnwindSafe(clean)).unwrap_or(Err(Reason::Internal))
}

fn place<'a>(record: &Record<'a>) -> Place<'a> {
    let Record { topic, partition, offset, key, .. } = *record;
    Place { topic, partition, offset, key: key.map(Raw::expose) }
}

/// Why a record without keys is withheld.
fn no_key(why: NoSecret) -> Reason {
    match why {
        // It has no epoch, and any choice could link or unlink it wrongly.
        NoSecret::NoTime => Reason::Malformed,
        NoSecret::Gone => Reason::Key,
    }
}

/// The keys of a record's epoch, from the cache of its plan's slot.
fn epoch_keys<'k>(
    cached: &'k mut Option<EpochKeys>,
    plan: &Plan,
    timestamp_ms: Option<i64>,
) -> Result<Option<&'k EpochKeys>, Reason> {
    let Some(source) = &plan.keys else { return Ok(None) };
    if cached.as_ref().is_some_and(|cached| cached.hold(timestamp_ms)) {
        return Ok(cached.as_ref());
    }
    let period = source.period(timestamp_ms).map_err(no_key)?;
    if cached.as_ref().is_none_or(|cached| cached.period() != period) {
        *cached = Some(source.keys(period));
    }
    Ok(cached.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment};
    use crate::keys::{Epoch, KeySource, Keyring};
    use crate::policy::{HeaderName, OnMismatch, Own, Rule, Unlisted};
    use crate::record::NO_HEADERS;
    use crate::transform::{Redact, Transform};

    fn plan(tenant: &str, rules: &[(&str, Transform)]) -> Plan {
        let mut paths = Vec::new();
        for (number, (path, transform)) in rules.iter().enumerate() {
            let on_container = match transform {
                Transform::Drop | Transform::Redact(_) => OnContainer::Take,
                Transform::Keep => OnContainer::Leave,
                _ => OnContainer::EachScalar,
            };
            let segments = path.split('.').map(|name| Segment::Name(name.into())).collect();
            paths.push(RulePath {
                rule: RuleId::try_from(number).unwrap(),
                on_container,
                segments,
            });
        }
        let rule = |(_, transform): &(&str, Transform)| Rule {
            transform: transform.clone(),
            mismatch: OnMismatch::Redact,
            label: String::new(),
        };
        Plan {
            tenant: tenant.into(),
            version: 1,
            paths: Paths::compile(&paths).unwrap(),
            rules: rules.iter().map(rule).map(Arc::new).collect(),
            key: OnKey::Nobody,
            header_rules: Vec::new(),
            conditions: None,
            subjects: None,
            unlisted: Unlisted::Keep,
            keys: None,
            own: Own::default(),
        }
    }

    fn record<'a>(value: &'a [u8], headers: &'a dyn crate::record::Headers) -> Record<'a> {
        Record {
            topic: "raw",
            partition: 0,
            offset: 0,
            timestamp_ms: Some(0),
            key: Some(Raw::new(b"k")),
            value: Some(Raw::new(value)),
            headers,
        }
    }

    fn shown(batch: &Batch, index: usize, record: &Record<'_>, policies: &Policies) -> String {
        match batch.outcome(index, record, policies) {
            Outcome::Clean(clean) => String::from_utf8(clean.value().unwrap().to_vec()).unwrap(),
            Outcome::Withheld(withheld) => {
                format!("{} {}", withheld.reason, withheld.tenant.unwrap_or("-"))
            }
        }
    }

    #[test]
    fn one_batch_keeps_its_records_apart() {
        let acme =
            plan("acme", &[("a", Transform::Drop), ("b", Transform::Redact(Redact::default()))]);
        let policies = Policies::new(vec![acme]).unwrap();
        let route = Route {
            index: 0,
            tenant: TenantSource::Field(FieldPath::new(&["t".into()])),
            default_tenant: None,
        };
        let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
        let cases: [(&[u8], &str); 6] = [
            (
                br#"{"t":"acme","a":{"x":1} , "b":[2],"c":1.0}"#,
                r#"{"t":"acme" , "b":"[redacted]","c":1.0}"#,
            ),
            (br#"{"t":"nobody"}"#, "tenant -"),
            (br#"{"t":"acme","a":1"#, "malformed -"),
            (br#"[{"t":"acme"},{"t":"acme","a":1}]"#, r#"[{"t":"acme"},{"t":"acme"}]"#),
            (br#"{"t":"acme","t":"other"}"#, "tenant -"),
            (br#"{"a":1,"t":"acme"}"#, r#"{"t":"acme"}"#),
        ];
        for round in 0..2 {
            for (value, _) in cases {
                engine.clean(&policies, &route, &record(value, NO_HEADERS), &mut batch);
            }
            batch.complete();
            for (index, (value, want)) in cases.into_iter().enumerate() {
                let got = shown(&batch, index, &record(value, NO_HEADERS), &policies);
                assert_eq!(got, want, "round {round}");
            }
            let row = &batch.tally().routes[0];
            assert_eq!((row.records_in, row.records_out), (6, 3));
            let plans: Vec<PlanTally<'_>> = batch.tally().plans().collect();
            let [PlanTally { slot: 0, records: 3, rules }] = plans[..] else { panic!() };
            assert_eq!(rules[0].hits, 3);
            batch.clear();
            assert_eq!(batch.tally().plans().count(), 0);
        }
    }

    #[test]
    fn lines_are_the_clean_values_in_order() {
        let acme = plan("acme", &[("a", Transform::Drop)]);
        let policies = Policies::new(vec![acme]).unwrap();
        let tenant = TenantSource::Fixed("acme".into());
        let route = Route { index: 0, tenant, default_tenant: None };
        let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::of_lines());
        let mut lines = CleanLines::default();
        let values: [&[u8]; 4] = [br#"{"a":1,"b":2}"#, br#"{"b":3,"a":"#, b"{ }", br#"{"a":"x"}"#];
        for round in 1..=2 {
            for value in values {
                engine.clean(&policies, &route, &record(value, NO_HEADERS), &mut batch);
            }
            batch.complete();
            let outcomes = values.iter().enumerate().filter_map(|(index, value)| {
                match batch.outcome(index, &record(value, NO_HEADERS), &policies) {
                    Outcome::Clean(clean) => Some([clean.value().unwrap(), b"\n"].concat()),
                    Outcome::Withheld(_) => None,
                }
            });
            let wanted = outcomes.collect::<Vec<_>>().concat();
            batch.move_lines(&mut lines);
            assert!(batch.is_empty());
            assert_eq!(lines.bytes(), wanted.repeat(round));
            assert_eq!(wanted, b"{\"b\":2}\n{ }\n{}\n");
        }
    }

    #[test]
    #[should_panic(expected = "nothing but values and newlines")]
    fn keys_that_a_rule_rewrote_are_in_no_line() {
        let mut acme = plan("acme", &[("a", Transform::Redact(Redact::default()))]);
        acme.key = OnKey::Whole(0);
        let policies = Policies::new(vec![acme]).unwrap();
        let tenant = TenantSource::Fixed("acme".into());
        let route = Route { index: 0, tenant, default_tenant: None };
        let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::of_lines());
        engine.clean(&policies, &route, &record(b"{}", NO_HEADERS), &mut batch);
        batch.complete();
        batch.move_lines(&mut CleanLines::default());
    }

    #[test]
    fn key_and_headers_follow_the_policy() {
        let mut acme =
            plan("acme", &[("x", Transform::Redact(Redact::default())), ("y", Transform::Drop)]);
        acme.key = OnKey::Whole(0);
        acme.header_rules = vec![(HeaderName::Named("mail".into()), 1), (HeaderName::Any, 0)];
        let policies = Policies::new(vec![acme]).unwrap();
        let tenant = TenantSource::Header(b"tenant".as_slice().into());
        let route = Route { index: 0, tenant, default_tenant: None };
        let header = |name: &str, value: &str| (name.into(), Some(value.into()));
        let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> =
            vec![header("tenant", "acme"), header("mail", "a@b"), header("ip", "1.2.3.4")];
        let record = record(b"{}", &headers);
        let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
        engine.clean(&policies, &route, &record, &mut batch);
        batch.complete();
        let Outcome::Clean(clean) = batch.outcome(0, &record, &policies) else { panic!() };
        assert_eq!(clean.key(), Some(b"[redacted]".as_slice()));
        let CleanHeaders::Edited(edited) = clean.headers() else { panic!() };
        use crate::record::Headers;
        assert_eq!(edited.count(), 2);
        let (name, value) = edited.get(1).unwrap();
        assert_eq!((name, value.unwrap().expose()), (b"ip".as_slice(), b"[redacted]".as_slice()));
    }

    #[test]
    fn a_record_whose_secret_is_gone_is_withheld() {
        let text = "acme:\n- {destroyed: 2026-01-01}\n- {secret: \
                    8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d, \
                    from: 1970-01-02}\n";
        let source = crate::document::Source::new("keyring", text);
        let keyring = Keyring::read(&source, &mut crate::document::Faults::default()).unwrap();
        let mut acme = plan("acme", &[]);
        let secrets = keyring.get("acme").unwrap().clone();
        acme.keys = Some(KeySource::new(secrets, "acme", Epoch::Never));
        let policies = Policies::new(vec![acme]).unwrap();
        let tenant = TenantSource::Fixed("acme".into());
        let route = Route { index: 0, tenant, default_tenant: None };
        let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
        let day = 86_400_000;
        for (time, want) in
            [(Some(day), "{}"), (Some(day - 1), "key acme"), (None, "malformed acme")]
        {
            let record = Record { timestamp_ms: time, ..record(b"{}", NO_HEADERS) };
            batch.clear();
            engine.clean(&policies, &route, &record, &mut batch);
            batch.complete();
            assert_eq!(shown(&batch, 0, &record, &policies), want, "{time:?}");
        }
    }

    #[test]
    fn a_panic_is_one_record_s_fate() {
        assert_eq!(guarded::<()>(|| panic!("a bug")), Err(Reason::Internal));
        assert_eq!(guarded(|| Ok(())), Ok(()));
    }
}
