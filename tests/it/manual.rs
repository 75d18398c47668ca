//! docs/OPERATING.md has an entry for every failure that the service can tell of.
//!
//! The texts are read from the sources: what an `Error` is made of, and what is logged as a warning
//! or worse. Of each, the longest stretch without a variable part must stand in the manual.

use std::collections::BTreeSet;
use std::path::Path;

/// What runs as a service, or talks to brokers.
const PLACES: &[&str] =
    &["src/admin", "src/kafka", "src/lane", "src/reload", "src/run", "src/cli/run.rs"];
/// The demo's cluster, and settings whose faults `limpid check` shows with a code.
const ELSEWHERE: &[&str] = &["src/kafka/cluster.rs", "src/kafka/settings.rs"];
/// Ways to tell.
const TELL: &str = r"Error::(usage|fatal|retry)\(|tracing::(warn|error)!\(|refusal\.(text|error)\(|\bnote\(|\bfailed\(";

#[test]
fn the_manual_knows_every_failure() {
    let manual = words(&read(Path::new("docs/OPERATING.md")));
    let told: BTreeSet<String> =
        sources().iter().flat_map(|source| failures(source)).map(|text| words(&text)).collect();
    assert!(told.len() > 40, "{told:#?}");
    let unknown: Vec<_> = told.iter().filter(|text| !manual.contains(*text)).collect();
    assert!(unknown.is_empty(), "not in docs/OPERATING.md: {unknown:#?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Sources of the service, without their tests.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut places: Vec<_> = PLACES.iter().map(|place| Path::new(place).to_owned()).collect();
    while let Some(place) = places.pop() {
        if root().join(&place).is_dir() {
            let inside = std::fs::read_dir(root().join(&place)).unwrap();
            places.extend(inside.map(|entry| place.join(entry.unwrap().file_name())));
        } else if !ELSEWHERE.iter().any(|other| Path::new(other) == place) {
            let text = read(&place);
            let tests = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
            found.push(text[..tests].to_owned());
        }
    }
    found
}

/// The fixed stretches of what a source can tell of failures.
fn failures(source: &str) -> Vec<String> {
    let tell = regex_lite::Regex::new(TELL).unwrap();
    let told = tell.find_iter(source).filter_map(|found| literal(&source[found.end()..]));
    told.map(|text| longest_fixed(&text)).filter(|text| text.len() >= 8).collect()
}

/// The first text of a call's arguments, its line breaks undone.
fn literal(arguments: &str) -> Option<String> {
    let (before, rest) = arguments.split_once('"')?;
    // The call ended before, or it was a definition.
    if before.contains([';', '{', '}']) {
        return None;
    }
    let end =
        (0..rest.len()).find(|at| rest.as_bytes()[*at] == b'"' && !rest[..*at].ends_with('\\'))?;
    let broken = regex_lite::Regex::new(r"\\\n\s*").unwrap();
    Some(broken.replace_all(&rest[..end], "").replace("\\n", " "))
}

fn longest_fixed(text: &str) -> String {
    let variable = regex_lite::Regex::new(r"\{[^}]*\}").unwrap();
    let fixed =
        variable.split(text).map(|it| it.trim_matches([' ', ':', ';', ',', '.', '`', '(', ')']));
    fixed.max_by_key(|it| it.len()).unwrap_or_default().to_owned()
}

/// Words alone: quotes, line breaks and case differ between a manual and a program.
fn words(text: &str) -> String {
    let plain = text.replace(['`', '…'], " ").to_lowercase();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_failure_without_an_entry_would_be_noticed() {
    let source = "fn f() { Err(Error::fatal(format!(\"the moon is {phase}, and that is \\\n   \
                  unheard of: {error}\"))) }\nfn g() { tracing::warn!(code = c(), \"the tide is \
                  late\"); }";
    assert_eq!(failures(source), ["and that is unheard of", "the tide is late"]);
}
