//! `truncate_ip`: an address keeps its network part.
//!
//! How addresses stand in text is [`address`]'s to know; what is no address makes the whole value a
//! mismatch.
//!
//! An IPv6 address may carry an IPv4 one: mapped (`::ffff:1.2.3.4`), 6to4 (`2002:0102:0304::`, RFC
//! 3056: within the first 48 bits!), NAT64 (`64:ff9b::1.2.3.4`, RFC 6052) and the old compatible
//! form (`::1.2.3.4`). Of that part no more stays than of an IPv4 address.

use super::address::{self, Found, push_v4, push_v6};
use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;
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
    /// Bits of either kind.
    pub(super) fn keeps(self) -> [u32; 3] {
        [self.v4.into(), self.v6.into(), 0]
    }

    pub(super) fn apply(self, text: &str, out: &mut Out<'_>) -> Outcome {
        if let Some(bytes) = out.chunk(text)
            && let Some(outcome) = self.cut(bytes, text, out)
        {
            return outcome;
        }
        self.rewrite(text, out)
    }

    /// [`Self::apply`] for addresses in any number, dress and spelling.
    #[inline(never)]
    fn rewrite(self, text: &str, out: &mut Out<'_>) -> Outcome {
        let start = out.open();
        if address::rewrite(text, out, &mut |found, out| self.write(found, out)).is_none() {
            return Outcome::Mismatch;
        }
        if out.since(start) == text.as_bytes() {
            return Outcome::Unchanged;
        }
        out.close();
        Outcome::Replaced
    }

    /// Cuts the text of an address that stands alone where its network ends, if that is how the network is
    /// spelled: as long as prefixes are the usual ones, no number is read or written.
    #[inline(always)]
    fn cut(self, bytes: &[u8; 16], text: &str, out: &mut Out<'_>) -> Option<Outcome> {
        const ZEROS: &[u8; 5] = b"0.0.0";
        if let Some(dots) = address::dots_of_v4(bytes, text.len()) {
            let (end, zeros) = match self.v4 {
                8 => (dots[0] + 1, 5),
                16 => (dots[1] + 1, 3),
                24 => (dots[2] + 1, 1),
                _ => return None,
            };
            if text.len() == end + zeros && text.as_bytes()[end..] == ZEROS[..zeros] {
                return Some(Outcome::Unchanged);
            }
            out.string((bytes, end), (ZEROS, zeros));
            return Some(Outcome::Replaced);
        }
        if self.v6 != 48 {
            return None;
        }
        let end = address::start_of_v6(bytes, text.as_bytes())?;
        // What is not a digit or a colon is a letter: so it becomes a small one.
        out.string((&bytes.map(|byte| byte | 0x20), end), (b"::", 2));
        Some(Outcome::Replaced)
    }

    fn write(self, found: Found, out: &mut Out<'_>) {
        let address = match found {
            Found::V4(address) | Found::V4WithPort(address) => {
                return push_v4(network_v4(address, self.v4), out);
            }
            Found::V6(address) => address,
        };
        if let Some(inner) = address.to_ipv4_mapped() {
            out.push_plain(b"::ffff:");
            return push_v4(network_v4(inner, self.v4), out);
        }
        push_v6(network_v6(address, self.v6.min(self.bits_before_v4(address))), out);
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
    let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & !hosts)
}

fn network_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let hosts = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & !hosts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_cut_is_what_is_read_and_spelled(
            text in "([0-9]{1,3}[.]){2,4}[0-9]{0,3}|(25[0-9]|2[0-9]0|0|10[.])([.](25[0-9]|[0-9]{1,2}|0)){2,4}|([0-9a-fA-F]{1,4}:{1,2}){3,7}[0-9a-fA-F]{0,4}|(2002|64|0)(:[1-9a-f][0-9a-f]{0,4}){3}(:[0-9a-f]{1,4}){1,5}|2001:[1-9A-F][0-9a-f]{1,3}:[0-9a-f]{1,4}:(:|[0-9a-f]{1,4}:){1,4}[0-9a-f%]{1,5}",
            v4 in prop_oneof![Just(8), Just(16), Just(24), 0..=32u8],
            v6 in prop_oneof![Just(48), 0..=128u8],
        ) {
            agrees(&text, TruncateIp { v4, v6 });
        }
    }

    /// Whether it is cut in a record or read and spelled, it comes to the same.
    fn agrees(text: &str, transform: TruncateIp) {
        let (mut quick, mut slow) = (Vec::new(), Vec::new());
        let record = format!("{text}\", and what comes behind it");
        let piece = &record[..text.len()];
        let got = transform.apply(piece, &mut Out::json_of_plain(&mut quick, record.as_bytes()));
        let want = transform.apply(text, &mut Out::json(&mut slow));
        assert_eq!(got, want, "{text}");
        if want == Outcome::Replaced {
            assert_eq!(quick, slow, "{text}");
        }
    }

    #[test]
    fn each_number_of_an_address_is_looked_at() {
        let odd = [
            "", "0", "00", "01", "010", "9", "99", "100", "199", "200", "249", "250", "255", "256",
            "259", "260", "299", "300", "999", "1000", "x", "1x", ":", "-1",
        ];
        for (at, odd) in (0..5).flat_map(|at| odd.map(|odd| (at, odd))) {
            let mut numbers = vec!["1", "23", "204", "7"];
            match numbers.get_mut(at) {
                Some(number) => *number = odd,
                None => numbers.push(odd),
            }
            for v4 in [8, 16, 24] {
                agrees(&numbers.join("."), TruncateIp { v4, v6: 48 });
            }
        }
    }

    #[test]
    fn each_group_of_an_address_is_looked_at() {
        let odd = ["", "0", "0a1", "ABCD", "12345", "g", "2002", "64", "1.2.3.4", ":", "1%x"];
        let usual = ["2001", "db8", "a1", "b", "c", "d0", "e", "f123"];
        for (at, odd) in (0..8).flat_map(|at| odd.map(|odd| (at, odd))) {
            let mut groups = usual;
            groups[at] = odd;
            // All eight of them, or a gap in place of some.
            agrees(&groups.join(":"), TruncateIp { v4: 24, v6: 48 });
            for (end, start) in (0..=8).flat_map(|end| (end..=8).map(move |start| (end, start))) {
                let text = format!("{}::{}", groups[..end].join(":"), groups[start..].join(":"));
                agrees(&text, TruncateIp { v4: 24, v6: 48 });
            }
        }
    }

    fn truncated(text: &str) -> String {
        let mut bytes = Vec::new();
        let transform = TruncateIp { v4: 24, v6: 48 };
        match transform.apply(text, &mut Out::plain(&mut bytes)) {
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
            wide.apply(before, &mut Out::plain(&mut bytes));
            assert_eq!(String::from_utf8(bytes).unwrap(), after);
        }
    }
}
