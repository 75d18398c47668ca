//! Two automata → one that does to each value the stricter of what the two would do.
//!
//! For policies in which it is not one list of rules that decides: a tenant's rules beside those of
//! a base policy, which the tenant may tighten and not loosen; and records that do not tell whether
//! a rule's condition holds. Joined beforehand, they cost the walk nothing.
//!
//! Of a container that one of them takes, only what all leave stays. Nothing left: the strictest of
//! the rules that take it takes it whole.

use super::automaton::{Automaton, Says};
use super::product::product;
use super::{Here, OnContainer, RuleId, TooManyStates};

/// What is known of a rule when two are compared.
#[derive(Debug, Clone, Copy)]
pub struct Strictness {
    /// What it does with containers.
    pub on_container: OnContainer,
    /// Higher is stricter.
    pub rank: u8,
    /// Of two of one rank, the one that keeps less is stricter, if that can be said.
    pub keeps: Option<Keeps>,
}

/// How much a transform keeps of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    /// Only what has the same number here can be compared.
    pub of: u32,
    /// In several respects: one that keeps no more in any keeps no more.
    pub amounts: [u32; 3],
}

impl Keeps {
    /// Does it keep less than the other?
    fn less(self, other: Self) -> bool {
        let no_more = self.amounts.iter().zip(&other.amounts).all(|(own, other)| own <= other);
        self.of == other.of && no_more && self.amounts != other.amounts
    }
}

impl Strictness {
    fn stricter_than(self, other: Self) -> bool {
        let less = || self.keeps.zip(other.keeps).is_some_and(|(own, other)| own.less(other));
        self.rank > other.rank || self.rank == other.rank && less()
    }
}

/// The stricter of two rules; of two that are equal the lower. `rules` by number.
#[must_use]
pub fn stricter(rules: &[Strictness], first: RuleId, second: RuleId) -> RuleId {
    let (low, high) = (first.min(second), first.max(second));
    let of = |rule: RuleId| rules[usize::from(rule)];
    if of(high).stricter_than(of(low)) { high } else { low }
}

/// Joins two automata; `rules` by number, the same rules in both.
pub(super) fn join(
    first: &Automaton,
    second: &Automaton,
    rules: &[Strictness],
) -> Result<Automaton, TooManyStates> {
    let join = Join { rules };
    product(first, second, |a, b| join.says(&a.says, &b.says))
}

struct Join<'a> {
    rules: &'a [Strictness],
}

impl Join<'_> {
    fn says(&self, a: &Says, b: &Says) -> Says {
        Says {
            scalar: self.scalar(a.scalar, b.scalar),
            object: self.container(a.object, b.object),
            array: self.container(a.array, b.array),
            renamed: self.of_either(a.renamed, b.renamed),
            opens: self.of_either(a.opens, b.opens),
        }
    }

    fn of_either(&self, a: Option<RuleId>, b: Option<RuleId>) -> Option<RuleId> {
        match (a, b) {
            (Some(first), Some(second)) => Some(self.stricter(first, second)),
            _ => a.or(b),
        }
    }

    fn scalar(&self, a: Here, b: Here) -> Here {
        match (a, b) {
            (Here::Gone(_), _) | (_, Here::Stay) => a,
            (_, Here::Gone(_)) | (Here::Stay, _) => b,
            (Here::Rule(first), Here::Rule(second)) => Here::Rule(self.stricter(first, second)),
            _ => a,
        }
    }

    fn container(&self, a: Here, b: Here) -> Here {
        match (a, b) {
            (Here::Gone(_), _) => a,
            (_, Here::Gone(_)) => b,
            _ => match (self.taker(a), self.taker(b)) {
                (Some(first), Some(second)) => self.taken_by_both(first, second),
                (Some(_), None) => a,
                (None, Some(_)) => b,
                (None, None) => left_by_both(a, b),
            },
        }
    }

    fn taker(&self, here: Here) -> Option<Taker> {
        match here {
            Here::Sift { rule, taken } => Some(Taker { rule, taken, sifts: true }),
            Here::Rule(rule) if self.rule(rule).on_container == OnContainer::Take => {
                Some(Taker { rule, taken: false, sifts: false })
            }
            _ => None,
        }
    }

    fn taken_by_both(&self, a: Taker, b: Taker) -> Here {
        let rule = self.stricter(a.rule, b.rule);
        let taken = a.taken || b.taken;
        match (a.sifts && b.sifts, taken) {
            (true, _) => Here::Sift { rule, taken },
            // One leaves nothing, so nothing is left.
            (false, true) => Here::Gone(rule),
            (false, false) => Here::Rule(rule),
        }
    }

    fn stricter(&self, first: RuleId, second: RuleId) -> RuleId {
        stricter(self.rules, first, second)
    }

    fn rule(&self, rule: RuleId) -> Strictness {
        self.rules[usize::from(rule)]
    }
}

/// A rule that takes a container.
#[derive(Clone, Copy)]
struct Taker {
    rule: RuleId,
    /// It took the container around, too.
    taken: bool,
    /// A lower rule may leave something.
    sifts: bool,
}

fn left_by_both(a: Here, b: Here) -> Here {
    match (a, b) {
        (Here::Descend, _) | (_, Here::Descend) => Here::Descend,
        (Here::Stay, _) => b,
        _ => a,
    }
}
