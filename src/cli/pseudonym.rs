//! `limpid pseudonym`: what a value became, over all epochs and policies. For the request of a person
//! who wants to know, or have deleted, what clean topics hold of them.
//!
//! It asks the policies' own transforms, with the keys of each epoch, so it cannot say something else
//! than the service did. The value is not printed again.

use super::policy_file;
use crate::clock::now_ms;
use crate::document::Faults;
use crate::error::{Error, Result};
use crate::format::{Out, Scalar};
use crate::keys::{
    Epoch, EpochKeys, KeySource, Keyring, SecretSource, Stretch, record_time_ms, stretches,
};
use crate::policy::{self, Lookup, Plan, Rule};
use crate::transform::{Context, Outcome, Place};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid pseudonym`.
#[derive(clap::Args)]
pub struct Args {
    /// A policy, or a folder of policies; may be given many times
    #[arg(short, long, value_name = "PATH", required = true)]
    policy: Vec<PathBuf>,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`
    #[arg(short, long, value_name = "SOURCE")]
    keys: SecretSource,
    /// Only this tenant's policy
    #[arg(short, long)]
    tenant: Option<String>,
    /// The first record time that counts: a date (midnight UTC) or RFC 3339; needed if a policy has
    /// epochs
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// The record time before which it ends [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// The value, as it stands in raw records. Every user of this machine can see arguments in the list
    /// of processes: leave it out, and it is read from standard input
    value: Option<String>,
}

/// More epochs than these are a slip: a day's epochs of ten years are 3,653.
const STRETCHES_MAX: usize = 100_000;

/// Runs it. Exit codes: 0 found, 1 no rule makes a pseudonym of it, 2 usage, policy or keyring.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = Keyring::load(&args.keys)?;
    let plans = plans(args, &keyring)?;
    let value = value(args)?;
    let (mut found, mut gone, mut drawn) = (0, 0, 0);
    for plan in &plans {
        let Some(source) = &plan.keys else { continue };
        for stretch in of_time(args, plan, source)? {
            let Ok(period) = stretch.period else {
                gone += 1;
                continue;
            };
            let made = Made::of(plan, &source.keys(period), &value);
            drawn += made.drawn;
            found += made.names.len();
            tell(args, plan, &stretch, &made)?;
        }
    }
    if gone > 0 {
        anstream::eprintln!(
            "limpid: for {gone} stretches of time the secret is gone: what was made then cannot be found"
        );
    }
    if drawn > 0 {
        anstream::eprintln!(
            "limpid: some rules make another result of each record; those cannot be told beforehand"
        );
    }
    Ok(ExitCode::from(u8::from(found == 0)))
}

fn plans(args: &Args, keyring: &Keyring) -> Result<Vec<Plan>> {
    let mut plans = Vec::new();
    for path in &args.policy {
        match path.is_dir() {
            true => plans.extend(folder(path, keyring)?),
            false => plans.push(policy_file::compiled(path, Some(keyring))?.plan),
        }
    }
    plans.retain(|plan| args.tenant.as_ref().is_none_or(|tenant| **tenant == *plan.tenant));
    if plans.is_empty() {
        return Err(Error::usage("none of the policies is that tenant's"));
    }
    Ok(plans)
}

fn folder(path: &Path, keyring: &Keyring) -> Result<Vec<Plan>> {
    let mut faults = Faults::default();
    let sources = policy::sources(path, &mut faults);
    let compiled = policy::compile_all(&sources, Lookup::Keyring(Some(keyring)), &mut faults);
    if !faults.is_empty() {
        faults.sort();
        return Err(Error::usage(format!("the policies are refused\n{faults:#}")));
    }
    Ok(compiled.into_iter().map(|policy| policy.plan).collect())
}

/// The value: an argument, or the one line of standard input.
fn value(args: &Args) -> Result<Zeroizing<String>> {
    if let Some(value) = &args.value {
        return Ok(Zeroizing::new(value.clone()));
    }
    if io::stdin().is_terminal() {
        anstream::eprintln!("limpid: reading a value from the terminal, one line, then Ctrl-D");
    }
    let text = io::read_to_string(io::stdin()).map(Zeroizing::new);
    let text = text.map_err(|error| Error::usage(format!("standard input: {error}")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(Error::usage("standard input must hold one value, on one line"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// The stretches of time that were asked for, each with its keys.
fn of_time(args: &Args, plan: &Plan, source: &KeySource) -> Result<Vec<Stretch>> {
    let from = match (args.from, source.epoch()) {
        (Some(from), _) => from,
        (None, Epoch::Never) => i64::MIN,
        (None, Epoch::Every(_)) => {
            return Err(Error::usage(format!(
                "the policy of `{}` has epochs: say since when there are records, `--from 2026-01-01`",
                plan.tenant
            )));
        }
    };
    let until = args.until.unwrap_or_else(now_ms);
    let found: Vec<Stretch> = stretches(source, from, until).take(STRETCHES_MAX + 1).collect();
    if found.len() > STRETCHES_MAX {
        let message = format!("over {STRETCHES_MAX} epochs: choose a later `--from`");
        return Err(Error::usage(message));
    }
    Ok(found)
}

/// What a value became in one stretch of time.
#[derive(Default)]
struct Made {
    /// Each result with the rules that make it.
    names: BTreeMap<String, Vec<String>>,
    /// Rules whose result differs from record to record.
    drawn: usize,
}

impl Made {
    fn of(plan: &Plan, keys: &EpochKeys, value: &str) -> Self {
        let mut made = Self::default();
        for rule in plan.rules.iter().filter(|rule| rule.transform.purpose().is_some()) {
            for scalar in scalars(value) {
                made.add(rule, scalar, keys);
            }
        }
        made
    }

    fn add(&mut self, rule: &Rule, value: Scalar<'_>, keys: &EpochKeys) {
        let [one, other] = ["a", "b"].map(|topic| applied(rule, value, keys, topic));
        match one {
            Some(name) if other.as_ref() == Some(&name) => {
                let rules = self.names.entry(name).or_default();
                if !rules.contains(&rule.label) {
                    rules.push(rule.label.clone());
                }
            }
            Some(_) => self.drawn += 1,
            None => {}
        }
    }
}

/// The value as text and, if it is spelled like one, as a number: raw records may have either.
fn scalars(value: &str) -> impl Iterator<Item = Scalar<'_>> {
    let number = serde_json::from_str::<serde_json::Number>(value).is_ok();
    [Some(Scalar::Text(value)), number.then_some(Scalar::Number(value))].into_iter().flatten()
}

/// What a rule makes of a value in a record of that topic; `None` if it is no value for that rule.
fn applied(rule: &Rule, value: Scalar<'_>, keys: &EpochKeys, topic: &str) -> Option<String> {
    let place = Place { topic, ..Place::default() };
    let mut context = Context { keys: Some(keys), place, ..Context::default() };
    let mut bytes = Vec::new();
    let outcome = rule.transform.apply(value, &mut context, &mut Out::plain(&mut bytes));
    (outcome == Outcome::Replaced).then(|| String::from_utf8(bytes).ok())?
}

fn tell(args: &Args, plan: &Plan, stretch: &Stretch, made: &Made) -> Result<()> {
    let (from, until) = (told(stretch.from_ms), told(stretch.until_ms));
    let mut lines = String::new();
    for (name, rules) in &made.names {
        let rules = rules.join(", ");
        lines += &match args.json {
            true => format!(
                "{}\n",
                json!({"pseudonym": name, "tenant": *plan.tenant, "from": from, "until": until, "rules": rules})
            ),
            false => format!(
                "{name}  {}  from {}  until {}  ({rules})\n",
                plan.tenant,
                from.as_deref().unwrap_or("the beginning"),
                until.as_deref().unwrap_or("the end"),
            ),
        };
    }
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
    done.map_err(|error| Error::fatal(format!("standard output: {error}")))
}

/// A time; `None` for the beginning and the end of it.
fn told(ms: i64) -> Option<String> {
    let open = [i64::MIN, i64::MAX].contains(&ms);
    Timestamp::from_millisecond(ms).ok().filter(|_| !open).map(|time| time.to_string())
}

fn time(text: &str) -> std::result::Result<i64, &'static str> {
    record_time_ms(text).ok_or("write a date, `2026-12-01`, or a time, `2026-12-01T12:00:00Z`")
}
