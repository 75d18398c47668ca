//! Keyed BLAKE3 of short values, several at once.
//!
//! One hash of an id is a chain of 7 rounds, each step of which waits for the last: 85 ns in which
//! a core could do ten times as much. So values wait here until 16 have come, from any records of
//! the batch, and are hashed side by side, one lane of a vector each. Their places in the output
//! are kept free meanwhile: a pseudonym's length does not depend on the value.
//!
//! A value of at most 64 bytes is one block of BLAKE3, and that block is the whole tree: one
//! compression with the flags of first, last and root (BLAKE3 paper, section 2). Longer values are
//! for the `blake3` crate, whose answer the tests hold this to.
//!
//! Web events with one id each went from 1,018 to 857 ns a record (CPU time of the bench's `--over`).
//!
//! The algorithm is written once, over arrays of any number of lanes, and compiled for each
//! instruction set. `unsafe` is only the call of what was compiled for one that was found.
#![allow(unsafe_code)]

/// Longest value that can wait, in bytes: one block.
pub const VALUE_BYTES_MAX: usize = 64;
/// Values hashed at once.
pub const LANES: usize = 16;
/// Bytes of a hash that are wanted: 128 bits.
pub const HASH_BYTES: usize = 16;

const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
/// First and last block of the only chunk, root of the tree, keyed.
const FLAGS: u32 = 1 | 2 | 8 | 16;
const ROUNDS: usize = 7;

/// Which word of the message each step of each round takes.
const SCHEDULE: [[usize; 16]; ROUNDS] = {
    const NEXT: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut schedule = [[0; 16]; ROUNDS];
    let mut word = 0;
    while word < 16 {
        schedule[0][word] = word;
        word += 1;
    }
    let mut round = 1;
    while round < ROUNDS {
        word = 0;
        while word < 16 {
            schedule[round][word] = schedule[round - 1][NEXT[word]];
            word += 1;
        }
        round += 1;
    }
    schedule
};

/// Values that wait to be hashed, and where their hashes belong. Holds pieces of records, so it
/// has no `Debug`.
#[derive(Default)]
pub struct Waiting {
    jobs: Vec<Job>,
}

struct Job {
    place: usize,
    key: [u8; 32],
    length: u32,
    block: [u8; VALUE_BYTES_MAX],
}

impl Waiting {
    /// Adds a value, whose hash belongs at `place`.
    ///
    /// # Panics
    /// If the value is longer than [`VALUE_BYTES_MAX`].
    pub fn push(&mut self, key: &[u8; 32], value: &[u8], place: usize) {
        let mut block = [0; VALUE_BYTES_MAX];
        block[..value.len()].copy_from_slice(value);
        self.jobs.push(Job { place, key: *key, length: value.len() as u32, block });
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// True if none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Forgets all but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.jobs.truncate(count);
    }

    /// Hashes what waits, and gives each hash with its place.
    pub fn hash(&mut self, mut write: impl FnMut(usize, [u8; HASH_BYTES])) {
        for jobs in self.jobs.chunks(LANES) {
            let hashes = hash_lanes(&Lanes::of(jobs));
            for (lane, job) in jobs.iter().enumerate() {
                write(job.place, hash_of_lane(&hashes, lane));
            }
        }
        self.jobs.clear();
    }
}

/// The words of up to [`LANES`] values, those of one index side by side.
struct Lanes {
    key: [[u32; LANES]; 8],
    message: [[u32; LANES]; 16],
    length: [u32; LANES],
}

impl Lanes {
    fn of(jobs: &[Job]) -> Self {
        let mut lanes =
            Self { key: [[0; LANES]; 8], message: [[0; LANES]; 16], length: [0; LANES] };
        for (lane, job) in jobs.iter().enumerate() {
            scatter(&mut lanes.key, lane, &job.key);
            scatter(&mut lanes.message, lane, &job.block);
            lanes.length[lane] = job.length;
        }
        lanes
    }
}

fn scatter(words: &mut [[u32; LANES]], lane: usize, bytes: &[u8]) {
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        word[lane] = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
}

type Hashes = [[u32; LANES]; HASH_BYTES / 4];

fn hash_of_lane(hashes: &Hashes, lane: usize) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(hashes) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
    hash
}

fn hash_lanes(lanes: &Lanes) -> Hashes {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: AVX-512 F and VL were just found.
            return unsafe { hash_avx512(lanes) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 was just found.
            return unsafe { hash_avx2(lanes) };
        }
    }
    hash_any(lanes)
}

/// # Safety
/// AVX-512 F and VL must be present.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2")]
unsafe fn hash_avx512(lanes: &Lanes) -> Hashes {
    hash_any(lanes)
}

/// # Safety
/// AVX2 must be present.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn hash_avx2(lanes: &Lanes) -> Hashes {
    hash_any(lanes)
}

/// BLAKE3's compression, the same step on every lane.
#[inline(always)]
fn hash_any(lanes: &Lanes) -> Hashes {
    let Lanes { key, message, length } = lanes;
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    let [i0, i1, i2, i3] = IV.map(|word| [word; LANES]);
    let zero = [0; LANES];
    let mut v =
        [k0, k1, k2, k3, k4, k5, k6, k7, i0, i1, i2, i3, zero, zero, *length, [FLAGS; LANES]];
    for order in &SCHEDULE {
        let word = |index: usize| &message[order[index]];
        mix(&mut v, [0, 4, 8, 12], word(0), word(1));
        mix(&mut v, [1, 5, 9, 13], word(2), word(3));
        mix(&mut v, [2, 6, 10, 14], word(4), word(5));
        mix(&mut v, [3, 7, 11, 15], word(6), word(7));
        mix(&mut v, [0, 5, 10, 15], word(8), word(9));
        mix(&mut v, [1, 6, 11, 12], word(10), word(11));
        mix(&mut v, [2, 7, 8, 13], word(12), word(13));
        mix(&mut v, [3, 4, 9, 14], word(14), word(15));
    }
    std::array::from_fn(|word| std::array::from_fn(|lane| v[word][lane] ^ v[word + 8][lane]))
}

#[inline(always)]
fn mix(
    v: &mut [[u32; LANES]; 16],
    [a, b, c, d]: [usize; 4],
    first: &[u32; LANES],
    second: &[u32; LANES],
) {
    for lane in 0..LANES {
        v[a][lane] = v[a][lane].wrapping_add(v[b][lane]).wrapping_add(first[lane]);
        v[d][lane] = (v[d][lane] ^ v[a][lane]).rotate_right(16);
        v[c][lane] = v[c][lane].wrapping_add(v[d][lane]);
        v[b][lane] = (v[b][lane] ^ v[c][lane]).rotate_right(12);
        v[a][lane] = v[a][lane].wrapping_add(v[b][lane]).wrapping_add(second[lane]);
        v[d][lane] = (v[d][lane] ^ v[a][lane]).rotate_right(8);
        v[c][lane] = v[c][lane].wrapping_add(v[d][lane]);
        v[b][lane] = (v[b][lane] ^ v[c][lane]).rotate_right(7);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_lane_is_the_crate_s_hash(
            values in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..=VALUE_BYTES_MAX), 0..40,
            ),
            key in any::<[u8; 32]>(),
        ) {
            let mut waiting = Waiting::default();
            let mut keys = Vec::new();
            for (place, value) in values.iter().enumerate() {
                let mut own = key;
                own[0] ^= place as u8;
                keys.push(own);
                waiting.push(&own, value, place);
            }
            let mut hashed = 0;
            waiting.hash(|place, hash| {
                let want = blake3::keyed_hash(&keys[place], &values[place]);
                assert_eq!(hash, want.as_bytes()[..HASH_BYTES]);
                hashed += 1;
            });
            prop_assert_eq!(hashed, values.len());
            prop_assert!(waiting.is_empty());
        }
    }

    #[test]
    fn every_instruction_set_agrees() {
        let mut waiting = Waiting::default();
        for lane in 0..LANES as u8 {
            waiting.push(&[lane; 32], &vec![lane; usize::from(lane)], 0);
        }
        let lanes = Lanes::of(&waiting.jobs);
        let want = hash_any(&lanes);
        assert_eq!(hash_lanes(&lanes), want);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 was just found.
            assert_eq!(unsafe { hash_avx2(&lanes) }, want);
        }
    }
}
