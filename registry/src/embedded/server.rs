//! etcd's gRPC methods in front of the writer.

mod absent;
mod authority;
mod cluster;
mod kv;
mod lease;
mod maintenance;
mod serve;
mod watches;

pub use serve::ServeHandle;

use etcd_client::proto::PbResponseHeader;
use tokio::sync::watch;
use tonic::Status;

use super::handle::Embedded;
use crate::store::{Request, ResponseBody, StoreError};
use crate::wire;

/// What every service answers from.
#[derive(Debug, Clone)]
pub(super) struct Service {
    registry: Embedded,
    /// Where clients find it.
    client_url: String,
    /// Changes, or loses its sender, when the server stops: streams end then.
    stopping: watch::Receiver<()>,
}

impl Service {
    async fn call(&self, request: Request) -> Result<(PbResponseHeader, ResponseBody), Status> {
        let response = self.registry.call(request).await.map_err(refuse)?;
        Ok((wire::header(response.header), response.body))
    }
}

fn refuse(error: StoreError) -> Status {
    wire::to_status(&error)
}

fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

/// For what a single node without users does not do: in etcd's words, which its clients know, and its log says more.
fn unsupported(what: &str) -> Status {
    tracing::info!("{what} was asked for, which the embedded registry does not have: use etcd for it");
    Status::unavailable("etcdserver: not capable")
}

/// An answer of another kind than its question: a bug, which must not take the server down.
fn mismatched(body: &ResponseBody) -> Status {
    Status::internal(format!("the registry gave an answer of another kind: {body:?}"))
}
