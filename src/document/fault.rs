//! Faults: what is wrong in a file that a person wrote, where, and what to write instead.
//!
//! A file is read to its end and every fault is kept, because a person who mends a policy wants
//! the whole list, not a game of one at a time. What must not be shown stays here too: a keyring's
//! lines are never printed, and a line that a reader has marked with [`Faults::hide`] (a password)
//! is named by number only.

use super::codes;
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// How much of a file may be repeated in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Every line.
    Lines,
    /// Every line but those that look as if they held a password, a token or a key.
    LinesWithoutSecrets,
    /// No line, and none of its words: a keyring.
    Nothing,
}

/// A file's name and text.
pub struct Source {
    /// The path as the user gave it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// How much of it a message may repeat.
    pub show: Show,
}

/// What may not be shown must not stay in memory either.
impl Drop for Source {
    fn drop(&mut self) {
        if self.show != Show::Lines {
            zeroize::Zeroize::zeroize(&mut self.text);
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

impl Source {
    /// A text that may be shown.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Self::with(name, text, Show::Lines)
    }

    /// A text of which `show` may be shown.
    pub fn with(name: impl Into<String>, text: impl Into<String>, show: Show) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), show })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8.
    pub fn read(path: &Path, show: Show) -> Result<Arc<Self>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|error| Error::usage(format!("{name} cannot be read: {error}")))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::with(name, text, show)),
            Err(_) => Err(Error::usage(format!("{name} is not a text file in UTF-8"))),
        }
    }

    /// Line and column, both from 1 and in characters, of a byte offset.
    #[must_use]
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.boundary(offset)];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The line that holds a byte offset: where it starts, and its text without the line's end.
    #[must_use]
    pub fn line(&self, offset: usize) -> (usize, &str) {
        let at = self.boundary(offset);
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |length| at + length);
        (start, self.text[start..end].trim_end_matches('\r'))
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Byte offsets into a source's text, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From one byte offset to another.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Stable code such as `P014`; codes are never reused.
    pub code: &'static str,
    /// The file.
    pub source: Arc<Source>,
    /// The place.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Further lines to print under the place, such as a test's expected and actual event.
    pub notes: Vec<String>,
}

impl Fault {
    /// Adds what to write instead.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a line to print under the place.
    pub fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }
}

/// All that is wrong, collected in the order in which it was found.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    hidden: Vec<(Arc<Source>, Span)>,
}

impl Faults {
    /// Adds a fault; its hint and notes can be added to what comes back.
    pub fn add(
        &mut self,
        source: &Arc<Source>,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Fault {
        debug_assert!(codes::find(code).is_some(), "{code} is not in the table of codes");
        let at = self.list.len();
        self.list.push(Fault {
            code,
            source: source.clone(),
            span,
            message: message.into(),
            hint: None,
            notes: Vec::new(),
        });
        &mut self.list[at]
    }

    /// Adds what was found elsewhere, behind what is here.
    pub fn append(&mut self, other: Self) {
        self.list.extend(other.list);
        self.hidden.extend(other.hidden);
    }

    /// From now on, lines that `span` touches are never printed.
    pub fn hide(&mut self, source: &Arc<Source>, span: Span) {
        self.hidden.push((source.clone(), span));
    }

    /// May this line be printed?
    pub(super) fn shows(&self, source: &Arc<Source>, start: usize, line: &str) -> bool {
        let touched = |span: &Span| span.start <= start + line.len() && start <= span.end;
        match source.show {
            Show::Nothing => return false,
            Show::LinesWithoutSecrets if looks_secret(line) => return false,
            Show::LinesWithoutSecrets | Show::Lines => {}
        }
        !self.hidden.iter().any(|(of, span)| Arc::ptr_eq(of, source) && touched(span))
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// One by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.list.iter()
    }

    /// Adds a note to those of `source` that are not among the first `count`.
    pub fn note_since(&mut self, count: usize, source: &Arc<Source>, note: &str) {
        for fault in self.list.iter_mut().skip(count) {
            if Arc::ptr_eq(&fault.source, source) {
                fault.note(note);
            }
        }
    }

    /// Sorts them by place, file by file in the order in which the files were read. What was found
    /// twice, because two policies share the file, is told once.
    pub fn sort(&mut self) {
        let mut told = HashSet::new();
        self.list.retain(|fault| {
            let Fault { code, source, span, message, .. } = fault;
            told.insert((Arc::as_ptr(source), span.start, span.end, *code, message.clone()))
        });
        let mut files: Vec<*const Source> = Vec::new();
        for fault in &self.list {
            let file = Arc::as_ptr(&fault.source);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let file = |fault: &Fault| {
            files.iter().position(|file| std::ptr::eq(*file, Arc::as_ptr(&fault.source)))
        };
        self.list.sort_by_key(|fault| (file(fault), fault.span.start, fault.span.end));
    }
}

/// A file that mixes settings with passwords can break before anyone knows which is which: then
/// the line's own words decide, and they decide for silence.
fn looks_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["passw", "secret", "passphrase", "token", "private", "credential", "jaas", "ssl.key", "prv1-"]
        .iter()
        .any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_take_any_offset() {
        let source = Source::new("x", "añb\r\nc");
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(3), (1, 3));
        assert_eq!(source.place(2), (1, 2), "inside a character: its start");
        assert_eq!(source.place(6), (2, 1));
        assert_eq!(source.place(99), (2, 2));
        assert_eq!(source.line(1), (0, "añb"));
    }

    #[test]
    fn debug_of_a_source_shows_no_text() {
        let shown = format!("{:?}", Source::with("k", "canary", Show::Nothing));
        assert_eq!(shown, "Source(k, 6 bytes)");
    }
}
