//! Shapes: a record whose structure is known is not walked again.
//!
//! Events of one kind differ in what their strings and numbers say, and in nothing else. So the walk
//! (`json.rs`) need not ask for each of their members what it is called, what the rules say of it and
//! whether the grammar is kept: all of that is in the bytes *between* the values, and those were there
//! before.
//!
//! ```text
//! {"type":"view","user":{"id":"100400","logins":382},"url":"…"}
//! └───┬───┘    └───────┬───────┘      └─────┬──┘   └───┬───┘ └┬    pieces
//! ```
//! A piece is what stands between two values. Pieces are learnt from records that the walk has passed,
//! and form a graph: behind a value, a few pieces can follow. To follow a record is to compare it with
//! the pieces, 32 bytes at once, and to jump over its strings from quote to quote. What is written
//! between the values of a record that was followed to its end is byte for byte what the walk has
//! passed before, in the same containers: so it is JSON, as deep as the walk allows, and each of its values
//! is where the rules were asked about one. Numbers and words are measured anew by the grammar, strings
//! were checked by stage 1. Nothing is edited before all of the record has been followed; what is not
//! known goes the walk's way, from the start.
//!
//! The graph knows no rules, and is the same for all policies. What a policy does behind each of the
//! pieces is a row of numbers, made by walking the policy's automaton along the places of the graph
//! (`places.rs`); policies that do the same there share a row, so that ten thousand tenants whose
//! policies differ in fields that their records lack take no more of the cache than one.
//!
//! Invariants: what a place is (`Context`) is the names and lists that lead to it, so a piece that may
//! follow behind a value may follow whatever came before that value. The graph is bounded, in pieces and
//! in those that may follow a value. Where names are data (a map by user), no number of pieces is
//! enough: an object or list in which too many come, and in which no rule looks, is passed whole from
//! then on (`opaque`). If still too few records are followed, they are not tried for a while.
//!
//! A lane's graph holds names of members, and nothing of any value. It shows nothing of itself.
//!
//! Not done along shapes, but by the walk: names that rules change, texts that are read as JSON, elements
//! named by number, and what `unlisted` takes around a value that is kept (`Here::Sift`, `Here::Gone`).
//!
//! Beside the walk alone (Zen 4, least of 25 rounds of the bench's `--over`, in turns): web events 703 → 604
//! ns a record, audit events 1,102 → 834. What made the difference:
//! - one loop with its numbers in registers. Texts that stay in a loop of their own, and all else in a
//!   function that notes in memory how far it came, has fewer instructions a piece, and took longer
//!   than the walk;
//! - that pieces learnt one after the other are tried one after the other, without reading where to go on
//!   ([`Piece::jumps`]): read, each number is waited for, and the look-ups of names that the walk makes
//!   do not wait for each other. Audit events 1,084 → 1,006;
//! - the rest of longer pieces compared like their beginnings: 7 % of audit events beside `memcmp`; up to
//!   twice that length without a call: 3 % more;
//! - few instructions: what follows a text that is passed is some 40 a piece. As all of it went one way, and
//!   a touched value was noted with less ado: 2,011 → 1,734 a web event, which in three layouts of the
//!   code were 1 to 6 %.
//!
//! Tried and thrown away: in each row a number for what the rule's transform is, so that nothing waits until
//! the rule has come from memory to be told which code to run: no difference in the mean of three layouts.
//! All 32 bytes compared by AVX2: 6 instructions fewer a piece; web events 2 % slower, audit events 2 %
//! quicker.
//!
//! Records of which nothing at all is touched are passed as one by the walk: 241 ns, 274 along shapes.

mod learn;
mod places;
mod rows;

use super::grammar::{behind_bare, behind_container};
use super::paths::{Paths, RuleId};
use crate::limits::{DEPTH_MAX, RULES_MAX};
use crate::scan::{Windows, begins_with, prefetch_late};
use rows::Rows;

/// Bytes of a piece that are compared at once.
const WIDTH: usize = 32;
/// Most bytes of a piece; events have some 30.
const PIECE_MAX: usize = 512;
/// Most pieces: 128 kB.
const PIECES_MAX: usize = 2048;
/// Most pieces that may follow a value, which are tried in turn.
const FOLLOWERS_MAX: usize = 8;
/// Most values of a record that rules decide: 1 MB of them, where records are that large.
const TOUCHED_MAX: usize = 1 << 16;

type PieceId = u16;
type ContextId = u16;

/// No piece.
const NONE: PieceId = 0;

/// What stands behind a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A string's content; the piece ends with its quote.
    Text,
    /// A number or one of the three words.
    Bare,
    /// An object that is passed whole.
    Object,
    /// An array that is passed whole.
    Array,
    /// `{}`: rules may take it.
    EmptyObject,
    /// `[]`.
    EmptyArray,
    /// Nothing: the record ends.
    End,
}

/// What stands between two values.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Piece {
    /// Its first bytes.
    first: [u8; WIDTH],
    /// A bit for each of them that is none of its own.
    spare: u32,
    /// Where its other bytes begin in [`Shapes::tails`].
    tail: u32,
    /// As `spare`, of the first of those.
    tail_spare: u32,
    length: u16,
    /// How many quotes it has, the one that opens the string behind it included.
    quotes: u16,
    /// What is tried first behind the value.
    next: PieceId,
    /// What is tried where this piece does not fit.
    other: PieceId,
    /// The place of the value.
    context: ContextId,
    /// How far before the piece's end the value's member or element begins.
    back: u16,
    /// How far before the piece's end the sibling before that ends; 0: it is the first one.
    before: u16,
    value: Value,
    /// It is no longer than the first bytes, and a text is behind it.
    usual: bool,
    /// `next` is not the number behind its own. That it is can be guessed, and what follows from it begun;
    /// the number that is read has to be waited for.
    jumps: bool,
}

const _: () = assert!(size_of::<Piece>() == 64);

impl Piece {
    /// Does `text` begin with the piece?
    fn begins(&self, text: &[u8], tails: &[[u8; WIDTH]]) -> bool {
        let length = usize::from(self.length);
        text.len() >= length
            && text.starts_with(&self.first[..length.min(WIDTH)])
            && (length <= WIDTH || self.ends(&text[WIDTH..], length - WIDTH, tails))
    }

    /// Does `text` begin with the last `left` bytes of the piece?
    fn ends(&self, text: &[u8], left: usize, tails: &[[u8; WIDTH]]) -> bool {
        let tail = tails[self.tail as usize..].as_flattened();
        let length = usize::from(self.length) - WIDTH;
        text.starts_with(&tail[length - left..length])
    }

    #[cold]
    #[inline(never)]
    fn far(&self) -> usize {
        usize::from(self.next)
    }
}

/// A place in records: the names and lists that lead to it, which say what containers are around it.
struct Context {
    parent: ContextId,
    /// What the member is called; none for an element.
    name: Option<Box<[u8]>>,
    /// How many containers are around it.
    depth: usize,
    /// The last place learnt in the container that is here, and the one before it in its own.
    child: ContextId,
    sibling: ContextId,
    /// The piece that is tried first behind a value here.
    next: PieceId,
    /// A container here is passed whole.
    opaque: bool,
}

impl Context {
    const ROOT: Self =
        Self { parent: 0, name: None, depth: 0, child: 0, sibling: 0, next: NONE, opaque: false };
}

/// What a rule does to a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// It depends on the value.
    Reads,
    /// Every value stays.
    Keeps,
    /// Every value goes.
    Drops,
}

/// A policy, as far as records are followed for it.
#[derive(Clone, Copy)]
pub(super) struct Policy<'p> {
    pub(super) slot: usize,
    pub(super) paths: &'p Paths,
    pub(super) does: &'p dyn Fn(RuleId) -> Does,
}

/// What becomes of the value behind a piece, for one policy: a number, as rows are of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Action(u16);

const _: () = assert!(RULES_MAX <= 1 << Action::RULE_BITS);

impl Action {
    const RULE_BITS: u32 = 12;
    /// The walk does not come there, or does what is not done along shapes.
    const NEVER: Self = Self(0);
    /// It stays, and no rule is asked.
    const STAYS: Self = Self(1);

    fn rule(rule: RuleId, does: Does) -> Self {
        Self((does as u16 + 1) << Self::RULE_BITS | rule)
    }

    /// The rule that decides. Means nothing of [`Self::NEVER`] and [`Self::STAYS`].
    const fn decides(self) -> RuleId {
        self.0 & ((1 << Self::RULE_BITS) - 1)
    }

    /// What that rule does.
    const fn does(self) -> Does {
        match self.0 >> Self::RULE_BITS {
            1 => Does::Reads,
            2 => Does::Keeps,
            _ => Does::Drops,
        }
    }
}

/// A value that a rule decides.
#[derive(Clone, Copy)]
pub(super) struct Touched {
    start: u32,
    behind: u32,
    action: Action,
    piece: PieceId,
    pub(super) value: Value,
}

impl Touched {
    const NONE: Self =
        Self { start: 0, behind: 0, action: Action::STAYS, piece: NONE, value: Value::End };

    /// The rule that decides.
    pub(super) const fn rule(&self) -> RuleId {
        self.action.decides()
    }

    /// What that rule does.
    pub(super) const fn does(&self) -> Does {
        self.action.does()
    }

    /// Where the value begins; a string behind its quote.
    pub(super) const fn start(&self) -> usize {
        self.start as usize
    }

    /// The first place behind it; of a string, behind its quote.
    pub(super) const fn behind(&self) -> usize {
        self.behind as usize
    }
}

/// Where a value stands among its siblings.
#[derive(Clone, Copy)]
pub(super) struct Among {
    /// Where its member or element begins.
    pub(super) start: usize,
    /// Where the sibling before it ends.
    pub(super) before: Option<usize>,
}

/// How far a record could be followed.
enum Followed {
    /// To its end. So many values are touched.
    ToTheEnd(usize),
    NotKnown,
    /// The policy's row is older than the graph.
    RowTooShort,
    /// There is no room for so many touched values.
    TooMany,
}

/// The shapes of the records that a lane has seen.
pub(super) struct Shapes {
    /// Number 0 is none.
    pieces: Vec<Piece>,
    /// What is behind the first bytes of longer pieces, zero-padded.
    tails: Vec<[u8; WIDTH]>,
    /// The piece that is tried first.
    first: PieceId,
    /// Number 0 is the root.
    contexts: Vec<Context>,
    rows: Rows,
    /// Of the record that was followed last; those behind the first `count` mean nothing.
    touched: Vec<Touched>,
    count: usize,
    trust: Trust,
}

/// Whether it pays to try.
struct Trust {
    /// How often records were followed of late.
    luck: u32,
    /// So many bytes may teach nothing.
    lessons: usize,
    /// So many records are not tried.
    rest: u32,
    /// How many will not be, next time.
    next_rest: u32,
    /// So many were not tried because of their policies.
    refused: u32,
}

impl Trust {
    const LUCK: u32 = 512;
    const LESSONS: usize = 1 << 20;
    /// What a record that is not followed weighs, beside one that is.
    const MISS: u32 = 4;
    const REST: u32 = 1 << 10;
    const REST_MAX: u32 = 1 << 20;
    const REFUSED_MAX: u32 = if cfg!(test) { 1 << 10 } else { 1 << 20 };

    const fn new(next_rest: u32) -> Self {
        Self { luck: Self::LUCK, lessons: Self::LESSONS, rest: 0, next_rest, refused: 0 }
    }

    fn hit(&mut self) {
        self.luck = (self.luck + 1).min(Self::LUCK);
    }

    fn miss(&mut self) {
        self.luck = self.luck.saturating_sub(Self::MISS);
        if self.luck == 0 {
            self.rest = self.next_rest;
        }
    }
}

impl Default for Shapes {
    fn default() -> Self {
        let mut shapes = Self {
            pieces: Vec::new(),
            tails: Vec::new(),
            first: NONE,
            contexts: Vec::new(),
            rows: Rows::default(),
            touched: vec![Touched::NONE; 64],
            count: 0,
            trust: Trust::new(Trust::REST),
        };
        shapes.forget();
        shapes
    }
}

impl Shapes {
    /// Forgets all records.
    fn forget(&mut self) {
        let Self { pieces, tails, first, contexts, rows, .. } = self;
        pieces.clear();
        // It fits nowhere: a text seems to be behind it, which no row lets stand there.
        pieces.push(Piece {
            first: [0; WIDTH],
            spare: 0,
            tail: 0,
            tail_spare: 0,
            length: 0,
            quotes: 0,
            next: NONE,
            other: NONE,
            context: 0,
            back: 0,
            before: 0,
            value: Value::Text,
            usual: true,
            jumps: true,
        });
        tails.clear();
        *first = NONE;
        contexts.clear();
        contexts.push(Context::ROOT);
        rows.clear();
    }

    /// Forgets what policies do: there are others from now on, so many.
    pub(super) fn fit(&mut self, plans: usize) {
        self.rows.fit(plans);
    }

    /// Are records of the policy in this slot followed, for all that is known?
    pub(super) fn follows(&self, slot: usize) -> bool {
        self.trust.rest == 0 && self.rows.is_made(slot)
    }

    /// Follows a record that stage 1 has passed. If it is known to its end, [`Self::touched`] are the values
    /// that rules of the policy decide.
    pub(super) fn follow(
        &mut self,
        input: &[u8],
        quotes: &[u32],
        depth_max: usize,
        policy: Policy<'_>,
    ) -> bool {
        let slot = policy.slot;
        self.count = 0;
        if self.trust.rest > 0 {
            self.awake();
            return false;
        }
        if self.rows.is_refused(slot) {
            self.forgive();
            return false;
        }
        let mut is_made = false;
        loop {
            match self.along(input, quotes, depth_max, slot) {
                Followed::ToTheEnd(count) => {
                    self.trust.hit();
                    self.rows.hit(slot);
                    self.count = count;
                    return true;
                }
                Followed::RowTooShort if !is_made => {
                    self.make_row(policy);
                    is_made = true;
                }
                Followed::TooMany if self.touched.len() < TOUCHED_MAX => {
                    self.touched.resize(2 * self.touched.len(), Touched::NONE);
                }
                Followed::RowTooShort | Followed::TooMany | Followed::NotKnown => {
                    self.trust.miss();
                    return false;
                }
            }
        }
    }

    /// The values that rules decide, in order.
    pub(super) fn touched(&self) -> &[Touched] {
        &self.touched[..self.count]
    }

    #[inline(always)]
    fn along(&mut self, input: &[u8], quotes: &[u32], depth_max: usize, slot: usize) -> Followed {
        let row = self.rows.get(slot);
        let known = row.len().min(self.pieces.len());
        let (pieces, row) = (&self.pieces[..known], &row[..known]);
        let graph =
            Graph { tails: &self.tails, contexts: &self.contexts, input, quotes, depth_max };
        let room = self.touched.len();
        let mut touched = self.touched.iter_mut();
        let windows = Windows::of(input);
        let (mut at, mut passed, mut id) = (0, 0, usize::from(self.first));
        'pieces: loop {
            let Some(piece) = pieces.get(id) else { return Followed::RowTooShort };
            let fits = match windows.get(at) {
                Some(window) => begins_with(window, &piece.first, piece.spare),
                None => graph.is_last(piece, at),
            };
            'misfit: {
                if !fits {
                    break 'misfit;
                }
                let start = at + usize::from(piece.length);
                let quote = passed + usize::from(piece.quotes);
                let (behind, quote) = if piece.usual {
                    let Some(&close) = quotes.get(quote) else { break 'misfit };
                    (close as usize + 1, quote + 1)
                } else {
                    if start > at + WIDTH && !graph.goes_on(windows, piece, at) {
                        break 'misfit;
                    }
                    let behind = match piece.value {
                        Value::End if start < input.len() => None,
                        Value::End => return Followed::ToTheEnd(room - touched.len()),
                        Value::Text => {
                            quotes.get(quote).map(|close| (*close as usize + 1, quote + 1))
                        }
                        Value::Bare => graph.bare(start).map(|behind| (behind, quote)),
                        _ => graph.container(piece, start, quote),
                    };
                    let Some(behind) = behind else { break 'misfit };
                    behind
                };
                let action = row[id];
                if action != Action::STAYS {
                    if action == Action::NEVER {
                        break 'misfit;
                    }
                    let Some(touched) = touched.next() else { return Followed::TooMany };
                    let (start, behind, piece, value) =
                        (start as u32, behind as u32, id as PieceId, piece.value);
                    *touched = Touched { start, behind, action, piece, value };
                }
                prefetch_late(input, at);
                (at, passed) = (behind, quote);
                id = if piece.jumps { piece.far() } else { id + 1 };
                continue 'pieces;
            }
            id = usize::from(piece.other);
            if id == usize::from(NONE) {
                return Followed::NotKnown;
            }
        }
    }

    /// Where a touched value stands.
    pub(super) fn among(&self, touched: Touched) -> Among {
        let Piece { back, before, .. } = self.pieces[usize::from(touched.piece)];
        let start = touched.start();
        let before = (before > 0).then(|| start - usize::from(before));
        Among { start: start - usize::from(back), before }
    }

    /// A record is not tried because its policy is refused; those are tried again now and then.
    fn forgive(&mut self) {
        self.trust.refused += 1;
        if self.trust.refused == Trust::REFUSED_MAX {
            self.trust.refused = 0;
            self.rows.forgive();
        }
    }

    #[cold]
    fn awake(&mut self) {
        self.trust.rest -= 1;
        if self.trust.rest == 0 {
            self.trust = Trust::new((self.trust.next_rest * 2).min(Trust::REST_MAX));
            if self.pieces.len().max(self.contexts.len()) >= PIECES_MAX {
                self.forget();
            }
        }
    }
}

/// A bit for each of a piece's next bytes that is none of its own, if it has so many left.
const fn spare(left: usize) -> u32 {
    if left < WIDTH { u32::MAX << left } else { 0 }
}

/// What most pieces are passed without. `#[cold]`, numbers and containers leave the loop more registers,
/// though a web event has seven of them: audit events 832 → 809 ns.
struct Graph<'s> {
    tails: &'s [[u8; WIDTH]],
    contexts: &'s [Context],
    input: &'s [u8],
    quotes: &'s [u32],
    depth_max: usize,
}

impl Graph<'_> {
    /// Has the input the rest, too, of the piece whose first bytes it has at `at`?
    #[inline(always)]
    fn goes_on(&self, windows: Windows<'_, WIDTH>, piece: &Piece, at: usize) -> bool {
        match (windows.get(at + WIDTH), self.tails.get(piece.tail as usize)) {
            (Some(window), Some(tail)) if usize::from(piece.length) <= 2 * WIDTH => {
                begins_with(window, tail, piece.tail_spare)
            }
            _ => self.goes_on_far(piece, at),
        }
    }

    /// [`Self::goes_on`] for pieces of any length, wherever they stand.
    #[cold]
    #[inline(never)]
    fn goes_on_far(&self, piece: &Piece, mut at: usize) -> bool {
        let (windows, mut left) = (Windows::of(self.input), usize::from(piece.length) - WIDTH);
        for part in &self.tails[piece.tail as usize..] {
            at += WIDTH;
            let Some(window) = windows.get(at) else {
                return self.input.get(at..).is_some_and(|here| piece.ends(here, left, self.tails));
            };
            if !begins_with(window, part, spare(left)) {
                return false;
            }
            if left <= WIDTH {
                return true;
            }
            left -= WIDTH;
        }
        false
    }

    /// Is the piece what the input has from `at` on, which is about to end?
    #[cold]
    #[inline(never)]
    fn is_last(&self, piece: &Piece, at: usize) -> bool {
        self.input.get(at..).is_some_and(|here| piece.begins(here, self.tails))
    }

    /// Where the number or word that begins at `at` ends, if it is one.
    #[cold]
    #[inline(never)]
    fn bare(&self, at: usize) -> Option<usize> {
        behind_bare(self.input, at)
    }

    /// Passes the container behind a piece. Gives where it ends, and how many quotes have then been passed.
    #[cold]
    #[inline(never)]
    fn container(&self, piece: &Piece, at: usize, quote: usize) -> Option<(usize, usize)> {
        let (open, empty) = match piece.value {
            Value::Object => (b'{', None),
            Value::Array => (b'[', None),
            Value::EmptyObject => (b'{', Some(b'}')),
            _ => (b'[', Some(b']')),
        };
        if self.input.get(at) != Some(&open) {
            return None;
        }
        if let Some(close) = empty {
            return (self.input.get(at + 1) == Some(&close)).then_some((at + 2, quote));
        }
        let depth_left =
            self.depth_max.min(DEPTH_MAX) - self.contexts[usize::from(piece.context)].depth;
        let quotes = self.quotes.get(quote..)?;
        let (end, left) = behind_container(self.input, quotes, at, depth_left).ok()?;
        Some((end, self.quotes.len() - left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::paths::{OnContainer, RulePath, Segment};
    use crate::scan::{Index, Scanner};

    /// Paths to the members that these names lead to, a rule each.
    fn paths(rules: &[(&str, OnContainer)]) -> Paths {
        let path = |(rule, (path, on_container)): (usize, &(&str, OnContainer))| RulePath {
            rule: RuleId::try_from(rule).unwrap(),
            on_container: *on_container,
            segments: path
                .split('.')
                .map(|name| match name {
                    "**" => Segment::AnyDepth,
                    name => Segment::Name(name.into()),
                })
                .collect(),
        };
        Paths::compile(&rules.iter().enumerate().map(path).collect::<Vec<_>>()).unwrap()
    }

    /// Follows a record, and learns it if it is not known.
    fn knows(shapes: &mut Shapes, slot: usize, paths: &Paths, record: &str) -> bool {
        let mut index = Index::default();
        Scanner::detect().index(record.as_bytes(), &mut index).unwrap();
        let (input, quotes) = (record.as_bytes(), index.quotes());
        let followed =
            shapes.follow(input, quotes, 8, Policy { slot, paths, does: &|_| Does::Reads });
        if !followed {
            shapes.learn(input, quotes, 8, slot, paths);
        }
        followed
    }

    fn shapes() -> Shapes {
        let mut shapes = Shapes::default();
        shapes.fit(2);
        shapes
    }

    /// What is touched, and by which rules.
    fn touched<'r>(shapes: &Shapes, record: &'r str) -> Vec<(RuleId, &'r str)> {
        let quote = |touched: &Touched| usize::from(touched.value == Value::Text);
        let text = |touched: &Touched| &record[touched.start()..touched.behind() - quote(touched)];
        shapes.touched().iter().map(|touched| (touched.rule(), text(touched))).collect()
    }

    /// Events of two kinds, with members that not all have, and lists of several lengths.
    fn event(number: usize) -> String {
        let list = |length: usize, item: &str| vec![item; length].join(",");
        let some = |bit: usize, text: &'static str| if number >> bit & 1 == 1 { text } else { "" };
        if number & 1 == 0 {
            let ips = list(1 + number / 2 % 4, r#""198.51.100.7""#);
            let (title, url) =
                (some(3, r#""title":"a \"b\"","#), some(5, r#","url":"https:\/\/x""#));
            format!(
                r#"{{"type":"view","ips":[{ips}],{title}"user":{{"id":"{number}","n":{number}.5}}{url},"ok":true}}"#
            )
        } else {
            let item =
                r#"{"name":"a","a_name_that_is_longer_than_thirty_two_bytes":{"x":"y","none":{}}}"#;
            let (items, note) = (list(1 + number / 8 % 3, item), some(4, r#","note":null"#));
            format!(r#"{{"spec":{{"items":[{items}]{note}}},"user":{{"id":-{number}}}}}"#)
        }
    }

    #[test]
    fn events_are_known_after_a_while() {
        let paths = paths(&[("user.id", OnContainer::EachScalar), ("url", OnContainer::Take)]);
        let mut shapes = shapes();
        let known = (0..400).filter(|number| knows(&mut shapes, 0, &paths, &event(*number)));
        let known = known.count();
        assert!(known >= 380, "{known} of 400");
        assert!(shapes.pieces.len() < 40, "{} pieces", shapes.pieces.len());
    }

    #[test]
    fn each_policy_has_its_own_values_touched() {
        let one = paths(&[("a", OnContainer::EachScalar), ("o", OnContainer::Take)]);
        let other = paths(&[("o.x", OnContainer::EachScalar)]);
        let record = r#"{"a":"first","o":{"x":1,"y":[]},"z":"last"}"#;
        let mut shapes = shapes();
        for slot in [0, 0, 1, 1] {
            knows(&mut shapes, slot, if slot == 0 { &one } else { &other }, record);
        }
        let record = r#"{"a":"other","o":{"x":23,"y":[]},"z":""}"#;
        assert!(knows(&mut shapes, 0, &one, record));
        assert_eq!(touched(&shapes, record), [(0, "other"), (1, r#"{"x":23,"y":[]}"#)]);
        assert!(knows(&mut shapes, 1, &other, record));
        assert_eq!(touched(&shapes, record), [(0, "23")]);
        shapes.fit(1);
        assert!(knows(&mut shapes, 0, &other, record), "the graph outlives the policies");
        assert_eq!(touched(&shapes, record), [(0, "23")]);
    }

    #[test]
    fn what_is_taken_whole_may_be_no_deeper_than_the_walk_allows() {
        let paths = paths(&[("a.b", OnContainer::Take)]);
        let mut shapes = shapes();
        let record = |depth: usize| {
            format!(r#"{{"a":{{"b":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
                .replace("[]", "[1]")
        };
        assert!(!knows(&mut shapes, 0, &paths, &record(1)));
        assert!(knows(&mut shapes, 0, &paths, &record(1)));
        assert!(knows(&mut shapes, 0, &paths, &record(6)));
        assert!(!knows(&mut shapes, 0, &paths, &record(7)));
    }

    #[test]
    fn many_values_of_a_record_may_be_touched() {
        let rules = paths(&[("ids", OnContainer::EachScalar)]);
        let (mut shapes, mut is_learnt) = (shapes(), false);
        for count in [2, 3, 63, 64, 65, 1000, 2] {
            let ids: Vec<String> = (0..count).map(|number| format!(r#""{number}""#)).collect();
            let record = format!(r#"{{"ids":[{}]}}"#, ids.join(","));
            let known = knows(&mut shapes, 0, &rules, &record);
            assert_eq!(known, is_learnt, "{count}");
            is_learnt = true;
            let want: Vec<_> = (0..count).map(|number| number.to_string()).collect();
            let got: Vec<_> = touched(&shapes, &record).iter().map(|(_, text)| *text).collect();
            assert!(!known || got == want, "{count}");
        }
    }

    #[test]
    fn where_names_are_data_and_no_rule_looks_is_passed_whole() {
        let rules = paths(&[("id", OnContainer::EachScalar)]);
        let mut shapes = shapes();
        let record = |number: usize| {
            format!(
                r#"{{"id":"{number}","o":{{"by_user":{{"u{number}":{{"n":1}},"v{number}":2}}}},"end":true}}"#
            )
        };
        let known = (0..200).filter(|number| knows(&mut shapes, 0, &rules, &record(*number)));
        let known = known.count();
        assert!(known > 150, "{known} of 200");
        assert_eq!(shapes.contexts.iter().filter(|context| context.opaque).count(), 1);
        // A rule that looks there goes the walk's way.
        let looks = paths(&[("o.by_user.u7", OnContainer::EachScalar)]);
        assert!((0..20).all(|number| !knows(&mut shapes, 1, &looks, &record(number))));
        assert!(knows(&mut shapes, 0, &rules, &record(7)));
    }

    #[test]
    fn a_policy_of_which_little_is_done_here_leaves_the_others_alone() {
        let usual = paths(&[("user.id", OnContainer::EachScalar)]);
        let strict = paths(&[("user.id", OnContainer::Leave), ("**", OnContainer::Take)]);
        let (mut shapes, mut known) = (shapes(), [0; 2]);
        for number in 0..2000 {
            let slot = number / 2 % 2;
            let paths = if slot == 0 { &usual } else { &strict };
            known[slot] += usize::from(knows(&mut shapes, slot, paths, &event(number)));
        }
        assert!(known[0] > 950 && known[1] == 0, "{known:?}");
        assert!(shapes.rows.is_refused(1) && !shapes.rows.is_refused(0));
    }

    /// A record with a name that no other has.
    fn unlike(number: usize) -> String {
        format!(r#"{{"id":"{number}","u{number}":1}}"#)
    }

    #[test]
    fn a_policy_whose_records_are_not_known_is_tried_now_and_then() {
        let rules = paths(&[("id", OnContainer::EachScalar)]);
        let mut shapes = shapes();
        assert!((0..200).all(|number| !knows(&mut shapes, 0, &rules, &unlike(number))));
        assert!(shapes.rows.is_refused(0) && !shapes.rows.is_refused(1));
        let pieces = shapes.pieces.len();
        for number in 200..400 {
            knows(&mut shapes, 0, &rules, &unlike(number));
        }
        assert_eq!(shapes.pieces.len(), pieces, "nothing is learnt meanwhile");
        let refused = (1..).find(|_| knows(&mut shapes, 0, &rules, &unlike(1))).unwrap();
        assert!((500..1100).contains(&refused), "tried again after {refused}");
    }

    #[test]
    fn where_nothing_is_known_of_many_policies_none_is_tried_for_long() {
        let rules = paths(&[("id", OnContainer::EachScalar)]);
        let mut shapes = Shapes::default();
        shapes.fit(200);
        assert!((0..200).all(|number| !knows(&mut shapes, number, &rules, &unlike(number))));
        assert!(shapes.trust.rest > 0);
        let rested = (1..).find(|_| knows(&mut shapes, 0, &rules, &unlike(1))).unwrap();
        assert!((500..1100).contains(&rested), "tried again after {rested}");

        // Names of which no piece was made fill the graph, too.
        while shapes.contexts.len() < PIECES_MAX {
            let number = shapes.contexts.len();
            shapes.trust = Trust::new(Trust::REST);
            knows(&mut shapes, number % 200, &rules, &unlike(1000 + number));
        }
        shapes.trust.rest = 1;
        knows(&mut shapes, 0, &rules, &unlike(1));
        assert!(shapes.contexts.len() < 10, "all is learnt anew");
    }

    #[test]
    fn the_graph_and_the_rows_are_bounded() {
        let rules = paths(&[("id", OnContainer::EachScalar)]);
        let mut shapes = Shapes::default();
        shapes.fit(4000);
        for number in 0..4000 {
            // Twenty members of eight names each: no two records are alike.
            let member = |at: usize| format!(r#","m{at}-{}":1"#, ((number * 7919) >> at) & 7);
            let members: String = (0..12).map(member).collect();
            shapes.trust = Trust::new(Trust::REST);
            knows(&mut shapes, number, &rules, &format!(r#"{{"id":1{members}}}"#));
        }
        assert!(shapes.pieces.len() <= PIECES_MAX && shapes.contexts.len() <= PIECES_MAX);
        assert!(shapes.rows.total() <= rows::ACTIONS_MAX);
    }
}
