//! How machines get their certificates: the first for a token, each later one for the one before.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use fleet_units::MachineId;
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::Service as HttpService;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::gate::machine_of;
use super::{Service, mismatched};
use crate::store::{self, RangeRequest, ResponseBody};
use crate::trust::messages::{Certified, JOIN, JoinRequest, RENEW, RenewRequest, SERVICE};
use crate::trust::{Authority, TrustError};

/// The service of a registry that has an authority.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) service: Service,
    pub(super) authority: Arc<Authority>,
}

impl NamedService for Membership {
    const NAME: &'static str = SERVICE;
}

impl Membership {
    async fn join(self, request: JoinRequest) -> Result<Response<Certified>, Status> {
        let JoinRequest { token, secret, machine, request } = request;
        let machine = MachineId::parse(&machine).map_err(|error| Status::invalid_argument(error.to_string()))?;
        // Before the token is used up. One that joins a moment later under the same id is refused by its peers' agents.
        let presence = RangeRequest::key(format!("{}machines/{machine}", self.service.root));
        match self.service.call(store::Request::Range(presence)).await? {
            (_, ResponseBody::Range(range)) if range.count == 0 => {}
            (_, ResponseBody::Range(_)) => {
                return Err(Status::permission_denied(format!(
                    "a machine with the id {machine} is a member and present: two machines have the same /etc/machine-id; \
                     give the new one an id of its own (rm /etc/machine-id; systemd-machine-id-setup)"
                )));
            }
            (_, body) => return Err(mismatched(&body)),
        }
        let authority = Arc::clone(&self.authority);
        let asked = machine.clone();
        let outcome = blocking(move || authority.admit(&token, &secret, &asked, &request)).await?;
        match outcome {
            Ok(certificate) => {
                tracing::info!("machine {machine} has joined with a token");
                Ok(self.certified(certificate))
            }
            Err(why) => {
                tracing::warn!("machine {machine} was not let join: {why}");
                Err(Status::permission_denied(why))
            }
        }
    }

    async fn renew(self, machine: MachineId, request: Vec<u8>) -> Result<Response<Certified>, Status> {
        let (authority, named) = (Arc::clone(&self.authority), machine.clone());
        let certificate = blocking(move || authority.certify(&named, &request)).await?;
        tracing::info!("machine {machine} has a new certificate");
        Ok(self.certified(certificate))
    }

    fn certified(&self, certificate: String) -> Response<Certified> {
        Response::new(Certified { certificate, authority: self.authority.certificate_pem().to_owned() })
    }
}

/// Files are written and synced.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TrustError> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error @ TrustError::Crypto { .. })) => Err(Status::invalid_argument(error.to_string())),
        Ok(Err(error)) => {
            tracing::error!("no certificate was made: {error}");
            Err(Status::unavailable("the registry cannot keep what it hands out: see its log"))
        }
        Err(error) => Err(Status::internal(error.to_string())),
    }
}

struct Join(Membership);
struct Renew(Membership);

impl UnaryService<JoinRequest> for Join {
    type Response = Certified;
    type Future = BoxFuture<'static, Result<Response<Certified>, Status>>;

    fn call(&mut self, request: Request<JoinRequest>) -> Self::Future {
        Box::pin(self.0.clone().join(request.into_inner()))
    }
}

impl UnaryService<RenewRequest> for Renew {
    type Response = Certified;
    type Future = BoxFuture<'static, Result<Response<Certified>, Status>>;

    fn call(&mut self, request: Request<RenewRequest>) -> Self::Future {
        let machine = machine_of(request.extensions()).cloned();
        let membership = self.0.clone();
        Box::pin(async move {
            let machine =
                machine.ok_or_else(|| Status::permission_denied("only machines' certificates are renewed"))?;
            membership.renew(machine, request.into_inner().request).await
        })
    }
}

impl HttpService<http::Request<Body>> for Membership {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let membership = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                JOIN => Grpc::new(ProstCodec::default()).unary(Join(membership), request).await,
                RENEW => Grpc::new(ProstCodec::default()).unary(Renew(membership), request).await,
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}
