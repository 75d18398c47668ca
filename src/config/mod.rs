//! The configuration: what was typed (unknown keys refused, places kept) → what it means
//! (immutable, checked), with all complaints at once, before a port is bound or a group joined.
//!
//! docs/CONFIG.md lists every key. Paths are relative to the configuration's folder. Secrets do not
//! stand in the file: it says where they are.

mod admin;
mod read;
mod route;
mod secret;
mod settings;
mod topics;

pub use admin::{AdminConfig, Token};
pub use read::read;

use crate::document::{Faults, Show, Source};
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::keys::SecretSource;
use crate::lane::Delivery;
use crate::policy::Policies;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of passwords that the configuration points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are read: the service is about to start.
    Read,
    /// They are left where they are: a check must work where there are none.
    Leave,
}

/// Reads a configuration file, passwords included.
///
/// # Errors
/// All that is wrong with it, with places and hints.
pub fn load(path: &Path) -> Result<Config> {
    let source = Source::read(path, Show::LinesWithoutSecrets)?;
    let mut faults = Faults::default();
    read(&source, Secrets::Read, &mut faults).ok_or_else(|| {
        faults.sort();
        Error::usage(format!("the configuration is refused\n{faults:#}"))
    })
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// librdkafka settings of every client (`bootstrap.servers` among them), then of consumers
    /// and producers alone. Secret ones (passwords) are resolved here and never shown.
    pub kafka: Settings,
    /// Where clean and quarantine topics are, if that is another cluster.
    pub clean_brokers: Option<String>,
    /// Settings of the consumers alone.
    pub consumer: Settings,
    /// Settings of the producers alone.
    pub producer: Settings,
    /// The consumer group.
    pub group: String,
    /// The process's name in the group, if a restart keeps it (static membership).
    pub group_instance: Option<String>,
    /// How records and offsets are tied together.
    pub delivery: Delivery,
    /// What is traded for what.
    pub tuning: Tuning,
    /// What transactional ids begin with.
    pub transactional_id_prefix: String,
    /// At least one.
    pub routes: Vec<RouteConfig>,
    /// Threads that each have a consumer and a producer.
    pub lanes: usize,
    /// Folder of the policies.
    pub policies: PathBuf,
    /// How often to look whether policies or keyring have changed; `None`: never.
    pub reload_watch: Option<Duration>,
    /// Where the keyring is.
    pub keyring: Option<SecretSource>,
    /// Where withheld records go.
    pub quarantine: Quarantine,
    /// Where /metrics, /healthz and /readyz are served.
    pub admin: Option<AdminConfig>,
    /// Bounds on one record.
    pub limits: Limits,
    /// Most bytes of records between fetch and delivery, for the whole process.
    pub buffer_bytes_max: usize,
    /// How long a shutdown may drain.
    pub drain_deadline: Duration,
}

impl Config {
    /// Is it a raw topic?
    #[must_use]
    pub fn reads(&self, topic: &str) -> bool {
        self.routes.iter().any(|route| route.topics.has(topic))
    }

    /// Every `default_policy` names a tenant that has a policy.
    ///
    /// # Errors
    /// All that do not, and the tenants that could be meant.
    pub fn check_default_policies(&self, policies: &Policies) -> Result<()> {
        let unserved = |route: &&RouteConfig| {
            route.default_policy.as_ref().is_some_and(|tenant| policies.slot(&**tenant).is_none())
        };
        let faults: Vec<String> = self.routes.iter().filter(unserved).map(no_default).collect();
        if faults.is_empty() {
            return Ok(());
        }
        let mut tenants: Vec<&str> = policies.plans().iter().map(|plan| &*plan.tenant).collect();
        tenants.sort_unstable();
        tenants.truncate(12);
        Err(Error::usage(format!(
            "{}\ntenants with a policy in `{}`: {}",
            faults.join("\n"),
            self.policies.display(),
            tenants.join(", ")
        )))
    }
}

fn no_default(route: &RouteConfig) -> String {
    format!(
        "route `{}`: `default_policy: {}` names a tenant without a policy",
        route.name,
        route.default_policy.as_deref().unwrap_or_default()
    )
}

/// What is traded for what, between delay and the brokers' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// Small transactions.
    Latency,
    /// Large ones.
    #[default]
    Throughput,
}

impl Tuning {
    /// From one commit to the next at least and at most, in milliseconds.
    #[must_use]
    pub const fn commit_every_ms(self) -> (u64, u64) {
        match self {
            Self::Latency => (20, 60),
            Self::Throughput => (40, 1_000),
        }
    }

    /// Waiting for commits may take one part in so many of a lane's time.
    #[must_use]
    pub const fn commit_share(self) -> u64 {
        match self {
            Self::Latency => 5,
            Self::Throughput => 12,
        }
    }

    /// How long the client waits for a batch to fill, in milliseconds.
    #[must_use]
    pub const fn linger_ms(self) -> u64 {
        match self {
            Self::Latency => 1,
            Self::Throughput => 2,
        }
    }

    /// Bytes of records at which a transaction is committed before its time.
    #[must_use]
    pub const fn transaction_bytes(self) -> usize {
        match self {
            Self::Latency => 16 << 20,
            Self::Throughput => 256 << 20,
        }
    }
}

/// librdkafka settings; `Debug` prints the names only.
#[derive(Default, Clone)]
pub struct Settings(pub Vec<(String, String)>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Raw topics, the clean topic, and where the tenant's name is.
#[derive(Debug)]
pub struct RouteConfig {
    /// Its name in metrics and the quarantine; unique.
    pub name: String,
    /// The raw topics.
    pub topics: Topics,
    /// The clean topic; with a pattern, `${1}` stands for its first group, and so on: as
    /// [`regex_lite::Captures::expand`] reads it.
    pub clean: String,
    /// Where the tenant's name is.
    pub tenant: TenantConfig,
    /// The tenant whose policy serves records of no or of an unknown tenant.
    pub default_policy: Option<Arc<str>>,
}

/// A route's raw topics.
#[derive(Debug, Clone)]
pub enum Topics {
    /// These.
    Listed(Vec<String>),
    /// Those whose whole name fits; the subset of syntax that POSIX and Rust read alike.
    Pattern(regex_lite::Regex),
}

impl Topics {
    /// Is this one of them?
    #[must_use]
    pub fn has(&self, topic: &str) -> bool {
        match self {
            Self::Listed(names) => names.iter().any(|name| name == topic),
            Self::Pattern(pattern) => whole(pattern, topic).is_some(),
        }
    }
}

/// The groups of a pattern that fits a whole name.
#[must_use]
pub fn whole<'t>(pattern: &regex_lite::Regex, name: &'t str) -> Option<regex_lite::Captures<'t>> {
    let fits = |all: regex_lite::Match<'_>| all.len() == name.len();
    pattern.captures(name).filter(|captures| captures.get(0).is_some_and(fits))
}

/// Where the tenant's name is, as configured.
#[derive(Debug)]
pub enum TenantConfig {
    /// The first group of this pattern in the topic's name.
    Topic(regex_lite::Regex),
    /// This header.
    Header(String),
    /// The key.
    Key,
    /// A member of the JSON value: names from the root.
    Field(Vec<Box<str>>),
    /// Nowhere: the default policy serves all.
    Nowhere,
}

/// Where withheld records go.
#[derive(Debug)]
pub struct Quarantine {
    /// The topic.
    pub topic: String,
    /// The key they are sealed to; without one, payloads are left out.
    pub public_key: Option<crate::quarantine::PublicKey>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::codes;
    use std::sync::Arc;

    fn source(text: &str) -> Arc<Source> {
        Source::with("folder/limpid.yaml", text, Show::LinesWithoutSecrets)
    }

    fn faults(text: &str) -> Faults {
        let mut faults = Faults::default();
        let config = read(&source(text), Secrets::Leave, &mut faults);
        assert_eq!(config.is_some(), faults.is_empty(), "{faults}");
        faults
    }

    fn good(text: &str) -> Config {
        let mut faults = Faults::default();
        let config = read(&source(text), Secrets::Read, &mut faults);
        config.unwrap_or_else(|| panic!("{faults}"))
    }

    const LEAST: &str = "brokers: localhost:9092\npolicies: policies\nquarantine: {topic: q}\n\
        routes:\n  - {name: web, topics: raw.web, clean: clean.web, tenant: key}\n";

    #[test]
    fn every_code_s_examples_are_what_they_say() {
        let of_config =
            codes::ALL.iter().copied().flatten().filter(|code| code.code.starts_with('C'));
        let mut count = 0;
        for code in of_config {
            let found = faults(code.wrong);
            assert!(found.iter().any(|fault| fault.code == code.code), "{}: {found}", code.code);
            assert_eq!(found.len(), 1, "{}: {found}", code.code);
            let none = faults(code.right);
            assert!(none.is_empty(), "{}: {none}", code.code);
            count += 1;
        }
        assert_eq!(count, 21);
    }

    #[test]
    fn the_least_configuration_has_defaults() {
        let config = good(LEAST);
        assert_eq!(config.group, "limpid");
        assert_eq!(config.policies, Path::new("folder/policies"));
        assert_eq!(config.kafka.0, [("bootstrap.servers".into(), "localhost:9092".into())]);
        assert!(config.lanes >= 1 && config.admin.is_none() && config.keyring.is_none());
        assert_eq!(config.limits.depth, crate::limits::DEPTH_MAX);
        assert_eq!(config.buffer_bytes_max, 256 << 20);
        assert_eq!(config.drain_deadline, Duration::from_secs(30));
    }

    #[test]
    fn every_key_is_read() {
        let config = good(
            r#"
brokers: ["a:9092", "b:9092"]
group: cleaners
lanes: 3
policies: /etc/limpid/policies
keyring: {command: [vault, read, keyring]}
routes:
  - name: web
    pattern: "^raw\\.([a-z]+)\\.(.+)$"
    clean: clean.$2_$1
    format: json
    tenant: {topic: "^raw\\.([a-z]+)"}
    default_policy: acme
  - {name: a, topics: [a], clean: a-clean, tenant: {header: Tenant}}
  - {name: b, topics: [b], clean: b-clean, tenant: {field: meta.tenant}}
  - {name: c, topics: [c], clean: c-clean, tenant: {field: [meta, "a.b"]}}
quarantine:
  topic: withheld
  public_key: limpid-pub1-079g1vqas3e92hjnpmnn7qh0so55boojsd792qsuiguvlnlelgk6dluemg
kafka: {security.protocol: ssl, ssl.ca.location: ca.pem, socket.keepalive.enable: true}
consumer: {fetch.max.bytes: 8388608}
producer: {linger.ms: 20}
admin: {listen: "0.0.0.0:9464", token: {command: [echo, canary-canary-canary]}}
limits: {depth: 64, record_bytes: 1MiB, clean_bytes: 1000kB}
buffer_bytes: 64MiB
shutdown: {drain: 5s}
"#,
        );
        let kafka: Vec<_> = config.kafka.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            kafka,
            [
                ("bootstrap.servers", "a:9092,b:9092"),
                ("security.protocol", "ssl"),
                ("ssl.ca.location", "folder/ca.pem"),
                ("socket.keepalive.enable", "true"),
            ]
        );
        assert_eq!(config.consumer.0, [("fetch.max.bytes".into(), "8388608".into())]);
        assert_eq!(config.producer.0, [("linger.ms".into(), "20".into())]);
        assert_eq!((config.lanes, config.group.as_str()), (3, "cleaners"));
        let admin = config.admin.unwrap();
        assert_eq!(admin.listen.port(), 9464);
        let token = admin.token.unwrap();
        assert!(token.is(b"canary-canary-canary") && !token.is(b"canary"));
        assert!(!format!("{token:?}").contains("canary"));
        assert_eq!(config.limits.depth, 64);
        assert_eq!((config.limits.value_bytes, config.limits.clean_bytes), (1 << 20, 1_000_000));
        assert_eq!(config.buffer_bytes_max, 64 << 20);
        assert_eq!(config.drain_deadline, Duration::from_secs(5));
        assert!(config.quarantine.public_key.is_some());
        let words = ["vault", "read", "keyring"].map(str::to_owned).to_vec();
        assert_eq!(config.keyring, Some(SecretSource::Command(words)));

        let [web, a, b, c] = &config.routes[..] else { panic!("four routes") };
        let Topics::Pattern(pattern) = &web.topics else { panic!("a pattern") };
        let mut clean = String::new();
        pattern.captures("raw.acme.clicks").unwrap().expand(&web.clean, &mut clean);
        assert_eq!(clean, "clean.clicks_acme");
        assert_eq!(web.default_policy.as_deref(), Some("acme"));
        assert!(matches!(&web.tenant, TenantConfig::Topic(_)));
        assert!(matches!(&a.tenant, TenantConfig::Header(name) if name == "Tenant"));
        assert!(matches!(&b.tenant, TenantConfig::Field(names) if names.len() == 2));
        assert!(matches!(&c.tenant, TenantConfig::Field(names) if &*names[1] == "a.b"));
    }

    #[test]
    fn passwords_are_read_from_where_they_are_and_never_shown() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "canary\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!("{LEAST}kafka: {{sasl.password: {{file: \"{}\"}}}}\n", path.display());
        let config = good(&text);
        assert_eq!(config.kafka.0[1], ("sasl.password".into(), "canary".into()));
        assert!(!format!("{config:?}").contains("canary"));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut refused = Faults::default();
        assert!(read(&source(&text), Secrets::Read, &mut refused).is_none());
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        assert!(faults(&text).is_empty(), "a check leaves secrets where they are");
    }

    #[test]
    fn no_secret_is_quoted() {
        for line in [
            "kafka: {sasl.password: canary}",
            "kafka: {sasl.pasword: canary}",
            "kafka:\n  ssl.key.pem: |\n    canary\n    canary\n",
            "kafka:\n  sasl.oauthbearer.client.secret: canary\n",
            "kafka: {sasl.password: [canary]}",
            "kafka: {sasl.password: {value: canary}}",
            "kafka: {sasl.password: canary",
            "keyring: {secret: canary}",
            "consumer: {group.id: canary}",
        ] {
            let text = faults(&format!("{LEAST}{line}\n")).to_string();
            assert!(!text.is_empty() && !text.contains("canary"), "{text}");
        }
        let private = "limpid-prv1-3i33f88pd3u4eglttj08al1a0rbhtob3ovgikebdqrr2ekkvji08njmas8";
        let text =
            faults(&LEAST.replace("{topic: q}", &format!("{{topic: q, public_key: {private}}}")));
        let text = text.to_string();
        assert!(text.contains("this is a private key") && !text.contains("3i33f8"), "{text}");
    }

    #[test]
    fn every_reserved_setting_is_refused() {
        for (name, _) in crate::kafka::settings::RESERVED {
            let found = faults(&format!("{LEAST}kafka: {{{name}: x}}\n"));
            assert!(found.iter().any(|fault| fault.code == "C011"), "{name}: {found}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let found = faults(
            "brokrs: x\nlanes: 0\nroutes:\n  - {name: a b, topics: ['a/b'], clean: 'c d'}\n\
             admin: {listen: here}\nquarantine: {}\nlimits: {depth: 500}\nshutdown: {drain: 3}\n",
        );
        let mut codes: Vec<&str> = found.iter().map(|fault| fault.code).collect();
        codes.sort_unstable();
        let all = [
            "C001", "C001", "C009", "C015", "C017", "Y010", "Y011", "Y011", "Y013", "Y013", "Y014",
        ];
        assert_eq!(codes, all, "{found}");
    }

    #[test]
    fn overlaps_and_loops_between_routes_are_found() {
        let two = |a: &str, b: &str| {
            let text = format!(
                "brokers: x\npolicies: p\nquarantine: {{topic: q.x}}\nroutes:\n  \
                 - {{name: a, {a}, tenant: key}}\n  - {{name: b, {b}, tenant: key}}\n"
            );
            faults(&text).iter().map(|fault| fault.code).collect::<Vec<_>>().join(" ")
        };
        for (a, b, codes) in [
            ("topics: [x], clean: x1", "topics: [y], clean: y1", ""),
            ("topics: [x], clean: x1", "topics: [x], clean: y1", "C004"),
            ("topics: [x, x], clean: x1", "topics: [y], clean: y1", "C004"),
            ("topics: [x], clean: y", "topics: [y], clean: z", "C005"),
            ("topics: [x], clean: x", "topics: [y], clean: z", "C005"),
            ("topics: [x], clean: q.x", "topics: [y], clean: z", "C005"),
            ("topics: [q.x], clean: x", "topics: [y], clean: z", "C005"),
            ("pattern: '^q\\.(.+)$', clean: c.$1", "topics: [y], clean: z", "C005"),
            ("pattern: '^w\\.(.+)$', clean: q.$1", "topics: [y], clean: z", "C005"),
            ("pattern: '^w\\.(.+)$', clean: c.$1", "topics: [c.d], clean: z", "C005"),
            ("pattern: '^w\\.(.+)$', clean: c.$1", "pattern: '^v\\.(.+)$', clean: c.$1", ""),
            ("pattern: '^w\\.(.+)$', clean: c.$1", "pattern: '^w\\.v(.+)$', clean: d.$1", "C004"),
            ("pattern: '^(.+)\\.w$', clean: $1.c", "pattern: '^(.+)\\.v$', clean: $1.c", ""),
            ("pattern: '^(.+)\\.w$', clean: $1.v", "pattern: '^(.+)\\.v$', clean: $1.c", "C005"),
        ] {
            assert_eq!(two(a, b), codes, "{a} | {b}");
        }
    }
}
