//! `limpid operations`: is a log of operations whole?

use crate::error::Result;
use crate::operations::{self, End};
use clap::Subcommand;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `limpid operations`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Follow the chain of a log: exit code 1 if an entry was changed, taken out or put in
    ///
    /// That the end was cut off the chain alone cannot show: give the last hash that you kept
    /// elsewhere.
    Verify {
        /// The log that `reveal` and `decrypt` wrote
        log: PathBuf,
        /// A hash that it once ended with: it must still be in there
        #[arg(long, value_name = "HEX", value_parser = hash)]
        hash: Option<Hash>,
    },
}

type Hash = [u8; 32];

/// Runs it. Exit codes: 0 whole, 1 not whole, 2 usage, or it cannot be read.
pub fn main(args: &Args) -> Result<ExitCode> {
    let Command::Verify { log, hash } = &args.command;
    let text = operations::read(log)?;
    let verdict = operations::verify(&text).and_then(|end| ended_with(&text, *hash).map(|()| end));
    let path = log.display();
    let (line, code) = match verdict {
        Ok(End { entries, hash }) => (
            format!(
                "{path}: {entries} entries, whole; the last hash is {}",
                HEXLOWER.encode(&hash)
            ),
            0,
        ),
        Err(why) => (format!("{path}: {why}"), 1),
    };
    super::print(&format!("{line}\n"))?;
    Ok(ExitCode::from(code))
}

/// Did a whole log end so once?
fn ended_with(text: &str, hash: Option<Hash>) -> std::result::Result<(), String> {
    match hash {
        Some(hash) if !operations::ends(text).any(|end| end.hash == hash) => {
            Err("no entry has the hash that was given: the log was cut off, or is another".into())
        }
        _ => Ok(()),
    }
}

fn hash(text: &str) -> std::result::Result<Hash, &'static str> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or("write 64 hex digits")
}
