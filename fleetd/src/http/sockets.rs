//! The API's sockets: those that systemd passes, and those that fleetd makes itself.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::config::ListenAddress;
use crate::peers::settle;

/// Who may use a socket that fleetd makes, beside root: its group, if there is one of this name.
const GROUP: &str = "fleet";
/// Its owner and its group.
const MODE: u32 = 0o660;

/// A socket of the API, listening.
#[derive(Debug)]
pub enum ApiSocket {
    /// A unix socket.
    Unix(UnixListener),
    /// A TCP socket.
    Tcp(TcpListener),
}

impl ApiSocket {
    /// Where it is, for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) => address.as_pathname().map_or_else(String::new, |path| path.display().to_string()),
                Err(error) => error.to_string(),
            },
            Self::Tcp(listener) => listener.local_addr().map_or_else(|error| error.to_string(), |a| a.to_string()),
        }
    }
}

/// A TCP listener whose connections send at once, and end when the other end is gone without a word. Without the first,
/// answers on a connection that is used again wait for the other end's delayed acknowledgement: 40 ms each.
#[derive(Debug)]
pub(super) struct Prompt(pub(super) TcpListener);

impl axum::serve::Listener for Prompt {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        settle(&stream);
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Takes every listening socket that systemd passes. Called once, before there are threads.
///
/// # Errors
/// When something else than a listening stream socket is passed.
pub fn passed_by_systemd() -> anyhow::Result<Vec<Passed>> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        // Each of the two leaves a socket of the other kind where it is.
        if let Ok(Some(listener)) = passed.take_unix_listener(index) {
            sockets.push(Passed::Unix(listener));
        } else if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
            sockets.push(Passed::Tcp(listener));
        } else {
            bail!("socket {index} that systemd passes is no listening unix or TCP socket: check fleet.socket");
        }
    }
    Ok(sockets)
}

/// A socket that systemd passed, before the runtime has it.
#[derive(Debug)]
pub enum Passed {
    /// A unix socket.
    Unix(std::os::unix::net::UnixListener),
    /// A TCP socket.
    Tcp(std::net::TcpListener),
}

impl Passed {
    /// Hands it to the runtime.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn register(self) -> io::Result<ApiSocket> {
        match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(ApiSocket::Unix)
            }
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(ApiSocket::Tcp)
            }
        }
    }
}

/// Makes a socket.
///
/// # Errors
/// When the address is taken, by another fleetd or by anything else.
pub async fn open(address: &ListenAddress) -> anyhow::Result<ApiSocket> {
    match address {
        ListenAddress::Tcp(address) => {
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
            Ok(ApiSocket::Tcp(listener))
        }
        ListenAddress::Unix(path) => open_unix(path).map(ApiSocket::Unix),
    }
}

/// Makes a unix socket under a name of its own, gives it its permissions, and moves it into place: nobody meets it
/// half made, and the socket that a dead fleetd left is replaced in one step.
fn open_unix(path: &Path) -> anyhow::Result<UnixListener> {
    refuse_if_served(path)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    let fresh = beside(path);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", fresh.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&fresh).with_context(|| format!("failed to listen on {}", path.display()))?;
    let settle = || -> io::Result<()> {
        // A user's own fleetd serves that user.
        if nix::unistd::geteuid().is_root()
            && let Ok(Some(group)) = nix::unistd::Group::from_name(GROUP)
        {
            std::os::unix::fs::chown(&fresh, None, Some(group.gid.as_raw()))?;
        }
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(MODE))?;
        std::fs::rename(&fresh, path)
    };
    settle().with_context(|| format!("failed to put a socket at {}", path.display()))?;
    Ok(listener)
}

/// Whether somebody answers there already.
fn refuse_if_served(path: &Path) -> anyhow::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("failed to look at {}", path.display()))?,
    };
    if !metadata.file_type().is_socket() {
        bail!("{} is there and is no socket: move it away, or set listen= to another path", path.display());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("another fleetd serves {}: stop it first, or set listen= to another path", path.display()),
        // Nobody listens: its owner is gone.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to see whether anybody serves {}", path.display())),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_served_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/fleet.sock");
        let address = ListenAddress::Unix(path.clone());
        let first = open(&address).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);

        let error = open(&address).await.unwrap_err().to_string();
        assert!(error.contains("another fleetd serves"), "{error}");

        drop(first);
        assert!(path.exists(), "the socket stays behind as after a crash");
        open(&address).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let error = open(&ListenAddress::Unix(path.clone())).await.unwrap_err().to_string();
        assert!(error.contains("is no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let ApiSocket::Tcp(taken) = open(&ListenAddress::parse("127.0.0.1:0").unwrap()).await.unwrap() else {
            panic!("not TCP");
        };
        let address = taken.local_addr().unwrap();
        let error = open(&ListenAddress::Tcp(address)).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
