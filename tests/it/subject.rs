//! A person's request: what became of a value, and what a token stood for. Both held to what `filter`
//! does.

use crate::cli::{Run, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

const ACME: &str = "tenant: acme\nversion: 1\nkey: acme\nepoch: 30d\nrules:\n  \
                    - {fields: id, do: pseudonymize, prefix: u_}\n  \
                    - {fields: mail, do: pseudonymize, as: email}\n  \
                    - {fields: token, do: tokenize}\n  - {fields: name, do: drop}\n";
const BETA: &str =
    "tenant: beta\nversion: 1\nkey: beta\nrules:\n  - {fields: id, do: pseudonymize}\n";

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scene = Self { dir };
        fs::create_dir(scene.path("policies")).unwrap();
        fs::write(scene.path("policies/acme.yaml"), ACME).unwrap();
        fs::write(scene.path("policies/beta.yaml"), BETA).unwrap();
        let entry = |name| run(&["keys", "new", name], b"").stdout;
        fs::write(scene.path("keyring"), entry("acme") + &entry("beta")).unwrap();
        fs::set_permissions(scene.path("keyring"), fs::Permissions::from_mode(0o600)).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn keys(&self, args: &[&str]) {
        let done = run(&[&["keys"], args, &["--keys", &self.text("keyring")]].concat(), b"");
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }

    /// A record after `filter`.
    fn filtered(&self, tenant: &str, time: &str, record: &str) -> Value {
        let (policy, keys) = (self.text(&format!("policies/{tenant}.yaml")), self.text("keyring"));
        let args = ["filter", "--policy", &policy, "--keys", &keys, "--timestamp", time];
        let done = run(&args, format!("{record}\n").as_bytes());
        serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr))
    }

    fn pseudonym(&self, args: &[&str], value: &str) -> Run {
        let (policies, keys) = (self.text("policies"), self.text("keyring"));
        let head = ["pseudonym", "--policy", &policies, "--keys", &keys];
        run(&[&head[..], args].concat(), format!("{value}\n").as_bytes())
    }

    fn reveal(&self, args: &[&str], tokens: &str) -> Run {
        let (keys, log) = (self.text("keyring"), self.text("log"));
        let head = ["reveal", "--keys", &keys, "--log", &log, "--reason", "case 7"];
        run(&[&head[..], args].concat(), tokens.as_bytes())
    }

    fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// JSON Lines.
fn lines(run: &Run) -> Vec<Value> {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_pseudonyms_of_a_value_are_those_that_filter_made() {
    let scene = Scene::new();
    scene.keys(&["rotate", "acme", "--from", "2026-02-15", "--yes"]);
    let range = ["--json", "--from", "2026-01-01", "--until", "2026-06-01"];
    let found = lines(&scene.pseudonym(&range, "Jane@X.example"));
    let names: Vec<&str> = found.iter().map(|line| line["pseudonym"].as_str().unwrap()).collect();
    let mut seen = 0;
    for time in ["2026-01-02", "2026-02-14", "2026-02-15", "2026-03-20", "2026-05-31"] {
        let record = r#"{"id":"Jane@X.example","mail":"Jane@X.example","token":"Jane@X.example"}"#;
        let clean = scene.filtered("acme", &format!("{time}T12:00:00Z"), record);
        for field in ["id", "mail", "token"] {
            let name = clean[field].as_str().unwrap();
            let line = found.iter().find(|line| line["pseudonym"] == name);
            let line = line.unwrap_or_else(|| panic!("no {field} of {time}: {found:?}"));
            assert_eq!(line["tenant"], "acme");
            assert!(line["from"].as_str().unwrap() <= format!("{time}T12").as_str(), "{line}");
            assert!(line["until"].as_str().unwrap() > time, "{line}");
            seen += 1;
        }
    }
    let clean = scene.filtered("beta", "2020-01-01T00:00:00Z", r#"{"id":"Jane@X.example"}"#);
    assert!(names.contains(&clean["id"].as_str().unwrap()), "beta has one for ever");
    assert_eq!(seen, 15);
    let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "one twice");
}

#[test]
fn a_number_is_found_in_both_spellings_and_one_tenant_can_be_asked() {
    let scene = Scene::new();
    let found = lines(&scene.pseudonym(&["--json", "--tenant", "beta"], "42.0"));
    for record in [r#"{"id":"42.0"}"#, r#"{"id":42.0}"#] {
        let clean = scene.filtered("beta", "2026-01-01T00:00:00Z", record);
        assert!(found.iter().any(|line| line["pseudonym"] == clean["id"]), "{record}");
    }
    assert_eq!(found.len(), 2);
    let shown = scene.pseudonym(&["--tenant", "beta", "42"], "");
    assert!(shown.stdout.contains("  beta  from the beginning  until "), "{}", shown.stdout);
    assert!(shown.stdout.ends_with("  (1 pseudonymize)\n"), "{}", shown.stdout);
}

#[test]
fn what_cannot_be_told_is_said() {
    let scene = Scene::new();
    let open = scene.pseudonym(&[], "jane");
    assert_eq!(open.code, Some(2));
    assert!(open.stderr.contains("`acme` has epochs"), "{}", open.stderr);
    let two = scene.pseudonym(&["--tenant", "beta"], "jane\njoe");
    assert_eq!(two.code, Some(2));
    assert!(two.stderr.contains("one value") && !two.stderr.contains("joe"), "{}", two.stderr);
    scene.keys(&["destroy", "beta", "--all", "--yes"]);
    let gone = scene.pseudonym(&["--tenant", "beta"], "jane");
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert!(gone.stderr.contains("the secret is gone"), "{}", gone.stderr);
}

#[test]
fn tokens_become_values_again_and_each_leaves_a_trace() {
    let scene = Scene::new();
    let token = |value: &str| {
        let record = format!("{{\"token\":{value}}}");
        scene.filtered("acme", "2026-01-01T00:00:00Z", &record)["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (text, number) = (token("\"canary \\u2713\""), token("1.50"));
    let input = format!("{text}\n{number}\nno token\n");
    let revealed = scene.reveal(&["--tenant", "acme"], &input);
    assert_eq!(revealed.stdout, "\"canary ✓\"\n1.50\nnull\n");
    assert_eq!(revealed.code, Some(1), "one did not open");

    let foreign = scene.reveal(&["--tenant", "beta", &text], "");
    assert_eq!((foreign.code, foreign.stdout.as_str()), (Some(1), "null\n"));
    let log = scene.log();
    assert_eq!(log.len(), 4);
    let outcomes: Vec<&str> = log.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["revealed", "revealed", "not opened", "not opened"]);
    assert_eq!((&log[0]["reason"], &log[0]["tenant"]), (&"case 7".into(), &"acme".into()));
    assert_eq!(log[0]["token"], log[3]["token"]);
    assert_eq!(log[2]["token"], Value::Null, "the hash of what is no token could be guessed");
    let told = format!("{log:?}{}", revealed.stderr);
    assert!(!told.contains("canary") && !told.contains(&text), "{told}");
    assert_eq!(fs::metadata(scene.path("log")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn without_a_log_that_holds_nothing_is_revealed() {
    let scene = Scene::new();
    let clean = scene.filtered("acme", "2026-01-01T00:00:00Z", r#"{"token":"canary"}"#);
    let token = clean["token"].as_str().unwrap();
    assert_eq!(scene.reveal(&["--tenant", "acme", token], "").code, Some(0));
    let changed = fs::read_to_string(scene.path("log")).unwrap().replace("case 7", "case 8");
    fs::write(scene.path("log"), changed).unwrap();
    let refused = scene.reveal(&["--tenant", "acme", token], "");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("entry 1 does not follow"), "{}", refused.stderr);
    fs::remove_file(scene.path("log")).unwrap();
    fs::create_dir(scene.path("log")).unwrap();
    let refused = scene.reveal(&["--tenant", "acme", token], "");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
}

#[test]
fn what_is_destroyed_is_revealed_to_nobody() {
    let scene = Scene::new();
    let clean = scene.filtered("acme", "2026-01-01T00:00:00Z", r#"{"token":"canary"}"#);
    let token = clean["token"].as_str().unwrap();
    scene.keys(&["rotate", "acme", "--from", "2026-02-01", "--yes"]);
    assert_eq!(scene.reveal(&["--tenant", "acme", token], "").stdout, "\"canary\"\n");
    scene.keys(&["destroy", "acme", "--before", "2026-02-01", "--yes"]);
    assert_eq!(scene.reveal(&["--tenant", "acme", token], "").stdout, "null\n");
}
