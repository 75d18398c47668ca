//! The producer: clean records straight out of the batch's arena, deliveries counted by batch.
//!
//! Zero-copy: librdkafka is given pointers into the arena and compresses from there. That is sound
//! because the parcel is owned here from [`Producer::load`] until nothing of it is on its way, and
//! because a producer that is dropped destroys its client before the parcels. Keys are copied by
//! the client in any case; headers that no rule touched are handed over as one list, without
//! decoding a name or a value.
//!
//! Per record there is one call and no allocation, lock or system call of ours. A delivery report
//! subtracts one from its batch's count; the message's opaque says which.
//!
//! With transactions a refusal spoils all that is open: it is told once, and what is handed over
//! until the lane has undone it goes nowhere. While a transaction is named, committed or undone the
//! client is lent to the [`Settler`]. Two clients take turns, transaction by transaction: see there.

use super::fetched::Fetched;
use super::native::{Client, Code, PartitionList};
use super::outlet::{Outlet, Refused, SEALED, opaque};
use super::transaction::{Answer, GroupMetadata, Job, Settler};
use crate::engine::{Clean, CleanHeaders, Outcome};
use crate::error::{Error, Fate, Result};
use crate::lane::{BatchId, CleanTopic, Fetched as _, Notice, Parcel, Published};
use crate::quarantine::Sealed;
use crate::record::{Headers, Raw, Record};
use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::ptr;
use std::time::{Duration, Instant};

/// How long a producer that leaves may take to undo what is open.
const PARTING: Duration = Duration::from_secs(2);

/// What a record takes on the wire beside its key, value and headers: the batch's head (61), the
/// record's own fields as varints (at most 36).
const OVERHEAD: usize = 100;

/// Place of the quarantine among the topics.
const QUARANTINE: usize = 0;

pub(super) struct Producer {
    // Dropped in this order: nothing may point into the parcels any more.
    /// None while it is lent.
    outlet: Option<Outlet>,
    /// The next transaction's; none without transactions.
    next: Option<Outlet>,
    /// None without transactions.
    settler: Option<Settler>,
    parcels: VecDeque<Loaded>,
    /// Number of the first batch in `parcels`.
    first: u64,
    topics: Vec<Target>,
    in_transaction: bool,
    /// What is handed over goes nowhere until the lane has gone back.
    failing: bool,
    /// What spoilt the transaction, until it is told.
    spoilt: Option<Error>,
}

struct Target {
    name: String,
    message_bytes: Option<usize>,
}

struct Loaded {
    parcel: Parcel<Fetched>,
    sent: bool,
    reported: bool,
    failed: Option<Error>,
}

impl Producer {
    /// Without transactions.
    pub fn new(set: ClientConfig, quarantine: &str) -> Result<Self> {
        Ok(Self {
            outlet: Some(Outlet::new(set)?),
            next: None,
            settler: None,
            parcels: VecDeque::new(),
            first: 0,
            topics: vec![Target { name: quarantine.to_owned(), message_bytes: None }],
            in_transaction: false,
            failing: false,
            spoilt: None,
        })
    }

    /// With transactions, on two clients in turn: cleared once both have taken the names that their
    /// settings give them.
    pub fn transactional(sets: [ClientConfig; 2], quarantine: &str, lane: usize) -> Result<Self> {
        let [set, next] = sets;
        let (settler, next) = (Settler::new(lane)?, Outlet::new(next)?);
        let mut producer =
            Self { settler: Some(settler), next: Some(next), ..Self::new(set, quarantine)? };
        producer.lend(Job::Name);
        Ok(producer)
    }

    /// The other client's turn.
    fn turn(&mut self) {
        if self.next.is_some() {
            std::mem::swap(&mut self.outlet, &mut self.next);
        }
    }

    fn lend(&mut self, job: Job) {
        if let (Some(settler), Some(outlet)) = (&self.settler, self.outlet.take()) {
            settler.lend(outlet, job);
        }
    }

    /// The number of a clean topic that was checked.
    pub fn target(&mut self, name: &str, message_bytes: Option<usize>) -> CleanTopic {
        let known = self.topics.iter().skip(1).position(|target| target.name == name);
        let index = known.map_or(self.topics.len(), |index| index + 1);
        if known.is_none() {
            self.topics.push(Target { name: name.to_owned(), message_bytes });
        }
        CleanTopic(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub fn load(&mut self, id: BatchId, parcel: Parcel<Fetched>) {
        if self.parcels.is_empty() {
            self.first = id.0;
            // With transactions only a new one makes up for a failure.
            self.failing &= self.settler.is_some();
        }
        debug_assert_eq!(id.0, self.first + self.parcels.len() as u64);
        if let Some(outlet) = &mut self.outlet {
            outlet.load(id);
        }
        self.parcels.push_back(Loaded { parcel, sent: false, reported: false, failed: None });
    }

    fn place(&self, id: BatchId) -> Option<usize> {
        let place = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        (place < self.parcels.len()).then_some(place)
    }

    pub fn parcel(&self, id: BatchId) -> Option<&Parcel<Fetched>> {
        Some(&self.parcels[self.place(id)?].parcel)
    }

    pub fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published {
        let Some(place) = self.place(id) else {
            return Published::Refused(Error::fatal("a batch that is not loaded"));
        };
        if self.fails_too(place) {
            return Published::Taken;
        }
        let Some(outlet) = &mut self.outlet else { return Published::Full };
        let parcel = &self.parcels[place].parcel;
        let record = parcel.fetched.record(index);
        let clean = match parcel.batch.outcome(index, &record, &parcel.policies) {
            Outcome::Clean(clean) => clean,
            Outcome::Withheld(_) => return Published::Withheld,
        };
        let target = &self.topics[to.0 as usize];
        if target.message_bytes.is_some_and(|most| !fits(&record, &clean, most)) {
            return Published::TooLarge;
        }
        let topic = match outlet.topic(to.0 as usize, &target.name) {
            Ok(topic) => topic.ptr(),
            Err(error) => return Published::Refused(error),
        };
        let (headers, same) = match clean.headers() {
            CleanHeaders::Same => (parcel.fetched.detach_headers(index), true),
            CleanHeaders::Edited(headers) => (native_headers(&headers), false),
        };
        let message = Message {
            topic,
            partition: record.partition,
            timestamp_ms: record.timestamp_ms,
            key: clean.key(),
            value: clean.value(),
            headers,
            flags: 0,
            opaque: opaque(id, u32::try_from(index).unwrap_or(u32::MAX - 1)),
        };
        let code = message.send(&outlet.client);
        if code != Code::NONE && !headers.is_null() {
            if same {
                parcel.fetched.attach_headers(index, headers);
            } else {
                // SAFETY: the producer did not take the list; it is ours.
                unsafe { rd::rd_kafka_headers_destroy(headers) };
            }
        }
        match code {
            Code::NONE => {
                outlet.count(id);
                Published::Taken
            }
            Code::QUEUE_FULL => Published::Full,
            Code::TOO_LARGE => Published::TooLarge,
            code => self.refuse(code, to.0 as usize),
        }
    }

    pub fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published {
        let Some(place) = self.place(id) else {
            return Published::Refused(Error::fatal("a batch that is not loaded"));
        };
        if self.fails_too(place) {
            return Published::Taken;
        }
        let Some(outlet) = &mut self.outlet else { return Published::Full };
        let topic = match outlet.topic(QUARANTINE, &self.topics[QUARANTINE].name) {
            Ok(topic) => topic.ptr(),
            Err(error) => return Published::Refused(error),
        };
        let headers = sealed_headers(sealed);
        let message = Message {
            topic,
            partition: -1,
            timestamp_ms: Some(crate::clock::now_ms()),
            key: None,
            value: sealed.payload(),
            headers,
            flags: rd::RD_KAFKA_MSG_F_COPY,
            opaque: opaque(id, SEALED),
        };
        let code = message.send(&outlet.client);
        if code != Code::NONE {
            // SAFETY: the producer did not take the list; it is ours.
            unsafe { rd::rd_kafka_headers_destroy(headers) };
        }
        match code {
            Code::NONE => {
                outlet.count(id);
                Published::Taken
            }
            Code::QUEUE_FULL => Published::Full,
            code => self.refuse(code, QUARANTINE),
        }
    }

    /// A record that the client does not take spoils the transaction, if it can be sent at all.
    fn refuse(&mut self, code: Code, topic: usize) -> Published {
        let topic = format!("`{}`", self.topics[topic].name);
        let error = self.refusal(code, &topic);
        if self.settler.is_none() || error.fate() != Fate::Retry {
            return Published::Refused(error);
        }
        self.spoil(error);
        Published::Taken
    }

    fn spoil(&mut self, error: Error) {
        if !self.failing {
            self.failing = true;
            self.spoilt = Some(error);
        }
    }

    /// After a failure nothing more is sent until the lane has gone back, or it would be stored
    /// before what failed: what is handed over meanwhile fails too.
    fn fails_too(&mut self, place: usize) -> bool {
        if self.failing {
            let again = || Error::retry("a record before it was refused");
            self.parcels[place].failed.get_or_insert_with(again);
        }
        self.failing
    }

    pub fn settle(&mut self, id: BatchId) {
        if let Some(outlet) = &mut self.outlet {
            outlet.settle(id);
        }
    }

    pub fn sent(&mut self, id: BatchId) {
        if let Some(place) = self.place(id) {
            self.parcels[place].sent = true;
        }
    }

    pub fn unload(&mut self, id: BatchId) -> Option<Parcel<Fetched>> {
        let outlet = self.outlet.as_mut()?;
        if id.0 != self.first || self.parcels.is_empty() || outlet.outstanding(id) > 0 {
            return None;
        }
        outlet.unload();
        self.first += 1;
        self.parcels.pop_front().map(|loaded| loaded.parcel)
    }

    /// Begins a transaction. Nothing of the last one is loaded any more.
    pub fn begin(&mut self) {
        self.turn();
        let Some(outlet) = &mut self.outlet else { return };
        (self.failing, self.spoilt, self.in_transaction) = (false, None, true);
        if let Err(error) = outlet.begin() {
            self.spoil(error);
        }
    }

    /// Commits the open transaction with these offsets.
    ///
    /// # Errors
    /// A record of it was refused. The client would commit the others, and the offsets of all: what
    /// it did not take when it was handed over it does not miss.
    pub fn commit(&mut self, offsets: PartitionList, group: GroupMetadata) -> Result<()> {
        if self.failing {
            return Err(Error::retry("a record before it was refused"));
        }
        self.lend(Job::Commit(offsets, group));
        Ok(())
    }

    /// Undoes the open transaction.
    pub fn abort(&mut self) {
        self.failing = true;
        self.lend(Job::Abort);
    }

    /// Undoes what is open, if that can be done soon; the broker would, later.
    pub fn part(&mut self) {
        if !self.in_transaction || self.outlet.is_none() {
            return;
        }
        self.abort();
        let (begin, mut notices) = (Instant::now(), VecDeque::new());
        while self.outlet.is_none() && begin.elapsed() < PARTING {
            self.attend(Duration::from_millis(50), &mut notices);
        }
    }

    /// Serves delivery reports, or waits for the settler, at most `wait`; notes what came of it.
    pub fn attend(&mut self, wait: Duration, notices: &mut VecDeque<Notice>) {
        let settled = self.await_settler(wait);
        if let Some(next) = &mut self.next {
            next.attend(Duration::ZERO);
        }
        if let Some(outlet) = &mut self.outlet
            && settled.is_none()
        {
            outlet.attend(wait);
        }
        self.report_refusals(notices);
        self.report_deliveries(notices);
        if let Some(error) = self.spoilt.take_if(|_| !self.parcels.is_empty()) {
            notices.push_back(Notice::Failed(BatchId(self.first), error));
        }
        notices.extend(settled);
    }

    /// What the settler has to say, if the outlet is lent.
    fn await_settler(&mut self, wait: Duration) -> Option<Notice> {
        let settler = self.settler.as_ref().filter(|_| self.outlet.is_none())?;
        let (outlet, answer) = match settler.answer(wait) {
            Ok(answer) => answer?,
            Err(error) => return Some(Notice::Trouble(error)),
        };
        self.outlet = Some(outlet);
        self.in_transaction = matches!(answer, Answer::Committed(Err(_)));
        if matches!(answer, Answer::Cleared) && self.next.as_ref().is_some_and(|it| !it.named) {
            self.turn();
            self.lend(Job::Name);
            return None;
        }
        Some(match answer {
            Answer::Cleared => Notice::Cleared,
            Answer::Committed(outcome) => Notice::Committed(outcome),
            Answer::Failed(error) => Notice::Trouble(error),
        })
    }

    /// Every batch is delivered by itself, and without transactions fails by itself. With them
    /// nothing counts as delivered once a record was refused.
    fn report_deliveries(&mut self, notices: &mut VecDeque<Notice>) {
        if self.settler.is_some() && self.failing {
            return;
        }
        let Some(outlet) = &mut self.outlet else { return };
        for (id, loaded) in (self.first..).map(BatchId).zip(&mut self.parcels) {
            if loaded.sent && !loaded.reported && outlet.outstanding(id) == 0 {
                loaded.reported = true;
                notices.push_back(match loaded.failed.take() {
                    None => Notice::Delivered(id),
                    Some(error) => Notice::Failed(id, error),
                });
            }
        }
    }

    fn report_refusals(&mut self, notices: &mut VecDeque<Notice>) {
        let Some(outlet) = &mut self.outlet else { return };
        for refused in outlet.refused() {
            if self.settler.is_some() {
                self.report_in_transaction(refused, notices);
            } else {
                self.report_refusal(refused, notices);
            }
        }
    }

    fn report_in_transaction(&mut self, refused: Refused, notices: &mut VecDeque<Notice>) {
        self.settle(refused.id);
        let error = self.refusal(refused.code, "its topic");
        if refused.code == Code::TOO_LARGE && refused.index != SEALED {
            notices.push_back(Notice::TooLarge(refused.id, refused.index as usize));
            self.failing = true;
        } else if error.fate() == Fate::Retry {
            self.spoil(error);
        } else {
            notices.push_back(Notice::Failed(refused.id, error));
        }
    }

    fn report_refusal(&mut self, refused: Refused, notices: &mut VecDeque<Notice>) {
        let Refused { id, index, code } = refused;
        if code == Code::TOO_LARGE && index != SEALED {
            notices.push_back(Notice::TooLarge(id, index as usize));
            return;
        }
        let error = self.refusal(code, "its topic");
        self.settle(id);
        if error.fate() != Fate::Retry {
            notices.push_back(Notice::Failed(id, error));
        } else if let Some(place) = self.place(id) {
            // Reported when nothing of the batch is on its way any more.
            self.parcels[place].failed = Some(error);
            self.failing = true;
            if let Some(outlet) = &self.outlet {
                outlet.purge();
            }
        }
    }

    fn refusal(&self, code: Code, topic: &str) -> Error {
        if code == Code::TOO_LARGE {
            return Error::fatal(format!(
                "a sealed record is larger than the quarantine topic `{}` takes: raise its \
                 max.message.bytes (and `producer: message.max.bytes`)",
                self.topics[QUARANTINE].name
            ));
        }
        if code == Code::UNKNOWN_PARTITION {
            // Somebody widened the raw topic first. It may be mended at any moment.
            return Error::retry(format!(
                "{topic} has no partition of that number: give it as many as its raw topic has"
            ));
        }
        let what = format!("a record was refused by {topic}");
        if self.settler.is_some() {
            return code.error_in_transaction(&what);
        }
        let fatal = self.outlet.as_ref().and_then(|outlet| outlet.client.fatal_error());
        fatal.unwrap_or_else(|| code.error(&what))
    }
}

/// One message as the client takes it.
struct Message<'a> {
    topic: *mut rd::rd_kafka_topic_t,
    partition: i32,
    timestamp_ms: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: *mut rd::rd_kafka_headers_t,
    flags: i32,
    opaque: *mut c_void,
}

impl Message<'_> {
    fn send(&self, client: &Client) -> Code {
        use rd::rd_kafka_vtype_t as V;
        // 0 would mean now. Records of the epoch's first millisecond get its second.
        let timestamp = match self.timestamp_ms {
            None => -1,
            Some(0) => 1,
            Some(at) => at,
        };
        let units = [
            unit(V::RD_KAFKA_VTYPE_RKT, Unit { rkt: self.topic }),
            unit(V::RD_KAFKA_VTYPE_PARTITION, Unit { i32_: self.partition }),
            unit(V::RD_KAFKA_VTYPE_TIMESTAMP, Unit { i64_: timestamp }),
            unit(V::RD_KAFKA_VTYPE_MSGFLAGS, Unit { i: self.flags }),
            unit(V::RD_KAFKA_VTYPE_OPAQUE, Unit { ptr: self.opaque }),
            unit(V::RD_KAFKA_VTYPE_VALUE, Unit { mem: memory(self.value) }),
            unit(V::RD_KAFKA_VTYPE_KEY, Unit { mem: memory(self.key) }),
            unit(V::RD_KAFKA_VTYPE_HEADERS, Unit { headers: self.headers }),
        ];
        let count = if self.headers.is_null() { units.len() - 1 } else { units.len() };
        // SAFETY: client and topic live; key and headers are copied or taken over by the client;
        // the value is copied (flag) or stays in a parcel that outlives the message.
        let error = unsafe { rd::rd_kafka_produceva(client.ptr(), units.as_ptr(), count) };
        if error.is_null() { Code::NONE } else { Code::take(error) }
    }
}

use rd::rd_kafka_vu_s__bindgen_ty_1 as Unit;

const fn unit(vtype: rd::rd_kafka_vtype_t, u: Unit) -> rd::rd_kafka_vu_t {
    rd::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: Option<&[u8]>) -> rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    // An empty slice keeps its address: null would make it a tombstone.
    rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
        size: bytes.map_or(0, <[u8]>::len),
    }
}

/// Does the record fit into a topic's `max.message.bytes`? Headers are measured only where it
/// could matter.
pub(super) fn fits(record: &Record<'_>, clean: &Clean<'_>, most: usize) -> bool {
    let bare = clean.value().map_or(0, <[u8]>::len) + clean.key().map_or(0, <[u8]>::len) + OVERHEAD;
    if bare < most / 2 {
        return true;
    }
    let headers = match clean.headers() {
        CleanHeaders::Same => headers_bytes(record.headers),
        CleanHeaders::Edited(headers) => headers_bytes(&headers),
    };
    bare + headers <= most
}

fn headers_bytes(headers: &dyn Headers) -> usize {
    let one = |index| {
        headers.get(index).map_or(0, |(name, value)| name.len() + value.map_or(0, Raw::len) + 10)
    };
    (0..headers.count()).map(one).sum()
}

/// Headers as a native list of the client's.
fn native_headers(headers: &dyn Headers) -> *mut rd::rd_kafka_headers_t {
    let list = new_headers(headers.count());
    for index in 0..headers.count() {
        if let Some((name, value)) = headers.get(index) {
            add_header(list, name, value.map(Raw::expose));
        }
    }
    list
}

fn sealed_headers(sealed: &Sealed<'_>) -> *mut rd::rd_kafka_headers_t {
    let list = new_headers(sealed.headers().len());
    for (name, value) in sealed.headers() {
        add_header(list, name.as_bytes(), Some(value.as_bytes()));
    }
    list
}

fn new_headers(count: usize) -> *mut rd::rd_kafka_headers_t {
    // SAFETY: no precondition; the caller owns the list.
    unsafe { rd::rd_kafka_headers_new(count) }
}

fn add_header(list: *mut rd::rd_kafka_headers_t, name: &[u8], value: Option<&[u8]>) {
    let length = |bytes: &[u8]| isize::try_from(bytes.len()).unwrap_or(isize::MAX);
    // SAFETY: the list is ours; name and value are copied, with the lengths given.
    unsafe {
        rd::rd_kafka_header_add(
            list,
            name.as_ptr().cast::<c_char>(),
            length(name),
            value.map_or(ptr::null(), |value| value.as_ptr().cast()),
            value.map_or(0, length),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::bindings::rd_kafka_type_t::RD_KAFKA_CONSUMER;

    /// It was lost: a record that the client did not take when it was handed over, and a commit that
    /// came before anybody had read of it.
    #[test]
    fn a_transaction_that_lacks_a_record_is_not_committed_though_nobody_has_read_of_it() {
        let mut producer = Producer::new(ClientConfig::new(), "quarantine").expect("a producer");
        producer.spoil(Error::retry("a record was refused"));
        let mut set = ClientConfig::new();
        set.set("group.id", "limpid");
        let member = Client::new(RD_KAFKA_CONSUMER, &set, &Default::default()).expect("a client");
        let group = GroupMetadata::of(&member).expect("a consumer is in a group");
        let refused = producer.commit(PartitionList::new(), group).expect_err("it is refused");
        assert_eq!(refused.fate(), Fate::Retry);
    }
}
