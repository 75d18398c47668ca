//! `limpid keys list`, `rotate` and `destroy`: the secrets of a keyring over time.

use super::file::{self, KeyringFile};
use super::{print, today};
use crate::clock::now_ms;
use crate::document::units::duration;
use crate::error::{Error, Result};
use crate::keys::{Draft, Entries, Row, Secret, SecretSource, record_time_ms};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `limpid keys list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// The keyring: a file, `-` for standard input, `env:NAME` or `command:PROGRAM ARGUMENT…`
    #[arg(short, long, value_name = "SOURCE")]
    keys: SecretSource,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `limpid keys rotate`.
#[derive(clap::Args)]
pub struct RotateArgs {
    /// The name in the keyring
    name: String,
    /// The keyring, which is changed; `-`: from standard input to standard output
    #[arg(short, long, value_name = "FILE")]
    keys: PathBuf,
    /// The first record time that the new secret serves: a date (midnight UTC) or RFC 3339
    /// [default: the next midnight UTC, or the next epoch of --every, at least an hour from now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Make several, one each such time: the policies' `epoch`, so that each epoch has a secret of its
    /// own, to be destroyed on its own
    #[arg(long, value_name = "DURATION", value_parser = length)]
    every: Option<Duration>,
    /// How many
    #[arg(long, value_name = "N", requires = "every", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Also from a time on that has begun: records of it may have pseudonyms of the secret before
    #[arg(long)]
    yes: bool,
}

/// Arguments of `limpid keys destroy`.
#[derive(clap::Args)]
pub struct DestroyArgs {
    /// The name in the keyring
    name: String,
    /// The keyring, which is changed; `-`: from standard input to standard output
    #[arg(short, long, value_name = "FILE")]
    keys: PathBuf,
    /// Destroy each secret that serves only records from before this time: a date (midnight UTC) or
    /// RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "all")]
    before: Option<Timestamp>,
    /// Destroy every secret of this name
    #[arg(long, conflicts_with = "before")]
    all: bool,
    /// Spare secrets whose time has ended less than this ago: late records still need them
    #[arg(long, value_name = "DURATION", value_parser = length, default_value = "7d")]
    overlap: Duration,
    /// Do it: what is destroyed cannot be brought back
    #[arg(long)]
    yes: bool,
}

/// How long before its time a new secret must be there: every limpid must have read it by then.
const LEAD_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// Runs `limpid keys list`.
pub fn list(args: &ListArgs) -> Result<()> {
    let draft = file::draft(&args.keys)?;
    let now = now_ms();
    if args.json {
        let names = draft.entries().iter().map(|entries| name_json(entries, now));
        return print(&format!("{:#}\n", Value::from_iter(names)));
    }
    let mut lines = String::new();
    for entries in draft.entries() {
        for (row, until) in spans(&entries.rows) {
            lines += &format!(
                "{}  from {}  until {}  {}{}{}\n",
                entries.name,
                row.from.as_deref().unwrap_or("the beginning"),
                until.and_then(|row| row.from.as_deref()).unwrap_or("further notice"),
                state(row, until, now),
                row.destroyed.as_ref().map(|day| format!(" {day}")).unwrap_or_default(),
                row.created.as_ref().map(|day| format!(", made {day}")).unwrap_or_default(),
            );
        }
    }
    print(&lines)
}

/// Each secret with the one that follows it.
fn spans(rows: &[Row]) -> impl Iterator<Item = (&Row, Option<&Row>)> {
    rows.iter().enumerate().map(|(at, row)| (row, rows.get(at + 1)))
}

/// What it is now, by the clock.
fn state(row: &Row, next: Option<&Row>, now_ms: i64) -> &'static str {
    let begun = |row: &Row| row.from_ms().is_none_or(|from| from <= now_ms);
    match &row.destroyed {
        Some(_) => "destroyed",
        None if !begun(row) => "to come",
        None if next.is_some_and(begun) => "past",
        None => "in use",
    }
}

fn name_json(entries: &Entries, now: i64) -> (String, Value) {
    let secret = |(row, next): (&Row, Option<&Row>)| {
        json!({
            "from": row.from,
            "until": next.and_then(|row| row.from.clone()),
            "created": row.created,
            "destroyed": row.destroyed,
            "state": state(row, next, now),
        })
    };
    (entries.name.clone(), spans(&entries.rows).map(secret).collect())
}

/// Runs `limpid keys rotate`.
pub fn rotate(args: &RotateArgs) -> Result<()> {
    let file = KeyringFile::read(&args.keys)?;
    let times = times(args, now_ms())?;
    let mut new = Vec::new();
    for time in &times {
        new.push((Secret::generate()?, *time));
    }
    file.replace(&file.draft.rotated(&args.name, &new, &today())?)?;
    let [first, .., last] = times.as_slice() else {
        anstream::eprintln!(
            "limpid: `{}` has a new secret for records from {} on; every limpid must have read it by \
             then",
            args.name,
            times[0]
        );
        return Ok(());
    };
    anstream::eprintln!(
        "limpid: `{}` has {} new secrets, for records from {first} to that of {last} on; every limpid \
         must have read them by the first",
        args.name,
        times.len()
    );
    Ok(())
}

/// From which record times on the new secrets are used.
fn times(args: &RotateArgs, now_ms: i64) -> Result<Vec<Timestamp>> {
    let every = args.every.map(|every| i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
    if every == Some(0) {
        return Err(Error::usage("`--every` must be longer than nothing"));
    }
    let first = match args.from {
        Some(from) => from.as_millisecond(),
        None => next_multiple(now_ms.saturating_add(LEAD_MS), every.unwrap_or(DAY_MS)),
    };
    if first <= now_ms && !args.yes {
        return Err(Error::usage(
            "that time has begun: records of it may have pseudonyms of the secret before, and get \
             others from now on. Say `--yes` if this is meant",
        ));
    }
    let time = |at: u16| {
        let ms = first.saturating_add(every.unwrap_or(0).saturating_mul(i64::from(at)));
        Timestamp::from_millisecond(ms).map_err(|_| Error::usage("a time too far away"))
    };
    (0..args.count).map(time).collect()
}

fn next_multiple(ms: i64, of: i64) -> i64 {
    ms.div_euclid(of).saturating_add(1).saturating_mul(of)
}

/// Runs `limpid keys destroy`.
pub fn destroy(args: &DestroyArgs) -> Result<()> {
    let file = KeyringFile::read(&args.keys)?;
    let which = doomed(&file.draft, args, now_ms())?;
    let shown: Vec<String> = spans(&file.draft.named(&args.name)?.rows)
        .enumerate()
        .filter(|(at, _)| which.contains(at))
        .map(|(_, (row, next))| {
            let until = next.and_then(|row| row.from.as_deref()).unwrap_or("further notice");
            format!("from {} until {until}", row.from.as_deref().unwrap_or("the beginning"))
        })
        .collect();
    if !args.yes {
        return Err(Error::usage(format!(
            "this would destroy the secrets of `{}` for records\n  {}\nTheir pseudonyms could never be \
             linked, made again or revealed any more. Say `--yes` if this is meant",
            args.name,
            shown.join("\n  ")
        )));
    }
    file.replace(&file.draft.destroyed(&args.name, &which, &today())?)?;
    anstream::eprintln!(
        "limpid: destroyed the secrets of `{}` for records {}; every limpid that runs holds them until \
         it has reloaded, and copies of the file must go, too",
        args.name,
        shown.join(", ")
    );
    Ok(())
}

/// Which secrets are to be destroyed, by their index.
fn doomed(draft: &Draft, args: &DestroyArgs, now_ms: i64) -> Result<Vec<usize>> {
    let rows = &draft.named(&args.name)?.rows;
    let there = |at: &usize| rows[*at].destroyed.is_none();
    let Some(before) = args.before else {
        return Ok((0..rows.len()).filter(there).collect());
    };
    let ended = |at: &usize| {
        let end = rows.get(at + 1).and_then(Row::from_ms);
        end.is_some_and(|end| end <= before.as_millisecond())
    };
    let which: Vec<usize> = (0..rows.len()).filter(there).filter(ended).collect();
    let overlap = i64::try_from(args.overlap.as_millis()).unwrap_or(i64::MAX);
    let open = |at: &&usize| {
        let end = rows.get(**at + 1).and_then(Row::from_ms);
        end.is_none_or(|end| end > now_ms.saturating_sub(overlap))
    };
    if which.iter().any(|at| open(&at)) {
        return Err(Error::usage(
            "late records may still need a secret whose time has ended so recently: choose an earlier \
             `--before`, or a shorter `--overlap`",
        ));
    }
    if which.is_empty() {
        return Err(Error::usage(format!(
            "no secret of `{}` serves only records from before then: `limpid keys list` shows their \
             times, `limpid keys rotate` ends that of the last one",
            args.name
        )));
    }
    Ok(which)
}

fn time(text: &str) -> std::result::Result<Timestamp, String> {
    let time = record_time_ms(text).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.ok_or_else(|| "write a date, `2026-12-01`, or a time, `2026-12-01T12:00:00Z`".to_owned())
}

fn length(text: &str) -> std::result::Result<Duration, String> {
    let length = duration(text);
    length.ok_or_else(|| format!("write {}", crate::document::DURATION_FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_a_whole_one_and_leaves_time_to_spread() {
        let every = 30 * DAY_MS;
        assert_eq!(next_multiple(0, DAY_MS), DAY_MS);
        assert_eq!(next_multiple(every - 1, every), every);
        assert_eq!(next_multiple(-1, DAY_MS), 0);
    }
}
