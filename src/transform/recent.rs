//! Addresses that were encrypted a moment ago.
//!
//! Prefix-preserving encryption of an IPv6 address takes 256 blocks of AES, and the addresses of a
//! topic come again and again. One cache serves a lane: a slot an address, the last one in wins. It
//! knows with which keys and how each was made, so that tenants, epochs and rules don't mix.

use super::encrypt_ip::EncryptIp;
use crate::keys::Address;

/// The keys' serial number, and the mode.
type With = (u64, EncryptIp);

/// Slots: with 48 bytes each they fit the second-level cache.
const SLOTS: usize = 4096;

/// A lane's memory of encrypted addresses. It holds pieces of records, so it has no `Debug`.
#[derive(Default)]
pub struct Recent {
    /// Empty until the first address comes: most policies have no rule for them.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    with: With,
    before: Address,
    after: Address,
}

impl Slot {
    /// No keys have the number 0.
    const EMPTY: Self = Self { with: (0, EncryptIp::Prefix), before: [0; 16], after: [0; 16] };
}

impl Recent {
    /// What `make` made of this address so, now or before.
    pub(super) fn encrypted(
        &mut self,
        with: With,
        before: Address,
        make: impl FnOnce() -> Address,
    ) -> Address {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::EMPTY);
        }
        let slot = &mut self.slots[place(with.0, before)];
        if slot.with != with || slot.before != before {
            *slot = Slot { with, before, after: make() };
        }
        slot.after
    }
}

fn place(serial: u64, address: Address) -> usize {
    const MIX: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let mixed = (u128::from_be_bytes(address) ^ u128::from(serial)).wrapping_mul(MIX);
    (mixed >> (128 - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_keys_and_addresses_are_made_anew() {
        let mut recent = Recent::default();
        let mut made = 0;
        for _ in 0..2 {
            for (serial, address) in [(1, [0; 16]), (2, [0; 16]), (1, [1; 16])] {
                let with = (serial, EncryptIp::Prefix);
                let after = recent.encrypted(with, address, || {
                    made += 1;
                    [serial as u8 + address[0]; 16]
                });
                assert_eq!(after, [serial as u8 + address[0]; 16]);
            }
        }
        assert_eq!(made, 3);
        let other = recent.encrypted((1, EncryptIp::CryptoPan), [1; 16], || [7; 16]);
        assert_eq!(other, [7; 16]);
    }
}
