//! The `limpid` command. Everything is in the library; this turns its result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    limpid::cli::main()
}
