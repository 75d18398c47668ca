//! The fields that a plan's conditions test, read before anything is edited.

use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch};
use crate::format::paths::RuleId;
use crate::format::{Container, Out, Scalar};
use crate::policy::{Conditions, Tested, View};

/// What one record's fields say; kept for its room.
#[derive(Debug, Default)]
pub(super) struct Fields {
    classes: Vec<usize>,
}

impl Fields {
    /// The view for a record of this value. It costs a second walk, and no second grammar.
    pub(super) fn view<'p>(
        &mut self,
        conditions: &'p Conditions,
        value: Option<&[u8]>,
        depth_max: usize,
        scratch: &mut Scratch,
    ) -> Result<&'p View, Reason> {
        self.classes.clear();
        self.classes.extend(conditions.tested.iter().map(Tested::missing));
        if let Some(value) = value {
            let mut reader = Reader { tested: &conditions.tested, classes: &mut self.classes };
            scratch.read(value, &conditions.fields, depth_max, &mut reader)?;
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
    fn note(&mut self, field: RuleId, class: usize) {
        let field = usize::from(field);
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
        self.note(field, self.tested[usize::from(field)].class(value));
        Ok(Edit::Keep)
    }

    fn container(&mut self, field: RuleId, _: Container, _: &mut Out<'_>) -> Result<Edit, Reason> {
        self.note(field, self.tested[usize::from(field)].unclear());
        Ok(Edit::Keep)
    }
}
