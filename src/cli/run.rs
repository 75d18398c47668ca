//! `limpid run`: the service. Checks everything first, then starts the admin server and the lanes.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::reload::{Reloader, Reloads, Start};
use crate::run::{self, Stop, Summary};
use crate::telemetry::{Health, LogFormat, Metrics, log_init};
use crate::{admin, config, keys};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

/// Arguments of `limpid run`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check configuration, policies, keys and topics, then end
    #[arg(long)]
    check: bool,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t)]
    log: LogFormat,
}

/// Runs it.
pub fn main(args: Args) -> Result<ExitCode> {
    let Args { config, check, log } = args;
    log_init(log, LevelFilter::INFO)?;
    run::hush_panics();
    keep_from_dumps();
    let config = config::load(&config)?;
    let start = Start::new(&config)?;
    if check {
        run::check(&config)?;
        anstream::eprintln!("limpid: configuration, policies and topics fit");
        return Ok(ExitCode::SUCCESS);
    }
    serve(config, start)
}

fn serve(config: Config, start: Start) -> Result<ExitCode> {
    let config = Arc::new(config);
    let routes = config.routes.iter().map(|route| route.name.clone()).collect::<Vec<_>>();
    let metrics = Arc::new(Metrics::new(&routes));
    let health = Arc::new(Health::new(config.lanes));
    let stop = Arc::new(Stop::new());
    if !keys::all_locked() {
        tracing::warn!("secrets may be swapped out: raise the limit on locked memory (ulimit -l)");
    }
    start.tell(&metrics, &health);
    let Start { library, in_force, .. } = start;
    let reloads = Reloader {
        config: config.clone(),
        library,
        in_force: in_force.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    }
    .start()?;
    listen(stop.clone(), reloads.clone())?;
    let admin = config
        .admin
        .as_ref()
        .map(|admin| admin::serve(admin, metrics.clone(), health.clone(), Some(reloads)))
        .transpose()?;
    if let Some(admin) = &admin {
        tracing::info!(address = %admin.address(), "admin server listens");
    }
    let summary = run::run(&config, &in_force, &metrics, &health, &stop)?;
    anstream::eprintln!("limpid: {}", told(&summary));
    Ok(ExitCode::SUCCESS)
}

/// No core dump holds a secret or a record. The limit is one byte: zero would not stop a dump that goes
/// to a program (core(5)).
fn keep_from_dumps() {
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if setrlimit(Resource::Core, limit).is_err() {
        tracing::warn!("core dumps cannot be turned off");
    }
}

/// How long lanes may take after the second signal.
const AT_ONCE: Duration = Duration::from_secs(2);

/// SIGTERM or SIGINT: drain. The second one: leave at once. SIGHUP: reload.
fn listen(stop: Arc<Stop>, reloads: Reloads) -> Result<()> {
    let failed = |error: std::io::Error| Error::fatal(format!("signals: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut term, mut int, mut hangup) = {
        let _inside = runtime.enter();
        let signal = |kind| signal(kind).map_err(failed);
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    let reload = async move {
        while hangup.recv().await.is_some() {
            reloads.ask("SIGHUP");
        }
    };
    let wait = async move {
        for last in [false, true] {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            if last {
                tracing::warn!("second signal: leaving at once");
                stop.at_once();
                // A lane may be waiting inside the client for a broker that is gone.
                tokio::time::sleep(AT_ONCE).await;
                std::process::exit(1);
            } else {
                tracing::info!("draining");
                stop.drain();
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into());
    let both = async move { tokio::join!(wait, reload) };
    thread.spawn(move || runtime.block_on(both)).map_err(failed)?;
    Ok(())
}

/// One line: what the run came to.
fn told(summary: &Summary) -> String {
    let withheld: u64 = summary.withheld.iter().sum();
    let mut line =
        format!("{} in, {} clean, {withheld} withheld", summary.records_in, summary.clean);
    let by_reason: Vec<String> = crate::error::Reason::ALL
        .into_iter()
        .zip(summary.withheld)
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if !by_reason.is_empty() {
        line.push_str(&format!(" ({})", by_reason.join(", ")));
    }
    line
}
