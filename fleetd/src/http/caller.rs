//! Who asks, as far as the socket tells.

use std::fmt;
use std::net::SocketAddr;

use tokio::net::UnixStream;

/// The other end of a connection; written into the records that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user of this machine.
    User(u32),
    /// A TCP address.
    Address(SocketAddr),
    /// The socket does not tell.
    Unknown,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid={uid}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Unknown => Ok(()),
        }
    }
}

impl Caller {
    /// The other end of a unix socket.
    pub(super) fn of_unix(stream: &UnixStream) -> Self {
        stream.peer_cred().map_or(Self::Unknown, |credentials| Self::User(credentials.uid()))
    }
}
