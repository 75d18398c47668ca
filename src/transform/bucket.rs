//! `bucket`: a number becomes the range that it lies in.
//!
//! Ranges begin and end at whole numbers, so the number's floor decides, and no binary float comes
//! near it. Ranges are half-open: each number lies in one.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::Out;

/// Largest size, and farthest edge.
const EDGE_MAX: i64 = 1_000_000_000_000_000;

/// How numbers are cut into ranges.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    cut: Box<Cut>,
    low: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Cut {
    Size(i128),
    /// Ascending.
    Edges(Vec<i128>),
}

/// From the first to before the second; `None` is without end.
type Range = (Option<i128>, Option<i128>);

pub(super) static SPEC: Spec = Spec {
    name: "bucket",
    about: "Puts the range in which a number lies in its place.",
    doc: "Numbers, and strings that are one, become a string: `30..40` is from 30 up to but not \
          including 40. With `size` all ranges are that wide, counted from 0; with `edges` they \
          lie between these numbers, and `<18` and `>=65` before and behind them. `as: low` puts \
          the range's lower end there, as a number (a string stays a string); what lies before the \
          first of the `edges` has none and is a mismatch. So is a number with more than 30 digits \
          before its point. `null` stays; anything else is a mismatch.",
    params: &[
        Param {
            name: "size",
            kind: Kind::Int { min: 0, max: EDGE_MAX, default: Some(0) },
            doc: "width of the ranges; this or `edges` must be given",
        },
        Param {
            name: "edges",
            kind: Kind::Ints { min: -EDGE_MAX, max: EDGE_MAX },
            doc: "where ranges begin, ascending",
        },
        Param {
            name: "as",
            kind: Kind::Word { of: &["range", "low"], default: "range" },
            doc: "what is written of the range",
        },
    ],
    examples: &[
        Example { params: "size: 10", before: "37.5", after: r#""30..40""# },
        Example { params: "size: 10\nas: low", before: "37.5", after: "30" },
        Example { params: "size: 10", before: "-1", after: r#""-10..0""# },
        Example { params: "edges: [18, 30, 65]", before: "42", after: r#""30..65""# },
        Example { params: "edges: [18, 30, 65]", before: r#""17.9""#, after: r#""<18""# },
        Example { params: "edges: [18, 30, 65]", before: "65", after: r#"">=65""# },
        Example { params: "size: 10", before: r#""forty""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let mut args = Args::new(args);
        let (size, edges) = (args.int(), args.ints());
        let cut = match (size, edges.is_empty()) {
            (0, true) => return Err("`bucket` needs `size`, 1 or more, or `edges`".into()),
            (1.., false) => return Err("`bucket` takes `size` or `edges`, not both".into()),
            (_, true) => Cut::Size(size.into()),
            (_, false) => Cut::Edges(edges.into_iter().map(i128::from).collect()),
        };
        match &cut {
            Cut::Edges(edges) if !edges.is_sorted_by(|one, next| one < next) => {
                Err("`edges` must ascend".into())
            }
            _ => Ok(Transform::Bucket(Bucket { cut: cut.into(), low: args.word() == "low" })),
        }
    },
};

impl Bucket {
    pub(super) fn apply(&self, text: &str, quoted: bool, out: &mut Out<'_>) -> Outcome {
        let Some(floor) = decimal::floor(text) else { return Outcome::Mismatch };
        let range = self.cut.range(floor);
        match (self.low, range.0) {
            (false, _) => write(range, out),
            (true, None) => return Outcome::Mismatch,
            (true, Some(low)) if quoted => {
                out.open();
                push(low, out);
                out.close();
            }
            (true, Some(low)) => push(low, out),
        }
        Outcome::Replaced
    }
}

impl Cut {
    /// The range of all numbers with this floor.
    fn range(&self, floor: i128) -> Range {
        match self {
            Self::Size(size) => {
                let low = floor.div_euclid(*size) * size;
                (Some(low), Some(low + size))
            }
            Self::Edges(edges) => {
                let next = edges.partition_point(|edge| *edge <= floor);
                let low = next.checked_sub(1).and_then(|low| edges.get(low));
                (low.copied(), edges.get(next).copied())
            }
        }
    }
}

fn write((low, high): Range, out: &mut Out<'_>) {
    out.open();
    match (low, high) {
        (Some(low), Some(high)) => {
            push(low, out);
            out.push_plain(b"..");
            push(high, out);
        }
        (Some(low), None) => {
            out.push_plain(b">=");
            push(low, out);
        }
        (None, high) => {
            out.push_plain(b"<");
            push(high.unwrap_or(0), out);
        }
    }
    out.close();
}

fn push(number: i128, out: &mut Out<'_>) {
    decimal::integer(number, |digit| out.push_plain(&[digit]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_one_range() {
        let cut = Cut::Edges(vec![-5, 0, 10]);
        for (floor, range) in [
            (-6, (None, Some(-5))),
            (-5, (Some(-5), Some(0))),
            (-1, (Some(-5), Some(0))),
            (0, (Some(0), Some(10))),
            (9, (Some(0), Some(10))),
            (10, (Some(10), None)),
        ] {
            assert_eq!(cut.range(floor), range, "{floor}");
        }
        for floor in -30..30 {
            let (low, high) = Cut::Size(7).range(floor);
            assert!(low.unwrap() <= floor && floor < high.unwrap());
            assert_eq!(low.unwrap() % 7, 0);
        }
    }

    #[test]
    fn sizes_and_edges_are_checked_together() {
        let built = |size, edges: &[i64]| {
            (SPEC.build)(&[Arg::Int(size), Arg::Ints(edges.into()), Arg::Word("range")]).is_ok()
        };
        use super::super::Arg;
        assert!(built(5, &[]) && built(0, &[1]) && built(0, &[1, 2]));
        assert!(!built(0, &[]) && !built(5, &[1]) && !built(0, &[2, 1]) && !built(0, &[1, 1]));
    }
}
