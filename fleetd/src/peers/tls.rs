//! TLS between fleetds: version 1.3, certificates at both ends, and no authority but the registry.

use std::sync::Arc;

use fleet_registry::trust::{AnyClient, JudgeServer, JudgedServer, fingerprint};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Error, ServerConfig};

use super::Identity;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// For accepting: whoever proves to have the key of the certificate it shows. Whether the registry knows it is asked
/// right after, since that may take a question to the store.
pub(super) fn accepting(identity: &Identity) -> Result<ServerConfig, Error> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyClient::new(provider, true)))
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    // Connections are few: each proves itself anew.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For connecting: to the one that has the key with this fingerprint.
pub(super) fn connecting(identity: &Identity, pinned: &str) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = pinned_server(Arc::clone(&provider), pinned);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Accepts the key with this fingerprint, and nobody's word for another.
pub(super) fn pinned_server(provider: Arc<CryptoProvider>, fingerprint: &str) -> JudgedServer<PinnedServer> {
    JudgedServer::new(provider, PinnedServer { pinned: fingerprint.to_ascii_lowercase() })
}

/// Judges by a fingerprint.
#[derive(Debug)]
pub(super) struct PinnedServer {
    pinned: String,
}

impl JudgeServer for PinnedServer {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: UnixTime,
    ) -> Result<(), Error> {
        if fingerprint(certificate) == self.pinned {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }
}
