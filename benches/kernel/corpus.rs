//! Records to clean: made-up events, one after the other in one stretch of memory, as a fetch
//! buffer has them. A corpus is larger than the second-level cache and read in order, so that
//! every contender, memcpy too, gets its bytes from where a service gets them.

use limpid::demo::events::Events;
use std::ops::Range;

/// Records in a batch; the arena is reused from batch to batch, as in a lane.
pub const BATCH_RECORDS: usize = 512;

/// Arenas of more than this are no longer what a lane has.
const BATCH_BYTES: usize = 4 << 20;

/// The seed of every corpus.
const SEED: u64 = 20_261_124;

/// Records, and where each ends.
pub struct Corpus {
    pub name: String,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Corpus {
    /// Web events of about 800 B.
    pub fn web(bytes_min: usize) -> Self {
        let mut events = Events::new(SEED);
        Self::of("web", bytes_min, |out| events.web(out))
    }

    /// Audit events of about 3 kB.
    pub fn audit(bytes_min: usize) -> Self {
        let mut events = Events::new(SEED);
        Self::of("audit", bytes_min, |out| events.audit(out))
    }

    /// Records of at least `record_bytes`, each a list of web events.
    pub fn bulk(name: &str, record_bytes: usize, bytes_min: usize) -> Self {
        let mut events = Events::new(SEED);
        Self::of(name, bytes_min, |out| {
            let start = out.len();
            out.extend_from_slice(br#"{"events":["#);
            events.web(out);
            while out.len() - start < record_bytes {
                out.push(b',');
                events.web(out);
            }
            out.extend_from_slice(b"]}");
        })
    }

    /// The lines of a file.
    pub fn read(name: &str, path: &str) -> std::io::Result<Self> {
        let text = std::fs::read(path)?;
        let mut corpus = Self { name: name.into(), bytes: Vec::new(), ends: Vec::new() };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            corpus.bytes.extend_from_slice(line);
            corpus.ends.push(corpus.bytes.len());
        }
        Ok(corpus)
    }

    fn of(name: &str, bytes_min: usize, mut make: impl FnMut(&mut Vec<u8>)) -> Self {
        let (mut bytes, mut ends) = (Vec::with_capacity(bytes_min + (2 << 20)), Vec::new());
        while bytes.len() < bytes_min {
            make(&mut bytes);
            ends.push(bytes.len());
        }
        Self { name: name.into(), bytes, ends }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn record(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.record(index))
    }

    /// Ranges of records, batch after batch.
    pub fn batches(&self) -> Vec<Range<usize>> {
        let mut batches = Vec::new();
        let (mut first, mut bytes) = (0, 0);
        for index in 0..self.len() {
            bytes += self.record(index).len();
            if index + 1 - first == BATCH_RECORDS || bytes >= BATCH_BYTES {
                batches.push(first..index + 1);
                (first, bytes) = (index + 1, 0);
            }
        }
        if first < self.len() {
            batches.push(first..self.len());
        }
        batches
    }
}
