//! `fleetctl verify`

use crate::error::CommandError;

/// What fleet said of signed units, and what its commands ended with.
pub fn deprecated() -> CommandError {
    CommandError::Senseless("WARNING: The signed/verified units feature is DEPRECATED and cannot be used.".to_owned())
}
