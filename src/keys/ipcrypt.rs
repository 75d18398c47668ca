//! IPCrypt (draft-denis-ipcrypt): ways to encrypt an IP address, as a row of 16 bytes or bit by bit.
//!
//! The crate `ipcrypt-rs` does the same and is the tests' second opinion. It is not what runs here:
//! it keeps expanded keys without wiping them, and asks for the 128 bits of an IPv6 address one
//! after the other (4.3 µs). Which blocks prefix-preserving encryption takes depends on the address
//! alone, so all of them go through the cipher side by side here.
//!
//! What is random in the draft, the tweak, is drawn from the record's place by a keyed hash: a record
//! that is read again gets the same bytes, and nobody without the key can tell two places apart.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes128Enc, Block, hazmat};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// An address: 16 bytes in network order, an IPv4 one as `::ffff:a.b.c.d`.
pub(crate) type Address = [u8; 16];

fn cipher(key: &[u8; 16]) -> Aes128Enc {
    Aes128Enc::new(key.into())
}

fn encrypted(cipher: &Aes128Enc, bytes: [u8; 16]) -> [u8; 16] {
    let mut block = Block::from(bytes);
    cipher.encrypt_block(&mut block);
    block.into()
}

fn decrypted(cipher: &Aes128Enc, bytes: [u8; 16]) -> [u8; 16] {
    let mut block = Block::from(bytes);
    Aes128::from(cipher).decrypt_block(&mut block);
    block.into()
}

/// Encrypts addresses by flipping bits, each as those before it say: those that share a prefix share
/// one of that length afterwards.
pub(crate) trait PrefixPreserving {
    /// The bits of an address that change.
    fn flips_of(&self, bits: u128) -> u128;

    fn encrypt(&self, address: Address) -> Address {
        let bits = u128::from_be_bytes(address);
        (bits ^ self.flips_of(bits)).to_be_bytes()
    }

    /// Every round sets one bit more right. By hand only; it takes a hundred times as long as the
    /// way there.
    fn decrypt(&self, address: Address) -> Address {
        let after = u128::from_be_bytes(address);
        (0..128).fold(after, |before, _| after ^ self.flips_of(before)).to_be_bytes()
    }
}

fn xor<const N: usize>(one: [u8; N], other: [u8; N]) -> [u8; N] {
    std::array::from_fn(|index| one[index] ^ other[index])
}

/// `ipcrypt-deterministic`: the same address, the same address.
pub(crate) struct Deterministic(Aes128Enc);

impl Deterministic {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(cipher(key))
    }

    pub(crate) fn encrypt(&self, address: Address) -> Address {
        encrypted(&self.0, address)
    }

    pub(crate) fn decrypt(&self, address: Address) -> Address {
        decrypted(&self.0, address)
    }
}

/// `ipcrypt-pfx`: addresses that share a prefix share one of that length afterwards.
pub(crate) struct Prefix(Aes128Enc, Aes128Enc);

impl PrefixPreserving for Prefix {
    fn flips_of(&self, bits: u128) -> u128 {
        let is_v4 = bits >> 32 == 0xffff;
        if is_v4 { self.flips::<96, 32>(bits) } else { self.flips::<0, 128>(bits) }
    }
}

impl Prefix {
    /// From the two halves of a key. The draft wants them to differ, as derived ones do.
    pub(crate) fn new([first, second]: &[[u8; 16]; 2]) -> Self {
        Self(cipher(first), cipher(second))
    }

    /// The bits from number `FROM` on that change; each depends on those before it.
    fn flips<const FROM: usize, const BITS: usize>(&self, bits: u128) -> u128 {
        let prefix = |length: usize| match length {
            0 => 1,
            _ => 1 << length | bits >> (128 - length),
        };
        let mut first: [Block; BITS] =
            std::array::from_fn(|index| Block::from(u128::to_be_bytes(prefix(FROM + index))));
        let mut second = first;
        self.0.encrypt_blocks(&mut first);
        self.1.encrypt_blocks(&mut second);
        let flip = |flips, (one, other): (&Block, &Block)| {
            flips << 1 | u128::from((one[15] ^ other[15]) & 1)
        };
        first.iter().zip(&second).fold(0, flip)
    }
}

/// Length of the tweak of `ipcrypt-nd`, and of its output.
pub(crate) const ND_TWEAK_BYTES: usize = 8;
pub(crate) const ND_BYTES: usize = ND_TWEAK_BYTES + 16;

/// `ipcrypt-nd`: another output for each tweak of 8 bytes. The cipher is KIASU-BC: AES-128 with the
/// tweak added in each round.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Nd {
    round_keys: [[u8; 16]; 11],
    tweak_key: [u8; 32],
}

impl Nd {
    pub(crate) fn new(key: &[u8; 16], tweak_key: &[u8; 32]) -> Self {
        Self { round_keys: round_keys(key), tweak_key: *tweak_key }
    }

    /// Tweak and encrypted address; the tweak is drawn from `place`.
    pub(crate) fn encrypt(&self, address: Address, place: &[&[u8]]) -> [u8; ND_BYTES] {
        self.encrypt_with(address, drawn(&self.tweak_key, place))
    }

    fn encrypt_with(&self, address: Address, tweak: [u8; ND_TWEAK_BYTES]) -> [u8; ND_BYTES] {
        let wide = widened(tweak);
        let mut block = Block::from(xor(address, xor(self.round_keys[0], wide)));
        for key in &self.round_keys[1..10] {
            hazmat::cipher_round(&mut block, &xor(*key, wide).into());
        }
        let last = xor(last_round(block).into(), xor(self.round_keys[10], wide));
        let mut out = [0; ND_BYTES];
        out[..ND_TWEAK_BYTES].copy_from_slice(&tweak);
        out[ND_TWEAK_BYTES..].copy_from_slice(&last);
        out
    }

    pub(crate) fn decrypt(&self, sealed: &[u8; ND_BYTES]) -> Option<Address> {
        let (tweak, last) = sealed.split_first_chunk::<ND_TWEAK_BYTES>()?;
        let wide = widened(*tweak);
        let last = xor(*last.first_chunk()?, xor(self.round_keys[10], wide));
        let mut block = before_last_round(last.into());
        for key in self.round_keys[1..10].iter().rev() {
            block = xor(block.into(), xor(*key, wide)).into();
            hazmat::inv_mix_columns(&mut block);
            block = before_last_round(block);
        }
        Some(xor(block.into(), xor(self.round_keys[0], wide)))
    }
}

/// A tweak as rounds add it: two bytes of each column.
fn widened(tweak: [u8; ND_TWEAK_BYTES]) -> [u8; 16] {
    let mut wide = [0; 16];
    for (four, pair) in wide.chunks_exact_mut(4).zip(tweak.chunks_exact(2)) {
        four[..2].copy_from_slice(pair);
    }
    wide
}

/// What a last round does before its key is added: all of a round but mixing columns.
fn last_round(mut block: Block) -> Block {
    hazmat::cipher_round(&mut block, &Block::default());
    hazmat::inv_mix_columns(&mut block);
    block
}

/// What becomes `block` by [`last_round`].
fn before_last_round(mut block: Block) -> Block {
    hazmat::equiv_inv_cipher_round(&mut block, &Block::default());
    hazmat::mix_columns(&mut block);
    block
}

/// AES-128's key schedule (FIPS 197, section 5.2), which the cipher's crate keeps to itself.
fn round_keys(key: &[u8; 16]) -> [[u8; 16]; 11] {
    let mut keys = [*key; 11];
    let mut constant = 1u8;
    for round in 1..11 {
        let before = keys[round - 1];
        // The last round shifts rows; with four columns alike that changes nothing.
        let rotated = std::array::from_fn(|index| before[12 + (index + 1) % 4]);
        let substituted: [u8; 16] = last_round(Block::from(rotated)).into();
        let mut word = [substituted[0] ^ constant, substituted[1], substituted[2], substituted[3]];
        for (column, out) in keys[round].chunks_exact_mut(4).enumerate() {
            word = std::array::from_fn(|index| word[index] ^ before[4 * column + index]);
            out.copy_from_slice(&word);
        }
        constant = constant << 1 ^ if constant & 0x80 == 0 { 0 } else { 0x1b };
    }
    keys
}

/// Length of the tweak of `ipcrypt-ndx`, and of its output.
pub(crate) const NDX_TWEAK_BYTES: usize = 16;
pub(crate) const NDX_BYTES: usize = NDX_TWEAK_BYTES + 16;

/// `ipcrypt-ndx`: another output for each tweak of 16 bytes. The cipher is AES-XTS, one block of it.
pub(crate) struct Ndx {
    ciphers: [Aes128Enc; 2],
    tweak_key: TweakKey,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct TweakKey([u8; 32]);

impl Ndx {
    pub(crate) fn new([first, second]: &[[u8; 16]; 2], tweak_key: &[u8; 32]) -> Self {
        Self { ciphers: [cipher(first), cipher(second)], tweak_key: TweakKey(*tweak_key) }
    }

    /// Tweak and encrypted address; the tweak is drawn from `place`.
    pub(crate) fn encrypt(&self, address: Address, place: &[&[u8]]) -> [u8; NDX_BYTES] {
        self.encrypt_with(address, drawn(&self.tweak_key.0, place))
    }

    fn encrypt_with(&self, address: Address, tweak: [u8; NDX_TWEAK_BYTES]) -> [u8; NDX_BYTES] {
        let [first, second] = &self.ciphers;
        let mask = encrypted(second, tweak);
        let mut out = [0; NDX_BYTES];
        out[..NDX_TWEAK_BYTES].copy_from_slice(&tweak);
        out[NDX_TWEAK_BYTES..].copy_from_slice(&xor(encrypted(first, xor(address, mask)), mask));
        out
    }

    pub(crate) fn decrypt(&self, sealed: &[u8; NDX_BYTES]) -> Option<Address> {
        let [first, second] = &self.ciphers;
        let (tweak, sealed) = sealed.split_first_chunk::<NDX_TWEAK_BYTES>()?;
        let mask = encrypted(second, *tweak);
        Some(xor(decrypted(first, xor(*sealed.first_chunk()?, mask)), mask))
    }
}

/// A tweak for a place: as good as random to those without the key.
fn drawn<const N: usize>(key: &[u8; 32], place: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in place {
        hasher.update(part);
    }
    let mut tweak = [0; N];
    hasher.finalize_xof().fill(&mut tweak);
    tweak
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    fn address(ip: IpAddr) -> Address {
        match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }

    fn ip(address: Address) -> IpAddr {
        Ipv6Addr::from(address).to_canonical()
    }

    fn halves(key: &[u8; 32]) -> [[u8; 16]; 2] {
        let half = |start: usize| std::array::from_fn(|index| key[start + index]);
        [half(0), half(16)]
    }

    #[test]
    fn the_draft_s_vectors_pass() {
        let vectors = include_str!("../../tests/vectors/ipcrypt/ipcrypt_test_vectors.json");
        let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).unwrap();
        for vector in &vectors {
            let text = |member: &str| vector[member].as_str().unwrap();
            let bytes = |member: &str| HEXLOWER.decode(text(member).as_bytes()).unwrap();
            let address = address(text("ip").parse().unwrap());
            let got = match (text("variant"), bytes("key")) {
                ("ipcrypt-deterministic", key) => {
                    ip(Deterministic::new(&key.try_into().unwrap()).encrypt(address)).to_string()
                }
                ("ipcrypt-pfx", key) => {
                    let key = halves(&key.try_into().unwrap());
                    ip(Prefix::new(&key).encrypt(address)).to_string()
                }
                ("ipcrypt-nd", key) => {
                    let nd = Nd::new(&key.try_into().unwrap(), &[0; 32]);
                    let tweak = bytes("tweak").try_into().unwrap();
                    HEXLOWER.encode(&nd.encrypt_with(address, tweak))
                }
                ("ipcrypt-ndx", key) => {
                    let ndx = Ndx::new(&halves(&key.try_into().unwrap()), &[0; 32]);
                    let tweak = bytes("tweak").try_into().unwrap();
                    HEXLOWER.encode(&ndx.encrypt_with(address, tweak))
                }
                (other, _) => panic!("{other}"),
            };
            let want = vector.get("output").or(vector.get("encrypted_ip")).unwrap();
            assert_eq!(got, want.as_str().unwrap(), "{vector}");
        }
        assert_eq!(vectors.len(), 31);
    }

    proptest! {
        #[test]
        fn the_other_implementation_agrees(
            key: [u8; 32], wide: bool, octets: [u8; 16], tweak: [u8; 16],
        ) {
            let v4: [u8; 4] = std::array::from_fn(|index| octets[index]);
            let from = if wide { IpAddr::from(octets) } else { IpAddr::from(v4) };
            let short: [u8; 16] = std::array::from_fn(|index| key[index]);
            let tweak_short: [u8; 8] = std::array::from_fn(|index| tweak[index]);
            prop_assert_eq!(
                ip(Deterministic::new(&short).encrypt(address(from))),
                ipcrypt_rs::Ipcrypt::new(short).encrypt_ipaddr(from)
            );
            prop_assert_eq!(
                ip(Prefix::new(&halves(&key)).encrypt(address(from))),
                ipcrypt_rs::IpcryptPfx::new(key).encrypt_ipaddr(from)
            );
            prop_assert_eq!(
                Nd::new(&short, &[0; 32]).encrypt_with(address(from), tweak_short),
                ipcrypt_rs::IpcryptNd::new(short).encrypt_ipaddr(from, Some(tweak_short))
            );
            prop_assert_eq!(
                Ndx::new(&halves(&key), &[0; 32]).encrypt_with(address(from), tweak),
                ipcrypt_rs::IpcryptNdx::new(key).encrypt_ipaddr(from, Some(tweak))
            );
        }

        #[test]
        fn what_was_encrypted_comes_back(
            key: [u8; 32], wide: bool, octets: [u8; 16], tweak: [u8; 16],
        ) {
            let v4: [u8; 4] = std::array::from_fn(|index| octets[index]);
            let from = address(if wide { IpAddr::from(octets) } else { IpAddr::from(v4) });
            let short: [u8; 16] = std::array::from_fn(|index| key[index]);
            let one = Deterministic::new(&short);
            prop_assert_eq!(one.decrypt(one.encrypt(from)), from);
            let prefix = Prefix::new(&halves(&key));
            prop_assert_eq!(prefix.decrypt(prefix.encrypt(from)), from);
            let nd = Nd::new(&short, &[0; 32]);
            let sealed = nd.encrypt_with(from, std::array::from_fn(|index| tweak[index]));
            prop_assert_eq!(nd.decrypt(&sealed), Some(from));
            let ndx = Ndx::new(&halves(&key), &[0; 32]);
            prop_assert_eq!(ndx.decrypt(&ndx.encrypt_with(from, tweak)), Some(from));
        }
    }
}
