//! Stage 1 itself, over any vector of 64 bytes.
//!
//! On AVX2 (Zen 3), web events under an empty policy went from 418 to 385 ns a record, audit events from
//! 1,904 to 1,850, by room made once for many blocks, a last block that overlaps the one before, and
//! offsets written one by one, twelve at least: four blocks in ten of web events have more than eight
//! quotes, one in fifteen more than twelve. So the scalar scan and NEON still write them; AVX2 and AVX-512
//! have ways of their own.

use super::Index;
use super::prefetch::prefetch_early;

/// Bytes in a block.
pub(super) const BLOCK: usize = 64;

/// Bytes that are looked at with room made for their offsets once.
const STRETCH: usize = 64 * BLOCK;

/// 64 bytes, compared all at once. Bit `i` of a mask speaks of byte `i`.
///
/// # Safety
/// The methods may only run where the implementor's instruction set is present.
pub(super) trait Block: Copy {
    /// Loads 64 bytes from `from`, which must be readable; no alignment is asked for.
    unsafe fn load(from: *const u8) -> Self;
    /// Loads `input[at..]`, fewer than 64 bytes and at least one: the input has no padding. They are
    /// the block's last, behind as many others as the second number says, or have spaces behind them.
    #[inline(always)]
    unsafe fn load_last(input: &[u8], at: usize) -> (Self, u32) {
        if let Some(last) = input.last_chunk::<BLOCK>() {
            // Overlapping what was looked at: a copy with padding is a call, and is read at once as
            // it was written piece by piece, which the processor waits for.
            // SAFETY: `last` has 64 bytes; the caller vouches for the instruction set.
            return (unsafe { Self::load(last.as_ptr()) }, (BLOCK - (input.len() - at)) as u32);
        }
        let mut padded = [b' '; BLOCK];
        padded[..input.len() - at].copy_from_slice(&input[at..]);
        // SAFETY: `padded` has 64 bytes; the caller vouches for the instruction set.
        (unsafe { Self::load(padded.as_ptr()) }, 0)
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
    /// writes behind them means nothing. There must be room for 64.
    unsafe fn offsets(bits: u64, base: u32, slots: *mut u32) {
        // SAFETY: the caller vouches for the room.
        unsafe { offsets_by_few(bits, base, slots) };
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
struct Pass<'a> {
    input: &'a [u8],
    escapes: &'a mut Vec<u32>,
    /// 1 if the first byte of the next block is escaped.
    escaped: u64,
    control: u64,
    /// Where the current run of blocks with bytes over 0x7f began.
    run: Option<usize>,
    not_utf8: bool,
}

/// Runs stage 1.
///
/// # Safety
/// `B`'s instruction set must be present.
#[inline(always)]
pub(super) unsafe fn run<B: Block>(input: &[u8], index: &mut Index) -> Found {
    let Index { quotes, escapes } = index;
    let mut pass = Pass { input, escapes, escaped: 0, control: 0, run: None, not_utf8: false };
    let mut at = 0;
    while at < input.len() {
        let end = input.len().min(at + STRETCH);
        quotes.reserve(STRETCH);
        let (slots, mut count) = (quotes.as_mut_ptr(), quotes.len());
        while at + BLOCK <= end {
            prefetch_early(input, at);
            // SAFETY: at + 64 ≤ len; the caller vouches for the instruction set. There is room for a
            // slot for each of the stretch's bytes, and no block before has filled more than its own.
            count = unsafe { pass.step(B::load(input.as_ptr().add(at)), 0, at, slots, count) };
            at += BLOCK;
        }
        if at < end {
            // SAFETY: as above.
            unsafe {
                let (last, others) = B::load_last(input, at);
                count = pass.step(last, others, at, slots, count);
            }
            at = end;
        }
        // SAFETY: `count` slots have been written, in the room that was made.
        unsafe { quotes.set_len(count) };
    }
    pass.end_run(input.len());
    Found {
        not_utf8: pass.not_utf8,
        control_in_string: pass.control != 0,
        open_string: quotes.len() % 2 == 1,
    }
}

#[allow(clippy::cast_possible_truncation)] // offsets fit u32: `Scanner::index` asserts it
impl Pass<'_> {
    /// Must the next block be looked at closely, whatever is in it?
    #[inline(always)]
    fn is_pending(&self) -> bool {
        self.escaped != 0 || self.run.is_some()
    }

    /// Checks the run of blocks that ends at `end`. Blocks around a run are ASCII, so it begins and
    /// ends between characters; checking it alone spares the rest of the record.
    #[inline(always)]
    fn end_run(&mut self, end: usize) {
        if let Some(start) = self.run.take() {
            self.not_utf8 |= simdutf8::basic::from_utf8(&self.input[start..end]).is_err();
        }
    }

    /// Notes the quotes of a block behind `count` others, without the first `others` bytes; gives how
    /// many there are then. `at` is where the block begins, less those.
    ///
    /// # Safety
    /// `B`'s instruction set must be present, and room for 64 offsets behind `slots + count`.
    #[inline(always)]
    unsafe fn step<B: Block>(
        &mut self,
        block: B,
        others: u32,
        at: usize,
        slots: *mut u32,
        count: usize,
    ) -> usize {
        // SAFETY: the caller vouches for the instruction set and the room.
        unsafe {
            let mut quotes = block.equal(b'"') >> others;
            if block.is_unusual() || self.is_pending() {
                quotes = self.look_closely(block, others, quotes, at, count);
            }
            B::offsets(quotes, at as u32, slots.add(count));
            count + quotes.count_ones() as usize
        }
    }

    /// All that a block may hold beside quotes; gives those that are not escaped.
    ///
    /// # Safety
    /// `B`'s instruction set must be present.
    #[inline(always)]
    unsafe fn look_closely<B: Block>(
        &mut self,
        block: B,
        others: u32,
        mut quotes: u64,
        at: usize,
        count: usize,
    ) -> u64 {
        // SAFETY: the caller vouches for the instruction set.
        let (backslashes, controls, high) =
            unsafe { (block.equal(b'\\'), block.control(), block.high()) };
        let (backslashes, controls, high) =
            (backslashes >> others, controls >> others, high >> others);
        if high != 0 {
            self.run.get_or_insert(at);
        } else if self.run.is_some() {
            self.end_run(at);
        }
        if backslashes | self.escaped != 0 {
            let escaped = escaped(backslashes, &mut self.escaped);
            quotes &= !escaped;
            self.escapes.reserve(BLOCK);
            let length = self.escapes.len();
            let begin = backslashes & !escaped;
            // SAFETY: the caller vouches for the instruction set; there is room for 64, and one is
            // written for each bit.
            unsafe {
                B::offsets(begin, at as u32, self.escapes.as_mut_ptr().add(length));
                self.escapes.set_len(length + begin.count_ones() as usize);
            }
        }
        if controls != 0 {
            // All ones if the block begins inside a string.
            let inside = (count as u64 & 1).wrapping_neg();
            self.control |= controls & (prefix_xor(quotes) ^ inside);
        }
        quotes
    }
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

/// Offsets that are written whether there are so many or not: the surplus is overwritten by the next
/// block's.
const AT_LEAST: usize = 12;
/// Offsets that are written together of the rest.
const FEW: usize = 4;

/// Writes the offsets without asking at each whether there are more.
///
/// # Safety
/// Room for 64 at `slots`.
#[inline(always)]
unsafe fn offsets_by_few(mut bits: u64, base: u32, slots: *mut u32) {
    let count = bits.count_ones() as usize;
    let mut write = |number: usize| {
        let offset = base.wrapping_add(bits.trailing_zeros());
        // SAFETY: the caller vouches for 64 slots, and `number` is less. Volatile, or the compiler
        // gathers them into a vector first, piece by piece.
        unsafe { slots.add(number).write_volatile(offset) };
        bits &= bits.wrapping_sub(1);
    };
    (0..AT_LEAST).for_each(&mut write);
    let mut written = AT_LEAST;
    while written < count {
        (written..written + FEW).for_each(&mut write);
        written += FEW;
    }
}

const _: () = assert!((BLOCK - AT_LEAST).is_multiple_of(FEW));
