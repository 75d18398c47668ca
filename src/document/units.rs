//! Durations and sizes as people write them: `30d`, `12h`, `250ms`, `64MiB`.

use std::time::Duration;

/// What a duration looks like, for hints.
pub const DURATION_FORM: &str =
    "a whole number and a unit without a space: `250ms`, `30s`, `15m`, `12h`, `30d`";

/// What a size looks like, for hints.
pub const BYTES_FORM: &str = "a whole number and a unit without a space: `900B`, `512KiB`, `64MiB`, `1GiB` (or `kB`, `MB`, `GB`)";

/// Reads a duration.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

/// Reads a size in bytes.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let each: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(each)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("30d"), Some(Duration::from_secs(2_592_000)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for wrong in ["", "d", "30", "1.5h", "-1s", "1 h", "1w", "999999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        assert_eq!(bytes("1kB"), Some(1000));
        assert_eq!(bytes("12"), Some(12));
        for wrong in ["", "MiB", "1 MiB", "1mb", "99999999999GiB", "1.5GiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
