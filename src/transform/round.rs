//! `round`: a number keeps so many decimals. On the decimal text: no binary float comes near it.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::Out;

/// Decimals that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Round {
    digits: usize,
}

pub(super) static SPEC: Spec = Spec {
    name: "round",
    about: "Rounds a number to so many decimals.",
    doc: "Numbers, and strings that are one, are rounded to the nearest with `digits` decimals, \
          ties away from zero; a string stays a string. What has no more decimals and no exponent \
          stays as it is spelled. `null` stays; anything else is a mismatch.",
    params: &[Param {
        name: "digits",
        kind: Kind::Int { min: 0, max: decimal::DECIMALS_MAX as i64, default: Some(0) },
        doc: "decimals that stay",
    }],
    examples: &[
        Example { params: "digits: 1", before: "52.52437", after: "52.5" },
        Example { params: "digits: 1", before: r#""-13.35""#, after: r#""-13.4""# },
        Example { params: "digits: 2", before: "52.5", after: "52.5" },
        Example { params: "", before: "1.5e1", after: "15" },
        Example { params: "", before: r#""far""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| Ok(Transform::Round(Round { digits: Args::new(args).size() })),
};

impl Round {
    /// Digits.
    pub(super) fn keeps(self) -> [u32; 3] {
        [u32::try_from(self.digits).unwrap_or(u32::MAX), 0, 0]
    }

    #[inline(always)]
    pub(super) fn apply(self, text: &str, quoted: bool, out: &mut Out<'_>) -> Outcome {
        if let Some(bytes) = out.chunk(text)
            && let Some((kept, last)) = decimal::cut(bytes, text.len(), self.digits)
        {
            match quoted {
                true => out.string((bytes, kept), (&[last], 1)),
                false => out.bare((bytes, kept), (&[last], 1)),
            }
            return Outcome::Replaced;
        }
        self.any(text, quoted, out)
    }

    /// [`Self::apply`] for any number.
    #[inline(never)]
    fn any(self, text: &str, quoted: bool, out: &mut Out<'_>) -> Outcome {
        let rounded = decimal::round(text, self.digits, |rounded| {
            if quoted {
                out.open();
                out.push_plain(rounded);
                out.close();
            } else {
                out.number(rounded);
            }
        });
        rounded.map_or(Outcome::Unchanged, |()| Outcome::Replaced)
    }
}
