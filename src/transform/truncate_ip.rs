//! `truncate_ip`: an address keeps its network part.
//!
//! Addresses come dressed: in comma lists (X-Forwarded-For), with ports, in brackets, with zones.
//! The dress stays (a zone, the name of somebody's interface, goes); what is no address makes the
//! whole value a mismatch.
//!
//! An IPv6 address may carry an IPv4 one: mapped (`::ffff:1.2.3.4`), 6to4 (`2002:0102:0304::`, RFC
//! 3056: within the first 48 bits!), NAT64 (`64:ff9b::1.2.3.4`, RFC 6052) and the old compatible
//! form (`::1.2.3.4`). Of that part no more stays than of an IPv4 address.

use super::{Args, Example, Kind, Outcome, Param, Spec, Transform};
use crate::format::{Out, Scalar};
use ipnet::{Ipv4Net, Ipv6Net};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Prefix lengths, in bits.
#[derive(Debug, Clone, Copy)]
pub struct TruncateIp {
    v4: u8,
    v6: u8,
}

pub(super) static SPEC: Spec = Spec {
    name: "truncate_ip",
    about: "Zeroes the host part of IP addresses.",
    doc: "A string that is an IPv4 or IPv6 address, or a comma list of them, keeps the first `v4` \
          or `v6` bits of each. Ports, brackets and spaces stay; zones (`%eth0`) go. IPv6 is \
          written as RFC 5952 says. Of an IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) \
          no more than `v4` bits stay. `null` stays; anything else is a mismatch.",
    params: &[
        Param {
            name: "v4",
            kind: Kind::Int { min: 0, max: 32, default: Some(24) },
            doc: "bits of an IPv4 address that stay",
        },
        Param {
            name: "v6",
            kind: Kind::Int { min: 0, max: 128, default: Some(48) },
            doc: "bits of an IPv6 address that stay",
        },
    ],
    examples: &[
        Example { params: "", before: r#""203.0.113.77""#, after: r#""203.0.113.0""# },
        Example { params: "v4: 16", before: r#""203.0.113.77:443""#, after: r#""203.0.0.0:443""# },
        Example {
            params: "",
            before: r#""[2001:db8:1:2::3%eth0]:80, 10.1.2.3""#,
            after: r#""[2001:db8:1::]:80, 10.1.2.0""#,
        },
        Example { params: "", before: r#""::ffff:10.1.2.3""#, after: r#""::ffff:10.1.2.0""# },
        Example { params: "", before: r#""n/a""#, after: r#""[redacted]""# },
    ],
    needs_key: false,
    whole: false,
    build: |args| {
        let mut args = Args::new(args);
        Ok(Transform::TruncateIp(TruncateIp { v4: args.bits(), v6: args.bits() }))
    },
};

impl TruncateIp {
    pub(super) fn apply(self, value: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
        let text = match value {
            Scalar::Text(text) => text,
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Number(_) | Scalar::Bool(_) => return Outcome::Mismatch,
        };
        let start = out.open();
        if self.list(text, out).is_none() {
            return Outcome::Mismatch;
        }
        if out.since(start) == text.as_bytes() {
            return Outcome::Unchanged;
        }
        out.close();
        Outcome::Replaced
    }

    fn list(self, text: &str, out: &mut Out<'_>) -> Option<()> {
        for (number, item) in text.split(',').enumerate() {
            if number > 0 {
                out.push_plain(b",");
            }
            let address = item.trim_matches(' ');
            let lead = item.len() - item.trim_start_matches(' ').len();
            out.push_repeated(b' ', lead);
            self.dressed(address, out)?;
            out.push_repeated(b' ', item.len() - lead - address.len());
        }
        Some(())
    }

    /// One address with its port, brackets and zone.
    fn dressed(self, item: &str, out: &mut Out<'_>) -> Option<()> {
        if let Some(inner) = item.strip_prefix('[') {
            let (address, port) = inner.split_once(']')?;
            let port_ok = port.is_empty() || is_port(port.strip_prefix(':')?);
            out.push_plain(b"[");
            self.v6(address, out)?;
            out.push_plain(b"]");
            out.push_plain(port.as_bytes());
            return port_ok.then_some(());
        }
        if let Some((address, length)) = parse_v4(item.as_bytes()) {
            let port = &item[length..];
            let port_ok = port.is_empty() || is_port(port.strip_prefix(':')?);
            push_v4(network_v4(address, self.v4), out);
            out.push_plain(port.as_bytes());
            return port_ok.then_some(());
        }
        self.v6(item, out)
    }

    fn v6(self, item: &str, out: &mut Out<'_>) -> Option<()> {
        let address = match item.split_once('%') {
            Some((address, zone)) => (!zone.is_empty()).then_some(address)?,
            None => item,
        };
        let address: Ipv6Addr = address.parse().ok()?;
        let network = match address.to_ipv4_mapped() {
            Some(inner) => network_v4(inner, self.v4).to_ipv6_mapped(),
            None => network_v6(address, self.v6.min(self.bits_before_v4(address))),
        };
        push_v6(network, out);
        Some(())
    }

    /// How many bits of an address may stay, as it may hold an IPv4 one.
    fn bits_before_v4(self, address: Ipv6Addr) -> u8 {
        match address.segments() {
            [0x2002, ..] => 16 + self.v4,
            [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => 96 + self.v4,
            _ => 128,
        }
    }
}

fn network_v4(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    Ipv4Net::new_assert(address, bits).network()
}

fn network_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    Ipv6Net::new_assert(address, bits).network()
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The IPv4 address that `text` begins with, and its length. Four decimal numbers without leading
/// zeros; std's parser costs 4 times as much.
fn parse_v4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut octets = [0; 4];
    let mut at = 0;
    for (number, octet) in octets.iter_mut().enumerate() {
        if number > 0 {
            (text.get(at) == Some(&b'.')).then_some(())?;
            at += 1;
        }
        let start = at;
        let mut value = 0;
        while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
            value = value * 10 + u16::from(digit - b'0');
            at += 1;
            (at - start <= 3).then_some(())?;
        }
        let leading_zero = at - start > 1 && text[start] == b'0';
        (at > start && !leading_zero).then_some(())?;
        *octet = u8::try_from(value).ok()?;
    }
    Some((Ipv4Addr::from(octets), at))
}

/// The decimal spellings of the octets, each with its length.
static OCTETS: [([u8; 3], u8); 256] = octets();

const fn octets() -> [([u8; 3], u8); 256] {
    let mut table = [([0; 3], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] =
            [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        table[octet] = match octet {
            0..10 => ([ones, 0, 0], 1),
            10..100 => ([tens, ones, 0], 2),
            _ => ([hundreds, tens, ones], 3),
        };
        octet += 1;
    }
    table
}

fn push_v4(address: Ipv4Addr, out: &mut Out<'_>) {
    let mut text = [0; 15];
    let mut length = 0;
    for (number, octet) in address.octets().into_iter().enumerate() {
        if number > 0 {
            text[length] = b'.';
            length += 1;
        }
        let (digits, count) = OCTETS[usize::from(octet)];
        let count = usize::from(count);
        text[length..length + count].copy_from_slice(&digits[..count]);
        length += count;
    }
    out.push_plain(&text[..length]);
}

fn push_v6(address: Ipv6Addr, out: &mut Out<'_>) {
    let mut text = [0u8; 48];
    let mut rest = &mut text[..];
    // 45 bytes is the longest spelling of an address: it always fits.
    let _ = write!(rest, "{address}");
    let length = 48 - rest.len();
    out.push_plain(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(text: &str) -> String {
        let mut bytes = Vec::new();
        let transform = TruncateIp { v4: 24, v6: 48 };
        match transform.apply(Scalar::Text(text), &mut Out::plain(&mut bytes)) {
            Outcome::Replaced => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn dressed_addresses_keep_their_dress() {
        for (before, after) in [
            ("1.2.3.4", "1.2.3.0"),
            (" 1.2.3.4 ,5.6.7.8:1 ", " 1.2.3.0 ,5.6.7.0:1 "),
            ("2001:DB8:1:2:3:4:5:6", "2001:db8:1::"),
            ("fe80::1%eth0", "fe80::"),
            ("[fe80::1%en,1]:8080", "Mismatch"),
            ("[2001:db8:1:2::3]:8080", "[2001:db8:1::]:8080"),
            ("[2001:db8:1:2::3]", "[2001:db8:1::]"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.0"),
            ("::ffff:102:304", "::ffff:1.2.3.0"),
            ("1.2.3.0", "Unchanged"),
            ("2002:102:304:5::6", "2002:102:300::"),
            ("", "Mismatch"),
            ("1.2.3.4,", "Mismatch"),
            ("1.2.3.4 5.6.7.8", "Mismatch"),
            ("01.2.3.4", "Mismatch"),
            ("1.2.3.256", "Mismatch"),
            ("1.2.3.4:", "Mismatch"),
            ("1.2.3.4:123456", "Mismatch"),
            ("[1.2.3.4]", "Mismatch"),
            ("[::1", "Mismatch"),
            ("::1%", "Mismatch"),
            ("n/a", "Mismatch"),
        ] {
            assert_eq!(truncated(before), after, "{before}");
        }
    }

    #[test]
    fn an_inner_v4_never_shows_more_than_a_plain_one() {
        let wide = TruncateIp { v4: 24, v6: 128 };
        for (before, after) in [
            ("64:ff9b::1.2.3.4", "64:ff9b::102:300"),
            ("::1.2.3.4", "::102:300"),
            ("2002:102:304:5::6", "2002:102:300::"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let mut bytes = Vec::new();
            wide.apply(Scalar::Text(before), &mut Out::plain(&mut bytes));
            assert_eq!(String::from_utf8(bytes).unwrap(), after);
        }
    }

    #[test]
    fn the_hand_made_v4_parser_is_std_s() {
        for text in
            ["0.0.0.0", "255.255.255.255", "256.1.1.1", "1.1.1", "1.1.1.", "00.1.1.1", "1..1.1"]
        {
            let whole = parse_v4(text.as_bytes()).filter(|(_, length)| *length == text.len());
            assert_eq!(whole.map(|(address, _)| address), text.parse().ok(), "{text}");
        }
        for octet in 0..=255u8 {
            let mut bytes = Vec::new();
            let address = Ipv4Addr::new(octet, 1, 23, octet);
            push_v4(address, &mut Out::plain(&mut bytes));
            assert_eq!(bytes, address.to_string().as_bytes());
            assert_eq!(parse_v4(&bytes), Some((address, bytes.len())));
        }
    }
}
