//! Listening, and stopping to.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use futures::TryStreamExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tower::layer::util::{Identity, Stack};

use super::Service;
use super::absent::{Election, Lock};
use super::auth::Auth;
use super::authority::Mended;
use super::gate::GateLayer;
use super::lease_owners::LeaseOwners;
use super::membership::Membership;
use super::secure::Secure;
use crate::embedded::error::EmbeddedError;
use crate::embedded::handle::Embedded;
use crate::embedded::holder;
use crate::embedded::listen::Listen;

/// Larger requests are refused by the store, with etcd's words; far larger ones are not read at all.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// A client that is silent for this long is asked whether it is still there, and given up after as long again.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// Calls under way may be finished for this long when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// A server that listens; it stops when this is dropped.
#[derive(Debug)]
pub struct ServeHandle {
    address: Listen,
    secure: bool,
    stop: Option<oneshot::Sender<()>>,
    /// Its end ends the streams.
    streams: Option<watch::Sender<()>>,
    task: JoinHandle<()>,
    /// What serves it, and ends with it.
    _helpers: JoinSet<()>,
}

impl ServeHandle {
    pub(super) fn new(
        address: Listen,
        secure: bool,
        stop: oneshot::Sender<()>,
        streams: watch::Sender<()>,
        task: JoinHandle<()>,
        helpers: JoinSet<()>,
    ) -> Self {
        Self { address, secure, stop: Some(stop), streams: Some(streams), task, _helpers: helpers }
    }

    /// Whether those alone are served who have a certificate.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Where it listens: with the port that was given to it, if any would do.
    #[must_use]
    pub fn address(&self) -> &Listen {
        &self.address
    }

    /// Stops listening; calls under way are finished, streams are ended.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that it has stopped already.
            let _ = stop.send(());
        }
        self.streams = None;
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for ServeHandle {
    fn drop(&mut self) {
        self.task.abort();
        if let Listen::Unix(path) = &self.address {
            // It may have been taken away already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Embedded {
    /// Serves etcd's protocol on an address. Has to be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address is taken, or cannot be listened on.
    pub async fn serve(&self, address: &Listen) -> Result<ServeHandle, EmbeddedError> {
        let (stop, stopped) = oneshot::channel();
        let (streams, stopping) = watch::channel(());
        let stopped = async {
            // A dropped handle stops it, too.
            let _ = stopped.await;
        };
        let (address, task) = match address {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(|e| refused_tcp(*address, e))?;
                let address = listener.local_addr().map_err(|e| refused_tcp(*address, e))?;
                let address = Listen::Tcp(address);
                // Without it every small answer waits for the client's delayed acknowledgement.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(Mended::new);
                let router = self.router(address.to_string(), stopping, None);
                (address, tokio::spawn(finish(router.serve_with_incoming_shutdown(incoming, stopped))))
            }
            Listen::Unix(path) => {
                let incoming = UnixListenerStream::new(bind_unix(path)?).map_ok(Mended::new);
                let address = Listen::Unix(path.clone());
                let router = self.router(address.to_string(), stopping, None);
                (address, tokio::spawn(finish(router.serve_with_incoming_shutdown(incoming, stopped))))
            }
        };
        Ok(ServeHandle::new(address, false, stop, streams, task, JoinSet::new()))
    }

    pub(super) fn router(
        &self,
        client_url: String,
        stopping: watch::Receiver<()>,
        secure: Option<Secure>,
    ) -> Router<Stack<GateLayer, Identity>> {
        let service = Service {
            registry: self.clone(),
            client_url,
            stopping,
            root: secure.as_ref().map(|secure| secure.root.clone()).unwrap_or_default(),
            lease_owners: Arc::<LeaseOwners>::default(),
        };
        let membership =
            secure.map(|secure| Membership { service: service.clone(), authority: Arc::clone(&secure.authority) });
        Server::builder()
            .http2_keepalive_interval(Some(PROBE_INTERVAL))
            .http2_keepalive_timeout(Some(PROBE_INTERVAL))
            .layer(GateLayer { closed: membership.is_some() })
            .add_optional_service(membership)
            .add_service(PbKvServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST_BYTES))
            .add_service(PbWatchServer::new(service.clone()))
            .add_service(PbLeaseServer::new(service.clone()))
            .add_service(PbMaintenanceServer::new(service.clone()))
            .add_service(PbClusterServer::new(service))
            .add_service(Auth { registry: self.clone() })
            .add_service(Lock)
            .add_service(Election)
    }
}

pub(super) async fn finish(serving: impl Future<Output = Result<(), tonic::transport::Error>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the embedded registry has stopped listening");
    }
}

pub(super) fn refused_tcp(address: std::net::SocketAddr, source: io::Error) -> EmbeddedError {
    if source.kind() == io::ErrorKind::AddrInUse {
        return EmbeddedError::AddressTaken { address: address.to_string(), holder: holder::of_port(address.port()) };
    }
    EmbeddedError::Listen { address: address.to_string(), source }
}

/// Binds a unix socket for its owner alone; one that nobody listens on any more is replaced.
fn bind_unix(path: &Path) -> Result<UnixListener, EmbeddedError> {
    let address = || format!("unix://{}", path.display());
    match UnixStream::connect(path) {
        Ok(_) => {
            return Err(EmbeddedError::AddressTaken { address: address(), holder: "another process".to_owned() });
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(EmbeddedError::io("remove", path))?;
        }
        Err(_) => {}
    }
    let refused = |source| EmbeddedError::Listen { address: address(), source };
    // Bound under another name first, so that it is never there with other permissions.
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let listener = UnixListener::bind(&fresh).map_err(refused)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).map_err(refused)?;
    std::fs::rename(&fresh, path).map_err(refused)?;
    Ok(listener)
}
