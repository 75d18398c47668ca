//! `encrypt_ip`: an address becomes another one, or a row of digits, by IPCrypt (draft-denis-ipcrypt).
//!
//! Unlike a pseudonym, the result can still be an address for programs that want one, and keep which
//! addresses share a network. Where addresses stand in text is [`address`]'s to know.

use super::address::{self, Found, push_v4, push_v6};
use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::Out;
use crate::keys::{Address, Cipher, EpochKeys, PrefixPreserving, Purpose};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::net::{IpAddr, Ipv6Addr};
use zeroize::Zeroizing;

/// How addresses are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptIp {
    /// The same address, the same address.
    Deterministic,
    /// As that, and networks stay networks.
    Prefix,
    /// As that, the older way, for those who must agree with it.
    CryptoPan,
    /// Another row of digits in each place.
    Nd,
    /// The same with the larger tweak.
    Ndx,
}

type Preserving<'k> = &'k dyn PrefixPreserving;

const MODES: [(&str, EncryptIp); 5] = [
    ("deterministic", EncryptIp::Deterministic),
    ("prefix", EncryptIp::Prefix),
    ("cryptopan", EncryptIp::CryptoPan),
    ("nd", EncryptIp::Nd),
    ("ndx", EncryptIp::Ndx),
];

pub(super) static SPEC: Spec = Spec {
    name: "encrypt_ip",
    about: "Encrypts IP addresses (IPCrypt, Crypto-PAn).",
    doc: "A string that is an IPv4 or IPv6 address, or a comma list of them, has each replaced, with a \
          key derived from the policy's `key` for tenant and epoch. `mode` says how:\n\n\
          - `deterministic`: the same address becomes the same IPv6 address (of an IPv4 one too).\n\
          - `prefix`: the same, and two addresses that share their first bits share as many \
          afterwards; IPv4 stays IPv4. Whoever knows some pairs knows the networks of others.\n\
          - `cryptopan`: as `prefix`, by Crypto-PAn (Xu and others, 2002), for those who have to agree \
          with traces that it has made. Else take `prefix`.\n\
          - `nd`, `ndx`: 48 or 64 hexadecimal digits, others in each place: nothing can be linked \
          without the key. The draft's random tweak, of 8 or 16 bytes, is drawn from topic, partition, \
          offset and the place in the record by a keyed hash, so that a record read again gets the \
          same digits.\n\n\
          Ports, brackets and spaces stay; zones (`%eth0`) go; an IPv4 address inside an IPv6 one \
          (`::ffff:1.2.3.4`) is encrypted as that. `null` stays; anything else is a mismatch.",
    params: &[Param {
        name: "mode",
        kind: Kind::Word {
            of: &["deterministic", "prefix", "cryptopan", "nd", "ndx"],
            default: "deterministic",
        },
        doc: "how addresses are encrypted",
    }],
    examples: &[
        Example { params: "", before: r#""203.0.113.77""#, after: r#""…:…""# },
        Example {
            params: "mode: prefix", before: r#""203.0.113.77:80""#, after: r#""….…:80""#
        },
        Example { params: "mode: nd", before: r#""2001:db8::1""#, after: r#""…""# },
        Example { params: "", before: r#""n/a""#, after: r#""[redacted]""# },
    ],
    needs_key: true,
    whole: false,
    shows: Shows::AllWithKey,
    build: |args| {
        let word = Args::new(args).word();
        let mode = MODES.iter().find(|(name, _)| *name == word);
        let mode = mode.map_or(EncryptIp::Deterministic, |(_, mode)| *mode);
        Ok(Transform::EncryptIp(mode))
    },
};

impl EncryptIp {
    pub(super) const fn purpose(self) -> Purpose {
        match self {
            Self::Deterministic => Purpose::IpDeterministic,
            Self::Prefix => Purpose::IpPrefix,
            Self::CryptoPan => Purpose::IpCryptoPan,
            Self::Nd => Purpose::IpNd,
            Self::Ndx => Purpose::IpNdx,
        }
    }

    pub(super) fn apply(self, text: &str, context: &mut Context<'_>, out: &mut Out<'_>) -> Outcome {
        let drawn = context.drawn;
        let mut keyed = true;
        out.open();
        let found = address::rewrite(text, out, &mut |found, out| {
            keyed &= self.write(found, context, out).is_some();
        });
        if found.is_none() || !keyed {
            context.drawn = drawn;
            return Outcome::Mismatch;
        }
        out.close();
        Outcome::Replaced
    }

    /// The reverse of [`Self::apply`], for people: addresses are written canonically, so what was a
    /// mapped IPv4 address is a bare one.
    pub(super) fn undo(self, text: &str, keys: &EpochKeys, out: &mut Out<'_>) -> Outcome {
        for (index, item) in text.split(',').enumerate() {
            let (host, port) = host_and_port(item.trim_matches(' '));
            let Some(before) = self.decrypted(host, keys) else { return Outcome::Mismatch };
            let before = match Ipv6Addr::from(before).to_canonical() {
                IpAddr::V6(before) if !port.is_empty() => format!("[{before}]"),
                before => before.to_string(),
            };
            let before = Zeroizing::new(before);
            out.push_plain(if index > 0 { b", " } else { b"" });
            out.push_plain(before.as_bytes());
            out.push_plain(port.as_bytes());
        }
        Outcome::Replaced
    }

    fn decrypted(self, host: &str, keys: &EpochKeys) -> Option<Address> {
        let address = || match host.parse().ok()? {
            IpAddr::V4(address) => Some(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => Some(address.octets()),
        };
        keys.cipher(|cipher| match (self, cipher) {
            (Self::Deterministic, Cipher::IpDeterministic(cipher)) => {
                Some(cipher.decrypt(address()?))
            }
            (Self::Prefix, Cipher::IpPrefix(cipher)) => Some(cipher.decrypt(address()?)),
            (Self::CryptoPan, Cipher::IpCryptoPan(cipher)) => Some(cipher.decrypt(address()?)),
            (Self::Nd, Cipher::IpNd(cipher)) => cipher.decrypt(&hex(host)?),
            (Self::Ndx, Cipher::IpNdx(cipher)) => cipher.decrypt(&hex(host)?),
            _ => None,
        })
    }

    /// Writes one address; `None` without a key, which the policy's check refuses.
    fn write(self, found: Found, context: &mut Context<'_>, out: &mut Out<'_>) -> Option<()> {
        let address = match found {
            Found::V4(address) | Found::V4WithPort(address) => address.to_ipv6_mapped(),
            Found::V6(address) => address,
        };
        let keys = context.keys?;
        match self {
            Self::Deterministic => {
                let after = keys.cipher(|cipher| match cipher {
                    Cipher::IpDeterministic(cipher) => Some(cipher.encrypt(address.octets())),
                    _ => None,
                })?;
                push_address(found, after, out);
            }
            Self::Prefix | Self::CryptoPan => {
                let cipher = keys.cipher(|cipher| match (self, cipher) {
                    (Self::Prefix, Cipher::IpPrefix(cipher)) => Some(cipher as Preserving<'_>),
                    (Self::CryptoPan, Cipher::IpCryptoPan(cipher)) => Some(cipher),
                    _ => None,
                })?;
                let after = remembered(context, self, address, |bytes| cipher.encrypt(bytes));
                push_address(found, after, out);
            }
            Self::Nd => {
                let sealed = context.drawing(|keys, place| {
                    keys.cipher(|cipher| match cipher {
                        Cipher::IpNd(cipher) => Some(cipher.encrypt(address.octets(), place)),
                        _ => None,
                    })
                })?;
                push_hex(&sealed, out);
            }
            Self::Ndx => {
                let sealed = context.drawing(|keys, place| {
                    keys.cipher(|cipher| match cipher {
                        Cipher::IpNdx(cipher) => Some(cipher.encrypt(address.octets(), place)),
                        _ => None,
                    })
                })?;
                push_hex(&sealed, out);
            }
        }
        Some(())
    }
}

/// What stands before a port and without brackets, and the port with its colon.
fn host_and_port(item: &str) -> (&str, &str) {
    if let Some(inner) = item.strip_prefix('[') {
        return inner.split_once(']').unwrap_or((inner, ""));
    }
    match item.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, &item[host.len()..]),
        _ => (item, ""),
    }
}

fn hex<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// What `encrypt` makes of an address in a mode, or made of it a moment ago.
fn remembered(
    context: &mut Context<'_>,
    mode: EncryptIp,
    address: Ipv6Addr,
    encrypt: impl FnOnce(Address) -> Address,
) -> Address {
    let serial = context.keys.map_or(0, EpochKeys::serial);
    let before = address.octets();
    match &mut context.recent {
        Some(recent) => recent.encrypted((serial, mode), before, || encrypt(before)),
        None => encrypt(before),
    }
}

/// Writes an address where another stood.
fn push_address(found: Found, after: Address, out: &mut Out<'_>) {
    let after = Ipv6Addr::from(after);
    match (found, after.to_ipv4_mapped()) {
        (Found::V4(_) | Found::V4WithPort(_), Some(after)) => push_v4(after, out),
        (Found::V6(_), Some(after)) => {
            out.push_plain(b"::ffff:");
            push_v4(after, out);
        }
        // With a port behind it, an IPv6 address wants brackets.
        (Found::V4WithPort(_), None) => {
            out.push_plain(b"[");
            push_v6(after, out);
            out.push_plain(b"]");
        }
        (_, None) => push_v6(after, out),
    }
}

fn push_hex(bytes: &[u8], out: &mut Out<'_>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
        out.push_plain(&[DIGITS[high], DIGITS[low]]);
    }
}
