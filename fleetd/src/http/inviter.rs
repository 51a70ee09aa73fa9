//! Who invites machines to the registry.

use std::sync::Arc;

use fleet_registry::trust::Authority;

/// Whether this fleetd can make tokens.
#[derive(Debug, Clone)]
pub enum Inviter {
    /// The registry does not run here.
    Elsewhere,
    /// It does, for this machine alone.
    Local,
    /// It is served in plain text.
    Insecure,
    /// Machines join it at an address.
    Here {
        /// Who signs.
        authority: Arc<Authority>,
        /// Where they find it, as `HOST:PORT`.
        address: String,
    },
}
