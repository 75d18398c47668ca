//! AVX2: 64 bytes are two vectors, and a mask becomes offsets eight bits at a time, by a table. Bit by
//! bit, each offset waits for the one before: on Zen 3 web events took 1,215 ns a record, 1,167 by the
//! table, audit events 1,787 and 1,646.

use super::Index;
use super::stage1::{self, Block, Found};
use std::arch::x86_64::{
    __m256i, _mm_loadl_epi64, _mm256_add_epi32, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8,
    _mm256_cvtepu8_epi32, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_storeu_si256,
};

#[derive(Clone, Copy)]
struct Avx2(__m256i, __m256i);

#[inline(always)]
const fn join(low: i32, high: i32) -> u64 {
    low.cast_unsigned() as u64 | (high.cast_unsigned() as u64) << 32
}

impl Block for Avx2 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller promises 64 readable bytes and AVX2; `loadu` asks no alignment.
        unsafe { Self(_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())) }
    }
    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let wanted = _mm256_set1_epi8(byte.cast_signed());
            join(
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(self.0, wanted)),
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(self.1, wanted)),
            )
        }
    }
    #[inline(always)]
    unsafe fn control(self) -> u64 {
        // SAFETY: the caller promises AVX2. An unsigned byte is at most 0x1f where its minimum
        // with 0x1f is itself.
        unsafe {
            let last = _mm256_set1_epi8(0x1f);
            join(
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(self.0, last), self.0)),
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(self.1, last), self.1)),
            )
        }
    }
    #[inline(always)]
    unsafe fn high(self) -> u64 {
        // SAFETY: the caller promises AVX2.
        unsafe { join(_mm256_movemask_epi8(self.0), _mm256_movemask_epi8(self.1)) }
    }
    #[inline(always)]
    unsafe fn is_unusual(self) -> bool {
        // SAFETY: the caller promises AVX2. As signed numbers, bytes over 0x7f are under 0x20.
        unsafe {
            let (backslash, space) =
                (_mm256_set1_epi8(b'\\'.cast_signed()), _mm256_set1_epi8(0x20));
            let unusual = |half: __m256i| {
                _mm256_or_si256(_mm256_cmpgt_epi8(space, half), _mm256_cmpeq_epi8(half, backslash))
            };
            _mm256_movemask_epi8(_mm256_or_si256(unusual(self.0), unusual(self.1))) != 0
        }
    }
    #[inline(always)]
    unsafe fn offsets(bits: u64, base: u32, slots: *mut u32) {
        let mut to = slots;
        // SAFETY: the caller promises AVX2 and room for 64. Eight slots are written behind those of the
        // bytes before, which have eight bits each at most.
        unsafe {
            let mut base = _mm256_set1_epi32(base.cast_signed());
            for byte in bits.to_le_bytes() {
                let numbers = _mm_loadl_epi64(NUMBERS[usize::from(byte)].as_ptr().cast());
                let offsets = _mm256_add_epi32(_mm256_cvtepu8_epi32(numbers), base);
                _mm256_storeu_si256(to.cast(), offsets);
                to = to.add(byte.count_ones() as usize);
                base = _mm256_add_epi32(base, _mm256_set1_epi32(8));
            }
        }
    }
}

/// For each byte, the numbers of its set bits, lowest first.
static NUMBERS: [[u8; 8]; 256] = {
    let mut numbers = [[0; 8]; 256];
    let mut byte = 0;
    while byte < numbers.len() {
        let (mut bit, mut count) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                numbers[byte][count] = bit;
                count += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    numbers
};

/// # Safety
/// AVX2 must be present.
#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(super) unsafe fn run(input: &[u8], index: &mut Index) -> Found {
    // SAFETY: the caller promises AVX2.
    unsafe { stage1::run::<Avx2>(input, index) }
}
