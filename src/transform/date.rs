//! `date`: a time keeps its hour, day, month or year; it may be moved by some days before.
//!
//! What is truncated keeps its spelling: digits become those of the first moment, zone and separators
//! stay, so readers that insist on a form still find it. A time is truncated in the zone in which it
//! is written; an epoch number in UTC.

use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::{Out, Scalar};
use crate::keys::{Cipher, EpochKeys, Purpose};

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    to: Unit,
    epoch: Epoch,
    shift_days: u16,
    /// The number of the field that tells whose times they are; `None`: the record's key does.
    shift_by: Option<u16>,
}

/// Whose times are moved, as one field tells. All that is kept of who it is is a number drawn for them.
#[derive(Clone, Copy, Default)]
pub enum Subject {
    /// Nobody: the field is not there.
    #[default]
    Nobody,
    /// The one for whom this was drawn.
    One(u64),
    /// It cannot be told: an object or list, `true` or `false`, or several that differ.
    Unclear,
}

impl Subject {
    /// Whom a value names.
    #[must_use]
    pub fn of(value: Scalar<'_>, keys: Option<&EpochKeys>) -> Self {
        match value {
            Scalar::Text(text) => Self::of_bytes(text.as_bytes(), keys),
            Scalar::Number(number) => Self::drawn(keys, |key| {
                let mut hasher = blake3::Hasher::new_keyed(key);
                decimal::canonical(number, |byte| {
                    hasher.update(&[byte]);
                });
                hasher.finalize()
            }),
            Scalar::Bool(_) | Scalar::Null => Self::Unclear,
        }
    }

    /// Whom a record's key or a header names.
    #[must_use]
    pub fn of_bytes(bytes: &[u8], keys: Option<&EpochKeys>) -> Self {
        Self::drawn(keys, |key| blake3::keyed_hash(key, bytes))
    }

    fn drawn(keys: Option<&EpochKeys>, hash: impl FnOnce(&[u8; 32]) -> blake3::Hash) -> Self {
        let key = keys.and_then(|keys| {
            keys.cipher(|cipher| match cipher {
                Cipher::Date(key) => Some(key),
                _ => None,
            })
        });
        let hash = key.map(|key| hash(key));
        let drawn = hash.as_ref().and_then(|hash| hash.as_bytes().first_chunk());
        drawn.map_or(Self::Unclear, |drawn| Self::One(u64::from_le_bytes(*drawn)))
    }

    /// The field names this one too.
    pub fn meet(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Nobody, other) => other,
            (Self::One(drawn), Self::One(other)) if drawn == other => Self::One(drawn),
            _ => Self::Unclear,
        };
    }
}

/// What stays of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

/// What a number counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Epoch {
    Nothing,
    Seconds,
    Milliseconds,
}

/// Ten years: more would tell no less.
const SHIFT_DAYS_MAX: u32 = 3650;

pub(super) static SPEC: Spec = Spec {
    name: "date",
    about: "Truncates a time to the hour, day, month or year; may shift it by days.",
    doc: "A string that is a time (RFC 3339: `2026-11-24T22:05:23.5+01:00`; also with a space for the `T`, \
          a zone without colon, or no zone) or a date alone keeps what `to` says; what is smaller \
          becomes the first moment, in the zone in which it is written. Length and separators stay. \
          Numbers, and strings that are one, are times only if `epoch` says what they count since \
          1970: seconds (`s`) or milliseconds (`ms`); they are truncated in UTC, to a whole number.\n\n\
          With `shift_days: N` each time is first moved by a number of whole days between -N and N, the \
          same for all records of the same subject in the tenant's epoch (it is drawn from a hash \
          of who that is, keyed with the policy's `key`): the time of day and the days between two \
          events of one subject stay, the dates don't. Whose times they are is told by the record's \
          key, or by `shift_by`: one field, such as `user.id` or `$header.user`, as it came in, \
          wherever it stands. The number 42 and the text \"42\" are the same subject. Without a subject \
          (no key; a field that is missing, `null`, `true`, `false`, an object, a list, or there twice \
          with values that differ) the record's times are mismatches.\n\n\
          Years go from 1 to 9999. `null` stays; anything else is a mismatch.",
    params: &[
        Param {
            name: "to",
            kind: Kind::Word {
                of: &["second", "minute", "hour", "day", "month", "year"],
                default: "day",
            },
            doc: "the smallest that stays",
        },
        Param {
            name: "epoch",
            kind: Kind::Word { of: &["no", "s", "ms"], default: "no" },
            doc: "what numbers count; `no`: numbers are a mismatch",
        },
        Param {
            name: "shift_days",
            kind: Kind::Int { min: 0, max: SHIFT_DAYS_MAX as i64, default: Some(0) },
            doc: "most days that times are moved by; needs the policy's `key`",
        },
        Param {
            name: "shift_by",
            kind: Kind::Field,
            doc: "the field that tells whose times they are",
        },
    ],
    examples: &[
        Example {
            params: "to: hour",
            before: r#""2026-11-24T22:05:23.517+01:00""#,
            after: r#""2026-11-24T22:00:00.000+01:00""#,
        },
        Example { params: "to: month", before: r#""1985-03-12""#, after: r#""1985-03-01""# },
        Example { params: "epoch: ms", before: "1795557923517", after: "1795478400000" },
        Example { params: "", before: "1795557923517", after: r#""[redacted]""# },
        Example { params: "", before: r#""yesterday""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let mut args = Args::new(args);
        let to = match args.word() {
            "second" => Unit::Second,
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "month" => Unit::Month,
            "year" => Unit::Year,
            _ => Unit::Day,
        };
        let epoch = match args.word() {
            "s" => Epoch::Seconds,
            "ms" => Epoch::Milliseconds,
            _ => Epoch::Nothing,
        };
        let shift_days = u16::try_from(args.int()).unwrap_or(0);
        let shift_by = args.field();
        if shift_by.is_some() && shift_days == 0 {
            return Err(
                "`shift_by` without `shift_days` moves nothing: say by how many days".into()
            );
        }
        Ok(Transform::Date(Date { to, epoch, shift_days, shift_by }))
    },
};

impl Date {
    /// What is before the part that goes: years, months, days, hours …
    pub(super) fn keeps(self) -> [u32; 3] {
        let units = match self.to {
            Unit::Second => 5,
            Unit::Minute => 4,
            Unit::Hour => 3,
            Unit::Day => 2,
            Unit::Month => 1,
            Unit::Year => 0,
        };
        [units, 0, 0]
    }

    /// Dates that are moved in the same way have the same number.
    pub(super) fn kind(self) -> u32 {
        let epoch = match self.epoch {
            Epoch::Nothing => 0,
            Epoch::Seconds => 1,
            Epoch::Milliseconds => 2,
        };
        let by = self.shift_by.map_or(0, |field| u32::from(field) + 1);
        (by * (SHIFT_DAYS_MAX + 1) + u32::from(self.shift_days)) * 3 + epoch
    }

    /// Is a time moved?
    pub(super) const fn shifts(self) -> bool {
        self.shift_days > 0
    }

    pub(super) fn purpose(self) -> Option<Purpose> {
        self.shifts().then_some(Purpose::Date)
    }

    pub(super) fn apply(
        self,
        value: Scalar<'_>,
        context: &Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        let done = match value {
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Bool(_) => None,
            Scalar::Number(number) => self.number(number, false, context, out),
            Scalar::Text(text) if decimal::is_number(text) => self.number(text, true, context, out),
            Scalar::Text(text) => self.text(text, context, out),
        };
        done.unwrap_or(Outcome::Mismatch)
    }

    fn text(self, text: &str, context: &Context<'_>, out: &mut Out<'_>) -> Option<Outcome> {
        let mut buffer = [0; TEXT_MAX];
        let spelled = buffer.get_mut(..text.len())?;
        spelled.copy_from_slice(text.as_bytes());
        let mut time = Time::read(spelled)?;
        if self.shifts() {
            time.shift(self.days(context)?)?;
        }
        time.truncate(self.to);
        if spelled == text.as_bytes() {
            return Some(Outcome::Unchanged);
        }
        out.open();
        out.push_plain(spelled);
        out.close();
        Some(Outcome::Replaced)
    }

    fn number(
        self,
        number: &str,
        quoted: bool,
        context: &Context<'_>,
        out: &mut Out<'_>,
    ) -> Option<Outcome> {
        let second = match self.epoch {
            Epoch::Nothing => return None,
            Epoch::Seconds => 1,
            Epoch::Milliseconds => 1000,
        };
        let day = 86_400 * second;
        let mut time = i64::try_from(decimal::floor(number)?).ok()?;
        in_years(time.div_euclid(day))?;
        if self.shifts() {
            time += self.days(context)? * day;
        }
        let days = time.div_euclid(day);
        in_years(days)?;
        let (year, month, _) = date_of(days);
        let truncated = match self.to {
            Unit::Second => time.div_euclid(second) * second,
            Unit::Minute => time.div_euclid(60 * second) * 60 * second,
            Unit::Hour => time.div_euclid(3600 * second) * 3600 * second,
            Unit::Day => days * day,
            Unit::Month => days_of(year, month, 1) * day,
            Unit::Year => days_of(year, 1, 1) * day,
        };
        if quoted {
            out.open();
            decimal::integer(truncated.into(), |digit| out.push_plain(&[digit]));
            out.close();
        } else {
            decimal::integer(truncated.into(), |digit| out.number(&[digit]));
        }
        Some(Outcome::Replaced)
    }

    /// By how many days the record's times are moved.
    fn days(self, context: &Context<'_>) -> Option<i64> {
        let subject = match self.shift_by {
            None => Subject::of_bytes(context.place.key?, context.keys),
            Some(field) => *context.subjects.get(usize::from(field))?,
        };
        let Subject::One(drawn) = subject else { return None };
        let most = i64::from(self.shift_days);
        Some(i64::try_from(drawn % (2 * u64::from(self.shift_days) + 1)).ok()? - most)
    }
}

/// Longest text that is a time, with many digits of a second.
const TEXT_MAX: usize = 64;

/// A time as it is spelled.
struct Time<'t> {
    /// `YYYY-MM-DD`.
    date: &'t mut [u8],
    /// `HH:MM:SS` and the fraction; empty for a date alone.
    clock: &'t mut [u8],
}

impl<'t> Time<'t> {
    fn read(text: &'t mut [u8]) -> Option<Self> {
        let (date, rest) = text.split_at_mut_checked(10)?;
        (date[4] == b'-' && date[7] == b'-').then_some(())?;
        let (year, month, day) =
            (two(&date[..2])? * 100 + two(&date[2..4])?, two(&date[5..7])?, two(&date[8..])?);
        (year > 0 && (1..=12).contains(&month)).then_some(())?;
        (1..=days_of_month(year, month)).contains(&day).then_some(())?;
        let clock = match rest {
            [] => rest,
            [b'T' | b't' | b' ', rest @ ..] => {
                let length = clock_length(rest)?;
                let (clock, zone) = rest.split_at_mut(length);
                is_zone(zone).then_some(clock)?
            }
            _ => return None,
        };
        Some(Self { date, clock })
    }

    fn shift(&mut self, days: i64) -> Option<()> {
        let part = |text: &[u8]| two(text).unwrap_or(0);
        let year = part(&self.date[..2]) * 100 + part(&self.date[2..4]);
        let days = days_of(year, part(&self.date[5..7]), part(&self.date[8..])) + days;
        in_years(days)?;
        let (year, month, day) = date_of(days);
        put(&mut self.date[..2], year / 100);
        put(&mut self.date[2..4], year % 100);
        put(&mut self.date[5..7], month);
        put(&mut self.date[8..], day);
        Some(())
    }

    fn truncate(&mut self, to: Unit) {
        if to == Unit::Year {
            put(&mut self.date[5..7], 1);
        }
        if matches!(to, Unit::Year | Unit::Month) {
            put(&mut self.date[8..], 1);
        }
        let kept = match to {
            Unit::Second => 8,
            Unit::Minute => 5,
            Unit::Hour => 2,
            Unit::Day | Unit::Month | Unit::Year => 0,
        };
        let digits = self.clock.iter_mut().skip(kept).filter(|byte| byte.is_ascii_digit());
        digits.for_each(|digit| *digit = b'0');
    }
}

/// Two digits as a number.
fn two(text: &[u8]) -> Option<i64> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    }
}

fn put(text: &mut [u8], number: i64) {
    text[0] = b'0' + (number / 10) as u8;
    text[1] = b'0' + (number % 10) as u8;
}

/// Length of `HH:MM:SS` and a fraction.
fn clock_length(text: &[u8]) -> Option<usize> {
    let [_, _, b':', _, _, b':', _, _, rest @ ..] = text else { return None };
    let (hour, minute, second) = (two(&text[..2])?, two(&text[3..5])?, two(&text[6..8])?);
    // A leap second has the number 60.
    (hour < 24 && minute < 60 && second <= 60).then_some(())?;
    let digits = match rest {
        [b'.' | b',', digits @ ..] => {
            digits.iter().take_while(|byte| byte.is_ascii_digit()).count()
        }
        _ => return Some(8),
    };
    (digits > 0).then_some(8 + 1 + digits)
}

fn is_zone(text: &[u8]) -> bool {
    let fits = |hours: &[u8], minutes: &[u8]| {
        two(hours).is_some_and(|hours| hours < 24)
            && two(minutes).is_some_and(|minutes| minutes < 60)
    };
    match text {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', hours @ .., b':', m, n] => fits(hours, &[*m, *n]),
        [b'+' | b'-', hours @ .., m, n] => fits(hours, &[*m, *n]),
        _ => false,
    }
}

/// Years 1 to 9999, in days since 1970.
fn in_years(days: i64) -> Option<()> {
    (days_of(1, 1, 1)..=days_of(9999, 12, 31)).contains(&days).then_some(())
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_of(next_year, next, 1) - days_of(year, month, 1)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years begin in March here, so that the
/// day that is not always there comes last (Hinnant, "chrono-compatible low-level date algorithms").
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// The date of a day since 1970-01-01: year, month, day.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil;

    #[test]
    fn days_are_those_of_the_calendar() {
        let first = civil::date(1970, 1, 1);
        for days in (-719_162..2_932_897).step_by(97) {
            let date = first.checked_add(jiff::Span::new().days(days)).unwrap();
            let (year, month, day) = (date.year().into(), date.month().into(), date.day().into());
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(days_of(year, month, day), days);
            assert_eq!(days_of_month(year, month), i64::from(date.days_in_month()));
        }
        assert!(
            in_years(days_of(9999, 12, 31)).is_some() && in_years(days_of(0, 12, 31)).is_none()
        );
    }

    fn truncated(to: Unit, text: &str) -> String {
        let date = Date { to, epoch: Epoch::Milliseconds, shift_days: 0, shift_by: None };
        let mut bytes = Vec::new();
        match date.apply(Scalar::Text(text), &Context::default(), &mut Out::plain(&mut bytes)) {
            Outcome::Replaced => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn times_are_truncated_where_they_are_written() {
        for (to, before, after) in [
            (Unit::Second, "2026-11-24T22:05:23.517Z", "2026-11-24T22:05:23.000Z"),
            (Unit::Minute, "2026-11-24 22:05:23", "2026-11-24 22:05:00"),
            (Unit::Hour, "2026-11-24t22:05:60z", "2026-11-24t22:00:00z"),
            (Unit::Day, "2026-11-24T00:30:00+0100", "2026-11-24T00:00:00+0100"),
            (Unit::Month, "2026-11-24T22:05:23,5-03:30", "2026-11-01T00:00:00,0-03:30"),
            (Unit::Year, "2024-02-29", "2024-01-01"),
            (Unit::Hour, "2024-02-29", "Unchanged"),
            (Unit::Day, "2023-02-29", "Mismatch"),
            (Unit::Day, "2026-13-01", "Mismatch"),
            (Unit::Day, "0000-01-01", "Mismatch"),
            (Unit::Day, "2026-11-24T24:00:00Z", "Mismatch"),
            (Unit::Day, "2026-11-24T22:05Z", "Mismatch"),
            (Unit::Day, "2026-11-24T22:05:23.Z", "Mismatch"),
            (Unit::Day, "2026-11-24T22:05:23 Jane", "Mismatch"),
            (Unit::Day, "2026-11-24T22:05:23+1", "Mismatch"),
            (Unit::Day, "2026-11-24T22:05:23+24:00", "Mismatch"),
            (Unit::Day, "24.11.2026", "Mismatch"),
            (Unit::Day, "", "Mismatch"),
            (Unit::Day, "86399999", "0"),
            (Unit::Day, "-1", "-86400000"),
            (Unit::Month, "5e9", "2678400000"),
            (Unit::Year, "99999999999999999", "Mismatch"),
        ] {
            assert_eq!(truncated(to, before), after, "{before}");
        }
    }
}
