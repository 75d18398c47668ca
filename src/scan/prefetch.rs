//! Asking the processor for memory before it is needed.
//!
//! With thousands of tenants a record's plan, tables and keys are seldom in the cache: the engine asks for
//! them some records ahead (`src/engine/ahead.rs`).
//!
//! Behind a record, as far as the record is long, the next one usually is, in a fetch as in a file. Stage 1
//! asks for its first lines, and who then goes along the record for the others: stage 1 is done with a
//! block before the processor has room for one more line. Web events 929 → 915 ns a record, all asked
//! for by stage 1, audit events 1,396 → 1,377. Those of audit events divided so (Zen 4): 943 → 850, and
//! web events 608 → 614; none asked for: web events 3 % slower, audit events 3 % slower.

/// Bytes that the cache fetches at a time.
const LINE: usize = 64;
/// Most lines asked for in one call: more would push out what was asked for first.
const LINES_MAX: usize = 16;

/// Asks for the memory of `items`. A hint: nothing depends on it.
#[inline]
pub fn prefetch<T>(items: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..std::mem::size_of_val(items).div_ceil(LINE).min(LINES_MAX) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: `line * LINE` lies within `items`; a prefetch reads nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(items.as_ptr().cast::<i8>().add(line * LINE)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = items;
}

/// How far ahead memory is asked for, at most.
const AHEAD_MAX: usize = 4096;
/// So many bytes of the next record are asked for early.
const EARLY: usize = 512;

/// Asks, while stage 1 is at `at`, for what is to come, if that is early enough.
#[inline(always)]
pub(super) fn prefetch_early(record: &[u8], at: usize) {
    if at < EARLY {
        prefetch_ahead(record, at);
    }
}

/// Asks, while the record is followed at `at`, for what stage 1 has not asked for.
#[inline(always)]
pub fn prefetch_late(record: &[u8], at: usize) {
    if at >= EARLY {
        prefetch_ahead(record, at);
    }
}

/// Asks for the memory as far behind `at` as the record is long, whatever is there: nothing is read.
#[inline(always)]
fn prefetch_ahead(record: &[u8], at: usize) {
    let address = record.as_ptr().wrapping_add(at + record.len().min(AHEAD_MAX));
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address reads nothing and cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
