//! A policy as written → a plan, or the list of all that is wrong with it.
//!
//! What gets through here can only fail on data, and each such failure has its fate: a rule's
//! `mismatch`. Rules that can never decide a value are refused, because a reviewer would take them
//! for protection.

mod decide;
mod when;

pub use decide::paths;

use super::fields::nested;
use super::shared::Base;
use super::syntax::{self, At};
use super::{Decides, Fields, OnMismatch, Own, Place, Plan, Rule, Unlisted};
use crate::document::{Reader, Span, listed, nearest};
use crate::keys::{Epoch, KeySource, Keyring, Secret, Secrets, is_secret_name};
use crate::limits::RULES_MAX;
use crate::transform::{Redact, Transform};
use std::sync::Arc;

/// Where a policy's `key` is looked up.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'a> {
    /// In this keyring; none holds nothing.
    Keyring(Option<&'a Keyring>),
    /// Nowhere: any name will do, for a secret that is thrown away. For rehearsals only; its
    /// pseudonyms are good for nothing.
    Rehearsal,
}

/// Checks a policy, with the base that it must keep. Faults are added; `None` if there was one.
pub fn check(
    written: &syntax::Policy,
    base: Option<&Base>,
    lookup: Lookup<'_>,
    reader: &mut Reader<'_>,
) -> Option<Plan> {
    let faults_before = reader.faults.len();
    let tenant = written.tenant.as_ref().and_then(|tenant| tenant_name(tenant, reader));
    let keys = keys(written, tenant.as_ref(), lookup, reader);
    let base_rules: &[syntax::Rule] = base.map_or(&[], |base| &base.rules);
    let subjects = subjects(base_rules.iter().chain(&written.rules), reader);
    let lists = Lists {
        base: base_rules,
        own: &written.rules,
        subjects: &subjects,
        unlisted: unlisted(written, base, reader),
        span: written.rules_span,
    };
    let built = rules(&lists, reader);
    if written.key.is_none() {
        without_key(written, &lists, &built, reader);
    }
    let decided = decide::decide(&lists, reader);
    if reader.faults.len() > faults_before {
        return None;
    }
    let mut rules: Vec<Rule> = built.into_iter().collect::<Option<_>>()?;
    rules.extend(lists.rest());
    let purposes = rules.iter().filter_map(|rule| rule.transform.purpose()).collect();
    let decided = decided?;
    let subject_fields = match subjects.as_slice() {
        [] => None,
        subjects => Some(Arc::new(Fields::at(subjects).ok()?)),
    };
    Some(Plan {
        tenant: tenant?,
        version: written.version?,
        paths: Arc::unwrap_or_clone(decided.view.paths),
        rules: rules.into_iter().map(Arc::new).collect(),
        key: decided.view.key,
        header_rules: decided.view.header_rules,
        conditions: decided.conditions.map(Arc::new),
        subjects: subject_fields,
        unlisted: lists.unlisted,
        keys: keys.map(|keys| keys.with(purposes)),
        own: Own::default(),
    })
}

/// The rules that a policy is made of: those of the base, which it must keep, and its own.
struct Lists<'a> {
    base: &'a [syntax::Rule],
    own: &'a [syntax::Rule],
    /// The fields that parameters of rules name, each once.
    subjects: &'a [Place],
    /// What happens to what none of them names.
    unlisted: Unlisted,
    /// Where to point when all rules are meant.
    span: Span,
}

impl<'a> Lists<'a> {
    /// All of them, in the order of their numbers.
    fn all(&self) -> impl Iterator<Item = &'a syntax::Rule> + use<'a> {
        self.base.iter().chain(self.own)
    }

    fn len(&self) -> usize {
        self.base.len() + self.own.len()
    }

    /// What happens to the rest is the policy's last rule, for every part of a record.
    fn rest(&self) -> Option<Rule> {
        let (transform, label) = match self.unlisted {
            Unlisted::Keep => return None,
            Unlisted::Drop => (Transform::Drop, "unlisted drop"),
            Unlisted::Redact => (Transform::Redact(Redact::default()), "unlisted redact"),
        };
        Some(Rule { transform, mismatch: OnMismatch::Redact, label: label.into() })
    }
}

/// The fields that tell whose times are moved, each once.
fn subjects<'r>(
    rules: impl Iterator<Item = &'r syntax::Rule>,
    reader: &mut Reader<'_>,
) -> Vec<Place> {
    let mut subjects = Vec::new();
    for rule in rules {
        let Some(subject) = rule.subject.as_ref().filter(|subject| !subjects.contains(*subject))
        else {
            continue;
        };
        subjects.push(subject.clone());
        if let (Some((outer, inner)), Some(At { span, .. })) = (nested(&subjects), &rule.transform)
        {
            let message = format!("times are moved by `{outer}`, and by `{inner}` inside it");
            reader
                .faults
                .add(&rule.source, "P061", *span, message)
                .hint("what holds other fields names nobody: take one of the two for both");
            break;
        }
    }
    subjects
}

/// What happens to what no rule names: at least what the base says.
fn unlisted(written: &syntax::Policy, base: Option<&Base>, reader: &mut Reader<'_>) -> Unlisted {
    let least = base.and_then(|base| Some((&base.source, base.unlisted.as_ref()?)));
    match (least, &written.unlisted) {
        (Some((source, least)), Some(own)) if own.value < least.value => {
            let (line, _) = source.place(least.span.start);
            let at = format!("{}, line {line}", source.name);
            let message = format!("`unlisted` is looser than in the base ({at})");
            reader.fault("P057", own.span, message).hint(
                "take it out, or write one that shows less: `drop`, `redact`, `keep` is the order",
            );
            least.value
        }
        (_, Some(own)) => own.value,
        (Some((_, least)), None) => least.value,
        (None, None) => Unlisted::Keep,
    }
}

/// Longest tenant name: it must fit into topic names, which Kafka limits to 249 bytes.
const TENANT_BYTES_MAX: usize = 128;

fn tenant_name(tenant: &At<String>, reader: &mut Reader<'_>) -> Option<Arc<str>> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let name = tenant.value.as_str();
    if (1..=TENANT_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        return Some(name.into());
    }
    reader.fault("P001", tenant.span, "not a tenant name").hint(format!(
        "use letters without accents, digits, `.`, `_` and `-`; 1 to {TENANT_BYTES_MAX} of them"
    ));
    None
}

fn keys(
    written: &syntax::Policy,
    tenant: Option<&Arc<str>>,
    lookup: Lookup<'_>,
    reader: &mut Reader<'_>,
) -> Option<KeySource> {
    let epoch = written.epoch.as_ref().map_or(Some(Epoch::Never), |epoch| epoch_of(epoch, reader));
    let key = written.key.as_ref()?;
    let secrets = secrets(key, lookup, reader);
    Some(KeySource::new(secrets?, tenant?.clone(), epoch?))
}

fn epoch_of(epoch: &At<Option<std::time::Duration>>, reader: &mut Reader<'_>) -> Option<Epoch> {
    let Some(length) = epoch.value else { return Some(Epoch::Never) };
    match u64::try_from(length.as_millis()) {
        Ok(length @ 1..=EPOCH_MS_MAX) => Some(Epoch::every_ms(length)),
        _ => {
            reader
                .fault("P004", epoch.span, "an epoch lasts from 1 millisecond to 100 years")
                .hint("write `30d`, or `never` if pseudonyms are to stay the same for ever");
            None
        }
    }
}

/// A hundred years: longer is `never`.
const EPOCH_MS_MAX: u64 = 36_525 * 86_400_000;

fn without_key(
    written: &syntax::Policy,
    lists: &Lists<'_>,
    rules: &[Option<Rule>],
    reader: &mut Reader<'_>,
) {
    if written.key_unread {
        return;
    }
    if let Some(epoch) = &written.epoch {
        reader
            .fault("P003", epoch.span, "`epoch` without `key`")
            .hint("add `key: NAME`, the name of an entry in the keyring, or take `epoch` out");
    }
    for (rule, built) in lists.all().zip(rules) {
        let Some(transform) = &rule.transform else { continue };
        let purpose = built.as_ref().map(|rule| rule.transform.purpose().is_some());
        if purpose.unwrap_or(transform.value.needs_key) {
            let message = format!("`{}` needs the policy's `key`", transform.value.name);
            reader.faults.add(&rule.source, "P022", transform.span, message).hint(
                "add `key: NAME` to the policy; `limpid keys new NAME` makes the keyring's entry",
            );
        }
    }
}

fn secrets(key: &At<String>, lookup: Lookup<'_>, reader: &mut Reader<'_>) -> Option<Arc<Secrets>> {
    if !is_secret_name(&key.value) {
        let message = format!("no keyring has a key `{}`", key.value);
        reader.fault("P023", key.span, message).hint(
            "the names there have 1 to 64 letters, digits, `.`, `-` or `_`; no variables are filled in",
        );
        return None;
    }
    let name = key.value.as_str();
    let keyring = match lookup {
        Lookup::Rehearsal => return throw_away(key, reader),
        Lookup::Keyring(keyring) => keyring,
    };
    if let Some(secrets) = keyring.and_then(|keyring| keyring.get(name)) {
        return Some(secrets.clone());
    }
    let make = format!("`limpid keys new {name}` makes an entry");
    match keyring {
        None => {
            let message = format!("the policy needs the key `{name}`, and no keyring is given");
            reader.fault("P024", key.span, message).hint(format!("give a keyring; {make}"));
        }
        Some(keyring) => {
            let hint = match nearest(name, keyring.names()) {
                Some(meant) => format!("did you mean `{meant}`? {make}"),
                None => format!("it holds {}; {make}", listed(keyring.names())),
            };
            let message = format!("the keyring has no key `{name}`");
            reader.fault("P023", key.span, message).hint(hint);
        }
    }
    None
}

fn throw_away(key: &At<String>, reader: &mut Reader<'_>) -> Option<Arc<Secrets>> {
    if let Ok(secret) = Secret::generate() {
        return Some(Arc::new(secret.into()));
    }
    reader.fault("P025", key.span, "the system gives no random numbers for a trial key");
    None
}

/// The rules, built; `None` for one with a fault.
fn rules(lists: &Lists<'_>, reader: &mut Reader<'_>) -> Vec<Option<Rule>> {
    if lists.len() > RULES_MAX {
        let message = format!("{} rules; a policy has at most {RULES_MAX}", lists.len());
        reader.fault("P008", lists.span, message).hint(
            "rules with the same `do` can share one list of fields; `*` and `**` name many at once",
        );
        return Vec::new();
    }
    let base = lists.base.iter().zip(1..).map(|(rule, n)| (rule, format!("base {n}")));
    let own = lists.own.iter().zip(1..).map(|(rule, n)| (rule, n.to_string()));
    base.chain(own).map(|(rule, number)| built(rule, &number, lists.subjects, reader)).collect()
}

/// A rule, called by its number and its transform.
fn built(
    rule: &syntax::Rule,
    number: &str,
    subjects: &[Place],
    reader: &mut Reader<'_>,
) -> Option<Rule> {
    if rule.decides == Decides::Inside {
        // It does nothing to a value itself.
        let (transform, label) = (Transform::Keep, format!("{number} inside json"));
        return Some(Rule { transform, mismatch: rule.mismatch, label });
    }
    let At { value: spec, span } = rule.transform.as_ref()?;
    let keys = if rule.decides == Decides::Names { "rename_keys " } else { "" };
    match rule.build(subjects)? {
        Ok(transform) => {
            let label = format!("{number} {keys}{}", spec.name);
            Some(Rule { transform, mismatch: rule.mismatch, label })
        }
        Err(message) => {
            reader.faults.add(&rule.source, "P006", *span, message);
            None
        }
    }
}
