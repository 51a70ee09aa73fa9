//! The cluster, which has one member.

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest, PbMemberListResponse,
    PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest, PbMemberRemoveResponse,
    PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::codegen::async_trait;
use tonic::{Request, Response, Status};

use super::{Service, refuse, unsupported};
use crate::wire;

/// The member's name.
const NAME: &str = "fleet-embedded";

#[async_trait]
impl PbClusterService for Service {
    async fn member_list(&self, _: Request<PbMemberListRequest>) -> Result<Response<PbMemberListResponse>, Status> {
        let header = self.registry.status().await.map_err(refuse)?.header;
        let member = PbMember {
            id: header.member_id,
            name: NAME.to_owned(),
            client_ur_ls: vec![self.client_url.clone()],
            ..PbMember::default()
        };
        Ok(Response::new(PbMemberListResponse { header: Some(wire::header(header)), members: vec![member] }))
    }

    async fn member_add(&self, _: Request<PbMemberAddRequest>) -> Result<Response<PbMemberAddResponse>, Status> {
        Err(unsupported("a second member"))
    }

    async fn member_remove(
        &self,
        _: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        Err(unsupported("removing the only member"))
    }

    async fn member_update(
        &self,
        _: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        Err(unsupported("changing the only member"))
    }

    async fn member_promote(
        &self,
        _: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        Err(unsupported("a second member"))
    }
}
