//! What all contenders have in common, and the simplest two: memcpy and limpid itself.

use crate::corpus::Corpus;
use crate::rules::{self, TIMESTAMP_MS};
use limpid::engine::{Batch, Engine, Limits, Outcome, Route, TenantSource};
use limpid::keys::EpochKeys;
use limpid::policy::{Plan, Policies};
use limpid::record::{Header, Headers, NO_HEADERS, Raw, Record};
use limpid::scan::Scanner;
use std::ops::Range;
use std::sync::Arc;

/// Something that turns records into clean records.
pub trait Contender {
    /// Cleans a batch; what it wrote for the batch before may go.
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>);

    /// The clean value of a record of the last batch.
    fn output<'a>(&'a self, corpus: &'a Corpus, record: usize) -> &'a [u8];
}

/// Clean values of one batch, one after the other: what every contender but limpid writes to.
#[derive(Default)]
pub struct Arena {
    pub bytes: Vec<u8>,
    ends: Vec<usize>,
    first: usize,
}

impl Arena {
    pub fn clear(&mut self, first: usize) {
        self.bytes.clear();
        self.ends.clear();
        self.first = first;
    }

    /// Marks the end of a record.
    pub fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub fn get(&self, record: usize) -> &[u8] {
        let index = record - self.first;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// Each record copied: what moving the bytes costs.
#[derive(Default)]
pub struct Memcpy(Arena);

impl Contender for Memcpy {
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>) {
        self.0.clear(batch.start);
        for record in batch {
            self.0.bytes.extend_from_slice(corpus.record(record));
            self.0.end();
        }
    }

    fn output<'a>(&'a self, _: &'a Corpus, record: usize) -> &'a [u8] {
        self.0.get(record)
    }
}

/// limpid's engine.
pub struct Limpid {
    policies: Policies,
    route: Route,
    engine: Engine,
    batch: Batch,
    first: usize,
    /// The header's value for each record, where tenants are named by one.
    tenants: Vec<Tenant>,
}

impl Limpid {
    /// One policy for all records.
    pub fn new(yaml: &str, scanner: Scanner) -> Self {
        let plan = rules::plan(yaml, &rules::keyring());
        let tenant = TenantSource::Fixed(plan.tenant.clone());
        Self::with(vec![plan], tenant, scanner)
    }

    /// So many tenants with a policy each; every record's header names one, drawn with a seed. The
    /// policies are alike but for the tenant, or each has a rule that no other has.
    pub fn tenants(
        yaml: &str,
        count: usize,
        alike: bool,
        records: usize,
    ) -> (Self, Vec<Arc<EpochKeys>>) {
        let keyring = rules::keyring();
        let name = |number: usize| format!("tenant-{number:05}");
        let plan = |number: usize| {
            let mut yaml = yaml.replace("tenant: acme", &format!("tenant: {}", name(number)));
            if !alike {
                yaml += &format!("  - fields: [attributes.note_{number}]\n    do: drop\n");
            }
            rules::plan(&yaml, &keyring)
        };
        let plans: Vec<Plan> = (0..count).map(plan).collect();
        let drawn: Vec<usize> = (0..records as u64).map(|at| draw(at, count)).collect();
        let keys = |number: &usize| rules::epoch_keys(&plans[*number]).expect("it has a key");
        let keys = drawn.iter().map(keys).map(Arc::new).collect();
        let header = TenantSource::Header(Box::from(Tenant::NAME));
        let mut all = Self::with(plans, header, Scanner::detect());
        let bytes = |number| name(number).into_bytes().try_into().expect("twelve bytes");
        all.tenants = drawn.into_iter().map(|number| Tenant(bytes(number))).collect();
        (all, keys)
    }

    fn with(plans: Vec<Plan>, tenant: TenantSource, scanner: Scanner) -> Self {
        Self {
            policies: Policies::new(plans).expect("distinct tenants"),
            route: Route { index: 0, tenant, default_tenant: None },
            engine: Engine::with_scanner(Limits::default(), scanner),
            batch: Batch::default(),
            first: 0,
            tenants: Vec::new(),
        }
    }
}

impl Contender for Limpid {
    fn clean(&mut self, corpus: &Corpus, batch: Range<usize>) {
        self.first = batch.start;
        self.batch.clear();
        let records =
            batch.map(|index| (&self.route, record(corpus.record(index), self.tenants.get(index))));
        self.engine.clean_all(&self.policies, records, &mut self.batch);
        self.batch.complete();
    }

    fn output<'a>(&'a self, corpus: &'a Corpus, index: usize) -> &'a [u8] {
        let record = record(corpus.record(index), self.tenants.get(index));
        match self.batch.outcome(index - self.first, &record, &self.policies) {
            Outcome::Clean(clean) => clean.value().expect("no tombstones here"),
            Outcome::Withheld(withheld) => panic!("record {index} is withheld: {withheld:?}"),
        }
    }
}

fn record<'a>(value: &'a [u8], tenant: Option<&'a Tenant>) -> Record<'a> {
    Record {
        topic: "events",
        partition: 0,
        offset: 0,
        timestamp_ms: Some(TIMESTAMP_MS),
        key: None,
        value: Some(Raw::new(value)),
        headers: tenant.map_or(NO_HEADERS, |tenant| tenant),
    }
}

/// A record's one header, which names its tenant. The names stand in a row, as in a fetch buffer, and
/// not where the heap had room.
struct Tenant([u8; 12]);

impl Tenant {
    const NAME: &[u8] = b"tenant";
}

impl Headers for Tenant {
    fn count(&self) -> usize {
        1
    }

    fn get(&self, index: usize) -> Option<Header<'_>> {
        (index == 0).then(|| (Self::NAME, Some(Raw::new(&self.0))))
    }
}

/// One of `count`, at random and always the same (the finalizer of `SplitMix64`).
fn draw(at: u64, count: usize) -> usize {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % count as u64).expect("below count")
}
