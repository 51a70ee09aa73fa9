//! Spans of time as systemd writes them: `90`, `1min 30s`, `infinity`.

use std::time::Duration;

/// A span of time in a unit file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timespan {
    /// So long.
    Finite(Duration),
    /// `infinity`.
    Infinite,
}

/// Every unit of time that systemd knows, in microseconds.
const UNITS: [(&str, u64); 30] = [
    ("usec", 1),
    ("us", 1),
    ("µs", 1),
    ("μs", 1),
    ("msec", 1_000),
    ("ms", 1_000),
    ("seconds", SECOND),
    ("second", SECOND),
    ("sec", SECOND),
    ("s", SECOND),
    ("", SECOND),
    ("minutes", 60 * SECOND),
    ("minute", 60 * SECOND),
    ("min", 60 * SECOND),
    ("m", 60 * SECOND),
    ("hours", 3_600 * SECOND),
    ("hour", 3_600 * SECOND),
    ("hr", 3_600 * SECOND),
    ("h", 3_600 * SECOND),
    ("days", 86_400 * SECOND),
    ("day", 86_400 * SECOND),
    ("d", 86_400 * SECOND),
    ("weeks", 604_800 * SECOND),
    ("week", 604_800 * SECOND),
    ("w", 604_800 * SECOND),
    ("months", 2_629_800 * SECOND),
    ("month", 2_629_800 * SECOND),
    ("M", 2_629_800 * SECOND),
    ("years", 31_557_600 * SECOND),
    ("year", 31_557_600 * SECOND),
];

const SECOND: u64 = 1_000_000;

/// Reads a span of time; none where systemd would not understand it either.
pub(crate) fn parse(text: &str) -> Option<Timespan> {
    let mut rest = text.trim();
    if rest == "infinity" {
        return Some(Timespan::Infinite);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        total = total.checked_add(whole.checked_mul(factor)?)?;
        let mut place = factor;
        for digit in fraction.bytes() {
            place /= 10;
            total = total.checked_add(u64::from(digit - b'0') * place)?;
        }
        rest = next.trim_start();
    }
    Some(Timespan::Finite(Duration::from_micros(total)))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_mean_what_they_mean_to_systemd() {
        let cases = [
            ("90", 90_000_000),
            ("1min 30s", 90_000_000),
            ("1min30s", 90_000_000),
            ("1.5s", 1_500_000),
            (".5 s", 500_000),
            ("250ms", 250_000),
            ("2 h", 7_200_000_000),
            ("0", 0),
            ("1s 2", 3_000_000),
        ];
        for (text, microseconds) in cases {
            assert_eq!(parse(text), Some(Timespan::Finite(Duration::from_micros(microseconds))), "{text:?}");
        }
        assert_eq!(parse("infinity"), Some(Timespan::Infinite));
        for text in ["", "soon", "-1", "1 fortnight", "5s!", "%i", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
