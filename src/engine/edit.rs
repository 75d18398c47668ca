//! What a plan does to the values that its rules name: in the JSON value, the key, the headers.
//!
//! A transform is chosen once, in the function of the walk that has the value: as a call that then calls the
//! transform, each text of a web event took 75 instructions beside the transform's own; now some 35.
//! Numbers come to it as any scalar does; asked for as numbers, none fewer.

use super::batch::Parts;
use super::{At, Decided, Limits, RuleTally, Watch};
use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch, Texts, splice};
use crate::format::paths::RuleId;
use crate::format::{Container, Out, Scalar};
use crate::hash::Waiting;
use crate::policy::{HeaderName, OnKey, OnMismatch, Plan};
use crate::record::{Headers, Part, Raw};
use crate::transform::{self, Context, Outcome, Transform};

/// A plan at work on one record.
pub(super) struct PlanEditor<'a, W> {
    plan: &'a Plan,
    context: Context<'a>,
    tally: &'a mut [RuleTally],
    watch: &'a mut W,
    /// Which part of the record it is at, for who watches.
    part: Part,
    /// What waits to be hashed, while the walk is in texts that are read as JSON.
    parked: Option<&'a mut Waiting>,
    /// How many such texts it is in.
    texts_deep: usize,
    /// Where they stand, for who watches.
    texts: Texts,
}

impl<'a, W: Watch> PlanEditor<'a, W> {
    pub(super) fn new(
        plan: &'a Plan,
        context: Context<'a>,
        tally: &'a mut [RuleTally],
        watch: &'a mut W,
    ) -> Self {
        // Who watches wants to see each pseudonym when it is made.
        let waiting = context.waiting.filter(|_| !W::WATCHES);
        let context = Context { waiting, ..context };
        Self {
            plan,
            context,
            tally,
            watch,
            part: Part::Value,
            parked: None,
            texts_deep: 0,
            texts: Texts::default(),
        }
    }

    /// The place in the record.
    #[inline]
    fn place(&self, start: usize) -> usize {
        if W::WATCHES { self.texts.place(start) } else { start }
    }

    #[inline]
    fn tell(&mut self, rule: RuleId, edit: Edit, written: &[u8]) {
        self.watch.decided(Decided { rule, edit: Some(edit), mismatch: false, written });
    }

    #[cold]
    #[inline(never)]
    fn on_mismatch(
        &mut self,
        rule: RuleId,
        mark: usize,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let done = self.of_another_kind(usize::from(rule), out);
        let (edit, written) = (done.ok(), out.since(mark));
        self.watch.decided(Decided { rule, edit, mismatch: true, written });
        done
    }

    fn of_another_kind(&mut self, rule: usize, out: &mut Out<'_>) -> Result<Edit, Reason> {
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
        self.tally[usize::from(rule)].hits += 1;
        let mark = out.mark();
        let outcome = self.plan.rules[usize::from(rule)].transform.apply_bytes(out);
        self.done(rule, outcome, mark, out)
    }

    /// What a transform's outcome means; what it wrote begins at `mark`.
    #[inline(always)]
    fn done(
        &mut self,
        rule: RuleId,
        outcome: Outcome,
        mark: usize,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let edit = match outcome {
            Outcome::Unchanged => Edit::Keep,
            Outcome::Replaced => Edit::Replace,
            Outcome::Dropped => Edit::Drop,
            Outcome::Mismatch => {
                out.rewind(mark);
                return self.on_mismatch(rule, mark, out);
            }
        };
        if W::WATCHES {
            self.tell(rule, edit, out.since(mark));
        }
        Ok(edit)
    }
}

impl<W: Watch> Editor for PlanEditor<'_, W> {
    #[inline]
    fn at(&mut self, start: usize) {
        self.watch.at(At::Value(self.part, self.place(start)));
    }

    #[inline]
    fn always(&self, rule: RuleId) -> Option<Edit> {
        match self.plan.rules[usize::from(rule)].transform {
            Transform::Keep => Some(Edit::Keep),
            Transform::Drop => Some(Edit::Drop),
            _ => None,
        }
    }

    #[inline]
    fn did(&mut self, rule: RuleId, edit: Edit) {
        self.tally[usize::from(rule)].hits += 1;
        self.tell(rule, edit, b"");
    }

    #[inline(always)]
    fn scalar(
        &mut self,
        rule: RuleId,
        value: Scalar<'_>,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        self.tally[usize::from(rule)].hits += 1;
        let mark = out.mark();
        let transform = &self.plan.rules[usize::from(rule)].transform;
        let outcome = transform.apply(value, &mut self.context, out);
        self.done(rule, outcome, mark, out)
    }

    /// The transform is chosen here and knows that it is a text: as [`Editor::scalar`] it would be asked for
    /// that behind a pointer.
    #[inline(always)]
    fn text(&mut self, rule: RuleId, text: &str, out: &mut Out<'_>) -> Result<Edit, Reason> {
        self.tally[usize::from(rule)].hits += 1;
        let mark = out.mark();
        let transform = &self.plan.rules[usize::from(rule)].transform;
        let outcome = transform.apply(Scalar::Text(text), &mut self.context, out);
        self.done(rule, outcome, mark, out)
    }

    fn container(
        &mut self,
        rule: RuleId,
        container: Container,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        self.tally[usize::from(rule)].hits += 1;
        let mark = out.mark();
        let transform = &self.plan.rules[usize::from(rule)].transform;
        let edit = match transform.apply_whole(container, out) {
            Outcome::Unchanged => Edit::Keep,
            Outcome::Dropped => Edit::Drop,
            Outcome::Replaced | Outcome::Mismatch => Edit::Replace,
        };
        self.tell(rule, edit, out.since(mark));
        Ok(edit)
    }

    /// A name is hashed at once: its member may go yet, and nobody would look for it among what waits.
    fn name(
        &mut self,
        rule: RuleId,
        start: usize,
        name: &str,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        self.watch.at(At::Name(self.part, self.place(start)));
        let waiting = self.context.waiting.take();
        let edit = self.scalar(rule, Scalar::Text(name), out);
        self.context.waiting = waiting;
        edit
    }

    fn taken_name(&mut self, rule: RuleId, start: usize) {
        self.tally[usize::from(rule)].mismatches += 1;
        self.watch.at(At::Name(self.part, self.place(start)));
        self.watch.decided(Decided { rule, edit: None, mismatch: true, written: b"" });
    }

    fn opened(&mut self, rule: RuleId, start: usize) {
        self.tally[usize::from(rule)].hits += 1;
        self.watch.opened(self.part, self.place(start));
    }

    fn enter_text(&mut self, start: usize, spelled: &str) {
        self.parked = self.parked.take().or(self.context.waiting.take());
        self.texts_deep += 1;
        if W::WATCHES {
            self.texts.enter(start, spelled);
        }
    }

    fn leave_text(&mut self) {
        self.texts.leave();
        self.texts_deep -= 1;
        if self.texts_deep == 0 {
            self.context.waiting = self.parked.take();
        }
    }

    fn no_json(&mut self, rule: RuleId, out: &mut Out<'_>) -> Result<Edit, Reason> {
        self.tally[usize::from(rule)].hits += 1;
        self.on_mismatch(rule, out.mark(), out)
    }

    fn takes(&self, rule: RuleId) -> bool {
        self.plan.rules[usize::from(rule)].transform.takes()
    }

    fn gone(&mut self, rule: RuleId) {
        self.did(rule, Edit::Drop);
    }
}

/// Cleans the record's key.
pub(super) fn key<W: Watch>(
    editor: &mut PlanEditor<'_, W>,
    on_key: &OnKey,
    key: Option<Raw<'_>>,
    limits: Limits,
    scratch: &mut Scratch,
    out: &mut Parts<'_>,
) -> Result<(), Reason> {
    let Some(key) = key.map(Raw::expose) else { return Ok(()) };
    let edit = match on_key {
        OnKey::Nobody => Edited::Keep,
        OnKey::Whole(rule) => {
            editor.watch.at(At::Key);
            out.plain(|out| editor.bytes(*rule, key, out))?
        }
        OnKey::Within(_) if key.len() > limits.value_bytes => return Err(Reason::Limits),
        OnKey::Within(paths) => {
            editor.part = Part::Key;
            let clean = out.json(|out| splice(key, paths, limits.depth, scratch, editor, out))?;
            Edited::Replace(clean)
        }
    };
    out.set_key(edit);
    Ok(())
}

/// Cleans the record's headers. Not looked at if no rule could name one.
pub(super) fn headers<W: Watch>(
    editor: &mut PlanEditor<'_, W>,
    rules: &[(HeaderName, RuleId)],
    headers: &dyn Headers,
    out: &mut Parts<'_>,
) -> Result<(), Reason> {
    if rules.is_empty() || headers.count() == 0 {
        return Ok(());
    }
    out.edit_headers();
    for index in 0..headers.count() {
        let Some((name, value)) = headers.get(index) else { break };
        editor.watch.at(At::Header(index));
        let rule = rules.iter().find(|(header, _)| header.fits(name));
        let edit = match (rule, value) {
            (Some((_, rule)), Some(value)) => {
                out.plain(|out| editor.bytes(*rule, value.expose(), out))?
            }
            // A header without a value is a null: only `drop` takes it.
            (Some((_, rule)), None) => out.plain(|out| editor.scalar(*rule, Scalar::Null, out))?,
            (None, _) => Edited::Keep,
        };
        out.push_header(name, value.map(Raw::expose), edit);
    }
    Ok(())
}

/// An edit of a key or header, its replacement in the batch's arena.
pub(super) enum Edited {
    Keep,
    Drop,
    Replace(std::ops::Range<usize>),
}
