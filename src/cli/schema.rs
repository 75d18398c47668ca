//! `limpid schema`: the policy language as a JSON Schema, for editors.

use crate::error::{Error, Result};
use crate::policy;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Arguments of `limpid schema`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
pub fn main(_: &Args) -> Result<ExitCode> {
    match writeln!(io::stdout(), "{:#}", policy::schema()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::fatal(format!("standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
