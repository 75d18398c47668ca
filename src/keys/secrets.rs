//! The secrets of one name in the keyring, and from which record time on each is used.
//!
//! One secret for ever can be replaced only by breaking with all that it made, and destroyed only
//! together with it. So a name has a row of secrets: each is used for records from its time on, up to
//! the next one's. Whoever rotates adds to the row; whoever destroys takes a secret out and leaves its
//! place, so that no neighbour serves its time. Each secret is random and tells nothing of another:
//! what one made cannot be linked by anybody once that one is gone. (A ratchet, each secret made from
//! the one before, would store less, but whoever learns one would know all that follow.)
//!
//! The record's time decides, never a clock: a replay gives the same bytes, and it does not matter
//! when a process learnt of a new secret, if only it has done so before records of its time arrive.

use super::Secret;
use std::sync::Arc;

/// The secrets of one name: at least one, by the time from which they are used.
#[derive(Debug, Clone)]
pub struct Secrets(Vec<Dated>);

/// A secret and its time.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    /// The first record time, in Unix milliseconds; `i64::MIN` for the beginning of time.
    pub(super) from_ms: i64,
    /// `None` once it is destroyed.
    pub(super) secret: Option<Arc<Secret>>,
}

/// Why there is no secret for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSecret {
    /// The record has no time, and there are several.
    NoTime,
    /// The secret of its time is destroyed, or was never made.
    Gone,
}

/// Which of a name's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretIndex(usize);

impl Secrets {
    /// These, which must be in the order of their times.
    pub(super) fn of(dated: Vec<Dated>) -> Self {
        debug_assert!(dated.is_sorted_by(|a, b| a.from_ms < b.from_ms));
        Self(dated)
    }

    /// The secret that serves a record time (Unix milliseconds; `None`: the record has none).
    ///
    /// # Errors
    /// None does.
    pub fn at(&self, timestamp_ms: Option<i64>) -> Result<SecretIndex, NoSecret> {
        let index = match timestamp_ms {
            _ if self.0.len() == 1 && self.0[0].from_ms == i64::MIN => 0,
            None => return Err(NoSecret::NoTime),
            Some(at) => {
                let later = self.0.partition_point(|dated| dated.from_ms <= at);
                later.checked_sub(1).ok_or(NoSecret::Gone)?
            }
        };
        self.0[index].secret.as_ref().map(|_| SecretIndex(index)).ok_or(NoSecret::Gone)
    }

    /// The secret of that index; `None` if it is destroyed.
    #[must_use]
    pub fn get(&self, index: SecretIndex) -> Option<&Arc<Secret>> {
        self.0.get(index.0)?.secret.as_ref()
    }

    /// The bytes of one that this has named, for derivation only.
    ///
    /// # Panics
    /// If the index is another's.
    pub(super) fn expose(&self, index: SecretIndex) -> &[u8; super::SECRET_BYTES] {
        self.get(index).expect("an index names a secret that is there").expose()
    }

    /// Those that there are, each with the record times that it serves: first and, if another
    /// follows, one past the last, in Unix milliseconds.
    pub fn spans(&self) -> impl Iterator<Item = (SecretIndex, i64, Option<i64>)> {
        let ends = self.0.iter().skip(1).map(|next| Some(next.from_ms)).chain([None]);
        self.0.iter().zip(ends).enumerate().filter_map(|(index, (dated, end))| {
            dated.secret.as_ref().map(|_| (SecretIndex(index), dated.from_ms, end))
        })
    }

    /// The times, Unix milliseconds, from each of which another secret, or none, is used.
    pub(super) fn times(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|dated| dated.from_ms)
    }

    /// Are they the same secrets for the same times?
    pub(super) fn same(&self, other: &Self) -> bool {
        let same = |(mine, theirs): (&Dated, &Dated)| {
            let secrets = match (&mine.secret, &theirs.secret) {
                (Some(mine), Some(theirs)) => mine.same(theirs),
                (None, None) => true,
                _ => false,
            };
            mine.from_ms == theirs.from_ms && secrets
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl From<Arc<Secret>> for Secrets {
    /// One for all times.
    fn from(secret: Arc<Secret>) -> Self {
        Self(vec![Dated { from_ms: i64::MIN, secret: Some(secret) }])
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Arc::new(secret).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(times: &[(i64, bool)]) -> Secrets {
        let dated = |(at, (from_ms, there)): (usize, &(i64, bool))| Dated {
            from_ms: *from_ms,
            secret: there.then(|| Arc::new(Secret::new([at as u8; 32]))),
        };
        Secrets::of(times.iter().enumerate().map(dated).collect())
    }

    #[test]
    fn a_record_s_time_chooses_its_secret() {
        let secrets = row(&[(i64::MIN, true), (1_000, true), (2_000, false), (3_000, true)]);
        let at = |time| secrets.at(time).map(|index| index.0);
        assert_eq!(at(Some(i64::MIN)), Ok(0));
        assert_eq!(at(Some(999)), Ok(0));
        assert_eq!(at(Some(1_000)), Ok(1));
        assert_eq!(at(Some(1_999)), Ok(1));
        assert_eq!(
            at(Some(2_000)),
            Err(NoSecret::Gone),
            "no neighbour serves a destroyed one's time"
        );
        assert_eq!(at(Some(i64::MAX)), Ok(3));
        assert_eq!(at(None), Err(NoSecret::NoTime));
        let spans: Vec<_> =
            secrets.spans().map(|(index, from, end)| (index.0, from, end)).collect();
        assert_eq!(spans, [(0, i64::MIN, Some(1_000)), (1, 1_000, Some(2_000)), (3, 3_000, None)]);
    }

    #[test]
    fn one_for_all_times_needs_no_time() {
        assert_eq!(row(&[(i64::MIN, true)]).at(None), Ok(SecretIndex(0)));
        assert_eq!(row(&[(i64::MIN, false)]).at(None), Err(NoSecret::Gone));
        assert_eq!(row(&[(5, true)]).at(None), Err(NoSecret::NoTime));
        assert_eq!(row(&[(5, true)]).at(Some(4)), Err(NoSecret::Gone));
    }
}
