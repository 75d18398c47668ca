//! Policies: what a privacy officer writes → [`Plan`], what the engine walks.
//!
//! `syntax` reads the file and types every key, `shared` what it has in common with others, `path`
//! reads the paths, `check` puts all together and refuses whatever could not do what it says, `trial`
//! runs the tests that the policy carries.
//! Every fault has a place, a code and a hint, and all of them come at once. What compiled can only
//! fail on data, and every such failure has its fate.

mod check;
mod conditions;
mod fields;
mod folder;
mod json;
mod path;
mod plan;
mod schema;
mod shared;
mod syntax;
mod tenants;
pub mod trial;

pub use check::Lookup;
pub use conditions::{Conditions, Tested, View};
pub use fields::Fields;
pub use folder::{Files, compile_all, files, sources};
pub use json::{fits, text_fits};
pub use path::{Flaw, Place, parse as parse_path, shown as shown_name};
pub use plan::{Alike, HeaderName, OnKey, OnMismatch, Own, Plan, Policies, Rule, Unlisted};
pub use schema::schema;
pub use shared::{BASE, Shared};
pub use tenants::LastTenant;

use crate::document::{self, Faults, Reader, Source, Span};
use crate::format::paths::{RuleId, Segment};
use crate::keys::Keyring;
use std::sync::Arc;

/// A policy that has no fault, and its tests, not yet run.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// What the engine walks.
    pub plan: Plan,
    /// The keyring's entry that it was compiled with.
    pub key: Option<String>,
    /// The tests that the policy carries.
    pub tests: trial::Tests,
    /// Its paths as they were written, in order: for those who explain what a rule did.
    pub paths: Vec<WrittenPath>,
    /// Does it depend on other files than its own: a base, or rule sets that it includes?
    pub shares: bool,
}

/// What a rule decides of what its paths name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decides {
    /// The values.
    Value,
    /// The name of each member that a path leads to (`do: rename`).
    Name,
    /// The names of the members of each object there (`rename_keys`).
    Names,
    /// That texts there are read as JSON (`inside: json`).
    Inside,
}

impl Decides {
    /// The steps that lead to what is decided, where a path has `segments`.
    #[must_use]
    pub fn steps(self, segments: &[Segment]) -> Vec<Segment> {
        let member = (self == Self::Names).then_some(Segment::AnyName);
        segments.iter().cloned().chain(member).collect()
    }
}

/// A path of a rule, as it was written.
#[derive(Debug, Clone)]
pub struct WrittenPath {
    /// The rule.
    pub rule: RuleId,
    /// What the rule decides.
    pub decides: Decides,
    /// The path.
    pub text: String,
    /// The file that it is written in: the policy's, or one that policies share.
    pub source: Arc<Source>,
    /// Where it stands there.
    pub span: Span,
}

/// Compiles one policy. One that names a key needs a keyring that has it. Faults are added; `None`
/// if there was one.
pub fn compile(
    source: &Arc<Source>,
    keyring: Option<&Keyring>,
    faults: &mut Faults,
) -> Option<CompiledPolicy> {
    compile_with(source, &Shared::default(), Lookup::Keyring(keyring), faults).1
}

/// As [`compile`], with what policies share read once for many of them.
pub fn compile_sharing(
    source: &Arc<Source>,
    shared: &Shared,
    keyring: Option<&Keyring>,
    faults: &mut Faults,
) -> Option<CompiledPolicy> {
    compile_with(source, shared, Lookup::Keyring(keyring), faults).1
}

/// Compiles one policy for a rehearsal: any key's name will do, and pseudonyms are made with a
/// secret that is thrown away. For `check` without a keyring and for tests; never for data.
pub fn rehearse(source: &Arc<Source>, faults: &mut Faults) -> Option<CompiledPolicy> {
    compile_with(source, &Shared::default(), Lookup::Rehearsal, faults).1
}

/// The tenant as far as it could be read, and the policy if it has no fault.
fn compile_with(
    source: &Arc<Source>,
    shared: &Shared,
    lookup: Lookup<'_>,
    faults: &mut Faults,
) -> (Option<syntax::At<String>>, Option<CompiledPolicy>) {
    let before = faults.len();
    let Some(node) = document::parse(source, faults) else { return (None, None) };
    let base = shared.base(source, faults);
    let mut reader = Reader::new(source, faults);
    let Some(written) = syntax::read(&node, shared, &mut reader) else { return (None, None) };
    // Beside a base that has faults, the policy's own are told all the same.
    let (base, sound) = base.map_or((None, false), |base| (base, true));
    let plan = check::check(&written, base.as_deref(), lookup, &mut reader);
    let plan = plan.filter(|_| sound && faults.len() == before);
    let policy = plan.map(|plan| CompiledPolicy {
        tests: trial::Tests::new(source.clone(), plan.tenant.clone(), written.tests),
        key: written.key.map(|key| key.value),
        shares: base.is_some() || written.includes,
        paths: written_paths(base.iter().flat_map(|base| &base.rules).chain(&written.rules)),
        plan,
    });
    (written.tenant, policy)
}

fn written_paths<'a>(rules: impl Iterator<Item = &'a syntax::Rule>) -> Vec<WrittenPath> {
    let mut paths = Vec::new();
    for (rule, number) in rules.zip(0..=RuleId::MAX) {
        let written = |field: &syntax::At<String>| WrittenPath {
            rule: number,
            decides: rule.decides,
            text: field.value.clone(),
            source: rule.source.clone(),
            span: field.span,
        };
        paths.extend(rule.fields.iter().map(written));
    }
    paths
}
