//! `tokenize`: a value becomes a token that those with the secret can read back.

use super::{Context, Example, Outcome, Shows, Spec, Transform};
use crate::format::{Out, Scalar};
use crate::keys::{Cipher, TOKEN_PREFIX, TokenKind};

pub(super) static SPEC: Spec = Spec {
    name: "tokenize",
    about: "Puts a token in the value's place that those with the secret can read back.",
    doc: "Strings and numbers become `tok1_` and letters, digits, `-` and `_`: the value, encrypted \
          and authenticated (AES-SIV, RFC 5297) with a key derived from the policy's `key` for tenant \
          and epoch. The same value has the same token within them. `limpid reveal` reads a token \
          back; its layout is in docs/KEYS.md. A value of more than 1024 bytes is a mismatch, as are \
          `true` and `false`; `null` stays. The length shows: a token has 48 characters and 4 more \
          for each 3 bytes of the value.",
    params: &[],
    examples: &[
        Example { params: "", before: r#""4111111111111111""#, after: r#""tok1_…""# },
        Example { params: "", before: "42", after: r#""tok1_…""# },
        Example { params: "", before: "false", after: r#""[redacted]""# },
    ],
    needs_key: true,
    whole: false,
    shows: Shows::AllWithKey,
    build: |_| Ok(Transform::Tokenize),
};

pub(super) fn apply(value: Scalar<'_>, context: &Context<'_>, out: &mut Out<'_>) -> Outcome {
    let (kind, text) = match value {
        Scalar::Text(text) => (TokenKind::Text, text),
        Scalar::Number(number) => (TokenKind::Number, number),
        Scalar::Null => return Outcome::Unchanged,
        Scalar::Bool(_) => return Outcome::Mismatch,
    };
    match seal(kind, text, context, out) {
        Some(()) => Outcome::Replaced,
        None => Outcome::Mismatch,
    }
}

fn seal(kind: TokenKind, text: &str, context: &Context<'_>, out: &mut Out<'_>) -> Option<()> {
    let tokens = context.keys?.cipher(|cipher| match cipher {
        Cipher::Token(tokens) => Some(tokens),
        _ => None,
    })?;
    out.open();
    out.push_plain(TOKEN_PREFIX.as_bytes());
    tokens.seal(kind, text, |chars| out.push_plain(chars))?;
    out.close();
    Some(())
}
