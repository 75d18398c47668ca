//! Keyrings over time, through the program: rotate, list, destroy, and what becomes of pseudonyms.

use crate::cli::{Run, run};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

const POLICY: &str = "tenant: acme\nversion: 1\nkey: acme\nepoch: 30d\nrules:\n  - {fields: id, do: \
                      pseudonymize}\n";

struct Ring {
    dir: tempfile::TempDir,
}

impl Ring {
    /// A keyring with one secret, `acme`, and a comment.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ring = Self { dir };
        let new = run(&["keys", "new", "acme"], b"");
        ring.write(&format!("# ours\n{}", new.stdout));
        fs::write(ring.dir.path().join("acme.yaml"), POLICY).unwrap();
        ring
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keyring.yaml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn keys(&self, args: &[&str]) -> Run {
        let path = self.path();
        run(&[&["keys"], args, &["--keys", path.to_str().unwrap()]].concat(), b"")
    }

    #[track_caller]
    fn good(&self, args: &[&str]) -> Run {
        let run = self.keys(args);
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
        run
    }

    /// What becomes of a record of that time: its clean form, or nothing and why.
    fn filtered(&self, time: &str) -> String {
        let (policy, keys) = (self.dir.path().join("acme.yaml"), self.path());
        let (policy, keys) = (policy.to_str().unwrap(), keys.to_str().unwrap());
        let args = ["filter", "--policy", policy, "--keys", keys, "--timestamp", time];
        let run = run(&args, b"{\"id\":\"ann\"}\n");
        if run.stdout.is_empty() { run.stderr } else { run.stdout }
    }
}

#[test]
fn a_rotation_changes_pseudonyms_from_its_time_on_and_none_before() {
    let ring = Ring::new();
    let [before, after] = ["2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"];
    // One epoch of 30 days holds both times: only the secret can tell them apart.
    let old = ring.filtered(before);
    assert_eq!(old, ring.filtered(after));
    let rotated = ring.good(&["rotate", "acme", "--from", "2027-01-01"]);
    assert!(rotated.stderr.contains("from 2027-01-01T00:00:00Z on"), "{}", rotated.stderr);
    assert_eq!(rotated.stdout, "");
    assert_eq!(ring.filtered(before), old);
    assert_ne!(ring.filtered(after), old);
    assert!(ring.text().starts_with("# ours\n\"acme\":\n  - {secret: \""), "{}", ring.text());
    assert_eq!(fs::metadata(ring.path()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_is_destroyed_withholds_its_records_and_leaves_the_others() {
    let ring = Ring::new();
    ring.good(&["rotate", "acme", "--from", "2026-03-01", "--yes"]);
    ring.good(&["rotate", "acme", "--from", "2027-01-01"]);
    let kept = ring.filtered("2026-06-01T00:00:00Z");
    let secret = ring.text().lines().nth(2).unwrap()[14..78].to_owned();
    let before = ring.text();

    let asked = ring.keys(&["destroy", "acme", "--before", "2026-03-01"]);
    assert_eq!(asked.code, Some(2));
    assert!(asked.stderr.contains("from the beginning until 2026-03-01"), "{}", asked.stderr);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(ring.text(), before, "nothing is destroyed without --yes");

    // Whoever still has the old file open sees that it was overwritten, not only renamed away.
    let mut old = fs::File::open(ring.path()).unwrap();
    ring.good(&["destroy", "acme", "--before", "2026-03-01", "--yes"]);
    let mut wiped = Vec::new();
    old.read_to_end(&mut wiped).unwrap();
    assert_eq!(wiped, vec![0; before.len()]);
    assert!(!ring.text().contains(&secret), "it is still there");
    let gone = ring.filtered("2026-02-28T00:00:00Z");
    assert_eq!(gone, "limpid: 1 in, 0 clean, 1 withheld (key 1)\n");
    assert_eq!(ring.filtered("2026-06-01T00:00:00Z"), kept);

    let left: Vec<_> = fs::read_dir(ring.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_secret_that_late_records_may_need_is_spared() {
    let ring = Ring::new();
    ring.good(&["rotate", "acme", "--from", "2026-11-01", "--yes"]);
    let args = ["destroy", "acme", "--before", "2026-11-01", "--yes", "--overlap"];
    let spared = ring.keys(&[&args[..], &["36500d"]].concat());
    assert!(spared.stderr.contains("late records"), "{}", spared.stderr);
    assert_eq!(spared.code, Some(2));
    let none = ring.keys(&["destroy", "acme", "--before", "2026-10-01", "--yes"]);
    assert!(none.stderr.contains("no secret of `acme` serves only"), "{}", none.stderr);
    ring.good(&[&args[..], &["0s"]].concat());
    ring.good(&["destroy", "acme", "--all", "--yes"]);
    assert!(ring.filtered("2026-12-01T00:00:00Z").contains("key 1"));
}

#[test]
fn a_row_of_secrets_is_made_ahead_one_an_epoch() {
    let ring = Ring::new();
    let args = ["rotate", "acme", "--from", "2100-01-01", "--every", "30d", "--count", "3"];
    ring.good(&args);
    let listed = ring.good(&["list"]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines[0].starts_with("acme  from the beginning  until 2100-01-01T00:00:00Z  in use"));
    assert!(lines[1].contains("until 2100-01-31T00:00:00Z  to come"), "{listed}");
    assert!(lines[3].contains("from 2100-03-02T00:00:00Z  until further notice  to come"));
    let json: serde_json::Value =
        serde_json::from_str(&ring.good(&["list", "--json"]).stdout).unwrap();
    assert_eq!(json["acme"][1]["from"], "2100-01-01T00:00:00Z");
    assert_eq!(json["acme"][1]["state"], "to come");
    let again = ring.keys(&args);
    assert!(again.stderr.contains("must be later"), "{}", again.stderr);
}

#[test]
fn a_time_that_has_begun_and_a_strange_name_are_refused() {
    let ring = Ring::new();
    let begun = ring.keys(&["rotate", "acme", "--from", "2020-01-01"]);
    assert!(begun.stderr.contains("has begun"), "{}", begun.stderr);
    let strange = ring.keys(&["rotate", "beta"]);
    assert!(strange.stderr.contains("no secret of that name"), "{}", strange.stderr);
    let wrong = ring.keys(&["rotate", "acme", "--from", "tomorrow"]);
    assert!(wrong.stderr.contains("write a date"), "{}", wrong.stderr);
    assert_eq!((begun.code, strange.code, wrong.code), (Some(2), Some(2), Some(2)));
}

#[test]
fn a_vault_s_keyring_goes_through_a_pipe_and_no_secret_is_shown() {
    let ring = Ring::new();
    let text = ring.text();
    let new = run(&["keys", "rotate", "acme", "--keys", "-"], text.as_bytes());
    assert_eq!(new.code, Some(0), "{}", new.stderr);
    assert!(new.stdout.starts_with("# ours\n\"acme\":\n  - {secret: "), "{}", new.stdout);
    let secret = &text[text.find(": \"").unwrap() + 3..][..64];
    for args in [&["keys", "list", "--keys", "-"][..], &["keys", "list", "--json", "--keys", "-"]] {
        let listed = run(args, new.stdout.as_bytes());
        assert_eq!(listed.code, Some(0));
        assert!(!listed.stdout.contains(secret) && !listed.stderr.contains(secret));
    }
}

#[test]
fn two_at_once_do_not_lose_each_other_s_secrets() {
    let ring = Ring::new();
    let beside = ring.dir.path().join("keyring.yaml.new");
    fs::write(&beside, "").unwrap();
    let before = ring.text();
    let refused = ring.keys(&["rotate", "acme"]);
    assert!(refused.stderr.contains("keyring.yaml.new"), "{}", refused.stderr);
    assert_eq!((ring.text(), beside.exists()), (before, true));
}
