//! What is made of an epoch's keys once, so that each value need not expand them again.

use super::cryptopan::CryptoPan;
use super::derive::{KeySource, Period, Purpose};
use super::digits::Digits;
use super::ipcrypt::{Deterministic, Nd, Ndx, Prefix};
use super::token::Tokens;
use zeroize::{Zeroize, Zeroizing};

/// A cipher, keyed for one tenant and epoch.
pub(crate) enum Cipher {
    IpDeterministic(Deterministic),
    IpPrefix(Prefix),
    IpCryptoPan(CryptoPan),
    IpNd(Nd),
    IpNdx(Ndx),
    Date(Zeroizing<[u8; 32]>),
    Digits(Digits),
    Token(Tokens),
}

impl Cipher {
    /// The purposes that have a cipher.
    pub(super) const PURPOSES: [Purpose; 8] = [
        Purpose::IpDeterministic,
        Purpose::IpPrefix,
        Purpose::IpCryptoPan,
        Purpose::IpNd,
        Purpose::IpNdx,
        Purpose::Date,
        Purpose::Digits,
        Purpose::Token,
    ];

    /// The cipher of a purpose; `None` if that has none.
    pub(super) fn new(purpose: Purpose, source: &KeySource, period: Period) -> Option<Self> {
        let key = || derived::<1>(source, purpose, period);
        let two = || derived::<2>(source, purpose, period);
        let hash = |purpose| {
            let mut key = Zeroizing::new([0; 32]);
            source.derive(purpose, period, &mut *key);
            key
        };
        let tweak = || hash(Purpose::IpTweak);
        Some(match purpose {
            Purpose::Pseudonym | Purpose::IpTweak => return None,
            Purpose::IpDeterministic => Self::IpDeterministic(Deterministic::new(&key()[0])),
            Purpose::IpPrefix => Self::IpPrefix(Prefix::new(&two())),
            Purpose::IpCryptoPan => Self::IpCryptoPan(CryptoPan::new(&two())),
            Purpose::IpNd => Self::IpNd(Nd::new(&key()[0], &tweak())),
            Purpose::IpNdx => Self::IpNdx(Ndx::new(&two(), &tweak())),
            Purpose::Date => Self::Date(hash(purpose)),
            Purpose::Digits => Self::Digits(Digits::new(&hash(purpose))?),
            Purpose::Token => Self::Token(Tokens::new(source, period)),
        })
    }
}

/// So many keys of AES-128, one behind the other.
fn derived<const KEYS: usize>(
    source: &KeySource,
    purpose: Purpose,
    period: Period,
) -> Zeroizing<[[u8; 16]; KEYS]>
where
    [[u8; 16]; KEYS]: Zeroize,
{
    let mut keys = Zeroizing::new([[0; 16]; KEYS]);
    source.derive(purpose, period, keys.as_flattened_mut());
    keys
}
