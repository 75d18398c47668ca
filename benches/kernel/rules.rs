//! The policies of the benches: compiled for limpid, and read a second time, naively, for the
//! contenders that edit a document tree.

use limpid::document::{Faults, Kind, Node, Source, parse};
use limpid::format::paths::Segment;
use limpid::keys::{EpochKeys, Keyring, Secret};
use limpid::policy::{self, Place, Plan};
use limpid::record::Part;
use limpid::transform::{self, Transform};
use std::sync::Arc;

/// Record time of all records: one epoch.
pub const TIMESTAMP_MS: i64 = 1_767_225_600_000;

/// A policy that the benches know.
pub fn text(name: &str) -> &'static str {
    match name {
        "web" => include_str!("../policies/web.yaml"),
        "web-200" => include_str!("../policies/web-200.yaml"),
        "audit" => include_str!("../policies/audit.yaml"),
        "bulk" => include_str!("../policies/bulk.yaml"),
        "empty" => include_str!("../policies/empty.yaml"),
        "worst" => include_str!("../policies/worst.yaml"),
        _ => panic!("no policy {name}"),
    }
}

/// The same secret as in the peers.
pub fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.insert("bench", Secret::new(*b"limpid bench: a secret of nobody"));
    keyring
}

/// Compiles a policy.
pub fn plan(yaml: &str, keyring: &Keyring) -> Plan {
    let mut faults = Faults::default();
    let policy = policy::compile(&Source::new("policy", yaml), Some(keyring), &mut faults);
    assert!(faults.is_empty(), "{faults}");
    policy.expect("a policy without faults").plan
}

/// The keys of a plan at [`TIMESTAMP_MS`].
pub fn epoch_keys(plan: &Plan) -> Option<EpochKeys> {
    let source = plan.keys.as_ref()?;
    Some(source.keys(source.period(Some(TIMESTAMP_MS)).ok()?))
}

/// One path of one rule.
#[derive(Clone)]
pub struct Rule {
    pub segments: Vec<Segment>,
    pub transform: Transform,
    /// Does it take containers whole?
    pub whole: bool,
}

/// Rules as a list, tried one after the other.
#[derive(Clone)]
pub struct Rules {
    pub list: Arc<[Rule]>,
    pub keys: Option<Arc<EpochKeys>>,
}

impl Rules {
    /// Reads a policy's paths beside its plan.
    pub fn read(yaml: &str, plan: &Plan) -> Self {
        let root = parse(&Source::new("policy", yaml), &mut Faults::default()).expect("YAML");
        let written = member(&root, "rules").map_or(&[][..], items);
        assert_eq!(written.len(), plan.rules.len());
        let mut list = Vec::new();
        for (node, rule) in written.iter().zip(plan.rules.iter()) {
            let spec = member(node, "do").and_then(|node| transform::named(word(node)));
            let whole = spec.expect("a transform").whole;
            for field in member(node, "fields").map_or(&[][..], items) {
                let Ok(Place::In(Part::Value, segments)) = policy::parse_path(word(field)) else {
                    panic!("only paths into values")
                };
                list.push(Rule { segments, transform: rule.transform.clone(), whole });
            }
        }
        Self { list: list.into(), keys: epoch_keys(plan).map(Arc::new) }
    }
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.kind {
        Kind::Map(entries) => {
            entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
        }
        _ => None,
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => &[],
    }
}

fn word(node: &Node) -> &str {
    match &node.kind {
        Kind::Text(text) => text,
        _ => panic!("not a word"),
    }
}
