//! What a machine keeps once it has joined: where the registry is, its authority, and the machine's own certificate.

use std::fs;
use std::path::{Path, PathBuf};

use fleet_units::MachineId;
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};

use super::certificate::{Facts, Holder, fingerprint};
use super::{TrustError, files, wall_seconds};
use crate::etcd::TlsFiles;

/// Where the registry is, and by which token the machine joined.
const REGISTRY_FILE: &str = "registry.json";
const CA_FILE: &str = "ca.crt";
/// The machine's certificate and its key.
const MACHINE_FILE: &str = "machine.pem";
/// The key with which the machine asks for its first certificate.
const ASKING_FILE: &str = "asking.pem";

/// A machine's papers, in a directory of their own.
#[derive(Debug, Clone)]
pub struct Papers {
    directory: PathBuf,
    registry: Registry,
    authority: String,
    facts: Facts,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Registry {
    /// `HOST:PORT`
    address: String,
}

/// A key, and the request for a certificate for it.
#[derive(Debug)]
pub struct Request {
    key: KeyPair,
    der: Vec<u8>,
}

impl Request {
    /// With a new key.
    ///
    /// # Errors
    /// When none can be made.
    pub fn new(machine: &MachineId) -> Result<Self, TrustError> {
        Self::with(KeyPair::generate().map_err(TrustError::crypto("make a key"))?, machine)
    }

    /// With the key of the last try, or a new one, which is kept: a machine whose answer got lost asks again with the
    /// same key, and is answered.
    ///
    /// # Errors
    /// When there is none and none can be made and kept.
    pub fn first(directory: &Path, machine: &MachineId) -> Result<Self, TrustError> {
        files::make_directory(directory)?;
        let path = directory.join(ASKING_FILE);
        let kept = files::read(&path)?.and_then(|pem| KeyPair::from_pem(&String::from_utf8_lossy(&pem)).ok());
        if let Some(key) = kept {
            return Self::with(key, machine);
        }
        let request = Self::new(machine)?;
        files::write(&path, request.key.serialize_pem().as_bytes())?;
        Ok(request)
    }

    fn with(key: KeyPair, machine: &MachineId) -> Result<Self, TrustError> {
        let asking = "ask for a certificate";
        let mut params = CertificateParams::new(Vec::new()).map_err(TrustError::crypto(asking))?;
        params.distinguished_name = Holder::Machine(machine.clone()).subject();
        let der = params.serialize_request(&key).map_err(TrustError::crypto(asking))?.der().to_vec();
        Ok(Self { key, der })
    }

    /// What the authority gets to see.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl Papers {
    /// The papers of a directory, if there are any.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn load(directory: &Path) -> Result<Option<Self>, TrustError> {
        let damaged = |file: &str, why: String| TrustError::Damaged {
            path: directory.join(file),
            what: "what this machine needs to reach its registry",
            why,
            advice: "or remove its directory and join anew, with registry_join= set to a new token",
        };
        let Some(text) = files::read(&directory.join(REGISTRY_FILE))? else { return Ok(None) };
        let registry = serde_json::from_slice(&text).map_err(|error| damaged(REGISTRY_FILE, error.to_string()))?;
        let read = |file: &str| files::read(&directory.join(file))?.ok_or_else(|| damaged(file, "it is gone".into()));
        let (machine, _) = files::pair(&read(MACHINE_FILE)?).map_err(|why| damaged(MACHINE_FILE, why))?;
        let facts = Facts::read(&machine).map_err(|why| damaged(MACHINE_FILE, why))?;
        let authority = certificate(&read(CA_FILE)?).map_err(|why| damaged(CA_FILE, why))?;
        Ok(Some(Self { directory: directory.to_owned(), registry, authority, facts }))
    }

    /// Keeps what the registry at an address answered to a request.
    ///
    /// # Errors
    /// When it cannot be kept, or is no certificate.
    pub fn keep(
        directory: &Path,
        address: &str,
        authority: &str,
        request: &Request,
        certificate: &str,
    ) -> Result<Self, TrustError> {
        files::make_directory(directory)?;
        let facts = write_machine(directory, request, certificate)?;
        files::write(&directory.join(CA_FILE), authority.as_bytes())?;
        let registry = Registry { address: address.to_owned() };
        let text = serde_json::to_vec(&registry).map_err(TrustError::crypto("write down where the registry is"))?;
        // Last: without it there are no papers.
        files::write(&directory.join(REGISTRY_FILE), &text)?;
        // It has done its service; one that stays is asked with again, and does no harm.
        _ = fs::remove_file(directory.join(ASKING_FILE));
        let authority = self::certificate(authority.as_bytes()).map_err(TrustError::crypto("read the authority"))?;
        Ok(Self { directory: directory.to_owned(), registry, authority, facts })
    }

    /// Puts a new certificate, and the key that it is for, in the place of the old.
    ///
    /// # Errors
    /// When it cannot be kept, or is no certificate.
    pub fn renew(&mut self, request: &Request, certificate: &str) -> Result<(), TrustError> {
        self.facts = write_machine(&self.directory, request, certificate)?;
        Ok(())
    }

    /// Where the registry is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.registry.address)
    }

    /// The fingerprint of its authority.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The machine that they are for.
    #[must_use]
    pub fn machine(&self) -> Option<&MachineId> {
        match &self.facts.holder {
            Some(Holder::Machine(id)) => Some(id),
            _ => None,
        }
    }

    /// Until when they count, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.facts.not_after
    }

    /// Whether they count at this machine's time.
    #[must_use]
    pub fn count(&self) -> bool {
        wall_seconds() <= self.facts.not_after
    }

    /// Seconds until the certificate is to be replaced; 0 when that is due.
    #[must_use]
    pub fn renewal_in(&self) -> u64 {
        self.facts.renewal().saturating_sub(wall_seconds())
    }

    /// As a client of the registry needs them.
    #[must_use]
    pub fn files(&self) -> TlsFiles {
        let machine = self.directory.join(MACHINE_FILE);
        TlsFiles {
            ca: Some(self.directory.join(CA_FILE)),
            certificate: Some(machine.clone()),
            key: Some(machine),
            server_name: Some(super::SERVER_NAME.to_owned()),
        }
    }
}

fn write_machine(directory: &Path, request: &Request, certificate: &str) -> Result<Facts, TrustError> {
    let pem = format!("{certificate}{}", request.key.serialize_pem());
    let (der, _) = files::pair(pem.as_bytes()).map_err(TrustError::crypto("read the new certificate"))?;
    let facts = Facts::read(&der).map_err(TrustError::crypto("read the new certificate"))?;
    files::write(&directory.join(MACHINE_FILE), pem.as_bytes())?;
    Ok(facts)
}

/// The fingerprint of a certificate in PEM.
fn certificate(pem: &[u8]) -> Result<String, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem).map_err(|error| format!("no certificate: {error}"))?;
    Ok(fingerprint(&der))
}
