//! The store's requests as etcd's methods.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse, PbRangeRequest, PbRangeResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest,
    PbStatusResponse, PbTxnRequest, PbTxnResponse,
};
use futures::{Stream, StreamExt, stream};
use tonic::Streaming;

use super::config::{EtcdConfig, EtcdConfigError};
use super::keep_alive::KeepAlive;
use super::rpc::{Retry, Rpc};
use super::watch::Watch;
use crate::store::{Answer, Request, Response, ResponseBody, Store, StoreError, WatchRequest, WatchStream};
use crate::trust::messages::{Certified, RENEW, RenewRequest};
use crate::wire::{self, header_from};

/// What an etcd says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdHealth {
    /// Its version.
    pub version: String,
    /// Size of its database, in bytes.
    pub size: u64,
    /// Its alarms, and what else is wrong with it: `memberID:… alarm:NOSPACE`.
    pub alarms: Vec<String>,
}

/// A client of etcd. Clones share connections.
#[derive(Debug, Clone)]
pub struct EtcdStore {
    rpc: Arc<Rpc>,
    keep_alive: Arc<KeepAlive>,
}

impl EtcdStore {
    /// Prepares a client; connections are made when first used, so that etcd need not be up yet. Has to be called
    /// within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Options that cannot work.
    pub fn connect(config: EtcdConfig) -> Result<Self, EtcdConfigError> {
        Ok(Self { rpc: Arc::new(Rpc::new(config)?), keep_alive: Arc::default() })
    }

    /// Prepares a client of a registry that this machine has not joined yet: until [`EtcdStore::reconnect`] every call
    /// fails with these words.
    #[must_use]
    pub fn waiting(timeout: Duration, why: String) -> Self {
        Self { rpc: Arc::new(Rpc::waiting(timeout, why)), keep_alive: Arc::default() }
    }

    /// Says anew why calls fail until then.
    pub fn wait_for(&self, why: String) {
        self.rpc.wait_for(why);
    }

    /// Asks the embedded registry for this machine's next certificate, on a connection that the machine proved itself
    /// on with the present one. It is returned as text.
    ///
    /// # Errors
    ///
    /// When it is not answered, or refused.
    pub async fn certify(&self, request: &[u8]) -> Result<String, StoreError> {
        let request = RenewRequest { request: request.to_vec() };
        let answer: Certified = self.rpc.unary(RENEW, request, Retry::Safe).await?;
        Ok(answer.certificate)
    }

    /// Makes new connections with these endpoints and these TLS files as they are now; what is open stays. User,
    /// password, and times stay as they were.
    ///
    /// # Errors
    ///
    /// Options that cannot work: then nothing has changed.
    pub fn reconnect(&self, config: &EtcdConfig) -> Result<(), EtcdConfigError> {
        self.rpc.reconnect(config)
    }

    /// What the endpoint in use says of itself.
    ///
    /// # Errors
    ///
    /// When none answers, or it does not say.
    pub async fn health(&self) -> Result<EtcdHealth, StoreError> {
        let request = PbStatusRequest::default();
        let answer: PbStatusResponse = self.rpc.unary("/etcdserverpb.Maintenance/Status", request, Retry::Safe).await?;
        let size = u64::try_from(answer.db_size).unwrap_or_default();
        Ok(EtcdHealth { version: answer.version, size, alarms: answer.errors })
    }

    /// The whole store as a file in etcd's form, part by part: see [`crate::snapshot`].
    ///
    /// # Errors
    ///
    /// When no endpoint begins to send; the stream has one more item with what ends it too early.
    pub async fn snapshot(&self) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + Send + use<>, StoreError> {
        let request = PbSnapshotRequest {};
        let parts: Streaming<PbSnapshotResponse> =
            self.rpc.answers("/etcdserverpb.Maintenance/Snapshot", request).await?;
        Ok(parts.map(|part| part.map(|part| Bytes::from(part.blob)).map_err(|status| wire::from_status(&status))))
    }

    async fn carry_out(&self, request: Request) -> Result<Response, StoreError> {
        let (header, body) = match request {
            Request::Range(request) => {
                let request = PbRangeRequest::from(request);
                let answer: PbRangeResponse = self.rpc.unary("/etcdserverpb.KV/Range", request, Retry::Safe).await?;
                (answer.header, ResponseBody::Range(answer.into()))
            }
            Request::Txn(request) => {
                let request = PbTxnRequest::from(request);
                let answer: PbTxnResponse = self.rpc.unary("/etcdserverpb.KV/Txn", request, Retry::Never).await?;
                (answer.header, ResponseBody::Txn(answer.into()))
            }
            Request::LeaseGrant { ttl, id } => {
                let request = PbLeaseGrantRequest { ttl, id };
                let answer: PbLeaseGrantResponse =
                    self.rpc.unary("/etcdserverpb.Lease/LeaseGrant", request, Retry::Never).await?;
                (answer.header, ResponseBody::LeaseGrant { id: answer.id, ttl: answer.ttl })
            }
            Request::LeaseRevoke { id } => {
                let request = PbLeaseRevokeRequest { id };
                let answer: PbLeaseRevokeResponse =
                    self.rpc.unary("/etcdserverpb.Lease/LeaseRevoke", request, Retry::Never).await?;
                (answer.header, ResponseBody::LeaseRevoke)
            }
            Request::LeaseKeepAlive { id } => {
                let answer = self.keep_alive.renew(&self.rpc, id).await?;
                (answer.header, ResponseBody::LeaseKeepAlive { id, ttl: answer.ttl })
            }
            Request::LeaseTimeToLive { id, keys } => {
                let request = PbLeaseTimeToLiveRequest { id, keys };
                let answer: PbLeaseTimeToLiveResponse =
                    self.rpc.unary("/etcdserverpb.Lease/LeaseTimeToLive", request, Retry::Safe).await?;
                (answer.header, ResponseBody::LeaseTimeToLive(answer.into()))
            }
            Request::Leases => {
                let request = PbLeaseLeasesRequest {};
                let answer: PbLeaseLeasesResponse =
                    self.rpc.unary("/etcdserverpb.Lease/LeaseLeases", request, Retry::Safe).await?;
                let ids = answer.leases.iter().map(|lease| lease.id).collect();
                (answer.header, ResponseBody::Leases(ids))
            }
            Request::Compact { revision, physical } => {
                let request = PbCompactionRequest { revision, physical };
                let answer: PbCompactionResponse =
                    self.rpc.unary("/etcdserverpb.KV/Compact", request, Retry::Never).await?;
                (answer.header, ResponseBody::Compact)
            }
        };
        Ok(Response { header: header_from(header), body })
    }
}

impl Store for EtcdStore {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.carry_out(request))
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        let watch = Watch::new(Arc::clone(&self.rpc), request);
        Box::pin(stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await?;
            Some((item, watch))
        }))
    }
}
