//! Files that only their owner can read, replaced in one step.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TrustError;

/// Makes a directory that only its owner can enter, if it is not there.
pub(super) fn make_directory(path: &Path) -> Result<(), TrustError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| TrustError::Io { what: "make", path: path.to_owned(), source })
}

/// Replaces a file. It is on the disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let fresh = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    attempt().map_err(|source| TrustError::Io { what: "write", path: path.to_owned(), source })
}

/// A file's bytes, or none where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TrustError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TrustError::Io { what: "read", path: path.to_owned(), source }),
    }
}

/// A certificate and its key out of one file's text, or what is wrong with it.
pub(super) fn pair(pem: &[u8]) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), String> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| format!("no certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("no private key: {error}"))?;
    Ok((certificate, key))
}
