//! Policies that are refused, beside the exact words they are refused with.
//!
//! `tests/reject/NAME.yaml` is the policy, `NAME.stderr` what its author reads. After a change to
//! the words, `UPDATE=1 cargo test --test it reject` writes them anew; the diff is the review.

use crate::expect;
use limpid::document::{Faults, Source, codes};
use limpid::keys::{Keyring, Secret};
use limpid::policy::{self, Policies};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compiles a policy against a keyring that knows `acme` and `beta`, then runs its tests.
fn faults(source: &Arc<Source>) -> Faults {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new([1; 32]));
    keyring.insert("beta", Secret::new([2; 32]));
    let mut faults = Faults::default();
    if let Some(compiled) = policy::compile(source, Some(&keyring), &mut faults) {
        let policies = Policies::new(vec![compiled.plan]).expect("one plan");
        compiled.tests.run(&policies, &mut faults);
    }
    faults.sort();
    faults
}

#[test]
fn every_reject_case_says_what_its_file_says() {
    let mut differing = Vec::new();
    let cases = expect::files(Path::new("tests/reject"), "yaml");
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&case).expect("the case");
        let faults = faults(&Source::new(name.as_str(), text));
        assert!(!faults.is_empty(), "{name} is accepted");
        for fault in faults.iter() {
            assert!(codes::find(fault.code).is_some(), "{name}: {} has no entry", fault.code);
        }
        differing.extend(expect::differs(&case.with_extension("stderr"), &faults.to_string()));
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Folders of policies that share files: `tests/reject/shared/NAME`, beside `NAME.stderr`.
#[test]
fn every_folder_is_refused_in_the_words_of_its_file() {
    let mut differing = Vec::new();
    for entry in std::fs::read_dir("tests/reject/shared").expect("the folders") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let mut faults = Faults::default();
        let sources = policy::sources(&folder, &mut faults);
        policy::compile_all(&sources, policy::Lookup::Rehearsal, &mut faults);
        faults.sort();
        assert!(!faults.is_empty(), "{} is accepted", folder.display());
        differing.extend(expect::differs(&folder.with_extension("stderr"), &faults.to_string()));
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn no_message_lacks_its_case() {
    let cases = expect::files(Path::new("tests/reject"), "stderr");
    for case in cases {
        assert!(case.with_extension("yaml").exists(), "{} has no policy", case.display());
    }
}

#[test]
fn too_many_rules_and_too_many_states_are_refused() {
    let rule = |n: usize| format!("  - {{fields: f{n}, do: drop}}\n");
    let many: String = (0..4097).map(rule).collect();
    let source = Source::new("many.yaml", format!("tenant: acme\nversion: 1\nrules:\n{many}"));
    let found: Vec<_> = faults(&source).iter().map(|fault| fault.code).collect();
    assert_eq!(found, ["P008"]);

    // An `a` so many names above the value: a state for every set of places where an `a` was.
    let path = format!("**.a{}", ".*".repeat(17));
    let wild = format!("tenant: acme\nversion: 1\nrules: [{{fields: \"{path}\", do: drop}}]\n");
    let source = Source::new("wild.yaml", wild);
    let found: Vec<_> = faults(&source).iter().map(|fault| fault.code).collect();
    assert_eq!(found, ["P009"]);
}

#[test]
fn codes_are_distinct_sorted_and_explained() {
    for family in codes::ALL {
        let names: Vec<&str> = family.iter().map(|code| code.code).collect();
        let sorted: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names, sorted.into_iter().collect::<Vec<_>>());
        for code in family {
            assert!(!code.title.is_empty() && code.explanation.ends_with('.'), "{}", code.code);
        }
    }
}

#[test]
fn the_examples_of_policy_codes_are_wrong_and_right() {
    let of_policies = |code: &&codes::Code| code.code.starts_with(['P', 'Y']);
    for code in codes::ALL.into_iter().flatten().filter(of_policies) {
        if code.wrong.is_empty() {
            continue;
        }
        let wrong = faults(&Source::new("wrong.yaml", code.wrong));
        assert!(wrong.iter().any(|fault| fault.code == code.code), "{}: {wrong}", code.code);
        let right = faults(&Source::new("right.yaml", code.right));
        assert!(right.is_empty(), "{}: {right}", code.code);
    }
}

/// A code that is printed without an entry, or explained and never printed, helps nobody.
#[test]
fn the_table_holds_the_codes_that_the_source_uses() {
    let mut used = BTreeSet::new();
    for file in sources(Path::new("src")) {
        if file.starts_with("src/document/codes") || file.ends_with("document/codes.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source file");
        // Only literals count, and those of tests add none that the code lacks.
        for part in text.split('"').filter(|part| is_code(part)) {
            used.insert(part.to_owned());
        }
    }
    let explained: BTreeSet<String> =
        codes::ALL.into_iter().flatten().map(|code| code.code.to_owned()).collect();
    assert_eq!(used, explained);
}

fn is_code(word: &str) -> bool {
    word.len() == 4
        && word.starts_with(['C', 'K', 'P', 'Y'])
        && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files
}
