//! What a plan does to the values that its rules name: in the JSON value, the key, the headers.

use super::RuleTally;
use super::batch::Parts;
use crate::error::Reason;
use crate::format::json::{Edit, Editor};
use crate::format::paths::RuleId;
use crate::format::{Container, Out, Scalar};
use crate::hash::Waiting;
use crate::keys::EpochKeys;
use crate::policy::{OnMismatch, Plan, Unlisted};
use crate::record::Headers;
use crate::transform::{self, Context, Outcome, Place, Transform};

/// A plan at work on one record.
pub(super) struct PlanEditor<'a> {
    plan: &'a Plan,
    context: Context<'a>,
    tally: &'a mut [RuleTally],
}

impl<'a> PlanEditor<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        keys: Option<&'a EpochKeys>,
        place: Place<'a>,
        waiting: &'a mut Waiting,
        tally: &'a mut [RuleTally],
    ) -> Self {
        Self { plan, context: Context { keys, place, waiting: Some(waiting) }, tally }
    }

    fn on_mismatch(&mut self, rule: usize, out: &mut Out<'_>) -> Result<Edit, Reason> {
        self.tally[rule].mismatches += 1;
        match self.plan.rules[rule].mismatch {
            OnMismatch::Keep => Ok(Edit::Keep),
            OnMismatch::Quarantine => Err(Reason::Mismatch),
            OnMismatch::Redact => {
                transform::redact(out);
                Ok(Edit::Replace)
            }
        }
    }

    /// A key or a header: text if it is UTF-8, else a value of another kind.
    fn bytes(&mut self, rule: RuleId, bytes: &[u8], out: &mut Out<'_>) -> Result<Edit, Reason> {
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return self.scalar(rule, Scalar::Text(text), out);
        }
        let rule = usize::from(rule);
        self.tally[rule].hits += 1;
        match self.plan.rules[rule].transform.apply_bytes(out) {
            Outcome::Unchanged => Ok(Edit::Keep),
            Outcome::Replaced => Ok(Edit::Replace),
            Outcome::Dropped => Ok(Edit::Drop),
            Outcome::Mismatch => self.on_mismatch(rule, out),
        }
    }
}

impl Editor for PlanEditor<'_> {
    #[inline]
    fn fixed(&mut self, rule: RuleId) -> Option<Edit> {
        let rule = usize::from(rule);
        let edit = match self.plan.rules[rule].transform {
            Transform::Keep => Edit::Keep,
            Transform::Drop => Edit::Drop,
            _ => return None,
        };
        self.tally[rule].hits += 1;
        Some(edit)
    }

    #[inline]
    fn scalar(
        &mut self,
        rule: RuleId,
        value: Scalar<'_>,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let rule = usize::from(rule);
        self.tally[rule].hits += 1;
        let mark = out.mark();
        match self.plan.rules[rule].transform.apply(value, &mut self.context, out) {
            Outcome::Unchanged => Ok(Edit::Keep),
            Outcome::Replaced => Ok(Edit::Replace),
            Outcome::Dropped => Ok(Edit::Drop),
            Outcome::Mismatch => {
                out.rewind(mark);
                self.on_mismatch(rule, out)
            }
        }
    }

    fn container(
        &mut self,
        rule: RuleId,
        container: Container,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let rule = usize::from(rule);
        self.tally[rule].hits += 1;
        Ok(match self.plan.rules[rule].transform.apply_whole(container, out) {
            Outcome::Unchanged => Edit::Keep,
            Outcome::Dropped => Edit::Drop,
            Outcome::Replaced | Outcome::Mismatch => Edit::Replace,
        })
    }
}

/// Cleans the record's key.
pub(super) fn key(
    editor: &mut PlanEditor<'_>,
    key: Option<&[u8]>,
    out: &mut Parts<'_>,
) -> Result<(), Reason> {
    let Some(key) = key else { return Ok(()) };
    let edit = match (editor.plan.key_rule, editor.plan.unlisted) {
        (Some(rule), _) => out.plain(|out| editor.bytes(rule, key, out))?,
        (None, Unlisted::Drop) => Edited::Drop,
        (None, Unlisted::Keep) => Edited::Keep,
    };
    out.set_key(edit);
    Ok(())
}

/// Cleans the record's headers. Not looked at if no rule could name one.
pub(super) fn headers(
    editor: &mut PlanEditor<'_>,
    headers: &dyn Headers,
    out: &mut Parts<'_>,
) -> Result<(), Reason> {
    let plan = editor.plan;
    if plan.header_rules.is_empty() && plan.unlisted == Unlisted::Keep || headers.count() == 0 {
        return Ok(());
    }
    out.edit_headers();
    for index in 0..headers.count() {
        let Some((name, value)) = headers.get(index) else { break };
        let rule = plan.header_rules.iter().find(|(header, _)| header.fits(name));
        let edit = match (rule, value, plan.unlisted) {
            (Some((_, rule)), Some(value), _) => {
                out.plain(|out| editor.bytes(*rule, value.expose(), out))?
            }
            // A header without a value is a null: only `drop` takes it.
            (Some((_, rule)), None, _) => {
                out.plain(|out| editor.scalar(*rule, Scalar::Null, out))?
            }
            (None, _, Unlisted::Drop) => Edited::Drop,
            (None, _, Unlisted::Keep) => Edited::Keep,
        };
        out.push_header(name, value.map(crate::record::Raw::expose), edit);
    }
    Ok(())
}

/// An edit of a key or header, its replacement in the batch's arena.
pub(super) enum Edited {
    Keep,
    Drop,
    Replace(std::ops::Range<usize>),
}
