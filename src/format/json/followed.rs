//! Records whose shape is known: only the values that rules decide are visited.
//!
//! What is done to each is what the walk does. What the walk knows of siblings, for those that go,
//! is known here from the piece before the value and from the value that went last.

use super::{Editor, Fate, Span, Step, Walk, fate};
use crate::format::Container;
use crate::format::shapes::{Among, Shapes, Value};

/// The member or element that went last.
#[derive(Default)]
struct Gone {
    /// Where it ended; 0 before there is one.
    end: usize,
    /// No sibling before it stays.
    gap: bool,
}

impl<E: Editor> Walk<'_, E> {
    /// Edits a record that has been followed.
    pub(super) fn followed(&mut self, shapes: &Shapes) -> Step<()> {
        let mut gone = Gone::default();
        for &touched in shapes.touched() {
            let (start, end, rule) = (touched.start as usize, touched.end as usize, touched.rule);
            let (written, copied) = (self.out.len(), self.copied);
            let fate = match shapes.value(touched) {
                Value::Text => self.ruled_text(rule, Span { start, end })?,
                Value::Bare => match self.editor.fixed(rule) {
                    Some(edit) => fate(edit),
                    None => {
                        self.cursor.at = end;
                        self.edit_bare(rule, start, self.cursor.bytes[start])?
                    }
                },
                Value::Object | Value::EmptyObject => {
                    self.take(rule, Container::Object, start, end)?
                }
                Value::Array | Value::EmptyArray => {
                    self.take(rule, Container::Array, start, end)?
                }
                Value::End => Fate::Stays,
            };
            if fate == Fate::Goes {
                self.out.truncate(written);
                self.copied = copied;
                let end = end + usize::from(shapes.value(touched) == Value::Text);
                self.leave_out(&mut gone, shapes.among(touched), end);
            }
        }
        Ok(())
    }

    /// Leaves out a member or element that ends at `end`, with a separator.
    fn leave_out(&mut self, gone: &mut Gone, among: Among, end: usize) {
        let first = match among.before {
            None => true,
            Some(before) if before == gone.end => gone.gap,
            Some(before) => {
                self.copy_to(before);
                false
            }
        };
        if first {
            self.copy_to(among.start);
        }
        self.copied = end;
        if first {
            // What stands before the next one's start goes, too.
            self.cursor.at = end;
            self.cursor.space();
            if self.cursor.peek() == b',' {
                self.cursor.at += 1;
                self.cursor.space();
                self.copied = self.cursor.at;
            }
        }
        *gone = Gone { end, gap: first };
    }
}
