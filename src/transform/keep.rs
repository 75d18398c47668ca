//! `keep`: the value stays.

use super::{Example, Shows, Spec, Transform};

pub(super) static SPEC: Spec = Spec {
    name: "keep",
    about: "Leaves the value as it is.",
    doc: "Any kind of value stays, byte for byte; an object or array stays with all that is in it \
          (but for what an earlier rule names inside). Used before a broader rule to make an \
          exception, and with `unlisted: drop` to list what may get through.",
    params: &[],
    examples: &[
        Example { params: "", before: r#""a@b.example""#, after: r#""a@b.example""# },
        Example { params: "", before: r#"{"b": [1.0]}"#, after: r#"{"b": [1.0]}"# },
    ],
    needs_key: false,
    whole: true,
    shows: Shows::All,
    build: |_| Ok(Transform::Keep),
};
