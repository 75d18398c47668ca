//! `limpid keys`: makes secrets, rotates and destroys them. What is secret goes to standard output or to
//! a file of its owner's alone, and nowhere else; standard output holds nothing but what can be used as
//! it is.

mod file;
mod ring;

use crate::error::{Error, Result};
use crate::keys::{PrivateKey, Secret, keyring_entry};
use clap::Subcommand;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid keys`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a secret for pseudonyms: a keyring entry (YAML) on standard output
    ///
    /// limpid keys new acme >> keyring.yaml; chmod 600 keyring.yaml
    New {
        /// Its name in the keyring: what a policy's `key:` says
        name: String,
    },
    /// Show a keyring's names and the record times that their secrets serve; no secret
    List(ring::ListArgs),
    /// Add a secret to a name of the keyring, for records from a time on
    ///
    /// Each record's own time says which secret it gets. Add the new one well before its time, so that
    /// every limpid has read it by then: within seconds where the keyring is a file, else with a reload.
    Rotate(ring::RotateArgs),
    /// Destroy secrets of a name: what they made can never be linked again
    ///
    /// The file is overwritten. Copies elsewhere (backups, snapshots, a vault's versions) are yours to
    /// destroy. Refused without --yes.
    Destroy(ring::DestroyArgs),
    /// Make a key pair for the quarantine
    ///
    /// The private half opens what was withheld: keep it away from limpid. The public half goes
    /// into the configuration, as quarantine.public_key.
    Quarantine {
        /// New file for the private half (mode 600); its public half goes to standard output.
        /// Without it, or as `-`, both go to standard output, the public half as a comment
        file: Option<PathBuf>,
    },
}

/// Runs it.
pub fn main(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::New { name } => print(&keyring_entry(&name, &Secret::generate()?, &today())?)?,
        Command::List(args) => ring::list(&args)?,
        Command::Rotate(args) => ring::rotate(&args)?,
        Command::Destroy(args) => ring::destroy(&args)?,
        Command::Quarantine { file } => quarantine(file.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn quarantine(file: Option<&Path>) -> Result<()> {
    let key = PrivateKey::generate()?;
    let (public, private) = (key.public(), key.written());
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(&format!("# limpid quarantine key, made {}; public half:\n# ", today()));
    text.push_str(&format!("{public}\n"));
    text.push_str(&private);
    text.push('\n');
    match file {
        Some(file) if file != Path::new("-") => {
            write_private(file, text.as_bytes())
                .map_err(|error| Error::usage(format!("{}: {error}", file.display())))?;
            print(&format!("public_key: {public}\n"))
        }
        _ => print(&text),
    }
}

/// Only into a new file, so that no key is lost and no wider mode of an old one stays.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    done.map_err(|error| Error::fatal(format!("standard output: {error}")))
}

fn today() -> String {
    jiff::Timestamp::from_millisecond(crate::clock::now_ms())
        .map_or_else(|_| "1970-01-01".to_owned(), |now| now.strftime("%Y-%m-%d").to_string())
}
