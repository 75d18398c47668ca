//! `limpid decrypt`: encrypted addresses and digits become what they were, for who has policy and
//! keyring, and never without a trace.
//!
//! A token says which secret and epoch it is of, and opens with no other. An address says nothing: the
//! policy tells the rule, `--at` the record's time, and with wrong ones another address comes out. So
//! nothing is guessed here: what is not told and is not the only choice is asked for.

use super::disclosure::{Authority, Disclosure, Shown, asked, quoted};
use super::policy_file;
use crate::error::{Error, Result};
use crate::format::{Out, Scalar};
use crate::keys::{EpochKeys, KeySource, Keyring, NoSecret, SecretSource, record_time_ms};
use crate::policy::{Plan, Rule};
use crate::transform::Outcome;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid decrypt`.
#[derive(clap::Args)]
pub struct Args {
    /// The policy that the values went through
    #[arg(short, long, value_name = "FILE")]
    policy: PathBuf,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`
    #[arg(short, long, value_name = "SOURCE")]
    keys: SecretSource,
    /// The time of the record that has the value: a date (midnight UTC) or RFC 3339; needed if keys
    /// change by time
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    at: Option<i64>,
    /// The rule that encrypted them, as `explain` shows it: its number from 1, or `base 1`; needed if
    /// several rules encrypt
    #[arg(long, value_name = "N")]
    rule: Option<String>,
    /// The values stood as JSON numbers, without quotes
    #[arg(long)]
    number: bool,
    #[command(flatten)]
    authority: Authority,
    /// The values; none: from standard input, one a line
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
}

/// Runs it. Exit codes: 0 all were decrypted, 1 some could not be, 2 usage, policy, keyring or log.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = Keyring::load(&args.keys)?;
    let plan = policy_file::compiled(&args.policy, Some(&keyring))?.plan;
    let rule = rule(&plan, args.rule.as_deref())?;
    let keys = keys(&plan, args.at)?;
    let mut disclosure = Disclosure::open(&args.authority)?;
    for text in asked(&args.values, "values")? {
        let shown = decrypted(rule, &text, args.number, &keys);
        let about = about(&plan.tenant, rule, &text, &keys);
        disclosure.tell("decrypt", about, &shown)?;
    }
    Ok(disclosure.end("no values that this rule makes"))
}

/// The rule that is called so, or the only one that can be undone.
fn rule<'p>(plan: &'p Plan, called: Option<&str>) -> Result<&'p Rule> {
    let rules = plan.rules.iter().map(|rule| &**rule);
    let undoes: Vec<&Rule> = rules.filter(|rule| rule.transform.undoes()).collect();
    let labels: Vec<&str> = undoes.iter().map(|rule| rule.label.as_str()).collect();
    // A label is what the rule is called, and its transform.
    let is = |rule: &&&Rule| rule.label.rsplit_once(' ').map(|(name, _)| name) == called;
    match (called, undoes.as_slice()) {
        (_, []) => Err(Error::usage(
            "no rule of this policy encrypts addresses or digits; tokens are for `limpid reveal`",
        )),
        (None, [only]) => Ok(only),
        (None, _) => Err(Error::usage(format!(
            "several rules encrypt: say which with `--rule`: {}",
            labels.join(", ")
        ))),
        (Some(name), _) => undoes.iter().find(is).copied().ok_or_else(|| {
            Error::usage(format!("rule {name} encrypts nothing; these do: {}", labels.join(", ")))
        }),
    }
}

/// The keys of the record's time.
fn keys(plan: &Plan, at: Option<i64>) -> Result<EpochKeys> {
    let source: &KeySource =
        plan.keys.as_ref().ok_or_else(|| Error::usage("the policy has no key"))?;
    match source.period(at) {
        Ok(period) => Ok(source.keys(period)),
        Err(NoSecret::NoTime) => Err(Error::usage(
            "the policy's keys change by time: say with `--at` when the value's record is of",
        )),
        Err(_) => Err(Error::usage("there is no secret for that time, or it was destroyed")),
    }
}

/// What the value was, as JSON.
fn decrypted(rule: &Rule, text: &str, number: bool, keys: &EpochKeys) -> Shown {
    let value = if number { Scalar::Number(text) } else { Scalar::Text(text) };
    // Room for all of it, so that no copy is left behind where it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 + 4 * text.len()));
    let outcome = rule.transform.undo(value, keys, &mut Out::plain(&mut bytes));
    let text = (outcome == Outcome::Replaced).then(|| std::str::from_utf8(&bytes).ok())??;
    Some(if number { Zeroizing::new(text.to_owned()) } else { quoted(text) })
}

/// What the log tells: which value by a keyed hash of it as it stood in the clean topic. Without a key
/// an address's hash could be guessed.
fn about(tenant: &str, rule: &Rule, text: &str, keys: &EpochKeys) -> Value {
    json!({
        "tenant": tenant,
        "rule": rule.label,
        "value": HEXLOWER.encode(&keys.fingerprint(text)),
        "epoch": keys.period().epoch(),
    })
}

fn time(text: &str) -> std::result::Result<i64, &'static str> {
    record_time_ms(text).ok_or("write a date, `2026-12-01`, or a time, `2026-12-01T12:00:00Z`")
}
