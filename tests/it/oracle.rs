//! The kernel against its naive twin, on made records, made policies and damaged input; and what
//! must hold of the kernel alone.

use crate::naive::bridge::{self, Kernel, difference};
use crate::naive::made::{self, Choices, noise};
use crate::naive::{Bounds, Expected, Flaw, Policy, json};
use limpid::policy::{OnMismatch, Unlisted};
use proptest::collection::vec;
use proptest::prelude::*;

const USUAL: Bounds = Bounds { depth: 128, value_bytes: 1 << 20, clean_bytes: 1 << 20 };

const NO_RULES: Policy = Policy { rules: Vec::new(), unlisted: Unlisted::Keep };

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
    crate::naive::clean(policy, value, &bridge::key(), USUAL, Flaw::None)
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
        policy.rules.retain(|rule| settles(&rule.action));
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

/// Does a second pass of it change nothing? A pseudonym has a pseudonym of its own, and what a
/// mismatch redacted may be of the right kind the second time.
fn settles(action: &crate::naive::Action) -> bool {
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

/// Every flaw of the twin is noticed on some made case: the comparison can fail.
#[test]
fn every_flaw_of_the_twin_is_noticed() {
    const CASES: u64 = 20_000;
    let mut unnoticed: Vec<Flaw> = Flaw::ALL.to_vec();
    for seed in 0..CASES {
        if unnoticed.is_empty() {
            break;
        }
        let (policy, value, bounds) = case(&noise(seed, 300), false);
        unnoticed.retain(|flaw| difference(&policy, &value, bounds, *flaw).is_none());
    }
    assert!(unnoticed.is_empty(), "{unnoticed:?} would go unnoticed");
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
    use crate::naive::{Action, Rule};
    use limpid::format::paths::Segment::{AnyDepth, Name};
    let mismatch = OnMismatch::Redact;
    let rule = |action, path: Vec<_>| Rule { paths: vec![path], action, mismatch };
    let name = |name: &str| Name(name.into());
    let policy = Policy {
        rules: vec![
            rule(Action::Keep, vec![name("a"), AnyDepth, name("ok")]),
            rule(Action::Drop, vec![name("a")]),
            rule(Action::Redact, vec![name("b")]),
        ],
        unlisted: Unlisted::Keep,
    };
    let value =
        br#" {"\u0061":{"x":1, "ok" : 2 ,"y":[3,{"z":4}]},"a":5,"b":[6],"b":null,"c":1.0} "#;
    let clean = br#" {"\u0061":{"ok" : 2 ,"y":[{}]},"b":"[redacted]","b":null,"c":1.0} "#;
    assert_eq!(expected(&policy, value), Expected::Clean(clean.to_vec()));
}

/// `**` steps over no name, and the value is no array: it is the one element that `[*]` names.
#[test]
fn a_lone_value_is_the_element_behind_any_depth_too() {
    use crate::naive::{Action, Rule};
    use limpid::format::paths::Segment::{AnyDepth, AnyElement, Name};
    let path = vec![AnyElement, AnyDepth, AnyElement, Name("ip".into())];
    let redact = Rule { paths: vec![path], action: Action::Redact, mismatch: OnMismatch::Redact };
    let policy = Policy { rules: vec![redact], unlisted: Unlisted::Keep };
    let mut kernel = Kernel::new(bridge::plan(&policy).expect("small"), USUAL);
    let clean = kernel.clean(br#"{"ip":"1.2.3.4"}"#).expect("a record");
    assert_eq!(String::from_utf8_lossy(&clean), r#"{"ip":"[redacted]"}"#);
}
