//! The keyring: named secrets in a YAML file, and what is refused as none.
//!
//! ```yaml
//! acme: {secret: 0f1e…, created: 2026-11-24}   # 64 hex digits, or 32 bytes in base64
//! ```
//!
//! A weak secret undoes every pseudonym made with it: whoever guesses it can try all mail
//! addresses. So what cannot have come from a random source is refused. Messages name places and
//! numbers, never a letter of the file.

use super::{SECRET_BYTES, Secret, SecretSource};
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
    secrets: BTreeMap<String, Arc<Secret>>,
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

    /// Adds a secret; an earlier one of that name is replaced and returned.
    pub fn insert(&mut self, name: impl Into<String>, secret: Secret) -> Option<Arc<Secret>> {
        self.secrets.insert(name.into(), Arc::new(secret))
    }

    /// The secret of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }

    /// Does it hold the same secret under this name as another does?
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
    if !is_name(name) {
        return Err(Error::usage(format!("{name:?} cannot name a secret: {NAME_FORM}")));
    }
    let mut text = Zeroizing::new(String::with_capacity(256));
    // In quotes, so that `null` or `1e3` stays a name for every reader of YAML.
    text.push_str(&format!("\"{name}\": {{secret: \""));
    HEXLOWER_PERMISSIVE.encode_append(secret.expose(), &mut text);
    text.push_str(&format!("\", created: {created}}}\n"));
    Ok(text)
}

fn read_entries(node: &Node, reader: &mut Reader<'_>) -> Option<Keyring> {
    let mut table = Table::new(node, "a keyring", reader)?;
    let mut keyring = Keyring::default();
    let mut first: HashMap<[u8; 32], Span> = HashMap::new();
    for entry in table.rest() {
        if !is_name(entry.name) {
            reader.fault("K001", entry.name_span, "this cannot name a secret").hint(NAME_FORM);
        }
        let Some((secret, span)) = read_entry(&entry, reader) else { continue };
        // By a hash, for a table of the secrets themselves would leave copies of them behind.
        let hash = *blake3::hash(secret.expose()).as_bytes();
        if let Some(first) = first.get(&hash) {
            let (line, _) = reader.source.place(first.start);
            let message = format!("the secret of line {line} again");
            reader.fault("K004", span, message).hint("make one of its own: `limpid keys new NAME`");
        }
        first.entry(hash).or_insert(span);
        keyring.insert(entry.name, secret);
    }
    Some(keyring)
}

fn read_entry(entry: &Field<'_>, reader: &mut Reader<'_>) -> Option<(Secret, Span)> {
    let mut table = Table::new(entry.node, "a keyring entry", reader)?;
    let secret = table.need("secret", reader);
    if let Some(created) = table.take("created") {
        check_date(&created, reader);
    }
    table.finish(reader);
    let field = secret?;
    let text = match &field.node.kind {
        // 64 digits, none of them a letter, are a number to YAML.
        Kind::Text(text) | Kind::Number(text) => text,
        _ => field.text(reader)?,
    };
    Some((read_secret(text, field.span(), reader)?, field.span()))
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
            .fault("K005", created.span(), "`created` must be a date")
            .hint("write year, month and day: `2026-11-24`");
    }
}

const NAME_FORM: &str =
    "a name has 1 to 64 letters, digits, `.`, `-` or `_`, and begins with a letter or digit";
const MAKE_ONE: &str = "`limpid keys new NAME` makes one";

fn is_name(name: &str) -> bool {
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

    #[test]
    fn hex_and_base64_are_the_same_secret() {
        let bytes = HEXLOWER_PERMISSIVE.decode(HEX.as_bytes()).unwrap();
        for text in [HEX.to_owned(), HEX.to_uppercase(), BASE64.encode(&bytes)] {
            let source =
                Source::with("k", format!("acme: {{secret: \"{text}\"}}\n"), Show::Nothing);
            let keyring = Keyring::read(&source, &mut Faults::default()).unwrap();
            assert_eq!(keyring.get("acme").unwrap().expose()[..], bytes);
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
            assert!(keyring.get(name).unwrap().same(&secret));
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
