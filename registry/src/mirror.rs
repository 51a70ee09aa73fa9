//! A local copy of all keys below a root, kept by one watch so that revisions stay in order.
//!
//! It loads pages at one revision and watches from the next. A watch that breaks is opened again where it ended; then
//! one linearizable read tells whether anything is still missing, and whether the store is still the same. After a
//! compaction, and when the store turns out to be another, everything is loaded again and only differences are handed
//! over. The mirror itself remembers no values, only which revision of each key it has handed over.

mod known;
mod load;
mod watch;

use std::time::Duration;

use bytes::Bytes;

use crate::jitter::Jitter;
use crate::step::{CallId, Mono, Now, Owner, StateMachine, StoreEffect, StoreEvent, WatchId};
use crate::store::{Header, KeyValue, Request, StoreError, prefix_end};
use known::Known;

/// How many keys a page holds.
const PAGE: i64 = 1_000;

/// The shortest wait before a retry.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest wait before the first retry.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest wait before any retry.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A watch that is not there by then will not come.
const CREATION: Duration = Duration::from_secs(5);

/// Between two checks of a watch that seems well, at least and at most.
const CHECKS: (Duration, Duration) = (Duration::from_secs(4 * 60), Duration::from_secs(6 * 60));

/// What a mirror copies, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// First key.
    pub root: Bytes,
    /// End, exclusive; empty for the root alone.
    pub range_end: Bytes,
    /// Owner for the ids of calls and watches. No two machines that share a shell may share one.
    pub owner: Owner,
    /// How many keys a page holds.
    pub page: i64,
    /// Spreads retries.
    pub seed: u64,
}

impl MirrorConfig {
    /// A mirror of all keys below `root`.
    #[must_use]
    pub fn prefix(root: impl Into<Bytes>, owner: Owner, seed: u64) -> Self {
        let root = root.into();
        Self { range_end: prefix_end(&root), root, owner, page: PAGE, seed }
    }

    /// A mirror of one key.
    #[must_use]
    pub fn key(key: impl Into<Bytes>, owner: Owner, seed: u64) -> Self {
        Self { root: key.into(), range_end: Bytes::new(), owner, page: PAGE, seed }
    }
}

/// What happens to a mirror.
#[derive(Debug, Clone, PartialEq)]
pub enum MirrorInput {
    /// Begin to load.
    Start,
    /// End; a later start begins anew, and hands over what is different by then.
    Stop,
    /// From the store.
    Store(StoreEvent),
    /// The wakeup time has come.
    Tick,
    /// Somebody else heard from the store: a retry that is waiting its turn is made at once.
    Reachable,
}

/// What a mirror wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum MirrorEffect {
    /// Of the store.
    Store(StoreEffect),
    /// Changes in order. A watch's changes of one revision come together. A load's come page by page, and only where
    /// something differs from what was handed over before.
    Changes {
        /// The revision at which they were there.
        revision: i64,
        /// The changes.
        changes: Vec<KvChange>,
    },
    /// Everything up to `revision` has been handed over.
    Complete {
        /// Up to this revision.
        revision: i64,
    },
    /// The watch broke, or a load failed: what was handed over may be stale until the next
    /// [`Complete`](Self::Complete). It is retried without being asked to.
    Stale {
        /// Why.
        why: String,
    },
    /// Another etcd cluster id, or a revision lower than one seen: a restored or different store. A load follows, in
    /// which every key that is there is handed over again; treat it as an outage until the next
    /// [`Complete`](Self::Complete).
    Restored {
        /// Why.
        why: String,
    },
}

/// A key that is different now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvChange {
    /// The key.
    pub key: Bytes,
    /// What it holds, or none: it was deleted.
    pub new: Option<KeyValue>,
}

/// The mirror's state machine.
#[derive(Debug, Clone)]
pub struct Mirror {
    config: MirrorConfig,
    jitter: Jitter,
    /// Names of calls and watches so far.
    names: u64,
    phase: Phase,
    /// Mod revision of every key as handed over; 0 where it belongs to a store that is gone.
    known: Known,
    /// Everything up to here has been handed over.
    revision: i64,
    /// Highest revision that the store has shown.
    seen: i64,
    cluster: Option<u64>,
    complete: bool,
    /// What was last said of being stale, so that a long outage is not told at every retry.
    said: Option<String>,
    /// Failures since the last success.
    failures: u32,
}

#[derive(Debug, Clone)]
enum Phase {
    Stopped,
    /// Loading; `call` is none while a retry waits for `retry`.
    Loading {
        load: load::Load,
        call: Option<u64>,
        retry: Mono,
    },
    /// The watch broke; it is opened again at `retry`.
    Broken {
        retry: Mono,
    },
    /// A watch is there, or on its way.
    Watching(watch::Watch),
}

impl Mirror {
    /// A mirror that begins at [`MirrorInput::Start`].
    #[must_use]
    pub fn new(config: MirrorConfig) -> Self {
        let jitter = Jitter::new(config.seed);
        Self {
            config,
            jitter,
            names: 0,
            phase: Phase::Stopped,
            known: Known::default(),
            revision: 0,
            seen: 0,
            cluster: None,
            complete: false,
            said: None,
            failures: 0,
        }
    }

    /// Everything up to this revision has been handed over; 0 before the first load.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether what was handed over is all there was at [`revision`](Self::revision), and is being followed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn call(&mut self, request: Request, out: &mut Vec<MirrorEffect>) -> u64 {
        let id = CallId { owner: self.config.owner, seq: self.name() };
        out.push(MirrorEffect::Store(StoreEffect::Call { id, request }));
        id.seq
    }

    fn cancel_watch(&mut self, out: &mut Vec<MirrorEffect>) {
        if let Phase::Watching(watch) = &self.phase {
            let id = WatchId { owner: self.config.owner, seq: watch.seq };
            out.push(MirrorEffect::Store(StoreEffect::CancelWatch { id }));
        }
    }

    fn complete(&mut self, revision: i64, out: &mut Vec<MirrorEffect>) {
        self.revision = self.revision.max(revision);
        self.complete = true;
        self.said = None;
        self.failures = 0;
        out.push(MirrorEffect::Complete { revision: self.revision });
    }

    fn stale(&mut self, why: String, out: &mut Vec<MirrorEffect>) {
        self.complete = false;
        if self.said.as_ref() != Some(&why) {
            self.said = Some(why.clone());
            out.push(MirrorEffect::Stale { why });
        }
    }

    /// When to try again, further out with every failure.
    fn retry_at(&mut self, now: Mono) -> Mono {
        let longest = RETRY_MAX.min(RETRY_FIRST * 2_u32.saturating_pow(self.failures.min(8)));
        self.failures += 1;
        now + self.jitter.between(RETRY_MIN, longest)
    }

    /// Whether a header comes from the store that was known so far.
    fn same_cluster(&mut self, header: &Header) -> Result<(), String> {
        match self.cluster {
            Some(known) if known != header.cluster_id => Err(format!(
                "the store's cluster id is {:016x}, it was {known:016x}: this is another store",
                header.cluster_id
            )),
            _ => {
                self.cluster = Some(header.cluster_id);
                Ok(())
            }
        }
    }

    /// Whether the header of a linearizable read, sent when `floor` had been seen, comes from the store that was known so
    /// far. A watch may be served by a member that lags behind, so that low revisions prove nothing there.
    fn same_store(&mut self, header: &Header, floor: i64) -> Result<(), String> {
        self.same_cluster(header)?;
        if header.revision < floor {
            return Err(format!(
                "the store is at revision {}, it was at {floor} before: it was restored from a backup",
                header.revision
            ));
        }
        self.seen = self.seen.max(header.revision);
        Ok(())
    }

    /// The store is not the one that it was: load everything, whatever its revisions say.
    fn restored(&mut self, now: Mono, why: String, out: &mut Vec<MirrorEffect>) {
        self.cancel_watch(out);
        self.complete = false;
        self.said = Some(why.clone());
        self.known.forget_revisions();
        self.revision = 0;
        self.seen = 0;
        self.cluster = None;
        out.push(MirrorEffect::Restored { why });
        self.load_later(now);
    }

    /// Begins a load after a moment, so that not all mirrors of a cluster load at once.
    fn load_later(&mut self, now: Mono) {
        let retry = self.retry_at(now);
        self.phase = Phase::Loading { load: load::Load::from(&self.config), call: None, retry };
    }

    fn store(&mut self, now: Mono, event: StoreEvent, out: &mut Vec<MirrorEffect>) {
        match event {
            StoreEvent::Answer { id, result } if id.owner == self.config.owner => match &self.phase {
                Phase::Loading { call, .. } if *call == Some(id.seq) => self.page(now, result, out),
                Phase::Watching(watch) => {
                    if let watch::Check::Asked { call, floor } = watch.check
                        && call == id.seq
                    {
                        self.checked(now, floor, result, out);
                    }
                }
                _ => {}
            },
            StoreEvent::Watch { id, item } if id.owner == self.config.owner => match &self.phase {
                Phase::Watching(watch) if watch.seq == id.seq => self.watched(now, item, out),
                _ => {}
            },
            _ => {}
        }
    }

    /// What is due by the clock; `hurry`: a retry that waits its turn is due too.
    fn due(&mut self, now: Mono, hurry: bool, out: &mut Vec<MirrorEffect>) {
        match &self.phase {
            Phase::Loading { call: None, retry, .. } if hurry || now >= *retry => self.ask_page(out),
            Phase::Broken { retry } if hurry || now >= *retry => self.open_watch(now, out),
            Phase::Watching(watch) if watch.created_by.is_some_and(|by| now >= by) => self.watch_overdue(now, out),
            Phase::Watching(watch) => match watch.check {
                watch::Check::Due(at) if now >= at || (hurry && !self.complete) => self.ask_check(out),
                _ => {}
            },
            _ => {}
        }
    }
}

impl StateMachine for Mirror {
    type Event = MirrorInput;
    type Effect = MirrorEffect;

    fn step(&mut self, now: Now, event: MirrorInput) -> Vec<MirrorEffect> {
        let mut out = Vec::new();
        match event {
            MirrorInput::Start if matches!(self.phase, Phase::Stopped) => {
                self.phase = Phase::Loading { load: load::Load::from(&self.config), call: None, retry: now.mono };
                self.ask_page(&mut out);
            }
            MirrorInput::Start => {}
            MirrorInput::Stop => {
                self.cancel_watch(&mut out);
                self.complete = false;
                self.said = None;
                self.phase = Phase::Stopped;
            }
            MirrorInput::Store(event) => self.store(now.mono, event, &mut out),
            MirrorInput::Tick => self.due(now.mono, false, &mut out),
            MirrorInput::Reachable => self.due(now.mono, true, &mut out),
        }
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Loading { call: None, retry, .. } | Phase::Broken { retry } => Some(*retry),
            Phase::Watching(watch) => watch.wakeup(),
            Phase::Stopped | Phase::Loading { .. } => None,
        }
    }
}

/// In words, for people.
fn because(what: &str, error: &StoreError) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests;
