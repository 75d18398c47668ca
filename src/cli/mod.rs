//! The command line: what was typed, and which command does it. Nothing imports this module.
//!
//! Exit codes: 0 done; 1 something was found or withheld; 2 usage or configuration.

mod check;
mod decrypt;
mod demo;
mod diff;
mod disclosure;
mod explain;
mod filter;
mod keys;
mod operations;
mod policy_file;
mod pseudonym;
mod quarantine;
mod reveal;
mod run;
mod schema;
mod test;

use crate::error::{Error, Fate, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Anonymizes log and event streams on Kafka: fast, exactly as the policies say, fail-closed.
#[derive(Parser)]
#[command(name = "limpid", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: raw topics in, clean topics out
    Run(run::Args),
    /// Show everything on an embedded broker, no set-up
    Demo(demo::Args),
    /// Clean files or standard input, one JSON record a line, to standard output
    Filter(filter::Args),
    /// Check configurations and policies, and run the policies' own tests
    Check(check::Args),
    /// Run the tests that policies carry, and case folders
    Test(test::Args),
    /// Explain what a policy does to an event, value by value, and why; prints the values
    Explain(explain::Args),
    /// Compare two policies on the same records: what becomes more exposed, and what less
    Diff(diff::Args),
    /// Print the JSON Schema of policies, for editors
    Schema(schema::Args),
    /// Make, rotate and destroy keys for pseudonyms; make keys for the quarantine
    Keys(keys::Args),
    /// Tell what a value became, over all epochs and policies: for a person's request
    Pseudonym(pseudonym::Args),
    /// Turn tokens back into values; each one is written to a log of operations
    Reveal(reveal::Args),
    /// Turn encrypted addresses and digits back; each one is written to a log of operations
    Decrypt(decrypt::Args),
    /// Check that a log of operations is whole
    Operations(operations::Args),
    /// Read what was withheld
    Quarantine(quarantine::Args),
}

/// Every command and argument, for the reference page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, runs the command, reports its error, gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<ExitCode> = match cli.command {
        Command::Run(args) => run::main(args),
        Command::Demo(args) => demo::main(args),
        Command::Filter(args) => filter::main(args),
        Command::Check(args) => check::main(args),
        Command::Test(args) => test::main(args),
        Command::Explain(args) => explain::main(&args),
        Command::Diff(args) => diff::main(&args),
        Command::Schema(args) => schema::main(&args),
        Command::Keys(args) => keys::main(args),
        Command::Pseudonym(args) => pseudonym::main(&args),
        Command::Reveal(args) => reveal::main(&args),
        Command::Decrypt(args) => decrypt::main(&args),
        Command::Operations(args) => operations::main(&args),
        Command::Quarantine(args) => quarantine::main(args),
    };
    done.unwrap_or_else(|error| {
        anstream::eprintln!("limpid: {error}");
        ExitCode::from(if error.fate() == Fate::Usage { 2 } else { 1 })
    })
}

/// Writes to standard output, without colours where nobody sees them. A reader that has gone away
/// (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::fatal(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
