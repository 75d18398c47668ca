//! `set`: a constant in place of the value.

use super::{Args, Constant, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;

/// What is put there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Set {
    to: Box<Constant>,
}

pub(super) static SPEC: Spec = Spec {
    name: "set",
    about: "Puts a constant in the value's place.",
    doc: "Any kind of value becomes what `to` says: text, a number as it is spelled, `true`, `false` \
          or `null`. `null` is replaced too, so that what comes out tells nothing of what was \
          there. An object or array is replaced whole (but for what an earlier rule names \
          inside). A record's key and headers are text: there `to: 0` puts the character `0`.",
    params: &[Param { name: "to", kind: Kind::Constant, doc: "what is put in the value's place" }],
    examples: &[
        Example { params: "to: hidden", before: r#""a@b.example""#, after: r#""hidden""# },
        Example { params: "to: 0", before: r#""4711""#, after: "0" },
        Example { params: "to: null", before: "true", after: "null" },
        Example { params: "to: false", before: "null", after: "false" },
        Example { params: r#"to: """#, before: r#"{"b": [1.0]}"#, after: r#""""# },
    ],
    needs_key: false,
    whole: true,
    shows: Shows::Nothing,
    build: |args| Ok(Transform::Set(Set { to: Args::new(args).constant().into() })),
};

impl Set {
    pub(super) fn write(&self, out: &mut Out<'_>) -> Outcome {
        match &*self.to {
            Constant::Bare(spelling) => out.number(spelling.as_bytes()),
            Constant::Text(text) => {
                out.open();
                out.push(text);
                out.close();
            }
        }
        Outcome::Replaced
    }
}
