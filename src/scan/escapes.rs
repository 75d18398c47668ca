//! Checks escape sequences by their offsets (RFC 8259, section 7).
//!
//! A sequence outside of a string is not told apart here: the walk refuses any backslash there.
//! A lone surrogate is valid grammar but means no character; as rules match by meaning, a record
//! with one is refused rather than guessed at.

use super::Unsound;

/// Is every escape that begins at one of `starts` sound?
pub(super) fn check(input: &[u8], starts: &[u32]) -> Result<(), Unsound> {
    // Where the low half of a surrogate pair must begin, if a high half came before.
    let mut low_due: Option<usize> = None;
    for &start in starts {
        let start = start as usize;
        if low_due.is_some_and(|due| due != start) {
            return Err(Unsound);
        }
        match *input.get(start + 1).ok_or(Unsound)? {
            b'u' => {
                let unit = unit(input, start)?;
                low_due = match (low_due, unit) {
                    (None, 0xD800..0xDC00) => Some(start + 6),
                    (Some(_), 0xDC00..0xE000) => None,
                    (None, 0..0xD800 | 0xE000..) => None,
                    _ => return Err(Unsound),
                };
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' if low_due.is_none() => {}
            _ => return Err(Unsound),
        }
    }
    if low_due.is_some() { Err(Unsound) } else { Ok(()) }
}

/// The UTF-16 code unit of the `\uXXXX` that begins at `start`.
fn unit(input: &[u8], start: usize) -> Result<u16, Unsound> {
    let digits = input.get(start + 2..start + 6).ok_or(Unsound)?;
    digits.iter().try_fold(0, |unit: u16, &digit| {
        let value = (digit as char).to_digit(16).ok_or(Unsound)?;
        Ok(unit << 4 | u16::try_from(value).map_err(|_| Unsound)?)
    })
}
