//! Formats: bytes → structure → spliced bytes. Knows paths and rule numbers; never keys, never
//! policies.

mod grammar;
pub mod json;
mod out;
pub mod paths;
mod shapes;

pub use out::Out;

/// What a value is that holds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `{…}`.
    Object,
    /// `[…]`.
    Array,
}

/// A scalar that a rule decides, by meaning: escapes are undone.
#[derive(Clone, Copy)]
pub enum Scalar<'a> {
    /// A string's characters.
    Text(&'a str),
    /// A number's spelling, valid JSON.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}
