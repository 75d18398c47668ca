//! What policies have in common: rule sets that they include, and the base that they must keep.
//!
//! Five hundred tenants who copy each other's rules drift apart, and no reviewer can tell which copy
//! is right. So rules stand once, in a file beside the policies whose name begins with `_`, so that
//! nobody takes it for a policy. `_base.yaml` holds for every policy of its folder without being
//! asked for: a tenant that could leave it out would not be bound by it.
//!
//! A rule set is read once for all that include it, and typed anew for each, because its parameters
//! are put in before its keys are checked. It includes no other: what a policy says must be found in
//! two files, not in ten.

use super::syntax::{self, At, Rule};
use super::{Unlisted, check, folder};
use crate::document::{
    self, Entry, Faults, Field, Kind, Node, Reader, Source, Span, Table, listed, nearest,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the base, in the folder of the policies that it holds for.
pub const BASE: &str = "_base.yaml";

/// Shared files, each read once. One for each load: a later load sees what the files hold then.
#[derive(Default)]
pub struct Shared {
    sets: Mutex<HashMap<PathBuf, Found<RuleSet>>>,
    bases: Mutex<HashMap<PathBuf, Found<Base>>>,
}

/// A file that was looked for. `Err`: it has a fault, which was told to who asked first.
type Found<T> = Result<Option<Arc<T>>, ()>;

/// A file of rules, read; its rules are typed for each policy that includes it.
struct RuleSet {
    source: Arc<Source>,
    root: Node,
}

/// The base of a folder: rules that its policies may tighten and not loosen.
pub struct Base {
    /// The file.
    pub source: Arc<Source>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// The least that policies must do with what no rule names.
    pub unlisted: Option<At<Unlisted>>,
}

impl Shared {
    /// The base of the folder in which a policy stands, if there is one.
    pub(super) fn base(&self, policy: &Source, faults: &mut Faults) -> Found<Base> {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = folder::of(policy);
        bases
            .entry(folder)
            .or_insert_with(|| {
                find(policy, BASE, faults, |root, source, faults| base(&root, source, faults))
            })
            .clone()
    }

    fn set(&self, policy: &Source, name: &str, faults: &mut Faults) -> Found<RuleSet> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let file = folder::of(policy).join(name);
        let read = |root, source: Arc<Source>, _: &mut Faults| Some(RuleSet { source, root });
        sets.entry(file).or_insert_with(|| find(policy, name, faults, read)).clone()
    }

    /// The rules that an item `include: FILE` of a policy's rules stands for.
    pub(super) fn include(&self, item: &Node, reader: &mut Reader<'_>) -> Option<Vec<Rule>> {
        let mut table = Table::new(item, "an include", reader)?;
        let file = table.need("include", reader);
        let with = table.take("with").and_then(|field| field.table(reader));
        let given = with.map(|mut with| with.rest()).unwrap_or_default();
        table.finish(reader);
        let file = file?;
        let set = self.named(&file, reader)?;
        let before = reader.faults.len();
        let rules = set.rules(&file, &given, reader);
        let (line, _) = reader.source.place(file.name_span.start);
        let note = format!("included in {}, line {line}", reader.source.name);
        reader.faults.note_since(before, &set.source, &note);
        Some(rules)
    }

    fn named(&self, file: &Field<'_>, reader: &mut Reader<'_>) -> Option<Arc<RuleSet>> {
        let name = file.text(reader)?;
        let yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
        if !name.starts_with('_') || !yaml || name.contains(['/', '\\']) || name == BASE {
            reader.fault("P051", file.span(), "not the name of a rule set").hint(format!(
                "rule sets stand beside the policy, their names begin with `_` and end in `.yaml`; \
                 `{BASE}` holds without being included"
            ));
            return None;
        }
        let found = self.set(reader.source, name, reader.faults).ok()?;
        if found.is_none() {
            let message = format!("there is no file `{name}` beside this policy");
            reader.fault("P050", file.span(), message);
        }
        found
    }
}

/// Reads a file that stands beside a policy, if it does.
fn find<T>(
    policy: &Source,
    name: &str,
    faults: &mut Faults,
    read: impl FnOnce(Node, Arc<Source>, &mut Faults) -> Option<T>,
) -> Found<T> {
    let Some(text) = folder::beside(policy, name) else { return Ok(None) };
    let source = text.map_err(|error| {
        faults.add(&Source::new(name, ""), "P041", Span::default(), error);
    })?;
    let before = faults.len();
    let read = document::parse(&source, faults).and_then(|root| read(root, source, faults));
    let read = read.filter(|_| faults.len() == before);
    read.map(|read| Some(Arc::new(read))).ok_or(())
}

fn base(root: &Node, source: Arc<Source>, faults: &mut Faults) -> Option<Base> {
    let mut reader = Reader::new(&source, faults);
    let mut table = Table::new(root, "a base", &mut reader)?;
    let unlisted = table.take("unlisted").and_then(|field| syntax::unlisted(&field, &mut reader));
    let rules = table.need("rules", &mut reader).and_then(|field| field.list(&mut reader));
    let rules = rules.unwrap_or_default();
    let rules = rules.iter().filter_map(|item| syntax::rule(item.node, &mut reader));
    let rules: Vec<Rule> = rules.collect();
    table.finish(&mut reader);
    // All that is wrong with it at once, and once for all policies of the folder.
    rules.iter().for_each(|rule| check::paths(rule, reader.faults));
    Some(Base { source, rules, unlisted })
}

impl RuleSet {
    /// Its rules, with the parameters that one policy gives.
    fn rules(
        &self,
        include: &Field<'_>,
        given: &[Field<'_>],
        policy: &mut Reader<'_>,
    ) -> Vec<Rule> {
        let mut reader = Reader::new(&self.source, policy.faults);
        let Some(mut table) = Table::new(&self.root, "a rule set", &mut reader) else {
            return Vec::new();
        };
        let declared = table.take("parameters").and_then(|field| field.table(&mut reader));
        let declared = declared.map(|mut table| table.rest()).unwrap_or_default();
        let items = table.need("rules", &mut reader).and_then(|field| field.list(&mut reader));
        table.finish(&mut reader);
        let mut values = Values { of: BTreeMap::new(), used: BTreeSet::new() };
        let mut policy = Reader::new(policy.source, policy.faults);
        unknown(given, &declared, &mut policy);
        for parameter in &declared {
            values.declare(parameter, given, include, &mut policy);
        }
        let mut reader = Reader::new(&self.source, policy.faults);
        let items = items.unwrap_or_default();
        let mut rules = Vec::new();
        for item in items {
            if syntax::is_include(item.node) {
                let hint = "include both in the policy, where a reader sees them";
                let message = "a rule set includes no other";
                reader.fault("P058", item.name_span, message).hint(hint);
            } else {
                rules.extend(syntax::rule(&values.filled(item.node, &mut reader), &mut reader));
            }
        }
        for parameter in declared.iter().filter(|field| !values.used.contains(field.name)) {
            let message = format!("no rule uses the parameter `{}`", parameter.name);
            let hint = format!("write `${{{}}}` where its value belongs", parameter.name);
            reader.fault("P055", parameter.name_span, message).hint(hint);
        }
        rules
    }
}

/// Refuses what a policy gives and the rule set does not take.
fn unknown(given: &[Field<'_>], declared: &[Field<'_>], policy: &mut Reader<'_>) {
    let names = || declared.iter().map(|field| field.name);
    for field in given.iter().filter(|field| !names().any(|name| name == field.name)) {
        let hint = match (nearest(field.name, names()), declared.is_empty()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, true) => "it takes none".into(),
            (None, false) => format!("it takes {}", listed(names())),
        };
        let message = format!("the rule set has no parameter `{}`", field.name);
        policy.fault("P052", field.name_span, message).hint(hint);
    }
}

/// The values of a rule set's parameters; a missing one is refused already.
struct Values<'a> {
    of: BTreeMap<&'a str, Option<&'a Node>>,
    used: BTreeSet<String>,
}

impl<'a> Values<'a> {
    fn declare(
        &mut self,
        parameter: &Field<'a>,
        given: &[Field<'a>],
        include: &Field<'_>,
        policy: &mut Reader<'_>,
    ) {
        let given = given.iter().find(|given| given.name == parameter.name);
        let value = given.map_or(parameter.node, |given| given.node);
        if value.kind == Kind::Null {
            let message = format!("the rule set needs the parameter `{}`", parameter.name);
            let hint = format!("add `with: {{{}: …}}`", parameter.name);
            policy.fault("P053", include.span(), message).hint(hint);
            self.of.insert(parameter.name, None);
        } else {
            self.of.insert(parameter.name, Some(value));
        }
    }

    /// A part of a rule set with the values in their places; it stands where it is written.
    fn filled(&mut self, node: &Node, reader: &mut Reader<'_>) -> Node {
        let kind = match &node.kind {
            Kind::Text(text) if text.contains("${") => {
                self.text(text, node.span, reader).unwrap_or(Kind::Refused)
            }
            Kind::List(items) => {
                Kind::List(items.iter().map(|item| self.filled(item, reader)).collect())
            }
            Kind::Map(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|entry| Entry {
                        value: self.filled(&entry.value, reader),
                        ..entry.clone()
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { span: node.span, kind }
    }

    fn text(&mut self, text: &str, span: Span, reader: &mut Reader<'_>) -> Option<Kind> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains('}')
        {
            return Some(placed(self.value(name, span, reader)?, span).kind);
        }
        let mut out = String::new();
        let mut parts = text.split("${");
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let Some((name, rest)) = part.split_once('}') else {
                let hint = "write `${NAME}`";
                reader.fault("P054", span, "a parameter's name is not closed").hint(hint);
                return None;
            };
            match &self.value(name, span, reader)?.kind {
                Kind::Text(value) | Kind::Number(value) => out.push_str(value),
                _ => {
                    let message = format!("`{name}` is no text, and stands inside a longer one");
                    reader.fault("P054", span, message);
                    return None;
                }
            }
            out.push_str(rest);
        }
        Some(Kind::Text(out))
    }

    fn value(&mut self, name: &str, span: Span, reader: &mut Reader<'_>) -> Option<&'a Node> {
        self.used.insert(name.to_owned());
        if let Some(value) = self.of.get(name) {
            return *value;
        }
        let hint = match nearest(name, self.of.keys().copied()) {
            Some(meant) => format!("did you mean `${{{meant}}}`?"),
            None => format!("add it under `parameters:`, as `{name}: ~` or with a default"),
        };
        reader.fault("P054", span, format!("there is no parameter `{name}`")).hint(hint);
        None
    }
}

/// A value, as if it stood at this place.
fn placed(node: &Node, span: Span) -> Node {
    let kind = match &node.kind {
        Kind::List(items) => Kind::List(items.iter().map(|item| placed(item, span)).collect()),
        Kind::Map(entries) => {
            let entry = |entry: &Entry| Entry {
                key: entry.key.clone(),
                key_span: span,
                value: placed(&entry.value, span),
            };
            Kind::Map(entries.iter().map(entry).collect())
        }
        other => other.clone(),
    };
    Node { span, kind }
}
