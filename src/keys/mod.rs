//! Keys: the keyring, epochs, and the derivation of pseudonym keys.
//!
//! A keyring holds named secrets. A policy names one; from it, the tenant's name and the epoch of
//! the record's time a 32-byte pseudonym key is derived. Secrets are zeroized when dropped, have
//! no `Display`, and their `Debug` prints nothing of them.

mod derive;
mod pair;
mod source;

pub use derive::{Epoch, PseudonymKey, Pseudonyms};
pub(crate) use pair::Kem;
pub use pair::{KEY_ID_BYTES, KeyFault, PrivateKey, PublicKey};
pub use source::SecretSource;

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret's length in bytes.
pub const SECRET_BYTES: usize = 32;

/// Fresh bytes of the operating system's randomness.
fn random() -> Result<Zeroizing<[u8; SECRET_BYTES]>> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        Error::fatal(format!("the operating system gives no randomness: {error}"))
    })?;
    Ok(bytes)
}

/// A named secret of the keyring.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for derivation only.
    pub(crate) const fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Named secrets.
#[derive(Debug, Default, Clone)]
pub struct Keyring {
    secrets: BTreeMap<String, Arc<Secret>>,
}

impl Keyring {
    /// Adds a secret; an earlier one of that name is replaced and returned.
    pub fn insert(&mut self, name: impl Into<String>, secret: Secret) -> Option<Arc<Secret>> {
        self.secrets.insert(name.into(), Arc::new(secret))
    }

    /// The secret of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }
}
