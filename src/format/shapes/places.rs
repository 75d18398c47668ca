//! What a policy's automaton says of the graph's places.

use super::{Action, Context, Does, Policy, Shapes, Value};
use crate::format::paths::{Here, Paths, RuleId, State};

/// A place in the records, to one policy.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    /// The walk does not come here, or does what is not done along shapes.
    Never,
    /// Whatever stands here stays.
    Inert,
    /// The record itself.
    Root(&'p State),
    /// What the state says; and of a scalar here.
    At(&'p State, Here),
}

impl<'p> Place<'p> {
    /// The place of a record.
    pub(super) fn root(paths: &'p Paths) -> Self {
        Self::Root(paths.root())
    }

    /// The place of the member of that name of the object here.
    pub(super) fn member(self, name: &[u8], paths: &'p Paths) -> Self {
        let state = match self {
            Self::Never | Self::Inert => return self,
            Self::Root(state) | Self::At(state, _) => state,
        };
        match state.object() {
            Here::Stay => return Self::Inert,
            Here::Descend => {}
            // The walk looks into every record.
            _ if matches!(self, Self::Root(_)) => {}
            _ => return Self::Never,
        }
        if state.renames() {
            return Self::Never;
        }
        let next = paths.members(state).next(name, 0, name.len());
        if next.inert { Self::Inert } else { Self::At(paths.state(next), next.scalar) }
    }

    /// The place of the elements of the array here.
    pub(super) fn element(self, paths: &'p Paths) -> Self {
        let state = match self {
            Self::Never | Self::Inert => return self,
            Self::Root(_) => return Self::Never,
            Self::At(state, _) => state,
        };
        match (state.array(), paths.elements(state).all()) {
            (Here::Stay, _) => Self::Inert,
            (Here::Descend, Some(next)) if next.inert => Self::Inert,
            (Here::Descend, Some(next)) => Self::At(paths.state(next), next.scalar),
            _ => Self::Never,
        }
    }

    /// Does the walk look into an object or array that is here, or pass it by because nothing in it changes?
    pub(super) fn opens(self, value: Value) -> bool {
        let here = match (self, value) {
            (Self::Inert, _) => return true,
            (Self::At(state, _), Value::Object) => state.object(),
            (Self::At(state, _), Value::Array) => state.array(),
            _ => return false,
        };
        matches!(here, Here::Stay | Here::Descend)
    }

    /// What becomes of a value here, if rules do that; of an object or array, if it is passed whole.
    pub(super) fn action(self, value: Value, does: &dyn Fn(RuleId) -> Does) -> Action {
        let here = match (self, value) {
            (_, Value::End) | (Self::Inert, _) => return Action::STAYS,
            (Self::Never | Self::Root(_), _) => return Action::NEVER,
            (Self::At(_, scalar), Value::Text | Value::Bare) => scalar,
            (Self::At(state, _), Value::Object | Value::EmptyObject) => state.object(),
            (Self::At(state, _), Value::Array | Value::EmptyArray) => state.array(),
        };
        match here {
            Here::Descend if matches!(value, Value::EmptyObject | Value::EmptyArray) => {
                Action::STAYS
            }
            Here::Stay => Action::STAYS,
            Here::Rule(rule) => Action::rule(rule, does(rule)),
            Here::Gone(_) | Here::Descend | Here::Sift { .. } | Here::Opens => Action::NEVER,
        }
    }
}

impl Shapes {
    /// Makes a policy's row as long as the graph.
    #[cold]
    #[inline(never)]
    pub(super) fn make_row(&mut self, policy: Policy<'_>) {
        let Policy { slot, paths, does } = policy;
        if paths.root().object() == Here::Stay {
            // What stays whole is passed quicker as one.
            return self.rows.refuse(slot);
        }
        let mut places = vec![Place::root(paths)];
        // Each stands behind its parent.
        for Context { parent, name, .. } in &self.contexts[1..] {
            let around = places[usize::from(*parent)];
            places.push(match name {
                Some(name) => around.member(name, paths),
                None => around.element(paths),
            });
        }
        let row = self.pieces.iter().enumerate().map(|(id, piece)| match id {
            0 => Action::NEVER,
            _ => places[usize::from(piece.context)].action(piece.value, does),
        });
        self.rows.set(slot, row.collect());
    }
}
