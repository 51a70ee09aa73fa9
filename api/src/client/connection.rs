//! One HTTP connection to a fleetd.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Join, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Tls, Tunnel};
use crate::{ApiError, Endpoint};

/// What this client calls itself.
const AGENT: &str = concat!("fleet/", env!("CARGO_PKG_VERSION"));

/// Sends requests on a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connects. The connection ends when both the returned half and the answer are dropped.
pub(super) async fn open(endpoint: &Endpoint, tls: Option<&Tls>, limit: Duration) -> Result<Sender, ApiError> {
    let connected = timeout(limit, async {
        match endpoint {
            Endpoint::Unix(path) => Ok(speak_http(endpoint, UnixStream::connect(path).await?).await),
            Endpoint::Http { host, port } | Endpoint::Https { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                speak(endpoint, tls, endpoint, stream).await
            }
        }
    });
    let unreachable = |source: io::Error| ApiError::Unreachable { endpoint: endpoint.to_string(), source };
    match connected.await {
        Ok(Ok(sender)) => sender,
        Ok(Err(error)) => Err(unreachable(error)),
        Err(_) => Err(unreachable(io::Error::other(format!("not connected within {} s", limit.as_secs())))),
    }
}

/// Speaks HTTP over a stream, and TLS below it where the endpoint asks for it.
async fn speak<S>(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    place: &impl ToString,
    stream: S,
) -> io::Result<Result<Sender, ApiError>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Endpoint::Https { host, .. } = endpoint else { return Ok(speak_http(place, stream).await) };
    let tls = tls.ok_or_else(|| io::Error::other("there is no certificate of an authority to know it by"))?;
    Ok(speak_http(place, tls.connect(host, stream).await?).await)
}

/// Starts the program that carries the connection. What is wrong with the way to the server is seen when it is asked; the
/// program says on standard error why.
pub(super) async fn open_through(
    tunnel: &Tunnel,
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    place: &str,
) -> Result<Sender, ApiError> {
    let unreachable = |source: io::Error| ApiError::Unreachable { endpoint: place.to_owned(), source };
    let nothing = || unreachable(io::Error::other("no program to connect by"));
    let (program, arguments) = tunnel.command.split_first().ok_or_else(nothing)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let named = |error: io::Error| {
        unreachable(io::Error::new(error.kind(), format!("cannot run {}: {error}", program.to_string_lossy())))
    };
    let mut child = command.spawn().map_err(named)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(nothing()) };
    // The program is ended with the connection.
    let stream = Carried { stream: tokio::io::join(stdout, stdin), _program: child };
    speak(endpoint, tls, &place, stream).await.map_err(unreachable)?
}

/// What a program carries.
struct Carried {
    stream: Join<ChildStdout, ChildStdin>,
    _program: Child,
}

impl AsyncRead for Carried {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn speak_http<S>(place: &impl ToString, stream: S) -> Result<Sender, ApiError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(place, &error))?;
    // Its errors reach whoever waits for the answer.
    tokio::spawn(connection);
    Ok(sender)
}

/// A request with the headers that every request has.
pub(super) fn request(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, ApiError> {
    let mut request =
        Request::builder().method(method).uri(path).header(HOST, endpoint.authority()).header(USER_AGENT, AGENT);
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body.unwrap_or_default())).map_err(|error| broken(endpoint, &error))
}

/// What hyper says, down to the cause.
pub(super) fn broken(endpoint: &impl ToString, error: &dyn Error) -> ApiError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    ApiError::Broken { endpoint: endpoint.to_string(), reason }
}
