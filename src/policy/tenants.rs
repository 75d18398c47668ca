//! Tenants' names, looked up once a record.
//!
//! With thousands of tenants each line of memory that a look-up touches is waited for. A `HashMap` of
//! names touches three, one after the other: its tags, its entry, and the name behind the entry's
//! pointer. Here the entry holds the name, or its two ends and its length if it is long; such a name
//! alone is read where its plan has it.
//!
//! The names are the operator's, and so is the length of a probe: nobody else's name can make it
//! longer than those do.

use super::plan::Plan;
use std::sync::Arc;

/// From names to slots: open addressing, less than two thirds full.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    /// A power of two of them; none if there is no tenant.
    seats: Box<[Seat]>,
}

#[derive(Debug, Clone, Copy)]
#[repr(align(32))] // none of them in two lines
pub(crate) struct Seat {
    name: Ends,
    /// [`EMPTY`]: nobody's.
    slot: u32,
}

const EMPTY: u32 = u32::MAX;

/// The name that was looked up last: most records have the tenant of the one before. Looked up anew, all that
/// is asked of the plan waits for the look-up. It may be nobody's name but a record's content, so it shows
/// nothing of itself.
#[derive(Clone, Copy, Default)]
pub struct LastTenant {
    name: Option<Ends>,
    slot: Option<usize>,
}

/// What tells names apart: up to 16 bytes, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    length: u32,
}

impl Ends {
    #[inline]
    fn of(bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            return Self { first, last, length };
        }
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
            _ => (bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)), 0),
        };
        Self { first: first.into(), last: last.into(), length }
    }

    /// Does it hold the whole name?
    const fn is_whole(self) -> bool {
        self.length <= 16
    }

    /// Both halves of a product, each of which all bits have gone into.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // by halves
    fn hash(self) -> usize {
        let one = self.first ^ 0x9E37_79B9_7F4A_7C15;
        let other = self.last ^ u64::from(self.length) ^ 0xD1B5_4A32_D192_ED03;
        let product = u128::from(one) * u128::from(other);
        (product >> 64) as usize ^ product as usize
    }
}

impl Tenants {
    /// The tenants of these plans, by their index.
    ///
    /// # Errors
    /// The name of a tenant that has two.
    pub(super) fn of(plans: &[Plan]) -> Result<Self, Arc<str>> {
        if plans.is_empty() {
            return Ok(Self::default());
        }
        let size = (plans.len() + plans.len() / 2 + 1).next_power_of_two();
        let empty = Seat { name: Ends::of(b""), slot: EMPTY };
        let mut tenants = Self { seats: vec![empty; size].into() };
        for (slot, plan) in plans.iter().enumerate() {
            if tenants.find(plan.tenant.as_bytes(), |slot| &plans[slot].tenant).is_some() {
                return Err(plan.tenant.clone());
            }
            let name = Ends::of(plan.tenant.as_bytes());
            let free = tenants.probe(name, |_| false);
            tenants.seats[free] = Seat { name, slot: u32::try_from(slot).unwrap_or(EMPTY) };
        }
        Ok(tenants)
    }

    /// The slot of the tenant of that name; `name_of` gives the name of a slot's.
    #[inline]
    pub(super) fn find<'p>(
        &self,
        tenant: &[u8],
        name_of: impl Fn(usize) -> &'p str,
    ) -> Option<usize> {
        if self.seats.is_empty() {
            return None;
        }
        let name = Ends::of(tenant);
        let is = |slot: u32| name.is_whole() || name_of(slot as usize).as_bytes() == tenant;
        let seat = self.seats[self.probe(name, is)];
        (seat.slot != EMPTY).then_some(seat.slot as usize)
    }

    /// As [`Self::find`], for who was told of `last`, which is then this one.
    #[inline]
    pub(super) fn find_again<'p>(
        &self,
        tenant: &[u8],
        last: &mut LastTenant,
        name_of: impl Fn(usize) -> &'p str,
    ) -> Option<usize> {
        let name = Ends::of(tenant);
        if name.is_whole() && last.name == Some(name) {
            return last.slot;
        }
        *last = LastTenant { name: Some(name), slot: self.find(tenant, name_of) };
        last.slot
    }

    /// The seat where a name is looked for first, if there is any.
    #[inline]
    pub(super) fn seat(&self, name: &[u8]) -> &[Seat] {
        let at = Ends::of(name).hash() & self.seats.len().wrapping_sub(1);
        self.seats.get(at..=at).unwrap_or_default()
    }

    /// The seat of that name that `is` the right one, or the free one where it would be.
    #[inline]
    fn probe(&self, name: Ends, is: impl Fn(u32) -> bool) -> usize {
        let mask = self.seats.len() - 1;
        let mut at = name.hash() & mask;
        loop {
            let seat = &self.seats[at];
            if seat.slot == EMPTY || seat.name == name && is(seat.slot) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::paths::Paths;
    use crate::policy::{OnKey, Own, Policies, Unlisted};

    fn plan(tenant: &str) -> Plan {
        Plan {
            tenant: tenant.into(),
            version: 1,
            paths: Paths::compile(&[]).unwrap(),
            rules: [].into(),
            key: OnKey::Nobody,
            header_rules: Vec::new(),
            conditions: None,
            subjects: None,
            unlisted: Unlisted::Keep,
            keys: None,
            own: Own::default(),
        }
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        let names = |count: usize| {
            let short = (0..count).map(|number| format!("t{number}"));
            let long = (0..count).map(|number| format!("a-long-name-{number:05}-with-an-end"));
            short.chain(long).chain(["".to_owned(), "12345678".to_owned(), "x".repeat(16)])
        };
        for count in [0, 1, 2, 500] {
            let plans: Vec<Plan> = names(count).map(|name| plan(&name)).collect();
            let policies = Policies::of(plans).unwrap();
            for (slot, name) in names(count).enumerate() {
                assert_eq!(policies.slot(&name), Some(slot), "{name}");
            }
            for other in
                ["t", "t500", "a-long-name-00001-with-an-END", "a-long-name-00001-wiTh-an-end"]
            {
                assert_eq!(policies.slot(other), None, "{other}");
            }
        }
        assert_eq!(Policies::default().slot("a"), None);
    }

    #[test]
    fn the_last_name_is_no_other() {
        let names = ["", "a", "abcd", "abcde", "abcdefgh", "a-name-of-16-byt", "a-name-of-17-byte"];
        let policies = Policies::of(names.map(plan).into()).unwrap();
        let all = names.into_iter().enumerate().map(|(slot, name)| (name, Some(slot)));
        let none = ["b", "abce", "abcdd", "a-name-of-17-bytf"].map(|name| (name, None));
        let all: Vec<_> = all.chain(none).collect();
        let mut last = LastTenant::default();
        for (before, after) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other)))
        {
            for (name, slot) in [before, before, after] {
                assert_eq!(policies.slot_again(name.as_bytes(), &mut last), *slot, "{name}");
            }
        }
    }

    #[test]
    fn two_of_one_name_are_told() {
        let twice = ["a", "b", "a"].map(plan);
        assert_eq!(&*Policies::of(twice.into()).unwrap_err(), "a");
    }
}
