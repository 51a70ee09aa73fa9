//! One stream of watches on each server, and what each watch has told since both were last compared.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::proto::{PbEvent, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};
use fleet_registry::store::EventFilter;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::generate::WatchStep;
use super::servers::Server;
use super::sides::{at, equal};
use crate::harness::within;

/// The key that tells how far a stream is. No step writes or watches it by name.
pub(super) const HOME: &str = "home";
/// What the watches of [`HOME`] are called.
const HOME_WATCH: i64 = 1000;
const PAST_WATCH: i64 = 1001;
/// Etcd tells of what it has to tell within a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// What progress is reported of.
const WHOLE_STREAM: i64 = -1;

/// Both streams.
pub(super) struct Watching {
    ours: Stream,
    theirs: Stream,
    /// The latest revision from which a watch was to begin: newer versions of etcd report no progress before it.
    latest_start: i64,
}

/// One server's stream.
struct Stream {
    requests: mpsc::Sender<PbWatchRequest>,
    answers: mpsc::UnboundedReceiver<PbWatchResponse>,
    told: BTreeMap<i64, Told>,
}

/// What was told of one watch: creation, end, and progress as they were, the events as one story, since etcd groups
/// those of the past as it likes.
#[derive(Debug, Default, PartialEq)]
struct Told {
    answers: Vec<PbWatchResponse>,
    events: Vec<PbEvent>,
}

impl Watching {
    /// Opens both streams, with a watch of the key that tells how far they are.
    pub(super) async fn open(ours: &Server, theirs: &Server) -> Self {
        let mut watching = Self { ours: Stream::open(ours).await, theirs: Stream::open(theirs).await, latest_start: 0 };
        watching.create(request(&home(HOME_WATCH), 0)).await;
        watching
    }

    /// Opens a watch on both.
    pub(super) async fn begin(&mut self, watch: &WatchStep, now: i64) {
        let start_revision = at(watch.start_ago, now);
        self.latest_start = self.latest_start.max(start_revision);
        self.create(request(watch, start_revision)).await;
    }

    async fn create(&mut self, request: PbWatchRequest) {
        self.send(&request).await;
        let created = |answer: &PbWatchResponse| answer.created;
        tokio::join!(self.ours.until("a watch", created), self.theirs.until("etcd's watch", created));
    }

    /// Ends a watch on both.
    pub(super) async fn cancel(&mut self, id: i64) -> Result<(), String> {
        let mut union = PbWatchRequestUnion::CancelRequest(Default::default());
        if let PbWatchRequestUnion::CancelRequest(request) = &mut union {
            request.watch_id = id;
        }
        self.send(&PbWatchRequest { request_union: Some(union) }).await;
        self.level().await
    }

    /// Reads on until both have told all of it up to a revision, in which [`HOME`] was written, and compares it.
    pub(super) async fn settle(&mut self, revision: i64) -> Result<(), String> {
        tokio::join!(self.ours.reach(HOME_WATCH, revision), self.theirs.reach(HOME_WATCH, revision));
        self.level().await?;
        equal(&std::mem::take(&mut self.ours.told), &std::mem::take(&mut self.theirs.told))
    }

    /// Has both tell of a revision of the past, in which [`HOME`] was written.
    pub(super) async fn tell_of(&mut self, revision: i64, time: i64) -> Result<(), String> {
        let id = PAST_WATCH + time;
        self.create(request(&home(id), revision)).await;
        tokio::join!(self.ours.reach(id, revision), self.theirs.reach(id, revision));
        self.cancel(id).await
    }

    /// Asks both how far they are, once they have told everything.
    pub(super) async fn progress(&mut self, now: i64) {
        if self.latest_start <= now {
            self.send(&progress()).await;
            tokio::join!(self.ours.until("progress", is_progress), self.theirs.until("etcd's progress", is_progress));
        }
    }

    /// Reads on until ours has told everything, and etcd as much.
    async fn level(&mut self) -> Result<(), String> {
        self.ours.requests.send(progress()).await.expect("the stream is open");
        self.ours.until("progress", is_progress).await;
        self.ours.told.entry(WHOLE_STREAM).or_default().answers.pop();
        for (id, ours) in &self.ours.told {
            while self.theirs.told.entry(*id).or_default().lacks(ours) {
                let more = timeout(PATIENCE, self.theirs.until("what ours has told", |_| true)).await;
                more.or_else(|_| equal(ours, &self.theirs.told[id]))?;
            }
        }
        Ok(())
    }

    async fn send(&self, request: &PbWatchRequest) {
        for stream in [&self.ours, &self.theirs] {
            stream.requests.send(request.clone()).await.expect("the stream is open");
        }
    }
}

impl Stream {
    async fn open(server: &Server) -> Self {
        let (requests, answers) = server.watch().await;
        Self { requests, answers, told: BTreeMap::new() }
    }

    /// Reads on until something is said that is looked for, and keeps it with all else.
    async fn until(&mut self, what: &str, found: impl Fn(&PbWatchResponse) -> bool) {
        loop {
            let answer = within(what, self.answers.recv()).await.expect("the stream is open");
            let is_it = found(&answer);
            let told = self.told.entry(answer.watch_id).or_default();
            if answer.events.is_empty() {
                told.answers.push(answer);
            } else {
                let header = answer.header.as_ref().map_or(0, |header| header.revision);
                assert!(answer.events.iter().all(|event| revision(event) <= header), "of later revisions: {answer:?}");
                told.events.extend(answer.events);
            }
            if is_it {
                return;
            }
        }
    }

    /// Reads on until a watch has told of a revision.
    async fn reach(&mut self, id: i64, wanted: i64) {
        let reached = |answer: &PbWatchResponse| {
            answer.watch_id == id && answer.events.iter().any(|event| revision(event) >= wanted)
        };
        let told = self.told.entry(id).or_default();
        if !told.events.iter().any(|event| revision(event) >= wanted) {
            self.until("a write that is watched", reached).await;
        }
    }
}

impl Told {
    fn lacks(&self, other: &Self) -> bool {
        self.answers.len() < other.answers.len() || self.events.len() < other.events.len()
    }
}

fn is_progress(answer: &PbWatchResponse) -> bool {
    answer.watch_id == WHOLE_STREAM && !answer.created
}

fn revision(event: &PbEvent) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn home(id: i64) -> WatchStep {
    WatchStep { id, key: HOME.into(), ..WatchStep::default() }
}

fn progress() -> PbWatchRequest {
    PbWatchRequest { request_union: Some(PbWatchRequestUnion::ProgressRequest(Default::default())) }
}

fn request(watch: &WatchStep, start_revision: i64) -> PbWatchRequest {
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(request) = &mut union {
        request.watch_id = watch.id;
        request.key = watch.key.to_vec();
        request.range_end = watch.range_end.to_vec();
        request.start_revision = start_revision;
        request.prev_kv = watch.prev_kv;
        request.progress_notify = watch.progress_notify;
        request.fragment = watch.fragment;
        let number = |filter: &EventFilter| match filter {
            EventFilter::NoPut => 0,
            EventFilter::NoDelete => 1,
        };
        request.filters = watch.filters.iter().map(number).collect();
    }
    PbWatchRequest { request_union: Some(union) }
}
