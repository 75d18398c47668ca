//! IP addresses in text: found in their dress, read, spelled.
//!
//! Addresses come dressed: in comma lists (X-Forwarded-For), with ports, in brackets, with zones.
//! [`rewrite`] leaves the dress as it is (a zone, the name of somebody's interface, goes) and asks
//! its caller for each address; what is no address makes the whole text none.

use crate::format::Out;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address that stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// IPv4, bare.
    V4(Ipv4Addr),
    /// IPv4 with a port behind it.
    V4WithPort(Ipv4Addr),
    /// IPv6, bare or in brackets.
    V6(Ipv6Addr),
}

/// Copies a comma list of addresses, with what `write` puts in the place of each. `None`, with the
/// output half written, if anything in it is no address.
pub(super) fn rewrite(
    text: &str,
    out: &mut Out<'_>,
    write: &mut impl FnMut(Found, &mut Out<'_>),
) -> Option<()> {
    let mut rest = text;
    while let Some(comma) = memchr::memchr(b',', rest.as_bytes()) {
        spaced(&rest[..comma], out, write)?;
        out.push_plain(b",");
        rest = &rest[comma + 1..];
    }
    spaced(rest, out, write)
}

/// One item of a list, with the spaces around it.
fn spaced(
    item: &str,
    out: &mut Out<'_>,
    write: &mut impl FnMut(Found, &mut Out<'_>),
) -> Option<()> {
    let spaces = |bytes: &mut dyn Iterator<Item = u8>| bytes.take_while(|b| *b == b' ').count();
    let before = spaces(&mut item.bytes());
    out.push_repeated(b' ', before);
    let item = &item[before..];
    let after = spaces(&mut item.bytes().rev());
    let (found, brackets, port) = undress(&item[..item.len() - after])?;
    if brackets {
        out.push_plain(b"[");
    }
    write(found, out);
    if brackets {
        out.push_plain(b"]");
    }
    out.push_plain(port.as_bytes());
    out.push_repeated(b' ', after);
    Some(())
}

/// The address that `text` is, in any dress, without it.
pub(super) fn one(text: &str) -> Option<Found> {
    undress(text.trim_matches(' ')).map(|(found, ..)| found)
}

/// One address: has it brackets, and the port with its colon.
fn undress(item: &str) -> Option<(Found, bool, &str)> {
    if let Some(inner) = item.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        is_port_or_none(port).then_some(())?;
        return Some((Found::V6(zoned(address)?), true, port));
    }
    if let Some((address, length)) = parse_v4(item.as_bytes()) {
        let port = &item[length..];
        is_port_or_none(port).then_some(())?;
        let found = if port.is_empty() { Found::V4(address) } else { Found::V4WithPort(address) };
        return Some((found, false, port));
    }
    Some((Found::V6(zoned(item)?), false, ""))
}

/// An IPv6 address, with or without a zone.
fn zoned(item: &str) -> Option<Ipv6Addr> {
    let address = match item.split_once('%') {
        Some((address, zone)) => (!zone.is_empty()).then_some(address)?,
        None => item,
    };
    parse_v6(address.as_bytes())
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

/// The IPv4 address that `text` begins with, and its length: four decimal numbers without leading
/// zeros. The dots are found 16 bytes at a time and each number is read at once, so that no branch
/// depends on where they stand.
pub(super) fn parse_v4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    // Four bytes before the text, so that every number has so many bytes up to its end.
    let mut padded = [0; 24];
    let words = first_words(text)?;
    padded[4..12].copy_from_slice(&words[0].to_le_bytes());
    padded[12..20].copy_from_slice(&words[1].to_le_bytes());
    let marks = |mark: fn(u64) -> u64| gather(mark(words[0])) | gather(mark(words[1])) << 8;
    let digits = !marks(non_digits) & 0xffff;
    let mut dots = marks(|word| equal_bytes(word, b'.'));
    let others = !(digits | dots);
    // Where each number ends: at the first three dots, and the last at whatever stands there.
    let mut octets = [0; 4];
    let mut start = 0;
    for octet in &mut octets[..3] {
        let end = dots.trailing_zeros();
        if others.trailing_zeros() < end {
            return None;
        }
        *octet = read_octet(&padded, start, end)?;
        dots &= dots.wrapping_sub(1);
        start = end + 1;
    }
    let end = (others | dots).trailing_zeros();
    octets[3] = read_octet(&padded, start, end)?;
    Some((Ipv4Addr::from(octets), end as usize))
}

/// The first 16 bytes of a text, zero-padded; none of one too short for an address.
#[inline(always)]
fn first_words(text: &[u8]) -> Option<[u64; 2]> {
    let word = |from: usize| Some(u64::from_le_bytes(text.get(from..from + 8)?.try_into().ok()?));
    match text.len() {
        0..7 => None,
        7 => {
            let word = text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            Some([word, 0])
        }
        8 => Some([word(0)?, 0]),
        length @ 9..16 => Some([word(0)?, word(length - 8)? >> (8 * (16 - length))]),
        _ => Some([word(0)?, word(8)?]),
    }
}

/// The number of one to three digits at `start..end` of a text, behind four bytes of padding.
#[inline(always)]
fn read_octet(padded: &[u8; 24], start: u32, end: u32) -> Option<u8> {
    /// By length: the bytes that count, and the least and the greatest spelling.
    const SHAPES: [(u32, u32, u32); 4] = [
        (0, 1, 0),
        (0xff, 0x30, 0x39),
        (0xffff, 0x3130, 0x3939),
        (0x00ff_ffff, 0x0031_3030, 0x0032_3535),
    ];
    let (mask, least, greatest) = *SHAPES.get(end.wrapping_sub(start) as usize)?;
    let bytes = padded.get(end as usize..end as usize + 4)?;
    let digits = u32::from_be_bytes(bytes.try_into().ok()?) & mask;
    let value = (digits >> 16 & 15) * 100 + (digits >> 8 & 15) * 10 + (digits & 15);
    // Spellings of one length compare as their numbers do.
    u8::try_from(value).ok().filter(|_| (least..=greatest).contains(&digits))
}

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The high bit of each byte that is no ASCII digit.
const fn non_digits(word: u64) -> u64 {
    let values = word ^ 0x3030_3030_3030_3030;
    (((values & LOW) + 0x7676_7676_7676_7676) | values) & !LOW
}

/// The high bit of each byte that is `byte`.
const fn equal_bytes(word: u64, byte: u8) -> u64 {
    let values = word ^ (0x0101_0101_0101_0101 * byte as u64);
    !(((values & LOW) + LOW) | values) & !LOW
}

/// The high bits of the eight bytes, side by side.
#[inline(always)]
fn gather(marks: u64) -> u32 {
    ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// Longest spelling of an address.
const SPELLED_MAX: usize = 39;

/// The decimal spellings of the octets, a dot behind each, and how long that is.
static OCTETS: [([u8; 4], u8); 256] = octets();

const fn octets() -> [([u8; 4], u8); 256] {
    let mut table = [([0; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] =
            [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        table[octet] = match octet {
            0..10 => ([ones, b'.', 0, 0], 2),
            10..100 => ([tens, ones, b'.', 0], 3),
            _ => ([hundreds, tens, ones, b'.'], 4),
        };
        octet += 1;
    }
    table
}

pub(super) fn push_v4(address: Ipv4Addr, out: &mut Out<'_>) {
    let (text, length) = spell_v4(address);
    out.push_start(&text, length);
}

/// An address's spelling, and its length.
#[inline(always)]
pub(super) fn spell_v4(address: Ipv4Addr) -> ([u8; SPELLED_MAX], usize) {
    let mut text = [0; SPELLED_MAX];
    let mut length = 0;
    for octet in address.octets() {
        let (digits, count) = OCTETS[usize::from(octet)];
        // Each overwrites what the one before wrote too much.
        text[length..length + 4].copy_from_slice(&digits);
        length += usize::from(count);
    }
    (text, length - 1)
}

pub(super) fn push_v6(address: Ipv6Addr, out: &mut Out<'_>) {
    let (text, length) = spell_v6(address);
    out.push_start(&text, length);
}

/// RFC 5952: lower case, no leading zeros, the first of the longest runs of two or more zero
/// groups as `::`. std's formatter costs 3 times as much.
pub(super) fn spell_v6(address: Ipv6Addr) -> ([u8; SPELLED_MAX], usize) {
    let groups = address.segments();
    let (run, zeros) = longest_zeros(&groups);
    let mut text = [0; SPELLED_MAX];
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
    (text, length)
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
pub(super) fn parse_v6(text: &[u8]) -> Option<Ipv6Addr> {
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
            // std writes mapped addresses with an IPv4 part; their writers do that themselves.
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
