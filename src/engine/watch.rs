//! Somebody who looks on while the engine works: who explains what a policy does, or compares two.
//!
//! The problem: an explanation made by a second implementation explains that one. So the real walk
//! reports, value by value, what it decided, to a [`Watch`]. The service watches nothing: `()` is
//! the watcher that costs nothing, because the compiler takes the calls out.
//!
//! What is reported are a record's values. It is for offline commands alone; no lane watches.

use crate::format::json::Edit;
use crate::format::paths::RuleId;
use crate::record::Part;

/// A place in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// The value that begins at this byte of the record's value or key, or is spelled from there on in
    /// a text that is read as JSON.
    Value(Part, usize),
    /// The name of a member, which begins at this byte there.
    Name(Part, usize),
    /// The record's key, as one value.
    Key,
    /// The header of this number.
    Header(usize),
}

/// What a rule made of a value.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The rule.
    pub rule: RuleId,
    /// What became of the value; `None`: the whole record is withheld for it.
    pub edit: Option<Edit>,
    /// The value was of a kind that the rule's transform does not work on.
    pub mismatch: bool,
    /// On [`Edit::Replace`], what stands in its place.
    pub written: &'a [u8],
}

/// Looks on.
pub trait Watch {
    /// Is anybody there? If so, nothing is put off to be done for many values at once.
    const WATCHES: bool;

    /// What is decided next, if anything is, is about the value here. A decision about an array or
    /// object may come after those about values inside, and then counts instead of them.
    fn at(&mut self, at: At);

    /// Which rules may apply to the record, by number; not told where all do.
    fn applies(&mut self, rules: &[bool]);

    /// The text that begins at this byte of the record's value or key is read as JSON.
    fn opened(&mut self, part: Part, start: usize);

    /// A rule has decided.
    fn decided(&mut self, decided: Decided<'_>);
}

/// Nobody.
impl Watch for () {
    const WATCHES: bool = false;

    #[inline]
    fn at(&mut self, _: At) {}

    #[inline]
    fn applies(&mut self, _: &[bool]) {}

    #[inline]
    fn opened(&mut self, _: Part, _: usize) {}

    #[inline]
    fn decided(&mut self, _: Decided<'_>) {}
}
