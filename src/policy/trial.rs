//! The tests that a policy carries: a record in, the record that must come out.
//!
//! They run through the real engine, not through a model of it, and a policy whose tests fail is
//! refused. So a policy's author states in the author's own words what the policy is for, and
//! neither a later edit nor a later limpid can quietly change it. What a failed test shows is the
//! author's own test data.

use super::{Policies, json};
use crate::document::{Called, Faults, Field, Kind, Node, Reader, Source, Span, Table};
use crate::engine::{Batch, CleanHeaders, Engine, Limits, Outcome, Route, TenantSource, Watch};
use crate::error::Reason;
use crate::record::{Headers, Raw, Record};
use std::fmt::Write as _;
use std::sync::Arc;

/// Header names with their values, in order.
type HeaderList = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Stands for any text in what a test expects.
pub const ANY_TEXT: char = '…';

/// Record time of a test: the first second of 2026, whatever day the test runs.
const TEST_TIME_MS: i64 = 1_767_225_600_000;

/// One test of a policy.
#[derive(Debug)]
pub struct Test {
    name: String,
    span: Span,
    value: Option<String>,
    key: Option<String>,
    headers: HeaderList,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Withheld(Reason),
    Clean { value: Option<String>, key: Option<Option<String>>, headers: Option<HeaderList> },
}

/// A policy's tests, ready to run.
#[derive(Debug)]
pub struct Tests {
    source: Arc<Source>,
    tenant: Arc<str>,
    list: Vec<Test>,
}

impl Tests {
    /// The tests of `tenant`'s policy, which stands in `source`.
    #[must_use]
    pub fn new(source: Arc<Source>, tenant: Arc<str>, list: Vec<Test>) -> Self {
        Self { source, tenant, list }
    }

    /// The policy's file.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Runs them on a set that holds the policy. A fault for each that fails, and their number.
    pub fn run(&self, policies: &Policies, faults: &mut Faults) -> usize {
        let mut failed = 0;
        for test in self.each(policies).filter(|test| !test.notes.is_empty()) {
            failed += 1;
            let message = format!("the test `{}` fails", test.name);
            faults.add(&self.source, "P032", test.span, message).notes = test.notes;
        }
        failed
    }

    /// Runs them one by one on a set that holds the policy.
    pub fn each<'a>(&'a self, policies: &'a Policies) -> impl Iterator<Item = Tested<'a>> {
        let mut bench = Bench::new(policies, self.tenant.clone(), Limits::default());
        self.list.iter().map(move |test| Tested {
            name: &test.name,
            span: test.span,
            notes: test.run(&mut bench),
        })
    }
}

/// What came of a test.
#[derive(Debug)]
pub struct Tested<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands in the policy.
    pub span: Span,
    /// What is wrong, line by line; nothing if it has passed.
    pub notes: Vec<String>,
}

/// An engine with one tenant's policy, for trying records one by one.
pub struct Bench<'a> {
    policies: &'a Policies,
    route: Route,
    engine: Engine,
    batch: Batch,
}

/// What became of a record on the bench, in owned parts.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    /// It would be withheld.
    Withheld(Reason),
    /// It would be published like this.
    Clean {
        /// The value; `None` is a tombstone.
        value: Option<Vec<u8>>,
        /// The key.
        key: Option<Vec<u8>>,
        /// The headers.
        headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
}

impl<'a> Bench<'a> {
    /// A bench for `tenant`'s policy.
    #[must_use]
    pub fn new(policies: &'a Policies, tenant: Arc<str>, limits: Limits) -> Self {
        let route = Route { index: 0, tenant: TenantSource::Fixed(tenant), default_tenant: None };
        Self { policies, route, engine: Engine::new(limits), batch: Batch::default() }
    }

    /// Cleans one record.
    pub fn clean(
        &mut self,
        value: Option<&[u8]>,
        key: Option<&[u8]>,
        headers: &dyn Headers,
    ) -> Tried {
        let record = Record {
            topic: "test",
            partition: 0,
            offset: 0,
            timestamp_ms: Some(TEST_TIME_MS),
            key: key.map(Raw::new),
            value: value.map(Raw::new),
            headers,
        };
        self.watched(&record, &mut ())
    }

    /// Cleans one record while somebody looks on.
    pub fn watched<W: Watch>(&mut self, record: &Record<'_>, watch: &mut W) -> Tried {
        let headers = record.headers;
        self.batch.clear();
        self.engine.clean_watched(self.policies, &self.route, record, &mut self.batch, watch);
        self.batch.complete();
        match self.batch.outcome(0, record, self.policies) {
            Outcome::Withheld(withheld) => Tried::Withheld(withheld.reason),
            Outcome::Clean(clean) => Tried::Clean {
                value: clean.value().map(<[u8]>::to_vec),
                key: clean.key().map(<[u8]>::to_vec),
                headers: match clean.headers() {
                    CleanHeaders::Same => owned(headers),
                    CleanHeaders::Edited(edited) => owned(&edited),
                },
            },
        }
    }
}

fn owned(headers: &dyn Headers) -> HeaderList {
    let all = (0..headers.count()).filter_map(|index| headers.get(index));
    all.map(|(name, value)| (name.to_vec(), value.map(|value| value.expose().to_vec()))).collect()
}

/// Reads one test from a policy's tree.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Test> {
    let mut table = Table::new(node, "a test", reader)?;
    table.know(KEYS_CALLED);
    let faults_before = reader.faults.len();
    let name = table.need("name", reader);
    let span = name.map_or(table.head(), |name| name.span());
    let name = name.and_then(|field| field.text(reader)).unwrap_or_default().to_owned();
    let value = table.need("in", reader).and_then(|field| record(&field, reader));
    let key = table.take("key").and_then(|field| field.text(reader)).map(str::to_owned);
    let headers = table.take("headers").and_then(|field| headers(&field, reader));
    let wanted = wanted(&mut table, span, reader);
    table.finish(reader);
    if reader.faults.len() > faults_before {
        return None;
    }
    Some(Test {
        name,
        span,
        value: value?,
        key,
        headers: headers.unwrap_or_default(),
        wanted: wanted?,
    })
}

/// What the keys of a test are called elsewhere.
const KEYS_CALLED: &[Called] = &[
    (&["input", "event", "record", "given"], "`in`"),
    (&["output", "expect", "expected", "want", "wanted", "then"], "`out`"),
    (&["rejected", "quarantine", "quarantined", "reason"], "`withheld`"),
    (&["description", "title"], "`name`"),
];

fn wanted(table: &mut Table<'_>, span: Span, reader: &mut Reader<'_>) -> Option<Wanted> {
    let out = table.take("out");
    let withheld = table.take("withheld");
    let key = table.take("out_key");
    let headers_field = table.take("out_headers");
    match (out, withheld) {
        (None, Some(withheld)) => {
            for field in [key, headers_field].into_iter().flatten() {
                reader
                    .fault("P030", field.name_span, "a withheld record has no clean parts")
                    .hint("take this out, or write `out` instead of `withheld`");
            }
            let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
            let index = withheld.one_of(&names, reader)?;
            Some(Wanted::Withheld(Reason::ALL[index]))
        }
        (Some(out), None) => {
            let value = record(&out, reader);
            let key = key.and_then(|field| text_or_none(&field, reader));
            let headers = headers_field.and_then(|field| headers(&field, reader));
            Some(Wanted::Clean { value: value?, key, headers })
        }
        // One that is called otherwise is refused for that.
        (None, None) if table.has_near("out") || table.has_near("withheld") => None,
        (out, withheld) => {
            let span = withheld.or(out).map_or(span, |field| field.name_span);
            reader
                .fault("P030", span, "a test needs either `out` or `withheld`")
                .hint("write `out:` and the clean record, or `withheld:` and the reason");
            None
        }
    }
}

/// A record's value: a tree written as JSON, a text taken as it is, or nothing for a tombstone.
#[expect(clippy::option_option, reason = "a fault, a tombstone, a value")]
fn record(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Option<String>> {
    match &field.node.kind {
        Kind::Null => Some(None),
        Kind::Text(text) => Some(Some(text.clone())),
        Kind::Map(_) | Kind::List(_) => {
            let mut text = String::new();
            json::write(field.node, &mut text, reader)?;
            Some(Some(text))
        }
        Kind::Refused => None,
        Kind::Bool(_) | Kind::Number(_) => {
            let message = format!("`{}` must be an event, found {}", field.name, field.node.is_a());
            reader
                .fault("P031", field.span(), message)
                .hint("write keys and values, a list of them, or a text that is taken as it is");
            None
        }
    }
}

#[expect(clippy::option_option, reason = "a fault, no key, a key")]
fn text_or_none(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Option<String>> {
    match field.node.kind {
        Kind::Null => Some(None),
        _ => field.text(reader).map(|text| Some(text.to_owned())),
    }
}

fn headers(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<HeaderList> {
    let mut list = HeaderList::new();
    for field in field.table(reader)?.rest() {
        let value = text_or_none(&field, reader)?;
        list.push((field.name.as_bytes().to_vec(), value.map(String::into_bytes)));
    }
    Some(list)
}

impl Test {
    /// What is wrong with the outcome, line by line; nothing if it is as wanted.
    fn run(&self, bench: &mut Bench<'_>) -> Vec<String> {
        let value = self.value.as_deref().map(str::as_bytes);
        let key = self.key.as_deref().map(str::as_bytes);
        let tried = bench.clean(value, key, &self.headers);
        match (&self.wanted, tried) {
            (Wanted::Withheld(wanted), Tried::Withheld(got)) if *wanted == got => Vec::new(),
            (Wanted::Withheld(wanted), Tried::Withheld(got)) => {
                vec![format!("wanted: withheld, {wanted}"), format!("got:    withheld, {got}")]
            }
            (Wanted::Withheld(wanted), Tried::Clean { value, .. }) => {
                vec![
                    format!("wanted: withheld, {wanted}"),
                    format!("got:    {}", text(value.as_deref())),
                ]
            }
            (Wanted::Clean { .. }, Tried::Withheld(got)) => {
                vec!["wanted: a clean record".into(), format!("got:    withheld, {got}")]
            }
            (wanted, Tried::Clean { value, key, headers }) => {
                compare(wanted, value.as_deref(), key.as_deref(), &headers)
            }
        }
    }
}

fn compare(
    wanted: &Wanted,
    value: Option<&[u8]>,
    key: Option<&[u8]>,
    headers: &HeaderList,
) -> Vec<String> {
    let Wanted::Clean { value: wanted_value, key: wanted_key, headers: wanted_headers } = wanted
    else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    let same = match (wanted_value, value) {
        (None, None) => true,
        (Some(wanted), Some(value)) => json::fits(wanted.as_bytes(), value),
        _ => false,
    };
    if !same {
        notes.extend(json::difference(
            &text(wanted_value.as_deref().map(str::as_bytes)),
            &text(value),
        ));
    }
    if let Some(wanted) = wanted_key {
        let wanted = wanted.as_deref().map(str::as_bytes);
        if !part_fits(wanted, key) {
            notes.push(format!("wanted key: {}", text(wanted)));
            notes.push(format!("got key:    {}", text(key)));
        }
    }
    if let Some(wanted) = wanted_headers
        && !headers_fit(wanted, headers)
    {
        notes.push(format!("wanted headers: {}", listed(wanted)));
        notes.push(format!("got headers:    {}", listed(headers)));
    }
    notes
}

fn part_fits(wanted: Option<&[u8]>, got: Option<&[u8]>) -> bool {
    match (wanted, got) {
        (None, None) => true,
        (Some(wanted), Some(got)) => {
            json::text_fits(&String::from_utf8_lossy(wanted), &String::from_utf8_lossy(got))
        }
        _ => false,
    }
}

fn headers_fit(wanted: &HeaderList, got: &HeaderList) -> bool {
    wanted.len() == got.len()
        && wanted.iter().zip(got).all(|(wanted, got)| {
            wanted.0 == got.0 && part_fits(wanted.1.as_deref(), got.1.as_deref())
        })
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "nothing".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn listed(headers: &HeaderList) -> String {
    let mut all = String::new();
    for (name, value) in headers {
        let gap = if all.is_empty() { "" } else { ", " };
        let _ = write!(all, "{gap}{}: {}", String::from_utf8_lossy(name), text(value.as_deref()));
    }
    if all.is_empty() { "none".into() } else { all }
}
