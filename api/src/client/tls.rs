//! TLS towards a server that speaks it: a proxy in front of fleetd.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to believe, and as whom to come. The server's certificate is verified always.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Why there is no TLS to be had with these certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authorities cannot be read.
    #[error("no certificate of an authority can be read: {0}")]
    Authorities(String),
    /// The client's own certificate or key cannot be read.
    #[error("the client's certificate and key cannot be used: {0}")]
    Identity(String),
}

impl Tls {
    /// Believes the authorities in this PEM text, and comes with this certificate and key where the server asks.
    pub fn new(authorities: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| TlsError::Authorities(error.to_string()))?;
            // A bundle may hold some that nothing can be done with.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(TlsError::Authorities("there is none in the file".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: &dyn fmt::Display| TlsError::Identity(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
                let chain = chain.map_err(|error| unusable(&error))?;
                config.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// Speaks TLS over a connection to this host.
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let invalid = |error: InvalidDnsNameError| io::Error::new(io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::ServerConfig;
    use rustls::server::WebPkiClientVerifier;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::Client;

    /// An authority, and a certificate for localhost with its key that it has signed.
    struct Signed {
        authority: String,
        certificate: String,
        key: String,
    }

    fn signed() -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Signed { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A server that asks for a certificate, and answers one question.
    async fn server(signed: &Signed) -> u16 {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(signed.authority.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = r#"{"revision":1,"machines":[]}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        });
        port
    }

    async fn asked(port: u16, tls: Option<Tls>) -> Result<i64, String> {
        let endpoint = format!("https://localhost:{port}").parse().unwrap();
        let mut client = Client::new(endpoint);
        if let Some(tls) = tls {
            client = client.with_tls(tls);
        }
        client.machines().await.map(|list| list.revision).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_server_is_believed_that_the_authority_vouches_for() {
        let ours = signed();
        let identity = Some((ours.certificate.as_bytes(), ours.key.as_bytes()));
        let known = Tls::new(ours.authority.as_bytes(), identity).unwrap();
        assert_eq!(asked(server(&ours).await, Some(known.clone())).await, Ok(1));

        let words = asked(server(&signed()).await, Some(known)).await.unwrap_err();
        assert!(words.contains("certificate"), "a stranger is believed: {words}");
        let nobody = Tls::new(ours.authority.as_bytes(), None).unwrap();
        assert!(asked(server(&ours).await, Some(nobody)).await.is_err(), "nobody was let in");
        let words = asked(server(&ours).await, None).await.unwrap_err();
        assert!(words.contains("no certificate"), "{words}");
    }

    #[test]
    fn certificates_that_are_none_are_named() {
        assert!(Tls::new(b"nonsense", None).unwrap_err().to_string().contains("there is none in the file"));
        let ours = signed();
        let identity = Some((ours.certificate.as_bytes(), b"nonsense".as_slice()));
        let words = Tls::new(ours.authority.as_bytes(), identity).unwrap_err().to_string();
        assert!(words.starts_with("the client's certificate and key cannot be used: "), "{words}");
    }
}
