//! `limpid diff`: two policies over the same records: what becomes more exposed, and what less.
//!
//! Values are printed only with `--values`. Exit code 1 if anything is loosened, or may be.

use super::policy_file::{keyring, rehearsed};
use crate::clock::now_ms;
use crate::compare::{Comparison, Example, PathTally, Verdict};
use crate::config::{self, Config, Secrets};
use crate::document::{Faults, Paint, Source, printable};
use crate::engine::{Engine, Limits, Route};
use crate::error::{Error, Reason, Result};
use crate::explain::Explainer;
use crate::filter::decompressed;
use crate::kafka::reader::{Reach, read_topic};
use crate::keys::SecretSource;
use crate::policy::{self, Lookup, Plan, Policies};
use crate::record::{NO_HEADERS, Raw, Record};
use crate::run::Routes;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `limpid diff`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("cluster").args(["brokers", "config"])))]
pub struct Args {
    /// The policy as it is
    old: PathBuf,
    /// The policy as it would be
    new: PathBuf,
    /// Files of one JSON record a line, plain, gzip or zstd; `-` or none: standard input
    #[arg(value_name = "FILE", conflicts_with = "topic")]
    files: Vec<PathBuf>,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`;
    /// without one, pseudonyms are not compared with each other
    #[arg(short, long, value_name = "SOURCE")]
    keys: Option<SecretSource>,
    /// The records of this topic: those of the old policy's tenant, as the configuration's route tells;
    /// with --brokers all of them
    #[arg(long, requires = "cluster")]
    topic: Option<String>,
    /// The cluster that has the topic
    #[arg(long, value_name = "HOST:PORT", requires = "topic")]
    brokers: Option<String>,
    /// A configuration that says how to reach the cluster that has the topic, and whose records are
    #[arg(long, value_name = "FILE", requires = "topic")]
    config: Option<PathBuf>,
    /// Only the last so many records of each partition
    #[arg(long, value_name = "N", requires = "topic", conflicts_with_all = ["from", "to"],
          value_parser = clap::value_parser!(i64).range(1..))]
    last: Option<i64>,
    /// Only records of this time and later
    #[arg(long, value_name = "RFC3339", requires = "topic")]
    from: Option<jiff::Timestamp>,
    /// Only records before this time
    #[arg(long, value_name = "RFC3339", requires = "topic")]
    to: Option<jiff::Timestamp>,
    /// Show an example of each path that differs: prints values
    #[arg(long)]
    values: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = keyring(args.keys.as_ref())?;
    let policy = |path: &Path| {
        let policy = rehearsed(path, keyring.as_ref())?;
        Ok(Explainer::new(policy, Limits::default()))
    };
    let (old, new) = (policy(&args.old)?, policy(&args.new)?);
    let mut comparison = Comparison::new(&old, &new, keyring.is_some(), args.values);
    match &args.topic {
        Some(topic) => add_topic(topic, args, old.plan(), &mut comparison)?,
        None if args.files.is_empty() => add_file(Path::new("-"), &mut comparison)?,
        None => args.files.iter().try_for_each(|file| add_file(file, &mut comparison))?,
    }
    let text = match args.json {
        true => format!("{:#}\n", report_json(args, &comparison)),
        false => report(&comparison),
    };
    super::print(&text)?;
    if comparison.records == 0 {
        return Err(Error::usage("there was no record to compare the policies on"));
    }
    Ok(ExitCode::from(u8::from(comparison.worst().loosens())))
}

fn add_topic(
    topic: &str,
    args: &Args,
    policy: &Plan,
    comparison: &mut Comparison<'_>,
) -> Result<()> {
    let ms = |at: Option<jiff::Timestamp>| at.map(jiff::Timestamp::as_millisecond);
    let reach = match (args.last, args.from, args.to) {
        (Some(count), ..) => Reach::Last(count),
        (None, None, None) => Reach::Whole,
        (None, from, to) => Reach::Times(ms(from), ms(to)),
    };
    let mut others = 0;
    let mut read = |config: &Config, whose: &mut dyn FnMut(&Record<'_>) -> bool| {
        read_topic(config, topic, reach, |record| {
            match whose(record) {
                true => comparison.add(record),
                false => others += 1,
            }
            Ok(ControlFlow::Continue(()))
        })
    };
    match (&args.config, &args.brokers) {
        (Some(file), _) => {
            let config = config::load(file)?;
            let mut whose = Whose::new(&config, topic, policy)?;
            read(&config, &mut |record| whose.takes(record))?;
        }
        (None, brokers) => {
            read(&only_brokers(brokers.as_deref().unwrap_or_default())?, &mut |_| true)?;
        }
    }
    if others > 0 {
        anstream::eprintln!("limpid: {others} records of other tenants, or of none, were left out");
    }
    Ok(())
}

/// Whose the records of a topic are, by the configuration's route, as `limpid run` tells.
struct Whose {
    engine: Engine,
    policies: Policies,
    route: Route,
    tenant: Arc<str>,
}

impl Whose {
    fn new(config: &Config, topic: &str, policy: &Plan) -> Result<Self> {
        let resolved = Routes::new(config).resolve(topic).ok_or_else(|| {
            Error::usage(format!(
                "no route takes {topic}, so nothing tells whose its records are; with `--brokers` all \
                 of them are taken as this tenant's"
            ))
        })?;
        // All tenants' names count: a record of another one is not the default policy's.
        let mut faults = Faults::default();
        let sources = policy::sources(&config.policies, &mut faults);
        let compiled = policy::compile_all(&sources, Lookup::Rehearsal, &mut faults);
        if !faults.is_empty() {
            faults.sort();
            return Err(Error::usage(format!(
                "the configuration's policies are refused\n{faults:#}"
            )));
        }
        let mut plans: Vec<Plan> = compiled.into_iter().map(|compiled| compiled.plan).collect();
        plans.retain(|plan| plan.tenant != policy.tenant);
        plans.push(policy.clone());
        let policies = Policies::new(plans)
            .map_err(|tenant| Error::usage(format!("several policies for {tenant}")))?;
        let (engine, tenant) = (Engine::new(Limits::default()), policy.tenant.clone());
        Ok(Self { engine, policies, route: resolved.route, tenant })
    }

    fn takes(&mut self, record: &Record<'_>) -> bool {
        let slot = self.engine.slot(&self.policies, &self.route, record);
        matches!(slot, Ok(Some(slot)) if self.policies.plan(slot).tenant == self.tenant)
    }
}

/// A configuration that only reads: its routes lead nowhere.
fn only_brokers(brokers: &str) -> Result<Config> {
    let text = format!(
        "brokers: {}\npolicies: .\nroutes: [{{name: none, topics: [none], clean: none.clean, \
         tenant: key}}]\nquarantine: {{topic: none.quarantine}}\n",
        json!(brokers)
    );
    let mut faults = Faults::default();
    let config = config::read(&Source::new("--brokers", text), Secrets::Leave, &mut faults);
    config.ok_or_else(|| Error::usage(format!("--brokers is refused\n{faults:#}")))
}

fn add_file(file: &Path, comparison: &mut Comparison<'_>) -> Result<()> {
    let cannot = |error| Error::usage(format!("cannot read {}: {error}", file.display()));
    let input: Box<dyn io::Read + Send> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(cannot)?),
    };
    if file.as_os_str() == "-" && io::stdin().is_terminal() {
        anstream::eprintln!("limpid: reading from the terminal, one record a line, up to Ctrl-D");
    }
    let (input, _) = decompressed(input).map_err(cannot)?;
    let mut input = BufReader::new(input);
    let (mut line, timestamp_ms) = (Vec::new(), Some(now_ms()));
    while read_line(&mut input, &mut line).map_err(cannot)? {
        let value = line.trim_ascii_end();
        if !value.is_empty() {
            let value = Some(Raw::new(value));
            let headers = NO_HEADERS;
            let (topic, partition, offset, key) = ("", 0, 0, None);
            comparison.add(&Record { topic, partition, offset, timestamp_ms, key, value, headers });
        }
    }
    Ok(())
}

/// Reads a line; false at the end. Of a line beyond the limit so much is kept that it is withheld.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let room = Limits::default().value_bytes as u64 + 2;
    line.clear();
    input.by_ref().take(room).read_until(b'\n', line)?;
    if line.last() != Some(&b'\n') && line.len() as u64 == room {
        input.skip_until(b'\n')?;
    }
    Ok(!line.is_empty())
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Loosened | Verdict::Unclear => AnsiColor::Red.on_default().bold(),
        Verdict::Tightened => AnsiColor::Green.on_default(),
        Verdict::Changed => AnsiColor::Yellow.on_default(),
        Verdict::Same => Style::new().dimmed(),
    }
}

/// A line for each setting and path that differs, the worst first, and a summary.
fn report(comparison: &Comparison<'_>) -> String {
    let settings = comparison.settings().into_iter();
    let settings = settings.map(|(name, old, new, v)| (v, format!("{name}: {old} → {new}")));
    let paths = comparison.paths.iter();
    let paths = paths.map(|(path, tally)| (tally.verdict(), described(path, tally)));
    let mut lines: Vec<(Verdict, String)> = settings.chain(paths).collect();
    lines.sort_by_key(|(verdict, _)| Reverse(*verdict));
    let mut text = String::new();
    for (verdict, line) in lines.iter().filter(|(verdict, _)| *verdict != Verdict::Same) {
        let word = Paint(true).on(style(*verdict), format_args!("{:<9}", verdict.name()));
        let _ = writeln!(text, "{word}  {line}");
    }
    let counted = Verdict::ALL.into_iter().map(|verdict| {
        let count = lines.iter().filter(|(of, _)| *of == verdict).count();
        format!("{count} {}", verdict.name())
    });
    let counted: Vec<String> = counted.collect();
    let records = if comparison.records == 1 { "record" } else { "records" };
    let _ = writeln!(text, "{} {records}: {}", comparison.records, counted.join(", "));
    let [old, new] = comparison.withheld().map(|withheld| withheld.iter().sum::<u64>());
    if old + new > 0 {
        let _ = writeln!(text, "withheld: {old} by the old policy, {new} by the new one");
    }
    text
}

/// What becomes of a path's values, and an example if there is one.
fn described(path: &str, tally: &PathTally) -> String {
    let moves = tally.moves.iter().filter(|((old, new), _)| old != new);
    let mut parts: Vec<String> = moves
        .map(|((old, new), count)| format!("{} → {} {count}", old.text(), new.text()))
        .collect();
    if tally.differ > 0 {
        parts.push(format!("replaced otherwise {}", tally.differ));
    }
    let mut text = format!("{}: {} of {}", printable(path), parts.join(", "), tally.values);
    if let Some(Example { before, after: [old, new] }) = &tally.example {
        for (what, value) in [("was", Some(before)), ("old", old.as_ref()), ("new", new.as_ref())] {
            let value = value.map_or("gone".into(), |value| printable(value));
            let _ = write!(text, "\n           {what} {value}");
        }
    }
    text
}

fn report_json(args: &Args, comparison: &Comparison<'_>) -> Value {
    let [withheld_old, withheld_new] = comparison.withheld().map(|withheld| {
        let named = Reason::ALL.iter().zip(withheld).map(|(reason, n)| (reason.name(), n));
        named.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>()
    });
    let settings = comparison.settings().into_iter().map(|(name, old, new, verdict)| {
        json!({"setting": name, "old": old, "new": new, "verdict": verdict.name()})
    });
    let paths = comparison.paths.iter().map(|(path, tally)| path_json(path, tally));
    json!({
        "old": {"file": args.old.display().to_string(), "withheld": withheld_old},
        "new": {"file": args.new.display().to_string(), "withheld": withheld_new},
        "records": comparison.records,
        "verdict": comparison.worst().name(),
        "settings": settings.collect::<Vec<_>>(),
        "paths": paths.collect::<Vec<_>>(),
    })
}

fn path_json(path: &str, tally: &PathTally) -> Value {
    let moves = tally
        .moves
        .iter()
        .map(|((old, new), count)| json!({"old": old.text(), "new": new.text(), "values": count}));
    let mut json = json!({
        "path": path,
        "verdict": tally.verdict().name(),
        "values": tally.values,
        "replaced_otherwise": tally.differ,
        "moves": moves.collect::<Vec<_>>(),
    });
    if let Some(Example { before, after: [old, new] }) = &tally.example {
        json["example"] = json!({"before": before, "old": old, "new": new});
    }
    json
}
