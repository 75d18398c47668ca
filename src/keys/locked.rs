//! Memory for secrets: neither swapped out nor written into a core dump, where the system allows it.
//!
//! Pages are the system's smallest unit for either, and a secret has 32 bytes: so secrets live side by
//! side in pages of their own, 512 in a stretch, and a place that is given back is zeroized at once and
//! used again. The pages are never given back: keyrings come and go with reloads, all of one size.
//!
//! Where a limit (`ulimit -l`) forbids locking, secrets work all the same; [`all_locked`] tells it.
#![allow(unsafe_code)]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroize as _;

/// A place's size in bytes: a secret's.
const BYTES: usize = 32;
/// Bytes asked of the system at once: whole pages of any usual size.
const STRETCH: usize = 16 << 10;

/// 32 bytes of such memory; zeroized when dropped.
pub(super) struct Locked(NonNull<[u8; BYTES]>);

// SAFETY: it owns its place alone, as a box would; nothing in it is bound to a thread.
unsafe impl Send for Locked {}
// SAFETY: likewise; shared, it can only be read.
unsafe impl Sync for Locked {}

/// Places that are free.
struct Free(Vec<NonNull<[u8; BYTES]>>);

// SAFETY: the places belong to nobody, and the mutex around them gives each to one only.
unsafe impl Send for Free {}

static FREE: Mutex<Free> = Mutex::new(Free(Vec::new()));
static UNLOCKED: AtomicBool = AtomicBool::new(false);

/// Could all memory for secrets be locked so far?
pub(super) fn all_locked() -> bool {
    !UNLOCKED.load(Ordering::Relaxed)
}

impl Locked {
    /// A place that holds these bytes. What was given is zeroized.
    ///
    /// # Panics
    /// If the system has no memory left.
    pub(super) fn new(mut bytes: [u8; BYTES]) -> Self {
        let place = take();
        // SAFETY: the place is 32 bytes of a mapping that is never unmapped, and ours alone.
        unsafe { place.write(bytes) };
        bytes.zeroize();
        Self(place)
    }

    pub(super) const fn expose(&self) -> &[u8; BYTES] {
        // SAFETY: the place is ours, was written in `new`, and is never unmapped.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: the place is ours alone, and nobody borrows it any more.
        unsafe { self.0.as_mut() }.zeroize();
        FREE.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.0);
    }
}

fn take() -> NonNull<[u8; BYTES]> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if free.0.is_empty() {
        let stretch = map();
        for at in 0..STRETCH / BYTES {
            // SAFETY: `at` counts the places of the stretch, so this one lies within it.
            free.0.push(unsafe { stretch.cast::<[u8; BYTES]>().add(at) });
        }
    }
    free.0.pop().expect("a stretch has places")
}

/// A stretch of zeros from the system, locked and left out of dumps as far as it allows.
fn map() -> NonNull<u8> {
    let (rights, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping at a place of the system's choice touches no memory that is in use.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), STRETCH, rights, kind) };
    let start = start.expect("the system has memory for secrets");
    // SAFETY: the whole stretch was just mapped, and locking does not change what it holds.
    if unsafe { mlock(start, STRETCH) }.is_err() {
        UNLOCKED.store(true, Ordering::Relaxed);
    }
    // A system that cannot do it dumps the pages; `limpid run` turns dumps off altogether.
    // SAFETY: as above; the advice does not change what the stretch holds.
    #[cfg(target_os = "linux")]
    let _ = unsafe { madvise(start, STRETCH, Advice::LinuxDontDump) };
    NonNull::new(start.cast()).expect("a mapping is nowhere near null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_says_that_they_are_locked() {
        let place = Locked::new([7; BYTES]);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(!all_locked() || kib >= STRETCH >> 10, "{line}");
        drop(place);
    }

    #[test]
    fn places_are_distinct_and_zeroized_when_given_back() {
        let held: Vec<Locked> = (0..1_500).map(|at| Locked::new([at as u8; BYTES])).collect();
        for (at, place) in held.iter().enumerate() {
            assert_eq!(*place.expose(), [at as u8; BYTES]);
        }
        // Given back while the lock is held, so that no other test can take it: it must be zeros.
        let place = held[700].0;
        drop(held);
        let free = FREE.lock().unwrap();
        if free.0.contains(&place) {
            // SAFETY: the mapping stays, and while the lock is held nobody owns the place.
            assert_eq!(unsafe { place.read() }, [0; BYTES]);
        }
    }
}
