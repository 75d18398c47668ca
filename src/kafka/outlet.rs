//! The client's side of a producer: its handle, its topics, and what its callbacks write. All of it
//! is in one hand at a time, the lane's or that of the thread that settles transactions; so nothing
//! here needs a lock.

use super::native::{Callbacks, Client, Code, Notes, Topic, c_name, millis};
use super::transaction::Refusal;
use crate::error::Result;
use crate::lane::BatchId;
use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::time::{Duration, Instant};

pub(super) struct Outlet {
    // Dropped in this order: handles before their client, callbacks' notes last.
    topics: Vec<Option<Topic>>,
    pub client: Client,
    deliveries: Notes<Deliveries>,
    set: ClientConfig,
    /// Nothing may be begun on this client any more.
    pub spent: bool,
    /// It has taken its transactional id.
    pub named: bool,
}

// SAFETY: librdkafka's handles may be used on any thread. The notes are reached through this value
// alone, and by callbacks that run in calls made through it.
unsafe impl Send for Outlet {}

/// What the delivery callback writes.
#[derive(Default)]
pub(super) struct Deliveries {
    /// Number of the first batch in `outstanding`.
    first: u64,
    /// By batch: records whose delivery is not reported.
    outstanding: VecDeque<u32>,
    refused: Vec<Refused>,
}

/// A record that was not stored.
#[derive(Clone, Copy)]
pub(super) struct Refused {
    /// Its batch.
    pub id: BatchId,
    /// Its number in it, or [`SEALED`].
    pub index: u32,
    pub code: Code,
}

/// Opaque of a message: its batch's number (low 32 bits) above, what it is below.
pub(super) const SEALED: u32 = u32::MAX;

pub(super) fn opaque(id: BatchId, index: u32) -> *mut c_void {
    ptr::without_provenance_mut((id.0 as usize) << 32 | index as usize)
}

const _: () = assert!(usize::BITS == 64, "opaques hold two 32-bit numbers");

impl Outlet {
    pub fn new(set: ClientConfig) -> Result<Self> {
        let deliveries = Notes::<Deliveries>::new();
        let client = client(&set, &deliveries)?;
        Ok(Self { topics: Vec::new(), client, deliveries, set, spent: false, named: false })
    }

    /// Replaces the client by a new one of the same settings. Nothing is on its way any more.
    pub fn renew(&mut self) -> Result<()> {
        self.topics.clear();
        self.purge();
        self.client = client(&self.set, &self.deliveries)?;
        self.spent = false;
        let deliveries = self.deliveries.get_mut();
        deliveries.outstanding.iter_mut().for_each(|count| *count = 0);
        Ok(())
    }

    /// The handle of topic number `index`, made at its first use.
    pub fn topic(&mut self, index: usize, name: &str) -> Result<&Topic> {
        if self.topics.len() <= index {
            self.topics.resize_with(index + 1, || None);
        }
        let topic = &mut self.topics[index];
        if topic.is_none() {
            *topic = Some(Topic::new(&self.client, &c_name(name)?)?);
        }
        topic.as_ref().ok_or_else(|| unreachable!("just made"))
    }

    /// Begins a transaction.
    pub fn begin(&mut self) -> Result<()> {
        // SAFETY: the client lives; an error is ours to destroy.
        let begun = unsafe { Refusal::take(rd::rd_kafka_begin_transaction(self.client.ptr())) };
        begun.map_err(|refusal| {
            self.spent = true;
            refusal.error("a transaction was not begun")
        })
    }

    pub fn load(&mut self, id: BatchId) {
        let deliveries = self.deliveries.get_mut();
        if deliveries.outstanding.is_empty() {
            deliveries.first = id.0;
        }
        deliveries.outstanding.push_back(0);
    }

    /// One record more of a batch is on its way.
    pub fn count(&mut self, id: BatchId) {
        if let Some(count) = self.deliveries.get_mut().outstanding(id) {
            *count += 1;
        }
    }

    /// One less.
    pub fn settle(&mut self, id: BatchId) {
        if let Some(count) = self.deliveries.get_mut().outstanding(id) {
            // A renewed client has nothing on its way, whatever was still to be told.
            *count = count.saturating_sub(1);
        }
    }

    /// Records of a batch that are on their way.
    pub fn outstanding(&mut self, id: BatchId) -> u32 {
        self.deliveries.get_mut().outstanding(id).map_or(0, |count| *count)
    }

    /// Forgets the oldest batch, of which nothing is on its way.
    pub fn unload(&mut self) {
        let deliveries = self.deliveries.get_mut();
        deliveries.first += 1;
        deliveries.outstanding.pop_front();
    }

    /// What was refused since the last call.
    pub fn refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.deliveries.get_mut().refused)
    }

    /// When the client last reported an error of its own, such as a lost connection.
    pub const fn troubled_at(&self) -> Option<Instant> {
        self.deliveries.troubled_at()
    }

    /// Serves callbacks, waiting for the first at most `wait`, and looks after the client.
    pub fn attend(&mut self, wait: Duration) {
        self.client.poll(wait);
        self.deliveries.look_after(&self.client);
    }

    /// Waits until nothing is on its way, serving delivery reports; false if it is not in time.
    pub fn flush(&mut self, wait: Duration) -> bool {
        // SAFETY: the client lives; callbacks run inside, while no reference to the notes is held.
        let code = unsafe { rd::rd_kafka_flush(self.client.ptr(), millis(wait)) };
        self.deliveries.look_after(&self.client);
        Code(code as i32) == Code::NONE
    }

    /// Takes back what is queued: after a failure the lane goes back, and what came behind it
    /// must not be stored before it.
    pub fn purge(&self) {
        // SAFETY: the client lives; purged messages come back as delivery reports.
        unsafe {
            rd::rd_kafka_purge(
                self.client.ptr(),
                rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT,
            );
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // What is still queued is read again by the next owner of its partition.
        self.purge();
    }
}

impl Deliveries {
    fn outstanding(&mut self, id: BatchId) -> Option<&mut u32> {
        self.outstanding.get_mut(usize::try_from(id.0.checked_sub(self.first)?).ok()?)
    }
}

fn client(set: &ClientConfig, deliveries: &Notes<Deliveries>) -> Result<Client> {
    let callbacks = Callbacks {
        delivery: Some(on_delivery),
        opaque: Some(deliveries.opaque()),
        ..Callbacks::default()
    };
    Client::new(rd::rd_kafka_type_t::RD_KAFKA_PRODUCER, set, &callbacks)
}

/// # Safety
/// Called by librdkafka, from a call that the outlet's holder makes, with its [`Deliveries`] as
/// opaque.
unsafe extern "C" fn on_delivery(
    _: *mut rd::rd_kafka_t,
    message: *const rd::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: no other reference to the deliveries exists while a client call runs; the message
    // is valid during the call.
    let (deliveries, code, which) =
        unsafe { (Notes::<Deliveries>::of(opaque), Code::of(message), (*message)._private.addr()) };
    let (low, index) = ((which >> 32) as u32, which as u32);
    let place = low.wrapping_sub(deliveries.first as u32);
    if code != Code::NONE {
        let id = BatchId(deliveries.first + u64::from(place));
        deliveries.refused.push(Refused { id, index, code });
    } else if let Some(count) = deliveries.outstanding.get_mut(place as usize) {
        *count -= 1;
    }
}
