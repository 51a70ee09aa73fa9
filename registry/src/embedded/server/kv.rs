//! Keys and values.

use std::pin::Pin;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbResponseHeader, PbTxnRequest,
    PbTxnResponse,
};
use fleet_units::MachineId;
use futures::Stream;
use tonic::codegen::async_trait;
use tonic::{Request, Response, Status};

use super::gate::machine_of;
use super::{Service, mismatched, refuse, unsupported};
use crate::memory::{KEY_NOT_FOUND, lease_not_found};
use crate::store::{self, Operation, OperationResponse, ResponseBody, TxnRequest};
use crate::wire;

impl Service {
    async fn txn(
        &self,
        machine: Option<&MachineId>,
        request: TxnRequest,
    ) -> Result<(PbResponseHeader, store::TxnResponse), Status> {
        self.permit(machine, &request)?;
        match self.call(store::Request::Txn(request)).await? {
            (header, ResponseBody::Txn(txn)) => Ok((header, txn)),
            (_, body) => Err(mismatched(&body)),
        }
    }

    /// Carries out a single operation.
    async fn operation(
        &self,
        machine: Option<&MachineId>,
        operation: Operation,
    ) -> Result<(PbResponseHeader, OperationResponse), Status> {
        let request = TxnRequest { success: vec![operation], ..TxnRequest::default() };
        let (header, mut txn) = self.txn(machine, request).await?;
        let response = txn.responses.pop().ok_or_else(|| Status::internal("an operation has no outcome"))?;
        Ok((header, response))
    }

    /// Refuses what is about a lease that there is not.
    async fn lease(&self, id: i64) -> Result<(), Status> {
        match self.call(store::Request::LeaseTimeToLive { id, keys: false }).await? {
            (_, ResponseBody::LeaseTimeToLive(lease)) if lease.ttl < 0 => Err(refuse(lease_not_found())),
            _ => Ok(()),
        }
    }
}

fn other(response: &OperationResponse) -> Status {
    Status::internal(format!("an operation has an outcome of another kind: {response:?}"))
}

#[async_trait]
impl PbKvService for Service {
    async fn range(&self, request: Request<PbRangeRequest>) -> Result<Response<PbRangeResponse>, Status> {
        let request = request.into_inner().try_into().map_err(refuse)?;
        match self.call(store::Request::Range(request)).await? {
            (header, ResponseBody::Range(range)) => Ok(Response::new(wire::range_response(header, range))),
            (_, body) => Err(mismatched(&body)),
        }
    }

    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<PbRangeStreamResponse, Status>> + Send>>;

    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(unsupported("a streamed range"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        let put: store::PutRequest = request.into_inner().into();
        let lease = put.lease;
        let outcome = match self.operation(machine.as_ref(), Operation::Put(put)).await {
            // Outside of a transaction etcd looks for the lease before it looks for the key.
            Err(status) if status.message() == KEY_NOT_FOUND && lease != 0 => {
                self.lease(lease).await?;
                return Err(status);
            }
            outcome => outcome?,
        };
        match outcome {
            (header, OperationResponse::Put(put)) => Ok(Response::new(wire::put_response(header, put))),
            (_, response) => Err(other(&response)),
        }
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Result<Response<PbDeleteResponse>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        match self.operation(machine.as_ref(), Operation::Delete(request.into_inner().into())).await? {
            (header, OperationResponse::Delete(delete)) => Ok(Response::new(wire::delete_response(header, delete))),
            (_, response) => Err(other(&response)),
        }
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let machine = machine_of(request.extensions()).cloned();
        let request = request.into_inner().try_into().map_err(refuse)?;
        let (header, txn) = Service::txn(self, machine.as_ref(), request).await?;
        Ok(Response::new(wire::txn_response(header, txn)))
    }

    async fn compact(&self, request: Request<PbCompactionRequest>) -> Result<Response<PbCompactionResponse>, Status> {
        let PbCompactionRequest { revision, physical } = request.into_inner();
        let (header, _) = self.call(store::Request::Compact { revision, physical }).await?;
        Ok(Response::new(PbCompactionResponse { header: Some(header) }))
    }
}
