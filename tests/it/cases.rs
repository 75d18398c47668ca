//! limpid's own case folders ([`limpid::cases`] says what they hold). Expected outputs are written
//! from the design, by hand; nothing here records them. Keys and headers are told by the tests that
//! the policies themselves carry.

use limpid::cases::{self, Case};
use limpid::document::{Faults, Show, Source};
use limpid::engine::Limits;
use limpid::keys::{Keyring, Secret};
use limpid::policy::trial::Bench;
use limpid::policy::{self, Policies};
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
