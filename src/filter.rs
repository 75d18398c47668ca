//! `limpid filter` without its arguments: lines of raw records in, lines of clean records out.
//!
//! The problem: use every core, keep the order of the lines, and hold a bounded amount of memory
//! whatever the input looks like. So the input is cut at newlines into blocks, and every worker does
//! all of a block: it reads it when nobody else reads, and is told the block's turn; cleans it; and
//! hands in the clean lines. Who hands in while nobody writes writes whatever is next in turn, until
//! what is next is not there. Nobody waits for another's block, and a block's bytes are read, cleaned
//! and, most often, written by one core while they are in its cache.
//!
//! ```text
//!           ┌──▶ worker 0 ──┐
//!   input ──┤──▶ worker 1 ──├──▶ clean lines by turn ──▶ output
//!     ▲     └──▶ worker 2 ──┘            │
//!     └──── room: so many turns ◀────────┘
//! ```
//!
//! The back-pressure: a block is read only if fewer than a fixed number are read and not yet written.
//!
//! A line that doesn't fit a block is a giant, up to the limit on a record. It is read on in a buffer of
//! which there is one, cleaned and written when all before it is, and nothing is read meanwhile. That
//! bounds the memory by blocks and one giant, not by blocks that have all grown. A line beyond the
//! limit is not kept: it is skipped and counted.
//!
//! Tried and thrown away:
//! - memory-mapped files and a thread pool over ranges: faster on one huge file, useless on pipes and
//!   compressed input, and the page cache then is the memory bound;
//! - a thread that reads, the caller's that writes, and channels of blocks between them and the workers:
//!   blocks pass through three cores' caches, and are waited for. With records' outcomes asked for one
//!   by one and copied to the output, and buffers zeroed before each read, a CPU second gave 0.75 of the
//!   kernel's own bytes; so it gives 0.86 (benches/filter.sh's file, middle of five, in turns);
//! - other sizes of blocks: from 64 to 512 KiB all take the same CPU time, 32 KiB 5 % more. Nor does it
//!   matter where in a page a read begins.
//!
//! Invariant: nothing but [`CleanLines`], which only the engine makes, is written.

use crate::engine::{Batch, CleanLines, Engine, Limits, Route, RouteTally, TenantSource};
use crate::error::{Error, Reason, Result};
use crate::limits::BATCH_RECORDS_MAX;
use crate::policy::Policies;
use crate::record::{NO_HEADERS, Raw, Record};
use memchr::{memchr, memchr_iter, memrchr};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A block's size unless many threads share the memory.
const BLOCK_BYTES_MAX: usize = 256 << 10;

/// Bytes that all blocks may hold together, in and out, giants aside.
const BLOCKS_BYTES_MAX: usize = 64 << 20;

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

    /// Counts a line that is left out before it is cleaned.
    fn withhold(&mut self, reason: Reason) {
        self.records_in += 1;
        self.withheld[reason as usize] += 1;
    }

    /// Counts what a batch came to.
    fn count(&mut self, row: &RouteTally) {
        let RouteTally { records_in, records_out: clean, withheld, .. } = *row;
        self.add(&Self { records_in, clean, withheld, broken_pipe: false });
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

/// Cleans the lines of all `sources`, one after the other, into `output`.
///
/// # Errors
/// An input that can't be opened or read, an output that can't be written. What was written
/// before is a clean prefix, in whole lines as far as the output took them.
pub fn filter<S, W>(job: Job, sources: S, output: W) -> Result<Summary>
where
    S: Iterator<Item = Result<Source>> + Send + 'static,
    W: Write + Send + 'static,
{
    let (tell, told) = channel();
    let machine = Arc::new(Machine::new(job, sources, output, tell));
    for _ in 0..machine.job.threads.max(1) {
        let machine = machine.clone();
        thread::spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| machine.work())).is_err() {
                machine.queue().end(Err(worker_lost()));
                machine.moved.notify_one();
            }
        });
    }
    // The workers are not waited for: one may sit in a read that never returns.
    told.recv().unwrap_or_else(|_| Err(worker_lost()))
}

/// What the workers share.
struct Machine<S, W> {
    job: Job,
    block_bytes: usize,
    /// How many blocks may be read and not yet written.
    blocks: usize,
    /// Whoever reads holds it.
    reader: Mutex<Reader<S>>,
    queue: Mutex<Queue<W>>,
    /// The queue has moved on, or it is over. Only who reads waits for that.
    moved: Condvar,
}

impl<S: Iterator<Item = Result<Source>>, W: Write> Machine<S, W> {
    fn new(job: Job, sources: S, output: W, tell: Sender<Result<Summary>>) -> Self {
        // One in each worker, one more each that waits for its turn, and some room.
        let blocks = 2 * job.threads + 2;
        // Half of the bytes are for the output side of the blocks.
        let block_bytes = (BLOCKS_BYTES_MAX / 2 / blocks).clamp(1 << 12, BLOCK_BYTES_MAX);
        let reader = Mutex::new(Reader::new(sources, block_bytes, job.limits.value_bytes));
        let queue = Mutex::new(Queue::new(output, tell));
        Self { job, block_bytes, blocks, reader, queue, moved: Condvar::new() }
    }

    /// A worker's life.
    fn work(&self) {
        let mut cleaner = Cleaner::new(&self.job);
        let mut block = Block { bytes: vec![0; self.block_bytes], ..Block::default() };
        while let Some(turn) = self.read(&mut block) {
            let mut lines = self.queue().spare.pop().unwrap_or_default();
            cleaner.clean(&self.job, &mut block, &mut lines);
            self.hand_in(turn, Turn::Lines(lines, mem::take(&mut block.summary)));
        }
    }

    /// Reads the next block and gives its turn; nothing when there are no more.
    fn read(&self, block: &mut Block) -> Option<usize> {
        // Another's read has panicked if it can't be locked: then it is over, too.
        let mut reader = self.reader.lock().ok()?;
        while !reader.ended {
            let turn = reader.turn;
            drop(self.wait_until(|queue| turn < queue.turn + self.blocks)?);
            reader.turn += 1;
            let last = match reader.fill(block) {
                Ok(Filled::Lines) => return Some(turn),
                Ok(Filled::Giant) => {
                    self.pass_giant(turn, &mut reader, block)?;
                    continue;
                }
                Ok(Filled::Nothing) => Turn::End,
                Err(error) => Turn::Failed(error),
            };
            reader.ended = true;
            self.hand_in(turn, last);
        }
        None
    }

    /// Reads on the giant that a block begins with, cleans it and writes it, when no other block is on
    /// its way. Nothing if it is over.
    fn pass_giant(&self, turn: usize, reader: &mut Reader<S>, block: &Block) -> Option<()> {
        let is_next = |queue: &Queue<W>| queue.turn == turn && queue.output.is_some();
        let mut queue = self.wait_until(is_next)?;
        queue.turn += 1;
        let mut output = queue.output.take()?;
        drop(queue);
        let mut giant = reader.giant.take().unwrap_or_else(|| Giant::new(&self.job));
        let Giant { block: grown, cleaner, lines } = &mut giant;
        if let Err(error) = reader.read_giant(block, grown) {
            self.queue().end(Err(error));
            return None;
        }
        cleaner.clean(&self.job, grown, lines);
        let mut queue = self.write(&mut output, lines, &grown.summary);
        lines.clear();
        queue.output = Some(output);
        reader.giant = Some(giant);
        Some(())
    }

    /// Takes what came of a turn. Writes it and all that waits behind it, unless what is before it
    /// isn't there, or another worker is writing: then that one will come to it.
    fn hand_in(&self, turn: usize, outcome: Turn) {
        let mut queue = self.queue();
        queue.put(turn, outcome);
        let Some(mut output) = queue.output.take() else { return };
        while let Some(outcome) = queue.next() {
            match outcome {
                Turn::Lines(mut lines, summary) => {
                    drop(queue);
                    queue = self.write(&mut output, &lines, &summary);
                    lines.clear();
                    if lines.capacity() <= 2 * self.block_bytes {
                        queue.spare.push(lines);
                    }
                }
                Turn::Failed(error) => queue.end(Err(error)),
                Turn::End => queue.end_well(),
            }
            self.moved.notify_one();
        }
        queue.output = Some(output);
        self.moved.notify_one();
    }

    /// Writes the lines whose turn it is.
    fn write(
        &self,
        output: &mut W,
        lines: &CleanLines,
        summary: &Summary,
    ) -> MutexGuard<'_, Queue<W>> {
        let written = output.write_all(lines.bytes());
        let mut queue = self.queue();
        match written {
            Ok(()) => queue.summary.add(summary),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                queue.summary.broken_pipe = true;
                queue.end_well();
            }
            Err(error) => queue.end(Err(cannot("write the output", &error))),
        }
        queue
    }

    /// Waits until the queue is so; nothing if it is over.
    fn wait_until(&self, ready: impl Fn(&Queue<W>) -> bool) -> Option<MutexGuard<'_, Queue<W>>> {
        let waits = |queue: &mut Queue<W>| !queue.is_over() && !ready(queue);
        let queue = self.moved.wait_while(self.queue(), waits);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        (!queue.is_over()).then_some(queue)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<W>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a turn.
enum Turn {
    Lines(CleanLines, Summary),
    Failed(Error),
    End,
}

/// The clean lines on their way out.
struct Queue<W> {
    /// The turn to be written next.
    turn: usize,
    /// What came of it and of those behind it, as far as that is known.
    waiting: VecDeque<Option<Turn>>,
    /// Away while a worker writes.
    output: Option<W>,
    /// Memory of lines that were written.
    spare: Vec<CleanLines>,
    summary: Summary,
    /// Who wants to know how it ends; nobody when it is over.
    tell: Option<Sender<Result<Summary>>>,
}

impl<W> Queue<W> {
    fn new(output: W, tell: Sender<Result<Summary>>) -> Self {
        let (waiting, spare, summary) = (VecDeque::new(), Vec::new(), Summary::default());
        Self { turn: 0, waiting, output: Some(output), spare, summary, tell: Some(tell) }
    }

    fn put(&mut self, turn: usize, outcome: Turn) {
        let index = turn - self.turn;
        if self.waiting.len() <= index {
            self.waiting.resize_with(index + 1, || None);
        }
        self.waiting[index] = Some(outcome);
    }

    /// Takes what is to be written next, if it is there and it isn't over.
    fn next(&mut self) -> Option<Turn> {
        if self.is_over() {
            return None;
        }
        let next = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.turn += 1;
        Some(next)
    }

    fn is_over(&self) -> bool {
        self.tell.is_none()
    }

    fn end_well(&mut self) {
        let summary = mem::take(&mut self.summary);
        self.end(Ok(summary));
    }

    fn end(&mut self, outcome: Result<Summary>) {
        if let Some(tell) = self.tell.take() {
            // If nobody wants to know, that is fine too.
            let _ = tell.send(outcome);
        }
    }
}

/// A block of whole lines.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// How many of the bytes are the lines, the last one perhaps without its newline.
    held: usize,
    /// How many bytes were read before them.
    start: usize,
    /// What its lines came to, those beyond the limit too.
    summary: Summary,
}

/// What a worker cleans with.
struct Cleaner {
    route: Route,
    engine: Engine,
    batch: Batch,
}

impl Cleaner {
    fn new(job: &Job) -> Self {
        let tenant = TenantSource::Fixed(job.tenant.clone());
        let route = Route { index: 0, tenant, default_tenant: None };
        Self { route, engine: Engine::new(job.limits), batch: Batch::of_lines() }
    }

    fn clean(&mut self, job: &Job, block: &mut Block, output: &mut CleanLines) {
        let input = &block.bytes[..block.held];
        let mut lines = lines(input);
        loop {
            for line in lines.by_ref().take(BATCH_RECORDS_MAX) {
                let start = block.start + line.start;
                let record = job.record(&input[line], start);
                self.engine.clean(&job.policies, &self.route, &record, &mut self.batch);
            }
            if self.batch.is_empty() {
                return;
            }
            self.batch.complete();
            for row in &self.batch.tally().routes {
                block.summary.count(row);
            }
            self.batch.move_lines(output);
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

/// What a block was filled with.
enum Filled {
    Lines,
    /// The beginning of a line that it can't hold.
    Giant,
    /// There is no input left.
    Nothing,
}

/// What reads the inputs, one after the other.
struct Reader<S> {
    sources: S,
    input: Option<Input>,
    /// The line of the input whose end hasn't come yet; shorter than a block.
    begun: Vec<u8>,
    /// The turn of what is read next.
    turn: usize,
    /// Nothing is to be read any more.
    ended: bool,
    /// How many bytes were given out.
    sent: usize,
    block_bytes: usize,
    line_bytes_max: usize,
    /// Kept, as what a thread gives back may stay with it: each thread could then hold one.
    giant: Option<Giant>,
}

/// What a giant is read and cleaned in.
struct Giant {
    block: Block,
    cleaner: Cleaner,
    lines: CleanLines,
}

impl Giant {
    fn new(job: &Job) -> Self {
        let (block, lines) = (Block::default(), CleanLines::default());
        Self { block, cleaner: Cleaner::new(job), lines }
    }
}

impl<S: Iterator<Item = Result<Source>>> Reader<S> {
    fn new(sources: S, block_bytes: usize, line_bytes_max: usize) -> Self {
        Self {
            sources,
            input: None,
            begun: Vec::new(),
            turn: 0,
            ended: false,
            sent: 0,
            block_bytes,
            line_bytes_max,
            giant: None,
        }
    }

    /// Fills a block with whole lines of one input. What follows the last newline begins the next
    /// block.
    fn fill(&mut self, block: &mut Block) -> Result<Filled> {
        let input = match &mut self.input {
            Some(input) => input,
            None => match self.sources.next() {
                Some(source) => self.input.insert(Input::open(source?)?),
                None => return Ok(Filled::Nothing),
            },
        };
        block.bytes[..self.begun.len()].copy_from_slice(&self.begun);
        block.held = self.begun.len();
        self.begun.clear();
        loop {
            let from = block.held;
            let read = input.read(&mut block.bytes[from..])?;
            if read == 0 {
                self.input = None;
                break;
            }
            block.held += read;
            input.skip(block, from);
            let is_full = block.held == block.bytes.len();
            match memrchr(b'\n', &block.bytes[..block.held]) {
                Some(newline) if input.live || is_full => {
                    self.begun.extend_from_slice(&block.bytes[newline + 1..block.held]);
                    block.held = newline + 1;
                    break;
                }
                None if is_full => return Ok(Filled::Giant),
                _ => {}
            }
        }
        self.give_out(block);
        Ok(Filled::Lines)
    }

    /// Reads on the giant that a block begins with, up to its end or the limit.
    fn read_giant(&mut self, begins: &Block, block: &mut Block) -> Result<()> {
        block.summary = Summary::default();
        block.bytes.clear();
        block.bytes.extend_from_slice(&begins.bytes[..begins.held]);
        while let Some(input) = &mut self.input {
            let from = block.bytes.len();
            // One more for a carriage return, which is no part of the line, and one for the newline.
            let room = (self.line_bytes_max + 2).saturating_sub(from).min(self.block_bytes);
            if room == 0 {
                block.bytes.clear();
                block.summary.withhold(Reason::Limits);
                input.skipping = true;
                break;
            }
            block.bytes.resize(from + room, 0);
            let read = input.read(&mut block.bytes[from..])?;
            block.bytes.truncate(from + read);
            if read == 0 {
                self.input = None;
            }
            if let Some(newline) = memrchr(b'\n', &block.bytes[from..]) {
                self.begun.extend_from_slice(&block.bytes[from + newline + 1..]);
                block.bytes.truncate(from + newline + 1);
                break;
            }
        }
        block.held = block.bytes.len();
        self.give_out(block);
        Ok(())
    }

    fn give_out(&mut self, block: &mut Block) {
        block.start = self.sent;
        self.sent += block.held;
    }
}

/// A source being read.
struct Input {
    name: String,
    reader: Box<dyn Read + Send>,
    live: bool,
    /// Is the rest of a line beyond the limit still to come?
    skipping: bool,
}

impl Input {
    fn open(source: Source) -> Result<Self> {
        let Source { name, reader, live } = source;
        let (reader, compressed) =
            decompressed(reader).map_err(|error| cannot(&format!("read {name}"), &error))?;
        let live = live && !compressed;
        Ok(Self { name, reader, live, skipping: false })
    }

    /// Fills `into`, unless the input ends before, or is live: then with what is there. 0 at its end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.reader.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cannot(&format!("read {}", self.name), &error)),
            }
            if self.live {
                break;
            }
        }
        Ok(filled)
    }

    /// Takes the rest of a line beyond the limit out of what was read from `from` on.
    fn skip(&mut self, block: &mut Block, from: usize) {
        if !self.skipping {
            return;
        }
        match memchr(b'\n', &block.bytes[from..block.held]) {
            Some(newline) => {
                block.bytes.copy_within(from + newline + 1..block.held, from);
                block.held -= newline + 1;
                self.skipping = false;
            }
            None => block.held = from,
        }
    }
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
