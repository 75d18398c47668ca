//! The configuration as written → as it is meant.

use super::admin::read_admin;
use super::route::{Route, check_routes, read_route, refuse_name};
use super::secret::{read_path, read_source};
use super::settings::read_settings;
use super::{Config, Quarantine, Secrets, Settings, Tuning};
use crate::document::{Faults, Field, Kind, Node, Reader, Source, Span, Table, parse};
use crate::engine::Limits;
use crate::kafka::settings::Kind as Client;
use crate::lane::Delivery;
use crate::limits::{DEPTH_MAX, RECORD_BYTES_MAX};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Unless `group:` says otherwise.
const GROUP: &str = "limpid";
/// Unless `transactional_id_prefix:` says otherwise.
const TRANSACTIONAL_ID_PREFIX: &str = "limpid-";
/// Unless `buffer_bytes:` says otherwise.
const BUFFER_BYTES: usize = 256 << 20;
/// Unless `shutdown: {drain: …}` says otherwise: the usual patience of Kubernetes and systemd.
const DRAIN: Duration = Duration::from_secs(30);
/// Unless `reload: {watch: …}` says otherwise.
const WATCH: Duration = Duration::from_secs(2);
/// Looking more often would find files half written.
const WATCH_LEAST: Duration = Duration::from_millis(100);
/// More threads than this are a slip of the finger.
const LANES_MAX: i64 = 1024;

/// Reads a configuration's text; what is wrong is added to `faults`. With [`Secrets::Leave`] the
/// settings that are secret are left out.
pub fn read(source: &Arc<Source>, secrets: Secrets, faults: &mut Faults) -> Option<Config> {
    let before = faults.len();
    let node = parse(source, faults)?;
    let config = read_config(&node, secrets, &mut Reader::new(source, faults));
    config.filter(|_| faults.len() == before)
}

fn read_config(node: &Node, secrets: Secrets, reader: &mut Reader<'_>) -> Option<Config> {
    let base = Path::new(&reader.source.name).parent().unwrap_or(Path::new("")).to_owned();
    let mut top = Table::new(node, "the configuration", reader)?;
    let (brokers, clean_brokers) = (top.need("brokers", reader), top.take("clean_brokers"));
    let (group, instance) = (top.take("group"), top.take("group_instance"));
    let (delivery, tuning) = (top.take("delivery"), top.take("tuning"));
    let prefix = top.take("transactional_id_prefix");
    let lanes = top.take("lanes");
    let policies = top.need("policies", reader);
    let (keyring, reload) = (top.take("keyring"), top.take("reload"));
    let routes = top.need("routes", reader);
    let quarantine = top.need("quarantine", reader);
    let (kafka, consumer, producer) =
        (top.take("kafka"), top.take("consumer"), top.take("producer"));
    let (admin, limits) = (top.take("admin"), top.take("limits"));
    let (buffer, shutdown) = (top.take("buffer_bytes"), top.take("shutdown"));
    top.finish(reader);

    let settings = |field: Option<&Field<'_>>, client, reader: &mut Reader<'_>| {
        read_settings(field, client, &base, secrets, reader)
    };
    let kafka = settings(kafka.as_ref(), Client::Common, reader);
    let consumer = settings(consumer.as_ref(), Client::Consumer, reader);
    let producer = settings(producer.as_ref(), Client::Producer, reader);
    let servers = brokers.and_then(|field| read_brokers(&field, reader));
    let clean_servers = read_optional(clean_brokers, |field| read_brokers(field, reader));
    let group = group.map_or(Some(GROUP.to_owned()), |field| read_name(&field, GROUP_NAME, reader));
    let instance = read_optional(instance, |field| read_name(field, INSTANCE_NAME, reader));
    let delivery = delivery.map_or(Some(Delivery::ExactlyOnce), |field| {
        let words = [Delivery::ExactlyOnce, Delivery::AtLeastOnce];
        field.one_of(&["exactly_once", "at_least_once"], reader).map(|index| words[index])
    });
    if let (Some(field), Some(Delivery::ExactlyOnce)) = (clean_brokers, delivery) {
        reader
            .fault("C021", field.name_span, "a transaction cannot span two clusters")
            .hint("add `delivery: at_least_once`, or leave `clean_brokers` out");
    }
    let tuning = tuning.map_or(Some(Tuning::default()), |field| {
        let words = [Tuning::Latency, Tuning::Throughput];
        field.one_of(&["latency", "throughput"], reader).map(|index| words[index])
    });
    let prefix = prefix.map_or(Some(TRANSACTIONAL_ID_PREFIX.to_owned()), |field| {
        read_name(&field, PREFIX_NAME, reader)
    });
    let lanes = lanes.map_or_else(|| Some(cores()), |field| read_lanes(&field, reader));
    let policies = policies.and_then(|field| read_path(&field, &base, reader));
    let keyring = keyring.and_then(|field| read_source(&field, &base, reader));
    let watch = reload.map_or(Some(Some(WATCH)), |field| read_reload(&field, reader));
    let quarantine = quarantine.and_then(|field| read_quarantine(&field, reader));
    let topic = quarantine.as_ref().map(|(read, span)| (read.topic.as_str(), *span));
    let routes = routes.and_then(|field| read_routes(&field, topic, reader));
    let admin = admin.and_then(|field| read_admin(&field, &base, secrets, reader));
    let limits =
        limits.map_or_else(|| Some(Limits::default()), |field| read_limits(&field, reader));
    let buffer = read_buffer(buffer.as_ref(), limits.as_ref(), reader);
    let drain = shutdown.map_or(Some(DRAIN), |field| read_drain(&field, reader));

    Some(Config {
        kafka: with_brokers(servers?, kafka),
        clean_brokers: clean_servers?,
        consumer,
        producer,
        group: group?,
        group_instance: instance?,
        delivery: delivery?,
        tuning: tuning?,
        transactional_id_prefix: prefix?,
        routes: routes?.into_iter().map(|route| route.config).collect(),
        lanes: lanes?,
        policies: policies?,
        reload_watch: watch?,
        keyring,
        quarantine: quarantine?.0,
        admin,
        limits: limits?,
        buffer_bytes_max: buffer?,
        drain_deadline: drain?,
    })
}

fn with_brokers(servers: String, mut kafka: Settings) -> Settings {
    kafka.0.insert(0, ("bootstrap.servers".to_owned(), servers));
    kafka
}

fn read_brokers(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let mut all = Vec::new();
    for (text, span) in field.texts(reader)? {
        for broker in text.split(',').map(str::trim) {
            if broker.is_empty() || broker.contains(char::is_whitespace) {
                reader
                    .fault("C018", span, "not a broker's address")
                    .hint("write host and port: `localhost:9092`, several in a list");
                return None;
            }
            all.push(broker);
        }
    }
    if all.is_empty() {
        let message = format!("`{}` lists no broker", field.name);
        reader.fault("C018", field.name_span, message).hint("`localhost:9092`");
    }
    (!all.is_empty()).then(|| all.join(","))
}

const GROUP_NAME: &str = "this cannot name a consumer group";
const INSTANCE_NAME: &str = "this cannot name a member of the group";
const PREFIX_NAME: &str = "transactional ids cannot begin with this";

fn read_name(field: &Field<'_>, fault: &str, reader: &mut Reader<'_>) -> Option<String> {
    let name = field.text(reader)?;
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        reader.fault("C017", field.span(), fault);
        return None;
    }
    Some(name.to_owned())
}

/// `Some(None)` where nothing is written, `None` where something is wrong.
fn read_optional<T>(
    field: Option<Field<'_>>,
    read: impl FnOnce(&Field<'_>) -> Option<T>,
) -> Option<Option<T>> {
    field.map_or(Some(None), |field| read(&field).map(Some))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn read_lanes(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<usize> {
    field.int(1..=LANES_MAX, reader).and_then(|lanes| usize::try_from(lanes).ok())
}

fn read_quarantine(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<(Quarantine, Span)> {
    let mut table = field.table(reader)?;
    let (topic, key) = (table.need("topic", reader), table.take("public_key"));
    table.finish(reader);
    let public_key = match key {
        None => None,
        Some(key) => Some(read_public_key(&key, reader)?),
    };
    let topic = topic?;
    let name = topic.text(reader)?;
    refuse_name(name, topic.span(), reader);
    Some((Quarantine { topic: name.to_owned(), public_key }, topic.span()))
}

fn read_public_key(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<crate::keys::PublicKey> {
    match field.text(reader)?.parse() {
        Ok(key) => Some(key),
        Err(fault) => {
            field.hide(reader);
            let message = format!("`public_key` is not accepted: {fault}");
            reader
                .fault("C014", field.span(), message)
                .hint("`limpid keys quarantine FILE` makes a key pair and prints the public half");
            None
        }
    }
}

fn read_routes(
    field: &Field<'_>,
    quarantine: Option<(&str, Span)>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Route>> {
    let items = field.list(reader)?;
    if items.is_empty() {
        reader.fault("C020", field.name_span, "`routes` lists no route");
    }
    let routes: Vec<Route> = items.iter().filter_map(|item| read_route(item, reader)).collect();
    check_routes(&routes, quarantine, reader);
    Some(routes)
}

fn read_limits(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Limits> {
    let mut table = field.table(reader)?;
    let (depth, record, clean) =
        (table.take("depth"), table.take("record_bytes"), table.take("clean_bytes"));
    table.finish(reader);
    let default = Limits::default();
    let depth_max = i64::try_from(DEPTH_MAX).unwrap_or(i64::MAX);
    let depth = match depth {
        None => Some(default.depth),
        Some(field) => field.int(1..=depth_max, reader).and_then(|depth| depth.try_into().ok()),
    };
    let mut bytes = |field: Option<Field<'_>>, default: usize| match field {
        None => Some(default),
        Some(field) => read_size(&field, 1, RECORD_BYTES_MAX, reader),
    };
    let value_bytes = bytes(record, default.value_bytes);
    let clean_bytes = bytes(clean, default.clean_bytes);
    Some(Limits { depth: depth?, value_bytes: value_bytes?, clean_bytes: clean_bytes? })
}

fn read_size(
    field: &Field<'_>,
    least: usize,
    most: usize,
    reader: &mut Reader<'_>,
) -> Option<usize> {
    let size = usize::try_from(field.bytes(reader)?).unwrap_or(usize::MAX);
    if size < least || size > most {
        let message = format!("`{}` must be between {least} and {most} bytes", field.name);
        reader.fault("Y013", field.span(), message);
        return None;
    }
    Some(size)
}

fn read_buffer(
    field: Option<&Field<'_>>,
    limits: Option<&Limits>,
    reader: &mut Reader<'_>,
) -> Option<usize> {
    let Some(field) = field else { return Some(BUFFER_BYTES) };
    let size = read_size(field, 1 << 20, 1 << 40, reader)?;
    if let Some(limits) = limits.filter(|limits| size < limits.value_bytes) {
        let message = "`buffer_bytes` is smaller than one record may be";
        reader
            .fault("C019", field.span(), message)
            .hint(format!("`limits: {{record_bytes: …}}` allows {} bytes", limits.value_bytes));
    }
    Some(size)
}

fn read_drain(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
    let mut table = field.table(reader)?;
    let drain = table.take("drain");
    table.finish(reader);
    drain.map_or(Some(DRAIN), |drain| drain.duration(reader))
}

/// How often to look for changes; `never` is `None` inside.
#[expect(clippy::option_option, reason = "a fault, never, a time")]
fn read_reload(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Option<Duration>> {
    let mut table = field.table(reader)?;
    let watch = table.take("watch");
    table.finish(reader);
    let Some(watch) = watch else { return Some(Some(WATCH)) };
    if matches!(&watch.node.kind, Kind::Text(text) if text == "never") {
        return Some(None);
    }
    let every = watch.duration(reader)?;
    if every < WATCH_LEAST {
        reader
            .fault("Y013", watch.span(), "`watch` must be 100ms or longer")
            .hint("write `2s`, or `never` to reload only when asked");
        return None;
    }
    Some(Some(every))
}
