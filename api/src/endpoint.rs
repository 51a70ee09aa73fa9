//! Where a fleetd listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where fleetd listens unless told otherwise.
pub const DEFAULT_ENDPOINT: &str = "unix:///var/run/fleet.sock";

/// The port of an `http://` endpoint that names none.
const HTTP_PORT: u16 = 80;
/// The same of an `https://` endpoint.
const HTTPS_PORT: u16 = 443;

/// Where a fleetd listens: a unix socket, or a TCP address.
///
/// ```
/// use fleet_api::Endpoint;
///
/// let endpoint: Endpoint = "http://192.0.2.2:49153/".parse().unwrap();
/// assert_eq!(endpoint.to_string(), "http://192.0.2.2:49153");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// A host name or address, and a port.
    Http {
        /// Without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same, reached by TLS: a proxy before fleetd, which speaks none to its clients.
    Https {
        /// Without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It names no way to connect that this version knows.
    #[error("endpoint {0:?} must begin with unix://, file://, http://, or https://")]
    Scheme(String),
    /// A unix socket without an absolute path.
    #[error("endpoint {0:?} must name an absolute path, as in {DEFAULT_ENDPOINT}")]
    Path(String),
    /// No host, or a port that is none.
    #[error("endpoint {0:?} must name a host and a port, as in http://192.0.2.2:49153")]
    Host(String),
}

impl Endpoint {
    /// The `Host` header of requests to it.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Http { host, port } | Self::Https { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Http { host, port } | Self::Https { host, port } => format!("{host}:{port}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| EndpointError::Scheme(text.to_owned()))?;
        match scheme {
            "unix" | "file" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" | "file" => Err(EndpointError::Path(text.to_owned())),
            "http" => host_and_port(rest, HTTP_PORT)
                .map(|(host, port)| Self::Http { host, port })
                .ok_or_else(|| EndpointError::Host(text.to_owned())),
            "https" => host_and_port(rest, HTTPS_PORT)
                .map(|(host, port)| Self::Https { host, port })
                .ok_or_else(|| EndpointError::Host(text.to_owned())),
            _ => Err(EndpointError::Scheme(text.to_owned())),
        }
    }
}

/// Splits `host`, `host:port`, `[address]`, or `[address]:port`, with or without a slash at its end.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let text = text.trim_end_matches('/');
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':')?)),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || !host.chars().all(allowed) {
        return None;
    }
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    Some((host.to_owned(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http { .. } => write!(f, "http://{}", self.authority()),
            Self::Https { .. } => write!(f, "https://{}", self.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_that_fleet_read() {
        let cases = [
            ("unix:///var/run/fleet.sock", "unix:///var/run/fleet.sock"),
            ("file:///run/fleet.sock", "unix:///run/fleet.sock"),
            ("http://m1", "http://m1:80"),
            ("http://m1:49153/", "http://m1:49153"),
            ("http://192.0.2.2:49153", "http://192.0.2.2:49153"),
            ("http://[2001:db8::1]:49153", "http://[2001:db8::1]:49153"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]:80"),
            ("https://m1", "https://m1:443"),
            ("https://m1:49153/", "https://m1:49153"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_connect_to() {
        let cases = [
            ("", EndpointError::Scheme(String::new())),
            ("/var/run/fleet.sock", EndpointError::Scheme("/var/run/fleet.sock".into())),
            ("ftp://m1", EndpointError::Scheme("ftp://m1".into())),
            ("unix://", EndpointError::Path("unix://".into())),
            ("unix://fleet.sock", EndpointError::Path("unix://fleet.sock".into())),
            ("http://", EndpointError::Host("http://".into())),
            ("http://:80", EndpointError::Host("http://:80".into())),
            ("http://m1:x", EndpointError::Host("http://m1:x".into())),
            ("http://m1:70000", EndpointError::Host("http://m1:70000".into())),
            ("http://m1/path", EndpointError::Host("http://m1/path".into())),
            ("http://[::1", EndpointError::Host("http://[::1".into())),
            ("https://", EndpointError::Host("https://".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Endpoint>(), Err(expected), "{text}");
        }
    }
}
