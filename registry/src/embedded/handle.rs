//! The handle to an open registry, and its watch streams' reading ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::config::EmbeddedConfig;
use super::error::EmbeddedError;
use super::streams::{Delivery, STREAM_DEPTH, StreamId};
use super::writer::{AlarmAction, Hash, Job, Reply, Status, Writer, stopped};
use crate::memory::Saved;
use crate::store::{Header, Request, Response, StoreError};

/// An embedded registry that is open. It closes with its last clone.
#[derive(Debug, Clone)]
pub struct Embedded {
    jobs: mpsc::Sender<Job>,
    next_stream: Arc<AtomicU64>,
}

impl Embedded {
    /// Opens the registry of a directory, which is made if need be. Blocks while it reads the file.
    ///
    /// # Errors
    ///
    /// Another process has it open, or the file is damaged or gone: nothing is changed then.
    pub fn open(dir: &Path, config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let jobs = Writer::start(dir, config)?;
        Ok(Self { jobs, next_stream: Arc::default() })
    }

    /// Finishes what was begun and closes the file; what comes later is refused.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Stop(done)).await.is_ok() {
            // An error means that the writer is gone already.
            let _ = closed.await;
        }
    }

    /// Resolves once the registry is closed: by [`Embedded::close`], or because its disk failed for good.
    pub async fn closed(&self) {
        self.jobs.closed().await;
    }

    pub(super) async fn call(&self, request: Request) -> Result<Response, StoreError> {
        self.ask(|reply| Job::Call(request, reply)).await
    }

    pub(super) async fn status(&self) -> Result<Status, StoreError> {
        self.ask(Job::Status).await
    }

    pub(super) async fn hash(&self, revision: i64) -> Result<Hash, StoreError> {
        self.ask(|reply| Job::Hash(revision, reply)).await
    }

    /// All that it holds.
    ///
    /// # Errors
    ///
    /// It is closed.
    pub async fn snapshot(&self) -> Result<Saved, StoreError> {
        self.ask(Job::Snapshot).await
    }

    /// Does something about the alarm. Returns whether it is, or was, on.
    pub(super) async fn alarm(&self, action: AlarmAction) -> Result<(Header, bool), StoreError> {
        self.ask(|reply| Job::Alarm(action, reply)).await
    }

    pub(super) async fn defragment(&self) -> Result<Header, StoreError> {
        self.ask(Job::Defragment).await
    }

    /// Opens a watch stream.
    pub(super) async fn watch_stream(&self) -> Result<WatchStream, StoreError> {
        let id = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let (sender, deliveries) = mpsc::channel(STREAM_DEPTH);
        let blocked = Arc::new(AtomicBool::new(false));
        let stream = WatchStream { id, jobs: self.jobs.clone(), deliveries, blocked: Arc::clone(&blocked) };
        stream.control().send(Job::OpenStream(id, sender, blocked)).await?;
        Ok(stream)
    }

    /// Gives the writer something to do; without one it is dropped.
    pub(super) async fn send(&self, job: Job) {
        // Whoever waits for an answer finds out.
        let _ = self.jobs.send(job).await;
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// The reading end of a watch stream; dropping it ends the stream's watches.
pub(super) struct WatchStream {
    id: StreamId,
    jobs: mpsc::Sender<Job>,
    deliveries: mpsc::Receiver<Delivery>,
    blocked: Arc<AtomicBool>,
}

/// Where a stream's client sends what it wants.
#[derive(Debug, Clone)]
pub(super) struct WatchControl {
    pub(super) id: StreamId,
    jobs: mpsc::Sender<Job>,
}

impl WatchControl {
    pub(super) async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| stopped())
    }
}

impl WatchStream {
    pub(super) fn control(&self) -> WatchControl {
        WatchControl { id: self.id, jobs: self.jobs.clone() }
    }

    /// The next delivery; `None` when the registry has closed.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await?;
        if self.blocked.swap(false, Ordering::SeqCst) {
            // Not awaited: a delivery in hand must not be lost if the caller goes away here.
            send_soon(&self.jobs, Job::Resume(self.id));
        }
        Some(delivery)
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        send_soon(&self.jobs, Job::CloseStream(self.id));
    }
}

/// Sends a job without waiting for room in the queue.
fn send_soon(jobs: &mpsc::Sender<Job>, job: Job) {
    if let Err(TrySendError::Full(job)) = jobs.try_send(job)
        && let Ok(runtime) = Handle::try_current()
    {
        let jobs = jobs.clone();
        runtime.spawn(async move { jobs.send(job).await });
    }
}
