//! All periods of a stretch of record time: for who looks for what was made in any of them.

use super::{KeySource, NoSecret, Period};

/// Part of a stretch of record time, and the period whose keys it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its first millisecond; `i64::MIN`: the beginning of time.
    pub from_ms: i64,
    /// One past its last; `i64::MAX`: the end of time.
    pub until_ms: i64,
    /// Its keys', or why there are none.
    pub period: Result<Period, NoSecret>,
}

/// The periods of the record times from `from_ms` to before `until_ms`, in their order.
pub fn stretches(source: &KeySource, from_ms: i64, until_ms: i64) -> impl Iterator<Item = Stretch> {
    let mut at = from_ms;
    std::iter::from_fn(move || {
        if at >= until_ms {
            return None;
        }
        let from_ms = at;
        at = end_of_epoch(source, at).min(next_secret(source, at)).min(until_ms);
        Some(Stretch { from_ms, until_ms: at, period: source.period(Some(from_ms)) })
    })
}

/// One past the last millisecond of the epoch that holds a time.
fn end_of_epoch(source: &KeySource, at_ms: i64) -> i64 {
    let length = i64::try_from(source.epoch().length_ms()).unwrap_or(i64::MAX);
    match length {
        0 => i64::MAX,
        length => at_ms.div_euclid(length).saturating_add(1).saturating_mul(length),
    }
}

/// The first time after this one from which another secret, or none, is used.
fn next_secret(source: &KeySource, at_ms: i64) -> i64 {
    source.secrets().times().find(|time| *time > at_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Faults, Show, Source};
    use crate::keys::{Epoch, Keyring};

    const DAY: i64 = 86_400_000;

    fn source(epoch: Epoch) -> KeySource {
        let text = "acme:\n\
                    - {secret: 8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d}\n\
                    - {destroyed: 2026-01-01, from: 1970-01-03}\n\
                    - {secret: 1679091c5a880faf6fb5e6087eb1b2dc45c48cce2e2d7fbdea1afc51c7c6ad26, \
                    from: 1970-01-05}\n";
        let text = Source::with("k", text, Show::Nothing);
        let keyring = Keyring::read(&text, &mut Faults::default()).unwrap();
        KeySource::new(keyring.get("acme").unwrap().clone(), "acme", epoch)
    }

    fn found(epoch: Epoch, from: i64, until: i64) -> Vec<(i64, i64, bool)> {
        let source = source(epoch);
        let stretches = stretches(&source, from, until);
        stretches.map(|part| (part.from_ms, part.until_ms, part.period.is_ok())).collect()
    }

    #[test]
    fn without_epochs_the_secrets_alone_divide_time() {
        assert_eq!(
            found(Epoch::Never, i64::MIN, i64::MAX),
            [(i64::MIN, 2 * DAY, true), (2 * DAY, 4 * DAY, false), (4 * DAY, i64::MAX, true)]
        );
        assert_eq!(found(Epoch::Never, DAY, DAY), []);
    }

    #[test]
    fn epochs_and_secrets_both_divide_time() {
        let epoch = Epoch::every_ms(3 * 86_400_000);
        let wanted = [(1, 2, true), (2, 3, false), (3, 4, false), (4, 6, true), (6, 7, true)];
        let wanted = wanted.map(|(from, until, there)| (from * DAY, until * DAY, there));
        assert_eq!(found(epoch, DAY, 7 * DAY), wanted);
        assert_eq!(found(epoch, -DAY, DAY)[0], (-DAY, 0, true));
    }
}
