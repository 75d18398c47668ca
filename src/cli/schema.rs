//! `limpid schema`: the policy language as a JSON Schema, for editors.

use crate::error::Result;
use crate::policy;
use std::process::ExitCode;

/// Arguments of `limpid schema`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
pub fn main(_: &Args) -> Result<ExitCode> {
    super::print(&format!("{:#}\n", policy::schema()))?;
    Ok(ExitCode::SUCCESS)
}
