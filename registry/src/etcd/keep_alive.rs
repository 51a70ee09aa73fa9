//! Keep-alives: a question and an answer at a time over a stream that stays open.
//!
//! Sending into a dead stream succeeds; only the answer tells. So a keep-alive counts once its answer is there, and a
//! stream that failed to give one is thrown away.

use etcd_client::proto::{PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::rpc::Rpc;
use crate::store::{ErrorKind, StoreError};
use crate::wire;

/// The stream, while nobody uses it.
#[derive(Debug, Default)]
pub(super) struct KeepAlive {
    idle: Mutex<Option<Exchange>>,
}

#[derive(Debug)]
struct Exchange {
    questions: mpsc::Sender<PbLeaseKeepAliveRequest>,
    answers: Streaming<PbLeaseKeepAliveResponse>,
}

impl KeepAlive {
    /// Renews a lease once.
    pub(super) async fn renew(&self, rpc: &Rpc, id: i64) -> Result<PbLeaseKeepAliveResponse, StoreError> {
        match timeout(rpc.timeout(), self.exchange(rpc, id)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                rpc.leave_endpoint();
                let text = format!("no answer to a keep-alive within {:?}", rpc.timeout());
                Err(StoreError::new(ErrorKind::Unknown, text))
            }
        }
    }

    async fn exchange(&self, rpc: &Rpc, id: i64) -> Result<PbLeaseKeepAliveResponse, StoreError> {
        let mut idle = self.idle.lock().await;
        let question = PbLeaseKeepAliveRequest { id };
        // Out of its place while in use: a renewal that is given up takes the stream with it, so that an answer that
        // comes late cannot be taken for the next one's.
        if let Some(mut exchange) = idle.take()
            && exchange.questions.send(question).await.is_ok()
            && let Ok(answer) = exchange.answer(id).await
        {
            *idle = Some(exchange);
            return Ok(answer);
        }
        let (questions, answers) = rpc.streaming("/etcdserverpb.Lease/LeaseKeepAlive", question).await?;
        let mut exchange = Exchange { questions, answers };
        let answer = exchange.answer(id).await.map_err(|status| wire::from_status(&status))?;
        *idle = Some(exchange);
        Ok(answer)
    }
}

impl Exchange {
    async fn answer(&mut self, id: i64) -> Result<PbLeaseKeepAliveResponse, Status> {
        match self.answers.message().await? {
            Some(answer) if answer.id == id => Ok(answer),
            Some(_) => Err(Status::internal("a keep-alive was answered for another lease")),
            None => Err(Status::unavailable("the stream of keep-alives ended")),
        }
    }
}
