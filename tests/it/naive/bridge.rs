//! From the twin's words to limpid's: a [`Policy`] as a plan, a text through the engine.

use super::forms::{Form, Local, Mode, Path, What};
use super::subjects::FIELDS;
use super::transforms::Keys;
use super::{Action, Beside, Bounds, Expected, Flaw, Policy};
use limpid::document::{Faults, Source};
use limpid::engine::{Batch, Engine, Limits, Outcome, Route, TenantSource};
use limpid::error::Reason;
use limpid::format::paths::{OnContainer, Paths, RuleId, RulePath, Segment, Strictness};
use limpid::keys::{Epoch, EpochKeys, KeySource, Purpose, Purposes, Secret, Secrets};
use limpid::policy::{
    Decides, Fields, HeaderName, OnKey, OnMismatch, Own, Plan, Policies, Rule, parse_path,
};
use limpid::record::{Raw, Record};
use limpid::scan::Scanner;
use limpid::transform::{self, Arg, Constant, Kind, Param, Transform};
use std::sync::Arc;

/// The secret of all made policies.
const SECRET: [u8; 32] = *b"a secret that keeps no secret :)";
/// Their tenant.
pub const TENANT: &str = "acme";
/// Their epoch, and a time in it.
pub const EPOCH_MS: u64 = 86_400_000;
pub const TIMESTAMP_MS: i64 = 1_790_000_000_000;

/// A plan for a policy; `None` if its paths multiply to too many states.
pub fn plan(policy: &Policy) -> Option<Plan> {
    plan_for(TENANT, policy)
}

/// A plan of this tenant.
pub fn plan_for(tenant: &str, policy: &Policy) -> Option<Plan> {
    let in_key = policy.in_key.as_deref();
    let count = policy.rules.len();
    let mut paths = paths_of(policy, 0);
    let mut key_paths = in_key.map(|in_key| paths_of(in_key, count));
    let all = || policy.rules.iter().chain(in_key.iter().flat_map(|in_key| &in_key.rules));
    let mut strictness: Vec<Strictness> = all()
        .map(|rule| Strictness {
            on_container: on_container(rule),
            rank: rule.strictness(),
            keeps: transform(&rule.action).keeps(),
        })
        .collect();
    let mut rules: Vec<Rule> = all()
        .enumerate()
        .map(|(number, rule)| Rule {
            transform: transform(&rule.action),
            mismatch: rule.mismatch,
            label: number.to_string(),
        })
        .collect();
    let mut key_rule = policy.key_rule.map(rule_id);
    let mut header_rules: Vec<(HeaderName, RuleId)> = policy
        .header_rules
        .iter()
        .map(|(name, rule)| {
            let named = name.as_deref().map(|name| HeaderName::Named(name.into()));
            (named.unwrap_or(HeaderName::Any), rule_id(*rule))
        })
        .collect();
    // For limpid the rest is a last rule.
    if let Some(action) = policy.unlisted_action() {
        let rule = rule_id(rules.len());
        let path =
            RulePath { rule, on_container: OnContainer::Take, segments: vec![Segment::AnyName] };
        key_paths.iter_mut().for_each(|paths| paths.push(path.clone()));
        paths.push(path);
        strictness.push(Strictness {
            on_container: OnContainer::Take,
            rank: rank(&action),
            keeps: None,
        });
        key_rule = key_rule.or(Some(rule));
        header_rules.push((HeaderName::Any, rule));
        let (transform, label) = (transform(&action), "unlisted".into());
        rules.push(Rule { transform, mismatch: OnMismatch::Redact, label });
    }
    let key = match (key_paths, in_key) {
        (Some(paths), Some(in_key)) => {
            OnKey::Within(compiled(&paths, count, in_key.base, &strictness)?.into())
        }
        _ => key_rule.map_or(OnKey::Nobody, OnKey::Whole),
    };
    let secret = Secrets::from(Secret::new(SECRET));
    Some(Plan {
        tenant: tenant.into(),
        version: 1,
        paths: compiled(&paths, 0, policy.base, &strictness)?,
        rules: rules.into_iter().map(Arc::new).collect(),
        key,
        header_rules,
        conditions: None,
        subjects: subjects(policy).map(Into::into),
        unlisted: policy.unlisted,
        keys: Some(KeySource::new(secret, tenant, Epoch::every_ms(EPOCH_MS)).with(every_purpose())),
        own: Own::default(),
    })
}

/// The fields that tell whose times are moved, if any rule asks them.
fn subjects(policy: &Policy) -> Option<Fields> {
    let asks = |rule: &super::Rule| {
        matches!(&rule.action, Action::Form(Form::Date { shift_by: Some(_), .. }))
    };
    let places = FIELDS.map(|field| parse_path(field).expect("a path"));
    let fields = Fields::at(&places).ok();
    let in_key = policy.in_key.iter().flat_map(|in_key| &in_key.rules);
    policy.rules.iter().chain(in_key).any(asks).then_some(fields)?
}

/// The paths of a policy's rules, which are numbered from `first` on.
fn paths_of(policy: &Policy, first: usize) -> Vec<RulePath> {
    let mut paths = Vec::new();
    for (number, rule) in policy.rules.iter().enumerate() {
        paths.extend(rule.paths.iter().map(|segments| RulePath {
            rule: rule_id(first + number),
            on_container: on_container(rule),
            segments: rule.decides.steps(segments),
        }));
    }
    paths
}

/// Without a base there is one list. The rules are numbered from `first` on.
fn compiled(
    paths: &[RulePath],
    first: usize,
    base: usize,
    strictness: &[Strictness],
) -> Option<Paths> {
    if base == 0 {
        return Paths::compile(paths).ok();
    }
    let base = paths.iter().take_while(|path| usize::from(path.rule) < first + base).count();
    let (base, own) = paths.split_at(base);
    Paths::strictest(&[base, own], strictness).ok()
}

const fn rank(action: &Action) -> u8 {
    if matches!(action, Action::Drop) { 6 } else { 5 }
}

fn on_container(rule: &super::Rule) -> OnContainer {
    match &rule.action {
        _ if rule.decides == Decides::Inside => OnContainer::Open,
        _ if rule.decides != Decides::Value => OnContainer::Rename,
        Action::Keep => OnContainer::Leave,
        action if action.takes() => OnContainer::Take,
        _ => OnContainer::EachScalar,
    }
}

fn rule_id(number: usize) -> RuleId {
    RuleId::try_from(number).expect("few rules")
}

/// The transform that does what `action` says.
pub fn transform(action: &Action) -> Transform {
    let (name, given): (&str, Vec<(&str, Arg)>) = match action {
        Action::Keep => ("keep", vec![]),
        Action::Drop => ("drop", vec![]),
        Action::Redact => ("redact", vec![]),
        Action::Mask { first, last } => {
            ("mask", vec![("keep_first", int(*first)), ("keep_last", int(*last))])
        }
        Action::TruncateIp { v4, v6 } => {
            ("truncate_ip", vec![("v4", int((*v4).into())), ("v6", int((*v6).into()))])
        }
        Action::Pseudonymize { prefix } => {
            ("pseudonymize", vec![("prefix", Arg::Text(prefix.clone()))])
        }
        Action::StripQuery { keep } => ("strip_query", vec![("keep", Arg::Names(keep.clone()))]),
        Action::Rename { to } => ("rename", vec![("to", Arg::Text(to.clone()))]),
        Action::Round { digits } => ("round", vec![("digits", int(*digits))]),
        Action::Form(form) => form_arguments(form),
    };
    let spec = transform::named(name).expect("a transform of that name");
    let args: Vec<Arg> = spec.params.iter().map(|param| argument(param, &given)).collect();
    (spec.build)(&args).expect("arguments in range")
}

fn form_arguments(form: &Form) -> (&'static str, Vec<(&'static str, Arg)>) {
    let low = |low: bool| ("as", Arg::Word(if low { "low" } else { "range" }));
    match form {
        Form::RedactAs { text, keep_kind } => (
            "redact",
            vec![("text", Arg::Text(text.clone())), ("keep_kind", Arg::Flag(*keep_kind))],
        ),
        Form::Set(constant) => ("set", vec![("to", Arg::Constant(json_constant(constant)))]),
        Form::MaskBetween { first, last } => (
            "mask",
            vec![
                ("keep_first", int(*first)),
                ("keep_last", int(*last)),
                ("keep_separators", Arg::Flag(true)),
            ],
        ),
        Form::PseudonymOf { what, prefix } => {
            let (word, country) = match what {
                What::Email => ("email", ""),
                What::Phone(country) => ("phone", country.as_str()),
                What::Ip => ("ip", ""),
            };
            let text = |name, text: &str| (name, Arg::Text(text.to_owned()));
            let what = ("as", Arg::Word(word));
            ("pseudonymize", vec![text("prefix", prefix), what, text("country", country)])
        }
        Form::EncryptIp(mode) => {
            let word = match mode {
                Mode::Deterministic => "deterministic",
                Mode::Prefix => "prefix",
                Mode::CryptoPan => "cryptopan",
                Mode::Nd => "nd",
                Mode::Ndx => "ndx",
            };
            ("encrypt_ip", vec![("mode", Arg::Word(word))])
        }
        Form::EncryptDigits { keep_first, luhn } => {
            let luhn = ("luhn", Arg::Flag(*luhn));
            ("encrypt_digits", vec![("keep_first", int(*keep_first)), luhn])
        }
        Form::Tokenize => ("tokenize", vec![]),
        Form::Email(local) => {
            let word = match local {
                Local::Mask => "mask",
                Local::Drop => "drop",
                Local::Hash => "hash",
            };
            ("email", vec![("local", Arg::Word(word))])
        }
        Form::Url { host, path, names, keep } => {
            let path = match path {
                Path::Keep => "keep",
                Path::First => "first",
                Path::Drop => "drop",
            };
            let arguments = vec![
                ("host", Arg::Word(if *host { "keep" } else { "drop" })),
                ("path", Arg::Word(path)),
                ("query", Arg::Word(if *names { "names" } else { "drop" })),
                ("keep", Arg::Names(keep.clone())),
            ];
            ("url", arguments)
        }
        Form::UserAgent => ("user_agent", vec![]),
        Form::Date { to, epoch, shift_days, shift_by } => {
            let field = shift_by.map(|field| u16::try_from(field).expect("few"));
            let arguments = vec![
                ("to", Arg::Word(to)),
                ("epoch", Arg::Word(epoch)),
                ("shift_days", Arg::Int(*shift_days)),
                ("shift_by", Arg::Field(field)),
            ];
            ("date", arguments)
        }
        Form::Geo { grid_metres, of } => {
            let grid_metres = ("grid_metres", Arg::Int((*grid_metres).into()));
            ("geo", vec![grid_metres, ("of", Arg::Word(of))])
        }
        Form::BucketBySize { size, low: lows } => {
            ("bucket", vec![("size", Arg::Int(*size)), low(*lows)])
        }
        Form::BucketByEdges { edges, low: lows } => {
            ("bucket", vec![("edges", Arg::Ints(edges.clone())), low(*lows)])
        }
    }
}

fn json_constant(constant: &str) -> Constant {
    if !constant.starts_with('"') {
        return Constant::Bare(constant.into());
    }
    Constant::Text(serde_json::from_str::<String>(constant).expect("JSON").into())
}

fn int(value: usize) -> Arg {
    Arg::Int(i64::try_from(value).expect("small"))
}

fn argument(param: &Param, given: &[(&str, Arg)]) -> Arg {
    let named = given.iter().find(|(name, _)| *name == param.name);
    match (named, param.kind) {
        (Some((_, arg)), _) => arg.clone(),
        (None, Kind::Int { default: Some(default), .. }) => Arg::Int(default),
        (None, Kind::Text { default, .. }) => Arg::Text(default.to_owned()),
        (None, Kind::Word { default, .. }) => Arg::Word(default),
        (None, Kind::Flag) => Arg::Flag(false),
        (None, Kind::Field) => Arg::Field(None),
        (None, Kind::Names) => Arg::Names(Vec::new()),
        (None, Kind::Ints { .. }) => Arg::Ints(Vec::new()),
        _ => panic!("the twin does not know the parameter {}", param.name),
    }
}

fn every_purpose() -> Purposes {
    use Purpose::{Date, Digits, IpCryptoPan, IpDeterministic, IpNd, IpNdx, IpPrefix, Token};
    [IpDeterministic, IpPrefix, IpCryptoPan, IpNd, IpNdx, Date, Digits, Token].into_iter().collect()
}

/// limpid's own keys of made policies at [`TIMESTAMP_MS`].
pub fn epoch_keys() -> EpochKeys {
    let epoch = Epoch::every_ms(EPOCH_MS);
    let source =
        KeySource::new(Secrets::from(Secret::new(SECRET)), TENANT, epoch).with(every_purpose());
    source.keys(source.period(Some(TIMESTAMP_MS)).expect("a time"))
}

/// The keys of made policies at [`TIMESTAMP_MS`], derived by the twin.
pub fn keys() -> Keys {
    keys_of(TENANT, TIMESTAMP_MS)
}

/// The keys of a tenant's made policy at a time.
pub fn keys_of(tenant: &str, timestamp_ms: i64) -> Keys {
    let number = timestamp_ms.div_euclid(i64::try_from(EPOCH_MS).expect("small"));
    Keys::new(&SECRET, tenant, EPOCH_MS, number)
}

/// The real thing: an engine with one policy.
pub struct Kernel {
    engine: Engine,
    policies: Policies,
    route: Route,
    batch: Batch,
}

impl Kernel {
    /// An engine for `plan`, on the machine's best scanner.
    pub fn new(plan: Plan, bounds: Bounds) -> Self {
        Self::with_scanner(plan, bounds, Scanner::detect())
    }

    /// An engine for `plan`, on this scanner.
    pub fn with_scanner(plan: Plan, bounds: Bounds, scanner: Scanner) -> Self {
        let limits = Limits {
            depth: bounds.depth,
            value_bytes: bounds.value_bytes,
            clean_bytes: bounds.clean_bytes,
        };
        let tenant = TenantSource::Fixed(plan.tenant.clone());
        Self {
            engine: Engine::with_scanner(limits, scanner),
            policies: Policies::new(vec![plan]).expect("one tenant"),
            route: Route { index: 0, tenant, default_tenant: None },
            batch: Batch::default(),
        }
    }

    /// What becomes of a record of this value.
    pub fn clean(&mut self, value: &[u8]) -> Result<Vec<u8>, Reason> {
        self.clean_beside(value, Beside::default())
    }

    /// What becomes of this value of a record: the same whether its shape is known or not.
    pub fn clean_beside(&mut self, value: &[u8], beside: Beside<'_>) -> Result<Vec<u8>, Reason> {
        let (walked, followed) = (self.clean_once(value, beside), self.clean_once(value, beside));
        assert_eq!(walked, followed, "{}", String::from_utf8_lossy(value));
        followed
    }

    fn clean_once(&mut self, value: &[u8], beside: Beside<'_>) -> Result<Vec<u8>, Reason> {
        let headers = beside.headers.to_vec();
        let record = Record {
            topic: "raw",
            partition: 0,
            offset: 0,
            timestamp_ms: Some(TIMESTAMP_MS),
            key: beside.key.map(Raw::new),
            value: Some(Raw::new(value)),
            headers: &headers,
        };
        self.batch.clear();
        self.engine.clean(&self.policies, &self.route, &record, &mut self.batch);
        self.batch.complete();
        match self.batch.outcome(0, &record, &self.policies) {
            Outcome::Clean(clean) => Ok(clean.value().expect("no tombstone").to_vec()),
            Outcome::Withheld(withheld) => Err(withheld.reason),
        }
    }
}

/// As [`difference`], by way of the policy as its author would write it; none if that is refused.
pub fn compiled_difference(
    policy: &Policy,
    value: &[u8],
    beside: Beside<'_>,
    bounds: Bounds,
) -> Option<Difference> {
    let yaml = super::conditions::yaml(&policy.rules, policy.unlisted);
    let source = Source::new("p.yaml", yaml);
    let compiled = limpid::policy::rehearse(&source, &mut Faults::default())?;
    let kernel = Kernel::new(compiled.plan, bounds).clean_beside(value, beside);
    let twin = super::clean_value(policy, value, beside, &keys(), bounds, Flaw::None);
    differing(Flaw::None, &kernel, twin)
}

/// Where kernel and twin part ways on a record; `None` if they agree.
pub fn difference(policy: &Policy, value: &[u8], bounds: Bounds, flaw: Flaw) -> Option<Difference> {
    differences(policy, value, bounds, &[flaw]).pop()
}

/// As [`difference`], of twins with each of these flaws: those that are noticed.
pub fn differences(
    policy: &Policy,
    value: &[u8],
    bounds: Bounds,
    flaws: &[Flaw],
) -> Vec<Difference> {
    let Some(plan) = plan(policy) else { return Vec::new() };
    // Every scanner has its turn, so that none needs a run of its own.
    let scanners: Vec<Scanner> = Scanner::all().collect();
    let scanner = scanners[value.len() % scanners.len()];
    let kernel = Kernel::with_scanner(plan, bounds, scanner).clean(value);
    let twin = |flaw| super::clean(policy, value, &keys(), bounds, flaw);
    flaws.iter().filter_map(|flaw| differing(*flaw, &kernel, twin(*flaw))).collect()
}

fn differing(flaw: Flaw, kernel: &Result<Vec<u8>, Reason>, twin: Expected) -> Option<Difference> {
    let agree = match (kernel, &twin) {
        (Ok(clean), Expected::Clean(expected)) => clean == expected,
        (Err(reason), Expected::Withheld(reasons)) => reasons.contains(reason),
        _ => false,
    };
    (!agree).then(|| Difference { flaw, kernel: kernel.clone(), twin })
}

/// What each made of it.
pub struct Difference {
    pub flaw: Flaw,
    pub kernel: Result<Vec<u8>, Reason>,
    pub twin: Expected,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kernel {
            Ok(clean) => writeln!(f, "kernel: {}", String::from_utf8_lossy(clean))?,
            Err(reason) => writeln!(f, "kernel: withheld, {reason}")?,
        }
        match &self.twin {
            Expected::Clean(clean) => writeln!(f, "twin:   {}", String::from_utf8_lossy(clean)),
            Expected::Withheld(reasons) => writeln!(f, "twin:   withheld, {reasons:?}"),
        }
    }
}
