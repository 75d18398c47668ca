//! `limpid check`: everything that is wrong with configurations and policies, before anything runs.
//!
//! It is made for a reviewer's machine and for CI: it needs no secret and no broker. Without a
//! keyring, policies are rehearsed with a key that is thrown away, and the report says so.

use super::policy_file::{guarded, is_config, keyring};
use crate::config::{self, Secrets};
use crate::document::{Fault, Faults, Show, Source, Span, codes};
use crate::error::{Error, Result};
use crate::keys::SecretSource;
use crate::policy::{self, CompiledPolicy, Lookup, Policies};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `limpid check`.
#[derive(clap::Args)]
pub struct Args {
    /// Policies, folders of policies, configurations (whose folder of policies is checked too)
    #[arg(default_value = "limpid.yaml")]
    paths: Vec<PathBuf>,
    /// Keyring in which the policies' keys must be: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`;
    /// without one, keys are not looked up
    #[arg(long, value_name = "SOURCE")]
    keys: Option<SecretSource>,
    /// How to report: text for people, json for programs, github for annotations in its CI
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Check nothing; say what a code such as P014 means, with a wrong and a right example
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "keys", "format"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
}

/// Runs it. Exit codes: 0 all is fine, 1 only tests of policies failed, 2 something is wrong.
pub fn main(args: Args) -> Result<ExitCode> {
    if let Some(code) = args.explain {
        return explain(&code);
    }
    let keyring = keyring(args.keys.as_ref())?;
    let lookup = match &keyring {
        Some(keyring) => Lookup::Keyring(Some(keyring)),
        None => Lookup::Rehearsal,
    };
    let mut check = Check { lookup, faults: Faults::default(), files: Vec::new() };
    for group in check.groups(&args.paths) {
        check.group(&group);
    }
    check.faults.sort();
    match args.format {
        Format::Text => check.report(),
        Format::Json => check.report_json(),
        Format::Github => check.report_github(),
    }
    Ok(check.exit_code())
}

/// What a file turned out to be, when nothing is wrong with it.
enum About {
    Policy { tenant: String, version: u64, rules: usize, tests: usize, keyed: bool },
    Config { routes: usize },
}

/// A file's line in the report.
struct File {
    source: Arc<Source>,
    about: Option<About>,
}

struct Check<'a> {
    lookup: Lookup<'a>,
    faults: Faults,
    files: Vec<File>,
}

impl Check<'_> {
    /// Policies that would serve together: a folder's, a configuration's, those named one by one.
    fn groups(&mut self, paths: &[PathBuf]) -> Vec<Vec<Arc<Source>>> {
        let mut groups = Vec::new();
        let mut singles = Vec::new();
        for path in paths {
            if path.is_dir() {
                let sources = policy::sources(path, &mut self.faults);
                self.add_group(&sources, &mut groups);
            } else if let Some(source) = self.read(path) {
                singles.push(source);
            }
        }
        self.add_group(&singles, &mut groups);
        groups
    }

    /// Checks the configurations among `sources` at once; the policies become a group, and so do
    /// those that a configuration points to.
    fn add_group(&mut self, sources: &[Arc<Source>], groups: &mut Vec<Vec<Arc<Source>>>) {
        let (configs, policies): (Vec<_>, Vec<_>) =
            sources.iter().cloned().partition(|source| is_config(source));
        groups.push(policies);
        for config in configs {
            groups.extend(self.config(&config));
        }
    }

    fn read(&mut self, path: &Path) -> Option<Arc<Source>> {
        match Source::read(path, Show::Lines) {
            Ok(source) => Some(guarded(&source)),
            Err(error) => {
                let source = Source::new(path.display().to_string(), "");
                self.faults.add(&source, "P041", Span::default(), error.to_string());
                self.files.push(File { source, about: None });
                None
            }
        }
    }

    /// Checks a configuration; gives the policies that it points to.
    fn config(&mut self, source: &Arc<Source>) -> Option<Vec<Arc<Source>>> {
        let source = Source::with(&source.name, &source.text, Show::LinesWithoutSecrets);
        let config = config::read(&source, Secrets::Leave, &mut self.faults);
        let routes = config.as_ref().map(|config| config.routes.len());
        self.files.push(File { source, about: routes.map(|routes| About::Config { routes }) });
        Some(policy::sources(&config?.policies, &mut self.faults))
    }

    fn group(&mut self, sources: &[Arc<Source>]) {
        let before = self.files.len();
        let file = |source: &Arc<Source>| File { source: source.clone(), about: None };
        self.files.extend(sources.iter().map(file));
        for policy in policy::compile_all(sources, self.lookup, &mut self.faults) {
            let source = policy.tests.source().clone();
            let about = self.tried(policy);
            let mut files = self.files[before..].iter_mut();
            if let Some(file) = files.find(|file| Arc::ptr_eq(&file.source, &source)) {
                file.about = about;
            }
        }
    }

    /// Runs a policy's tests.
    fn tried(&mut self, policy: CompiledPolicy) -> Option<About> {
        let CompiledPolicy { plan, tests, .. } = policy;
        let about = About::Policy {
            tenant: plan.tenant.to_string(),
            version: plan.version,
            rules: plan.rules_written(),
            tests: tests.len(),
            keyed: plan.keys.is_some(),
        };
        let alone = Policies::new(vec![plan]).ok()?;
        (tests.run(&alone, &mut self.faults) == 0).then_some(about)
    }

    fn report(&self) {
        anstream::eprint!("{:#}", self.faults);
        if let Some(fault) = self.faults.iter().next() {
            let code = fault.code;
            anstream::eprintln!("\nlimpid check --explain {code} says more about {code}\n");
        }
        for file in &self.files {
            let count = self.faults_of(file).count();
            let said = match &file.about {
                _ if count == 1 => "1 fault".into(),
                Some(about) if count == 0 => said(about),
                _ => format!("{count} faults"),
            };
            anstream::println!("{}: {said}", file.source.name);
        }
        if self.keys_unchecked() {
            anstream::println!("keys were not looked up: no --keys KEYRING was given");
        }
    }

    /// One annotation a fault, as GitHub's runners read them from a step's output.
    fn report_github(&self) {
        for fault in self.faults.iter() {
            let (line, column) = fault.source.place(fault.span.start);
            let lines = [Some(fault.message.as_str()), fault.hint.as_deref()];
            let text: Vec<&str> = lines.into_iter().flatten().collect();
            let file = annotated(&fault.source.name).replace(',', "%2C").replace(':', "%3A");
            let text = annotated(&text.join("\n"));
            let code = fault.code;
            anstream::println!("::error file={file},line={line},col={column},title={code}::{text}");
        }
    }

    fn report_json(&self) {
        let files: Vec<Value> = self.files.iter().map(|file| self.file_json(file)).collect();
        let known =
            |fault: &&Fault| self.files.iter().any(|file| Arc::ptr_eq(&file.source, &fault.source));
        let others: Vec<Value> =
            self.faults.iter().filter(|fault| !known(fault)).map(fault_json).collect();
        let report = json!({
            "files": files,
            "faults": others,
            "keys_looked_up": matches!(self.lookup, Lookup::Keyring(_)),
        });
        // A reader that has gone away needs no report.
        let _ = writeln!(std::io::stdout(), "{report:#}");
    }

    fn file_json(&self, file: &File) -> Value {
        let faults: Vec<Value> = self.faults_of(file).map(fault_json).collect();
        let mut value = json!({"file": file.source.name, "fine": faults.is_empty()});
        match &file.about {
            Some(About::Policy { tenant, version, rules, tests, .. }) => {
                value["policy"] =
                    json!({"tenant": tenant, "version": version, "rules": rules, "tests": tests});
            }
            Some(About::Config { routes }) => value["config"] = json!({"routes": routes}),
            None => {}
        }
        value["faults"] = faults.into();
        value
    }

    fn faults_of(&self, file: &File) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| Arc::ptr_eq(&fault.source, &file.source))
    }

    fn keys_unchecked(&self) -> bool {
        let keyed = |file: &File| matches!(file.about, Some(About::Policy { keyed: true, .. }));
        matches!(self.lookup, Lookup::Rehearsal) && self.files.iter().any(keyed)
    }

    fn exit_code(&self) -> ExitCode {
        let only_tests = self.faults.iter().all(|fault| fault.code == FAILED_TEST);
        ExitCode::from(match (self.faults.is_empty(), only_tests) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        })
    }
}

/// The code of a policy's test that fails.
const FAILED_TEST: &str = "P032";

fn said(about: &About) -> String {
    let counted =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match about {
        About::Policy { tenant, version, rules, tests, .. } => {
            let rules = counted(*rules, "rule");
            let tests = counted(*tests, "test");
            format!("fine: tenant {tenant}, version {version}, {rules}, {tests} passed")
        }
        About::Config { routes } => format!("fine: {}", counted(*routes, "route")),
    }
}

/// Text inside of an annotation.
fn annotated(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The page of a code.
fn explain(code: &str) -> Result<ExitCode> {
    let Some(page) = codes::find(&code.to_uppercase()) else {
        return Err(Error::usage(format!("there is no code {code}; codes look like P014")));
    };
    anstream::println!("{}: {}\n\n{}", page.code, page.title, page.explanation);
    for (what, example) in [("Wrong", page.wrong), ("Right", page.right)] {
        if !example.is_empty() {
            anstream::println!("\n{what}:");
            example.lines().for_each(|line| anstream::println!("    {line}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn fault_json(fault: &Fault) -> Value {
    let (line, column) = fault.source.place(fault.span.start);
    let (end_line, end_column) = fault.source.place(fault.span.end.max(fault.span.start));
    json!({
        "code": fault.code,
        "file": fault.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "message": fault.message,
        "notes": fault.notes,
        "help": fault.hint,
    })
}
