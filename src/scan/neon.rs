//! NEON: 64 bytes are four vectors; masks are gathered by pairwise adds of one bit a byte.

use super::Index;
use super::stage1::{self, Block, Found};
use std::arch::aarch64::{
    uint8x16_t, vaddvq_u8, vandq_u8, vceqq_u8, vcgeq_u8, vcltq_s8, vcltq_u8, vdupq_n_s8,
    vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vmaxvq_u8, vorrq_u8, vpaddq_u8, vreinterpretq_s8_u8,
    vreinterpretq_u64_u8,
};

#[derive(Clone, Copy)]
struct Neon([uint8x16_t; 4]);

impl Neon {
    /// One bit a byte out of four vectors of all-ones or all-zeros bytes.
    ///
    /// # Safety
    /// NEON must be present.
    #[inline(always)]
    unsafe fn mask(lanes: [uint8x16_t; 4]) -> u64 {
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: the caller promises NEON; `BITS` has 16 bytes.
        unsafe {
            let bits = vld1q_u8(BITS.as_ptr());
            let low = vpaddq_u8(vandq_u8(lanes[0], bits), vandq_u8(lanes[1], bits));
            let high = vpaddq_u8(vandq_u8(lanes[2], bits), vandq_u8(lanes[3], bits));
            let sum = vpaddq_u8(low, high);
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)))
        }
    }
}

impl Block for Neon {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller promises 64 readable bytes and NEON.
        unsafe {
            Self([
                vld1q_u8(from),
                vld1q_u8(from.add(16)),
                vld1q_u8(from.add(32)),
                vld1q_u8(from.add(48)),
            ])
        }
    }
    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises NEON.
        unsafe { Self::mask(self.0.map(|lane| vceqq_u8(lane, vdupq_n_u8(byte)))) }
    }
    #[inline(always)]
    unsafe fn control(self) -> u64 {
        // SAFETY: the caller promises NEON.
        unsafe { Self::mask(self.0.map(|lane| vcltq_u8(lane, vdupq_n_u8(0x20)))) }
    }
    #[inline(always)]
    unsafe fn high(self) -> u64 {
        // SAFETY: the caller promises NEON.
        unsafe {
            let high = self.0.map(|lane| vcgeq_u8(lane, vdupq_n_u8(0x80)));
            // Rarely any: one add across each lane is cheaper than a mask.
            if high.iter().all(|&lane| vaddvq_u8(lane) == 0) { 0 } else { Self::mask(high) }
        }
    }
    #[inline(always)]
    unsafe fn is_unusual(self) -> bool {
        // SAFETY: the caller promises NEON. As signed numbers, bytes over 0x7f are under 0x20.
        unsafe {
            let unusual = self.0.map(|lane| {
                let signed = vreinterpretq_s8_u8(lane);
                let low = vcltq_s8(signed, vdupq_n_s8(0x20));
                vorrq_u8(low, vceqq_u8(lane, vdupq_n_u8(b'\\')))
            });
            let [a, b, c, d] = unusual;
            vmaxvq_u8(vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d))) != 0
        }
    }
}

/// # Safety
/// NEON must be present.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run(input: &[u8], index: &mut Index) -> Found {
    // SAFETY: the caller promises NEON.
    unsafe { stage1::run::<Neon>(input, index) }
}
