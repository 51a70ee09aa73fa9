//! One call to whichever endpoint answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message;

use super::auth::Auth;
use super::config::{EtcdConfig, EtcdConfigError, Member};
use crate::store::{ErrorKind, StoreError};
use crate::wire;

/// Connections to all endpoints, of which one is in use.
#[derive(Debug)]
pub(super) struct Rpc {
    members: RwLock<Arc<[Member]>>,
    /// Why there are none yet.
    waiting: Mutex<String>,
    /// The one in use; taken modulo their number.
    current: AtomicUsize,
    auth: Auth,
    timeout: Duration,
}

/// What a call does when the connection breaks before its answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may have taken effect: the caller has to find out.
    Never,
    /// Doing it twice does no harm: the next endpoint is asked.
    Safe,
}

impl Rpc {
    pub(super) fn new(config: EtcdConfig) -> Result<Self, EtcdConfigError> {
        Ok(Self {
            members: RwLock::new(config.members()?.into()),
            waiting: Mutex::default(),
            current: AtomicUsize::new(0),
            auth: Auth::new(config.credentials),
            timeout: config.request_timeout,
        })
    }

    /// Without endpoints: they come with [`Rpc::reconnect`].
    pub(super) fn waiting(timeout: Duration, why: String) -> Self {
        Self {
            members: RwLock::new(Vec::new().into()),
            waiting: Mutex::new(why),
            current: AtomicUsize::new(0),
            auth: Auth::new(None),
            timeout,
        }
    }

    /// What calls fail with while there are none.
    pub(super) fn wait_for(&self, why: String) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn ready(&self) -> Result<(), StoreError> {
        if !self.members().is_empty() {
            return Ok(());
        }
        let why = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(StoreError::new(ErrorKind::Unavailable, why))
    }

    /// Goes by these options from now on, as far as connections go: new ones are made to the same endpoints or others,
    /// with the files as they are now. Streams that are open stay where they are.
    pub(super) fn reconnect(&self, config: &EtcdConfig) -> Result<(), EtcdConfigError> {
        let members = config.members()?.into();
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
        Ok(())
    }

    fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls a method and waits for its answer.
    pub(super) async fn unary<Q, A>(&self, method: &'static str, request: Q, retry: Retry) -> Result<A, StoreError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let method = PathAndQuery::from_static(method);
        let call = |mut grpc: Grpc<Channel>, request| {
            let method = method.clone();
            async move { grpc.unary(request, method, ProstCodec::default()).await.map(Response::into_inner) }
        };
        self.call(request, retry, call).await
    }

    /// Calls a method that answers with a stream.
    pub(super) async fn answers<Q, A>(&self, method: &'static str, request: Q) -> Result<Streaming<A>, StoreError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let method = PathAndQuery::from_static(method);
        let call = |mut grpc: Grpc<Channel>, request| {
            let method = method.clone();
            async move { grpc.server_streaming(request, method, ProstCodec::default()).await.map(Response::into_inner) }
        };
        self.call(request, Retry::Safe, call).await
    }

    /// Makes a call, at one endpoint after the other.
    async fn call<Q, A, F>(
        &self,
        request: Q,
        retry: Retry,
        call: impl Fn(Grpc<Channel>, Request<Q>) -> F,
    ) -> Result<A, StoreError>
    where
        Q: Clone,
        F: Future<Output = Result<A, Status>>,
    {
        self.ready()?;
        let mut attempts = Attempts::new(self, retry);
        loop {
            let attempt = async {
                let (grpc, request) = self.prepare(&attempts.member(), request.clone()).await?;
                call(grpc, request).await
            };
            let outcome = timeout_at(attempts.deadline, attempt).await;
            if let Some(result) = attempts.settle(outcome) {
                return result;
            }
        }
    }

    /// Opens a stream in both directions with its first message.
    pub(super) async fn streaming<Q, A>(
        &self,
        method: &'static str,
        first: Q,
    ) -> Result<(mpsc::Sender<Q>, Streaming<A>), StoreError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.ready()?;
        let mut attempts = Attempts::new(self, Retry::Safe);
        loop {
            let attempt = async {
                let (sender, receiver) = mpsc::channel(1);
                let sent = sender.send(first.clone()).await;
                sent.map_err(|_| Status::internal("a new stream takes no message"))?;
                let (mut grpc, request) = self.prepare(&attempts.member(), ReceiverStream::new(receiver)).await?;
                let method = PathAndQuery::from_static(method);
                let answers = grpc.streaming(request, method, ProstCodec::default()).await?.into_inner();
                Ok((sender, answers))
            };
            let outcome = timeout_at(attempts.deadline, attempt).await;
            if let Some(result) = attempts.settle(outcome) {
                return result;
            }
        }
    }

    /// How long a call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Forgets the token, because the server does not take it. Returns whether trying again may help.
    pub(super) fn forget_token(&self) -> bool {
        self.auth.forget()
    }

    /// Gives up the endpoint in use; the next call goes to the next one.
    pub(super) fn leave_endpoint(&self) {
        self.leave(self.current.load(Ordering::Relaxed));
    }

    async fn prepare<M>(&self, member: &Member, message: M) -> Result<(Grpc<Channel>, Request<M>), Status> {
        let mut grpc = Grpc::new(member.channel.clone()).max_decoding_message_size(wire::MAX_MESSAGE_BYTES);
        let mut request = Request::new(message);
        self.auth.sign(&mut grpc, &mut request).await?;
        // A member without a leader shall say so instead of keeping us waiting.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        grpc.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
        Ok((grpc, request))
    }

    fn leave(&self, index: usize) {
        // Someone else may have moved on already.
        let next = index.wrapping_add(1);
        let moved = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if moved && self.members().len() > 1 {
            let (from, to) = (self.member(index), self.member(next));
            tracing::debug!(from = from.endpoint, to = to.endpoint, "moving on to the next etcd endpoint");
        }
    }

    fn member(&self, index: usize) -> Member {
        let members = self.members();
        members[index % members.len()].clone()
    }
}

/// The attempts of one call, each at the endpoint then in use.
struct Attempts<'a> {
    rpc: &'a Rpc,
    retry: Retry,
    /// For all of them together.
    deadline: Instant,
    left: usize,
    index: usize,
    token_is_fresh: bool,
}

impl<'a> Attempts<'a> {
    #[expect(clippy::disallowed_methods, reason = "a client of the network has deadlines")]
    fn new(rpc: &'a Rpc, retry: Retry) -> Self {
        Self {
            rpc,
            retry,
            deadline: Instant::now() + rpc.timeout,
            left: rpc.members().len(),
            index: rpc.current.load(Ordering::Relaxed),
            token_is_fresh: false,
        }
    }

    fn member(&self) -> Member {
        self.rpc.member(self.index)
    }

    /// What came of an attempt is the call's result, or `None` when there is to be another attempt.
    fn settle<A>(&mut self, outcome: Result<Result<A, Status>, Elapsed>) -> Option<Result<A, StoreError>> {
        let status = match outcome {
            Ok(Ok(answer)) => return Some(Ok(answer)),
            Ok(Err(status)) => status,
            Err(_) => {
                self.rpc.leave(self.index);
                let text = format!("no answer from {} within {:?}", self.member().endpoint, self.rpc.timeout);
                return Some(Err(StoreError::new(ErrorKind::Unknown, text)));
            }
        };
        if !self.token_is_fresh && self.rpc.auth.refused(&status) {
            self.token_is_fresh = true;
            return None;
        }
        let mut error = wire::from_status(&status);
        if !error.is_outage() {
            return Some(Err(error));
        }
        self.rpc.leave(self.index);
        self.left -= 1;
        if self.left == 0 || (error.kind == ErrorKind::Unknown && self.retry == Retry::Never) {
            error.message = format!("{}: {}", self.member().endpoint, error.message);
            return Some(Err(error));
        }
        self.index = self.rpc.current.load(Ordering::Relaxed);
        None
    }
}
