//! The accepting end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use fleet_registry::trust::fingerprint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Identity, Members, client, tls};
use crate::http::{self, Caller, Limits};

/// How long the other end may take to prove itself.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many may be proving themselves at once.
const KNOCKING: usize = 64;
/// How many fleetds are served at once: each reads a journal.
const INSIDE: usize = 256;
/// Pause after an accept that failed, so that a lack of file descriptors does not become a lack of processor time.
const PAUSE: Duration = Duration::from_millis(200);

/// Lets in those whose key a machine of the cluster has.
pub struct Porter {
    acceptor: TlsAcceptor,
    members: Members,
}

impl Porter {
    /// For connections to this identity.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(identity: &Identity, members: Members) -> io::Result<Self> {
        let config = tls::accepting(identity).map_err(io::Error::other)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), members })
    }

    /// Makes sure who is at the other end.
    ///
    /// # Errors
    /// When that is nobody of the cluster.
    pub async fn admit<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let stream = self.acceptor.accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let shown = certificates.and_then(|all| all.first()).map(|first| fingerprint(first));
        match shown {
            Some(shown) if self.members.include(&shown).await => Ok(stream),
            Some(shown) => Err(io::Error::other(format!("no machine of the cluster has the key {shown}"))),
            None => Err(io::Error::other("it showed no certificate")),
        }
    }
}

/// Serves `router` to the fleetds of the cluster until told to stop.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    identity: &Identity,
    members: Members,
    router: Router,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let porter = Porter::new(identity, members)?;
    let local = listener.local_addr()?;
    let (admitted, accepted) = mpsc::channel(KNOCKING);
    let door = tokio::spawn(receive(listener, Arc::new(porter), admitted));
    let caller = |_: &TlsStream<TcpStream>, address: &SocketAddr| Caller::Address(*address);
    let limits = Limits { connections: INSIDE, connections_of_one: INSIDE / 2, ..Limits::default() };
    http::receive(Admitted { accepted, local }, caller, router, http::Door::new(limits), stop).await;
    door.abort();
    Ok(())
}

/// Lets in those that the registry knows.
async fn receive(
    listener: TcpListener,
    porter: Arc<Porter>,
    admitted: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let knocking = Arc::new(Semaphore::new(KNOCKING));
    loop {
        let Ok(permit) = Arc::clone(&knocking).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("failed to accept a fleetd: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (porter, admitted) = (Arc::clone(&porter), admitted.clone());
        tokio::spawn(async move {
            let _permit = permit;
            client::settle(&stream);
            match tokio::time::timeout(HANDSHAKE, porter.admit(stream)).await {
                // The server is gone when nobody takes it.
                Ok(Ok(stream)) => _ = admitted.send((stream, address)).await,
                Ok(Err(why)) => tracing::warn!("turned away {address} on the peer port: {why}"),
                Err(_) => tracing::debug!("{address} did not prove itself in time"),
            }
        });
    }
}

/// The connections that were let in, as a listener.
struct Admitted {
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local: SocketAddr,
}

impl axum::serve::Listener for Admitted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(connection) => connection,
            // The door is shut: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.local)
    }
}
