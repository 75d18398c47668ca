//! The records of one batch on their way out: one arena for all clean bytes, one entry a record.
//!
//! Clean bytes are not handed on record by record, as the arena may move while it grows. They are
//! read once the whole batch is in it, and then stay in place until [`Batch::clear`]: a producer
//! may send straight from here, without a copy.

use super::edit::Edited;
use super::tally::RulesAt;
use super::{RouteTally, RuleTally, Tally};
use crate::error::Reason;
use crate::format::Out;
use crate::format::json::Edit;
use crate::hash::{LANES, Waiting};
use crate::policy::Policies;
use crate::record::{Header, Headers, Raw, Record};
use crate::transform::{HASH_CHARS, spell_hash};
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
    Edited(EditedHeaders<'a>),
}

/// The headers that a plan left of a record.
#[derive(Clone, Copy)]
pub struct EditedHeaders<'a> {
    arena: &'a [u8],
    list: &'a [EditedHeader],
}

impl Headers for EditedHeaders<'_> {
    fn count(&self) -> usize {
        self.list.len()
    }

    fn get(&self, index: usize) -> Option<Header<'_>> {
        let header = self.list.get(index)?;
        let value = header.value.clone().map(|value| Raw::new(&self.arena[value]));
        Some((&self.arena[header.name.clone()], value))
    }
}

/// Clean values as lines, each with its newline. Only the engine makes them.
#[derive(Default)]
pub struct CleanLines(Vec<u8>);

impl CleanLines {
    /// The lines, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of memory that they hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Empties them, keeping their memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
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
    arena: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<EditedHeader>,
    tally: Tally,
    /// Values whose pseudonyms are still to be written to the arena.
    waiting: Waiting,
    /// How many of them are of records before the open one.
    waiting_before: usize,
    /// A newline stands behind each clean value.
    is_lines: bool,
}

/// A record's parts, as ranges of the arena.
#[derive(Default)]
struct Entry {
    slot: Option<usize>,
    withheld: Option<Reason>,
    value: Option<Range<usize>>,
    key: Key,
    /// A range of `Batch::headers`; `None`: as they were.
    headers: Option<Range<usize>>,
    /// Where its bytes in the arena begin.
    start: usize,
}

#[derive(Default)]
enum Key {
    #[default]
    Same,
    Dropped,
    Replaced(Range<usize>),
}

struct EditedHeader {
    name: Range<usize>,
    value: Option<Range<usize>>,
}

impl Batch {
    /// One whose clean values are to be lines: see [`Batch::move_lines`].
    #[must_use]
    pub fn of_lines() -> Self {
        Self { is_lines: true, ..Self::default() }
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.headers.clear();
        self.waiting.truncate(0);
        self.tally.clear();
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
        self.arena.capacity()
    }

    /// What the batch came to.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Writes what is still waiting. Comes after the last record, before the first outcome is read.
    pub fn complete(&mut self) {
        let arena = &mut self.arena;
        self.waiting.hash(|place, hash| {
            arena[place..place + HASH_CHARS].copy_from_slice(&spell_hash(hash));
        });
    }

    /// Puts the clean values, in their order, behind `lines`, and empties the batch. Nothing is copied if
    /// `lines` is empty: then the two exchange their memory.
    ///
    /// # Panics
    /// Unless [`Batch::complete`] came before, the batch is one [`Batch::of_lines`], and no key or
    /// header was written to it.
    pub fn move_lines(&mut self, lines: &mut CleanLines) {
        assert!(self.is_lines && self.waiting.is_empty(), "lines that are complete");
        let values = |row: &RouteTally| row.bytes_out + row.records_out - row.tombstones;
        let bytes: u64 = self.tally.routes.iter().map(values).sum();
        assert_eq!(self.arena.len() as u64, bytes, "nothing but values and newlines");
        if lines.0.is_empty() {
            std::mem::swap(&mut self.arena, &mut lines.0);
        } else {
            lines.0.extend_from_slice(&self.arena);
        }
        self.clear();
    }

    /// What became of record number `index`; `record` and `policies` are the ones given to
    /// [`super::Engine::clean`] for it. The bytes stay where they are until [`Batch::clear`].
    ///
    /// # Panics
    /// Unless [`Batch::complete`] came before.
    #[must_use]
    pub fn outcome<'a>(
        &'a self,
        index: usize,
        record: &Record<'a>,
        policies: &'a Policies,
    ) -> Outcome<'a> {
        assert!(self.waiting.is_empty(), "a batch is completed before it is read");
        let entry = &self.entries[index];
        if let Some(reason) = entry.withheld {
            let tenant = entry.slot.map(|slot| &*policies.plan(slot).tenant);
            return Outcome::Withheld(Withheld { reason, tenant });
        }
        let key = match &entry.key {
            Key::Same => record.key.map(Raw::expose),
            Key::Dropped => None,
            Key::Replaced(range) => Some(&self.arena[range.clone()]),
        };
        let headers = match &entry.headers {
            None => CleanHeaders::Same,
            Some(range) => {
                let list = &self.headers[range.clone()];
                CleanHeaders::Edited(EditedHeaders { arena: &self.arena, list })
            }
        };
        let value = entry.value.clone().map(|range| &self.arena[range]);
        Outcome::Clean(Clean { value, key, headers })
    }

    /// Makes room for the policies' numbers.
    pub(super) fn fit(&mut self, policies: &Policies) {
        self.tally.fit(policies);
    }

    /// Opens the entry of the next record.
    pub(super) fn begin(&mut self, policies: &Policies) {
        self.fit(policies);
        if self.waiting.len() >= LANES {
            self.complete();
        }
        self.waiting_before = self.waiting.len();
        self.entries.push(Entry { start: self.arena.len(), ..Entry::default() });
    }

    /// Notes whose record it is; gives the place of its rules' counters.
    pub(super) fn name_tenant(&mut self, policies: &Policies, slot: usize) -> RulesAt {
        self.entry().slot = Some(slot);
        self.tally.touch(policies, slot, 1)
    }

    /// The open entry's parts, and the counters of its rules, which [`Batch::name_tenant`] gave.
    pub(super) fn parts(&mut self, rules: RulesAt) -> Open<'_> {
        let Self { arena, entries, headers, tally, waiting, .. } = self;
        let entry = entries.last_mut().expect("begin has opened an entry");
        let rules = tally.at(rules);
        Open { out: Parts { arena, headers, entry }, rules, waiting }
    }

    /// Closes the open entry and counts it.
    pub(super) fn finish(
        &mut self,
        route: usize,
        record: &Record<'_>,
        cleaned: Result<(), Reason>,
    ) {
        if let Err(reason) = cleaned {
            let entry = self.entry();
            entry.withheld = Some(reason);
            let (start, headers) = (entry.start, entry.headers.take());
            self.arena.truncate(start);
            self.waiting.truncate(self.waiting_before);
            if let Some(headers) = headers {
                self.headers.truncate(headers.start);
            }
        }
        let bytes_out = self.entry().value.as_ref().map(ExactSizeIterator::len);
        if self.is_lines && cleaned.is_ok() && bytes_out.is_some() {
            self.arena.push(b'\n');
        }
        let row = self.tally.route(route);
        row.records_in += 1;
        row.bytes_in += record.value.map_or(0, Raw::len) as u64;
        match cleaned {
            Err(reason) => row.withheld[reason as usize] += 1,
            Ok(()) => {
                row.records_out += 1;
                row.bytes_out += bytes_out.unwrap_or(0) as u64;
                row.tombstones += u64::from(bytes_out.is_none());
            }
        }
    }

    fn entry(&mut self) -> &mut Entry {
        self.entries.last_mut().expect("begin has opened an entry")
    }
}

/// A record being cleaned: where its parts go, and what its rules are counted in.
pub(super) struct Open<'a> {
    pub(super) out: Parts<'a>,
    pub(super) rules: &'a mut [RuleTally],
    pub(super) waiting: &'a mut Waiting,
}

/// The parts of a record being cleaned.
pub(super) struct Parts<'a> {
    arena: &'a mut Vec<u8>,
    headers: &'a mut Vec<EditedHeader>,
    entry: &'a mut Entry,
}

impl Parts<'_> {
    /// Writes the value.
    pub(super) fn value(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.entry.value = Some(self.json(write)?);
        Ok(())
    }

    /// Writes a part that is JSON; gives its place.
    pub(super) fn json(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Reason>,
    ) -> Result<Range<usize>, Reason> {
        let start = self.arena.len();
        write(self.arena)?;
        Ok(start..self.arena.len())
    }

    /// Bytes of the value written.
    pub(super) fn value_bytes(&self) -> usize {
        self.entry.value.as_ref().map_or(0, ExactSizeIterator::len)
    }

    /// Runs an edit that writes bare bytes.
    pub(super) fn plain(
        &mut self,
        edit: impl FnOnce(&mut Out<'_>) -> Result<Edit, Reason>,
    ) -> Result<Edited, Reason> {
        let start = self.arena.len();
        let edit = edit(&mut Out::plain(self.arena))?;
        if edit == Edit::Replace {
            return Ok(Edited::Replace(start..self.arena.len()));
        }
        self.arena.truncate(start);
        Ok(if edit == Edit::Drop { Edited::Drop } else { Edited::Keep })
    }

    pub(super) fn set_key(&mut self, edit: Edited) {
        self.entry.key = match edit {
            Edited::Keep => Key::Same,
            Edited::Drop => Key::Dropped,
            Edited::Replace(range) => Key::Replaced(range),
        };
    }

    /// From here on the record has its own list of headers.
    pub(super) fn edit_headers(&mut self) {
        self.entry.headers = Some(self.headers.len()..self.headers.len());
    }

    /// Adds a header to that list, unless it was dropped.
    pub(super) fn push_header(&mut self, name: &[u8], value: Option<&[u8]>, edit: Edited) {
        let value = match edit {
            Edited::Drop => return,
            Edited::Keep => value.map(|value| self.store(value)),
            Edited::Replace(range) => Some(range),
        };
        let name = self.store(name);
        self.headers.push(EditedHeader { name, value });
        if let Some(range) = &mut self.entry.headers {
            range.end = self.headers.len();
        }
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }
}
