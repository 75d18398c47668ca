//! A policy as written → a plan, or the list of all that is wrong with it.
//!
//! What gets through here can only fail on data, and each such failure has its fate: a rule's
//! `mismatch`. Rules that can never decide a value are refused, because a reviewer would take them
//! for protection.

use super::path::{self, Place};
use super::syntax::{self, At};
use super::{HeaderName, OnMismatch, Plan, Rule, Unlisted};
use crate::document::{Reader, Source, Span, listed, nearest};
use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment};
use crate::keys::{Epoch, Keyring, Pseudonyms, Secret, Secrets};
use crate::limits::{PATH_STATES_MAX, RULES_MAX};
use crate::transform::{Redact, Transform};
use std::collections::HashMap;
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

/// Checks a policy. Faults are added; `None` if there was one.
pub fn check(
    written: &syntax::Policy,
    lookup: Lookup<'_>,
    reader: &mut Reader<'_>,
) -> Option<Plan> {
    let faults_before = reader.faults.len();
    let tenant = written.tenant.as_ref().and_then(|tenant| tenant_name(tenant, reader));
    let pseudonyms = pseudonyms(written, tenant.as_ref(), lookup, reader);
    let rules = rules(written, reader);
    if written.key.is_none() {
        without_key(written, &rules, reader);
    }
    let places = places(written, reader);
    repeated(&places, reader);
    let paths = paths(written, &places, reader);
    shadowed_headers(&places, reader);
    if reader.faults.len() > faults_before {
        return None;
    }
    let mut rules: Vec<Rule> = rules.into_iter().collect::<Option<_>>()?;
    let rest = unlisted(written).map(|(rule, id)| {
        rules.push(rule);
        id
    });
    let key_rule = places.iter().find(|named| named.place == Place::Key).map(|named| named.rule);
    let any_header = rest.map(|rest| (HeaderName::Any, rest));
    Some(Plan {
        tenant: tenant?,
        version: written.version?,
        paths: paths?.into(),
        rules: rules.into(),
        key_rule: key_rule.or(rest),
        header_rules: places.iter().filter_map(Named::header).chain(any_header).collect(),
        unlisted: written.unlisted,
        pseudonyms,
    })
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

fn pseudonyms(
    written: &syntax::Policy,
    tenant: Option<&Arc<str>>,
    lookup: Lookup<'_>,
    reader: &mut Reader<'_>,
) -> Option<Pseudonyms> {
    let epoch = written.epoch.as_ref().map_or(Some(Epoch::Never), |epoch| epoch_of(epoch, reader));
    let key = written.key.as_ref()?;
    let secrets = secrets(key, lookup, reader);
    Some(Pseudonyms::new(secrets?, tenant?.clone(), epoch?))
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

fn without_key(written: &syntax::Policy, rules: &[Option<Rule>], reader: &mut Reader<'_>) {
    if written.key_unread {
        return;
    }
    if let Some(epoch) = &written.epoch {
        reader
            .fault("P003", epoch.span, "`epoch` without `key`")
            .hint("add `key: NAME`, the name of an entry in the keyring, or take `epoch` out");
    }
    for (rule, built) in written.rules.iter().zip(rules) {
        let Some(transform) = &rule.transform else { continue };
        let purpose = built.as_ref().map(|rule| rule.transform.purpose().is_some());
        if purpose.unwrap_or(transform.value.needs_key) {
            let message = format!("`{}` needs the policy's `key`", transform.value.name);
            reader.fault("P022", transform.span, message).hint(
                "add `key: NAME` to the policy; `limpid keys new NAME` makes the keyring's entry",
            );
        }
    }
}

fn secrets(key: &At<String>, lookup: Lookup<'_>, reader: &mut Reader<'_>) -> Option<Arc<Secrets>> {
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
fn rules(written: &syntax::Policy, reader: &mut Reader<'_>) -> Vec<Option<Rule>> {
    if written.rules.len() > RULES_MAX {
        let message = format!("{} rules; a policy has at most {RULES_MAX}", written.rules.len());
        reader.fault("P008", written.rules_span, message).hint(
            "rules with the same `do` can share one list of fields; `*` and `**` name many at once",
        );
        return Vec::new();
    }
    written.rules.iter().zip(1..).map(|(rule, n)| built(rule, n, reader)).collect()
}

fn built(rule: &syntax::Rule, number: usize, reader: &mut Reader<'_>) -> Option<Rule> {
    let At { value: spec, span } = rule.transform.as_ref()?;
    match (spec.build)(rule.args.as_ref()?) {
        Ok(transform) => Some(made(transform, rule, format!("{number} {}", spec.name))),
        Err(message) => {
            reader.fault("P006", *span, message);
            None
        }
    }
}

fn made(transform: Transform, rule: &syntax::Rule, label: String) -> Rule {
    Rule { transform, mismatch: rule.mismatch, label }
}

/// What happens to the rest is the policy's last rule, for every part of a record.
fn unlisted(written: &syntax::Policy) -> Option<(Rule, RuleId)> {
    let (transform, label) = match written.unlisted {
        Unlisted::Keep => return None,
        Unlisted::Drop => (Transform::Drop, "unlisted drop"),
        Unlisted::Redact => (Transform::Redact(Redact::default()), "unlisted redact"),
    };
    let rule = Rule { transform, mismatch: OnMismatch::Redact, label: label.into() };
    Some((rule, RuleId::try_from(written.rules.len()).ok()?))
}

/// A path, read, with the rule that it belongs to.
struct Named<'a> {
    rule: RuleId,
    place: Place,
    on_container: OnContainer,
    written: &'a At<String>,
}

impl Named<'_> {
    fn header(&self) -> Option<(HeaderName, RuleId)> {
        match &self.place {
            Place::Header(name) => Some((name.clone(), self.rule)),
            _ => None,
        }
    }

    fn in_value(&self) -> Option<RulePath> {
        match &self.place {
            Place::Value(segments) => Some(RulePath {
                rule: self.rule,
                on_container: self.on_container,
                segments: segments.clone(),
            }),
            _ => None,
        }
    }
}

fn places<'a>(written: &'a syntax::Policy, reader: &mut Reader<'_>) -> Vec<Named<'a>> {
    let mut all = Vec::new();
    for (rule, id) in written.rules.iter().zip(0..=RuleId::MAX) {
        let on_container = rule.transform.as_ref().map(|transform| transform.value.on_container());
        let on_container = on_container.unwrap_or(OnContainer::EachScalar);
        for field in &rule.fields {
            match path::parse(&field.value) {
                Ok(place) => all.push(Named { rule: id, place, on_container, written: field }),
                Err(flaw) => {
                    let span = inside(reader.source, field, &flaw.at);
                    reader.fault(flaw.code, span, flaw.message).hint(flaw.hint);
                }
            }
        }
    }
    all
}

/// Where a part of a path stands in the file: exact if the file spells the path without escapes,
/// else the whole path.
fn inside(source: &Source, field: &At<String>, at: &std::ops::Range<usize>) -> Span {
    let written = source.text.get(field.span.start..field.span.end).unwrap_or_default();
    let quote = usize::from(written.starts_with(['"', '\'']));
    match written.get(quote..).is_some_and(|written| written.starts_with(field.value.as_str())) {
        true => Span::new(field.span.start + quote + at.start, field.span.start + quote + at.end),
        false => field.span,
    }
}

fn repeated(places: &[Named<'_>], reader: &mut Reader<'_>) {
    let mut first: HashMap<&Place, &Named<'_>> = HashMap::new();
    for named in places {
        if let Some(earlier) = first.get(&named.place) {
            let (line, _) = reader.source.place(earlier.written.span.start);
            let message = format!("`{}` is named twice, first in line {line}", named.place);
            reader
                .fault("P020", named.written.span, message)
                .hint("the first rule that names a value decides: take this path out");
        } else {
            first.insert(&named.place, named);
        }
    }
}

fn paths(written: &syntax::Policy, places: &[Named<'_>], reader: &mut Reader<'_>) -> Option<Paths> {
    let (values, mut compiled): (Vec<&Named<'_>>, Vec<RulePath>) =
        places.iter().filter_map(|named| Some((named, named.in_value()?))).unzip();
    compiled.extend(unlisted(written).map(|(_, rule)| RulePath {
        rule,
        on_container: OnContainer::Take,
        segments: vec![Segment::AnyName],
    }));
    let Ok(paths) = Paths::compile(&compiled) else {
        let message = format!("the paths multiply to more than {PATH_STATES_MAX} states");
        reader.fault("P009", written.rules_span, message).hint(
            "several `**` in one path, or many paths with `**` beside each other, cost most: \
             name the members that lead to the value",
        );
        return None;
    };
    for (index, named) in values.iter().enumerate() {
        let twin = values[..index].iter().any(|earlier| earlier.place == named.place);
        if !twin && !paths.decides(index) {
            let path = &compiled[index];
            let by = compiled[..index].iter().position(|earlier| useless([earlier, path], 1));
            let after = compiled.iter().skip(index + 1).take(values.len() - index - 1);
            let mut undoes = after.zip(&values[index + 1..]);
            match undoes.find(|(later, _)| by.is_none() && useless([path, later], 0)) {
                Some((_, later)) => undone(named, later, reader),
                None => shadowed(named, by.map(|by| values[by]), reader),
            }
        }
    }
    Some(paths)
}

/// Of two paths alone, does the one of that index decide nothing?
fn useless([earlier, later]: [&RulePath; 2], index: usize) -> bool {
    let mut pair = [earlier.clone(), later.clone()];
    pair[0].rule = 0;
    pair[1].rule = 1;
    Paths::compile(&pair).is_ok_and(|paths| !paths.decides(index))
}

fn undone(named: &Named<'_>, by: &Named<'_>, reader: &mut Reader<'_>) {
    let (line, _) = reader.source.place(by.written.span.start);
    let message =
        format!("`{}` changes nothing: `{}` in line {line} takes all of it", named.place, by.place);
    reader.fault("P026", named.written.span, message).hint(
        "what a later rule takes whole is gone; take this path out, or `keep` what is to stay",
    );
}

fn shadowed_headers(places: &[Named<'_>], reader: &mut Reader<'_>) {
    let any = |named: &&Named<'_>| named.place == Place::Header(HeaderName::Any);
    let Some(index) = places.iter().position(|named| any(&named)) else { return };
    for named in &places[index + 1..] {
        if matches!(&named.place, Place::Header(HeaderName::Named(_))) {
            shadowed(named, Some(&places[index]), reader);
        }
    }
}

fn shadowed(named: &Named<'_>, by: Option<&Named<'_>>, reader: &mut Reader<'_>) {
    let message = match by {
        None => format!("`{}` can never match: earlier paths name all of it", named.place),
        Some(by) => {
            let (line, _) = reader.source.place(by.written.span.start);
            format!(
                "`{}` can never match: `{}` in line {line} names all of it",
                named.place, by.place
            )
        }
    };
    reader.fault("P021", named.written.span, message).hint(
        "the first rule that names a value decides: put this rule before that one, or take it out",
    );
}
