//! Writes JSON as different producers would: compact, or spaced and pure ASCII. A serializer would
//! write in one manner only, and sort out the habits that the kernel must keep verbatim.

use std::fmt::Display;
use std::io::Write as _;

/// An object being written. [`Json::end`] closes it.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
    spaced: bool,
    ascii: bool,
    slashed: bool,
    first: bool,
}

impl<'a> Json<'a> {
    /// `{"a":1}`
    pub(super) fn compact(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, spaced: false, ascii: false, slashed: false, first: true }
    }

    /// `{"a":"\/b"}`
    pub(super) fn slashed(out: &'a mut Vec<u8>) -> Self {
        Self { slashed: true, ..Self::compact(out) }
    }

    /// `{"a": 1, "b": "\u00e4"}`
    pub(super) fn spaced_ascii(out: &'a mut Vec<u8>) -> Self {
        Self { spaced: true, ascii: true, ..Self::compact(out) }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    pub(super) fn number(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.push(value);
    }

    pub(super) fn bool(&mut self, name: &str, value: bool) {
        self.number(name, value);
    }

    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.within(b'{', members, b'}');
    }

    pub(super) fn array(&mut self, name: &str, items: impl FnOnce(&mut Self)) {
        self.name(name);
        self.within(b'[', items, b']');
    }

    pub(super) fn item_text(&mut self, value: &str) {
        self.comma();
        self.string(value);
    }

    pub(super) fn item_object(&mut self, members: impl FnOnce(&mut Self)) {
        self.comma();
        self.within(b'{', members, b'}');
    }

    fn within(&mut self, open: u8, inside: impl FnOnce(&mut Self), close: u8) {
        self.out.push(open);
        self.first = true;
        inside(self);
        self.first = false;
        self.out.push(close);
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.string(name);
        self.out.extend_from_slice(if self.spaced { b": " } else { b":" });
    }

    fn comma(&mut self) {
        if !self.first {
            self.out.extend_from_slice(if self.spaced { b", " } else { b"," });
        }
        self.first = false;
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        for character in text.chars() {
            self.character(character);
        }
        self.out.push(b'"');
    }

    fn character(&mut self, character: char) {
        match character {
            '/' if self.slashed => self.out.extend_from_slice(br"\/"),
            '"' | '\\' => self.out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => self.out.push(character as u8),
            _ if self.ascii || character < ' ' => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    self.push(format_args!("\\u{unit:04x}"));
                }
            }
            _ => self.push(character),
        }
    }

    fn push(&mut self, value: impl Display) {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut json: Json<'_>) -> String {
        json.text("name", "Zoë \"\u{1f600}\"\n");
        json.object("empty", |_| {});
        json.array("list", |json| {
            json.item_text("a");
            json.item_object(|json| json.number("n", 1));
        });
        json.out.push(b'}');
        String::from_utf8(json.out.clone()).unwrap()
    }

    #[test]
    fn in_three_manners() {
        let compact = r#"{"name":"Zoë \"😀\"\u000a","empty":{},"list":["a",{"n":1}]}"#;
        assert_eq!(written(Json::compact(&mut Vec::new())), compact);
        let spaced =
            r#"{"name": "Zo\u00eb \"\ud83d\ude00\"\u000a", "empty": {}, "list": ["a", {"n": 1}]}"#;
        assert_eq!(written(Json::spaced_ascii(&mut Vec::new())), spaced);
        let mut out = Vec::new();
        let mut slashed = Json::slashed(&mut out);
        slashed.text("url", "/a/ä");
        slashed.end();
        assert_eq!(out, r#"{"url":"\/a\/ä"}"#.as_bytes());
    }
}
