//! The kernel: JSON in, JSON out, only the touched values rewritten.
//!
//! ```text
//! scan:  offsets of the unescaped quotes, UTF-8 and escapes checked   (src/scan)
//! walk:  the full grammar of RFC 8259 over the input, strings jumped by their offsets,
//!        a state of the path automaton (paths.rs) carried along
//! edit:  where the state says so: copy what came before as it is, write the replacement
//! ```
//! The input is borrowed and copied at most once, in runs between edits; the output is never
//! parsed again. Nothing is validated less because no rule looks at it: a record that is not JSON
//! for the reader must not become clean.
//!
//! Tried and thrown away, on web events of 805 B with ten rules:
//! - copying up to a value before its rule is asked, for `drop` and `keep` too: 1,105 ns a record,
//!   1,055 with [`Editor::fixed`];
//! - splitting URLs and queries with closures over bytes instead of memchr: 119 ns a URL, not 83.
//!
//! Taking out a member or element also takes a separator. Rule: with a sibling kept before it,
//! everything from that sibling's end to its own end goes; without one, everything from its start
//! to the start of the next. All other bytes stay, spaces too.

use super::paths::{Elements, Here, Paths, RuleId, StateId};
use super::{Container, Out, Scalar};
use crate::error::Reason;
use crate::scan::{Index, Scanner, append};
use std::fmt;

/// What the editor did with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It stays, byte for byte; anything written is taken back.
    Keep,
    /// What was written stands in its place.
    Replace,
    /// The member or element goes.
    Drop,
}

/// Decides about the values that rules name. The engine is one, the reader of a tenant's name
/// another.
pub trait Editor {
    /// The value that begins at this offset of the input comes next. Costs nothing unless somebody
    /// listens, as only those do who explain.
    #[inline]
    fn at(&mut self, start: usize) {
        let _ = start;
    }

    /// What `rule` does to every value, if it is always the same: then nothing is copied or read
    /// for it. Never [`Edit::Replace`].
    fn fixed(&mut self, rule: RuleId) -> Option<Edit>;

    /// A scalar that `rule` decides.
    ///
    /// # Errors
    /// A reason to withhold the whole record.
    fn scalar(
        &mut self,
        rule: RuleId,
        value: Scalar<'_>,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason>;

    /// An array or object that `rule` takes whole.
    ///
    /// # Errors
    /// A reason to withhold the whole record.
    fn container(
        &mut self,
        rule: RuleId,
        container: Container,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason>;

    /// A value goes because `rule` took the container that it is in, and no earlier rule leaves it.
    fn gone(&mut self, _: RuleId) {}
}

/// What a walk needs and reuses: stage 1's index and room for unescaped text. It still holds
/// pieces of the last record, so it shows nothing of itself.
pub struct Scratch {
    scanner: Scanner,
    index: Index,
    key: String,
    value: String,
    /// What [`Scratch::read`] lets the walk copy, and nobody looks at.
    unread: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("scanner", &self.scanner).finish_non_exhaustive()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new(Scanner::detect())
    }
}

impl Scratch {
    /// Scratch whose stage 1 runs on `scanner`.
    #[must_use]
    pub fn new(scanner: Scanner) -> Self {
        Self {
            scanner,
            index: Index::default(),
            key: String::new(),
            value: String::new(),
            unread: Vec::new(),
        }
    }

    /// Shows `reader` the values that `paths` names, and writes nothing.
    ///
    /// # Errors
    /// As [`splice`].
    pub fn read<E: Editor>(
        &mut self,
        input: &[u8],
        paths: &Paths,
        depth_max: usize,
        reader: &mut E,
    ) -> Result<(), Reason> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.clear();
        let done = splice(input, paths, depth_max, self, reader, &mut unread);
        self.unread = unread;
        done
    }
}

/// Appends to `out` the JSON of `input`, each value that `paths` names edited by `editor`.
///
/// `depth_max`: deepest nesting of arrays and objects, the root counted as 1.
///
/// # Errors
/// `Malformed`: not UTF-8, not JSON, a lone surrogate, or a root that is neither an object nor an
/// array of objects. `Limits`: nested deeper. Or the editor's own reason. What was appended then
/// means nothing.
pub fn splice<E: Editor>(
    input: &[u8],
    paths: &Paths,
    depth_max: usize,
    scratch: &mut Scratch,
    editor: &mut E,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    let Scratch { scanner, index, key, value, .. } = scratch;
    let text = scanner.index(input, index).map_err(|_| Reason::Malformed)?;
    let mut walk = Walk {
        text,
        bytes: input,
        quotes: index.quotes(),
        escapes: index.escapes(),
        at: 0,
        copied: 0,
        depth_left: depth_max,
        paths,
        editor,
        key,
        value,
        out,
    };
    walk.root()?;
    walk.copy_to(input.len());
    Ok(())
}

/// Where in the input the walk is, and what it carries.
struct Walk<'a, E> {
    text: &'a str,
    bytes: &'a [u8],
    /// The quotes not yet passed.
    quotes: &'a [u32],
    /// The escapes not yet passed.
    escapes: &'a [u32],
    at: usize,
    /// Input before this offset is in the output, edited, or left out.
    copied: usize,
    depth_left: usize,
    paths: &'a Paths,
    editor: &'a mut E,
    key: &'a mut String,
    value: &'a mut String,
    out: &'a mut Vec<u8>,
}

/// A string's content, as offsets into the input.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    escaped: bool,
}

/// The members or elements of one container that is being edited.
#[derive(Default)]
struct Siblings {
    /// Where the last one that stays ended.
    kept_end: Option<usize>,
    /// All so far went: what stands before the next one's start goes too.
    gap: bool,
}

/// Did the value stay (edited or not) or go?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
}

type Step<T> = Result<T, Reason>;

/// In a subtree where nothing is edited no state is carried.
const NO_STATE: StateId = StateId::MAX;

impl<E: Editor> Walk<'_, E> {
    fn root(&mut self) -> Step<()> {
        self.space();
        match self.peek() {
            b'{' => self.root_object()?,
            b'[' => self.root_array()?,
            _ => return Err(Reason::Malformed),
        }
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Reason::Malformed) }
    }

    fn root_object(&mut self) -> Step<()> {
        match self.paths.object(Paths::ROOT) {
            Here::Stay => self.object::<false>(NO_STATE),
            _ => self.object::<true>(Paths::ROOT),
        }?;
        Ok(())
    }

    /// Each element is a record of its own to the rules: they start at the root again.
    fn root_array(&mut self) -> Step<()> {
        self.enter()?;
        if !self.closes(b']') {
            loop {
                if self.peek() != b'{' {
                    return Err(Reason::Malformed);
                }
                self.root_object()?;
                if self.separator(b']')? {
                    break;
                }
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// An object, the walk at its brace. `EDIT`: rules may match inside. True if a member stayed.
    fn object<const EDIT: bool>(&mut self, state: StateId) -> Step<bool> {
        self.enter()?;
        let mut siblings = Siblings::default();
        if !self.closes(b'}') {
            loop {
                let start = self.at;
                let name = self.string()?;
                self.space();
                self.expect(b':')?;
                self.space();
                if EDIT {
                    let next = self.member(state, name);
                    self.sibling(&mut siblings, start, next)?;
                } else {
                    self.skip()?;
                }
                if self.separator(b'}')? {
                    break;
                }
            }
        }
        self.depth_left += 1;
        Ok(siblings.kept_end.is_some())
    }

    /// An array, the walk at its bracket. True if an element stayed.
    fn array<const EDIT: bool>(&mut self, state: StateId) -> Step<bool> {
        self.enter()?;
        let mut siblings = Siblings::default();
        if !self.closes(b']') {
            let elements = if EDIT { self.paths.elements(state) } else { Elements::none(NO_STATE) };
            for index in 0.. {
                if EDIT {
                    self.sibling(&mut siblings, self.at, elements.get(index))?;
                } else {
                    self.skip()?;
                }
                if self.separator(b']')? {
                    break;
                }
            }
        }
        self.depth_left += 1;
        Ok(siblings.kept_end.is_some())
    }

    /// One member or element that began at `start`, the walk at its value.
    #[inline]
    fn sibling(&mut self, siblings: &mut Siblings, start: usize, state: StateId) -> Step<()> {
        if siblings.gap {
            self.copied = start;
            siblings.gap = false;
        }
        let (written, copied) = (self.out.len(), self.copied);
        match self.value(state)? {
            Fate::Stays => siblings.kept_end = Some(self.at),
            Fate::Goes => {
                // Its name and separator may have been copied before its rule was asked.
                self.out.truncate(written);
                self.copied = copied;
                self.copy_to(siblings.kept_end.unwrap_or(start));
                self.copied = self.at;
                siblings.gap = siblings.kept_end.is_none();
            }
        }
        Ok(())
    }

    /// A value at a state.
    #[inline]
    fn value(&mut self, state: StateId) -> Step<Fate> {
        let start = self.at;
        self.editor.at(start);
        match self.peek() {
            b'"' => {
                let span = self.string()?;
                match self.paths.scalar(state) {
                    Here::Rule(rule) => match self.editor.fixed(rule) {
                        Some(edit) => Ok(fate(edit)),
                        None => self.edit_text(rule, start, span),
                    },
                    here => Ok(self.untouched(here)),
                }
            }
            b'{' => match self.paths.object(state) {
                Here::Descend => self.object::<true>(state).map(|_| Fate::Stays),
                here => self.whole(here, state, start),
            },
            b'[' => match self.paths.array(state) {
                Here::Descend => self.array::<true>(state).map(|_| Fate::Stays),
                here => self.whole(here, state, start),
            },
            first => {
                self.bare(first)?;
                match self.paths.scalar(state) {
                    Here::Rule(rule) => match self.editor.fixed(rule) {
                        Some(edit) => Ok(fate(edit)),
                        None => self.edit_bare(rule, start, first),
                    },
                    here => Ok(self.untouched(here)),
                }
            }
        }
    }

    /// A value in which nothing is edited: only its grammar matters.
    fn skip(&mut self) -> Step<()> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object::<false>(NO_STATE).map(|_| ()),
            b'[' => self.array::<false>(NO_STATE).map(|_| ()),
            first => self.bare(first),
        }
    }

    /// A container that is not simply looked into.
    fn whole(&mut self, here: Here, state: StateId, start: usize) -> Step<Fate> {
        match here {
            Here::Sift { rule, taken } => {
                if self.sift(state)? {
                    return Ok(Fate::Stays);
                }
                self.editor.at(start);
                if taken { Ok(self.untouched(Here::Gone(rule))) } else { self.take(rule, start) }
            }
            Here::Rule(rule) => {
                self.skip()?;
                self.take(rule, start)
            }
            here => {
                self.skip()?;
                Ok(self.untouched(here))
            }
        }
    }

    /// A container that just ended, and that `rule` has whole.
    fn take(&mut self, rule: RuleId, start: usize) -> Step<Fate> {
        if let Some(edit) = self.editor.fixed(rule) {
            return Ok(fate(edit));
        }
        self.copy_to(start);
        let mark = self.out.len();
        let container = match self.text.as_bytes()[start] {
            b'[' => Container::Array,
            _ => Container::Object,
        };
        let edit = self.editor.container(rule, container, &mut Out::json(self.out))?;
        Ok(self.settle(edit, mark))
    }

    /// A container that a rule takes, but for what an earlier rule leaves inside. False: nothing
    /// was left, and what was done inside is taken back. No pseudonym waits there, for it would have
    /// been left.
    #[inline(never)]
    fn sift(&mut self, state: StateId) -> Step<bool> {
        let (written, copied) = (self.out.len(), self.copied);
        let left = match self.peek() {
            b'{' => self.object::<true>(state)?,
            _ => self.array::<true>(state)?,
        };
        if !left {
            self.out.truncate(written);
            self.copied = copied;
        }
        Ok(left)
    }

    /// The fate of a value that is not edited.
    #[inline]
    fn untouched(&mut self, here: Here) -> Fate {
        match here {
            Here::Gone(rule) => {
                self.editor.gone(rule);
                Fate::Goes
            }
            _ => Fate::Stays,
        }
    }

    fn edit_text(&mut self, rule: RuleId, start: usize, span: Span) -> Step<Fate> {
        self.copy_to(start);
        let mark = self.out.len();
        let spelled = &self.text[span.start..span.end];
        let edit = if span.escaped {
            unescape(spelled, self.value);
            let text = Scalar::Text(self.value);
            self.editor.scalar(rule, text, &mut Out::json(self.out))?
        } else {
            let text = Scalar::Text(spelled);
            self.editor.scalar(rule, text, &mut Out::json_of_plain(self.out))?
        };
        Ok(self.settle(edit, mark))
    }

    fn edit_bare(&mut self, rule: RuleId, start: usize, first: u8) -> Step<Fate> {
        self.copy_to(start);
        let mark = self.out.len();
        let value = match first {
            b't' => Scalar::Bool(true),
            b'f' => Scalar::Bool(false),
            b'n' => Scalar::Null,
            _ => Scalar::Number(&self.text[start..self.at]),
        };
        let edit = self.editor.scalar(rule, value, &mut Out::json(self.out))?;
        Ok(self.settle(edit, mark))
    }

    /// Carries out an edit of the value that just ended; its replacement begins at `mark`.
    fn settle(&mut self, edit: Edit, mark: usize) -> Fate {
        match edit {
            Edit::Replace => self.copied = self.at,
            Edit::Keep | Edit::Drop => self.out.truncate(mark),
        }
        fate(edit)
    }

    /// The state of a member, by the meaning of its name.
    #[inline]
    fn member(&mut self, state: StateId, name: Span) -> StateId {
        if name.escaped {
            unescape(&self.text[name.start..name.end], self.key);
            return self.paths.member(state, self.key.as_bytes(), 0, self.key.len());
        }
        self.paths.member(state, self.bytes, name.start, name.end - name.start)
    }

    /// A string, the walk at its opening quote.
    #[inline]
    fn string(&mut self) -> Step<Span> {
        let [open, close, rest @ ..] = self.quotes else { return Err(Reason::Malformed) };
        if *open as usize != self.at {
            return Err(Reason::Malformed);
        }
        self.quotes = rest;
        let (start, end) = (self.at + 1, *close as usize);
        self.at = end + 1;
        // The list of escapes is closed by u32::MAX.
        let escaped = self.escapes[0] < *close;
        if escaped {
            let passed = self.escapes.iter().take_while(|&escape| escape < close).count();
            self.escapes = &self.escapes[passed..];
        }
        Ok(Span { start, end, escaped })
    }

    /// A number or one of the three words; `first` is its first byte.
    #[inline]
    fn bare(&mut self, first: u8) -> Step<()> {
        match first {
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Reason::Malformed),
        }
    }

    fn word(&mut self, word: &[u8]) -> Step<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Reason::Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn number(&mut self, first: u8) -> Step<()> {
        let digit = if first == b'-' {
            self.at += 1;
            self.peek()
        } else {
            first
        };
        match digit {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(Reason::Malformed),
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Step<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Reason::Malformed) }
    }

    /// Goes one level down.
    #[inline]
    fn enter(&mut self) -> Step<()> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Reason::Limits)?;
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Is the container empty? Then its end is passed.
    #[inline]
    fn closes(&mut self, close: u8) -> bool {
        let closes = self.peek() == close;
        self.at += usize::from(closes);
        closes
    }

    /// Behind a member or element: a comma (false) or the container's end (true).
    #[inline]
    fn separator(&mut self, close: u8) -> Step<bool> {
        self.space();
        let byte = self.peek();
        self.at += 1;
        if byte == b',' {
            self.space();
            Ok(false)
        } else if byte == close {
            Ok(true)
        } else {
            Err(Reason::Malformed)
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Step<()> {
        if self.peek() != wanted {
            return Err(Reason::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// The byte at the walk's place; 0, which no grammar allows, at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Copies the input up to `end` as it is.
    #[inline]
    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            append(self.out, self.bytes, self.copied, end);
            self.copied = end;
        }
    }
}

fn fate(edit: Edit) -> Fate {
    if edit == Edit::Drop { Fate::Goes } else { Fate::Stays }
}

/// Writes the meaning of a string's content to `into`. Stage 1 has checked every escape.
fn unescape(content: &str, into: &mut String) {
    into.clear();
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        into.push_str(&rest[..at]);
        let (character, length) = escape(&rest[at..]);
        into.push(character);
        rest = &rest[at + length..];
    }
    into.push_str(rest);
}

/// The character of the escape sequence that `text` begins with, and the sequence's length.
fn escape(text: &str) -> (char, usize) {
    let simple = match text.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        byte => char::from(byte),
    };
    (simple, 2)
}

fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(&text[at..at + 4], 16).unwrap_or(0);
    let high = unit(2);
    if let Some(character) = char::from_u32(high) {
        return (character, 6);
    }
    // Stage 1 lets a high surrogate stand only before a low one.
    let character = 0x10000 + ((high - 0xD800) << 10) + (unit(8) - 0xDC00);
    (char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}
