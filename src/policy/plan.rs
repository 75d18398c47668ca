//! A policy, compiled: immutable, shared between lanes, swapped whole.

use super::conditions::Conditions;
use super::fields::Fields;
use super::tenants::{LastTenant, Seat, Tenants};
use crate::format::paths::{Paths, RuleId, State};
use crate::keys::KeySource;
use crate::transform::Transform;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to values that no rule names; the stricter the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unlisted {
    /// They stay.
    Keep,
    /// They become `"[redacted]"`.
    Redact,
    /// They go: only what a rule keeps gets through.
    Drop,
}

/// What happens where a rule meets a value of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnMismatch {
    /// The value becomes `"[redacted]"`.
    Redact,
    /// It stays.
    Keep,
    /// The whole record is withheld.
    Quarantine,
}

/// One rule, compiled.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it does.
    pub transform: Transform,
    /// What it does about values of another kind.
    pub mismatch: OnMismatch,
    /// Its name in metrics: number (from 1) and transform, such as `3 drop`.
    pub label: String,
}

/// The headers that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HeaderName {
    /// `$header.NAME`: that name, byte for byte.
    Named(Box<str>),
    /// `$header.*`: every header.
    Any,
}

impl HeaderName {
    /// Does it name this header?
    #[must_use]
    pub fn fits(&self, name: &[u8]) -> bool {
        match self {
            Self::Named(wanted) => wanted.as_bytes() == name,
            Self::Any => true,
        }
    }
}

/// Who decides what becomes of a record's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OnKey {
    /// Nobody: it stays.
    Nobody,
    /// This rule, of the key as one value.
    Whole(RuleId),
    /// The rules that these paths lead to: it is JSON, and cleaned as the record's value is.
    Within(Arc<Paths>),
}

/// A policy, compiled to what the engine walks. A copy shares what is large.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose data it is for.
    pub tenant: Arc<str>,
    /// The policy's own version number.
    pub version: u64,
    /// The paths into the value; shared between plans that are alike.
    pub paths: Paths,
    /// The rules, in order, the last of them for what is unlisted; shared as the paths are.
    pub rules: Arc<[Arc<Rule>]>,
    /// What becomes of the record's key.
    pub key: OnKey,
    /// Header names with their rules, in rule order: the first that fits decides.
    pub header_rules: Vec<(HeaderName, RuleId)>,
    /// What the rules' conditions ask, and who decides then; if there is any, the three above are
    /// for a record of which nothing is asked.
    pub conditions: Option<Arc<Conditions>>,
    /// The fields that tell whose times are moved, if that is not the record's key.
    pub subjects: Option<Arc<Fields>>,
    /// What happens to the rest. Unless it stays, the last rule says so, and names all of it.
    pub unlisted: Unlisted,
    /// Where keys come from; present if any rule needs them.
    pub keys: Option<KeySource>,
    /// What of this is not in the cache because of other tenants' records.
    pub own: Own,
}

/// Which of its parts a plan shares with few others or none. With thousands of tenants the others are
/// in the cache, and these are not.
#[derive(Debug, Default, Clone, Copy)]
pub struct Own {
    pub(crate) states: Few,
    pub(crate) rules: Few,
}

/// Some items of a list, by number: bits. Of the items from number 63 on there are none.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Few(u64);

impl Few {
    /// Those items of a list that few other lists have. There are none if few lists are another.
    fn of<T>(list: &Arc<[Arc<T>]>) -> Self {
        /// What so many plans have is used often enough.
        const MANY: usize = 16;
        if Arc::strong_count(list) >= MANY {
            return Self(0);
        }
        let few = list.iter().take(63).enumerate();
        let few = few.filter(|(_, item)| Arc::strong_count(item) < MANY);
        Self(few.fold(Self::LIST, |few, (number, _)| few | 1 << number))
    }

    /// The list itself.
    const LIST: u64 = 1 << 63;

    /// The list, if it is itself of few.
    pub(crate) const fn list<T>(self, list: &[T]) -> &[T] {
        if self.0 == 0 { &[] } else { list }
    }

    /// Gives each of the items.
    pub(crate) fn each<T>(self, list: &[Arc<T>], each: impl Fn(&T)) {
        let mut left = self.0 & !Self::LIST;
        while left != 0 {
            if let Some(item) = list.get(left.trailing_zeros() as usize) {
                each(item);
            }
            left &= left - 1;
        }
    }
}

impl Plan {
    /// How many rules its author wrote.
    #[must_use]
    pub fn rules_written(&self) -> usize {
        self.rules.len() - usize::from(self.unlisted != Unlisted::Keep)
    }
}

/// All tenants' plans, immutable; a reload makes a new set.
///
/// Each plan has a slot, and its rules have a stretch of one flat row, so that metrics keep theirs
/// without a map.
#[derive(Debug, Default)]
pub struct Policies {
    plans: Vec<Plan>,
    rule_base: Vec<usize>,
    by_tenant: Tenants,
    generation: u64,
}

/// Numbers the sets of policies of this process, so that caches know which one they are of. The
/// empty set is 0.
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl Policies {
    /// The plans of distinct tenants.
    ///
    /// # Errors
    /// The name of a tenant that has two.
    pub fn new(mut plans: Vec<Plan>) -> Result<Self, Arc<str>> {
        let mut alike = Alike::default();
        plans.iter_mut().for_each(|plan| alike.share(plan));
        Self::of(plans)
    }

    /// The plans of distinct tenants, which share already what is alike in them.
    ///
    /// # Errors
    /// The name of a tenant that has two.
    pub fn of(mut plans: Vec<Plan>) -> Result<Self, Arc<str>> {
        for plan in &mut plans {
            plan.own = Own { states: Few::of(plan.paths.states()), rules: Few::of(&plan.rules) };
        }
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        let mut all = Self { generation, ..Self::default() };
        all.by_tenant = Tenants::of(&plans)?;
        all.rule_base.reserve(plans.len() + 1);
        let mut base = 0;
        for plan in &plans {
            all.rule_base.push(base);
            base += plan.rules.len();
        }
        all.rule_base.push(base);
        all.plans = plans;
        Ok(all)
    }

    /// The slot of a tenant's plan. No tenant has a name that is not UTF-8.
    #[must_use]
    pub fn slot(&self, tenant: impl AsRef<[u8]>) -> Option<usize> {
        self.by_tenant.find(tenant.as_ref(), |slot| &self.plans[slot].tenant)
    }

    /// As [`Policies::slot`], quicker for who asks for the same tenant again; `last` is of these policies.
    #[must_use]
    pub(crate) fn slot_again(&self, tenant: &[u8], last: &mut LastTenant) -> Option<usize> {
        self.by_tenant.find_again(tenant, last, |slot| &self.plans[slot].tenant)
    }

    /// Where [`Policies::slot`] looks first.
    pub(crate) fn seat(&self, tenant: &[u8]) -> &[Seat] {
        self.by_tenant.seat(tenant)
    }

    /// The plan in a slot that [`Policies::slot`] gave.
    #[must_use]
    pub fn plan(&self, slot: usize) -> &Plan {
        &self.plans[slot]
    }

    /// Every plan, by slot.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Where a slot's rules begin in the flat row.
    #[must_use]
    pub fn rule_base(&self, slot: usize) -> usize {
        self.rule_base[slot]
    }

    /// The number of this set of policies; no other set in this process has it.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Length of the flat row: the rules of all plans.
    #[must_use]
    pub fn rules_total(&self) -> usize {
        self.rule_base.last().copied().unwrap_or(0)
    }
}

/// What plans have in common. Thousands of tenants have the same rules; held once they stay in the
/// processor's cache, where 10,000 copies made every record wait for memory (0.26 of one tenant's
/// speed).
#[derive(Debug, Default)]
pub struct Alike {
    paths: Known<[Arc<State>]>,
    states: Known<State>,
    rule_lists: Known<[Arc<Rule>]>,
    rules: Known<Rule>,
}

/// Each once. They are the operator's, so a quick hash will do.
type Known<T> = HashSet<Arc<T>, foldhash::fast::RandomState>;

impl Alike {
    /// Puts the one of its kind in place of each part of a plan.
    pub fn share(&mut self, plan: &mut Plan) {
        self.share_paths(&mut plan.paths);
        if let OnKey::Within(paths) = &mut plan.key {
            self.share_paths(Arc::make_mut(paths));
        }
        Arc::make_mut(&mut plan.rules).iter_mut().for_each(|rule| share(&mut self.rules, rule));
        share(&mut self.rule_lists, &mut plan.rules);
    }

    fn share_paths(&mut self, paths: &mut Paths) {
        let states = paths.states_mut();
        Arc::make_mut(states).iter_mut().for_each(|state| share(&mut self.states, state));
        share(&mut self.paths, states);
    }

    /// Lets go of what no plan has any more.
    pub fn forget_unused(&mut self) {
        self.paths.retain(|paths| Arc::strong_count(paths) > 1);
        self.states.retain(|state| Arc::strong_count(state) > 1);
        self.rule_lists.retain(|list| Arc::strong_count(list) > 1);
        self.rules.retain(|rules| Arc::strong_count(rules) > 1);
    }
}

fn share<T: ?Sized + Eq + Hash>(alike: &mut Known<T>, part: &mut Arc<T>) {
    match alike.get(part) {
        Some(same) => *part = same.clone(),
        None => drop(alike.insert(part.clone())),
    }
}
