//! Case folders: a policy, records that go in, what must come out. Expected outputs are written
//! from the design, by hand; nothing here records them.
//!
//! `tests/cases/AREA/NAME/` holds `policy.yaml`; `in.ndjson`, one record a line; `out.ndjson`, the
//! clean ones in their order, byte for byte (`…` stands for any text); and `withheld.txt`, a line
//! number and a reason for each of the others. Keys and headers are told by the tests that the
//! policy itself carries. Both run on [`limpid::policy::trial`], as users' own tests do.

use limpid::document::{Faults, Show, Source};
use limpid::engine::Limits;
use limpid::keys::{Keyring, Secret};
use limpid::policy::trial::{Bench, Tried};
use limpid::policy::{self, Policies};
use limpid::record::NO_HEADERS;
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
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("tests/cases")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("policy.yaml") {
                found.push(dir.clone());
            }
        }
    }
    found.sort();
    found
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
    let bench = Bench::new(&policies, tenant, Limits::default());
    compiled.tests.len() + records(case, bench, told)
}

fn records(case: &Path, mut bench: Bench<'_>, told: &mut String) -> usize {
    let records = lines(&case.join("in.ndjson"));
    let mut clean = lines(&case.join("out.ndjson")).into_iter();
    let mut withheld = lines(&case.join("withheld.txt")).into_iter();
    for (record, number) in records.iter().zip(1..) {
        let (wanted, got) = match bench.clean(Some(record), None, NO_HEADERS) {
            Tried::Clean { value, .. } => (clean.next(), value.unwrap_or_default()),
            Tried::Withheld(reason) => (withheld.next(), format!("{number} {reason}").into_bytes()),
        };
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let wanted = wanted.map_or("nothing".into(), |wanted| shown(&wanted));
        if !policy::text_fits(&wanted, &shown(&got)) {
            let _ = writeln!(
                told,
                "  {}\n    wanted {wanted}\n    got    {}",
                shown(record),
                shown(&got)
            );
        }
    }
    for left in clean.chain(withheld) {
        let _ = writeln!(told, "  wanted, never got: {}", String::from_utf8_lossy(&left));
    }
    records.len()
}

fn lines(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    assert_eq!(
        lines.pop().as_deref(),
        Some(&b""[..]),
        "{} lacks its last line end",
        file.display()
    );
    lines
}
