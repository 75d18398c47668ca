//! Conditions → the views of a plan: one for every answer that a record can give.

use super::decide::Board;
use crate::document::Reader;
use crate::policy::conditions::{
    Answer, Conditions, Term, Tested, VIEWS_MAX, View, When, classes_of,
};
use crate::policy::fields::nested;
use crate::policy::syntax::{self, Condition};
use crate::policy::{Fields, Place};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// By rule: does it apply?
pub(super) type Active = Vec<bool>;

/// Compiles the conditions of a policy's rules; `None` if it has none, or if they have a fault.
pub(super) fn conditions(board: &Board<'_>, reader: &mut Reader<'_>) -> Option<Conditions> {
    let rules: Vec<&syntax::Rule> = board.rules().collect();
    let written: Vec<&Condition> = rules.iter().filter_map(|rule| rule.when.as_ref()).collect();
    let first = written.first()?;
    let fields = fields(&written);
    if let Some((outer, inner)) = nested(&fields) {
        let message = format!("`{outer}` is tested, and `{inner}` inside it too");
        reader.faults.add(&first.source, "P061", first.span, message).hint(
            "a field that is tested has one value: test what is inside it, or what it is inside",
        );
        return None;
    }
    let tested: Vec<Tested> = fields.iter().map(|field| tested(field, &written)).collect();
    let views: usize = tested.iter().map(Tested::count).product();
    if views > VIEWS_MAX {
        let message =
            format!("the conditions make {views} cases; a policy has at most {VIEWS_MAX}");
        reader
            .faults
            .add(&first.source, "P062", first.span, message)
            .hint("test fewer fields, or fewer values of them: the cases of each field multiply");
        return None;
    }
    let compiler = Compiler { board, rules, fields: &fields, tested: &tested };
    let views = compiler.views(reader)?;
    let fields = Fields::at(&fields).ok()?;
    Some(Conditions { fields, tested, views })
}

/// The tested fields, each once.
fn fields(written: &[&Condition]) -> Vec<Place> {
    let mut fields: Vec<Place> = Vec::new();
    for term in written.iter().flat_map(|condition| &condition.when.terms) {
        if !fields.contains(&term.field) {
            fields.push(term.field.clone());
        }
    }
    fields
}

/// The values of a field, those in one class that every term treats alike.
fn tested(field: &Place, written: &[&Condition]) -> Tested {
    let terms = || {
        let terms = written.iter().flat_map(|condition| &condition.when.terms);
        terms.filter(|term| term.field == *field)
    };
    let mut kinds: Vec<Vec<bool>> = Vec::new();
    let mut literals = Vec::new();
    for literal in terms().flat_map(Term::literals).collect::<BTreeSet<_>>() {
        // A field that is not there may mean any of its values.
        let answers = [true, false].map(|exists| Answer { value: Some(literal), exists });
        let kind: Vec<bool> =
            terms().flat_map(|term| answers.map(|answer| term.holds(answer))).collect();
        let class = kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        literals.push((literal.clone(), class));
    }
    Tested { literals, classes: kinds.len() }
}

struct Compiler<'a> {
    board: &'a Board<'a>,
    rules: Vec<&'a syntax::Rule>,
    fields: &'a [Place],
    tested: &'a [Tested],
}

impl Compiler<'_> {
    fn views(&self, reader: &mut Reader<'_>) -> Option<Vec<Arc<View>>> {
        let mut known: HashMap<BTreeSet<Active>, Arc<View>> = HashMap::new();
        let mut ever = vec![false; self.rules.len()];
        let mut views = Vec::new();
        for number in 0..self.tested.iter().map(Tested::count).product() {
            let cases = self.cases(&classes_of(number, self.tested));
            for active in &cases {
                ever.iter_mut().zip(active).for_each(|(ever, active)| *ever |= active);
            }
            if !known.contains_key(&cases) {
                let view = self.board.view(cases.iter(), reader)?;
                known.insert(cases.clone(), Arc::new(view));
            }
            views.extend(known.get(&cases).cloned());
        }
        for (rule, _) in self.rules.iter().zip(&ever).filter(|(_, ever)| !**ever) {
            if let Some(condition) = &rule.when {
                let message = "this condition can never hold";
                reader.faults.add(&condition.source, "P063", condition.span, message);
            }
        }
        Some(views)
    }

    /// Which rules may apply to a record of these classes: one list for each answer that it may
    /// mean.
    fn cases(&self, classes: &[usize]) -> BTreeSet<Active> {
        let mut answers: Vec<Vec<usize>> = vec![Vec::new()];
        for (&class, of) in classes.iter().zip(self.tested) {
            let possible = if class <= of.other() { class..=class } else { 0..=of.other() };
            let extended = answers.iter().flat_map(|answer| {
                possible.clone().map(|class| answer.iter().copied().chain([class]).collect())
            });
            answers = extended.collect();
        }
        answers.iter().map(|answer| self.active(classes, answer)).collect()
    }

    fn active(&self, classes: &[usize], answer: &[usize]) -> Active {
        let field = |field: &Place| self.fields.iter().position(|known| known == field);
        let holds = |when: &When| {
            when.terms.iter().all(|term| {
                let Some(field) = field(&term.field) else { return false };
                let of = &self.tested[field];
                let value = of.literals.iter().find(|(_, class)| *class == answer[field]);
                let exists = classes[field] != of.missing();
                term.holds(Answer { value: value.map(|(literal, _)| literal), exists })
            })
        };
        let applies = |rule: &&syntax::Rule| rule.when.as_ref().is_none_or(|c| holds(&c.when));
        self.rules.iter().map(applies).collect()
    }
}
