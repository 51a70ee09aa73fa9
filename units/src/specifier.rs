//! The specifiers that fleet replaces in `[X-Fleet]` values.

use crate::UnitName;

/// Replaces `%n` (full name), `%N` (name without its type), `%p` (prefix),
/// `%i` (instance), and `%%` (a percent sign) in one pass. Anything else is
/// left as it is, as fleet always did.
///
/// ```
/// use fleet_units::{UnitName, expand_specifiers};
///
/// let name = UnitName::parse("web@1.service").unwrap();
/// assert_eq!(expand_specifiers("%p-db@%i.service", &name), "web-db@1.service");
/// assert_eq!(expand_specifiers("%%i %H", &name), "%i %H");
/// ```
pub fn expand_specifiers(text: &str, name: &UnitName) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.peek() {
            Some('n') => expanded.push_str(name.as_str()),
            Some('N') => expanded.push_str(name.stem()),
            Some('p') => expanded.push_str(name.prefix()),
            Some('i') => expanded.push_str(name.instance().unwrap_or_default()),
            Some('%') => expanded.push('%'),
            _ => {
                expanded.push('%');
                continue;
            }
        }
        chars.next();
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_it_knows_and_leaves_the_rest() {
        let cases = [
            ("%n", "a@b.c.service"),
            ("%N", "a@b.c"),
            ("%p", "a"),
            ("%i", "b.c"),
            ("%%", "%"),
            ("%%n", "%n"),
            ("%%%n", "%a@b.c.service"),
            ("%H %m %I", "%H %m %I"),
            ("100%", "100%"),
            ("%", "%"),
            ("", ""),
            ("é%pé", "éaé"),
        ];
        let name = UnitName::parse("a@b.c.service").unwrap();
        for (text, expected) in cases {
            assert_eq!(expand_specifiers(text, &name), expected, "{text}");
        }
    }

    #[test]
    fn a_name_without_instance_has_an_empty_one() {
        let name = UnitName::parse("a.service").unwrap();
        assert_eq!(expand_specifiers("x%iy", &name), "xy");
        assert_eq!(expand_specifiers("%p", &name), "a");
    }
}
