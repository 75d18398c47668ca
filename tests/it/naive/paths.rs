//! Which rules name a value: each path tried against the value's own path, by plain recursion.

use limpid::format::paths::Segment;

/// One step on the way from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Name(String),
    /// The element of that number.
    Element(usize),
}

/// Does `path` name the value at `steps`, or a container that it stands in?
pub fn names(path: &[Segment], steps: &[Step], is_array: bool, opaque: bool) -> bool {
    let above = (0..steps.len())
        .any(|length| ends_at(path, &steps[..length], is_element(&steps[length]), opaque));
    above || ends_at(path, steps, is_array, opaque)
}

const fn is_element(step: &Step) -> bool {
    matches!(step, Step::Element(_))
}

/// Does `path` lead exactly to the text at `steps`, or to a list that it is in?
pub fn leads_to_text(path: &[Segment], steps: &[Step]) -> bool {
    let elements = steps.iter().rev().take_while(|step| is_element(step)).count();
    (0..=elements).any(|above| ends_at(path, &steps[..steps.len() - above], above > 0, false))
}

/// Does `path` lead exactly to the member at `steps`, whatever its value is?
pub fn leads(path: &[Segment], steps: &[Step], opaque: bool) -> bool {
    matches!(steps.last(), Some(Step::Name(_))) && ends_at(path, steps, true, opaque)
}

/// Does `path` lead exactly to the value at `steps`? `is_array` says what that value is.
///
/// `opaque` is a flaw that the tests ask for: arrays are no longer transparent to names.
fn ends_at(path: &[Segment], steps: &[Step], is_array: bool, opaque: bool) -> bool {
    let Some((segment, rest)) = path.split_first() else { return steps.is_empty() };
    match segment {
        Segment::AnyElement => match steps.split_first() {
            Some((Step::Element(_), below)) => ends_at(rest, below, is_array, opaque),
            Some((Step::Name(_), _)) => ends_at(rest, steps, is_array, opaque),
            None => !is_array && ends_at(rest, steps, is_array, opaque),
        },
        Segment::Element(wanted) => match steps.split_first() {
            Some((Step::Element(number), below)) => {
                *number == usize::from(*wanted) && ends_at(rest, below, is_array, opaque)
            }
            Some((Step::Name(_), _)) => *wanted == 0 && ends_at(rest, steps, is_array, opaque),
            None => *wanted == 0 && !is_array && ends_at(rest, steps, is_array, opaque),
        },
        Segment::Name(_) | Segment::AnyName => match next_name(steps, opaque) {
            Some((name, below)) => fits(segment, name) && ends_at(rest, below, is_array, opaque),
            None => false,
        },
        Segment::AnyDepth if rest.is_empty() => !steps.is_empty(),
        Segment::AnyDepth => {
            ends_at(rest, steps, is_array, opaque)
                || next_name(steps, opaque)
                    .is_some_and(|(_, below)| ends_at(path, below, is_array, opaque))
        }
    }
}

/// The next name on the way, stepping through arrays, and the steps after it.
fn next_name(steps: &[Step], opaque: bool) -> Option<(&str, &[Step])> {
    match steps.split_first()? {
        (Step::Name(name), below) => Some((name, below)),
        (Step::Element(_), _) if opaque => None,
        (Step::Element(_), below) => next_name(below, opaque),
    }
}

fn fits(segment: &Segment, name: &str) -> bool {
    match segment {
        Segment::Name(wanted) => **wanted == *name,
        _ => true,
    }
}
