//! A real broker of the test's own, that can be killed and frozen: `deploy/dev/kafka.sh` on ports
//! and in a folder of its own. Dropping it stops it and deletes its data.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where free ports are looked for, unless `LIMPID_OWN_KAFKA_PORT` says otherwise.
const PORT: u16 = 29800;
/// Ports that one broker takes, its proxy's included.
const PORTS: u16 = 10;

pub struct Broker {
    folder: TempDir,
    port: u16,
    settings: Vec<(&'static str, String)>,
}

impl Broker {
    /// Starts one. `settings` are variables of kafka.sh, without their `LIMPID_KAFKA_`.
    pub fn start(settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let broker = Self { folder: TempDir::new().unwrap(), port: free_ports(), settings };
        broker.up();
        broker
    }

    /// Starts it again, with the data that it had.
    pub fn up(&self) {
        self.script(&["up"]);
    }

    pub fn kill(&self) {
        self.script(&["signal", "KILL"]);
    }

    pub fn freeze(&self) {
        self.script(&["signal", "STOP"]);
    }

    pub fn thaw(&self) {
        self.script(&["signal", "CONT"]);
    }

    /// Runs kafka.sh; gives what it printed.
    pub fn script(&self, words: &[&str]) -> String {
        let mut script = Command::new(root().join("deploy/dev/kafka.sh"));
        script.args(words).stdin(Stdio::null());
        script.env("LIMPID_KAFKA_PORT", self.port.to_string());
        script.env("LIMPID_KAFKA_DIR", self.folder.path());
        script.env("LIMPID_KAFKA_HEAP", "512m");
        script.env("LIMPID_KAFKA_PROXY", self.proxy_port().to_string());
        for (name, value) in &self.settings {
            script.env(format!("LIMPID_KAFKA_{name}"), value);
        }
        let output = script.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kafka.sh {words:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The plain listener.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where what a proxy passes on is listened for.
    pub fn proxied_port(&self) -> u16 {
        self.port + 3
    }

    /// Where that proxy must listen.
    pub fn proxy_port(&self) -> u16 {
        self.port + 5
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be frozen, and then hears nothing else; that it is gone already is as well.
        if !std::thread::panicking() {
            self.thaw();
            self.script(&["wipe"]);
            return;
        }
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
    }
}

/// The first of ten numbers whose ports nobody has. Another test may take them a moment later;
/// tests with brokers of their own run one at a time, see `own`.
fn free_ports() -> u16 {
    let first = std::env::var("LIMPID_OWN_KAFKA_PORT").map_or(PORT, |port| port.parse().unwrap());
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (first..first + 20 * PORTS)
        .step_by(PORTS.into())
        .find(|base| (*base..base + PORTS).all(free))
        .expect("ten free ports in a row")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
