//! Objects in which rules decide what members are called.
//!
//! They have a walk of their own, so that the others do not ask at every name. A new name is written
//! where the old one stood, and goes again if its member goes.
//!
//! Two members that had different names may come to have the same one. Of two of one name most
//! readers keep one: which value that is would be chance. So the record is withheld. What was twice
//! there before stays twice.

use super::{Edit, Editor, Fate, Siblings, Span, State, Step, Walk, unescape};
use crate::error::Reason;
use crate::format::Out;
use crate::format::paths::RuleId;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// What a member is called, as hashes: two names of one hash are taken for one, which at worst
/// withholds a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Called {
    now: u64,
    before: u64,
    start: usize,
    rule: Option<RuleId>,
}

const HASHER: FixedState = FixedState::with_seed(0);

impl<'a, E: Editor> Walk<'a, E> {
    /// As [`Walk::object`].
    #[inline(never)]
    pub(super) fn renamed_object(&mut self, state: &'a State) -> Step<bool> {
        self.cursor.enter()?;
        if self.cursor.closes(b'}') {
            return Ok(false);
        }
        let members = self.paths.members(state);
        let mut siblings = Siblings::default();
        let first = self.names.len();
        loop {
            let start = self.cursor.at;
            let name = self.cursor.string()?;
            let next = self.member(&members, self.cursor.bytes, name);
            self.cursor.colon()?;
            let before = self.before(&mut siblings, start);
            let called = self.rename(name, self.paths.state(next).renamed());
            let fate = self.value(next)?;
            // What goes has no name that could withhold the record.
            if fate == Fate::Stays {
                self.names.push(called?);
            }
            self.settle_sibling(&mut siblings, before, fate, self.cursor.at);
            if self.cursor.separator(b'}')? {
                break;
            }
        }
        self.cursor.leave();
        self.told_apart(first)?;
        Ok(siblings.kept_end > 0)
    }

    /// Writes what `rule` calls a member, if one does.
    fn rename(&mut self, name: Span, rule: Option<RuleId>) -> Step<Called> {
        let (plain, start) = (!self.is_escaped(name), name.start - 1);
        if rule.is_some() {
            self.copy_to(start);
        }
        let spelled = &self.text[name.start..name.end];
        let old = if plain {
            spelled
        } else {
            unescape(spelled, self.key);
            self.key.as_str()
        };
        let before = HASHER.hash_one(old);
        let same = Called { now: before, before, start, rule };
        let Some(rule) = rule else { return Ok(same) };
        let mark = self.out.len();
        if self.editor.name(rule, start, old, &mut Out::json(self.out))? != Edit::Replace {
            self.out.truncate(mark);
            return Ok(same);
        }
        self.copied = name.end + 1;
        Ok(Called { now: self.written_name(mark)?, ..same })
    }

    /// The name that was written from `mark` on, by meaning. What is no string can be none.
    fn written_name(&mut self, mark: usize) -> Step<u64> {
        let [b'"', spelled @ .., b'"'] = &self.out[mark..] else { return Err(Reason::Internal) };
        let spelled = std::str::from_utf8(spelled).map_err(|_| Reason::Internal)?;
        unescape(spelled, self.value);
        Ok(HASHER.hash_one(self.value.as_str()))
    }

    /// Do the members that are the last in the list, from `first` on, have different names where they
    /// had? They leave the list.
    fn told_apart(&mut self, first: usize) -> Step<()> {
        let called = &mut self.names[first..];
        called.sort_unstable();
        let alike =
            |pair: &&[Called]| pair[0].now == pair[1].now && pair[0].before != pair[1].before;
        if let Some(pair) = called.windows(2).find(alike) {
            let renamed = pair.iter().find(|one| one.now != one.before).unwrap_or(&pair[0]);
            if let Called { rule: Some(rule), start, .. } = *renamed {
                self.editor.taken_name(rule, start);
            }
            return Err(Reason::Mismatch);
        }
        self.names.truncate(first);
        Ok(())
    }
}
