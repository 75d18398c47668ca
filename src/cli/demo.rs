//! `limpid demo`: the arguments, Ctrl-C and the last word of [`crate::demo`].

use crate::demo::{Options, Report, demo};
use crate::error::{Error, Result};
use crate::telemetry::{LogFormat, log_init};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal;
use tracing_subscriber::filter::LevelFilter;

/// Arguments of `limpid demo`.
#[derive(clap::Args)]
pub struct Args {
    /// End after so many records, all of them through, with a summary
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Records a second
    #[arg(long, value_name = "N", default_value_t = 2_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// A real cluster instead of the simulated broker; makes topics `limpid-demo-…` there and
    /// deletes them at the end
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Another seed, other events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where metrics and health are served; another port if this one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    admin: SocketAddr,
}

/// Runs it.
pub fn main(args: Args) -> Result<ExitCode> {
    log_init(LogFormat::Text, LevelFilter::WARN)?;
    crate::run::hush_panics();
    let Args { records, rate, brokers, seed, admin } = args;
    let end = Arc::new(AtomicBool::new(false));
    watch_signals(end.clone())?;
    let report = demo(&Options { records, rate, brokers, seed, admin }, &end)?;
    // Somebody who has stopped reading doesn't need the summary.
    let _ = write!(io::stdout(), "{}", summary(&report));
    Ok(ExitCode::from(u8::from(!report.adds_up())))
}

/// Ctrl-C or a request to terminate drains; a second one ends the process at once.
fn watch_signals(end: Arc<AtomicBool>) -> Result<()> {
    let cannot = |error| Error::fatal(format!("cannot watch for signals: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate())
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                if end.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    });
    Ok(())
}

fn summary(report: &Report) -> String {
    let counted = crate::filter::Summary {
        records_in: report.counted.records_in,
        clean: report.counted.clean,
        withheld: report.counted.withheld,
        ..Default::default()
    };
    let Report { produced, clean, withheld, .. } = report;
    let verdict = if report.adds_up() {
        format!("{produced} produced = {clean} in the clean topics + {withheld} in the quarantine")
    } else {
        format!(
            "IT DOES NOT ADD UP: {produced} produced, {clean} in the clean topics, {withheld} in \
             the quarantine"
        )
    };
    format!("\nlimpid: {counted}\nlimpid: {verdict}\n")
}
