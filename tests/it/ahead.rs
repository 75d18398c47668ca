//! The engine looks records ahead; its twin is the engine that is given one record after the other.

use crate::naive::bridge;
use crate::naive::conditions;
use crate::naive::made::{self, Choices};
use crate::naive::{Parts, Policy};
use crate::oracle::left;
use limpid::document::{Faults, Source};
use limpid::engine::{
    Batch, Engine, FieldPath, Limits, Outcome, Route, RouteTally, RuleTally, TenantSource,
};
use limpid::error::Reason;
use limpid::policy::{Plan, Policies, Unlisted};
use limpid::record::{Header, Headers, Raw, Record};
use proptest::collection::vec;
use proptest::prelude::*;

/// The last of them has no policy.
pub const TENANTS: [&str; 4] = ["acme", "globex", "a tenant whose name is a long one", "nobody"];

/// Records of more bytes are withheld.
const VALUE_BYTES: usize = 600;

/// Headers that panic when they are looked at, as a bug might.
struct Bug;

impl Headers for Bug {
    fn count(&self) -> usize {
        panic!("a bug")
    }
    fn get(&self, _: usize) -> Option<Header<'_>> {
        panic!("a bug")
    }
}

/// A record, and the number of its route.
struct Made {
    route: usize,
    timestamp_ms: Option<i64>,
    parts: Parts,
    bug: bool,
}

impl Made {
    fn new(choices: &mut Choices<'_>) -> Self {
        let day = i64::try_from(bridge::EPOCH_MS).expect("small");
        let timestamp_ms = match choices.below(8) {
            7 => None,
            days => Some(bridge::TIMESTAMP_MS + day * (days as i64 / 3)),
        };
        let mut parts = made::parts(choices);
        let tenant = TENANTS[choices.below(16) % TENANTS.len()];
        match choices.below(8) {
            0 => {}
            1 => parts.key = Some(tenant.into()),
            2 => parts.value = parts.value.map(|value| named(tenant, &value)),
            3 => parts.value = Some([b"{}".as_slice(), &[b' '; VALUE_BYTES]].concat()),
            4 => parts.headers.push((b"tenant".to_vec(), Some(TENANTS[0].into()))),
            _ => {}
        }
        parts.headers.push((b"tenant".to_vec(), Some(tenant.into())));
        Self { route: choices.below(ROUTES), timestamp_ms, parts, bug: choices.below(16) == 15 }
    }

    fn record(&self, offset: usize) -> Record<'_> {
        Record {
            topic: "raw",
            partition: 0,
            offset: i64::try_from(offset).expect("small"),
            timestamp_ms: self.timestamp_ms,
            key: self.parts.key.as_deref().map(Raw::new),
            value: self.parts.value.as_deref().map(Raw::new),
            headers: if self.bug { &Bug } else { &self.parts.headers },
        }
    }
}

/// A value whose first member names the tenant.
fn named(tenant: &str, value: &[u8]) -> Vec<u8> {
    match value.strip_prefix(b"{") {
        Some(rest) => [format!("{{\"tenant\":\"{tenant}\",").as_bytes(), rest].concat(),
        None => value.to_vec(),
    }
}

const ROUTES: usize = 8;

/// One for each place where a tenant's name can stand, and some with a default.
fn routes() -> [Route; ROUTES] {
    let header = || TenantSource::Header(b"tenant".as_slice().into());
    let field = || TenantSource::Field(FieldPath::new(&["tenant".into()]));
    let fixed = |tenant: usize| TenantSource::Fixed(TENANTS[tenant].into());
    let all = [
        (header(), None),
        (header(), Some(1)),
        (field(), None),
        (field(), Some(2)),
        (TenantSource::Key, None),
        (fixed(0), None),
        (fixed(3), None),
        (TenantSource::Nowhere, Some(2)),
    ];
    let mut index = 0;
    all.map(|(tenant, default)| {
        index += 1;
        let default_tenant = default.map(|tenant: usize| TENANTS[tenant].into());
        Route { index: index - 1, tenant, default_tenant }
    })
}

/// Two policies with keys, rules for keys and headers; one with conditions. Each of another tenant.
pub fn policies(choices: &mut Choices<'_>) -> Option<Policies> {
    let keyed = [0, 1].map(|tenant| {
        let policy: Policy = made::policy_with_key(choices);
        bridge::plan_for(TENANTS[tenant], &policy)
    });
    let yaml = conditions::yaml(&conditions::rules(choices), Unlisted::Keep);
    let asking = limpid::policy::rehearse(&Source::new("p.yaml", yaml), &mut Faults::default());
    let asking = Plan { tenant: TENANTS[2].into(), ..asking?.plan };
    let plans = keyed.into_iter().chain([Some(asking)]).collect::<Option<Vec<Plan>>>()?;
    Some(Policies::new(plans).expect("three tenants"))
}

/// A record's fate: what is left of it, or why it is withheld and whose it is.
type Fate = Result<Parts, (Reason, Option<String>)>;

/// What a batch says, of its records and in its tally.
#[derive(Debug, PartialEq)]
struct Said {
    fates: Vec<Fate>,
    routes: Vec<RouteTally>,
    plans: Vec<(usize, u64, Vec<RuleTally>)>,
}

fn said(batch: &mut Batch, policies: &Policies, records: &[Made]) -> Said {
    batch.complete();
    assert_eq!(batch.len(), records.len());
    let fate = |(index, made): (usize, &Made)| {
        let record = made.record(index);
        match batch.outcome(index, &record, policies) {
            Outcome::Withheld(withheld) => {
                Err((withheld.reason, withheld.tenant.map(str::to_owned)))
            }
            Outcome::Clean(clean) => Ok(left(&clean, &made.parts)),
        }
    };
    let tally = batch.tally();
    Said {
        fates: records.iter().enumerate().map(fate).collect(),
        routes: tally.routes.clone(),
        plans: tally.plans().map(|plan| (plan.slot, plan.records, plan.rules.to_vec())).collect(),
    }
}

/// Cleans the records in one batch, twice, as the second time all is reused.
fn cleaned(
    policies: &Policies,
    records: &[Made],
    clean: impl Fn(&mut Engine, &mut Batch, &[Route; ROUTES]),
) -> [Said; 2] {
    let limits = Limits { value_bytes: VALUE_BYTES, ..Limits::default() };
    let (mut engine, mut batch, routes) = (Engine::new(limits), Batch::default(), routes());
    [(); 2].map(|()| {
        batch.clear();
        clean(&mut engine, &mut batch, &routes);
        said(&mut batch, policies, records)
    })
}

fn one_by_one(policies: &Policies, records: &[Made]) -> [Said; 2] {
    cleaned(policies, records, |engine, batch, routes| {
        for (offset, made) in records.iter().enumerate() {
            engine.clean(policies, &routes[made.route], &made.record(offset), batch);
        }
    })
}

fn all_at_once(policies: &Policies, records: &[Made]) -> [Said; 2] {
    cleaned(policies, records, |engine, batch, routes| {
        let records = records.iter().enumerate();
        let records = records.map(|(offset, made)| (&routes[made.route], made.record(offset)));
        engine.clean_all(policies, records, batch);
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looking_ahead_changes_nothing(bytes in vec(any::<u8>(), 0..3000)) {
        let mut choices = Choices::new(&bytes);
        let Some(policies) = policies(&mut choices) else { return Ok(()) };
        let records: Vec<Made> =
            (0..choices.below(24)).map(|_| Made::new(&mut choices)).collect();
        prop_assert_eq!(one_by_one(&policies, &records), all_at_once(&policies, &records));
    }
}

/// What is compared above has everything in it that could go wrong.
#[test]
fn records_that_are_compared_have_every_fate() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let noise = made::noise(seed, 3000);
        let mut choices = Choices::new(&noise);
        let Some(policies) = policies(&mut choices) else { continue };
        let records: Vec<Made> = (0..24).map(|_| Made::new(&mut choices)).collect();
        for fate in &one_by_one(&policies, &records)[1].fates {
            seen.insert(match fate {
                Ok(_) => "clean".to_owned(),
                Err((reason, tenant)) => format!("{reason} {}", tenant.is_some()),
            });
        }
    }
    for fate in [
        "clean",
        "malformed false",
        "malformed true",
        "limits false",
        "tenant false",
        "internal false",
        "internal true",
    ] {
        assert!(seen.contains(fate), "{fate}: {seen:?}");
    }
}
