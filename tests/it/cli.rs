//! The command line, through the binary.

use limpid::demo::events::{Event, Events, Flaw};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// A generated page of the documentation says what the program says; `UPDATE=1` renews it.
#[track_caller]
pub fn assert_fresh(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run UPDATE=1 cargo test generated", path.display());
}

/// The program, with nothing of the caller's terminal or environment that could change its words.
pub fn limpid(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limpid"));
    command.args(args);
    for name in ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "LIMPID_LOG", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// What a run came to.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Exit code, standard output, standard error.
    pub fn told(self) -> (Option<i32>, String, String) {
        (self.code, self.stdout, self.stderr)
    }
}

/// Runs the program to its end with this standard input.
pub fn run(args: &[&str], input: &[u8]) -> Run {
    ended(limpid(args), input)
}

/// As [`run`], in this folder.
pub fn run_in(dir: &Path, args: &[&str], input: &[u8]) -> Run {
    let mut command = limpid(args);
    command.current_dir(dir);
    ended(command, input)
}

fn ended(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // A program that has seen enough closes its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The help of every command, as one page.
fn help() -> String {
    let mut page = String::from(
        "# Command line\n\nMade from the program's own help; renew with \
         `UPDATE=1 cargo test --test it generated`.\n",
    );
    for words in commands(&limpid::cli::command(), "") {
        let args: Vec<&str> = words.split_whitespace().chain(["--help"]).collect();
        let help = run(&args, b"");
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{args:?}");
        let title = format!("limpid{words}");
        page.push_str(&format!("\n## `{}`\n\n```text\n{}```\n", title, help.stdout));
    }
    page
}

/// The words of a command and of all below it.
fn commands(command: &clap::Command, words: &str) -> Vec<String> {
    let below = |inner: &clap::Command| commands(inner, &format!("{words} {}", inner.get_name()));
    [words.to_owned()].into_iter().chain(command.get_subcommands().flat_map(below)).collect()
}

#[test]
fn the_generated_help_page_is_fresh() {
    let page = help();
    assert!(!page.contains('\u{1b}'), "colour in piped help");
    assert_fresh("docs/generated/cli.md", &page);
}

#[test]
fn wrong_usage_is_code_2_and_nothing_on_standard_output() {
    for args in [&["fliter"][..], &["filter"], &["filter", "--threads", "0"], &["filter", "-p"]] {
        let run = run(args, b"");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(run.stderr.contains("--help"), "{}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "colour on a pipe: {:?}", run.stderr);
    }
}

#[test]
fn a_demo_of_2000_records_ends_by_itself_and_adds_up() {
    let (mut events, mut event) = (Events::new(1), Event::default());
    let (mut malformed, mut strangers) = (0, 0);
    for _ in 0..2_000 {
        events.next(&mut event);
        malformed += i32::from(event.flaw == Some(Flaw::Malformed));
        strangers += i32::from(event.flaw == Some(Flaw::Stranger));
    }
    let withheld = malformed + strangers;
    let clean = 2_000 - withheld;

    let demo = run(&["demo", "--records", "2000", "--rate", "4000", "--admin", "127.0.0.1:0"], b"");

    assert_eq!(demo.code, Some(0), "{}\n{}", demo.stdout, demo.stderr);
    let out = &demo.stdout;
    assert!(out.contains("a simulated Kafka broker"), "{out}");
    assert!(out.contains("event of acme: raw → clean"), "no diff in {out}");
    let counted = format!(
        "\nlimpid: 2000 in, {clean} clean, {withheld} withheld (malformed {malformed}, tenant \
         {strangers})\n"
    );
    assert!(out.contains(&counted), "no {counted:?} in {out}");
    let found =
        format!("2000 produced = {clean} in the clean topics + {withheld} in the quarantine\n");
    assert!(out.ends_with(&found), "no {found:?} in {out}");
    assert!(!out.contains('\u{1b}'), "colour or redrawing on a pipe: {out:?}");
}

#[test]
fn a_demo_that_is_interrupted_drains_and_adds_up() {
    let mut command = limpid(&["demo", "--admin", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Only when records flow is there anything to drain.
    assert!(lines.any(|line| line.contains("/s clean; so far")), "no numbers");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    let [.., counted, found] = rest.as_slice() else { panic!("no summary in {rest:?}") };
    assert!(counted.starts_with("limpid: ") && counted.contains(" withheld"), "{counted}");
    assert!(found.contains(" produced = "), "{found}");
}
