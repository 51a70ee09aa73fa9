//! Where the embedded registry listens.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use super::error::EmbeddedError;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket, for its owner alone.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = EmbeddedError;

    /// Reads `HOST:PORT`, `http://HOST:PORT`, or `unix:///PATH`.
    fn from_str(text: &str) -> Result<Self, EmbeddedError> {
        let bad = |why: String| EmbeddedError::BadAddress { address: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad("the path is not absolute".to_owned()));
            }
            return Ok(Self::Unix(path.into()));
        }
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let mut addresses = host.to_socket_addrs().map_err(|e| bad(e.to_string()))?;
        addresses.next().map(Self::Tcp).ok_or_else(|| bad("it has no address".to_owned()))
    }
}

impl fmt::Display for Listen {
    /// As an endpoint for a client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
