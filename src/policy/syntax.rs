//! A policy as it was written: every key known and typed, nothing yet checked against the rest.
//!
//! Unknown keys are refused here, each where it stands. Rules read their transform's parameters
//! straight from [`transform::TABLE`], so that a new transform needs no line in this file.

use super::conditions::{Literal, Term, When};
use super::json;
use super::path::{self, Place};
use super::trial::{self, Test};
use super::{Decides, HeaderName, OnMismatch, Shared, Unlisted};
use crate::document::{
    Called, Field, Kind as NodeKind, Node, Reader, Source, Span, Table, listed, nearest,
};
use crate::format::paths::{OnContainer, Segment};
use crate::transform::{self, Arg, Constant, Kind, Param, Spec, Transform};
use std::sync::Arc;
use std::time::Duration;

/// Something with its place.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    /// The thing.
    pub value: T,
    /// The place.
    pub span: Span,
}

/// A policy, typed. What could not be read is `None` and has its fault.
pub struct Policy {
    pub tenant: Option<At<String>>,
    pub version: Option<u64>,
    pub unlisted: Option<At<Unlisted>>,
    pub key: Option<At<String>>,
    /// There is a `key`, but not one that can be read.
    pub key_unread: bool,
    pub epoch: Option<At<Option<Duration>>>,
    /// In order, those of included rule sets in their place.
    pub rules: Vec<Rule>,
    /// Does it include any?
    pub includes: bool,
    /// Where to point when all rules are meant.
    pub rules_span: Span,
    pub tests: Vec<Test>,
}

/// A rule, typed.
pub struct Rule {
    /// The file that it stands in.
    pub source: Arc<Source>,
    pub fields: Vec<At<String>>,
    /// When it applies; `None`: to every record.
    pub when: Option<Condition>,
    /// What it decides.
    pub decides: Decides,
    /// The transform and where its name stands; `None` if it has none, or one that is unknown.
    pub transform: Option<At<&'static Spec>>,
    pub mismatch: OnMismatch,
    /// One for each parameter; `None` if one could not be read. That for a field is not filled in: its
    /// number depends on other rules.
    pub args: Option<Vec<Arg>>,
    /// The field that a parameter names.
    pub subject: Option<Place>,
}

impl Rule {
    /// The transform, where `fields` are the fields that the policy's parameters name.
    ///
    /// # Errors
    /// What is wrong with the parameters together.
    pub fn build(&self, fields: &[Place]) -> Option<Result<Transform, String>> {
        let At { value: spec, .. } = self.transform.as_ref()?;
        let subject = self.subject.as_ref();
        let number = subject.and_then(|subject| fields.iter().position(|field| field == subject));
        let numbered = |arg: &Arg| match arg {
            Arg::Field(_) => Arg::Field(number.and_then(|number| u16::try_from(number).ok())),
            arg => arg.clone(),
        };
        let args: Vec<Arg> = self.args.as_ref()?.iter().map(numbered).collect();
        Some((spec.build)(&args))
    }

    /// What it does with an array or object.
    pub fn on_container(&self) -> OnContainer {
        match (self.decides, &self.transform) {
            (Decides::Value, Some(At { value: spec, .. })) => spec.on_container(),
            (Decides::Value, None) => OnContainer::EachScalar,
            (Decides::Name | Decides::Names, _) => OnContainer::Rename,
            (Decides::Inside, _) => OnContainer::Open,
        }
    }
}

/// A rule's condition, with its place.
pub struct Condition {
    pub source: Arc<Source>,
    pub span: Span,
    pub when: When,
}

/// Reads a policy's tree.
pub fn read(node: &Node, shared: &Shared, reader: &mut Reader<'_>) -> Option<Policy> {
    let mut table = Table::new(node, "a policy", reader)?;
    table.know(NOTES_CALLED);
    let tenant = table.need("tenant", reader).and_then(|field| text_at(&field, reader));
    let version = table.need("version", reader).and_then(|field| field.int(0..=i64::MAX, reader));
    let unlisted = table.take("unlisted").and_then(|field| unlisted(&field, reader));
    let key_field = table.take("key");
    let key = key_field.and_then(|field| key_name(&field, reader));
    let epoch = table.take("epoch").and_then(|field| epoch(&field, reader));
    let rules_field = table.need("rules", reader);
    let items = rules_field.and_then(|field| field.list(reader)).unwrap_or_default();
    let (mut rules, mut includes) = (Vec::new(), false);
    for item in items {
        if is_include(item.node) {
            includes = true;
            rules.extend(shared.include(item.node, reader).into_iter().flatten());
        } else {
            rules.extend(rule(item.node, reader));
        }
    }
    let tests = table.take("tests").and_then(|field| field.list(reader)).unwrap_or_default();
    let tests = tests.iter().filter_map(|item| trial::read(item.node, reader)).collect();
    let head = table.head();
    table.pass("include");
    if let Some(include) = table.key_span("include") {
        reader
            .fault("Y010", include, "unknown key `include` in a policy")
            .hint("rule sets stand among the rules, where they count: `- include: _users.yaml`");
    }
    table.finish(reader);
    Some(Policy {
        tenant,
        version: version.and_then(|version| u64::try_from(version).ok()),
        unlisted,
        key_unread: key_field.is_some() && key.is_none(),
        key,
        epoch,
        rules,
        includes,
        rules_span: rules_field.map_or(head, |field| field.name_span),
        tests,
    })
}

fn text_at(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<At<String>> {
    let value = field.text(reader)?.to_owned();
    Some(At { value, span: field.span() })
}

/// The name of a keyring's entry. What stands there instead may be the secret itself: no message
/// shows it.
fn key_name(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<At<String>> {
    if !matches!(field.node.kind, NodeKind::Text(_) | NodeKind::Refused) {
        reader.faults.hide(reader.source, field.span());
        reader
            .fault("Y012", field.name_span, "`key` must be a name")
            .hint("write the name of an entry in the keyring; secrets never stand in a policy");
        return None;
    }
    text_at(field, reader)
}

/// What happens to what no rule names.
pub fn unlisted(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<At<Unlisted>> {
    let index = field.one_of(&["keep", "drop", "redact"], reader)?;
    let value = [Unlisted::Keep, Unlisted::Drop, Unlisted::Redact][index];
    Some(At { value, span: field.span() })
}

/// Does this item of a list of rules stand for those of another file?
pub fn is_include(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Map(entries) => entries.iter().any(|entry| entry.key == "include"),
        _ => false,
    }
}

/// `never` (`None`) or a duration.
fn epoch(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<At<Option<Duration>>> {
    let never = matches!(&field.node.kind, NodeKind::Text(text) if text == "never");
    let value = if never { None } else { Some(field.duration(reader)?) };
    Some(At { value, span: field.span() })
}

/// Reads one rule.
pub fn rule(node: &Node, reader: &mut Reader<'_>) -> Option<Rule> {
    let mut table = Table::new(node, "a rule", reader)?;
    table.know(NOTES_CALLED);
    table.know(KEYS_CALLED);
    let fields = table.need("fields", reader).map(|field| fields(&field, reader));
    let (decides, transform) = what(&mut table, reader);
    let when = table.take("when").and_then(|field| condition(&field, reader));
    let mismatch = table.take("mismatch").and_then(|field| mismatch(&field, reader));
    let mut subject = None;
    let args = match &transform {
        Some(At { value: spec, .. }) => {
            let keys = if decides == Decides::Names { "rename_keys: " } else { "" };
            table.call(format!("a `{keys}{}` rule", spec.name));
            let of_spec = PARAMS_CALLED.iter().filter(|(name, _)| *name == spec.name);
            of_spec.for_each(|(_, called)| table.know(called));
            let params = spec.params.iter();
            // Every parameter is read, so that all faults appear, before one failure spoils all.
            let args: Vec<_> =
                params.map(|param| arg(&mut table, param, &mut subject, reader)).collect();
            args.into_iter().collect()
        }
        None if decides == Decides::Inside => {
            table.call("an `inside` rule".into());
            None
        }
        None => {
            // Any of them may belong to the transform that was meant; but not what was meant by `do`.
            let meant = |name: &str| !table.has("do") && nearest(name, ["do"]).is_some();
            let params = transform::TABLE.iter().flat_map(|spec| spec.params);
            let params: Vec<_> = params.filter(|param| !meant(param.name)).collect();
            params.iter().for_each(|param| table.pass(param.name));
            None
        }
    };
    table.finish(reader);
    Some(Rule {
        source: reader.source.clone(),
        fields: fields.unwrap_or_default(),
        when,
        decides,
        transform,
        mismatch: mismatch.unwrap_or(OnMismatch::Redact),
        args,
        subject,
    })
}

/// What a rule decides, and by which transform: `do`, `rename_keys` or `inside`.
fn what(table: &mut Table<'_>, reader: &mut Reader<'_>) -> (Decides, Option<At<&'static Spec>>) {
    const KEYS: [&str; 3] = ["do", "rename_keys", "inside"];
    let mut found = KEYS.into_iter().filter(|key| table.has(key));
    let first = found.next();
    for other in found.collect::<Vec<_>>() {
        if let Some(field) = table.take(other) {
            let message = format!("a rule has `{}` or `{other}`, not both", first.unwrap_or("do"));
            reader
                .fault("P027", field.name_span, message)
                .hint("write two rules, for each has parameters and a `mismatch` of its own");
        }
    }
    match first {
        Some("inside") => {
            if let Some(field) = table.take("inside") {
                field.one_of(&["json"], reader);
            }
            (Decides::Inside, None)
        }
        Some("rename_keys") => (Decides::Names, names(table, reader)),
        Some(_) => {
            let transform = table.take("do").and_then(|field| spec(&field, reader));
            let renames = |named: &At<&Spec>| named.value.on_container() == OnContainer::Rename;
            let renames = transform.as_ref().is_some_and(renames);
            (if renames { Decides::Name } else { Decides::Value }, transform)
        }
        None => {
            // They may be what a misspelt key means.
            for key in &KEYS[1..] {
                table.take(key);
            }
            table.need("do", reader);
            (Decides::Value, None)
        }
    }
}

/// What is done to the names of members.
fn names(table: &mut Table<'_>, reader: &mut Reader<'_>) -> Option<At<&'static Spec>> {
    let transform = table.take("rename_keys").and_then(|field| spec(&field, reader))?;
    let At { value: spec, span } = transform;
    if !spec.on_names() {
        let able = transform::TABLE.iter().filter(|spec| spec.on_names()).map(|spec| spec.name);
        let hint = match spec.name {
            "drop" => "members go with their names by `do: drop` for `NAME.*`".into(),
            "rename" => "one member is renamed by `do: rename` for its own path".into(),
            _ => format!("it would give all members one name; there are {}", listed(able)),
        };
        reader.fault("P028", span, format!("`{}` cannot be done to names", spec.name)).hint(hint);
    }
    Some(transform)
}

fn fields(field: &Field<'_>, reader: &mut Reader<'_>) -> Vec<At<String>> {
    let texts = field.texts(reader).unwrap_or_default();
    if matches!(&field.node.kind, NodeKind::List(items) if items.is_empty()) {
        reader
            .fault("P007", field.span(), "a rule without fields does nothing")
            .hint("name at least one path, or take the rule out");
    }
    texts.into_iter().map(|(text, span)| At { value: text.to_owned(), span }).collect()
}

fn condition(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Condition> {
    let mut table = field.table(reader)?;
    let fields = table.rest();
    if fields.is_empty() {
        reader
            .fault("P060", field.name_span, "a condition that asks nothing")
            .hint("write `when: {FIELD: VALUE}`, or take `when` out");
    }
    let terms: Vec<_> = fields.iter().map(|field| term(field, reader)).collect();
    let when = When { terms: terms.into_iter().collect::<Option<_>>()? };
    Some(Condition { source: reader.source.clone(), span: field.name_span, when })
}

fn term(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Term> {
    let path = single_field(field.name, field.name_span, reader);
    let (is, not, exists) = if matches!(field.node.kind, NodeKind::Map(_)) {
        let mut table = field.table(reader)?;
        table.know(TERMS_CALLED);
        let faults_before = reader.faults.len();
        let is = table.take("is").map(|field| literals(&field, reader));
        let not = table.take("not").map(|field| literals(&field, reader));
        let exists = table.take("exists").map(|field| field.bool(reader));
        table.finish(reader);
        if reader.faults.len() > faults_before {
            return None;
        }
        (is, not, exists)
    } else {
        (Some(literals(field, reader)), None, None)
    };
    // A part that is there and could not be read has its fault.
    let (is, not, exists) = (turned(is)?, turned(not)?, turned(exists)?);
    if is.is_none() && not.is_none() && exists.is_none() {
        reader
            .fault("P060", field.name_span, "a condition that asks nothing")
            .hint("write a value, a list of values, or `is`, `not` or `exists`");
        return None;
    }
    if exists == Some(false) && (is.is_some() || not.is_some()) {
        reader
            .fault("P063", field.name_span, "this condition can never hold")
            .hint("a field that is not there has no value");
        return None;
    }
    Some(Term { field: path?, is, not, exists })
}

/// Nothing, something, or a fault.
#[expect(clippy::option_option, reason = "a fault, nothing, something")]
fn turned<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

/// A field that is read beforehand has one place.
fn single_field(path: &str, span: Span, reader: &mut Reader<'_>) -> Option<Place> {
    let plain = |segment: &Segment| matches!(segment, Segment::Name(_) | Segment::Element(_));
    let single = |place: &Place| match place {
        Place::In(_, segments) => segments.iter().all(plain),
        Place::Key => true,
        Place::Header(name) => *name != HeaderName::Any,
    };
    match path::parse(path) {
        Ok(place) if single(&place) => Some(place),
        Ok(_) => {
            let message = format!("`{path}` is no single field");
            reader
                .fault("P064", span, message)
                .hint("name one place: names joined by dots, `[0]`, `$key`, `$key.NAME` or `$header.NAME`");
            None
        }
        Err(flaw) => {
            reader.fault(flaw.code, span, flaw.message).hint(flaw.hint);
            None
        }
    }
}

fn literals(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Vec<Literal>> {
    let nodes = match &field.node.kind {
        NodeKind::List(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(field.node),
    };
    let literals: Vec<_> = nodes.iter().map(|node| literal(field, node, reader)).collect();
    literals.into_iter().collect()
}

fn literal(field: &Field<'_>, node: &Node, reader: &mut Reader<'_>) -> Option<Literal> {
    match &node.kind {
        NodeKind::Text(text) => Some(text.as_bytes().into()),
        NodeKind::Bool(value) => Some(value.to_string().into_bytes().into()),
        NodeKind::Number(_) => {
            let mut spelling = String::new();
            json::write(node, &mut spelling, reader)?;
            Some(transform::canonical(&spelling).into())
        }
        NodeKind::Refused => None,
        _ => {
            let message = format!("`{}` is compared with {}", field.name, node.is_a());
            reader
                .fault("P060", node.span, message)
                .hint("compare it with a text, a number, `true` or `false`, or a list of them");
            None
        }
    }
}

fn spec(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<At<&'static Spec>> {
    let name = field.text(reader)?;
    if let Some(value) = transform::named(name) {
        return Some(At { value, span: field.span() });
    }
    let names = || transform::TABLE.iter().map(|spec| spec.name);
    let lower = name.to_lowercase();
    let called = CALLED.iter().find(|(words, _)| words.contains(&lower.as_str()));
    let hint = match called.map(|(_, meant)| *meant).or_else(|| nearest(name, names())) {
        Some("pseudonymize") if lower.contains("sha") || lower == "hash" => {
            "did you mean `pseudonymize`? a hash without a key is undone by trying all values"
                .into()
        }
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", listed(names())),
    };
    reader.fault("P005", field.span(), format!("unknown transform `{name}`")).hint(hint);
    None
}

/// What transforms are called elsewhere.
const CALLED: &[(&[&str], &str)] = &[
    (&["delete", "del", "remove", "omit", "exclude", "discard"], "drop"),
    (&["hash", "sha256", "sha1", "hmac", "pseudonym"], "pseudonymize"),
    (&["truncate", "anonymize_ip", "mask_ip", "subnet"], "truncate_ip"),
    (&["obfuscate", "star", "partial"], "mask"),
    (&["replace", "constant"], "set"),
    (&["null", "blank", "censor", "clear"], "redact"),
    (&["allow", "pass", "include", "retain"], "keep"),
];

/// What there is no key for.
const NOTES_CALLED: &[Called] =
    &[(&["description", "comment", "note", "notes", "owner", "author"], "a comment: `# …`")];

/// What the keys of a condition are called elsewhere.
const TERMS_CALLED: &[Called] = &[
    (&["equals", "eq", "in", "one_of", "value", "values"], "`is`"),
    (&["not_equals", "ne", "not_in", "is_not"], "`not`"),
    (&["present", "missing"], "`exists`"),
];

/// What the keys of every rule are called elsewhere.
const KEYS_CALLED: &[Called] = &[
    (&["paths", "column", "columns"], "`fields`"),
    (&["action", "transform", "method", "apply", "operation"], "`do`"),
    (&["if", "condition", "conditions", "where", "only"], "`when`"),
    (&["unless", "except"], "`when` with `not`"),
    (&["epoch"], "`epoch` at the top of the policy"),
    (&["key"], "`key` at the top of the policy"),
    (&["on_mismatch", "on_error", "else", "otherwise", "fallback"], "`mismatch`"),
    (&["rename_key", "keys_do"], "`rename_keys`"),
];

/// What the parameters of each transform are called elsewhere.
const PARAMS_CALLED: &[(&str, &[Called])] = &[
    ("bucket", &[(&["ranges", "bounds", "limits"], "`edges`"), (&["width", "step"], "`size`")]),
    (
        "date",
        &[
            (&["shift"], "`shift_days`, or `shift_by` for whose times are moved"),
            (&["by", "subject", "per", "shift_per"], "`shift_by`"),
            (&["days"], "`shift_days`"),
            (&["unit", "precision", "granularity", "truncate", "truncate_to"], "`to`"),
        ],
    ),
    ("email", &[(&["user", "name", "local_part"], "`local`")]),
    ("encrypt_digits", &[(&["keep"], "`keep_first`, with a number of digits")]),
    ("geo", &[(&["grid", "metres", "meters", "cell", "grid_meters"], "`grid_metres`")]),
    (
        "mask",
        &[
            (
                &["keep", "show", "visible"],
                "`keep_first` or `keep_last`, with a number of characters",
            ),
            (&["first", "start"], "`keep_first`"),
            (&["last", "end"], "`keep_last`"),
        ],
    ),
    (
        "pseudonymize",
        &[
            (&["salt", "secret"], "`key` at the top of the policy"),
            (&["type", "kind", "of"], "`as`"),
        ],
    ),
    ("redact", &[(&["with", "to", "value", "replacement"], "`text`")]),
    ("rename", &[(&["name", "new", "as"], "`to`")]),
    ("round", &[(&["decimals", "places", "precision"], "`digits`")]),
    ("set", &[(&["value", "with", "text"], "`to`")]),
    ("strip_query", &[(&["allow", "params", "parameters"], "`keep`")]),
    (
        "truncate_ip",
        &[
            (
                &["prefix", "bits", "keep", "mask"],
                "`v4` or `v6`, with the number of bits that stay",
            ),
            (&["ipv4"], "`v4`"),
            (&["ipv6"], "`v6`"),
        ],
    ),
];

fn mismatch(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<OnMismatch> {
    let index = field.one_of(&["redact", "keep", "quarantine"], reader)?;
    Some([OnMismatch::Redact, OnMismatch::Keep, OnMismatch::Quarantine][index])
}

fn arg(
    table: &mut Table<'_>,
    param: &Param,
    subject: &mut Option<Place>,
    reader: &mut Reader<'_>,
) -> Option<Arg> {
    match param.kind {
        Kind::Int { min, max, default: Some(default) } => match table.take(param.name) {
            Some(field) => field.int(min..=max, reader).map(Arg::Int),
            None => Some(Arg::Int(default)),
        },
        Kind::Int { min, max, default: None } => {
            table.need(param.name, reader)?.int(min..=max, reader).map(Arg::Int)
        }
        Kind::Text { bytes_max, default } => match table.take(param.name) {
            Some(field) => short_text(&field, bytes_max, reader).map(Arg::Text),
            None => Some(Arg::Text(default.to_owned())),
        },
        Kind::Word { of, default } => match table.take(param.name) {
            Some(field) => field.one_of(of, reader).map(|index| Arg::Word(of[index])),
            None => Some(Arg::Word(default)),
        },
        Kind::Flag => match table.take(param.name) {
            Some(field) => field.bool(reader).map(Arg::Flag),
            None => Some(Arg::Flag(false)),
        },
        Kind::Ints { min, max } => match table.take(param.name) {
            Some(field) => {
                let items = field.list(reader)?.into_iter();
                let ints: Vec<_> = items.map(|item| item.int(min..=max, reader)).collect();
                ints.into_iter().collect::<Option<_>>().map(Arg::Ints)
            }
            None => Some(Arg::Ints(Vec::new())),
        },
        Kind::Field => {
            if let Some(field) = table.take(param.name) {
                *subject = Some(single_field(field.text(reader)?, field.span(), reader)?);
            }
            Some(Arg::Field(None))
        }
        Kind::Constant => constant(&table.need(param.name, reader)?, reader).map(Arg::Constant),
        Kind::Names => match table.take(param.name) {
            Some(field) => {
                let names = field.texts(reader)?;
                Some(Arg::Names(names.into_iter().map(|(name, _)| name.to_owned()).collect()))
            }
            None => Some(Arg::Names(Vec::new())),
        },
    }
}

/// A scalar, as JSON writes it.
fn constant(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Constant> {
    match &field.node.kind {
        NodeKind::Text(text) => Some(Constant::Text(text.as_str().into())),
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Number(_) => {
            let mut spelling = String::new();
            json::write(field.node, &mut spelling, reader)?;
            Some(Constant::Bare(spelling.into()))
        }
        _ => field.text(reader).map(|text| Constant::Text(text.into())),
    }
}

fn short_text(field: &Field<'_>, bytes_max: usize, reader: &mut Reader<'_>) -> Option<String> {
    let text = field.text(reader)?;
    if text.len() > bytes_max {
        let message = format!("`{}` must have at most {bytes_max} bytes", field.name);
        reader.fault("Y013", field.span(), message);
        return None;
    }
    Some(text.to_owned())
}
