//! Texts that are JSON themselves, and are read as such.
//!
//! Programs log JSON in strings. A rule that names such a text has it taken for what it spells: the walk
//! goes on in the text's meaning, in the state that it is in, as if the value stood there itself. What
//! comes out is written as a text again, escaped anew; a text in which nothing has changed keeps its
//! spelling. Only objects and lists are meant: a text that spells a number may as well be one.
//!
//! The text is checked as a whole before anything is decided: what is no JSON, or nested deeper than a
//! record may be, is a text of another kind, and nothing of it has been counted or hashed by then.
//! Pseudonyms inside do not wait for others: their place is not known before the text is written.

use super::{Edit, Editor, Fate, Span, State, Step, Walk, escape, next_escape, unescape};
use crate::error::Reason;
use crate::format::grammar::Cursor;
use crate::format::paths::{Here, Next, RuleId};
use crate::format::{Container, Out};
use crate::scan::{Index, Scanner};

/// Room for texts in texts, one level each; grown on demand.
pub(super) struct Levels {
    pub(super) scanner: Scanner,
    free: Vec<Level>,
}

/// Room for one text.
#[derive(Default)]
struct Level {
    meaning: String,
    index: Index,
    out: Vec<u8>,
}

impl Levels {
    pub(super) const fn new(scanner: Scanner) -> Self {
        Self { scanner, free: Vec::new() }
    }
}

impl Level {
    /// Reads a text's meaning; says what it is if it is JSON and no deeper.
    fn read(&mut self, spelled: &str, scanner: Scanner, depth_max: usize) -> Option<Container> {
        unescape(spelled, &mut self.meaning);
        let bytes = self.meaning.as_bytes();
        scanner.index(bytes, &mut self.index).ok()?;
        let mut cursor = Cursor::new(bytes, self.index.quotes(), depth_max);
        cursor.space();
        let container = match cursor.peek() {
            b'{' => Container::Object,
            b'[' => Container::Array,
            _ => return None,
        };
        cursor.skip().ok()?;
        cursor.space();
        cursor.at_end().then_some(container)
    }
}

impl<'a, E: Editor> Walk<'a, E> {
    /// A text that is to be read as JSON.
    #[inline(never)]
    pub(super) fn open(&mut self, next: &'a Next, text: Span) -> Step<Fate> {
        let state = self.paths.state(next);
        let Some(rule) = state.opens() else { return Err(Reason::Internal) };
        let mut level = self.levels.free.pop().unwrap_or_default();
        let spelled = &self.text[text.start..text.end];
        let fate = match level.read(spelled, self.levels.scanner, self.cursor.depth_left) {
            Some(container) => {
                self.editor.opened(rule, text.start - 1);
                self.opened(state, container, text, &mut level)
            }
            None => self.unopened(rule, state, text),
        };
        self.levels.free.push(level);
        fate
    }

    fn opened(
        &mut self,
        state: &'a State,
        container: Container,
        text: Span,
        level: &mut Level,
    ) -> Step<Fate> {
        let here = match container {
            Container::Object => state.object(),
            Container::Array => state.array(),
        };
        let looks = matches!(here, Here::Descend | Here::Sift { .. });
        let left = looks && self.inside(state, container, text, level)?;
        let start = text.start - 1;
        match here {
            Here::Descend => self.write_text(text, level),
            Here::Sift { .. } if left => self.write_text(text, level),
            Here::Sift { rule, taken: true } => {
                self.editor.at(start);
                Ok(self.untouched(Here::Gone(rule)))
            }
            Here::Sift { rule, taken: false } | Here::Rule(rule) => {
                self.editor.at(start);
                self.take(rule, container, start, text.end + 1)
            }
            here => Ok(self.untouched(here)),
        }
    }

    /// Walks the text's meaning; true if something of it stayed.
    fn inside(
        &mut self,
        state: &'a State,
        container: Container,
        text: Span,
        level: &mut Level,
    ) -> Step<bool> {
        let Level { meaning, index, out } = level;
        out.clear();
        self.editor.enter_text(text.start - 1, &self.text[text.start..text.end]);
        let mut walk = Walk {
            cursor: Cursor::new(meaning.as_bytes(), index.quotes(), self.cursor.depth_left),
            text: meaning,
            escapes: index.escapes(),
            next_escape: next_escape(index.escapes()),
            copied: 0,
            paths: self.paths,
            editor: &mut *self.editor,
            key: &mut *self.key,
            value: &mut *self.value,
            names: &mut *self.names,
            levels: &mut *self.levels,
            out,
        };
        walk.cursor.space();
        let left = match container {
            Container::Object => walk.object(state)?,
            Container::Array => walk.array(state)?,
        };
        walk.copy_to(meaning.len());
        self.editor.leave_text();
        Ok(left)
    }

    /// Puts what became of the text in its place.
    fn write_text(&mut self, text: Span, level: &Level) -> Step<Fate> {
        if level.out != level.meaning.as_bytes() {
            let changed = std::str::from_utf8(&level.out).map_err(|_| Reason::Internal)?;
            self.copy_to(text.start - 1);
            let mut out = Out::json(self.out);
            out.open();
            out.push(changed);
            out.close();
            self.copied = text.end + 1;
        }
        Ok(Fate::Stays)
    }

    /// A text that is no JSON: a rule that takes the text whole has it, else it is of another kind to
    /// `rule`. If that keeps it, it is decided as the text that it is.
    fn unopened(&mut self, rule: RuleId, state: &'a State, text: Span) -> Step<Fate> {
        match state.scalar() {
            Here::Rule(taker) if self.editor.takes(taker) => return self.ruled_text(taker, text),
            Here::Gone(_) => return Ok(self.untouched(state.scalar())),
            _ => {}
        }
        self.copy_to(text.start - 1);
        let mark = self.out.len();
        let edit = self.editor.no_json(rule, &mut Out::json(self.out))?;
        let fate = self.settle(edit, mark, text.end + 1);
        match state.scalar() {
            Here::Rule(rule) if edit == Edit::Keep => self.ruled_text(rule, text),
            _ => Ok(fate),
        }
    }
}

/// Where what is in a text stands in the record: for those who tell of values by their place.
#[derive(Debug, Default)]
pub struct Texts {
    /// For each text that one is in, where each byte of its meaning is spelled in the record.
    around: Vec<Vec<usize>>,
}

impl Texts {
    /// Goes into the text that begins at `start`, with its quote, and is spelled like this.
    pub fn enter(&mut self, start: usize, spelled: &str) {
        let places = places(spelled).into_iter().map(|place| self.place(start + 1 + place));
        let places = places.collect();
        self.around.push(places);
    }

    /// Goes out of it.
    pub fn leave(&mut self) {
        self.around.pop();
    }

    /// The place in the record of what is at this byte of the text that one is in.
    #[must_use]
    pub fn place(&self, at: usize) -> usize {
        self.around.last().map_or(at, |places| places.get(at).copied().unwrap_or(at))
    }

    /// Is one in a text?
    #[must_use]
    pub fn inside(&self) -> bool {
        !self.around.is_empty()
    }
}

/// For each byte of a string's meaning, and for its end: where its character begins in the spelling.
fn places(spelled: &str) -> Vec<usize> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some(character) = spelled[at..].chars().next() {
        let (meaning, length) = match character {
            '\\' => escape(&spelled[at..]),
            plain => (plain, plain.len_utf8()),
        };
        places.extend(std::iter::repeat_n(at, meaning.len_utf8()));
        at += length;
    }
    places.push(at);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_text_is_found_in_the_record() {
        let spelled = r#"{\"\u0061\":\"\\\"é\\\"\"}"#;
        let mut texts = Texts::default();
        texts.enter(10, spelled);
        let inner = r#"{"a":"\"é\""}"#;
        let at = |wanted: &str| inner.find(wanted).expect("there");
        let spelling = |at: usize| &spelled[texts.place(at) - 11..];
        assert!(spelling(at("a")).starts_with(r"\u0061"));
        assert!(spelling(at(r#""\"#)).starts_with(r#"\"\\\"é"#));
        assert!(spelling(at("é")).starts_with("é"));
        assert!(spelling(at("}")).starts_with('}'));
        texts.enter(at(r#""\"#), r#"\"é\""#);
        assert_eq!(texts.place(1), 11 + spelled.find('é').expect("there"));
        texts.leave();
        texts.leave();
        assert!(!texts.inside() && texts.place(7) == 7);
    }
}
