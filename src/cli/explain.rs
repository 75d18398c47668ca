//! `limpid explain`: one event, every value: which rule decided, what it did, and why not another.
//!
//! It prints records' values: that is its purpose. It reads a file, prints to standard output and
//! sends nothing anywhere.

use super::policy_file;
use crate::clock::now_ms;
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::explain::Explainer;
use crate::keys::SecretSource;
use crate::policy::trial::Tried;
use crate::record::{Raw, Record};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `limpid explain`.
#[derive(clap::Args)]
pub struct Args {
    /// The policy to explain
    #[arg(short, long, value_name = "FILE")]
    policy: PathBuf,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`;
    /// without one, pseudonyms are made with a key that is thrown away
    #[arg(short, long, value_name = "SOURCE")]
    keys: Option<SecretSource>,
    /// The record's key
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// A header of the record; may be given many times
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The record's time, which decides the epoch of pseudonyms [default: now]
    #[arg(long, value_name = "RFC3339")]
    timestamp: Option<jiff::Timestamp>,
    /// Only the event on this line, counted from 1
    #[arg(long, value_name = "N")]
    line: Option<usize>,
    /// One JSON object for each event
    #[arg(long)]
    json: bool,
    /// A file with one event, or with one event a line; `-` or none: standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

fn header(written: &str) -> std::result::Result<(String, String), &'static str> {
    let (name, value) = written.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs it. Exit codes: 0 clean, 1 a record is withheld, 2 usage or policy.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = policy_file::keyring(args.keys.as_ref())?;
    let policy = policy_file::rehearsed(&args.policy, keyring.as_ref())?;
    if policy.plan.keys.is_some() && keyring.is_none() {
        anstream::eprintln!("limpid: without --keys, pseudonyms are made with a throw-away key");
    }
    let explainer = Explainer::new(policy, Limits::default());
    let input = read(args.file.as_deref())?;
    let mut withheld = false;
    for (number, event) in picked(&input, args.line)?.into_iter().enumerate() {
        withheld |= explain(&explainer, event, number, args)?;
    }
    Ok(ExitCode::from(u8::from(withheld)))
}

fn read(file: Option<&Path>) -> Result<Vec<u8>> {
    let file = file.filter(|file| *file != Path::new("-"));
    let name = file.map_or("standard input".into(), |file| file.display().to_string());
    let read = match file {
        Some(file) => std::fs::read(file),
        None => {
            if io::stdin().is_terminal() {
                anstream::eprintln!("limpid: reading an event from the terminal, up to Ctrl-D");
            }
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    read.map_err(|error| Error::usage(format!("cannot read {name}: {error}")))
}

/// The events of an input: the whole of it if it is one JSON value, else its lines.
fn picked(input: &[u8], line: Option<usize>) -> Result<Vec<&[u8]>> {
    let lines = || input.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let events: Vec<&[u8]> = match line {
        Some(line) => lines().skip(line.saturating_sub(1)).take(usize::from(line > 0)).collect(),
        None if crate::explain::event::read(input).is_some() => vec![input.trim_ascii()],
        None => lines().filter(|line| !line.is_empty()).collect(),
    };
    match events.as_slice() {
        [] | [b""] => Err(Error::usage("there is no event to explain")),
        _ => Ok(events),
    }
}

/// Explains one event; true if it is withheld.
fn explain(explainer: &Explainer, event: &[u8], number: usize, args: &Args) -> Result<bool> {
    let bytes = |text: &String| text.as_bytes().to_vec();
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> =
        args.header.iter().map(|(name, value)| (bytes(name), Some(bytes(value)))).collect();
    let explained = explainer.explain(&Record {
        topic: "",
        partition: 0,
        offset: 0,
        timestamp_ms: Some(args.timestamp.map_or_else(now_ms, jiff::Timestamp::as_millisecond)),
        key: args.key.as_ref().map(|key| Raw::new(key.as_bytes())),
        value: Some(Raw::new(event)),
        headers: &headers,
    });
    let text = match (args.json, number) {
        (true, _) => format!("{}\n", explained.json()),
        (false, 0) => format!("{explained:#}"),
        (false, _) => format!("\n{explained:#}"),
    };
    super::print(&text)?;
    Ok(matches!(explained.outcome, Tried::Withheld(_)))
}
