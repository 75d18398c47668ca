//! The log: lines on standard error, as text for people or as JSON for machines.
//!
//! Only limpid's own lines: what its dependencies trace about their insides may quote what passes
//! through them, so they are not asked. Invariant: no line holds a value of a record; limpid logs
//! names that operators wrote, numbers and its own words.

use crate::error::{Error, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

/// The variable that sets the level.
pub const LEVEL_VARIABLE: &str = "LIMPID_LOG";

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: coloured on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts the log at the level that `LIMPID_LOG` says (error, warn, info, debug, trace, off), or
/// else at `level`. A second call in one process changes nothing.
///
/// # Errors
/// `LIMPID_LOG` names no level.
pub fn log_init(format: LogFormat, level: LevelFilter) -> Result<()> {
    let level = chosen(std::env::var(LEVEL_VARIABLE).ok().as_deref(), level)?;
    let only_limpid = Targets::new().with_target("limpid", level);
    let lines = fmt::layer().with_writer(std::io::stderr);
    // It fails if there is a log already, which is then the one to use.
    let _ = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(colour()).with_target(false);
            registry().with(lines.with_filter(only_limpid)).try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_ansi(false);
            registry().with(lines.with_filter(only_limpid)).try_init()
        }
    };
    Ok(())
}

/// Colour on a terminal, unless `NO_COLOR` or a dumb terminal asks for none.
fn colour() -> bool {
    let stderr = std::io::stderr();
    stderr.is_terminal() && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never
}

fn chosen(asked: Option<&str>, default: LevelFilter) -> Result<LevelFilter> {
    let Some(asked) = asked.filter(|text| !text.is_empty()) else { return Ok(default) };
    asked.parse().map_err(|_| {
        Error::usage(format!(
            "{LEVEL_VARIABLE}: no such level; write error, warn, info, debug, trace or off"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_names_and_anything_else_is_refused() {
        assert_eq!(chosen(None, LevelFilter::INFO).unwrap(), LevelFilter::INFO);
        assert_eq!(chosen(Some(""), LevelFilter::INFO).unwrap(), LevelFilter::INFO);
        assert_eq!(chosen(Some("debug"), LevelFilter::INFO).unwrap(), LevelFilter::DEBUG);
        assert_eq!(chosen(Some("off"), LevelFilter::INFO).unwrap(), LevelFilter::OFF);
        let error = chosen(Some("limpid=debug"), LevelFilter::INFO).unwrap_err();
        assert!(error.to_string().contains("write error, warn"), "{error}");
    }
}
