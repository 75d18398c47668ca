//! A producer's transactions: named, committed and undone on a thread of their own, so that the
//! lane goes on fetching and cleaning meanwhile.
//!
//! For that time the lane lends its [`Outlet`], the client with all that its callbacks write, and
//! gets it back with the answer. So there is no lock, and no way to publish into a transaction that
//! is ending.
//!
//! **When a commit's end is not known.** A request to end a transaction names the producer and its
//! epoch, not the transaction. One that was sent, lost sight of with its connection and sent again
//! may arrive late and end the *next* transaction of the same epoch, half full (Jepsen's report on
//! Bufstream 0.1, 2024, shows it; KIP-890 mends it for clients that speak it, which this one does
//! not). So after a commit during which the client lost a connection nothing is begun on that
//! producer any more, whatever the answer was: a new one takes its name, which ends what was open
//! and shuts out what is late, and then the group is asked how the commit ended.
//!
//! **Where a commit's time went**, measured on a broker of this machine (librdkafka 2.12, Kafka 4.1):
//! the end itself takes 1 ms, the offsets 2; but the first requests of a transaction were answered
//! "again, later" while the broker was still writing the last one's markers, and the client waits 20
//! ms before it asks again for partitions, and `retry.backoff.ms` for offsets. Offsets sent while the
//! records were under way so took 100 ms in seven commits of ten. Hence two clients in turn, each of
//! which has settled when its turn comes, and offsets after the records are stored: the coordinator
//! then has nothing of this transaction in work. Commits now take what the last records take to be
//! stored, and 3 ms. Two clients change nothing else: there is one transaction at a time, as before.
//!
//! Tried and thrown away: giving librdkafka's resumable calls a few milliseconds a turn on the
//! lane's own thread. On a busy machine the client's inner thread does not answer in that time, and
//! a call that is given up before it was heard cannot be told from one that was.

use super::native::{Client, Code, PartitionList, millis};
use super::outlet::Outlet;
use super::settings;
use crate::error::{Error, Fate, Result};
use rdkafka::bindings as rd;
use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// One call's patience; between two calls it is asked whether the lane still wants the answer.
const STEP: Duration = Duration::from_secs(1);
/// How long the offsets may take on their way into the transaction. That call cannot be resumed.
const OFFSETS: Duration = Duration::from_secs(5);
/// How long an abort may take before a new producer does it by taking the name.
const ABORT: Duration = Duration::from_secs(2);
/// The client sends a request again no sooner than this after it lost the connection: see
/// [`settings::RETRY_BACKOFF_MS`], of which a fifth may be missing by chance.
const RESENT_AFTER: Duration = Duration::from_millis(settings::RETRY_BACKOFF_MS * 4 / 5);
/// A connection lost again in the same way is reported no more for 30 s.
const REPORTED_WITHIN: Duration = Duration::from_secs(31);

/// What is to be done with a lent outlet.
pub(super) enum Job {
    /// Take the transactional id; what an earlier producer of that name left open is ended.
    Name,
    /// Send these offsets, and commit all.
    Commit(PartitionList, GroupMetadata),
    /// Undo what is open.
    Abort,
}

/// What came of it.
pub(super) enum Answer {
    /// No transaction is open, and none that was can commit any more.
    Cleared,
    /// Committed, or not, or nobody knows.
    Committed(Result<()>),
    /// It will not pass.
    Failed(Error),
}

/// The thread that settles a lane's transactions.
pub(super) struct Settler {
    jobs: Option<Sender<(Outlet, Job)>>,
    answers: Receiver<(Outlet, Answer)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Settler {
    pub fn new(lane: usize) -> Result<Self> {
        let (jobs, to_do) = channel();
        let (done, answers) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let work = move || {
            for (outlet, job) in to_do {
                if let Some(settled) = settle(outlet, job, &asked)
                    && done.send(settled).is_err()
                {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(format!("settle-{lane}")).spawn(work);
        let thread = thread.map_err(|error| {
            Error::fatal(format!("a thread for transactions cannot be started: {error}"))
        })?;
        Ok(Self { jobs: Some(jobs), answers, stop, thread: Some(thread) })
    }

    /// Lends the outlet.
    pub fn lend(&self, outlet: Outlet, job: Job) {
        if let Some(jobs) = &self.jobs {
            // It ends only after this end is gone.
            _ = jobs.send((outlet, job));
        }
    }

    /// Waits for it to come back; `None` if it did not in time.
    ///
    /// # Errors
    /// The thread has panicked.
    pub fn answer(&self, wait: Duration) -> Result<Option<(Outlet, Answer)>> {
        match self.answers.recv_timeout(wait) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::fatal("the thread for transactions ended; see the log for the place"))
            }
        }
    }
}

impl Drop for Settler {
    /// Waits until a lent outlet is gone: what it sends lies in its owner's memory.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told by the hook.
            _ = thread.join();
        }
    }
}

/// Does a job; `None` if nobody wants the answer any more.
fn settle(mut outlet: Outlet, job: Job, stop: &AtomicBool) -> Option<(Outlet, Answer)> {
    let answer = match job {
        Job::Name => name(&mut outlet, stop)?,
        Job::Commit(offsets, group) => {
            Answer::Committed(commit(&mut outlet, &offsets, &group, stop)?)
        }
        Job::Abort if abort(&mut outlet, stop)? => Answer::Cleared,
        Job::Abort => match outlet.renew() {
            Ok(()) => name(&mut outlet, stop)?,
            Err(error) => Answer::Failed(error),
        },
    };
    Some((outlet, answer))
}

fn name(outlet: &mut Outlet, stop: &AtomicBool) -> Option<Answer> {
    while !stop.load(Ordering::Relaxed) {
        outlet.attend(Duration::ZERO);
        // SAFETY: the client lives; an error is ours to destroy.
        let named = unsafe {
            Refusal::take(rd::rd_kafka_init_transactions(outlet.client.ptr(), millis(STEP)))
        };
        match named {
            Ok(()) => {
                outlet.named = true;
                return Some(Answer::Cleared);
            }
            // It may have been refused at once.
            Err(refusal) if refusal.retriable => outlet.attend(STEP / 20),
            Err(refusal) => {
                let text = refusal.text("the producer cannot take its transactional id");
                return Some(Answer::Failed(Error::fatal(text)));
            }
        }
    }
    None
}

fn commit(
    outlet: &mut Outlet,
    offsets: &PartitionList,
    group: &GroupMetadata,
    stop: &AtomicBool,
) -> Option<Result<()>> {
    while !outlet.flush(STEP) {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
    }
    // SAFETY: client, list and metadata live during the call; an error is ours to destroy.
    let sent = unsafe {
        Refusal::take(rd::rd_kafka_send_offsets_to_transaction(
            outlet.client.ptr(),
            offsets.ptr(),
            group.0.as_ptr(),
            millis(OFFSETS),
        ))
    };
    if let Err(refusal) = sent {
        return Some(Err(refusal.error("offsets were not taken into the transaction")));
    }
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: the client lives; delivery reports are served within; an error is ours to
        // destroy.
        let committed = unsafe {
            Refusal::take(rd::rd_kafka_commit_transaction(outlet.client.ptr(), millis(STEP)))
        };
        match committed {
            Err(refusal) if refusal.retriable => outlet.attend(Duration::ZERO),
            Err(refusal) => {
                outlet.spent |= !refusal.abortable;
                return Some(Err(refusal.error("a transaction was not committed")));
            }
            Ok(()) => return Some(without_doubt(outlet, begun)),
        }
    }
    None
}

/// A commit that was answered well, if nothing of it can still be on its way.
fn without_doubt(outlet: &mut Outlet, begun: Instant) -> Result<()> {
    // So that what was reported until now is known.
    outlet.attend(Duration::ZERO);
    if !is_doubtful(begun, outlet.troubled_at()) {
        return Ok(());
    }
    outlet.spent = true;
    Err(Error::retry("a connection was lost during a commit; the group is asked how it ended"))
}

/// May a request of a commit that began then have been sent twice?
fn is_doubtful(begun: Instant, troubled_at: Option<Instant>) -> bool {
    let Some(troubled_at) = troubled_at else { return false };
    troubled_at >= begun
        || begun.elapsed() >= RESENT_AFTER && troubled_at.elapsed() < REPORTED_WITHIN
}

/// Undoes what is open; false if only a new producer can.
fn abort(outlet: &mut Outlet, stop: &AtomicBool) -> Option<bool> {
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if outlet.spent || outlet.client.fatal_error().is_some() || begin.elapsed() > ABORT {
            return Some(false);
        }
        // SAFETY: the client lives; delivery reports are served within; an error is ours to
        // destroy.
        let aborted = unsafe {
            Refusal::take(rd::rd_kafka_abort_transaction(outlet.client.ptr(), millis(STEP)))
        };
        match aborted {
            Ok(()) => return Some(true),
            Err(refusal) if refusal.retriable => outlet.attend(Duration::ZERO),
            Err(_) => return Some(false),
        }
    }
    None
}

/// Who a consumer is in its group, and in which generation: a commit that carries it is refused
/// once the group has gone on without that consumer (KIP-447).
pub(super) struct GroupMetadata(NonNull<rd::rd_kafka_consumer_group_metadata_t>);

// SAFETY: a plain value that belongs to whoever holds it.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    /// As it is now; none for a client that is no consumer.
    pub fn of(consumer: &Client) -> Option<Self> {
        // SAFETY: the client lives; what it gives is ours to destroy.
        NonNull::new(unsafe { rd::rd_kafka_consumer_group_metadata(consumer.ptr()) }).map(Self)
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

/// What a transactional call was refused with.
pub(super) struct Refusal {
    code: Code,
    told: String,
    retriable: bool,
    abortable: bool,
}

impl Refusal {
    /// Takes over an error object; null is none.
    ///
    /// # Safety
    /// The object is valid and nobody else's.
    pub unsafe fn take(error: *mut rd::rd_kafka_error_t) -> std::result::Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: valid by this function's contract; its text is NUL-terminated, and copied before
        // it goes.
        unsafe {
            let refusal = Self {
                code: Code(rd::rd_kafka_error_code(error) as i32),
                told: CStr::from_ptr(rd::rd_kafka_error_string(error)).to_string_lossy().into(),
                retriable: rd::rd_kafka_error_is_retriable(error) != 0,
                abortable: rd::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            rd::rd_kafka_error_destroy(error);
            Err(refusal)
        }
    }

    fn text(&self, what: &str) -> String {
        format!("{what}: {}", self.told)
    }

    /// An error with the fate that its code has in a transaction.
    pub fn error(&self, what: &str) -> Error {
        match self.code.fate_in_transaction() {
            Fate::Retry => Error::retry(self.text(what)),
            Fate::Fatal | Fate::Usage => Error::fatal(self.text(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_doubtful_if_its_request_may_have_been_sent_twice() {
        let now = Instant::now();
        let ago = |ms| now.checked_sub(Duration::from_millis(ms)).expect("long enough since boot");
        assert!(!is_doubtful(ago(5_000), None), "slow, but no connection was lost");
        assert!(is_doubtful(ago(10), Some(now)), "lost meanwhile");
        assert!(!is_doubtful(now, Some(ago(20))), "lost before, and answered at once");
        assert!(!is_doubtful(ago(50), Some(ago(5_000))), "too soon to have been sent again");
        assert!(is_doubtful(ago(500), Some(ago(5_000))), "it may have been lost again, unreported");
        assert!(!is_doubtful(ago(500), Some(ago(100_000))));
    }
}
