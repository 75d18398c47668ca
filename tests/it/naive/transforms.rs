//! What each transform makes of a scalar, with std's own parsers and strings character by
//! character.

use super::{Action, Flaw};
use data_encoding::BASE32HEX_NOPAD;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A scalar but null, by meaning.
pub enum Scalar<'a> {
    Text(&'a str),
    Number(&'a str),
    Bool,
}

/// What transforms with a key need: what keys are derived from, and the record that it is.
pub struct Keys {
    material: Vec<u8>,
    secret: [u8; 32],
    tenant: String,
    /// Length in milliseconds, and number.
    epoch: (u64, i64),
    /// How many values of the record were drawn from its place.
    pub drawn: Cell<u32>,
    /// The record's key.
    pub record_key: Option<Vec<u8>>,
    /// By the number of the field: whose times they may be.
    pub subjects: RefCell<Vec<Option<Vec<u8>>>>,
}

impl Keys {
    /// The keys of a tenant in one epoch: its length in milliseconds, its number.
    pub fn new(secret: &[u8; 32], tenant: &str, epoch_ms: u64, number: i64) -> Self {
        let length = u32::try_from(tenant.len()).expect("short");
        let mut material = secret.to_vec();
        material.extend(length.to_le_bytes());
        material.extend(tenant.bytes());
        material.extend(epoch_ms.to_le_bytes());
        material.extend(number.to_le_bytes());
        Self {
            material,
            secret: *secret,
            tenant: tenant.to_owned(),
            epoch: (epoch_ms, number),
            drawn: Cell::new(0),
            record_key: None,
            subjects: RefCell::new(Vec::new()),
        }
    }

    /// The key of a purpose.
    pub fn derive<const BYTES: usize>(&self, context: &str) -> [u8; BYTES] {
        let mut key = [0; BYTES];
        blake3::Hasher::new_derive_key(context)
            .update(&self.material)
            .finalize_xof()
            .fill(&mut key);
        key
    }
}

impl Keys {
    /// A tweak of so many bytes for the next value of a record in topic `raw`, partition 0, offset 0.
    pub fn tweak<const BYTES: usize>(&self) -> [u8; BYTES] {
        let place =
            [&3u32.to_le_bytes()[..], b"raw", &[0; 4], &[0; 8], &self.drawn.get().to_le_bytes()];
        self.drawn.set(self.drawn.get() + 1);
        let mut tweak = [0; BYTES];
        let key = self.derive("limpid encrypt_ip tweak v1");
        blake3::Hasher::new_keyed(&key).update(&place.concat()).finalize_xof().fill(&mut tweak);
        tweak
    }

    /// A token for a value of this kind.
    pub fn token(&self, kind: u8, text: &str) -> String {
        use aes_siv::KeyInit;
        let id = blake3::derive_key("limpid secret id v1", &self.secret);
        let mut head = id[..4].to_vec();
        head.extend(&self.epoch.0.to_be_bytes()[2..]);
        head.extend(self.epoch.1.to_be_bytes());
        let mut sealed = [&[kind][..], text.as_bytes()].concat();
        let key: [u8; 64] = self.derive("limpid tokenize v1");
        let data = [&b"limpid token v1"[..], self.tenant.as_bytes(), &head];
        let tag = aes_siv::siv::Aes256Siv::new(&key.into())
            .encrypt_inout_detached(data, sealed.as_mut_slice().into())
            .expect("few headers");
        let token = [&head[..], &tag, &sealed].concat();
        format!("tok1_{}", data_encoding::BASE64URL_NOPAD.encode(&token))
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Unchanged,
    Text(String),
    Number(String),
    Dropped,
    Mismatch,
}

/// Does the work of `action`.
pub fn apply(action: &Action, value: &Scalar<'_>, keys: &Keys, flaw: Flaw) -> Done {
    use Scalar::{Bool, Number, Text};
    match (action, value) {
        (Action::Form(form), value) => match flaw {
            Flaw::Slip(slip) => match slip.misread(form) {
                Action::Form(form) => form.apply(value, keys),
                other => apply(&other, value, keys, Flaw::None),
            },
            _ => form.apply(value, keys),
        },
        (Action::Keep, _) => Done::Unchanged,
        (Action::Rename { to }, Scalar::Text(name)) if name == to => Done::Unchanged,
        (Action::Rename { to }, _) => Done::Text(to.clone()),
        (Action::Drop, _) => Done::Dropped,
        (Action::Redact, _) => Done::Text(super::REDACTED.to_owned()),
        (Action::Mask { .. }, Text("")) => Done::Unchanged,
        (Action::Mask { first, last }, Text(text) | Number(text)) => {
            Done::Text(masked(text, *first, *last, flaw))
        }
        (Action::TruncateIp { v4, v6 }, Text(text)) => {
            changed(text, addresses(text, *v4, *v6, flaw))
        }
        (Action::Pseudonymize { prefix }, Text(text)) => Done::Text(pseudonym(prefix, text, keys)),
        (Action::Pseudonymize { prefix }, Number(text)) => {
            let canonical =
                if flaw == Flaw::NumberSpelling { (*text).to_owned() } else { canonical(text) };
            Done::Text(pseudonym(prefix, &canonical, keys))
        }
        // A query is written anew even if all of it stays.
        (Action::StripQuery { keep }, Text(text)) if text.contains(['?', '#']) => {
            stripped(text, keep, flaw).map_or(Done::Mismatch, Done::Text)
        }
        (Action::StripQuery { keep }, Text(text)) => changed(text, stripped(text, keep, flaw)),
        (Action::Round { digits }, Number(text)) => {
            rounded(text, *digits, flaw).map_or(Done::Unchanged, Done::Number)
        }
        (Action::Round { digits }, Text(text)) if is_number(text) => {
            rounded(text, *digits, flaw).map_or(Done::Unchanged, Done::Text)
        }
        (Action::Round { .. }, Text(_))
        | (Action::TruncateIp { .. } | Action::StripQuery { .. }, Number(_))
        | (_, Bool) => Done::Mismatch,
    }
}

pub fn changed(before: &str, after: Option<String>) -> Done {
    match after {
        None => Done::Mismatch,
        Some(after) if after == before => Done::Unchanged,
        Some(after) => Done::Text(after),
    }
}

// mask

fn masked(text: &str, first: usize, last: usize, flaw: Flaw) -> String {
    let length = if flaw == Flaw::MaskCountsBytes { text.len() } else { text.chars().count() };
    if first + last >= length {
        return text.chars().map(|_| '*').collect();
    }
    let kept = |index: usize| index < first || index >= length - last;
    text.chars().enumerate().map(|(index, c)| if kept(index) { c } else { '*' }).collect()
}

// truncate_ip

fn addresses(text: &str, v4: u8, v6: u8, flaw: Flaw) -> Option<String> {
    let parts: Option<Vec<String>> = text
        .split(',')
        .map(|part| {
            let bare = part.trim_matches(' ');
            let (before, after) = part.split_at(part.find(bare)?);
            let after = &after[bare.len()..];
            Some(format!("{before}{}{after}", address(bare, v4, v6, flaw)?))
        })
        .collect();
    Some(parts?.join(","))
}

/// One address: bare, in brackets, with a port, with a zone.
fn address(text: &str, v4: u8, v6: u8, flaw: Flaw) -> Option<String> {
    if let Some(inside) = text.strip_prefix('[') {
        let (inside, after) = inside.split_once(']')?;
        if !(after.is_empty() || after.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        let inside: Ipv6Addr = without_zone(inside)?.parse().ok()?;
        return Some(format!("[{}]{after}", cut(IpAddr::V6(inside), v4, v6, flaw)));
    }
    if let Some((host, port)) = text.split_once(':')
        && let Ok(host) = host.parse::<Ipv4Addr>()
    {
        let port = is_port(port).then_some(port)?;
        return Some(format!("{}:{port}", cut(IpAddr::V4(host), v4, v6, flaw)));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(cut(IpAddr::V4(address), v4, v6, flaw));
    }
    let address: Ipv6Addr = without_zone(text)?.parse().ok()?;
    Some(cut(IpAddr::V6(address), v4, v6, flaw))
}

pub fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn without_zone(text: &str) -> Option<&str> {
    match text.split_once('%') {
        None => Some(text),
        Some((address, zone)) => (!zone.is_empty()).then_some(address),
    }
}

fn cut(address: IpAddr, v4: u8, v6: u8, flaw: Flaw) -> String {
    let net = |address, prefix| ipnet::IpNet::new(address, prefix).expect("a prefix in range");
    match address {
        IpAddr::V4(_) => net(address, v4).network().to_string(),
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) if flaw != Flaw::MappedAsV6 => {
                format!("::ffff:{}", net(IpAddr::V4(four), v4).network())
            }
            _ => net(address, v6.min(bits_before_inner(six).saturating_add(v4)))
                .network()
                .to_string(),
        },
    }
}

/// Bits before the IPv4 address that an IPv6 one may hold: 6to4, NAT64, IPv4-compatible.
fn bits_before_inner(address: Ipv6Addr) -> u8 {
    let within = |net: &str| net.parse::<ipnet::Ipv6Net>().expect("a net").contains(&address);
    if within("2002::/16") {
        16
    } else if within("64:ff9b::/96") || within("::/96") {
        96
    } else {
        128
    }
}

// pseudonymize

pub fn pseudonym(prefix: &str, canonical: &str, keys: &Keys) -> String {
    let key: [u8; 32] = keys.derive("limpid pseudonym v1");
    let hash = blake3::keyed_hash(&key, canonical.as_bytes());
    let text = BASE32HEX_NOPAD.encode(&hash.as_bytes()[..16]).to_lowercase();
    format!("{prefix}{text}")
}

/// A number taken apart: its value is `digits × 10^exponent`. `digits` has no zeros at its start,
/// and none at its end; zero has none at all.
pub struct Decimal {
    pub minus: bool,
    pub digits: String,
    pub exponent: i128,
}

/// Takes a number apart.
pub fn decimal(text: &str) -> Decimal {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let minus = mantissa.starts_with('-');
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // limpid holds exponents within ±2^40: beyond, numbers are all the same to it.
    const EXPONENT_MAX: i128 = 1 << 40;
    let beyond = if exponent.starts_with('-') { -EXPONENT_MAX } else { EXPONENT_MAX };
    let exponent: i128 = exponent.parse().unwrap_or(beyond);
    let mut exponent = exponent.clamp(-EXPONENT_MAX, EXPONENT_MAX);
    exponent -= i128::try_from(fraction.len()).expect("short");
    let digits = format!("{whole}{fraction}");
    let short = digits.trim_end_matches('0');
    exponent += i128::try_from(digits.len() - short.len()).expect("short");
    Decimal { minus, digits: short.trim_start_matches('0').to_owned(), exponent }
}

/// The canonical text of a number: equal numbers have equal texts.
pub fn canonical(text: &str) -> String {
    const PLAIN_MAX: i128 = 40;
    let Decimal { minus, digits, exponent } = decimal(text);
    if digits.is_empty() {
        return "0".to_owned();
    }
    if !text.contains(['.', 'e', 'E']) {
        // An integer agrees with the text of its digits, however many.
        return text.to_owned();
    }
    let before_point = i128::try_from(digits.len()).expect("short") + exponent;
    let plain = if exponent >= 0 && before_point <= PLAIN_MAX {
        format!("{digits}{}", zeros(exponent))
    } else if exponent < 0 && -exponent <= PLAIN_MAX && before_point <= PLAIN_MAX {
        let padded = format!("{}{digits}", zeros(1 - before_point));
        let point = padded.len() - usize::try_from(-exponent).expect("at most 40");
        format!("{}.{}", &padded[..point], &padded[point..])
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e{}", before_point - 1)
    };
    if minus { format!("-{plain}") } else { plain }
}

fn zeros(count: i128) -> String {
    "0".repeat(usize::try_from(count.max(0)).expect("few"))
}

// strip_query

const AUTHORITY_SCHEMES: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

pub fn stripped(url: &str, keep: &[String], flaw: Flaw) -> Option<String> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    if url[..end].contains(|c: char| c <= ' ' || c == '\u{7f}') {
        return None;
    }
    let scheme = scheme(url);
    let after = scheme.map_or(url, |scheme| &url[scheme.len() + 1..]);
    let known = scheme.is_some_and(|scheme| {
        AUTHORITY_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme))
    });
    let authority = if known {
        Some(after.trim_start_matches(['/', '\\']))
    } else if scheme.is_none() {
        after.strip_prefix(['/', '\\']).and_then(|rest| rest.strip_prefix(['/', '\\']))
    } else {
        after.strip_prefix("//")
    };
    if scheme.is_some() && !known && !after.starts_with(['/', '\\']) {
        // A host and its port; a name that is no host is a scheme without a path, as of `tel:1234`.
        let port = after.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        let host = scheme.is_some_and(|name| name == "localhost" || name.contains('.'));
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if !host || port.len() > 5 || !digits {
            return None;
        }
    }
    if authority.is_none() {
        // An address without a scheme (`jane@x.example/a`), or a user-info without `//`.
        let first = url[..end].split(['/', '\\']).next().unwrap_or_default();
        if first.contains('@') {
            return None;
        }
    }
    let mut clean = String::new();
    let mut rest = url;
    if let Some(authority) = authority {
        clean.push_str(&url[..url.len() - authority.len()]);
        let end = authority.find(['/', '\\', '?', '#']).unwrap_or(authority.len());
        let host = authority[..end].rsplit('@').next().unwrap_or_default();
        if host.is_empty() && end > 0 {
            // `user@`, and no host behind it.
            return None;
        }
        clean.push_str(if flaw == Flaw::KeepsUserInfo { &authority[..end] } else { host });
        rest = &authority[end..];
    }
    let (before, fragment) = rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    clean.push_str(path);
    let name = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        keep.iter().any(|kept| kept == name)
    };
    let kept: Vec<&str> = query.split(['&', ';']).filter(name).collect();
    if !kept.is_empty() {
        clean.push('?');
        clean.push_str(&kept.join("&"));
    }
    if flaw == Flaw::KeepsFragment
        && let Some(fragment) = fragment
    {
        clean.push('#');
        clean.push_str(fragment);
    }
    Some(clean)
}

/// The scheme that a URL begins with: a letter, then letters, digits, `+`, `-`, `.`, then a colon.
pub fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits))
        .then_some(scheme)
}

// round

const WRITTEN_OUT_MAX: i128 = 400;

/// Is the text a JSON number, with nothing around it?
pub fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && super::json::parse(text.as_bytes()).is_ok()
}

/// `None` where the number stays as it is.
fn rounded(text: &str, decimals: usize, flaw: Flaw) -> Option<String> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let has_exponent = text.contains(['e', 'E']);
    if !has_exponent && fraction.len() <= decimals {
        return None;
    }
    let Decimal { minus, digits, exponent } = decimal(text);
    let shift = i128::try_from(decimals).expect("few");
    let before_point = i128::try_from(digits.len()).expect("short") + exponent;
    if before_point > WRITTEN_OUT_MAX {
        return None;
    }
    // The value in units of the last decimal that stays: an integer, then a rest.
    let scaled = exponent + shift;
    let (units, rest) = if digits.is_empty() || before_point + shift < 0 {
        (String::new(), "")
    } else if scaled >= 0 {
        (format!("{digits}{}", zeros(scaled)), "")
    } else {
        let (units, rest) =
            digits.split_at(digits.len() - usize::try_from(-scaled).expect("checked"));
        (units.to_owned(), rest)
    };
    let up = match flaw {
        Flaw::HalfDown => rest > "5",
        _ => rest >= "5",
    };
    let units = if up { plus_one(&units) } else { units };
    let units = units.trim_start_matches('0');
    let padded = format!("{}{units}", "0".repeat((decimals + 1).saturating_sub(units.len())));
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    let point = if decimals == 0 { "" } else { "." };
    let sign = if minus && !units.is_empty() { "-" } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

fn plus_one(digits: &str) -> String {
    let mut digits: Vec<u8> = digits.bytes().collect();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return String::from_utf8(digits).expect("digits");
        }
        *digit = b'0';
    }
    format!("1{}", String::from_utf8(digits).expect("digits"))
}
