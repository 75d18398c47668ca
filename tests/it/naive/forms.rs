//! More of what a rule does to a scalar, each form written from docs/generated/transforms.md.

use super::Flaw;
use super::json;
use super::transforms::{
    Done, Keys, Scalar, changed, decimal, is_number, is_port, pseudonym, scheme, stripped,
    without_zone,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A transform with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    RedactAs {
        text: String,
        keep_kind: bool,
    },
    /// A constant, as JSON.
    Set(String),
    MaskBetween {
        first: usize,
        last: usize,
    },
    PseudonymOf {
        what: What,
        prefix: String,
    },
    EncryptIp(Mode),
    EncryptDigits {
        keep_first: usize,
        luhn: bool,
    },
    Tokenize,
    Email(Local),
    Url {
        host: bool,
        path: Path,
        names: bool,
        keep: Vec<String>,
    },
    UserAgent,
    Date {
        to: &'static str,
        epoch: &'static str,
        shift_days: i64,
        /// A number of [`super::subjects::FIELDS`].
        shift_by: Option<usize>,
    },
    Geo {
        grid_metres: u32,
        of: &'static str,
    },
    BucketBySize {
        size: i64,
        low: bool,
    },
    BucketByEdges {
        edges: Vec<i64>,
        low: bool,
    },
}

/// What becomes of a mail address's first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    Mask,
    Drop,
    Hash,
}

/// What stays of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    Keep,
    First,
    Drop,
}

/// How addresses are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Deterministic,
    Prefix,
    CryptoPan,
    Nd,
    Ndx,
}

/// What a value is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Email,
    /// With a country's calling code, or none.
    Phone(String),
    Ip,
}

/// What is no scalar that can be read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    Array,
    Object,
    /// A key or a header that is not UTF-8.
    Bytes,
}

impl Form {
    /// What a form that takes anything makes of it.
    pub fn on_anything(&self, other: Other) -> Option<Done> {
        match self {
            Self::Set(constant) => Some(constant_of(constant)),
            Self::RedactAs { keep_kind: true, .. } if other == Other::Array => {
                Some(Done::Number("[]".to_owned()))
            }
            Self::RedactAs { keep_kind: true, .. } if other == Other::Object => {
                Some(Done::Number("{}".to_owned()))
            }
            Self::RedactAs { text, .. } => Some(Done::Text(text.clone())),
            _ => None,
        }
    }

    /// Does the work.
    pub fn apply(&self, value: &Scalar<'_>, keys: &Keys) -> Done {
        use Scalar::{Bool, Number, Text};
        match (self, value) {
            (Self::Set(constant), _) => constant_of(constant),
            (Self::RedactAs { keep_kind: true, .. }, Number(_)) => Done::Number("0".to_owned()),
            (Self::RedactAs { keep_kind: true, .. }, Bool) => Done::Number("false".to_owned()),
            (Self::RedactAs { text, .. }, _) => Done::Text(text.clone()),
            (Self::MaskBetween { .. }, Text("")) => Done::Unchanged,
            (Self::MaskBetween { first, last }, Text(text) | Number(text)) => {
                Done::Text(masked_between(text, *first, *last))
            }
            (Self::PseudonymOf { what, prefix }, Text(text) | Number(text)) => {
                let canonical = canonical(what, text);
                canonical.map_or(Done::Mismatch, |text| Done::Text(pseudonym(prefix, &text, keys)))
            }
            (Self::EncryptIp(mode), Text(text)) => {
                encrypted_list(*mode, text, keys).map_or(Done::Mismatch, Done::Text)
            }
            (Self::EncryptDigits { keep_first, luhn }, Text(text)) => {
                let separators = |c: char| " -./()+".contains(c);
                let digits = text.replace(separators, "");
                let mut after = encrypted_digits(&digits, *keep_first, *luhn, false, keys)
                    .map(|digits| digits.into_bytes().into_iter());
                let mut next = |c: char| match &mut after {
                    Some(digits) if c.is_ascii_digit() => digits.next().map_or(c, char::from),
                    _ => c,
                };
                let text: String = text.chars().map(&mut next).collect();
                after.map_or(Done::Mismatch, |_| Done::Text(text))
            }
            (Self::EncryptDigits { keep_first, luhn }, Number(text)) => {
                encrypted_digits(text, *keep_first, *luhn, true, keys)
                    .map_or(Done::Mismatch, Done::Number)
            }
            (Self::Tokenize, Text(text)) if text.len() <= 1024 => {
                Done::Text(keys.token(b's', text))
            }
            (Self::Tokenize, Number(text)) if text.len() <= 1024 => {
                Done::Text(keys.token(b'n', text))
            }
            (Self::Email(local), Text(text)) => {
                let Some((_, domain)) = email(text) else { return Done::Mismatch };
                let hash = || canonical(&What::Email, text).map(|text| pseudonym("", &text, keys));
                match local {
                    Local::Mask => Done::Text(format!("***@{domain}")),
                    Local::Drop => Done::Text(domain.to_owned()),
                    Local::Hash => Done::Text(format!("{}@{domain}", hash().expect("an address"))),
                }
            }
            (Self::Url { host, path, names, keep }, Text(text)) => {
                changed(text, url(text, *host, *path, *names, keep))
            }
            (Self::UserAgent, Text("")) => Done::Unchanged,
            (Self::UserAgent, Text(text)) => Done::Text(user_agent(text)),
            (Self::Date { to, epoch, shift_days, shift_by }, Text(text)) if is_number(text) => {
                let time = epoch_time(text, to, epoch, || moved(*shift_days, *shift_by, keys));
                time.map_or(Done::Mismatch, Done::Text)
            }
            (Self::Date { to, epoch, shift_days, shift_by }, Number(text)) => {
                let time = epoch_time(text, to, epoch, || moved(*shift_days, *shift_by, keys));
                time.map_or(Done::Mismatch, Done::Number)
            }
            (Self::Date { to, shift_days, shift_by, .. }, Text(text)) => {
                changed(text, time(text, to, || moved(*shift_days, *shift_by, keys)))
            }
            (Self::Geo { grid_metres, of: "pair" }, Text(text)) => {
                position(text, *grid_metres).map_or(Done::Mismatch, Done::Text)
            }
            (Self::Geo { of: "pair", .. }, _) => Done::Mismatch,
            (Self::Geo { grid_metres, of }, Text(text)) => {
                coordinate(text, of, *grid_metres).map_or(Done::Mismatch, Done::Text)
            }
            (Self::Geo { grid_metres, of }, Number(text)) => {
                coordinate(text, of, *grid_metres).map_or(Done::Mismatch, Done::Number)
            }
            (Self::BucketBySize { size, low }, Text(text)) if is_number(text) => {
                bucket(floor(text).map(|floor| by_size(floor, *size)), *low, Done::Text)
            }
            (Self::BucketBySize { size, low }, Number(text)) => {
                bucket(floor(text).map(|floor| by_size(floor, *size)), *low, Done::Number)
            }
            (Self::BucketByEdges { edges, low }, Text(text)) if is_number(text) => {
                bucket(floor(text).map(|floor| by_edges(floor, edges)), *low, Done::Text)
            }
            (Self::BucketByEdges { edges, low }, Number(text)) => {
                bucket(floor(text).map(|floor| by_edges(floor, edges)), *low, Done::Number)
            }
            _ => Done::Mismatch,
        }
    }
}

/// The text or the bare spelling that a constant, written as JSON, is.
fn constant_of(constant: &str) -> Done {
    match json::parse(constant.as_bytes()).map(|parsed| parsed.root.kind) {
        Ok(json::Kind::Text(text)) => Done::Text(text),
        _ => Done::Number(constant.to_owned()),
    }
}

/// A constant as a key or a header has it.
pub fn bare(constant: &str) -> Vec<u8> {
    match constant_of(constant) {
        Done::Text(text) => text.into_bytes(),
        _ => constant.into(),
    }
}

/// The canonical spelling of what a value is taken for.
fn canonical(what: &What, text: &str) -> Option<String> {
    match what {
        What::Email => {
            let (local, domain) = email(text)?;
            let untagged = local.split('+').next().filter(|name| !name.is_empty());
            Some(format!("{}@{domain}", untagged.unwrap_or(local)).to_lowercase())
        }
        What::Phone(country) => phone(text, country),
        What::Ip => ip(text).map(|address| address.to_string()),
    }
}

/// Local part and domain of a mail address.
fn email(text: &str) -> Option<(&str, &str)> {
    let (local, domain) = text.trim_matches(' ').split_once('@')?;
    let bad = |c: char| c.is_whitespace() || c.is_control();
    let local_bad = |c: char| bad(c) || "\"(),:;<>@[\\]".contains(c);
    let domain_bad =
        |c: char| bad(c) || c.is_ascii() && !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    let fits = !local.is_empty()
        && local.len() <= 64
        && domain.len() <= 253
        && !local.contains(local_bad)
        && !domain.contains(domain_bad)
        && domain.split('.').all(|label| !label.is_empty());
    fits.then_some((local, domain))
}

fn phone(text: &str, country: &str) -> Option<String> {
    let text = text.trim_matches(' ');
    let international = text.starts_with('+');
    let text = text.strip_prefix('+').unwrap_or(text);
    let text = if international { text.replacen("(0)", "", 1) } else { text.to_owned() };
    if !text.chars().all(|c| c.is_ascii_digit() || " -./()".contains(c)) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let with_code = if international {
        digits
    } else if let Some(rest) = digits.strip_prefix("00") {
        rest.to_owned()
    } else if country.is_empty() {
        digits
    } else if let Some(rest) = digits.strip_prefix('0') {
        format!("{country}{rest}")
    } else if digits.starts_with(country) && digits.len() >= country.len() + 7 {
        digits
    } else {
        format!("{country}{digits}")
    };
    (4..=15).contains(&with_code.len()).then_some(with_code)
}

/// `url`: what `strip_query` leaves, taken apart.
fn url(text: &str, host: bool, path: Path, names: bool, keep: &[String]) -> Option<String> {
    // Without user-info, query and fragment; what `strip_query` refuses is refused.
    let bare = stripped(text, &[], Flaw::None)?;
    let (origin, way) = bare.split_at(origin_length(&bare));
    let slashed = |text: &str| text.starts_with(['/', '\\']);
    if !host && origin.is_empty() && !way.is_empty() && !slashed(way) {
        return None;
    }
    let way = if !host && way.is_empty() { "/" } else { way };
    let first = || {
        let (slash, rest) = way.split_at(usize::from(slashed(way)));
        format!("{slash}{}", rest.split(['/', '\\']).next().unwrap_or_default())
    };
    let mut clean = if host { origin.to_owned() } else { String::new() };
    match path {
        Path::Keep => clean.push_str(way),
        Path::First => clean.push_str(&first()),
        Path::Drop => {}
    }
    let query = text.split('#').next().and_then(|text| text.split_once('?'));
    let shown = query.map_or("", |(_, query)| query).split(['&', ';']).filter_map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        if keep.iter().any(|kept| kept == name) {
            return Some(parameter);
        }
        (names && !name.is_empty()).then_some(name)
    });
    for (index, parameter) in shown.enumerate() {
        clean.push(if index == 0 { '?' } else { '&' });
        clean.push_str(parameter);
    }
    Some(clean)
}

/// Length of scheme, host and port.
fn origin_length(bare: &str) -> usize {
    let segment = |text: &str| text.find(['/', '\\']).unwrap_or(text.len());
    let Some(scheme) = scheme(bare) else {
        let two = |text: &str| text.chars().take(2).filter(|c| "/\\".contains(*c)).count() == 2;
        return if two(bare) { 2 + segment(&bare[2..]) } else { 0 };
    };
    let after = &bare[scheme.len() + 1..];
    let known = ["http", "https", "ws", "wss", "ftp"];
    let slashes = if known.contains(&scheme.to_ascii_lowercase().as_str()) {
        after.len() - after.trim_start_matches(['/', '\\']).len()
    } else if after.starts_with("//") {
        2
    } else if after.starts_with(['/', '\\']) {
        return scheme.len() + 1;
    } else {
        return segment(bare);
    };
    scheme.len() + 1 + slashes + segment(&after[slashes..])
}

/// Products and their families; those that claim to be others come first.
const PRODUCTS: [(&str, &str); 48] = [
    ("Googlebot", "Googlebot"),
    ("bingbot", "Bingbot"),
    ("Applebot", "Applebot"),
    ("YandexBot", "YandexBot"),
    ("Baiduspider", "Baiduspider"),
    ("DuckDuckBot", "DuckDuckBot"),
    ("facebookexternalhit", "Facebook"),
    ("Twitterbot", "Twitterbot"),
    ("GPTBot", "GPTBot"),
    ("ClaudeBot", "ClaudeBot"),
    ("AhrefsBot", "AhrefsBot"),
    ("SemrushBot", "SemrushBot"),
    ("Edg", "Edge"),
    ("EdgA", "Edge"),
    ("EdgiOS", "Edge"),
    ("Edge", "Edge"),
    ("OPR", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("YaBrowser", "Yandex"),
    ("Vivaldi", "Vivaldi"),
    ("UCBrowser", "UC Browser"),
    ("Electron", "Electron"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("HeadlessChrome", "Headless Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome"),
    ("Trident", "Internet Explorer"),
    ("Safari", "Safari"),
    ("curl", "curl"),
    ("Wget", "Wget"),
    ("python-requests", "Python Requests"),
    ("Python-urllib", "Python urllib"),
    ("aiohttp", "aiohttp"),
    ("Go-http-client", "Go"),
    ("okhttp", "OkHttp"),
    ("Apache-HttpClient", "Apache HttpClient"),
    ("Java", "Java"),
    ("PostmanRuntime", "Postman"),
    ("axios", "axios"),
    ("node-fetch", "node-fetch"),
    ("kubectl", "kubectl"),
    ("kubelet", "kubelet"),
    ("kube-probe", "kube-probe"),
    ("Prometheus", "Prometheus"),
    ("ELB-HealthChecker", "ELB"),
];

/// `user_agent`.
fn user_agent(text: &str) -> String {
    let version = |product: &str| {
        let mut found = None;
        for (at, _) in text.match_indices(&format!("{product}/")) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                let rest = &text[at + product.len() + 1..];
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                let short = if digits.len() <= 4 { digits } else { String::new() };
                // Of several the last of `Version`, the first of any other.
                if found.is_none() || product == "Version" {
                    found = Some(short);
                }
            }
        }
        found
    };
    let Some((product, family)) =
        PRODUCTS.into_iter().find(|(product, _)| version(product).is_some())
    else {
        return "Other".to_owned();
    };
    let major = match family {
        "Safari" => version("Version").unwrap_or_default(),
        "Internet Explorer" => {
            let behind = text.split("rv:").nth(1).unwrap_or_default();
            let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
            if digits.len() <= 4 { digits } else { String::new() }
        }
        _ => version(product).unwrap_or_default(),
    };
    format!("{family} {major}").trim_end().to_owned()
}

/// By how many days the record's times are moved; `None` if they should be and cannot.
fn moved(most: i64, by: Option<usize>, keys: &Keys) -> Option<i64> {
    if most == 0 {
        return Some(0);
    }
    let key: [u8; 32] = keys.derive("limpid date v1");
    let subject = match by {
        None => keys.record_key.clone(),
        Some(field) => keys.subjects.borrow()[field].clone(),
    };
    let hash = blake3::keyed_hash(&key, &subject?);
    let drawn = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"));
    let choices = 2 * u64::try_from(most).expect("not negative") + 1;
    Some(i64::try_from(drawn % choices).expect("small") - most)
}

const UNITS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];

/// `date` on a text: RFC 3339 by jiff's calendar, digits replaced one by one.
fn time(text: &str, to: &str, moved: impl Fn() -> Option<i64>) -> Option<String> {
    if !text.is_ascii() || text.len() < 10 || text.len() > 64 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    let digits = |text: &str| {
        let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse::<i16>().ok())?
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) || digits(year)? == 0 {
        return None;
    }
    let (month, day) = (i8::try_from(digits(month)?).ok()?, i8::try_from(digits(day)?).ok()?);
    let date = jiff::civil::Date::new(digits(year)?, month, day).ok()?;
    if !rest.is_empty() && !is_clock(&rest[1..]) || !rest.is_empty() && !"Tt ".contains(&rest[..1])
    {
        return None;
    }
    let date =
        date.checked_add(jiff::Span::new().days(moved()?)).ok().filter(|date| date.year() > 0)?;
    let unit = UNITS.iter().position(|unit| *unit == to)?;
    let (month, day) =
        (if unit < 1 { 1 } else { date.month() }, if unit < 2 { 1 } else { date.day() });
    let mut clean = format!("{:04}-{month:02}-{day:02}", date.year());
    // The clock's digits that stay: two an hour, two a minute, two a second.
    let mut stay = 2 * unit.saturating_sub(2);
    let zone = rest.get(1..).and_then(|clock| clock.find(['Z', 'z', '+', '-'])).map(|at| at + 1);
    for (at, c) in rest.char_indices() {
        let clock = zone.is_none_or(|zone| at < zone) && c.is_ascii_digit();
        clean.push(if clock && stay == 0 { '0' } else { c });
        stay = if clock { stay.saturating_sub(1) } else { stay };
    }
    Some(clean)
}

/// A clock with its zone: `22:05:23.5+01:00`.
fn is_clock(text: &str) -> bool {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(at);
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let below = |text: &str, end: u32| {
        text.len() == 2 && all(text) && text.parse::<u32>().is_ok_and(|number| number < end)
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    let zone_fits = match zone {
        "" | "Z" | "z" => true,
        zone => match zone.get(1..).map(|zone| zone.split_once(':').or(zone.split_at_checked(2))) {
            Some(Some((hours, minutes))) => below(hours, 24) && below(minutes, 60),
            _ => false,
        },
    };
    below(hour, 24) && below(minute, 60) && below(second, 61) && all(fraction) && zone_fits
}

/// `date` on a number that counts since 1970, by jiff's calendar.
fn epoch_time(
    text: &str,
    to: &str,
    epoch: &str,
    moved: impl Fn() -> Option<i64>,
) -> Option<String> {
    let second = match epoch {
        "s" => 1,
        "ms" => 1000,
        _ => return None,
    };
    let time = i64::try_from(floor(text)?).ok()?;
    let day_of = |time: i64| {
        let start = jiff::civil::date(1970, 1, 1);
        let days = time.div_euclid(86_400 * second);
        let span = jiff::Span::new().try_days(days).ok()?;
        start.checked_add(span).ok().filter(|date| date.year() > 0)
    };
    day_of(time)?;
    let time = time + moved()? * 86_400 * second;
    let date = day_of(time)?;
    let first = match to {
        "year" => Some(date.first_of_year()),
        "month" => Some(date.first_of_month()),
        "day" => Some(date),
        _ => None,
    };
    let clean = match first {
        Some(date) => {
            let days = (date - jiff::civil::date(1970, 1, 1)).get_days();
            i64::from(days) * 86_400 * second
        }
        None => {
            let unit = match to {
                "hour" => 3600,
                "minute" => 60,
                _ => 1,
            };
            time.div_euclid(unit * second) * unit * second
        }
    };
    Some(clean.to_string())
}

/// The millionths of a degree in a coordinate, if it is one.
fn micro(text: &str, end: i64) -> Option<i64> {
    let number = if is_number(text) { decimal(text) } else { return None };
    let plain =
        format!("{}{}e{}", if number.minus { "-" } else { "" }, number.digits, number.exponent + 6);
    let micro = if number.digits.is_empty() { 0 } else { floor(&plain)? };
    i64::try_from(micro).ok().filter(|micro| micro.abs() <= end * 1_000_000)
}

/// The cell of a coordinate: its ends.
fn cell(micro: i64, end: i64, size: i64) -> (i64, i64) {
    let whole = 2 * end * 1_000_000;
    let count = (whole / size).max(1);
    let index = ((micro + whole / 2) * count / whole).min(count - 1);
    (whole * index / count - whole / 2, whole * (index + 1) / count - whole / 2)
}

fn cell_height(grid_metres: u32) -> i64 {
    (i64::from(grid_metres) * 1_000_000 + 111_194) / 111_195
}

fn cell_width(grid_metres: u32, degree: i64) -> i64 {
    let cosine = ((degree as f64).to_radians().cos() * 1e6).round() as i64;
    if cosine == 0 {
        360_000_000
    } else {
        (cell_height(grid_metres) * 1_000_000 + cosine - 1) / cosine
    }
}

/// Degrees with four decimals, the rest cut off.
fn degrees((low, high): (i64, i64)) -> String {
    let middle = (low + high) / 2 / 100;
    let sign = if middle < 0 { "-" } else { "" };
    format!("{sign}{}.{:04}", middle.abs() / 10_000, middle.abs() % 10_000)
}

fn position(text: &str, grid_metres: u32) -> Option<String> {
    let (lat, lon) = text.split_once(',')?;
    let (lat, lon) = (micro(lat.trim_matches(' '), 90)?, micro(lon.trim_matches(' '), 180)?);
    let (bottom, top) = cell(lat, 90, cell_height(grid_metres));
    let far = (bottom.abs().max(top.abs()) + 999_999) / 1_000_000;
    let lon = cell(lon, 180, cell_width(grid_metres, far));
    Some(format!("{},{}", degrees((bottom, top)), degrees(lon)))
}

fn coordinate(text: &str, of: &str, grid_metres: u32) -> Option<String> {
    Some(degrees(match of {
        "lat" => cell(micro(text, 90)?, 90, cell_height(grid_metres)),
        _ => cell(micro(text, 180)?, 180, cell_width(grid_metres, 60)),
    }))
}

/// `encrypt_ip`. All of a list is read before anything is encrypted.
fn encrypted_list(mode: Mode, text: &str, keys: &Keys) -> Option<String> {
    let parts: Option<Vec<(&str, IpAddr)>> =
        text.split(',').map(|part| Some((part, ip(part)?))).collect();
    let parts = parts?.into_iter().map(|(part, address)| {
        let bare = part.trim_matches(' ');
        let (before, after) = part.split_at(part.find(bare).expect("it is in there"));
        let after = &after[bare.len()..];
        format!("{before}{}{after}", encrypted_one(mode, bare, address, keys))
    });
    Some(parts.collect::<Vec<String>>().join(","))
}

/// One address, which stands in `dressed`.
fn encrypted_one(mode: Mode, dressed: &str, address: IpAddr, keys: &Keys) -> String {
    let bracketed = dressed.starts_with('[');
    let is_v4 = dressed.split(':').next().is_some_and(|host| host.parse::<Ipv4Addr>().is_ok());
    let port = if bracketed {
        dressed.split_once(']').map_or("", |(_, port)| port)
    } else if is_v4 {
        dressed.find(':').map_or("", |colon| &dressed[colon..])
    } else {
        ""
    };
    let address = match mode {
        Mode::Deterministic => {
            let key = keys.derive("limpid encrypt_ip deterministic v1");
            ipcrypt_rs::Ipcrypt::new(key).encrypt_ipaddr(address)
        }
        Mode::Prefix => {
            let key = keys.derive("limpid encrypt_ip prefix v1");
            ipcrypt_rs::IpcryptPfx::new(key).encrypt_ipaddr(address)
        }
        Mode::CryptoPan => cryptopan(address, &keys.derive("limpid encrypt_ip cryptopan v1")),
        Mode::Nd => {
            let key = keys.derive("limpid encrypt_ip nd v1");
            let tweak = Some(keys.tweak());
            let sealed = ipcrypt_rs::IpcryptNd::new(key).encrypt_ipaddr(address, tweak);
            return worn(&data_encoding::HEXLOWER.encode(&sealed), bracketed, port);
        }
        Mode::Ndx => {
            let key = keys.derive("limpid encrypt_ip ndx v1");
            let tweak = Some(keys.tweak());
            let sealed = ipcrypt_rs::IpcryptNdx::new(key).encrypt_ipaddr(address, tweak);
            return worn(&data_encoding::HEXLOWER.encode(&sealed), bracketed, port);
        }
    };
    match address {
        // It came inside an IPv6 address, and goes so.
        IpAddr::V4(address) if !is_v4 => worn(&format!("::ffff:{address}"), bracketed, port),
        IpAddr::V6(_) if is_v4 && !port.is_empty() => worn(&address.to_string(), true, port),
        address => worn(&address.to_string(), bracketed, port),
    }
}

/// Crypto-PAn as the paper has it: bit by bit, each bit flipped by the cipher's answer to all before it.
fn cryptopan(address: IpAddr, key: &[u8; 32]) -> IpAddr {
    let aes = |block: [u8; 16]| -> [u8; 16] {
        use aes::cipher::{BlockCipherEncrypt, KeyInit};
        let (key, _) = key.split_first_chunk::<16>().expect("long enough");
        let mut block = aes::Block::from(block);
        aes::Aes128Enc::new(key.into()).encrypt_block(&mut block);
        block.into()
    };
    let bits = |bytes: &[u8]| -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)).collect()
    };
    let bytes = |bits: &[bool]| -> Vec<u8> {
        bits.chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect()
    };
    let pad = bits(&aes(*key.last_chunk().expect("long enough")));
    let before = match address {
        IpAddr::V4(address) => bits(&address.octets()),
        IpAddr::V6(address) => bits(&address.octets()),
    };
    let after: Vec<bool> = (0..before.len())
        .map(|at| {
            let asked = [&before[..at], &pad[at..]].concat();
            before[at] ^ bits(&aes(bytes(&asked).try_into().expect("a block")))[0]
        })
        .collect();
    let after = bytes(&after);
    match address {
        IpAddr::V4(_) => IpAddr::from(<[u8; 4]>::try_from(after).expect("as long")),
        IpAddr::V6(_) => IpAddr::from(<[u8; 16]>::try_from(after).expect("as long")),
    }
}

fn worn(address: &str, bracketed: bool, port: &str) -> String {
    if bracketed { format!("[{address}]{port}") } else { format!("{address}{port}") }
}

/// `encrypt_digits`, on a row of digits; `None` if it is none, or too short, or not right.
fn encrypted_digits(
    row: &str,
    keep_first: usize,
    luhn: bool,
    number: bool,
    keys: &Keys,
) -> Option<String> {
    if !row.bytes().all(|byte| byte.is_ascii_digit()) || row.len() > 45 {
        return None;
    }
    let (row, check) = row.split_at_checked(row.len().checked_sub(usize::from(luhn))?)?;
    if luhn && check != luhn_digit(row) {
        return None;
    }
    let (kept, rest) = row.split_at_checked(keep_first)?;
    let begins = number && kept.is_empty();
    if rest.len() < 6 + usize::from(begins) || rest.len() > 36 {
        return None;
    }
    let key: [u8; 32] = keys.derive("limpid encrypt_digits v1");
    let ff1 = fpe::ff1::FF1::<aes::Aes256Enc>::new(&key, 10).expect("a radix");
    let mut numerals: Vec<u16> = rest.bytes().map(|byte| u16::from(byte - b'0')).collect();
    loop {
        let row = fpe::ff1::FlexibleNumeralString::from(numerals);
        numerals = ff1.encrypt(kept.as_bytes(), &row).expect("in range").into();
        if !begins || numerals[0] != 0 {
            break;
        }
    }
    let digits: String = numerals.iter().map(ToString::to_string).collect();
    let row = format!("{kept}{digits}");
    let check = if luhn { luhn_digit(&row) } else { String::new() };
    Some(row + &check)
}

/// What makes the sum of all digits, every second one from the right doubled and its own digits
/// added, end in zero.
fn luhn_digit(row: &str) -> String {
    let fits = |check: &u32| {
        let digits = format!("{row}{check}");
        let digits = digits.chars().rev().map(|c| c.to_digit(10).expect("a digit"));
        let sum: u32 = digits
            .enumerate()
            .map(|(at, digit)| if at % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
            .sum();
        sum.is_multiple_of(10)
    };
    (0..10).find(fits).expect("one does").to_string()
}

/// One address, in any dress.
fn ip(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches(' ');
    let dressed = text.strip_prefix('[').and_then(|inside| inside.split_once(']'));
    let bare = match dressed {
        Some((inside, port)) if port.is_empty() || port.strip_prefix(':').is_some_and(is_port) => {
            inside
        }
        Some(_) => return None,
        None => text,
    };
    if dressed.is_none() {
        let host = match text.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => text,
        };
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Some(address.into());
        }
    }
    let address: Ipv6Addr = without_zone(bare)?.parse().ok()?;
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
}

/// `mask` with `keep_separators`.
fn masked_between(text: &str, first: usize, last: usize) -> String {
    let separator = |c: char| c == ' ' || (c.is_ascii() && c.is_ascii_punctuation());
    let others: Vec<usize> =
        text.chars().enumerate().filter(|(_, c)| !separator(*c)).map(|(at, _)| at).collect();
    if others.len() <= first + last {
        return text.chars().map(|_| '*').collect();
    }
    let hidden = &others[first..others.len() - last];
    text.chars().enumerate().map(|(at, c)| if hidden.contains(&at) { '*' } else { c }).collect()
}

/// The largest integer not above a number, if it has at most 30 digits.
fn floor(text: &str) -> Option<i128> {
    let number = decimal(text);
    let length = i128::try_from(number.digits.len()).expect("short") + number.exponent;
    if number.digits.is_empty() {
        return Some(0);
    }
    if length > 30 {
        return None;
    }
    let (whole, rest) = if number.exponent >= 0 {
        let zeros = "0".repeat(usize::try_from(number.exponent).expect("few"));
        (format!("{}{zeros}", number.digits), "")
    } else {
        let (whole, rest) = number.digits.split_at(usize::try_from(length.max(0)).expect("few"));
        (format!("0{whole}"), rest)
    };
    let whole: i128 = whole.parse().expect("digits");
    let is_whole = rest.bytes().all(|digit| digit == b'0');
    Some(if !number.minus {
        whole
    } else if is_whole {
        -whole
    } else {
        -whole - 1
    })
}

/// Ends of a range; `None` is without end.
type Range = (Option<i128>, Option<i128>);

fn by_size(floor: i128, size: i64) -> Range {
    let size = i128::from(size);
    let mut low = floor / size * size;
    if low > floor {
        low -= size;
    }
    (Some(low), Some(low + size))
}

fn by_edges(floor: i128, edges: &[i64]) -> Range {
    let edges = || edges.iter().map(|edge| i128::from(*edge));
    (edges().rfind(|edge| *edge <= floor), edges().find(|edge| *edge > floor))
}

fn bucket(range: Option<Range>, low_only: bool, done: fn(String) -> Done) -> Done {
    match (range, low_only) {
        (None, _) | (Some((None, _)), true) => Done::Mismatch,
        (Some((Some(low), _)), true) => done(low.to_string()),
        (Some((Some(low), Some(high))), false) => Done::Text(format!("{low}..{high}")),
        (Some((None, Some(high))), false) => Done::Text(format!("<{high}")),
        (Some((Some(low), None)), false) => Done::Text(format!(">={low}")),
        (Some((None, None)), false) => unreachable!("there is an edge"),
    }
}
