//! `limpid check`.

use crate::error::{Error, Result};
use std::process::ExitCode;

/// Arguments of `limpid check`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
pub fn main(_args: Args) -> Result<ExitCode> {
    Err(Error::usage("not built yet"))
}
