//! The few methods of systemd's manager that the agent needs.

use zbus::proxy;
use zbus::wire::{OwnedObjectPath, Variant};

/// A unit as systemd lists it: name, description, load, active and sub state, followed unit, path, job id, job type,
/// job path.
pub(super) type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// A change of a link: `symlink` or `unlink`, the link, what it points at.
pub(super) type LinkChange = (String, String, String);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(super) trait Manager {
    /// Asks for signals.
    async fn subscribe(&self) -> zbus::Result<()>;

    /// Reads all unit files anew.
    async fn reload(&self) -> zbus::Result<()>;

    /// Links unit files.
    async fn link_unit_files(&self, files: &[&str], runtime: bool, force: bool) -> zbus::Result<Vec<LinkChange>>;

    /// Carries out `[Install]`.
    async fn enable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<(bool, Vec<LinkChange>)>;

    /// Removes all links of units.
    async fn disable_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Vec<LinkChange>>;

    /// Forgets that a unit failed.
    async fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;

    /// States of units, loading them where needed; unknown ones are listed as not found.
    async fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Listed>>;

    /// States of units that are in memory, by shell patterns.
    async fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Listed>>;

    /// All jobs: id, unit, kind, state, path, path of the unit.
    async fn list_jobs(&self) -> zbus::Result<Vec<(u32, String, String, String, OwnedObjectPath, OwnedObjectPath)>>;

    /// Starts a unit.
    async fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Stops a unit.
    async fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Makes a unit that lives until it stops, and starts it.
    async fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        auxiliary: &[(&str, Vec<(&str, Variant<'_>)>)],
    ) -> zbus::Result<OwnedObjectPath>;

    /// Restarts a unit, or starts it if it does not run.
    async fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.DBus.Properties", default_service = "org.freedesktop.systemd1")]
pub(super) trait Properties {
    /// One property.
    async fn get(&self, interface: &str, name: &str) -> zbus::Result<zbus::wire::OwnedVariant>;
}
