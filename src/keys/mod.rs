//! Keys: the keyring, epochs, and the derivation of pseudonym keys.
//!
//! A keyring holds named secrets. A policy names one; from it, the tenant's name and the epoch of
//! the record's time a 32-byte pseudonym key is derived. Secrets lie in memory that is not swapped or
//! dumped, are zeroized when dropped, have no `Display`, and their `Debug` prints nothing of them.

mod cipher;
mod cryptopan;
mod derive;
mod digits;
mod edit;
mod ipcrypt;
mod keyring;
mod locked;
mod pair;
mod periods;
mod secrets;
mod source;
mod token;

pub(crate) use cipher::Cipher;
pub use derive::{Epoch, EpochKeys, KeySource, Period, PseudonymKey, Purpose, Purposes};
pub(crate) use digits::{DIGITS, Digits};
pub use edit::{Draft, Entries, Row};
pub(crate) use ipcrypt::{Address, PrefixPreserving};
pub use keyring::{Keyring, is_secret_name, keyring_entry, record_time_ms};
pub(crate) use pair::Kem;
pub use pair::{KEY_ID_BYTES, KeyFault, PrivateKey, PublicKey};
pub use periods::{Stretch, stretches};
pub use secrets::{NoSecret, SecretIndex, Secrets};
pub use source::SecretSource;
pub use token::{Revealed, TOKEN_PREFIX, TOKEN_TEXT_BYTES_MAX, Token, TokenKind};

use crate::error::{Error, Result};
use locked::Locked;
use std::fmt;
use zeroize::Zeroizing;

/// A secret's length in bytes.
pub const SECRET_BYTES: usize = 32;

/// What tokens call a secret by; two secrets of a keyring have the same once in 2^32 pairs.
pub type SecretId = [u8; 4];

/// A named secret of the keyring.
pub struct Secret(Locked);

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Locked::new(bytes))
    }

    /// A fresh one, from the operating system's randomness.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn generate() -> Result<Self> {
        Ok(Self::new(*random()?))
    }

    /// The bytes, for derivation only.
    pub(crate) const fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.0.expose()
    }

    /// A short name for it that tells nothing of it: the first bytes of another derivation.
    #[must_use]
    pub fn id(&self) -> SecretId {
        let hash = blake3::derive_key("limpid secret id v1", self.expose());
        std::array::from_fn(|index| hash[index])
    }

    /// Is it the same secret? Only for two that were just read from one file.
    fn same(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Could the system keep every secret so far from being swapped out?
#[must_use]
pub fn all_locked() -> bool {
    locked::all_locked()
}

/// Fresh bytes of the operating system's randomness.
fn random() -> Result<Zeroizing<[u8; SECRET_BYTES]>> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        Error::fatal(format!("the operating system gives no randomness: {error}"))
    })?;
    Ok(bytes)
}
