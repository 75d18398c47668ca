//! Configurations and keyrings that are refused, beside the exact words; as tests/it/reject.rs.
//! What is marked with the word `canary` in a case is a secret: no message may repeat it.

use crate::expect;
use limpid::config::{self, Secrets};
use limpid::document::{Faults, Show, Source};
use limpid::keys::Keyring;
use std::path::Path;
use std::sync::Arc;

fn check(folder: &str, show: Show, read: impl Fn(&Arc<Source>, &mut Faults)) {
    let mut differing = Vec::new();
    let cases = expect::files(Path::new(folder), "yaml");
    assert!(!cases.is_empty(), "no case in {folder}");
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&case).expect("the case");
        let mut faults = Faults::default();
        read(&Source::with(name.as_str(), text, show), &mut faults);
        faults.sort();
        let told = faults.to_string();
        assert!(!faults.is_empty(), "{name} is accepted");
        assert!(!told.contains("canary"), "{name}: {told}");
        differing.extend(expect::differs(&case.with_extension("stderr"), &told));
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_refused_configuration_says_what_its_file_says() {
    check("tests/reject/config", Show::LinesWithoutSecrets, |source, faults| {
        assert!(config::read(source, Secrets::Leave, faults).is_none());
    });
}

#[test]
fn every_refused_keyring_says_what_its_file_says() {
    check("tests/reject/keyring", Show::Nothing, |source, faults| {
        Keyring::read(source, faults);
    });
}
