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

use super::fetched::Fetched;
use super::native::{Callbacks, Client, Code, Notes, Topic, c_name, millis};
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
use std::time::Duration;

/// What a record takes on the wire beside its key, value and headers: the batch's head (61), the
/// record's own fields as varints (at most 36).
const OVERHEAD: usize = 100;

pub(super) struct Producer {
    // Dropped in this order: nothing may point into the parcels any more.
    topics: Vec<Target>,
    quarantine: Topic,
    client: Client,
    parcels: VecDeque<Parcel<Fetched>>,
    deliveries: Notes<Deliveries>,
    quarantine_name: String,
    failing: bool,
}

struct Target {
    name: String,
    handle: Topic,
    message_bytes: Option<usize>,
}

/// What the delivery callback writes.
#[derive(Default)]
struct Deliveries {
    /// Number of the first batch in `counts`.
    first: u64,
    counts: VecDeque<Count>,
    refused: Vec<(u32, u32, Code)>,
}

#[derive(Default)]
struct Count {
    outstanding: u32,
    sent: bool,
    reported: bool,
    failed: Option<Error>,
}

/// Opaque of a message: its batch's number (low 32 bits) above, what it is below.
const SEALED: u32 = u32::MAX;

fn opaque(id: BatchId, index: u32) -> *mut c_void {
    ptr::without_provenance_mut((id.0 as usize) << 32 | index as usize)
}

const _: () = assert!(usize::BITS == 64, "opaques hold two 32-bit numbers");

impl Producer {
    pub fn new(set: &ClientConfig, quarantine: &str) -> Result<Self> {
        let deliveries = Notes::<Deliveries>::new();
        let callbacks = Callbacks {
            rebalance: None,
            delivery: Some(on_delivery),
            opaque: Some(deliveries.opaque()),
        };
        let client = Client::new(rd::rd_kafka_type_t::RD_KAFKA_PRODUCER, set, &callbacks)?;
        Ok(Self {
            topics: Vec::new(),
            quarantine: Topic::new(&client, &c_name(quarantine)?)?,
            client,
            parcels: VecDeque::new(),
            deliveries,
            quarantine_name: quarantine.to_owned(),
            failing: false,
        })
    }

    /// The number of a clean topic that was checked.
    pub fn target(&mut self, name: &str, message_bytes: Option<usize>) -> Result<CleanTopic> {
        let known = self.topics.iter().position(|target| target.name == name);
        let index = match known {
            Some(index) => index,
            None => {
                let handle = Topic::new(&self.client, &c_name(name)?)?;
                self.topics.push(Target { name: name.to_owned(), handle, message_bytes });
                self.topics.len() - 1
            }
        };
        Ok(CleanTopic(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    pub fn load(&mut self, id: BatchId, parcel: Parcel<Fetched>) {
        let deliveries = self.deliveries.get_mut();
        if self.parcels.is_empty() {
            deliveries.first = id.0;
            self.failing = false;
        }
        debug_assert_eq!(id.0, deliveries.first + self.parcels.len() as u64);
        deliveries.counts.push_back(Count::default());
        self.parcels.push_back(parcel);
    }

    fn place(&mut self, id: BatchId) -> Option<usize> {
        let index = usize::try_from(id.0.checked_sub(self.deliveries.get_mut().first)?).ok()?;
        (index < self.parcels.len()).then_some(index)
    }

    pub fn parcel(&self, id: BatchId) -> Option<&Parcel<Fetched>> {
        let first = self.deliveries.get().first;
        self.parcels.get(usize::try_from(id.0.checked_sub(first)?).ok()?)
    }

    pub fn publish(&mut self, id: BatchId, index: usize, to: CleanTopic) -> Published {
        let Some(place) = self.place(id) else {
            return Published::Refused(Error::fatal("a batch that is not loaded"));
        };
        if self.fails_too(place) {
            return Published::Taken;
        }
        let parcel = &self.parcels[place];
        let record = parcel.fetched.record(index);
        let clean = match parcel.batch.outcome(index, &record, &parcel.policies) {
            Outcome::Clean(clean) => clean,
            Outcome::Withheld(_) => return Published::Withheld,
        };
        let target = &self.topics[to.0 as usize];
        if target.message_bytes.is_some_and(|most| !fits(&record, &clean, most)) {
            return Published::TooLarge;
        }
        let (headers, same) = match clean.headers() {
            CleanHeaders::Same => (parcel.fetched.detach_headers(index), true),
            CleanHeaders::Edited(headers) => (native_headers(&headers), false),
        };
        let message = Message {
            topic: &target.handle,
            partition: record.partition,
            timestamp_ms: record.timestamp_ms,
            key: clean.key(),
            value: clean.value(),
            headers,
            flags: 0,
            opaque: opaque(id, u32::try_from(index).unwrap_or(u32::MAX - 1)),
        };
        let code = message.send(&self.client);
        if code != Code::NONE && !headers.is_null() {
            if same {
                parcel.fetched.attach_headers(index, headers);
            } else {
                // SAFETY: the producer did not take the list; it is ours.
                unsafe { rd::rd_kafka_headers_destroy(headers) };
            }
        }
        let name = &target.name;
        match code {
            Code::NONE => {
                self.deliveries.get_mut().counts[place].outstanding += 1;
                Published::Taken
            }
            Code::QUEUE_FULL => Published::Full,
            Code::TOO_LARGE => Published::TooLarge,
            code => Published::Refused(self.refusal(code, name)),
        }
    }

    pub fn quarantine(&mut self, id: BatchId, sealed: &Sealed<'_>) -> Published {
        let Some(place) = self.place(id) else {
            return Published::Refused(Error::fatal("a batch that is not loaded"));
        };
        if self.fails_too(place) {
            return Published::Taken;
        }
        let headers = sealed_headers(sealed);
        let message = Message {
            topic: &self.quarantine,
            partition: -1,
            timestamp_ms: Some(crate::clock::now_ms()),
            key: None,
            value: sealed.payload(),
            headers,
            flags: rd::RD_KAFKA_MSG_F_COPY,
            opaque: opaque(id, SEALED),
        };
        let code = message.send(&self.client);
        if code != Code::NONE {
            // SAFETY: the producer did not take the list; it is ours.
            unsafe { rd::rd_kafka_headers_destroy(headers) };
        }
        match code {
            Code::NONE => {
                self.deliveries.get_mut().counts[place].outstanding += 1;
                Published::Taken
            }
            Code::QUEUE_FULL => Published::Full,
            code => Published::Refused(self.refusal(code, &self.quarantine_name)),
        }
    }

    /// After a failure nothing more is sent until the lane has gone back, or it would be stored
    /// before what failed: what is handed over meanwhile fails too.
    fn fails_too(&mut self, place: usize) -> bool {
        if self.failing {
            let again = || Error::retry("a record before it was refused");
            self.deliveries.get_mut().counts[place].failed.get_or_insert_with(again);
        }
        self.failing
    }

    pub fn settle(&mut self, id: BatchId) {
        if let Some(place) = self.place(id) {
            self.deliveries.get_mut().counts[place].outstanding -= 1;
        }
    }

    pub fn sent(&mut self, id: BatchId) {
        if let Some(place) = self.place(id) {
            self.deliveries.get_mut().counts[place].sent = true;
        }
    }

    pub fn unload(&mut self, id: BatchId) -> Option<Parcel<Fetched>> {
        let deliveries = self.deliveries.get_mut();
        let done = id.0 == deliveries.first
            && deliveries.counts.front().is_some_and(|count| count.sent && count.outstanding == 0);
        if !done {
            return None;
        }
        deliveries.first += 1;
        deliveries.counts.pop_front();
        self.parcels.pop_front()
    }

    /// Serves delivery reports, waiting for the first at most `wait`; notes what came of them.
    pub fn attend(&mut self, wait: Duration, notices: &mut VecDeque<Notice>) {
        // SAFETY: the client lives; the delivery callback runs inside, with no reference held.
        unsafe { rd::rd_kafka_poll(self.client.ptr(), millis(wait)) };
        self.report_refusals(notices);
        let deliveries = self.deliveries.get_mut();
        for (id, count) in (deliveries.first..).zip(&mut deliveries.counts) {
            if count.sent && count.outstanding == 0 && !count.reported {
                count.reported = true;
                notices.push_back(match count.failed.take() {
                    None => Notice::Delivered(BatchId(id)),
                    Some(error) => Notice::Failed(BatchId(id), error),
                });
            }
        }
    }

    fn report_refusals(&mut self, notices: &mut VecDeque<Notice>) {
        if self.deliveries.get_mut().refused.is_empty() {
            return;
        }
        let mut retry = false;
        for (low, index, code) in std::mem::take(&mut self.deliveries.get_mut().refused) {
            let first = self.deliveries.get_mut().first;
            let place = low.wrapping_sub(first as u32);
            let id = BatchId(first + u64::from(place));
            if code == Code::TOO_LARGE && index != SEALED {
                notices.push_back(Notice::TooLarge(id, index as usize));
                continue;
            }
            let error = self.refusal(code, "its topic");
            let Some(count) = self.deliveries.get_mut().counts.get_mut(place as usize) else {
                continue;
            };
            count.outstanding -= 1;
            if error.fate() == Fate::Retry {
                // Reported when nothing of the batch is on its way any more.
                count.failed = Some(error);
                retry = true;
            } else {
                notices.push_back(Notice::Failed(id, error));
            }
        }
        if retry {
            self.failing = true;
            self.purge();
        }
    }

    /// Takes back what is queued: after a failure the lane goes back, and what came behind it
    /// must not be stored before it.
    fn purge(&self) {
        // SAFETY: the client lives; purged messages come back as delivery reports.
        unsafe {
            rd::rd_kafka_purge(
                self.client.ptr(),
                rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT,
            );
        }
    }

    fn refusal(&self, code: Code, topic: &str) -> Error {
        if let Some(fatal) = self.client.fatal_error() {
            return fatal;
        }
        if code == Code::TOO_LARGE {
            return Error::fatal(format!(
                "a sealed record is larger than the quarantine topic `{}` takes: raise its \
                 max.message.bytes (and `producer: message.max.bytes`)",
                self.quarantine_name
            ));
        }
        code.error(&format!("a record was refused by {topic}"))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // What is still queued is read again by the next owner of its partition.
        self.purge();
    }
}

/// One message as the client takes it.
struct Message<'a> {
    topic: &'a Topic,
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
            unit(V::RD_KAFKA_VTYPE_RKT, Unit { rkt: self.topic.ptr() }),
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

/// # Safety
/// Called by librdkafka, from a call that [`Producer`] makes, with its [`Deliveries`] as opaque.
unsafe extern "C" fn on_delivery(
    _: *mut rd::rd_kafka_t,
    message: *const rd::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: no other reference to the deliveries exists while a client call runs; the message
    // is valid during the call.
    let (deliveries, code, which) = unsafe {
        (&mut *opaque.cast::<Deliveries>(), Code::of(message), (*message)._private.addr())
    };
    let (low, index) = ((which >> 32) as u32, which as u32);
    if code != Code::NONE {
        deliveries.refused.push((low, index, code));
        return;
    }
    let place = low.wrapping_sub(deliveries.first as u32) as usize;
    if let Some(count) = deliveries.counts.get_mut(place) {
        count.outstanding -= 1;
    }
}
