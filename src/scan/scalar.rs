//! The scalar twin: the specification of [`Block`], and what runs where there is no SIMD.

use super::Index;
use super::stage1::{self, BLOCK, Block, Found};

#[derive(Clone, Copy)]
struct Scalar([u8; BLOCK]);

impl Scalar {
    #[inline(always)]
    fn mask(self, test: impl Fn(u8) -> bool) -> u64 {
        self.0.iter().rev().fold(0, |mask, &byte| mask << 1 | u64::from(test(byte)))
    }
}

impl Block for Scalar {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller promises 64 readable bytes.
        Self(unsafe { from.cast::<[u8; BLOCK]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn equal(self, wanted: u8) -> u64 {
        self.mask(|byte| byte == wanted)
    }
    #[inline(always)]
    unsafe fn control(self) -> u64 {
        self.mask(|byte| byte < 0x20)
    }
    #[inline(always)]
    unsafe fn high(self) -> u64 {
        self.mask(|byte| byte >= 0x80)
    }
    #[inline(always)]
    unsafe fn is_unusual(self) -> bool {
        self.0
            .iter()
            .fold(false, |seen, &byte| seen | !(0x20..0x80).contains(&byte) | (byte == b'\\'))
    }
}

pub(super) fn run(input: &[u8], index: &mut Index) -> Found {
    // SAFETY: `Scalar` needs no instruction set.
    unsafe { stage1::run::<Scalar>(input, index) }
}
