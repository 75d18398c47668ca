//! One Kafka record as it came, and the type that keeps it from leaking.
//!
//! Everything of a record that may be personal travels as [`Raw`]. `Raw` has no `Display` and no
//! `Serialize`; its `Debug` prints a length. Reaching the bytes takes a visible call,
//! [`Raw::expose`], which only the engine (to clean), quarantine (to seal), the brokers (to hand
//! a record on) and the tests have a reason to make.

use std::fmt;

/// Bytes of a record as they came: personal until the engine has cleaned them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

impl<'a> Raw<'a> {
    /// Marks `bytes` as personal.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    #[must_use]
    pub const fn expose(self) -> &'a [u8] {
        self.0
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// True for zero bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

/// A part of a record in which rules name fields, because it is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The record's value.
    Value,
    /// The record's key.
    Key,
}

impl Part {
    /// Both, in the order in which they are cleaned.
    pub const ALL: [Self; 2] = [Self::Value, Self::Key];
}

/// One record header: its name (bytes, as Kafka has them; case matters) and its value.
pub type Header<'a> = (&'a [u8], Option<Raw<'a>>);

/// A record's headers, looked at only when a rule names one.
///
/// Two implementors: librdkafka's native list and [`NO_HEADERS`]-like slices of the in-memory
/// broker, so that the hot path never builds a list that nobody reads.
pub trait Headers {
    /// How many headers there are; a name may occur more than once.
    fn count(&self) -> usize;
    /// Header number `index`, in the record's order; `None` past the end.
    fn get(&self, index: usize) -> Option<Header<'_>>;
}

impl Headers for [(Vec<u8>, Option<Vec<u8>>)] {
    fn count(&self) -> usize {
        self.len()
    }
    fn get(&self, index: usize) -> Option<Header<'_>> {
        let (name, value) = <[_]>::get(self, index)?;
        Some((name, value.as_deref().map(Raw::new)))
    }
}

impl Headers for Vec<(Vec<u8>, Option<Vec<u8>>)> {
    fn count(&self) -> usize {
        self.len()
    }
    fn get(&self, index: usize) -> Option<Header<'_>> {
        Headers::get(self.as_slice(), index)
    }
}

/// The headers of a record that has none.
pub const NO_HEADERS: &dyn Headers = &NoHeaders;

struct NoHeaders;

impl Headers for NoHeaders {
    fn count(&self) -> usize {
        0
    }
    fn get(&self, _: usize) -> Option<Header<'_>> {
        None
    }
}

/// One Kafka record, borrowed from the fetch buffer.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Source topic.
    pub topic: &'a str,
    /// Source partition; the clean record goes to the partition of the same number.
    pub partition: i32,
    /// Offset in the source partition.
    pub offset: i64,
    /// Record time, milliseconds since the Unix epoch; `None` where the broker keeps none.
    pub timestamp_ms: Option<i64>,
    /// The record's key.
    pub key: Option<Raw<'a>>,
    /// The record's value; `None` is a tombstone.
    pub value: Option<Raw<'a>>,
    /// The record's headers.
    pub headers: &'a dyn Headers,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("key", &self.key)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_record_shows_no_value() {
        let headers = vec![(b"mail".to_vec(), Some(b"canary".to_vec()))];
        let record = Record {
            topic: "raw",
            partition: 0,
            offset: 7,
            timestamp_ms: None,
            key: Some(Raw::new(b"canary")),
            value: Some(Raw::new(b"canary")),
            headers: &headers,
        };
        let shown = format!("{record:?}");
        assert!(shown.contains("Raw(6 bytes)"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
