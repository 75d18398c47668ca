//! What each transform costs, a value at a time.
//!
//! ```text
//! cargo bench --bench transforms             # nanoseconds a value, CPU time of the thread
//! cargo bench --bench transforms -- encrypt  # those whose line has this word
//! ```
//! Every answer is looked at before it is timed: the transform must have replaced the value, and
//! prefix-preserving addresses are compared with those of the crate `ipcrypt-rs`. Rounds go over all
//! lines in turn, and the quickest of each is told: a shared machine only ever makes it slower.

use limpid::format::{Out, Scalar};
use limpid::keys::{Epoch, EpochKeys, KeySource, Purpose, Secret, Secrets};
use limpid::transform::{
    self, Arg, Constant, Context, Kind, Outcome, Param, Place, Recent, Transform,
};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ROUNDS: usize = 15;
/// Values a round and line.
const VALUES: usize = 4096;

/// A transform with its values.
struct Line {
    name: String,
    transform: Transform,
    values: Vec<String>,
    best_ns: f64,
}

fn main() {
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let keys = keys();
    let mut lines = lines();
    lines.retain(|line| word.as_ref().is_none_or(|word| line.name.contains(word.as_str())));
    let (mut recent, mut out) = (Recent::default(), Vec::new());
    for line in &lines {
        check(line, &keys);
    }
    for _ in 0..ROUNDS {
        for line in &mut lines {
            // New addresses are to be new in each round.
            if line.name.contains("new") {
                recent = Recent::default();
            }
            let start = cpu_ns();
            for value in &line.values {
                out.clear();
                let mut context = context(&keys, &mut recent);
                let value = black_box(Scalar::Text(value));
                black_box(line.transform.apply(value, &mut context, &mut Out::json(&mut out)));
            }
            let spent = (cpu_ns() - start) / line.values.len() as f64;
            line.best_ns = line.best_ns.min(spent);
        }
    }
    for line in &lines {
        println!("{:48} {:8.0} ns", line.name, line.best_ns);
    }
}

fn context<'a>(keys: &'a EpochKeys, recent: &'a mut Recent) -> Context<'a> {
    let place = Place { topic: "raw", partition: 3, offset: 42, key: Some(b"jane") };
    Context { keys: Some(keys), place, recent: Some(recent), ..Context::default() }
}

fn keys() -> EpochKeys {
    use Purpose::{Date, Digits, IpCryptoPan, IpDeterministic, IpNd, IpNdx, IpPrefix, Token};
    let purposes = [IpDeterministic, IpPrefix, IpCryptoPan, IpNd, IpNdx, Date, Digits, Token];
    let secret = Secrets::from(Secret::new(*b"limpid bench: a secret of nobody"));
    let source = KeySource::new(secret, "acme", Epoch::Never).with(purposes.into_iter().collect());
    source.keys(source.period(None).expect("one secret for all times"))
}

/// What comes out is what should.
fn check(line: &Line, keys: &EpochKeys) {
    let mut recent = Recent::default();
    for value in &line.values {
        let mut out = Vec::new();
        let mut context = context(keys, &mut recent);
        let outcome =
            line.transform.apply(Scalar::Text(value), &mut context, &mut Out::plain(&mut out));
        assert_eq!(outcome, Outcome::Replaced, "{}", line.name);
        if line.name.contains("prefix") {
            let secret = *b"limpid bench: a secret of nobody";
            let material = [&secret[..], &4u32.to_le_bytes(), b"acme", &[0; 16]].concat();
            let mut key = [0; 32];
            blake3::Hasher::new_derive_key("limpid encrypt_ip prefix v1")
                .update(&material)
                .finalize_xof()
                .fill(&mut key);
            let address: IpAddr = value.parse().expect("an address");
            let want = ipcrypt_rs::IpcryptPfx::new(key).encrypt_ipaddr(address).to_string();
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }
}

fn lines() -> Vec<Line> {
    let many = |value: &dyn Fn(u64) -> String| (0..VALUES as u64).map(value).collect::<Vec<_>>();
    let v4 = many(&|n| Ipv4Addr::from((mixed(n) as u32) | 1).to_string());
    let v6 = many(&|n| {
        let low = u128::from(mixed(n)) | 1;
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | low).to_string()
    });
    let same = |values: &[String]| values.iter().take(64).cycle().take(VALUES).cloned().collect();
    let fixed = |text: &str| vec![text.to_owned(); VALUES];
    let id = many(&|n| format!("user-{}", mixed(n) % 1_000_000));
    let card = many(&|n| format!("{:016}", mixed(n) % 10_u64.pow(16)));
    let mail = many(&|n| format!("jane.doe{}@mail.example", mixed(n) % 1_000_000));
    let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/126.0.0.0 Safari/537.36";
    let url = "https://shop.example/cart/items?session=8f14e45f&utm_source=mail#top";
    let word = |name: &'static str, word: &'static str| (name, Arg::Word(word));
    vec![
        line("redact", "", &[], id.clone()),
        line("set", "", &[("to", Arg::Constant(Constant::Text("x".into())))], id.clone()),
        line("mask", "", &[("keep_first", Arg::Int(1))], id.clone()),
        line("mask", "keep_separators", &[("keep_separators", Arg::Flag(true))], card.clone()),
        line("truncate_ip", "IPv4", &[], v4.clone()),
        line("truncate_ip", "IPv6", &[], v6.clone()),
        line("pseudonymize", "one by one", &[], id.clone()),
        line("pseudonymize", "as email, one by one", &[word("as", "email")], mail.clone()),
        line("encrypt_ip", "deterministic, IPv4", &[], v4.clone()),
        line("encrypt_ip", "deterministic, IPv6", &[], v6.clone()),
        line("encrypt_ip", "prefix, new IPv4", &[word("mode", "prefix")], v4.clone()),
        line("encrypt_ip", "prefix, new IPv6", &[word("mode", "prefix")], v6.clone()),
        line("encrypt_ip", "prefix, repeated IPv4", &[word("mode", "prefix")], same(&v4)),
        line("encrypt_ip", "prefix, repeated IPv6", &[word("mode", "prefix")], same(&v6)),
        line("encrypt_ip", "cryptopan, new IPv4", &[word("mode", "cryptopan")], v4.clone()),
        line("encrypt_ip", "cryptopan, new IPv6", &[word("mode", "cryptopan")], v6.clone()),
        line("encrypt_ip", "cryptopan, repeated IPv6", &[word("mode", "cryptopan")], same(&v6)),
        line("encrypt_ip", "nd, IPv6", &[word("mode", "nd")], v6.clone()),
        line("encrypt_ip", "ndx, IPv6", &[word("mode", "ndx")], v6.clone()),
        line("encrypt_digits", "16 digits", &[], card.clone()),
        line("tokenize", "16 digits", &[], card),
        line("email", "mask", &[], mail.clone()),
        line("email", "hash, one by one", &[word("local", "hash")], mail),
        line("strip_query", "", &[], fixed(url)),
        line(
            "url",
            "path: first, query: names",
            &[word("path", "first"), word("query", "names")],
            fixed(url),
        ),
        line("user_agent", "Chrome", &[], fixed(agent)),
        line("round", "", &[("digits", Arg::Int(1))], fixed("52.52437")),
        line("bucket", "size: 10", &[("size", Arg::Int(10))], fixed("37.5")),
        line("date", "RFC 3339", &[], fixed("2026-11-24T22:05:23.517+01:00")),
        line(
            "date",
            "shifted",
            &[("shift_days", Arg::Int(30))],
            fixed("2026-11-24T22:05:23.517+01:00"),
        ),
        line("geo", "pair", &[("grid_metres", Arg::Int(1000))], fixed("52.52437,13.41053")),
    ]
}

fn line(name: &str, about: &str, given: &[(&str, Arg)], values: Vec<String>) -> Line {
    let spec = transform::named(name).expect("a transform of that name");
    let args: Vec<Arg> = spec.params.iter().map(|param| argument(param, given)).collect();
    let transform = (spec.build)(&args).expect("arguments that fit");
    let name = format!("{name} {about}").trim_end().to_owned();
    Line { name, transform, values, best_ns: f64::INFINITY }
}

fn argument(param: &Param, given: &[(&str, Arg)]) -> Arg {
    let named = given.iter().find(|(name, _)| *name == param.name);
    match (named, param.kind) {
        (Some((_, arg)), _) => arg.clone(),
        (None, Kind::Int { default, .. }) => Arg::Int(default.unwrap_or_default()),
        (None, Kind::Text { default, .. }) => Arg::Text(default.to_owned()),
        (None, Kind::Word { default, .. }) => Arg::Word(default),
        (None, Kind::Flag) => Arg::Flag(false),
        (None, Kind::Names) => Arg::Names(Vec::new()),
        (None, Kind::Ints { .. }) => Arg::Ints(Vec::new()),
        (None, Kind::Field) => Arg::Field(None),
        (None, Kind::Constant) => Arg::Constant(Constant::Bare("null".into())),
    }
}

/// Numbers that look arbitrary (splitmix64).
fn mixed(n: u64) -> u64 {
    let mut word = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// CPU time of this thread.
fn cpu_ns() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}
