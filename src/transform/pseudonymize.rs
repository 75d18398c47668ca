//! `pseudonymize`: the same person stays the same, and nobody knows who.
//!
//! `prefix + base32hex-lower-unpadded(BLAKE3-keyed(K, canonical value)[..16])`, 26 characters
//! behind the prefix. The canonical value of text is its UTF-8 bytes; of a number see
//! [`decimal::canonical`], so that 42, 42.0 and "42" agree. This is a contract: `tests/vectors`.

use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::{Out, Scalar};
use crate::hash::{HASH_BYTES, VALUE_BYTES_MAX};
use crate::keys::PseudonymKey;
use std::sync::Arc;

/// Length of a hash in base32: five bits a character.
pub const HASH_CHARS: usize = (HASH_BYTES * 8).div_ceil(5);

/// What stands before the hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pseudonymize {
    prefix: Arc<str>,
}

pub(super) static SPEC: Spec = Spec {
    name: "pseudonymize",
    about: "Puts a pseudonym in the value's place: the same for the same value, tenant and epoch.",
    doc: "Strings and numbers become `prefix` and 26 letters and digits, made with the policy's \
          `key`: the same for the same value, tenant and epoch, over topics and fields; unlinkable \
          without the key. The number 42 and the string \"42\" agree. `null` stays; `true` and \
          `false` are a mismatch.",
    params: &[Param {
        name: "prefix",
        kind: Kind::Text { bytes_max: 32 },
        doc: "text before the pseudonym, such as `u_`",
    }],
    examples: &[
        Example { params: "prefix: u_", before: r#""42""#, after: r#""u_…""# },
        Example { params: "", before: "42", after: r#""…""# },
        Example { params: "", before: "true", after: r#""[redacted]""# },
    ],
    needs_key: true,
    whole: false,
    shows: Shows::Sameness,
    build: |args| {
        let prefix = Args::new(args).text();
        Ok(Transform::Pseudonymize(Pseudonymize { prefix: prefix.into() }))
    },
};

impl Pseudonymize {
    pub(super) fn apply(
        &self,
        value: Scalar<'_>,
        context: &mut Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        // No key is a fault that the policy's check refuses; here it must not become a leak.
        let Some(key) = context.pseudonym_key else { return Outcome::Mismatch };
        match value {
            Scalar::Text(text) => self.write(text.as_bytes(), key, context, out),
            Scalar::Number(number) if decimal::is_plain_integer(number) => {
                self.write(number.as_bytes(), key, context, out);
            }
            Scalar::Number(number) => {
                let mut hasher = blake3::Hasher::new_keyed(key.expose());
                decimal::canonical(number, |byte| {
                    hasher.update(&[byte]);
                });
                self.write_hash(hasher.finalize(), out);
            }
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Bool(_) => return Outcome::Mismatch,
        }
        Outcome::Replaced
    }

    /// Writes the pseudonym of a canonical value, or keeps its place free until enough wait.
    #[inline]
    fn write(
        &self,
        value: &[u8],
        key: &PseudonymKey,
        context: &mut Context<'_>,
        out: &mut Out<'_>,
    ) {
        match &mut context.waiting {
            Some(waiting) if value.len() <= VALUE_BYTES_MAX => {
                out.open();
                out.push(&self.prefix);
                waiting.push(key.expose(), value, out.mark());
                out.push_plain(&[b'0'; HASH_CHARS]);
                out.close();
            }
            _ => self.write_hash(blake3::keyed_hash(key.expose(), value), out),
        }
    }

    fn write_hash(&self, hash: blake3::Hash, out: &mut Out<'_>) {
        let shown = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        out.open();
        out.push(&self.prefix);
        out.push_plain(&spell_hash(shown));
        out.close();
    }
}

/// A hash as pseudonyms show it: RFC 4648 section 7, lower case, unpadded.
#[must_use]
pub fn spell_hash(hash: [u8; HASH_BYTES]) -> [u8; HASH_CHARS] {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let bits = u128::from_be_bytes(hash);
    // 26 characters hold 130 bits: the last one's two lowest bits are zero.
    std::array::from_fn(|number| {
        let shift = 123 - 5 * i32::try_from(number).unwrap_or(0);
        let digit = if shift >= 0 { bits >> shift } else { bits << -shift };
        DIGITS[(digit & 31) as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32hex_is_the_library_s() {
        for seed in 0..200u8 {
            let hash = *blake3::hash(&[seed]).as_bytes().first_chunk().unwrap();
            let want = data_encoding::BASE32HEX_NOPAD.encode(&hash).to_lowercase();
            assert_eq!(spell_hash(hash), want.as_bytes());
        }
    }
}
