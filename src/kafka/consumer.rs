//! The consumer: batches out of one queue, group events as notices, commits when told.
//!
//! Why not rdkafka's `BaseConsumer`: it turns every message into an event of its own, and answers
//! a rebalance inside the callback. Here the callback only notes what the group wants; the lane
//! answers later, when the revoked partitions' records are delivered. librdkafka waits for that
//! answer, and all calls happen on the lane's one thread.

use super::fetched::{Fetched, Names};
use super::native::{Callbacks, Client, Code, Notes, PartitionList, c_name, elements, millis};
use super::transaction::GroupMetadata;
use crate::error::{Error, Fate, Result};
use crate::lane::{Fetched as _, Notice, Partition, Position};
use crate::limits::{BATCH_BYTES, BATCH_RECORDS_MAX};
use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the group coordinator may take to tell committed offsets after an assignment or to hear
/// of a leave, and how long a seek may take.
const ASK: Duration = Duration::from_secs(5);

pub(super) struct Consumer {
    client: Rc<Client>,
    queue: Queue,
    commits: Queue,
    group: Notes<Group>,
    names: Names,
    assigned: Vec<Partition>,
    /// Where the group's commits stood when a partition was assigned.
    starts: BTreeMap<Partition, i64>,
    natives: Vec<*mut rd::rd_kafka_message_t>,
    /// Bytes of a record, as they were in the last batch.
    record_bytes: usize,
}

/// What the callbacks note.
#[derive(Default)]
struct Group {
    events: VecDeque<GroupEvent>,
    commits: VecDeque<Code>,
    closing: bool,
}

enum GroupEvent {
    Assigned(Vec<(String, i32)>),
    Revoked(Vec<(String, i32)>, bool),
}

struct Queue(NonNull<rd::rd_kafka_queue_t>);

impl Queue {
    fn new(queue: *mut rd::rd_kafka_queue_t) -> Result<Self> {
        NonNull::new(queue).map(Self).ok_or_else(|| Error::fatal("the Kafka client has no queue"))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this is the only owner of this reference.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl Consumer {
    pub fn new(set: &ClientConfig, topics: &[String]) -> Result<Self> {
        let group = Notes::<Group>::new();
        let callbacks = Callbacks {
            rebalance: Some(on_rebalance),
            opaque: Some(group.opaque()),
            ..Callbacks::default()
        };
        let client = Client::new(rd::rd_kafka_type_t::RD_KAFKA_CONSUMER, set, &callbacks)?;
        // SAFETY: the client lives; from here on its main queue is served with the consumer's.
        let (queue, commits) = unsafe {
            rd::rd_kafka_poll_set_consumer(client.ptr());
            (
                Queue::new(rd::rd_kafka_queue_get_consumer(client.ptr()))?,
                Queue::new(rd::rd_kafka_queue_new(client.ptr()))?,
            )
        };
        let consumer = Self {
            client: Rc::new(client),
            queue,
            commits,
            group,
            names: Names::default(),
            assigned: Vec::new(),
            starts: BTreeMap::new(),
            natives: vec![ptr::null_mut(); BATCH_RECORDS_MAX],
            record_bytes: 0,
        };
        consumer.subscribe(topics)?;
        Ok(consumer)
    }

    fn subscribe(&self, topics: &[String]) -> Result<()> {
        let mut list = PartitionList::new();
        for topic in topics {
            list.add(&c_name(topic)?, -1, None);
        }
        // SAFETY: client and list live during the call.
        let code = unsafe { rd::rd_kafka_subscribe(self.client.ptr(), list.ptr()) };
        match Code(code as i32) {
            Code::NONE => Ok(()),
            code => Err(Error::usage(format!("the topics cannot be subscribed: {}", code.name()))),
        }
    }

    /// Waits for a first record, then takes what else is there at once: the batch call alone would
    /// wait for a full batch until the time is over.
    pub fn fetch(&mut self, wait: Duration, troubles: &mut Vec<Error>) -> Option<Fetched> {
        // SAFETY: the queue lives, the buffer holds as many pointers as said, and what the calls
        // return is ours to destroy.
        let count = unsafe {
            let first = rd::rd_kafka_consume_queue(self.queue.0.as_ptr(), millis(wait));
            if first.is_null() {
                return None;
            }
            self.natives[0] = first;
            let room = batch_records(self.record_bytes.max((*first).len));
            let more = rd::rd_kafka_consume_batch_queue(
                self.queue.0.as_ptr(),
                0,
                self.natives[1..].as_mut_ptr(),
                room - 1,
            );
            1 + usize::try_from(more).unwrap_or(0)
        };
        let kept = drop_errors(&mut self.natives[..count], troubles);
        // SAFETY: the first `kept` messages carry records and belong to nobody else.
        let fetched =
            unsafe { Fetched::new(self.client.clone(), &self.natives[..kept], &mut self.names) };
        self.record_bytes = fetched.bytes().div_ceil(fetched.len().max(1));
        // Behind an error that will not pass there may be records that were skipped.
        let stop = troubles.iter().any(|trouble| trouble.fate() != Fate::Retry);
        (!stop && !fetched.is_empty()).then_some(fetched)
    }

    /// Serves the answers to commits.
    pub fn attend(&self, wait: Duration) {
        // SAFETY: the queue lives; its callback finds its state in the opaque given with it.
        unsafe { rd::rd_kafka_queue_poll_callback(self.commits.0.as_ptr(), millis(wait)) };
        self.group.look_after(&self.client);
    }

    pub fn notice(&mut self) -> Option<Notice> {
        if let Some(code) = self.group_mut().commits.pop_front() {
            return Some(Notice::Committed(match code {
                // Nothing new to commit is as good as committed.
                Code::NONE | Code::NO_OFFSET => Ok(()),
                code => Err(Error::retry(format!("offsets were not committed: {}", code.name()))),
            }));
        }
        Some(match self.group_mut().events.pop_front()? {
            GroupEvent::Assigned(partitions) => Notice::Assigned(self.numbered(&partitions)),
            GroupEvent::Revoked(partitions, lost) => {
                Notice::Revoked { partitions: self.numbered(&partitions), lost }
            }
        })
    }

    fn group_mut(&mut self) -> &mut Group {
        self.group.get_mut()
    }

    fn numbered(&mut self, partitions: &[(String, i32)]) -> Vec<Partition> {
        let numbered = |(topic, number): &(String, i32)| Partition {
            topic: self.names.number(topic).0,
            number: *number,
        };
        partitions.iter().map(numbered).collect()
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn accept(&mut self, partitions: &[Partition]) {
        let list = self.list(partitions.iter().map(|partition| (*partition, None)));
        self.remember_starts(partitions);
        // SAFETY: client and list live during the calls.
        let code = unsafe {
            // The client keeps a pause over an assignment's end: a partition that was paused when it
            // was taken away would come back paused, and stand still.
            rd::rd_kafka_resume_partitions(self.client.ptr(), list.ptr());
            if self.cooperative() {
                Code::take(rd::rd_kafka_incremental_assign(self.client.ptr(), list.ptr()))
            } else {
                Code(rd::rd_kafka_assign(self.client.ptr(), list.ptr()) as i32)
            }
        };
        note(code, "partitions were not taken");
        self.assigned.extend_from_slice(partitions);
    }

    pub fn yield_up(&mut self, partitions: &[Partition]) {
        let list = self.list(partitions.iter().map(|partition| (*partition, None)));
        // SAFETY: client and list live during the calls; null means no partitions at all.
        let code = unsafe {
            if self.cooperative() {
                Code::take(rd::rd_kafka_incremental_unassign(self.client.ptr(), list.ptr()))
            } else {
                Code(rd::rd_kafka_assign(self.client.ptr(), ptr::null()) as i32)
            }
        };
        note(code, "partitions were not given up");
        self.assigned.retain(|partition| !partitions.contains(partition));
        self.starts.retain(|partition, _| !partitions.contains(partition));
    }

    pub fn pause(&self) {
        let list = self.list(self.assigned.iter().map(|partition| (*partition, None)));
        // SAFETY: client and list live during the call.
        unsafe { rd::rd_kafka_pause_partitions(self.client.ptr(), list.ptr()) };
    }

    pub fn resume(&self) {
        let list = self.list(self.assigned.iter().map(|partition| (*partition, None)));
        // SAFETY: client and list live during the call.
        unsafe { rd::rd_kafka_resume_partitions(self.client.ptr(), list.ptr()) };
    }

    pub fn commit(&mut self, offsets: &[Position]) {
        let list = self.positions(offsets);
        // SAFETY: client, list and queue live during the call; the opaque lives as long as the
        // queue that the callback is called from.
        let code = unsafe {
            rd::rd_kafka_commit_queue(
                self.client.ptr(),
                list.ptr(),
                self.commits.0.as_ptr(),
                Some(on_commit),
                self.group.opaque().as_ptr(),
            )
        };
        if Code(code as i32) != Code::NONE {
            self.group_mut().commits.push_back(Code(code as i32));
        }
    }

    pub fn rewind(&self, positions: &[Position]) -> Result<()> {
        let list = self.positions(positions);
        // SAFETY: client and list live during the call.
        let code = unsafe {
            Code::take(rd::rd_kafka_seek_partitions(self.client.ptr(), list.ptr(), millis(ASK)))
        };
        // The call may succeed as a whole and fail for a partition.
        match [code, list.first_error()].into_iter().find(|code| *code != Code::NONE) {
            None => Ok(()),
            Some(code) => {
                Err(Error::retry(format!("the consumer cannot go back yet: {}", code.name())))
            }
        }
    }

    /// Goes to where the group stands, and to the given offsets where it has none. A commit that is
    /// still on its way is waited for: consumers that read committed records ask for stable offsets
    /// (KIP-447).
    pub fn recall(&mut self, positions: &[Position]) -> Result<()> {
        let list = self.list(positions.iter().map(|(partition, _)| (*partition, None)));
        // SAFETY: client and list live during the call.
        let code = unsafe { rd::rd_kafka_committed(self.client.ptr(), list.ptr(), millis(ASK)) };
        let code = match Code(code as i32) {
            Code::NONE => list.first_error(),
            code => code,
        };
        if code != Code::NONE {
            return Err(Error::retry(format!("the group cannot be asked: {}", code.name())));
        }
        let mut back: BTreeMap<Partition, i64> = positions.iter().copied().collect();
        for (topic, number, offset) in list.iter().filter(|(_, _, offset)| *offset >= 0) {
            let topic = self.names.number(&topic.to_string_lossy()).0;
            back.insert(Partition { topic, number }, offset);
        }
        self.rewind(&back.into_iter().collect::<Vec<_>>())
    }

    /// Who this consumer is in its group now.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        GroupMetadata::of(&self.client)
    }

    /// Offsets as the client takes them.
    pub fn positions(&self, offsets: &[Position]) -> PartitionList {
        self.list(offsets.iter().map(|(partition, next)| (*partition, Some(*next))))
    }

    /// High watermark, as the last fetch told it, less the position.
    pub fn lag(&self, partition: Partition, next: Option<i64>) -> Option<i64> {
        let next = next.or_else(|| self.starts.get(&partition).copied())?;
        let topic = c_name(self.names.name(partition.topic)).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client lives, the name is NUL-terminated, both numbers outlive the call.
        let code = unsafe {
            rd::rd_kafka_get_watermark_offsets(
                self.client.ptr(),
                topic.as_ptr(),
                partition.number,
                &raw mut low,
                &raw mut high,
            )
        };
        (Code(code as i32) == Code::NONE && high >= 0).then(|| (high - next.max(low)).max(0))
    }

    /// Leaves the group: returns when the coordinator knows, or after a while. The client's own
    /// close would wait for a coordinator that is gone until the session is over.
    pub fn leave(&mut self) {
        self.group_mut().closing = true;
        let client = self.client.ptr();
        // SAFETY: the client lives.
        let Ok(queue) = Queue::new(unsafe { rd::rd_kafka_queue_new(client) }) else { return };
        // SAFETY: client and queue live; the rebalance callback that runs while the queue is served
        // gives up all partitions by itself, for `closing` is set.
        let code =
            unsafe { Code::take(rd::rd_kafka_consumer_close_queue(client, queue.0.as_ptr())) };
        let begin = Instant::now();
        // SAFETY: as above; a record that still comes up is ours to destroy, it is read again.
        unsafe {
            while code == Code::NONE
                && begin.elapsed() < ASK
                && rd::rd_kafka_consumer_closed(client) == 0
            {
                let record = rd::rd_kafka_consume_queue(queue.0.as_ptr(), 50);
                if !record.is_null() {
                    rd::rd_kafka_message_destroy(record);
                }
            }
            if rd::rd_kafka_consumer_closed(client) == 0 {
                tracing::warn!("the group was not told of the leave; it will notice by itself");
                // Destroying it would go on waiting. The process is about to end.
                std::mem::forget(self.client.clone());
            }
        }
    }

    pub fn fatal_error(&self) -> Option<Error> {
        self.client.fatal_error()
    }

    fn cooperative(&self) -> bool {
        is_cooperative(self.client.ptr())
    }

    fn list(&self, positions: impl Iterator<Item = (Partition, Option<i64>)>) -> PartitionList {
        let mut list = PartitionList::new();
        for (partition, offset) in positions {
            // Names that librdkafka gave hold no NUL.
            if let Ok(topic) = c_name(self.names.name(partition.topic)) {
                list.add(&topic, partition.number, offset);
            }
        }
        list
    }

    /// Asks once where the group stands, so that the lag is known before the first record.
    fn remember_starts(&mut self, partitions: &[Partition]) {
        if partitions.is_empty() {
            return;
        }
        let list = self.list(partitions.iter().map(|partition| (*partition, None)));
        // SAFETY: client and list live during the call.
        let code = unsafe { rd::rd_kafka_committed(self.client.ptr(), list.ptr(), millis(ASK)) };
        if Code(code as i32) != Code::NONE {
            return;
        }
        for (topic, number, offset) in list.iter() {
            let topic = self.names.number(&topic.to_string_lossy()).0;
            // Nothing committed: all that is in the partition waits.
            self.starts.insert(Partition { topic, number }, offset.max(0));
        }
    }
}

/// How many records of a size make a batch: large ones fewer, for each is in memory twice, as it came
/// and clean, and the lane counts a batch when it is there.
fn batch_records(bytes: usize) -> usize {
    (BATCH_BYTES / bytes.max(1)).clamp(1, BATCH_RECORDS_MAX)
}

/// Destroys messages that carry errors, moves the rest together and returns their number.
fn drop_errors(natives: &mut [*mut rd::rd_kafka_message_t], troubles: &mut Vec<Error>) -> usize {
    let mut kept = 0;
    for index in 0..natives.len() {
        // SAFETY: a valid message that was just returned to us.
        let code = unsafe { Code::of(natives[index]) };
        if code == Code::NONE {
            natives[kept] = natives[index];
            kept += 1;
        } else {
            // SAFETY: as above; it is not kept.
            unsafe { rd::rd_kafka_message_destroy(natives[index]) };
            troubles.push(consume_error(code));
        }
    }
    kept
}

/// What a consumer's error means. Most pass; these do not, or hide records that were skipped.
fn consume_error(code: Code) -> Error {
    use rd::rd_kafka_resp_err_t as E;
    const FATAL: &[E] = &[
        E::RD_KAFKA_RESP_ERR__FATAL,
        E::RD_KAFKA_RESP_ERR__BAD_MSG,
        E::RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
        E::RD_KAFKA_RESP_ERR_INVALID_MSG,
        E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
    ];
    let text = format!("the consumer reports {}", code.name());
    if FATAL.iter().any(|fatal| *fatal as i32 == code.0) {
        Error::fatal(text)
    } else {
        Error::retry(text)
    }
}

fn note(code: Code, what: &str) {
    if code != Code::NONE {
        tracing::warn!(code = code.name(), "{what}");
    }
}

fn is_cooperative(client: *mut rd::rd_kafka_t) -> bool {
    // SAFETY: the client lives; the protocol's name is a static string or null.
    unsafe {
        let protocol = rd::rd_kafka_rebalance_protocol(client);
        !protocol.is_null() && CStr::from_ptr(protocol).to_bytes() == b"COOPERATIVE"
    }
}

/// # Safety
/// Called by librdkafka, from a call that [`Consumer`] makes, with its [`Group`] as opaque.
unsafe extern "C" fn on_rebalance(
    client: *mut rd::rd_kafka_t,
    what: rd::rd_kafka_resp_err_t,
    partitions: *mut rd::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: no other reference to the group's notes exists while a client call runs.
    let group = unsafe { Notes::<Group>::of(opaque) };
    if group.closing {
        // SAFETY: the client is the one that calls; the list lives during the call.
        unsafe { give_up(client, what, partitions) };
        return;
    }
    // SAFETY: the list lives during the call.
    let named = unsafe { elements(partitions) }
        .map(|(topic, number, _)| (topic.to_string_lossy().into_owned(), number))
        .collect();
    group.events.push_back(
        if what == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            GroupEvent::Assigned(named)
        } else {
            // SAFETY: the client is the one that calls.
            let lost: c_int = unsafe { rd::rd_kafka_assignment_lost(client) };
            GroupEvent::Revoked(named, lost != 0)
        },
    );
}

/// # Safety
/// `client` and `partitions` are those of a rebalance callback that runs.
unsafe fn give_up(
    client: *mut rd::rd_kafka_t,
    what: rd::rd_kafka_resp_err_t,
    partitions: *mut rd::rd_kafka_topic_partition_list_t,
) {
    // SAFETY: by this function's contract.
    unsafe {
        if !is_cooperative(client) {
            rd::rd_kafka_assign(client, ptr::null());
        } else if what == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            Code::take(rd::rd_kafka_incremental_unassign(client, partitions));
        } else {
            Code::take(rd::rd_kafka_incremental_assign(client, partitions));
        }
    }
}

/// # Safety
/// Called by librdkafka, from [`Consumer::attend`], with the consumer's [`Group`] as opaque.
unsafe extern "C" fn on_commit(
    _: *mut rd::rd_kafka_t,
    code: rd::rd_kafka_resp_err_t,
    _: *mut rd::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: no other reference to the group's notes exists while a client call runs.
    unsafe { Notes::<Group>::of(opaque) }.commits.push_back(Code(code as i32));
}
