//! Services of etcd that are not there, with words instead of a bare code.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;

use super::unsupported;

/// Locks held by the server; etcdctl's `lock` uses it, fleet does not.
#[derive(Debug, Clone)]
pub(super) struct Lock;

/// Elections held by the server.
#[derive(Debug, Clone)]
pub(super) struct Election;

impl NamedService for Lock {
    const NAME: &'static str = "v3lockpb.Lock";
}

impl NamedService for Election {
    const NAME: &'static str = "v3electionpb.Election";
}

macro_rules! answer_with_status {
    ($($service:ident: $what:literal),+) => {$(
        impl Service<Request<Body>> for $service {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Ready<Result<Response<Body>, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: Request<Body>) -> Self::Future {
                ready(Ok(unsupported($what).into_http()))
            }
        }
    )+};
}

answer_with_status!(Lock: "the lock service", Election: "the election service");
