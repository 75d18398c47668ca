//! Whose times a `date` moves, where a field tells: read in the plainest way.

use super::json::{Kind, Node};
use super::{Beside, Flaw, transforms};

/// Fields of made policies, none of them inside another.
pub const FIELDS: [&str; 5] = ["a", "b", "c.a", "$header.mail", "$key"];

/// What each of the fields says, if it says one thing.
pub fn said(root: Option<&Node>, beside: Beside<'_>, flaw: Flaw) -> Vec<Option<Vec<u8>>> {
    FIELDS.into_iter().map(|field| one(field, root, beside, flaw)).collect()
}

fn one(field: &str, root: Option<&Node>, beside: Beside<'_>, flaw: Flaw) -> Option<Vec<u8>> {
    let mut values: Vec<Option<Vec<u8>>> = Vec::new();
    if let Some(name) = field.strip_prefix("$header.") {
        let named = beside.headers.iter().filter(|(found, _)| found == name.as_bytes());
        values.extend(named.filter_map(|(_, value)| value.clone()).map(Some));
    } else if field == "$key" {
        values.extend(beside.key.map(<[u8]>::to_vec).map(Some));
    } else if let Some(root) = root {
        collect(root, &field.split('.').collect::<Vec<_>>(), &mut values);
    }
    let first = values.first().cloned().flatten();
    let same = flaw == Flaw::AnySubject || values.iter().all(|value| *value == first);
    first.filter(|_| same)
}

/// The values there; `None` for what names nobody. No `null`.
fn collect(node: &Node, names: &[&str], values: &mut Vec<Option<Vec<u8>>>) {
    match (&node.kind, names) {
        (Kind::Null, []) => {}
        (Kind::Text(text), []) => values.push(Some(text.clone().into_bytes())),
        (Kind::Number(number), []) => {
            values.push(Some(transforms::canonical(number).into_bytes()));
        }
        (Kind::Bool | Kind::Array(_) | Kind::Object(_), []) => values.push(None),
        (Kind::Array(elements), names) => {
            elements.iter().for_each(|element| collect(element, names, values));
        }
        (Kind::Object(members), [name, rest @ ..]) => {
            for member in members.iter().filter(|member| member.key == *name) {
                collect(&member.value, rest, values);
            }
        }
        _ => {}
    }
}
