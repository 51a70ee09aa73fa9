//! etcd's gRPC methods in front of the writer.

mod absent;
mod auth;
mod authority;
mod cluster;
mod gate;
mod kv;
mod lease;
mod lease_owners;
mod maintenance;
mod membership;
mod rules;
mod secure;
mod serve;
mod watches;

pub use secure::{Names, Secure};
pub use serve::ServeHandle;

use std::sync::Arc;

use etcd_client::proto::PbResponseHeader;
use fleet_units::MachineId;
use tokio::sync::watch;
use tonic::Status;

use self::lease_owners::LeaseOwners;
use super::handle::Embedded;
use crate::store::{Request, ResponseBody, StoreError, TxnRequest};
use crate::wire;

/// What every service answers from.
#[derive(Debug, Clone)]
pub(super) struct Service {
    registry: Embedded,
    /// Where clients find it.
    client_url: String,
    /// Changes, or loses its sender, when the server stops: streams end then.
    stopping: watch::Receiver<()>,
    /// The prefix of the cluster's keys, where machines are held to their own.
    root: String,
    lease_owners: Arc<LeaseOwners>,
}

impl Service {
    async fn call(&self, request: Request) -> Result<(PbResponseHeader, ResponseBody), Status> {
        let response = self.registry.call(request).await.map_err(refuse)?;
        Ok((wire::header(response.header), response.body))
    }

    /// Refuses a machine what is not its own to write.
    fn permit(&self, machine: Option<&MachineId>, txn: &TxnRequest) -> Result<(), Status> {
        let Some(machine) = machine else { return Ok(()) };
        rules::check(machine, &self.root, txn).map_err(|why| {
            tracing::warn!("refused: {why}");
            Status::permission_denied(why)
        })
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
