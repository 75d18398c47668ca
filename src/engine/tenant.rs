//! Whose record is it?

use super::Route;
use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch};
use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment};
use crate::format::{Container, Out, Scalar};
use crate::policy::Policies;
use crate::record::{Headers, Raw, Record};
use std::sync::Arc;

/// Where the name of a record's tenant stands.
#[derive(Debug)]
pub enum TenantSource {
    /// Known beforehand: taken from the topic's name, or the only one there is.
    Fixed(Arc<str>),
    /// The value of this header. Repeated with different values, it names nobody.
    Header(Box<[u8]>),
    /// The record's key, whole.
    Key,
    /// A member of the JSON value. Repeated with different values, it names nobody.
    Field(FieldPath),
    /// Nowhere: only the route's default policy.
    Nowhere,
}

/// Names from the root of a JSON value to a member.
#[derive(Debug)]
pub struct FieldPath(Paths);

impl FieldPath {
    /// The member that `names` lead to; at least one name.
    ///
    /// # Panics
    /// Never: a single path of names compiles to one state a name.
    #[must_use]
    pub fn new(names: &[Box<str>]) -> Self {
        let segments = names.iter().cloned().map(Segment::Name).collect();
        let path = RulePath { rule: 0, on_container: OnContainer::Take, segments };
        Self(Paths::compile(&[path]).expect("one path has few states"))
    }
}

/// The slot of the plan that serves a record; `None` if there is none.
pub(super) fn slot(
    policies: &Policies,
    route: &Route,
    record: &Record<'_>,
    depth_max: usize,
    scratch: &mut Scratch,
) -> Result<Option<usize>, Reason> {
    let named = match &route.tenant {
        TenantSource::Fixed(tenant) => policies.slot(tenant),
        TenantSource::Header(name) => from_header(policies, record.headers, name),
        TenantSource::Key => record.key.and_then(|key| known(policies, key)),
        TenantSource::Field(path) => from_field(policies, path, record, depth_max, scratch)?,
        TenantSource::Nowhere => None,
    };
    let default = || route.default_tenant.as_deref().and_then(|tenant| policies.slot(tenant));
    Ok(named.or_else(default))
}

fn known(policies: &Policies, name: Raw<'_>) -> Option<usize> {
    policies.slot(std::str::from_utf8(name.expose()).ok()?)
}

fn from_header(policies: &Policies, headers: &dyn Headers, wanted: &[u8]) -> Option<usize> {
    let mut found: Option<Raw<'_>> = None;
    for index in 0..headers.count() {
        let Some((name, value)) = headers.get(index) else { break };
        if name == wanted {
            let value = value?;
            if found.is_some_and(|found| found != value) {
                return None;
            }
            found = Some(value);
        }
    }
    known(policies, found?)
}

/// Reads the field with the same walk that cleans. It costs a second walk, and no second grammar.
fn from_field(
    policies: &Policies,
    path: &FieldPath,
    record: &Record<'_>,
    depth_max: usize,
    scratch: &mut Scratch,
) -> Result<Option<usize>, Reason> {
    let Some(value) = record.value else { return Ok(None) };
    let mut finder = Finder { policies, found: Found::Nothing };
    scratch.read(value.expose(), &path.0, depth_max, &mut finder)?;
    Ok(match finder.found {
        Found::One(slot) => Some(slot),
        Found::Nothing | Found::Unclear => None,
    })
}

enum Found {
    Nothing,
    One(usize),
    /// Two names, or one that no policy knows.
    Unclear,
}

struct Finder<'a> {
    policies: &'a Policies,
    found: Found,
}

impl Editor for Finder<'_> {
    fn fixed(&mut self, _: RuleId) -> Option<Edit> {
        None
    }

    fn scalar(&mut self, _: RuleId, value: Scalar<'_>, _: &mut Out<'_>) -> Result<Edit, Reason> {
        let slot = match value {
            Scalar::Text(name) | Scalar::Number(name) => self.policies.slot(name),
            Scalar::Bool(_) | Scalar::Null => None,
        };
        self.found = match (&self.found, slot) {
            (Found::Nothing, Some(slot)) => Found::One(slot),
            (Found::One(before), Some(slot)) if *before == slot => Found::One(slot),
            _ => Found::Unclear,
        };
        Ok(Edit::Keep)
    }

    fn container(&mut self, _: RuleId, _: Container, _: &mut Out<'_>) -> Result<Edit, Reason> {
        self.found = Found::Unclear;
        Ok(Edit::Keep)
    }
}
