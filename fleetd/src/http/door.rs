//! The door of the API: who is let in, for how long, and what those are told who are not.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::serve::Listener;
use fleet_api::ErrorEntity;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tower::ServiceExt;

use super::failure::RETRY_AFTER;
use super::patient::Patient;
use super::sockets::Prompt;
use super::{ApiSocket, Caller, Limits, VERSION};

/// What is buffered of a connection each way; the head of a request has to fit.
const BUFFER: usize = 32 << 10;
/// How many are being told at once that there is no room. More wait at the socket.
const TURNING_AWAY: usize = 64;
/// How long one may take to hear it.
const LINGER: Duration = Duration::from_secs(2);
/// What is read of one who is told: an end with something unread would take the answer away from it.
const LISTEN: u64 = 1 << 20;

/// The door, shared by all sockets. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    inside: Mutex<BTreeMap<Who, usize>>,
    count: watch::Sender<usize>,
    turning_away: Arc<Semaphore>,
}

/// Whose connection it is, as far as that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    User(u32),
    Address(IpAddr),
    Unknown,
}

impl From<&Caller> for Who {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::User(uid) => Self::User(*uid),
            Caller::Address(address) => Self::Address(address.ip()),
            Caller::Unknown => Self::Unknown,
        }
    }
}

impl Door {
    /// A door with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let turning_away = Arc::new(Semaphore::new(TURNING_AWAY));
        Self { inner: Arc::new(Inner { limits, inside: Mutex::default(), count: watch::Sender::new(0), turning_away }) }
    }

    /// How many are inside, now and with each change.
    #[must_use]
    pub fn inside(&self) -> watch::Receiver<usize> {
        self.inner.count.subscribe()
    }

    /// Lets somebody in, or says why not.
    fn admit(&self, caller: &Caller) -> Result<Admission, (StatusCode, String)> {
        let who = Who::from(caller);
        let limits = &self.inner.limits;
        let mut inside = self.inner.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.inner.count.borrow() >= limits.connections {
            let message = format!("fleetd serves {} connections, and takes no more: try again", limits.connections);
            return Err((StatusCode::SERVICE_UNAVAILABLE, message));
        }
        let own = inside.entry(who).or_default();
        if *own >= limits.connections_of_one {
            let message = format!("{caller} holds {own} connections, and is given no more: close some");
            return Err((StatusCode::TOO_MANY_REQUESTS, message));
        }
        *own += 1;
        self.inner.count.send_modify(|count| *count += 1);
        Ok(Admission { inner: Arc::clone(&self.inner), who })
    }
}

/// A place inside, until it is dropped.
struct Admission {
    inner: Arc<Inner>,
    who: Who,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut inside = self.inner.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.who);
            }
        }
        self.inner.count.send_modify(|count| *count -= 1);
    }
}

/// Serves the routes on one socket until told to stop. Answers under way are finished; streams end with the process.
pub async fn serve(socket: ApiSocket, router: Router, door: Door, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    match socket {
        ApiSocket::Unix(listener) => receive(listener, |stream, _| Caller::of_unix(stream), router, door, stop).await,
        ApiSocket::Tcp(listener) => {
            receive(Prompt(listener), |_, address| Caller::Address(*address), router, door, stop).await;
        }
    }
    Ok(())
}

/// Takes in whoever comes through this listener until told to stop, and sees those inside to their end.
pub(crate) async fn receive<L: Listener>(
    mut listener: L,
    caller_of: impl Fn(&L::Io, &L::Addr) -> Caller,
    router: Router,
    door: Door,
    mut stop: watch::Receiver<bool>,
) {
    // Dropped with the last connection.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        // Those who are turned away are few at once; the others wait at the socket until there is time for them.
        let Ok(turn) = Arc::clone(&door.inner.turning_away).acquire_owned().await else { break };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, which is a stop too.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let caller = caller_of(&stream, &address);
        match door.admit(&caller) {
            Ok(admission) => {
                drop(turn);
                let served = attend(stream, caller, router.clone(), door.inner.limits.clone(), stop.clone());
                let open = open.clone();
                tokio::spawn(async move {
                    served.await;
                    drop((admission, open));
                });
            }
            Err((status, message)) => {
                tracing::warn!("turned a client away: {message}");
                tokio::spawn(async move {
                    // Whoever does not listen is left alone.
                    _ = tokio::time::timeout(LINGER, turn_away(stream, status, message)).await;
                    drop(turn);
                });
            }
        }
    }
    drop((open, listener));
    _ = all_closed.recv().await;
}

/// One connection, to its end.
pub async fn attend<S>(stream: S, caller: Caller, router: Router, limits: Limits, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(caller.clone()));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER);
    let connection = http.serve_connection(TokioIo::new(Patient::new(stream, limits.stall)), service);
    let mut connection = std::pin::pin!(connection);
    // An error means that the sender is gone, which is a stop too.
    let stopped = async { _ = stop.wait_for(|stop| *stop).await };
    let mut ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = stopped => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = Some(connection.await);
    }
    if let Some(Err(error)) = ended {
        tracing::debug!("a connection of the API ended: {error}");
    }
}

/// Says why there is no room, and waits until that has been heard.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    status: StatusCode,
    message: String,
) -> std::io::Result<()> {
    let body = serde_json::to_string(&ErrorEntity::new(status.as_u16(), message)).map_err(std::io::Error::other)?;
    let answer = format!(
        "HTTP/1.1 {status}\r\nServer: fleetd/{VERSION}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Retry-After: {RETRY_AFTER}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LISTEN), &mut tokio::io::sink()).await?;
    Ok(())
}
