//! What the registry says of the cluster, as whoever watches it sees it, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fleet_registry::mirror::KvChange;
use fleet_registry::shell::{DEFAULT_REQUEST_TIMEOUT, Input, StoreShell, boot_now, drive};
use fleet_registry::view::Change;
use fleet_registry::{Contents, Layout, Mirror, MirrorConfig, MirrorEffect, MirrorInput, Mono, Owner, Store, View};
use fleet_units::{MachineId, UnitName};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

/// The cluster at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When this was so.
    pub at: Mono,
    /// Machines that are present.
    pub present: usize,
    /// Machines that have a schedule.
    pub scheduled: usize,
    /// Units that a machine which is present reports to be active.
    pub running: usize,
    /// The fence of whoever leads.
    pub leader: Option<i64>,
    /// When a leader's key went, first since the last mark.
    pub leader_lost: Option<Mono>,
    /// When a schedule was written after that.
    pub decided: Option<Mono>,
    /// When a machine's key went, first since the last mark.
    pub machine_lost: Option<Mono>,
}

/// Somebody who watches the whole registry, on a thread of its own.
#[derive(Debug)]
pub struct Observer {
    picture: Arc<Mutex<Picture>>,
    seen: watch::Receiver<Seen>,
    /// Dropping it ends the thread.
    _end: mpsc::UnboundedSender<MirrorInput>,
}

impl Observer {
    /// Begins to watch. `connect` is called on the thread.
    pub fn start(connect: impl FnOnce() -> Result<Arc<dyn Store>> + Send + 'static) -> Result<Self> {
        let (end, mut own) = mpsc::unbounded_channel();
        let (said, seen) = watch::channel(Seen::default());
        let picture = Arc::new(Mutex::new(Picture::new()));
        let drawn = Arc::clone(&picture);
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for the observer")?;
        end.send(MirrorInput::Start).context("a new channel takes no message")?;
        let watch = async move {
            let store = connect()?;
            let (events, mut answers) = mpsc::unbounded_channel();
            let shell = StoreShell::new(store, DEFAULT_REQUEST_TIMEOUT, events);
            let mut mirror = Mirror::new(MirrorConfig::prefix(Layout::default().root().to_owned(), Owner::Mirror, 1));
            let to_event = |input| match input {
                Input::Store(event) => MirrorInput::Store(event),
                Input::Own(input) => input,
                Input::Tick => MirrorInput::Tick,
            };
            let perform = |effect| {
                match effect {
                    MirrorEffect::Store(effect) => shell.perform(effect),
                    MirrorEffect::Changes { changes, .. } => {
                        let now = lock(&drawn).apply(boot_now().mono, &changes);
                        said.send_replace(now);
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            };
            drive(&mut mirror, &mut answers, &mut own, to_event, perform).await.context("no timer for the observer")
        };
        let run = move || {
            if let Err(error) = runtime.block_on(watch) {
                eprintln!("the observer ends: {error:#}");
            }
        };
        std::thread::Builder::new().name("observer".to_owned()).spawn(run).context("no thread for the observer")?;
        Ok(Self { picture, seen, _end: end })
    }

    /// Forgets when keys went.
    pub fn mark(&self) {
        let mut picture = lock(&self.picture);
        let seen = &mut picture.seen;
        (seen.leader_lost, seen.decided, seen.machine_lost) = (None, None, None);
    }

    /// Waits until this is so, and says how it was then.
    pub async fn wait(&self, what: &str, limit: Duration, is_so: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let mut seen = self.seen.clone();
        let outcome = tokio::time::timeout(limit, seen.wait_for(|seen| is_so(seen))).await;
        match outcome {
            Ok(Ok(seen)) => return Ok(*seen),
            Ok(Err(_)) => return Err(anyhow!("the observer has ended")),
            Err(_) => {}
        }
        let last = *self.seen.borrow();
        Err(anyhow!("not within {limit:?}: {what}; the registry says {last:?}"))
    }

    /// The machine on which each unit is reported to run, of those that are present.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<UnitName, BTreeSet<MachineId>> {
        let picture = lock(&self.picture);
        let mut all: BTreeMap<UnitName, BTreeSet<MachineId>> = BTreeMap::new();
        for (machine, units) in picture.active.iter().filter(|(machine, _)| picture.view.is_present(machine)) {
            for unit in units {
                all.entry(unit.clone()).or_default().insert(machine.clone());
            }
        }
        all
    }
}

fn lock(picture: &Mutex<Picture>) -> MutexGuard<'_, Picture> {
    picture.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known so far.
#[derive(Debug)]
struct Picture {
    view: View,
    seen: Seen,
    /// What each machine, present or not, reports to be active.
    active: BTreeMap<MachineId, BTreeSet<UnitName>>,
    /// How many machines that are present report a unit to be active.
    reporters: BTreeMap<UnitName, usize>,
}

impl Picture {
    fn new() -> Self {
        Self {
            view: View::new(Layout::default(), Contents::Digest),
            seen: Seen::default(),
            active: BTreeMap::new(),
            reporters: BTreeMap::new(),
        }
    }

    fn apply(&mut self, now: Mono, changes: &[KvChange]) -> Seen {
        for change in changes {
            match self.view.apply(change) {
                Some(Change::Machine { id, old }) => self.machine(now, &id, old.is_some()),
                Some(Change::State { machine, unit, .. }) => self.state(machine, unit),
                Some(Change::Leader { .. }) if self.view.leader.is_none() => {
                    self.seen.leader_lost.get_or_insert(now);
                }
                Some(Change::Schedule { .. }) if self.seen.leader_lost.is_some() => {
                    self.seen.decided.get_or_insert(now);
                }
                _ => {}
            }
        }
        self.seen = Seen {
            at: now,
            present: self.view.machines.len(),
            scheduled: self.view.schedules.len(),
            running: self.reporters.len(),
            leader: self.view.leader.as_ref().map(|leader| leader.create_revision),
            ..self.seen
        };
        self.seen
    }

    fn machine(&mut self, now: Mono, id: &MachineId, was_present: bool) {
        let is_present = self.view.is_present(id);
        if was_present == is_present {
            return;
        }
        if !is_present {
            self.seen.machine_lost.get_or_insert(now);
        }
        for unit in self.active.get(id).into_iter().flatten() {
            count(&mut self.reporters, unit, is_present);
        }
    }

    fn state(&mut self, machine: MachineId, unit: UnitName) {
        let is_active = self.view.state(&machine, &unit).is_some_and(|state| state.value.active == "active");
        let is_present = self.view.is_present(&machine);
        let units = self.active.entry(machine).or_default();
        let changed = if is_active { units.insert(unit.clone()) } else { units.remove(&unit) };
        if changed && is_present {
            count(&mut self.reporters, &unit, is_active);
        }
    }
}

fn count(reporters: &mut BTreeMap<UnitName, usize>, unit: &UnitName, one_more: bool) {
    let count = reporters.entry(unit.clone()).or_default();
    *count = if one_more { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        reporters.remove(unit);
    }
}
