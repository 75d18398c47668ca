//! The JSON Schema of policies: fresh, complete, and right about good and faulty files.
//!
//! [`fits`] is a small validator of the part of draft 7 that the schema uses, and refuses to look at
//! any other keyword, so that none can be there without effect.

use crate::{docs, expect};
use limpid::document::{Faults, Kind, Node, Source, codes, parse};
use limpid::policy;
use limpid::transform;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn the_schema_is_fresh() {
    let page = format!("{:#}\n", policy::schema());
    let stale = expect::differs(Path::new("docs/generated/policy.schema.json"), &page);
    assert!(stale.is_none(), "{}", stale.unwrap_or_default());
}

/// The reader of policies lists the keys that it knows when it meets one that it does not.
#[test]
fn the_schema_has_the_keys_that_the_reader_knows() {
    let schema = policy::schema();
    let head = "tenant: a\nversion: 1\n";
    let known = known_keys(&format!("{head}rules: []\nqqqqqq: 1\n"));
    assert_eq!(known, names(&schema["properties"]));
    let test = &schema["properties"]["tests"]["items"]["properties"];
    let written =
        format!("{head}rules: []\ntests: [{{name: n, in: {{}}, out: {{}}, qqqqqq: 1}}]\n");
    assert_eq!(known_keys(&written), names(test));
    let items = &schema["properties"]["rules"]["items"];
    let included = known_keys(&format!("{head}rules: [{{include: _a.yaml, qqqqqq: 1}}]\n"));
    assert_eq!(included, names(&items["then"]["properties"]));
    let branches = items["else"]["allOf"].as_array().expect("branches");
    let specs = transform::TABLE.iter().copied();
    let on_names = specs.clone().filter(|spec| spec.on_names());
    let keys = specs.map(|spec| ("do", spec)).chain(on_names.map(|spec| ("rename_keys", spec)));
    let keys: Vec<_> = keys.collect();
    assert_eq!(branches.len(), keys.len() + 1);
    let inside = known_keys(&format!("{head}rules: [{{fields: x, inside: json, qqqqqq: 1}}]\n"));
    assert_eq!(inside, names(&branches[keys.len()]["then"]["properties"]));
    for (branch, (key, spec)) in branches.iter().zip(keys) {
        let rule = format!("{{fields: x, {key}: {}, qqqqqq: 1}}", spec.name);
        let known = known_keys(&format!("{head}rules: [{rule}]\n"));
        assert_eq!(known, names(&branch["then"]["properties"]), "{key} {}", spec.name);
    }
}

fn names(properties: &Value) -> BTreeSet<String> {
    properties.as_object().expect("properties").keys().cloned().collect()
}

fn known_keys(policy: &str) -> BTreeSet<String> {
    let mut faults = Faults::default();
    policy::rehearse(&Source::new("p.yaml", policy), &mut faults);
    let hint = faults.iter().find(|fault| fault.message.contains("`qqqqqq`"));
    let hint = hint.and_then(|fault| fault.hint.clone()).unwrap_or_else(|| panic!("{faults}"));
    let (_, listed) = hint.split_once(" takes ").expect("a list of keys");
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn whatever_policy_is_accepted_fits_the_schema() {
    let mut texts: Vec<(String, String)> = policies().collect();
    let page = std::fs::read_to_string("docs/POLICY.md").expect("the page");
    let blocks = docs::blocks(&page).into_iter().filter(|(info, _)| info == "yaml");
    texts.extend(blocks.map(|(_, text)| ("docs/POLICY.md".to_owned(), text)));
    let right = codes::ALL.into_iter().flatten().filter(|code| code.code.starts_with(['P', 'Y']));
    let right = right.filter(|code| !code.right.is_empty());
    texts.extend(right.map(|code| (code.code.to_owned(), code.right.to_owned())));
    let (schema, mut seen) = (policy::schema(), 0);
    for (name, text) in texts {
        let (accepted, _) = compiled(&text);
        if accepted {
            let found = fits(&schema, &json(&text));
            assert!(found.is_ok(), "{name}: {}\n{text}", found.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} policies");
}

/// Where every fault is one that a single key shows, an editor shows it too.
#[test]
fn faults_of_single_keys_do_not_fit_the_schema() {
    const SHOWN: [&str; 8] = ["P001", "P005", "P007", "P060", "Y010", "Y011", "Y012", "Y015"];
    let (schema, mut seen) = (policy::schema(), 0);
    for file in expect::files(Path::new("tests/reject"), "yaml") {
        let text = std::fs::read_to_string(&file).expect("the case");
        let (_, codes) = compiled(&text);
        if codes.iter().all(|code| SHOWN.contains(code)) && !codes.is_empty() {
            assert!(fits(&schema, &json(&text)).is_err(), "{} fits", file.display());
            seen += 1;
        }
    }
    assert!(seen > 8, "only {seen} faulty policies");
}

/// Is it accepted, but for its tests, and with which codes was it refused?
fn compiled(text: &str) -> (bool, Vec<&'static str>) {
    let mut faults = Faults::default();
    let accepted = policy::rehearse(&Source::new("p.yaml", text), &mut faults).is_some();
    (accepted, faults.iter().map(|fault| fault.code).collect())
}

fn policies() -> impl Iterator<Item = (String, String)> {
    let mut files: Vec<PathBuf> = super::cases::cases();
    files.iter_mut().for_each(|case| case.push("policy.yaml"));
    for folder in ["deploy/sample/policies", "deploy/demo/policies"] {
        files.extend(expect::files(Path::new(folder), "yaml"));
    }
    files.into_iter().map(|file| {
        let text = std::fs::read_to_string(&file).expect("a policy");
        (file.display().to_string(), text)
    })
}

/// A file as JSON.
fn json(text: &str) -> Value {
    let mut faults = Faults::default();
    let node = parse(&Source::new("p.yaml", text), &mut faults);
    value(&node.unwrap_or_else(|| panic!("{faults}")))
}

fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Null | Kind::Refused => Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Number(spelling) => serde_json::from_str(spelling).unwrap_or_else(|_| 0.into()),
        Kind::Text(text) => text.as_str().into(),
        Kind::List(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => {
            let member = |entry: &limpid::document::Entry| (entry.key.clone(), value(&entry.value));
            Value::Object(entries.iter().map(member).collect::<Map<_, _>>())
        }
    }
}

/// Does the value fit the schema? If not, the keyword that says so.
fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err("false".into()) };
    };
    for (keyword, wanted) in keywords {
        if !keyword_fits(keywords, keyword, wanted, value)? {
            return Err(format!("{keyword}: {wanted} and {value}"));
        }
    }
    Ok(())
}

fn keyword_fits(
    schema: &Map<String, Value>,
    keyword: &str,
    wanted: &Value,
    value: &Value,
) -> Result<bool, String> {
    let list = || wanted.as_array().expect("a list");
    let number = |than: fn(f64, f64) -> bool| {
        value.as_f64().is_none_or(|value| than(value, wanted.as_f64().expect("a number")))
    };
    let length = |length: Option<usize>, than: fn(u64, u64) -> bool| {
        length.is_none_or(|length| than(length as u64, wanted.as_u64().expect("a length")))
    };
    let characters = || value.as_str().map(|text| text.chars().count());
    Ok(match keyword {
        "$schema" | "title" | "description" | "default" => true,
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|wanted| is_a(wanted, value)),
            one => is_a(one, value),
        },
        "const" => wanted == value,
        "enum" => list().contains(value),
        "pattern" => value.as_str().is_none_or(|text| {
            regex_lite::Regex::new(wanted.as_str().expect("a pattern"))
                .expect("it compiles")
                .is_match(text)
        }),
        "minimum" => number(|value, least| value >= least),
        "maximum" => number(|value, most| value <= most),
        "maxLength" => length(characters(), |length, most| length <= most),
        "minProperties" => length(value.as_object().map(Map::len), |length, least| length >= least),
        "minItems" => length(value.as_array().map(Vec::len), |length, least| length >= least),
        "anyOf" => list().iter().any(|schema| fits(schema, value).is_ok()),
        "allOf" => return list().iter().try_for_each(|schema| fits(schema, value)).map(|()| true),
        "if" if fits(wanted, value).is_ok() => {
            return fits(&schema["then"], value).map(|()| true);
        }
        "if" if schema.contains_key("else") => {
            return fits(&schema["else"], value).map(|()| true);
        }
        "if" | "then" | "else" => true,
        "items" => {
            let mut items = value.as_array().into_iter().flatten();
            return items.try_for_each(|item| fits(wanted, item)).map(|()| true);
        }
        "required" => value.as_object().is_none_or(|members| {
            list().iter().all(|name| members.contains_key(name.as_str().expect("a name")))
        }),
        "properties" => {
            for (name, schema) in wanted.as_object().expect("properties") {
                value.get(name).map_or(Ok(()), |value| fits(schema, value))?;
            }
            true
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let unknown = |name: &str| known.is_none_or(|known| !known.contains_key(name));
            let members = value.as_object().into_iter().flatten();
            for (_, value) in members.filter(|(name, _)| unknown(name)) {
                fits(wanted, value)?;
            }
            true
        }
        other => panic!("the validator does not know `{other}`"),
    })
}

fn is_a(wanted: &Value, value: &Value) -> bool {
    match wanted.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        other => panic!("the validator does not know the type {other}"),
    }
}
