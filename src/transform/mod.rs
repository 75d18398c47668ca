//! Transforms: what a rule does to a scalar. One file each: its name, parameters, documentation,
//! executed examples, the hot function and its tests. [`TABLE`] is the source of the reference
//! docs, the hints and the example tests. Knows keys; never policies, never the walk.

use crate::format::{Out, Scalar};
use crate::keys::PseudonymKey;

/// What a transform did to a value. On anything but `Replaced`, what it wrote is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The value may stay, byte for byte.
    Unchanged,
    /// The replacement stands in the output.
    Replaced,
    /// The member, element, key or header goes.
    Dropped,
    /// The value is of another kind: the rule's `mismatch` decides.
    Mismatch,
}

/// What one transform needs beside the value.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The key of the record's epoch, where the policy has one.
    pub pseudonym_key: Option<&'a PseudonymKey>,
}

/// What kind of value a parameter takes in a policy.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number between the bounds, with its default; `None`: required.
    Int { min: i64, max: i64, default: Option<i64> },
    /// Text of at most so many bytes; empty by default.
    Text { bytes_max: usize },
    /// A list of names; empty by default.
    Names,
}

/// One parameter of a transform.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its key in the rule.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One line for the docs and the hints.
    pub doc: &'static str,
}

/// A parameter's checked value: always one for each of the transform's [`Param`]s, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// For [`Kind::Int`].
    Int(i64),
    /// For [`Kind::Text`].
    Text(String),
    /// For [`Kind::Names`].
    Names(Vec<String>),
}

/// An executed example: a rule's parameters (YAML flow style, may be empty), the value before and
/// after (JSON; an `after` of "" means dropped, `…` stands for any text).
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// Parameters beside `fields` and `do`, such as `v4: 16`.
    pub params: &'static str,
    /// The value of the field `x` before.
    pub before: &'static str,
    /// And after.
    pub after: &'static str,
}

/// A transform's entry in the table.
pub struct Spec {
    /// The word after `do:`.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// What it does to every kind of value, Markdown.
    pub doc: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Executed examples.
    pub examples: &'static [Example],
    /// Does it need the policy's `key`?
    pub needs_key: bool,
    /// Does it take an array or object whole?
    pub whole: bool,
    /// Makes the transform from checked arguments; the error says what is wrong with them
    /// together (each alone has been checked).
    pub build: fn(&[Arg]) -> Result<Transform, String>,
}

/// A transform with its parameters.
#[derive(Debug, Clone)]
pub enum Transform {
    /// Leaves the value.
    Keep,
    /// Takes the value out.
    Drop,
}

impl Transform {
    /// Does the work: writes the replacement to `out`, or says that there is none.
    pub fn apply(&self, value: Scalar<'_>, context: Context<'_>, out: &mut Out<'_>) -> Outcome {
        let _ = (value, context, out);
        match self {
            Self::Keep => Outcome::Unchanged,
            Self::Drop => Outcome::Dropped,
        }
    }
}

/// Every transform, in the order of the docs.
pub static TABLE: &[&Spec] = &[
    &Spec {
        name: "keep",
        about: "Leaves the value as it is.",
        doc: "",
        params: &[],
        examples: &[],
        needs_key: false,
        whole: false,
        build: |_| Ok(Transform::Keep),
    },
    &Spec {
        name: "drop",
        about: "Takes the value out.",
        doc: "",
        params: &[],
        examples: &[],
        needs_key: false,
        whole: true,
        build: |_| Ok(Transform::Drop),
    },
];

/// The transform of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Spec> {
    TABLE.iter().copied().find(|spec| spec.name == name)
}
