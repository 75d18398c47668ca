//! Policies and keys without a restart, through the program: a signal, a request, a file that
//! changes. No broker is needed: limpid waits for one and reloads meanwhile.

use crate::cli::{limpid, run};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Service {
    child: Child,
    dir: tempfile::TempDir,
    address: String,
    log: Receiver<Value>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// A service with one policy, which looks for changes as `watch` says.
    fn start(watch: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        let config = format!(
            "brokers: 127.0.0.1:1\nlanes: 1\npolicies: policies\nreload: {{watch: {watch}}}\n\
             keyring: {{file: keyring.yaml}}\nadmin: {{listen: '127.0.0.1:0'}}\nquarantine: {{topic: q}}\n\
             routes: [{{name: web, topics: [raw], clean: clean, default_policy: acme}}]\n"
        );
        fs::write(dir.path().join("limpid.yaml"), config).unwrap();
        let keyring = dir.path().join("keyring.yaml");
        fs::write(&keyring, run(&["keys", "new", "acme"], b"").stdout).unwrap();
        fs::set_permissions(&keyring, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.path().join("policies/acme.yaml"), policy("acme", 1)).unwrap();
        let config = dir.path().join("limpid.yaml");
        let mut command = limpid(&["run", "--log", "json", "--config", config.to_str().unwrap()]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut service = Self { child, dir, address: String::new(), log };
        let line = service.await_log("admin server listens");
        service.address = line["address"].as_str().unwrap().to_owned();
        service
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("policies").join(name), text).unwrap();
    }

    /// The next line of the log with this message.
    fn await_log(&self, message: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("no {message:?} in the log"));
            if line["message"] == message {
                return line;
            }
        }
    }

    fn request(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: limpid\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn keys(&self, args: &[&str]) {
        let keyring = self.dir.path().join("keyring.yaml");
        let keys = ["--keys", keyring.to_str().unwrap()];
        let run = run(&[&["keys"], args, &keys].concat(), b"");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }

    fn reload(&self) -> (String, Value) {
        let (status, body) = self.request("POST /reload");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn hang_up(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    fn policies(&self) -> Value {
        let (_, body) = self.request("GET /readyz");
        serde_json::from_str::<Value>(&body).unwrap()["policies"].clone()
    }

    #[track_caller]
    fn has_metric(&self, line: &str) {
        let (_, text) = self.request("GET /metrics");
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
}

fn policy(tenant: &str, version: u32) -> String {
    format!("tenant: {tenant}\nversion: {version}\nrules: []\n")
}

#[test]
fn a_signal_and_a_request_bring_new_policies() {
    let service = Service::start("never");
    let first = service.policies();
    assert_eq!((&first["count"], &first["refused"]), (&1.into(), &Value::Null));
    service.has_metric("limpid_policy_reload_successful 1");
    service.has_metric("limpid_policy_info{rules=\"0\",tenant=\"acme\",version=\"1\"} 1");

    service.write("beta.yaml", &policy("beta", 1));
    service.hang_up();
    let line = service.await_log("policies reloaded");
    assert_eq!((&line["by"], &line["policies"]), (&"SIGHUP".into(), &2.into()), "{line}");
    let second = service.policies();
    assert_eq!(second["count"], 2);
    assert_ne!(second["fingerprint"], first["fingerprint"]);

    service.write("acme.yaml", &policy("acme", 2));
    let (status, report) = service.reload();
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!((&report["outcome"], &report["compiled"]), (&"loaded".into(), &1.into()));
    assert_eq!(service.reload().1["outcome"], "unchanged");
    service.has_metric("limpid_policy_info{rules=\"0\",tenant=\"acme\",version=\"2\"} 1");
    service.has_metric("limpid_policy_reloads_total{outcome=\"loaded\"} 2");
    service.has_metric("limpid_policy_reloads_total{outcome=\"unchanged\"} 1");
    let (_, metrics) = service.request("GET /metrics");
    assert!(!metrics.contains("tenant=\"acme\",version=\"1\""), "{metrics}");
}

#[test]
fn what_is_refused_changes_nothing_and_is_seen_everywhere() {
    let service = Service::start("never");
    let good = service.policies();
    service.write("acme.yaml", "tenant: acme\nversion: 2\nrules: [{fields: a, do: canary}]\n");
    let (status, report) = service.reload();
    assert_eq!(status, "HTTP/1.1 422 Unprocessable Entity");
    assert_eq!(report["outcome"], "refused");
    let fault = report["faults"][0].as_str().unwrap();
    assert!(fault.contains("acme.yaml:3:25: ") && fault.ends_with(" [P005]"), "{fault}");

    let line = service.await_log("policies refused: the last good ones stay");
    assert_eq!(line["faults"], 1);
    service.await_log(fault);
    let state = service.policies();
    assert_eq!((&state["fingerprint"], &state["loaded"]), (&good["fingerprint"], &good["loaded"]));
    assert_eq!(state["refused"]["faults"], 1);
    service.has_metric("limpid_policy_reload_successful 0");
    service.has_metric("limpid_policy_reloads_total{outcome=\"refused\"} 1");
    service.has_metric("limpid_policy_info{rules=\"0\",tenant=\"acme\",version=\"1\"} 1");

    service.write("acme.yaml", &policy("acme", 1));
    assert_eq!(service.reload().1["outcome"], "loaded");
    assert_eq!(service.policies()["refused"], Value::Null);
    service.has_metric("limpid_policy_reload_successful 1");
}

#[test]
fn a_route_s_default_policy_cannot_be_taken_away() {
    let service = Service::start("never");
    service.write("acme.yaml", &policy("other", 1));
    let report = service.reload().1;
    assert_eq!(report["outcome"], "refused");
    assert!(report["faults"][0].as_str().unwrap().contains("default_policy: acme"), "{report}");
    // Still so when nothing has changed since.
    assert_eq!(service.reload().1["outcome"], "refused");
    service.has_metric("limpid_policy_info{rules=\"0\",tenant=\"acme\",version=\"1\"} 1");
}

#[test]
fn keys_are_rotated_and_destroyed_without_a_restart() {
    let service = Service::start("never");
    let keyed = "tenant: acme\nversion: 1\nkey: acme\nrules: [{fields: a, do: pseudonymize}]\n";
    service.write("acme.yaml", keyed);
    service.write("beta.yaml", &policy("beta", 1));
    service.reload();
    for change in [
        &["rotate", "acme", "--from", "2026-01-01", "--yes"][..],
        &["destroy", "acme", "--before", "2026-01-01", "--yes"],
    ] {
        service.keys(change);
        let report = service.reload().1;
        let outcome = (&report["outcome"], &report["policies"], &report["compiled"]);
        assert_eq!(outcome, (&"loaded".into(), &2.into(), &1.into()), "{change:?}");
    }
    fs::write(service.dir.path().join("keyring.yaml"), "acme: {secret: canary}\n").unwrap();
    let report = service.reload().1;
    assert_eq!(report["outcome"], "refused");
    assert!(
        !report.to_string().contains("canary") && report.to_string().contains("K002"),
        "{report}"
    );
}

#[test]
fn a_changed_file_is_found_without_being_told() {
    let service = Service::start("100ms");
    service.write("beta.yaml", &policy("beta", 1));
    let line = service.await_log("policies reloaded");
    assert_eq!((&line["by"], &line["policies"]), (&"watch".into(), &2.into()), "{line}");
    service.write("beta.yaml", "tenant: beta\n");
    service.await_log("policies refused: the last good ones stay");
    service.write("beta.yaml", &policy("beta", 2));
    service.await_log("policies reloaded");
    service.has_metric("limpid_policy_info{rules=\"0\",tenant=\"beta\",version=\"2\"} 1");
}

/// A folder as Kubernetes mounts a ConfigMap or a Secret: names are links through `..data`, which is
/// swapped for one to a new folder; the old folder is deleted.
struct Mount {
    folder: PathBuf,
    version: u32,
}

impl Mount {
    fn swap(&mut self, name: &str, text: impl AsRef<[u8]>) {
        let version = |number| format!("..2026_11_29.{number}");
        let (old, new) = (version(self.version), version(self.version + 1));
        self.version += 1;
        fs::create_dir_all(self.folder.join(&new)).unwrap();
        let file = self.folder.join(&new).join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        symlink(&new, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        if fs::symlink_metadata(self.folder.join(name)).is_err() {
            symlink(format!("..data/{name}"), self.folder.join(name)).unwrap();
        } else {
            fs::remove_dir_all(self.folder.join(old)).unwrap();
        }
    }
}

#[test]
fn what_kubernetes_swaps_is_found_policies_and_keys() {
    let service = Service::start("100ms");
    let secret = || run(&["keys", "new", "acme"], b"").stdout;
    let keyed = |version| {
        format!(
            "tenant: beta\nversion: {version}\nkey: acme\nrules: [{{fields: a, do: pseudonymize}}]\n"
        )
    };
    let keyring = service.dir.path().join("keyring.yaml");
    let mut secrets = Mount { folder: service.dir.path().join("secret"), version: 0 };
    secrets.swap("keyring.yaml", secret());
    fs::remove_file(&keyring).unwrap();
    symlink("secret/keyring.yaml", &keyring).unwrap();
    let mut policies = Mount { folder: service.dir.path().join("policies"), version: 0 };
    policies.swap("beta.yaml", keyed(1));
    let line = service.await_log("policies reloaded");
    assert_eq!((&line["by"], &line["policies"]), (&"watch".into(), &2.into()), "{line}");

    policies.swap("beta.yaml", keyed(2));
    let line = service.await_log("policies reloaded");
    assert_eq!((&line["by"], &line["compiled"]), (&"watch".into(), &1.into()), "{line}");
    service.has_metric("limpid_policy_info{rules=\"1\",tenant=\"beta\",version=\"2\"} 1");

    secrets.swap("keyring.yaml", secret());
    let line = service.await_log("policies reloaded");
    assert_eq!((&line["by"], &line["compiled"]), (&"watch".into(), &1.into()), "{line}");
}
