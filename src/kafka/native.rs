//! librdkafka's handles as owned Rust values: a client, a partition list, a topic, an error code.
//!
//! The hot path goes through these and not through rdkafka's safe types, which cost a lock, an
//! allocation or a copy per record (measured: 426–526k msg/s against 587k, and they have neither
//! batched fetch nor zero-copy produce).

use crate::error::{Error, Fate};
use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::settings;

/// A client instance, used on the thread that made it. Dropped, it goes without ceremony: no
/// leaving of the group, no flush.
pub(super) struct Client {
    handle: NonNull<rd::rd_kafka_t>,
}

/// What a client calls back. Each may be left out.
#[derive(Default)]
pub(super) struct Callbacks {
    pub rebalance: RebalanceCallback,
    pub delivery: DeliveryCallback,
    /// What the callbacks get: of a [`Notes`], which must outlive the client.
    pub opaque: Option<NonNull<c_void>>,
}

pub(super) type RebalanceCallback = Option<
    unsafe extern "C" fn(
        *mut rd::rd_kafka_t,
        rd::rd_kafka_resp_err_t,
        *mut rd::rd_kafka_topic_partition_list_t,
        *mut c_void,
    ),
>;
pub(super) type DeliveryCallback =
    Option<unsafe extern "C" fn(*mut rd::rd_kafka_t, *const rd::rd_kafka_message_t, *mut c_void)>;

impl Client {
    /// A consumer or a producer of these settings.
    pub fn new(
        kind: rd::rd_kafka_type_t,
        set: &ClientConfig,
        callbacks: &Callbacks,
    ) -> Result<Self, Error> {
        let what = match kind {
            rd::rd_kafka_type_t::RD_KAFKA_PRODUCER => "producer",
            rd::rd_kafka_type_t::RD_KAFKA_CONSUMER => "consumer",
        };
        let conf = ManuallyDrop::new(settings::native(what, set)?);
        let mut told: [c_char; 512] = [0; 512];
        // SAFETY: the configuration is valid and, after a successful rd_kafka_new, owned by the
        // client (hence ManuallyDrop); the callbacks have the signatures that the client wants, and
        // their opaque outlives it by this type's contract.
        let handle = unsafe {
            rd::rd_kafka_conf_set_log_cb(conf.ptr(), Some(log));
            rd::rd_kafka_conf_set_error_cb(conf.ptr(), Some(trouble));
            if callbacks.rebalance.is_some() {
                rd::rd_kafka_conf_set_rebalance_cb(conf.ptr(), callbacks.rebalance);
            }
            if callbacks.delivery.is_some() {
                rd::rd_kafka_conf_set_dr_msg_cb(conf.ptr(), callbacks.delivery);
            }
            if let Some(opaque) = callbacks.opaque {
                rd::rd_kafka_conf_set_opaque(conf.ptr(), opaque.as_ptr());
            }
            rd::rd_kafka_new(kind, conf.ptr(), told.as_mut_ptr(), told.len())
        };
        let Some(handle) = NonNull::new(handle) else {
            drop(ManuallyDrop::into_inner(conf));
            // SAFETY: the buffer was zeroed and is written with a terminating NUL.
            let told = unsafe { CStr::from_ptr(told.as_ptr()) };
            return Err(settings::refused(what, told.to_string_lossy()));
        };
        Ok(Self { handle })
    }

    pub const fn ptr(&self) -> *mut rd::rd_kafka_t {
        self.handle.as_ptr()
    }

    /// Serves callbacks, waiting for the first at most `wait`.
    pub fn poll(&self, wait: Duration) {
        // SAFETY: the client lives; callbacks run inside, while their owner holds no reference.
        unsafe { rd::rd_kafka_poll(self.ptr(), millis(wait)) };
    }

    /// Tells the client again where it begins: a client that knows no broker any more asks nobody.
    fn begin_again(&self) {
        if let Some(servers) = self.first_servers() {
            // SAFETY: the client lives; the text is NUL-terminated, and copied.
            unsafe { rd::rd_kafka_brokers_add(self.ptr(), servers.as_ptr()) };
        }
    }

    /// Its `bootstrap.servers`.
    fn first_servers(&self) -> Option<CString> {
        let read = |to: *mut c_char, size: &mut usize| {
            // SAFETY: the client and with it its configuration live; `to` is null, for the size alone, or
            // has so many bytes.
            let got = unsafe {
                let conf = rd::rd_kafka_conf(self.ptr());
                rd::rd_kafka_conf_get(conf, c"bootstrap.servers".as_ptr(), to, size)
            };
            (got == rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK).then_some(())
        };
        let mut size = 0;
        read(ptr::null_mut(), &mut size)?;
        let mut text = vec![0_u8; size];
        read(text.as_mut_ptr().cast(), &mut size)?;
        CString::from_vec_with_nul(text).ok()
    }

    /// The error that ended this client for good, if any.
    pub fn fatal_error(&self) -> Option<Error> {
        let mut told: [c_char; 512] = [0; 512];
        // SAFETY: the client lives; the buffer is as long as said.
        let code = unsafe { rd::rd_kafka_fatal_error(self.ptr(), told.as_mut_ptr(), told.len()) };
        if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: the buffer was zeroed and is written with a terminating NUL.
        let told = unsafe { CStr::from_ptr(told.as_ptr()) };
        Some(Error::fatal(format!("the Kafka client gave up: {}", told.to_string_lossy())))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: this is the only owner; the flag keeps a consumer from calling back and waiting.
        unsafe {
            rd::rd_kafka_destroy_flags(self.ptr(), rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// The client's log lines. They hold addresses, topics and error texts; never a record. What the
/// client calls an error limpid mostly mends, and says itself where it does not: so none is more
/// than a warning. Lost connections are told by [`trouble`].
unsafe extern "C" fn log(
    _: *const rd::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: both are NUL-terminated strings that live during the call.
    let (facility, text) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(text)) };
    let (facility, text) = (facility.to_string_lossy(), text.to_string_lossy());
    match level {
        _ if facility == "FAIL" => tracing::debug!(target: "limpid::librdkafka", "{text}"),
        ..=4 => tracing::warn!(target: "limpid::librdkafka", "{facility}: {text}"),
        5..=6 => tracing::info!(target: "limpid::librdkafka", "{facility}: {text}"),
        _ => tracing::debug!(target: "limpid::librdkafka", "{facility}: {text}"),
    }
}

/// The client's own errors: brokers down, sign-in refused. It goes on trying by itself, and says so
/// many times a second: the same is told once in a while.
unsafe extern "C" fn trouble(
    _: *mut rd::rd_kafka_t,
    code: c_int,
    text: *const c_char,
    opaque: *mut c_void,
) {
    if let Some(noted) = NonNull::new(opaque.cast::<Noted<()>>()) {
        // SAFETY: the opaque is that of a `Notes`, to whose beginning no other reference exists
        // while a client call runs.
        let troubles = unsafe { &mut (*noted.as_ptr()).troubles };
        let now = Some(Instant::now());
        troubles.last = now;
        if code == Code::ALL_BROKERS_DOWN.0 {
            troubles.lost = now;
        }
    }
    // SAFETY: a NUL-terminated string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if is_news(code) {
        tracing::warn!(target: "limpid::librdkafka", code, "{text}");
    } else {
        tracing::debug!(target: "limpid::librdkafka", code, "{text}");
    }
}

/// How long an error of the client's is no news to have again.
const NEWS: Duration = Duration::from_secs(30);

fn is_news(code: c_int) -> bool {
    static TOLD: Mutex<BTreeMap<c_int, Instant>> = Mutex::new(BTreeMap::new());
    let now = Instant::now();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let news = told.get(&code).is_none_or(|before| now.duration_since(*before) >= NEWS);
    if news {
        told.insert(code, now);
    }
    news
}

/// State that callbacks write and its owner reads, both on the owner's thread: the callbacks run
/// only inside client calls that the owner makes while it holds no reference from here.
///
/// It is kept by raw pointer alone: a `Box` would claim to be the only way to it.
pub(super) struct Notes<T>(NonNull<Noted<T>>);

/// What is noted for every client, and what its owner adds. The order is relied upon.
#[repr(C)]
#[derive(Default)]
struct Noted<T> {
    troubles: Troubles,
    own: T,
}

/// When the client last reported an error of its own, such as a lost connection; and that all
/// connections were lost.
#[derive(Default)]
struct Troubles {
    last: Option<Instant>,
    lost: Option<Instant>,
}

/// A client without a connection says so again and again while it tries. One that says nothing more for
/// so long has one, or has stopped trying.
const SILENCE: Duration = Duration::from_secs(5);

impl<T: Default> Notes<T> {
    pub fn new() -> Self {
        Self(NonNull::from(Box::leak(Box::default())))
    }
}

impl<T> Notes<T> {
    /// To give to the client; valid as long as self.
    pub const fn opaque(&self) -> NonNull<c_void> {
        self.0.cast()
    }

    /// What an owner's callback finds behind its opaque.
    ///
    /// # Safety
    /// The opaque is that of a living `Notes<T>`, and no other reference to it is used meanwhile.
    pub const unsafe fn of<'a>(opaque: *mut c_void) -> &'a mut T {
        // SAFETY: by this function's contract.
        unsafe { &mut (*opaque.cast::<Noted<T>>()).own }
    }

    pub const fn get_mut(&mut self) -> &mut T {
        // SAFETY: allocated in `new`, freed in `drop`; self is borrowed exclusively, and no callback
        // runs meanwhile.
        unsafe { &mut self.0.as_mut().own }
    }

    /// When the client last reported an error of its own.
    pub const fn troubled_at(&self) -> Option<Instant> {
        // SAFETY: as in `get_mut`; it is read, and no reference to it stays.
        unsafe { (*self.0.as_ptr()).troubles.last }
    }

    /// To be called now and then. A broker that its controller holds for dead, as after a pause, answers
    /// with a list of no brokers; the client then forgets all that it knew and may never ask anybody
    /// again (librdkafka 2.10 to at least 2.13, issue 5301 there): it is told again where to begin.
    pub fn look_after(&self, client: &Client) {
        // SAFETY: as in `get_mut`; only callbacks write it besides, and none runs meanwhile.
        let lost = unsafe { &mut (*self.0.as_ptr()).troubles.lost };
        if lost.take_if(|lost| lost.elapsed() >= SILENCE).is_some() {
            client.begin_again();
        }
    }
}

impl<T> Drop for Notes<T> {
    fn drop(&mut self) {
        // SAFETY: came from a Box in `new`; the owner drops its client first.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// A list of partitions with offsets, owned.
pub(super) struct PartitionList(NonNull<rd::rd_kafka_topic_partition_list_t>);

// SAFETY: a plain value that belongs to whoever holds it.
unsafe impl Send for PartitionList {}

impl PartitionList {
    pub fn new() -> Self {
        // SAFETY: no precondition; the client aborts the process when memory is out, so the
        // pointer is never null.
        let list = unsafe { rd::rd_kafka_topic_partition_list_new(8) };
        Self(NonNull::new(list).expect("librdkafka gives a list"))
    }

    /// Adds a partition; `offset` where one is meant.
    pub fn add(&mut self, topic: &CStr, partition: i32, offset: Option<i64>) {
        // SAFETY: the list is ours, the name NUL-terminated; the element lives in the list.
        unsafe {
            let element =
                rd::rd_kafka_topic_partition_list_add(self.ptr(), topic.as_ptr(), partition);
            if let Some(offset) = offset {
                (*element).offset = offset;
            }
        }
    }

    pub const fn ptr(&self) -> *mut rd::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// What the client noted as the first partition's error, after a call that tells them one by one.
    pub fn first_error(&self) -> Code {
        // SAFETY: the list is ours, its elements as many as it says; the code is read as the C
        // enum's number.
        let codes = unsafe {
            let list = &*self.ptr();
            let count = usize::try_from(list.cnt).unwrap_or(0);
            (0..count).map(|index| (&raw const (*list.elems.add(index)).err).cast::<i32>().read())
        };
        codes.map(Code).find(|code| *code != Code::NONE).unwrap_or(Code::NONE)
    }

    /// The partitions and their offsets.
    pub fn iter(&self) -> impl Iterator<Item = (&CStr, i32, i64)> {
        // SAFETY: the list lives as long as the borrow of self.
        unsafe { elements(self.ptr()) }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.ptr()) }
    }
}

/// The elements of a native list.
///
/// # Safety
/// `list` is null or a list that is neither changed nor freed during `'a`.
pub(super) unsafe fn elements<'a>(
    list: *const rd::rd_kafka_topic_partition_list_t,
) -> impl Iterator<Item = (&'a CStr, i32, i64)> {
    let count = if list.is_null() {
        0
    } else {
        // SAFETY: not null, and alive by this function's contract.
        usize::try_from(unsafe { (*list).cnt }).unwrap_or(0)
    };
    (0..count).map(move |index| {
        // SAFETY: `index` is below the list's own count; names are NUL-terminated.
        unsafe {
            let element = (*list).elems.add(index);
            (CStr::from_ptr((*element).topic), (*element).partition, (*element).offset)
        }
    })
}

/// A producer's handle for a topic.
pub(super) struct Topic(NonNull<rd::rd_kafka_topic_t>);

impl Topic {
    /// The handle; a producer keeps one for each clean topic as long as it lives.
    pub fn new(client: &Client, name: &CStr) -> Result<Self, Error> {
        // SAFETY: the client lives, the name is NUL-terminated; a null topic configuration means
        // the client's own.
        let topic = unsafe { rd::rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic).map(Self).ok_or_else(|| {
            Error::usage(format!("`{}` cannot be the name of a topic", name.to_string_lossy()))
        })
    }

    pub const fn ptr(&self) -> *mut rd::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: this is the only owner of this reference.
        unsafe { rd::rd_kafka_topic_destroy(self.ptr()) }
    }
}

/// An error code of the client or the broker, as a plain number: a newer broker may send codes
/// that the bindings' enum does not know, and such a value must never be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(pub i32);

impl Code {
    pub const NONE: Self = Self(0);
    /// The client's topics have no partition of that number.
    pub const UNKNOWN_PARTITION: Self =
        Self(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as i32);
    pub const TOO_LARGE: Self =
        Self(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32);
    pub const QUEUE_FULL: Self =
        Self(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32);
    pub const ALL_BROKERS_DOWN: Self =
        Self(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32);
    pub const NO_OFFSET: Self = Self(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NO_OFFSET as i32);

    /// The code of a message.
    ///
    /// # Safety
    /// `message` is a valid message.
    pub unsafe fn of(message: *const rd::rd_kafka_message_t) -> Self {
        // SAFETY: valid by this function's contract; read as the C enum's number.
        Self(unsafe { (&raw const (*message).err).cast::<i32>().read() })
    }

    /// Takes over an error object; null is none.
    pub fn take(error: *mut rd::rd_kafka_error_t) -> Self {
        if error.is_null() {
            return Self::NONE;
        }
        // SAFETY: not null, and given to us to destroy.
        unsafe {
            let code = rd::rd_kafka_error_code(error) as i32;
            rd::rd_kafka_error_destroy(error);
            Self(code)
        }
    }

    /// The client's words for it.
    pub fn name(self) -> String {
        let Ok(known) = rd::rd_kafka_resp_err_t::try_from(self.0) else {
            return format!("error {}", self.0);
        };
        // SAFETY: the texts of known codes are static and NUL-terminated.
        unsafe { CStr::from_ptr(rd::rd_kafka_err2str(known)) }.to_string_lossy().into_owned()
    }

    /// What to do about it: few pass by themselves, for the client already retries what can be.
    pub fn fate(self) -> Fate {
        use rd::rd_kafka_resp_err_t as E;
        const PASSING: &[E] = &[
            E::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT,
            E::RD_KAFKA_RESP_ERR__TRANSPORT,
            E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            E::RD_KAFKA_RESP_ERR__PURGE_QUEUE,
            E::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
            E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        ];
        if PASSING.iter().any(|passing| *passing as i32 == self.0) {
            Fate::Retry
        } else {
            Fate::Fatal
        }
    }

    /// The same within a transaction, where everything that a new producer or another member of the
    /// group can do right passes too: the transaction is undone and its records are done again.
    pub fn fate_in_transaction(self) -> Fate {
        use rd::rd_kafka_resp_err_t as E;
        const PASSING: &[E] = &[
            // The producer's name was taken, or its transaction ended for its age.
            E::RD_KAFKA_RESP_ERR__FATAL,
            E::RD_KAFKA_RESP_ERR__FENCED,
            E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
            E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
            E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
            E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            // The group has gone on; if it has without this consumer, the consumer hears of it.
            E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            E::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
            E::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH,
            E::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH,
            E::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
            // Brokers that start, stop or look for each other.
            E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            E::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
            E::RD_KAFKA_RESP_ERR_UNKNOWN,
            // The client's own words for a transaction that has failed before.
            E::RD_KAFKA_RESP_ERR__STATE,
            E::RD_KAFKA_RESP_ERR__INCONSISTENT,
            E::RD_KAFKA_RESP_ERR__CONFLICT,
            E::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
            E::RD_KAFKA_RESP_ERR__OUTDATED,
            E::RD_KAFKA_RESP_ERR__RETRY,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            E::RD_KAFKA_RESP_ERR__WAIT_COORD,
            E::RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
        ];
        // TRANSACTION_ABORTABLE (KIP-890): the bindings have no name for it.
        const ABORTABLE: i32 = 120;
        let passes = self.0 == ABORTABLE || PASSING.iter().any(|passing| *passing as i32 == self.0);
        if passes { Fate::Retry } else { self.fate() }
    }

    /// An error of this code: `what` says what could not be done.
    pub fn error(self, what: &str) -> Error {
        self.error_of(self.fate(), what)
    }

    /// The same within a transaction.
    pub fn error_in_transaction(self, what: &str) -> Error {
        self.error_of(self.fate_in_transaction(), what)
    }

    fn error_of(self, fate: Fate, what: &str) -> Error {
        let text = format!("{what}: {}", self.name());
        match fate {
            Fate::Retry => Error::retry(text),
            Fate::Fatal | Fate::Usage => Error::fatal(text),
        }
    }
}

/// A topic name for the client; names with a NUL cannot exist.
pub(super) fn c_name(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::usage("a topic's name contains a NUL byte"))
}

/// A wait as the client counts it.
pub(super) fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_client_begins_is_known_whole() {
        let servers: Vec<String> = (0..400).map(|at| format!("127.0.0.1:{}", 1 + at)).collect();
        let mut set = ClientConfig::new();
        set.set("bootstrap.servers", servers.join(","));
        let producer = rd::rd_kafka_type_t::RD_KAFKA_PRODUCER;
        let client = Client::new(producer, &set, &Callbacks::default()).expect("a client");
        let first = client.first_servers().expect("the setting");
        assert_eq!(first.to_str().expect("text"), servers.join(","));
    }

    #[test]
    fn a_client_is_told_again_once_it_has_been_silent_for_long() {
        let mut set = ClientConfig::new();
        set.set("bootstrap.servers", "127.0.0.1:1");
        let notes = Notes::<()>::new();
        let callbacks = Callbacks { opaque: Some(notes.opaque()), ..Callbacks::default() };
        let producer = rd::rd_kafka_type_t::RD_KAFKA_PRODUCER;
        let client = Client::new(producer, &set, &callbacks).expect("a client");
        let lost = || {
            // SAFETY: no callback runs: the client is not polled.
            unsafe { &mut (*notes.0.as_ptr()).troubles.lost }
        };
        let down = Code::ALL_BROKERS_DOWN.0;
        // SAFETY: as the client would call it.
        unsafe { trouble(client.ptr(), down, c"all down".as_ptr(), notes.opaque().as_ptr()) };
        assert!(lost().is_some() && notes.troubled_at().is_some());
        notes.look_after(&client);
        assert!(lost().is_some(), "it may still be trying");
        *lost() = Instant::now().checked_sub(SILENCE);
        notes.look_after(&client);
        assert!(lost().is_none(), "it is told once");
    }
}
