//! Rules with conditions, asked of each record in the plainest way: which lists of rules may apply?

use super::Beside;
use super::json::{Kind, Node};
use super::made::Choices;
use super::{Action, Rule};
use limpid::format::paths::Segment;
use limpid::policy::{Decides, OnMismatch, Unlisted};
use std::fmt::Write as _;

/// One term of a condition: a field of the record, by its one name; `$key`, or `$header.h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub field: &'static str,
    pub is: Vec<&'static str>,
    pub not: Vec<&'static str>,
    pub exists: Option<bool>,
}

/// What a field says: nothing, a value, or more than one can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Nothing,
    Value(String),
    Unclear,
}

/// Values that conditions name.
const VALUES: [&str; 5] = ["x", "42", "1.5", "1.2.3.4", "n/a"];

/// The lists of rules that may apply to a record, in all its readings.
pub fn readings(rules: &[Rule], root: &Node, beside: Beside<'_>) -> Vec<Vec<Rule>> {
    let mut fields: Vec<&str> = Vec::new();
    for term in rules.iter().flat_map(|rule| &rule.when) {
        if !fields.contains(&term.field) {
            fields.push(term.field);
        }
    }
    let mut readings: Vec<Vec<(&str, bool, String)>> = vec![Vec::new()];
    for field in fields {
        let terms: Vec<&Term> =
            rules.iter().flat_map(|rule| &rule.when).filter(|term| term.field == field).collect();
        let said = said(field, &terms, root, beside);
        // The last stands for whatever value no term names.
        let any = VALUES.into_iter().chain(["another value"]);
        let values: Vec<String> = match &said {
            Said::Value(value) => vec![value.clone()],
            _ => any.map(str::to_owned).collect(),
        };
        let exists = said != Said::Nothing;
        readings = readings
            .iter()
            .flat_map(|known| {
                values.iter().map(move |value| {
                    let mut more = known.clone();
                    more.push((field, exists, value.clone()));
                    more
                })
            })
            .collect();
    }
    let applies = |rule: &Rule, reading: &[(&str, bool, String)]| {
        rule.when.iter().all(|term| {
            let (_, exists, value) =
                reading.iter().find(|(field, ..)| *field == term.field).expect("asked");
            holds(term, *exists, value)
        })
    };
    let list = |reading: &Vec<(&str, bool, String)>| {
        rules.iter().filter(|rule| applies(rule, reading)).cloned().collect::<Vec<Rule>>()
    };
    readings.iter().map(list).collect()
}

fn holds(term: &Term, exists: bool, value: &str) -> bool {
    (term.is.is_empty() || term.is.contains(&value))
        && !term.not.contains(&value)
        && term.exists.is_none_or(|wanted| wanted == exists)
}

/// What a field of a record says, to those who ask these terms.
fn said(field: &str, terms: &[&Term], root: &Node, beside: Beside<'_>) -> Said {
    let mut values = Vec::new();
    match field.strip_prefix("$header.") {
        Some(name) => {
            let named = beside.headers.iter().filter(|(found, _)| found == name.as_bytes());
            values.extend(named.filter_map(|(_, value)| value.as_deref()).map(bare));
        }
        None if field == "$key" => values.extend(beside.key.map(bare)),
        None => collect(field, root, &mut values),
    }
    let alike = |one: &str, other: &str| {
        terms.iter().all(|term| holds(term, true, one) == holds(term, true, other))
    };
    let mut said = Said::Nothing;
    for value in values {
        said = match (said, value) {
            (Said::Nothing, Some(value)) => Said::Value(value),
            (Said::Value(before), Some(value)) if alike(&before, &value) => Said::Value(before),
            _ => Said::Unclear,
        };
    }
    said
}

/// A key or a header: a text, or bytes that no condition names.
fn bare(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| "no text".to_owned()))
}

/// The values of a record's members of that name; `None` for an object or array. No `null`.
fn collect(field: &str, node: &Node, values: &mut Vec<Option<String>>) {
    match &node.kind {
        Kind::Array(elements) => {
            elements.iter().for_each(|element| collect(field, element, values));
        }
        Kind::Object(members) => {
            for member in members.iter().filter(|member| member.key == field) {
                match &member.value.kind {
                    Kind::Null => {}
                    Kind::Array(_) | Kind::Object(_) => values.push(None),
                    Kind::Text(text) => values.push(Some(text.clone())),
                    Kind::Number(number) => values.push(Some(plain(number))),
                    // No condition here names one.
                    Kind::Bool => values.push(Some("a truth".to_owned())),
                }
            }
        }
        _ => {}
    }
}

/// A number's value, as far as conditions here name any.
fn plain(number: &str) -> String {
    let named = [("42", 42.0), ("1.5", 1.5)].into_iter();
    let value = number.parse::<f64>().ok();
    let found = named.filter(|(_, of)| Some(*of) == value).map(|(spelling, _)| spelling).next();
    found.map_or_else(|| format!("the number {number}"), str::to_owned)
}

/// A few rules for single names, some with conditions.
pub fn rules(choices: &mut Choices<'_>) -> Vec<Rule> {
    // Few fields a policy, for their cases multiply.
    let pairs = [["a", "c"], ["a", "$key"], ["$header.h", "c"], ["$header.h", "$key"]];
    let fields = pairs[choices.below(4)];
    (0..1 + choices.below(5)).map(|_| rule(choices, fields)).collect()
}

/// Names and values.
type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What may stand beside the value: key and headers.
pub fn beside(choices: &mut Choices<'_>) -> (Option<Vec<u8>>, Headers) {
    let mut value = || match choices.below(8) {
        0 => None,
        1 => Some(vec![0xff, b'x']),
        2 => Some(b"42.0".to_vec()),
        number => Some(VALUES[number - 3].into()),
    };
    let key = value();
    let header = |name: &str, value: Option<Vec<u8>>| (name.into(), value);
    let headers = [header("h", value()), header("other", value()), header("h", value())];
    (key, headers[choices.below(4).min(3)..].to_vec())
}

fn rule(choices: &mut Choices<'_>, fields: [&'static str; 2]) -> Rule {
    let name = ["a", "b", "ip", "user"][choices.below(4)];
    let kind = choices.below(7);
    let action = match kind {
        5 => Action::Keep,
        0 => Action::Keep,
        1 => Action::Drop,
        2 => Action::Redact,
        3 => Action::Mask { first: 1, last: 0 },
        4 => Action::Rename { to: ["b", "new"][choices.below(2)].to_owned() },
        _ => Action::TruncateIp { v4: 24, v6: 48 },
    };
    let when = if choices.below(3) == 0 { Vec::new() } else { terms(choices, fields) };
    let mismatch = OnMismatch::Redact;
    let paths = vec![vec![Segment::Name(name.into())]];
    let decides = match kind {
        4 => Decides::Name,
        5 => Decides::Inside,
        _ => Decides::Value,
    };
    Rule { paths, decides, action, mismatch, when }
}

fn terms(choices: &mut Choices<'_>, fields: [&'static str; 2]) -> Vec<Term> {
    let field = fields[choices.below(2)];
    let first = term(choices, field);
    let second = (choices.below(3) == 0).then(|| term(choices, "b"));
    [first].into_iter().chain(second).collect()
}

fn term(choices: &mut Choices<'_>, field: &'static str) -> Term {
    let mut values = |at_least: usize| -> Vec<&'static str> {
        let count = at_least + choices.below(2);
        (0..count).map(|_| VALUES[choices.below(5)]).collect()
    };
    match (values(1), values(0)) {
        (is, not) if not.is_empty() => Term { field, is, not, exists: None },
        (_, not) => {
            let exists = [None, Some(true), Some(false)][choices.below(3)];
            Term { field, is: Vec::new(), not, exists }
        }
    }
}

/// The policy, as its author would write it.
pub fn yaml(rules: &[Rule], unlisted: Unlisted) -> String {
    let unlisted = match unlisted {
        Unlisted::Keep => "keep",
        Unlisted::Drop => "drop",
        Unlisted::Redact => "redact",
    };
    let mut yaml = format!("tenant: acme\nversion: 1\nunlisted: {unlisted}\nrules:\n");
    for rule in rules {
        let [Segment::Name(name)] = rule.paths[0].as_slice() else { panic!("one name") };
        let action = match &rule.action {
            Action::Rename { to } => &format!("rename, to: {to}"),
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::Redact => "redact",
            Action::Mask { .. } => "mask, keep_first: 1",
            _ => "truncate_ip",
        };
        let what = match rule.decides {
            Decides::Inside => "inside: json".to_owned(),
            _ => format!("do: {action}"),
        };
        let _ = write!(yaml, "  - {{fields: {name}, {what}");
        if !rule.when.is_empty() {
            let terms: Vec<String> = rule.when.iter().map(spelled).collect();
            let _ = write!(yaml, ", when: {{{}}}", terms.join(", "));
        }
        yaml.push_str("}\n");
    }
    yaml
}

fn spelled(term: &Term) -> String {
    let list = |name: &str, values: &[&str]| format!("{name}: [{}]", values.join(", "));
    let mut parts = Vec::new();
    if !term.is.is_empty() {
        parts.push(list("is", &term.is));
    }
    if !term.not.is_empty() {
        parts.push(list("not", &term.not));
    }
    parts.extend(term.exists.map(|exists| format!("exists: {exists}")));
    format!("{}: {{{}}}", term.field, parts.join(", "))
}
