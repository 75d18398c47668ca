//! `pseudonymize`: the same person stays the same, and nobody knows who.
//!
//! `prefix + base32hex-lower-unpadded(BLAKE3-keyed(K, canonical value)[..16])`, 26 characters
//! behind the prefix. The canonical value of text is its UTF-8 bytes; of a number see
//! [`decimal::canonical`], so that 42, 42.0 and "42" agree. This is a contract: `tests/vectors`.

use super::{Args, Context, Example, Kind, Outcome, Param, Spec, Transform, decimal};
use crate::format::{Out, Scalar};
use std::sync::Arc;

/// Bytes of the hash that a pseudonym shows. 128 bits: no two values meet by chance.
const SHOWN_BYTES: usize = 16;
/// Their length in base32: five bits a character.
const SHOWN_CHARS: usize = (SHOWN_BYTES * 8).div_ceil(5);

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
    build: |args| {
        let prefix = Args::new(args).text();
        Ok(Transform::Pseudonymize(Pseudonymize { prefix: prefix.into() }))
    },
};

impl Pseudonymize {
    pub(super) fn apply(
        &self,
        value: Scalar<'_>,
        context: Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        // No key is a fault that the policy's check refuses; here it must not become a leak.
        let Some(key) = context.pseudonym_key else { return Outcome::Mismatch };
        let hash = match value {
            Scalar::Text(text) => blake3::keyed_hash(key.expose(), text.as_bytes()),
            Scalar::Number(number) if decimal::is_plain_integer(number) => {
                blake3::keyed_hash(key.expose(), number.as_bytes())
            }
            Scalar::Number(number) => {
                let mut hasher = blake3::Hasher::new_keyed(key.expose());
                decimal::canonical(number, |byte| {
                    hasher.update(&[byte]);
                });
                hasher.finalize()
            }
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Bool(_) => return Outcome::Mismatch,
        };
        out.open();
        out.push(&self.prefix);
        out.push_plain(&base32hex(hash.as_bytes()));
        out.close();
        Outcome::Replaced
    }
}

/// RFC 4648 section 7, lower case, unpadded, of the first 16 bytes.
fn base32hex(hash: &[u8; 32]) -> [u8; SHOWN_CHARS] {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut shown = [0; SHOWN_BYTES];
    shown.copy_from_slice(&hash[..SHOWN_BYTES]);
    let bits = u128::from_be_bytes(shown);
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
            let hash = *blake3::hash(&[seed]).as_bytes();
            let want = data_encoding::BASE32HEX_NOPAD.encode(&hash[..16]).to_lowercase();
            assert_eq!(base32hex(&hash), want.as_bytes());
        }
    }
}
