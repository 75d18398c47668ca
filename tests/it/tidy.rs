//! The house rules that the compiler doesn't know: who may import whom, what is banned where, no
//! dead files, no stray bytes.
//!
//! ARCHITECTURE.md states invariants of absence ("the engine reads no clock"). A sentence rots, so
//! each is checked here on the sources themselves. Every check is a function from a text to its
//! complaints, and is shown below to complain about a text that breaks the rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Imports against the order of lib.rs: module (or file of it), module imported, reason.
const UPWARD: &[(&str, &str, &str)] = &[
    ("policy/trial.rs", "engine", "a policy's own tests run through the real engine, not a model"),
    ("config/read.rs", "kafka", "only the client knows its settings; it checks those written"),
    ("config/settings.rs", "kafka", "likewise"),
    ("config/mod.rs", "kafka", "its tests ask for every reserved setting"),
];

/// Imports that the order would allow and the design forbids.
const STRANGERS: &[(&str, &[&str])] = &[
    ("scan", &["record", "error", "clock", "document"]),
    ("format", &["keys", "policy", "transform", "record", "clock", "document"]),
    ("keys", &["record", "scan", "format", "clock"]),
    ("transform", &["policy", "engine", "record", "clock", "document"]),
    ("policy", &["clock", "scan"]),
    ("engine", &["clock", "document"]),
    ("quarantine", &["clock", "document", "policy"]),
    ("lane", &["clock", "document", "keys"]),
];

/// Words that only some places may use: the words, the places, the reason.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (
        &["unsafe"],
        &["scan/", "hash/", "keys/locked.rs", "kafka/"],
        "only scan/, hash/, keys/locked.rs and kafka/ may be unsafe",
    ),
    (&["rdkafka"], &["kafka/"], "only kafka/ knows the client library"),
    (
        &["println!", "print!", "eprintln!", "eprint!", "stdout()"],
        &["cli/", "demo/"],
        "only commands print; others return or log",
    ),
    (&["SystemTime", "UNIX_EPOCH"], &["clock.rs"], "only clock.rs reads the wall clock"),
    (&["set_var", "remove_var"], &[], "the environment is read, never written"),
    (&["exit"], &["cli/", "main.rs"], "only commands end the process"),
];

/// Modules that do no I/O and read no clock.
const PURE: &[&str] =
    &["record", "error", "limits", "scan", "format", "transform", "policy", "engine", "lane"];

/// What a pure module doesn't name: the path, or the type.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::process",
    "std::env",
    "Instant",
    "tokio",
    "getrandom",
    "tracing",
    "anstream",
];

/// Files of pure modules that may after all: the file, what, the reason.
const IMPURE_AFTER_ALL: &[(&str, &[&str], &str)] = &[(
    "policy/folder.rs",
    &["std::fs", "std::io"],
    "the one file that reads the policies' folder",
)];

/// Words that no source holds, tests neither.
const NOWHERE: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore", "FIXME", "XXX"];

/// Longest file; a table may be longer if it is listed with its reason.
const LINES_MAX: usize = 1500;
const LONG_TABLES: &[(&str, &str)] = &[];

/// Longest comment: rustfmt keeps code to 100, but leaves comments alone.
const LINE_MAX: usize = 110;

#[test]
fn imports_follow_the_order_of_lib_rs() {
    let order = order(&read("src/lib.rs"));
    assert!(order.len() > 20, "lib.rs names {} modules", order.len());
    let mut used = BTreeSet::new();
    let mut complaints = Vec::new();
    for file in sources() {
        complaints.extend(against_order(&order, &file.path, &file.code, &mut used));
        complaints.extend(strangers(&file.path, &file.code));
        complaints.extend(around_the_root(&file.path, &file.code));
    }
    none(&complaints);
    for (index, (place, module, _)) in UPWARD.iter().enumerate() {
        assert!(used.contains(&index), "{place} doesn't import {module}: take the exception out");
    }
}

#[test]
fn what_is_banned_stays_out() {
    let mut complaints = Vec::new();
    for file in sources() {
        complaints.extend(out_of_place(&file.path, without_tests(&file.code)));
        complaints.extend(impure(&file.path, without_tests(&file.code)));
    }
    for file in rust() {
        complaints.extend(nowhere(&file.path, &file.code));
    }
    none(&complaints);
}

#[test]
fn every_file_is_part_of_something() {
    let files = rust();
    let roots = files.iter().filter(|file| is_root(&file.path)).map(|file| file.path.clone());
    let reached = reached(roots.collect(), &|path| {
        files.iter().find(|file| file.path == path).map(|file| file.code.clone())
    });
    let fuzz = read("fuzz/Cargo.toml");
    for file in files.iter().filter_map(|file| file.path.strip_prefix("fuzz/targets/")) {
        assert!(fuzz.contains(&format!("\"targets/{file}\"")), "fuzz/Cargo.toml: no {file}");
    }
    let dead: Vec<_> = files
        .iter()
        .filter(|file| !reached.contains(&file.path))
        .map(|file| format!("{}: no module leads here", file.path))
        .collect();
    none(&dead);
}

#[test]
fn files_are_in_shape() {
    let mut complaints = Vec::new();
    for file in rust() {
        complaints.extend(shape(&file.path, &file.text));
    }
    for (path, text) in texts() {
        complaints.extend(stray_bytes(&path, &text));
        complaints.extend(machine_paths(&path, &text));
    }
    none(&complaints);
}

#[test]
fn every_dependency_is_used() {
    let manifest = read("Cargo.toml");
    let code: Vec<(String, String)> =
        rust().into_iter().map(|file| (file.path, file.code)).collect();
    let in_source = |path: &str| path.starts_with("src/");
    let in_tests = |path: &str| path.starts_with("tests/") || path.starts_with("benches/");
    let mut complaints = unused(&manifest, "dependencies", &code, &in_source);
    complaints.extend(unused(&manifest, "dev-dependencies", &code, &|path| {
        in_source(path) || in_tests(path)
    }));
    none(&complaints);
    assert!(dependencies(&manifest, "dependencies").len() > 20);
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// What there is to look at.

/// A Rust file: its path from the root, its text, and its code (comments and text blanked).
struct File {
    path: String,
    text: String,
    code: String,
}

/// The Rust files of the library and the program, by their path below src.
fn sources() -> Vec<File> {
    let mut files = Vec::new();
    for file in rust() {
        if let Some(path) = file.path.strip_prefix("src/") {
            files.push(File { path: path.to_owned(), ..file });
        }
    }
    assert!(files.len() > 50, "{} sources found", files.len());
    files
}

fn rust() -> Vec<File> {
    let is_rust = |path: &String| Path::new(path).extension().is_some_and(|ext| ext == "rs");
    let paths = walk().into_iter().filter(is_rust);
    paths
        .map(|path| {
            let text = read(&path);
            File { code: code_of(&text), path, text }
        })
        .collect()
}

/// Everything that people wrote and read as text; not what tests feed in on purpose.
fn texts() -> Vec<(String, String)> {
    let endings = ["rs", "md", "toml", "yaml", "yml", "sh", "py", "json", "service", "example"];
    let is_text = |path: &String| {
        let written =
            Path::new(path).extension().is_some_and(|ext| endings.iter().any(|e| ext == *e));
        let named = [".ci/run", "deploy/Dockerfile", "LICENSE-MIT"].contains(&path.as_str());
        let fed = ["tests/cases/", "tests/reject/", "benches/runs/", "docs/generated/"];
        (written || named) && !fed.iter().any(|fed| path.starts_with(fed))
    };
    walk().into_iter().filter(is_text).map(|path| (path.clone(), read(&path))).collect()
}

/// Every file of the project, by its path from the root.
fn walk() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = folder.join(&name);
            let kind = entry.file_type().expect("a kind");
            let ours = !["target", ".git", "corpus", "artifacts"].contains(&name.as_str());
            if kind.is_dir() && ours {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path.to_str().expect("UTF-8").replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code alone: comments, and what stands in strings and character literals, become spaces.
/// Lines and columns stay.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => text_end(&chars, at),
            'r' if starts_raw(&chars, at) => raw_end(&chars, at),
            '\'' => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn text_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `r"` or `r#`…`"`, and not the end of a name.
fn starts_raw(chars: &[char], at: usize) -> bool {
    let name = at > 0 && chars[at - 1] != 'b' && is_name(chars[at - 1]);
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    !name && chars.get(at + 1 + hashes) == Some(&'"')
}

fn raw_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let mut at = at + hashes + 2;
    while at < chars.len() {
        let closes = chars[at] == '"'
            && chars.len() > at + hashes
            && chars[at + 1..=at + hashes].iter().all(|c| *c == '#');
        if closes {
            return at + hashes + 1;
        }
        at += 1;
    }
    at
}

/// Behind a character literal; `at` itself for a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match chars.get(at + 1) {
        Some('\\') => {
            let close = chars[at + 3..].iter().position(|c| *c == '\'');
            close.map_or(at, |length| at + 3 + length + 1)
        }
        Some(_) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

/// The code before the tests, which stand at a file's end.
fn without_tests(code: &str) -> &str {
    code.find("\n#[cfg(test)]\nmod ").map_or(code, |at| &code[..at])
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Does the word stand in the line, not as a part of another name?
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = word.ends_with(is_name) && after.is_some_and(is_name);
        !before.is_some_and(is_name) && !goes_on
    })
}

// Imports.

/// The modules of lib.rs, from above to below.
fn order(lib: &str) -> Vec<String> {
    let module = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    lib.lines().filter_map(module).collect()
}

/// The module that a file below src belongs to.
fn module_of(path: &str) -> &str {
    path.split('/').next().map_or(path, |first| first.trim_end_matches(".rs"))
}

/// The modules that the code imports from the crate's root, with their lines.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_name) {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        for name in first_names(rest) {
            found.push((line, name));
        }
    }
    found
}

/// `engine::Limits…` gives `engine`; `{admin, config::{self, X}}` gives `admin` and `config`.
fn first_names(rest: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| is_name(*c)).collect::<String>();
    let Some(list) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn against_order(
    order: &[String],
    path: &str,
    code: &str,
    used: &mut BTreeSet<usize>,
) -> Vec<String> {
    if ["lib.rs", "main.rs"].contains(&path) {
        return Vec::new();
    }
    let place = |module: &str| order.iter().position(|known| known == module);
    let Some(own) = place(module_of(path)) else {
        return vec![format!("{path}: its module is not in lib.rs")];
    };
    let mut complaints = Vec::new();
    for (line, module) in imports(code) {
        let excused = UPWARD.iter().position(|(from, to, _)| *from == path && *to == module);
        match (place(&module), excused) {
            (Some(other), _) if other <= own => {}
            (_, Some(index)) => _ = used.insert(index),
            (Some(_), None) => complaints.push(format!(
                "src/{path}:{line}: imports `{module}`, which stands below it in lib.rs"
            )),
            (None, None) => complaints
                .push(format!("src/{path}:{line}: `crate::{module}` is no module of lib.rs")),
        }
    }
    complaints
}

fn strangers(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (_, unknown) in STRANGERS.iter().filter(|(module, _)| *module == module_of(path)) {
        for (line, module) in imports(without_tests(code)) {
            if unknown.contains(&module.as_str()) {
                complaints.push(format!("src/{path}:{line}: must not know `{module}`"));
            }
        }
    }
    complaints
}

/// `super::` that leads to the crate's root would be an import that nobody counts.
fn around_the_root(path: &str, code: &str) -> Vec<String> {
    let at_top = !path.contains('/') || path.matches('/').count() == 1 && path.ends_with("/mod.rs");
    let code = without_tests(code);
    let mut complaints = Vec::new();
    for (number, line) in code.lines().enumerate() {
        if line.contains("super::super::") || at_top && has_word(line, "super::") {
            complaints.push(format!("src/{path}:{}: write `crate::`, not `super::`", number + 1));
        }
    }
    complaints
}

// Bans.

fn out_of_place(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (words, places, reason) in ONLY_IN {
        if places.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        for word in *words {
            complaints.extend(lines_with(path, code, word).map(|at| format!("{at}: {reason}")));
        }
    }
    complaints
}

fn impure(path: &str, code: &str) -> Vec<String> {
    if !PURE.contains(&module_of(path)) {
        return Vec::new();
    }
    let excused = |word: &&&str| {
        !IMPURE_AFTER_ALL.iter().any(|(file, words, _)| *file == path && words.contains(word))
    };
    let mut complaints = Vec::new();
    for word in IMPURE.iter().filter(excused) {
        let reason = format!("`{word}` in a module that does no I/O and reads no clock");
        complaints.extend(lines_with(path, code, word).map(|at| format!("{at}: {reason}")));
    }
    complaints
}

fn nowhere(path: &str, code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for word in NOWHERE {
        complaints.extend(lines_with(path, code, word).map(|at| format!("{at}: `{word}`")));
    }
    complaints
}

fn lines_with(path: &str, code: &str, word: &str) -> impl Iterator<Item = String> {
    let lines = code.lines().enumerate().filter(move |(_, line)| has_word(line, word));
    lines.map(move |(number, _)| format!("{path}:{}", number + 1))
}

// Dead files.

/// Where Cargo starts: the library, programs, tests, benchmarks, examples, fuzz targets.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let first = |folder: &str| parts.iter().rposition(|part| *part == folder);
    match parts.as_slice() {
        ["build.rs"] => true,
        [.., "src", "main.rs" | "lib.rs"] => true,
        ["fuzz", "targets", _] => true,
        _ => ["tests", "benches", "examples"].into_iter().filter_map(first).any(|at| {
            let below = &parts[at + 1..];
            below.len() == 1 || below.len() == 2 && below[1] == "main.rs"
        }),
    }
}

/// All files that `mod` declarations lead to.
fn reached(roots: Vec<String>, code: &dyn Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = roots;
    while let Some(path) = open.pop() {
        let Some(text) = code(&path) else { continue };
        if !reached.insert(path.clone()) {
            continue;
        }
        let folder = children_folder(&path);
        for name in declared(&text) {
            open.push(format!("{folder}{name}.rs"));
            open.push(format!("{folder}{name}/mod.rs"));
        }
    }
    reached
}

/// The folder in which the modules that a file declares stand.
fn children_folder(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let own = ["mod.rs", "lib.rs", "main.rs"].contains(&file) || is_root(path);
    let name = file.trim_end_matches(".rs");
    if own { format!("{folder}/") } else { format!("{folder}/{name}/") }
}

fn declared(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in code.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        let line = line.strip_prefix("pub ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            names.push(name.to_owned());
        }
    }
    names
}

// Dependencies.

/// The dependencies of a table of the manifest, those of one platform too.
fn dependencies(manifest: &str, table: &str) -> Vec<String> {
    let (mut names, mut inside) = (Vec::new(), false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            let head = line.trim_matches(['[', ']']);
            inside = head == table
                || head.starts_with("target.") && head.ends_with(&format!(".{table}"));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            names.push(name.to_owned());
        }
    }
    names.retain(|name| !name.starts_with('#'));
    names
}

fn unused(
    manifest: &str,
    table: &str,
    code: &[(String, String)],
    place: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut names = dependencies(manifest, table);
    names.retain(|name| {
        let path = format!("{}::", name.replace('-', "_"));
        !code.iter().any(|(file, code)| place(file) && has_word(code, &path))
    });
    names.iter().map(|name| format!("Cargo.toml: nothing in [{table}] uses `{name}`")).collect()
}

// Shape.

fn shape(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//! ") && !text.starts_with("#![no_main]\n//! ") {
        complaints.push(format!("{path}:1: a file begins with what it is for (`//!`)"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !LONG_TABLES.iter().any(|(table, _)| *table == path) {
        complaints.push(format!("{path}: {lines} lines, {LINES_MAX} are enough"));
    }
    for (number, line) in text.lines().enumerate() {
        let comment = line.trim_start().starts_with("//") && !line.contains("://");
        if comment && line.chars().count() > LINE_MAX {
            complaints.push(format!("{path}:{}: a comment of over {LINE_MAX}", number + 1));
        }
    }
    complaints
}

fn stray_bytes(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let at = format!("{path}:{}", number + 1);
        if line.ends_with([' ', '\t', '\r']) {
            complaints.push(format!("{at}: white space at the line's end"));
        }
        if line.contains('\t') {
            complaints.push(format!("{at}: a tab"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        complaints.push(format!("{path}: no newline at the end"));
    }
    if text.ends_with("\n\n") {
        complaints.push(format!("{path}: empty lines at the end"));
    }
    complaints
}

/// Paths that exist on somebody's machine only.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let homes = ["home", "Users", "root", "work"].map(|folder| format!("/{folder}/"));
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for home in &homes {
            let absolute = |at: usize| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !is_name(c) && !['.', '/', '}', '*', '~'].contains(&c))
            };
            if line.match_indices(home.as_str()).any(|(at, _)| absolute(at)) {
                complaints.push(format!("{path}:{}: a path of somebody's machine", number + 1));
            }
        }
    }
    complaints
}

// Each check can fail.

mod can_fail {
    use super::*;

    fn against(path: &str, code: &str) -> Vec<String> {
        let order = ["error", "format", "policy", "engine", "kafka"].map(str::to_owned);
        against_order(&order, path, &code_of(code), &mut BTreeSet::new())
    }

    #[test]
    fn an_import_of_what_stands_below() {
        assert!(against("policy/check.rs", "use crate::{error, format::Out};").is_empty());
        assert_eq!(against("format/json.rs", "use crate::engine::Engine;").len(), 1);
        assert_eq!(against("format/json.rs", "fn f() { crate::engine::f(); }").len(), 1);
        assert_eq!(against("format/json.rs", "use crate::{error, a::{b}, engine};").len(), 2);
        assert_eq!(against("policy/check.rs", "use crate::engine::Engine;").len(), 1);
        assert!(against("policy/trial.rs", "use crate::engine::Engine;").is_empty());
        assert_eq!(against("lost.rs", "").len(), 1);
        assert!(against("format/json.rs", "// crate::engine\n\"crate::engine\"").is_empty());
    }

    #[test]
    fn an_import_that_the_design_forbids() {
        assert_eq!(strangers("format/json.rs", "use crate::keys::PseudonymKey;").len(), 1);
        assert_eq!(strangers("transform/mask.rs", "use crate::policy::Rule;").len(), 1);
        assert_eq!(strangers("engine/mod.rs", "use crate::clock::now_ms;").len(), 1);
        assert!(strangers("engine/mod.rs", "use crate::keys::PseudonymKey;").is_empty());
    }

    #[test]
    fn a_way_around_the_root() {
        assert_eq!(around_the_root("engine/mod.rs", "use super::kafka;").len(), 1);
        assert_eq!(around_the_root("run.rs", "use super::kafka;").len(), 1);
        assert_eq!(around_the_root("engine/edit.rs", "use super::super::kafka;").len(), 1);
        assert!(around_the_root("engine/edit.rs", "use super::Tally;").is_empty());
        let tests = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert!(around_the_root("run.rs", tests).is_empty());
    }

    #[test]
    fn a_word_out_of_its_place() {
        let wrong = |path, code| !out_of_place(path, &code_of(code)).is_empty();
        assert!(wrong("engine/mod.rs", "let x = unsafe { y() };"));
        assert!(!wrong("scan/avx2.rs", "let x = unsafe { y() };"));
        assert!(!wrong("engine/mod.rs", "#![deny(unsafe_code)] // unsafe\nlet x = \"unsafe\";"));
        assert!(wrong("run/mod.rs", "use rdkafka::Message;"));
        assert!(wrong("lane/mod.rs", "println!(\"{x}\");"));
        assert!(wrong("lane/mod.rs", "eprint!(\"{x}\");"));
        assert!(!wrong("lane/mod.rs", "sprint!(x);"));
        assert!(wrong("filter.rs", "std::io::stdout().lock();"));
        assert!(wrong("run/pump.rs", "SystemTime::now();"));
        assert!(wrong("run/pump.rs", "std::process::exit(1);"));
        assert!(wrong("cli/run.rs", "std::env::set_var(a, b);"));
    }

    #[test]
    fn a_pure_module_that_is_not() {
        let wrong = |path, code| !impure(path, &code_of(code)).is_empty();
        assert!(wrong("engine/mod.rs", "use std::time::Instant;"));
        assert!(wrong("engine/mod.rs", "std::fs::read(path);"));
        assert!(wrong("format/json.rs", "use std::net::TcpStream;"));
        assert!(!wrong("transform/truncate_ip.rs", "use std::net::{Ipv4Addr, Ipv6Addr};"));
        assert!(!wrong("run/pump.rs", "use std::time::Instant;"));
        assert!(!wrong("policy/folder.rs", "std::fs::read_dir(dir);"));
        assert!(wrong("policy/folder.rs", "Instant::now();"));
    }

    #[test]
    fn what_is_unfinished() {
        for code in
            ["todo!()", "unimplemented!(\"later\")", "dbg!(x)", "#[ignore]", "#[ignore = \"\"]"]
        {
            assert_eq!(nowhere("x.rs", code).len(), 1, "{code}");
        }
        assert!(nowhere("x.rs", &code_of("// no todo! here\nlet s = \"todo!\";")).is_empty());
    }

    #[test]
    fn a_file_that_nothing_leads_to() {
        let code = |path: &str| match path {
            "src/lib.rs" => Some("pub mod a;\nmod b;".into()),
            "src/a.rs" => Some("pub(crate) mod deep;".into()),
            "src/a/deep.rs" | "src/b/mod.rs" | "src/dead.rs" => Some(String::new()),
            _ => None,
        };
        let reached = reached(vec!["src/lib.rs".into()], &code);
        let found: Vec<&str> = reached.iter().map(String::as_str).collect();
        assert_eq!(found, ["src/a.rs", "src/a/deep.rs", "src/b/mod.rs", "src/lib.rs"]);
        for root in ["src/main.rs", "tests/it/main.rs", "benches/kernel.rs", "build.rs"] {
            assert!(is_root(root), "{root}");
        }
        for part in ["src/run/mod.rs", "tests/it/tidy.rs", "src/engine/batch.rs"] {
            assert!(!is_root(part), "{part}");
        }
    }

    #[test]
    fn a_dependency_that_nothing_uses() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\n# a = comment\nab-c = \"1\"\nd = \"2\"\n\
                        [target.\"cfg(unix)\".dependencies]\ne = \"3\"\n[dev-dependencies]\nf = \"4\"\n";
        assert_eq!(dependencies(manifest, "dependencies"), ["ab-c", "d", "e"]);
        let code = [("src/a.rs".to_owned(), "use ab_c::X;\nfn f() { not_d::x() }".to_owned())];
        let complaints = unused(manifest, "dependencies", &code, &|_| true);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert_eq!(unused(manifest, "dev-dependencies", &code, &|_| true).len(), 1);
    }

    #[test]
    fn a_file_out_of_shape() {
        assert!(shape("x.rs", "//! What it is for.\n").is_empty());
        assert_eq!(shape("x.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(shape("x.rs", &format!("//! {}\n", "a".repeat(LINE_MAX))).len(), 1);
        assert_eq!(shape("x.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
        assert!(stray_bytes("x.md", "a\n").is_empty());
        for text in ["a \n", "a\r\n", "\ta\n", "a", "a\n\n"] {
            assert_eq!(stray_bytes("x.md", text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_path_of_somebody_s_machine() {
        for folder in ["home", "Users", "root", "work"] {
            assert_eq!(machine_paths("x.md", &format!("see /{folder}/me/x")).len(), 1);
        }
        assert!(machine_paths("x.md", "https://a.example/home/x ~/work/x ./work/x").is_empty());
    }

    #[test]
    fn code_is_told_from_text() {
        let code =
            code_of("a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# 'l' '\\'' 'm n");
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "e", "i", "'m", "n"]);
        assert_eq!(code_of("br\"a\" b\"c\" for_r \"d\"").split_whitespace().count(), 3);
    }
}
