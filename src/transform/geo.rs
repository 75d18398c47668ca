//! `geo`: a position becomes the middle of its cell in a grid.
//!
//! Cells are at least so many metres wide and high everywhere: bands of latitude, each cut into as
//! many columns as fit where it is nearest to its pole. In whole millionths of a degree, by a table of
//! cosines made at compile time: what a program's cosine of a float is differs from machine to
//! machine, and a record read again must get the same bytes.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform, decimal};
use crate::format::{Out, Scalar};

/// How large cells are, and what a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geo {
    grid_metres: u32,
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    Pair,
    Lat,
    Lon,
}

pub(super) static SPEC: Spec = Spec {
    name: "geo",
    about: "Puts the middle of a grid's cell in a position's place.",
    doc: "`of: pair` takes strings of latitude and longitude in degrees, `52.52437, 13.41053`: both become \
          those of the middle of a cell, at least `grid_metres` high and wide wherever it lies. `of: lat` \
          and `of: lon` take the two where they stand apart, as numbers or as strings that are one. A \
          longitude alone does not tell how wide a degree is: cells are made wide enough for 60° north \
          and south, twice as wide as asked for at the equator, and narrower than that nearer to the \
          poles: use a pair, or a larger grid, there. Four decimals are written. `null` stays; \
          what is out of range (90°, 180°) or anything else is a mismatch.",
    params: &[
        Param {
            name: "grid_metres",
            kind: Kind::Int { min: 100, max: 1_000_000, default: None },
            doc: "height and width of a cell at least",
        },
        Param {
            name: "of",
            kind: Kind::Word { of: &["pair", "lat", "lon"], default: "pair" },
            doc: "what the value is",
        },
    ],
    examples: &[
        Example {
            params: "grid_metres: 1000",
            before: r#""52.52437,13.41053""#,
            after: r#""52.5258,13.4133""#,
        },
        Example { params: "grid_metres: 10000\nof: lat", before: "52.52437", after: "52.5337" },
        Example { params: "grid_metres: 1000", before: r#""Berlin""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let mut args = Args::new(args);
        let grid_metres = u32::try_from(args.int()).unwrap_or(u32::MAX);
        let of = match args.word() {
            "lat" => Of::Lat,
            "lon" => Of::Lon,
            _ => Of::Pair,
        };
        Ok(Transform::Geo(Geo { grid_metres, of }))
    },
};

/// Millionths of a degree.
type Micro = i64;

const LAT_MAX: Micro = 90_000_000;
const LON_MAX: Micro = 180_000_000;
/// Metres in a degree of latitude, on a sphere of the Earth's mean radius of 6,371,008.8 m.
const DEGREE_METRES: i64 = 111_195;

impl Geo {
    pub(super) fn apply(self, value: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
        match value {
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Bool(_) => None,
            Scalar::Number(number) => self.coordinate(number).map(|after| push(after, out)),
            Scalar::Text(text) if self.of == Of::Pair => self.pair(text).map(|(lat, lon)| {
                out.open();
                push(lat, out);
                out.push_plain(b",");
                push(lon, out);
                out.close();
            }),
            Scalar::Text(text) => self.coordinate(text).map(|after| {
                out.open();
                push(after, out);
                out.close();
            }),
        }
        .map_or(Outcome::Mismatch, |()| Outcome::Replaced)
    }

    fn pair(self, text: &str) -> Option<(Micro, Micro)> {
        let (lat, lon) = text.split_once(',')?;
        let (lat, lon) =
            (read(lat.trim_matches(' '), LAT_MAX)?, read(lon.trim_matches(' '), LON_MAX)?);
        let (bottom, top) = cell(lat, LAT_MAX, self.height());
        let width = self.width(bottom.abs().max(top.abs()));
        let (left, right) = cell(lon, LON_MAX, width);
        Some((middle(bottom, top), middle(left, right)))
    }

    fn coordinate(self, text: &str) -> Option<Micro> {
        let (value, end, size) = match self.of {
            Of::Pair => return None,
            Of::Lat => (read(text, LAT_MAX)?, LAT_MAX, self.height()),
            Of::Lon => (read(text, LON_MAX)?, LON_MAX, self.width(60_000_000)),
        };
        let (low, high) = cell(value, end, size);
        Some(middle(low, high))
    }

    /// Height of a cell at least.
    fn height(self) -> Micro {
        div_ceil(i64::from(self.grid_metres) * 1_000_000, DEGREE_METRES)
    }

    /// Width of a cell at least, that far from the equator.
    fn width(self, lat: Micro) -> Micro {
        let degree = usize::try_from(div_ceil(lat, 1_000_000)).unwrap_or(90).min(90);
        match COSINES[degree] {
            0 => 2 * LON_MAX,
            cosine => div_ceil(self.height() * 1_000_000, cosine),
        }
    }
}

/// Rounded up, for positive numbers.
const fn div_ceil(number: i64, by: i64) -> i64 {
    (number + by - 1) / by
}

/// A coordinate's floor; `None` if it is none or out of range.
fn read(text: &str, end: Micro) -> Option<Micro> {
    decimal::is_number(text).then_some(())?;
    let micro = Micro::try_from(decimal::floor_of(text, 6)?).ok()?;
    (-end..=end).contains(&micro).then_some(micro)
}

/// The cell of a value, where all between `-end` and `end` is cut into equal ones of at least `size`.
fn cell(value: Micro, end: Micro, size: Micro) -> (Micro, Micro) {
    let count = (2 * end / size).max(1);
    let index = ((value + end) * count / (2 * end)).min(count - 1);
    let edge = |index| 2 * end * index / count - end;
    (edge(index), edge(index + 1))
}

const fn middle(low: Micro, high: Micro) -> Micro {
    (low + high) / 2
}

/// Writes degrees with four decimals.
fn push(micro: Micro, out: &mut Out<'_>) {
    let units = micro / 100;
    if units < 0 {
        out.number(b"-");
    }
    let (whole, rest) = (units.unsigned_abs() / 10_000, units.unsigned_abs() % 10_000);
    decimal::integer(whole.into(), |digit| out.number(&[digit]));
    let digit = |by: u64| b'0' + (rest / by % 10) as u8;
    out.number(&[b'.', digit(1000), digit(100), digit(10), digit(1)]);
}

/// Cosines of the whole degrees from 0 to 90, in millionths, to the nearest.
static COSINES: [i64; 91] = {
    let mut table = [0; 91];
    let mut degree = 0;
    while degree <= 90 {
        let angle = degree as f64 * std::f64::consts::PI / 180.0;
        // The cosine's series; the terms that are left out are below 10^-12.
        let (mut term, mut sum, mut n) = (1.0, 1.0, 0.0);
        while n < 20.0 {
            term *= -angle * angle / ((n + 1.0) * (n + 2.0));
            sum += term;
            n += 2.0;
        }
        table[degree] = (sum * 1e6 + 0.5) as i64;
        degree += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cosines_are_those_of_the_library() {
        for (degree, cosine) in COSINES.iter().enumerate() {
            let want = ((degree as f64).to_radians().cos() * 1e6).round() as i64;
            assert_eq!(*cosine, want, "{degree}");
        }
    }

    fn metres(low: Micro, high: Micro) -> f64 {
        (high - low) as f64 / 1e6 * DEGREE_METRES as f64
    }

    proptest! {
        #[test]
        fn every_cell_is_large_enough_and_holds_its_positions(
            lat in -LAT_MAX..=LAT_MAX, lon in -LON_MAX..=LON_MAX, grid_metres in 100u32..1_000_000,
        ) {
            let geo = Geo { grid_metres, of: Of::Pair };
            let (bottom, top) = cell(lat, LAT_MAX, geo.height());
            prop_assert!((bottom..=top).contains(&lat));
            prop_assert!(metres(bottom, top) >= f64::from(grid_metres) - 0.2);
            let far = bottom.abs().max(top.abs());
            let (left, right) = cell(lon, LON_MAX, geo.width(far));
            prop_assert!((left..=right).contains(&lon));
            let around = (right - left) == 2 * LON_MAX;
            let width = metres(left, right) * (far as f64 / 1e6).to_radians().cos();
            prop_assert!(around || width >= f64::from(grid_metres) - 0.2, "{}", width);
        }
    }
}
