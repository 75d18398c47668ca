//! The admin server, spoken to over a plain socket; the metrics' reference page.

use limpid::admin::{Admin, serve};
use limpid::config::{AdminConfig, Token};
use limpid::telemetry::{Health, Metrics, table};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

fn admin(lanes: usize) -> (Admin, Arc<Health>) {
    let health = Arc::new(Health::new(lanes));
    let metrics = Arc::new(Metrics::new(&["web".into()]));
    (serve(&local(0), metrics, health.clone(), None).unwrap(), health)
}

fn local(port: u16) -> AdminConfig {
    AdminConfig { listen: SocketAddr::from(([127, 0, 0, 1], port)), token: None }
}

/// The whole answer, as text, to these bytes. A server that cuts the connection has said all that
/// it says.
fn sent(admin: &Admin, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(admin.address()).unwrap();
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn got(admin: &Admin, path: &str) -> String {
    sent(admin, format!("GET {path} HTTP/1.1\r\nHost: limpid\r\n\r\n").as_bytes())
}

#[track_caller]
fn check(answer: &str, status: &str, wanted: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(answer.contains(wanted), "no {wanted:?} in {answer}");
}

#[test]
fn metrics_are_served_as_prometheus_text() {
    let (admin, health) = admin(2);
    health.progress(0);
    let answer = got(&admin, "/metrics");
    check(&answer, "200", "content-type: text/plain; version=0.0.4; charset=utf-8");
    check(&answer, "200", "\nlimpid_records_in_total{route=\"web\"} 0\n");
    check(&answer, "200", "\nlimpid_ready 0\n");
    check(&answer, "200", "\nlimpid_lanes{state=\"joined\"} 1\n");
    check(&answer, "200", "\nlimpid_build_info{");
}

#[test]
fn ready_only_while_every_lane_works_alive_until_broken() {
    let (admin, health) = admin(1);
    check(&got(&admin, "/readyz"), "503", r#""status":"starting","reason":"0 of 1 lanes"#);
    check(&got(&admin, "/healthz"), "200", r#""status":"starting""#);
    health.progress(0);
    check(&got(&admin, "/readyz"), "200", r#""status":"ready""#);
    health.draining();
    check(&got(&admin, "/readyz"), "503", r#""status":"draining""#);
    check(&got(&admin, "/healthz"), "200", r#""status":"draining""#);
    health.broken("the broker refused the password");
    check(&got(&admin, "/healthz"), "503", r#""reason":"the broker refused the password""#);
}

#[test]
fn strangers_hear_but_a_word_on_health() {
    let any = AdminConfig { listen: SocketAddr::from(([0, 0, 0, 0], 0)), token: None };
    let (metrics, health) = (Arc::new(Metrics::new(&[])), Arc::new(Health::new(1)));
    let open = serve(&any, metrics.clone(), health.clone(), None).err().unwrap();
    assert!(open.to_string().contains("without a token"), "{open}");

    let config = AdminConfig { token: Some(Token::new("canary-canary-canary")), ..local(0) };
    let admin = serve(&config, metrics, health.clone(), None).unwrap();
    health.broken("topic `raw.web` does not exist");
    for path in ["/", "/metrics"] {
        check(&got(&admin, path), "401", "www-authenticate: Bearer");
    }
    check(&sent(&admin, b"POST /reload HTTP/1.1\r\nHost: limpid\r\n\r\n"), "401", "");
    let word = got(&admin, "/readyz");
    check(&word, "503", "{\"status\":\"broken\"}\n");
    assert!(!word.contains("raw.web"), "{word}");
    let with = |path: &str, scheme: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: limpid\r\nAuthorization: {scheme}\r\n\r\n");
        sent(&admin, request.as_bytes())
    };
    check(&with("/metrics", "Bearer canary-canary-canary"), "200", "limpid_ready 0");
    check(&with("/readyz", "Bearer canary-canary-canary"), "503", "raw.web");
    for wrong in ["Bearer canary-canary-canar", "Bearer ", "Basic canary-canary-canary"] {
        let refused = with("/metrics", wrong);
        check(&refused, "401", "");
        assert!(!refused.contains("canary"), "{refused}");
    }
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn only_reading_and_only_what_there_is() {
    let (admin, _health) = admin(1);
    check(&got(&admin, "/"), "200", "/metrics");
    check(&got(&admin, "/nothing"), "404", "");
    check(&sent(&admin, b"POST /metrics HTTP/1.1\r\nHost: limpid\r\n\r\n"), "405", "");
    let head = sent(&admin, b"HEAD /metrics HTTP/1.1\r\nHost: limpid\r\n\r\n");
    check(&head, "200", "connection: close");
    assert!(head.ends_with("\r\n\r\n"), "a body after HEAD: {head}");
}

#[test]
fn a_request_of_many_kilobytes_is_cut_off() {
    let (admin, _health) = admin(1);
    let mut request = b"GET / HTTP/1.1\r\nHost: limpid\r\nX-Long: ".to_vec();
    request.resize(64 << 10, b'a');
    let answer = sent(&admin, &request);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    check(&got(&admin, "/healthz"), "200", "");
}

#[test]
fn a_taken_port_is_an_error_at_once_and_a_drop_frees_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new(&[]));
    let health = Arc::new(Health::new(0));
    let error = serve(&local(address.port()), metrics.clone(), health.clone(), None)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
    drop(taken);
    let admin = serve(&local(address.port()), metrics, health, None).unwrap();
    assert_eq!(admin.address(), address);
    drop(admin);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}

#[test]
fn the_generated_metrics_page_is_fresh() {
    crate::cli::assert_fresh("docs/generated/metrics.md", &table::reference());
}
