//! Whose record is it?

use super::Route;
use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch};
use crate::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment};
use crate::format::{Container, Out, Scalar};
use crate::policy::{LastTenant, Policies};
use crate::record::{Headers, Raw, Record};
use crate::scan::prefetch;
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

/// What a record says of its tenant.
#[derive(Clone, Copy)]
pub(super) enum Whose<'r> {
    /// This name, if any; it is yet to be looked up.
    Named(Option<&'r [u8]>),
    /// The tenant in this slot, or one that no policy knows.
    Known(Option<usize>),
}

/// Reads the name of a record's tenant.
pub(super) fn whose<'r>(
    policies: &Policies,
    route: &'r Route,
    record: &Record<'r>,
    depth_max: usize,
    scratch: &mut Scratch,
) -> Result<Whose<'r>, Reason> {
    Ok(Whose::Named(match &route.tenant {
        TenantSource::Fixed(tenant) => Some(tenant.as_bytes()),
        TenantSource::Header(name) => from_header(record.headers, name).map(Raw::expose),
        TenantSource::Key => record.key.map(Raw::expose),
        TenantSource::Field(path) => {
            let slot = from_field(policies, path, record, depth_max, scratch)?;
            return Ok(Whose::Known(slot));
        }
        TenantSource::Nowhere => None,
    }))
}

impl Whose<'_> {
    /// The slot of the plan that serves the record; `None` if there is none.
    pub(super) fn slot(self, policies: &Policies, route: &Route) -> Option<usize> {
        let named = match self {
            Self::Named(name) => name.and_then(|name| policies.slot(name)),
            Self::Known(slot) => slot,
        };
        named.or_else(|| default_slot(policies, route))
    }

    /// As [`Self::slot`], quicker where it is the `last` record's, of the same policies.
    pub(super) fn slot_again(
        self,
        policies: &Policies,
        route: &Route,
        last: &mut LastTenant,
    ) -> Option<usize> {
        match self {
            Self::Named(Some(name)) => {
                policies.slot_again(name, last).or_else(|| default_slot(policies, route))
            }
            other => other.slot(policies, route),
        }
    }

    /// Asks for what [`Self::slot`] looks at.
    pub(super) fn prefetch(self, policies: &Policies) {
        if let Self::Named(Some(name)) = self {
            prefetch(policies.seat(name));
        }
    }
}

fn default_slot(policies: &Policies, route: &Route) -> Option<usize> {
    route.default_tenant.as_deref().and_then(|tenant| policies.slot(tenant))
}

fn from_header<'r>(headers: &'r dyn Headers, wanted: &[u8]) -> Option<Raw<'r>> {
    let mut found: Option<Raw<'r>> = None;
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
    found
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
    fn always(&self, _: RuleId) -> Option<Edit> {
        None
    }

    fn did(&mut self, _: RuleId, _: Edit) {}

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
