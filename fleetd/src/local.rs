//! What this machine says of its own units: to people who ask this fleetd, and to other fleetds on their behalf.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fleet_agent::{AgentControl, AgentStatus};
use fleet_api::v2::{MachineRef, UnitStatus};
use fleet_registry::record::ClusterId;
use fleet_units::{MachineId, UnitName};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::http::{Failure, Query};

/// journalctl and systemctl that run at once: each is a process, and a journal that is followed is read for hours.
const PROCESSES: usize = 128;
/// Lines of the journal where nobody says how many.
const LINES: u64 = 10;

/// What to show of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRequest {
    /// How many lines of the past.
    pub lines: u64,
    /// Go on with what comes.
    pub follow: bool,
    /// An output mode of journalctl.
    pub output: String,
}

impl JournalRequest {
    /// Reads the parameters `lines`, `follow`, and `output`.
    ///
    /// # Errors
    /// When one of them means nothing.
    pub fn read(query: &Query) -> Result<Self, Failure> {
        let lines = match query.first("lines") {
            None => LINES,
            Some(text) => text.parse().map_err(|_| Failure::bad_request(format!("lines={text}: expected a number")))?,
        };
        let output = query.first("output").unwrap_or("short");
        if !output.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            return Err(Failure::bad_request(format!("output={output}: expected a mode of journalctl, such as short")));
        }
        Ok(Self { lines, follow: query.flag("follow")?, output: output.to_owned() })
    }
}

/// Path of a unit's journal on the channel between fleetds.
#[must_use]
pub fn journal_path(name: &UnitName, request: &JournalRequest) -> String {
    let JournalRequest { lines, follow, output } = request;
    format!("{}?lines={lines}&follow={follow}&output={output}", unit_path(name, "journal"))
}

/// Path of a unit's status on the channel between fleetds.
#[must_use]
pub fn status_path(name: &UnitName) -> String {
    unit_path(name, "status")
}

/// Path of the request to stop an orphan, on the channel between fleetds.
#[must_use]
pub fn stop_orphan_path(name: &UnitName) -> String {
    unit_path(name, "stop-orphan")
}

/// Names of units hold no character that a path may not, but for the backslash.
fn unit_path(name: &UnitName, what: &str) -> String {
    format!("/peer/v1/units/{}/{what}", name.as_str().replace('\\', "%5C"))
}

/// Where journal and status come from: systemd's own tools, or something that stands for them in a test.
pub trait UnitTools: Send + Sync {
    /// The journal, as it is written. Dropping the stream ends it.
    fn journal(&self, name: &UnitName, request: &JournalRequest) -> JournalStream;

    /// What `systemctl status` says, and how it ended.
    fn status<'a>(&'a self, name: &'a UnitName) -> BoxFuture<'a, io::Result<(String, i32)>>;
}

/// This machine's agent, as far as people ask something of it.
pub trait Member: Send + Sync {
    /// How the machine stands with its cluster, now and with each change.
    fn status(&self) -> watch::Receiver<AgentStatus>;

    /// Makes it a member of the cluster whose registry was found.
    fn accept(&self, found: Option<ClusterId>);

    /// Stops an orphan.
    fn stop_orphan(&self, unit: UnitName);
}

impl Member for AgentControl {
    fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status()
    }

    fn accept(&self, found: Option<ClusterId>) {
        self.accept(found);
    }

    fn stop_orphan(&self, unit: UnitName) {
        self.stop_orphan(unit);
    }
}

/// Pieces of a journal.
pub type JournalStream = BoxStream<'static, io::Result<Bytes>>;

/// This machine.
#[derive(Clone)]
pub struct Local {
    /// Its id.
    pub machine: MachineId,
    /// Its address for people.
    pub address: String,
    /// Its agent.
    pub agent: Arc<dyn Member>,
    tools: Arc<dyn UnitTools>,
    processes: Arc<Semaphore>,
}

impl Local {
    /// This machine, whose systemd is asked with these tools.
    #[must_use]
    pub fn new(machine: MachineId, address: String, agent: Arc<dyn Member>, tools: Arc<dyn UnitTools>) -> Self {
        Self { machine, address, agent, tools, processes: Arc::new(Semaphore::new(PROCESSES)) }
    }

    /// A place for one more process.
    fn process(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let place = Arc::clone(&self.processes).try_acquire_owned();
        place.map_err(|_| Failure::busy(StatusCode::SERVICE_UNAVAILABLE, "too many read journals of this machine"))
    }

    /// What `systemctl status` says of a unit.
    ///
    /// # Errors
    /// When `systemctl` cannot be run, or too many run already.
    pub async fn status(&self, name: &UnitName) -> Result<Json<UnitStatus>, Failure> {
        let _place = self.process()?;
        let (output, exit_code) = self.tools.status(name).await.map_err(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to ask systemd for {name}: {error}"))
        })?;
        let machine = MachineRef { id: self.machine.to_string(), address: self.address.clone() };
        Ok(Json(UnitStatus { machine, output, exit_code }))
    }

    /// The journal of a unit.
    ///
    /// # Errors
    /// When too many are read already.
    pub fn journal(&self, name: &UnitName, request: &JournalRequest) -> Result<Response, Failure> {
        let place = self.process()?;
        let lines = self.tools.journal(name, request).inspect(move |_| _ = &place);
        Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response())
    }

    /// What other fleetds may ask.
    pub fn peer_routes(self) -> Router {
        Router::new()
            .route("/peer/v1/units/{name}/journal", get(peer_journal))
            .route("/peer/v1/units/{name}/status", get(peer_status))
            .route("/peer/v1/units/{name}/stop-orphan", post(peer_stop_orphan))
            .fallback(|| async { Failure::not_found("") })
            .with_state(self)
    }
}

async fn peer_journal(
    State(local): State<Local>,
    name: Result<Path<String>, PathRejection>,
    query: Query,
) -> Result<Response, Failure> {
    let request = JournalRequest::read(&query)?;
    local.journal(&path_name(name)?, &request)
}

async fn peer_status(
    State(local): State<Local>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<UnitStatus>, Failure> {
    local.status(&path_name(name)?).await
}

async fn peer_stop_orphan(
    State(local): State<Local>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<serde_json::Value>, Failure> {
    let name = path_name(name)?;
    tracing::info!("an operator, who asked another machine's fleetd, wants the orphan {name} stopped");
    local.agent.stop_orphan(name);
    Ok(Json(serde_json::json!({})))
}

/// The name of a unit in a path.
///
/// # Errors
/// When it is none.
pub fn path_name(name: Result<Path<String>, PathRejection>) -> Result<UnitName, Failure> {
    let Path(name) = name.map_err(|error| Failure::bad_request(error.body_text()))?;
    UnitName::parse(&name).map_err(|error| Failure::bad_request(error.to_string()))
}
