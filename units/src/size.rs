//! Amounts of memory and of processor time, as systemd writes them.

/// Suffixes, each 1024 times the one before.
const SUFFIXES: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// Reads an amount of memory: bytes, or a number with one of `K`, `M`, `G`,
/// `T`, `P`, `E`, which count by 1024; it may have a fraction.
///
/// ```
/// assert_eq!(fleet_units::parse_bytes("1.5K"), Some(1536));
/// assert_eq!(fleet_units::parse_bytes("512M"), Some(512 << 20));
/// assert_eq!(fleet_units::parse_bytes("512MB"), None);
/// ```
pub fn parse_bytes(text: &str) -> Option<u64> {
    let last = text.chars().last()?;
    let power = SUFFIXES.iter().position(|suffix| *suffix == last);
    let number = if power.is_some() { &text[..text.len() - 1] } else { text };
    let unit = 1_u64 << (10 * power.map_or(0, |power| power + 1));
    decimal(number, unit)
}

/// Writes an amount of memory in the largest unit that leaves at most one digit
/// after the point; what is left over is cut off.
///
/// ```
/// assert_eq!(fleet_units::format_bytes(512 << 20), "512M");
/// assert_eq!(fleet_units::format_bytes(1536 << 20), "1.5G");
/// ```
pub fn format_bytes(bytes: u64) -> String {
    let power = (1..=SUFFIXES.len()).rev().find(|power| bytes >> (10 * power) > 0);
    let Some(power) = power else { return format!("{bytes}B") };
    let unit = 1_u64 << (10 * power);
    let tenths = u128::from(bytes % unit) * 10 / u128::from(unit);
    let fraction = if tenths == 0 { String::new() } else { format!(".{tenths}") };
    format!("{}{fraction}{}", bytes / unit, SUFFIXES[power - 1])
}

/// Reads a share of processor time in thousandths of a core: `100%` is one core.
///
/// ```
/// assert_eq!(fleet_units::parse_cpu("250%"), Some(2500));
/// assert_eq!(fleet_units::parse_cpu("12.5%"), Some(125));
/// assert_eq!(fleet_units::parse_cpu("2"), None);
/// ```
pub fn parse_cpu(text: &str) -> Option<u64> {
    decimal(text.strip_suffix('%')?, 10)
}

/// Writes a share of processor time.
///
/// ```
/// assert_eq!(fleet_units::format_cpu(2500), "250%");
/// assert_eq!(fleet_units::format_cpu(125), "12.5%");
/// ```
pub fn format_cpu(millis: u64) -> String {
    match millis % 10 {
        0 => format!("{}%", millis / 10),
        tenth => format!("{}.{tenth}%", millis / 10),
    }
}

/// A decimal number of so many units, rounded down; none where it is no number,
/// or too large.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u128.pow(fraction.len() as u32);
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let parts = parts * u128::from(unit) / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(parts.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_by_1024_and_nothing_else_is_one() {
        let cases = [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("1K", Some(1024)),
            ("2T", Some(2 << 40)),
            ("0.5G", Some(512 << 20)),
            ("15E", Some(15 << 60)),
            ("16E", None),
            ("1.G", None),
            (".5G", None),
            ("-1G", None),
            ("G", None),
            ("1 G", None),
            ("1g", None),
            ("1GB", None),
            ("50%", None),
            ("infinity", None),
            ("", None),
            ("1é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_at_a_glance() {
        for (bytes, shown) in
            [(0, "0B"), (1023, "1023B"), (1024, "1K"), (1 << 30, "1G"), ((1 << 30) + 1, "1G"), (u64::MAX, "15.9E")]
        {
            assert_eq!(format_bytes(bytes), shown);
        }
        for (text, millis) in [("100%", 1000), ("0.1%", 1), ("1600%", 16_000)] {
            assert_eq!((parse_cpu(text), format_cpu(millis).as_str()), (Some(millis), text));
        }
        for text in ["", "%", "100", "-1%", "1e3%", "100 %"] {
            assert_eq!(parse_cpu(text), None, "{text}");
        }
    }
}
