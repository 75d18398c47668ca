//! Quarantine message format v1: where the bytes are. Shared by sealing and opening, so that the
//! two cannot drift apart.

use crate::keys::{KEY_ID_BYTES, Kem};
use crate::record::{Headers, Raw, Record};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use hpke::aead::ChaCha20Poly1305 as HpkeAead;
use hpke::kdf::HkdfSha256;
use std::ops::Range;
use zeroize::Zeroizing;

/// First byte of a sealed payload.
pub(super) const VERSION: u8 = 1;
/// Length of an encapsulated key.
pub(super) const ENCAPSULATED_BYTES: usize = 32;
/// Version, key id, encapsulated key, counter.
pub(super) const PREFIX_BYTES: usize = 1 + KEY_ID_BYTES + ENCAPSULATED_BYTES + 8;
/// Length of the authentication tag at the end.
pub(super) const TAG_BYTES: usize = 16;

/// HPKE's `info`.
pub(super) const INFO: &[u8] = b"limpid quarantine v1";
/// HPKE's `exporter_context` for the content key.
const CONTENT: &[u8] = b"content";

pub(super) type Sender = hpke::aead::AeadCtxS<HpkeAead, HkdfSha256, Kem>;
pub(super) type Receiver = hpke::aead::AeadCtxR<HpkeAead, HkdfSha256, Kem>;

/// The clear headers that are authenticated, in the order in which they are.
pub(super) const REASON: &str = "limpid-reason";
pub(super) const ROUTE: &str = "limpid-route";
pub(super) const TOPIC: &str = "limpid-topic";
pub(super) const PARTITION: &str = "limpid-partition";
pub(super) const OFFSET: &str = "limpid-offset";
pub(super) const TENANT: &str = "limpid-tenant";
/// How the payload is sealed: `none`, or format version and key id. Not authenticated: the
/// payload's own prefix says the same and is.
pub(super) const SEAL: &str = "limpid-seal";
/// Offset of a message in the same partition, whose record was replayed. Stands on a mark alone,
/// which has no reason and no seal: see `replayed`.
pub(super) const REPLAYED: &str = "limpid-replayed";

/// The content key that an export function gives.
pub(super) fn content_cipher(
    export: impl FnOnce(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
) -> Option<ChaCha20Poly1305> {
    let mut key = Zeroizing::new([0; 32]);
    export(CONTENT, &mut *key).ok()?;
    Some(ChaCha20Poly1305::new(&Key::from(*key)))
}

/// The nonce of record number `counter` under its content key: four zeros, then the counter,
/// little-endian.
pub(super) fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::from(nonce)
}

/// What is authenticated but not hidden: the payload's prefix, then each clear header.
pub(super) fn write_associated<'a>(
    out: &mut Vec<u8>,
    prefix: &[u8],
    clear: impl Iterator<Item = Option<&'a [u8]>>,
) -> Option<()> {
    out.clear();
    out.extend_from_slice(prefix);
    for value in clear {
        put_optional(out, value)?;
    }
    Some(())
}

/// What is hidden: timestamp, key, value, headers. `None` if a length does not fit 32 bits, which
/// Kafka cannot produce.
pub(super) fn write_record(out: &mut Vec<u8>, record: &Record<'_>) -> Option<()> {
    out.push(u8::from(record.timestamp_ms.is_some()));
    out.extend_from_slice(&record.timestamp_ms.unwrap_or(0).to_le_bytes());
    put_optional(out, record.key.map(Raw::expose))?;
    put_optional(out, record.value.map(Raw::expose))?;
    let count = record.headers.count();
    out.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    for index in 0..count {
        let (name, value) = record.headers.get(index)?;
        put(out, name)?;
        put_optional(out, value.map(Raw::expose))?;
    }
    Some(())
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    out.push(u8::from(bytes.is_some()));
    bytes.map_or(Some(()), |bytes| put(out, bytes))
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

/// Reads what [`write_record`] wrote: places, not copies.
pub(super) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    pub(super) const fn at_end(&self) -> bool {
        self.at == self.all.len()
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.all[self.at..].first_chunk()?;
        self.at += N;
        Some(*taken)
    }

    pub(super) fn bytes(&mut self) -> Option<Range<usize>> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.all.len())?;
        let start = std::mem::replace(&mut self.at, end);
        Some(start..end)
    }

    /// Outer `None`: not so written. Inner `None`: nothing was there.
    pub(super) fn optional(&mut self) -> Option<Option<Range<usize>>> {
        match self.take::<1>()? {
            [0] => Some(None),
            [1] => self.bytes().map(Some),
            _ => None,
        }
    }
}

/// The clear part of a quarantine message, from its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clear {
    /// Why the record was withheld. Text, for a later version may know more reasons.
    pub reason: String,
    /// The route it came by.
    pub route: String,
    /// Its tenant, if that has a policy.
    pub tenant: Option<String>,
    /// Source topic.
    pub topic: String,
    /// Source partition.
    pub partition: i32,
    /// Source offset.
    pub offset: i64,
    /// How the payload is sealed.
    pub seal: String,
}

impl Clear {
    /// Reads them; `None` if one is missing, repeated or not of its kind: then this is no message
    /// of limpid's.
    #[must_use]
    pub fn read(headers: &dyn Headers) -> Option<Self> {
        let text =
            |name| one(headers, name)?.map(|value| String::from_utf8(value.to_vec()).ok())?;
        let tenant = one(headers, TENANT)?.map(|value| String::from_utf8(value.to_vec()));
        Some(Self {
            reason: text(REASON)?,
            route: text(ROUTE)?,
            tenant: tenant.transpose().ok()?,
            topic: text(TOPIC)?,
            partition: text(PARTITION)?.parse().ok()?,
            offset: text(OFFSET)?.parse().ok()?,
            seal: text(SEAL)?,
        })
    }
}

/// The values of the authenticated headers, in order; `None` if one is repeated.
pub(super) fn authenticated(headers: &dyn Headers) -> Option<[Option<&[u8]>; 6]> {
    let mut values = [None; 6];
    for (value, name) in values.iter_mut().zip([REASON, ROUTE, TOPIC, PARTITION, OFFSET, TENANT]) {
        *value = one(headers, name)?;
    }
    Some(values)
}

/// Outer `None`: repeated, or without a value. Inner `None`: not there.
pub(super) fn one<'a>(headers: &'a dyn Headers, name: &str) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    for index in 0..headers.count() {
        let (this, value) = headers.get(index)?;
        if this == name.as_bytes() {
            if found.is_some() {
                return None;
            }
            found = Some(value?.expose());
        }
    }
    Some(found)
}
