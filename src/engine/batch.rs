//! The records of one batch on their way out: one arena for all clean bytes, one entry a record.

use super::Tally;
use crate::error::Reason;
use crate::policy::Policies;
use crate::record::{Headers, Record};
use std::fmt;
use std::ops::Range;

/// A record that may be published. Only the engine makes one.
#[derive(Clone, Copy)]
pub struct Clean<'a> {
    value: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    headers: CleanHeaders<'a>,
}

impl<'a> Clean<'a> {
    /// The clean value; `None` is a tombstone.
    #[must_use]
    pub const fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The clean key.
    #[must_use]
    pub const fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The clean headers.
    #[must_use]
    pub const fn headers(&self) -> CleanHeaders<'a> {
        self.headers
    }
}

impl fmt::Debug for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clean({} bytes)", self.value.map_or(0, <[u8]>::len))
    }
}

/// A clean record's headers.
#[derive(Clone, Copy)]
pub enum CleanHeaders<'a> {
    /// Those of the source record, all of them, as they are (no rule touched one).
    Same,
    /// These instead.
    Edited(&'a dyn Headers),
}

/// A record that must not be published.
#[derive(Debug, Clone, Copy)]
pub struct Withheld<'a> {
    /// Why.
    pub reason: Reason,
    /// Its tenant, only if limpid has a policy for it: a name that no policy knows is the
    /// record's own content.
    pub tenant: Option<&'a str>,
}

/// What became of one record.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It may go to the clean topic.
    Clean(Clean<'a>),
    /// It goes to the quarantine.
    Withheld(Withheld<'a>),
}

/// A batch: filled by [`super::Engine::clean`], then read by index. Reused from batch to batch.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    tally: Tally,
}

struct Entry {
    value: Option<Range<usize>>,
}

impl Batch {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory that the arena holds.
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// What became of record number `index`; `record` and `policies` are the ones given to
    /// [`super::Engine::clean`] for it. The bytes stay where they are until [`Batch::clear`].
    #[must_use]
    pub fn outcome<'a>(
        &'a self,
        index: usize,
        record: &Record<'a>,
        policies: &'a Policies,
    ) -> Outcome<'a> {
        let _ = policies;
        let value = self.entries[index].value.clone().map(|range| &self.bytes[range]);
        Outcome::Clean(Clean {
            value,
            key: record.key.map(crate::record::Raw::expose),
            headers: CleanHeaders::Same,
        })
    }

    /// What the batch came to.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}
