//! The policy language as a JSON Schema, for editors: completion, descriptions, and a red line under
//! a misspelt key while it is typed.
//!
//! It says what single keys take and nothing about what they mean together: `limpid check` knows
//! that. It is made from [`transform::TABLE`], so a new transform appears by itself; a test asks the
//! reader of policies which keys it knows, and compares. Draft 7, because that is what editors read.

use crate::error::Reason;
use crate::format::paths::OnContainer;
use crate::transform::{self, Kind, Param, Spec};
use serde_json::{Map, Value, json};

/// The schema of policies.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "limpid policy",
        "description": "What happens to one tenant's records before they are published.",
        "type": "object",
        "additionalProperties": false,
        "required": ["tenant", "version", "rules"],
        "properties": {
            "tenant": {
                "description": "Whose data it is for.",
                "type": "string",
                "pattern": "^[A-Za-z0-9._-]{1,128}$",
            },
            "version": {
                "description": "The policy's own number, yours to count.",
                "type": "integer",
                "minimum": 0,
            },
            "unlisted": {
                "description": "What becomes of values that no rule names.",
                "enum": ["keep", "drop", "redact"],
                "default": "keep",
            },
            "key": {
                "description": "The keyring's entry from which pseudonyms are made.",
                "type": "string",
            },
            "epoch": {
                "description": "How long a pseudonym stays the same, in record time: `never` or a \
                    duration such as `30d`.",
                "type": "string",
                "pattern": "^(never|[0-9]+(ms|s|m|h|d))$",
                "default": "never",
            },
            "rules": {
                "description": "Tried from top to bottom: the first that names a value decides.",
                "type": "array",
                "items": {"if": {"required": ["include"]}, "then": include(), "else": rule()},
            },
            "tests": {
                "description": "Records that go in, and what must come out. A policy whose tests \
                    fail is not used.",
                "type": "array",
                "items": test(),
            },
        },
    })
}

fn include() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["include"],
        "properties": {
            "include": {
                "description": "The rules of this file stand here; it stands beside the policy.",
                "type": "string",
                "pattern": "^_[^/]*\\.ya?ml$",
            },
            "with": {
                "description": "Values for the parameters that the file declares.",
                "type": "object",
            },
        },
    })
}

fn rule() -> Value {
    let named = |specs: &[&Spec]| -> Vec<Value> {
        let name = |spec: &&Spec| json!({"const": spec.name, "description": spec.about});
        specs.iter().map(name).collect()
    };
    let on_names: Vec<&Spec> =
        transform::TABLE.iter().copied().filter(|spec| spec.on_names()).collect();
    let of_values = transform::TABLE.iter().map(|spec| of_transform(spec, "do"));
    let of_names = on_names.iter().map(|spec| of_transform(spec, "rename_keys"));
    let branches: Vec<Value> = of_values.chain(of_names).chain([of_inside()]).collect();
    json!({
        "type": "object",
        "required": ["fields"],
        "anyOf": [{"required": ["do"]}, {"required": ["rename_keys"]}, {"required": ["inside"]}],
        "properties": {
            "fields": texts("One path or a list of paths: `user.email`, `**.ssn`, `ips[*]`, \
                `$key`, `$key.NAME`, `$header.NAME`."),
            "do": {"description": "What to do there.", "anyOf": named(transform::TABLE)},
            "rename_keys": {
                "description": "What to do with the names of the members of the objects there.",
                "anyOf": named(&on_names),
            },
            "inside": {
                "description": "The texts there are JSON: rules name what is in them as if it stood \
                    there itself.",
                "const": "json",
            },
            "when": {
                "description": "Fields and the values that they must have for the rule to apply.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": condition(),
            },
            "mismatch": {
                "description": "What to do with a value of a kind that the transform does not \
                    work on.",
                "enum": ["redact", "keep", "quarantine"],
                "default": "redact",
            },
        },
        "allOf": branches,
    })
}

/// What one field must be.
fn condition() -> Value {
    let value = || json!({"type": ["string", "number", "boolean"]});
    let values = || json!({"anyOf": [value(), {"type": "array", "items": value(), "minItems": 1}]});
    json!({
        "anyOf": [
            values(),
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": false,
                "properties": {
                    "is": values(),
                    "not": values(),
                    "exists": {"type": "boolean"},
                },
            },
        ],
    })
}

/// A rule for texts that are JSON takes nothing else.
fn of_inside() -> Value {
    json!({
        "if": {"required": ["inside"]},
        "then": {
            "properties": {"fields": true, "inside": true, "when": true, "mismatch": true},
            "additionalProperties": false,
        },
    })
}

/// A rule with this transform, as `key` names it, takes these parameters and no others.
fn of_transform(spec: &Spec, key: &str) -> Value {
    let mut properties = Map::new();
    for shared in ["fields", key, "when", "mismatch"] {
        properties.insert(shared.into(), true.into());
    }
    let mut needed = Vec::new();
    for param in spec.params {
        properties.insert(param.name.into(), parameter(param));
        let must = matches!(param.kind, Kind::Int { default: None, .. } | Kind::Constant);
        if must || spec.on_container() == OnContainer::Rename {
            needed.push(param.name);
        }
    }
    json!({
        "if": {"required": [key], "properties": {key: {"const": spec.name}}},
        "then": {"properties": properties, "required": needed, "additionalProperties": false},
    })
}

fn parameter(param: &Param) -> Value {
    match param.kind {
        Kind::Int { min, max, default } => {
            let mut value = json!({
                "description": param.doc, "type": "integer", "minimum": min, "maximum": max,
            });
            if let Some(default) = default {
                value["default"] = default.into();
            }
            value
        }
        Kind::Text { bytes_max, default } => json!({
            "description": param.doc, "type": "string", "maxLength": bytes_max, "default": default,
        }),
        Kind::Word { of, default } => {
            json!({"description": param.doc, "enum": of, "default": default})
        }
        Kind::Flag => json!({"description": param.doc, "type": "boolean", "default": false}),
        Kind::Ints { min, max } => json!({
            "description": param.doc,
            "type": "array",
            "items": {"type": "integer", "minimum": min, "maximum": max},
        }),
        Kind::Constant => json!({
            "description": param.doc, "type": ["string", "number", "boolean", "null"],
        }),
        Kind::Names => texts(param.doc),
        Kind::Field => json!({
            "description": param.doc, "type": "string", "default": "$key",
        }),
    }
}

/// A text or a list of them.
fn texts(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ],
    })
}

fn test() -> Value {
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let record = |description: &str| json!({"description": description, "type": ["object", "array", "string", "null"]});
    let text = |description: &str| json!({"description": description, "type": ["string", "null"]});
    let headers = |description: &str| {
        json!({
            "description": description,
            "type": "object",
            "additionalProperties": {"type": ["string", "null"]},
        })
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "in"],
        "anyOf": [{"required": ["out"]}, {"required": ["withheld"]}],
        "properties": {
            "name": {"description": "What is tested, in your words.", "type": "string"},
            "in": record("The record's value that goes in; `~` for none."),
            "key": {"description": "The record's key that goes in.", "type": "string"},
            "headers": headers("The headers that go in."),
            "out": record("The value that must come out; `…` stands for any text."),
            "out_key": text("The key that must come out; `~` if it must go."),
            "out_headers": headers("The headers that must come out, all of them."),
            "withheld": {
                "description": "Instead of `out`: why the record must be withheld.",
                "enum": reasons,
            },
        },
    })
}
