//! Canonical forms: the one spelling under which the same mail address, telephone number or IP
//! address meets itself, whoever typed it.
//!
//! Pseudonyms are made of these spellings, so each is a contract (docs/KEYS.md): a change would
//! part what was one. They are short and stand on the stack, for the kernel does not allocate.

use super::address::{self, Found};

/// Longest canonical spelling, in bytes: lower case can be longer than what it is of.
const BYTES_MAX: usize = 512;

/// A canonical spelling. It is a piece of a record, so it has no `Debug`.
pub(super) struct Canonical {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl Canonical {
    const fn new() -> Self {
        Self { bytes: [0; BYTES_MAX], length: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.length..self.length + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn push_lower(&mut self, text: &str) -> Option<()> {
        let mut utf8 = [0; 4];
        let mut lower = text.chars().flat_map(char::to_lowercase);
        lower.try_for_each(|c| self.push(c.encode_utf8(&mut utf8).as_bytes()))
    }
}

/// A mail address, taken apart.
pub(super) struct Email<'a> {
    pub(super) local: &'a str,
    pub(super) domain: &'a str,
}

/// Longest local part and domain, in bytes (RFC 5321, section 4.5.3.1).
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;

impl<'a> Email<'a> {
    /// A bare address (RFC 5321's dot-string; RFC 6531's letters too), spaces around it or not. Not
    /// read: quoted local parts, domain literals, names beside the address, several addresses.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (local, domain) = text.trim_matches(' ').split_once('@')?;
        let local_fits = (1..=LOCAL_BYTES_MAX).contains(&local.len()) && local.chars().all(is_atom);
        let domain_fits = domain.len() <= DOMAIN_BYTES_MAX && domain.split('.').all(is_label);
        (local_fits && domain_fits).then_some(Self { local, domain })
    }

    /// Lower case, without what stands behind a `+`: `Jane+shop@X.example` is `jane@x.example`.
    pub(super) fn canonical(&self) -> Option<Canonical> {
        let local = match self.local.find('+') {
            Some(plus @ 1..) => &self.local[..plus],
            _ => self.local,
        };
        let mut canonical = Canonical::new();
        canonical.push_lower(local)?;
        canonical.push(b"@")?;
        canonical.push_lower(self.domain)?;
        Some(canonical)
    }
}

fn is_atom(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"\"(),:;<>@[\\]".contains(c)
}

fn is_label(label: &str) -> bool {
    let fits = |c: char| match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || c == '-' || c == '_',
        false => !c.is_whitespace() && !c.is_control(),
    };
    !label.is_empty() && label.chars().all(fits)
}

/// Most digits of a telephone number (ITU-T E.164), and fewest that are taken for one.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 4..=15;

/// Fewest digits behind a country's code that make a number an international one.
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// A telephone number as digits, country's code first: what E.164 has behind its `+`. `country` is
/// the code for numbers that are spelled without one; empty for none: those stay as they are.
pub(super) fn phone(text: &str, country: &[u8]) -> Option<Canonical> {
    let text = text.trim_matches(' ');
    let (plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    let mut digits = [0; 2 + *PHONE_DIGITS.end()];
    let mut count = 0;
    // The `(0)` of `+49 (0)170` is for those who dial at home.
    let (before, after) = rest.split_once("(0)").filter(|_| plus).unwrap_or((rest, ""));
    for byte in before.bytes().chain(after.bytes()) {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte;
                count += 1;
            }
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' => {}
            _ => return None,
        }
    }
    let digits = &digits[..count];
    let (code, digits): (&[u8], &[u8]) = match digits {
        _ if plus => (b"", digits),
        [b'0', b'0', digits @ ..] => (b"", digits),
        _ if country.is_empty() => (b"", digits),
        [b'0', digits @ ..] => (country, digits),
        _ if digits.starts_with(country) && count >= country.len() + SUBSCRIBER_DIGITS_MIN => {
            (b"", digits)
        }
        _ => (country, digits),
    };
    let mut canonical = Canonical::new();
    canonical.push(code)?;
    canonical.push(digits)?;
    PHONE_DIGITS.contains(&canonical.length).then_some(canonical)
}

/// One IP address in RFC 5952's spelling, without port, brackets and zone; an IPv4 address inside an
/// IPv6 one (`::ffff:1.2.3.4`) is the IPv4 address.
pub(super) fn ip(text: &str) -> Option<Canonical> {
    let found = address::one(text)?;
    let mut canonical = Canonical::new();
    let v4 = match found {
        Found::V4(address) | Found::V4WithPort(address) => Some(address),
        Found::V6(address) => address.to_ipv4_mapped(),
    };
    match (v4, found) {
        (None, Found::V6(address)) => {
            let (spelled, length) = address::spell_v6(address);
            canonical.push(&spelled[..length])?;
        }
        (v4, _) => {
            let (spelled, length) = address::spell_v4(v4?);
            canonical.push(&spelled[..length])?;
        }
    }
    Some(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(canonical: Option<Canonical>) -> String {
        let bytes = canonical.map(|canonical| canonical.as_bytes().to_vec());
        bytes.map_or("none".into(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_mail_address_meets_itself() {
        for (text, want) in [
            ("jane@x.example", "jane@x.example"),
            (" Jane.Doe+shop+2@X.Example ", "jane.doe@x.example"),
            ("+jane@x", "+jane@x"),
            ("ÉVA@BÜCHER.example", "éva@bücher.example"),
            ("İ@x", "i\u{307}@x"),
            ("jane", "none"),
            ("@x", "none"),
            ("jane@", "none"),
            ("jane@x.", "none"),
            ("jane@@x", "none"),
            ("jane@x@y", "none"),
            ("Jane <jane@x.example>", "none"),
            ("jane@x.example, joe@x.example", "none"),
            ("\"jane doe\"@x.example", "none"),
            ("jane@[1.2.3.4]", "none"),
            ("jane\t@x", "none"),
        ] {
            assert_eq!(
                shown(Email::read(text).and_then(|email| email.canonical())),
                want,
                "{text}"
            );
        }
        let local = "a".repeat(65);
        assert!(Email::read(&format!("{local}@x")).is_none());
        assert!(Email::read(&format!("{}@x", &local[1..])).is_some());
        let longest = format!("{}@{}", "İ".repeat(32), "Ⱥ".repeat(84));
        assert!(Email::read(&longest).and_then(|email| email.canonical()).is_some());
    }

    #[test]
    fn a_telephone_number_meets_itself() {
        for (text, country, want) in [
            ("+49 170 1234567", "", "491701234567"),
            ("0049 (170) 123-4567", "", "491701234567"),
            ("+49 (0)170/1234567", "", "491701234567"),
            ("0170 1234567", "49", "491701234567"),
            ("0170 1234567", "", "01701234567"),
            ("491701234567", "49", "491701234567"),
            ("(212) 555-1234", "1", "12125551234"),
            ("1 212 555 1234", "1", "12125551234"),
            ("4917", "49", "494917"),
            ("123456789012345", "", "123456789012345"),
            ("1234567890123456", "", "none"),
            ("00123456789012345", "", "123456789012345"),
            ("123", "", "none"),
            ("49170x123", "", "none"),
            ("1+2345", "", "none"),
            ("", "", "none"),
        ] {
            assert_eq!(shown(phone(text, country.as_bytes())), want, "{text} {country}");
        }
    }

    #[test]
    fn an_address_meets_itself() {
        for (text, want) in [
            ("1.2.3.4", "1.2.3.4"),
            (" 1.2.3.4:443", "1.2.3.4"),
            ("::FFFF:102:304", "1.2.3.4"),
            ("[2001:DB8:0::1%eth0]:80", "2001:db8::1"),
            ("1.2.3.4, 5.6.7.8", "none"),
            ("n/a", "none"),
        ] {
            assert_eq!(shown(ip(text)), want, "{text}");
        }
    }
}
