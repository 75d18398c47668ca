//! What members are called, joined to what becomes of their values.
//!
//! The two have nothing to say to each other: a member that goes takes its name along whoever decides
//! about that, and a value is found by the names that came in. Only where a rule keeps a container as
//! it is, and the name of something inside is decided, the walk must look inside all the same.

use super::automaton::Automaton;
use super::product::{Says, product};
use super::{Here, OnContainer, RuleId, RulePath, TooManyStates};

/// Joins the automaton of values and that of names; `leaves` says of a rule whether it leaves
/// containers as they are.
pub(super) fn join(
    values: &Automaton,
    names: &Automaton,
    leaves: impl Fn(RuleId) -> bool,
) -> Result<Automaton, TooManyStates> {
    let inside = |value: Here, name: Here| match value {
        Here::Stay => name,
        Here::Rule(rule) if name == Here::Descend && leaves(rule) => Here::Descend,
        _ => value,
    };
    product(values, names, |value, name| Says {
        scalar: value.scalar,
        object: inside(value.object, name.object),
        array: inside(value.array, name.array),
        renamed: match name.scalar {
            Here::Rule(rule) => Some(rule),
            _ => None,
        },
    })
}

/// Does a rule leave containers as they are?
pub(super) fn leaves<'a>(mut paths: impl Iterator<Item = &'a RulePath>, rule: RuleId) -> bool {
    paths.any(|path| path.rule == rule && path.on_container == OnContainer::Leave)
}
