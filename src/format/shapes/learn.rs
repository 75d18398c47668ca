//! Lessons: the pieces of a record that the walk has passed.

use super::places::Place;
use super::{
    Action, Among, Context, ContextId, Does, FOLLOWERS_MAX, NONE, PIECE_MAX, PIECES_MAX, Piece,
    PieceId, Shapes, Value, WIDTH, spare,
};
use crate::error::Reason;
use crate::format::grammar::Cursor;
use crate::format::paths::Paths;

/// Why a record teaches nothing more.
enum Stop {
    /// What its policy does is not done along shapes.
    Policy,
    /// Too many pieces follow a value: those into this container, for the most part.
    Crowded(ContextId),
    /// There is no room.
    Full,
    /// It is none for shapes: a name with escapes, blanks in an empty object, a very long piece.
    Unfit,
}

impl From<Reason> for Stop {
    fn from(_: Reason) -> Self {
        Self::Unfit
    }
}

impl Shapes {
    /// Learns a record that the walk has passed and that could not be followed.
    #[cold]
    #[inline(never)]
    pub(in crate::format) fn learn(
        &mut self,
        input: &[u8],
        quotes: &[u32],
        depth_max: usize,
        slot: usize,
        paths: &Paths,
    ) {
        if self.trust.rest > 0 || self.rows.is_refused(slot) {
            return;
        }
        if self.trust.lessons == 0 {
            self.rows.miss(slot);
            return;
        }
        let before = self.pieces.len();
        let cursor = Cursor::new(input, quotes, depth_max);
        let mut lesson = Lesson {
            run: Run { start: 0, quotes_left: cursor.quotes().len(), behind: None },
            shapes: self,
            paths,
            cursor,
        };
        let _ = lesson.record();
        if self.pieces.len() == before {
            self.rows.miss(slot);
            self.trust.lessons = self.trust.lessons.saturating_sub(input.len());
        }
    }

    /// The place of a member of that name, or of an element, of the container at `parent`.
    fn context(&mut self, parent: ContextId, name: Option<&[u8]>) -> Result<ContextId, Stop> {
        let mut known = self.contexts[usize::from(parent)].child;
        while known != 0 {
            let context = &self.contexts[usize::from(known)];
            if context.name.as_deref() == name {
                return Ok(known);
            }
            known = context.sibling;
        }
        if self.contexts.len() >= PIECES_MAX {
            return Err(Stop::Full);
        }
        let id = self.contexts.len() as ContextId;
        let Context { child, depth, .. } = &mut self.contexts[usize::from(parent)];
        let (sibling, depth) = (std::mem::replace(child, id), *depth + 1);
        let name = name.map(Into::into);
        self.contexts.push(Context { parent, name, depth, sibling, ..Context::ROOT });
        Ok(id)
    }

    /// The piece that is tried first behind a value, or at the record's start.
    fn first_behind(&mut self, behind: Option<ContextId>) -> &mut PieceId {
        match behind {
            None => &mut self.first,
            Some(context) => &mut self.contexts[usize::from(context)].next,
        }
    }

    /// Adds a piece to those that may follow, unless it is there.
    fn add(&mut self, behind: Option<ContextId>, text: &[u8], piece: Piece) -> Result<(), Stop> {
        let (mut at, mut last, mut count) = (*self.first_behind(behind), NONE, 0);
        while at != NONE {
            let other = &self.pieces[usize::from(at)];
            let same = usize::from(other.length) == text.len()
                && other.begins(text, &self.tails)
                && (other.value, other.context) == (piece.value, piece.context);
            if same {
                return Ok(());
            }
            (last, at, count) = (at, other.other, count + 1);
        }
        if count >= FOLLOWERS_MAX {
            return Err(self.crowd(behind, piece.context).map_or(Stop::Full, Stop::Crowded));
        }
        if self.pieces.len() >= PIECES_MAX {
            return Err(Stop::Full);
        }
        let id = self.pieces.len() as PieceId;
        let tail = u32::try_from(self.tails.len()).map_err(|_| Stop::Full)?;
        self.tails.extend(text.chunks(WIDTH).skip(1).map(padded));
        let next = self.contexts[usize::from(piece.context)].next;
        self.pieces.push(Piece { tail, ..piece });
        self.lead(usize::from(id), next);
        if last != NONE {
            self.pieces[usize::from(last)].other = id;
            return Ok(());
        }
        *self.first_behind(behind) = id;
        // Those that end there did not know it yet.
        for number in 1..self.pieces.len() {
            if behind == Some(self.pieces[number].context) {
                self.lead(number, id);
            }
        }
        Ok(())
    }

    /// The narrowest container around `place` in which many of the pieces end that follow there already.
    fn crowd(&mut self, behind: Option<ContextId>, place: ContextId) -> Option<ContextId> {
        let first = *self.first_behind(behind);
        let mut container = place;
        while container != 0 {
            container = self.contexts[usize::from(container)].parent;
            let (mut at, mut inside) = (first, 0);
            while at != NONE {
                let piece = &self.pieces[usize::from(at)];
                inside += usize::from(self.is_inside(piece.context, container));
                at = piece.other;
            }
            if inside >= FOLLOWERS_MAX / 2 {
                return Some(container);
            }
        }
        None
    }

    /// From now on, what stands in this place is passed whole: pieces inside follow no more.
    fn close(&mut self, context: ContextId) {
        self.contexts[usize::from(context)].opaque = true;
        for behind in (0..self.contexts.len()).map(|id| Some(id as ContextId)).chain([None]) {
            let mut at = std::mem::replace(self.first_behind(behind), NONE);
            let mut last = NONE;
            while at != NONE {
                let other = std::mem::replace(&mut self.pieces[usize::from(at)].other, NONE);
                if !self.is_inside(self.pieces[usize::from(at)].context, context) {
                    match last {
                        NONE => *self.first_behind(behind) = at,
                        _ => self.pieces[usize::from(last)].other = at,
                    }
                    last = at;
                }
                at = other;
            }
        }
        for number in 1..self.pieces.len() {
            let context = self.pieces[number].context;
            self.lead(number, self.contexts[usize::from(context)].next);
        }
        self.rows.clear();
    }

    /// From a piece to the first of its followers.
    fn lead(&mut self, number: usize, next: PieceId) {
        let piece = &mut self.pieces[number];
        piece.next = next;
        piece.jumps = usize::from(next) != number + 1;
    }

    fn is_inside(&self, mut place: ContextId, container: ContextId) -> bool {
        while place != 0 {
            place = self.contexts[usize::from(place)].parent;
            if place == container {
                return true;
            }
        }
        false
    }
}

/// The first bytes of `text`, or all and zeros.
fn padded(text: &[u8]) -> [u8; WIDTH] {
    let mut padded = [0; WIDTH];
    padded.iter_mut().zip(text).for_each(|(byte, &of_text)| *byte = of_text);
    padded
}

/// What stands behind the last value.
struct Run {
    start: usize,
    quotes_left: usize,
    behind: Option<ContextId>,
}

struct Lesson<'a, 's> {
    shapes: &'s mut Shapes,
    paths: &'a Paths,
    cursor: Cursor<'a>,
    run: Run,
}

impl<'a> Lesson<'a, '_> {
    fn record(&mut self) -> Result<(), Stop> {
        self.cursor.space();
        if self.cursor.peek() != b'{' {
            return Err(Stop::Unfit);
        }
        self.object(0, Place::root(self.paths))?;
        self.cursor.space();
        let among = Among { start: self.cursor.at, before: None };
        self.piece(Value::End, 0, self.cursor.at, among)
    }

    fn object(&mut self, context: ContextId, place: Place<'a>) -> Result<(), Stop> {
        self.cursor.enter()?;
        if self.cursor.closes(b'}') {
            return if context == 0 { Ok(()) } else { Err(Stop::Unfit) };
        }
        let mut before = None;
        loop {
            let start = self.cursor.at;
            let name = self.cursor.string()?;
            let name = &self.cursor.bytes[name.start..name.end];
            if name.contains(&b'\\') {
                return Err(Stop::Unfit);
            }
            self.cursor.colon()?;
            let place = place.member(name, self.paths);
            let context = self.shapes.context(context, Some(name))?;
            self.value(context, place, Among { start, before })?;
            before = Some(self.cursor.at);
            if self.cursor.separator(b'}')? {
                break;
            }
        }
        self.cursor.leave();
        Ok(())
    }

    fn array(&mut self, context: ContextId, place: Place<'a>) -> Result<(), Stop> {
        self.cursor.enter()?;
        if self.cursor.closes(b']') {
            return Err(Stop::Unfit);
        }
        let place = place.element(self.paths);
        let element = self.shapes.context(context, None)?;
        let mut before = None;
        loop {
            let start = self.cursor.at;
            self.value(element, place, Among { start, before })?;
            before = Some(self.cursor.at);
            if self.cursor.separator(b']')? {
                break;
            }
        }
        self.cursor.leave();
        Ok(())
    }

    /// The value that the cursor is at.
    fn value(&mut self, context: ContextId, place: Place<'a>, among: Among) -> Result<(), Stop> {
        let value = self.next();
        let opaque = self.shapes.contexts[usize::from(context)].opaque;
        if matches!(value, Value::Object | Value::Array) && place.opens(value) && !opaque {
            let done = match value {
                Value::Object => self.object(context, place),
                _ => self.array(context, place),
            };
            return match done {
                Err(Stop::Crowded(crowd)) if crowd == context => {
                    if let Place::Inert = place {
                        self.shapes.close(context);
                    }
                    Err(Stop::Full)
                }
                done => done,
            };
        }
        if place.action(value, &|_| Does::Reads) == Action::NEVER {
            return Err(Stop::Policy);
        }
        self.piece(value, context, self.cursor.at + usize::from(value == Value::Text), among)?;
        self.cursor.skip()?;
        let quotes_left = self.cursor.quotes().len();
        self.run = Run { start: self.cursor.at, quotes_left, behind: Some(context) };
        Ok(())
    }

    /// What the cursor is at.
    fn next(&self) -> Value {
        match &self.cursor.bytes[self.cursor.at..] {
            [b'{', b'}', ..] => Value::EmptyObject,
            [b'[', b']', ..] => Value::EmptyArray,
            [b'"', ..] => Value::Text,
            [b'{', ..] => Value::Object,
            [b'[', ..] => Value::Array,
            _ => Value::Bare,
        }
    }

    /// The piece that ends at `end`, before a value.
    fn piece(
        &mut self,
        value: Value,
        context: ContextId,
        end: usize,
        among: Among,
    ) -> Result<(), Stop> {
        let text = &self.cursor.bytes[self.run.start..end];
        if text.is_empty() || text.len() > PIECE_MAX {
            return Err(Stop::Unfit);
        }
        let within = |distance: usize| u16::try_from(distance).map_err(|_| Stop::Unfit);
        let opens = usize::from(value == Value::Text);
        let piece = Piece {
            first: padded(text),
            spare: spare(text.len()),
            tail: 0,
            tail_spare: spare(text.len().saturating_sub(WIDTH)),
            length: within(text.len())?,
            quotes: within(self.run.quotes_left - self.cursor.quotes().len() + opens)?,
            next: NONE,
            other: NONE,
            context,
            back: within(end - among.start)?,
            before: within(among.before.map_or(0, |before| end - before))?,
            value,
            usual: text.len() <= WIDTH && value == Value::Text,
            jumps: true,
        };
        self.shapes.add(self.run.behind, text, piece)
    }
}
