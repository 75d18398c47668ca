//! scratch
use limpid::demo::events::Events;
use limpid::engine::*;
use limpid::format::paths::*;
use limpid::keys::*;
use limpid::policy::*;
use limpid::record::*;
use limpid::transform::{self, Arg};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

fn seg(p: &str) -> Vec<Segment> {
    let mut v = vec![];
    for part in p.split('.') {
        if part == "**" {
            v.push(Segment::AnyDepth);
            continue;
        }
        let (n, e) = part.strip_suffix("[*]").map_or((part, false), |n| (n, true));
        v.push(if n == "*" { Segment::AnyName } else { Segment::Name(n.into()) });
        if e {
            v.push(Segment::AnyElement)
        }
    }
    v
}
fn plan(rules: &[(&[&str], &str, &[Arg])]) -> Policies {
    let mut paths = vec![];
    let mut rs = vec![];
    for (i, (fields, t, args)) in rules.iter().enumerate() {
        let spec = transform::named(t).unwrap();
        for f in *fields {
            paths.push(RulePath { rule: i as u16, whole: spec.whole, segments: seg(f) });
        }
        rs.push(Rule {
            transform: (spec.build)(args).unwrap(),
            mismatch: OnMismatch::Redact,
            label: String::new(),
        });
    }
    let k = Pseudonyms::new(Arc::new(Secret::new([7; 32])), "acme", Epoch::every_ms(86400000));
    Policies::new(vec![Plan {
        tenant: "acme".into(),
        version: 1,
        paths: Paths::compile(&paths, false).unwrap(),
        rules: rs,
        key_rule: None,
        header_rules: vec![],
        unlisted: Unlisted::Keep,
        pseudonyms: Some(k),
    }])
    .unwrap()
}
fn main() {
    let ip = [Arg::Int(24), Arg::Int(48)];
    let u = [Arg::Text("u_".into())];
    let web: &[(&[&str], &str, &[Arg])] = &[
        (&["client_ip"], "truncate_ip", &ip),
        (&["x_forwarded_for[*]"], "truncate_ip", &ip),
        (&["user.id"], "pseudonymize", &u),
        (&["user.email"], "drop", &[]),
        (&["user.phone"], "drop", &[]),
        (&["user.name"], "mask", &[Arg::Int(1), Arg::Int(0)]),
        (&["url"], "strip_query", &[Arg::Names(vec!["utm_source".into(), "utm_campaign".into()])]),
        (&["referrer"], "strip_query", &[Arg::Names(vec![])]),
        (&["geo.lat", "geo.lon"], "round", &[Arg::Int(1)]),
        (&["attributes.email", "ua"], "redact", &[]),
    ];
    let audit: &[(&[&str], &str, &[Arg])] =
        &[(&["sourceIPs[*]"], "truncate_ip", &ip), (&["user.username"], "pseudonymize", &u)];
    let n = 2000;
    if std::env::var("RULES").is_ok() {
        for rule in web {
            each(&format!("web {} {:?}", rule.1, rule.0), &[*rule]);
        }
        return;
    }
    for (name, rules) in
        [("web", web), ("web-empty", &[][..]), ("audit", audit), ("audit-empty", &[][..])]
    {
        if std::env::var("CORPUS").is_ok_and(|c| c != name) {
            continue;
        }
        if std::env::var("CORPUS").is_ok_and(|c| c != name) {
            continue;
        }
        let mut e = Events::new(1);
        let recs: Vec<Vec<u8>> = (0..n)
            .map(|_| {
                let mut v = vec![];
                if name.starts_with("web") {
                    e.web(&mut v)
                } else {
                    e.audit(&mut v)
                };
                v
            })
            .collect();
        let bytes: usize = recs.iter().map(Vec::len).sum();
        let pol = plan(rules);
        let mut ratios: Vec<(f64, f64)> = vec![];
        let route =
            Route { index: 0, tenant: TenantSource::Fixed("acme".into()), default_tenant: None };
        let mut out: Vec<u8> = Vec::with_capacity(8 << 20);
        let mut scanners: Vec<_> = limpid::scan::Scanner::all()
            .skip(std::env::var("SKIP").map_or(0, |s| s.parse().unwrap()))
            .map(|s| {
                (s.name(), Engine::with_scanner(Limits::default(), s), Batch::default(), vec![])
            })
            .collect();
        for _ in 0..std::env::var("ROUNDS").map_or(41, |s| s.parse().unwrap()) {
            let t = Instant::now();
            for c in recs.chunks(256) {
                out.clear();
                for r in c {
                    out.extend_from_slice(black_box(r));
                }
                black_box(&out);
            }
            let m = t.elapsed().as_secs_f64();
            for (_, engine, batch, v) in &mut scanners {
                let t = Instant::now();
                for c in recs.chunks(256) {
                    batch.clear();
                    for r in c {
                        engine.clean(
                            &pol,
                            &route,
                            &Record {
                                topic: "t",
                                partition: 0,
                                offset: 0,
                                timestamp_ms: Some(1),
                                key: None,
                                value: Some(Raw::new(r)),
                                headers: NO_HEADERS,
                            },
                            batch,
                        );
                    }
                    black_box(&batch);
                }
                v.push(t.elapsed().as_secs_f64());
            }
            ratios.push((m, 0.));
        }
        let med = |mut v: Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v[v.len() / 2]
        };
        let m = med(ratios.iter().map(|r| r.0).collect());
        print!("{name:12} memcpy {:.0} MB/s", bytes as f64 / m / 1e6);
        for (s, _, b, v) in &scanners {
            let x = med(v.clone());
            print!(
                "  {s} {:.0} MB/s {:.3} {:.0}ns",
                bytes as f64 / x / 1e6,
                m / x,
                x / n as f64 * 1e9
            );
            assert!(b.len() > 0);
        }
        println!();
    }
}

fn each(name: &str, rules: &[(&[&str], &str, &[Arg])]) {
    let mut e = Events::new(1);
    let recs: Vec<Vec<u8>> = (0..2000)
        .map(|_| {
            let mut v = vec![];
            e.web(&mut v);
            v
        })
        .collect();
    let route =
        Route { index: 0, tenant: TenantSource::Fixed("acme".into()), default_tenant: None };
    let (p0, p1) = (plan(&[(&["nosuch"], "drop", &[])]), plan(rules));
    let mut t01 = [vec![], vec![]];
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let mut hits = 0;
    for _ in 0..31 {
        for (i, pol) in [&p0, &p1].into_iter().enumerate() {
            let t = Instant::now();
            hits = 0;
            for c in recs.chunks(256) {
                batch.clear();
                for r in c {
                    engine.clean(
                        pol,
                        &route,
                        &Record {
                            topic: "t",
                            partition: 0,
                            offset: 0,
                            timestamp_ms: Some(1),
                            key: None,
                            value: Some(Raw::new(r)),
                            headers: NO_HEADERS,
                        },
                        &mut batch,
                    );
                }
                hits += batch.tally().rules.iter().map(|r| r.hits).sum::<u64>();
            }
            t01[i].push(t.elapsed().as_secs_f64());
        }
    }
    let med = |v: &mut Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v[v.len() / 2] * 1e9
    };
    let (a, b) = (med(&mut t01[0]), med(&mut t01[1]));
    println!(
        "{name:50} base {:.0} +{:.0} ns/record, {:.1} hits/record, {:.0} ns/hit",
        a / 2000.,
        (b - a) / 2000.,
        hits as f64 / 2000.,
        (b - a) / hits as f64
    );
}
