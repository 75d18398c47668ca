//! The processes under test: `limpid run`, all of one configuration, started again when they end,
//! as an orchestrator would.

use super::cluster::{GROUP, QUARANTINE};
use limpid::keys::PublicKey;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a process that was asked to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shorter than in production, so that faults outlast them within seconds.
pub const SESSION: Duration = Duration::from_secs(6);

/// Clients that notice soon what happens; all through the proxy.
const CLIENT: &str = "\
kafka:
  topic.metadata.refresh.interval.ms: 1000
  reconnect.backoff.max.ms: 500
consumer:
  session.timeout.ms: 6000
  max.poll.interval.ms: 30000
  heartbeat.interval.ms: 1000
producer:
  transaction.timeout.ms: 10000
";

pub struct Fleet {
    folder: TempDir,
    running: Vec<Service>,
    started: usize,
    /// Version of the policy.
    policy: u32,
    /// How those ended that nobody asked to: the status, and the last line of the log.
    pub gave_up: Vec<(ExitStatus, String)>,
}

struct Service {
    child: Child,
    log: PathBuf,
}

impl Fleet {
    /// Writes configuration and policies; starts nothing yet.
    pub fn new(brokers: &str, key: &PublicKey, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        let config = format!(
            "brokers: \"{brokers}\"\ngroup: {GROUP}\nlanes: 1\npolicies: policies\n\
             quarantine: {{topic: {QUARANTINE}, public_key: {key}}}\nshutdown: {{drain: 20s}}\n\
             routes:\n  - {{name: all, pattern: '^raw\\.([0-9]+)$', clean: clean.$1, \
             tenant: {{header: tenant}}}}\n{CLIENT}{more}",
        );
        fs::write(folder.path().join("limpid.yaml"), config).unwrap();
        let mut fleet =
            Self { folder, running: Vec::new(), started: 0, gave_up: Vec::new(), policy: 0 };
        fleet.write_policy();
        fleet
    }

    /// Writes the next version of the one policy: every other one drops the name, too.
    fn write_policy(&mut self) {
        self.policy += 1;
        let dropped =
            if self.policy.is_multiple_of(2) { "user.email, user.name" } else { "user.email" };
        let version = self.policy;
        let policy = format!(
            "tenant: acme\nversion: {version}\nrules:\n  - fields: [{dropped}]\n    do: drop\n"
        );
        // Whole or not at all: a reader must not see half of it.
        let (path, new) = (self.path("policies/acme.yaml"), self.path("acme.new"));
        fs::write(&new, policy).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start(&mut self) {
        let log = self.path(&format!("log-{}", self.started));
        self.started += 1;
        let child = Command::new(env!("CARGO_BIN_EXE_limpid"))
            .args(["run", "--config"])
            .arg(self.path("limpid.yaml"))
            .stderr(fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.running.push(Service { child, log });
    }

    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Kills the oldest, and starts another.
    pub fn kill(&mut self) {
        let mut service = self.running.remove(0);
        service.end(Signal::KILL);
        self.start();
    }

    /// Asks the oldest to drain, and waits until it has.
    pub fn retire(&mut self) {
        let mut service = self.running.remove(0);
        service.signal(Signal::TERM);
        let begin = Instant::now();
        while service.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "it does not drain:\n{}", service.told());
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = service.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", service.told());
    }

    pub fn freeze(&self) {
        self.running[0].signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.running[0].signal(Signal::CONT);
    }

    /// Changes the policy, and tells all to read it.
    pub fn reload(&mut self) {
        self.write_policy();
        self.running.iter().for_each(|service| service.signal(Signal::HUP));
    }

    /// Starts others for those that gave up.
    pub fn tend(&mut self) {
        for index in (0..self.running.len()).rev() {
            if let Some(status) = self.running[index].child.try_wait().unwrap() {
                let told = self.running.remove(index).told();
                let last = told.lines().last().unwrap_or_default().to_owned();
                assert_ne!(status.code(), Some(2), "a fault of the configuration:\n{told}");
                self.gave_up.push((status, last));
                self.start();
            }
        }
    }

    /// What they told, all of them.
    pub fn logs(&self) -> String {
        let logs = (0..self.started).map(|number| self.path(&format!("log-{number}")));
        logs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

impl Service {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.child.wait().unwrap();
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It fails if the process has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
