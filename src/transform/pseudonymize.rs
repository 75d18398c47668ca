//! `pseudonymize`: the same person stays the same, and nobody knows who.
//!
//! `prefix + base32hex-lower-unpadded(BLAKE3-keyed(K, canonical value)[..16])`, 26 characters
//! behind the prefix. The canonical value of text is its UTF-8 bytes; of a number see
//! [`decimal::canonical`], so that 42, 42.0 and "42" agree. This is a contract: `tests/vectors`.

use super::canonical::{self, Canonical, Email};
use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::{Out, Scalar};
use crate::hash::{HASH_BYTES, VALUE_BYTES_MAX, Waiting};
use crate::keys::{EpochKeys, PseudonymKey};
use std::sync::Arc;

/// Length of a hash in base32: five bits a character.
pub const HASH_CHARS: usize = (HASH_BYTES * 8).div_ceil(5);

/// What stands before the hash, and what the value is taken for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pseudonymize {
    prefix: Arc<Prefix>,
    form: Form,
}

/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// What stands before the hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Prefix {
    text: Box<str>,
    /// The text with zeros behind it, if JSON escapes nothing in it: then it is written at once.
    plain: Option<[u8; PREFIX_BYTES_MAX]>,
}

impl Prefix {
    fn new(text: &str) -> Self {
        let mut bytes = [0; PREFIX_BYTES_MAX];
        let plain = bytes.get_mut(..text.len()).map(|start| start.copy_from_slice(text.as_bytes()));
        let plain = plain.filter(|()| Out::is_plain(text)).map(|()| bytes);
        Self { text: text.into(), plain }
    }
}

/// Which spellings are the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Text,
    Email,
    Phone(Country),
    Ip,
}

/// A country's calling code: up to three digits, then zero bytes.
type Country = [u8; 3];

pub(super) static SPEC: Spec = Spec {
    name: "pseudonymize",
    about: "Puts a pseudonym in the value's place: the same for the same value, tenant and epoch.",
    doc: "Strings and numbers become `prefix` and 26 letters and digits, made with the policy's \
          `key`: the same for the same value, tenant and epoch, over topics and fields; unlinkable \
          without the key. The number 42 and the string \"42\" agree. `null` stays; `true` and \
          `false` are a mismatch.\n\n\
          `as` says what else is the same value. `email`: case, spaces around and a tag behind `+` \
          don't count (dots do). `phone`: spaces and `-./()` don't count, `+49`, `0049` and (with \
          `country: \"49\"`) a leading `0` are the same; numbers are taken as text. `ip`: spelling, \
          port, brackets and zone don't count, and an IPv4 address inside an IPv6 one is that. What \
          is no such thing, or several at once, is a mismatch. The pseudonym is that of the \
          canonical spelling: `Jane+shop@X.example` as `email` agrees with the text \
          `jane@x.example`, `+49 170 1234567` as `phone` with `491701234567`.",
    params: &[
        Param {
            name: "prefix",
            kind: Kind::Text { bytes_max: PREFIX_BYTES_MAX, default: "" },
            doc: "text before the pseudonym, such as `u_`",
        },
        Param {
            name: "as",
            kind: Kind::Word { of: &["text", "email", "phone", "ip"], default: "text" },
            doc: "what the value is taken for",
        },
        Param {
            name: "country",
            kind: Kind::Text { bytes_max: 3, default: "" },
            doc: "calling code of telephone numbers that are spelled without one, such as `\"49\"`",
        },
    ],
    examples: &[
        Example { params: "prefix: u_", before: r#""42""#, after: r#""u_…""# },
        Example { params: "", before: "42", after: r#""…""# },
        Example { params: "", before: "true", after: r#""[redacted]""# },
        Example {
            params: "as: email\nprefix: m_",
            before: r#""Jane+shop@X.example""#,
            after: r#""m_…""#,
        },
        Example { params: "as: email", before: r#""n/a""#, after: r#""[redacted]""# },
    ],
    needs_key: true,
    whole: false,
    shows: Shows::Sameness,
    build: |args| {
        let mut args = Args::new(args);
        let (prefix, word) = (Prefix::new(args.text()).into(), args.word());
        let form = match (word, country(args.text())) {
            (_, None) => {
                return Err("`country` must be the digits of a calling code, such as \"49\"".into());
            }
            ("phone", Some(country)) => Form::Phone(country),
            (_, Some(country)) if country != Country::default() => {
                return Err("`country` is for `as: phone`".into());
            }
            ("email", _) => Form::Email,
            ("ip", _) => Form::Ip,
            _ => Form::Text,
        };
        Ok(Transform::Pseudonymize(Pseudonymize { prefix, form }))
    },
};

fn country(text: &str) -> Option<Country> {
    let mut country = Country::default();
    country.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')).then_some(country)
}

impl Pseudonymize {
    #[inline(always)]
    pub(super) fn apply(
        &self,
        value: Scalar<'_>,
        context: &mut Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        if let (Form::Text, Scalar::Text(text), Some(keys)) = (self.form, value, context.keys) {
            self.write(text.as_bytes(), keys.pseudonym(), context, out);
            return Outcome::Replaced;
        }
        self.any(value, context, out)
    }

    /// [`Self::apply`] for what is no text, or not taken for one.
    #[inline(never)]
    fn any(&self, value: Scalar<'_>, context: &mut Context<'_>, out: &mut Out<'_>) -> Outcome {
        // No key is a fault that the policy's check refuses; here it must not become a leak.
        let Some(key) = context.keys.map(EpochKeys::pseudonym) else { return Outcome::Mismatch };
        match (self.form, value) {
            (_, Scalar::Null) => return Outcome::Unchanged,
            (_, Scalar::Bool(_)) => return Outcome::Mismatch,
            (Form::Text, Scalar::Number(number)) if decimal::is_plain_integer(number) => {
                self.write(number.as_bytes(), key, context, out);
            }
            (Form::Text, Scalar::Number(number)) => {
                let mut hasher = blake3::Hasher::new_keyed(key.expose());
                decimal::canonical(number, |byte| {
                    hasher.update(&[byte]);
                });
                self.write_hash(hasher.finalize(), out);
            }
            (_, Scalar::Text(text) | Scalar::Number(text)) => {
                let Some(canonical) = self.canonical(text) else { return Outcome::Mismatch };
                self.write(canonical.as_bytes(), key, context, out);
            }
        }
        Outcome::Replaced
    }

    /// The canonical spelling of what the value is taken for; `None` if it is none.
    fn canonical(&self, text: &str) -> Option<Canonical> {
        match self.form {
            Form::Text => None,
            Form::Email => Email::read(text)?.canonical(),
            Form::Phone(country) => {
                let length = country.iter().take_while(|digit| **digit != 0).count();
                canonical::phone(text, &country[..length])
            }
            Form::Ip => canonical::ip(text),
        }
    }

    /// Writes the pseudonym of a canonical value.
    #[inline]
    fn write(
        &self,
        value: &[u8],
        key: &PseudonymKey,
        context: &mut Context<'_>,
        out: &mut Out<'_>,
    ) {
        let waiting = context.waiting.as_deref_mut();
        if let Some(prefix) = &self.prefix.plain {
            let length = self.prefix.text.len();
            let hash = hash_at(out.start() + length, value, key, waiting);
            return out.string((prefix, length), (&hash, HASH_CHARS));
        }
        out.open();
        out.push(&self.prefix.text);
        push_hash(value, key, waiting, out);
        out.close();
    }

    fn write_hash(&self, hash: blake3::Hash, out: &mut Out<'_>) {
        out.open();
        out.push(&self.prefix.text);
        out.push_plain(&spell_hash(shown(hash)));
        out.close();
    }
}

/// Writes the hash of a canonical value, or keeps its place free until enough wait.
#[inline]
pub(super) fn push_hash(
    value: &[u8],
    key: &PseudonymKey,
    waiting: Option<&mut Waiting>,
    out: &mut Out<'_>,
) {
    out.push_plain(&hash_at(out.mark(), value, key, waiting));
}

/// What is to be written to `place` for the hash of a canonical value: it, or zeros while it waits.
#[inline(always)]
fn hash_at(
    place: usize,
    value: &[u8],
    key: &PseudonymKey,
    waiting: Option<&mut Waiting>,
) -> [u8; HASH_CHARS] {
    match waiting {
        Some(waiting) if value.len() <= VALUE_BYTES_MAX => {
            waiting.push(key.expose(), value, place);
            [b'0'; HASH_CHARS]
        }
        _ => spell_hash(shown(blake3::keyed_hash(key.expose(), value))),
    }
}

/// As much of a hash as a pseudonym shows.
fn shown(hash: blake3::Hash) -> [u8; HASH_BYTES] {
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// A hash as pseudonyms show it: RFC 4648 section 7, lower case, unpadded.
#[must_use]
pub fn spell_hash(hash: [u8; HASH_BYTES]) -> [u8; HASH_CHARS] {
    let bits = u128::from_be_bytes(hash);
    let mut spelled = [0; HASH_CHARS];
    for (chars, shift) in spelled.chunks_mut(8).zip([88, 48, 8]) {
        chars.copy_from_slice(&spell_eight((bits >> shift) as u64));
    }
    // 26 characters hold 130 bits: the last one's two lowest bits are zero.
    spelled[24..].copy_from_slice(&spell_eight((bits as u64) << 32)[..2]);
    spelled
}

/// The lowest 40 bits as eight characters, all at once: halved until each has a byte of its own.
fn spell_eight(bits: u64) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let halves = (bits >> 20 & 0xf_ffff) << 32 | bits & 0xf_ffff;
    let quarters = (halves >> 10 & 0x3ff_0000_03ff) << 16 | halves & 0x3ff_0000_03ff;
    let digits = (quarters >> 5 & 0x1f_001f_001f_001f) << 8 | quarters & 0x1f_001f_001f_001f;
    // From 10 on they are letters.
    let letters = (digits + EACH * 0x76) >> 7 & EACH;
    (digits + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Epoch, KeySource, Secret, Secrets};

    #[test]
    fn a_prefix_is_written_as_json_wants_it() {
        let source = KeySource::new(Secrets::from(Secret::new([7; 32])), "acme", Epoch::Never);
        let keys = source.keys(source.period(None).unwrap());
        let hash = spell_hash(shown(blake3::keyed_hash(keys.pseudonym().expose(), b"jane")));
        let hash = std::str::from_utf8(&hash).unwrap();
        for text in ["", "u_", "ü", "\"a\\", "a prefix of thirty-two bytes: all"] {
            let transform = Pseudonymize { prefix: Prefix::new(text).into(), form: Form::Text };
            for wait in [false, true] {
                let (mut bytes, mut waiting) = (b"before".to_vec(), Waiting::default());
                let wait = wait.then_some(&mut waiting);
                let mut context =
                    Context { keys: Some(&keys), waiting: wait, ..Context::default() };
                transform.apply(Scalar::Text("jane"), &mut context, &mut Out::json(&mut bytes));
                waiting.hash(|at, hash| {
                    bytes[at..at + HASH_CHARS].copy_from_slice(&spell_hash(hash));
                });
                let written: String = serde_json::from_slice(&bytes[6..]).unwrap();
                assert_eq!(written, format!("{text}{hash}"));
            }
        }
    }

    #[test]
    fn base32hex_is_the_library_s() {
        for seed in 0..200u8 {
            let hash = *blake3::hash(&[seed]).as_bytes().first_chunk().unwrap();
            let want = data_encoding::BASE32HEX_NOPAD.encode(&hash).to_lowercase();
            assert_eq!(spell_hash(hash), want.as_bytes());
        }
    }
}
