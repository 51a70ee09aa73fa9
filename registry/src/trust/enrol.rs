//! A machine's end of joining.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fleet_units::MachineId;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::invitation::Invitation;
use super::messages::{Certified, JOIN, JoinRequest};
use super::papers::Request;
use super::tls::{SERVER_NAME, invited};

/// Why a machine has not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The registry does not answer: it may do so later.
    #[error("the registry at {address} cannot be reached: {why}")]
    Unreachable {
        /// Where it is looked for.
        address: String,
        /// Why not.
        why: String,
    },
    /// What answers is not the registry that the token is for.
    #[error("the registry at {address} is not trusted: {why}")]
    Untrusted {
        /// Where it is.
        address: String,
        /// Why not.
        why: String,
    },
    /// It does not take the token.
    #[error("the registry at {address} does not let this machine join: {why}")]
    Refused {
        /// Where it is.
        address: String,
        /// What it said.
        why: String,
    },
}

impl JoinError {
    /// Whether trying again may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Exchanges an invitation for a certificate. Returns it, and the authority's, as text.
///
/// # Errors
/// When it is not answered, not trusted, or refused. It may be tried again with the same request.
pub async fn join(
    invitation: &Invitation,
    machine: &MachineId,
    request: &Request,
    timeout: Duration,
) -> Result<(String, String), JoinError> {
    let address = invitation.address.clone();
    let late = |_| JoinError::Unreachable { address: address.clone(), why: format!("no answer within {timeout:?}") };
    let stream = tokio::time::timeout(timeout, connect(invitation)).await.map_err(late)??;
    let question = JoinRequest {
        token: invitation.id.clone(),
        secret: invitation.secret.clone(),
        machine: machine.to_string(),
        request: request.der().to_vec(),
    };
    let answer = tokio::time::timeout(timeout, ask(stream, question)).await.map_err(late)?;
    let Certified { certificate, authority } = answer.map_err(|status| {
        let (address, why) = (address.clone(), status.message().to_owned());
        match status.code() {
            Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => JoinError::Refused { address, why },
            _ => JoinError::Unreachable { address, why },
        }
    })?;
    Ok((certificate, authority))
}

async fn connect(invitation: &Invitation) -> Result<TlsStream<TcpStream>, JoinError> {
    let address = invitation.address.clone();
    let unreachable = |why: String| JoinError::Unreachable { address: address.clone(), why };
    let stream = TcpStream::connect(&address).await.map_err(|error| unreachable(error.to_string()))?;
    let config = invited(&invitation.authority).map_err(|error| unreachable(error.to_string()))?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| unreachable(error.to_string()))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
        let address = address.clone();
        match error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::General(why)) => JoinError::Untrusted { address, why: why.clone() },
            Some(rustls::Error::InvalidMessage(_)) => JoinError::Untrusted {
                address,
                why: "it does not speak TLS; a registry with registry_insecure=true takes no tokens: set \
                      etcd_servers=http://ADDRESS:2379 instead"
                    .to_owned(),
            },
            Some(other) => JoinError::Untrusted { address, why: other.to_string() },
            None => JoinError::Unreachable { address, why: error.to_string() },
        }
    })
}

async fn ask(stream: TlsStream<TcpStream>, question: JoinRequest) -> Result<Certified, Status> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| io::Error::other("the connection was used up"));
        std::future::ready(stream)
    });
    // The name means nothing: the connection is there already.
    let endpoint = Endpoint::from_static("http://registry");
    let broken = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel = endpoint.connect_with_connector(connector).await.map_err(broken)?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(broken)?;
    let codec = ProstCodec::<JoinRequest, Certified>::default();
    let answer = grpc.unary(tonic::Request::new(question), PathAndQuery::from_static(JOIN), codec).await?;
    Ok(answer.into_inner())
}
