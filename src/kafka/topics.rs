//! Looking at topics before records flow: are they there, with the same partitions, and how large
//! a record do they take?
//!
//! One listing of the cluster answers for all of them. Asking for a topic by name would make some
//! clusters create it, with a number of partitions that nobody chose.

use super::native::{Callbacks, Client, Code, Notes, millis};
use super::settings::{self, MessageBytes, Side};
use crate::config::{Config, Topics};
use crate::error::{Error, Result};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::bindings as rd;
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

/// Looks at the cluster, or the two.
pub struct Scout {
    source: Looker,
    /// If clean and quarantine topics are elsewhere.
    clean: Option<Looker>,
    raw: Vec<Topics>,
}

/// A client that only looks.
struct Looker {
    // Dropped before its notes.
    client: Client,
    notes: Notes<()>,
    set: rdkafka::ClientConfig,
}

/// Every topic that may be seen, with its number of partitions.
pub type Listing = BTreeMap<String, usize>;

impl Scout {
    /// A scout for what is configured; it connects when it is asked.
    ///
    /// # Errors
    /// The settings do not make a client.
    pub fn new(config: &Config) -> Result<Self> {
        let clean = || Looker::new(settings::scout(config, Side::Clean));
        Ok(Self {
            source: Looker::new(settings::scout(config, Side::Source))?,
            clean: config.clean_brokers.is_some().then(clean).transpose()?,
            raw: config.routes.iter().map(|route| route.topics.clone()).collect(),
        })
    }

    /// Does a broker answer, of each cluster?
    ///
    /// # Errors
    /// None did in time.
    pub fn ping(&self, wait: Duration) -> Result<()> {
        let mut lookers = [Some(&self.source), self.clean.as_ref()].into_iter().flatten();
        lookers.try_for_each(|looker| looker.ping(wait))
    }

    /// Lists the topics: of two clusters, the raw ones at the source, all others on the clean side.
    ///
    /// # Errors
    /// No broker answered in time.
    pub fn list(&self, wait: Duration) -> Result<Listing> {
        let source = self.source.list(wait)?;
        let Some(clean) = &self.clean else { return Ok(source) };
        let raw = |topic: &str| self.raw.iter().any(|topics| topics.has(topic));
        let mut all = clean.list(wait)?;
        all.retain(|topic, _| !raw(topic));
        all.extend(source.into_iter().filter(|(topic, _)| raw(topic)));
        Ok(all)
    }

    /// Asks for `max.message.bytes` of topics that are written to; those that may not be asked are
    /// left out.
    #[must_use]
    pub fn message_bytes(&self, topics: &[&str], wait: Duration) -> BTreeMap<String, usize> {
        let looker = self.clean.as_ref().unwrap_or(&self.source);
        looker.describe(topics, wait).unwrap_or_else(|error| {
            tracing::info!("max.message.bytes is taken as usual: {error}");
            BTreeMap::new()
        })
    }
}

impl Looker {
    fn new(set: rdkafka::ClientConfig) -> Result<Self> {
        let kind = rd::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        let notes = Notes::new();
        let callbacks = Callbacks { opaque: Some(notes.opaque()), ..Callbacks::default() };
        Ok(Self { client: Client::new(kind, &set, &callbacks)?, notes, set })
    }

    fn ping(&self, wait: Duration) -> Result<()> {
        // Of the topics that this client works with, and it works with none.
        self.metadata(false, wait, |_| ())
    }

    fn list(&self, wait: Duration) -> Result<Listing> {
        self.metadata(true, wait, |metadata| {
            let count = usize::try_from(metadata.topic_cnt).unwrap_or(0);
            // SAFETY: the answer holds so many topics; names are NUL-terminated.
            let topics = (0..count).map(|index| unsafe { &*metadata.topics.add(index) });
            let named = topics.map(|topic| {
                // SAFETY: as above.
                let name = unsafe { CStr::from_ptr(topic.topic) };
                let partitions = usize::try_from(topic.partition_cnt).unwrap_or(0);
                (name.to_string_lossy().into_owned(), partitions)
            });
            named.filter(|(_, partitions)| *partitions > 0).collect()
        })
    }

    fn metadata<T>(
        &self,
        topics: bool,
        wait: Duration,
        read: impl FnOnce(&rd::rd_kafka_metadata) -> T,
    ) -> Result<T> {
        let mut metadata = ptr::null();
        // SAFETY: the client lives; null means no single topic; the answer is ours to destroy.
        let code = unsafe {
            rd::rd_kafka_metadata(
                self.client.ptr(),
                topics.into(),
                ptr::null_mut(),
                &raw mut metadata,
                millis(wait),
            )
        };
        if Code(code as i32) != Code::NONE {
            // So that the client tells why: a certificate, a password.
            self.client.poll(Duration::ZERO);
            self.notes.look_after(&self.client);
            return Err(Error::retry(format!(
                "no Kafka broker answers at {}: {}",
                self.set.get("bootstrap.servers").unwrap_or("(no bootstrap.servers)"),
                Code(code as i32).name()
            )));
        }
        // SAFETY: the call succeeded, so the answer is valid until it is destroyed.
        unsafe {
            let told = read(&*metadata);
            rd::rd_kafka_metadata_destroy(metadata);
            Ok(told)
        }
    }

    fn describe(&self, topics: &[&str], wait: Duration) -> Result<BTreeMap<String, usize>> {
        let failed = |error: &dyn std::fmt::Display| Error::retry(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let admin: AdminClient<DefaultClientContext> =
            self.set.create().map_err(|error| failed(&error))?;
        let resources: Vec<_> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(wait));
        let answers = runtime
            .block_on(async { admin.describe_configs(&resources, &options).await })
            .map_err(|error| failed(&error))?;
        Ok(topics
            .iter()
            .zip(answers)
            .filter_map(|(topic, answer)| {
                let answer = answer.ok()?;
                let value = answer.get("max.message.bytes")?.value.as_ref()?.parse().ok()?;
                Some(((*topic).to_owned(), value))
            })
            .collect())
    }
}

/// The bounds over several topics; `None` where none is known.
#[must_use]
pub fn bounds(known: &BTreeMap<String, usize>) -> Option<MessageBytes> {
    // librdkafka refuses a limit under 1,000 or over 1,000,000,000.
    let clamp = |bytes: usize| bytes.clamp(1_000, 1_000_000_000);
    Some(MessageBytes {
        smallest: clamp(*known.values().min()?),
        largest: clamp(*known.values().max()?),
    })
}
