//! Listening beyond the own machine: mutual TLS only.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::authority::Mended;
use super::serve::{ServeHandle, finish, refused_tcp};
use crate::embedded::error::EmbeddedError;
use crate::embedded::handle::Embedded;
use crate::embedded::listen::Listen;
use crate::trust::{Authority, Caller, Judge, ServerIdentity, TrustError, wall_seconds};

/// How long the other end may take to prove itself.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long one without a certificate that counts may stay: it has come to join, or to be told why it may not.
const STRANGERS_STAY: Duration = Duration::from_secs(15);
/// How many may be proving themselves, or be strangers, at once.
const KNOCKING: usize = 128;
/// Pause after an accept that failed, so that a lack of file descriptors does not become a lack of processor time.
const PAUSE: Duration = Duration::from_millis(200);
/// Certificates are looked at this often at the least: wall clocks jump, and machines get other addresses.
const LOOKED_AT: u64 = 3600;
/// A certificate that could not be made is tried again after this long.
const TRIED_AGAIN: u64 = 60;

/// Names and addresses under which the registry is found, as they are now.
pub type Names = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What serving beyond the own machine takes.
#[derive(Clone)]
pub struct Secure {
    /// Whose certificates count.
    pub authority: Arc<Authority>,
    /// What the server's certificate is made out to, beside the address that it listens on.
    pub names: Names,
    /// The prefix of the cluster's keys, which machines write below.
    pub root: String,
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Serves etcd's protocol to those who have a certificate of an authority, and lets machines join. Has to be called
    /// within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address is taken, or cannot be listened on, or there is nothing to speak TLS with.
    pub async fn serve_secure(&self, address: SocketAddr, secure: Secure) -> Result<ServeHandle, EmbeddedError> {
        let listener = TcpListener::bind(address).await.map_err(|e| refused_tcp(address, e))?;
        let address = listener.local_addr().map_err(|e| refused_tcp(address, e))?;
        let names = named(&secure, address);
        let (identity, renewal) = ServerIdentity::new(&secure.authority, &names)?;
        let renewal = renewal.min(secure.authority.keep_administrator()?);
        let porter = Porter {
            acceptor: TlsAcceptor::from(Arc::clone(&identity).accepting()?),
            judge: Judge::new(&secure.authority)?,
        };
        let (admitted, accepted) = mpsc::channel(KNOCKING);
        let mut helpers = JoinSet::new();
        helpers.spawn(receive(listener, Arc::new(porter), admitted));
        helpers.spawn(renew(secure.clone(), address, identity, names, renewal));

        let (stop, stopped) = oneshot::channel();
        let (streams, stopping) = watch::channel(());
        let stopped = async {
            // A dropped handle stops it, too.
            let _ = stopped.await;
        };
        let incoming = ReceiverStream::new(accepted).map_ok(Mended::new);
        let router = self.router(format!("https://{address}"), stopping, Some(secure));
        let task = tokio::spawn(finish(router.serve_with_incoming_shutdown(incoming, stopped)));
        Ok(ServeHandle::new(Listen::Tcp(address), true, stop, streams, task, helpers))
    }
}

fn named(secure: &Secure, address: SocketAddr) -> Vec<String> {
    let mut names = (secure.names)();
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Replaces the server's and the administrators' certificates before they run out.
async fn renew(
    secure: Secure,
    address: SocketAddr,
    identity: Arc<ServerIdentity>,
    mut names: Vec<String>,
    mut renewal: u64,
) {
    loop {
        let wait = renewal.saturating_sub(wall_seconds()).clamp(1, LOOKED_AT);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let now = named(&secure, address);
        if now == names && wall_seconds() < renewal {
            continue;
        }
        let (authority, identity, listed) = (Arc::clone(&secure.authority), Arc::clone(&identity), now.clone());
        let work = move || -> Result<u64, TrustError> {
            let administrators = authority.keep_administrator()?;
            Ok(identity.renew(&authority, &listed)?.min(administrators))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(next)) => {
                tracing::info!("the registry has a new certificate, for {}", now.join(", "));
                (names, renewal) = (now, next);
            }
            Ok(Err(error)) => {
                tracing::error!("the registry's certificate was not renewed: {error}");
                renewal = wall_seconds() + TRIED_AGAIN;
            }
            Err(_) => return,
        }
    }
}

struct Porter {
    acceptor: TlsAcceptor,
    judge: Judge,
}

impl Porter {
    async fn admit(&self, stream: TcpStream, permit: OwnedSemaphorePermit) -> io::Result<Admitted> {
        stream.set_nodelay(true)?;
        let stream = self.acceptor.accept(stream).await?;
        let caller = self.judge.judge(stream.get_ref().1.peer_certificates(), wall_seconds());
        let stay = match &caller {
            Caller::Machine { .. } | Caller::Administrator { .. } => None,
            Caller::Stranger | Caller::Refused(_) => Some((Box::pin(tokio::time::sleep(STRANGERS_STAY)), permit)),
        };
        Ok(Admitted { stream, caller: Arc::new(caller), stay })
    }
}

/// Finds out who connects.
async fn receive(listener: TcpListener, porter: Arc<Porter>, admitted: mpsc::Sender<io::Result<Admitted>>) {
    let knocking = Arc::new(Semaphore::new(KNOCKING));
    let mut handshakes = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&knocking).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("failed to accept a connection to the registry: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while handshakes.try_join_next().is_some() {}
        let (porter, admitted) = (Arc::clone(&porter), admitted.clone());
        handshakes.spawn(async move {
            match tokio::time::timeout(HANDSHAKE, porter.admit(stream, permit)).await {
                Ok(Ok(connection)) => {
                    if let Caller::Refused(why) = connection.caller.as_ref() {
                        tracing::warn!("turned away {address} at the registry: {why}");
                    }
                    // The server is gone when nobody takes it.
                    _ = admitted.send(Ok(connection)).await;
                }
                Ok(Err(error)) => tracing::debug!("no connection from {address} to the registry: {error}"),
                Err(_) => tracing::debug!("{address} did not finish a handshake in time"),
            }
        });
    }
}

/// A connection whose other end is known, or known to be a stranger.
struct Admitted {
    stream: TlsStream<TcpStream>,
    caller: Arc<Caller>,
    /// How long it may stay, and the place that it takes meanwhile.
    stay: Option<(Pin<Box<Sleep>>, OwnedSemaphorePermit)>,
}

impl Connected for Admitted {
    type ConnectInfo = Arc<Caller>;

    fn connect_info(&self) -> Arc<Caller> {
        Arc::clone(&self.caller)
    }
}

impl AsyncRead for Admitted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some((stay, _)) = &mut this.stay
            && stay.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.stream).poll_read(context, out)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
