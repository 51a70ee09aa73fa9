//! `fleet.conf`.

use std::path::Path;

use fleetd::config::{Config, Raw, read};

/// What a configuration says it is, written down, is the same configuration.
pub(crate) fn config(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let Ok(found) = read(text) else { return };
    for entry in &found.entries {
        assert!(entry.line >= 1 && entry.line <= text.lines().count());
        assert!(!entry.key.trim().is_empty());
    }
    let path = Path::new("/etc/fleet/fleet.conf");
    let mut raw = Raw::default();
    raw.read_file(path, text).expect("the dialect was read before");
    let said = fleetd::config::describe(&raw);
    let Ok(config) = Config::from_raw(&raw) else { return };
    let again = Config::from_raw(&raw).expect("it was read before");
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
    _ = (said, config.registry.has_authority());
}
