//! `limpid check` as a user meets it: what it says, where, and its exit code.

use crate::cli::{run, run_in};
use std::path::Path;
use tempfile::TempDir;

const FINE: &str = "tenant: acme\nversion: 3\nrules:\n  - {fields: email, do: drop}\n\
                    tests:\n  - {name: it goes, in: {email: a}, out: {}}\n";
const FAILING: &str = "tenant: beta\nversion: 1\nrules: []\n\
                       tests:\n  - {name: it goes, in: {email: a}, out: {}}\n";
const KEYED: &str =
    "tenant: gamma\nversion: 1\nkey: gamma\nrules:\n  - {fields: id, do: pseudonymize}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn check(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    run_in(dir, &[&["check"], args].concat(), b"").told()
}

#[test]
fn a_fine_folder() {
    let dir = folder(&[("acme.yaml", FINE), ("gamma.yaml", KEYED)]);
    let (code, out, err) = check(dir.path(), &["."]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "./acme.yaml: fine: tenant acme, version 3, 1 rule, 1 test passed\n\
         ./gamma.yaml: fine: tenant gamma, version 1, 1 rule, 0 tests passed\n\
         keys were not looked up: no --keys KEYRING was given\n"
    );
}

#[test]
fn a_failing_test_is_exit_code_1_and_a_fault_2() {
    let dir = folder(&[("a.yaml", FINE), ("b.yaml", FAILING), ("c.yaml", "tenant: c\n")]);
    let (code, out, err) = check(dir.path(), &["a.yaml", "b.yaml"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.starts_with("error[P032]: the test `it goes` fails\n --> b.yaml:5:12\n"), "{err}");
    assert!(out.ends_with("b.yaml: 1 fault\n"), "{out}");
    let (code, out, err) = check(dir.path(), &["."]);
    assert_eq!(code, Some(2), "{err}");
    assert!(out.ends_with("./c.yaml: 2 faults\n"), "{out}");
    assert!(!err.contains('\u{1b}'), "no colours where there is no terminal: {err}");
}

#[test]
fn files_that_are_not_there_are_told_with_the_rest() {
    let dir = folder(&[("b.yaml", FAILING)]);
    let (code, _, err) = check(dir.path(), &["b.yaml", "none.yaml"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("P032") && err.contains("none.yaml cannot be read"), "{err}");
    let (code, _, err) = check(dir.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("limpid.yaml cannot be read"), "{err}");
}

#[test]
fn a_tenant_with_two_policies() {
    let dir = folder(&[("a.yaml", FINE), ("b.yaml", FINE)]);
    let (code, _, err) = check(dir.path(), &["."]);
    assert_eq!(code, Some(2));
    assert!(err.contains("the first is in ./a.yaml, line 1"), "{err}");
}

#[test]
fn keys_are_looked_up_in_the_keyring() {
    let dir = folder(&[("gamma.yaml", KEYED)]);
    let new = |name: &str| {
        let made = run(&["keys", "new", name], b"");
        let file = dir.path().join(name);
        std::fs::write(&file, made.stdout).expect("a keyring");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let owner_only = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&file, owner_only).expect("its mode");
        }
    };
    new("gamma");
    new("delta");
    let (code, out, err) = check(dir.path(), &["gamma.yaml", "--keys", "gamma"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(!out.contains("not looked up"), "{out}");
    let (code, _, err) = check(dir.path(), &["gamma.yaml", "--keys", "delta"]);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error[P023]: the keyring has no key `gamma`"), "{err}");
}

#[test]
fn a_keyring_named_by_mistake_is_not_shown() {
    let dir = folder(&[("keys.yaml", "acme: {secret: canary}\n")]);
    let (code, out, err) = check(dir.path(), &["keys.yaml"]);
    assert_eq!(code, Some(2));
    assert!(!format!("{out}{err}").contains("canary"), "{err}");
}

#[test]
fn a_configuration_is_checked_with_its_policies() {
    let dir = folder(&[("limpid.yaml", "routes: []\npolicies: policies\n")]);
    let (code, out, err) = check(dir.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("limpid.yaml"), "{err}");
    assert!(out.starts_with("limpid.yaml: "), "{out}");
}

#[test]
fn json_for_programs() {
    let dir = folder(&[("a.yaml", FINE), ("b.yaml", FAILING)]);
    let (code, out, err) = check(dir.path(), &["--format", "json", "a.yaml", "b.yaml"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["files"][0]["policy"]["tenant"], "acme");
    assert_eq!(report["files"][0]["fine"], true);
    let fault = &report["files"][1]["faults"][0];
    assert_eq!((&fault["code"], &fault["line"]), (&"P032".into(), &5.into()));
}

#[test]
fn a_code_is_explained() {
    let dir = folder(&[]);
    let (code, out, err) = check(dir.path(), &["--explain", "p010"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("P010: a path with a missing name\n\nTwo dots"), "{out}");
    assert!(out.contains("\nRight:\n    tenant: acme\n"), "{out}");
    let (code, _, err) = check(dir.path(), &["--explain", "P999"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(2), "limpid: there is no code P999; codes look like P014\n")
    );
}

#[test]
fn annotations_for_a_pull_request() {
    let dir = folder(&[("a,b.yaml", "tenant: a\nversion: 1\nrules: [{fields: x, do: dorp}]\n")]);
    let (code, out, err) = check(dir.path(), &["--format", "github", "a,b.yaml"]);
    assert_eq!((code, err.as_str()), (Some(2), ""));
    assert_eq!(
        out,
        "::error file=a%2Cb.yaml,line=3,col=25,title=P005::unknown transform `dorp`%0A\
         did you mean `drop`?\n"
    );
}
