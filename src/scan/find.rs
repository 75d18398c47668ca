//! The first of a few bytes in a text.
//!
//! URLs are 20 to 120 bytes and are searched several times each. memchr is made for longer texts; these
//! searches look 16 bytes at a time from the start. With them, quicker addresses and rounding by
//! cutting, web events went from 963 to 886 ns a record (least of 450 rounds of the bench's `--over`).
//!
//! Tried and thrown away: all that divides a URL found in one pass, five bytes and the controls looked for
//! at once. Every chunk then pays for all of them: 1,093 instructions for a record's two URLs, 1,066 so.
//! All separators of a query found at once, as a mask of 64 bits: web events 1 % slower.

/// Bytes looked at together.
const WIDTH: usize = 16;

/// Where the first byte of `text` is that is one of `wanted`.
#[inline]
pub fn find<const N: usize>(text: &[u8], wanted: [u8; N]) -> Option<usize> {
    first(text, &wanted, false)
}

/// As [`find`], blanks and other control characters (up to 0x20, and 0x7f) being wanted too.
#[inline]
pub fn find_or_control<const N: usize>(text: &[u8], wanted: [u8; N]) -> Option<usize> {
    first(text, &wanted, true)
}

#[inline(always)]
fn first(text: &[u8], wanted: &[u8], control: bool) -> Option<usize> {
    let (chunks, rest) = text.as_chunks::<WIDTH>();
    for (number, chunk) in chunks.iter().enumerate() {
        let found = matches(*chunk, wanted, control);
        if found != 0 {
            return Some(number * WIDTH + found.trailing_zeros() as usize);
        }
    }
    if rest.is_empty() {
        return None;
    }
    let (found, from) = match text.last_chunk() {
        Some(last) => (matches(*last, wanted, control), text.len() - WIDTH),
        None => {
            let mut padded = [b'-'; WIDTH];
            padded[..rest.len()].copy_from_slice(rest);
            let within = (1 << rest.len()) - 1;
            (matches(padded, wanted, control) & within, 0)
        }
    };
    (found != 0).then(|| from + found.trailing_zeros() as usize)
}

/// A bit for each of 16 bytes, the lowest first, that is an ASCII digit; and one for each that is
/// `byte`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation)] // by halves
pub fn digits_and(word: u128, byte: u8) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };
    // SAFETY: x86-64 has SSE2.
    unsafe {
        let halves = ((word >> 64) as u64, word as u64);
        let bytes = _mm_set_epi64x(halves.0.cast_signed(), halves.1.cast_signed());
        let values = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0'.cast_signed()));
        let digits = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
        let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        (_mm_movemask_epi8(digits).cast_unsigned(), _mm_movemask_epi8(equal).cast_unsigned())
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn digits_and(word: u128, byte: u8) -> (u32, u32) {
    bytewise(word, u8::is_ascii_digit, byte)
}

/// The specification of [`digits_and`] and [`hex_and`].
#[cfg(any(test, not(target_arch = "x86_64")))]
fn bytewise(word: u128, digit: impl Fn(&u8) -> bool, byte: u8) -> (u32, u32) {
    let bytes = word.to_le_bytes();
    let mark = |is: &dyn Fn(&u8) -> bool| {
        bytes.iter().rev().fold(0, |marks, byte| marks << 1 | u32::from(is(byte)))
    };
    (mark(&digit), mark(&|other| *other == byte))
}

/// As [`digits_and`], for hex digits of either case.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation)] // by halves
pub fn hex_and(word: u128, byte: u8) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };
    // SAFETY: x86-64 has SSE2.
    unsafe {
        let halves = ((word >> 64) as u64, word as u64);
        let bytes = _mm_set_epi64x(halves.0.cast_signed(), halves.1.cast_signed());
        let lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        let within = |bytes, first: u8, most: u8| {
            let values = _mm_sub_epi8(bytes, _mm_set1_epi8(first.cast_signed()));
            _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(most.cast_signed())), values)
        };
        let hex = _mm_or_si128(within(bytes, b'0', 9), within(lower, b'a', 5));
        let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        (_mm_movemask_epi8(hex).cast_unsigned(), _mm_movemask_epi8(equal).cast_unsigned())
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn hex_and(word: u128, byte: u8) -> (u32, u32) {
    bytewise(word, u8::is_ascii_hexdigit, byte)
}

/// A bit for each byte that is `byte`, the first lowest.
#[inline(always)]
#[must_use]
pub fn equal_to(bytes: &[u8; WIDTH], byte: u8) -> u32 {
    matches(*bytes, &[byte], false)
}

/// A bit for each byte that is one of `first..=last`, the first lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub fn within(bytes: &[u8; WIDTH], first: u8, last: u8) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_set1_epi8,
        _mm_sub_epi8,
    };
    // SAFETY: x86-64 has SSE2; `bytes` has the 16 bytes that are loaded.
    unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let values = _mm_sub_epi8(bytes, _mm_set1_epi8(first.cast_signed()));
        let most = _mm_set1_epi8(last.wrapping_sub(first).cast_signed());
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(values, most), values)).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn within(bytes: &[u8; WIDTH], first: u8, last: u8) -> u32 {
    within_bytewise(*bytes, first, last)
}

/// The specification of [`within`].
#[cfg(any(test, not(target_arch = "x86_64")))]
fn within_bytewise(bytes: [u8; WIDTH], first: u8, last: u8) -> u32 {
    bytes.iter().rev().fold(0, |found, byte| found << 1 | u32::from((first..=last).contains(byte)))
}

/// A text's stretches of N bytes.
#[derive(Clone, Copy)]
pub struct Windows<'a, const N: usize> {
    text: &'a [u8],
    /// How many there are.
    count: usize,
}

impl<'a, const N: usize> Windows<'a, N> {
    /// Those of `text`.
    #[must_use]
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, count: (text.len() + 1).saturating_sub(N) }
    }

    /// The one that begins at `at`, if the text does not end within it. One comparison: `get` and
    /// `first_chunk` make three.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'a [u8; N]> {
        // SAFETY: at + N ≤ text.len(), so N bytes of `text` stand there.
        (at < self.count).then(|| unsafe { &*self.text.as_ptr().add(at).cast::<[u8; N]>() })
    }
}

/// Is each of the 32 bytes the one of `other`, but for those whose bit in `spare` is set, the first lowest?
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub fn begins_with(bytes: &[u8; 2 * WIDTH], other: &[u8; 2 * WIDTH], spare: u32) -> bool {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    // SAFETY: x86-64 has SSE2; both have the 32 bytes that are loaded.
    let half = |from: usize| unsafe {
        let (bytes, other) = (bytes.as_ptr().add(from), other.as_ptr().add(from));
        let equal = _mm_cmpeq_epi8(_mm_loadu_si128(bytes.cast()), _mm_loadu_si128(other.cast()));
        _mm_movemask_epi8(equal).cast_unsigned()
    };
    half(0) | half(WIDTH) << WIDTH | spare == u32::MAX
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn begins_with(bytes: &[u8; 2 * WIDTH], other: &[u8; 2 * WIDTH], spare: u32) -> bool {
    begins_with_bytewise(bytes, other, spare)
}

/// The specification of [`begins_with`].
#[cfg(any(test, not(target_arch = "x86_64")))]
fn begins_with_bytewise(bytes: &[u8; 2 * WIDTH], other: &[u8; 2 * WIDTH], spare: u32) -> bool {
    (0..2 * WIDTH).all(|at| spare >> at & 1 == 1 || bytes[at] == other[at])
}

/// A bit for each byte that is more than `byte` and at most 0x7f, the first lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub fn over(bytes: &[u8; WIDTH], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    debug_assert!(byte.is_ascii());
    // SAFETY: x86-64 has SSE2; `bytes` has the 16 bytes that are loaded.
    unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(byte.cast_signed()))).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn over(bytes: &[u8; WIDTH], byte: u8) -> u32 {
    within_bytewise(*bytes, byte + 1, 0x7f)
}

/// A bit for each byte that is wanted, the first lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn matches(bytes: [u8; WIDTH], wanted: &[u8], control: bool) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_setzero_si128,
    };
    // SAFETY: x86-64 has SSE2; `bytes` has the 16 bytes that are loaded.
    unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let equal = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        let mut found = _mm_setzero_si128();
        for &byte in wanted {
            found = _mm_or_si128(found, equal(byte));
        }
        if control {
            // At most 0x20 is what stays when the smaller of it and 0x20 is taken.
            let low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x20)), bytes);
            found = _mm_or_si128(found, _mm_or_si128(low, equal(0x7f)));
        }
        _mm_movemask_epi8(found).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn matches(bytes: [u8; WIDTH], wanted: &[u8], control: bool) -> u32 {
    matches_bytewise(bytes, wanted, control)
}

/// The specification of [`matches`].
#[cfg(any(test, not(target_arch = "x86_64")))]
fn matches_bytewise(bytes: [u8; WIDTH], wanted: &[u8], control: bool) -> u32 {
    bytes.iter().rev().fold(0, |found, byte| {
        let is = wanted.contains(byte) || control && (*byte <= b' ' || *byte == 0x7f);
        found << 1 | u32::from(is)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_found_is_the_first(
            text in proptest::collection::vec(prop_oneof![20 => Just(b'a'), 1 => any::<u8>()], 0..70),
        ) {
            let naive = |wanted: &[u8], control: bool| {
                let is = |byte: &u8| {
                    wanted.contains(byte) || control && (*byte <= b' ' || *byte == 0x7f)
                };
                text.iter().position(is)
            };
            prop_assert_eq!(find(&text, [b'?', b'#']), naive(b"?#", false));
            prop_assert_eq!(find(&text, [b'-']), naive(b"-", false));
            prop_assert_eq!(find_or_control(&text, [b'@']), naive(b"@", true));
        }

        #[test]
        fn digits_are_told_from_the_rest(text in "[0-9./:@A-Ga-g]{16}", other in any::<u128>()) {
            let word = u128::from_le_bytes(text.as_bytes().try_into().unwrap());
            for word in [word, other] {
                let digits = bytewise(word, u8::is_ascii_digit, b'.');
                prop_assert_eq!(digits_and(word, b'.'), digits);
                prop_assert_eq!(hex_and(word, b':'), bytewise(word, u8::is_ascii_hexdigit, b':'));
            }
        }

        #[test]
        fn stretches_are_compared_byte_by_byte(
            bytes in any::<[u8; 2 * WIDTH]>(), at in 0..2 * WIDTH, spare in any::<u32>(), length in 0..40_usize,
        ) {
            let mut other = bytes;
            other[at] ^= 1;
            for spare in [spare, 0, u32::MAX << (length % 32), 1 << at] {
                for other in [&bytes, &other] {
                    let same = begins_with_bytewise(&bytes, other, spare);
                    prop_assert_eq!(begins_with(&bytes, other, spare), same);
                }
            }
            let text = [bytes, bytes].concat();
            let windows = Windows::<WIDTH>::of(&text[..length]);
            for from in 0..length + 2 {
                let window = text[..length].get(from..).and_then(<[u8]>::first_chunk);
                prop_assert_eq!(windows.get(from), window);
            }
        }

        #[test]
        fn vectors_see_what_the_specification_sees(bytes in any::<[u8; WIDTH]>()) {
            for control in [false, true] {
                let seen = matches(bytes, b"?#@", control);
                prop_assert_eq!(seen, matches_bytewise(bytes, b"?#@", control));
            }
            prop_assert_eq!(equal_to(&bytes, bytes[3]), matches_bytewise(bytes, &bytes[3..4], false));
            prop_assert_eq!(over(&bytes, b'5'), within_bytewise(bytes, b'6', 0x7f));
            for (first, last) in [(b'0', b'9'), (0x80, 0xbf), (bytes[0].min(bytes[1]), bytes[1])] {
                prop_assert_eq!(within(&bytes, first, last), within_bytewise(bytes, first, last));
            }
        }
    }
}
