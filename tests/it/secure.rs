//! limpid on a broker that asks who it is and lets it do what it must, and no more: SASL SCRAM over
//! TLS, client certificates, the authorizer. The broker is a real one of the test's own (see `chaos`).
//!
//! The grants are taken from docs/OPERATING.md, where operators read them: limpid works with all of
//! them, and with any one taken away it does not. There is none too few, and none too many.

use crate::chaos::{Broker, own};
use limpid::keys::PrivateKey;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const TOPICS: [&str; 3] = ["raw.web", "clean.web", "limpid.quarantine"];
const RECORDS: usize = 200;
const CANARY: &str = "canary@leak.example";
const TOKEN: &str = "token-canary-token-canary";
const PASSWORD: &str = "limpid-dev";

#[test]
fn what_limpid_may_do_is_what_it_must() {
    let Some(_alone) = own() else { return };
    let site = Site::start();
    let grants = grants();
    for grant in &grants {
        site.acl(grant, Acl::Give);
    }
    // What operators see, when this one grant of the manual's is missing.
    let missing = [
        (2, "topic `raw.web` does not exist or may not be seen"),
        (2, "clean topic `clean.web` does not exist or may not be seen"),
        (2, "quarantine topic `limpid.quarantine` does not exist or may not be seen"),
        (1, "the consumer reports Broker: Group authorization failed"),
        (1, "the producer cannot take its transactional id"),
    ];
    assert_eq!(grants.len(), missing.len());
    for (grant, (code, symptom)) in grants.iter().zip(missing) {
        site.acl(grant, Acl::Take);
        let (status, told) = site.fails(Login::Scram);
        assert!(told.contains(symptom), "{symptom}: {status}\n{told}");
        assert_eq!(status.code(), Some(code), "{told}");
        site.acl(grant, Acl::Give);
    }
    site.produce(0, RECORDS / 2);
    site.works(Login::Scram, RECORDS / 2);
    site.produce(RECORDS / 2, RECORDS);
    site.works(Login::Certificate, RECORDS);
    let (_, told) = site.waits(Login::WrongPassword, "authentication");
    assert!(!told.contains("wrong-canary"), "{told}");
}

/// The `kafka-acls.sh` commands of the manual, as words.
fn grants() -> Vec<Vec<String>> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATING.md");
    let text = fs::read_to_string(manual).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("kafka-acls.sh "));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Login {
    Scram,
    Certificate,
    WrongPassword,
}

#[derive(Debug, Clone, Copy)]
enum Acl {
    Give,
    Take,
}

/// A broker with everything that it can ask for, and what limpid needs to log in.
struct Site {
    broker: Broker,
    folder: TempDir,
}

impl Site {
    fn start() -> Self {
        let broker = Broker::start(&[("TLS", "1"), ("ACL", "1")]);
        let site = Self { broker, folder: TempDir::new().unwrap() };
        let admin: AdminClient<DefaultClientContext> = site.client().create().unwrap();
        let new = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let topics = TOPICS.map(new);
        let made = admin.create_topics(&topics, &AdminOptions::new());
        assert!(runtime.block_on(made).unwrap().iter().all(Result::is_ok));
        site.write_files();
        site
    }

    /// By the plain listener, where everything is allowed.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.broker.address());
        client
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_files(&self) {
        fs::create_dir(self.path("policies")).unwrap();
        let policy = "tenant: acme\nversion: 1\nrules:\n  - fields: [email]\n    do: drop\n";
        fs::write(self.path("policies/acme.yaml"), policy).unwrap();
        for (name, secret) in
            [("token", TOKEN), ("password", PASSWORD), ("wrong", "wrong-canary-password")]
        {
            fs::write(self.path(name), secret).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        for login in [Login::Scram, Login::Certificate, Login::WrongPassword] {
            fs::write(self.config(login), self.configuration(login)).unwrap();
        }
    }

    fn config(&self, login: Login) -> PathBuf {
        self.path(&format!("{login:?}.yaml"))
    }

    fn configuration(&self, login: Login) -> String {
        let listener: &[&str] =
            if matches!(login, Login::Certificate) { &["client", "mtls"] } else { &["client"] };
        let told = self.broker.script(listener);
        let settings: Vec<(&str, &str)> =
            told.lines().filter_map(|line| line.split_once('=')).collect();
        let address = settings.iter().find(|(name, _)| *name == "bootstrap.servers").unwrap().1;
        let secret = if matches!(login, Login::WrongPassword) { "wrong" } else { "password" };
        let mut kafka = String::new();
        for (name, value) in settings.iter().filter(|(name, _)| *name != "bootstrap.servers") {
            let value = match *name {
                "sasl.password" => format!("{{file: {secret}}}"),
                _ => format!("\"{value}\""),
            };
            kafka.push_str(&format!("  {name}: {value}\n"));
        }
        let key = PrivateKey::generate().unwrap().public();
        format!(
            "brokers: \"{address}\"\nlanes: 1\npolicies: policies\n\
             quarantine: {{topic: limpid.quarantine, public_key: {key}}}\n\
             admin: {{listen: \"127.0.0.1:0\", token: {{file: token}}}}\n\
             consumer: {{session.timeout.ms: 6000}}\n\
             routes: [{{name: web, topics: [raw.web], clean: clean.web, default_policy: acme}}]\n\
             kafka:\n{kafka}"
        )
    }

    /// Gives a right, as the manual says, or takes it.
    fn acl(&self, grant: &[String], change: Acl) {
        let mut all = vec!["tool".to_owned(), "org.apache.kafka.tools.AclCommand".to_owned()];
        all.extend(["--bootstrap-server".to_owned(), self.broker.address()]);
        let mut rest = grant.iter();
        while let Some(word) = rest.next() {
            match (word.as_str(), change) {
                // The manual's broker is another one.
                ("--bootstrap-server", _) => drop(rest.next()),
                ("--add", Acl::Take) => all.extend(["--remove", "--force"].map(str::to_owned)),
                _ => all.push(word.clone()),
            }
        }
        self.broker.script(&all.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn produce(&self, from: usize, to: usize) {
        let producer: BaseProducer = self.client().create().unwrap();
        for number in from..to {
            let text = number.to_string();
            let value = if number.is_multiple_of(50) {
                format!("{{\"{CANARY}")
            } else {
                format!("{{\"n\": {number}, \"email\": \"{CANARY}\"}}")
            };
            let header = Header { key: "number", value: Some(&text) };
            let record = BaseRecord::<[u8], String>::to(TOPICS[0]).payload(&value);
            let record = record.headers(OwnedHeaders::new().insert(header));
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn run(&self, login: Login) -> Running {
        let log = self.path(&format!("{login:?}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_limpid"))
            .args(["run", "--config"])
            .arg(self.config(login))
            .stderr(fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Running { child, log }
    }

    /// Runs limpid, which must end by itself; gives how, and what it told.
    fn fails(&self, login: Login) -> (ExitStatus, String) {
        let mut running = self.run(login);
        let status = running.await_end();
        let told = running.told();
        no_secret(&told);
        (status, told)
    }

    /// Runs limpid, which must go on waiting and say why.
    fn waits(&self, login: Login, why: &str) -> (ExitStatus, String) {
        let mut running = self.run(login);
        running.await_words(why);
        running.terminate();
        let status = running.await_end();
        let told = running.told();
        no_secret(&told);
        (status, told)
    }

    /// Runs limpid until so many records have come out, clean or sealed; nothing of them, and no
    /// secret, shows in the log or the metrics.
    fn works(&self, login: Login, records: usize) {
        let mut running = self.run(login);
        let begin = Instant::now();
        while self.count(TOPICS[1]) + self.count(TOPICS[2]) < records {
            assert!(begin.elapsed() < PATIENCE, "{login:?}: nothing comes\n{}", running.told());
            assert!(running.child.try_wait().unwrap().is_none(), "{}", running.told());
        }
        let metrics = running.metrics();
        assert!(metrics.contains("\nlimpid_ready 1\n"), "{metrics}");
        running.terminate();
        let status = running.await_end();
        let told = running.told();
        assert!(status.success(), "{login:?}: {status}\n{told}");
        assert_eq!(self.count(TOPICS[1]), records - records.div_ceil(50), "once each");
        no_secret(&metrics);
        no_secret(&told);
    }

    /// Records that a read_committed reader finds.
    fn count(&self, topic: &str) -> usize {
        let mut client = self.client();
        client.set("group.id", "reader").set("isolation.level", "read_committed");
        client.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        let reader: BaseConsumer = client.create().unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        reader.assign(&from).unwrap();
        let mut count = 0;
        while let Some(Ok(message)) = reader.poll(PATIENCE) {
            assert!(message.payload().is_none_or(|it| !contains(it, CANARY)), "{topic}");
            count += 1;
        }
        count
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[track_caller]
fn no_secret(text: &str) {
    for secret in [CANARY, TOKEN, PASSWORD, "wrong-canary", "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{secret} shows in:\n{text}");
    }
}

/// A limpid; killed when dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn await_words(&mut self, words: &str) {
        let begin = Instant::now();
        while !self.told().to_lowercase().contains(words) {
            assert!(begin.elapsed() < PATIENCE, "no {words} in:\n{}", self.told());
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn await_end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// As Prometheus gets them.
    fn metrics(&self) -> String {
        let told = self.told();
        let line = told.lines().find(|line| line.contains("admin server listens")).unwrap();
        let address = line.split("address=").nth(1).unwrap();
        let address: String =
            address.chars().filter(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let mut stream = TcpStream::connect(address.trim_end_matches(':')).unwrap();
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: limpid\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails if the process has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
