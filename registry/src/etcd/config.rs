//! Where etcd is and how to talk to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, Identity, TlsOptions};
use tonic::transport::{Channel, Endpoint};

/// Where the system keeps the authorities that it trusts, for `https://` endpoints without a CA file.
const SYSTEM_AUTHORITIES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// How everything in PEM format begins.
const PEM: &[u8] = b"-----BEGIN ";

/// etcd takes more frequent probes for an attack (`--grpc-keepalive-min-time`) and closes the connection.
const ETCD_KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);

/// What a server may send on a stream before it is read.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Streams that may stand unread without holding up the calls that share their connection.
const UNREAD_STREAMS: u32 = 64;

/// How to reach an etcd cluster.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// `http://HOST:PORT`, `https://HOST:PORT`, or `unix:///PATH`, in order of preference.
    pub endpoints: Vec<String>,
    /// Files for `https://` endpoints.
    pub tls: TlsFiles,
    /// User and password, where etcd asks for them.
    pub credentials: Option<Credentials>,
    /// A call without an answer for this long ends with [`crate::store::ErrorKind::Unknown`].
    pub request_timeout: Duration,
    /// An endpoint that takes longer to connect is passed over.
    pub connect_timeout: Duration,
    /// How often the server is probed. A real etcd hangs up on who asks more often than each 5 seconds.
    pub keep_alive: Duration,
    /// A server that does not answer a probe for this long is given up.
    pub keep_alive_timeout: Duration,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            tls: TlsFiles::default(),
            credentials: None,
            request_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_millis(500),
            keep_alive: ETCD_KEEP_ALIVE_MIN + Duration::from_secs(1),
            keep_alive_timeout: Duration::from_secs(2),
        }
    }
}

/// Certificates and keys, as PEM files.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Who may have signed the server's certificate; the system's authorities if absent.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub certificate: Option<PathBuf>,
    /// The client's key.
    pub key: Option<PathBuf>,
    /// The name in the server's certificate, where that is not the one in its address.
    pub server_name: Option<String>,
}

/// A user of etcd.
#[derive(Clone)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An option that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum EtcdConfigError {
    /// There is none.
    #[error("no etcd endpoint is given (set etcd_servers)")]
    NoEndpoint,
    /// It is not a URL of a kind that is known.
    #[error("bad etcd endpoint {endpoint:?}: {why} (expected http://HOST:PORT, https://HOST:PORT, or unix:///PATH)")]
    BadEndpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?} ({option}): {source}", path = path.display().to_string())]
    Unreadable {
        /// The option that named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path:?} ({option}) holds nothing in PEM format", path = path.display().to_string())]
    NotPem {
        /// The option that named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A client's certificate without its key, or the reverse.
    #[error("etcd_certfile and etcd_keyfile go together: {missing} is missing")]
    HalfIdentity {
        /// The absent option.
        missing: &'static str,
    },
    /// Nobody to trust.
    #[error("https endpoints need etcd_cafile: this system has no list of authorities")]
    NoAuthorities,
    /// What the files hold cannot be used.
    #[error("cannot use TLS with {endpoint}: {why}")]
    BadTls {
        /// The endpoint.
        endpoint: String,
        /// Why.
        why: String,
    },
}

/// An endpoint and the connection to it, made when first used.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) endpoint: String,
    pub(super) channel: Channel,
}

impl EtcdConfig {
    /// Prepares a connection to every endpoint.
    pub(super) fn members(&self) -> Result<Vec<Member>, EtcdConfigError> {
        if self.endpoints.is_empty() {
            return Err(EtcdConfigError::NoEndpoint);
        }
        self.endpoints.iter().map(|endpoint| self.member(endpoint.trim())).collect()
    }

    fn member(&self, url: &str) -> Result<Member, EtcdConfigError> {
        let bad = |why: String| EtcdConfigError::BadEndpoint { endpoint: url.to_owned(), why };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme".to_owned()))?;
        if !matches!(scheme, "http" | "https" | "unix") {
            return Err(bad(format!("unknown scheme {scheme:?}")));
        }
        if rest.trim_matches('/').is_empty() {
            return Err(bad("it names nothing".to_owned()));
        }
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|e| bad(e.to_string()))?
            // Connecting and asking anew have to fit into one call.
            .connect_timeout(self.connect_timeout.min(self.request_timeout / 2))
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(STREAM_WINDOW_BYTES * UNREAD_STREAMS)
            .http2_keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive_timeout)
            .keep_alive_while_idle(true);
        if scheme == "https" {
            let unusable = |e: tonic::transport::Error| EtcdConfigError::BadTls {
                endpoint: url.to_owned(),
                why: std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string),
            };
            endpoint = endpoint.tls_config(self.tls.load()?.timeout(self.connect_timeout)).map_err(unusable)?;
        }
        Ok(Member { endpoint: url.to_owned(), channel: endpoint.connect_lazy() })
    }
}

impl TlsFiles {
    fn load(&self) -> Result<TlsOptions, EtcdConfigError> {
        let mut options = TlsOptions::new();
        options = match &self.ca {
            Some(ca) => options.ca_certificate(Certificate::from_pem(read("etcd_cafile", ca)?)),
            None => options.ca_certificate(Certificate::from_pem(system_authorities()?)),
        };
        if let Some(name) = &self.server_name {
            options = options.domain_name(name);
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (read("etcd_certfile", certificate)?, read("etcd_keyfile", key)?);
                Ok(options.identity(Identity::from_pem(certificate, key)))
            }
            (None, None) => Ok(options),
            (Some(_), None) => Err(EtcdConfigError::HalfIdentity { missing: "etcd_keyfile" }),
            (None, Some(_)) => Err(EtcdConfigError::HalfIdentity { missing: "etcd_certfile" }),
        }
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, EtcdConfigError> {
    let unreadable = |source| EtcdConfigError::Unreadable { option, path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(unreadable)?;
    // Without this a file that is still empty, or another one, would pass for authorities that vouch for nobody.
    match pem.windows(PEM.len()).any(|window| window == PEM) {
        true => Ok(pem),
        false => Err(EtcdConfigError::NotPem { option, path: path.to_owned() }),
    }
}

fn system_authorities() -> Result<Vec<u8>, EtcdConfigError> {
    SYSTEM_AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok()).ok_or(EtcdConfigError::NoAuthorities)
}
