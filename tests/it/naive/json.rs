//! RFC 8259, read into a tree by recursive descent. Strict, and as plain as the grammar.
//!
//! A parser of its own and not serde_json's, because the twin needs what that throws away: where
//! each value stands, how numbers are spelled, and every duplicate of a key.

/// A value and the bytes that it was read from.
pub struct Node {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
}

/// What a value is, by meaning; numbers keep their spelling.
pub enum Kind {
    Null,
    Bool,
    Number(String),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A member of an object; `start` is the opening quote of its key.
pub struct Member {
    pub start: usize,
    pub key: String,
    /// The key as it is spelled, without its quotes.
    pub spelling: String,
    pub value: Node,
}

/// A whole text.
pub struct Parsed {
    pub root: Node,
    /// Deepest nesting of arrays and objects; a lone scalar has 0.
    pub depth: usize,
}

/// Why a text could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    Malformed,
    /// Deeper than this parser's own stack allows; what follows was not looked at.
    TooDeep,
}

const DEPTH_MAX: usize = 1000;

/// Reads a text that is one value and white space around it.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Unread> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unread::Malformed)?;
    let mut parser = Parser { text, bytes, at: 0, depth: 0, deepest: 0 };
    parser.space();
    let root = parser.value()?;
    parser.space();
    if parser.at != bytes.len() {
        return Err(Unread::Malformed);
    }
    Ok(Parsed { root, depth: parser.deepest })
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    deepest: usize,
}

type Read<T> = Result<T, Unread>;

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.eat(byte) { Ok(()) } else { Err(Unread::Malformed) }
    }

    fn value(&mut self) -> Read<Node> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => self.number()?,
        };
        Ok(Node { start, end: self.at, kind })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Kind>) -> Read<Kind> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > DEPTH_MAX {
            return Err(Unread::TooDeep);
        }
        let kind = read(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn word(&mut self, word: &str, kind: Kind) -> Read<Kind> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(kind)
    }

    fn object(&mut self) -> Read<Kind> {
        let mut members = Vec::new();
        self.expect(b'{')?;
        self.space();
        if self.eat(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            let key = self.string()?;
            let spelling = self.text[start + 1..self.at - 1].to_owned();
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.value()?;
            members.push(Member { start, key, spelling, value });
            self.space();
            if self.eat(b'}') {
                return Ok(Kind::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self) -> Read<Kind> {
        let mut elements = Vec::new();
        self.expect(b'[')?;
        self.space();
        if self.eat(b']') {
            return Ok(Kind::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value()?);
            self.space();
            if self.eat(b']') {
                return Ok(Kind::Array(elements));
            }
            self.expect(b',')?;
        }
    }

    fn number(&mut self) -> Read<Kind> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(Kind::Number(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(Unread::Malformed) } else { Ok(()) }
    }

    fn string(&mut self) -> Read<String> {
        self.expect(b'"')?;
        let mut meaning = String::new();
        loop {
            match self.text[self.at..].chars().next() {
                None | Some('\0'..'\u{20}') => return Err(Unread::Malformed),
                Some('"') => {
                    self.at += 1;
                    return Ok(meaning);
                }
                Some('\\') => {
                    self.at += 1;
                    meaning.push(self.escape()?);
                }
                Some(plain) => {
                    self.at += plain.len_utf8();
                    meaning.push(plain);
                }
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let letter = self.peek().ok_or(Unread::Malformed)?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Unread::Malformed),
        })
    }

    /// After `\u`. A surrogate stands for nothing alone: without its other half the text has no
    /// meaning, and what has no meaning cannot be cleaned.
    fn unicode(&mut self) -> Read<char> {
        let first = self.hex()?;
        if let Some(plain) = char::from_u32(first) {
            return Ok(plain);
        }
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let second = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
            return Err(Unread::Malformed);
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or(Unread::Malformed)
    }

    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or(Unread::Malformed)?;
            self.at += 1;
        }
        Ok(code)
    }
}
