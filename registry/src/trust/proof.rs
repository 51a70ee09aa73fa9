//! Who shows a certificate has to have its key; whether the certificate counts is judged by others.

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// The methods of both of rustls' verifiers that see to the key: in the way of TLS 1.3, and in no other.
macro_rules! proves_its_key {
    () => {
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
    };
}

/// Whether a server's certificate counts.
pub trait JudgeServer: Debug + Send + Sync {
    /// Judges the certificate that a server showed with others, when it was looked for under a name.
    ///
    /// # Errors
    /// When it does not count.
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error>;
}

/// Goes on with a server whose certificate counts and whose key it has.
#[derive(Debug)]
pub struct JudgedServer<J> {
    provider: Arc<CryptoProvider>,
    judge: J,
}

impl<J: JudgeServer> JudgedServer<J> {
    /// One that asks this judge.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>, judge: J) -> Self {
        Self { provider, judge }
    }
}

impl<J: JudgeServer> ServerCertVerifier for JudgedServer<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(certificate, others, name, now).map(|()| ServerCertVerified::assertion())
    }

    proves_its_key!();
}

/// Lets anybody finish the handshake who has the key of the certificate that it shows: whether it may do anything is for
/// others to say, after.
#[derive(Debug)]
pub struct AnyClient {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl AnyClient {
    /// One that lets in who shows nothing too, unless that is `mandatory`.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>, mandatory: bool) -> Self {
        Self { provider, mandatory }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: a client that shows another authority's certificate is to be told so.
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    proves_its_key!();
}
