//! What is looked at before the group is joined: every fault that would only show later, all at
//! once.

use super::Stop;
use super::routes::Routes;
use crate::config::Config;
use crate::error::{Error, Fate, Result};
use crate::kafka::topics::{Listing, Scout};
use crate::kafka::{Membership, same_partitions};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long one look at the cluster may take.
const LOOK: Duration = Duration::from_secs(10);
/// How long the topics' settings may take: they can be done without, and a broker that doesn't know
/// the question (the simulated one) never answers.
const ASK: Duration = Duration::from_secs(2);
/// The first look, while a broker may be starting too; the next ones take longer, up to [`LOOK`].
const GLANCE: Duration = Duration::from_secs(1);

/// Looks at the cluster once and checks the topics.
///
/// # Errors
/// No broker answers, or topics are missing or do not fit: all of them in one text.
pub fn check(config: &Config) -> Result<()> {
    let scout = Scout::new(config)?;
    check_topics(config, &scout.list(LOOK)?)
}

/// Waits for a broker, checks the topics, and gives what lanes need to know; `None` if it was
/// stopped meanwhile.
pub(super) fn look(config: &Config, stop: &Stop) -> Result<Option<Membership>> {
    let scout = Scout::new(config)?;
    let Some(listing) = list(&scout, stop)? else { return Ok(None) };
    check_topics(config, &listing)?;
    let topics = written_topics(config, &listing);
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    Ok(Some(Membership {
        topics: Routes::new(config).subscription(),
        message_bytes: Arc::new(scout.message_bytes(&topics, ASK)),
        listing: Arc::new(listing),
        buffer_bytes: config.buffer_bytes_max / config.lanes.max(1),
        instance: instance(config)?,
        lane: 0,
    }))
}

/// The process's own name, or one that no other has.
fn instance(config: &Config) -> Result<Arc<str>> {
    if let Some(name) = &config.group_instance {
        return Ok(name.as_str().into());
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::fatal(format!("the system has no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes).into())
}

/// A broker that does not answer is waited for: it may be starting too.
fn list(scout: &Scout, stop: &Stop) -> Result<Option<Listing>> {
    let mut patience = GLANCE;
    while !stop.asked() {
        match scout.list(patience) {
            Ok(listing) => return Ok(Some(listing)),
            Err(error) if error.fate() != Fate::Retry => return Err(error),
            Err(error) => tracing::warn!("waiting: {error}"),
        }
        patience = (patience * 2).min(LOOK);
    }
    Ok(None)
}

/// Topics that limpid writes to, as far as they are known now.
fn written_topics(config: &Config, listing: &Listing) -> BTreeSet<String> {
    let routes = Routes::new(config);
    let cleans = listing.keys().filter_map(|topic| routes.resolve(topic)).map(|to| to.clean);
    let written = cleans.chain([config.quarantine.topic.clone()]);
    written.filter(|topic| listing.contains_key(topic)).collect()
}

fn check_topics(config: &Config, listing: &Listing) -> Result<()> {
    let routes = Routes::new(config);
    let mut faults = BTreeSet::new();
    for (topic, _) in routes.listed().filter(|(topic, _)| !listing.contains_key(*topic)) {
        faults.insert(format!("topic `{topic}` does not exist or may not be seen"));
    }
    for (topic, partitions) in listing {
        let Some(to) = routes.resolve(topic) else { continue };
        let clean = listing.get(&to.clean).copied();
        faults.extend(
            same_partitions(topic, *partitions, &to.clean, clean).err().map(|e| e.to_string()),
        );
        faults.extend(circle(&routes, &to.clean));
    }
    let quarantine = &config.quarantine.topic;
    if !listing.contains_key(quarantine) {
        faults.insert(format!("quarantine topic `{quarantine}` does not exist or may not be seen"));
    }
    faults.extend(circle(&routes, quarantine));
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::usage(faults.into_iter().collect::<Vec<_>>().join("\n")))
}

/// A topic that is written to must not be read: its records would go round for ever.
pub(super) fn circle(routes: &Routes<'_>, written: &str) -> Option<String> {
    let taken = routes.resolve(written)?;
    Some(format!(
        "topic `{written}` is written to, and route `{}` would read it again: make its `topics:` \
         narrower",
        routes.name(taken.route.index)
    ))
}
