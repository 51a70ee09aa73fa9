//! What a certificate says.

use std::fmt;

use fleet_units::MachineId;
use rcgen::{DistinguishedName, DnType};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::tls::SERVER_NAME;

const MACHINES: &str = "fleet machines";
const ADMINISTRATORS: &str = "fleet administrators";
const REGISTRY: &str = "fleet registry";

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A machine of the cluster.
    Machine(MachineId),
    /// People who may do everything.
    Administrator,
    /// The registry itself.
    Registry,
}

impl Holder {
    /// As a certificate's subject.
    pub(super) fn subject(&self) -> DistinguishedName {
        let (group, name) = match self {
            Self::Machine(id) => (MACHINES, id.as_str()),
            Self::Administrator => (ADMINISTRATORS, "administrator"),
            Self::Registry => (REGISTRY, SERVER_NAME),
        };
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, group);
        subject.push(DnType::CommonName, name);
        subject
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(id) => write!(f, "machine {id}"),
            Self::Administrator => f.write_str("an administrator"),
            Self::Registry => f.write_str("the registry"),
        }
    }
}

/// A certificate's subject and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whom it names; `None` for one that is not of a registry's making.
    pub holder: Option<Holder>,
    /// It counts from here, in seconds since 1970.
    pub not_before: u64,
    /// And until here.
    pub not_after: u64,
}

impl Facts {
    /// Reads a certificate. It proves nothing by itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| format!("no certificate: {error}"))?;
        let subject = certificate.subject();
        let text = |found: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            found.and_then(|value| value.as_str().ok()).unwrap_or_default().to_owned()
        };
        let group = text(subject.iter_organization().next());
        let name = text(subject.iter_common_name().next());
        let holder = match group.as_str() {
            MACHINES => MachineId::parse(&name).ok().map(Holder::Machine),
            ADMINISTRATORS => Some(Holder::Administrator),
            REGISTRY => Some(Holder::Registry),
            _ => None,
        };
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
        let validity = certificate.validity();
        Ok(Self { holder, not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) })
    }

    /// When it is to be replaced: a third of its time is left then.
    #[must_use]
    pub fn renewal(&self) -> u64 {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(life / 3)
    }

    /// Whether it counts at this time.
    #[must_use]
    pub fn counts_at(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// SHA-256, in hexadecimal.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
