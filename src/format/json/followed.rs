//! Records whose shape is known: only the values that rules decide are visited.
//!
//! What is done to each is what the walk does. What the walk knows of siblings, for those that go,
//! is known here from the piece before the value and from the value that went last.

use super::{Edit, Editor, Fate, Span, Step, Walk};
use crate::format::paths::RuleId;
use crate::format::shapes::{Among, Does, Shapes, Touched, Value};

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
            let rule = touched.rule();
            let goes = match touched.does() {
                Does::Reads => self.reads(rule, touched)? == Fate::Goes,
                Does::Keeps => {
                    self.editor.did(rule, Edit::Keep);
                    false
                }
                Does::Drops => {
                    self.editor.did(rule, Edit::Drop);
                    true
                }
            };
            if goes {
                self.leave_out(&mut gone, shapes.among(touched), touched.behind());
            }
        }
        Ok(())
    }

    /// A value that `rule` reads.
    #[inline(always)]
    fn reads(&mut self, rule: RuleId, touched: Touched) -> Step<Fate> {
        let (written, copied) = (self.out.len(), self.copied);
        let (start, behind) = (touched.start(), touched.behind());
        let fate = if touched.value == Value::Text {
            self.edit(rule, Span { start, end: behind - 1 })?
        } else if touched.value == Value::Bare {
            self.cursor.at = behind;
            self.edit_bare(rule, start, self.cursor.bytes[start])?
        } else {
            self.edit_whole(rule, self.container(start), start, behind)?
        };
        if fate == Fate::Goes {
            self.out.truncate(written);
            self.copied = copied;
        }
        Ok(fate)
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
