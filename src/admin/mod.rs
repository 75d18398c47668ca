//! The admin server: metrics for Prometheus, health for an orchestrator.
//!
//! It has a thread and a small runtime of its own, so that a slow reader of metrics never takes a
//! lane's time, and a busy lane never makes the process look dead. The port is bound before
//! [`serve`] returns: a taken port is an error at the start, not a line in the log later.
//!
//! It tells topics, tenants and numbers, never a record. It changes one thing only: `POST /reload`
//! loads the policies again that lie where the configuration says. Where other machines can reach it,
//! all of that takes the token (the configuration sees to it that there is one); without it there is
//! but a word on health, for orchestrators cannot keep secrets. It answers one request a connection,
//! and bounds what a stranger can cost it: see `guard`.

mod guard;

use crate::config::{AdminConfig, Token};
use crate::error::{Error, Result};
use crate::reload::{Outcome, Reloads};
use crate::telemetry::{Health, Metrics, PolicyState, Status};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The running server. Dropping it stops it.
pub struct Admin {
    address: SocketAddr,
    /// Dropped to stop the server.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the answers are made from.
#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Who is asked for a reload; `None` where there is nothing to reload.
    reloads: Option<Reloads>,
    /// What strangers must know; `None` where there are none.
    token: Option<Token>,
}

/// Starts the server; with `reloads` it also takes `POST /reload`. Port 0 takes any free one;
/// [`Admin::address`] tells which.
///
/// # Errors
/// The address is taken or isn't this machine's; or others could reach it without a token.
pub fn serve(
    config: &AdminConfig,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    reloads: Option<Reloads>,
) -> Result<Admin> {
    let AdminConfig { listen: address, token } = config.clone();
    if config.is_open() {
        let text = format!("admin server: other machines could reach {address} without a token");
        return Err(Error::usage(text));
    }
    let cannot = |error| Error::usage(format!("admin server: cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (stop, stopped) = oneshot::channel();
    let work = answer(listener, router(Shown { metrics, health, reloads, token }), stopped);
    let thread = std::thread::Builder::new()
        .name("admin".into())
        .spawn(move || runtime.block_on(work))
        .map_err(cannot)?;
    Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
}

impl Admin {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its thread holds no lock and touches no record; if it panicked, it is gone all the same.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers until the other end of `stopped` is dropped. Connections still open are cut.
async fn answer(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => guard::Guarded::new(listener),
        Err(error) => return tracing::error!(%error, "the admin server can't start"),
    };
    let server = axum::serve(listener, router);
    tokio::select! {
        _ = server => {}
        _ = stopped => {}
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/reload", post(reload))
        .route_layer(middleware::from_fn_with_state(shown.clone(), known_only))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .layer(middleware::map_response(close))
        .with_state(shown)
}

/// Lets requests with the token pass.
async fn known_only(State(shown): State<Shown>, request: Request, next: Next) -> Response {
    if shown.knows(request.headers()) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "the token is missing or wrong\n").into_response()
}

impl Shown {
    /// Does the request carry the token, if there is one?
    fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        given.and_then(|given| given.strip_prefix(b"Bearer ")).is_some_and(|given| token.is(given))
    }
}

/// One request a connection: nothing waits idle, and a connection's deadline is a request's.
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn index() -> &'static str {
    concat!(
        "limpid ",
        env!("CARGO_PKG_VERSION"),
        "\n\n\
         /metrics  Prometheus metrics\n\
         /healthz  200 unless limpid has broken down or a lane is stuck\n\
         /readyz   200 while every lane is in its group and a broker answers\n\
         /reload   POST: load policies and keys again\n"
    )
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    shown.metrics.observe(&shown.health);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.render())
}

/// Waiting for a broker is no reason to be restarted: a breakdown is, and a lane that is stuck.
async fn alive(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let status = shown.health.status();
    told(status.is_alive(), &shown, &status, &headers)
}

async fn ready(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let status = shown.health.status();
    told(status == Status::Ready, &shown, &status, &headers)
}

fn told(good: bool, shown: &Shown, status: &Status, headers: &HeaderMap) -> Response {
    let code = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = &shown.health;
    let (joined, lanes) = health.lanes();
    let (name, reason) = match status {
        Status::Starting => {
            ("starting", Some(format!("{joined} of {lanes} lanes are in the group")))
        }
        Status::Ready => ("ready", None),
        Status::Unreachable => ("unreachable", Some("no broker answers".into())),
        Status::Stuck(lane) => ("stuck", Some(format!("the loop of lane {lane} does not turn"))),
        Status::Draining => ("draining", Some("delivering what was read, then stopping".into())),
        Status::Broken(reason) => ("broken", Some(reason.clone())),
    };
    if !shown.knows(headers) {
        return told_as(code, &json!({ "status": name }));
    }
    let quiet: Vec<_> = health.quiet().map(|quiet| quiet.map(|q| q.as_millis())).collect();
    let body = json!({
        "status": name,
        "reason": reason,
        "lanes_quiet_ms": quiet,
        "policies": policies(&health.policy_state()),
    });
    told_as(code, &body)
}

fn told_as(code: StatusCode, body: &serde_json::Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// Which policies are in force, and whether the files say something else by now.
fn policies(state: &PolicyState) -> Option<serde_json::Value> {
    let in_force = state.in_force.as_ref()?;
    let refused = state.refused.map(|(faults, at_ms)| json!({"faults": faults, "at": time(at_ms)}));
    Some(json!({
        "count": in_force.count,
        "fingerprint": in_force.fingerprint,
        "loaded": time(in_force.loaded_ms),
        "refused": refused,
    }))
}

fn time(unix_ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(unix_ms).ok().map(|time| time.to_string())
}

/// Loads policies and keys again, and answers when it is done. 422 if they are refused.
async fn reload(State(shown): State<Shown>) -> Response {
    let Some(reloads) = shown.reloads else {
        return (StatusCode::FORBIDDEN, "there is nothing to reload\n").into_response();
    };
    let Some(report) = reloads.report("POST /reload").await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "limpid is ending\n").into_response();
    };
    let refused = report.outcome == Outcome::Refused;
    let code = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = json!({
        "outcome": report.outcome.name(),
        "policies": report.policies,
        "compiled": report.compiled,
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "faults": report.faults,
    });
    told_as(code, &body)
}
