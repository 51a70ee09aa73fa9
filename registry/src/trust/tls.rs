//! TLS 1.3, with certificates at both ends.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};

use super::authority::Authority;
use super::certificate::{Facts, fingerprint};
use super::proof::{AnyClient, JudgeServer, JudgedServer};
use super::{TrustError, shown};

/// A name that every registry's certificate has: machines that joined ask for it, so that the registry may be found
/// under any address.
pub const SERVER_NAME: &str = "registry.fleet.internal";

/// The protocol within: HTTP/2, which carries gRPC.
const ALPN: &[u8] = b"h2";

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server's certificate, which is replaced while it serves.
#[derive(Debug)]
pub(crate) struct ServerIdentity {
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerIdentity {
    /// Has one made for a server that is found under these names.
    pub(crate) fn new(authority: &Authority, names: &[String]) -> Result<(Arc<Self>, u64), TrustError> {
        let (key, renewal) = certified(authority, names)?;
        Ok((Arc::new(Self { current: RwLock::new(key) }), renewal))
    }

    /// Replaces it: connections that are open stay as they are. Returns when that is to be done next.
    pub(crate) fn renew(&self, authority: &Authority, names: &[String]) -> Result<u64, TrustError> {
        let (key, renewal) = certified(authority, names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(renewal)
    }

    /// How to accept connections. Whoever connects is judged after the handshake, so that it can be told why it is
    /// refused; here it has only to prove that it has the key of what it shows.
    pub(crate) fn accepting(self: Arc<Self>) -> Result<Arc<ServerConfig>, TrustError> {
        let provider = provider();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(TrustError::crypto("set up TLS"))?
            .with_client_cert_verifier(Arc::new(AnyClient::new(provider, false)))
            .with_cert_resolver(self);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Each connection proves itself anew.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(authority: &Authority, names: &[String]) -> Result<(Arc<CertifiedKey>, u64), TrustError> {
    let using = "use the server's new certificate";
    let (certificate, key) = authority.server(names)?;
    let renewal = Facts::read(&certificate).map_err(TrustError::crypto(using))?.renewal();
    // With the authority's, by which those who are invited know it.
    let chain = vec![certificate, authority.certificate().clone()];
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(TrustError::crypto(using))?;
    Ok((Arc::new(key), renewal))
}

/// For one who was invited: to the registry whose authority has this fingerprint, without a certificate.
pub(super) fn invited(authority: &str) -> Result<ClientConfig, Error> {
    let provider = provider();
    let pinned = Pinned { provider: Arc::clone(&provider), authority: authority.to_owned() };
    let verifier = JudgedServer::new(Arc::clone(&provider), pinned);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// Accepts a server whose certificate was signed by one authority, known by its fingerprint.
#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    authority: String,
}

impl JudgeServer for Pinned {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(authority) = others.iter().find(|other| fingerprint(other) == self.authority) else {
            let found =
                others.last().map_or_else(|| "shows none".to_owned(), |other| format!("has {}", fingerprint(other)));
            return Err(Error::General(format!(
                "the token is for the registry whose authority has the fingerprint {}, and the one that answers {found}: \
                 the token is of another registry, or somebody stands in between",
                self.authority
            )));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        // Nothing is said of revocation.
        match verifier.verify_server_cert(certificate, others, name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => {
                Err(Error::General(dated(&error).unwrap_or_else(|| error.to_string())))
            }
            Err(other) => Err(other),
        }
    }
}

/// The registry's certificate does not count at this machine's time: what that says of the clocks.
pub(crate) fn dated(error: &CertificateError) -> Option<String> {
    match error {
        CertificateError::NotValidYetContext { time, not_before } => Some(format!(
            "the registry's certificate is not valid yet: it counts from {}, and this machine's clock says {}: one of \
             the two machines' clocks is wrong",
            shown(not_before.as_secs()),
            shown(time.as_secs())
        )),
        CertificateError::ExpiredContext { time, not_after } => Some(format!(
            "the registry's certificate ran out at {}, and this machine's clock says {}: the registry renews it while it \
             runs, so one of the two machines' clocks is wrong",
            shown(not_after.as_secs()),
            shown(time.as_secs())
        )),
        _ => None,
    }
}
