//! The fields that a plan reads before anything is edited: what its conditions test, and whose times
//! are moved.

use crate::error::Reason;
use crate::format::json::{Edit, Editor, Scratch};
use crate::format::paths::RuleId;
use crate::format::{Container, Out, Scalar};
use crate::keys::EpochKeys;
use crate::policy::{Conditions, Fields, Tested, View};
use crate::record::Record;
use crate::transform::Subject;

/// What one record's fields say; kept for its room.
#[derive(Default)]
pub(super) struct Answers {
    classes: Vec<usize>,
    subjects: Vec<Subject>,
}

impl Answers {
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
        let mut classes = Classes { tested: &conditions.tested, known: &mut self.classes };
        read(&conditions.fields, record, depth_max, scratch, &mut classes)?;
        Ok(conditions.view(&self.classes))
    }

    /// Whose times are moved, by the number of the field. It costs a walk of its own.
    pub(super) fn subjects(
        &mut self,
        fields: &Fields,
        record: &Record<'_>,
        keys: Option<&EpochKeys>,
        depth_max: usize,
        scratch: &mut Scratch,
    ) -> Result<&[Subject], Reason> {
        self.subjects.clear();
        self.subjects.resize(fields.count, Subject::default());
        let mut subjects = Subjects { keys, known: &mut self.subjects };
        read(fields, record, depth_max, scratch, &mut subjects)?;
        Ok(&self.subjects)
    }
}

/// Notes what fields say, by their numbers. A field may say several things, as a member or a header
/// may come twice.
trait Notes {
    /// A value.
    fn scalar(&mut self, field: usize, value: Scalar<'_>);
    /// A key or a header.
    fn bytes(&mut self, field: usize, bytes: &[u8]);
    /// An object or a list.
    fn container(&mut self, field: usize);
}

fn read(
    fields: &Fields,
    record: &Record<'_>,
    depth_max: usize,
    scratch: &mut Scratch,
    notes: &mut impl Notes,
) -> Result<(), Reason> {
    if let (Some(paths), Some(value)) = (&fields.value, record.value) {
        scratch.read(value.expose(), paths, depth_max, &mut Reader(notes))?;
    }
    if let (Some(paths), Some(key)) = (&fields.in_key, record.key) {
        scratch.read(key.expose(), paths, depth_max, &mut Reader(notes))?;
    }
    if let (Some(field), Some(key)) = (fields.key, record.key) {
        notes.bytes(field, key.expose());
    }
    if !fields.headers.is_empty() {
        headers(fields, record, notes);
    }
    Ok(())
}

fn headers(fields: &Fields, record: &Record<'_>, notes: &mut impl Notes) {
    for index in 0..record.headers.count() {
        let Some((name, Some(value))) = record.headers.get(index) else { continue };
        let fitting = fields.headers.iter().filter(|(wanted, _)| wanted.fits(name));
        fitting.for_each(|(_, field)| notes.bytes(*field, value.expose()));
    }
}

/// The classes of tested fields.
struct Classes<'a> {
    tested: &'a [Tested],
    known: &'a mut [usize],
}

impl Classes<'_> {
    fn note(&mut self, field: usize, class: usize) {
        let (tested, known) = (&self.tested[field], &mut self.known[field]);
        // A `null` says nothing; two that differ say less.
        if *known == tested.missing() {
            *known = class;
        } else if *known != class && class != tested.missing() {
            *known = tested.unclear();
        }
    }
}

impl Notes for Classes<'_> {
    fn scalar(&mut self, field: usize, value: Scalar<'_>) {
        self.note(field, self.tested[field].class(value));
    }

    fn bytes(&mut self, field: usize, bytes: &[u8]) {
        self.note(field, self.tested[field].class_of_bytes(bytes));
    }

    fn container(&mut self, field: usize) {
        self.note(field, self.tested[field].unclear());
    }
}

/// Whose times are moved.
struct Subjects<'a> {
    keys: Option<&'a EpochKeys>,
    known: &'a mut [Subject],
}

impl Notes for Subjects<'_> {
    fn scalar(&mut self, field: usize, value: Scalar<'_>) {
        if !matches!(value, Scalar::Null) {
            self.known[field].meet(Subject::of(value, self.keys));
        }
    }

    fn bytes(&mut self, field: usize, bytes: &[u8]) {
        self.known[field].meet(Subject::of_bytes(bytes, self.keys));
    }

    fn container(&mut self, field: usize) {
        self.known[field].meet(Subject::Unclear);
    }
}

/// Reads the record; the paths' rules are the fields' numbers.
struct Reader<'a, N>(&'a mut N);

impl<N: Notes> Editor for Reader<'_, N> {
    fn always(&self, _: RuleId) -> Option<Edit> {
        None
    }

    fn did(&mut self, _: RuleId, _: Edit) {}

    fn scalar(
        &mut self,
        field: RuleId,
        value: Scalar<'_>,
        _: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        self.0.scalar(usize::from(field), value);
        Ok(Edit::Keep)
    }

    fn container(&mut self, field: RuleId, _: Container, _: &mut Out<'_>) -> Result<Edit, Reason> {
        self.0.container(usize::from(field));
        Ok(Edit::Keep)
    }
}
