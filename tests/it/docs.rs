//! What the documentation says is true: its policies compile and do what their tests say, its
//! error messages are the ones that come, and the references are made from the tables.
//!
//! `UPDATE=1 cargo test --test it docs` writes docs/generated anew.

use crate::expect;
use limpid::document::{Faults, Source, codes};
use limpid::engine::Limits;
use limpid::keys::{Keyring, Secret};
use limpid::policy::trial::{Bench, Tried};
use limpid::policy::{self, Policies};
use limpid::record::NO_HEADERS;
use limpid::transform::{self, Kind, Param, Spec};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The key that policies in the docs may name.
fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.insert("acme", Secret::new([1; 32]));
    keyring
}

/// Compiles a policy with any key it may name, and runs its tests; all that is wrong with it.
fn faults(name: &str, text: &str) -> Faults {
    let mut faults = Faults::default();
    let source = Source::new(name, text);
    if let Some(compiled) = policy::compile(&source, Some(&keyring()), &mut faults) {
        let policies = Policies::new(vec![compiled.plan]).expect("one plan");
        compiled.tests.run(&policies, &mut faults);
    }
    faults.sort();
    faults
}

/// Fenced blocks: what stands behind the fence, and the text.
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```");
            let text = text.fold(String::new(), |text, line| text + line + "\n");
            blocks.push((info.to_owned(), text));
        }
    }
    blocks
}

#[test]
fn the_policies_of_policy_md_do_what_they_say() {
    let page = std::fs::read_to_string("docs/POLICY.md").expect("the page");
    let blocks = blocks(&page);
    let (mut accepted, mut refused) = (0, 0);
    let mut folder = tempfile::tempdir().expect("a folder");
    for (index, (info, text)) in blocks.iter().enumerate() {
        match info.as_str() {
            "yaml" => {
                let name = folder.path().join("policy.yaml").display().to_string();
                let faults = faults(&name, text);
                assert!(faults.is_empty(), "{text}\n{faults}");
                folder = tempfile::tempdir().expect("a folder");
                accepted += 1;
            }
            // A file that stands beside the next policy.
            beside if beside.starts_with("yaml beside ") => {
                let name = beside.trim_start_matches("yaml beside ");
                std::fs::write(folder.path().join(name), text).expect("written");
            }
            "yaml refused" => {
                let (info, said) = &blocks[index + 1];
                assert_eq!(
                    (info.as_str(), said),
                    ("text", &faults("policy.yaml", text).to_string())
                );
                refused += 1;
            }
            _ => {}
        }
    }
    assert!(accepted >= 5 && refused >= 2, "{accepted} policies, {refused} refused");
}

#[test]
fn the_examples_of_transforms_do_what_they_say() {
    for spec in transform::TABLE {
        assert!(!spec.examples.is_empty(), "`{}` has no example", spec.name);
        for example in spec.examples {
            let params = example.params.split_terminator('\n').map(|line| format!(", {line}"));
            let rule = format!("{{fields: x, do: {}{}}}", spec.name, params.collect::<String>());
            let out = match example.after {
                "" => "{}".to_owned(),
                // A member by another name.
                after if after.starts_with('"') && after.contains("\": ") => format!("{{{after}}}"),
                after => format!("{{\"x\":{after}}}"),
            };
            let text = format!(
                "tenant: acme\nversion: 1\nkey: acme\nrules: [{rule}]\ntests:\n  - name: n\n    \
                 in: '{{\"x\":{}}}'\n    out: '{out}'\n",
                example.before
            );
            let faults = faults(spec.name, &text);
            assert!(faults.is_empty(), "{text}\n{faults}");
        }
    }
}

#[test]
fn the_reference_of_transforms_is_fresh() {
    let mut page =
        "# Transforms\n\nMade from the table in `src/transform`; the examples are run.\n\
                    A rule on an object or a list works on every value below it, unless it takes \
                    them whole.\n"
            .to_owned();
    for spec in transform::TABLE {
        describe(spec, &mut page);
    }
    fresh("docs/generated/transforms.md", &page);
}

fn describe(spec: &Spec, page: &mut String) {
    let _ = writeln!(page, "\n## `{}`\n\n{}\n\n{}", spec.name, spec.about, spec.doc);
    let whole = if spec.whole { "taken whole" } else { "every value below is treated" };
    let key = if spec.needs_key { " Needs the policy's `key`." } else { "" };
    let shows = spec.shows.text();
    let _ = writeln!(page, "\nObjects and lists: {whole}. What it still tells: {shows}.{key}");
    if !spec.params.is_empty() {
        page.push_str("\n| parameter | takes | default | is |\n| --- | --- | --- | --- |\n");
    }
    for param in spec.params {
        let (takes, default) = takes(param);
        let _ = writeln!(page, "| `{}` | {takes} | {default} | {} |", param.name, param.doc);
    }
    page.push_str("\n| rule | before | after |\n| --- | --- | --- |\n");
    for example in spec.examples {
        let params = match example.params {
            "" => "–".to_owned(),
            params => cell(params),
        };
        let after = match example.after {
            "" => "gone".to_owned(),
            after => cell(after),
        };
        let _ = writeln!(page, "| {params} | {} | {after} |", cell(example.before));
    }
    describe_kinds(spec, page);
}

/// A value of each kind, with the kind's name.
const KINDS: [(&str, &str); 6] = [
    ("number", "42"),
    ("text", "\"some text\""),
    ("null", "null"),
    ("boolean", "true"),
    ("object", "{\"a\":\"some text\"}"),
    ("list", "[\"some text\"]"),
];

/// What becomes of values of all kinds, with the rule of the first example.
fn describe_kinds(spec: &Spec, page: &mut String) {
    let params = spec.examples[0].params.split_terminator('\n');
    let rule: String = params.map(|line| format!(", {line}")).collect();
    let text = format!(
        "tenant: acme\nversion: 1\nkey: acme\nrules: [{{fields: x, do: {}{rule}}}]\n",
        spec.name
    );
    let mut faults = Faults::default();
    let compiled = policy::compile(&Source::new(spec.name, text), Some(&keyring()), &mut faults);
    let compiled = compiled.unwrap_or_else(|| panic!("{faults}"));
    let policies = Policies::new(vec![compiled.plan]).expect("one plan");
    let mut bench = Bench::new(&policies, "acme".into(), Limits::default());
    let (mut kinds, mut before, mut after) = (String::new(), String::new(), String::new());
    for (kind, value) in KINDS {
        let event = format!("{{\"x\":{value}}}");
        let out = match bench.clean(Some(event.as_bytes()), None, NO_HEADERS) {
            Tried::Clean { value, .. } => {
                String::from_utf8(value.expect("a value")).expect("UTF-8")
            }
            Tried::Withheld(reason) => panic!("`{}` of {kind}: {reason:?}", spec.name),
        };
        let out = match out.strip_prefix("{\"x\":").and_then(|rest| rest.strip_suffix('}')) {
            Some(value) => cell(value),
            None if out == "{}" => "gone".to_owned(),
            None => cell(&out),
        };
        let _ = write!(kinds, " {kind} |");
        let _ = write!(before, " {} |", cell(value));
        let _ = write!(after, " {out} |");
    }
    let line = " --- |".repeat(KINDS.len());
    let _ = writeln!(
        page,
        "\nValues of all kinds, with the first of these rules:\n\n|  |{kinds}\n| --- |{line}"
    );
    let _ = writeln!(page, "| before |{before}\n| after |{after}");
}

fn takes(param: &Param) -> (String, String) {
    match param.kind {
        Kind::Int { min, max, default } => (
            format!("a whole number, {min} to {max}"),
            default.map_or("must be given".into(), |default| default.to_string()),
        ),
        Kind::Text { bytes_max, default } => {
            let default = if default.is_empty() { "none".into() } else { cell(default) };
            (format!("text, at most {bytes_max} bytes"), default)
        }
        Kind::Names => ("a name or a list of names".into(), "none".into()),
        Kind::Word { of, default } => {
            let words: Vec<String> = of.iter().map(|word| cell(word)).collect();
            (words.join(", "), cell(default))
        }
        Kind::Flag => ("`true` or `false`".into(), "`false`".into()),
        Kind::Ints { min, max } => {
            (format!("a list of whole numbers, {min} to {max}"), "none".into())
        }
        Kind::Field => ("the path of one field".into(), cell("$key")),
        Kind::Constant => {
            ("text, a number, `true`, `false` or `null`".into(), "must be given".into())
        }
    }
}

/// Code in a cell of a table.
fn cell(code: &str) -> String {
    format!("`{}`", code.replace('|', "\\|").replace('\n', ", "))
}

#[test]
fn the_reference_of_codes_is_fresh() {
    let mut page = "# Codes\n\nWhat limpid says about a file that it refuses. Codes are never \
                    reused. `C` is about configurations, `K` about keyrings, `P` about policies, \
                    `Y` about any of these files.\n"
        .to_owned();
    for code in codes::ALL.into_iter().flatten() {
        let _ = writeln!(page, "\n## {}: {}\n\n{}", code.code, code.title, code.explanation);
        if !code.wrong.is_empty() {
            let _ = writeln!(page, "\nWrong:\n\n```yaml\n{}```", code.wrong);
            let _ = writeln!(page, "\nRight:\n\n```yaml\n{}```", code.right);
        }
    }
    fresh("docs/generated/codes.md", &page);
}

fn fresh(file: &str, page: &str) {
    let stale = expect::differs(Path::new(file), page);
    assert!(stale.is_none(), "{}", stale.unwrap_or_default());
}

/// The table of encodings in GUARANTEES.md: no row without a case, no case without a row.
#[test]
fn each_row_of_the_encodings_is_held_by_a_case() {
    let page = include_str!("../../docs/GUARANTEES.md");
    let table = page.split("| held by |").nth(1).expect("a table").split("\n\n").next();
    let rows: Vec<&str> = table.expect("rows").lines().skip(2).collect();
    let mut unnamed: Vec<String> = fs::read_dir("tests/cases/encodings")
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    for row in &rows {
        let files: Vec<&str> =
            row.split("](../").skip(1).filter_map(|at| at.split(')').next()).collect();
        assert!(!files.is_empty(), "held by nothing: {row}");
        for file in files {
            assert!(Path::new(file).is_file(), "{file}");
            unnamed.retain(|name| !file.contains(&format!("/{name}/")));
        }
    }
    assert!(rows.len() >= 7 && unnamed.is_empty(), "{unnamed:?}");
}
