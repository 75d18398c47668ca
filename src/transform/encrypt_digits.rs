//! `encrypt_digits`: a card's number stays a card's number, and is another one.
//!
//! For readers who check lengths, separators and check digits. What is no row of digits is a
//! mismatch: letters between them would stay as they are, and tell whose they were.

use super::{Args, Context, Example, Kind, Outcome, Param, Shows, Spec, Transform};
use crate::format::{Out, Scalar};
use crate::keys::{Cipher, DIGITS, Digits, EpochKeys};

/// Most digits that stay at the start.
const KEEP_MAX: usize = 8;
/// Longest row: kept digits, encrypted ones, a check digit.
const ROW_MAX: usize = KEEP_MAX + *DIGITS.end() + 1;
/// Fewest encrypted digits of a number that must not begin with a zero: 9 × 10^6 of those.
const NUMBER_DIGITS_MIN: usize = 7;

/// Which digits are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncryptDigits {
    keep_first: u8,
    luhn: bool,
}

pub(super) static SPEC: Spec = Spec {
    name: "encrypt_digits",
    about: "Encrypts the digits of a card, an account or a telephone number: as many digits come out.",
    doc: "Strings of digits, and spaces and `-./()+` between them, have their digits encrypted among \
          themselves (FF1, NIST SP 800-38G, AES-256) with a key derived from the policy's `key` for \
          tenant and epoch; the rest stays. The same digits become the same digits. `keep_first` \
          digits stay, such as a card's issuer. With `luhn` the last digit is a check digit: it must \
          be right, and the new one is. Numbers without sign, fraction and exponent stay numbers and \
          don't begin with a zero. At least 6 digits must be encrypted (7 of a number that keeps none), \
          so that there are a million to choose from, and at most 36. `null` stays; anything else is a \
          mismatch.",
    params: &[
        Param {
            name: "keep_first",
            kind: Kind::Int { min: 0, max: KEEP_MAX as i64, default: Some(0) },
            doc: "digits that stay at the start",
        },
        Param { name: "luhn", kind: Kind::Flag, doc: "the last digit checks the others" },
    ],
    examples: &[
        Example { params: "", before: r#""4111 1111-1111""#, after: r#""… …-…""# },
        Example {
            params: "keep_first: 6\nluhn: true",
            before: r#""4111111111111111""#,
            after: r#""411111…""#,
        },
        Example { params: "luhn: true", before: r#""4111111111111112""#, after: r#""[redacted]""# },
        Example { params: "", before: r#""12345""#, after: r#""[redacted]""# },
    ],
    needs_key: true,
    whole: false,
    shows: Shows::AllWithKey,
    build: |args| {
        let mut args = Args::new(args);
        let (keep_first, luhn) = (args.bits(), args.flag());
        Ok(Transform::EncryptDigits(EncryptDigits { keep_first, luhn }))
    },
};

impl EncryptDigits {
    pub(super) fn apply(
        self,
        value: Scalar<'_>,
        context: &Context<'_>,
        out: &mut Out<'_>,
    ) -> Outcome {
        let Some(cipher) = context.keys.and_then(cipher) else { return Outcome::Mismatch };
        self.replace(value, |tweak, row| cipher.encrypt(tweak, row), out)
    }

    /// The reverse of [`Self::apply`].
    pub(super) fn undo(self, value: Scalar<'_>, keys: &EpochKeys, out: &mut Out<'_>) -> Outcome {
        let Some(cipher) = cipher(keys) else { return Outcome::Mismatch };
        self.replace(value, |tweak, row| cipher.decrypt(tweak, row), out)
    }

    /// Writes the value with its digits turned by the cipher, either way.
    fn replace(self, value: Scalar<'_>, turn: impl Turn, out: &mut Out<'_>) -> Outcome {
        let (text, quoted) = match value {
            Scalar::Text(text) => (text, true),
            Scalar::Number(number) => (number, false),
            Scalar::Null => return Outcome::Unchanged,
            Scalar::Bool(_) => return Outcome::Mismatch,
        };
        let mut row = [0; ROW_MAX];
        let turned = digits(text, quoted, &mut row)
            .and_then(|row| self.turned(row, !quoted, turn).map(|()| &*row));
        let Some(row) = turned else { return Outcome::Mismatch };
        if quoted {
            out.open();
            let mut next = row.iter();
            for byte in text.bytes() {
                let digit = byte.is_ascii_digit().then(|| next.next()).flatten();
                out.push_plain(&[digit.map_or(byte, |digit| b'0' + digit)]);
            }
            out.close();
        } else {
            row.iter().for_each(|digit| out.number(&[b'0' + digit]));
        }
        Outcome::Replaced
    }

    /// Turns the digits of a row that are not kept.
    fn turned(self, row: &mut [u8], number: bool, turn: impl Turn) -> Option<()> {
        let last = row.len().checked_sub(usize::from(self.luhn))?;
        if self.luhn && check_digit(&row[..last]) != row[last] {
            return None;
        }
        let (kept, rest) = row.get_mut(..last)?.split_at_mut_checked(self.keep_first.into())?;
        if number && kept.is_empty() {
            (rest.len() >= NUMBER_DIGITS_MIN).then_some(())?;
            walk(turn, rest)?;
        } else {
            let mut tweak = [0; KEEP_MAX];
            tweak.iter_mut().zip(&*kept).for_each(|(byte, digit)| *byte = b'0' + digit);
            turn(&tweak[..kept.len()], rest)?;
        }
        if self.luhn {
            row[last] = check_digit(&row[..last]);
        }
        Some(())
    }
}

/// The cipher, forwards or backwards: turns a row of digits into another, by a tweak.
trait Turn: Fn(&[u8], &mut [u8]) -> Option<()> {}
impl<F: Fn(&[u8], &mut [u8]) -> Option<()>> Turn for F {}

fn cipher(keys: &EpochKeys) -> Option<&Digits> {
    keys.cipher(|cipher| match cipher {
        Cipher::Digits(digits) => Some(digits),
        _ => None,
    })
}

/// Turns until the first digit is not zero. The rows that begin otherwise are permuted among
/// themselves so ("cycle walking"): it ends, for the cycle leads back to where it began.
fn walk(turn: impl Turn, row: &mut [u8]) -> Option<()> {
    loop {
        turn(b"", row)?;
        if row[0] != 0 {
            return Some(());
        }
    }
}

/// The digits of a text, in `row`; `None` if it has too many, or what does not stand between digits.
fn digits<'r>(text: &str, separators: bool, row: &'r mut [u8; ROW_MAX]) -> Option<&'r mut [u8]> {
    let mut count = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                *row.get_mut(count)? = byte - b'0';
                count += 1;
            }
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' if separators => {}
            _ => return None,
        }
    }
    Some(&mut row[..count])
}

/// The digit that makes a row pass Luhn's check (ISO/IEC 7812-1, annex B).
fn check_digit(row: &[u8]) -> u8 {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = row
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| u32::from(if index % 2 == 0 { doubled(*digit) } else { *digit }))
        .sum();
    ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Epoch, KeySource, Purpose, Secret, Secrets};

    /// What the transform makes of a value; it is held to come back.
    fn encrypted(transform: EncryptDigits, value: Scalar<'_>) -> String {
        let source = KeySource::new(Secrets::from(Secret::new([1; 32])), "acme", Epoch::Never)
            .with([Purpose::Digits].into_iter().collect());
        let keys = source.keys(source.period(None).unwrap());
        let context = Context { keys: Some(&keys), ..Context::default() };
        let mut bytes = Vec::new();
        match transform.apply(value, &context, &mut Out::plain(&mut bytes)) {
            Outcome::Replaced => {
                let after = String::from_utf8(bytes).unwrap();
                let (again, before): (Scalar<'_>, _) = match value {
                    Scalar::Number(before) => (Scalar::Number(&after), before),
                    Scalar::Text(before) => (Scalar::Text(&after), before),
                    _ => panic!("no digits"),
                };
                let mut back = Vec::new();
                let undone = transform.undo(again, &keys, &mut Out::plain(&mut back));
                assert_eq!((undone, &*back), (Outcome::Replaced, before.as_bytes()));
                after
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_shape_stays() {
        let plain = EncryptDigits { keep_first: 0, luhn: false };
        let after = encrypted(plain, Scalar::Text("+49 (170) 123-4567"));
        let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape(&after), "+00 (000) 000-0000");
        assert_ne!(after, "+49 (170) 123-4567");
        for number in 1_000_000..1_000_300 {
            let after = encrypted(plain, Scalar::Number(&number.to_string()));
            assert!(after.len() == 7 && !after.starts_with('0'), "{after}");
        }
        for none in ["12345", "123456a", "1234567890123456789012345678901234567", "", "-"] {
            assert_eq!(encrypted(plain, Scalar::Text(none)), "Mismatch", "{none}");
        }
        for none in ["123456", "-1234567", "1234567.0", "1e9"] {
            assert_eq!(encrypted(plain, Scalar::Number(none)), "Mismatch", "{none}");
        }
    }

    #[test]
    fn a_card_stays_a_card() {
        let card = EncryptDigits { keep_first: 6, luhn: true };
        for number in ["4111111111111111", "5500 0000 0000 0004", "3400-0000-0000-009"] {
            let after = encrypted(card, Scalar::Text(number));
            let digits: Vec<u8> =
                after.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
            let (check, row) = digits.split_last().unwrap();
            assert_eq!(check_digit(row), *check, "{after}");
            assert_eq!(after[..4], number[..4]);
            assert_ne!(after, number);
        }
        assert_eq!(encrypted(card, Scalar::Text("4111111111111112")), "Mismatch");
        assert_eq!(encrypted(card, Scalar::Text("411111111118")), "Mismatch");
        assert_eq!(encrypted(card, Scalar::Text("")), "Mismatch");
        let number = encrypted(card, Scalar::Number("4111111111111111"));
        assert_eq!(number, encrypted(card, Scalar::Text("4111111111111111")));
    }
}
