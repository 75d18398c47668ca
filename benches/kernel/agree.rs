//! Do a peer's answers mean what limpid's mean? Two files of lines, compared line by line.
//!
//! Numbers are compared by value (`-8` and `-8.0`), addresses by address (`2001:db8:0::` and
//! `2001:db8::`), everything else exactly. Left out is one field, the pseudonym, as no peer has
//! limpid's hash: there both must have the prefix, and equal pseudonyms of one must be equal ones
//! of the other.

use serde_json::Value;
use std::collections::HashMap;
use std::net::IpAddr;

/// Compares two files.
///
/// # Panics
/// They disagree.
pub fn check(ours: &str, theirs: &str, pseudonym: &str) {
    let read = |path: &str| std::fs::read_to_string(path).expect("the file can be read");
    let (our_text, their_text) = (read(ours), read(theirs));
    let pointer = format!("/{}", pseudonym.replace('.', "/"));
    let mut linked: HashMap<String, String> = HashMap::new();
    let (mut lines, mut their_lines) = (0, their_text.lines());
    for our_line in our_text.lines() {
        lines += 1;
        let mut ours = parse(our_line);
        let mut theirs = parse(their_lines.next().expect("as many lines"));
        let (our_name, their_name) = (taken(&mut ours, &pointer), taken(&mut theirs, &pointer));
        let linked = linked.entry(our_name).or_insert_with(|| their_name.clone());
        assert!(*linked == their_name, "line {lines}: another pseudonym for the same value");
        assert!(same(&ours, &theirs), "line {lines}:\n ours {ours}\ntheirs {theirs}");
    }
    assert!(their_lines.next().is_none(), "as many lines");
    println!(
        "{theirs}: {lines} lines agree with {ours}; {pseudonym}: {} pseudonyms, one to one",
        linked.len()
    );
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// Takes the pseudonym out.
fn taken(root: &mut Value, pointer: &str) -> String {
    let value = root.pointer_mut(pointer).map(Value::take).unwrap_or_default();
    let text = value.as_str().unwrap_or_default();
    assert!(text.len() > 20 && text.starts_with("u_"), "no pseudonym at {pointer}");
    text.to_owned()
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(name, value)| theirs.get(name).is_some_and(|theirs| same(value, theirs)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::String(ours), Value::String(theirs)) => {
            ours == theirs || address(ours).is_some_and(|ours| address(theirs) == Some(ours))
        }
        (ours, theirs) => ours == theirs,
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}
