//! `limpid filter` without its arguments: lines of raw records in, lines of clean records out.
//!
//! The problem: use every core, keep the order of the lines, and hold a bounded amount of memory
//! whatever the input looks like. So the input is cut at newlines into blocks of a quarter of a mebibyte;
//! block n goes to worker n modulo their number, and the writer takes the results in the same
//! turn. Order follows from that, without sequence numbers or a heap that sorts. The blocks
//! themselves are the back-pressure: there is a fixed number of them, the writer hands them back
//! to the reader, and a reader without a block waits.
//!
//! ```text
//!             ┌──▶ worker 0 ──┐
//!   reader ───┼──▶ worker 1 ──┼──▶ writer (the caller's thread)
//!     ▲       └──▶ worker 2 ──┘      │
//!     └───────── empty blocks ◀──────┘
//! ```
//!
//! A line that doesn't fit a block makes its block grow, up to the limit on a record. Such a giant
//! travels alone: the reader first waits for all other blocks to come back, and for the giant
//! itself before it goes on. That bounds the memory by blocks and one giant, not by blocks that
//! have all grown. A line beyond the limit is not kept: it is skipped and counted.
//!
//! The rejected alternative: memory-mapped files and a thread pool over ranges. Faster on one huge
//! file, useless on pipes and compressed input, and the page cache then is the memory bound.
//!
//! Invariant: nothing but the bytes of [`crate::engine::Clean`] values and newlines is written.

use crate::engine::{Batch, Engine, Limits, Outcome, Route, TenantSource};
use crate::error::{Error, Reason, Result};
use crate::limits::BATCH_RECORDS_MAX;
use crate::policy::Policies;
use crate::record::{NO_HEADERS, Raw, Record};
use memchr::{memchr, memchr_iter, memrchr};
use std::fmt;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// A block's size unless many threads share the memory. Input, batch and output of a block stay in
/// a core's second-level cache; blocks of a mebibyte cost 3% more CPU, and wait longer for each
/// other on busy cores (benches/filter.sh).
const BLOCK_BYTES_MAX: usize = 256 << 10;

/// Bytes that all blocks may hold together, in and out, giants aside.
const BLOCKS_BYTES_MAX: usize = 64 << 20;

/// A worker that has seen a giant lets go of more scratch than this.
const SCRATCH_BYTES_MAX: usize = 4 << 20;

/// What is to be done to the lines.
pub struct Job {
    /// The policies, of which [`Job::tenant`]'s is applied.
    pub policies: Arc<Policies>,
    /// Whose data the lines are.
    pub tenant: Arc<str>,
    /// Bounds on one line.
    pub limits: Limits,
    /// The record time, which decides the pseudonyms' epoch: lines have none of their own.
    pub timestamp_ms: i64,
    /// How many threads clean; at least one.
    pub threads: usize,
}

/// One input.
pub struct Source {
    /// Its name in errors.
    pub name: String,
    /// Its bytes; gzip and zstd are recognized.
    pub reader: Box<dyn Read + Send>,
    /// Hand on what has arrived instead of filling blocks: a pipe whose writer may pause.
    pub live: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines read, empty ones aside.
    pub records_in: u64,
    /// Lines made clean.
    pub clean: u64,
    /// Lines left out, by `Reason as usize`.
    pub withheld: [u64; Reason::ALL.len()],
    /// Did the reader of the output go away before its end?
    pub broken_pipe: bool,
}

impl Summary {
    /// Lines left out.
    #[must_use]
    pub fn withheld_total(&self) -> u64 {
        self.withheld.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.records_in += other.records_in;
        self.clean += other.clean;
        for (sum, count) in self.withheld.iter_mut().zip(other.withheld) {
            *sum += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let withheld = self.withheld_total();
        write!(f, "{} in, {} clean, {withheld} withheld", self.records_in, self.clean)?;
        let counted = Reason::ALL.into_iter().zip(self.withheld).filter(|&(_, count)| count > 0);
        for (index, (reason, count)) in counted.enumerate() {
            write!(f, "{}{reason} {count}", if index == 0 { " (" } else { ", " })?;
        }
        if withheld > 0 { f.write_str(")") } else { Ok(()) }
    }
}

/// Cleans the lines of all `sources`, one after the other, into `output`, and calls `each` after
/// every block that was written.
///
/// # Errors
/// An input that can't be opened or read, an output that can't be written. What was written
/// before is a clean prefix, in whole lines as far as the output took them.
pub fn filter<S>(
    job: Job,
    sources: S,
    output: &mut impl Write,
    mut each: impl FnMut(&Summary),
) -> Result<Summary>
where
    S: Iterator<Item = Result<Source>> + Send + 'static,
{
    let machine = Machine::start(&Arc::new(job), sources);
    let mut summary = Summary::default();
    // Leaving early drops the machine's channels, at which its threads end. They are not waited
    // for: a reader may sit in a read that never returns.
    for results in machine.results.iter().cycle() {
        let mut block = match results.recv().map_err(|_| worker_lost())? {
            Turn::Block(block) => block,
            Turn::Skipped => continue,
            Turn::Failed(error) => return Err(error),
            Turn::End => break,
        };
        match output.write_all(&block.output) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                summary.broken_pipe = true;
                return Ok(summary);
            }
            written => written.map_err(|error| cannot("write the output", &error))?,
        }
        summary.add(&block.summary);
        each(&summary);
        block.clear(machine.block_bytes);
        // It fails once the reader has reached the end, and needs no more blocks.
        let _ = machine.empty.send(block);
    }
    Ok(summary)
}

/// A block of whole lines on its way round.
#[derive(Default)]
struct Block {
    /// Whole lines, the last one perhaps without its newline.
    input: Vec<u8>,
    /// How many bytes were sent before them.
    start: usize,
    /// Clean lines, written at once.
    output: Vec<u8>,
    /// What its lines came to; lines beyond the limit are counted by the reader.
    summary: Summary,
}

impl Block {
    /// Empties it, and lets go of what a giant made it hold.
    fn clear(&mut self, block_bytes: usize) {
        for bytes in [&mut self.input, &mut self.output] {
            bytes.clear();
            if bytes.capacity() > 2 * block_bytes {
                bytes.shrink_to(0);
            }
        }
        self.summary = Summary::default();
    }
}

/// What a worker is given, or gives, in its turn.
enum Turn {
    Block(Block),
    Skipped,
    Failed(Error),
    End,
}

/// The running threads, seen from the writer.
struct Machine {
    results: Vec<Receiver<Turn>>,
    empty: Sender<Block>,
    block_bytes: usize,
}

impl Machine {
    fn start<S>(job: &Arc<Job>, sources: S) -> Self
    where
        S: Iterator<Item = Result<Source>> + Send + 'static,
    {
        let threads = job.threads.max(1);
        // One block in each worker and one waiting for it, one being filled, one being written.
        let blocks = 2 * threads + 2;
        // Half of the bytes are for the output side of the blocks.
        let block_bytes = (BLOCKS_BYTES_MAX / 2 / blocks).clamp(1 << 12, BLOCK_BYTES_MAX);
        let (empty, returned) = channel();
        let (work, results) = (0..threads).map(|_| worker(job, blocks)).unzip();
        let line_bytes_max = job.limits.value_bytes;
        let spare = (0..blocks).map(|_| Block::default()).collect();
        let reader =
            Reader { work, turn: 0, sent: 0, spare, returned, blocks, block_bytes, line_bytes_max };
        thread::spawn(move || reader.run(sources));
        Self { results, empty, block_bytes }
    }
}

/// Starts a worker; gives its two ends.
fn worker(job: &Arc<Job>, blocks: usize) -> (SyncSender<Turn>, Receiver<Turn>) {
    let job = job.clone();
    let (work, queue) = sync_channel::<Turn>(blocks);
    let (done, results) = sync_channel(blocks);
    thread::spawn(move || {
        let mut cleaner = Cleaner::new(&job);
        for mut turn in queue {
            if let Turn::Block(block) = &mut turn {
                cleaner.clean(block);
            }
            if done.send(turn).is_err() {
                return;
            }
        }
    });
    (work, results)
}

/// A worker's state.
struct Cleaner<'a> {
    job: &'a Job,
    route: Route,
    engine: Engine,
    batch: Batch,
    /// Where the lines of the batch stand in the block.
    lines: Vec<Range<usize>>,
}

impl<'a> Cleaner<'a> {
    fn new(job: &'a Job) -> Self {
        let tenant = TenantSource::Fixed(job.tenant.clone());
        let route = Route { index: 0, tenant, default_tenant: None };
        let engine = Engine::new(job.limits);
        Self { job, route, engine, batch: Batch::default(), lines: Vec::new() }
    }

    fn clean(&mut self, block: &mut Block) {
        let mut lines = lines(&block.input);
        loop {
            self.lines.clear();
            self.lines.extend(lines.by_ref().take(BATCH_RECORDS_MAX));
            if self.lines.is_empty() {
                break;
            }
            self.clean_batch(&block.input, block.start);
            self.write_batch(&block.input, &mut block.output, &mut block.summary);
        }
        if self.batch.arena_bytes() > SCRATCH_BYTES_MAX {
            self.engine = Engine::new(self.job.limits);
            self.batch = Batch::default();
        }
    }

    fn clean_batch(&mut self, input: &[u8], start: usize) {
        self.batch.clear();
        let records = self
            .lines
            .iter()
            .map(|line| (&self.route, self.job.record(&input[line.clone()], start + line.start)));
        self.engine.clean_all(&self.job.policies, records, &mut self.batch);
        self.batch.complete();
    }

    fn write_batch(&self, input: &[u8], output: &mut Vec<u8>, summary: &mut Summary) {
        for (index, line) in self.lines.iter().enumerate() {
            let record = self.job.record(&input[line.clone()], line.start);
            summary.records_in += 1;
            match self.batch.outcome(index, &record, &self.job.policies) {
                Outcome::Clean(clean) => {
                    output.extend_from_slice(clean.value().unwrap_or_default());
                    output.push(b'\n');
                    summary.clean += 1;
                }
                Outcome::Withheld(withheld) => summary.withheld[withheld.reason as usize] += 1,
            }
        }
    }
}

impl Job {
    /// A line as a record: it has a value, a time and a place, and nothing else.
    fn record<'a>(&self, line: &'a [u8], start: usize) -> Record<'a> {
        Record {
            topic: "",
            partition: 0,
            offset: i64::try_from(start).unwrap_or(i64::MAX),
            timestamp_ms: Some(self.timestamp_ms),
            key: None,
            value: Some(Raw::new(line)),
            headers: NO_HEADERS,
        }
    }
}

/// Where the lines stand that aren't empty, without their ends (a newline, or a carriage return
/// and a newline).
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let ends = memchr_iter(b'\n', bytes).chain((!bytes.is_empty()).then_some(bytes.len()));
    let mut start = 0;
    ends.filter_map(move |newline| {
        let line = start..newline;
        start = newline + 1;
        let line = match bytes.get(line.clone())? {
            [.., b'\r'] => line.start..line.end - 1,
            _ => line,
        };
        (!line.is_empty()).then_some(line)
    })
}

/// Why the reader stops before its end.
enum Stop {
    /// Nobody takes blocks any more.
    Unwanted,
    /// An input failed.
    Failed(Error),
}

type Going<T> = std::result::Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The reader's thread.
struct Reader {
    work: Vec<SyncSender<Turn>>,
    /// How many turns were given.
    turn: usize,
    /// How many bytes were sent.
    sent: usize,
    /// Empty blocks at hand.
    spare: Vec<Block>,
    /// Empty blocks on their way back.
    returned: Receiver<Block>,
    /// How many blocks there are.
    blocks: usize,
    block_bytes: usize,
    line_bytes_max: usize,
}

impl Reader {
    fn run<S: Iterator<Item = Result<Source>>>(mut self, mut sources: S) {
        let last = match sources.try_for_each(|source| self.read(source?)) {
            Ok(()) => Turn::End,
            Err(Stop::Failed(error)) => Turn::Failed(error),
            Err(Stop::Unwanted) => return,
        };
        // If nobody wants to know, that is fine too.
        let _ = self.give(last);
    }

    /// Sends all lines of one source on.
    fn read(&mut self, source: Source) -> Going<()> {
        let mut input = Input::open(source)?;
        let mut ended = false;
        while !ended {
            let mut block = self.empty_block()?;
            ended = self.fill(&mut block, &mut input)?;
            block.start = self.sent;
            self.sent += block.input.len();
            if block.input.is_empty() && block.summary.records_in == 0 {
                self.spare.push(block);
            } else if block.input.len() > self.block_bytes {
                self.send_alone(block)?;
            } else {
                self.give(Turn::Block(block))?;
            }
        }
        Ok(())
    }

    /// Fills a block with whole lines; true at the input's end. What follows the last newline
    /// waits in the input for the next block.
    fn fill(&self, block: &mut Block, input: &mut Input) -> Going<bool> {
        block.input.append(&mut input.begun);
        loop {
            let from = block.input.len();
            if input.read(&mut block.input, self.room(from))? == 0 {
                return Ok(true);
            }
            input.skip(&mut block.input, from);
            match memrchr(b'\n', &block.input) {
                Some(newline) if input.live || block.input.len() >= self.block_bytes => {
                    input.begun.extend_from_slice(&block.input[newline + 1..]);
                    block.input.truncate(newline + 1);
                    return Ok(false);
                }
                // One more for a carriage return, which is no part of the line.
                None if block.input.len() > self.line_bytes_max + 1 => {
                    block.input.clear();
                    block.summary.records_in += 1;
                    block.summary.withheld[Reason::Limits as usize] += 1;
                    input.skipping = true;
                }
                _ => {}
            }
        }
    }

    /// How much to read into a block that holds so much: what is left of it, or another block's
    /// worth if one line fills it, never much more than the limit.
    fn room(&self, held: usize) -> usize {
        match self.block_bytes.saturating_sub(held) {
            0 => (self.line_bytes_max + 2).saturating_sub(held).clamp(1, self.block_bytes),
            left => left,
        }
    }

    fn give(&mut self, turn: Turn) -> Going<()> {
        let worker = self.turn % self.work.len();
        self.turn += 1;
        self.work[worker].send(turn).map_err(|_| Stop::Unwanted)
    }

    /// Sends a giant when no other block is on its way, and waits until it is back. Always to the
    /// first worker: what a thread has once held, the allocator keeps for it.
    fn send_alone(&mut self, block: Block) -> Going<()> {
        self.await_spare(self.blocks - 1)?;
        while !self.turn.is_multiple_of(self.work.len()) {
            self.give(Turn::Skipped)?;
        }
        self.give(Turn::Block(block))?;
        self.await_spare(self.blocks)
    }

    fn await_spare(&mut self, blocks: usize) -> Going<()> {
        while self.spare.len() < blocks {
            self.spare.push(self.returned.recv().map_err(|_| Stop::Unwanted)?);
        }
        Ok(())
    }

    fn empty_block(&mut self) -> Going<Block> {
        match self.spare.pop() {
            Some(block) => Ok(block),
            None => self.returned.recv().map_err(|_| Stop::Unwanted),
        }
    }
}

/// A source being read.
struct Input {
    name: String,
    reader: Box<dyn Read + Send>,
    live: bool,
    /// The line whose end hasn't come yet.
    begun: Vec<u8>,
    /// Is the rest of a line beyond the limit still to come?
    skipping: bool,
}

impl Input {
    fn open(source: Source) -> Result<Self> {
        let Source { name, reader, live } = source;
        let (reader, compressed) =
            decompressed(reader).map_err(|error| cannot(&format!("read {name}"), &error))?;
        let live = live && !compressed;
        Ok(Self { name, reader, live, begun: Vec::new(), skipping: false })
    }

    /// Reads up to `room` bytes: all of them, unless the input ends or is live; 0 at its end.
    fn read(&mut self, into: &mut Vec<u8>, room: usize) -> Result<usize> {
        let read = if self.live {
            read_once(&mut self.reader, into, room.min(LIVE_BYTES))
        } else {
            into.reserve_exact(room);
            self.reader.by_ref().take(room as u64).read_to_end(into)
        };
        read.map_err(|error| cannot(&format!("read {}", self.name), &error))
    }

    /// Takes the rest of a line beyond the limit out of what was read from `from` on.
    fn skip(&mut self, bytes: &mut Vec<u8>, from: usize) {
        if !self.skipping {
            return;
        }
        match memchr(b'\n', &bytes[from..]) {
            Some(newline) => {
                bytes.drain(from..=from + newline);
                self.skipping = false;
            }
            None => bytes.truncate(from),
        }
    }
}

/// What a pipe holds on Linux: more can't come at once.
const LIVE_BYTES: usize = 64 << 10;

/// Reads what is there, waiting only if nothing is.
fn read_once(reader: &mut impl Read, into: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let from = into.len();
    into.resize(from + room, 0);
    let read = loop {
        match reader.read(&mut into[from..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    into.truncate(from + *read.as_ref().unwrap_or(&0));
    read
}

/// Undoes gzip or zstd, known by their first bytes; also says whether there was any to undo.
///
/// # Errors
/// The first bytes cannot be read.
pub fn decompressed(mut reader: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let mut first = Vec::with_capacity(ZSTD.len());
    reader.by_ref().take(ZSTD.len() as u64).read_to_end(&mut first)?;
    let (gzip, zstd) = (first.starts_with(&GZIP), first == ZSTD);
    let whole = Cursor::new(first).chain(reader);
    let buffered = |whole| BufReader::with_capacity(COMPRESSED_BYTES, whole);
    Ok(match (gzip, zstd) {
        (true, _) => (Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))), true),
        (_, true) => (Box::new(zstd::Decoder::with_buffer(buffered(whole))?), true),
        _ => (Box::new(whole), false),
    })
}

/// How much of a compressed input is read at once.
const COMPRESSED_BYTES: usize = 128 << 10;

fn cannot(what: &str, error: &io::Error) -> Error {
    Error::fatal(format!("cannot {what}: {error}"))
}

fn worker_lost() -> Error {
    Error::fatal("a worker thread stopped; the output ends before the input does")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_newline_or_both_or_nothing_and_empty_ones_are_passed_over() {
        let found = |text: &'static str| -> Vec<&str> {
            lines(text.as_bytes()).map(|line| &text[line]).collect()
        };
        assert_eq!(found("a\nbc\r\n\n\r\nd\re"), ["a", "bc", "d\re"]);
        assert_eq!(found("a\n"), ["a"]);
        assert_eq!(found("\r"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }

    #[test]
    fn the_summary_names_only_reasons_that_occurred() {
        let mut summary = Summary { records_in: 4, clean: 4, ..Summary::default() };
        assert_eq!(summary.to_string(), "4 in, 4 clean, 0 withheld");
        summary.add(&Summary { records_in: 3, withheld: [2, 0, 1, 0, 0, 0], ..Summary::default() });
        assert_eq!(summary.to_string(), "7 in, 4 clean, 3 withheld (malformed 2, tenant 1)");
    }
}
