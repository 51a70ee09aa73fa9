//! The authority of one registry: made at its first start, kept beside its data.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use fleet_units::MachineId;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::time::ASN1Time;

use super::certificate::{Facts, Holder, fingerprint};
use super::tls::SERVER_NAME;
use super::{TrustError, files, wall_seconds};
use crate::etcd::TlsFiles;

/// Below the registry's directory.
const DIRECTORY: &str = "trust";
/// The authority: certificate and key.
const AUTHORITY_FILE: &str = "authority.pem";
/// Its certificate alone, for clients.
const CA_FILE: &str = "ca.crt";
/// The administrators': certificate and key.
const ADMINISTRATOR_FILE: &str = "administrator.pem";

/// An etcd in the registry's place: certificate and key.
const ETCD_FILE: &str = "server.pem";

/// How long certificates count.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The authority's own.
    pub authority: Duration,
    /// Those of machines, of the server, and of administrators.
    pub others: Duration,
    /// They count from this many seconds after they were made: before, since clocks differ.
    pub offset: i64,
}

const DAY: u64 = 24 * 3600;

impl Default for Lifetimes {
    fn default() -> Self {
        Self { authority: Duration::from_secs(20 * 365 * DAY), others: Duration::from_secs(90 * DAY), offset: -3600 }
    }
}

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    lifetimes: Lifetimes,
    /// One change of the tokens at a time.
    pub(super) tokens: Mutex<()>,
}

impl Authority {
    /// The authority of a registry's directory, which is made with the first.
    ///
    /// # Errors
    /// When its files cannot be read or written, or are damaged: a new one would shut out every machine.
    pub fn open(registry_directory: &Path, lifetimes: Lifetimes) -> Result<Self, TrustError> {
        let directory = registry_directory.join(DIRECTORY);
        files::make_directory(&directory)?;
        let path = directory.join(AUTHORITY_FILE);
        let pem = match files::read(&path)? {
            Some(pem) => pem,
            None => {
                let pem = make(&lifetimes)?;
                files::write(&path, pem.as_bytes())?;
                tracing::info!("made the registry's authority, {}: keep it as you keep the registry", path.display());
                pem.into_bytes()
            }
        };
        let certificate_pem = format!("{}\n", certificate_of(&String::from_utf8_lossy(&pem)));
        let damaged = |why: String| TrustError::Damaged {
            path: path.clone(),
            what: "the registry's authority",
            why,
            advice: "if there is none, remove the file: another authority is made, and every machine has to join anew",
        };
        let (certificate, key) = files::pair(&pem).map_err(damaged)?;
        let key = KeyPair::try_from(&key).map_err(|error| damaged(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| damaged(error.to_string()))?;
        let authority = Self { directory, certificate, certificate_pem, issuer, lifetimes, tokens: Mutex::default() };
        files::write(&authority.ca_file(), authority.certificate_pem.as_bytes())?;
        Ok(authority)
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate, as text.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// By which those who are invited know it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// Where its certificate is kept, for `etcdctl --cacert`.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join(CA_FILE)
    }

    /// Where the administrators' certificate and key are kept, for `etcdctl --cert` and `--key`.
    #[must_use]
    pub fn administrator_file(&self) -> PathBuf {
        self.directory.join(ADMINISTRATOR_FILE)
    }

    /// How a client goes that has the administrators' certificate.
    #[must_use]
    pub fn administrators_tls(&self) -> TlsFiles {
        let identity = self.administrator_file();
        TlsFiles {
            ca: Some(self.ca_file()),
            certificate: Some(identity.clone()),
            key: Some(identity),
            server_name: Some(SERVER_NAME.to_owned()),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Signs a machine's request, in the machine's name whatever the request says. The certificate is returned as text.
    ///
    /// # Errors
    /// When it is no request, or whoever made it has not the key that it is for.
    pub fn certify(&self, machine: &MachineId, request: &[u8]) -> Result<String, TrustError> {
        let request = read_request(request)?;
        Ok(self.sign(Holder::Machine(machine.clone()), &[], &request.public_key, self.lifetimes.others)?.pem())
    }

    /// As [`Authority::certify`], for a token; the inner error says why it is refused.
    pub(crate) fn admit(
        &self,
        id: &str,
        secret: &str,
        machine: &MachineId,
        request: &[u8],
    ) -> Result<Result<String, String>, TrustError> {
        // Read first: what is no request uses no token up.
        let key = read_request(request)?.public_key;
        match self.redeem(id, secret, machine, key.der_bytes())? {
            Ok(()) => self.certify(machine, request).map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// A new key and certificate for the server, which is found under these names and addresses.
    pub(super) fn server(
        &self,
        names: &[String],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TrustError> {
        let key = KeyPair::generate().map_err(TrustError::crypto("make a key"))?;
        let certificate = self.sign(Holder::Registry, names, &key, self.lifetimes.others)?;
        Ok((certificate.into(), PrivateKeyDer::Pkcs8(key.serialize_der().into())))
    }

    /// Writes into a directory what an etcd serves with in the registry's place, so that machines that joined go on:
    /// `ca.crt` and `server.pem`, certificate and key for a server that is found under these names. It counts as long as
    /// the authority itself does, since nobody renews it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn equip_etcd(&self, directory: &Path, names: &[String]) -> Result<(), TrustError> {
        let key = KeyPair::generate().map_err(TrustError::crypto("make a key"))?;
        let certificate = self.sign(Holder::Registry, names, &key, self.lifetimes.authority)?;
        files::make_directory(directory)?;
        files::write(&directory.join(CA_FILE), self.certificate_pem.as_bytes())?;
        files::write(&directory.join(ETCD_FILE), format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes())
    }

    /// Makes the administrators' certificate where there is none, or where it is to be replaced. Returns when to look
    /// again.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep_administrator(&self) -> Result<u64, TrustError> {
        let path = self.administrator_file();
        let current = files::read(&path)?.and_then(|pem| files::pair(&pem).ok());
        let facts = current.and_then(|(certificate, _)| Facts::read(&certificate).ok());
        if let Some(facts) = facts.filter(|facts| wall_seconds() < facts.renewal()) {
            return Ok(facts.renewal());
        }
        let key = KeyPair::generate().map_err(TrustError::crypto("make a key"))?;
        let certificate = self.sign(Holder::Administrator, &[], &key, self.lifetimes.others)?;
        files::write(&path, format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes())?;
        let facts = Facts::read(certificate.der()).map_err(TrustError::crypto("read the new certificate"))?;
        Ok(facts.renewal())
    }

    /// A certificate that counts for `life`.
    fn sign(
        &self,
        holder: Holder,
        names: &[String],
        key: &impl PublicKeyData,
        life: Duration,
    ) -> Result<Certificate, TrustError> {
        let making = "make a certificate";
        let is_server = holder == Holder::Registry;
        // Those that no certificate can hold are left out: there are others.
        let names = names.iter().filter(|name| name.is_ascii() && !name.is_empty()).cloned();
        let names = if is_server { [SERVER_NAME.to_owned()].into_iter().chain(names).collect() } else { Vec::new() };
        let mut params = CertificateParams::new(names).map_err(TrustError::crypto(making))?;
        params.distinguished_name = holder.subject();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match is_server {
            // An etcd shows its own certificate to itself.
            true => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            false => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        date(&mut params, &self.lifetimes, life)?;
        params.signed_by(key, &self.issuer).map_err(TrustError::crypto(making))
    }
}

fn read_request(request: &[u8]) -> Result<CertificateSigningRequestParams, TrustError> {
    let using = "use the machine's request for a certificate";
    CertificateSigningRequestParams::from_der(&request.into()).map_err(TrustError::crypto(using))
}

/// A new authority, as its file.
fn make(lifetimes: &Lifetimes) -> Result<String, TrustError> {
    let making = "make the registry's authority";
    let key = KeyPair::generate().map_err(TrustError::crypto(making))?;
    let mut params = CertificateParams::new(Vec::new()).map_err(TrustError::crypto(making))?;
    let mut subject = rcgen::DistinguishedName::new();
    // With a name of its own, so that two registries' are told apart.
    subject.push(DnType::CommonName, format!("fleet registry {}", &fingerprint(key.der_bytes())[..16]));
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    date(&mut params, lifetimes, lifetimes.authority)?;
    let certificate = params.self_signed(&key).map_err(TrustError::crypto(making))?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

fn date(params: &mut CertificateParams, lifetimes: &Lifetimes, life: Duration) -> Result<(), TrustError> {
    let now = wall_seconds();
    let at = |seconds: u64| {
        ASN1Time::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
            .map(|time| time.to_datetime())
            .map_err(TrustError::crypto("date a certificate"))
    };
    params.not_before = at(now.saturating_add_signed(lifetimes.offset))?;
    params.not_after = at(now.saturating_add(life.as_secs()))?;
    Ok(())
}

/// The certificate of a file that holds a certificate and its key.
fn certificate_of(pem: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----";
    let start = pem.find("-----BEGIN CERTIFICATE-----").unwrap_or_default();
    let end = pem.find(END).map_or(pem.len(), |end| end + END.len());
    pem.get(start..end).unwrap_or_default()
}
