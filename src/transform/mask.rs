//! `mask`: some characters stay, the others become stars.

use super::{Args, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::{Out, Scalar};
use crate::scan::within;

/// How many characters stay at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mask {
    first: u32,
    last: u32,
    keep_separators: bool,
}

const KEPT: Kind = Kind::Int { min: 0, max: 64, default: Some(0) };

pub(super) static SPEC: Spec = Spec {
    name: "mask",
    about: "Puts a `*` for each character, but for some at the ends.",
    doc: "Strings keep their first `keep_first` and last `keep_last` characters (Unicode scalar \
          values); each other character becomes `*`, so the length shows. A value too short to \
          hide anything is masked whole. With `keep_separators`, spaces and ASCII punctuation stay \
          where they are, and only the other characters count; a value too short is still masked \
          whole. Numbers are masked by their spelling and become strings. `null` stays; `true` and \
          `false` are a mismatch.",
    params: &[
        Param { name: "keep_first", kind: KEPT, doc: "characters that stay at the start" },
        Param { name: "keep_last", kind: KEPT, doc: "characters that stay at the end" },
        Param { name: "keep_separators", kind: Kind::Flag, doc: "spaces and punctuation stay" },
    ],
    examples: &[
        Example { params: "keep_first: 1", before: r#""Jürgen""#, after: r#""J*****""# },
        Example { params: "keep_last: 2", before: "491701234567", after: r#""**********67""# },
        Example {
            params: "keep_separators: true\nkeep_last: 4",
            before: r#""4111-1111 1111-1234""#,
            after: r#""****-**** ****-1234""#,
        },
        Example { params: "keep_first: 3", before: r#""Ann""#, after: r#""***""# },
    ],
    needs_key: false,
    whole: false,
    shows: Shows::Part,
    build: |args| {
        let mut args = Args::new(args);
        let mut end = || u32::try_from(args.int()).unwrap_or(0);
        let (first, last) = (end(), end());
        Ok(Transform::Mask(Mask { first, last, keep_separators: args.flag() }))
    },
};

impl Mask {
    /// Characters at either end; separators.
    pub(super) fn keeps(self) -> [u32; 3] {
        [self.first, self.last, self.keep_separators.into()]
    }

    pub(super) fn apply(self, value: Scalar<'_>, out: &mut Out<'_>) -> Outcome {
        let text = match value {
            Scalar::Text("") | Scalar::Null => return Outcome::Unchanged,
            Scalar::Text(text) | Scalar::Number(text) => text,
            Scalar::Bool(_) => return Outcome::Mismatch,
        };
        let (first, last) = (self.first as usize, self.last as usize);
        if self.keep_separators && between_separators(text, first, last, out) {
            return Outcome::Replaced;
        }
        if let Some(bytes) = out.chunk(text)
            && last == 0
            && self.masks_short(bytes, text.len(), out)
        {
            return Outcome::Replaced;
        }
        // Of ASCII text, characters are bytes.
        let ascii = text.is_ascii();
        let length = if ascii { text.len() } else { length(text) };
        let offset = |index| if ascii { index } else { offset(text, index) };
        let hides = first + last < length && !self.keep_separators;
        let (first, last) = if hides { (first, last) } else { (0, 0) };
        out.open();
        if first > 0 {
            out.push_piece(&text[..offset(first)]);
        }
        push_stars(length - first - last, out);
        if last > 0 {
            out.push_piece(&text[offset(length - last)..]);
        }
        out.close();
        Outcome::Replaced
    }

    /// Masks a text of at most 16 bytes, the first `length` of `bytes`, but for its first characters; all at
    /// once. `false`: it is longer.
    #[inline(always)]
    fn masks_short(self, bytes: &[u8; 16], length: usize, out: &mut Out<'_>) -> bool {
        if length > bytes.len() {
            return false;
        }
        let mut begin = !within(bytes, 0x80, 0xbf) & ((1 << length) - 1);
        let count = begin.count_ones();
        let hidden = match count.checked_sub(self.first) {
            None | Some(0) => count,
            Some(_) if self.keep_separators => count,
            Some(hidden) => hidden,
        };
        for _ in hidden..count {
            begin &= begin.wrapping_sub(1);
        }
        let kept = if hidden == count { 0 } else { begin.trailing_zeros() as usize };
        out.string((bytes, kept), (&[b'*'; 16], hidden as usize));
        true
    }
}

/// Masks what stands between separators; `false` if there is too little to hide anything.
fn between_separators(text: &str, first: usize, last: usize, out: &mut Out<'_>) -> bool {
    let count = text.chars().filter(|c| !is_separator(*c)).count();
    if count <= first + last {
        return false;
    }
    out.open();
    let (mut counted, mut utf8) = (0, [0; 4]);
    for c in text.chars() {
        let stays = is_separator(c) || counted < first || counted >= count - last;
        counted += usize::from(!is_separator(c));
        out.push_piece(if stays { c.encode_utf8(&mut utf8) } else { "*" });
    }
    out.close();
    true
}

fn is_separator(c: char) -> bool {
    c == ' ' || c.is_ascii_punctuation()
}

/// Most values are short enough for one copy of known length.
fn push_stars(count: usize, out: &mut Out<'_>) {
    const STARS: [u8; 32] = [b'*'; 32];
    let mut left = count;
    while left > 0 {
        let some = left.min(STARS.len());
        out.push_start(&STARS, some);
        left -= some;
    }
}

/// How many characters there are: the bytes that do not continue one.
fn length(text: &str) -> usize {
    text.bytes().filter(|byte| byte & 0xC0 != 0x80).count()
}

/// Where character number `index` begins.
fn offset(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_texts_are_masked_as_long_ones_are(
            text in "[a é😀.-]{0,9}", first in 0..6u32, keep_separators: bool,
        ) {
            let mask = Mask { first, last: 0, keep_separators };
            let (mut quick, mut slow) = (Vec::new(), Vec::new());
            let record = format!("{text}\"é and what comes behind it");
            let piece = Scalar::Text(&record[..text.len()]);
            let got = mask.apply(piece, &mut Out::json_of_plain(&mut quick, record.as_bytes()));
            prop_assert_eq!(got, mask.apply(Scalar::Text(&text), &mut Out::json(&mut slow)));
            prop_assert_eq!(quick, slow);
        }
    }
}
