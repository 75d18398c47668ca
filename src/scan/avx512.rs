//! AVX-512 (F, BW): 64 bytes are one vector, and compares give masks at once.

use super::Index;
use super::stage1::{self, Block, Found};
use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512,
    _mm512_movepi8_mask, _mm512_set1_epi8,
};

#[derive(Clone, Copy)]
struct Avx512(__m512i);

impl Block for Avx512 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller promises 64 readable bytes and AVX-512; `loadu` asks no alignment.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }
    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises AVX-512.
        unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte.cast_signed())) }
    }
    #[inline(always)]
    unsafe fn control(self) -> u64 {
        // SAFETY: the caller promises AVX-512.
        unsafe { _mm512_cmplt_epu8_mask(self.0, _mm512_set1_epi8(0x20)) }
    }
    #[inline(always)]
    unsafe fn high(self) -> u64 {
        // SAFETY: the caller promises AVX-512.
        unsafe { _mm512_movepi8_mask(self.0) }
    }
}

/// # Safety
/// AVX-512 F and BW must be present.
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,popcnt")]
pub(super) unsafe fn run(input: &[u8], index: &mut Index) -> Found {
    // SAFETY: the caller promises AVX-512.
    unsafe { stage1::run::<Avx512>(input, index) }
}
