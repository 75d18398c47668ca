//! limpid's own case folders ([`limpid::cases`] says what they hold). Expected outputs are written
//! from the design, by hand; nothing here records them. Keys and headers are told by the tests that
//! the policies themselves carry.

use limpid::cases::{self, Case};
use limpid::document::{Faults, Show, Source};
use limpid::engine::Limits;
use limpid::keys::{Keyring, Secret};
use limpid::policy::trial::{Bench, Tried};
use limpid::policy::{self, Policies};
use limpid::record::NO_HEADERS;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn every_case_comes_out_as_its_files_say() {
    let mut wrong = String::new();
    let mut checks = 0;
    for case in cases() {
        let mut told = String::new();
        checks += run(&case, &mut told);
        if !told.is_empty() {
            let _ = writeln!(wrong, "{}:\n{told}", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checks > 200, "only {checks} records were checked");
}

#[test]
fn every_transform_has_cases() {
    for spec in limpid::transform::TABLE {
        let dir = Path::new("tests/cases/transform").join(spec.name);
        assert!(dir.is_dir(), "no case for `{}`", spec.name);
    }
}

/// The folders that hold a policy.
pub fn cases() -> Vec<PathBuf> {
    cases::find(Path::new("tests/cases")).expect("the folder of cases")
}

/// Runs one case; tells what is wrong, counts what was checked.
fn run(case: &Path, told: &mut String) -> usize {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new([1; 32]));
    let source = Source::read(&case.join("policy.yaml"), Show::Lines).expect("a policy");
    let mut faults = Faults::default();
    let Some(compiled) = policy::compile(&source, Some(&keyring), &mut faults) else {
        let _ = write!(told, "{faults}");
        return 0;
    };
    let tenant = compiled.plan.tenant.clone();
    let policies = Policies::new(vec![compiled.plan]).expect("one plan");
    compiled.tests.run(&policies, &mut faults);
    let _ = write!(told, "{faults}");
    let mut bench = Bench::new(&policies, tenant, Limits::default());
    let case = Case::read(case).expect("its files");
    for note in case.run(&mut bench) {
        let _ = writeln!(told, "  {note}");
    }
    compiled.tests.len() + case.len()
}

/// What the files cannot say of the times in `date/shift-by`, as nobody knows by how much they move:
/// those of one subject by the same number of days, whatever the record; those of others by another.
#[test]
fn one_subject_has_one_shift() {
    const DAY: i64 = 86_400;
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new([1; 32]));
    let file = Path::new("tests/cases/transform/date/shift-by/policy.yaml");
    let source = Source::read(file, Show::Lines).expect("a policy");
    let compiled = policy::compile(&source, Some(&keyring), &mut Faults::default());
    let policies = Policies::new(vec![compiled.expect("no fault").plan]).expect("one plan");
    let mut bench = Bench::new(&policies, "acme".into(), Limits::default());
    let mut days = |subject: u32, time: &str| {
        let at = |json: &str| {
            let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            let time: jiff::Timestamp = json["at"].as_str().expect("text").parse().expect("a time");
            time.as_second()
        };
        let before = format!("{{\"at\":\"{time}\",\"user\":{{\"id\":{subject}}}}}");
        let Tried::Clean { value: Some(after), .. } =
            bench.clean(Some(before.as_bytes()), Some(time.as_bytes()), NO_HEADERS)
        else {
            panic!("withheld");
        };
        let moved = at(&String::from_utf8(after).expect("UTF-8")) - at(&before);
        assert_eq!(moved % DAY, 0, "whole days");
        moved / DAY
    };
    let shifts: Vec<i64> = (0..40).map(|subject| days(subject, "2026-11-24T22:05:23Z")).collect();
    for (subject, shift) in (0..).zip(&shifts) {
        assert_eq!(days(subject, "2026-02-28T03:00:00Z"), *shift, "the times of {subject}");
        assert!((-30..=30).contains(shift), "{shift} days");
    }
    let distinct: BTreeSet<i64> = shifts.into_iter().collect();
    assert!(distinct.len() > 20, "40 subjects have {distinct:?}");
}
