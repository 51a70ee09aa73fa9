//! The wall clock, for what people read.

/// Milliseconds since 1970.
#[must_use]
pub fn wall() -> u64 {
    fleet_registry::shell::boot_now().wall
}
