//! The task behind a loaded mirror, and the handles through which it is read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use fleet_engine::{Outlook, Texts};
use fleet_registry::mirror::{KvChange, Mirror, MirrorConfig, MirrorEffect, MirrorInput};
use fleet_registry::shell::{StoreShell, boot_now};
use fleet_registry::{Layout, Owner, StateMachine, Store};
use fleet_units::UnitName;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use super::{IDLE, InTouch, Inner, Picture};

/// Notices that a slow reader may be behind before it is given everything anew.
const BACKLOG: usize = 256;

/// How far the mirror is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Everything up to this revision is shown; 0 before the first load.
    pub revision: i64,
    /// Why the store cannot be followed at the moment.
    pub failing: Option<String>,
    complete: bool,
    loaded: bool,
}

impl Status {
    /// Whether the cluster was ever loaded.
    #[must_use]
    pub fn loaded(&self) -> bool {
        self.loaded
    }

    /// Whether what is shown is what is.
    #[must_use]
    pub fn live(&self) -> bool {
        self.complete
    }
}

/// What watchers are told.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Something about these units changed.
    Units {
        /// The revision that shows it.
        revision: i64,
        /// Which.
        names: Arc<BTreeSet<UnitName>>,
    },
    /// What was said may be old from now on.
    Stale {
        /// Why.
        why: String,
    },
    /// It is followed again: all is as the picture shows.
    Complete,
}

/// A mirror and what is known through it.
pub(super) struct Loaded {
    picture: RwLock<Picture>,
    /// What the engine would decide, once somebody asked for that.
    outlook: Mutex<Option<Outlook>>,
    status: watch::Sender<Status>,
    in_touch: InTouch,
    notices: broadcast::Sender<Notice>,
    users: AtomicUsize,
    last_use: Mutex<Instant>,
}

impl Loaded {
    pub(super) fn new(layout: &Layout, in_touch: InTouch) -> Self {
        Self {
            picture: RwLock::new(Picture::new(layout.clone())),
            outlook: Mutex::new(None),
            status: watch::Sender::new(Status::default()),
            in_touch,
            notices: broadcast::Sender::new(BACKLOG),
            users: AtomicUsize::new(0),
            last_use: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn subscribe_status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn used(&self, at: Instant) {
        let mut last = self.last_use.lock().unwrap_or_else(PoisonError::into_inner);
        *last = at.max(*last);
    }

    fn idle_since(&self) -> Option<Instant> {
        let last = *self.last_use.lock().unwrap_or_else(PoisonError::into_inner);
        (self.users.load(Ordering::SeqCst) == 0).then_some(last)
    }

    fn take(&self, revision: i64, changes: &[KvChange]) {
        let mut picture = self.picture.write().unwrap_or_else(PoisonError::into_inner);
        let names = picture.apply(Instant::now(), revision, changes);
        // Told under the lock, so that who reads and subscribes under it misses nothing and sees nothing twice.
        if !names.is_empty() {
            // Nobody may be listening.
            _ = self.notices.send(Notice::Units { revision, names: Arc::new(names) });
        }
    }

    fn complete(&self, revision: i64) {
        let (was_live, failed) = {
            let status = self.status.borrow();
            (status.live(), status.failing.is_some())
        };
        if failed {
            tracing::info!("the cluster's records are followed again");
        }
        if !was_live {
            self.picture.write().unwrap_or_else(PoisonError::into_inner).absent.followed(Instant::now());
        }
        self.status.send_replace(Status { revision, failing: None, complete: true, loaded: true });
        if !was_live {
            _ = self.notices.send(Notice::Complete);
        }
    }

    fn stale(&self, why: String) {
        // Once an outage: the reasons change while it lasts.
        if self.status.borrow().failing.is_none() {
            tracing::warn!("the cluster's records cannot be followed: {why}");
        }
        self.status.send_modify(|status| {
            status.complete = false;
            status.failing = Some(why.clone());
        });
        _ = self.notices.send(Notice::Stale { why });
    }
}

/// The cluster in use: while one is held the mirror stays.
pub struct Handle {
    loaded: Arc<Loaded>,
}

impl Handle {
    pub(super) fn new(loaded: Arc<Loaded>) -> Self {
        loaded.users.fetch_add(1, Ordering::SeqCst);
        Self { loaded }
    }

    /// Reads the cluster. Changes wait meanwhile, so be quick.
    pub fn read<T>(&self, read: impl FnOnce(&Picture) -> T) -> T {
        read(&self.loaded.picture.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks what the engine would decide by what is known now. Takes time, the first time most of all, so it is not for
    /// a task that others wait for; whoever reads the cluster meanwhile waits for the look at what changed alone.
    pub fn foresee<T>(&self, ask: impl FnOnce(&mut Outlook) -> T) -> T {
        let mut outlook = self.loaded.outlook.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match outlook.take() {
            Some(known) => known,
            None => {
                let texts = self.read(|picture| {
                    _ = picture.take_touched();
                    Texts::of(&picture.view)
                });
                let texts = Texts::read(texts);
                self.read(|picture| Outlook::with(texts, &picture.view))
            }
        };
        let known = outlook.insert(known);
        self.read(|picture| known.update(&picture.view, picture.take_touched().unwrap_or_default()));
        ask(known)
    }

    /// How far the mirror is.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.loaded.status.borrow().clone();
        if status.complete && !(self.loaded.in_touch)() {
            status.complete = false;
            status.failing = Some("it was not heard of for half a lease".to_owned());
        }
        status
    }

    pub(super) fn subscribe_status(&self) -> watch::Receiver<Status> {
        self.loaded.subscribe_status()
    }

    /// Somebody will ask again at that time, about what only an unbroken look at the cluster can tell.
    pub fn keep_until(&self, at: Instant) {
        self.loaded.used(at);
    }

    /// Reads the cluster, and is told of everything that changes after.
    pub fn read_and_follow<T>(&self, read: impl FnOnce(&Picture) -> T) -> (T, broadcast::Receiver<Notice>) {
        let picture = self.loaded.picture.read().unwrap_or_else(PoisonError::into_inner);
        (read(&picture), self.loaded.notices.subscribe())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.loaded.used(Instant::now());
        self.loaded.users.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Follows the store until nobody has asked for a while.
pub(super) async fn run(inner: Weak<Inner>, loaded: Arc<Loaded>) {
    let Some((store, config)) = inner.upgrade().map(|inner| (Arc::clone(&inner.store), inner.config.clone())) else {
        return;
    };
    let store: Arc<dyn Store> = store;
    let (events, mut from_store) = mpsc::unbounded_channel();
    let shell = StoreShell::new(store, config.timeout, events);
    let root = config.layout.root().to_owned();
    let mut mirror = Mirror::new(MirrorConfig::prefix(root, Owner::Mirror, config.seed));
    let mut input = MirrorInput::Start;
    loop {
        for effect in mirror.step(boot_now(), input) {
            match effect {
                MirrorEffect::Store(effect) => shell.perform(effect),
                MirrorEffect::Changes { revision, changes } => loaded.take(revision, &changes),
                MirrorEffect::Complete { revision } => loaded.complete(revision),
                MirrorEffect::Stale { why } => loaded.stale(why),
                MirrorEffect::Restored { why } => {
                    tracing::error!("the registry is not the one that it was: {why}");
                    loaded.stale(why);
                }
            }
        }
        let now = boot_now().mono;
        let wakeup = mirror.wakeup().map_or(IDLE, |at| at.saturating_sub(now));
        let idle = loaded.idle_since();
        let idle_at = idle.map_or_else(|| Instant::now() + IDLE, |since| since + IDLE);
        input = tokio::select! {
            event = from_store.recv() => match event {
                Some(event) => MirrorInput::Store(event),
                None => return,
            },
            () = tokio::time::sleep(wakeup.max(Duration::from_millis(1))) => MirrorInput::Tick,
            () = tokio::time::sleep_until(idle_at) => {
                if drop_if_idle(&inner, &loaded) {
                    tracing::debug!("dropped the mirror: nobody asked for {} s", IDLE.as_secs());
                    return;
                }
                MirrorInput::Tick
            }
        };
    }
}

/// Takes the mirror out of service, unless somebody began to use it just now.
fn drop_if_idle(inner: &Weak<Inner>, loaded: &Loaded) -> bool {
    let Some(inner) = inner.upgrade() else { return true };
    // Handles are made under this lock.
    let mut slot = inner.slot();
    let idle = loaded.idle_since().is_some_and(|since| since.elapsed() >= IDLE);
    if idle {
        *slot = None;
    }
    idle
}
