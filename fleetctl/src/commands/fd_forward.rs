//! `fleetctl fd-forward`

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::cli::FdForward;
use crate::error::CommandError;
use crate::output::Output;

/// How much is carried at once.
const CHUNK: usize = 64 << 10;

/// Carries standard input to a socket and what comes from there to standard output, until the socket is closed at its
/// other end. The end of standard input is passed on.
pub async fn run(arguments: &FdForward, output: &mut Output) -> Result<u8, CommandError> {
    let [path] = arguments.sockets.as_slice() else {
        return Err(CommandError::message("Provide a single argument"));
    };
    let path = path.strip_prefix("unix://").unwrap_or(path);
    let dialled = UnixStream::connect(path).await;
    // fleet ended with 0 here, so that the other end of a tunnel could not tell.
    let socket =
        dialled.map_err(|error| CommandError::message(format!("Failed dialing remote address: {path}: {error}")))?;
    let (mut from, mut to) = socket.into_split();
    let send = tokio::spawn(async move {
        let mut input = tokio::io::stdin();
        tokio::io::copy(&mut input, &mut to).await?;
        to.shutdown().await
    });
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await;
        let count = read.map_err(|error| CommandError::message(format!("the connection to {path} broke: {error}")))?;
        if count == 0 {
            break;
        }
        output.out().write_all(&chunk[..count])?;
        output.flush()?;
    }
    // Whoever writes is not listened to any more.
    send.abort();
    Ok(0)
}
