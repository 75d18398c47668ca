//! What the fuzz targets do with their bytes; each panics where something is wrong. The fuzz
//! package only calls these, and `corpus` replays the kept inputs through them in `cargo test`.

use super::bridge::{self, Kernel, difference};
use super::made::{self, Choices};
use super::transforms::{self, Done};
use super::{Action, Bounds, Flaw, Policy, Rule};
use limpid::document::{Faults, Source};
use limpid::format::paths::Segment;
use limpid::format::{Out, Scalar};
use limpid::policy::{Decides, OnMismatch, Policies, Unlisted};
use limpid::transform::{Context, Outcome, Place};

const USUAL: Bounds = Bounds { depth: 128, value_bytes: 1 << 20, clean_bytes: 1 << 20 };

/// Kernel against twin. A first byte below 0x80 picks one of the [`policies`], and the rest is the
/// record's value as it is; else the rest is choices for a made policy and record.
pub fn kernel(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let (policy, value, bounds) = if first < 0x80 {
        let policies = policies();
        let policy = policies[usize::from(first) % policies.len()].clone();
        (policy, rest.to_vec(), USUAL)
    } else {
        let mut choices = Choices::new(rest);
        let policy = made::policy(&mut choices);
        let bounds = made::bounds(&mut choices);
        let mut value = made::record(&mut choices);
        if first & 1 == 1 {
            value = made::damaged(&mut choices, value);
        }
        (policy, value, bounds)
    };
    if let Some(difference) = difference(&policy, &value, bounds, Flaw::None) {
        let value = String::from_utf8_lossy(&value);
        panic!("kernel and twin differ\n{policy}{bounds:?}\nvalue:  {value}\n{difference}");
    }
}

/// A few policies that are worth a fuzzer's time; the corpus names them by their number.
fn policies() -> Vec<Policy> {
    use Segment::{AnyDepth, AnyElement, AnyName, Name};
    let name = |name: &str| Name(name.into());
    let rule = |action, paths: &[&[Segment]]| Rule {
        paths: paths.iter().map(|path| path.to_vec()).collect(),
        decides: Decides::Value,
        action,
        mismatch: OnMismatch::Redact,
        when: Vec::new(),
    };
    let ip = Action::TruncateIp { v4: 24, v6: 48 };
    let query = Action::StripQuery { keep: vec!["a".to_owned()] };
    let pseudonym = Action::Pseudonymize { prefix: "u_".to_owned() };
    vec![
        Policy::new(vec![], Unlisted::Keep),
        Policy::new(
            vec![
                rule(ip.clone(), &[&[name("ip")]]),
                rule(query.clone(), &[&[name("url")]]),
                rule(pseudonym.clone(), &[&[name("id")]]),
                rule(Action::Round { digits: 1 }, &[&[name("n")]]),
                rule(Action::Mask { first: 1, last: 1 }, &[&[name("m")]]),
                rule(Action::Drop, &[&[name("d")]]),
                rule(Action::Redact, &[&[name("r")]]),
            ],
            Unlisted::Keep,
        ),
        Policy::new(
            vec![
                rule(Action::Keep, &[&[name("a"), AnyDepth, name("k")]]),
                rule(Action::Drop, &[&[name("a")], &[AnyDepth, name("d")]]),
                rule(Action::Redact, &[&[AnyName, AnyElement, name("r")]]),
            ],
            Unlisted::Drop,
        ),
        Policy::new(vec![rule(ip, &[&[AnyDepth]])], Unlisted::Keep),
        Policy::new(vec![rule(query, &[&[AnyDepth]])], Unlisted::Keep),
        Policy::new(vec![rule(pseudonym, &[&[AnyDepth]])], Unlisted::Keep),
        Policy::new(vec![rule(Action::Round { digits: 1 }, &[&[AnyDepth]])], Unlisted::Keep),
    ]
}

/// Any text as a policy: faults or a plan, never a panic; and its own tests run.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut faults = Faults::default();
    let compiled = limpid::policy::rehearse(&Source::new("p.yaml", text), &mut faults);
    assert_eq!(compiled.is_none(), !faults.is_empty(), "a policy or faults: {faults}");
    assert!(faults.is_empty() == format!("{faults:#}").is_empty(), "faults without words");
    let Some(compiled) = compiled else { return };
    let policies = Policies::new(vec![compiled.plan]).expect("one tenant");
    let ran = compiled.tests.run(&policies, &mut faults);
    assert!(ran <= compiled.tests.len());
}

/// A transform on any text against its naive version: the first bytes choose the transform.
pub fn transform(data: &[u8]) {
    const CHOICES: usize = 4;
    let (choices, text) = data.split_at(data.len().min(CHOICES));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let action = made::action(&mut Choices::new(choices));
    compare(&action, &Scalar::Text(text), &transforms::Scalar::Text(text));
    if transforms::is_number(text) {
        compare(&action, &Scalar::Number(text), &transforms::Scalar::Number(text));
    }
}

fn compare(action: &Action, real: &Scalar<'_>, naive: &transforms::Scalar<'_>) {
    let keys = bridge::epoch_keys();
    let place = Place { topic: "raw", ..Place::default() };
    let mut context = Context { keys: Some(&keys), place, ..Context::default() };
    let mut bytes = Vec::new();
    let outcome = bridge::transform(action).apply(*real, &mut context, &mut Out::json(&mut bytes));
    let expected = transforms::apply(action, naive, &bridge::keys(), Flaw::None);
    let agree = match (&expected, outcome) {
        (Done::Unchanged, Outcome::Unchanged)
        | (Done::Dropped, Outcome::Dropped)
        | (Done::Mismatch, Outcome::Mismatch) => true,
        (Done::Text(text), Outcome::Replaced) => super::quoted(text).as_bytes() == bytes,
        (Done::Number(text), Outcome::Replaced) => text.as_bytes() == bytes,
        _ => false,
    };
    let written = String::from_utf8_lossy(&bytes);
    assert!(agree, "{action:?}: the twin says {expected:?}, limpid {outcome:?} {written}");
}

/// Records that are like each other, by an engine that comes to know them; its twin has seen none.
pub fn shapes(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (policy, bounds) = (made::policy(&mut choices), made::bounds(&mut choices));
    let fresh = || Some(Kernel::new(bridge::plan(&policy)?, bounds));
    let Some(mut knows) = fresh() else { return };
    for value in made::alike(&mut choices) {
        let walks = fresh().expect("as before").clean(&value);
        let said = String::from_utf8_lossy(&value);
        assert_eq!(knows.clean(&value), walks, "{policy}{bounds:?}\nvalue:  {said}");
    }
}

/// The engine alone on any bytes, with the tightest bounds: no panic, nothing let through.
pub fn tight(data: &[u8]) {
    let bounds = Bounds { depth: 2, value_bytes: 64, clean_bytes: 32 };
    let policy = policies().swap_remove(1);
    let mut kernel = Kernel::new(bridge::plan(&policy).expect("small"), bounds);
    if let Ok(clean) = kernel.clean(data) {
        assert!(data.len() <= bounds.value_bytes && clean.len() <= bounds.clean_bytes);
    }
}
