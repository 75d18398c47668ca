//! Stage 1 itself, over any vector of 64 bytes.

use super::Index;
use super::prefetch::prefetch_at;
use std::mem::MaybeUninit;

/// How far ahead of a block memory is asked for, at most.
const AHEAD_MAX: usize = 4096;

/// Bytes in a block.
pub(super) const BLOCK: usize = 64;

/// 64 bytes, compared all at once. Bit `i` of a mask speaks of byte `i`.
///
/// # Safety
/// The methods may only run where the implementor's instruction set is present.
pub(super) trait Block: Copy {
    /// Loads 64 bytes from `from`, which must be readable; no alignment is asked for.
    unsafe fn load(from: *const u8) -> Self;
    /// Loads fewer than 64 bytes, and spaces behind them.
    #[inline(always)]
    unsafe fn load_part(part: &[u8]) -> Self {
        let mut padded = [b' '; BLOCK];
        padded[..part.len()].copy_from_slice(part);
        // SAFETY: `padded` has 64 bytes; the caller vouches for the instruction set.
        unsafe { Self::load(padded.as_ptr()) }
    }
    /// Bytes equal to `byte`.
    unsafe fn equal(self, byte: u8) -> u64;
    /// Bytes under 0x20.
    unsafe fn control(self) -> u64;
    /// Bytes with the high bit set.
    unsafe fn high(self) -> u64;
    /// Is there a byte that takes more than a look for quotes: a backslash, one of [`Self::control`]
    /// or one of [`Self::high`]?
    unsafe fn is_unusual(self) -> bool;
    /// Writes `base +` the number of each set bit of `bits` to `slots`, lowest first; what it
    /// writes behind them means nothing.
    unsafe fn offsets(bits: u64, base: u32, slots: &mut [MaybeUninit<u32>; BLOCK]) {
        offsets_by_eight(bits, base, slots);
    }
}

/// What stage 1 saw beside the offsets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes over 0x7f that are not UTF-8.
    pub not_utf8: bool,
    /// A byte under 0x20 inside a string.
    pub control_in_string: bool,
    /// The input ends inside a string.
    pub open_string: bool,
}

/// What one block hands to the next.
#[derive(Default)]
struct Carry {
    /// 1 if the first byte of the next block is escaped.
    escaped: u64,
    control: u64,
    /// Where the current run of blocks with bytes over 0x7f began.
    run: Option<usize>,
    not_utf8: bool,
}

impl Carry {
    /// Must the next block be looked at closely, whatever is in it?
    #[inline(always)]
    fn is_pending(&self) -> bool {
        self.escaped != 0 || self.run.is_some()
    }

    /// Checks the run of blocks that ends where `input` does. Blocks around a run are ASCII, so it
    /// begins and ends between characters; checking it alone spares the rest of the record.
    #[inline(always)]
    fn end_run(&mut self, input: &[u8]) {
        if let Some(start) = self.run.take() {
            self.not_utf8 |= simdutf8::basic::from_utf8(&input[start..]).is_err();
        }
    }
}

/// Runs stage 1.
///
/// # Safety
/// `B`'s instruction set must be present.
#[inline(always)]
pub(super) unsafe fn run<B: Block>(input: &[u8], index: &mut Index) -> Found {
    let mut carry = Carry::default();
    let whole = input.len() / BLOCK * BLOCK;
    let ahead = input.len().min(AHEAD_MAX);
    let mut at = 0;
    while at < whole {
        prefetch_at(input.as_ptr().wrapping_add(at + ahead));
        // SAFETY: at + 64 ≤ whole ≤ len; the caller vouches for the instruction set.
        unsafe { step(B::load(input.as_ptr().add(at)), at, input, &mut carry, index) };
        at += BLOCK;
    }
    if at < input.len() {
        // The last bytes, padded with spaces: the input itself has no padding.
        // SAFETY: the caller vouches for the instruction set.
        unsafe { step(B::load_part(&input[at..]), at, input, &mut carry, index) };
    }
    carry.end_run(input);
    Found {
        not_utf8: carry.not_utf8,
        control_in_string: carry.control != 0,
        open_string: index.quotes.len() % 2 == 1,
    }
}

/// # Safety
/// `B`'s instruction set must be present.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // offsets fit u32: `Scanner::index` asserts it
unsafe fn step<B: Block>(block: B, at: usize, input: &[u8], carry: &mut Carry, index: &mut Index) {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let mut quotes = block.equal(b'"');
        if block.is_unusual() || carry.is_pending() {
            quotes = look_closely(block, quotes, at, input, carry, index);
        }
        push::<B>(&mut index.quotes, quotes, at as u32);
    }
}

/// All that a block may hold beside quotes; gives those that are not escaped.
///
/// # Safety
/// `B`'s instruction set must be present.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // as in `step`
unsafe fn look_closely<B: Block>(
    block: B,
    mut quotes: u64,
    at: usize,
    input: &[u8],
    carry: &mut Carry,
    index: &mut Index,
) -> u64 {
    // SAFETY: the caller vouches for the instruction set.
    let (backslashes, controls, high) =
        unsafe { (block.equal(b'\\'), block.control(), block.high()) };
    if high != 0 {
        carry.run.get_or_insert(at);
    } else if carry.run.is_some() {
        carry.end_run(&input[..at]);
    }
    if backslashes | carry.escaped != 0 {
        let escaped = escaped(backslashes, &mut carry.escaped);
        quotes &= !escaped;
        // SAFETY: the caller vouches for the instruction set.
        unsafe { push::<B>(&mut index.escapes, backslashes & !escaped, at as u32) };
    }
    if controls != 0 {
        // All ones if the block begins inside a string.
        let inside = (index.quotes.len() as u64 & 1).wrapping_neg();
        carry.control |= controls & (prefix_xor(quotes) ^ inside);
    }
    quotes
}

/// Bytes that stand behind an odd run of backslashes. `carry` is 1 if the run that ended the
/// block before escapes this block's first byte. The subtraction lets each run's odd and even
/// places fall apart without a loop (as in simdjson, Langdale and Lemire, 2019, section 3.1.1).
#[inline(always)]
fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let may_escape = backslashes & !*carry;
    let behind = may_escape << 1;
    let runs = ((behind | ODD).wrapping_sub(may_escape)) ^ ODD;
    let escaped = runs ^ (backslashes | *carry);
    *carry = (runs & backslashes) >> 63;
    escaped
}

/// Bit `i` of the result is the parity of bits `0..=i`: on between an opening quote and its
/// closing one.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Appends `base +` the number of each set bit.
///
/// # Safety
/// `B`'s instruction set must be present.
#[inline(always)]
unsafe fn push<B: Block>(offsets: &mut Vec<u32>, bits: u64, base: u32) {
    offsets.reserve(BLOCK);
    let length = offsets.len();
    if let Some(slots) = offsets.spare_capacity_mut().first_chunk_mut() {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { B::offsets(bits, base, slots) };
    }
    // SAFETY: there was room for 64, and `offsets` has written one slot for each set bit.
    unsafe { offsets.set_len(length + bits.count_ones() as usize) };
}

/// Eight at a time, whether there are so many or not: the surplus is overwritten by the next
/// call, and the branches that remain are predictable.
#[inline(always)]
fn offsets_by_eight(mut bits: u64, base: u32, slots: &mut [MaybeUninit<u32>; BLOCK]) {
    let count = bits.count_ones() as usize;
    for chunk in slots.chunks_exact_mut(8).take(count.div_ceil(8)) {
        for slot in chunk {
            slot.write(base.wrapping_add(bits.trailing_zeros()));
            bits &= bits.wrapping_sub(1);
        }
    }
}
