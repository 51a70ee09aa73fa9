//! Values of options: text in, typed values or a description of what was expected out.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// Where something listens: a path for a unix socket, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

impl ListenAddress {
    /// Reads `/path`, `unix:///path`, `host:port`, `tcp://host:port`, or `http://host:port`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a path such as /run/fleet.sock, or an address such as 127.0.0.1:49153".to_owned();
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        address_of(address).map(Self::Tcp).ok_or_else(expected)
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// `address:port`, `:port` for any address, or a host name that resolves.
pub(super) fn address_of(text: &str) -> Option<SocketAddr> {
    let text = text.trim_end_matches('/');
    if let Some(port) = text.strip_prefix(':') {
        return Some(SocketAddr::from(([0, 0, 0, 0], port.parse().ok()?)));
    }
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}

/// A duration as Go writes them: `10s`, `1m30s`, `1.5h`, `300ms`. The unit is part of it, except for `0`.
///
/// # Errors
/// What was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration with its unit, such as 10s, 1m30s, or 500ms".to_owned();
    match text {
        "" => return Err(wrong()),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (amount, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let amount: f64 = amount.parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(amount * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

/// Seconds as a number, fleet's way, or a duration with its unit.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => parse_duration(text).ok(),
    };
    parsed.filter(|d| !d.is_zero()).ok_or_else(|| "seconds above zero, such as 1.0".to_owned())
}

/// A yes or no, as Go reads them.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// `a,b` or `["a","b"]`.
pub(super) fn list(text: &str) -> Vec<String> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let item = |s: &str| s.trim().trim_matches(['"', '\'']).trim().to_owned();
    text.split(',').map(item).filter(|s| !s.is_empty()).collect()
}

/// Endpoints of etcd.
pub(super) fn servers(text: &str) -> Result<Vec<String>, String> {
    let expected = "a list of endpoints such as http://192.0.2.1:2379,http://192.0.2.2:2379";
    let servers: Vec<String> = list(text)
        .into_iter()
        .map(|server| if server.contains("://") { server } else { format!("http://{server}") })
        .collect();
    let fine = |server: &String| {
        server.split_once("://").is_some_and(|(scheme, rest)| match scheme {
            "unix" => rest.starts_with('/'),
            "http" | "https" => !rest.trim_matches('/').is_empty() && !rest.contains(char::is_whitespace),
            _ => false,
        })
    };
    if servers.is_empty() || !servers.iter().all(fine) { Err(expected.to_owned()) } else { Ok(servers) }
}

/// `key=value,key2=value2`: blanks around both are dropped, the last of two equal keys counts.
pub(super) fn metadata(text: &str) -> Result<BTreeMap<String, String>, String> {
    list(text)
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err(format!("key=value pairs with commas between; `{pair}` is none")),
        })
        .collect()
}
