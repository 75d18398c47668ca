//! The records of one fetch, borrowed from the client's buffers as they are.
//!
//! Nothing is copied or parsed here: key and value are pointers into the fetch response, and the
//! headers stay undecoded until someone asks for one (two headers a record cost up to half of the
//! throughput when they are decoded and built anew).

use super::native::Client;
use crate::lane::{self, Partition, Span, TopicId};
use crate::record::{Header, Headers, Raw, Record};
use rdkafka::bindings as rd;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::rc::Rc;
use std::slice;
use std::sync::Arc;

/// A fetch's messages.
pub struct Fetched {
    messages: Vec<Message>,
    /// Topics of this batch; `Message::topic` is an index.
    topics: Vec<(TopicId, Arc<str>)>,
    spans: Vec<Span>,
    bytes: usize,
    /// Messages must be gone before their client.
    _client: Rc<Client>,
}

struct Message {
    native: ptr::NonNull<rd::rd_kafka_message_t>,
    topic: u32,
}

/// Numbers for topic names: given at first sight, kept.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of a topic; topics are few, and asked for once a batch.
    pub fn number(&mut self, name: &str) -> (TopicId, Arc<str>) {
        let index = self.names.iter().position(|known| &**known == name).unwrap_or_else(|| {
            self.names.push(Arc::from(name));
            self.names.len() - 1
        });
        (TopicId(u32::try_from(index).unwrap_or(u32::MAX)), self.names[index].clone())
    }

    /// The topic of a number that was given.
    pub fn name(&self, topic: TopicId) -> &str {
        self.names.get(topic.0 as usize).map_or("", |name| name)
    }
}

impl Fetched {
    /// Takes over messages that carry records.
    ///
    /// # Safety
    /// The messages were returned by `client`'s consumer, without error, and are owned by nobody
    /// else.
    pub(super) unsafe fn new(
        client: Rc<Client>,
        natives: &[*mut rd::rd_kafka_message_t],
        names: &mut Names,
    ) -> Self {
        let mut fetched = Self {
            messages: Vec::with_capacity(natives.len()),
            topics: Vec::new(),
            spans: Vec::new(),
            bytes: 0,
            _client: client,
        };
        // A topic handle's address means the same topic as long as a message of it is held: so it
        // may be compared within a batch, and never remembered beyond.
        let mut handles: Vec<*mut rd::rd_kafka_topic_t> = Vec::new();
        let mut run = (ptr::null_mut(), -1, 0_u32, 0_usize);
        for native in natives.iter().filter_map(|native| ptr::NonNull::new(*native)) {
            // SAFETY: a valid message by this function's contract.
            let message = unsafe { native.as_ref() };
            if (message.rkt, message.partition) != (run.0, run.1) {
                let topic = handles.iter().position(|handle| *handle == message.rkt);
                let topic = topic.unwrap_or_else(|| {
                    handles.push(message.rkt);
                    // SAFETY: the message holds its topic, whose name is NUL-terminated; Kafka's
                    // topic names are ASCII.
                    let name = unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(message.rkt)) };
                    fetched.topics.push(names.number(&name.to_string_lossy()));
                    handles.len() - 1
                });
                let partition =
                    Partition { topic: fetched.topics[topic].0, number: message.partition };
                let span = fetched.span(partition, message.offset);
                run = (message.rkt, message.partition, u32::try_from(topic).unwrap_or(0), span);
            }
            if message.offset < fetched.spans[run.3].next {
                // The client fell back while the batch was taken: this record is in it, or before.
                // SAFETY: the message is ours, and kept nowhere.
                unsafe { rd::rd_kafka_message_destroy(native.as_ptr()) };
                continue;
            }
            fetched.spans[run.3].next = message.offset + 1;
            fetched.bytes += message.len + message.key_len;
            fetched.messages.push(Message { native, topic: run.2 });
        }
        fetched
    }

    fn span(&mut self, partition: Partition, first: i64) -> usize {
        let known = self.spans.iter().position(|span| span.partition == partition);
        known.unwrap_or_else(|| {
            self.spans.push(Span { partition, first, next: first });
            self.spans.len() - 1
        })
    }

    fn native(&self, index: usize) -> &NativeMessage {
        // SAFETY: the message lives until self is dropped; NativeMessage is a transparent wrapper.
        unsafe { self.messages[index].native.cast::<NativeMessage>().as_ref() }
    }

    /// Takes a record's headers out, undisturbed, for the producer: null if it has none.
    pub(super) fn detach_headers(&self, index: usize) -> *mut rd::rd_kafka_headers_t {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid and only this thread touches it; afterwards it has no
        // headers and the list belongs to the caller.
        unsafe {
            let message = self.messages[index].native.as_ptr();
            let code = rd::rd_kafka_message_detach_headers(message, &raw mut headers);
            if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return ptr::null_mut();
            }
        }
        headers
    }

    /// Gives headers back that the producer did not take.
    pub(super) fn attach_headers(&self, index: usize, headers: *mut rd::rd_kafka_headers_t) {
        // SAFETY: the list came from this message; it belongs to it again.
        unsafe {
            rd::rd_kafka_message_set_headers(self.messages[index].native.as_ptr(), headers);
        }
    }
}

impl lane::Fetched for Fetched {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn record(&self, index: usize) -> Record<'_> {
        let native = self.native(index);
        let message = &native.0;
        Record {
            topic: &self.topics[self.messages[index].topic as usize].1,
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: native.timestamp_ms(),
            // SAFETY: pointers and lengths come from one valid message that outlives the borrow.
            key: unsafe { bytes(message.key, message.key_len) }.map(Raw::new),
            // SAFETY: as above.
            value: unsafe { bytes(message.payload, message.len) }.map(Raw::new),
            headers: native,
        }
    }

    fn topic(&self, index: usize) -> TopicId {
        self.topics[self.messages[index].topic as usize].0
    }

    fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        for message in &self.messages {
            // SAFETY: owned by this batch alone.
            unsafe { rd::rd_kafka_message_destroy(message.native.as_ptr()) }
        }
    }
}

/// # Safety
/// `data` is null or points to `len` bytes that live during `'a`.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's contract.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast(), len) })
}

/// A native message whose headers are decoded when first asked for.
#[repr(transparent)]
struct NativeMessage(rd::rd_kafka_message_t);

impl NativeMessage {
    fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a valid message.
        let at = unsafe { rd::rd_kafka_message_timestamp(&raw const self.0, &raw mut kind) };
        (at >= 0).then_some(at)
    }

    fn headers(&self) -> Option<*mut rd::rd_kafka_headers_t> {
        let mut headers = ptr::null_mut();
        // SAFETY: a valid message; the client decodes once and keeps the list in the message.
        let code = unsafe { rd::rd_kafka_message_headers(&raw const self.0, &raw mut headers) };
        (code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(headers)
    }
}

impl Headers for NativeMessage {
    fn count(&self) -> usize {
        // SAFETY: the list lives in the message.
        self.headers().map_or(0, |headers| unsafe { rd::rd_kafka_header_cnt(headers) })
    }

    fn get(&self, index: usize) -> Option<Header<'_>> {
        let headers = self.headers()?;
        let (mut name, mut value, mut len) = (ptr::null::<c_char>(), ptr::null(), 0);
        // SAFETY: the list lives in the message as long as the borrow of self; what it gives are
        // a NUL-terminated name and a value of the length said.
        unsafe {
            let code = rd::rd_kafka_header_get_all(
                headers,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut len,
            );
            if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            Some((CStr::from_ptr(name).to_bytes(), bytes(value, len).map(Raw::new)))
        }
    }
}
