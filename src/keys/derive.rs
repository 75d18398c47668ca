//! From secret, tenant and record time to the keys of an epoch, one a purpose.
//!
//! `K = BLAKE3-derive-key(context, secret ‖ len ‖ tenant ‖ epoch)` where
//! - `context` names the [`Purpose`]: `limpid pseudonym v1` for pseudonyms;
//! - `secret` is the keyring entry, 32 bytes;
//! - `len` is the byte length of the tenant's name, u32 little-endian;
//! - `tenant` is its UTF-8 bytes;
//! - `epoch` is 16 bytes: the epoch's length in milliseconds, u64 little-endian (0 for `never`),
//!   then the epoch's number `floor(timestamp_ms / length)`, i64 little-endian (0 for `never`).
//!
//! As many bytes are taken as the purpose needs (BLAKE3's extendable output). No key tells anything
//! of another: what is made for one purpose cannot be linked to, or opened with, what is made for
//! another. The layout is a contract (tests/vectors): a change would unlink every pseudonym ever
//! given.

use super::{Cipher, NoSecret, SecretId, SecretIndex, Secrets};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The keyed hash of pseudonyms: 32 bytes.
    Pseudonym,
    /// `encrypt_ip`, deterministic: 16 bytes.
    IpDeterministic,
    /// `encrypt_ip`, prefix-preserving: 32 bytes, two keys.
    IpPrefix,
    /// `encrypt_ip`, prefix-preserving as Crypto-PAn: 32 bytes, key and pad.
    IpCryptoPan,
    /// `encrypt_ip`, non-deterministic: 16 bytes.
    IpNd,
    /// `encrypt_ip`, non-deterministic with the larger tweak: 32 bytes, two keys.
    IpNdx,
    /// The keyed hash of both tweaks: 32 bytes.
    IpTweak,
    /// `encrypt_digits`: 32 bytes.
    Digits,
    /// `date` with `shift_days`, the keyed hash of record keys: 32 bytes.
    Date,
    /// `tokenize`: 64 bytes.
    Token,
}

impl Purpose {
    /// BLAKE3's context string.
    const fn context(self) -> &'static str {
        match self {
            Self::Pseudonym => "limpid pseudonym v1",
            Self::IpDeterministic => "limpid encrypt_ip deterministic v1",
            Self::IpPrefix => "limpid encrypt_ip prefix v1",
            Self::IpCryptoPan => "limpid encrypt_ip cryptopan v1",
            Self::IpNd => "limpid encrypt_ip nd v1",
            Self::IpNdx => "limpid encrypt_ip ndx v1",
            Self::IpTweak => "limpid encrypt_ip tweak v1",
            Self::Digits => "limpid encrypt_digits v1",
            Self::Date => "limpid date v1",
            Self::Token => "limpid tokenize v1",
        }
    }
}

/// A set of purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purposes(u16);

impl FromIterator<Purpose> for Purposes {
    fn from_iter<I: IntoIterator<Item = Purpose>>(purposes: I) -> Self {
        Self(purposes.into_iter().fold(0, |set, purpose| set | 1 << purpose as u16))
    }
}

impl Purposes {
    const fn has(self, purpose: Purpose) -> bool {
        self.0 & 1 << purpose as u16 != 0
    }
}

/// How long one pseudonym key is used, in record time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// One key for ever.
    Never,
    /// A new key every so many milliseconds, counted from the Unix epoch. Never zero.
    Every(std::num::NonZeroU64),
}

impl Epoch {
    /// The epoch of that many milliseconds; zero means [`Epoch::Never`].
    #[must_use]
    pub const fn every_ms(length: u64) -> Self {
        match std::num::NonZeroU64::new(length) {
            Some(length) => Self::Every(length),
            None => Self::Never,
        }
    }

    /// Number of the epoch that holds a record time; `None` if the record has none and needs one.
    #[must_use]
    pub fn number(self, timestamp_ms: Option<i64>) -> Option<i64> {
        match self {
            Self::Never => Some(0),
            Self::Every(length) => {
                let length = i64::try_from(length.get()).unwrap_or(i64::MAX);
                timestamp_ms.map(|at| at.div_euclid(length))
            }
        }
    }

    pub(super) const fn length_ms(self) -> u64 {
        match self {
            Self::Never => 0,
            Self::Every(length) => length.get(),
        }
    }
}

/// The key of one tenant in one epoch.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PseudonymKey([u8; 32]);

impl PseudonymKey {
    /// The bytes, for the keyed hash only.
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// A stretch of record time in which a tenant's keys stay the same: one epoch, or the part of it that
/// one secret serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    secret: SecretIndex,
    epoch: i64,
}

impl Period {
    /// Number of the epoch.
    #[must_use]
    pub const fn epoch(self) -> i64 {
        self.epoch
    }
}

/// A tenant's source of keys: its secrets, the tenant's name and how long an epoch is.
#[derive(Debug, Clone)]
pub struct KeySource {
    secrets: Arc<Secrets>,
    tenant: Arc<str>,
    epoch: Epoch,
    purposes: Purposes,
}

impl KeySource {
    /// Keys for `tenant` from `secrets`.
    #[must_use]
    pub fn new(
        secrets: impl Into<Arc<Secrets>>,
        tenant: impl Into<Arc<str>>,
        epoch: Epoch,
    ) -> Self {
        let (secrets, tenant) = (secrets.into(), tenant.into());
        Self { secrets, tenant, epoch, purposes: Purposes::default() }
    }

    /// The same, with the keys of these purposes beside the pseudonyms'.
    #[must_use]
    pub fn with(self, purposes: Purposes) -> Self {
        Self { purposes, ..self }
    }

    pub(super) const fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// What the secret of a period is called in tokens.
    pub(super) fn secret_id(&self, period: Period) -> SecretId {
        self.secrets.get(period.secret).map_or_else(SecretId::default, |secret| secret.id())
    }

    /// The secrets that keys come from.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The period that holds a record time (Unix milliseconds; `None`: the record has none).
    ///
    /// # Errors
    /// The record has no time and needs one, or there is no secret for its time.
    pub fn period(&self, timestamp_ms: Option<i64>) -> Result<Period, NoSecret> {
        let epoch = self.epoch.number(timestamp_ms).ok_or(NoSecret::NoTime)?;
        Ok(Period { secret: self.secrets.at(timestamp_ms)?, epoch })
    }

    /// The record times that are in a period, which this has given.
    fn times(&self, Period { secret, epoch }: Period) -> Range<i64> {
        let Some((_, since, until)) = self.secrets.spans().find(|(index, ..)| *index == secret)
        else {
            return 0..0;
        };
        let all = since..until.unwrap_or(i64::MAX);
        match self.epoch {
            Epoch::Never => all,
            Epoch::Every(length) => {
                let length = i64::try_from(length.get()).unwrap_or(i64::MAX);
                let times = |number: i128| {
                    let at = number.saturating_mul(length.into());
                    i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
                };
                let epoch = i128::from(epoch);
                times(epoch).max(all.start)..times(epoch + 1).min(all.end)
            }
        }
    }

    /// Every period of epoch `number`, also those that no record time may fall into: for those who
    /// look for the key of something that tells its epoch.
    pub fn periods_of(&self, number: i64) -> impl Iterator<Item = Period> {
        self.secrets.spans().map(move |(secret, ..)| Period { secret, epoch: number })
    }

    /// How long one key is used.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The keys of a period. About 300 ns a key: cache them per period.
    #[must_use]
    pub fn keys(&self, period: Period) -> EpochKeys {
        let needed = Cipher::PURPOSES.into_iter().filter(|purpose| self.purposes.has(*purpose));
        let mut ciphers = Vec::with_capacity(needed.clone().count());
        ciphers.extend(needed.filter_map(|purpose| Cipher::new(purpose, self, period)));
        EpochKeys {
            period,
            times: self.times(period),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            pseudonym: self.key(period),
            ciphers,
        }
    }

    /// The pseudonym key of a period.
    #[must_use]
    pub fn key(&self, period: Period) -> PseudonymKey {
        let mut key = [0; 32];
        self.derive(Purpose::Pseudonym, period, &mut key);
        PseudonymKey(key)
    }

    /// Fills `key` with the key of a purpose in a period, which this has given.
    pub(super) fn derive(&self, purpose: Purpose, period: Period, key: &mut [u8]) {
        let length = u32::try_from(self.tenant.len()).unwrap_or(u32::MAX);
        let mut hasher = blake3::Hasher::new_derive_key(purpose.context());
        hasher
            .update(self.secrets.expose(period.secret))
            .update(&length.to_le_bytes())
            .update(self.tenant.as_bytes())
            .update(&self.epoch.length_ms().to_le_bytes())
            .update(&period.epoch.to_le_bytes());
        let mut output = hasher.finalize_xof();
        output.fill(key);
        hasher.zeroize();
        output.zeroize();
    }
}

/// Numbers the sets of keys of this process, so that caches know which one they are of.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A tenant's keys in one epoch.
pub struct EpochKeys {
    period: Period,
    times: Range<i64>,
    serial: u64,
    pseudonym: PseudonymKey,
    ciphers: Vec<Cipher>,
}

impl EpochKeys {
    /// The period that they are of.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Is this record time (Unix milliseconds) in their period? Not said of records without one, nor of the
    /// last millisecond that there is.
    #[inline]
    pub(crate) fn hold(&self, timestamp_ms: Option<i64>) -> bool {
        timestamp_ms.is_some_and(|at| self.times.contains(&at))
    }

    /// A number that no other keys in this process have.
    pub(crate) const fn serial(&self) -> u64 {
        self.serial
    }

    /// The key of pseudonyms.
    pub(crate) const fn pseudonym(&self) -> &PseudonymKey {
        &self.pseudonym
    }

    /// A name for a value in a log, which tells nothing of it to those without the keys.
    pub(crate) fn fingerprint(&self, value: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("limpid operations value v1");
        hasher.update(self.pseudonym.expose()).update(value.as_bytes());
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        hasher.zeroize();
        name
    }

    /// The first cipher that `pick` takes; `None` if the policy has no rule for it.
    pub(crate) fn cipher<'k, T>(&'k self, pick: impl FnMut(&'k Cipher) -> Option<T>) -> Option<T> {
        self.ciphers.iter().find_map(pick)
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKeys({} ciphers)", self.ciphers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;
    use crate::keys::secrets::Dated;
    use proptest::prelude::*;

    fn source(tenant: &str, epoch: Epoch) -> KeySource {
        KeySource::new(Secrets::from(Secret::new([7; 32])), tenant, epoch)
    }

    /// The key of the epoch of that number.
    fn key(source: &KeySource, number: i64) -> PseudonymKey {
        source.key(source.periods_of(number).next().expect("one secret"))
    }

    proptest! {
        #[test]
        fn keys_hold_the_times_of_their_period(
            length in prop_oneof![Just(0), 1..50u64, any::<u64>()],
            from in proptest::collection::btree_set(-100..100i64, 0..3),
            destroyed in 0..4usize,
            one in prop_oneof![-120..120i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
            other in prop_oneof![-120..120i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
        ) {
            let from = [i64::MIN].into_iter().chain(from);
            let dated = from.enumerate().map(|(number, from_ms)| Dated {
                from_ms,
                secret: (number != destroyed).then(|| Secret::new([number as u8; 32]).into()),
            });
            let secrets = Secrets::of(dated.collect());
            let source = KeySource::new(secrets, "acme", Epoch::every_ms(length));
            if let Ok(period) = source.period(Some(one)) {
                let keys = source.keys(period);
                let is_in = source.period(Some(other)) == Ok(period);
                prop_assert_eq!(keys.hold(Some(other)), is_in && other != i64::MAX);
                prop_assert!(!keys.hold(None));
            }
        }
    }

    #[test]
    fn another_tenant_epoch_or_length_is_another_key() {
        let day = Epoch::every_ms(86_400_000);
        let base = key(&source("acme", day), 1);
        assert!(base == key(&source("acme", day), 1));
        assert!(base != key(&source("acme", day), 2));
        assert!(base != key(&source("acmf", day), 1));
        assert!(base != key(&source("acme", Epoch::every_ms(86_400_001)), 1));
        assert!(key(&source("acme", Epoch::Never), 0) != key(&source("acme", day), 0));
    }

    #[test]
    fn epochs_floor_before_1970_too() {
        let day = Epoch::every_ms(86_400_000);
        assert_eq!(day.number(Some(-1)), Some(-1));
        assert_eq!(day.number(Some(86_399_999)), Some(0));
        assert_eq!(day.number(Some(86_400_000)), Some(1));
        assert_eq!(day.number(None), None);
        assert_eq!(Epoch::Never.number(None), Some(0));
    }
}
