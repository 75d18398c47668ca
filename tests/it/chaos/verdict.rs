//! What a read_committed consumer finds in the clean topics and the quarantine, held against what
//! was sent: by identity, nothing lost, nothing twice, in order, nothing unsealed.
//!
//! Reading and judging are apart: [`Account`] takes sightings and knows no broker, so that the tests
//! below can show that it would notice.

use super::cluster::{Cluster, Place, QUARANTINE, QUARANTINE_PARTITIONS};
use super::feed::{CANARY, Fate, Sent, clean_values, raw_value};
use limpid::keys::PrivateKey;
use limpid::quarantine::Opener;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How long the broker may be silent, and how long an open transaction may last.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was found. All but the first four must be 0.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub sent: u64,
    pub clean: u64,
    /// Among them, by the policy that a reload brought.
    pub reloaded: u64,
    pub quarantined: u64,
    pub lost: u64,
    /// Sightings beyond the first, in clean topics and quarantine together.
    pub doubled: u64,
    /// Clean records with a number below one before it in their partition.
    pub disordered: u64,
    /// Found in the wrong topic or partition, under the wrong reason, or with another value.
    pub wrong: u64,
    /// Messages with the canary in any part.
    pub unsealed: u64,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        let Self { lost, doubled, disordered, wrong, unsealed, .. } = self;
        (*lost, *doubled, *disordered, *wrong, *unsealed) == (0, 0, 0, 0, 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records sent; {} clean ({} by the other policy), {} quarantined; {} lost, {} doubled, {} out of order, \
             {} wrong, {} unsealed",
            self.sent,
            self.clean,
            self.reloaded,
            self.quarantined,
            self.lost,
            self.doubled,
            self.disordered,
            self.wrong,
            self.unsealed
        )
    }
}

/// Sightings by identity.
struct Account<'a> {
    sent: &'a Sent,
    /// How often each was seen, up to 255.
    seen: BTreeMap<Place, Vec<u8>>,
    last_clean: BTreeMap<Place, u64>,
    found: Verdict,
}

impl<'a> Account<'a> {
    fn new(sent: &'a Sent) -> Self {
        let seen = sent.iter().map(|(place, fates)| (*place, vec![0; fates.len()])).collect();
        let found =
            Verdict { sent: sent.values().map(|it| it.len() as u64).sum(), ..Verdict::default() };
        Self { sent, seen, last_clean: BTreeMap::new(), found }
    }

    /// Notes a sighting; gives the record's fate if there is such a record.
    fn see(&mut self, place: Place, number: u64) -> Option<Fate> {
        let index = usize::try_from(number).ok()?;
        let Some(times) = self.seen.get_mut(&place).and_then(|seen| seen.get_mut(index)) else {
            self.found.wrong += 1;
            return None;
        };
        self.found.doubled += u64::from(*times > 0);
        *times = times.saturating_add(1);
        Some(self.sent[&place][index])
    }

    fn clean(&mut self, place: Place, number: u64, value: Option<&str>) {
        self.found.clean += 1;
        let last = self.last_clean.insert(place, number);
        self.found.disordered += u64::from(last.is_some_and(|last| last > number));
        let right = match self.see(place, number) {
            Some(Fate::Clean) => {
                let [first, other] = clean_values(place, number).map(|it| value == Some(&*it));
                self.found.reloaded += u64::from(other);
                first || other
            }
            Some(Fate::Tombstone) => value.is_none(),
            Some(Fate::Malformed | Fate::Stranger) | None => false,
        };
        self.found.wrong += u64::from(!right);
    }

    fn quarantined(&mut self, place: Place, number: u64, reason: &str, value: Option<&str>) {
        self.found.quarantined += 1;
        let right = self.see(place, number).is_some_and(|fate| {
            fate.reason() == Some(reason) && raw_value(place, number, fate).as_deref() == value
        });
        self.found.wrong += u64::from(!right);
    }

    fn judge(mut self) -> Verdict {
        let unseen = |seen: &Vec<u8>| seen.iter().filter(|times| **times == 0).count() as u64;
        self.found.lost = self.seen.values().map(unseen).sum();
        self.found
    }
}

/// Reads all that was published and judges it.
pub fn verdict(cluster: &Cluster, sent: &Sent, key: &PrivateKey) -> Verdict {
    let mut account = Account::new(sent);
    for place in sent.keys() {
        let topic = &cluster.clean_topics()[place.topic];
        await_no_open_transaction(cluster, topic, place.partition);
        read(cluster, topic, place.partition, "read_committed", |message| {
            account.found.unsealed += u64::from(shows_canary(message));
            let at = header(message, "at").and_then(|at| Place::numbered(&at));
            let value = message.payload().map(|value| String::from_utf8_lossy(value).into_owned());
            match at {
                Some((at, number)) if at == *place => account.clean(at, number, value.as_deref()),
                _ => account.found.wrong += 1,
            }
        });
    }
    let mut opener = Opener::new(key);
    for partition in 0..QUARANTINE_PARTITIONS {
        await_no_open_transaction(cluster, QUARANTINE, partition);
        // What was aborted is on the broker's disk all the same.
        read(cluster, QUARANTINE, partition, "read_uncommitted", |message| {
            account.found.unsealed += u64::from(shows_canary(message));
        });
        read(cluster, QUARANTINE, partition, "read_committed", |message| {
            open(&mut opener, message, &mut account);
        });
    }
    account.judge()
}

fn open(opener: &mut Opener, message: &BorrowedMessage<'_>, account: &mut Account<'_>) {
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = message.headers().map_or_else(Vec::new, |all| {
        let owned = |it: rdkafka::message::Header<'_, &[u8]>| {
            (it.key.as_bytes().to_vec(), it.value.map(<[u8]>::to_vec))
        };
        all.iter().map(owned).collect()
    });
    let Ok(opened) = opener.open(&headers, message.payload()) else {
        account.found.wrong += 1;
        return;
    };
    let clear = opened.clear();
    let topic = clear.topic.strip_prefix("raw.").and_then(|index| index.parse().ok());
    let place = topic.map(|topic| Place { topic, partition: clear.partition });
    let value = opened.value().map(|value| String::from_utf8_lossy(value).into_owned());
    match place.zip(u64::try_from(clear.offset).ok()) {
        Some((place, number)) => {
            account.quarantined(place, number, &clear.reason, value.as_deref());
        }
        None => account.found.wrong += 1,
    }
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let value = message.headers()?.iter().find(|header| header.key == name)?.value?;
    String::from_utf8(value.to_vec()).ok()
}

fn shows_canary(message: &BorrowedMessage<'_>) -> bool {
    let within = |bytes: &[u8]| memchr::memmem::find(bytes, CANARY.as_bytes()).is_some();
    let headers = message.headers().is_some_and(|all| {
        all.iter().any(|it| within(it.key.as_bytes()) || it.value.is_some_and(within))
    });
    headers || message.key().is_some_and(within) || message.payload().is_some_and(within)
}

/// A killed process leaves a transaction open until the broker aborts it; behind it a
/// read_committed reader sees nothing.
fn await_no_open_transaction(cluster: &Cluster, topic: &str, partition: i32) {
    let begin = Instant::now();
    loop {
        let (stable, end) = cluster.ends(topic, partition);
        if stable == end {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{topic}/{partition}: a transaction stays open");
    }
}

fn read(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    isolation: &str,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) {
    let reader: BaseConsumer = cluster.reader(isolation);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    reader.assign(&from).unwrap();
    let mut heard = Instant::now();
    loop {
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => each(&message),
            Some(Err(KafkaError::PartitionEOF(_))) => return,
            Some(Err(_)) | None => {
                assert!(heard.elapsed() < PATIENCE, "{topic}/{partition} cannot be read");
                continue;
            }
        }
        heard = Instant::now();
    }
}

// That it would notice.

const PLACE: Place = Place { topic: 0, partition: 2 };

fn sent() -> Sent {
    let fates = vec![Fate::Clean, Fate::Clean, Fate::Malformed, Fate::Tombstone];
    BTreeMap::from([(PLACE, fates)])
}

/// What is found if these clean numbers and the malformed record, so often, are seen.
fn found(clean: &[u64], quarantined: usize) -> Verdict {
    let sent = sent();
    let mut account = Account::new(&sent);
    for number in clean {
        let value = clean_values(PLACE, *number)[0].clone();
        account.clean(PLACE, *number, (*number != 3).then_some(value.as_str()));
    }
    let malformed = raw_value(PLACE, 2, Fate::Malformed);
    for _ in 0..quarantined {
        account.quarantined(PLACE, 2, "malformed", malformed.as_deref());
    }
    account.judge()
}

#[test]
fn a_whole_run_is_whole() {
    let whole = found(&[0, 1, 3], 1);
    assert!(whole.is_clean(), "{whole}");
    assert_eq!((whole.sent, whole.clean, whole.quarantined), (4, 3, 1));
}

#[test]
fn what_is_lost_doubled_or_out_of_order_is_noticed() {
    assert_eq!(found(&[0, 3], 1).lost, 1);
    assert_eq!(found(&[0, 1, 3], 0).lost, 1);
    assert_eq!(found(&[0, 1, 1, 3], 1).doubled, 1);
    assert_eq!(found(&[0, 1, 3], 3).doubled, 2);
    let both = found(&[0, 1, 2, 3], 1);
    assert_eq!((both.doubled, both.wrong), (1, 1), "published and withheld");
    assert_eq!(found(&[1, 0, 3], 1).disordered, 1);
    assert_eq!(found(&[0, 1, 3, 9], 1).wrong, 2);
}

#[test]
fn a_wrong_value_or_reason_is_noticed() {
    let sent = sent();
    let mut account = Account::new(&sent);
    account.clean(PLACE, 0, raw_value(PLACE, 0, Fate::Clean).as_deref());
    account.clean(PLACE, 1, None);
    account.quarantined(PLACE, 2, "tenant", raw_value(PLACE, 2, Fate::Malformed).as_deref());
    account.quarantined(PLACE, 3, "malformed", None);
    assert_eq!(account.judge().wrong, 4);
}
