//! Reading from an etcd through version 2 of its API, where CoreOS fleet kept all that it knew.

use std::time::Duration;

use fleet_api::client::Tls;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A tree of thousands of units is a few megabytes.
const LIMIT: Duration = Duration::from_secs(60);
/// etcd's error code for a key that is not there.
const KEY_NOT_FOUND: u64 = 100;

/// A key of the tree and all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The whole key.
    pub key: String,
    /// Its value; a directory has none.
    pub value: Option<String>,
    /// What is below it.
    pub nodes: Vec<Node>,
    /// Seconds that it lives on, where it does not stay.
    pub ttl: Option<i64>,
}

impl Node {
    /// The last part of its key.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// The key of this name directly below it.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.nodes.iter().find(|node| node.name() == name)
    }
}

/// Where an etcd is.
#[derive(Clone, Debug)]
pub struct Etcd2 {
    /// Whom to believe; none where it is spoken to in plain text.
    tls: Option<Tls>,
    host: String,
    port: u16,
    authorization: Option<String>,
}

/// Why nothing was read. Each says what, where, and as far as that is known why.
#[derive(Debug, thiserror::Error)]
pub enum Etcd2Error {
    /// It is no address.
    #[error("{0:?} is no address of an etcd: expected http://HOST:PORT or https://HOST:PORT")]
    Url(String),
    /// It cannot be spoken to.
    #[error("cannot reach etcd at {address}: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// It answered something else than was asked.
    #[error("etcd at {address} refused: {why}")]
    Refused {
        /// Where.
        address: String,
        /// What it said.
        why: String,
    },
    /// The files for TLS cannot be used.
    #[error("{0}")]
    Tls(String),
}

#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error_code: u64,
    message: String,
}

impl Etcd2 {
    /// An etcd at this URL, which may name a user and a password; `tls` is asked for where it begins with `https`.
    ///
    /// # Errors
    /// When it is none, or there is no TLS to be had.
    pub fn new<E: ToString>(url: &str, tls: impl FnOnce() -> Result<Tls, E>) -> Result<Self, Etcd2Error> {
        let wrong = || Etcd2Error::Url(url.to_owned());
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(wrong)?;
        let tls = match scheme {
            "http" => None,
            "https" => Some(tls().map_err(|error| Etcd2Error::Tls(error.to_string()))?),
            _ => return Err(wrong()),
        };
        let rest = rest.trim_end_matches('/');
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (address, 2379),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '?', '#']) || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let authorization = user.map(|user| format!("Basic {}", base64(user.as_bytes())));
        Ok(Self { tls, host: host.to_owned(), port, authorization })
    }

    /// Where it is, without password.
    #[must_use]
    pub fn address(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match self.host.contains(':') {
            true => format!("{scheme}://[{}]:{}", self.host, self.port),
            false => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }

    /// A key and all below it; none where there is no such key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn tree(&self, key: &str) -> Result<Option<Node>, Etcd2Error> {
        let late = || self.unreachable(format!("no answer within {} s", LIMIT.as_secs()));
        let (status, body) = timeout(LIMIT, self.get(key)).await.map_err(|_| late())??;
        let refused = |why: String| Etcd2Error::Refused { address: self.address(), why };
        if status.is_success() {
            let answer: Answer = serde_json::from_slice(&body)
                .map_err(|error| refused(format!("its answer makes no sense: {error}")))?;
            return Ok(Some(answer.node));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) if refusal.error_code == KEY_NOT_FOUND => Ok(None),
            Ok(refusal) => Err(refused(refusal.message)),
            Err(_) if status == StatusCode::NOT_FOUND => Err(refused(
                "it does not speak version 2 of etcd's API: start it with --enable-v2, which etcd has until 3.5"
                    .to_owned(),
            )),
            Err(_) => Err(refused(format!("it answered {status}"))),
        }
    }

    async fn get(&self, key: &str) -> Result<(StatusCode, Vec<u8>), Etcd2Error> {
        let unreachable = |error: &dyn std::error::Error| self.unreachable(error.to_string());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| unreachable(&e))?;
        match &self.tls {
            Some(tls) => self.ask(tls.connect(&self.host, stream).await.map_err(|e| unreachable(&e))?, key).await,
            None => self.ask(stream, key).await,
        }
    }

    async fn ask<S>(&self, stream: S, key: &str) -> Result<(StatusCode, Vec<u8>), Etcd2Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unreachable = |error: &dyn std::error::Error| self.unreachable(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        // Its errors reach whoever waits for the answer.
        tokio::spawn(connection);
        let address = self.address();
        let authority = address.split_once("://").map_or(address.as_str(), |(_, authority)| authority);
        let mut request = Request::get(format!("/v2/keys/{}?recursive=true&quorum=true", key.trim_matches('/')));
        request = request.header(HOST, authority);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|e| unreachable(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|e| unreachable(&e))?;
        Ok((status, body.to_bytes().to_vec()))
    }

    fn unreachable(&self, why: String) -> Etcd2Error {
        Etcd2Error::Unreachable { address: self.address(), why }
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = (bits >> (18 - 6 * i) & 0x3f) as usize;
            text.push(if i <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_password() {
        for (url, expected) in [
            ("http://192.0.2.1:4001", "http://192.0.2.1:4001"),
            ("http://etcd/", "http://etcd:2379"),
            ("http://root:a:b@etcd:2379", "http://etcd:2379"),
            ("http://[2001:db8::1]:2379", "http://[2001:db8::1]:2379"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]:2379"),
        ] {
            assert_eq!(Etcd2::new(url, || Err("no TLS")).unwrap().address(), expected, "{url}");
        }
        for url in
            ["", "etcd:2379", "ftp://etcd", "http://", "http://a:b:c", "http://etcd/v2", "http://a b", "https://etcd"]
        {
            assert!(Etcd2::new(url, || Err("no TLS")).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_are_encoded_as_http_wants_them() {
        for (text, expected) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("root:pass", "cm9vdDpwYXNz")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
