//! Services of etcd that are not there, with words instead of a bare code.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;

use super::unsupported;

/// Users, roles, and permissions.
#[derive(Debug, Clone)]
pub(super) struct Auth;

/// Locks held by the server; etcdctl's `lock` uses it, fleet does not.
#[derive(Debug, Clone)]
pub(super) struct Lock;

/// Elections held by the server.
#[derive(Debug, Clone)]
pub(super) struct Election;

impl NamedService for Auth {
    const NAME: &'static str = "etcdserverpb.Auth";
}

impl NamedService for Lock {
    const NAME: &'static str = "v3lockpb.Lock";
}

impl NamedService for Election {
    const NAME: &'static str = "v3electionpb.Election";
}

/// What is said to a caller of a method.
trait Absent {
    fn answer(path: &str) -> Status;
}

impl Absent for Auth {
    fn answer(path: &str) -> Status {
        // etcd's own words: clients that were given a password go on without one.
        match path.rsplit('/').next() {
            Some("Authenticate" | "AuthDisable") => {
                Status::failed_precondition("etcdserver: authentication is not enabled")
            }
            _ => unsupported("authentication"),
        }
    }
}

impl Absent for Lock {
    fn answer(_: &str) -> Status {
        unsupported("the lock service")
    }
}

impl Absent for Election {
    fn answer(_: &str) -> Status {
        unsupported("the election service")
    }
}

macro_rules! answer_with_status {
    ($($service:ident),+) => {$(
        impl Service<Request<Body>> for $service {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Ready<Result<Response<Body>, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                ready(Ok($service::answer(request.uri().path()).into_http()))
            }
        }
    )+};
}

answer_with_status!(Auth, Lock, Election);
