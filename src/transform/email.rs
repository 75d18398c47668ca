//! `email`: a mail address keeps its domain.

use super::canonical::Email;
use super::pseudonymize::push_hash;
use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;
use crate::keys::EpochKeys;

/// What becomes of the part before the `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Local {
    /// Three stars.
    Mask,
    /// It goes, and the `@` with it.
    Drop,
    /// The pseudonym of the address.
    Hash,
}

pub(super) static SPEC: Spec = Spec {
    name: "email",
    about: "Leaves the domain of a mail address.",
    doc: "A string that is one mail address keeps its domain as it is spelled. The part before the `@` \
          becomes `***`, however long it is (`local: mask`), goes with the `@` (`drop`), or becomes the \
          pseudonym of the whole address (`hash`, which needs the policy's `key`): the same 26 \
          characters that `pseudonymize` with `as: email` makes of it. Spaces around go. A domain can \
          be somebody's too. `null` stays; anything else (a name beside the address, several addresses, \
          no address) is a mismatch.",
    params: &[Param {
        name: "local",
        kind: Kind::Word { of: &["mask", "drop", "hash"], default: "mask" },
        doc: "what becomes of the part before the `@`",
    }],
    examples: &[
        Example { params: "", before: r#""jane@mail.example""#, after: r#""***@mail.example""# },
        Example { params: "local: drop", before: r#""j@x.example""#, after: r#""x.example""# },
        Example { params: "local: hash", before: r#""j@x.example""#, after: r#""…@x.example""# },
        Example { params: "", before: r#""Jane <j@x.example>""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        Ok(Transform::Email(match Args::new(args).word() {
            "drop" => Local::Drop,
            "hash" => Local::Hash,
            _ => Local::Mask,
        }))
    },
};

impl Local {
    pub(super) fn apply(self, text: &str, context: &mut Context<'_>, out: &mut Out<'_>) -> Outcome {
        let Some(email) = Email::read(text) else { return Outcome::Mismatch };
        match self.write(&email, context, out) {
            Some(()) => Outcome::Replaced,
            None => Outcome::Mismatch,
        }
    }

    fn write(self, email: &Email<'_>, context: &mut Context<'_>, out: &mut Out<'_>) -> Option<()> {
        out.open();
        match self {
            Self::Mask => out.push_plain(b"***@"),
            Self::Drop => {}
            Self::Hash => {
                let key = context.keys.map(EpochKeys::pseudonym)?;
                push_hash(email.canonical()?.as_bytes(), key, context.waiting.as_deref_mut(), out);
                out.push_plain(b"@");
            }
        }
        out.push_piece(email.domain);
        out.close();
        Some(())
    }
}
