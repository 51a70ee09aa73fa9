//! Users, roles, and permissions: there are none, as in an etcd where nobody has asked for them.

use std::convert::Infallible;
use std::task::{Context, Poll};

use etcd_client::proto::{PbAuthDisableResponse, PbResponseHeader};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{refuse, unsupported};
use crate::embedded::handle::Embedded;
use crate::wire;

/// The service. It is written by hand, since the generated one has types without names.
#[derive(Debug, Clone)]
pub(super) struct Auth {
    pub(super) registry: Embedded,
}

/// How it stands with users: `AuthStatusResponse`.
#[derive(Clone, PartialEq, ::prost::Message)]
struct AuthStatus {
    #[prost(message, optional, tag = "1")]
    header: Option<PbResponseHeader>,
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

/// Where etcd begins to count changes of users and roles.
const FIRST_AUTH_REVISION: u64 = 1;

struct Disable(Embedded);
struct Look(Embedded);

impl UnaryService<()> for Disable {
    type Response = PbAuthDisableResponse;
    type Future = BoxFuture<'static, Result<Response<Self::Response>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let registry = self.0.clone();
        Box::pin(async move {
            let header = wire::header(registry.status().await.map_err(refuse)?.header);
            Ok(Response::new(PbAuthDisableResponse { header: Some(header) }))
        })
    }
}

impl UnaryService<()> for Look {
    type Response = AuthStatus;
    type Future = BoxFuture<'static, Result<Response<Self::Response>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let registry = self.0.clone();
        Box::pin(async move {
            let header = wire::header(registry.status().await.map_err(refuse)?.header);
            let auth_revision = FIRST_AUTH_REVISION;
            Ok(Response::new(AuthStatus { header: Some(header), enabled: false, auth_revision }))
        })
    }
}

impl NamedService for Auth {
    const NAME: &'static str = "etcdserverpb.Auth";
}

impl Service<http::Request<Body>> for Auth {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let registry = self.registry.clone();
        Box::pin(async move {
            Ok(match request.uri().path().rsplit('/').next() {
                Some("AuthDisable") => Grpc::new(ProstCodec::default()).unary(Disable(registry), request).await,
                Some("AuthStatus") => Grpc::new(ProstCodec::default()).unary(Look(registry), request).await,
                // etcd's own words: clients that were given a password go on without one.
                Some("Authenticate") => {
                    Status::failed_precondition("etcdserver: authentication is not enabled").into_http()
                }
                _ => unsupported("authentication").into_http(),
            })
        })
    }
}
