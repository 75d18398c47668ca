//! Appending stretches of the input to the output.
//!
//! Between two edits lie 20 to 300 bytes, and what is kept of a value is shorter. `memcpy` first finds
//! out which of its size classes that is, and the branch predictor gets it wrong every other time.
//! Here 64 bytes are copied whatever the length, the surplus into spare capacity that the next append
//! overwrites; what is longer, up to 256 bytes, as two halves of known length that overlap.
//!
//! Tried and thrown away: what is longer in chunks of 32 bytes. The compiler takes the loop for what it is
//! and calls `memcpy`: 66 instructions a piece, 50 so, and one wrong guess of a branch fewer.

/// Bytes copied at once, in any case.
const SHORT: usize = 64;

/// Appends `input[start..end]` to `out`.
///
/// # Panics
/// If `start..end` is no range of `input`.
#[inline(always)]
pub fn append(out: &mut Vec<u8>, input: &[u8], start: usize, end: usize) {
    let written = out.len();
    if end.wrapping_sub(start) > SHORT || out.capacity() - written < SHORT {
        return append_long(out, input, start, end);
    }
    let Some(from) = input.get(start..start + SHORT) else {
        // So near to the end of the input that a whole chunk would read past it.
        return append_long(out, input, start, end);
    };
    // SAFETY: `from` is SHORT bytes of the input, and as many of spare capacity stand behind
    // `written` in `out`; the two cannot overlap, as `out` is borrowed mutably. `end - start` ≤ SHORT
    // of them are then initialized.
    unsafe {
        let to = out.as_mut_ptr().add(written);
        std::ptr::copy_nonoverlapping(from.as_ptr(), to, SHORT);
        out.set_len(written + (end - start));
    }
}

/// Appends `piece`, which usually lies in `around`: then as [`append`] does.
#[inline(always)]
pub fn append_piece(out: &mut Vec<u8>, around: &[u8], piece: &[u8]) {
    let start = (piece.as_ptr() as usize).wrapping_sub(around.as_ptr() as usize);
    if start <= around.len() && piece.len() <= around.len() - start {
        append(out, around, start, start + piece.len());
    } else {
        out.extend_from_slice(piece);
    }
}

/// The 16 bytes of `around` from where `piece` begins in it. `None`: the piece lies elsewhere, or so near to
/// the end that there are fewer.
#[inline(always)]
pub fn chunk_at<'a>(around: &'a [u8], piece: &[u8]) -> Option<&'a [u8; 16]> {
    let start = (piece.as_ptr() as usize).wrapping_sub(around.as_ptr() as usize);
    around.get(start..)?.first_chunk()
}

/// Appends as many bytes of `start` as it says and as many of `end`, in quotes or not. All of both are
/// copied, the surplus to where something else is then written, so that no length is asked for.
///
/// # Panics
/// If either has not so many bytes.
#[inline(always)]
pub fn append_joined<const A: usize, const B: usize>(
    out: &mut Vec<u8>,
    quoted: bool,
    (start, kept): (&[u8; A], usize),
    (end, count): (&[u8; B], usize),
) {
    assert!(kept <= A && count <= B);
    out.reserve(A + B + 2);
    let (written, quote) = (out.len(), usize::from(quoted));
    // SAFETY: what is written lies in the A + B + 2 bytes of spare capacity behind `written`, as kept ≤ A
    // and count ≤ B; both sources have the bytes that are read, and neither can overlap `out`, which is
    // borrowed mutably. All up to the last quote, or up to where it would be, is then initialized.
    unsafe {
        let to = out.as_mut_ptr().add(written);
        to.write(b'"');
        std::ptr::copy_nonoverlapping(start.as_ptr(), to.add(quote), A);
        std::ptr::copy_nonoverlapping(end.as_ptr(), to.add(quote + kept), B);
        to.add(quote + kept + count).write(b'"');
        out.set_len(written + 2 * quote + kept + count);
    }
}

#[inline(never)]
fn append_long(out: &mut Vec<u8>, input: &[u8], start: usize, end: usize) {
    let piece = &input[start..end];
    match piece.len() {
        65..=128 => append_halves::<64>(out, piece),
        129..=256 => append_halves::<128>(out, piece),
        32..=64 => append_halves::<32>(out, piece),
        16..32 => append_halves::<16>(out, piece),
        _ => out.extend_from_slice(piece),
    }
}

/// Appends a piece of N to 2 N bytes: its first N and its last N, which overlap.
#[inline(always)]
fn append_halves<const N: usize>(out: &mut Vec<u8>, piece: &[u8]) {
    let (Some(first), Some(last)) = (piece.first_chunk::<N>(), piece.last_chunk::<N>()) else {
        return;
    };
    assert!(piece.len() <= 2 * N);
    // A little more, so that what comes next is copied at once.
    out.reserve(2 * N + SHORT);
    let (written, length) = (out.len(), piece.len());
    // SAFETY: `first` and `last` are N bytes each, and N ≤ length ≤ 2 N bytes of spare capacity stand
    // behind `written` in `out`, which is borrowed mutably and cannot overlap them. The first N and the
    // last N of those are written, so all of them are initialized.
    unsafe {
        let to = out.as_mut_ptr().add(written);
        std::ptr::copy_nonoverlapping(first.as_ptr(), to, N);
        std::ptr::copy_nonoverlapping(last.as_ptr(), to.add(length - N), N);
        out.set_len(written + length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_is_copied_exactly() {
        let input: Vec<u8> = (0..=255).collect();
        // Miri takes a thousand times as long.
        let step = if cfg!(miri) { 15 } else { 1 };
        for start in (0..=input.len()).step_by(step) {
            for end in (start..=input.len()).step_by(step) {
                let mut out = b"before".to_vec();
                append(&mut out, &input, start, end);
                append(&mut out, &input, 7, 9);
                assert_eq!(out[..6], *b"before");
                assert_eq!(out[6..out.len() - 2], input[start..end]);
                assert_eq!(out[out.len() - 2..], [7, 8]);
            }
        }
    }

    #[test]
    fn a_piece_is_copied_wherever_it_lies() {
        let around: Vec<u8> = (0..100).collect();
        for piece in [&around[3..20], &around[..0], &around[90..], &[1, 2, 3], b""] {
            let mut out = Vec::with_capacity(200);
            append_piece(&mut out, &around, piece);
            assert_eq!(out, piece);
        }
    }

    #[test]
    fn pieces_are_joined_exactly() {
        let (start, end): ([u8; 16], [u8; 32]) = (*b"abcdefghijklmnop", [b'*'; 32]);
        for (kept, count) in (0..=16).flat_map(|kept| (0..=32).map(move |count| (kept, count))) {
            let want = [&start[..kept], &end[..count]].concat();
            let mut out = b"before".to_vec();
            append_joined(&mut out, false, (&start, kept), (&end, count));
            append_joined(&mut out, true, (&start, kept), (&end, count));
            assert_eq!(out, [b"before", &want[..], b"\"", &want, b"\""].concat());
        }
    }

    #[test]
    fn a_chunk_is_found_where_the_piece_lies() {
        let around: Vec<u8> = (0..40).collect();
        assert_eq!(chunk_at(&around, &around[3..5]).unwrap()[..], around[3..19]);
        assert_eq!(chunk_at(&around, &around[24..]).unwrap()[..], around[24..]);
        assert!(chunk_at(&around, &around[25..]).is_none());
        assert!(chunk_at(&around, &[3, 4]).is_none());
        assert!(chunk_at(&[], b"").is_none());
    }

    #[test]
    #[should_panic]
    fn no_more_is_joined_than_there_is() {
        append_joined(&mut Vec::new(), true, (b"abc", 4), (b"", 0));
    }

    #[test]
    #[should_panic]
    fn a_range_backwards_panics() {
        append(&mut Vec::new(), b"abc", 2, 1);
    }
}
