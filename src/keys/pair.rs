//! Quarantine key pairs (X25519): limpid runs with the public half, the private half stays with
//! whoever may read what was withheld.
//!
//! A typo in a public key would seal records to nobody, for ever. So keys are written with a
//! prefix that tells the halves apart and a checksum: `limpid-pub1-…`, `limpid-prv1-…`, where `…`
//! is base32hex (lower case, unpadded) of 32 key bytes and 4 bytes of checksum, the first of
//! BLAKE3 over prefix and key bytes.

use data_encoding::{Encoding, Specification};
use hpke::{Deserializable, Kem as _, Serializable};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The key encapsulation of the quarantine.
pub(crate) type Kem = hpke::kem::X25519HkdfSha256;

const PUBLIC: &str = "limpid-pub1-";
const PRIVATE: &str = "limpid-prv1-";
const KEY_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;

/// What names a key in a sealed message: enough to pick the right private key.
pub const KEY_ID_BYTES: usize = 8;

/// The public half of a quarantine key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key of these bytes; `None` if nothing can be sealed to it (a point of low order).
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Option<Self> {
        let key = Self(bytes);
        let trial = hpke::setup_sender::<hpke::aead::ExportOnlyAead, hpke::kdf::HkdfSha256, Kem>(
            &hpke::OpModeS::Base,
            &key.to_kem()?,
            b"",
        );
        trial.is_ok().then_some(key)
    }

    /// The first bytes of a hash of the key.
    #[must_use]
    pub fn id(&self) -> [u8; KEY_ID_BYTES] {
        let mut id = [0; KEY_ID_BYTES];
        let hash = blake3::derive_key("limpid quarantine key id v1", &self.0);
        id.copy_from_slice(&hash[..KEY_ID_BYTES]);
        id
    }

    pub(crate) fn to_kem(&self) -> Option<<Kem as hpke::Kem>::PublicKey> {
        <Kem as hpke::Kem>::PublicKey::from_bytes(&self.0).ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(PUBLIC, &self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        if text.starts_with(PRIVATE) {
            return Err(KeyFault::Private);
        }
        let bytes = read(PUBLIC, text).ok_or(KeyFault::NoPublic)?;
        Self::from_bytes(*bytes).ok_or(KeyFault::LowOrder)
    }
}

/// The private half of a quarantine key. Zeroized on drop; no `Display`, a `Debug` that shows
/// nothing.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; KEY_BYTES]);

impl PrivateKey {
    /// A fresh one, from the operating system's randomness.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn generate() -> crate::error::Result<Self> {
        Ok(Self(*super::random()?))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(Kem::sk_to_pk(&self.to_kem()).to_bytes().into())
    }

    /// Its written form, to be kept as secret as the key.
    #[must_use]
    pub fn written(&self) -> Zeroizing<String> {
        written(PRIVATE, &self.0)
    }

    /// Reads the written form: the one line that is neither empty nor begins with `#`.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    pub fn from_text(text: &str) -> Result<Self, KeyFault> {
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(KeyFault::NoPrivate);
        };
        if line.starts_with(PUBLIC) {
            return Err(KeyFault::Public);
        }
        read(PRIVATE, line).map(|bytes| Self(*bytes)).ok_or(KeyFault::NoPrivate)
    }

    pub(crate) fn to_kem(&self) -> <Kem as hpke::Kem>::PrivateKey {
        // 32 bytes are all that this reading asks for; it clamps.
        <Kem as hpke::Kem>::PrivateKey::from_bytes(&self.0)
            .unwrap_or_else(|_| unreachable!("an X25519 private key is any 32 bytes"))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// Why a text is not the key it should be. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// A private key where a public one belongs.
    #[error("this is a private key: it must stay with those who may open the quarantine")]
    Private,
    /// A public key where a private one belongs.
    #[error("this is a public key: opening needs the private one (limpid-prv1-…)")]
    Public,
    /// Not a public key, or mistyped.
    #[error("not a quarantine public key (limpid-pub1-…), or a letter of it is wrong or missing")]
    NoPublic,
    /// Not a private key, or mistyped.
    #[error("not a quarantine private key (one line, limpid-prv1-…), or a letter of it is wrong")]
    NoPrivate,
    /// A point that every private key shares the same secret with.
    #[error("nothing can be sealed to this key: make another with `limpid keys quarantine`")]
    LowOrder,
}

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base32 = Specification::new();
    base32.symbols.push_str("0123456789abcdefghijklmnopqrstuv");
    base32.encoding().unwrap_or(data_encoding::BASE32HEX_NOPAD)
});

fn written(prefix: &str, key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES + CHECKSUM_BYTES]);
    bytes[..KEY_BYTES].copy_from_slice(key);
    bytes[KEY_BYTES..].copy_from_slice(&checksum(prefix, key));
    let mut text = Zeroizing::new(String::with_capacity(96));
    text.push_str(prefix);
    BASE32.encode_append(&*bytes, &mut text);
    text
}

fn read(prefix: &str, text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = Zeroizing::new(BASE32.decode(text.strip_prefix(prefix)?.as_bytes()).ok()?);
    let (key, sum) = bytes.split_first_chunk::<KEY_BYTES>()?;
    (sum == checksum(prefix, key)).then(|| Zeroizing::new(*key))
}

fn checksum(prefix: &str, key: &[u8; KEY_BYTES]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::Hasher::new().update(prefix.as_bytes()).update(key).finalize();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_survive_writing_and_reading() {
        let private = PrivateKey::generate().unwrap();
        let text = format!("# a comment\n\n  {}\n", *private.written());
        let again = PrivateKey::from_text(&text).unwrap();
        assert_eq!(again.public(), private.public());
        let public: PublicKey = private.public().to_string().parse().unwrap();
        assert_eq!(public, private.public());
    }

    #[test]
    fn every_wrong_letter_is_noticed() {
        let text = PrivateKey([7; 32]).public().to_string();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<PublicKey>().is_err(), "letter {at} of {text}");
        }
        assert!(text[..text.len() - 1].parse::<PublicKey>().is_err());
    }

    #[test]
    fn the_halves_are_not_taken_for_each_other() {
        let private = PrivateKey([9; 32]);
        let public = private.public().to_string();
        assert_eq!(private.written().parse::<PublicKey>(), Err(KeyFault::Private));
        assert_eq!(PrivateKey::from_text(&public).err(), Some(KeyFault::Public));
        assert_eq!(PrivateKey::from_text("").err(), Some(KeyFault::NoPrivate));
    }

    #[test]
    fn keys_that_seal_to_everybody_are_refused() {
        assert_eq!(PublicKey::from_bytes([0; 32]), None);
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(PublicKey::from_bytes(one), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", PrivateKey([9; 32])), "PrivateKey(…)");
    }
}
