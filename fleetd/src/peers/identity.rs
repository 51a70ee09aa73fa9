//! This fleetd's own key and certificate, made at the first start and kept in the state directory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fleet_registry::trust::fingerprint;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const KEY_FILE: &str = "peer.key";
const CERT_FILE: &str = "peer.crt";

/// A key, its certificate, and the fingerprint by which others know it.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("failed to {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// A key or certificate cannot be made.
    #[error("failed to make a key for other fleetds: {0}")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// Reads the identity of the last start, or makes one. A damaged one is replaced: the new fingerprint is published
    /// with the machine's record.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn load_or_make(directory: &Path) -> Result<Self, IdentityError> {
        let (key_path, cert_path) = (directory.join(KEY_FILE), directory.join(CERT_FILE));
        if key_path.exists() && cert_path.exists() {
            match (PrivateKeyDer::from_pem_file(&key_path), CertificateDer::from_pem_file(&cert_path)) {
                (Ok(key), Ok(certificate)) => return Ok(Self::new(certificate, key)),
                (Err(error), _) | (_, Err(error)) => {
                    let directory = directory.display();
                    tracing::warn!("the key in {directory} cannot be read ({error}): making another");
                }
            }
        }
        let pair = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec!["fleetd".to_owned()])?.self_signed(&pair)?;
        fs::create_dir_all(directory).map_err(|source| IdentityError::File {
            what: "create",
            path: directory.to_owned(),
            source,
        })?;
        write(&cert_path, certificate.pem().as_bytes())?;
        write(&key_path, pair.serialize_pem().as_bytes())?;
        let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        Ok(Self::new(certificate.der().clone(), key))
    }

    fn new(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        Self { fingerprint: fingerprint(&certificate), certificate, key }
    }
}

/// Writes a file that only its owner can read, in one step.
fn write(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let fresh = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    attempt().map_err(|source| IdentityError::File { what: "write", path: path.to_owned(), source })
}
