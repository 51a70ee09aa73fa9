//! The connecting end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use fleet_registry::record::PeerEndpoint;
use hyper::body::Incoming;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Identity, tls};

/// How long connecting and the handshake may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the head of an answer may take: the other end starts a process first.
const ANSWER: Duration = Duration::from_secs(15);
/// Seconds of silence after which the kernel asks whether the other end still lives, and between such questions.
const KEEP_ALIVE: u32 = 5;
/// Questions without an answer after which it does not.
const KEEP_ALIVE_PROBES: u32 = 3;

/// Other machines' fleetds. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Peers {
    identity: Arc<Identity>,
}

/// Why another fleetd gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It cannot be reached, or one end does not accept the other.
    #[error("failed to connect to the fleetd at {address}: {why}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// It does not answer.
    #[error("the fleetd at {address} did not answer: {why}")]
    Answer {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
}

impl Peers {
    /// Connects as this identity.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity }
    }

    /// Asks for a path. The body comes as it is sent; dropping it ends the connection.
    ///
    /// # Errors
    /// When there is no connection or no answer in time.
    pub async fn get(&self, endpoint: &PeerEndpoint, path: &str) -> Result<hyper::Response<Incoming>, PeerError> {
        self.call(Method::GET, endpoint, path).await
    }

    /// As [`Peers::get`], with another method.
    ///
    /// # Errors
    /// As there; it may have been done all the same.
    pub async fn call(
        &self,
        method: Method,
        endpoint: &PeerEndpoint,
        path: &str,
    ) -> Result<hyper::Response<Incoming>, PeerError> {
        let address = &endpoint.address;
        let no_connection = |why: String| PeerError::Connect { address: address.clone(), why };
        let stream = tokio::time::timeout(CONNECT, self.connect(endpoint))
            .await
            .map_err(|_| no_connection(format!("no answer within {} s", CONNECT.as_secs())))?
            .map_err(|error| no_connection(error.to_string()))?;
        ask(stream, method, address, path).await
    }

    async fn connect(&self, endpoint: &PeerEndpoint) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&endpoint.address).await?;
        settle(&stream);
        self.secure(stream, &endpoint.fingerprint).await
    }

    /// Makes sure that the other end has the key with this fingerprint, and shows it the own one.
    ///
    /// # Errors
    /// When it has not, or speaks another language.
    pub async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        fingerprint: &str,
    ) -> io::Result<TlsStream<S>> {
        let config = tls::connecting(&self.identity, fingerprint).map_err(io::Error::other)?;
        // The name means nothing here; the key is what counts.
        let name = ServerName::try_from("fleetd").map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Asks the fleetd at the other end of a stream, which is at this address.
///
/// # Errors
/// When it does not answer in time, or with something else.
pub async fn ask<S>(
    stream: S,
    method: Method,
    address: &str,
    path: &str,
) -> Result<hyper::Response<Incoming>, PeerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let no_answer = |why: String| PeerError::Answer { address: address.to_owned(), why };
    let answer = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer's body, or with the other end.
        tokio::spawn(connection);
        let request =
            Request::builder().method(method).uri(path).header(hyper::header::HOST, address).body(Body::empty());
        match request {
            Ok(request) => Ok(sender.send_request(request).await?),
            Err(error) => Err(Box::<dyn std::error::Error + Send + Sync>::from(error)),
        }
    };
    tokio::time::timeout(ANSWER, answer)
        .await
        .map_err(|_| no_answer(format!("nothing within {} s", ANSWER.as_secs())))?
        // Under TLS 1.3 the other end's refusal shows only here.
        .map_err(|error| no_answer(format!("{error}; it may not have found this machine in the registry")))
}

/// Small packets go out at once, and an end that is gone is noticed while a journal is silent.
pub(crate) fn settle(stream: &TcpStream) {
    let set = || -> nix::Result<()> {
        setsockopt(stream, sockopt::TcpNoDelay, &true)?;
        setsockopt(stream, sockopt::KeepAlive, &true)?;
        setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE)?;
        setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE)?;
        setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES)
    };
    if let Err(error) = set() {
        tracing::debug!("failed to set up a connection: {error}");
    }
}
