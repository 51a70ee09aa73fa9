//! The specifiers that fleet replaces in `[X-Fleet]` values.

use crate::UnitName;

/// Replaces `%n` (full name), `%N` (name without its type), `%p` (prefix),
/// `%j` (what follows the last dash of the prefix), `%i` (instance), and `%%` (a
/// percent sign) in one pass. Anything else is left as it is, as fleet always
/// did.
///
/// ```
/// use fleet_units::{UnitName, expand_specifiers};
///
/// let name = UnitName::parse("my-web@1.service").unwrap();
/// assert_eq!(expand_specifiers("%p-db@%i.service", &name), "my-web-db@1.service");
/// assert_eq!(expand_specifiers("%%i %j %H", &name), "%i web %H");
/// ```
pub fn expand_specifiers(text: &str, name: &UnitName) -> String {
    expand(text, |specifier| if specifier == '%' { Some("%") } else { of_unit(specifier, name) })
}

/// The same, but `%%` stays: for a value in which [`expand_of_machine`] replaces
/// what differs by machine.
pub(crate) fn expand_of_unit(text: &str, name: &UnitName) -> String {
    expand(text, |specifier| if specifier == '%' { Some("%%") } else { of_unit(specifier, name) })
}

/// Replaces `%H` (host name), `%m` (machine id), and `%%`. Without a machine:
/// none for a text that needs one.
pub(crate) fn expand_of_machine(text: &str, machine: Option<(&str, &str)>) -> Option<String> {
    let mut needs_one = false;
    let expanded = expand(text, |specifier| match specifier {
        '%' => Some("%"),
        'H' | 'm' => {
            needs_one = true;
            machine.map(|(hostname, id)| if specifier == 'H' { hostname } else { id })
        }
        _ => None,
    });
    (machine.is_some() || !needs_one).then_some(expanded)
}

fn of_unit(specifier: char, name: &UnitName) -> Option<&str> {
    match specifier {
        'n' => Some(name.as_str()),
        'N' => Some(name.stem()),
        'p' => Some(name.prefix()),
        'j' => Some(name.prefix().rsplit('-').next().unwrap_or_default()),
        'i' => Some(name.instance().unwrap_or_default()),
        _ => None,
    }
}

/// Replaces each `%x` of which something is known.
fn expand<'a>(text: &str, mut known: impl FnMut(char) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let replacement = if c == '%' { chars.peek().and_then(|&specifier| known(specifier)) } else { None };
        match replacement {
            None => expanded.push(c),
            Some(replacement) => {
                expanded.push_str(replacement);
                chars.next();
            }
        }
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

    #[test]
    fn the_last_component_of_the_prefix_is_what_systemd_says() {
        for (name, expected) in
            [("a.service", "a"), ("a-b-c.service", "c"), ("a-b@x-y.service", "b"), ("a-.service", "")]
        {
            assert_eq!(expand_specifiers("%j", &UnitName::parse(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn what_differs_by_machine_is_replaced_there() {
        let name = UnitName::parse("a@1.service").unwrap();
        let cases =
            [("%p-%H", "a-node"), ("%m", "beef"), ("%%H", "%H"), ("%%%H%%", "%node%"), ("%x", "%x"), ("%", "%")];
        for (text, expected) in cases {
            let of_unit = expand_of_unit(text, &name);
            assert_eq!(expand_of_machine(&of_unit, Some(("node", "beef"))).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(expand_of_machine("%%H", None).as_deref(), Some("%H"));
        assert_eq!(expand_of_machine("%H", None), None);
    }
}
