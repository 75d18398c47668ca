//! What is decided beside the values, joined to what becomes of them: what members are called, and which
//! texts are read as JSON.
//!
//! These have nothing to say to each other: a member that goes takes its name along whoever decides
//! about that, and what is in a text is found as if it stood in the text's place. Only where a rule
//! keeps a container as it is, and something is decided about what is inside, the walk must look inside
//! all the same.

use super::automaton::{Automaton, Node, Says};
use super::product::product;
use super::{Here, OnContainer, RuleId, RulePath, TooManyStates};

/// Joins the automaton of values, and that of names or texts. `paths`: those of all.
pub(super) fn join(
    values: &Automaton,
    beside: &Automaton,
    paths: &[RulePath],
    put: impl Fn(&mut Says, Option<RuleId>),
) -> Result<Automaton, TooManyStates> {
    let leaves = |rule| {
        paths.iter().any(|path| path.rule == rule && path.on_container == OnContainer::Leave)
    };
    let inside = |value: Here, beside: Here| match value {
        Here::Stay => beside,
        Here::Rule(rule) if beside == Here::Descend && leaves(rule) => Here::Descend,
        _ => value,
    };
    product(values, beside, |value: &Node, beside: &Node| {
        let mut says = Says {
            object: inside(value.says.object, beside.says.object),
            array: inside(value.says.array, beside.says.array),
            ..value.says
        };
        put(&mut says, decider(beside.says.scalar));
        says
    })
}

const fn decider(here: Here) -> Option<RuleId> {
    match here {
        Here::Rule(rule) => Some(rule),
        _ => None,
    }
}
