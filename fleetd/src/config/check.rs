//! What `fleetd --check` prints: every option as it counts, and where it was set.

use std::fmt::Write;

use super::{OPTIONS, Raw, Source};

/// The configuration as a `fleet.conf` that would have the same effect. Passwords and tokens are not shown.
#[must_use]
pub fn describe(raw: &Raw) -> String {
    let mut text = String::new();
    for option in OPTIONS {
        let (value, source) = raw.get(option.name);
        let shown = match option.name {
            "etcd_password" if !value.is_empty() => "\"(not shown)\"".to_owned(),
            "registry_join" if !value.is_empty() && !value.starts_with('/') => "\"(not shown)\"".to_owned(),
            _ if value.contains(['#', ';', ' ']) => format!("\"{value}\""),
            _ => value.to_owned(),
        };
        // Writing to a string cannot fail.
        _ = match source {
            Source::Default => writeln!(text, "{}={shown}", option.name),
            _ => writeln!(text, "{}={shown}  # {source}", option.name),
        };
    }
    text
}
