//! `truncate_ip`: an address keeps its network part.
//!
//! Addresses come dressed: in comma lists (X-Forwarded-For), with ports, in brackets, with zones.
//! The dress stays (a zone, the name of somebody's interface, goes); what is no address makes the
//! whole value a mismatch.
//!
//! An IPv6 address may carry an IPv4 one: mapped (`::ffff:1.2.3.4`), 6to4 (`2002:0102:0304::`, RFC
//! 3056: within the first 48 bits!), NAT64 (`64:ff9b::1.2.3.4`, RFC 6052) and the old compatible
//! form (`::1.2.3.4`). Of that part no more stays than of an IPv4 address.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::{Out, Scalar};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Prefix lengths, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    shows: Shows::Part,
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
        if let Some(address) = whole_v4(text) {
            let network = network_v4(address, self.v4);
            if network == address {
                return Outcome::Unchanged;
            }
            out.open();
            push_v4(network, out);
            out.close();
            return Outcome::Replaced;
        }
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
        let mut rest = text;
        while let Some(comma) = memchr::memchr(b',', rest.as_bytes()) {
            self.spaced(&rest[..comma], out)?;
            out.push_plain(b",");
            rest = &rest[comma + 1..];
        }
        self.spaced(rest, out)
    }

    /// One item of a list, with the spaces around it.
    fn spaced(self, item: &str, out: &mut Out<'_>) -> Option<()> {
        let spaces = |bytes: &mut dyn Iterator<Item = u8>| bytes.take_while(|b| *b == b' ').count();
        let before = spaces(&mut item.bytes());
        out.push_repeated(b' ', before);
        let item = &item[before..];
        let after = spaces(&mut item.bytes().rev());
        self.dressed(&item[..item.len() - after], out)?;
        out.push_repeated(b' ', after);
        Some(())
    }

    /// One address with its port, brackets and zone.
    fn dressed(self, item: &str, out: &mut Out<'_>) -> Option<()> {
        if let Some(inner) = item.strip_prefix('[') {
            let (address, port) = inner.split_once(']')?;
            is_port_or_none(port).then_some(())?;
            out.push_plain(b"[");
            self.v6(address, out)?;
            out.push_plain(b"]");
            out.push_plain(port.as_bytes());
            return Some(());
        }
        if let Some((address, length)) = parse_v4(item.as_bytes()) {
            let port = &item[length..];
            is_port_or_none(port).then_some(())?;
            push_v4(network_v4(address, self.v4), out);
            out.push_plain(port.as_bytes());
            return Some(());
        }
        self.v6(item, out)
    }

    fn v6(self, item: &str, out: &mut Out<'_>) -> Option<()> {
        let address = match item.split_once('%') {
            Some((address, zone)) => (!zone.is_empty()).then_some(address)?,
            None => item,
        };
        let address = parse_v6(address.as_bytes())?;
        let network = match address.to_ipv4_mapped() {
            Some(inner) => {
                out.push_plain(b"::ffff:");
                push_v4(network_v4(inner, self.v4), out);
                return Some(());
            }
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

/// The IPv4 address that `text` is, all of it.
fn whole_v4(text: &str) -> Option<Ipv4Addr> {
    let (address, length) = parse_v4(text.as_bytes())?;
    (length == text.len()).then_some(address)
}

fn network_v4(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    Ipv4Net::new_assert(address, bits).network()
}

fn network_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    Ipv6Net::new_assert(address, bits).network()
}

/// What stands behind an address: nothing, or a colon and one to five digits.
fn is_port_or_none(text: &str) -> bool {
    match text.as_bytes() {
        [] => true,
        [b':', digits @ ..] => {
            (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
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

/// RFC 5952: lower case, no leading zeros, the first of the longest runs of two or more zero
/// groups as `::`. std's formatter costs 3 times as much.
fn push_v6(address: Ipv6Addr, out: &mut Out<'_>) {
    let groups = address.segments();
    let (run, zeros) = longest_zeros(&groups);
    let mut text = [0; 39];
    let mut length = 0;
    let mut push = |byte: u8| {
        text[length] = byte;
        length += 1;
    };
    let mut index = 0;
    while index < 8 {
        if index == run && zeros > 1 {
            push(b':');
            if index == 0 {
                push(b':');
            }
            index += zeros;
            continue;
        }
        push_hex(groups[index], &mut push);
        index += 1;
        if index < 8 {
            push(b':');
        }
    }
    out.push_plain(&text[..length]);
}

/// Index and length of the first of the longest runs of zeros.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), 0);
    for (index, &group) in groups.iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > best.1 {
            best = (index + 1 - run, run);
        }
    }
    best
}

fn push_hex(group: u16, push: &mut impl FnMut(u8)) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for shift in [12, 8, 4, 0] {
        if group >> shift != 0 || shift == 0 {
            push(DIGITS[usize::from(group >> shift & 15)]);
        }
    }
}

/// An IPv6 address in any spelling of RFC 4291, section 2.2.
fn parse_v6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0; 8];
    let (mut count, mut gap) = (0, None);
    let mut rest = text;
    if let Some(after) = text.strip_prefix(b"::") {
        (gap, rest) = (Some(0), after);
    }
    while !rest.is_empty() {
        let (group, length) = hex_group(rest)?;
        if rest.get(length) == Some(&b'.') {
            let (inner, length) = parse_v4(rest)?;
            let [a, b, c, d] = inner.octets();
            *groups.get_mut(count + 1)? = u16::from_be_bytes([c, d]);
            groups[count] = u16::from_be_bytes([a, b]);
            count += 2;
            (length == rest.len()).then_some(())?;
            break;
        }
        *groups.get_mut(count)? = group;
        count += 1;
        rest = match &rest[length..] {
            [] => break,
            [b':', b':', after @ ..] if gap.is_none() => {
                gap = Some(count);
                after
            }
            [b':', after @ ..] if !after.is_empty() => after,
            _ => return None,
        };
    }
    match gap {
        None => (count == 8).then_some(())?,
        Some(gap) => {
            (count < 8).then_some(())?;
            groups.copy_within(gap..count, 8 - (count - gap));
            groups[gap..8 - (count - gap)].fill(0);
        }
    }
    Some(Ipv6Addr::from(groups))
}

/// One to four hex digits that `text` begins with, and how many.
fn hex_group(text: &[u8]) -> Option<(u16, usize)> {
    let mut group = 0;
    let mut length = 0;
    while let Some(digit) = text.get(length).and_then(|byte| char::from(*byte).to_digit(16)) {
        (length < 4).then_some(())?;
        group = group << 4 | u16::try_from(digit).ok()?;
        length += 1;
    }
    (length > 0).then_some((group, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_hand_made_v6_parser_is_std_s(text in "[0-9a-fA-F:.]{0,30}|([0-9a-f]{0,4}:){0,8}[0-9a-f]{0,5}|(::|([0-9a-f]{1,4}:){0,6})[0-9]{1,3}[.]1[.]2[.]3") {
            prop_assert_eq!(parse_v6(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn the_hand_made_v6_spelling_is_std_s(
            groups in proptest::array::uniform8(prop_oneof![2 => Just(0), 1 => any::<u16>(), 1 => 0..256u16]),
        ) {
            let address = Ipv6Addr::from(groups);
            let mut bytes = Vec::new();
            push_v6(address, &mut Out::plain(&mut bytes));
            // std writes mapped addresses with an IPv4 part; `TruncateIp::v6` does that itself.
            if address.to_ipv4_mapped().is_none() {
                prop_assert_eq!(String::from_utf8(bytes).unwrap(), address.to_string());
            }
            prop_assert_eq!(parse_v6(address.to_string().as_bytes()), Some(address));
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
