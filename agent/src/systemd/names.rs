//! Names as systemd writes them on the bus.

use fleet_units::UnitName;

/// Where units are on the bus.
pub(super) const UNITS: &str = "/org/freedesktop/systemd1/unit";

/// The object path of a unit.
pub(super) fn path_of(unit: &UnitName) -> String {
    let mut path = String::from(UNITS);
    path.push('/');
    for (i, byte) in unit.as_str().bytes().enumerate() {
        match byte {
            b'0'..=b'9' if i > 0 => path.push(char::from(byte)),
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

/// The unit of an object path, if it is one that fleet could have loaded.
pub(super) fn unit_of(path: &str) -> Option<UnitName> {
    let label = path.strip_prefix(UNITS)?.strip_prefix('/')?;
    let mut name = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'_' {
            name.push(*byte);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        name.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    UnitName::parse(std::str::from_utf8(&name).ok()?).ok()
}

/// The interface that holds what is special to a unit's type.
pub(super) fn interface_of(unit: &UnitName) -> String {
    let mut kind = unit.unit_type().to_owned();
    if let Some(first) = kind.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("org.freedesktop.systemd1.{kind}")
}

/// A shell pattern that matches this name alone.
pub(super) fn pattern_of(unit: &UnitName) -> String {
    unit.as_str().replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_each_others_inverse() {
        let cases = [
            ("hello.service", "/org/freedesktop/systemd1/unit/hello_2eservice"),
            ("web@1.service", "/org/freedesktop/systemd1/unit/web_401_2eservice"),
            ("1.service", "/org/freedesktop/systemd1/unit/_31_2eservice"),
            ("a_b-c.mount", "/org/freedesktop/systemd1/unit/a_5fb_2dc_2emount"),
        ];
        for (name, path) in cases {
            let unit = UnitName::parse(name).unwrap();
            assert_eq!(path_of(&unit), path);
            assert_eq!(unit_of(path), Some(unit));
        }
        for path in ["/org/freedesktop/systemd1/unit/a_2", "/org/freedesktop/systemd1", "/x", ""] {
            assert_eq!(unit_of(path), None, "{path}");
        }
    }

    #[test]
    fn interfaces_are_named_after_types() {
        let unit = UnitName::parse("a.automount").unwrap();
        assert_eq!(interface_of(&unit), "org.freedesktop.systemd1.Automount");
    }

    #[test]
    fn a_backslash_is_no_escape() {
        let unit = UnitName::parse("a\\x2db.mount").unwrap();
        assert_eq!(pattern_of(&unit), "a\\\\x2db.mount");
    }
}
