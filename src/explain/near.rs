//! Paths that name nothing in an event, and what they may have meant.
//!
//! The commonest slips are a name's spelling (`userId` for `user_id`, another case) and its place
//! (`email` for `user.email`). A slip is only told if the mended path does name something: the
//! caller lets the kernel's walk say so.

use super::event::{Node, Step};
use crate::document::nearest;
use crate::format::paths::Segment;
use std::collections::BTreeSet;

/// The names of members in an event.
pub(super) fn names(nodes: &[Node]) -> BTreeSet<&str> {
    let steps = nodes.iter().filter_map(|node| node.path.0.last());
    steps
        .filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Element(_) => None,
        })
        .collect()
}

/// Paths like this one, the likeliest first: its names spelt as the event spells them; the same
/// last name at any depth.
pub(super) fn alternatives(segments: &[Segment], names: &BTreeSet<&str>) -> Vec<Vec<Segment>> {
    let respelt: Vec<Segment> = segments.iter().map(|segment| respelt(segment, names)).collect();
    let anywhere = respelt.last().filter(|last| matches!(last, Segment::Name(_)));
    let anywhere = anywhere.map(|last| vec![Segment::AnyDepth, last.clone()]);
    let respelt = (respelt != segments).then_some(respelt);
    respelt.into_iter().chain(anywhere).collect()
}

fn respelt(segment: &Segment, names: &BTreeSet<&str>) -> Segment {
    match segment {
        Segment::Name(name) if !names.contains(&**name) => {
            let alike = names.iter().copied().find(|known| folded(known) == folded(name));
            let meant = alike.or_else(|| nearest(name, names.iter().copied()));
            Segment::Name(meant.unwrap_or(name).into())
        }
        other => other.clone(),
    }
}

/// A name without its case, dashes, underscores and spaces.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !"-_ ".contains(*c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_the_event_spells_them() {
        let names: BTreeSet<&str> = ["user_id", "email", "Geo"].into();
        let name = |name: &str| Segment::Name(name.into());
        for (written, meant) in [("userId", "user_id"), ("emial", "email"), ("geo", "Geo")] {
            let found = alternatives(&[name(written)], &names);
            assert_eq!(found, [vec![name(meant)], vec![Segment::AnyDepth, name(meant)]]);
        }
        assert_eq!(alternatives(&[name("email")], &names).len(), 1);
        assert!(alternatives(&[Segment::AnyName], &names).is_empty());
    }
}
