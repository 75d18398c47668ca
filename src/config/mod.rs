//! The configuration: what was typed (unknown keys refused, places kept) → what it means
//! (immutable, checked), with all complaints at once, before a port is bound or a group joined.
//!
//! docs/CONFIG.md lists every key. Paths are relative to the configuration's folder. Secrets do not
//! stand in the file: it says where they are.

mod read;
mod route;
mod secret;
mod settings;
mod topics;

pub use read::read;

use crate::document::{Faults, Show, Source};
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::keys::SecretSource;
use std::net::SocketAddr;
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
    /// Settings of the consumers alone.
    pub consumer: Settings,
    /// Settings of the producers alone.
    pub producer: Settings,
    /// The consumer group.
    pub group: String,
    /// At least one.
    pub routes: Vec<RouteConfig>,
    /// Threads that each have a consumer and a producer.
    pub lanes: usize,
    /// Folder of the policies.
    pub policies: PathBuf,
    /// Where the keyring is.
    pub keyring: Option<SecretSource>,
    /// Where withheld records go.
    pub quarantine: Quarantine,
    /// Where /metrics, /healthz and /readyz are served.
    pub admin: Option<SocketAddr>,
    /// Bounds on one record.
    pub limits: Limits,
    /// Most bytes of records between fetch and delivery, for the whole process.
    pub buffer_bytes_max: usize,
    /// How long a shutdown may drain.
    pub drain_deadline: Duration,
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
#[derive(Debug)]
pub enum Topics {
    /// These.
    Listed(Vec<String>),
    /// Those whose whole name fits; the subset of syntax that POSIX and Rust read alike.
    Pattern(regex_lite::Regex),
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
