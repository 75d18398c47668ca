//! The fields that a plan's conditions test, read before anything is edited.

use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch};
use crate::format::paths::RuleId;
use crate::format::{Container, Out, Scalar};
use crate::policy::{Conditions, Tested, View};
use crate::record::{Raw, Record};

/// What one record's fields say; kept for its room.
#[derive(Debug, Default)]
pub(super) struct Fields {
    classes: Vec<usize>,
}

impl Fields {
    /// The view for a record. A field of the value costs a second walk, and no second grammar.
    pub(super) fn view<'p>(
        &mut self,
        conditions: &'p Conditions,
        record: &Record<'_>,
        depth_max: usize,
        scratch: &mut Scratch,
    ) -> Result<&'p View, Reason> {
        self.classes.clear();
        self.classes.extend(conditions.tested.iter().map(Tested::missing));
        let mut reader = Reader { tested: &conditions.tested, classes: &mut self.classes };
        if let (Some(fields), Some(value)) = (&conditions.fields, record.value) {
            scratch.read(value.expose(), fields, depth_max, &mut reader)?;
        }
        if let (Some(field), Some(key)) = (conditions.key, record.key) {
            reader.note_bytes(field, key);
        }
        if !conditions.headers.is_empty() {
            reader.headers(conditions, record);
        }
        Ok(conditions.view(&self.classes))
    }
}

/// Notes classes; the paths' rules are the fields' numbers.
struct Reader<'a> {
    tested: &'a [Tested],
    classes: &'a mut [usize],
}

impl Reader<'_> {
    /// A header may come twice, as a member may.
    fn headers(&mut self, conditions: &Conditions, record: &Record<'_>) {
        for index in 0..record.headers.count() {
            let Some((name, Some(value))) = record.headers.get(index) else { continue };
            let tested = conditions.headers.iter().filter(|(tested, _)| tested.fits(name));
            tested.for_each(|(_, field)| self.note_bytes(*field, value));
        }
    }

    fn note_bytes(&mut self, field: usize, bytes: Raw<'_>) {
        self.note(field, self.tested[field].class_of_bytes(bytes.expose()));
    }

    fn note(&mut self, field: usize, class: usize) {
        let (tested, known) = (&self.tested[field], &mut self.classes[field]);
        // A `null` says nothing; two that differ say less.
        if *known == tested.missing() {
            *known = class;
        } else if *known != class && class != tested.missing() {
            *known = tested.unclear();
        }
    }
}

impl Editor for Reader<'_> {
    fn fixed(&mut self, _: RuleId) -> Option<Edit> {
        None
    }

    fn scalar(
        &mut self,
        field: RuleId,
        value: Scalar<'_>,
        _: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let field = usize::from(field);
        self.note(field, self.tested[field].class(value));
        Ok(Edit::Keep)
    }

    fn container(&mut self, field: RuleId, _: Container, _: &mut Out<'_>) -> Result<Edit, Reason> {
        let field = usize::from(field);
        self.note(field, self.tested[field].unclear());
        Ok(Edit::Keep)
    }
}
