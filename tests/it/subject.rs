//! A person's request: what became of a value, and what a token stood for. Both held to what `filter`
//! does.

use crate::cli::{Run, limpid, run};
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

const CAFE: &str = "tenant: cafe\nversion: 1\nkey: acme\nepoch: 30d\nrules:\n  \
                    - {fields: one, do: encrypt_ip}\n  \
                    - {fields: two, do: encrypt_ip, mode: prefix}\n  \
                    - {fields: three, do: encrypt_ip, mode: cryptopan}\n  \
                    - {fields: four, do: encrypt_ip, mode: nd}\n  \
                    - {fields: five, do: encrypt_ip, mode: ndx}\n  \
                    - {fields: card, do: encrypt_digits, keep_first: 6, luhn: true}\n  \
                    - {fields: phone, do: encrypt_digits}\n";

impl Scene {
    fn decrypt(&self, policy: &str, args: &[&str], values: &str) -> Run {
        fs::write(self.path("policy.yaml"), policy).unwrap();
        let texts = [self.text("policy.yaml"), self.text("keyring"), self.text("log")];
        let [policy, keys, log] = texts.each_ref().map(String::as_str);
        let head = ["decrypt", "--policy", policy, "--keys", keys, "--log", log];
        run(&[&head[..], &["--reason", "case 9"], args].concat(), values.as_bytes())
    }

    /// What `filter` makes of a record under this policy, in the middle of January.
    fn encrypted(&self, policy: &str, record: &str) -> Value {
        fs::write(self.path("policies/cafe.yaml"), policy).unwrap();
        self.filtered("cafe", "2026-01-15T12:00:00Z", record)
    }
}

#[test]
fn whatever_was_encrypted_comes_back_and_leaves_a_trace() {
    let scene = Scene::new();
    let at = "2026-01-15T12:00:00Z";
    for (dressed, back) in [
        ("203.0.113.77", "203.0.113.77"),
        ("203.0.113.77:443", "203.0.113.77:443"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("::ffff:1.2.3.4, 10.0.0.1", "1.2.3.4, 10.0.0.1"),
    ] {
        for (rule, field) in ["one", "two", "three", "four", "five"].into_iter().enumerate() {
            let clean = scene.encrypted(CAFE, &format!("{{\"{field}\":\"{dressed}\"}}"));
            let clean = clean[field].as_str().unwrap();
            assert_ne!(clean, dressed);
            let number = (rule + 1).to_string();
            let done = scene.decrypt(CAFE, &["--at", at, "--rule", &number, clean], "");
            assert_eq!(done.stdout, format!("\"{back}\"\n"), "{field} {}", done.stderr);
            assert_eq!(done.code, Some(0));
            let told = format!("{:?}{}", scene.log(), done.stderr);
            assert!(!told.contains(dressed) && !told.contains(clean), "{told}");
        }
    }
    let record = r#"{"card":"4111 1111 1111 1111","phone":1701234567}"#;
    let clean = scene.encrypted(CAFE, record);
    let card = format!("{}\nno card\n", clean["card"].as_str().unwrap());
    let done = scene.decrypt(CAFE, &["--at", at, "--rule", "6"], &card);
    assert_eq!((done.code, &*done.stdout), (Some(1), "\"4111 1111 1111 1111\"\nnull\n"));
    let phone = clean["phone"].to_string();
    let done = scene.decrypt(CAFE, &["--at", at, "--rule", "7", "--number", &phone], "");
    assert_eq!((done.code, &*done.stdout), (Some(0), "1701234567\n"));
    let last = scene.log().pop().unwrap();
    let told = ["operation", "reason", "tenant", "rule", "outcome"].map(|name| last[name].clone());
    assert_eq!(
        told,
        ["decrypt", "case 9", "cafe", "7 encrypt_digits", "revealed"].map(Value::from)
    );
}

#[test]
fn what_decrypt_is_not_told_it_asks_for() {
    let scene = Scene::new();
    let refused = |policy: &str, args: &[&str], why: &str| {
        let done = scene.decrypt(policy, args, "1.2.3.4\n");
        assert_eq!((done.code, &*done.stdout), (Some(2), ""), "{}", done.stderr);
        assert!(done.stderr.contains(why), "{}", done.stderr);
        assert!(!scene.path("log").exists(), "nothing was done");
    };
    refused(CAFE, &["--rule", "1"], "say with `--at`");
    refused(CAFE, &["--at", "2026-01-15"], "`--rule`: 1 encrypt_ip, 2 encrypt_ip");
    refused(ACME, &["--at", "2026-01-15"], "no rule of this policy encrypts");
    refused(&format!("{CAFE}  - {{fields: x, do: drop}}\n"), &["--rule", "8"], "rule 8 encrypts");
    fs::write(scene.path("_base.yaml"), "rules:\n  - {fields: peer, do: encrypt_ip}\n").unwrap();
    refused(CAFE, &["--rule", "0"], "these do: base 1 encrypt_ip, 1 encrypt_ip");
    let at = ["--at", "2026-01-15", "--rule", "base 1", "2001:db8::1"];
    assert_eq!(scene.decrypt(CAFE, &at, "").code, Some(0));
    fs::remove_file(scene.path("_base.yaml")).unwrap();
    fs::remove_file(scene.path("log")).unwrap();
    let one = "tenant: cafe\nversion: 1\nkey: acme\nrules:\n  - {fields: ip, do: encrypt_ip}\n";
    let clean = scene.encrypted(one, r#"{"ip":"192.0.2.1"}"#);
    let done = scene.decrypt(one, &[clean["ip"].as_str().unwrap()], "");
    assert_eq!(done.stdout, "\"192.0.2.1\"\n", "one rule, one key: nothing to ask for");
}

#[test]
fn a_log_of_operations_is_verified() {
    let scene = Scene::new();
    let log = scene.text("log");
    let verify =
        |args: &[&str]| run(&[&["operations", "verify", log.as_str()], args].concat(), b"");
    assert_eq!(verify(&[]).code, Some(2), "there is none");
    scene.reveal(&["--tenant", "acme", "no token"], "");
    let one = verify(&[]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    assert!(one.stdout.contains("log: 1 entries, whole; the last hash is "), "{}", one.stdout);
    let first = one.stdout.trim_end().rsplit(' ').next().unwrap();
    let whole = fs::read_to_string(&log).unwrap();
    scene.reveal(&["--tenant", "acme", "no token"], "");
    assert_eq!(verify(&["--hash", first]).code, Some(0), "it goes on from there");
    let end = verify(&[]).stdout;
    let second = end.trim_end().rsplit(' ').next().unwrap();
    fs::write(&log, &whole).unwrap();
    assert_eq!(verify(&[]).code, Some(0), "what is cut off leaves a whole chain");
    let cut = verify(&["--hash", second]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.stdout.contains("the log was cut off"), "{}", cut.stdout);
    fs::write(&log, whole.replace("case 7", "case 8")).unwrap();
    let changed = verify(&[]);
    assert_eq!(changed.code, Some(1));
    assert!(changed.stdout.contains("entry 1 does not follow"), "{}", changed.stdout);
    assert_eq!(verify(&["--hash", "12"]).code, Some(2));
}

/// Where the service can read its keyring, people can, too.
#[test]
fn keys_come_from_wherever_a_keyring_is() {
    let scene = Scene::new();
    let path = scene.text("keyring");
    let command = format!("command:cat {path}");
    let policies = scene.text("policies");
    let head = ["pseudonym", "--policy", &policies, "--tenant", "beta", "--until", "2026-06-01"];
    let args = |keys| [&head[..], &["--keys", keys, "jane"]].concat();
    let from_file = run(&args(&path), b"");
    assert_eq!(from_file.code, Some(0), "{}", from_file.stderr);
    assert_eq!(run(&args(&command), b"").stdout, from_file.stdout);
    let mut from_variable = limpid(&args("env:LIMPID_TEST_KEYRING"));
    from_variable.env("LIMPID_TEST_KEYRING", fs::read_to_string(&path).unwrap());
    let from_variable = from_variable.output().unwrap();
    assert_eq!(String::from_utf8(from_variable.stdout).unwrap(), from_file.stdout);
    let listed = |keys| run(&["keys", "list", "--keys", keys], b"").stdout;
    assert!(listed(&command).contains("acme  from the beginning"));
    assert_eq!(listed(&command), listed(&path));
    let failed = run(&args("command:false"), b"");
    assert_eq!(failed.code, Some(2));
    assert!(failed.stderr.contains("command false"), "{}", failed.stderr);
}
