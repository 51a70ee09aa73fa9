//! Before every method of a registry that is served beyond its machine: whether this caller may use it at all.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::{Extensions, Status};
use tower::Layer;

use crate::trust::messages::{JOIN, RENEW};
use crate::trust::{Caller, expired, wall_seconds};

/// What machines may use. What a method then does is checked where its request is read.
const FOR_MACHINES: [&str; 16] = [
    RENEW,
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Put",
    "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseGrant",
    "/etcdserverpb.Lease/LeaseRevoke",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.Lease/LeaseTimeToLive",
    "/etcdserverpb.Lease/LeaseLeases",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/HashKV",
    "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.Cluster/MemberList",
    // Clients that were given a password go on without one.
    "/etcdserverpb.Auth/Authenticate",
];

/// Puts the gate before a server's methods, where it is served beyond its machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateLayer {
    pub(super) closed: bool,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, closed: self.closed }
    }
}

/// Lets through who may.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    closed: bool,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.closed {
            let caller = request.extensions().get::<Arc<Caller>>();
            if let Err(status) = admit(caller.map(AsRef::as_ref), request.uri().path()) {
                return Either::Right(ready(Ok(status.into_http())));
            }
        }
        Either::Left(self.inner.call(request))
    }
}

fn admit(caller: Option<&Caller>, path: &str) -> Result<(), Status> {
    let counts = |whose: &str, not_after: u64| match wall_seconds() {
        now if now > not_after => Err(Status::permission_denied(expired(whose, not_after, now))),
        _ => Ok(()),
    };
    match caller {
        None => Err(Status::internal("nobody knows who calls")),
        Some(_) if path == JOIN => Ok(()),
        Some(Caller::Stranger) => Err(Status::permission_denied(
            "this registry is for those who have a certificate of its authority: machines join with a token (`fleetctl \
             registry token`), administrators have theirs beside the registry's data (trust/administrator.pem)",
        )),
        Some(Caller::Refused(why)) => Err(Status::permission_denied(why.clone())),
        Some(Caller::Administrator { not_after }) => counts("the administrators' certificate", *not_after),
        Some(Caller::Machine { id, not_after }) => {
            counts(&format!("the certificate of machine {id}"), *not_after)?;
            if FOR_MACHINES.contains(&path) {
                return Ok(());
            }
            let method = path.rsplit('/').next().unwrap_or_default();
            Err(Status::permission_denied(format!(
                "the certificate of machine {id} is not good for {method}: use the administrators' certificate"
            )))
        }
    }
}

/// Whose rules a request goes by: a machine's, or none where everything is allowed.
pub(super) fn machine_of(extensions: &Extensions) -> Option<&fleet_units::MachineId> {
    match extensions.get::<Arc<Caller>>().map(AsRef::as_ref) {
        Some(Caller::Machine { id, .. }) => Some(id),
        _ => None,
    }
}
