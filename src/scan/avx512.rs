//! AVX-512 (F, BW, VBMI2): 64 bytes are one vector, compares give masks at once, and a mask
//! becomes offsets by compressing the numbers 0 to 63. Without the compress it was no faster than
//! AVX2 (web events of 805 B, empty policy: 311 and 321 ns a record); with it, 262 and 314.

use super::Index;
use super::stage1::{self, BLOCK, Block, Found};
use std::arch::x86_64::{
    __m128i, __m512i, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask,
    _mm512_cmplt_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_mask_loadu_epi8,
    _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_storeu_si512,
};

#[derive(Clone, Copy)]
struct Avx512(__m512i);

impl Block for Avx512 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller promises 64 readable bytes and AVX-512; `loadu` asks no alignment.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }
    /// By a mask. A copy on the stack is read at once as it was written piece by piece, which the processor
    /// waits for: 11 of 211 ns for web events under an empty policy.
    #[inline(always)]
    unsafe fn load_last(input: &[u8], at: usize) -> (Self, u32) {
        let part = &input[at..];
        debug_assert!(part.len() < BLOCK);
        let here = (1 << part.len()) - 1;
        // SAFETY: the caller promises AVX-512; only the bytes of `part` are read.
        unsafe {
            let spaces = _mm512_set1_epi8(b' '.cast_signed());
            (Self(_mm512_mask_loadu_epi8(spaces, here, part.as_ptr().cast())), 0)
        }
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
    #[inline(always)]
    unsafe fn is_unusual(self) -> bool {
        // SAFETY: the caller promises AVX-512. As signed numbers, bytes over 0x7f are under 0x20.
        unsafe {
            let backslash = _mm512_set1_epi8(b'\\'.cast_signed());
            _mm512_cmplt_epi8_mask(self.0, _mm512_set1_epi8(0x20))
                | _mm512_cmpeq_epi8_mask(self.0, backslash)
                != 0
        }
    }
    #[inline(always)]
    unsafe fn offsets(bits: u64, base: u32, to: *mut u32) {
        // SAFETY: the caller promises AVX-512 and room for 64; the stores stay within it, as `part`
        // ends before the fourth.
        unsafe {
            let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
            let packed = _mm512_maskz_compress_epi8(bits, numbers);
            let base = _mm512_set1_epi32(base.cast_signed());
            let count = bits.count_ones() as usize;
            let store = |sixteen: __m128i, part: usize| {
                let offsets = _mm512_add_epi32(_mm512_cvtepu8_epi32(sixteen), base);
                _mm512_storeu_si512(to.add(16 * part).cast(), offsets);
            };
            store(_mm512_castsi512_si128(packed), 0);
            if count > 16 {
                store(_mm512_extracti32x4_epi32::<1>(packed), 1);
            }
            if count > 32 {
                store(_mm512_extracti32x4_epi32::<2>(packed), 2);
                store(_mm512_extracti32x4_epi32::<3>(packed), 3);
            }
        }
    }
}

/// The number of each byte of a block.
static NUMBERS: [u8; BLOCK] = {
    let mut numbers = [0; BLOCK];
    let mut index = 0;
    while index < BLOCK {
        numbers[index] = index as u8;
        index += 1;
    }
    numbers
};

/// # Safety
/// AVX-512 F, BW and VBMI2 must be present.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,popcnt")]
pub(super) unsafe fn run(input: &[u8], index: &mut Index) -> Found {
    // SAFETY: the caller promises AVX-512.
    unsafe { stage1::run::<Avx512>(input, index) }
}
