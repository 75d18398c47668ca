//! Where a transform writes a replacement: a JSON value, or plain bytes for a key or a header.

/// The output, dressed for where the value stands.
pub struct Out<'a> {
    bytes: &'a mut Vec<u8>,
    json: bool,
}

impl<'a> Out<'a> {
    /// Replacements become JSON values: strings quoted and escaped.
    pub fn json(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, json: true }
    }

    /// Replacements become bare bytes: a record key or a header value.
    pub fn plain(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, json: false }
    }

    /// Opens a string: every replacement starts with this or is one [`Out::number`].
    pub fn open(&mut self) {
        if self.json {
            self.bytes.push(b'"');
        }
    }

    /// Closes the string.
    pub fn close(&mut self) {
        if self.json {
            self.bytes.push(b'"');
        }
    }

    /// Writes characters that JSON leaves as they are: no quote, backslash or control character.
    pub fn push_plain(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes any characters, escaped where JSON wants it.
    pub fn push(&mut self, text: &str) {
        if !self.json || !text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
            return self.push_plain(text.as_bytes());
        }
        for byte in text.bytes() {
            self.push_escaped(byte);
        }
    }

    /// Writes a number: valid JSON, not quoted.
    pub fn number(&mut self, spelling: &[u8]) {
        self.bytes.extend_from_slice(spelling);
    }

    fn push_escaped(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' => self.push_plain(b"\\\""),
            b'\\' => self.push_plain(b"\\\\"),
            b'\n' => self.push_plain(b"\\n"),
            b'\r' => self.push_plain(b"\\r"),
            b'\t' => self.push_plain(b"\\t"),
            0..0x20 => {
                let escape = [
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ];
                self.push_plain(&escape);
            }
            _ => self.bytes.push(byte),
        }
    }
}
