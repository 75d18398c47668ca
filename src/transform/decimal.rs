//! Decimal numbers as text: canonical spelling and rounding, without loss and without allocation.

use crate::scan::{equal_to, within};

/// Most digits before the point that [`round`] writes out.
const WRITTEN_MAX: usize = 400;
/// Most decimals of [`round`].
pub(super) const DECIMALS_MAX: usize = 15;
/// Most digits before or after the point in a canonical plain spelling.
const PLAIN_MAX: i64 = 40;
/// Exponents beyond this are all the same: astronomically large or small.
const EXPONENT_MAX: i64 = 1 << 40;

/// A JSON number: `0.d₀d₁d₂… × 10^point`, its first and last digit not zero; no digits is zero.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Index of the first digit that counts, over `whole` then `fraction`.
    first: usize,
    count: usize,
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Reads what the JSON grammar allows.
    fn read(number: &'a str) -> Self {
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (whole, fraction) = (whole.as_bytes(), fraction.as_bytes());
        let digits =
            || whole.iter().chain(fraction).enumerate().filter(|(_, digit)| **digit != b'0');
        let first = digits().next().map_or(0, |(index, _)| index);
        let count = digits().last().map_or(0, |(index, _)| index + 1 - first);
        let length = i64::try_from(whole.len()).unwrap_or(EXPONENT_MAX);
        let skipped = i64::try_from(first).unwrap_or(EXPONENT_MAX);
        Self {
            negative,
            whole,
            fraction,
            first,
            count,
            point: length + read_exponent(exponent) - skipped,
        }
    }

    /// Digit number `index` of those that count; zero past them.
    fn digit(&self, index: usize) -> u8 {
        if index >= self.count {
            return b'0';
        }
        let at = self.first + index;
        self.whole
            .get(at)
            .or_else(|| self.fraction.get(at - self.whole.len()))
            .copied()
            .unwrap_or(b'0')
    }
}

/// An exponent's value, held within ±[`EXPONENT_MAX`].
fn read_exponent(text: &str) -> i64 {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let size = digits
        .iter()
        .fold(0i64, |size, digit| (size * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    if negative { -size } else { size }
}

/// Is it an integer without fraction and exponent, and not minus zero? Then its spelling is
/// canonical.
pub(super) fn is_plain_integer(number: &str) -> bool {
    number != "-0" && !number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Is the text a number by the grammar of JSON?
pub(super) fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// Most digits before the point of what [`floor`] takes.
const FLOOR_DIGITS_MAX: i64 = 30;

/// The largest integer that is not above the number; `None` if it has more than 30 digits.
pub(super) fn floor(number: &str) -> Option<i128> {
    floor_of(number, 0)
}

/// The [`floor`] of the number times 10^`decimals`.
pub(super) fn floor_of(number: &str, decimals: i64) -> Option<i128> {
    let value = Decimal::read(number);
    let point = value.point + decimals;
    if value.count > 0 && point > FLOOR_DIGITS_MAX {
        return None;
    }
    let whole = usize::try_from(point).unwrap_or(0).min(30);
    let digit = |index| i128::from(value.digit(index) - b'0');
    let size = (0..whole).fold(0, |size, index| size * 10 + digit(index));
    Some(match value.negative {
        true => -size - i128::from(value.count > whole),
        false => size,
    })
}

/// Writes the canonical spelling of a number, byte by byte: the same for the same value. An integer is
/// its digits, however many, as the text of them is; else plain digits while at most 40 stand on either side
/// of the point, else `d.ddde±x`.
pub(super) fn canonical(number: &str, mut write: impl FnMut(u8)) {
    if is_plain_integer(number) {
        return number.bytes().for_each(write);
    }
    let value = Decimal::read(number);
    if value.count == 0 {
        return write(b'0');
    }
    if value.negative {
        write(b'-');
    }
    let count = i64::try_from(value.count).unwrap_or(EXPONENT_MAX);
    if value.point.abs() <= PLAIN_MAX && count - value.point <= PLAIN_MAX {
        plain(&value, count, write);
    } else {
        scientific(&value, write);
    }
}

fn plain(value: &Decimal<'_>, count: i64, mut write: impl FnMut(u8)) {
    if value.point <= 0 {
        write(b'0');
    }
    for place in value.point.min(0)..count.max(value.point) {
        if place == value.point {
            write(b'.');
        }
        write(usize::try_from(place).map_or(b'0', |index| value.digit(index)));
    }
}

fn scientific(value: &Decimal<'_>, mut write: impl FnMut(u8)) {
    for index in 0..value.count {
        if index == 1 {
            write(b'.');
        }
        write(value.digit(index));
    }
    write(b'e');
    integer(i128::from(value.point) - 1, write);
}

/// An integer's digits, one by one: a `String` would be the only allocation of the kernel.
pub(super) fn integer(value: i128, mut write: impl FnMut(u8)) {
    if value < 0 {
        write(b'-');
    }
    let magnitude = value.unsigned_abs();
    let mut place = magnitude.checked_ilog10().map_or(1, |log| 10_u128.pow(log));
    while place > 0 {
        write(b'0' + u8::try_from(magnitude / place % 10).unwrap_or(0));
        place /= 10;
    }
}

/// Digits of a rounded number, with room for a carry.
const DIGITS_MAX: usize = WRITTEN_MAX + DECIMALS_MAX + 1;

/// Its digits, sign, point, and zeros.
const ROUNDED_MAX: usize = DIGITS_MAX + DECIMALS_MAX + 4;

/// A rounded number's spelling: digits, sign, point, and zeros behind it.
struct Rounded<const MAX: usize> {
    bytes: [u8; MAX],
    length: usize,
}

/// A [`short`] number's spelling: 19 digits, sign, point.
const SHORT_MAX: usize = 24;

impl<const MAX: usize> Rounded<MAX> {
    const fn new() -> Self {
        Self { bytes: [0; MAX], length: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

/// What rounding leaves of a number that is usual: short, no exponent, more decimals than stay, and the digit
/// behind them rounds down, or rounds the last one up to no more than 9. How much of the text stays as it is,
/// and the digit behind that. The number is the first `length` of `bytes`.
pub(super) fn cut(bytes: &[u8; 16], length: usize, decimals: usize) -> Option<(usize, u8)> {
    if length > bytes.len() {
        return None;
    }
    let all = (1 << length) - 1;
    let (digits, points) = (within(bytes, b'0', b'9') & all, equal_to(bytes, b'.') & all);
    let negative = bytes[0] == b'-';
    let point = points.trailing_zeros() as usize;
    let usual =
        digits | points | u32::from(negative) == all && points & points.wrapping_sub(1) == 0;
    if !usual || point + 1 + decimals >= length {
        return None;
    }
    let kept = if decimals == 0 { point.checked_sub(1)? } else { point + decimals };
    let last = bytes[kept] + u8::from(bytes[point + 1 + decimals] >= b'5');
    // Minus zero has no sign. Every second number is negative: that is no question for a branch.
    let is_zero = within(bytes, b'1', b'9') & ((2 << kept) - 1) == 0;
    (last <= b'9' && !(negative & is_zero)).then_some((kept, last))
}

/// Gives `write` the number, rounded to `decimals` (at most [`DECIMALS_MAX`]), to the nearest, ties
/// away from zero. `None`: the spelling has no more of them and no exponent, or the number is an
/// integer too long to be written out.
pub(super) fn round<T>(number: &str, decimals: usize, write: impl FnOnce(&[u8]) -> T) -> Option<T> {
    match short(number) {
        Some((_, _, places)) if places <= decimals => None,
        Some((negative, scaled, places)) => {
            let rounded = round_short(negative, scaled, places, decimals);
            Some(write(rounded.as_bytes()))
        }
        None => round_any(number, decimals).map(|rounded| write(rounded.as_bytes())),
    }
}

/// A number of at most 18 digits and no exponent: sign, digits as one integer, how many of them
/// stand behind the point.
fn short(number: &str) -> Option<(bool, u64, usize)> {
    let (negative, digits) = match number.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 19 {
        return None;
    }
    let mut scaled = 0;
    let mut point = None;
    for (index, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => scaled = scaled * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(index),
            _ => return None,
        }
    }
    let places = point.map_or(0, |point| digits.len() - point - 1);
    (point.is_some() || digits.len() < 19).then_some((negative, scaled, places))
}

/// [`round`] by integer arithmetic: 5 times as fast as digit by digit, and what coordinates and
/// amounts take.
fn round_short(negative: bool, scaled: u64, places: usize, decimals: usize) -> Rounded<SHORT_MAX> {
    const POWERS: [u64; 20] = {
        let mut powers = [1; 20];
        let mut index = 1;
        while index < 20 {
            powers[index] = powers[index - 1] * 10;
            index += 1;
        }
        powers
    };
    let unit = POWERS[places - decimals];
    let mut rounded = (scaled + unit / 2) / unit;
    let mut out = Rounded::new();
    if negative && rounded > 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 20];
    let mut count = 0;
    while rounded > 0 || count <= decimals {
        digits[19 - count] = b'0' + (rounded % 10) as u8;
        rounded /= 10;
        count += 1;
    }
    for (index, &digit) in digits[20 - count..].iter().enumerate() {
        if index > 0 && count - index == decimals {
            out.push(b'.');
        }
        out.push(digit);
    }
    out
}

/// [`round`] for numbers of any length.
fn round_any(number: &str, decimals: usize) -> Option<Rounded<ROUNDED_MAX>> {
    let value = Decimal::read(number);
    let has_exponent = number.contains(['e', 'E']);
    let written_max = i64::try_from(WRITTEN_MAX).unwrap_or(0);
    if !has_exponent && value.fraction.len() <= decimals || value.point > written_max {
        return None;
    }
    let mut digits = [b'0'; DIGITS_MAX];
    let (point, digits) = rounded_digits(&value, decimals, &mut digits);
    let mut out = Rounded::new();
    if value.negative && digits.iter().any(|digit| *digit != b'0') {
        out.push(b'-');
    }
    if point <= 0 {
        out.push(b'0');
    }
    let places = i64::try_from(decimals).unwrap_or(0) + point;
    for place in point.min(0)..places {
        if place == point {
            out.push(b'.');
        }
        let index = usize::try_from(place).ok();
        out.push(index.and_then(|index| digits.get(index)).copied().unwrap_or(b'0'));
    }
    Some(out)
}

/// The digits that stay, and where the point stands among them.
fn rounded_digits<'d>(
    value: &Decimal<'_>,
    decimals: usize,
    digits: &'d mut [u8; DIGITS_MAX],
) -> (i64, &'d [u8]) {
    let kept = value.point + i64::try_from(decimals).unwrap_or(0);
    let Some(kept) = usize::try_from(kept).ok().filter(|_| value.count > 0) else {
        return (0, &digits[..decimals]);
    };
    // Slot 0 takes the carry.
    for index in 0..kept {
        digits[index + 1] = value.digit(index);
    }
    if value.digit(kept) >= b'5' {
        let nines = digits[1..=kept].iter().rev().take_while(|digit| **digit == b'9').count();
        digits[kept + 1 - nines..=kept].fill(b'0');
        digits[kept - nines] += 1;
    }
    if digits[0] == b'0' {
        (value.point, &digits[1..=kept])
    } else {
        (value.point + 1, &digits[..=kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_value_has_the_same_canonical_spelling() {
        for (number, want) in [
            ("-0", "0"),
            ("0.000", "0"),
            ("-0e9", "0"),
            ("42.0", "42"),
            ("4.2e1", "42"),
            ("420E-1", "42"),
            ("-1.50", "-1.5"),
            ("0.0015", "0.0015"),
            ("15e-4", "0.0015"),
            ("1e39", "1000000000000000000000000000000000000000"),
            ("1e40", "1e40"),
            (
                "-12345678901234567890123456789012345678901",
                "-12345678901234567890123456789012345678901",
            ),
            ("1e400", "1e400"),
            ("150e-302", "1.5e-300"),
            ("0.5", "0.5"),
            ("10.0e0", "10"),
            ("1e99999999999999999999", "1e1099511627776"),
        ] {
            let mut text = String::new();
            canonical(number, |byte| text.push(byte.into()));
            assert_eq!(text, want, "{number}");
        }
    }

    #[test]
    fn floors_are_integers() {
        for (number, want) in [
            ("0", 0),
            ("-0.0", 0),
            ("37.99", 37),
            ("-37.01", -38),
            ("-37.00", -37),
            ("0.001", 0),
            ("-1e-400", -1),
            ("1e-400", 0),
            ("1.5e3", 1500),
            ("-12345e-2", -124),
            ("999999999999999999999999999999.9", 10_i128.pow(30) - 1),
        ] {
            assert_eq!(floor(number), Some(want), "{number}");
        }
        assert_eq!(floor("1e30"), None);
        assert_eq!(floor("0e99999999999"), Some(0));
    }

    #[test]
    fn rounding_is_decimal() {
        for (number, decimals, want) in [
            ("52.52437", 1, "52.5"),
            ("52.55", 1, "52.6"),
            ("-0.04", 1, "0.0"),
            ("-0.05", 1, "-0.1"),
            ("9.99", 1, "10.0"),
            ("0.06", 1, "0.1"),
            ("0.04", 1, "0.0"),
            ("0.96", 1, "1.0"),
            ("99.5", 0, "100"),
            ("0.5", 0, "1"),
            ("0.4", 0, "0"),
            ("1e2", 1, "100.0"),
            ("1e-400", 2, "0.00"),
            ("0e5", 2, "0.00"),
            ("1.005", 2, "1.01"),
            ("123.456e-1", 2, "12.35"),
            ("5e-3", 2, "0.01"),
            ("4e-3", 2, "0.00"),
        ] {
            let rounded = round(number, decimals, <[u8]>::to_vec).unwrap();
            assert_eq!(String::from_utf8(rounded).unwrap(), want, "{number}");
        }
        for (number, decimals) in [("52.5", 1), ("52", 0), ("1e401", 0), ("1e99999999999", 15)] {
            assert!(round(number, decimals, |_| ()).is_none(), "{number}");
        }
        let long = format!("{}.{}", "9".repeat(400), "9".repeat(500));
        assert_eq!(round(&long, 15, <[u8]>::len).unwrap(), 401 + 1 + 15);
    }

    proptest! {
        #[test]
        fn short_numbers_round_as_any(
            whole in "(0|[1-9][0-9]{0,9})", fraction in "[0-9]{1,8}", decimals in 0usize..8,
            sign in "-?",
        ) {
            let number = format!("{sign}{whole}.{fraction}");
            let quick = round(&number, decimals, <[u8]>::to_vec);
            let slow = round_any(&number, decimals).map(|rounded| rounded.as_bytes().to_vec());
            prop_assert!(short(&number).is_some());
            prop_assert_eq!(quick, slow);
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_is_what_is_rounded(
            number in "-?(0|[1-9][0-9]{0,9})(|[.][0-9]{1,20})(|e[0-9])", decimals in 0usize..8,
        ) {
            let mut bytes = *b"0123456789.0-e99";
            for (byte, digit) in bytes.iter_mut().zip(number.bytes()) {
                *byte = digit;
            }
            if let Some((kept, last)) = cut(&bytes, number.len(), decimals) {
                let quick = [&number.as_bytes()[..kept], &[last]].concat();
                prop_assert_eq!(Some(quick), round(&number, decimals, <[u8]>::to_vec));
            }
        }
    }

    #[test]
    fn usual_numbers_are_cut() {
        let cut = |number: &[u8; 16], length| cut(number, length, 1);
        assert_eq!(cut(b"52.52437,       ", 8), Some((3, b'5')));
        assert_eq!(cut(b"-0.15,          ", 5), Some((3, b'2')));
        for (number, length) in
            [(b"-0.04,          ", 5), (b"1.96,           ", 4), (b"1.9,5           ", 3)]
        {
            assert_eq!(cut(number, length), None);
        }
    }

    #[test]
    fn numbers_are_those_of_the_json_grammar() {
        for text in ["0", "-0", "10.5", "1e5", "1E+5", "-1.0e-5"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "01", ".5", "1.", "1e", "1e+", " 1", "+1", "1e5.0", "NaN", "0x1"] {
            assert!(!is_number(text), "{text}");
        }
    }
}
