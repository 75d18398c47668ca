//! `redact`: a fixed word in place of the value.

use super::{Example, Outcome, Shows, Spec, Transform};
use crate::format::{Out, Scalar};

/// What stands in place of a redacted value.
pub const REDACTED: &[u8] = b"[redacted]";

pub(super) static SPEC: Spec = Spec {
    name: "redact",
    about: "Puts `[redacted]` in the value's place.",
    doc: "Strings, numbers, `true` and `false` become the string `[redacted]`; `null` stays. An \
          object or array is replaced whole, names included (but for what an earlier rule leaves \
          inside).",
    params: &[],
    examples: &[
        Example { params: "", before: r#""a@b.example""#, after: r#""[redacted]""# },
        Example { params: "", before: "4711", after: r#""[redacted]""# },
        Example { params: "", before: "null", after: "null" },
        Example { params: "", before: r#"{"b": [1.0]}"#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: true,
    shows: Shows::Nothing,
    build: |_| Ok(Transform::Redact),
};

/// Redacts a scalar.
pub(super) fn apply(value: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
    if matches!(value, Scalar::Null) {
        return Outcome::Unchanged;
    }
    write(out)
}

/// Writes the replacement.
pub(super) fn write(out: &mut Out<'_>) -> Outcome {
    out.open();
    out.push_plain(REDACTED);
    out.close();
    Outcome::Replaced
}
