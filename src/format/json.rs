//! The kernel: JSON in, JSON out, only the touched values rewritten.
//!
//! ```text
//! scan:  offsets of the unescaped quotes, UTF-8 and escapes checked   (src/scan)
//! walk:  the full grammar of RFC 8259 over the input (grammar.rs), a state of the path
//!        automaton (paths.rs) carried along
//! edit:  where the state says so: copy what came before as it is, write the replacement
//! ```
//! Most records have the structure of one before them: those are followed (`shapes.rs`), which finds the
//! values that rules decide without the walk; what is done to them is the same (`json/followed.rs`).
//!
//! The input is borrowed and copied at most once, in runs between edits; the output is never
//! parsed again. Nothing is validated less because no rule looks at it: a record that is not JSON
//! for the reader must not become clean.
//!
//! Tried and thrown away, on web events of 805 B with ten rules:
//! - copying up to a value before its rule is asked, for `drop` and `keep` too: 1,105 ns a record,
//!   1,055 with [`Editor::always`];
//! - a cursor handed to functions by value, to keep it in registers: its fields are stored one by one and
//!   read back two at a time, which the processor waits for. Audit events 1,445 ns, 1,247 without;
//! - a bitmask of the names' lengths before the look-up: half of the names pass it, and a look-up that
//!   misses costs no more than the mask;
//! - splitting URLs and queries with closures over bytes instead of memchr: 119 ns a URL, not 83;
//! - names compared as two words of eight bytes, not one of sixteen: 894 ns a record, 876 with the one;
//!   or chosen without a branch: 896 and 884;
//! - names looked up by their last eight bytes: 7 instructions fewer each, and audit events 1,018 ns, 968 so;
//! - guessing how the text goes on (`"name":"`) by what came behind the member before in the last record, and
//!   comparing 32 bytes with it instead of looking the name up: right for 27 of 28 members of web events,
//!   and as many instructions as the look-up; each guess waits for the one before, which look-ups do not.
//!   Web events 1,214 ns a record, 1,278 with it, audit events 1,827 and 2,106;
//! - quotes taken in pairs, and a comma passed with the name behind it: fewer loads and checks, and a member
//!   that no rule names costs 4 % more.
//!
//! What seldom happens (an escape in a name, blanks, names that share a slot) is `#[cold]`: the walk's
//! registers are then saved there, and not by every member. Web events 2 % quicker, audit events 3.
//!
//! The walk is instructions, some 11,500 a record (callgrind, Zen 3, web events): 3,240 in the object
//! loop, which is 115 a member for its name and what follows it, 1,530 in stage 1, 2,170 in `text` and
//! `sibling`, 870 around a record, the rest in transforms. Fewer per member was tried, too: a hash of the
//! first eight bytes alone, and members passed by what two bytes are at their ends, not by their quotes: 2
//! % slower each, for the compiler then keeps more on the stack. Compiled for x86-64-v3 they take as long.
//!
//! Linked as one (`lto = "fat"` in Cargo.toml) web events take 567 ns, not 605, audit events 761, not 808,
//! an empty policy 599, not 643 (Zen 4): no call goes through a table. A first build takes 375 s, not 368,
//! one after a change 162, not 111.
//!
//! Where the compiler happens to lay the code is worth 3 % to either side: the same source with loops
//! aligned, or all blocks, took 552 and 536 ns, 555 as it comes. So what is to be gained by less than
//! that is counted in instructions (`valgrind --tool=callgrind`, of `--over FILE --out /dev/null`), and timed
//! in several layouts (`-C llvm-args=-align-loops=64`).
//!
//! Taking out a member or element also takes a separator. Rule: with a sibling kept before it,
//! everything from that sibling's end to its own end goes; without one, everything from its start
//! to the start of the next. All other bytes stay, spaces too.

mod followed;
mod inside;
mod renamed;

pub use inside::Texts;

use super::grammar::{Cursor, Span, Step};
use super::paths::{Here, Members, Next, Paths, RuleId, State};
use super::shapes::{Does, Policy, Shapes};
use super::{Container, Out, Scalar};
use crate::error::Reason;
use crate::scan::{Index, Scanner, append, find};
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
    /// for it, and [`Editor::did`] is told. Never [`Edit::Replace`].
    fn always(&self, rule: RuleId) -> Option<Edit>;

    /// `rule` has done to a value what it always does.
    fn did(&mut self, rule: RuleId, edit: Edit);

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

    /// As [`Editor::scalar`], a text: most are one.
    ///
    /// # Errors
    /// A reason to withhold the whole record.
    #[inline]
    fn text(&mut self, rule: RuleId, text: &str, out: &mut Out<'_>) -> Result<Edit, Reason> {
        self.scalar(rule, Scalar::Text(text), out)
    }

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

    /// The name of a member that `rule` decides, by meaning; `start` is where it begins.
    ///
    /// # Errors
    /// A reason to withhold the whole record.
    fn name(
        &mut self,
        rule: RuleId,
        start: usize,
        name: &str,
        out: &mut Out<'_>,
    ) -> Result<Edit, Reason> {
        let _ = (rule, start, name, out);
        Ok(Edit::Keep)
    }

    /// What `rule` called the member whose name began at `start`, another member of the object is called
    /// already.
    fn taken_name(&mut self, rule: RuleId, start: usize) {
        let _ = (rule, start);
    }

    /// The text that begins at `start` is JSON, and `rule` has it read as such.
    fn opened(&mut self, rule: RuleId, start: usize) {
        let _ = (rule, start);
    }

    /// What comes next is in that text, which is spelled like this; offsets are those in its meaning.
    fn enter_text(&mut self, start: usize, spelled: &str) {
        let _ = (start, spelled);
    }

    /// What comes next is behind it.
    fn leave_text(&mut self) {}

    /// A text that `rule` would have read as JSON is none.
    ///
    /// # Errors
    /// A reason to withhold the whole record.
    fn no_json(&mut self, rule: RuleId, out: &mut Out<'_>) -> Result<Edit, Reason> {
        let _ = (rule, out);
        Ok(Edit::Keep)
    }

    /// Does the rule leave nothing of any value?
    fn takes(&self, rule: RuleId) -> bool {
        let _ = rule;
        false
    }

    /// A value goes because `rule` took the container that it is in, and no earlier rule leaves it.
    fn gone(&mut self, _: RuleId) {}
}

/// What a walk needs and reuses: stage 1's index and room for unescaped text. It still holds
/// pieces of the last record, so it shows nothing of itself.
pub struct Scratch {
    index: Index,
    key: String,
    value: String,
    /// Of the objects around whose members are renamed, what those are called.
    names: Vec<renamed::Called>,
    levels: inside::Levels,
    shapes: Shapes,
    /// What [`Scratch::read`] lets the walk copy, and nobody looks at.
    unread: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("scanner", &self.levels.scanner).finish_non_exhaustive()
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
            index: Index::default(),
            key: String::new(),
            value: String::new(),
            names: Vec::new(),
            levels: inside::Levels::new(scanner),
            shapes: Shapes::default(),
            unread: Vec::new(),
        }
    }

    /// From now on [`splice_known`] is told of other policies, so many.
    pub fn fit(&mut self, plans: usize) {
        self.shapes.fit(plans);
    }

    /// Are records of the policy in this slot followed, for all that is known?
    #[must_use]
    pub fn follows(&self, slot: usize) -> bool {
        self.shapes.follows(slot)
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
/// `depth_max`: deepest nesting of arrays and objects, the root counted as 1; at most
/// [`crate::limits::DEPTH_MAX`].
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
    let (mut walk, _) = start(input, paths, depth_max, scratch, editor, out)?;
    walk.root()?;
    walk.copy_to(input.len());
    Ok(())
}

/// As [`splice`], by the paths of the policy in `slot` of those that [`Scratch::fit`] was told of: quicker
/// for records of shapes that are known. `depth_max` is the same in all calls.
///
/// # Errors
/// As [`splice`].
pub fn splice_known<E: Editor>(
    input: &[u8],
    (slot, paths): (usize, &Paths),
    depth_max: usize,
    scratch: &mut Scratch,
    editor: &mut E,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    let (mut walk, shapes) = start(input, paths, depth_max, scratch, editor, out)?;
    let quotes = walk.cursor.quotes();
    let editor = &walk.editor;
    let does = |rule| match editor.always(rule) {
        None => Does::Reads,
        Some(Edit::Drop) => Does::Drops,
        Some(_) => Does::Keeps,
    };
    let policy = Policy { slot, paths, does: &does };
    if shapes.follow(input, quotes, depth_max, policy) {
        walk.followed(shapes)?;
    } else {
        walk.root()?;
        shapes.learn(input, quotes, depth_max, slot, paths);
    }
    walk.copy_to(input.len());
    Ok(())
}

/// A walk over a record that stage 1 has passed.
#[inline(always)]
fn start<'a, E: Editor>(
    input: &'a [u8],
    paths: &'a Paths,
    depth_max: usize,
    scratch: &'a mut Scratch,
    editor: &'a mut E,
    out: &'a mut Vec<u8>,
) -> Result<(Walk<'a, E>, &'a mut Shapes), Reason> {
    let Scratch { index, key, value, names, levels, shapes, .. } = scratch;
    names.clear();
    let text = levels.scanner.index(input, index).map_err(|_| Reason::Malformed)?;
    let index = &*index;
    let walk = Walk {
        cursor: Cursor::new(input, index.quotes(), depth_max),
        text,
        escapes: index.escapes(),
        next_escape: next_escape(index.escapes()),
        copied: 0,
        paths,
        editor,
        key,
        value,
        names,
        levels,
        out,
    };
    Ok((walk, shapes))
}

/// Where in the input the walk is, and what it carries.
struct Walk<'a, E> {
    cursor: Cursor<'a>,
    text: &'a str,
    /// The escapes not yet asked about, and the first of them.
    escapes: &'a [u32],
    next_escape: usize,
    /// Input before this offset is in the output, edited, or left out.
    copied: usize,
    paths: &'a Paths,
    editor: &'a mut E,
    key: &'a mut String,
    value: &'a mut String,
    names: &'a mut Vec<renamed::Called>,
    levels: &'a mut inside::Levels,
    out: &'a mut Vec<u8>,
}

/// The members or elements of one container that is being edited.
#[derive(Default)]
struct Siblings {
    /// Where the last one that stays ended; 0 before there is one.
    kept_end: usize,
    /// All so far went: what stands before the next one's start goes too.
    gap: bool,
}

/// What stood where before a member or element.
#[derive(Clone, Copy)]
struct Before {
    start: usize,
    written: usize,
    copied: usize,
}

/// Did the value stay (edited or not) or go?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
}

impl<'a, E: Editor> Walk<'a, E> {
    fn root(&mut self) -> Step<()> {
        self.cursor.space();
        match self.cursor.peek() {
            b'{' => self.root_object()?,
            b'[' => self.root_array()?,
            _ => return Err(Reason::Malformed),
        }
        self.cursor.space();
        if self.cursor.at_end() { Ok(()) } else { Err(Reason::Malformed) }
    }

    fn root_object(&mut self) -> Step<()> {
        let root = self.paths.root();
        match root.object() {
            Here::Stay => self.cursor.skip(),
            _ => self.object(root).map(drop),
        }
    }

    /// Each element is a record of its own to the rules: they start at the root again.
    fn root_array(&mut self) -> Step<()> {
        self.cursor.enter()?;
        if self.cursor.closes(b']') {
            return Ok(());
        }
        loop {
            if self.cursor.peek() != b'{' {
                return Err(Reason::Malformed);
            }
            self.root_object()?;
            if self.cursor.separator(b']')? {
                break;
            }
        }
        self.cursor.leave();
        Ok(())
    }

    /// An object in which rules may match, the walk at its brace. True if a member stayed.
    fn object(&mut self, state: &'a State) -> Step<bool> {
        if state.renames() {
            return self.renamed_object(state);
        }
        self.cursor.enter()?;
        if self.cursor.closes(b'}') {
            return Ok(false);
        }
        let members = self.paths.members(state);
        let mut siblings = Siblings::default();
        let mut cursor = self.cursor;
        loop {
            let start = cursor.at;
            let name = cursor.string()?;
            let next = self.member(&members, cursor.bytes, name);
            if let Some(text) = cursor.colon_and_text() {
                if next.inert && !siblings.gap {
                    siblings.kept_end = cursor.at;
                } else {
                    self.text(&mut siblings, start, next, text)?;
                }
            } else {
                cursor.colon()?;
                self.cursor = cursor;
                self.sibling(&mut siblings, start, next)?;
                cursor = self.cursor;
            }
            if !cursor.comma_and_quote() && cursor.separator(b'}')? {
                break;
            }
        }
        cursor.leave();
        self.cursor = cursor;
        Ok(siblings.kept_end > 0)
    }

    /// An array in which rules may match, the walk at its bracket. True if an element stayed.
    fn array(&mut self, state: &'a State) -> Step<bool> {
        self.cursor.enter()?;
        if self.cursor.closes(b']') {
            return Ok(false);
        }
        let mut siblings = Siblings::default();
        let elements = self.paths.elements(state);
        for index in 0.. {
            self.sibling(&mut siblings, self.cursor.at, elements.get(index))?;
            if self.cursor.separator(b']')? {
                break;
            }
        }
        self.cursor.leave();
        Ok(siblings.kept_end > 0)
    }

    /// One member or element that began at `start`, the walk at its value.
    #[inline(never)]
    fn sibling(&mut self, siblings: &mut Siblings, start: usize, next: &'a Next) -> Step<()> {
        if next.inert && !siblings.gap {
            self.cursor.skip()?;
            siblings.kept_end = self.cursor.at;
            return Ok(());
        }
        let before = self.before(siblings, start);
        let fate = self.value(next)?;
        self.settle_sibling(siblings, before, fate, self.cursor.at);
        Ok(())
    }

    /// [`Self::sibling`] for a string, which has been passed.
    #[inline(never)]
    fn text(
        &mut self,
        siblings: &mut Siblings,
        start: usize,
        next: &'a Next,
        text: Span,
    ) -> Step<()> {
        let before = self.before(siblings, start);
        self.editor.at(text.start - 1);
        let fate = self.text_value(next, text)?;
        self.settle_sibling(siblings, before, fate, text.end + 1);
        Ok(())
    }

    /// What to come back to if the sibling that begins at `start` goes.
    #[inline(always)]
    fn before(&mut self, siblings: &mut Siblings, start: usize) -> Before {
        if siblings.gap {
            self.copied = start;
            siblings.gap = false;
        }
        Before { start, written: self.out.len(), copied: self.copied }
    }

    /// Keeps or leaves out a sibling that ended at `end`.
    #[inline(always)]
    fn settle_sibling(&mut self, siblings: &mut Siblings, before: Before, fate: Fate, end: usize) {
        match fate {
            Fate::Stays => siblings.kept_end = end,
            Fate::Goes => {
                // Its name and separator may have been copied before its rule was asked.
                self.out.truncate(before.written);
                self.copied = before.copied;
                siblings.gap = siblings.kept_end == 0;
                self.copy_to(if siblings.gap { before.start } else { siblings.kept_end });
                self.copied = end;
            }
        }
    }

    /// The value that the walk is at.
    #[inline(always)]
    fn value(&mut self, next: &'a Next) -> Step<Fate> {
        let start = self.cursor.at;
        self.editor.at(start);
        match self.cursor.peek() {
            b'"' => {
                let text = self.cursor.string()?;
                self.text_value(next, text)
            }
            first @ (b'{' | b'[') => {
                let state = self.paths.state(next);
                match if first == b'{' { state.object() } else { state.array() } {
                    Here::Descend if first == b'{' => self.object(state).map(|_| Fate::Stays),
                    Here::Descend => self.array(state).map(|_| Fate::Stays),
                    here => self.whole(here, state, start),
                }
            }
            first => {
                self.cursor.bare()?;
                match next.scalar {
                    Here::Rule(rule) => match self.fixed(rule) {
                        Some(fate) => Ok(fate),
                        None => self.edit_bare(rule, start, first),
                    },
                    Here::Opens => self.bare(next, start, first),
                    here => Ok(self.untouched(here)),
                }
            }
        }
    }

    /// No text, where texts are read as JSON.
    #[inline(never)]
    fn bare(&mut self, next: &'a Next, start: usize, first: u8) -> Step<Fate> {
        match self.paths.state(next).scalar() {
            Here::Rule(rule) => match self.fixed(rule) {
                Some(fate) => Ok(fate),
                None => self.edit_bare(rule, start, first),
            },
            here => Ok(self.untouched(here)),
        }
    }

    /// A string that has just been passed.
    #[inline(always)]
    fn text_value(&mut self, next: &'a Next, text: Span) -> Step<Fate> {
        match next.scalar {
            Here::Rule(rule) => self.ruled_text(rule, text),
            Here::Opens => self.open(next, text),
            here => Ok(self.untouched(here)),
        }
    }

    /// A string that a rule decides.
    #[inline(always)]
    fn ruled_text(&mut self, rule: RuleId, text: Span) -> Step<Fate> {
        match self.fixed(rule) {
            Some(fate) => Ok(fate),
            None => self.edit(rule, text),
        }
    }

    /// What `rule` always does, if it does.
    #[inline(always)]
    fn fixed(&mut self, rule: RuleId) -> Option<Fate> {
        let edit = self.editor.always(rule)?;
        self.editor.did(rule, edit);
        Some(fate(edit))
    }

    /// A string that a rule decides that reads it.
    #[inline(always)]
    fn edit(&mut self, rule: RuleId, text: Span) -> Step<Fate> {
        match self.is_escaped(text) {
            true => self.edit_escaped(rule, text),
            false => self.edit_text(rule, text),
        }
    }

    /// A container that is not simply looked into.
    #[inline(never)]
    fn whole(&mut self, here: Here, state: &'a State, start: usize) -> Step<Fate> {
        match here {
            Here::Sift { rule, taken } => {
                if self.sift(state)? {
                    return Ok(Fate::Stays);
                }
                self.editor.at(start);
                match taken {
                    true => Ok(self.untouched(Here::Gone(rule))),
                    false => self.take(rule, self.container(start), start, self.cursor.at),
                }
            }
            Here::Rule(rule) => {
                self.cursor.skip()?;
                self.take(rule, self.container(start), start, self.cursor.at)
            }
            here => {
                self.cursor.skip()?;
                Ok(self.untouched(here))
            }
        }
    }

    /// What begins at `start`.
    fn container(&self, start: usize) -> Container {
        match self.text.as_bytes()[start] {
            b'[' => Container::Array,
            _ => Container::Object,
        }
    }

    /// A container that `rule` has whole.
    fn take(&mut self, rule: RuleId, container: Container, start: usize, end: usize) -> Step<Fate> {
        match self.fixed(rule) {
            Some(fate) => Ok(fate),
            None => self.edit_whole(rule, container, start, end),
        }
    }

    #[inline(never)]
    fn edit_whole(
        &mut self,
        rule: RuleId,
        container: Container,
        start: usize,
        end: usize,
    ) -> Step<Fate> {
        self.copy_to(start);
        let mark = self.out.len();
        let edit = self.editor.container(rule, container, &mut Out::json(self.out))?;
        Ok(self.settle(edit, mark, end))
    }

    /// A container that a rule takes, but for what an earlier rule leaves inside. False: nothing
    /// was left, and what was done inside is taken back. No pseudonym waits there, for it would have
    /// been left.
    #[inline(never)]
    fn sift(&mut self, state: &'a State) -> Step<bool> {
        let (written, copied) = (self.out.len(), self.copied);
        let left = match self.cursor.peek() {
            b'{' => self.object(state)?,
            _ => self.array(state)?,
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

    #[inline(always)]
    fn edit_text(&mut self, rule: RuleId, text: Span) -> Step<Fate> {
        self.copy_to(text.start - 1);
        let mark = self.out.len();
        let edit = self.editor.text(
            rule,
            &self.text[text.start..text.end],
            &mut Out::json_of_plain(self.out, self.cursor.bytes),
        )?;
        Ok(self.settle(edit, mark, text.end + 1))
    }

    #[inline(never)]
    fn edit_escaped(&mut self, rule: RuleId, text: Span) -> Step<Fate> {
        if self.editor.takes(rule) {
            // Nobody will read it: 75 ns for the user agents of PHP, which escapes slashes.
            return self.edit_text(rule, text);
        }
        self.copy_to(text.start - 1);
        let mark = self.out.len();
        unescape(&self.text[text.start..text.end], self.value);
        let edit = self.editor.scalar(rule, Scalar::Text(self.value), &mut Out::json(self.out))?;
        Ok(self.settle(edit, mark, text.end + 1))
    }

    #[inline(never)]
    fn edit_bare(&mut self, rule: RuleId, start: usize, first: u8) -> Step<Fate> {
        self.copy_to(start);
        let mark = self.out.len();
        let value = match first {
            b't' => Scalar::Bool(true),
            b'f' => Scalar::Bool(false),
            b'n' => Scalar::Null,
            _ => Scalar::Number(&self.text[start..self.cursor.at]),
        };
        let edit = self.editor.scalar(
            rule,
            value,
            &mut Out::json_of_plain(self.out, self.cursor.bytes),
        )?;
        Ok(self.settle(edit, mark, self.cursor.at))
    }

    /// Carries out an edit of the value that ended at `end`; its replacement begins at `mark`.
    #[inline(always)]
    fn settle(&mut self, edit: Edit, mark: usize, end: usize) -> Fate {
        match edit {
            Edit::Replace => self.copied = end,
            Edit::Keep | Edit::Drop => self.out.truncate(mark),
        }
        fate(edit)
    }

    /// Where a member leads, by the meaning of its name.
    #[inline(always)]
    fn member(&mut self, members: &Members<'a>, bytes: &[u8], name: Span) -> &'a Next {
        if self.is_escaped(name) {
            return self.escaped_member(members, name);
        }
        members.next(bytes, name.start, name.end)
    }

    #[cold]
    #[inline(never)]
    fn escaped_member(&mut self, members: &Members<'a>, name: Span) -> &'a Next {
        unescape(&self.text[name.start..name.end], self.key);
        members.next(self.key.as_bytes(), 0, self.key.len())
    }

    /// Does the string hold a backslash? Asked for in the order of the input.
    #[inline(always)]
    fn is_escaped(&mut self, string: Span) -> bool {
        self.next_escape < string.end && self.has_escape(string)
    }

    /// Leaves out the escapes of strings that nobody asked about.
    #[cold]
    #[inline(never)]
    fn has_escape(&mut self, string: Span) -> bool {
        while self.next_escape < string.start {
            self.escapes = self.escapes.get(1..).unwrap_or_default();
            self.next_escape = next_escape(self.escapes);
        }
        self.next_escape < string.end
    }

    /// Copies the input up to `end` as it is.
    #[inline]
    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            append(self.out, self.cursor.bytes, self.copied, end);
            self.copied = end;
        }
    }
}

/// Where the first of these escapes is; far away if there is none.
fn next_escape(escapes: &[u32]) -> usize {
    escapes.first().map_or(usize::MAX, |&at| at as usize)
}

fn fate(edit: Edit) -> Fate {
    if edit == Edit::Drop { Fate::Goes } else { Fate::Stays }
}

/// Writes the meaning of a string's content to `into`. Stage 1 has checked every escape.
fn unescape(content: &str, into: &mut String) {
    into.clear();
    let mut rest = content;
    while let Some(at) = find(rest.as_bytes(), [b'\\']) {
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
