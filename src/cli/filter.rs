//! `limpid filter`: the arguments, the inputs and the progress bar of [`crate::filter`].

use super::policy_file;
use crate::clock::now_ms;
use crate::document::Faults;
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::filter::{Job, Source, Summary, filter};
use crate::keys::SecretSource;
use crate::policy::Policies;
use crate::telemetry::{LogFormat, log_init};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::filter::LevelFilter;

/// Arguments of `limpid filter`.
#[derive(clap::Args)]
pub struct Args {
    /// The policy that says what is done to the records
    #[arg(short, long, value_name = "FILE")]
    policy: PathBuf,
    /// The keyring: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`; needed if the policy names a key
    #[arg(short, long, value_name = "SOURCE")]
    keys: Option<SecretSource>,
    /// How many threads clean [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The records' time, which decides the epoch of pseudonyms [default: now]
    #[arg(long, value_name = "RFC3339")]
    timestamp: Option<jiff::Timestamp>,
    /// Files of one JSON record a line, plain, gzip or zstd; `-` or none: standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs it.
pub fn main(args: Args) -> Result<ExitCode> {
    log_init(LogFormat::Text, LevelFilter::WARN)?;
    // A panic's own words could hold a value.
    crate::run::hush_panics();
    let inputs = Inputs::check(args.files)?;
    let (policies, tenant) = load(&args.policy, args.keys.as_ref())?;
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let job = Job {
        policies,
        tenant,
        limits: Limits::default(),
        timestamp_ms: args.timestamp.map_or_else(now_ms, jiff::Timestamp::as_millisecond),
        threads: args.threads.map_or_else(cores, usize::from),
    };
    let bar = inputs.bar();
    let output = duplicate(io::stdout(), "standard output")?;
    let done = filter(job, inputs.sources(&bar), output);
    bar.finish_and_clear();
    Ok(told(&done?))
}

/// The summary, except to somebody who has already left.
fn told(summary: &Summary) -> ExitCode {
    if summary.broken_pipe {
        return ExitCode::SUCCESS;
    }
    anstream::eprintln!("limpid: {summary}");
    ExitCode::from(u8::from(summary.withheld_total() > 0))
}

/// The policy, alone in its set, and its tenant. One whose tests fail is not used.
fn load(policy: &Path, keys: Option<&SecretSource>) -> Result<(Arc<Policies>, Arc<str>)> {
    let keyring = policy_file::keyring(keys)?;
    let compiled = policy_file::compiled(policy, keyring.as_ref())?;
    let tenant = compiled.plan.tenant.clone();
    let policies = Policies::new(vec![compiled.plan])
        .map_err(|tenant| Error::usage(format!("two policies for {tenant}")))?;
    let mut faults = Faults::default();
    if compiled.tests.run(&policies, &mut faults) > 0 {
        return Err(policy_file::refused(&mut faults));
    }
    Ok((Arc::new(policies), tenant))
}

/// What is to be read, looked at before anything is.
struct Inputs {
    list: Vec<Option<PathBuf>>,
    /// Bytes to read, if that can be known.
    length: Option<u64>,
}

impl Inputs {
    /// Reports every input that can't be read, before the first one is.
    fn check(files: Vec<PathBuf>) -> Result<Self> {
        let is_stdin = |path: &PathBuf| path == Path::new("-");
        if files.iter().filter(|path| is_stdin(path)).count() > 1 {
            return Err(Error::usage("standard input (`-`) can be read only once"));
        }
        let mut list: Vec<_> =
            files.into_iter().map(|path| (!is_stdin(&path)).then_some(path)).collect();
        if list.is_empty() {
            list.push(None);
        }
        let mut missing = Vec::new();
        let mut length = Some(0);
        for input in &list {
            match inspect(input.as_deref()) {
                Ok(bytes) => length = length.zip(bytes).map(|(sum, bytes)| sum + bytes),
                Err(error) => missing.push(error.to_string()),
            }
        }
        match missing.as_slice() {
            [] => Ok(Self { list, length }),
            missing => Err(Error::usage(missing.join("\nlimpid: "))),
        }
    }

    /// On standard error; hidden where that is no terminal, where clean lines would run through
    /// it, or where there is no telling how far it is.
    fn bar(&self) -> ProgressBar {
        let (Some(length), false) = (self.length, io::stdout().is_terminal()) else {
            return ProgressBar::hidden();
        };
        let template = "{wide_bar} {percent:>3}%  {binary_bytes_per_sec}  {eta} left";
        let style = ProgressStyle::with_template(template);
        ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    fn sources(self, bar: &ProgressBar) -> impl Iterator<Item = Result<Source>> + Send + 'static {
        let bar = bar.clone();
        self.list.into_iter().map(move |input| {
            let (name, file) = open(input.as_deref())?;
            let live = !file.metadata().is_ok_and(|about| about.is_file());
            Ok(Source { name, reader: Box::new(bar.wrap_read(file)), live })
        })
    }
}

/// An input's length, if it is a file that has one.
fn inspect(input: Option<&Path>) -> Result<Option<u64>> {
    if input.is_none() && io::stdin().is_terminal() {
        anstream::eprintln!("limpid: reading from the terminal, one record a line, up to Ctrl-D");
    }
    // A named pipe isn't opened here: that would wait for its writer, and then cut it off.
    let cannot =
        |path: &Path, error| Error::usage(format!("cannot read {}: {error}", path.display()));
    if let Some(path) = input {
        let about = fs::metadata(path).map_err(|error| cannot(path, error))?;
        if about.is_dir() {
            return Err(cannot(path, io::ErrorKind::IsADirectory.into()));
        }
        if !about.is_file() {
            return Ok(None);
        }
    }
    let about = open(input)?.1.metadata().ok().filter(fs::Metadata::is_file);
    Ok(about.map(|about| about.len()))
}

fn open(input: Option<&Path>) -> Result<(String, File)> {
    let Some(path) = input else {
        return Ok(("standard input".into(), duplicate(io::stdin(), "standard input")?));
    };
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|error| Error::usage(format!("cannot read {name}: {error}")))?;
    Ok((name, file))
}

/// A standard stream as a plain file: each block then is one write, and no buffer lies between.
fn duplicate(stream: impl AsFd, name: &str) -> Result<File> {
    let duplicated = stream.as_fd().try_clone_to_owned();
    duplicated.map(File::from).map_err(|error| Error::usage(format!("{name}: {error}")))
}
