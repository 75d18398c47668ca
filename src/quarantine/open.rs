//! Opening: a quarantine message and the private key in, the record out.

use super::layout::{
    self, Clear, ENCAPSULATED_BYTES, PREFIX_BYTES, Reader, Receiver, TAG_BYTES, VERSION,
};
use crate::keys::{KEY_ID_BYTES, Kem, PrivateKey};
use crate::record::{Header, Headers, Raw, Record};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, Tag};
use hpke::Deserializable;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use zeroize::Zeroizing;

/// Content keys that are kept, so that a message costs an exchange only when its sealer is new.
const CONTENT_KEYS_MAX: usize = 1024;

/// Opens quarantine messages with a private key.
pub struct Opener {
    key: <Kem as hpke::Kem>::PrivateKey,
    id: [u8; KEY_ID_BYTES],
    contents: HashMap<[u8; ENCAPSULATED_BYTES], ChaCha20Poly1305>,
    associated: Vec<u8>,
}

/// Why a message does not open. Holds nothing of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// Its headers are not those that limpid writes.
    #[error("not a quarantine message: its limpid-… headers are missing, repeated or unreadable")]
    Foreign,
    /// It was written without a key: there is nothing to open.
    #[error("its payload was left out: limpid ran without quarantine.public_key")]
    NoPayload,
    /// It is shorter than any sealed message, or of a later version.
    #[error("its format is unknown to this version of limpid")]
    UnknownFormat,
    /// It was sealed to another key.
    #[error("it is sealed to another key (the id is in its limpid-seal header)")]
    OtherKey,
    /// Payload or headers are not what was sealed.
    #[error("its seal is broken: payload or limpid-… headers were changed")]
    Broken,
}

impl Opener {
    /// An opener with this key.
    #[must_use]
    pub fn new(key: &PrivateKey) -> Self {
        Self {
            key: key.to_kem(),
            id: key.public().id(),
            contents: HashMap::new(),
            associated: Vec::new(),
        }
    }

    /// Opens one message.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub fn open(
        &mut self,
        headers: &dyn Headers,
        payload: Option<&[u8]>,
    ) -> Result<Opened, NotOpened> {
        let clear = Clear::read(headers).ok_or(NotOpened::Foreign)?;
        let authenticated = layout::authenticated(headers).ok_or(NotOpened::Foreign)?;
        let payload = payload.ok_or(NotOpened::NoPayload)?;
        let (prefix, sealed) =
            payload.split_at_checked(PREFIX_BYTES).ok_or(NotOpened::UnknownFormat)?;
        let (hidden, tag) =
            sealed.split_last_chunk::<TAG_BYTES>().ok_or(NotOpened::UnknownFormat)?;
        let (encapsulated, counter) = self.read_prefix(prefix)?;

        let mut associated = std::mem::take(&mut self.associated);
        let values = authenticated.into_iter();
        layout::write_associated(&mut associated, prefix, values).ok_or(NotOpened::Broken)?;
        let cipher = self.content(encapsulated)?;
        let mut plain = Zeroizing::new(hidden.to_vec());
        let opened = cipher.decrypt_inout_detached(
            &layout::nonce(counter),
            &associated,
            plain.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        self.associated = associated;
        opened.map_err(|_| NotOpened::Broken)?;
        Opened::read(clear, plain).ok_or(NotOpened::UnknownFormat)
    }

    fn read_prefix(&self, prefix: &[u8]) -> Result<([u8; ENCAPSULATED_BYTES], u64), NotOpened> {
        let mut prefix = Reader::new(prefix);
        let [version] = prefix.take().ok_or(NotOpened::UnknownFormat)?;
        if version != VERSION {
            return Err(NotOpened::UnknownFormat);
        }
        let id: [u8; KEY_ID_BYTES] = prefix.take().ok_or(NotOpened::UnknownFormat)?;
        if id != self.id {
            return Err(NotOpened::OtherKey);
        }
        let encapsulated = prefix.take().ok_or(NotOpened::UnknownFormat)?;
        let counter = prefix.take().ok_or(NotOpened::UnknownFormat)?;
        Ok((encapsulated, u64::from_le_bytes(counter)))
    }

    fn content(
        &mut self,
        encapsulated: [u8; ENCAPSULATED_BYTES],
    ) -> Result<&ChaCha20Poly1305, NotOpened> {
        if self.contents.len() >= CONTENT_KEYS_MAX && !self.contents.contains_key(&encapsulated) {
            self.contents.clear();
        }
        match self.contents.entry(encapsulated) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                let cipher = derive(&self.key, &encapsulated).ok_or(NotOpened::Broken)?;
                Ok(place.insert(cipher))
            }
        }
    }
}

fn derive(
    key: &<Kem as hpke::Kem>::PrivateKey,
    encapsulated: &[u8; ENCAPSULATED_BYTES],
) -> Option<ChaCha20Poly1305> {
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    let receiver: Receiver =
        hpke::setup_receiver(&hpke::OpModeR::Base, key, &encapsulated, layout::INFO).ok()?;
    layout::content_cipher(|context, out| receiver.export(context, out))
}

/// A record that was withheld, opened: personal. Zeroized on drop; its `Debug` prints lengths.
pub struct Opened {
    clear: Clear,
    plain: Zeroizing<Vec<u8>>,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl Opened {
    fn read(clear: Clear, plain: Zeroizing<Vec<u8>>) -> Option<Self> {
        let mut rest = Reader::new(&plain);
        let timed = rest.take::<1>()? != [0];
        let timestamp = i64::from_le_bytes(rest.take()?);
        let key = rest.optional()?;
        let value = rest.optional()?;
        let count = u32::from_le_bytes(rest.take()?);
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((rest.bytes()?, rest.optional()?));
        }
        let whole = rest.at_end();
        let timestamp_ms = timed.then_some(timestamp);
        whole.then_some(Self { clear, timestamp_ms, key, value, headers, plain })
    }

    /// Why it was withheld and where it came from.
    #[must_use]
    pub const fn clear(&self) -> &Clear {
        &self.clear
    }

    /// Record time, milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.key.clone().map(|range| &self.plain[range])
    }

    /// The record's value; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.clone().map(|range| &self.plain[range])
    }

    /// The record as it was in the raw topic.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        Record {
            topic: &self.clear.topic,
            partition: self.clear.partition,
            offset: self.clear.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key().map(Raw::new),
            value: self.value().map(Raw::new),
            headers: self,
        }
    }

    #[cfg(test)]
    pub(super) fn plain_len(&self) -> usize {
        self.plain.len()
    }

    /// The record's headers, in its order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let at = |range: &Range<usize>| &self.plain[range.clone()];
        self.headers.iter().map(move |(name, value)| (at(name), value.as_ref().map(at)))
    }
}

impl Headers for Opened {
    fn count(&self) -> usize {
        self.headers.len()
    }

    fn get(&self, index: usize) -> Option<Header<'_>> {
        let (name, value) = self.headers.get(index)?;
        let value = value.clone().map(|range| Raw::new(&self.plain[range]));
        Some((&self.plain[name.clone()], value))
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes)", self.plain.len())
    }
}
