//! `limpid quarantine replay` without its arguments: withheld records, opened, through the policies
//! of today, to the clean topics; each once.
//!
//! Clean copy and mark (see [`Replayed`]) travel in one transaction, so a replay that dies leaves
//! nothing half done: what is marked is published, what is not is not. Before it looks for marks it
//! takes the transactional id that all replays share, and so shuts out any other.
//!
//! What still cannot be clean stays where it is, sealed as it was: nothing is sealed anew, nothing
//! moves, and a later replay finds it in the same place. A replayed record comes behind records that
//! once came after it; its partition, key, headers and time are its own.
//!
//! The rejected alternative: a consumer group of replays whose offsets travel in the transaction. It
//! can say "up to here", not "these and not those", so whatever a replay does not pick would have to
//! be copied to the end of the topic, again and again.

use crate::config::Config;
use crate::engine::{Batch, Engine, Outcome};
use crate::error::{Reason, Result};
use crate::kafka::reader::{Reach, read_topic};
use crate::kafka::republish::{Republisher, Sizes};
use crate::kafka::topics::Listing;
use crate::keys::PrivateKey;
use crate::policy::Policies;
use crate::quarantine::{Clear, NotOpened, Opener, Repaired, Replayed};
use crate::record::{Raw, Record};
use crate::run::{Resolved, Routes};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;

/// Records of one transaction.
const RECORDS_MAX: usize = 1_000;
/// … or bytes of them, whichever comes first.
const BYTES_MAX: usize = 8 << 20;

/// What is to be replayed.
pub struct Job<'a> {
    /// Where the quarantine is, and the routes of today.
    pub config: &'a Config,
    /// The policies of today.
    pub policies: &'a Policies,
    /// The private key.
    pub key: &'a PrivateKey,
    /// Which records.
    pub takes: &'a dyn Fn(&Clear) -> bool,
    /// Repaired records, and only those; `None`: all, as they were withheld.
    pub repaired: Option<&'a Repaired>,
    /// Only look what would happen.
    pub rehearsal: bool,
}

/// Why a record stays in the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// It does not open.
    Closed(NotOpened),
    /// The policies of today withhold it, too.
    Withheld(Reason),
    /// What was given as its repaired form is another record's.
    Another,
    /// No route takes its raw topic any more.
    NoRoute,
    /// Its clean topic is not there, or has no partition of that number.
    NoPartition,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(not) => write!(f, "{not}"),
            Self::Withheld(reason) => write!(f, "it is still withheld: {reason}"),
            Self::Another => f.write_str("its repaired form is that of another raw record"),
            Self::NoRoute => f.write_str("no route takes its raw topic any more"),
            Self::NoPartition => f.write_str("its clean topic has no such partition"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records published, or that would be.
    pub replayed: u64,
    /// Records that were picked and had been replayed before.
    pub before: u64,
    /// Records that stay.
    pub stay: u64,
}

/// Replays, and tells of each record that stays: its partition and offset in the quarantine topic.
///
/// # Errors
/// No broker answers, there is no such topic, another replay has taken over.
pub fn replay(job: &Job<'_>, told: &mut dyn FnMut(i32, i64, Stays)) -> Result<Summary> {
    let routes = Routes::new(job.config);
    let sizes = Sizes::ask(job.config, |listing| clean_topics(&routes, listing))?;
    let out = if job.rehearsal { None } else { Some(Republisher::start(job.config, &sizes)?) };
    let done = marks(job.config)?;
    let mut replay = Replay {
        job,
        routes,
        sizes,
        out,
        done,
        opener: Opener::new(job.key),
        engine: Engine::new(job.config.limits),
        batch: Batch::default(),
        ways: HashMap::new(),
        open: Open::default(),
        summary: Summary::default(),
    };
    read_topic(job.config, &job.config.quarantine.topic, Reach::Whole, |message| {
        if let Err(stays) = replay.one(message)? {
            replay.summary.stay += 1;
            told(message.partition, message.offset, stays);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    replay.commit()?;
    Ok(replay.summary)
}

/// Every mark in the quarantine.
///
/// # Errors
/// No broker answers, or there is no such topic.
pub fn marks(config: &Config) -> Result<HashSet<Replayed>> {
    let mut marks = HashSet::new();
    read_topic(config, &config.quarantine.topic, Reach::Whole, |message| {
        marks.extend(Replayed::read(message.partition, message.headers));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(marks)
}

fn clean_topics(routes: &Routes<'_>, listing: &Listing) -> Vec<String> {
    let cleans = listing.keys().filter_map(|topic| Some(routes.resolve(topic)?.clean));
    cleans.filter(|topic| listing.contains_key(topic)).collect::<HashSet<_>>().into_iter().collect()
}

struct Replay<'a> {
    job: &'a Job<'a>,
    routes: Routes<'a>,
    sizes: Sizes,
    /// None in a rehearsal.
    out: Option<Republisher>,
    done: HashSet<Replayed>,
    opener: Opener,
    engine: Engine,
    batch: Batch,
    /// By raw topic.
    ways: HashMap<String, Option<Resolved>>,
    open: Open,
    summary: Summary,
}

/// What the open transaction holds.
#[derive(Default)]
struct Open {
    records: usize,
    bytes: usize,
}

impl Replay<'_> {
    /// Replays one message if it is picked; says why it stays, if it does.
    fn one(&mut self, message: &Record<'_>) -> Result<std::result::Result<(), Stays>> {
        let Some(clear) = Clear::read(message.headers) else { return Ok(Ok(())) };
        if !(self.job.takes)(&clear) {
            return Ok(Ok(()));
        }
        let mark = Replayed { partition: message.partition, offset: message.offset };
        let repair = self.job.repaired.map(|repaired| repaired.get(mark));
        if repair.is_some_and(|repair| repair.is_none()) {
            return Ok(Ok(()));
        }
        if self.done.contains(&mark) {
            self.summary.before += 1;
            return Ok(Ok(()));
        }
        match self.opener.open(message.headers, message.value.map(Raw::expose)) {
            Ok(opened) => match repair.flatten() {
                None => self.through(&opened.record(), mark),
                Some(repair) => match repair.applied(&opened) {
                    Some(record) => self.through(&record, mark),
                    None => Ok(Err(Stays::Another)),
                },
            },
            Err(not) => Ok(Err(Stays::Closed(not))),
        }
    }

    /// Takes an opened record through the engine, and out.
    fn through(
        &mut self,
        record: &Record<'_>,
        mark: Replayed,
    ) -> Result<std::result::Result<(), Stays>> {
        let routes = &self.routes;
        let way = self.ways.entry(record.topic.to_owned());
        let Some(way) = way.or_insert_with_key(|topic| routes.resolve(topic)) else {
            return Ok(Err(Stays::NoRoute));
        };
        if !self.sizes.has(&way.clean, record.partition) {
            return Ok(Err(Stays::NoPartition));
        }
        self.batch.clear();
        self.engine.clean(self.job.policies, &way.route, record, &mut self.batch);
        self.batch.complete();
        let clean = match self.batch.outcome(0, record, self.job.policies) {
            Outcome::Clean(clean) if self.sizes.fit(&way.clean, record, &clean) => clean,
            Outcome::Clean(_) => return Ok(Err(Stays::Withheld(Reason::Limits))),
            Outcome::Withheld(withheld) => return Ok(Err(Stays::Withheld(withheld.reason))),
        };
        if let Some(out) = &self.out {
            if self.open.records == 0 {
                out.begin()?;
            }
            out.publish(&way.clean, record, &clean, mark)?;
            self.open.records += 1;
            self.open.bytes += clean.value().map_or(0, <[u8]>::len);
        }
        self.done.insert(mark);
        self.summary.replayed += 1;
        if self.open.records >= RECORDS_MAX || self.open.bytes >= BYTES_MAX {
            self.commit()?;
        }
        Ok(Ok(()))
    }

    fn commit(&mut self) -> Result<()> {
        if self.open.records == 0 {
            return Ok(());
        }
        self.open = Open::default();
        self.out.as_ref().map_or(Ok(()), Republisher::commit)
    }
}
