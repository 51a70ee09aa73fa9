//! The thread that owns the store's state.

mod history;
mod space;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use tokio::sync::{mpsc, oneshot};

pub(super) use self::history::History;
use self::space::Space;
use super::config::EmbeddedConfig;
use super::disk::Disk;
use super::error::EmbeddedError;
use super::files;
use super::lock::DirLock;
use super::restore::{self, Restored};
use super::streams::{Delivery, StreamId, Streams};
use crate::memory::{Memory, Saved};
use crate::shell::boot_now;
use crate::step::Mono;
use crate::store::{ErrorKind, Header, Request, Response, StoreError, WatchRequest};

/// Requests that wait for the writer; whoever comes after waits outside.
const QUEUE_DEPTH: usize = 1024;

/// Requests that share one commit.
const BATCH: usize = 512;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Job {
    Call(Request, Reply<Response>),
    Status(Reply<Status>),
    /// The hash of keys and history at a revision.
    Hash(i64, Reply<Hash>),
    /// All that there is.
    Snapshot(Reply<Saved>),
    /// Puts this in the place of all that there is.
    Replace(Saved, oneshot::Sender<Result<Restored, EmbeddedError>>),
    /// Does something about the NOSPACE alarm, and says whether it is on, or was.
    Alarm(AlarmAction, Reply<(Header, bool)>),
    /// Gives free space of the file back.
    Defragment(Reply<Header>),
    OpenStream(StreamId, mpsc::Sender<Delivery>, Arc<AtomicBool>),
    CreateWatch(StreamId, i64, WatchRequest),
    CancelWatch(StreamId, i64),
    Progress(StreamId),
    /// The stream has room again.
    Resume(StreamId),
    CloseStream(StreamId),
    Stop(oneshot::Sender<()>),
}

/// What to do about the NOSPACE alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlarmAction {
    Look,
    Raise,
    Disarm,
}

/// How the store is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) header: Header,
    pub(super) file_bytes: u64,
    /// There is no room.
    pub(super) alarmed: bool,
}

/// A hash of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash {
    pub(super) header: Header,
    pub(super) hash: u32,
    pub(super) compact_revision: i64,
}

/// The state and what keeps it.
pub(super) struct Writer {
    dir: PathBuf,
    memory: Memory,
    /// `None` once the file cannot be used any more: the writer ends then.
    disk: Option<Disk>,
    streams: Streams,
    history: History,
    space: Space,
    config: EmbeddedConfig,
    /// Why the file could not be written the last time, said once.
    failing: Option<String>,
    _lock: DirLock,
}

impl Writer {
    /// Opens a directory and starts the thread; it ends with the last sender of jobs.
    pub(super) fn start(dir: &Path, config: EmbeddedConfig) -> Result<mpsc::Sender<Job>, EmbeddedError> {
        files::make_dir(dir)?;
        let lock = DirLock::take(dir)?;
        let (disk, mut memory) = Disk::open(dir, boot_now().mono, random()?)?;
        memory.keep_journal();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(EmbeddedError::io("start the writer of", dir))?;
        let (jobs, receiver) = mpsc::channel(QUEUE_DEPTH);
        let history = History::new(&config, boot_now().mono, &memory);
        let writer = Writer {
            dir: dir.to_owned(),
            memory,
            disk: Some(disk),
            streams: Streams::default(),
            history,
            space: Space::new(config.quota_bytes),
            config,
            failing: None,
            _lock: lock,
        };
        thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || runtime.block_on(writer.run(receiver)))
            .map_err(EmbeddedError::io("start the writer of", dir))?;
        Ok(jobs)
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut progress_due = boot_now().mono + self.config.progress_interval;
        loop {
            let now = boot_now().mono;
            let due = self.history.due().min(progress_due);
            let due = self.memory.next_deadline().map_or(due, |deadline| deadline.min(due));
            let waited = tokio::time::timeout(due.saturating_sub(now), jobs.recv_many(&mut batch, BATCH)).await;
            if waited == Ok(0) {
                return;
            }
            let now = boot_now().mono;
            if let Some(done) = self.serve(now, &mut batch) {
                drop(self);
                let _ = done.send(());
                return;
            }
            if self.disk.is_none() {
                return;
            }
            if now >= progress_due {
                progress_due = now + self.config.progress_interval;
                self.streams.notify_progress(&mut self.memory);
            }
        }
    }

    /// Carries out a batch: all calls, one commit, then the answers, then the watches.
    fn serve(&mut self, now: Mono, batch: &mut Vec<Job>) -> Option<oneshot::Sender<()>> {
        let mut answers = Vec::new();
        let mut others = Vec::new();
        self.memory.expire(now);
        // Once for all of them: a batch may overshoot a little, as it may in etcd.
        let taken = self.disk.as_ref().map_or(0, Disk::taken);
        for job in batch.drain(..) {
            match job {
                Job::Call(request, reply) => answers.push((self.apply(now, request, taken), reply)),
                job => others.push(job),
            }
        }
        if let Some(revision) = self.history.compaction(now, self.memory.header().revision)
            && revision > self.memory.compact_revision()
        {
            let request = Request::Compact { revision, physical: false };
            if let Err(error) = self.memory.apply(now, request) {
                tracing::warn!("automatic compaction at revision {revision} failed: {error}");
            }
        }
        let outcome = self.commit(now);
        for (answer, reply) in answers {
            // Whoever asked may be gone; what was done stays done.
            let _ = reply.send(match &outcome {
                Ok(()) => answer,
                Err(error) => Err(error.clone()),
            });
        }
        self.streams.deliver(&mut self.memory);
        others.into_iter().find_map(|job| self.attend(job))
    }

    fn apply(&mut self, now: Mono, request: Request, taken: u64) -> Result<Response, StoreError> {
        self.space.admit(&request, taken)?;
        self.memory.apply(now, request)
    }

    /// Everything that changes no keys.
    fn attend(&mut self, job: Job) -> Option<oneshot::Sender<()>> {
        let memory = &mut self.memory;
        match job {
            Job::Call(_, reply) => drop(reply),
            Job::Status(reply) => {
                let file_bytes = self.disk.as_ref().map_or(0, Disk::size);
                let _ =
                    reply.send(Ok(Status { header: memory.header(), file_bytes, alarmed: self.space.is_alarmed() }));
            }
            Job::Hash(revision, reply) => {
                let (header, compact_revision) = (memory.header(), memory.compact_revision());
                let _ = reply.send(memory.hash(revision).map(|hash| Hash { header, hash, compact_revision }));
            }
            Job::Snapshot(reply) => {
                let _ = reply.send(Ok(memory.saved()));
            }
            Job::Replace(saved, reply) => {
                let _ = reply.send(self.replace(saved));
            }
            Job::Alarm(action, reply) => {
                let on = match action {
                    AlarmAction::Look => self.space.is_alarmed(),
                    AlarmAction::Raise => {
                        self.space.raise();
                        true
                    }
                    AlarmAction::Disarm => self.space.disarm(),
                };
                let _ = reply.send(Ok((memory.header(), on)));
            }
            Job::Defragment(reply) => {
                let _ = reply.send(self.defragment());
            }
            Job::OpenStream(id, sender, blocked) => self.streams.open(id, sender, blocked),
            Job::CreateWatch(id, name, request) => self.streams.create(memory, id, name, request),
            Job::CancelWatch(id, name) => self.streams.cancel(memory, id, name),
            Job::Progress(id) => self.streams.progress(memory, id),
            Job::Resume(id) => self.streams.deliver_stream(memory, id),
            Job::CloseStream(id) => self.streams.close(memory, id),
            Job::Stop(done) => return Some(done),
        }
        None
    }

    /// Makes everything durable that has happened.
    fn commit(&mut self, now: Mono) -> Result<(), StoreError> {
        let changes = self.memory.take_journal();
        if changes.is_empty() {
            return Ok(());
        }
        let Some(disk) = &self.disk else { return Err(stopped()) };
        let Err(error) = disk.commit(&changes, self.memory.header().revision) else {
            self.space.written();
            if self.failing.take().is_some() {
                tracing::info!("the registry's file {} is written again", disk.path().display());
            }
            self.history.note(now, self.memory.header().revision, &changes);
            return Ok(());
        };
        if self.failing.as_ref() != Some(&error.why) {
            let (file, why) = (disk.path().display(), &error.why);
            tracing::error!("the registry's file {file} cannot be written: {why}; changes are refused until it can");
            self.failing = Some(error.why.clone());
        }
        Err(self.go_back(now, error.full))
    }

    fn defragment(&mut self) -> Result<Header, StoreError> {
        let Some(disk) = &mut self.disk else { return Err(stopped()) };
        if let Err(error) = disk.defragment() {
            tracing::error!("the registry's file {} cannot be made smaller: {}", disk.path().display(), error.why);
            return Err(self.go_back(boot_now().mono, error.full));
        }
        Ok(self.memory.header())
    }

    fn replace(&mut self, saved: Saved) -> Result<Restored, EmbeddedError> {
        let restored = restore::install(&self.dir, saved)?;
        // The old file is the old registry's no longer, whatever comes next.
        self.disk = None;
        let now = boot_now().mono;
        let (disk, mut memory) = Disk::open(&self.dir, now, random()?)?;
        memory.keep_journal();
        self.history = History::new(&self.config, now, &memory);
        (self.disk, self.memory, self.streams) = (Some(disk), memory, Streams::default());
        Ok(restored)
    }

    /// The disk did not take what memory already has: memory goes back to what the disk has.
    fn go_back(&mut self, now: Mono, full: bool) -> StoreError {
        let Some(path) = self.disk.take().map(|disk| disk.path().to_owned()) else { return stopped() };
        if full {
            self.space.disk_is_full();
        }
        let reopened = random().and_then(|seed| Disk::reopen(path, now, seed));
        match reopened {
            Ok((disk, memory)) => {
                // A commit that failed late may have got through all the same.
                let lost = memory.header().revision < self.memory.header().revision;
                self.disk = Some(disk);
                self.memory.go_back_to(memory);
                match (full, lost) {
                    (true, true) => space::exceeded(),
                    _ => StoreError::new(ErrorKind::Unknown, "the registry's disk failed: see its log"),
                }
            }
            Err(error) => {
                tracing::error!("the registry stops, since its file cannot be read back: {error}");
                stopped()
            }
        }
    }
}

/// What is answered once the registry is closed.
pub(super) fn stopped() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "etcdserver: server stopped")
}

/// A seed that no other start has.
pub(super) fn random() -> Result<u64, EmbeddedError> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(EmbeddedError::io("read", "/dev/urandom"))?;
    Ok(u64::from_le_bytes(bytes))
}
