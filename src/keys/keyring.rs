//! The keyring: named secrets in a YAML file, and what is refused as none.
//!
//! ```yaml
//! acme: {secret: 0f1e…, created: 2026-11-24}   # 64 hex digits, or 32 bytes in base64
//! beta:                                        # several, each used from its record time on
//!   - {secret: 77ab…, created: 2026-01-10}
//!   - {secret: 91cd…, created: 2026-11-24, from: 2026-12-01}
//!   - {destroyed: 2027-03-01, from: 2027-01-01T12:00:00Z}
//! ```
//!
//! A weak secret undoes every pseudonym made with it: whoever guesses it can try all mail
//! addresses. So what cannot have come from a random source is refused. Messages name places and
//! numbers, never a letter of the file.

use super::secrets::Dated;
use super::{SECRET_BYTES, Secret, SecretSource, Secrets};
use crate::document::{Faults, Field, Kind, Node, Reader, Show, Source, Span, Table, parse};
use crate::error::{Error, Result};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// Longest name of a secret.
const NAME_MAX: usize = 64;

/// Fewest different bytes in a secret. Of 32 random bytes, 30 differ on average; fewer than 16
/// once in 10^21 keys.
const DIFFERENT_MIN: usize = 16;

/// Named secrets.
#[derive(Debug, Default, Clone)]
pub struct Keyring {
    secrets: BTreeMap<String, Arc<Secrets>>,
    /// Of the text that it was read from.
    text_hash: [u8; 32],
}

impl Keyring {
    /// Reads a keyring from where the configuration says it is.
    ///
    /// # Errors
    /// It cannot be read, or something in it is refused: all that is wrong, with places, without
    /// a word of its content.
    pub fn load(source: &SecretSource) -> Result<Self> {
        let mut faults = Faults::default();
        let keyring = Self::open(source, None, &mut faults);
        keyring
            .map(Arc::unwrap_or_clone)
            .ok_or_else(|| Error::usage(format!("the keyring is refused\n{faults:#}")))
    }

    /// Reads a keyring from where the configuration says it is; the one that was `known` comes back
    /// if the text is still the same. Faults are added; `None` if there was one.
    pub fn open(
        source: &SecretSource,
        known: Option<&Arc<Self>>,
        faults: &mut Faults,
    ) -> Option<Arc<Self>> {
        let before = faults.len();
        let name = source.to_string();
        let mut unreadable = |message: String| {
            let here = Source::with(name.clone(), "", Show::Nothing);
            faults.add(&here, "K006", Span::default(), message);
        };
        let bytes = source.read().map_err(|error| unreadable(error.to_string())).ok()?;
        let text_hash = *blake3::hash(&bytes).as_bytes();
        if let Some(same) = known.filter(|known| known.text_hash == text_hash) {
            return Some(same.clone());
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| unreadable(format!("{source}: not a text in UTF-8")))
            .ok()?;
        let source = Source::with(name, text, Show::Nothing);
        let keyring = Self::read(&source, faults).filter(|_| faults.len() == before);
        keyring.map(|keyring| Arc::new(Self { text_hash, ..keyring }))
    }

    /// Reads a keyring's text; what is wrong is added to `faults`.
    pub fn read(source: &Arc<Source>, faults: &mut Faults) -> Option<Self> {
        let mut node = parse(source, faults)?;
        let keyring = read_entries(&node, &mut Reader::new(source, faults));
        wipe(&mut node);
        keyring
    }

    /// Adds a secret, or several; earlier ones of that name are replaced and returned.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        secrets: impl Into<Secrets>,
    ) -> Option<Arc<Secrets>> {
        self.secrets.insert(name.into(), Arc::new(secrets.into()))
    }

    /// The secrets of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Secrets>> {
        self.secrets.get(name)
    }

    /// Does it hold the same secrets under this name as another does?
    #[must_use]
    pub fn agrees(&self, other: &Self, name: &str) -> bool {
        match (self.get(name), other.get(name)) {
            (Some(mine), Some(theirs)) => mine.same(theirs),
            (None, None) => true,
            _ => false,
        }
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }
}

/// A keyring entry, as `limpid keys new` prints it.
///
/// # Errors
/// The name is not accepted.
pub fn keyring_entry(name: &str, secret: &Secret, created: &str) -> Result<Zeroizing<String>> {
    if !is_secret_name(name) {
        return Err(Error::usage(format!("{name:?} cannot name a secret: {NAME_FORM}")));
    }
    let mut text = Zeroizing::new(String::with_capacity(256));
    // In quotes, so that `null` or `1e3` stays a name for every reader of YAML.
    text.push_str(&format!("\"{name}\": {{secret: \""));
    HEXLOWER_PERMISSIVE.encode_append(secret.expose(), &mut text);
    text.push_str(&format!("\", created: {created}}}\n"));
    Ok(text)
}

/// Entries under reading, and where each secret stood first.
struct Reading<'a, 'r> {
    reader: &'a mut Reader<'r>,
    /// By a hash, for a table of the secrets themselves would leave copies of them behind.
    first: HashMap<[u8; 32], Span>,
}

fn read_entries(node: &Node, reader: &mut Reader<'_>) -> Option<Keyring> {
    let mut table = Table::new(node, "a keyring", reader)?;
    let mut keyring = Keyring::default();
    let mut reading = Reading { reader, first: HashMap::new() };
    for entry in table.rest() {
        if !is_secret_name(entry.name) {
            reading
                .reader
                .fault("K001", entry.name_span, "this cannot name a secret")
                .hint(NAME_FORM);
        }
        if let Some(secrets) = reading.secrets(&entry) {
            keyring.insert(entry.name, secrets);
        }
    }
    Some(keyring)
}

impl Reading<'_, '_> {
    /// The secrets of a name: one, or a list of them.
    fn secrets(&mut self, entry: &Field<'_>) -> Option<Secrets> {
        let Kind::List(items) = &entry.node.kind else {
            return self.dated(entry.node, 0).map(|dated| Secrets::of(vec![dated]));
        };
        if items.is_empty() {
            self.reader.fault("K007", entry.span(), "a name without a secret").hint(MAKE_ONE);
        }
        let mut dated: Vec<Dated> = Vec::new();
        let mut whole = !items.is_empty();
        for (at, item) in items.iter().enumerate() {
            let Some(next) = self.dated(item, at) else {
                whole = false;
                continue;
            };
            if dated.last().is_some_and(|last| last.from_ms >= next.from_ms) {
                self.reader
                    .fault("K008", item.span, "`from` is not later than that of the secret before")
                    .hint("write the secrets in the order of their times");
                whole = false;
            }
            dated.push(next);
        }
        whole.then(|| Secrets::of(dated))
    }

    /// A secret, the `at`-th of its name, with its time.
    fn dated(&mut self, node: &Node, at: usize) -> Option<Dated> {
        let mut table = Table::new(node, "a keyring entry", self.reader)?;
        let gone = is_destroyed(node);
        let secret = if gone { table.take("secret") } else { table.need("secret", self.reader) };
        let (from, created) = (table.take("from"), table.take("created"));
        let destroyed = table.take("destroyed");
        for date in [created, destroyed].into_iter().flatten() {
            check_date(&date, self.reader);
        }
        let head = table.head();
        table.finish(self.reader);
        let from_ms = self.read_from(from.as_ref(), at, head);
        let secret = match (secret, destroyed) {
            (Some(secret), Some(_)) => {
                self.reader
                    .fault("K009", secret.name_span, "a destroyed secret that is still there")
                    .hint("take out the secret, or `destroyed`");
                return None;
            }
            (None, _) => destroyed.map(|_| None)?,
            (Some(secret), None) => Some(Arc::new(self.secret(&secret)?)),
        };
        Some(Dated { from_ms: from_ms?, secret })
    }

    fn secret(&mut self, field: &Field<'_>) -> Option<Secret> {
        let text = match &field.node.kind {
            // 64 digits, none of them a letter, are a number to YAML.
            Kind::Text(text) | Kind::Number(text) => text,
            _ => field.text(self.reader)?,
        };
        let secret = read_secret(text, field.span(), self.reader)?;
        let hash = *blake3::hash(secret.expose()).as_bytes();
        match self.first.get(&hash) {
            None => drop(self.first.insert(hash, field.span())),
            Some(first) => {
                let (line, _) = self.reader.source.place(first.start);
                let message = format!("the secret of line {line} again");
                self.reader
                    .fault("K004", field.span(), message)
                    .hint("make one of its own: `limpid keys new NAME`");
            }
        }
        Some(secret)
    }

    /// The first record time that a secret serves, Unix milliseconds.
    fn read_from(&mut self, from: Option<&Field<'_>>, at: usize, head: Span) -> Option<i64> {
        let Some(from) = from else {
            if at > 0 {
                self.reader
                    .fault(
                        "K008",
                        head,
                        "from which record time on? only the first secret may leave it out",
                    )
                    .hint(TIME_FORM);
                return None;
            }
            return Some(i64::MIN);
        };
        let time = record_time_ms(from.text(self.reader)?);
        if time.is_none() {
            self.reader.fault("K008", from.span(), "`from` must be a time").hint(TIME_FORM);
        }
        time
    }
}

fn is_destroyed(node: &Node) -> bool {
    matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|entry| entry.key == "destroyed"))
}

/// What a time in a keyring looks like.
const TIME_FORM: &str = "`from: 2026-12-01` (midnight UTC) or `from: 2026-12-01T12:00:00Z`";

fn midnight(date: jiff::civil::Date) -> std::result::Result<jiff::Timestamp, jiff::Error> {
    jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
}

/// A record time as people write it, in Unix milliseconds: a date, which means its midnight in UTC, or
/// a time with its zone (RFC 3339).
#[must_use]
pub fn record_time_ms(text: &str) -> Option<i64> {
    let time = text.parse::<jiff::Timestamp>().or_else(|error| match text.parse() {
        // Longer is a time without its zone, which is read as a date, too.
        Ok(date) if text.len() == "2026-12-01".len() => midnight(date),
        _ => Err(error),
    });
    time.ok().map(jiff::Timestamp::as_millisecond)
}

fn read_secret(text: &str, span: Span, reader: &mut Reader<'_>) -> Option<Secret> {
    let Some(bytes) = decode(text) else {
        reader
            .fault("K002", span, "a secret must be 64 hex digits, or base64 of 32 bytes")
            .hint(MAKE_ONE);
        return None;
    };
    let Ok(secret) = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).map(Secret::new) else {
        let message = format!("a secret must have 32 bytes, this one has {}", bytes.len());
        reader.fault("K002", span, message).hint(MAKE_ONE);
        return None;
    };
    if let Some(weakness) = weakness(secret.expose()) {
        let message = format!("a weak secret: {weakness}");
        reader.fault("K003", span, message).hint(MAKE_ONE);
        return None;
    }
    Some(secret)
}

fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .or_else(|_| BASE64.decode(text.as_bytes()))
        .or_else(|_| BASE64_NOPAD.decode(text.as_bytes()));
    bytes.ok().map(Zeroizing::new)
}

/// What no random source gives.
fn weakness(bytes: &[u8; SECRET_BYTES]) -> Option<&'static str> {
    let mut found = [false; 256];
    bytes.iter().for_each(|byte| found[usize::from(*byte)] = true);
    let different = found.iter().filter(|found| **found).count();
    let step = bytes[1].wrapping_sub(bytes[0]);
    if different == 1 {
        Some("all its bytes are the same")
    } else if different < DIFFERENT_MIN {
        Some("too few of its bytes differ")
    } else if bytes.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        Some("its bytes count up")
    } else if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        Some("it is text that somebody typed")
    } else {
        None
    }
}

fn check_date(created: &Field<'_>, reader: &mut Reader<'_>) {
    let Some(text) = created.text(reader) else { return };
    if text.parse::<jiff::civil::Date>().is_err() {
        reader
            .fault("K005", created.span(), format!("`{}` must be a date", created.name))
            .hint("write year, month and day: `2026-11-24`");
    }
}

const NAME_FORM: &str =
    "a name has 1 to 64 letters, digits, `.`, `-` or `_`, and begins with a letter or digit";
const MAKE_ONE: &str = "`limpid keys new NAME` makes one";

/// Can a secret be called so?
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// The tree held copies of the secrets.
fn wipe(node: &mut Node) {
    match &mut node.kind {
        Kind::Text(text) | Kind::Number(text) => text.zeroize(),
        Kind::List(items) => items.iter_mut().for_each(wipe),
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| wipe(&mut entry.value)),
        Kind::Null | Kind::Bool(_) | Kind::Refused => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";

    /// What is said of a keyring: codes with places, or the names read.
    fn read(text: &str) -> Vec<String> {
        let source = Source::with("keyring.yaml", text, Show::Nothing);
        let mut faults = Faults::default();
        let keyring = Keyring::read(&source, &mut faults);
        let place = |span: Span| source.place(span.start);
        let said: Vec<String> =
            faults.iter().map(|fault| format!("{} {:?}", fault.code, place(fault.span))).collect();
        assert!(!faults.to_string().contains("canary"), "{faults}");
        assert!(!faults.to_string().contains("8f14"), "{faults}");
        if said.is_empty() { keyring.unwrap().names().map(str::to_owned).collect() } else { said }
    }

    /// The only secret of a name.
    fn only<'a>(keyring: &'a Keyring, name: &str) -> &'a Secret {
        let secrets = keyring.get(name).unwrap();
        secrets.get(secrets.at(None).unwrap()).unwrap()
    }

    #[test]
    fn several_secrets_have_their_times() {
        let other = format!("1{}", &HEX[1..]);
        let text = format!(
            "acme:\n  - {{secret: {HEX}, created: 2026-01-01}}\n  - {{destroyed: 2027-01-01, from: \
             2026-02-01}}\n  - {{secret: {other}, from: 2026-03-01T12:00:00+01:00}}\n"
        );
        let source = Source::with("k", text, Show::Nothing);
        let mut faults = Faults::default();
        let keyring = Keyring::read(&source, &mut faults).unwrap();
        assert!(faults.is_empty(), "{faults}");
        let spans: Vec<_> =
            keyring.get("acme").unwrap().spans().map(|(_, from, end)| (from, end)).collect();
        let february = record_time_ms("2026-02-01").unwrap();
        let march = record_time_ms("2026-03-01T11:00:00Z").unwrap();
        assert_eq!(spans, [(i64::MIN, Some(february)), (march, None)]);
    }

    #[test]
    fn times_that_leave_a_doubt_are_refused() {
        let second = format!("1{}", &HEX[1..]);
        let two = |first: &str, then: &str| {
            read(&format!("a:\n- {{secret: {HEX}{first}}}\n- {{secret: {second}{then}}}\n"))
        };
        assert_eq!(two("", ", from: 2026-01-01"), ["a"]);
        assert_eq!(two("", ""), ["K008 (3, 4)"]);
        assert_eq!(two(", from: 2026-01-02", ", from: 2026-01-02"), ["K008 (3, 3)"]);
        assert_eq!(two("", ", from: 2026-01-01T00:00"), ["K008 (3, 84)"], "a time without a zone");
        assert_eq!(two("", ", from: 7"), ["Y012 (3, 84)"]);
        assert_eq!(read("a: []\n"), ["K007 (1, 4)"]);
        assert_eq!(read(&format!("a: {{secret: {HEX}, destroyed: 2026-01-01}}")), ["K009 (1, 5)"]);
        assert_eq!(read("a: {destroyed: 2026-01-01}\n"), ["a"]);
        assert_eq!(read("a: {destroyed: canary}\n"), ["K005 (1, 16)"]);
        let twice = format!("a:\n- {{secret: {HEX}}}\n- {{secret: {HEX}, from: 2026-01-01}}\n");
        assert_eq!(read(&twice), ["K004 (3, 12)"]);
    }

    #[test]
    fn hex_and_base64_are_the_same_secret() {
        let bytes = HEXLOWER_PERMISSIVE.decode(HEX.as_bytes()).unwrap();
        for text in [HEX.to_owned(), HEX.to_uppercase(), BASE64.encode(&bytes)] {
            let source =
                Source::with("k", format!("acme: {{secret: \"{text}\"}}\n"), Show::Nothing);
            let keyring = Keyring::read(&source, &mut Faults::default()).unwrap();
            assert_eq!(only(&keyring, "acme").expose()[..], bytes);
        }
    }

    #[test]
    fn a_new_entry_reads_back() {
        let secret = Secret::generate().unwrap();
        for name in ["acme", "null", "42", "a.b-c_d"] {
            let text = keyring_entry(name, &secret, "2026-11-24").unwrap();
            assert_eq!(read(&text), [name]);
            let source = Source::with("k", text.as_str(), Show::Nothing);
            let keyring = Keyring::read(&source, &mut Faults::default()).unwrap();
            assert!(only(&keyring, name).same(&secret));
        }
        assert!(keyring_entry("a b", &secret, "2026-11-24").is_err());
    }

    #[test]
    fn weak_secrets_are_refused() {
        let weak: [[u8; 32]; 4] = [
            [0xaa; 32],
            std::array::from_fn(|at| at as u8 % 4),
            std::array::from_fn(|at| at as u8 + 3),
            *b"canary canary, correct horse st.",
        ];
        for bytes in weak {
            let text = HEXLOWER_PERMISSIVE.encode(&bytes);
            assert_eq!(read(&format!("a: {{secret: \"{text}\"}}")), ["K003 (1, 13)"], "{text}");
        }
        for _ in 0..1_000 {
            assert_eq!(weakness(Secret::generate().unwrap().expose()), None);
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_nothing_is_quoted() {
        let text = format!(
            "canary one: {{secret: {HEX}}}\nb: {{secret: {HEX}}}\nc: {{secret: canary}}\n\
             d: {{secret: {short}, created: canary}}\ne: {{canary: 1}}\nf: canary\n",
            short = &HEX[..62]
        );
        let codes = [
            "K001 (1, 1)",
            "K004 (2, 13)",
            "K002 (3, 13)",
            "K005 (4, 86)",
            "K002 (4, 13)",
            "Y011 (5, 5)",
            "Y010 (5, 5)",
            "Y012 (6, 4)",
        ];
        assert_eq!(read(&text), codes);
        assert_eq!(read("canary: [\n"), ["Y001 (2, 1)"]);
        assert_eq!(read("a: &canary {secret: 1}\n")[0], "Y003 (1, 4)");
    }
}
