//! TLS between fleetds: version 1.3, certificates at both ends, and no authority but the registry.

use std::sync::Arc;

use fleet_registry::trust::AnyClient;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use super::Identity;
use super::identity::fingerprint;

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
    let verifier = PinnedServer::new(Arc::clone(&provider), pinned);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Accepts one key, and nobody's word for another.
#[derive(Debug)]
pub(super) struct PinnedServer {
    provider: Arc<CryptoProvider>,
    pinned: String,
}

impl PinnedServer {
    pub(super) fn new(provider: Arc<CryptoProvider>, fingerprint: &str) -> Self {
        Self { provider, pinned: fingerprint.to_ascii_lowercase() }
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if fingerprint(certificate) == self.pinned {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
