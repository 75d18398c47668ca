//! Stage 1: one SIMD pass over a record that finds where its strings begin and end.
//!
//! ```text
//! for each block of 64 bytes:
//!     quote, backslash, control, high  = one bit a byte (vector compares)
//!     escaped  = bytes behind an odd run of backslashes      (only where there are any)
//!     quotes  += offsets of quote & !escaped
//!     escapes += offsets of backslash & !escaped             (only where there are any)
//!     control inside a string → malformed                    (only where there are any)
//!     a run of blocks with high bits ended → is it UTF-8?     (only where there are any)
//! ```
//! The walk then jumps from quote to quote and never looks into an untouched string. Braces,
//! commas and colons are not indexed: the walk meets them anyway, and quotes alone halve the
//! index. Escape sequences are checked here too, from their offsets, so that no later stage has
//! to ask whether a string's escapes are sound.
//!
//! The algorithm is written once (`stage1.rs`) over a small vector trait with one thin file per
//! instruction set; the scalar one is its specification, always compiled, and the tests hold the
//! others to it. Which one runs is a value, [`Scanner`], chosen at run time. This folder is one
//! of the three that may use `unsafe` (with `hash` and the Kafka client's FFI).
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod copy;
mod escapes;
mod find;
mod prefetch;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod stage1;

pub use copy::{append, append_joined, append_piece, chunk_at};
pub use find::{
    Windows, begins_with, digits_and, equal_to, find, find_or_control, hex_and, over, within,
};
pub use prefetch::{prefetch, prefetch_late};
use stage1::Found;

/// Offsets of a record's strings; reused from record to record.
#[derive(Debug, Default)]
pub struct Index {
    quotes: Vec<u32>,
    escapes: Vec<u32>,
}

impl Index {
    /// Offsets of the quotes that open and close strings, ascending, an even number of them.
    #[must_use]
    pub fn quotes(&self) -> &[u32] {
        &self.quotes
    }

    /// Offsets of the backslashes that begin an escape sequence, ascending, closed by `u32::MAX`.
    #[must_use]
    pub fn escapes(&self) -> &[u32] {
        &self.escapes
    }
}

/// The bytes cannot be JSON: not UTF-8, a control character in a string, an unclosed string, an
/// unsound escape, or a lone surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsound;

/// Which instructions stage 1 uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanner(Isa);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Scanner {
    /// The fastest that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::all().last().unwrap_or(Self(Isa::Scalar))
    }

    /// Every one that this machine can run, slowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let fast = [
            (is_x86_feature_detected!("avx2"), Isa::Avx2),
            (
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vbmi2"),
                Isa::Avx512,
            ),
        ];
        #[cfg(target_arch = "aarch64")]
        let fast = [(std::arch::is_aarch64_feature_detected!("neon"), Isa::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let fast: [(bool, Isa); 0] = [];
        let fast = fast.into_iter().filter_map(|(has, isa)| has.then_some(Self(isa)));
        std::iter::once(Self(Isa::Scalar)).chain(fast)
    }

    /// Its name, for the build-info metric and the benches.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
        }
    }

    /// Indexes `input` and gives it back as text. `input` needs no alignment and no padding, and
    /// must be shorter than `u32::MAX` bytes.
    ///
    /// # Errors
    /// [`Unsound`]. The index then means nothing.
    pub fn index<'a>(self, input: &'a [u8], index: &mut Index) -> Result<&'a str, Unsound> {
        assert!(input.len() < u32::MAX as usize);
        index.quotes.clear();
        index.escapes.clear();
        let found = match self.0 {
            Isa::Scalar => scalar::run(input, index),
            // SAFETY: an `Isa` other than Scalar only comes from `all`, which found the feature.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::run(input, index) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::run(input, index) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => unsafe { neon::run(input, index) },
        };
        text(input, found, index)
    }
}

/// The checks that stage 1 left over, in the order of their cost.
fn text<'a>(input: &'a [u8], found: Found, index: &mut Index) -> Result<&'a str, Unsound> {
    if found.control_in_string || found.open_string || found.not_utf8 {
        return Err(Unsound);
    }
    if !index.escapes.is_empty() {
        escapes::check(input, &index.escapes)?;
    }
    index.escapes.push(u32::MAX);
    debug_assert!(std::str::from_utf8(input).is_ok());
    // SAFETY: every byte over 0x7f stands in a run of blocks that stage 1 found to be UTF-8; the
    // blocks between are ASCII.
    Ok(unsafe { std::str::from_utf8_unchecked(input) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the index means, said slowly.
    fn naive(input: &[u8]) -> (Vec<u32>, Vec<u32>, Found) {
        let (mut quotes, mut escapes) = (Vec::new(), Vec::new());
        let mut found = Found::default();
        let mut at = 0;
        while at < input.len() {
            let inside = quotes.len() % 2 == 1;
            found.control_in_string |= inside && input[at] < 0x20;
            match input[at] {
                b'\\' => {
                    escapes.push(u32::try_from(at).unwrap());
                    at += 1;
                    if let Some(&next) = input.get(at) {
                        found.control_in_string |= inside && next < 0x20;
                    }
                }
                b'"' => quotes.push(u32::try_from(at).unwrap()),
                _ => {}
            }
            at += 1;
        }
        found.open_string = quotes.len() % 2 == 1;
        found.not_utf8 = std::str::from_utf8(input).is_err();
        (quotes, escapes, found)
    }

    fn raw(scanner: Scanner, input: &[u8]) -> (Vec<u32>, Vec<u32>, Found) {
        let mut index = Index::default();
        let found = match scanner.0 {
            Isa::Scalar => scalar::run(input, &mut index),
            // SAFETY: `scanner` comes from `Scanner::all`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::run(input, &mut index) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::run(input, &mut index) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => unsafe { neon::run(input, &mut index) },
        };
        (index.quotes, index.escapes, found)
    }

    fn agree(input: &[u8]) {
        let want = naive(input);
        for scanner in Scanner::all() {
            assert_eq!(raw(scanner, input), want, "{} on {input:?}", scanner.name());
        }
    }

    /// Longest input made. Miri takes a thousand times as long: there it is two blocks and a bit.
    const INPUT_MAX: usize = if cfg!(miri) { 140 } else { 300 };

    proptest! {
        #[test]
        fn every_scanner_is_the_naive_one(
            input in proptest::collection::vec(
                prop_oneof![4 => Just(b'"'), 4 => Just(b'\\'), 1 => Just(b'\n'), 1 => any::<u8>(), 4 => Just(b'a')],
                0..INPUT_MAX,
            ),
            skip in 0usize..64,
        ) {
            agree(&input[skip.min(input.len())..]);
        }
    }

    proptest! {
        #[test]
        fn utf8_is_checked_wherever_it_stands(
            text in "([a-z\"]{1,70}[äß€😀]{0,30}){0,6}", at in 0usize..400, byte in any::<u8>(),
        ) {
            agree(text.as_bytes());
            let mut bytes = text.into_bytes();
            if let Some(spoilt) = bytes.get_mut(at) {
                *spoilt = byte;
                agree(&bytes);
            }
        }
    }

    #[test]
    fn runs_of_backslashes_cross_blocks() {
        let step = if cfg!(miri) { 23 } else { 1 };
        for before in (0..130).step_by(step) {
            for run in (0..70).step_by(step) {
                let mut input = vec![b'a'; before];
                input.extend(std::iter::repeat_n(b'\\', run));
                input.extend_from_slice(b"\"\"b");
                agree(&input);
            }
        }
    }

    #[test]
    fn unsound_text_is_refused() {
        let mut index = Index::default();
        let bad: [&[u8]; 9] = [
            b"\"",
            b"\"a\nb\"",
            b"\"\\x\"",
            b"\"\\u12g4\"",
            b"\"\\ud800\"",
            b"\"\\udc00\"",
            b"\"\\ud800\\u0041\"",
            b"\"\xff\"",
            b"\"\\u12",
        ];
        for scanner in Scanner::all() {
            for input in bad {
                assert_eq!(scanner.index(input, &mut index), Err(Unsound), "{input:?}");
            }
            for good in ["\"\\ud83d\\ude00\"", "\"\\u0041\\n\\/\"", " \n\"ä\"\t"] {
                assert_eq!(scanner.index(good.as_bytes(), &mut index), Ok(good));
            }
        }
    }
}
