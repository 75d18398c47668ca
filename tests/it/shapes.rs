//! Records whose shape is known are not walked again; the twin is an engine that has seen no record yet,
//! and walks.

use crate::ahead;
use crate::naive::bridge;
use crate::naive::made::{self, Choices};
use limpid::demo::events::Events;
use limpid::document::{Faults, Source};
use limpid::engine::{Batch, Engine, Limits, Outcome, Route, RuleTally, TenantSource};
use limpid::error::Reason;
use limpid::policy::Policies;
use limpid::record::{NO_HEADERS, Raw, Record};
use proptest::collection::vec;
use proptest::prelude::*;

fn record(value: &[u8]) -> Record<'_> {
    Record {
        topic: "raw",
        partition: 0,
        offset: 0,
        timestamp_ms: Some(bridge::TIMESTAMP_MS),
        key: None,
        value: Some(Raw::new(value)),
        headers: NO_HEADERS,
    }
}

fn route(tenant: &str) -> Route {
    Route { index: 0, tenant: TenantSource::Fixed(tenant.into()), default_tenant: None }
}

/// What becomes of a record, and what its rules did.
type Said = (Result<Vec<u8>, Reason>, Vec<RuleTally>);

fn said(
    engine: &mut Engine,
    batch: &mut Batch,
    policies: &Policies,
    route: &Route,
    value: &[u8],
) -> Said {
    let record = record(value);
    batch.clear();
    engine.clean(policies, route, &record, batch);
    batch.complete();
    let fate = match batch.outcome(0, &record, policies) {
        Outcome::Withheld(withheld) => Err(withheld.reason),
        Outcome::Clean(clean) => Ok(clean.value().expect("no tombstones here").to_vec()),
    };
    let rules = batch.tally().plans().next().map(|plan| plan.rules.to_vec());
    (fate, rules.unwrap_or_default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_seen_before_changes_nothing(bytes in vec(any::<u8>(), 0..3000)) {
        let mut choices = Choices::new(&bytes);
        let Some(policies) = ahead::policies(&mut choices) else { return Ok(()) };
        let limits = Limits { depth: 4 + choices.below(4), ..Limits::default() };
        let routes = ahead::TENANTS.map(route);
        let (mut engine, mut batch) = (Engine::new(limits), Batch::default());
        for value in made::alike(&mut choices) {
            // Its own policy twice, as the first time it may be learnt; then another's, which has not
            // seen it.
            let tenant = choices.below(3);
            for tenant in [tenant, tenant, choices.below(3)] {
                let route = &routes[tenant];
                let knows = said(&mut engine, &mut batch, &policies, route, &value);
                let fresh = &mut Engine::new(limits);
                let walks = said(fresh, &mut Batch::default(), &policies, route, &value);
                prop_assert_eq!(knows, walks, "{}", String::from_utf8_lossy(&value));
            }
        }
    }
}

/// Drops in a row, at an end, alone: with blanks, and among edits.
#[test]
fn members_that_go_take_their_separators() {
    let yaml = "tenant: acme\nversion: 1\nrules:\n- {fields: [a, b, o.a, o.b, \"l[*].a\"], do: drop}\n\
                - {fields: [m, o.m], do: mask}\n- {fields: [w, o.w], do: redact}\n";
    let plan = limpid::policy::rehearse(&Source::new("p.yaml", yaml), &mut Faults::default());
    let policies = Policies::new(vec![plan.expect("sound").plan]).expect("one tenant");
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let members = [
        "\"a\":1",
        "\"b\":\"x\"",
        "\"m\":\"abc\"",
        "\"k\":[]",
        "\"w\":{}",
        "\"w\":[{\"z\":\"\"}]",
        "\"a\":{}",
        "\"b\" : [1, 2]",
        "\"l\":[{\"a\":1},{\"a\":\"\",\"c\":2}]",
    ];
    let mut seen = 0;
    for first in members {
        for second in members {
            for third in members {
                let inner = format!("{{{first},{second} , {third}}}");
                for value in [
                    inner.clone(),
                    format!("{{\"o\":{inner},{first}}}"),
                    format!("{{{third},\"o\": {inner}}}"),
                ] {
                    let walks = said(
                        &mut Engine::new(Limits::default()),
                        &mut Batch::default(),
                        &policies,
                        &route("acme"),
                        value.as_bytes(),
                    );
                    for _ in 0..2 {
                        let knows = said(
                            &mut engine,
                            &mut batch,
                            &policies,
                            &route("acme"),
                            value.as_bytes(),
                        );
                        assert_eq!(knows, walks, "{value}");
                    }
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 3 * members.len().pow(3));
}

/// Many events of many shapes, two kinds in turns, by two tenants.
#[test]
fn made_up_events_are_what_the_walk_makes_of_them() {
    let plan = |tenant: &str, rules: &str| {
        let yaml = format!("tenant: {tenant}\nversion: 1\nrules:\n{rules}");
        let compiled =
            limpid::policy::rehearse(&Source::new("p.yaml", yaml), &mut Faults::default());
        compiled.expect("sound").plan
    };
    let plans = vec![
        plan(
            "acme",
            "- {fields: [client_ip, \"x_forwarded_for[*]\", \"sourceIPs[*]\"], do: truncate_ip}\n\
             - {fields: [user.email, user.username, geo.country, session], do: drop}\n\
             - {fields: [geo.lat, geo.lon], do: round, digits: 1}\n\
             - {fields: [ua, attributes.segments, user.extra], do: redact}\n",
        ),
        plan("globex", "- {fields: [\"**.name\", \"user.*\"], do: mask}\n"),
    ];
    let policies = Policies::new(plans).expect("two tenants");
    let routes = ["acme", "globex"].map(route);
    let (mut engine, mut batch) = (Engine::new(Limits::default()), Batch::default());
    let mut events = Events::new(7);
    for number in 0..600 {
        let mut value = Vec::new();
        if number % 3 == 0 {
            events.audit(&mut value);
        } else {
            events.web(&mut value);
        }
        let route = &routes[number / 2 % 2];
        let walks = &mut Engine::new(Limits::default());
        let walks = said(walks, &mut Batch::default(), &policies, route, &value);
        let knows = said(&mut engine, &mut batch, &policies, route, &value);
        assert_eq!(knows, walks, "{}", String::from_utf8_lossy(&value));
    }
}
