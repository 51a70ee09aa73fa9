//! Leases.

use std::pin::Pin;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseService, PbLeaseStatus,
    PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use fleet_units::MachineId;
use futures::{Stream, stream};
use tonic::codegen::async_trait;
use tonic::{Request, Response, Status, Streaming};

use super::gate::machine_of;
use super::{Service, mismatched, stopped};
use crate::store::{self, ResponseBody};
use crate::wire;

#[async_trait]
impl PbLeaseService for Service {
    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        let PbLeaseGrantRequest { ttl, id } = request.into_inner();
        match self.call(store::Request::LeaseGrant { ttl, id }).await? {
            (header, ResponseBody::LeaseGrant { id, ttl }) => {
                self.granted(id, machine.as_ref()).await?;
                let error = String::new();
                Ok(Response::new(PbLeaseGrantResponse { header: Some(header), id, ttl, error }))
            }
            (_, body) => Err(mismatched(&body)),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        let id = request.into_inner().id;
        self.own_lease(id, machine.as_ref()).await?;
        let (header, _) = self.call(store::Request::LeaseRevoke { id }).await?;
        Ok(Response::new(PbLeaseRevokeResponse { header: Some(header) }))
    }

    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<PbLeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        let begin = (self.clone(), machine, request.into_inner());
        let answers = stream::unfold(begin, |(mut service, machine, mut requests)| async move {
            let request = tokio::select! {
                request = requests.message() => request,
                _ = service.stopping.changed() => Err(stopped()),
            };
            let answer = match request {
                Ok(Some(PbLeaseKeepAliveRequest { id })) => service.renew(machine.as_ref(), id).await,
                Ok(None) => return None,
                Err(status) => Err(status),
            };
            Some((answer, (service, machine, requests)))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let PbLeaseTimeToLiveRequest { id, keys } = request.into_inner();
        match self.call(store::Request::LeaseTimeToLive { id, keys }).await? {
            (header, ResponseBody::LeaseTimeToLive(status)) => Ok(Response::new(wire::lease_status(header, status))),
            (_, body) => Err(mismatched(&body)),
        }
    }

    async fn lease_leases(&self, _: Request<PbLeaseLeasesRequest>) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        match self.call(store::Request::Leases).await? {
            (header, ResponseBody::Leases(ids)) => {
                let leases = ids.into_iter().map(|id| PbLeaseStatus { id }).collect();
                Ok(Response::new(PbLeaseLeasesResponse { header: Some(header), leases }))
            }
            (_, body) => Err(mismatched(&body)),
        }
    }
}

impl Service {
    async fn renew(&self, machine: Option<&MachineId>, id: i64) -> Result<PbLeaseKeepAliveResponse, Status> {
        self.own_lease(id, machine).await?;
        match self.call(store::Request::LeaseKeepAlive { id }).await? {
            (header, ResponseBody::LeaseKeepAlive { id, ttl }) => Ok(wire::keep_alive_response(header, id, ttl)),
            (_, body) => Err(mismatched(&body)),
        }
    }
}
