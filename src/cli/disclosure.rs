//! What commands share that give away what a transform had hidden: each value's entry is in the log of
//! operations, on the disk, before the value is printed; without a log nothing is given away.

use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::operations::Operations;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// In whose name it is done.
#[derive(clap::Args)]
pub struct Authority {
    /// The log of operations, to which each value's entry is appended; made if it is not there
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Why, for the log: a case number, a request. No personal data
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// A JSON value that was hidden, as it is spelled; `None` if it cannot be told.
pub type Shown = Option<Zeroizing<String>>;

/// A log that is open, and how many values could not be told so far.
pub struct Disclosure<'a> {
    authority: &'a Authority,
    log: Operations,
    closed: usize,
}

impl<'a> Disclosure<'a> {
    /// Opens the log.
    pub fn open(authority: &'a Authority) -> Result<Self> {
        let log = Operations::open(&authority.log)?;
        Ok(Self { authority, log, closed: 0 })
    }

    /// Tells the log, then standard output. What the log is told must hold no value.
    pub fn tell(&mut self, operation: &str, about: Value, shown: &Shown) -> Result<()> {
        let mut entry = Map::new();
        entry.insert("operation".into(), operation.into());
        entry.insert("by".into(), format!("uid {}", rustix::process::getuid().as_raw()).into());
        entry.insert("reason".into(), self.authority.reason.as_str().into());
        if let Value::Object(about) = about {
            entry.extend(about);
        }
        let outcome = if shown.is_some() { "revealed" } else { "not opened" };
        entry.insert("outcome".into(), outcome.into());
        self.log.append(&now(), entry)?;
        self.closed += usize::from(shown.is_none());
        print(shown.as_ref().map_or("null", |shown| shown))
    }

    /// Says where the log ends. Exit codes: 0 all were told, 1 some not, which `why` explains.
    #[must_use]
    pub fn end(self, why: &str) -> ExitCode {
        let (end, path) = (self.log.end(), self.authority.log.display());
        let hash = HEXLOWER.encode(&end.hash);
        anstream::eprintln!("limpid: {path} has {} entries; the last hash is {hash}", end.entries);
        if self.closed > 0 {
            anstream::eprintln!("limpid: {} did not open: {why}", self.closed);
        }
        ExitCode::from(u8::from(self.closed > 0))
    }
}

/// A text as JSON.
pub fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(json!(text).to_string())
}

/// The values that were asked for: the arguments, else standard input's lines.
pub fn asked(arguments: &[String], what: &str) -> Result<Vec<String>> {
    if !arguments.is_empty() {
        return Ok(arguments.to_vec());
    }
    if io::stdin().is_terminal() {
        anstream::eprintln!("limpid: reading {what} from the terminal, one a line, up to Ctrl-D");
    }
    let text = io::read_to_string(io::stdin())
        .map_err(|error| Error::usage(format!("standard input: {error}")))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn print(json: &str) -> Result<()> {
    let line = Zeroizing::new(format!("{json}\n"));
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    done.map_err(|error| Error::fatal(format!("standard output: {error}")))
}

fn now() -> String {
    jiff::Timestamp::from_millisecond(now_ms())
        .map_or_else(|_| String::new(), |now| now.to_string())
}
