//! How the server is: what `etcdctl endpoint status` and `endpoint health` ask.

use std::pin::Pin;

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse, PbDowngradeRequest,
    PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest, PbHashResponse, PbMaintenanceService,
    PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest,
    PbStatusResponse,
};
use futures::{Stream, stream};
use tonic::codegen::async_trait;
use tonic::{Request, Response, Status};

use super::{Service, refuse, unsupported};
use crate::embedded::writer::AlarmAction;
use crate::snapshot::SnapshotFile;
use crate::wire;

/// The version of etcd whose protocol is served: clients choose by it what they may ask for.
const PROTOCOL_VERSION: &str = "3.4.0";

/// What an alarm request asks for.
const GET: i32 = 0;
const ACTIVATE: i32 = 1;
const DEACTIVATE: i32 = 2;
/// Kinds of alarms.
const ANY: i32 = 0;
const NO_SPACE: i32 = 1;

#[async_trait]
impl PbMaintenanceService for Service {
    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Result<Response<PbAlarmResponse>, Status> {
        let PbAlarmRequest { action, alarm, .. } = request.into_inner();
        let no_space = alarm == NO_SPACE || (action != ACTIVATE && alarm == ANY);
        let (header, on) = match action {
            GET => self.registry.alarm(AlarmAction::Look).await,
            ACTIVATE if no_space => self.registry.alarm(AlarmAction::Raise).await,
            DEACTIVATE if no_space => self.registry.alarm(AlarmAction::Disarm).await,
            _ => return Err(unsupported("an alarm of another kind")),
        }
        .map_err(refuse)?;
        let member = PbAlarmMember { member_id: header.member_id, alarm: NO_SPACE };
        let alarms = if on && no_space { vec![member] } else { Vec::new() };
        Ok(Response::new(PbAlarmResponse { header: Some(wire::header(header)), alarms }))
    }

    async fn status(&self, _: Request<PbStatusRequest>) -> Result<Response<PbStatusResponse>, Status> {
        let status = self.registry.status().await.map_err(refuse)?;
        let size = i64::try_from(status.file_bytes).unwrap_or(i64::MAX);
        let index = status.header.revision.unsigned_abs();
        Ok(Response::new(PbStatusResponse {
            header: Some(wire::header(status.header)),
            version: PROTOCOL_VERSION.to_owned(),
            db_size: size,
            db_size_in_use: size,
            leader: status.header.member_id,
            raft_index: index,
            raft_applied_index: index,
            raft_term: status.header.raft_term,
            errors: status
                .alarmed
                .then(|| format!("memberID:{} alarm:NOSPACE ", status.header.member_id))
                .into_iter()
                .collect(),
            ..PbStatusResponse::default()
        }))
    }

    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Result<Response<PbDefragmentResponse>, Status> {
        let header = self.registry.defragment().await.map_err(refuse)?;
        Ok(Response::new(PbDefragmentResponse { header: Some(wire::header(header)) }))
    }

    /// Of keys and history: etcd's covers its whole file, which no two members have alike.
    async fn hash(&self, _: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        let hashed = self.registry.hash(0).await.map_err(refuse)?;
        Ok(Response::new(PbHashResponse { header: Some(wire::header(hashed.header)), hash: hashed.hash }))
    }

    async fn hash_kv(&self, request: Request<PbHashKvRequest>) -> Result<Response<PbHashKvResponse>, Status> {
        let hashed = self.registry.hash(request.into_inner().revision).await.map_err(refuse)?;
        Ok(Response::new(PbHashKvResponse {
            header: Some(wire::header(hashed.header)),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
            ..PbHashKvResponse::default()
        }))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<PbSnapshotResponse, Status>> + Send>>;

    async fn snapshot(&self, _: Request<PbSnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        let saved = self.registry.snapshot().await.map_err(refuse)?;
        let file = tokio::task::spawn_blocking(move || SnapshotFile::new(saved)).await;
        let mut file = file.map_err(|error| Status::internal(error.to_string()))?;
        // Each part is made when the one before it is on its way.
        let part = move || {
            let blob = file.next()?.to_vec();
            Some(Ok(PbSnapshotResponse { remaining_bytes: file.remaining(), blob, ..PbSnapshotResponse::default() }))
        };
        Ok(Response::new(Box::pin(stream::iter(std::iter::from_fn(part)))))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(Status::failed_precondition("etcdserver: bad leader transferee"))
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(unsupported("a downgrade"))
    }
}
