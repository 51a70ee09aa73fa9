//! Who may reach an embedded registry that is served beyond its own machine: mutual TLS, and an authority of its own.
//!
//! Whoever can write to the registry is root on every machine, so beyond loopback and unix sockets nobody is served
//! without a certificate. [`Authority`] is made at the registry's first start, beside its data, and signs everything
//! else: the server's certificate, the administrators', and one for each machine, in the machine's name. A machine gets
//! its first one for an [`Invitation`], once, and each later one over a connection that it proved itself on. Private
//! keys never leave where they were made. [`Papers`] are what a machine keeps.
//!
//! Certificates are kept together with their key in one file each, so that replacing one is one step.

mod authority;
mod certificate;
mod enrol;
mod files;
mod invitation;
mod judge;
pub(crate) mod messages;
mod papers;
mod proof;
mod renewal;
pub(crate) mod tls;
mod tokens;

pub use authority::{Authority, Lifetimes};
pub use certificate::{Facts, Holder, fingerprint};
pub use enrol::{JoinError, join};
pub use invitation::{BadInvitation, Invitation};
pub use judge::Caller;
pub use papers::{Papers, Request as CertificateRequest};
pub use proof::{AnyClient, JudgeServer, JudgedServer};
pub use renewal::keep_current;
pub use tls::SERVER_NAME;
pub use tokens::{Made, TokenRequest};

pub(crate) use judge::{Judge, expired};
pub(crate) use tls::ServerIdentity;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::shell::boot_now;

/// Why there are no keys or certificates to speak TLS with.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} does not hold {what} ({why}): restore it from a backup; {advice}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it ought to hold.
        what: &'static str,
        /// What is wrong with it.
        why: String,
        /// What else can be done.
        advice: &'static str,
    },
    /// A key or a certificate cannot be made or used.
    #[error("cannot {what}: {why}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// Why not.
        why: String,
    },
}

impl TrustError {
    fn crypto<E: ToString>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Crypto { what, why: error.to_string() }
    }
}

/// Seconds since 1970, by this machine's clock: what certificates are dated in.
pub(crate) fn wall_seconds() -> u64 {
    boot_now().wall / 1000
}

/// An instant for people.
pub(crate) fn shown(seconds: u64) -> String {
    let latest = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds).min(latest)).to_string()
}
