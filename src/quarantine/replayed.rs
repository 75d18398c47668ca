//! The mark that a withheld record was replayed, in the quarantine topic itself.
//!
//! The problem: a replay picks (this tenant, that reason), and what stays must be found by the next
//! one. Offsets of a consumer group are a prefix: they can say "up to here", not "these and not
//! those". So each replayed record gets a mark, in its own partition of the quarantine topic and in
//! the same transaction as its clean copy: both are there, or neither. It names the message, not the
//! record's place in the raw topic, for that topic may be made anew and its offsets begin again.
//!
//! A mark holds nothing of the record and has no payload.

use super::layout::{REPLAYED, one};
use crate::record::Headers;

/// A message of the quarantine topic whose record was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replayed {
    /// Its partition, and the mark's.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl Replayed {
    /// Reads a mark that stands in this partition; `None` if the message is none.
    #[must_use]
    pub fn read(partition: i32, headers: &dyn Headers) -> Option<Self> {
        let offset = std::str::from_utf8(one(headers, REPLAYED)??).ok()?.parse().ok()?;
        Some(Self { partition, offset })
    }

    /// Its one header, text.
    #[must_use]
    pub fn header(&self) -> (&'static str, String) {
        (REPLAYED, self.offset.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clear;
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_is_no_withheld_record() {
        let mark = Replayed { partition: 3, offset: 1_234 };
        let (name, value) = mark.header();
        let headers = vec![(name.as_bytes().to_vec(), Some(value.into_bytes()))];
        assert_eq!(Replayed::read(3, &headers), Some(mark));
        assert_eq!(Clear::read(&headers), None);
    }
}
