//! The client: one method a call.
//!
//! Each call opens a connection of its own. Over a unix socket that costs some microseconds, a stream needs one anyway,
//! and nothing is set up that a single call does not use: a whole `fleetctl list-units` has ten milliseconds. Only by a
//! tunnel, where a connection is a login, one is kept.

mod connection;
mod former;
mod lines;
mod patience;
mod plan;
mod tls;
mod wanted;

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::v2::{
    BrakeAnswer, BrakeRequest, ClusterStatus, DestroyAnswer, DestroyRequest, Explanation, ForgetAnswer, JoinRequest,
    MachineList, Membership, OperateAnswer, OperateRequest, OrphanRequest, RestoreAnswer, RestoreRequest, TokenAnswer,
    TokenRequest, UnitList, UnitStatus, UnitText, UnitsAnswer, UnitsRequest, UploadAnswer, WatchLine,
};
use crate::{ApiError, Endpoint, ErrorEntity, paths, percent, v1};

use connection::Sender;
use patience::{Failed, Repeat};
pub use tls::{Tls, TlsError};
use wanted::{Wanted, units_path};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take. The server answers a write once the store has it, and its first answer once it has
/// loaded the cluster.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Talks to one fleetd.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    connect_timeout: Duration,
    request_timeout: Duration,
    observer: Option<fn(&str)>,
    waiter: Option<fn(&str)>,
    tunnel: Option<Arc<Tunnel>>,
    /// A connection by the tunnel that nothing is asked on.
    idle: Arc<Mutex<Option<Sender>>>,
    tls: Option<Tls>,
    /// It was found that the server speaks API v1 alone.
    speaks_v1_only: Arc<AtomicBool>,
}

/// A program that carries a connection on its standard input and output, such as ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What people call it: the host that it leads through.
    pub through: String,
}

/// What to show of a unit's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalQuery {
    /// How many lines of the past.
    pub lines: u64,
    /// Go on with what comes.
    pub follow: bool,
    /// An output mode of journalctl, such as `short` or `cat`.
    pub output: String,
    /// On which machine; where absent, the one that it is scheduled to.
    pub machine: Option<String>,
}

impl Default for JournalQuery {
    fn default() -> Self {
        Self { lines: 10, follow: false, output: "short".to_owned(), machine: None }
    }
}

impl Client {
    /// A client for one endpoint. Nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            observer: None,
            waiter: None,
            tunnel: None,
            idle: Arc::default(),
            tls: None,
            speaks_v1_only: Arc::default(),
        }
    }

    /// Waits no longer than this for an answer. Streams may go on for ever once they have begun.
    #[must_use]
    pub fn with_request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Tells this function of every request and of how it was answered.
    #[must_use]
    pub fn with_observer(mut self, observer: fn(&str)) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Tells this function, once a call, what fleetd says when it wants the call to be made again later.
    #[must_use]
    pub fn with_waiter(mut self, waiter: fn(&str)) -> Self {
        self.waiter = Some(waiter);
        self
    }

    /// Connects by this program instead of by itself.
    #[must_use]
    pub fn with_tunnel(mut self, tunnel: Tunnel) -> Self {
        self.tunnel = Some(Arc::new(tunnel));
        self
    }

    /// Knows the server of an `https://` endpoint by this, and comes as this says.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the server was found to speak API v1 alone, as CoreOS fleet's does. What version 2 would tell of units and
    /// machines is then made of what version 1 tells; nothing else of version 2 is there.
    pub fn speaks_v1_only(&self) -> bool {
        self.speaks_v1_only.load(Ordering::Relaxed)
    }

    // API v1.

    /// One unit.
    pub async fn v1_unit(&self, name: &str) -> Result<v1::Unit, ApiError> {
        self.get(&paths::v1_unit(name)).await
    }

    /// Creates a unit, or changes what is wanted of it.
    pub async fn v1_set_unit(&self, unit: &v1::Unit) -> Result<(), ApiError> {
        let body = self.encode(unit)?;
        self.call(Method::PUT, &paths::v1_unit(&unit.name), Some(body)).await?;
        Ok(())
    }

    /// Destroys a unit.
    pub async fn v1_destroy_unit(&self, name: &str) -> Result<(), ApiError> {
        self.call_as(Repeat::IfNotBegun, Method::DELETE, &paths::v1_unit(name), None).await?;
        Ok(())
    }

    /// All units, page by page.
    pub async fn v1_units(&self) -> Result<Vec<v1::Unit>, ApiError> {
        self.pages(paths::V1_UNITS, |page: v1::UnitPage| (page.units, page.next_page_token)).await
    }

    /// All unit states, page by page.
    pub async fn v1_states(&self) -> Result<Vec<v1::UnitState>, ApiError> {
        self.pages(paths::V1_STATE, |page: v1::UnitStatePage| (page.states, page.next_page_token)).await
    }

    /// All machines, page by page.
    pub async fn v1_machines(&self) -> Result<Vec<v1::Machine>, ApiError> {
        self.pages(paths::V1_MACHINES, |page: v1::MachinePage| (page.machines, page.next_page_token)).await
    }

    // API v2.

    /// Creates and changes units.
    pub async fn change_units(&self, request: &UnitsRequest) -> Result<UnitsAnswer, ApiError> {
        // A restart that is asked for twice is made twice.
        let repeat = if request.units.iter().any(|unit| unit.restart) { Repeat::IfNotBegun } else { Repeat::Safe };
        self.or_v1(self.post_as(repeat, paths::V2_UNITS, request), self.former_change(request)).await
    }

    /// Destroys units.
    pub async fn destroy(&self, request: &DestroyRequest) -> Result<DestroyAnswer, ApiError> {
        // What was destroyed by the first would be absent to the second.
        self.or_v1(self.post_as(Repeat::IfNotBegun, paths::V2_DESTROY, request), self.former_destroy(request)).await
    }

    /// The named units that exist; all of them where no name is given.
    pub async fn units<S: AsRef<str>>(&self, names: &[S]) -> Result<UnitList, ApiError> {
        let wanted = Wanted::new(names);
        let path = units_path(names, false);
        let mut list: UnitList = self.or_v1(self.get(&path), self.former_units(&wanted.0)).await?;
        list.units.retain(|unit| wanted.has(&unit.name));
        Ok(list)
    }

    /// Watches the named units, or all. The first line is a snapshot.
    pub async fn watch_units<S: AsRef<str>>(
        &self,
        names: &[S],
    ) -> Result<BoxStream<'static, Result<WatchLine, ApiError>>, ApiError> {
        let wanted = Wanted::new(names);
        let path = units_path(names, true);
        let former = async { Ok(self.former_watch(wanted.0.clone()).boxed()) };
        let watch = async {
            let wanted = Wanted(wanted.0.clone());
            let lines = lines::watch_lines(self.open(&path).await?, self.place());
            let lines = lines.try_filter_map(move |line| {
                let line = wanted.part_of(line);
                async move { Ok(line) }
            });
            Ok(lines.boxed())
        };
        self.or_v1(watch, former).await
    }

    /// A unit's text, as submitted.
    pub async fn unit_text(&self, name: &str) -> Result<UnitText, ApiError> {
        let path = paths::v2_text(name);
        self.or_v1(self.get(&path), self.former_text(name)).await
    }

    /// Why a unit is where it is, or nowhere.
    pub async fn explain(&self, name: &str) -> Result<Explanation, ApiError> {
        self.get(&paths::v2_explain(name)).await
    }

    /// What `systemctl status` says of a unit, on the given machine or the one that it is scheduled to.
    pub async fn unit_status(&self, name: &str, machine: Option<&str>) -> Result<UnitStatus, ApiError> {
        let query = machine.map(|id| format!("?machine={}", percent::encode(id)));
        self.get(&format!("{}{}", paths::v2_status(name), query.unwrap_or_default())).await
    }

    /// A unit's journal, chunk by chunk.
    pub async fn journal(
        &self,
        name: &str,
        query: &JournalQuery,
    ) -> Result<impl Stream<Item = Result<Bytes, ApiError>> + use<>, ApiError> {
        let mut path = format!(
            "{}?lines={}&follow={}&output={}",
            paths::v2_journal(name),
            query.lines,
            query.follow,
            percent::encode(&query.output)
        );
        if let Some(machine) = &query.machine {
            path.push_str("&machine=");
            path.push_str(&percent::encode(machine));
        }
        self.open(&path).await
    }

    /// The machines that are present.
    pub async fn machines(&self) -> Result<MachineList, ApiError> {
        self.or_v1(self.get(paths::V2_MACHINES), self.former_machines()).await
    }

    /// Says something of machines.
    pub async fn operate(&self, request: &OperateRequest) -> Result<OperateAnswer, ApiError> {
        self.post(paths::V2_MACHINES, request).await
    }

    /// Deletes what is left of a machine that is lost.
    pub async fn forget(&self, id: &str) -> Result<ForgetAnswer, ApiError> {
        let body = self.call(Method::POST, &paths::v2_forget(id), None).await?;
        self.decode(&body)
    }

    /// The cluster as a whole.
    pub async fn cluster(&self) -> Result<ClusterStatus, ApiError> {
        self.get(paths::V2_CLUSTER).await
    }

    /// Releases the brake.
    pub async fn release_brake(&self) -> Result<BrakeAnswer, ApiError> {
        self.post(paths::V2_BRAKE, &BrakeRequest { release: true }).await
    }

    /// The registry as a snapshot, part by part.
    pub async fn registry_snapshot(&self) -> Result<impl Stream<Item = Result<Bytes, ApiError>> + use<>, ApiError> {
        self.open(paths::V2_REGISTRY_SNAPSHOT).await
    }

    /// Sends a part of a snapshot. Parts go in order; one that was sent before may be sent again.
    pub async fn upload_snapshot(&self, offset: u64, part: Bytes) -> Result<UploadAnswer, ApiError> {
        let path = format!("{}?offset={offset}", paths::V2_REGISTRY_UPLOAD);
        let body = self.call(Method::PUT, &path, Some(part)).await?;
        self.decode(&body)
    }

    /// What restoring the snapshot that was uploaded would do, or has done.
    pub async fn restore_registry(&self, request: &RestoreRequest) -> Result<RestoreAnswer, ApiError> {
        // Done twice, it would put the restored one aside as well.
        let repeat = if request.accept { Repeat::IfNotBegun } else { Repeat::Safe };
        self.post_as(repeat, paths::V2_REGISTRY_RESTORE, request).await
    }

    /// Makes a token with which machines join the registry that the machine that is asked carries.
    pub async fn make_token(&self, request: &TokenRequest) -> Result<TokenAnswer, ApiError> {
        self.post_as(Repeat::IfNotBegun, paths::V2_REGISTRY_TOKENS, request).await
    }

    /// Which cluster the machine that is asked is a member of.
    pub async fn membership(&self) -> Result<Membership, ApiError> {
        self.get(paths::V2_JOIN).await
    }

    /// Makes the machine that is asked a member of the cluster whose registry it found.
    pub async fn join(&self, request: &JoinRequest) -> Result<Membership, ApiError> {
        self.post(paths::V2_JOIN, request).await
    }

    /// Begins to stop an orphan.
    pub async fn stop_orphan(&self, request: &OrphanRequest) -> Result<(), ApiError> {
        let request = self.encode(request)?;
        self.call(Method::POST, paths::V2_STOP_ORPHAN, Some(request)).await?;
        Ok(())
    }

    // How.

    /// Asks by version 2, or by version 1 where the server knows no other.
    async fn or_v1<T>(
        &self,
        call: impl Future<Output = Result<T, ApiError>>,
        former: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        if !self.speaks_v1_only() {
            match call.await {
                Err(error) if error.is_unknown_path() => self.speaks_v1_only.store(true, Ordering::Relaxed),
                answer => return answer,
            }
        }
        former.await
    }

    /// Where it talks to, for messages.
    fn place(&self) -> String {
        match &self.tunnel {
            None => self.endpoint.to_string(),
            Some(tunnel) => format!("{} through {}", self.endpoint, tunnel.through),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.call(Method::GET, path, None).await?;
        self.decode(&body)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<T, ApiError> {
        self.post_as(Repeat::Safe, path, request).await
    }

    async fn post_as<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, ApiError> {
        let request = self.encode(request)?;
        let body = self.call_as(repeat, Method::POST, path, Some(request)).await?;
        self.decode(&body)
    }

    async fn pages<P, T>(&self, path: &str, split: impl Fn(P) -> (Vec<T>, String)) -> Result<Vec<T>, ApiError>
    where
        P: DeserializeOwned,
    {
        let (mut all, mut token) = split(self.get(path).await?);
        while !token.is_empty() {
            let glue = if path.contains('?') { '&' } else { '?' };
            let next = format!("{path}{glue}nextPageToken={}", percent::encode(&token));
            let (entries, next_token) = split(self.get(&next).await?);
            all.extend(entries);
            token = next_token;
        }
        Ok(all)
    }

    /// One request with its whole answer, within the time that it may take.
    async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Bytes, ApiError> {
        self.call_as(Repeat::Safe, method, path, body).await
    }

    async fn call_as(
        &self,
        repeat: Repeat,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Bytes, ApiError> {
        let (method, body) = (&method, &body);
        self.again(repeat, || async move {
            let (response, sender) = self.answer(method.clone(), path, body.clone()).await?;
            let body = self.whole(response).await?;
            self.keep(sender);
            Ok(body)
        })
        .await
    }

    /// A stream, which has to begin within the time that an answer may take.
    async fn open(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes, ApiError>> + use<>, ApiError> {
        let (response, _) = self.again(Repeat::Safe, || self.answer(Method::GET, path, None)).await?;
        let endpoint = self.place();
        let body = response.into_body().into_data_stream();
        Ok(TryStreamExt::map_err(body, move |error| connection::broken(&endpoint, &error)))
    }

    /// The head of a successful answer and the connection that it came by, or the server's words.
    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(Response<Incoming>, Sender), Failed> {
        self.observe(|| format!("{method} {path}"));
        let mut sender = self.connect().await?;
        let request = connection::request(&self.endpoint, method, path, body)?;
        let response = sender.send_request(request).await.map_err(|error| connection::broken(&self.place(), &error))?;
        let status = response.status();
        self.observe(|| format!("{path}: {status}"));
        if status.is_success() {
            return Ok((response, sender));
        }
        let after = patience::retry_after(response.headers());
        let body = self.whole(response).await?;
        self.keep(sender);
        let message = serde_json::from_slice::<ErrorEntity>(&body)
            .map(|entity| entity.error.message)
            .ok()
            .filter(|message| !message.is_empty())
            .unwrap_or_else(|| format!("{}{status}", ApiError::WORDLESS));
        Err(Failed { error: ApiError::Refused { status: status.as_u16(), message }, after })
    }

    /// A connection: by a tunnel the one that is left from the call before, if it still holds.
    async fn connect(&self) -> Result<Sender, ApiError> {
        let Some(tunnel) = &self.tunnel else {
            return connection::open(&self.endpoint, self.tls.as_ref(), self.connect_timeout).await;
        };
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        connection::open_through(tunnel, &self.endpoint, self.tls.as_ref(), &self.place()).await
    }

    /// Keeps a connection for the next call, where another would take a whole login.
    fn keep(&self, sender: Sender) {
        if self.tunnel.is_some() {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        }
    }

    fn observe(&self, words: impl FnOnce() -> String) {
        if let Some(observer) = self.observer {
            observer(&words());
        }
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, ApiError> {
        let body = response.into_body().collect().await;
        Ok(body.map_err(|error| connection::broken(&self.place(), &error))?.to_bytes())
    }

    fn encode(&self, value: &impl Serialize) -> Result<Bytes, ApiError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| self.senseless(&error))
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ApiError> {
        serde_json::from_slice(body).map_err(|error| self.senseless(&error))
    }

    fn senseless(&self, error: &serde_json::Error) -> ApiError {
        ApiError::BadAnswer { endpoint: self.place(), reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
