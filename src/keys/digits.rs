//! Digits that stay as many digits: FF1 (NIST SP 800-38G rev. 1), radix 10, AES-256.
//!
//! The crate `fpe` has FF1 for numerals of any radix and length, on big integers that it allocates.
//! Two halves of at most 18 decimal digits are two machine words, so its trait for numerals is
//! implemented on those here.

use aes::Aes256Enc;
use fpe::ff1::{FF1, NumeralString, Operations};

/// How many digits can be encrypted: a domain of at least a million (section 5.1), and halves that
/// fit a word.
pub(crate) const DIGITS: std::ops::RangeInclusive<usize> = 6..=36;

/// Encrypts rows of digits.
pub(crate) struct Digits(FF1<Aes256Enc>);

impl Digits {
    /// `None` never: the radix is one that FF1 takes.
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        FF1::new(key, 10).ok().map(Self)
    }

    /// Encrypts digits, each 0 to 9. `None`: they are fewer or more than [`DIGITS`].
    pub(crate) fn encrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Option<()> {
        DIGITS.contains(&digits.len()).then_some(())?;
        self.0.encrypt(tweak, &Numerals::of(digits)).ok()?.write(digits);
        Some(())
    }

    /// The reverse of [`Self::encrypt`].
    pub(crate) fn decrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Option<()> {
        DIGITS.contains(&digits.len()).then_some(())?;
        self.0.decrypt(tweak, &Numerals::of(digits)).ok()?.write(digits);
        Some(())
    }
}

/// A row of digits, as its two halves.
struct Numerals(Half, Half);

struct Half {
    value: u64,
    count: usize,
}

impl Numerals {
    fn of(digits: &[u8]) -> Self {
        let (first, second) = digits.split_at(digits.len() / 2);
        Self(Half::of(first), Half::of(second))
    }

    fn write(self, digits: &mut [u8]) {
        let (first, second) = digits.split_at_mut(digits.len() / 2);
        self.0.write(first);
        self.1.write(second);
    }
}

impl Half {
    fn of(digits: &[u8]) -> Self {
        let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit));
        Self { value, count: digits.len() }
    }

    fn write(mut self, digits: &mut [u8]) {
        for digit in digits.iter_mut().rev() {
            *digit = (self.value % 10) as u8;
            self.value /= 10;
        }
    }

    /// `value` modulo 10^`count`.
    fn modulo(value: u128, count: usize) -> Self {
        let modulus = 10_u128.pow(u32::try_from(count).unwrap_or(u32::MAX));
        Self { value: (value % modulus) as u64, count }
    }
}

impl NumeralString for Numerals {
    type Ops = Half;

    fn is_valid(&self, radix: u32) -> bool {
        radix == 10
    }

    fn numeral_count(&self) -> usize {
        self.0.count + self.1.count
    }

    fn split(&self) -> (Half, Half) {
        let Self(first, second) = self;
        (Half { ..*first }, Half { ..*second })
    }

    fn concat(first: Half, second: Half) -> Self {
        Self(first, second)
    }
}

/// The last bytes of a word.
struct Bytes {
    word: [u8; 8],
    count: usize,
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.word[8 - self.count..]
    }
}

impl Operations for Half {
    type Bytes = Bytes;

    fn numeral_count(&self) -> usize {
        self.count
    }

    fn to_be_bytes(&self, _: u32, count: usize) -> Bytes {
        // 18 digits take 60 bits, so there are never more.
        Bytes { word: self.value.to_be_bytes(), count: count.min(8) }
    }

    fn add_mod_exp(self, other: impl Iterator<Item = u8>, _: u32, count: usize) -> Self {
        let other = Self::modulo(big(other), count);
        Self::modulo(u128::from(self.value) + u128::from(other.value), count)
    }

    fn sub_mod_exp(self, other: impl Iterator<Item = u8>, _: u32, count: usize) -> Self {
        let other = Self::modulo(big(other), count);
        let modulus = 10_u128.pow(u32::try_from(count).unwrap_or(u32::MAX));
        Self::modulo(u128::from(self.value) + modulus - u128::from(other.value), count)
    }
}

/// At most 12 bytes, for FF1 takes four more than the half has, in whole words.
fn big(bytes: impl Iterator<Item = u8>) -> u128 {
    bytes.fold(0, |value, byte| value << 8 | u128::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn of(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    /// NIST's samples 7 and 8: FF1, AES-256, radix 10.
    #[test]
    fn the_samples_of_nist_pass() {
        let key = HEXLOWER
            .decode(b"2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94")
            .unwrap();
        let cipher = Digits::new(&key.try_into().unwrap()).unwrap();
        for (tweak, after) in [("", "6657667009"), ("39383736353433323130", "1001623463")] {
            let mut digits = of("0123456789");
            let tweak = HEXLOWER.decode(tweak.as_bytes()).unwrap();
            cipher.encrypt(&tweak, &mut digits).unwrap();
            assert_eq!(digits, of(after));
            cipher.decrypt(&tweak, &mut digits).unwrap();
            assert_eq!(digits, of("0123456789"));
        }
    }

    proptest! {
        #[test]
        fn the_crate_s_own_numerals_agree(
            key: [u8; 32],
            tweak in "[0-9]{0,8}",
            digits in proptest::collection::vec(0u8..10, 6..=36),
        ) {
            let ff1 = FF1::<Aes256Enc>::new(&key, 10).unwrap();
            let numerals: Vec<u16> = digits.iter().copied().map(u16::from).collect();
            let numerals = fpe::ff1::FlexibleNumeralString::from(numerals);
            let want: Vec<u16> = ff1.encrypt(tweak.as_bytes(), &numerals).unwrap().into();
            let mut got = digits.clone();
            Digits::new(&key).unwrap().encrypt(tweak.as_bytes(), &mut got).unwrap();
            prop_assert_eq!(got.iter().copied().map(u16::from).collect::<Vec<_>>(), want);
            let back = ff1.decrypt(tweak.as_bytes(), &Numerals::of(&got)).unwrap();
            back.write(&mut got);
            prop_assert_eq!(got, digits);
        }
    }

    #[test]
    fn too_few_and_too_many_are_refused() {
        let cipher = Digits::new(&[1; 32]).unwrap();
        for (length, fits) in [(5, false), (6, true), (36, true), (37, false)] {
            assert_eq!(cipher.encrypt(b"", &mut vec![9; length]).is_some(), fits);
        }
    }
}
