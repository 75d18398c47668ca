//! `limpid quarantine`: what was withheld, and, with the private key, the records themselves.
//!
//! `list` shows what the clear headers say and needs no key. `open` prints personal data: that is
//! its purpose, for whoever holds the key; it prints to standard output and nowhere else. `replay`
//! opens them too, and gives them to the engine instead.

use crate::config::{self, Config};
use crate::document::printable;
use crate::error::{Error, Reason, Result};
use crate::kafka::reader::{Reach, read_topic};
use crate::keys::{PrivateKey, SecretSource};
use crate::quarantine::{Clear, Opened, Opener, Repaired, Replayed};
use crate::record::{Raw, Record};
use crate::reload::Start;
use crate::replay;
use clap::{Subcommand, ValueEnum, builder::PossibleValue};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid quarantine`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List what was withheld: one line a record, and a summary by reason
    List(List),
    /// Open withheld records with the private key: one JSON line a record
    Open(Open),
    /// Put withheld records through the policies of today, to the clean topics; each once
    Replay(Replay),
}

#[derive(clap::Args)]
struct Pick {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "limpid.yaml")]
    config: PathBuf,
    /// Only records withheld for this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// Only records of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only records that came by this route
    #[arg(long)]
    route: Option<String>,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    pick: Pick,
    /// Those that were replayed, too
    #[arg(long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Open {
    #[command(flatten)]
    pick: Pick,
    /// The private key, as `limpid keys quarantine FILE` made it: a file, `env:NAME` or
    /// `command:PROGRAM ARGUMENT…`
    #[arg(long, value_name = "SOURCE")]
    key: SecretSource,
    /// Only the record at this partition of the quarantine topic; `list` shows PARTITION/OFFSET
    #[arg(long, requires = "offset")]
    partition: Option<i32>,
    /// … and at this offset
    #[arg(long, requires = "partition")]
    offset: Option<i64>,
}

#[derive(clap::Args)]
struct Replay {
    #[command(flatten)]
    pick: Pick,
    /// The private key, as `limpid keys quarantine FILE` made it: a file, `env:NAME` or
    /// `command:PROGRAM ARGUMENT…`
    #[arg(long, value_name = "SOURCE")]
    key: SecretSource,
    /// Only these records, and as they stand there: lines that `open` printed, with key, value or headers
    /// repaired; `-`: standard input
    #[arg(long, value_name = "FILE")]
    repaired: Option<PathBuf>,
    /// Only look what would be replayed, and what would stay
    #[arg(long)]
    dry_run: bool,
}

/// Runs it.
pub fn main(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => list(&args),
        Command::Open(args) => open(&args),
        Command::Replay(args) => replay(&args),
    }
}

fn list(args: &List) -> Result<ExitCode> {
    let config = config::load(&args.pick.config)?;
    let mut out = io::stdout().lock();
    let mut summary = Summary::default();
    let marks = replay::marks(&config)?;
    read_topic(&config, &config.quarantine.topic, Reach::Whole, |record| {
        let Some(clear) = Clear::read(record.headers) else {
            summary.foreign +=
                u64::from(Replayed::read(record.partition, record.headers).is_none());
            return Ok(ControlFlow::Continue(()));
        };
        if !args.pick.takes(&clear) {
            return Ok(ControlFlow::Continue(()));
        }
        if !args.all && marks.contains(&mark(record)) {
            summary.replayed += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let line =
            if args.json { listed_json(record, &clear) } else { listed(record, &clear).into() };
        summary.count(&clear);
        print(&mut out, &line)
    })?;
    eprintln!("limpid: {summary}");
    Ok(ExitCode::SUCCESS)
}

fn open(args: &Open) -> Result<ExitCode> {
    let config = config::load(&args.pick.config)?;
    let mut opener = Opener::new(&read_key(&args.key)?);
    let reach = args.partition.zip(args.offset);
    let reach = reach.map_or(Reach::Whole, |(partition, offset)| Reach::One(partition, offset));
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        anstream::eprintln!("limpid: what follows is personal data, in the clear");
    }
    let (mut found, mut closed) = (0_u64, 0_u64);
    read_topic(&config, &config.quarantine.topic, reach, |record| {
        if Clear::read(record.headers).is_some_and(|clear| !args.pick.takes(&clear)) {
            return Ok(ControlFlow::Continue(()));
        }
        found += 1;
        match opener.open(record.headers, record.value.map(Raw::expose)) {
            Ok(opened) => print(&mut out, &opened_json(record, &opened)),
            Err(not) => {
                closed += 1;
                eprintln!("limpid: {}/{} not opened: {not}", record.partition, record.offset);
                Ok(ControlFlow::Continue(()))
            }
        }
    })?;
    finish_open(&config, reach, found, closed)
}

fn finish_open(config: &Config, reach: Reach, found: u64, closed: u64) -> Result<ExitCode> {
    if let Reach::One(partition, offset) = reach
        && found == 0
    {
        let topic = &config.quarantine.topic;
        return Err(Error::fatal(format!("{topic} has no such record at {partition}/{offset}")));
    }
    eprintln!("limpid: {} opened, {closed} not", found - closed);
    Ok(ExitCode::from(u8::from(closed > 0)))
}

fn mark(record: &Record<'_>) -> Replayed {
    Replayed { partition: record.partition, offset: record.offset }
}

fn replay(args: &Replay) -> Result<ExitCode> {
    let config = config::load(&args.pick.config)?;
    let policies = Start::new(&config)?.in_force.current();
    let key = read_key(&args.key)?;
    let repaired = args.repaired.as_deref().map(read_repaired).transpose()?;
    let job = replay::Job {
        config: &config,
        policies: &policies,
        key: &key,
        takes: &|clear| args.pick.takes(clear),
        repaired: repaired.as_ref(),
        rehearsal: args.dry_run,
    };
    let done = replay::replay(&job, &mut |partition, offset, stays| {
        eprintln!("limpid: {partition}/{offset} stays: {stays}");
    })?;
    let would = if args.dry_run { "would be " } else { "" };
    eprintln!(
        "limpid: {} {would}replayed, {} stay, {} were before",
        done.replayed, done.stay, done.before
    );
    let wanted = repaired.map_or(0, |repaired| repaired.count() as u64);
    let missing = wanted.saturating_sub(done.replayed + done.stay + done.before);
    if missing > 0 {
        eprintln!("limpid: {missing} of the repaired records are not among those that were picked");
    }
    Ok(ExitCode::from(u8::from(done.stay + missing > 0)))
}

fn read_repaired(path: &Path) -> Result<Repaired> {
    let cannot = |error| Error::usage(format!("{}: {error}", path.display()));
    let text = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = Zeroizing::new(text.map_err(cannot)?);
    Repaired::read(&text).map_err(|fault| Error::usage(format!("{}: {fault}", path.display())))
}

fn read_key(source: &SecretSource) -> Result<PrivateKey> {
    let bytes = source.read()?;
    std::str::from_utf8(&bytes)
        .map_err(|_| Error::usage(format!("{source}: not a text in UTF-8")))
        .and_then(|text| {
            PrivateKey::from_text(text).map_err(|fault| Error::usage(format!("{source}: {fault}")))
        })
}

impl Pick {
    fn takes(&self, clear: &Clear) -> bool {
        self.reason.is_none_or(|reason| reason.name() == clear.reason)
            && self.route.as_ref().is_none_or(|route| *route == clear.route)
            && self.tenant.as_ref().is_none_or(|tenant| Some(tenant) == clear.tenant.as_ref())
    }
}

impl ValueEnum for Reason {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// How many were withheld, and why.
#[derive(Default)]
struct Summary {
    reasons: BTreeMap<String, u64>,
    /// Not listed, for they were replayed.
    replayed: u64,
    foreign: u64,
}

impl Summary {
    fn count(&mut self, clear: &Clear) {
        *self.reasons.entry(printable(&clear.reason)).or_default() += 1;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} withheld", self.reasons.values().sum::<u64>())?;
        let reasons: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        if !reasons.is_empty() {
            write!(f, " ({})", reasons.join(", "))?;
        }
        if self.replayed > 0 {
            write!(f, "; {} more were replayed", self.replayed)?;
        }
        if self.foreign > 0 {
            write!(f, "; {} messages are not limpid's", self.foreign)?;
        }
        Ok(())
    }
}

/// Place in the quarantine topic, time, reason, tenant, place in the raw topic, size.
fn listed(record: &Record<'_>, clear: &Clear) -> String {
    let size = match record.value {
        Some(payload) => format!("{} B", payload.len()),
        None => "left out".to_owned(),
    };
    format!(
        "{}/{}  {}  {}  {}  {}/{}/{}  {size}\n",
        record.partition,
        record.offset,
        time(record.timestamp_ms).unwrap_or_else(|| "-".to_owned()),
        printable(&clear.reason),
        clear.tenant.as_deref().map_or_else(|| "-".to_owned(), printable),
        printable(&clear.topic),
        clear.partition,
        clear.offset,
    )
}

fn listed_json(record: &Record<'_>, clear: &Clear) -> Zeroizing<String> {
    let mut line = place(record, clear);
    line.insert("sealed_bytes".into(), json!(record.value.map(Raw::len)));
    line.insert("seal".into(), json!(clear.seal));
    written(line)
}

fn opened_json(record: &Record<'_>, opened: &Opened) -> Zeroizing<String> {
    let mut line = place(record, opened.clear());
    line.insert("record_time".into(), json!(time(opened.timestamp_ms())));
    put_bytes(&mut line, "key", opened.key());
    put_bytes(&mut line, "value", opened.value());
    let headers = opened.headers().map(|(name, value)| {
        let mut header = Map::new();
        put_bytes(&mut header, "name", Some(name));
        put_bytes(&mut header, "value", value);
        Value::Object(header)
    });
    line.insert("headers".into(), headers.collect());
    written(line)
}

/// What every line begins with.
fn place(record: &Record<'_>, clear: &Clear) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |name: &str, value| line.insert(name.to_owned(), value);
    put("quarantine_partition", json!(record.partition));
    put("quarantine_offset", json!(record.offset));
    put("withheld", json!(time(record.timestamp_ms)));
    put("reason", json!(clear.reason));
    put("route", json!(clear.route));
    put("tenant", json!(clear.tenant));
    put("topic", json!(clear.topic));
    put("partition", json!(clear.partition));
    put("offset", json!(clear.offset));
    line
}

/// Text where it is text, else `NAME_base64`.
fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(_)) => {
            let text = BASE64.encode(bytes.unwrap_or_default());
            object.insert(format!("{name}_base64"), json!(text))
        }
    };
}

/// One line of JSON in which a terminal finds nothing to obey: JSON itself leaves U+007F to
/// U+009F as they are.
fn written(line: Map<String, Value>) -> Zeroizing<String> {
    let json = Zeroizing::new(Value::Object(line).to_string());
    let mut text = Zeroizing::new(String::with_capacity(json.len() + 1));
    for c in json.chars() {
        if c.is_control() {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text.push('\n');
    text
}

fn time(ms: Option<i64>) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(ms?).ok()?;
    Some(format!("{at:.3}"))
}

/// A reader that has gone away (`| head`) is no error.
fn print(out: &mut impl Write, line: &str) -> Result<ControlFlow<()>> {
    match out.write_all(line.as_bytes()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Error::fatal(format!("standard output: {error}"))),
    }
}
