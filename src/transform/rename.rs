//! `rename`: a member gets another name.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::{Out, Scalar};

pub(super) static SPEC: Spec = Spec {
    name: "rename",
    about: "Gives a member another name; what becomes of its value, other rules decide.",
    doc: "The path's last step is the member's name. The value is decided by the first rule of another \
          kind that names it, and rules go on to name it as it came: the new name is only written. \
          Nothing that `unlisted` takes stays because it is renamed.\n\n\
          If the object has a member of the new name already, the record is withheld \
          (`mismatch`): of two of one name readers keep one, and which would be chance.",
    params: &[Param {
        name: "to",
        kind: Kind::Text { bytes_max: 128, default: "" },
        doc: "the new name; must be given",
    }],
    examples: &[
        Example { params: "to: y", before: "[1, null]", after: r#""y": [1, null]"# },
        Example { params: "to: x", before: "1", after: "1" },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::All,
    build: |args| match Args::new(args).text() {
        "" => Err("`rename` needs the new name: add `to: NAME`".into()),
        to => Ok(Transform::Rename(to.into())),
    },
};

/// Writes the new name in the place of the old one.
pub(super) fn apply(to: &str, name: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
    if matches!(name, Scalar::Text(name) if name == to) {
        return Outcome::Unchanged;
    }
    out.open();
    out.push(to);
    out.close();
    Outcome::Replaced
}
