//! Crypto-PAn (Xu, Fan, Ammar, Moon: “Prefix-Preserving IP Address Anonymization”, ICNP 2002): for
//! those who must agree with traces that other tools have made.
//!
//! Bit *i* of an address changes with the first bit of AES over its first *i* bits, filled up with the
//! bits of a secret pad. The pad's blocks depend on the address alone, so they go through the cipher
//! side by side, as in `super::ipcrypt`. For new data that one is to be preferred: the sum of two ciphers
//! is closer to a random function than one of them.

use super::ipcrypt::PrefixPreserving;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use zeroize::Zeroizing;

/// Encrypts addresses; those that share a prefix share one of that length afterwards.
pub(crate) struct CryptoPan {
    cipher: Aes128Enc,
    pad: Zeroizing<u128>,
}

impl PrefixPreserving for CryptoPan {
    /// The paper's addresses have 32 bits; those of IPv6 are taken alike.
    fn flips_of(&self, bits: u128) -> u128 {
        match bits >> 32 == 0xffff {
            true => self.flips::<32>(bits << 96),
            false => self.flips::<128>(bits),
        }
    }
}

impl CryptoPan {
    /// From the two halves of a key: the cipher's, and what becomes the pad.
    pub(crate) fn new([key, pad]: &[[u8; 16]; 2]) -> Self {
        let cipher = Aes128Enc::new(key.into());
        let mut block = Block::from(*pad);
        cipher.encrypt_block(&mut block);
        Self { cipher, pad: Zeroizing::new(u128::from_be_bytes(block.into())) }
    }

    /// Those of an address that is the first `BITS` of `bits`.
    fn flips<const BITS: usize>(&self, bits: u128) -> u128 {
        let filled = |length: usize| {
            let filling = u128::MAX >> length;
            bits & !filling | *self.pad & filling
        };
        let mut blocks: [Block; BITS] =
            std::array::from_fn(|length| Block::from(filled(length).to_be_bytes()));
        self.cipher.encrypt_blocks(&mut blocks);
        blocks.iter().fold(0, |flips, block| flips << 1 | u128::from(block[0] >> 7))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ipcrypt::Address;
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};

    fn keyed(key: &[u8; 32]) -> CryptoPan {
        let half = |start: usize| std::array::from_fn(|index| key[start + index]);
        CryptoPan::new(&[half(0), half(16)])
    }

    fn address(ip: &str) -> Address {
        match ip.parse().unwrap() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }

    fn encrypted(cipher: &CryptoPan, ip: &str) -> String {
        Ipv6Addr::from(cipher.encrypt(address(ip))).to_canonical().to_string()
    }

    /// The key and the trace that came with the paper's own program.
    #[test]
    fn the_paper_s_trace_passes() {
        let cipher = keyed(&[
            21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143,
            131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
        ]);
        let addresses =
            |trace: &'static str| trace.lines().map(|line| line.split_whitespace().nth(2).unwrap());
        let raw = addresses(include_str!("../../tests/vectors/cryptopan/sample_trace_raw.dat"));
        let sanitized =
            addresses(include_str!("../../tests/vectors/cryptopan/sample_trace_sanitized.dat"));
        let mut lines = 0;
        for (before, after) in raw.zip(sanitized) {
            assert_eq!(encrypted(&cipher, before), after, "{before}");
            let back = cipher.decrypt(address(after));
            assert_eq!(back, address(before), "{before}");
            lines += 1;
        }
        assert_eq!(lines, 100);
    }

    /// What the manual of `yacryptopan` tells, for IPv6 too.
    #[test]
    fn another_program_agrees_on_ipv6() {
        let cipher = keyed(b"32-char-str-for-AES-key-and-pad.");
        assert_eq!(encrypted(&cipher, "192.0.2.1"), "192.0.125.244");
        assert_eq!(encrypted(&cipher, "2001:db8::1"), "27fe:8bc7:fee:1e:1e1f:f0fe:f0e1:83fd");
    }
}
