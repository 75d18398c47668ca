//! Where a transform writes a replacement: a JSON value, or plain bytes for a key or a header.

use crate::scan::{append_joined, append_piece, chunk_at};

/// The output, dressed for where the value stands.
pub struct Out<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where pieces of the value usually lie: the record, which makes copying them cheap.
    around: &'a [u8],
    json: bool,
    /// Pieces of the value may hold characters that JSON escapes.
    pieces_need_escapes: bool,
}

impl<'a> Out<'a> {
    /// Replacements become JSON values: strings quoted and escaped.
    pub fn json(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, around: &[], json: true, pieces_need_escapes: true }
    }

    /// As [`Out::json`], for a value that was spelled without escapes, in `around`: pieces of it need
    /// none.
    pub(crate) fn json_of_plain(bytes: &'a mut Vec<u8>, around: &'a [u8]) -> Self {
        Self { bytes, around, json: true, pieces_need_escapes: false }
    }

    /// Replacements become bare bytes: a record key or a header value.
    pub fn plain(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, around: &[], json: false, pieces_need_escapes: false }
    }

    /// The 16 bytes from where `text` begins, whatever stands behind it; `None`: it is not in the record
    /// as it is, or too near to the record's end.
    #[inline(always)]
    #[must_use]
    pub fn chunk(&self, text: &str) -> Option<&'a [u8; 16]> {
        chunk_at(self.around, text.as_bytes())
    }

    /// Writes a string at once: as many bytes of `start` as it says and as many of `end`, of what
    /// [`Out::push_plain`] would take.
    #[inline(always)]
    pub fn string<const A: usize, const B: usize>(
        &mut self,
        start: (&[u8; A], usize),
        end: (&[u8; B], usize),
    ) {
        debug_assert!(!start.0[..start.1].iter().chain(&end.0[..end.1]).any(|&byte| special(byte)));
        append_joined(self.bytes, self.json, start, end);
    }

    /// As [`Out::string`], a number.
    #[inline(always)]
    pub fn bare<const A: usize, const B: usize>(
        &mut self,
        start: (&[u8; A], usize),
        end: (&[u8; B], usize),
    ) {
        append_joined(self.bytes, false, start, end);
    }

    /// Where the characters of a string will begin.
    #[inline(always)]
    #[must_use]
    pub fn start(&self) -> usize {
        self.bytes.len() + usize::from(self.json)
    }

    /// Opens a string: every replacement starts with this, or is written by one of [`Out::string`],
    /// [`Out::number`] and [`Out::bare`]. The place it gives is where the string's characters begin.
    #[inline]
    pub fn open(&mut self) -> usize {
        self.quote();
        self.bytes.len()
    }

    /// Closes the string.
    #[inline]
    pub fn close(&mut self) {
        self.quote();
    }

    /// A place to come back to with [`Out::rewind`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written since `mark`.
    pub fn rewind(&mut self, mark: usize) {
        self.bytes.truncate(mark);
    }

    #[inline]
    fn quote(&mut self) {
        if self.json {
            self.bytes.push(b'"');
        }
    }

    /// What was written since `place`, as it stands in the output.
    #[must_use]
    pub fn since(&self, place: usize) -> &[u8] {
        &self.bytes[place..]
    }

    /// Writes characters that JSON leaves as they are: no quote, backslash or control character.
    #[inline]
    pub fn push_plain(&mut self, bytes: &[u8]) {
        debug_assert!(!bytes.iter().any(|&byte| special(byte)));
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes the first `length` bytes of what [`Out::push_plain`] would take; all of it is copied, so
    /// that no call is needed.
    #[inline]
    pub fn push_start<const N: usize>(&mut self, text: &[u8; N], length: usize) {
        debug_assert!(!text[..length].iter().any(|&byte| special(byte)));
        let end = self.bytes.len() + length;
        self.bytes.extend_from_slice(text);
        self.bytes.truncate(end);
    }

    /// Writes `count` times a character that JSON leaves as it is.
    pub fn push_repeated(&mut self, byte: u8, count: usize) {
        debug_assert!(!special(byte) && byte.is_ascii());
        self.bytes.resize(self.bytes.len() + count, byte);
    }

    /// Writes a piece of the value itself, escaped where JSON wants it. Free where the value was
    /// spelled without escapes.
    #[inline]
    pub fn push_piece(&mut self, piece: &str) {
        if self.pieces_need_escapes {
            self.push(piece);
        } else {
            append_piece(self.bytes, self.around, piece.as_bytes());
        }
    }

    /// Does JSON leave all characters as they are?
    #[must_use]
    pub fn is_plain(text: &str) -> bool {
        !text.bytes().any(special)
    }

    /// Writes any characters, escaped where JSON wants it.
    #[inline]
    pub fn push(&mut self, text: &str) {
        if self.json && !Self::is_plain(text) {
            text.bytes().for_each(|byte| self.push_escaped(byte));
        } else {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    /// Writes a number: valid JSON, not quoted.
    #[inline]
    pub fn number(&mut self, spelling: &[u8]) {
        self.bytes.extend_from_slice(spelling);
    }

    fn push_escaped(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                return self.bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => return self.bytes.push(byte),
        };
        self.bytes.extend_from_slice(&[b'\\', short]);
    }
}

/// Must JSON escape this byte in a string?
#[inline]
const fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ascii_character_survives_a_json_parser() {
        let text: String = (0..128u8).map(char::from).chain(['ä', '😀']).collect();
        let mut bytes = Vec::new();
        let mut out = Out::json(&mut bytes);
        out.open();
        out.push(&text);
        out.close();
        assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        let mut bytes = Vec::new();
        Out::plain(&mut bytes).push(&text);
        assert_eq!(bytes, text.as_bytes());
    }
}
