//! `drop`: the value goes.

use super::{Example, Shows, Spec, Transform};

pub(super) static SPEC: Spec = Spec {
    name: "drop",
    about: "Takes the value out, with its name.",
    doc: "Any kind of value goes: a member with its name, an element of an array, an object or \
          array with all that is in it (but for what an earlier rule leaves inside), the record's \
          key, or a header.",
    params: &[],
    examples: &[
        Example { params: "", before: r#""a@b.example""#, after: "" },
        Example { params: "", before: "null", after: "" },
        Example { params: "", before: r#"{"b": [1.0]}"#, after: "" },
    ],
    needs_key: false,
    whole: true,
    shows: Shows::Nothing,
    build: |_| Ok(Transform::Drop),
};
