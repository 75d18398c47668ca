//! `limpid test`: the tests that policies carry, and case folders, one by one; for CI, as JUnit.
//!
//! The tests are those that `check` runs and that a policy must pass before it is used. Here each
//! has a line, a name to be picked by, and a place in a report.

use super::policy_file::{guarded, is_config, keyring};
use crate::cases::{self, Case};
use crate::document::{Faults, Show, Source, printable};
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::keys::SecretSource;
use crate::policy::trial::Bench;
use crate::policy::{self, CompiledPolicy, Lookup, Policies};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Arguments of `limpid test`.
#[derive(clap::Args)]
pub struct Args {
    /// Policies, folders of policies, case folders and folders of them
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Try the case folders on this policy, instead of on the `policy.yaml` in each
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`;
    /// without one, pseudonyms are made with a key that is thrown away
    #[arg(short, long, value_name = "SOURCE")]
    keys: Option<SecretSource>,
    /// Only tests with this text in their name or in the name of their file or folder
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs it. Exit codes: 0 all passed, 1 one failed, 2 something cannot be tested.
pub fn main(args: Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = keyring(args.keys.as_ref())?;
    let lookup = keyring.as_ref().map_or(Lookup::Rehearsal, |ring| Lookup::Keyring(Some(ring)));
    let mut run = Run { lookup, name: args.name, faults: Faults::default(), suites: Vec::new() };
    for path in &args.paths {
        run.path(path, args.policy.as_deref())?;
    }
    run.faults.sort();
    anstream::eprint!("{:#}", run.faults);
    let (passed, failed) = run.counts();
    if let Some(file) = &args.junit {
        run.suites.extend(refused(&run.faults));
        std::fs::write(file, junit(&run.suites)).map_err(|error| {
            Error::usage(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    anstream::eprintln!("limpid: {passed} passed, {failed} failed");
    Ok(ExitCode::from(match (run.faults.is_empty(), passed, failed) {
        (false, ..) | (_, 0, 0) => 2,
        (_, _, 0) => 0,
        _ => 1,
    }))
}

/// The tests of a policy or of a case folder.
struct Suite {
    name: String,
    tests: Vec<Test>,
}

struct Test {
    name: String,
    took: Duration,
    /// What is wrong; nothing if it passed.
    notes: Vec<String>,
}

struct Run<'a> {
    lookup: Lookup<'a>,
    name: Option<String>,
    faults: Faults,
    suites: Vec<Suite>,
}

impl Run<'_> {
    fn path(&mut self, path: &Path, policy: Option<&Path>) -> Result<()> {
        if !path.is_dir() {
            let source = guarded(&Source::read(path, Show::Lines)?);
            self.policies(&[source]);
            return Ok(());
        }
        let cases = cases::find(path)?;
        if policy.is_none() && !cases.iter().any(|case| case == path) && holds_policies(path) {
            let mut sources = policy::sources(path, &mut self.faults);
            sources.retain(|source| !is_config(source));
            self.policies(&sources);
        }
        for case in cases {
            self.case(&case, policy)?;
        }
        Ok(())
    }

    /// Policies that serve together, each with the tests that it carries.
    fn policies(&mut self, sources: &[Arc<Source>]) {
        for policy in policy::compile_all(sources, self.lookup, &mut self.faults) {
            let name = policy.tests.source().name.clone();
            self.carried(policy, name);
        }
    }

    /// The tests that a policy carries; gives the policy.
    fn carried(&mut self, policy: CompiledPolicy, name: String) -> Option<Policies> {
        let policies = Policies::new(vec![policy.plan]).ok()?;
        let mut suite = Suite { name, tests: Vec::new() };
        let mut before = Instant::now();
        for tested in policy.tests.each(&policies) {
            let took = before.elapsed();
            if self.wants(&suite.name, tested.name) {
                suite.add(tested.name.to_owned(), took, tested.notes);
            }
            before = Instant::now();
        }
        self.suites.push(suite);
        Some(policies)
    }

    fn case(&mut self, dir: &Path, policy: Option<&Path>) -> Result<()> {
        let own = dir.join(cases::POLICY);
        let source = Source::read(policy.unwrap_or(&own), Show::Lines)?;
        let mut compiled = policy::compile_all(&[source], self.lookup, &mut self.faults);
        let Some(compiled) = compiled.pop() else { return Ok(()) };
        let name = dir.display().to_string();
        let tenant = compiled.plan.tenant.clone();
        let case = Case::read(dir)?;
        let policies = match policy {
            // Its own tests are not the case's.
            Some(_) => Policies::new(vec![compiled.plan]).ok(),
            None => self.carried(compiled, name.clone()),
        };
        let Some(policies) = policies.filter(|_| !case.is_empty() && self.wants(&name, "")) else {
            return Ok(());
        };
        let before = Instant::now();
        let notes = case.run(&mut Bench::new(&policies, tenant, Limits::default()));
        let records = format!("{} records", case.len());
        let took = before.elapsed();
        let mut suite = Suite { name, tests: Vec::new() };
        suite.add(records, took, notes);
        self.suites.push(suite);
        Ok(())
    }

    fn wants(&self, suite: &str, test: &str) -> bool {
        self.name.as_ref().is_none_or(|name| suite.contains(name) || test.contains(name))
    }

    fn counts(&self) -> (usize, usize) {
        let tests = || self.suites.iter().flat_map(|suite| &suite.tests);
        let failed = tests().filter(|test| !test.notes.is_empty()).count();
        (tests().count() - failed, failed)
    }
}

/// For the report: a failed test for each fault that keeps a policy from being tested.
fn refused(faults: &Faults) -> impl Iterator<Item = Suite> {
    faults.iter().map(|fault| {
        let (line, column) = fault.source.place(fault.span.start);
        let note = format!("{} at {line}:{column}: {}", fault.code, fault.message);
        let test = Test { name: "is accepted".into(), took: Duration::ZERO, notes: vec![note] };
        Suite { name: fault.source.name.clone(), tests: vec![test] }
    })
}

fn holds_policies(dir: &Path) -> bool {
    let yaml = |path: PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    std::fs::read_dir(dir).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|e| yaml(e.path()))))
}

impl Suite {
    /// Adds a test, and prints its line.
    fn add(&mut self, name: String, took: Duration, notes: Vec<String>) {
        const PASSED: Style = AnsiColor::Green.on_default();
        const FAILED: Style = AnsiColor::Red.on_default().bold();
        let (style, word) = if notes.is_empty() { (PASSED, "ok  ") } else { (FAILED, "FAIL") };
        anstream::println!("{style}{word}{style:#} {}: {name}", self.name);
        for note in &notes {
            let style = match note.as_bytes() {
                [b'-', ..] => AnsiColor::Red.on_default(),
                [b'+', ..] => AnsiColor::Green.on_default(),
                _ => Style::new(),
            };
            anstream::println!("       {style}{}{style:#}", printable(note));
        }
        self.tests.push(Test { name, took, notes });
    }
}

/// The results as CI servers read them: the `testsuites` form that JUnit's Ant task began.
fn junit(suites: &[Suite]) -> String {
    let mut xml =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"limpid\">\n".to_owned();
    for suite in suites {
        let failed = suite.tests.iter().filter(|test| !test.notes.is_empty()).count();
        let (name, count) = (escaped(&suite.name), suite.tests.len());
        let took: Duration = suite.tests.iter().map(|test| test.took).sum();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\" \
             time=\"{:.6}\">",
            took.as_secs_f64()
        );
        for test in &suite.tests {
            test.junit(&name, &mut xml);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

impl Test {
    fn junit(&self, suite: &str, xml: &mut String) {
        let (name, took) = (escaped(&self.name), self.took.as_secs_f64());
        let head =
            format!("    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{took:.6}\"");
        let _ = if self.notes.is_empty() {
            writeln!(xml, "{head}/>")
        } else {
            let notes = escaped(&self.notes.join("\n"));
            let failure = "the outcome is not as wanted";
            writeln!(
                xml,
                "{head}>\n      <failure message=\"{failure}\">{notes}</failure>\n    </testcase>"
            )
        };
    }
}

/// Text for XML 1.0: what it has no way to write is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_well_formed_whatever_the_test_is_called() {
        let test = |name: &str, notes: &[&str]| Test {
            name: name.into(),
            took: Duration::from_millis(2),
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
        };
        let tests = vec![test("a < \"b\"", &[]), test("c\u{1b}", &["- {\"a\":1}", "+ ]]>"])];
        let xml = junit(&[Suite { name: "x&y.yaml".into(), tests }]);
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"limpid\">\n  \
             <testsuite name=\"x&amp;y.yaml\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.004000\">\n    \
             <testcase classname=\"x&amp;y.yaml\" name=\"a &lt; &quot;b&quot;\" time=\"0.002000\"/>\n    \
             <testcase classname=\"x&amp;y.yaml\" name=\"c\u{fffd}\" time=\"0.002000\">\n      \
             <failure message=\"the outcome is not as wanted\">- {&quot;a&quot;:1}\n+ ]]&gt;</failure>\n    \
             </testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
