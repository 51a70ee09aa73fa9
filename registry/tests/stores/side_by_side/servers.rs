//! A server, called with etcd's own messages: nothing of ours is between the test and the wire.

use etcd_client::proto::{
    PbCompactionResponse, PbDeleteResponse, PbHashKvResponse, PbLeaseGrantResponse, PbLeaseKeepAliveResponse,
    PbLeaseLeasesResponse, PbLeaseRevokeResponse, PbLeaseTimeToLiveResponse, PbPutResponse, PbRangeResponse,
    PbResponseHeader, PbTxnResponse, PbWatchRequest, PbWatchResponse,
};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message;

/// An answer, or etcd's code and words for why there is none.
pub(super) type Outcome<A> = Result<A, (Code, String)>;

/// A message with a header, whose ids are each server's own.
pub(super) trait Headed {
    fn header(&mut self) -> &mut Option<PbResponseHeader>;

    /// Takes out what two clusters never have in common.
    fn aside(&mut self) {
        if let Some(header) = self.header() {
            header.cluster_id = 0;
            header.member_id = 0;
            header.raft_term = 0;
        }
    }
}

macro_rules! headed {
    ($($message:ident),+) => {$(
        impl Headed for $message {
            fn header(&mut self) -> &mut Option<PbResponseHeader> {
                &mut self.header
            }
        }
    )+};
}

headed!(
    PbCompactionResponse,
    PbDeleteResponse,
    PbHashKvResponse,
    PbLeaseGrantResponse,
    PbLeaseKeepAliveResponse,
    PbLeaseLeasesResponse,
    PbLeaseRevokeResponse,
    PbLeaseTimeToLiveResponse,
    PbPutResponse,
    PbRangeResponse,
    PbTxnResponse,
    PbWatchResponse
);

/// A connection to a server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    channel: Channel,
}

impl Server {
    pub(super) async fn connect(endpoint: &str) -> Self {
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("an endpoint");
        Self { channel: endpoint.connect().await.expect("a connection") }
    }

    async fn ready(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.expect("the server is there");
        grpc
    }

    /// Calls a method.
    pub(super) async fn call<Q, A>(&self, method: &'static str, request: Q) -> Outcome<A>
    where
        Q: Message + 'static,
        A: Message + Default + Headed + 'static,
    {
        let method = PathAndQuery::from_static(method);
        let answer = self.ready().await.unary(Request::new(request), method, ProstCodec::default()).await;
        settle(answer.map(tonic::Response::into_inner))
    }

    /// Calls a method with a stream of one request, and takes its first answer.
    pub(super) async fn call_streaming<Q, A>(&self, method: &'static str, request: Q) -> Outcome<A>
    where
        Q: Message + 'static,
        A: Message + Default + Headed + 'static,
    {
        let method = PathAndQuery::from_static(method);
        let requests = Request::new(tokio_stream::once(request));
        let answer = self.ready().await.streaming(requests, method, ProstCodec::default()).await;
        let answer = match answer {
            Ok(answers) => answers.into_inner().next().await.expect("an answer"),
            Err(status) => Err(status),
        };
        settle(answer)
    }

    /// Opens a stream of watches: what is sent into the one end, and what comes out of the other.
    pub(super) async fn watch(&self) -> (mpsc::Sender<PbWatchRequest>, mpsc::UnboundedReceiver<PbWatchResponse>) {
        let (requests, receiver) = mpsc::channel(16);
        let (sender, answers) = mpsc::unbounded_channel();
        let mut grpc = self.ready().await;
        tokio::spawn(async move {
            let requests = Request::new(ReceiverStream::new(receiver));
            let method = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            let stream = grpc.streaming(requests, method, ProstCodec::default()).await;
            let mut stream = stream.expect("a stream of watches").into_inner();
            while let Some(Ok(mut answer)) = stream.next().await {
                PbWatchResponse::aside(&mut answer);
                if sender.send(answer).is_err() {
                    return;
                }
            }
        });
        (requests, answers)
    }
}

fn settle<A: Headed>(answer: Result<A, Status>) -> Outcome<A> {
    match answer {
        Ok(mut answer) => {
            answer.aside();
            Ok(answer)
        }
        Err(status) => Err((status.code(), status.message().to_owned())),
    }
}
