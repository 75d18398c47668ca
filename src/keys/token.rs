//! Tokens: values that those with the secret can read back.
//!
//! ```text
//! tok1_ + base64url-unpadded(head ‖ AES-SIV(K, [“limpid token v1”, tenant, head], kind ‖ text))
//! head = key id, 4 bytes ‖ epoch's length in ms, u48 ‖ epoch's number, i64     (big-endian)
//! kind = “s” for text, “n” for a number (its spelling)
//! ```
//! `K` is 64 bytes, for AES-256 (RFC 5297; the tag stands first). Deterministic: the same value has
//! the same token within tenant and epoch, as with pseudonyms. The head tells an opener which secret
//! and which epoch; whatever is changed in head, tenant or text, the token does not open.

use super::derive::{Epoch, KeySource, Period, Purpose};
use super::{Secret, SecretId, Secrets};
use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use data_encoding::BASE64URL_NOPAD;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "tok1_";

/// Longest text that a token holds, in bytes.
pub const TOKEN_TEXT_BYTES_MAX: usize = 1024;

/// First of the associated data.
const CONTEXT: &[u8] = b"limpid token v1";

const HEAD_BYTES: usize = 18;
const TAG_BYTES: usize = 16;
const BYTES_MAX: usize = HEAD_BYTES + TAG_BYTES + 1 + TOKEN_TEXT_BYTES_MAX;
const CHARS_MAX: usize = (BYTES_MAX * 4).div_ceil(3);

type Head = [u8; HEAD_BYTES];

/// What kind of JSON value a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A string.
    Text,
    /// A number.
    Number,
}

impl TokenKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Text => b's',
            Self::Number => b'n',
        }
    }
}

/// Makes one tenant's tokens in one epoch.
pub(crate) struct Tokens {
    key: Zeroizing<[u8; 64]>,
    head: Head,
    tenant: Arc<str>,
}

impl Tokens {
    pub(super) fn new(source: &KeySource, period: Period) -> Self {
        let mut key = Zeroizing::new([0; 64]);
        source.derive(Purpose::Token, period, &mut *key);
        let length_ms = source.epoch().length_ms();
        let head = head(source.secret_id(period), length_ms, period.epoch());
        Self { key, head, tenant: source.tenant().clone() }
    }

    /// Gives `write` the characters behind [`TOKEN_PREFIX`]; `None` if the text is too long.
    pub(crate) fn seal(
        &self,
        kind: TokenKind,
        text: &str,
        write: impl FnOnce(&[u8]),
    ) -> Option<()> {
        let mut bytes = [0; BYTES_MAX];
        let length = HEAD_BYTES + TAG_BYTES + 1 + text.len();
        let bytes = bytes.get_mut(..length)?;
        let (head, sealed) = bytes.split_at_mut(HEAD_BYTES);
        let (tag, sealed) = sealed.split_at_mut(TAG_BYTES);
        head.copy_from_slice(&self.head);
        sealed[0] = kind.byte();
        sealed[1..].copy_from_slice(text.as_bytes());
        let data = [CONTEXT, self.tenant.as_bytes(), &self.head];
        let made = self.siv().encrypt_inout_detached(data, sealed.into()).ok()?;
        tag.copy_from_slice(&made);
        let mut chars = [0; CHARS_MAX];
        let chars = chars.get_mut(..BASE64URL_NOPAD.encode_len(length))?;
        BASE64URL_NOPAD.encode_mut(bytes, chars);
        write(chars);
        Some(())
    }

    fn open(&self, tag: &[u8; TAG_BYTES], sealed: &[u8]) -> Option<Revealed> {
        let mut plain = Zeroizing::new(sealed.to_vec());
        let data = [CONTEXT, self.tenant.as_bytes(), &self.head];
        let opened =
            self.siv().decrypt_inout_detached(data, plain.as_mut_slice().into(), tag.into());
        opened.ok()?;
        let kind = match plain.first()? {
            b's' => TokenKind::Text,
            b'n' => TokenKind::Number,
            _ => return None,
        };
        let text = std::str::from_utf8(&plain[1..]).ok()?.to_owned();
        Some(Revealed { kind, text: Zeroizing::new(text) })
    }

    fn siv(&self) -> Aes256Siv {
        Aes256Siv::new((&*self.key).into())
    }
}

fn head(id: SecretId, length_ms: u64, number: i64) -> Head {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&id);
    head[4..10].copy_from_slice(&length_ms.to_be_bytes()[2..]);
    head[10..].copy_from_slice(&number.to_be_bytes());
    head
}

/// A token, taken apart; not yet opened, so nothing that it says is known to be true.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    head: Head,
    tag: [u8; TAG_BYTES],
    sealed: Vec<u8>,
}

impl Token {
    /// Takes a token apart; `None` if the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(TOKEN_PREFIX)?.as_bytes()).ok()?;
        let (head, rest) = bytes.split_first_chunk()?;
        let (tag, sealed) = rest.split_first_chunk()?;
        (!sealed.is_empty()).then(|| Self { head: *head, tag: *tag, sealed: sealed.to_vec() })
    }

    /// Which secret it was made with: compare with [`Secret::id`].
    #[must_use]
    pub fn secret_id(&self) -> SecretId {
        std::array::from_fn(|index| self.head[index])
    }

    /// How long an epoch was.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch::every_ms(self.head[4..10].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Number of the epoch (see [`Epoch::number`]).
    #[must_use]
    pub fn number(&self) -> i64 {
        self.head[10..].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
    }

    /// Reads the value back: the reverse of the transform `tokenize`. `None` if the token was not
    /// made with this secret for this tenant, or not as it is now.
    #[must_use]
    pub fn open(&self, secret: &Arc<Secret>, tenant: &str) -> Option<Revealed> {
        let secrets = Secrets::from(secret.clone());
        let source = KeySource::new(secrets, tenant, self.epoch());
        let tokens = Tokens::new(&source, source.periods_of(self.number()).next()?);
        (tokens.head == self.head).then(|| tokens.open(&self.tag, &self.sealed))?
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.sealed.len())
    }
}

/// What a token stood for. It is a record's value: no `Debug`, and wiped when it is dropped.
pub struct Revealed {
    kind: TokenKind,
    text: Zeroizing<String>,
}

impl Revealed {
    /// Text or number.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The text, or the number as it was spelled. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(tenant: &str, epoch_ms: u64) -> KeySource {
        KeySource::new(Secrets::from(Secret::new([7; 32])), tenant, Epoch::every_ms(epoch_ms))
    }

    fn sealed(source: &KeySource, number: i64, kind: TokenKind, text: &str) -> String {
        let mut token = TOKEN_PREFIX.to_owned();
        let sealed = Tokens::new(source, source.periods_of(number).next().unwrap()).seal(
            kind,
            text,
            |chars| token.push_str(std::str::from_utf8(chars).unwrap()),
        );
        sealed.unwrap();
        token
    }

    #[test]
    fn what_is_sealed_opens() {
        let secret = Arc::new(Secret::new([7; 32]));
        let long = "é".repeat(TOKEN_TEXT_BYTES_MAX / 2);
        for text in ["", "42", "jane@x.example", &long] {
            for (epoch_ms, number) in
                [(0, 0), (86_400_000, 20_000), (1, -5), (3_155_760_000_000, 0)]
            {
                for kind in [TokenKind::Text, TokenKind::Number] {
                    let text = sealed(&source("acme", epoch_ms), number, kind, text);
                    let token = Token::parse(&text).unwrap();
                    assert_eq!(token.epoch(), Epoch::every_ms(epoch_ms));
                    assert_eq!(token.number(), number);
                    assert_eq!(token.secret_id(), secret.id());
                    assert!(token.open(&secret, "acmf").is_none());
                    assert!(token.open(&Arc::new(Secret::new([8; 32])), "acme").is_none());
                    let revealed = token.open(&secret, "acme").unwrap();
                    assert_eq!(revealed.kind(), kind);
                }
            }
        }
        let text = sealed(&source("acme", 0), 0, TokenKind::Text, "jane");
        assert_eq!(Token::parse(&text).unwrap().open(&secret, "acme").unwrap().expose(), "jane");
        let source = source("acme", 0);
        let tokens = Tokens::new(&source, source.period(None).unwrap());
        assert!(tokens.seal(TokenKind::Text, &format!("{long}x"), |_| ()).is_none());
    }

    #[test]
    fn no_changed_token_opens() {
        let secret = Arc::new(Secret::new([7; 32]));
        let text = sealed(&source("acme", 86_400_000), 20_000, TokenKind::Text, "jane@x.example");
        for index in TOKEN_PREFIX.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let opened = Token::parse(&changed).and_then(|token| token.open(&secret, "acme"));
            assert!(opened.is_none(), "{changed}");
        }
        for none in ["", "tok1_", "tok1_AAAA", &text[1..], &format!("{text} ")] {
            assert!(Token::parse(none).is_none(), "{none}");
        }
    }
}
