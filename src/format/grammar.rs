//! The grammar of JSON (RFC 8259), walked on stage 1's offsets.
//!
//! A cursor knows where it is and what may come there, and nothing of rules: what is edited is the
//! business of `json.rs`. Strings are jumped from quote to quote. Blanks are looked for only where
//! the byte that stands there is none that the grammar wants, as events seldom have any; numbers
//! are measured sixteen bytes at a time.
//!
//! Values that no rule looks into are passed by [`Cursor::skip`], which checks the same grammar
//! without recursion. Audit events under an empty policy: 867 ns a record with one recursive walk for
//! both, 609 with this (CPU time of the bench's `--over`, the least of 450 rounds).
//!
//! Tried and thrown away: a number's sign, fraction and soundness, and which word it is, told without any
//! branch: 2 % slower, as what follows then waits for all of it. The sign alone: 1 % quicker.

use crate::error::Reason;
use crate::limits::DEPTH_MAX;
use crate::scan::within;

/// Bytes of a number that are looked at at once.
const WIDTH: usize = 16;

/// From a brace or bracket to the one that closes it.
const CLOSES: u8 = b'}' - b'{';
const _: () = assert!(CLOSES == b']' - b'[');

pub(super) type Step<T> = Result<T, Reason>;

/// A string's content, as offsets into the input.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A place in the input, and how to go on from there.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    /// The quotes not yet passed.
    quotes: &'a [u32],
    pub(super) at: usize,
    pub(super) depth_left: usize,
}

impl<'a> Cursor<'a> {
    /// At the input's start. `depth_max` over [`DEPTH_MAX`] means that.
    pub(super) fn new(bytes: &'a [u8], quotes: &'a [u32], depth_max: usize) -> Self {
        Self { bytes, quotes, at: 0, depth_left: depth_max.min(DEPTH_MAX) }
    }

    /// The quotes not yet passed.
    pub(super) const fn quotes(&self) -> &'a [u32] {
        self.quotes
    }

    /// Has all of the input been passed?
    pub(super) fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The byte at the cursor; 0, which no grammar allows, at the end.
    #[inline(always)]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Passes blanks, if there are any.
    #[inline(always)]
    pub(super) fn space(&mut self) {
        if self.peek() <= b' ' {
            self.at = behind_blanks(self.bytes, self.at);
        }
    }

    /// Passes a string, the cursor at its opening quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Step<Span> {
        let [open, close, rest @ ..] = self.quotes else { return Err(Reason::Malformed) };
        if *open as usize != self.at {
            return Err(Reason::Malformed);
        }
        self.quotes = rest;
        let (start, end) = (self.at + 1, *close as usize);
        self.at = end + 1;
        Ok(Span { start, end })
    }

    /// Passes the colon behind a member's name; the cursor is then at the value.
    #[inline(always)]
    pub(super) fn colon(&mut self) -> Step<()> {
        self.space();
        if self.peek() != b':' {
            return Err(Reason::Malformed);
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Passes any value.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Step<()> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' | b'[' => {
                let (at, quotes_left) = self.behind_container()?;
                self.at = at;
                self.quotes = &self.quotes[self.quotes.len() - quotes_left..];
                Ok(())
            }
            _ => self.bare(),
        }
    }

    /// Where the array or object at the cursor ends, and how many quotes are then left. A cursor
    /// that went in and out itself would go through memory, and wait there.
    #[inline(always)]
    fn behind_container(&self) -> Step<(usize, usize)> {
        behind_container(self.bytes, self.quotes, self.at, self.depth_left)
    }

    #[inline(always)]
    fn container(&mut self) -> Step<()> {
        // What closes the containers around, by the depth that was left outside of each.
        let mut outer = [0; DEPTH_MAX + 1];
        let mut close = 0;
        loop {
            match self.peek() {
                b'"' => drop(self.string()?),
                first @ (b'{' | b'[') => {
                    outer[self.depth_left] = close;
                    close = first + CLOSES;
                    self.enter()?;
                    if !self.closes(close) {
                        if close == b'}' {
                            self.members()?;
                        }
                        continue;
                    }
                    close = outer[self.depth_left];
                }
                _ => self.bare()?,
            }
            while close != 0 && self.separator(close)? {
                self.leave();
                close = outer[self.depth_left];
            }
            match close {
                0 => return Ok(()),
                b'}' => self.members()?,
                _ => {}
            }
        }
    }

    /// Passes members as most are, `"name":"text",`, and the name of the first that is not.
    #[inline(always)]
    fn members(&mut self) -> Step<()> {
        while let [open, close, value_open, value_close, rest @ ..] = self.quotes {
            let (close, value_close) = (*close as usize, *value_close as usize);
            let usual = *open as usize == self.at
                && *value_open as usize == close + 2
                && self.bytes.get(close + 1) == Some(&b':')
                && self.bytes.get(value_close + 1..value_close + 3) == Some(b",\"");
            if !usual {
                break;
            }
            self.quotes = rest;
            self.at = value_close + 2;
        }
        self.string()?;
        self.colon()
    }

    /// Passes the string behind a colon, if there is nothing between the two and the cursor.
    #[inline(always)]
    pub(super) fn colon_and_text(&mut self) -> Option<Span> {
        let [open, close, rest @ ..] = self.quotes else { return None };
        let (start, end) = (self.at + 2, *close as usize);
        if *open as usize + 1 != start || self.peek() != b':' {
            return None;
        }
        (self.quotes, self.at) = (rest, end + 1);
        Some(Span { start, end })
    }

    /// Passes a comma, if there is nothing between it and the next member.
    #[inline(always)]
    pub(super) fn comma_and_quote(&mut self) -> bool {
        let usual = self.bytes.get(self.at..self.at + 2) == Some(b",\"");
        self.at += usize::from(usual);
        usual
    }

    /// Passes a container's brace or bracket.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> Step<()> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Reason::Limits)?;
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Goes one level up, behind a container's end.
    #[inline(always)]
    pub(super) fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// Is the container that was just entered empty? Then its end is passed, and it is left.
    #[inline(always)]
    pub(super) fn closes(&mut self, close: u8) -> bool {
        let closes = self.peek() == close;
        if closes {
            self.at += 1;
            self.leave();
        }
        closes
    }

    /// Behind a member or element: passes a comma (false) or the container's end (true).
    #[inline(always)]
    pub(super) fn separator(&mut self, close: u8) -> Step<bool> {
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

    /// Passes a number or one of the three words.
    #[inline(always)]
    pub(super) fn bare(&mut self) -> Step<()> {
        self.at = behind_bare(self.bytes, self.at).ok_or(Reason::Malformed)?;
        Ok(())
    }
}

/// See [`Cursor::behind_container`].
#[inline(never)]
pub(super) fn behind_container(
    bytes: &[u8],
    quotes: &[u32],
    at: usize,
    depth_left: usize,
) -> Step<(usize, usize)> {
    let mut cursor = Cursor { bytes, quotes, at, depth_left };
    cursor.container()?;
    Ok((cursor.at, cursor.quotes.len()))
}

/// The first place from `at` on where no blank is.
#[cold]
#[inline(never)]
fn behind_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the number or word that begins at `at` ends, if it is one.
#[inline(never)]
pub(super) fn behind_bare(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b't' => behind_word(bytes, at, *b"true"),
        b'f' => behind_word(bytes, at + 1, *b"alse"),
        b'n' => behind_word(bytes, at, *b"null"),
        &first => {
            // Every second number may be negative: that is no question for a branch.
            let sign = usize::from(first == b'-');
            short(bytes, at, sign).or_else(|| behind_any_digits(bytes, at + sign))
        }
    }
}

#[inline(always)]
fn behind_word(bytes: &[u8], at: usize, word: [u8; 4]) -> Option<usize> {
    (bytes.get(at..at + 4)? == word).then_some(at + 4)
}

/// Where the number without sign that begins at `start` ends.
#[inline(never)]
fn behind_any_digits(bytes: &[u8], start: usize) -> Option<usize> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let digits = |start: usize| {
        let count = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(start + count)
    };
    let mut at = if byte(start) == b'0' { start + 1 } else { digits(start)? };
    if byte(at) == b'.' {
        at = digits(at + 1)?;
    }
    if matches!(byte(at), b'e' | b'E') {
        let signed = matches!(byte(at + 1), b'+' | b'-');
        at = digits(at + 1 + usize::from(signed))?;
    }
    Some(at)
}

/// Where the number that begins at `at`, with `sign` bytes of sign, ends, if it is short, sound, and has no
/// exponent.
#[inline(always)]
fn short(bytes: &[u8], at: usize, sign: usize) -> Option<usize> {
    let (others, start) = (!(digits(bytes, at) >> sign), at + sign);
    let byte = |at: usize| bytes.get(start + at).copied().unwrap_or(0);
    let whole = others.trailing_zeros() as usize;
    if whole == 0 || whole > 1 && byte(0) == b'0' {
        return None;
    }
    let end = match byte(whole) {
        b'.' => (others & (others - 1)).trailing_zeros() as usize,
        _ => whole,
    };
    (end + sign < WIDTH && byte(end) | 0x20 != b'e' && end != whole + 1).then_some(start + end)
}

/// A bit for each of the next bytes that is an ASCII digit, the first lowest.
#[inline(always)]
fn digits(bytes: &[u8], at: usize) -> u32 {
    let here = bytes.get(at..).and_then(<[u8]>::first_chunk);
    here.map_or_else(|| last_digits(bytes, at), |here| within(here, b'0', b'9'))
}

/// [`digits`] near the end.
#[inline(never)]
fn last_digits(bytes: &[u8], at: usize) -> u32 {
    let last = bytes.last_chunk().map_or(0, |last| within(last, b'0', b'9'));
    last.checked_shr((at + WIDTH - bytes.len()) as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_measured_at_once_is_what_the_grammar_says(
            before in "[,x]{0,20}",
            text in "[0-9]{1,9}[.eE+,}x-]{1,2}[0-9]{0,9}|[0-9.eE,]{16}|[0-9]{0,3}[.][0-9]{0,4}.|[0-9]{1,20}",
            sign in 0..2usize,
            after in "[,} 0-9]{0,20}",
        ) {
            let bytes = [&before, &"-"[..sign], &text, &after].concat().into_bytes();
            if let Some(end) = short(&bytes, before.len(), sign) {
                prop_assert_eq!(behind_any_digits(&bytes, before.len() + sign), Some(end));
            }
            let bytewise = |at: usize| {
                let here = bytes.iter().skip(at).take(WIDTH).rev();
                here.fold(0, |found, byte| found << 1 | u32::from(byte.is_ascii_digit()))
            };
            if bytes.len() >= WIDTH {
                for at in 0..=bytes.len() {
                    prop_assert_eq!(digits(&bytes, at), bytewise(at));
                }
            }
        }
    }

    #[test]
    fn usual_numbers_are_measured_at_once() {
        let ends = ["}", ",\"other\":\"text\""];
        for (text, is_short) in [
            ("0", true),
            ("243.66", true),
            ("12345678", true),
            ("118.2437123", true),
            ("12345678901234", true),
            ("1234567890123456", false),
            ("01", false),
            ("1.", false),
            ("1e5", false),
            ("1.5E5", false),
            ("", false),
        ] {
            for (sign, end) in [("", ends[0]), ("", ends[1]), ("-", ends[0]), ("-", ends[1])] {
                let bytes = format!("{{\"some\":\"text\",\"n\":{sign}{text}{end}");
                let at = bytes.len() - end.len() - text.len() - sign.len();
                let want = is_short.then_some(at + sign.len() + text.len());
                assert_eq!(short(bytes.as_bytes(), at, sign.len()), want, "{sign}{text}");
            }
        }
        assert_eq!(short(b"[1]", 1, 0), None, "too short to be looked at at once");
    }
}
