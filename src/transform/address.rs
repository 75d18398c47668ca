//! IP addresses in text: found in their dress, read, spelled.
//!
//! Addresses come dressed: in comma lists (X-Forwarded-For), with ports, in brackets, with zones.
//! [`rewrite`] leaves the dress as it is (a zone, the name of somebody's interface, goes) and asks
//! its caller for each address; what is no address makes the whole text none.

use crate::format::Out;
use crate::scan::{digits_and, equal_to, hex_and, over, within};
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
    // One alone, with nothing around it; of what is none that is soon seen.
    if let Some(address) = long_v6(text.as_bytes()) {
        write(Found::V6(address), out);
        return Some(());
    }
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
    let inner = item.trim_start_matches(' ');
    out.push_repeated(b' ', item.len() - inner.len());
    let address = inner.trim_end_matches(' ');
    let (found, brackets, port) = undress(address)?;
    if brackets {
        out.push_plain(b"[");
    }
    write(found, out);
    if brackets {
        out.push_plain(b"]");
    }
    out.push_plain(port.as_bytes());
    out.push_repeated(b' ', inner.len() - address.len());
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
    parse_v6(item.as_bytes()).or_else(|| {
        let (address, zone) = item.split_once('%')?;
        (!zone.is_empty()).then(|| parse_v6(address.as_bytes()))?
    })
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
/// zeros. The text's first 16 bytes are held in a register and the dots found all at once, so that no
/// branch depends on where they stand, and nothing is read back from memory just written: with a
/// padded copy on the stack web events took 904 ns a record, 865 so.
pub(super) fn parse_v4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let word = first_word(text)?;
    let (digits, mut dots) = digits_and(word, b'.');
    let others = !(digits | dots);
    if others.trailing_zeros() < V4_MIN {
        return None;
    }
    let (mut address, mut start, mut sound) = (0, 0, true);
    for _ in 0..3 {
        let end = dots.trailing_zeros();
        dots &= dots.wrapping_sub(1);
        let (octet, is_octet) = read_octet(word, start, end);
        address = address << 8 | octet;
        sound &= is_octet;
        start = end + 1;
    }
    // Whatever stands behind it; if that is before one of the dots, the last number has no length.
    let end = (others | dots).trailing_zeros();
    let (octet, is_octet) = read_octet(word, start, end);
    (sound & is_octet).then(|| (Ipv4Addr::from_bits(address << 8 | octet), end as usize))
}

/// Where the dots are in an IPv4 address with nothing around it: the first `length` of `bytes`;
/// `None` if they are none. Its numbers are not read: whether each is one to three digits, without a leading
/// zero, and at most 255, is asked of all at once.
#[inline(always)]
pub(super) fn dots_of_v4(bytes: &[u8; 16], length: usize) -> Option<[usize; 3]> {
    if length >= bytes.len() {
        return None;
    }
    let all = (1 << length) - 1;
    let digits = within(bytes, b'0', b'9') & all;
    let dots = equal_to(bytes, b'.') & all;
    let over = |digit| over(bytes, digit);
    let (starts, seconds, thirds) = (dots << 1 | 1, digits >> 1, digits >> 2);
    let other = all & !(digits | dots) | starts & !digits;
    let long = digits & seconds & thirds & digits >> 3;
    let zero = starts & seconds & equal_to(bytes, b'0');
    let over_55 = over(b'5') >> 1 | over(b'4') >> 1 & over(b'5') >> 2;
    let large = starts & seconds & thirds & (over(b'2') | over(b'1') & over_55);
    let second = dots & dots.wrapping_sub(1);
    let third = second & second.wrapping_sub(1);
    let three = third != 0 && third & (third - 1) == 0;
    (three && other | long | zero | large == 0)
        .then(|| [dots, second, third].map(|dots| dots.trailing_zeros() as usize))
}

/// Length of the shortest IPv4 address.
const V4_MIN: u32 = 7;

/// The first 16 bytes of a text, zero-padded; none of one too short for an address.
#[inline(always)]
fn first_word(text: &[u8]) -> Option<u128> {
    let word = |from: usize| {
        let bytes = text.get(from..from + 8)?.try_into().ok()?;
        Some(u128::from(u64::from_le_bytes(bytes)))
    };
    match text.len() {
        0..7 => None,
        7 => Some(text.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte))),
        8 => word(0),
        length @ 9..16 => Some(word(0)? | word(length - 8)? >> (8 * (16 - length)) << 64),
        _ => Some(word(0)? | word(8)? << 64),
    }
}

/// The number at `start..end` of a text's first 16 bytes, which are digits; is it one to three of
/// them, without a leading zero, and at most 255?
#[inline(always)]
fn read_octet(word: u128, start: u32, end: u32) -> (u32, bool) {
    /// The least number that takes so many digits.
    const LEAST: [u32; 4] = [0, 0, 10, 100];
    let length = end.wrapping_sub(start);
    // The last digit comes to the top, and zeros below the first.
    let above = 32u32.wrapping_sub(length.wrapping_mul(8));
    let digits = (word.wrapping_shr(8 * start) as u32).wrapping_shl(above);
    let value = (digits >> 24 & 15) + (digits >> 16 & 15) * 10 + (digits >> 8 & 15) * 100;
    let least = LEAST[(length & 3) as usize];
    // Each of the three is asked, as none of them costs what a branch may.
    let fits = (length.wrapping_sub(1) < 3) & (value >= least) & (value < 256);
    (value & 0xff, fits)
}

/// Longest spelling of an address.
const SPELLED_MAX: usize = 39;

/// The decimal spellings of the octets, a dot behind each, and how many bits that is.
static OCTETS: [(u32, u32); 256] = octets();

const fn octets() -> [(u32, u32); 256] {
    let mut table = [(0, 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] =
            [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        let (digits, count) = match octet {
            0..10 => ([ones, b'.', 0, 0], 2),
            10..100 => ([tens, ones, b'.', 0], 3),
            _ => ([hundreds, tens, ones, b'.'], 4),
        };
        table[octet] = (u32::from_le_bytes(digits), 8 * count);
        octet += 1;
    }
    table
}

pub(super) fn push_v4(address: Ipv4Addr, out: &mut Out<'_>) {
    let (text, length) = spell_v4(address);
    out.push_start(&text, length);
}

/// An address's spelling, and its length. Put together in a register: stored octet by octet, the
/// spelling cannot be read at once.
#[inline(always)]
pub(super) fn spell_v4(address: Ipv4Addr) -> ([u8; 16], usize) {
    let mut text = 0;
    let mut bits = 0;
    for octet in address.octets() {
        let (digits, count) = OCTETS[usize::from(octet)];
        text |= u128::from(digits) << bits;
        bits += count;
    }
    (text.to_le_bytes(), (bits / 8 - 1) as usize)
}

pub(super) fn push_v6(address: Ipv6Addr, out: &mut Out<'_>) {
    spell_groups(address, |text, length| out.push_start(&text, length));
}

/// An address's spelling, and its length.
pub(super) fn spell_v6(address: Ipv6Addr) -> ([u8; SPELLED_MAX], usize) {
    let (mut text, mut end) = ([0; SPELLED_MAX], 0);
    spell_groups(address, |piece, length| {
        text[end..end + length].copy_from_slice(&piece[..length]);
        end += length;
    });
    (text, end)
}

/// RFC 5952: lower case, no leading zeros, the first of the longest runs of two or more zero
/// groups as `::`. Gives it piece by piece, each with its length: what is written elsewhere is not
/// read back from memory just written.
#[inline(always)]
fn spell_groups(address: Ipv6Addr, mut push: impl FnMut([u8; 8], usize)) {
    let groups = address.segments();
    let (run, zeros) = longest_zeros(&groups);
    let mut index = 0;
    while index < 8 {
        if index == run && zeros > 1 {
            // The group before has written one of the two colons.
            push(*b"::      ", if index == 0 { 2 } else { 1 });
            index += zeros;
            continue;
        }
        let (digits, count) = spell_group(groups[index]);
        index += 1;
        let piece = u64::from(digits) | u64::from(b':') << (8 * count);
        push(piece.to_le_bytes(), if index < 8 { count + 1 } else { count });
    }
}

/// Index and length of the first of the longest runs of zeros.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let zero = groups.iter().rev().fold(0u32, |zero, group| zero << 1 | u32::from(*group == 0));
    if zero == 0 {
        return (0, 0);
    }
    // Where runs of this length and more begin.
    let (mut begins, mut length) = (zero, 1);
    while begins & zero >> length != 0 {
        begins &= zero >> length;
        length += 1;
    }
    (begins.trailing_zeros() as usize, length)
}

/// The hex digits of a group, and how many: all four at once, without the leading zeros.
#[inline(always)]
fn spell_group(group: u16) -> (u32, usize) {
    let group = u32::from(group);
    let digits = group >> 12 | group & 0xf00 | (group & 0xf0) << 12 | group << 24 & 0xf00_0000;
    // From 10 on they are letters.
    let letters = (digits + 0x0606_0606) >> 4 & 0x0101_0101;
    let spelled = digits + 0x3030_3030 + letters * u32::from(b'a' - b'0' - 10);
    let zeros = (group | 1).leading_zeros() / 4 - 4;
    (spelled >> (8 * zeros), 4 - zeros as usize)
}

/// An IPv6 address in any spelling of RFC 4291, section 2.2.
pub(super) fn parse_v6(text: &[u8]) -> Option<Ipv6Addr> {
    long_v6(text).or_else(|| any_v6(text))
}

/// [`parse_v6`] of most addresses: 16 characters or more, no zone, no IPv4 part. The colons are found
/// all at once and each group is read at once, from the four bytes that it ends with. With that and
/// [`spell_groups`], web events whose clients have IPv6 addresses went from 890 to 807 ns a record.
#[inline(always)]
fn long_v6(text: &[u8]) -> Option<Ipv6Addr> {
    let (colons, others) = colons_and_others(text)?;
    (others == 0).then_some(())?;
    let (mut groups, mut count, mut gap) = ([0; 8], 0, None);
    let (mut colons, mut start) = (colons, 0);
    while start < text.len() {
        let end = (colons.trailing_zeros() as usize).min(text.len());
        colons &= colons.wrapping_sub(1);
        match end - start {
            0 if gap.is_none() && start > 0 => gap = Some(count),
            length @ 1..=4 => {
                let word = text.get(end.checked_sub(4)?..end)?.try_into().ok()?;
                let digits = u32::from_le_bytes(word) & u32::MAX << (32 - 8 * length);
                *groups.get_mut(count)? = read_group(digits);
                count += 1;
            }
            _ => return None,
        }
        start = end + 1;
    }
    // Only `::` may stand at the end.
    (text.last() != Some(&b':') || gap == Some(count)).then_some(())?;
    filled(groups, count, gap)
}

/// How many bytes of an IPv6 address spell its first 48 bits, as RFC 5952 would but for capitals. `None`
/// unless it has 16 characters or more, no zone and no IPv4 part, and its first three groups are neither zero
/// nor spelled with zeros before them, nor those of an address that may have an IPv4 one inside.
#[inline(always)]
pub(super) fn start_of_v6(bytes: &[u8; 16], text: &[u8]) -> Option<usize> {
    let (colons, others) = colons_and_others(text)?;
    let second = colons & colons.wrapping_sub(1);
    let end = (second & second.wrapping_sub(1)).trailing_zeros();
    if end > 14 {
        return None;
    }
    let hex = !(colons | others) & ((1 << text.len()) - 1);
    let starts = 1 | colons << 1 & ((2 << end) - 1);
    let dull = starts & (u64::from(equal_to(bytes, b'0')) | !hex);
    let long = hex & hex >> 1 & hex >> 2 & hex >> 3 & hex >> 4;
    let (gaps, groups) = (colons & colons >> 1, colons.count_ones() + 1);
    // A gap has a colon of its own, and stands for one group or more.
    let whole = if gaps == 0 { groups == 8 } else { gaps & (gaps - 1) == 0 && groups <= 8 };
    let sound = whole && others | dull | long == 0 && text.last() != Some(&b':');
    (sound && !bytes.starts_with(b"2002:")).then_some(end as usize)
}

/// A bit for each byte of a text of 16 to 39, the first lowest, that is a colon; and one for each that is
/// neither that nor a hex digit.
#[inline(always)]
fn colons_and_others(text: &[u8]) -> Option<(u64, u64)> {
    let (first, last) = (text.first_chunk()?, text.last_chunk()?);
    let (mut colons, mut hex) = (0, 0);
    let mut add = |chunk: &[u8; 16], at: usize| {
        let (is_hex, is_colon) = hex_and(u128::from_le_bytes(*chunk), b':');
        hex |= u64::from(is_hex) << at;
        colons |= u64::from(is_colon) << at;
    };
    add(first, 0);
    match text.len() {
        16..=32 => {}
        33..=SPELLED_MAX => add(text[16..].first_chunk()?, 16),
        _ => return None,
    }
    add(last, text.len() - 16);
    let all = (1 << text.len()) - 1;
    Some((colons, all & !(hex | colons)))
}

/// The value of up to four hex digits, the last one highest; zero bytes below the first.
#[inline(always)]
const fn read_group(digits: u32) -> u16 {
    let letters = digits >> 6 & 0x0101_0101;
    let values = (digits & 0x0f0f_0f0f) + letters * 9;
    (values << 12 & 0xf000 | values & 0xf00 | values >> 12 & 0xf0 | values >> 24) as u16
}

/// [`parse_v6`], character by character.
fn any_v6(text: &[u8]) -> Option<Ipv6Addr> {
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
    filled(groups, count, gap)
}

/// The address of `count` groups, with a gap before the one of this number.
fn filled(mut groups: [u16; 8], count: usize, gap: Option<usize>) -> Option<Ipv6Addr> {
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
#[inline(always)]
fn hex_group(text: &[u8]) -> Option<(u16, usize)> {
    let mut group = 0;
    let mut length = 0;
    while let Some(digit) = text.get(length).map(|byte| HEX[usize::from(*byte)])
        && digit < 16
    {
        (length < 4).then_some(())?;
        group = group << 4 | u16::from(digit);
        length += 1;
    }
    (length > 0).then_some((group, length))
}

/// What each byte is worth as a hex digit; 16 or more: it is none.
static HEX: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hand_made_v6_parser_is_std_s(text in "[0-9a-fA-F:.]{0,30}|([0-9a-f]{0,4}:){0,8}[0-9a-f]{0,5}|(::)?([0-9A-Fa-f]{1,4}:{1,2}){3,8}[0-9a-fg%]{0,4}|(::|([0-9a-f]{1,4}:){0,6})[0-9]{1,3}[.]1[.]2[.]3") {
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
