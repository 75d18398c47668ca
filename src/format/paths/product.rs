//! Two automata → one that is in a state of each: where several lists of paths have a say about the
//! same values. What becomes of a value there is put together from what the two say.

use super::automaton::{Automaton, Node, Says};
use super::{StateId, TooManyStates};
use crate::limits::PATH_STATES_MAX;
use std::collections::HashMap;

/// The product of two automata; `says` puts together what two of their states say.
pub(super) fn product(
    first: &Automaton,
    second: &Automaton,
    says: impl Fn(&Node, &Node) -> Says,
) -> Result<Automaton, TooManyStates> {
    let mut product = Product { pairs: vec![(0, 0)], numbers: HashMap::new() };
    let mut nodes = Vec::new();
    while let Some(&(a, b)) = product.pairs.get(nodes.len()) {
        let (a, b) = (&first.nodes[a as usize], &second.nodes[b as usize]);
        nodes.push(product.node(a, b, says(a, b))?);
    }
    Ok(Automaton { nodes })
}

struct Product {
    pairs: Vec<(StateId, StateId)>,
    numbers: HashMap<(StateId, StateId), StateId>,
}

impl Product {
    fn node(&mut self, a: &Node, b: &Node, says: Says) -> Result<Node, TooManyStates> {
        let count = a.elements.len().max(b.elements.len());
        let names = a.names.keys().chain(b.names.keys()).map(|name| &**name);
        let member = |name: &str| Ok((name.into(), self.number((a.member(name), b.member(name)))?));
        let names = names.map(member).collect::<Result<_, _>>()?;
        let element = |number| self.number((a.element(number), b.element(number)));
        Ok(Node {
            says,
            names,
            elements: (0..count).map(element).collect::<Result<_, _>>()?,
            element: self.number((a.element, b.element))?,
            other: self.number((a.other, b.other))?,
        })
    }

    fn number(&mut self, pair: (StateId, StateId)) -> Result<StateId, TooManyStates> {
        if let Some(&number) = self.numbers.get(&pair) {
            return Ok(number);
        }
        if self.pairs.len() >= PATH_STATES_MAX {
            return Err(TooManyStates);
        }
        let number = StateId::try_from(self.pairs.len()).map_err(|_| TooManyStates)?;
        self.pairs.push(pair);
        self.numbers.insert(pair, number);
        Ok(number)
    }
}
