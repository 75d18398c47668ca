//! What README.md says can be typed can be typed, and what it says comes out comes out.
//!
//! Its blocks say what they are, behind the fence: `file=NAME` is written to a file, `sh run` is
//! run (`exit=N`: with that exit code), and a `text` block right after that is what it prints. In
//! that text, pseudonyms stand for any other, for the keys are new each time.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A fenced block: what stands behind the fence, and its text.
struct Block {
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    crate::docs::blocks(page).into_iter().map(|(info, text)| Block { info, text }).collect()
}

impl Block {
    fn word(&self, name: &str) -> Option<&str> {
        self.info.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn runs(&self) -> bool {
        self.info.starts_with("sh run")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A folder that looks like the project's, with the built program in reach.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(root().join("deploy"), folder.path().join("deploy")).unwrap();
    folder
}

fn run(script: &str, folder: &Path) -> (i32, String) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_limpid"));
    let program = program.parent().expect("its folder").display().to_string();
    let paths = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
    let done = Command::new("bash")
        .args(["-euc", &format!("{{\n{script}\n}} 2>&1")])
        .current_dir(folder)
        .env("PATH", paths)
        .output()
        .expect("bash runs");
    (done.status.code().unwrap_or(-1), String::from_utf8(done.stdout).expect("text"))
}

/// The text with its pseudonyms taken out.
fn without_pseudonyms(text: &str) -> String {
    let pseudonym = regex_lite::Regex::new("u_[0-9a-v]{26}").expect("a pattern");
    pseudonym.replace_all(text, "u_…").into_owned()
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let blocks = blocks(&page("README.md"));
    let folder = folder();
    let (mut ran, mut compared) = (0, 0);
    for (index, block) in blocks.iter().enumerate() {
        if let Some(name) = block.word("file") {
            std::fs::write(folder.path().join(name), &block.text).expect("written");
        }
        if !block.runs() {
            continue;
        }
        let (code, printed) = run(&block.text, folder.path());
        let wanted: i32 = block.word("exit").map_or(0, |code| code.parse().expect("a number"));
        assert_eq!(code, wanted, "{}\n{printed}", block.text);
        ran += 1;
        if let Some(shown) = blocks.get(index + 1).filter(|next| next.info == "text") {
            assert_eq!(without_pseudonyms(&printed), without_pseudonyms(&shown.text));
            compared += 1;
        }
    }
    assert!(ran >= 3 && compared >= 2, "{ran} ran, {compared} compared");
}

#[test]
fn links_lead_somewhere() {
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "fuzz/README.md",
        "docs/CONFIG.md",
        "docs/GUARANTEES.md",
        "docs/KEYS.md",
        "docs/OPERATING.md",
        "docs/POLICY.md",
        "docs/QUARANTINE.md",
        "docs/THREATS.md",
    ];
    let mut links = 0;
    for name in pages {
        let folder = root().join(name).parent().expect("a folder").to_owned();
        for (target, anchor) in targets(&page(name)) {
            let file = if target.is_empty() { root().join(name) } else { folder.join(&target) };
            assert!(file.exists(), "{name}: `{target}` leads nowhere");
            if let Some(anchor) = anchor {
                let text = std::fs::read_to_string(&file).expect("a page");
                assert!(anchors(&text).contains(&anchor), "{name}: `{target}#{anchor}`");
            }
            links += 1;
        }
    }
    assert!(links > 30, "{links} links");
}

/// Where the links of a page lead, those to the web left out: file and heading.
fn targets(page: &str) -> Vec<(String, Option<String>)> {
    let link = regex_lite::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let found = link.captures_iter(page).map(|found| found[1].to_owned());
    let inside = found.filter(|target| !target.contains("://"));
    inside
        .map(|target| match target.split_once('#') {
            Some((file, anchor)) => (file.to_owned(), Some(anchor.to_owned())),
            None => (target, None),
        })
        .collect()
}

/// The anchors of a page's headings, as forges make them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn a_wrong_page_is_noticed() {
    let wrong =
        "```sh run\nlimpid no-such-command\n```\n[a](b.md#c) [d](https://e.example)\n# A B!\n";
    let found = blocks(wrong);
    assert!(found[0].runs());
    assert_eq!(run(&found[0].text, folder().path()).0, 2);
    assert_eq!(targets(wrong), [("b.md".to_owned(), Some("c".to_owned()))]);
    assert_eq!(anchors(wrong), ["a-b"]);
    assert_ne!(without_pseudonyms("id u_1"), without_pseudonyms("id u_2"));
}
