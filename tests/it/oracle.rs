//! The kernel against its naive twin, on made records, made policies and damaged input; and what
//! must hold of the kernel alone.

use crate::naive::bridge::{self, Kernel, difference};
use crate::naive::conditions;
use crate::naive::forms::{Form, Local};
use crate::naive::made::{self, Choices, noise};
use crate::naive::slips::Slip;
use crate::naive::{Action, Beside, Bounds, Expected, Flaw, Parts, Policy, Rule, json};
use limpid::engine::{Batch, Clean, CleanHeaders, Engine, Limits, Outcome, Route, TenantSource};
use limpid::error::Reason;
use limpid::format::paths::Segment;
use limpid::policy::{Decides, OnMismatch, Policies, Unlisted};
use limpid::record::{Headers as _, Raw, Record};
use proptest::collection::vec;
use proptest::prelude::*;

const USUAL: Bounds = Bounds { depth: 128, value_bytes: 1 << 20, clean_bytes: 1 << 20 };

const NO_RULES: Policy = Policy::new(Vec::new(), Unlisted::Keep);

/// One made case: a policy, a record's value, bounds.
fn case(bytes: &[u8], damaged: bool) -> (Policy, Vec<u8>, Bounds) {
    let mut choices = Choices::new(bytes);
    let policy = made::policy(&mut choices);
    let bounds = made::bounds(&mut choices);
    let mut value = made::record(&mut choices);
    if damaged {
        value = made::damaged(&mut choices, value);
    }
    (policy, value, bounds)
}

fn agree(policy: &Policy, value: &[u8], bounds: Bounds) -> Result<(), TestCaseError> {
    match difference(policy, value, bounds, Flaw::None) {
        None => Ok(()),
        Some(difference) => Err(TestCaseError::fail(format!(
            "{policy}{bounds:?}\nvalue:  {}\n{difference}",
            String::from_utf8_lossy(value)
        ))),
    }
}

fn expected(policy: &Policy, value: &[u8]) -> Expected {
    crate::naive::clean(policy, value, &bridge::keys(), USUAL, Flaw::None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernel_and_twin_agree_on_made_records(bytes in vec(any::<u8>(), 0..400)) {
        let (policy, value, bounds) = case(&bytes, false);
        agree(&policy, &value, bounds)?;
    }

    #[test]
    fn kernel_and_twin_agree_on_damaged_records(bytes in vec(any::<u8>(), 0..400)) {
        let (policy, value, bounds) = case(&bytes, true);
        agree(&policy, &value, bounds)?;
    }

    #[test]
    fn kernel_and_twin_agree_on_arbitrary_bytes(
        bytes in vec(any::<u8>(), 0..60),
        value in vec(any::<u8>(), 0..60),
    ) {
        let (policy, _, bounds) = case(&bytes, false);
        agree(&policy, &value, bounds)?;
    }

    /// Whole records of two tenants, their keys and headers, in one batch and two epochs.
    #[test]
    fn engine_and_twin_agree_on_batches(bytes in vec(any::<u8>(), 0..3000)) {
        let mut choices = Choices::new(&bytes);
        let policies = [made::policy_with_key(&mut choices), made::policy_with_key(&mut choices)];
        let records: Vec<Addressed> =
            (0..choices.below(12)).map(|_| addressed(&mut choices)).collect();
        batch_agrees(&policies, &records, Flaw::None)?;
    }

    /// Rules with conditions, compiled from what their author would write.
    #[test]
    fn conditions_and_twin_agree(bytes in vec(any::<u8>(), 0..400)) {
        let mut choices = Choices::new(&bytes);
        let rules = conditions::rules(&mut choices);
        let unlisted = [Unlisted::Keep, Unlisted::Keep, Unlisted::Drop, Unlisted::Redact];
        let policy = Policy::new(rules, unlisted[choices.below(4)]);
        let value = made::record(&mut choices);
        let (key, headers) = conditions::beside(&mut choices);
        let beside = Beside { key: key.as_deref(), headers: &headers };
        if let Some(difference) = bridge::compiled_difference(&policy, &value, beside, USUAL) {
            return Err(TestCaseError::fail(format!(
                "{}\n{beside:?}\nvalue:  {}\n{difference}",
                conditions::yaml(&policy.rules, policy.unlisted),
                String::from_utf8_lossy(&value),
            )));
        }
    }

    #[test]
    fn without_rules_a_record_is_itself(bytes in vec(any::<u8>(), 0..400)) {
        let value = made::record(&mut Choices::new(&bytes));
        let mut kernel = Kernel::new(bridge::plan(&NO_RULES).expect("small"), USUAL);
        if let Ok(clean) = kernel.clean(&value) {
            prop_assert_eq!(clean, value);
        }
    }

    #[test]
    fn what_comes_out_is_json(bytes in vec(any::<u8>(), 0..400)) {
        let (policy, value, _) = case(&bytes, true);
        let Some(plan) = bridge::plan(&policy) else { return Ok(()) };
        if let Ok(clean) = Kernel::new(plan, USUAL).clean(&value) {
            let text = std::str::from_utf8(&clean).expect("clean values are UTF-8");
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn cleaning_twice_without_pseudonyms_changes_nothing_more(bytes in vec(any::<u8>(), 0..400)) {
        let (mut policy, value, _) = case(&bytes, false);
        // By other names, other rules may name them.
        policy.rules.retain(|rule| rule.decides == Decides::Value);
        policy.rules.retain(|rule| settles(&rule.action) && !rule.paths.iter().any(|path| elements(path)));
        policy.rules.iter_mut().for_each(|rule| rule.mismatch = OnMismatch::Keep);
        let Some(plan) = bridge::plan(&policy) else { return Ok(()) };
        let mut kernel = Kernel::new(plan, USUAL);
        if let Ok(once) = kernel.clean(&value) {
            let twice = kernel.clean(&once).expect("clean values are records");
            prop_assert_eq!(
                String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice), "{}", policy
            );
        }
    }

    #[test]
    fn the_twin_reads_what_serde_json_reads(bytes in vec(any::<u8>(), 0..400), damage: bool) {
        let mut choices = Choices::new(&bytes);
        let mut value = made::record(&mut choices);
        if damage {
            value = made::damaged(&mut choices, value);
        }
        reads_like_the_others(&value)?;
    }

    #[test]
    fn the_twin_reads_arbitrary_bytes_like_serde_json(value in "[\\[\\]{}\",:\\\\ut0-9eE.+\\- nulrasf\u{0}é]{0,24}") {
        reads_like_the_others(value.as_bytes())?;
    }
}

/// A record, with its tenant and its time.
#[derive(Debug)]
struct Addressed {
    tenant: usize,
    timestamp_ms: i64,
    parts: Parts,
}

const TENANTS: [&str; 3] = ["acme", "globex", "nobody"];

fn addressed(choices: &mut Choices<'_>) -> Addressed {
    let tenant = choices.below(8) % 3;
    let day = i64::try_from(bridge::EPOCH_MS).expect("small");
    let timestamp_ms = bridge::TIMESTAMP_MS + day * i64::from(choices.below(4) == 3);
    let mut parts = made::parts(choices);
    parts.headers.push((b"tenant".to_vec(), Some(TENANTS[tenant].into())));
    Addressed { tenant, timestamp_ms, parts }
}

impl Addressed {
    fn record(&self) -> Record<'_> {
        Record {
            topic: "raw",
            partition: 0,
            offset: 0,
            timestamp_ms: Some(self.timestamp_ms),
            key: self.parts.key.as_deref().map(Raw::new),
            value: self.parts.value.as_deref().map(Raw::new),
            headers: &self.parts.headers,
        }
    }

    fn expected(&self, policies: &[Policy; 2], flaw: Flaw) -> Result<Parts, Vec<Reason>> {
        let policy = policies.get(self.tenant).ok_or_else(|| vec![Reason::Tenant])?;
        let mut keys = bridge::keys_of(TENANTS[self.tenant], self.timestamp_ms);
        keys.record_key.clone_from(&self.parts.key);
        crate::naive::clean_parts(policy, &self.parts, &keys, USUAL, flaw)
    }
}

fn batch_agrees(
    policies: &[Policy; 2],
    records: &[Addressed],
    flaw: Flaw,
) -> Result<(), TestCaseError> {
    let plan = |tenant: usize| bridge::plan_for(TENANTS[tenant], &policies[tenant]);
    let (Some(first), Some(second)) = (plan(0), plan(1)) else { return Ok(()) };
    let plans = Policies::new(vec![first, second]).expect("two tenants");
    let tenant = TenantSource::Header(b"tenant".as_slice().into());
    let route = Route { index: 0, tenant, default_tenant: None };
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    // Twice, as the second time everything is reused.
    for _ in 0..2 {
        batch.clear();
        let records_of_route = records.iter().map(|record| (&route, record.record()));
        engine.clean_all(&plans, records_of_route, &mut batch);
        batch.complete();
        for (index, addressed) in records.iter().enumerate() {
            let record = addressed.record();
            let got = match batch.outcome(index, &record, &plans) {
                Outcome::Clean(clean) => Ok(left(&clean, &addressed.parts)),
                Outcome::Withheld(withheld) => Err(withheld.reason),
            };
            let twin = addressed.expected(policies, flaw);
            let agree = match (&got, &twin) {
                (Ok(got), Ok(parts)) => got == parts,
                (Err(reason), Err(reasons)) => reasons.contains(reason),
                _ => false,
            };
            let [first, second] = policies;
            prop_assert!(
                agree,
                "{first}{second}record {index} of {records:#?}\nlimpid: {got:?}\ntwin:   {twin:?}"
            );
        }
    }
    Ok(())
}

/// What is left of a record.
pub fn left(clean: &Clean<'_>, before: &Parts) -> Parts {
    let headers = match clean.headers() {
        CleanHeaders::Same => before.headers.clone(),
        CleanHeaders::Edited(edited) => (0..edited.count())
            .filter_map(|index| edited.get(index))
            .map(|(name, value)| (name.to_vec(), value.map(|value| value.expose().to_vec())))
            .collect(),
    };
    let own = |bytes: &[u8]| bytes.to_vec();
    Parts { key: clean.key().map(own), value: clean.value().map(own), headers }
}

/// Does it name elements? After a first pass their numbers may be others', and what was an array a
/// redacted word, which is an element too.
fn elements(path: &[Segment]) -> bool {
    path.iter().any(|segment| matches!(segment, Segment::AnyElement | Segment::Element(_)))
}

/// Does a second pass of it change nothing? A pseudonym has a pseudonym of its own, and what a
/// mismatch redacted may be of the right kind the second time.
fn settles(action: &Action) -> bool {
    use crate::naive::Action::{Drop, Keep, Mask, Redact, Round};
    matches!(action, Keep | Drop | Redact | Mask { .. } | Round { .. })
}

/// serde_json skips (`IgnoredAny`) by the grammar alone; a `Value` also wants whole surrogate
/// pairs, numbers within f64 and at most 127 levels. simd-json agrees where those hold.
fn reads_like_the_others(bytes: &[u8]) -> Result<(), TestCaseError> {
    let twin = json::parse(bytes);
    let text = std::str::from_utf8(bytes);
    let grammar =
        text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    let value = serde_json::from_slice::<serde_json::Value>(bytes);
    prop_assert!(grammar || twin.is_err(), "the twin reads too much");
    prop_assert!(value.is_err() || twin.is_ok(), "the twin reads too little");
    if let (Ok(parsed), Err(error)) = (&twin, &value) {
        let told = error.to_string();
        let bound = told.contains("number out of range") || parsed.depth > 127;
        prop_assert!(bound, "serde_json refuses what the twin reads: {}", told);
    }
    if value.is_ok() {
        let read = simd_json::to_borrowed_value(&mut bytes.to_vec()).is_ok();
        prop_assert!(read, "simd-json refuses what serde_json reads");
    }
    Ok(())
}

/// What few made cases are: a text that is JSON, and just too deep for a record.
fn deep_text() -> (Policy, Vec<u8>, Bounds) {
    use crate::naive::Action::{Drop, Keep};
    let inside = rule_at(Decides::Inside, Keep, &["a", "b"]);
    let drop = rule_at(Decides::Value, Drop, &["a", "b", "c"]);
    let value = br#"{"a":[{"b":"{\"c\":[1]}"}]}"#;
    let bounds = Bounds { depth: 4, ..USUAL };
    (Policy::new(vec![inside, drop], Unlisted::Keep), value.to_vec(), bounds)
}

/// What few made cases are: times whose subject is named twice.
fn two_subjects() -> (Policy, Vec<u8>, Bounds) {
    let date = Form::Date { to: "second", epoch: "no", shift_days: 400, shift_by: Some(0) };
    let date = rule_at(Decides::Value, Action::Form(date), &["at"]);
    let value = br#"{"a":1,"at":"2026-11-24","a":2}"#;
    (Policy::new(vec![date], Unlisted::Keep), value.to_vec(), USUAL)
}

/// What few made cases are: a mail address that becomes a pseudonym.
fn hashed_address() -> (Policy, Vec<u8>, Bounds) {
    let hash = rule_at(Decides::Value, Action::Form(Form::Email(Local::Hash)), &["a"]);
    (Policy::new(vec![hash], Unlisted::Keep), br#"{"a":"jane@x.example"}"#.to_vec(), USUAL)
}

fn rule_at(decides: Decides, action: Action, names: &[&str]) -> Rule {
    Rule {
        paths: vec![names.iter().map(|name| Segment::Name((*name).into())).collect()],
        decides,
        action,
        mismatch: OnMismatch::Redact,
        when: Vec::new(),
    }
}

/// Every flaw of the twin is noticed on some made case: the comparison can fail.
#[test]
fn every_flaw_of_the_twin_is_noticed() {
    const CASES: u64 = 20_000;
    let slips = Slip::ALL.into_iter().map(Flaw::Slip);
    let mut unnoticed: Vec<Flaw> = Flaw::ALL.into_iter().chain(slips).collect();
    let made = (0..CASES).map(|seed| case(&noise(seed, 300), false));
    let rare = [deep_text(), two_subjects(), hashed_address()];
    for (policy, value, bounds) in rare.into_iter().chain(made) {
        if unnoticed.is_empty() {
            break;
        }
        for noticed in bridge::differences(&policy, &value, bounds, &unnoticed) {
            unnoticed.retain(|flaw| *flaw != noticed.flaw);
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:?} would go unnoticed");
}

/// The same of what only the key of a record shows.
#[test]
fn every_flaw_about_keys_is_noticed() {
    for flaw in Flaw::OF_KEYS {
        let noticed = (0..2_000).any(|seed| {
            let bytes = noise(seed, 600);
            let mut choices = Choices::new(&bytes);
            let policies = [(); 2].map(|()| made::policy_with_key(&mut choices));
            let records = [(); 4].map(|()| addressed(&mut choices));
            batch_agrees(&policies, &records, flaw).is_err()
        });
        assert!(noticed, "{flaw:?} would go unnoticed");
    }
}

/// A record that no made case reaches: far deeper than any bound.
#[test]
fn a_hundred_thousand_brackets_are_withheld() {
    for open in ["[", "{\"a\":", "[[{\"a\":"] {
        let value = open.repeat(100_000);
        let mut kernel = Kernel::new(bridge::plan(&NO_RULES).expect("small"), USUAL);
        let reason = kernel.clean(value.as_bytes()).expect_err("not a record");
        assert!(matches!(reason.name(), "limits" | "malformed"), "{reason}");
    }
}

/// The twin itself, on cases that are worth reading.
#[test]
fn the_twin_does_what_the_contract_says() {
    use limpid::format::paths::Segment::{AnyDepth, Name};
    let mismatch = OnMismatch::Redact;
    let rule = |action, path: Vec<_>| Rule {
        paths: vec![path],
        decides: Decides::Value,
        action,
        mismatch,
        when: Vec::new(),
    };
    let name = |name: &str| Name(name.into());
    let policy = Policy::new(
        vec![
            rule(Action::Keep, vec![name("a"), AnyDepth, name("ok")]),
            rule(Action::Drop, vec![name("a")]),
            rule(Action::Redact, vec![name("b")]),
        ],
        Unlisted::Keep,
    );
    let value =
        br#" {"\u0061":{"x":1, "ok" : 2 ,"y":[3,{"z":4}]},"a":5,"b":[6],"b":null,"c":1.0} "#;
    let clean = br#" {"\u0061":{"ok" : 2},"b":"[redacted]","b":null,"c":1.0} "#;
    assert_eq!(expected(&policy, value), Expected::Clean(clean.to_vec()));
}

/// `**` steps over no name, and the value is no array: it is the one element that `[*]` names.
#[test]
fn a_lone_value_is_the_element_behind_any_depth_too() {
    use limpid::format::paths::Segment::{AnyDepth, AnyElement, Name};
    let path = vec![AnyElement, AnyDepth, AnyElement, Name("ip".into())];
    let redact = Rule {
        paths: vec![path],
        decides: Decides::Value,
        action: Action::Redact,
        mismatch: OnMismatch::Redact,
        when: Vec::new(),
    };
    let policy = Policy::new(vec![redact], Unlisted::Keep);
    let mut kernel = Kernel::new(bridge::plan(&policy).expect("small"), USUAL);
    let clean = kernel.clean(br#"{"ip":"1.2.3.4"}"#).expect("a record");
    assert_eq!(String::from_utf8_lossy(&clean), r#"{"ip":"[redacted]"}"#);
}
