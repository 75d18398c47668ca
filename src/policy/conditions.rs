//! Rules that hold for some records only: `when: {event: login}`.
//!
//! Asking each rule's condition at each value would cost every walk. Instead a policy with
//! conditions is compiled once for every answer that a record can give: its tested fields are read
//! first, in a pass of their own, and their classes choose a [`View`], whose paths hold only the
//! rules that apply. A policy without conditions has none of this, and pays nothing.
//!
//! A record need not answer: a field may be missing, be an object, or occur twice with different
//! values. Then any answer is possible, and the view is the strictest of those for all answers.

use super::{Fields, HeaderName, OnKey, Place};
use crate::format::Scalar;
use crate::format::paths::{Paths, RuleId};
use crate::transform;
use std::sync::Arc;

/// Most views of one policy: each is a set of tables.
pub const VIEWS_MAX: usize = 256;

/// When a rule applies: all of its terms must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// In the order in which they are written.
    pub terms: Vec<Term>,
}

/// What one field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Where it is: one place in the value, the key, or the headers of one name.
    pub field: Place,
    /// Its value is one of these.
    pub is: Option<Vec<Literal>>,
    /// Its value is none of these.
    pub not: Option<Vec<Literal>>,
    /// Whether it is there, and not `null`.
    pub exists: Option<bool>,
}

/// A value by its meaning: a text's bytes, a number's canonical spelling, `true` or `false`.
pub type Literal = Box<[u8]>;

/// What is known of a field when a term is asked.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its value, if that is one that some term names.
    pub value: Option<&'a Literal>,
    /// Whether it is there.
    pub exists: bool,
}

impl Term {
    /// Does it hold?
    #[must_use]
    pub fn holds(&self, answer: Answer<'_>) -> bool {
        let among = |list: &[Literal]| answer.value.is_some_and(|value| list.contains(value));
        self.is.as_deref().is_none_or(among)
            && self.not.as_deref().is_none_or(|list| !among(list))
            && self.exists.is_none_or(|exists| exists == answer.exists)
    }

    /// The values that it names.
    pub fn literals(&self) -> impl Iterator<Item = &Literal> {
        self.is.iter().chain(&self.not).flatten()
    }
}

/// What a record's fields say, and what follows.
#[derive(Debug)]
pub struct Conditions {
    /// Where the tested fields are.
    pub fields: Fields,
    /// By the number of the field.
    pub tested: Vec<Tested>,
    /// By number, see [`Conditions::view`].
    pub views: Vec<Arc<View>>,
}

/// A field's values that make a difference.
#[derive(Debug, PartialEq, Eq)]
pub struct Tested {
    /// Each with its class: values that no term tells apart have one.
    pub literals: Vec<(Literal, usize)>,
    /// How many classes the values have.
    pub classes: usize,
}

/// Who decides what in a record of certain classes.
#[derive(Debug)]
pub struct View {
    /// In the value.
    pub paths: Arc<Paths>,
    /// By rule: may it apply to such a record at all?
    pub applies: Vec<bool>,
    /// Of the record's key.
    pub key: OnKey,
    /// Headers; the first that fits.
    pub header_rules: Vec<(HeaderName, RuleId)>,
}

impl Tested {
    /// The class of a value that no term names.
    #[must_use]
    pub const fn other(&self) -> usize {
        self.classes
    }

    /// The class of a field that is not there.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.classes + 1
    }

    /// The class of a field that is there, and whose value cannot be told.
    #[must_use]
    pub const fn unclear(&self) -> usize {
        self.classes + 2
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.classes + 3
    }

    /// The class of a key's or a header's bytes: a text.
    #[must_use]
    pub fn class_of_bytes(&self, bytes: &[u8]) -> usize {
        let text = simdutf8::basic::from_utf8(bytes);
        text.map_or(self.other(), |text| self.class(Scalar::Text(text)))
    }

    /// The class of a value.
    #[must_use]
    pub fn class(&self, value: Scalar<'_>) -> usize {
        if matches!(value, Scalar::Null) {
            return self.missing();
        }
        let found = self.literals.iter().find(|(literal, _)| means(literal, value));
        found.map_or(self.other(), |(_, class)| *class)
    }
}

/// Is this the value's meaning?
fn means(literal: &[u8], value: Scalar<'_>) -> bool {
    match value {
        Scalar::Text(text) => literal == text.as_bytes(),
        Scalar::Number(number) => transform::is_canonical(number, literal),
        Scalar::Bool(value) => literal == if value { &b"true"[..] } else { b"false" },
        Scalar::Null => false,
    }
}

impl Conditions {
    /// The view for a record whose fields have these classes.
    #[must_use]
    pub fn view(&self, classes: &[usize]) -> &View {
        let classes = classes.iter().zip(&self.tested);
        let number = classes.rev().fold(0, |number, (class, of)| number * of.count() + class);
        &self.views[number]
    }
}

/// The classes of the view of that number.
#[must_use]
pub fn classes_of(mut number: usize, tested: &[Tested]) -> Vec<usize> {
    let mut classes = Vec::new();
    for of in tested {
        classes.push(number % of.count());
        number /= of.count();
    }
    classes
}
