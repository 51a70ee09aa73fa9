//! Percent-encoding of what people typed, for paths and queries.

use std::fmt::Write;

/// Encodes everything that is not plainly allowed in both a path segment and a query value.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn encodes_what_would_mean_something_else() {
        let cases = [
            ("hello.service", "hello.service"),
            ("a@b:c_d-e~.timer", "a@b:c_d-e~.timer"),
            ("a b&c=d?e#f/g%", "a%20b%26c%3Dd%3Fe%23f%2Fg%25"),
            ("é", "%C3%A9"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(encode(text), expected, "{text}");
        }
    }
}
