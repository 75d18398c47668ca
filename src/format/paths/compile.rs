//! Paths → automaton, by subset construction: a [`Place`] is the set of paths that the walk is part
//! of the way along, with what is decided so far; equal places are one state.

use super::automaton::{Automaton, Node, Says};
use super::beside;
use super::{Here, OnContainer, Paths, RuleId, RulePath, Segment, StateId, TooManyStates};
use crate::limits::PATH_STATES_MAX;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A path, part of the way: index of the path, index of the next segment.
type Item = (usize, usize);

/// What a state stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Place {
    /// The lowest rule that named this value or one above it.
    decided: Option<RuleId>,
    /// That rule took the container that this value is in: unless a lower rule leaves it, it goes.
    taken: bool,
    /// As `taken`, were it not that a rule leaves this value. Known where a path goes on with `[*]` or
    /// `[0]`: if the value is no array, a rule lower still may take it after all.
    may_be_taken: bool,
    /// The record itself.
    root: bool,
    /// Unfinished paths of lower rules.
    items: BTreeSet<Item>,
}

/// A step of the walk, for the subset construction.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    OtherMember,
    Element(u8),
    OtherElement,
}

/// Compiles paths; notes of each whether it decides anything.
pub(super) fn compile(
    paths: &[RulePath],
    decides: &mut [bool],
) -> Result<Automaton, TooManyStates> {
    let mut all = Compiler::new(paths, None, decides).compile()?;
    let beside = |kind| paths.iter().any(|path| path.on_container == kind);
    if beside(OnContainer::Rename) {
        let names = Compiler::new(paths, Some(OnContainer::Rename), decides).compile()?;
        all = beside::join(&all, &names, paths, |says, rule| says.renamed = rule)?;
    }
    if beside(OnContainer::Open) {
        let texts = Compiler::new(paths, Some(OnContainer::Open), decides).compile()?;
        all = beside::join(&all, &texts, paths, |says, rule| says.opens = rule)?;
    }
    Ok(all)
}

struct Compiler<'a> {
    paths: &'a [RulePath],
    /// Only paths of this kind, which decide about what they lead to themselves and nothing below;
    /// `None`: those that decide about values.
    beside: Option<OnContainer>,
    /// By rule.
    on_container: Vec<OnContainer>,
    places: Vec<Place>,
    numbers: HashMap<Place, StateId>,
    /// By path: does it decide anything?
    decides: &'a mut [bool],
}

impl<'a> Compiler<'a> {
    fn new(paths: &'a [RulePath], beside: Option<OnContainer>, decides: &'a mut [bool]) -> Self {
        let rules = paths.iter().map(|path| usize::from(path.rule) + 1).max().unwrap_or(0);
        let mut on_container = vec![OnContainer::EachScalar; rules];
        for path in paths {
            on_container[usize::from(path.rule)] = path.on_container;
        }
        let (places, numbers) = (Vec::new(), HashMap::new());
        Self { paths, beside, on_container, places, numbers, decides }
    }

    fn compile(mut self) -> Result<Automaton, TooManyStates> {
        let mut root = Place { root: true, ..Place::default() };
        for (number, path) in self.paths.iter().enumerate() {
            if path.on_container.beside() == self.beside {
                self.enter(&mut root.items, (number, 0));
            }
        }
        // Not numbered: a place below that happens to be like the root's must not share its state,
        // which is never dropped.
        self.places.push(root);
        let mut nodes = Vec::new();
        while nodes.len() < self.places.len() {
            nodes.push(self.node(nodes.len())?);
        }
        // The root is never taken whole, dropped or left unlooked at: it is the record.
        let root = &mut nodes[Paths::ROOT as usize];
        if root.says.object != Here::Stay {
            root.says.object = Here::Descend;
        }
        Ok(Automaton { nodes })
    }

    fn number(&mut self, place: Place) -> Result<StateId, TooManyStates> {
        if let Some(&number) = self.numbers.get(&place) {
            return Ok(number);
        }
        if self.places.len() >= PATH_STATES_MAX {
            return Err(TooManyStates);
        }
        let number = StateId::try_from(self.places.len()).map_err(|_| TooManyStates)?;
        self.places.push(place.clone());
        self.numbers.insert(place, number);
        Ok(number)
    }

    fn node(&mut self, index: usize) -> Result<Node, TooManyStates> {
        let place = self.places[index].clone();
        // As no array, the value also completes the paths of which only `[*]` is left.
        let as_one = Place { root: place.root, ..self.as_one(&place) };
        Ok(Node {
            says: Says {
                scalar: scalar(&as_one),
                object: self.container(&as_one),
                array: self.list(&place),
                renamed: None,
                opens: None,
            },
            elements: self.elements(&place)?,
            element: self.to(&place, Step::OtherElement)?,
            names: self.names(&as_one)?,
            other: self.to(&as_one, Step::OtherMember)?,
        })
    }

    fn to(&mut self, place: &Place, step: Step<'_>) -> Result<StateId, TooManyStates> {
        let next = self.step(place, step);
        self.number(next)
    }

    /// Where the elements lead that some path names by number, and those before them.
    fn elements(&mut self, place: &Place) -> Result<Vec<StateId>, TooManyStates> {
        let numbered = |&(path, at): &Item| match self.paths[path].segments[at] {
            Segment::Element(number) => Some(number),
            _ => None,
        };
        let Some(last) = place.items.iter().filter_map(numbered).max() else { return Ok(vec![]) };
        (0..=last).map(|number| self.to(place, Step::Element(number))).collect()
    }

    /// Where the members lead whose names some path spells.
    fn names(&mut self, place: &Place) -> Result<BTreeMap<Box<str>, StateId>, TooManyStates> {
        let paths = self.paths;
        let names: BTreeSet<&str> =
            place.items.iter().filter_map(|&item| spelled(paths, item)).collect();
        let lead = |name: &str| Ok((name.into(), self.to(place, Step::Member(name))?));
        names.into_iter().map(lead).collect()
    }

    fn container(&self, place: &Place) -> Here {
        let alive = !place.items.is_empty();
        let Some(rule) = place.decided.filter(|_| self.beside.is_none()) else {
            return if alive { Here::Descend } else { Here::Stay };
        };
        match self.on_container[usize::from(rule)] {
            OnContainer::Take if self.may_leave(place) => Here::Sift { rule, taken: place.taken },
            OnContainer::Take if place.taken => Here::Gone(rule),
            OnContainer::Take => Here::Rule(rule),
            OnContainer::Leave if !alive => Here::Rule(rule),
            _ => Here::Descend,
        }
    }

    fn list(&self, place: &Place) -> Here {
        match place.decided {
            Some(_) if self.beside == Some(OnContainer::Open) => Here::Descend,
            _ => self.container(place),
        }
    }

    /// May a lower rule leave something below?
    fn may_leave(&self, place: &Place) -> bool {
        place.items.iter().any(|&(path, _)| !self.takes(self.paths[path].rule))
    }

    fn takes(&self, rule: RuleId) -> bool {
        self.on_container[usize::from(rule)] == OnContainer::Take
    }

    /// The place, seen as a value that is no array: `[*]` has stepped to its one element.
    fn as_one(&mut self, place: &Place) -> Place {
        let mut items = BTreeSet::new();
        let mut completed = Vec::new();
        for &item in &place.items {
            self.enter_as_one(&mut items, &mut completed, item);
        }
        self.settle(place.decided, place.taken || place.may_be_taken, items, &completed)
    }

    /// [`Self::enter`], and over every `[*]` that the item then stands before.
    fn enter_as_one(
        &self,
        items: &mut BTreeSet<Item>,
        completed: &mut Vec<usize>,
        (path, at): Item,
    ) {
        let segments = &self.paths[path].segments;
        match segments.get(at) {
            None => completed.push(path),
            Some(Segment::AnyElement | Segment::Element(0)) => {
                self.enter_as_one(items, completed, (path, at + 1));
            }
            Some(Segment::Element(_)) => {}
            Some(Segment::AnyDepth) if at + 1 < segments.len() => {
                items.insert((path, at));
                self.enter_as_one(items, completed, (path, at + 1));
            }
            Some(_) => drop(items.insert((path, at))),
        }
    }

    /// Where a step leads. Member steps are taken from [`Self::as_one`], so they meet no `[*]`.
    fn step(&mut self, place: &Place, step: Step<'_>) -> Place {
        // The root itself is never taken.
        let taken = !place.root && place.decided.is_some_and(|rule| self.takes(rule));
        if taken && !self.may_leave(place) {
            let items = BTreeSet::new();
            return Place { taken, may_be_taken: false, items, ..place.clone() };
        }
        let mut items = BTreeSet::new();
        let mut completed = Vec::new();
        for &(path, at) in &place.items {
            let segments = &self.paths[path].segments;
            let to = match (&segments[at], step) {
                (Segment::AnyDepth, _) if at + 1 < segments.len() => at,
                (Segment::Name(_) | Segment::AnyName, Step::Element(_) | Step::OtherElement) => at,
                (Segment::Name(wanted), Step::Member(name)) if **wanted == *name => at + 1,
                (Segment::Element(wanted), Step::Element(number)) if *wanted == number => at + 1,
                (Segment::Name(_) | Segment::Element(_), _) => continue,
                (Segment::AnyDepth | Segment::AnyName | Segment::AnyElement, _) => at + 1,
            };
            if to == segments.len() {
                completed.push(path);
                if self.beside.is_some() && segments[at] == Segment::AnyDepth {
                    // What is below is not decided along with it.
                    items.insert((path, at));
                }
            } else {
                self.enter(&mut items, (path, to));
            }
        }
        let above = place.decided.filter(|_| self.reaches(step));
        self.settle(above, taken, items, &completed)
    }

    /// Does what is decided about a value hold for what a step leads to, too? Texts that are to be read
    /// as JSON may be in a list, as anything may.
    const fn reaches(&self, step: Step<'_>) -> bool {
        match self.beside {
            None => true,
            Some(OnContainer::Open) => matches!(step, Step::Element(_) | Step::OtherElement),
            Some(_) => false,
        }
    }

    /// Adds an item, and what it also is: `**` may step over no name at all.
    fn enter(&self, items: &mut BTreeSet<Item>, (path, at): Item) {
        let segments = &self.paths[path].segments;
        items.insert((path, at));
        if segments[at] == Segment::AnyDepth && at + 1 < segments.len() {
            self.enter(items, (path, at + 1));
        }
    }

    /// The place after `completed` paths named the value: the lowest rule decides, its first path
    /// is noted as useful, and items that can never win any more are dropped.
    fn settle(
        &mut self,
        before: Option<RuleId>,
        taken: bool,
        mut items: BTreeSet<Item>,
        completed: &[usize],
    ) -> Place {
        let paths = self.paths;
        let lowest = completed.iter().copied().min_by_key(|&path| (paths[path].rule, path));
        let mut decided = before;
        if let Some(path) = lowest.filter(|&path| before.is_none_or(|rule| paths[path].rule < rule))
        {
            decided = Some(paths[path].rule);
            self.decides[path] = true;
        }
        if let Some(decided) = decided.filter(|_| self.beside.is_none()) {
            items.retain(|&(path, _)| paths[path].rule < decided);
        }
        let as_one = |&(path, at): &Item| {
            matches!(paths[path].segments[at], Segment::AnyElement | Segment::Element(0))
        };
        let may_be_taken = taken && items.iter().any(as_one);
        let taken = taken && decided.is_some_and(|rule| self.takes(rule));
        Place { decided, taken, may_be_taken, root: false, items }
    }
}

const fn scalar(place: &Place) -> Here {
    match place.decided {
        Some(rule) if place.taken => Here::Gone(rule),
        Some(rule) => Here::Rule(rule),
        None => Here::Stay,
    }
}

/// The name that an item waits for.
fn spelled(paths: &[RulePath], (path, at): Item) -> Option<&str> {
    match &paths[path].segments[at] {
        Segment::Name(name) => Some(name),
        _ => None,
    }
}
