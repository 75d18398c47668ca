//! Made-up events of made-up people: web clicks, access events, audit events.
//!
//! The demo, the benchmarks, the fuzz seeds and the end-to-end tests all draw from here, so the
//! generator is pure: a seed decides every byte, there is no I/O and no clock. Events have the
//! habits of real producers on purpose: web events are compact, one in ten escapes its slashes (as
//! PHP's json_encode does), one in four holds text that isn't ASCII; access events are spaced and
//! escape what isn't ASCII (as Python's json does), audit events nest like those of Kubernetes.
//!
//! Nobody real is in them: names come from short lists, addresses from the ranges kept for
//! documentation and benchmarks (RFC 5737, 2544, 3849), mail domains and hosts end in `.example`,
//! phone numbers are of the blocks reserved for fiction.

use super::json::Json;
use std::fmt::Write as _;

/// The tenants that the demo has policies for.
pub const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// A tenant that it has none for.
pub const STRANGER: &str = "umbrella";

/// The header that names a web event's tenant.
pub const TENANT_HEADER: &str = "tenant";

/// The header that numbers events, so that a clean record can be found again.
pub const NUMBER_HEADER: &str = "event";

/// One event in 200 is malformed, one in 200 of an unknown tenant.
const FLAW_EVERY: u64 = 200;

/// How many people there are: few enough that they come back.
const PEOPLE: u64 = 5_000;

/// 2026-01-01T00:00:00Z, where the events' own times begin.
const FIRST_MS: i64 = 1_767_225_600_000;

/// The three kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A click in a shop, about 800 bytes; the tenant stands in a header.
    Web,
    /// A login or a call, about 500 bytes; the tenant stands in the value.
    Access,
    /// An audit event in the manner of Kubernetes, about 3 kB; the tenant is the key.
    Audit,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Web, Self::Access, Self::Audit];

    /// Its name in topics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Access => "access",
            Self::Audit => "audit",
        }
    }
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its value isn't JSON.
    Malformed,
    /// Nobody has a policy for its tenant.
    Stranger,
}

/// One event as it is produced. Filled by [`Events::next`], which reuses its memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; none before it is filled.
    pub kind: Option<Kind>,
    /// What is wrong with it, if anything.
    pub flaw: Option<Flaw>,
    /// The tenant.
    pub tenant: &'static str,
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The record's value.
    pub value: Vec<u8>,
}

/// The generator.
#[derive(Debug, Clone)]
pub struct Events {
    dice: Dice,
    at_ms: i64,
    made: u64,
}

impl Events {
    /// Events that `seed` decides, every byte of them.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), at_ms: FIRST_MS, made: 0 }
    }

    /// Appends the value of a web event.
    pub fn web(&mut self, out: &mut Vec<u8>) {
        let person = self.person();
        web(&mut self.dice, &person, self.at_ms, out);
    }

    /// Appends the value of an access event of one of [`TENANTS`].
    pub fn access(&mut self, out: &mut Vec<u8>) {
        let (tenant, person) = (self.dice.pick(&TENANTS), self.person());
        access(&mut self.dice, &person, self.at_ms, tenant, out);
    }

    /// Appends the value of an audit event.
    pub fn audit(&mut self, out: &mut Vec<u8>) {
        let person = self.person();
        audit(&mut self.dice, &person, self.at_ms, out);
    }

    /// Fills `event` with the next one of the mixture: 70% web, 20% access, 10% audit; one in 200
    /// malformed, one in 200 of an unknown tenant.
    pub fn next(&mut self, event: &mut Event) {
        let (kind, flaw) = (self.kind(), self.flaw());
        let tenant = self.dice.pick(&TENANTS);
        let tenant = if flaw == Some(Flaw::Stranger) { STRANGER } else { tenant };
        let person = self.person();
        event.value.clear();
        match kind {
            Kind::Web => web(&mut self.dice, &person, self.at_ms, &mut event.value),
            Kind::Access => access(&mut self.dice, &person, self.at_ms, tenant, &mut event.value),
            Kind::Audit => audit(&mut self.dice, &person, self.at_ms, &mut event.value),
        }
        if flaw == Some(Flaw::Malformed) {
            self.spoil(&mut event.value);
        }
        (event.kind, event.flaw, event.tenant) = (Some(kind), flaw, tenant);
        self.label(event, &person);
        self.made += 1;
    }

    /// How many events [`Events::next`] has made: the number of the next one.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }

    fn kind(&mut self) -> Kind {
        match self.dice.below(10) {
            0..7 => Kind::Web,
            7..9 => Kind::Access,
            _ => Kind::Audit,
        }
    }

    fn flaw(&mut self) -> Option<Flaw> {
        match self.dice.below(FLAW_EVERY) {
            0 => Some(Flaw::Malformed),
            1 => Some(Flaw::Stranger),
            _ => None,
        }
    }

    fn person(&mut self) -> Person {
        self.at_ms += i64::try_from(self.dice.below(20)).unwrap_or(0);
        Person::number(self.dice.below(PEOPLE))
    }

    fn label(&self, event: &mut Event, person: &Person) {
        event.key.clear();
        let key = if event.kind == Some(Kind::Audit) { event.tenant } else { &*person.id };
        event.key.extend_from_slice(key.as_bytes());
        event.headers.clear();
        let mut header = |name: &str, value: &[u8]| {
            event.headers.push((name.as_bytes().to_vec(), Some(value.to_vec())));
        };
        header(NUMBER_HEADER, self.made.to_string().as_bytes());
        if event.kind == Some(Kind::Web) {
            header(TENANT_HEADER, event.tenant.as_bytes());
            header("client", person.v4.as_bytes());
        }
    }

    /// What happens on the way: cut off, a byte that isn't UTF-8, a line of another log.
    fn spoil(&mut self, value: &mut Vec<u8>) {
        let middle = value.len() / 2;
        match self.dice.below(3) {
            0 => value.truncate(middle),
            1 => value[middle] = 0xff,
            _ => {
                value.clear();
                value.extend_from_slice(b"GET /index.html HTTP/1.1 200 512 ");
                value.extend_from_slice(self.dice.v4().as_bytes());
            }
        }
    }
}

/// A made-up person; the same number is always the same person.
struct Person {
    id: String,
    first: &'static str,
    last: &'static str,
    mail: String,
    phone: String,
    v4: String,
    v6: Option<String>,
    city: &'static City,
    browser: &'static str,
}

impl Person {
    fn number(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x006c_696d_7069_6421);
        let (first, last) = (dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES));
        let ascii = |name: &str| -> String {
            name.chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase()
        };
        let mail =
            format!("{}.{}{}@{}", ascii(first), ascii(last), number, dice.pick(MAIL_DOMAINS));
        Self {
            id: (100_000 + number).to_string(),
            mail,
            phone: dice.phone(),
            v4: dice.v4(),
            v6: (dice.below(5) == 0).then(|| dice.v6()),
            city: dice.choose(CITIES),
            browser: dice.pick(BROWSERS),
            first,
            last,
        }
    }

    /// One in five comes by IPv6.
    fn address(&self) -> &str {
        self.v6.as_deref().unwrap_or(&self.v4)
    }

    fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }
}

fn web(dice: &mut Dice, person: &Person, at_ms: i64, out: &mut Vec<u8>) {
    let escapes = dice.below(10) == 0;
    let mut json = if escapes { Json::slashed(out) } else { Json::compact(out) };
    json.text("type", dice.pick(&["page_view", "click", "add_to_cart", "search", "checkout"]));
    json.text("id", &dice.hex(16));
    json.text("ts", &time(at_ms));
    json.text("client_ip", person.address());
    json.array("x_forwarded_for", |json| {
        json.item_text(person.address());
        (0..dice.below(3)).for_each(|_| json.item_text(&dice.v4()));
    });
    json.object("user", |json| {
        json.text("id", &person.id);
        json.text("email", &person.mail);
        json.text("name", &person.name());
        json.text("phone", &person.phone);
        json.number("logins", dice.below(900));
    });
    json.text("session", &dice.hex(32));
    json.text("url", &shop_url(dice, person));
    json.text("referrer", &referrer(dice));
    json.text("ua", person.browser);
    if escapes {
        json.text("title", &format!("Results for \"{}\"", dice.pick(SHELVES)));
    }
    json.object("geo", |json| {
        json.text("country", person.city.country);
        json.text("city", person.city.name);
        json.number("lat", coordinate(person.city.lat, dice));
        json.number("lon", coordinate(person.city.lon, dice));
    });
    json.object("attributes", |json| {
        json.text("experiment", dice.pick(&["control", "b", "c"]));
        json.number("cart_value", format_args!("{}.{:02}", dice.below(400), dice.below(100)));
        json.text("currency", person.city.currency);
        json.text("theme", dice.pick(&["dark", "light"]));
        json.bool("consent", dice.below(4) > 0);
        json.array("segments", |json| {
            (0..dice.below(4)).for_each(|_| json.item_text(dice.pick(SEGMENTS)));
        });
    });
    json.number("duration_ms", dice.below(30_000));
    json.end();
}

fn shop_url(dice: &mut Dice, person: &Person) -> String {
    let mut url = format!("https://shop.example/{}/{}", dice.pick(SHELVES), dice.below(90_000));
    let _ = write!(url, "?utm_source={}", dice.pick(&["newsletter", "search", "partner"]));
    let _ = write!(url, "&utm_campaign={}", dice.pick(&["spring-sale", "back-to-school"]));
    if dice.below(3) == 0 {
        let _ = write!(url, "&email={}", person.mail.replace('@', "%40"));
    }
    if dice.below(4) == 0 {
        let _ = write!(url, "&token={}", dice.hex(24));
    }
    url
}

fn referrer(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => format!("https://search.example/?q={}+{}", dice.pick(SHELVES), dice.pick(SEGMENTS)),
        1 => format!("https://news.example/{}/{}.html#top", dice.below(2026), dice.hex(8)),
        _ => String::new(),
    }
}

fn access(dice: &mut Dice, person: &Person, at_ms: i64, tenant: &str, out: &mut Vec<u8>) {
    let mut json = Json::spaced_ascii(out);
    json.text("tenant", tenant);
    json.text("event", dice.pick(&["login", "logout", "token_refresh", "api_call", "export"]));
    json.number("at", at_ms);
    json.bool("ok", dice.below(20) > 0);
    json.object("actor", |json| {
        json.number("id", &person.id);
        json.text("login", &person.mail);
        json.text("display", &person.name());
        json.text("ip", &with_port(dice, person));
        json.bool("mfa", dice.below(3) > 0);
    });
    json.object("device", |json| {
        json.text("id", &dice.hex(20));
        json.text("os", dice.pick(&["linux", "android", "ios", "windows"]));
        json.text("ua", person.browser);
    });
    json.text(
        "resource",
        &format!("/api/v2/orders/{}?customer={}", dice.below(1 << 20), person.id),
    );
    json.number("status", dice.choose(&[200, 200, 200, 201, 204, 401, 403, 404, 500]));
    json.number("bytes", dice.below(1 << 16));
    json.number("latency_us", format_args!("{}.5e1", dice.below(9_000)));
    json.text("note", &format!("{} called from {}", person.first, person.phone));
    json.end();
}

/// Addresses as servers write them: one in four has a port, in brackets where it must.
fn with_port(dice: &mut Dice, person: &Person) -> String {
    let port = 1024 + dice.below(60_000);
    match (&person.v6, dice.below(4)) {
        (Some(v6), 0) => format!("[{v6}]:{port}"),
        (None, 0) => format!("{}:{port}", person.v4),
        _ => person.address().into(),
    }
}

fn audit(dice: &mut Dice, person: &Person, at_ms: i64, out: &mut Vec<u8>) {
    let (namespace, name) = (dice.pick(NAMESPACES), format!("api-{}", dice.hex(10)));
    let verb = dice.pick(&["create", "update", "patch", "get", "delete"]);
    let mut json = Json::compact(out);
    json.text("kind", "Event");
    json.text("apiVersion", "audit.k8s.io/v1");
    json.text("level", "RequestResponse");
    json.text("auditID", &dice.uuid());
    json.text("stage", "ResponseComplete");
    json.text("requestURI", &format!("/api/v1/namespaces/{namespace}/pods/{name}?timeout=30s"));
    json.text("verb", verb);
    json.object("user", |json| {
        json.text("username", &person.mail);
        json.text("uid", &dice.uuid());
        json.array("groups", |json| {
            json.item_text("system:authenticated");
            json.item_text(&format!("team-{namespace}"));
        });
        json.object("extra", |json| {
            json.array("example.org/full-name", |json| json.item_text(&person.name()));
            json.array("example.org/session", |json| json.item_text(&dice.hex(40)));
        });
    });
    json.array("sourceIPs", |json| {
        json.item_text(person.address());
        json.item_text(&dice.v4());
    });
    json.text("userAgent", "kubectl/v1.33.2 (linux/amd64) kubernetes/a57b6f7");
    json.object("objectRef", |json| {
        json.text("resource", "pods");
        json.text("namespace", namespace);
        json.text("name", &name);
        json.text("apiVersion", "v1");
    });
    json.object("responseStatus", |json| {
        json.object("metadata", |_| {});
        json.number("code", dice.choose(&[200, 200, 201, 403, 409]));
    });
    json.object("requestObject", |json| pod(json, dice, person, namespace, &name, at_ms));
    json.object("responseObject", |json| pod(json, dice, person, namespace, &name, at_ms));
    json.text("requestReceivedTimestamp", &time(at_ms));
    json.text("stageTimestamp", &time(at_ms + 7));
    json.object("annotations", |json| {
        json.text("authorization.k8s.io/decision", "allow");
        let role = format!("RBAC: allowed by RoleBinding \"team/{namespace}\" of Role \"edit\"");
        json.text("authorization.k8s.io/reason", &role);
    });
    json.end();
}

fn pod(
    json: &mut Json<'_>,
    dice: &mut Dice,
    person: &Person,
    namespace: &str,
    name: &str,
    at_ms: i64,
) {
    json.text("kind", "Pod");
    json.object("metadata", |json| {
        json.text("name", name);
        json.text("namespace", namespace);
        json.text("uid", &dice.uuid());
        json.text("creationTimestamp", &time(at_ms));
        json.object("labels", |json| {
            json.text("app.kubernetes.io/name", "api");
            json.text("pod-template-hash", &dice.hex(10));
        });
        json.object("annotations", |json| {
            json.text("example.org/owner", &person.mail);
            json.text("example.org/on-call", &person.phone);
            json.text("kubectl.kubernetes.io/restartedAt", &time(at_ms - 86_400_000));
        });
    });
    json.object("spec", |json| {
        json.array("containers", |json| {
            container(json, dice, "api");
            container(json, dice, "proxy");
        });
        json.text("nodeName", &format!("node-{}.{namespace}.example", dice.below(40)));
        json.text("serviceAccountName", "default");
        json.number("terminationGracePeriodSeconds", 30);
    });
    json.object("status", |json| {
        json.text("phase", dice.pick(&["Running", "Pending"]));
        json.text("podIP", &dice.v4());
        json.text("hostIP", &dice.v4());
        json.text("startTime", &time(at_ms));
    });
}

fn container(json: &mut Json<'_>, dice: &mut Dice, name: &str) {
    json.item_object(|json| {
        json.text("name", name);
        json.text("image", &format!("registry.example/{name}:1.{}.0", dice.below(40)));
        json.array("env", |json| {
            json.item_object(|json| {
                json.text("name", "DB_PASSWORD");
                json.text("value", &dice.hex(24));
            });
            json.item_object(|json| {
                json.text("name", "LOG_LEVEL");
                json.text("value", "info");
            });
        });
        json.object("resources", |json| {
            json.object("limits", |json| {
                json.text("cpu", "500m");
                json.text("memory", "256Mi");
            });
        });
    });
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default().to_string()
}

/// A coordinate within some kilometres, in ten-thousandths of a degree.
fn coordinate(base: i32, dice: &mut Dice) -> String {
    let at = i64::from(base) + i64::try_from(dice.below(800)).unwrap_or(0) - 400;
    let (sign, at) = (if at < 0 { "-" } else { "" }, at.unsigned_abs());
    format!("{sign}{}.{:04}", at / 10_000, at % 10_000)
}

/// SplitMix64: small, well spread, and the same everywhere for ever, which a crate's generator
/// does not promise.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`. The bias of the remainder is far below what anyone here sees.
    const fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        &from[index]
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        self.choose::<&'static str>(from)
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.roll());
        }
        text.truncate(digits);
        text
    }

    fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// 198.18.0.0/15, kept for benchmarks.
    fn v4(&mut self) -> String {
        format!("198.{}.{}.{}", 18 + self.below(2), self.below(256), 1 + self.below(254))
    }

    /// 2001:db8::/32, kept for documentation.
    fn v6(&mut self) -> String {
        let mut group = || self.below(1 << 16);
        let (a, b, c) = (group(), group(), group());
        format!("2001:db8:{a:x}:{b:x}::{c:x}")
    }

    /// From blocks that are reserved for fiction.
    fn phone(&mut self) -> String {
        match self.below(2) {
            0 => format!("+44 7700 900{:03}", self.below(1_000)),
            _ => format!("+1-202-555-01{:02}", self.below(100)),
        }
    }
}

struct City {
    name: &'static str,
    country: &'static str,
    currency: &'static str,
    /// Ten-thousandths of a degree.
    lat: i32,
    lon: i32,
}

const fn city(
    name: &'static str,
    country: &'static str,
    currency: &'static str,
    lat: i32,
    lon: i32,
) -> City {
    City { name, country, currency, lat, lon }
}

const CITIES: &[City] = &[
    city("Bonn", "DE", "EUR", 507_374, 70_982),
    city("Wien", "AT", "EUR", 482_082, 163_738),
    city("Recife", "BR", "BRL", -80_476, -348_770),
    city("Reykjavík", "IS", "ISK", 641_466, -219_426),
    city("Leeds", "GB", "GBP", 538_008, -15_491),
    city("Nairobi", "KE", "KES", -12_921, 368_219),
    city("Bergen", "NO", "NOK", 603_913, 53_221),
    city("Osaka", "JP", "JPY", 346_937, 1_355_023),
];

const FIRST_NAMES: &[&str] = &[
    "Amina", "Björn", "Chiara", "Deniz", "Emre", "Fatima", "Grace", "Hana", "Ingrid", "Jamal",
    "Keiko", "Lars", "Maeve", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Soraya", "Tariq", "Uma",
    "Viktor", "Wanjiku", "Ximena", "Yusuf", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Adeyemi",
    "Bianchi",
    "Castillo",
    "Dubois",
    "Eriksson",
    "Fischer",
    "Gupta",
    "Hughes",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Murphy",
    "Nakamura",
    "O'Brien",
    "Petrov",
    "Quispe",
    "Rossi",
    "Schäfer",
    "Tanaka",
    "Usman",
    "Varga",
    "Wagner",
    "Yılmaz",
    "Zhang",
];
const MAIL_DOMAINS: &[&str] = &["mail.example", "post.example", "inbox.example"];
const SHELVES: &[&str] = &["shoes", "books", "garden", "kitchen", "toys"];
const SEGMENTS: &[&str] = &["returning", "loyal", "bargain", "new", "b2b"];
const NAMESPACES: &[&str] = &["payments", "orders", "search", "billing"];
const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(seed: u64, count: usize) -> Vec<Event> {
        let mut events = Events::new(seed);
        let next = |_| {
            let mut event = Event::default();
            events.next(&mut event);
            event
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn a_seed_decides_every_byte() {
        assert_eq!(mixture(7, 500), mixture(7, 500));
        assert_ne!(mixture(7, 500), mixture(8, 500));
    }

    #[test]
    fn events_are_json_objects_unless_spoiled() {
        for event in mixture(1, 5_000) {
            let parsed = serde_json::from_slice::<serde_json::Value>(&event.value);
            let good = parsed.is_ok_and(|value| value.is_object());
            let text = String::from_utf8_lossy(&event.value);
            assert_eq!(good, event.flaw != Some(Flaw::Malformed), "{text}");
        }
    }

    #[test]
    fn sizes_and_shares_are_those_that_were_promised() {
        let events = mixture(2, 20_000);
        let share = |wanted: &dyn Fn(&Event) -> bool| {
            let found: Vec<_> = events.iter().filter(|event| wanted(event)).collect();
            let bytes: usize = found.iter().map(|event| event.value.len()).sum();
            (found.len(), bytes / found.len())
        };
        let sound = |kind| move |event: &Event| event.kind == Some(kind) && event.flaw.is_none();
        let (web, web_bytes) = share(&sound(Kind::Web));
        let (access, access_bytes) = share(&sound(Kind::Access));
        let (audit, audit_bytes) = share(&sound(Kind::Audit));
        assert!((13_500..14_500).contains(&web) && (3_700..4_200).contains(&access), "{audit}");
        assert!((740..860).contains(&web_bytes), "{web_bytes}");
        assert!((420..620).contains(&access_bytes), "{access_bytes}");
        assert!((2_700..3_400).contains(&audit_bytes), "{audit_bytes}");
        for flaw in [Flaw::Malformed, Flaw::Stranger] {
            let (count, _) = share(&|event| event.flaw == Some(flaw));
            assert!((60..140).contains(&count), "{flaw:?}: {count}");
        }
        let (v6, _) = share(&|event| event.value.windows(9).any(|bytes| bytes == b"2001:db8:"));
        assert!((3_000..5_000).contains(&v6), "{v6}");
    }

    #[test]
    fn web_events_have_the_spellings_that_were_promised() {
        let mut events = Events::new(4);
        let (mut escaped, mut wide) = (0, 0);
        for _ in 0..10_000 {
            let mut value = Vec::new();
            events.web(&mut value);
            let has_escapes = value.contains(&b'\\');
            assert_eq!(has_escapes, value.windows(2).any(|pair| pair == br"\/"));
            escaped += usize::from(has_escapes);
            wide += usize::from(!value.is_ascii());
        }
        assert!((900..1_100).contains(&escaped), "{escaped}");
        assert!((2_000..3_000).contains(&wide), "{wide}");
    }

    #[test]
    fn the_tenant_stands_where_the_kind_says() {
        for event in mixture(3, 2_000).iter().filter(|event| event.flaw != Some(Flaw::Malformed)) {
            let header = event.headers.iter().find(|(name, _)| name == TENANT_HEADER.as_bytes());
            let header = header.and_then(|(_, value)| value.as_deref());
            let field = format!(r#""tenant": "{}""#, event.tenant);
            let field = event.value.windows(field.len()).any(|bytes| bytes == field.as_bytes());
            match event.kind {
                Some(Kind::Web) => assert_eq!(header, Some(event.tenant.as_bytes())),
                Some(Kind::Audit) => assert_eq!(event.key, event.tenant.as_bytes()),
                _ => assert!(field, "{event:?}"),
            }
        }
    }
}
