//! `redact`: a fixed word in place of the value.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::{Container, Out, Scalar};

/// What stands in place of a redacted value.
pub const REDACTED: &str = "[redacted]";

/// What is put there, if it is not [`REDACTED`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Redact(Option<Box<Custom>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Custom {
    keep_kind: bool,
    text: Box<str>,
}

pub(super) static SPEC: Spec = Spec {
    name: "redact",
    about: "Puts `[redacted]` in the value's place.",
    doc: "Strings, numbers, `true` and `false` become the string `[redacted]`, or `text`; `null` \
          stays. An object or array is replaced whole, names included (but for what an earlier rule \
          leaves inside). With `keep_kind`, for readers who insist on a schema, only strings become \
          that text: numbers become `0`, `true` and `false` become `false`, objects `{}` and arrays \
          `[]`. What `mismatch: redact` puts is always `[redacted]`.",
    params: &[
        Param {
            name: "text",
            kind: Kind::Text { bytes_max: 64, default: REDACTED },
            doc: "what is put there; it may be empty",
        },
        Param { name: "keep_kind", kind: Kind::Flag, doc: "a number stays a number, and so on" },
    ],
    examples: &[
        Example { params: "", before: r#""a@b.example""#, after: r#""[redacted]""# },
        Example { params: "", before: "4711", after: r#""[redacted]""# },
        Example { params: "", before: "null", after: "null" },
        Example { params: "", before: r#"{"b": [1.0]}"#, after: r#""[redacted]""# },
        Example { params: "text: gone", before: "true", after: r#""gone""# },
        Example { params: "keep_kind: true", before: "4711", after: "0" },
        Example { params: "keep_kind: true", before: "[1, 2]", after: "[]" },
    ],
    needs_key: false,
    whole: true,
    shows: Shows::Nothing,
    build: |args| {
        let mut args = Args::new(args);
        let (text, keep_kind) = (args.text(), args.flag());
        let custom = keep_kind || text != REDACTED;
        let custom = custom.then(|| Custom { keep_kind, text: text.into() }.into());
        Ok(Transform::Redact(Redact(custom)))
    },
};

impl Redact {
    pub(super) fn apply(&self, value: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
        let of_its_kind = match value {
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Text(_) => None,
            Scalar::Number(_) => Some("0"),
            Scalar::Bool(_) => Some("false"),
        };
        self.write(of_its_kind, out)
    }

    pub(super) fn apply_whole(&self, container: Container, out: &mut Out<'_>) -> Outcome {
        let empty = match container {
            Container::Object => "{}",
            Container::Array => "[]",
        };
        self.write(Some(empty), out)
    }

    fn write(&self, of_its_kind: Option<&str>, out: &mut Out<'_>) -> Outcome {
        match (self.0.as_deref(), of_its_kind) {
            (None, _) => return write(out),
            (Some(Custom { keep_kind: true, .. }), Some(spelling)) => {
                out.number(spelling.as_bytes());
            }
            (Some(Custom { text, .. }), _) => {
                out.open();
                out.push(text);
                out.close();
            }
        }
        Outcome::Replaced
    }
}

/// Writes the word that everybody knows.
pub(super) fn write(out: &mut Out<'_>) -> Outcome {
    const WORD: &[u8; REDACTED.len()] = REDACTED.as_bytes().first_chunk().unwrap();
    out.string((WORD, WORD.len()), (b"", 0));
    Outcome::Replaced
}
