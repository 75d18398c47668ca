//! Single fields of a record that are read before anything is edited: what conditions test, and
//! whose times a `date` moves.

use super::{HeaderName, Place};
use crate::format::paths::{OnContainer, Paths, RulePath, TooManyStates};
use crate::record::Part;

/// Where some fields are. Each has a number, from 0 in the order in which they were given.
#[derive(Debug)]
pub struct Fields {
    /// Those in the record's value; their rules are their numbers. `None` if there are none.
    pub value: Option<Paths>,
    /// The same in the record's key.
    pub in_key: Option<Paths>,
    /// The number of the record's key as one value.
    pub key: Option<usize>,
    /// The headers with their numbers.
    pub headers: Vec<(HeaderName, usize)>,
    /// How many fields there are.
    pub count: usize,
}

impl Fields {
    /// The fields at these places, none of which leads through another.
    ///
    /// # Errors
    /// As [`Paths::compile`].
    pub fn at(places: &[Place]) -> Result<Self, TooManyStates> {
        let headers = places.iter().enumerate().filter_map(|(number, place)| match place {
            Place::Header(name) => Some((name.clone(), number)),
            _ => None,
        });
        Ok(Self {
            value: paths(places, Part::Value)?,
            in_key: paths(places, Part::Key)?,
            key: places.iter().position(|place| *place == Place::Key),
            headers: headers.collect(),
            count: places.len(),
        })
    }
}

/// The tables for the fields in a part of the record. Containers are seen too.
fn paths(places: &[Place], part: Part) -> Result<Option<Paths>, TooManyStates> {
    let on_container = OnContainer::Take;
    let path = |(place, rule): (&Place, _)| {
        let segments = place.steps_in(part)?.to_vec();
        Some(RulePath { rule, on_container, segments })
    };
    let paths: Vec<RulePath> = places.iter().zip(0..).filter_map(path).collect();
    if paths.is_empty() { Ok(None) } else { Paths::compile(&paths).map(Some) }
}

/// Two fields of which the second is inside the first: no record can answer for both.
pub(super) fn nested(fields: &[Place]) -> Option<(&Place, &Place)> {
    let inside = |inner: &Place, outer: &Place| match (inner, outer) {
        (Place::In(part, inner), Place::In(other, outer)) => {
            part == other && inner.len() > outer.len() && inner.starts_with(outer)
        }
        _ => false,
    };
    fields.iter().find_map(|outer| {
        let inner = fields.iter().find(|inner| inside(inner, outer))?;
        Some((outer, inner))
    })
}
