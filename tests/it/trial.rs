//! `limpid test` as a user meets it: what it runs, what it prints, the report, its exit code.

use crate::cli::run_in;
use std::path::Path;
use tempfile::TempDir;

const POLICY: &str = "tenant: acme\nversion: 1\nrules:\n  - {fields: email, do: drop}\ntests:\n  \
                      - {name: it goes, in: {email: a}, out: {}}\n  \
                      - {name: so does the name, in: {name: a}, out: {}}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
        std::fs::write(file, text).expect("a file");
    }
    dir
}

fn test(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    run_in(dir, &[&["test"], args].concat(), b"").told()
}

#[test]
fn each_test_has_a_line_and_a_failed_one_its_difference() {
    let dir = folder(&[("acme.yaml", POLICY), ("limpid.yaml", "routes: []\n")]);
    let (code, out, err) = test(dir.path(), &["--junit", "report.xml"]);
    assert_eq!((code, err.as_str()), (Some(1), "limpid: 1 passed, 1 failed\n"));
    assert_eq!(
        out,
        "ok   ./acme.yaml: it goes\nFAIL ./acme.yaml: so does the name\n       - wanted, + got:\n"
            .to_owned()
            + "       - {}\n       + {\n       +   \"name\": \"a\"\n       + }\n"
    );
    let report = std::fs::read_to_string(dir.path().join("report.xml")).expect("the report");
    assert!(
        report.contains("<testsuite name=\"./acme.yaml\" tests=\"2\" failures=\"1\""),
        "{report}"
    );
    let (code, out, err) = test(dir.path(), &["--name", "it goes", "acme.yaml"]);
    assert_eq!((code, err.as_str()), (Some(0), "limpid: 1 passed, 0 failed\n"));
    assert_eq!(out, "ok   acme.yaml: it goes\n");
    let (code, ..) = test(dir.path(), &["--name", "no such test"]);
    assert_eq!(code, Some(2), "nothing tested is not a success");
}

#[test]
fn case_folders_are_tried_on_their_policy_or_on_another() {
    let looser = "tenant: acme\nversion: 2\nrules: []\n";
    let dir = folder(&[
        ("cases/mail/policy.yaml", &POLICY[..POLICY.find("tests").expect("tests")]),
        ("cases/mail/in.ndjson", "{\"email\":\"a\"}\n{\n"),
        ("cases/mail/out.ndjson", "{}\n"),
        ("cases/mail/withheld.txt", "2 malformed\n"),
        ("looser.yaml", looser),
    ]);
    let (code, out, err) = test(dir.path(), &["cases"]);
    assert_eq!((code, err.as_str()), (Some(0), "limpid: 1 passed, 0 failed\n"));
    assert_eq!(out, "ok   cases/mail: 2 records\n");
    let (code, out, _) = test(dir.path(), &["--policy", "looser.yaml", "cases"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        out,
        "FAIL cases/mail: 2 records\n       record 1: {\"email\":\"a\"}\n       - wanted {}\n       \
         + got    {\"email\":\"a\"}\n"
    );
}

#[test]
fn what_cannot_be_tested_is_in_the_report() {
    let dir = folder(&[("a.yaml", "tenant: a\nversion: 1\nrules: [{fields: x, do: dorp}]\n")]);
    let (code, _, err) = test(dir.path(), &["a.yaml", "--junit", "report.xml"]);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error[P005]: unknown transform `dorp`\n --> a.yaml:3:"), "{err}");
    let report = std::fs::read_to_string(dir.path().join("report.xml")).expect("the report");
    assert!(report.contains("P005 at 3:25: unknown transform `dorp`</failure>"), "{report}");
}
