//! Sealing: a withheld record in, a message for the quarantine topic out.

use super::layout::{
    self, ENCAPSULATED_BYTES, OFFSET, PARTITION, PREFIX_BYTES, REASON, ROUTE, SEAL, Sender, TENANT,
    TOPIC, VERSION,
};
use crate::engine::Withheld;
use crate::keys::{KEY_ID_BYTES, Kem, PublicKey};
use crate::record::Record;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use data_encoding::HEXLOWER;
use hpke::Serializable;
use std::fmt::{self, Write};

/// Records under one content key. Bounds what one leaked content key opens; at this number the
/// exchange costs a record less than a nanosecond.
const RECORDS_PER_KEY: u64 = 1 << 16;

/// A message for the quarantine topic. Only a [`Sealer`] makes one; a broker takes nothing else
/// for that topic.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    payload: Option<&'a [u8]>,
    headers: &'a [(&'static str, String)],
}

impl<'a> Sealed<'a> {
    /// The sealed record, or nothing where no key is configured.
    #[must_use]
    pub const fn payload(&self) -> Option<&'a [u8]> {
        self.payload
    }

    /// Reason, route, source topic, partition and offset, the seal, and the tenant if known.
    #[must_use]
    pub const fn headers(&self) -> &'a [(&'static str, String)] {
        self.headers
    }
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.payload.map_or(0, <[u8]>::len))
    }
}

/// Seals withheld records. One per lane; keeps its buffers.
pub struct Sealer {
    recipient: Option<Recipient>,
    content: Option<Content>,
    payload: Vec<u8>,
    associated: Vec<u8>,
    headers: [(&'static str, String); 7],
}

/// Places in [`Sealer::headers`]: the authenticated ones first and the tenant last, so that it can
/// be left off.
const SEAL_AT: usize = 5;
const TENANT_AT: usize = 6;

struct Recipient {
    key: <Kem as hpke::Kem>::PublicKey,
    id: [u8; KEY_ID_BYTES],
}

/// One content key and what the receiver needs to find it again. Not `Clone`: a copy would use
/// the same nonces.
struct Content {
    cipher: ChaCha20Poly1305,
    encapsulated: [u8; ENCAPSULATED_BYTES],
    used: u64,
}

impl Sealer {
    /// A sealer to `key`; without one, payloads are left out.
    #[must_use]
    pub fn new(key: Option<&PublicKey>) -> Self {
        let recipient = key.and_then(|key| Some(Recipient { key: key.to_kem()?, id: key.id() }));
        let names = [REASON, ROUTE, TOPIC, PARTITION, OFFSET, SEAL, TENANT];
        Self {
            recipient,
            content: None,
            payload: Vec::new(),
            associated: Vec::new(),
            headers: names.map(|name| (name, String::new())),
        }
    }

    /// Seals one withheld record of `route`: key, value, headers and timestamp go into the sealed
    /// payload, and into nothing else.
    pub fn seal(
        &mut self,
        route: &str,
        record: &Record<'_>,
        withheld: &Withheld<'_>,
    ) -> Sealed<'_> {
        self.write_headers(route, record, withheld);
        let sealed = self.write_payload(record, withheld.tenant.is_some()).is_some();
        self.write_seal(sealed);
        let known = if withheld.tenant.is_some() { TENANT_AT + 1 } else { TENANT_AT };
        Sealed {
            payload: sealed.then_some(self.payload.as_slice()),
            headers: &self.headers[..known],
        }
    }

    #[cfg(test)]
    pub(super) fn buffers(&self) -> (*const u8, usize, usize) {
        (self.payload.as_ptr(), self.payload.capacity(), self.associated.capacity())
    }

    fn write_headers(&mut self, route: &str, record: &Record<'_>, withheld: &Withheld<'_>) {
        let [reason, by, topic, partition, offset, _, tenant] = &mut self.headers;
        write(reason, format_args!("{}", withheld.reason));
        write(by, format_args!("{route}"));
        write(topic, format_args!("{}", record.topic));
        write(partition, format_args!("{}", record.partition));
        write(offset, format_args!("{}", record.offset));
        write(tenant, format_args!("{}", withheld.tenant.unwrap_or_default()));
    }

    /// `None`: nothing to seal to, or it could not be sealed; then nothing may be sent.
    fn write_payload(&mut self, record: &Record<'_>, tenant: bool) -> Option<()> {
        let recipient = self.recipient.as_ref()?;
        if self.content.as_ref().is_none_or(|content| content.used >= RECORDS_PER_KEY) {
            self.content = Content::fresh(recipient);
        }
        let content = self.content.as_mut()?;
        let counter = content.used;
        content.used += 1;

        let out = &mut self.payload;
        out.clear();
        out.push(VERSION);
        out.extend_from_slice(&recipient.id);
        out.extend_from_slice(&content.encapsulated);
        out.extend_from_slice(&counter.to_le_bytes());
        let clear = self.headers.iter().enumerate().filter(|(at, _)| *at != SEAL_AT);
        let clear =
            clear.map(|(at, (_, value))| (at != TENANT_AT || tenant).then_some(value.as_bytes()));
        layout::write_associated(&mut self.associated, out, clear)?;
        layout::write_record(out, record)?;
        let hidden = (&mut out[PREFIX_BYTES..]).into();
        let tag = content
            .cipher
            .encrypt_inout_detached(&layout::nonce(counter), &self.associated, hidden)
            .ok()?;
        out.extend_from_slice(&tag);
        Some(())
    }

    fn write_seal(&mut self, sealed: bool) {
        let seal = &mut self.headers[SEAL_AT].1;
        seal.clear();
        match &self.recipient {
            Some(recipient) if sealed => {
                seal.push_str("v1:");
                HEXLOWER.encode_append(&recipient.id, seal);
            }
            _ => seal.push_str("none"),
        }
    }
}

impl Content {
    fn fresh(recipient: &Recipient) -> Option<Self> {
        let (encapsulated, sender): (_, Sender) =
            hpke::setup_sender(&hpke::OpModeS::Base, &recipient.key, layout::INFO).ok()?;
        let cipher = layout::content_cipher(|context, key| sender.export(context, key))?;
        Some(Self { cipher, encapsulated: encapsulated.to_bytes().into(), used: 0 })
    }
}

fn write((_, text): &mut (&'static str, String), value: fmt::Arguments<'_>) {
    text.clear();
    // Writing to a String cannot fail.
    let _ = text.write_fmt(value);
}
