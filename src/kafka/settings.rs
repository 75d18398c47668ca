//! The client's settings: what limpid sets, what it lets users set, and the check of both.
//!
//! Any librdkafka setting can be passed through. A few are limpid's own ([`RESERVED`]): with
//! another value records would be lost, doubled or committed too early. The defaults in
//! [`consumer`] and [`producer`] are a starting point that was measured, and users may change
//! them; every setting is tried on a scratch configuration before anything starts.

use super::Membership;
use super::topics::bounds;
use crate::config::{Config, Settings};
use crate::error::{Error, Result};
use crate::lane::Delivery;
use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::error::KafkaError;
use std::ffi::{CStr, CString};

/// Which clients a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All clients.
    Common,
    /// Consumers alone.
    Consumer,
    /// Producers alone.
    Producer,
}

/// Settings that users may not set, each with the reason.
pub const RESERVED: &[(&str, &str)] = &[
    ("group.id", "set `group:` instead"),
    ("group.instance.id", "set `group_instance:` instead"),
    ("enable.auto.commit", "limpid commits an offset only after its record is delivered"),
    ("enable.auto.offset.store", "limpid commits an offset only after its record is delivered"),
    ("auto.commit.enable", "limpid commits an offset only after its record is delivered"),
    ("auto.commit.interval.ms", "limpid commits an offset only after its record is delivered"),
    ("isolation.level", "what a producer took back must not be published"),
    ("enable.partition.eof", "limpid does not use end-of-partition events"),
    ("consume.callback.max.messages", "limpid fetches in batches of its own size"),
    ("enable.idempotence", "without it a retry could double or reorder records"),
    ("acks", "a record counts as delivered when all in-sync replicas have it"),
    ("request.required.acks", "a record counts as delivered when all in-sync replicas have it"),
    ("enable.gapless.guarantee", "limpid goes back to the last delivered record by itself"),
    ("transactional.id", "limpid names its transactions itself"),
    ("retry.backoff.ms", "limpid tells by it whether a commit may have been sent twice"),
    ("delivery.report.only.error", "limpid counts every delivery"),
    ("statistics.interval.ms", "limpid has its own metrics; see `admin:`"),
    ("plugin.library.paths", "limpid loads no code at run time"),
    ("log.queue", "limpid forwards the client's log itself"),
    ("queue.buffering.max.messages", "bounded by `buffer_bytes:`"),
    ("queue.buffering.max.kbytes", "bounded by `buffer_bytes:`"),
];

/// Checks one setting on a scratch configuration.
///
/// # Errors
/// What is wrong with it, without its value where that may be a secret.
pub fn check_setting(kind: Kind, name: &str, value: &str) -> std::result::Result<(), String> {
    if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Err(format!("`{name}` is limpid's own setting: {reason}"));
    }
    let (Ok(name_c), Ok(value_c)) = (CString::new(name), CString::new(value)) else {
        return Err("a setting must not contain a NUL byte".to_owned());
    };
    let mut told = [0; 512];
    // SAFETY: the configuration is created, used and destroyed here; the strings and the buffer
    // outlive the call, and the client ends what it writes with a NUL within the length given.
    let outcome = unsafe {
        let conf = rd::rd_kafka_conf_new();
        let outcome = rd::rd_kafka_conf_set(
            conf,
            name_c.as_ptr(),
            value_c.as_ptr(),
            told.as_mut_ptr(),
            told.len(),
        );
        rd::rd_kafka_conf_destroy(conf);
        outcome
    };
    match outcome {
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => {
            Err(format!("librdkafka knows no {} `{name}`", setting_of(kind)))
        }
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID if is_secret(name) => {
            Err(format!("librdkafka refuses the value of `{name}`"))
        }
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => {
            // SAFETY: the buffer was zeroed and is written with a terminating NUL.
            let told = unsafe { CStr::from_ptr(told.as_ptr()) };
            Err(told.to_string_lossy().into_owned())
        }
    }
}

const fn setting_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Common => "setting",
        Kind::Consumer => "consumer setting",
        Kind::Producer => "producer setting",
    }
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "key", "token", "oauthbearer.config", "jaas"]
        .iter()
        .any(|part| name.contains(part))
}

/// The settings of a lane's consumer. `share` is the part of `buffer_bytes_max` that may wait in
/// the client, fetched and not yet read.
#[must_use]
pub fn consumer(config: &Config, share: usize, lane: usize) -> ClientConfig {
    let mut set = every_client();
    set.set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("check.crcs", "true")
        // A lane polls many times a second. A restarted broker waits as long for members that are
        // dead before it lets the others go on: with the default, five minutes.
        .set("max.poll.interval.ms", "60000")
        // Filled up again before it is empty: with the default, 1 s, a fast reader starves.
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.wait.max.ms", "100")
        .set("queued.min.messages", "100000")
        // A response comes whole, and may be many times larger when it is unpacked. The client wants
        // no less than its message.max.bytes, which is 1,000,000.
        .set("fetch.max.bytes", (share / 8).clamp(1 << 20, 4 << 20).to_string())
        .set("queued.max.messages.kbytes", kbytes(share).to_string());
    pass_through(&mut set, &[&config.kafka, &config.consumer]);
    set.set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    if let Some(instance) = &config.group_instance {
        set.set("group.instance.id", format!("{instance}-{lane}"));
    }
    set
}

/// Requests that a producer has on their way to one broker, by librdkafka's name.
pub(super) const MAX_IN_FLIGHT: &str = "max.in.flight";
/// So many, not the client's five. An idempotent client has one request a partition on its way; while
/// that is so and more records of the partition are due, its thread asks the socket in a busy loop
/// (librdkafka 2.12: 300,000 polls a second), unless a request to the same broker already waits its
/// turn. With few on their way one nearly always does. Measured, two cores with the broker on them,
/// records a second and CPU seconds a million:
///
/// | | 1 | 2 | 5 |
/// | --- | --- | --- | --- |
/// | one lane, at least once | 436,000, 2.8 | 452,000, 2.8 | 385,000, 3.6 |
/// | two lanes, at least once | 473,000, 2.9 | 439,000, 3.4 | 280,000, 5.8 |
/// | two lanes, transactions (`throughput`) | 386,000, 3.2 | 316,000, 4.3 | 235,000, 6.5 |
/// | one lane, transactions, 1 ms to the broker and back | 258,000 | 333,000 | 344,000 |
/// | one lane, transactions, 5 ms to the broker and back | 135,000 | 231,000 | 277,000 |
///
/// One is best beside the broker and waits for each answer far from it; two is near the best in
/// both places. A `linger.ms` longer than records wait (200) calms it, too, and delays them.
pub(super) const IN_FLIGHT: &str = "2";

/// The settings of a lane's producer. Its share of the buffer bounds what waits in the client.
#[must_use]
pub fn producer(config: &Config, membership: &Membership) -> ClientConfig {
    let mut set = every_client();
    set.set("linger.ms", config.tuning.linger_ms().to_string())
        .set(MAX_IN_FLIGHT, IN_FLIGHT)
        // 16 kB was measured at a quarter of the speed.
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("compression.type", "lz4");
    match config.delivery {
        // A broker that is gone is waited for: the back-pressure reaches the consumer.
        Delivery::AtLeastOnce => set.set("message.timeout.ms", "0"),
        // A transaction that takes longer is undone, by the broker or by limpid, and done again.
        // Until then a reader waits for a process that was killed.
        Delivery::ExactlyOnce => set.set("transaction.timeout.ms", "20000"),
    };
    if let Some(MessageBytes { smallest, largest }) = bounds(&membership.message_bytes) {
        set.set("message.max.bytes", largest.to_string())
            .set("batch.size", smallest.clamp(1, 1_000_000).to_string());
    }
    pass_through(&mut set, &[&config.kafka, &config.producer]);
    to_clean(&mut set, config);
    set.set("enable.idempotence", "true")
        .set("acks", "all")
        .set("delivery.report.only.error", "false")
        .set("queue.buffering.max.messages", "10000000")
        .set("queue.buffering.max.kbytes", kbytes(membership.buffer_bytes).to_string());
    set
}

/// How long a transactional producer waits before it sends a request again. Longer than the end of a
/// commit takes on a healthy cluster: by the time one can tell that none was sent twice.
pub(super) const RETRY_BACKOFF_MS: u64 = 100;

/// The settings of a lane's two transactional producers, each with its transactional id. Where the
/// process has a name of its own that a restart keeps, so has the lane, and a restart ends at once
/// what was left open. Else it is new: what is left open ends by its age. Nothing depends on the name
/// for correctness: who may commit is decided by the group's generation (KIP-447).
#[must_use]
pub fn transactional(config: &Config, membership: &Membership) -> [ClientConfig; 2] {
    let Config { transactional_id_prefix: prefix, group, .. } = config;
    let Membership { instance, lane, .. } = membership;
    ["a", "b"].map(|which| {
        let mut set = producer(config, membership);
        set.set("transactional.id", format!("{prefix}{group}-{instance}-{lane}{which}"))
            .set("retry.backoff.ms", RETRY_BACKOFF_MS.to_string());
        set
    })
}

/// What every client begins with.
fn every_client() -> ClientConfig {
    let mut set = ClientConfig::new();
    set.set("client.id", "limpid")
        // A broker that is back is found soon: with the default, 10 s, a restart costs as much more.
        .set("reconnect.backoff.max.ms", "1000");
    set
}

/// `max.message.bytes` over the topics that are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageBytes {
    /// Of the topic that takes least: no batch may be larger.
    pub smallest: usize,
    /// Of the topic that takes most: no message may be larger.
    pub largest: usize,
}

/// A cluster; both are one, unless the configuration has `clean_brokers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where raw topics are.
    Source,
    /// Where clean and quarantine topics are.
    Clean,
}

/// The settings of a client that looks at topics: common ones, and how consumers sign in at the
/// source, producers on the clean side.
#[must_use]
pub fn scout(config: &Config, side: Side) -> ClientConfig {
    let mut set = every_client();
    pass_through(&mut set, &[&config.kafka]);
    let own = match side {
        Side::Source => &config.consumer,
        Side::Clean => &config.producer,
    };
    for (name, value) in own.0.iter().filter(|(name, _)| signs_in(name)) {
        set.set(name, value);
    }
    if side == Side::Clean {
        to_clean(&mut set, config);
    }
    set
}

/// The settings of a consumer that reads a topic for the command line, wherever that is.
#[must_use]
pub fn reader(config: &Config, topic: &str) -> ClientConfig {
    let side = if config.reads(topic) { Side::Source } else { Side::Clean };
    let mut set = scout(config, side);
    for (name, value) in config.consumer.0.iter().filter(|(name, _)| !signs_in(name)) {
        set.set(name, value);
    }
    set
}

fn to_clean(set: &mut ClientConfig, config: &Config) {
    if let Some(brokers) = &config.clean_brokers {
        set.set("bootstrap.servers", brokers);
    }
}

fn signs_in(name: &str) -> bool {
    ["security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The settings of a replay's producer: one transactional id for all replays of a group.
#[must_use]
pub fn replayer(config: &Config, message_bytes: Option<MessageBytes>) -> ClientConfig {
    let mut set = every_client();
    set.set("compression.type", "lz4").set("linger.ms", "10");
    if let Some(MessageBytes { largest, .. }) = message_bytes {
        set.set("message.max.bytes", largest.to_string());
    }
    pass_through(&mut set, &[&config.kafka, &config.producer]);
    to_clean(&mut set, config);
    set.set("enable.idempotence", "true").set("acks", "all").set(
        "transactional.id",
        format!("{}{}-replay", config.transactional_id_prefix, config.group),
    );
    set
}

fn pass_through(set: &mut ClientConfig, layers: &[&Settings]) {
    for (name, value) in layers.iter().flat_map(|layer| &layer.0) {
        // Of two names for one setting the client takes either's value.
        if let Some(other) = other_name(name) {
            set.remove(other);
        }
        set.set(name, value);
    }
}

/// librdkafka's other name for a setting that limpid has a value for.
fn other_name(name: &str) -> Option<&'static str> {
    let pairs = [
        (MAX_IN_FLIGHT, "max.in.flight.requests.per.connection"),
        ("linger.ms", "queue.buffering.max.ms"),
        ("compression.type", "compression.codec"),
        ("message.timeout.ms", "delivery.timeout.ms"),
    ];
    let both = pairs.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]);
    both.into_iter().find(|(this, _)| *this == name).map(|(_, other)| other)
}

/// librdkafka counts in kB and takes from 1 to 2,097,151 of them.
fn kbytes(bytes: usize) -> usize {
    (bytes / 1024).clamp(1024, 2_097_151)
}

/// An error of the client's set-up: it is the configuration's.
pub(super) fn refused(what: &str, error: impl std::fmt::Display) -> Error {
    Error::usage(format!("the Kafka {what} cannot be set up: {error}"))
}

/// The native form of settings that were checked one by one; some only clash together.
pub(super) fn native(
    what: &str,
    set: &ClientConfig,
) -> Result<rdkafka::config::NativeClientConfig> {
    // The error's own text would repeat the value, which may be a password.
    set.create_native_config().map_err(|error| match error {
        KafkaError::ClientConfig(_, _, name, _) => refused(what, format!("`{name}` is refused")),
        other => refused(what, other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_the_client_itself() {
        assert_eq!(check_setting(Kind::Common, "security.protocol", "sasl_ssl"), Ok(()));
        let told = check_setting(Kind::Producer, "compresion.type", "lz4").unwrap_err();
        assert_eq!(told, "librdkafka knows no producer setting `compresion.type`");
        let told = check_setting(Kind::Producer, "compression.type", "lz5").unwrap_err();
        assert!(told.contains("lz5"), "{told}");
    }

    #[test]
    fn reserved_settings_are_refused_with_the_reason() {
        for (name, reason) in RESERVED {
            let told = check_setting(Kind::Consumer, name, "1").unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }

    #[test]
    fn a_setting_by_its_other_name_is_set_once() {
        let mut set = ClientConfig::new();
        set.set(MAX_IN_FLIGHT, IN_FLIGHT).set("linger.ms", "2");
        let own = |name: &str, value: &str| Settings(vec![(name.to_owned(), value.to_owned())]);
        let long = own("max.in.flight.requests.per.connection", "5");
        pass_through(&mut set, &[&long, &own("queue.buffering.max.ms", "7")]);
        assert_eq!((set.get(MAX_IN_FLIGHT), set.get("linger.ms")), (None, None));
        let native = native("producer", &set).unwrap();
        assert_eq!(native.get("linger.ms").unwrap(), "7");
        assert_eq!(native.get(MAX_IN_FLIGHT).unwrap(), "5");
        pass_through(&mut set, &[&own("linger.ms", "9")]);
        assert_eq!(set.get("queue.buffering.max.ms"), None);
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let told = check_setting(Kind::Common, "ssl.key.pem", "canary\0").unwrap_err();
        assert!(!told.contains("canary"), "{told}");
    }
}
