//! Numbers in metadata, compared exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Digits after the point that are told apart.
const FRACTION: usize = 9;

/// A decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number {
    /// The number times 10⁹.
    scaled: i128,
}

impl Number {
    /// Reads `-12`, `3.5`; nothing else is a number: no exponents, no units, no
    /// blanks.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 20
            || fraction.len() > FRACTION
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return None;
        }
        // At most 29 digits: far below what 128 bits hold.
        let scaled: i128 = format!("{whole}{fraction:0<FRACTION$}").parse().ok()?;
        Some(Self { scaled: if negative { -scaled } else { scaled } })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.pow(FRACTION as u32);
        let (whole, fraction) = (self.scaled.unsigned_abs() / one, self.scaled.unsigned_abs() % one);
        let sign = if self.scaled < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:0>FRACTION$}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for Number {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a decimal number"))
    }
}
