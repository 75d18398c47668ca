//! Asking the processor for memory before it is needed.
//!
//! With thousands of tenants a record's plan, key and counters are seldom in the cache; without this
//! each is waited for in turn. Who asks, and when: `engine/ahead.rs`.

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
