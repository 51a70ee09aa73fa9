//! The agent of one machine: a state machine without I/O.
//!
//! Two tracks run beside each other. The local one finds what fleet left on the disk and in systemd, adopts it, and says
//! [`Effect::Ready`]; it needs no store. The other one, whenever there is a lease, makes sure that the store is of this
//! machine's cluster, registers the machine, reads its schedule, and catches up with it ([`Standing`]). Only when both
//! have come that far is anything started; units are then driven one by one through [`crate::reconcile`].

mod ending;
mod fence;
mod membership;
mod outcome;
mod progress;
mod proof;
mod publish;
mod restored;
mod schedule;
mod standing;
mod store;
mod told;
mod unit;
mod work;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::record::{ClusterId, ScheduleRecord};
use fleet_registry::session::SessionEvent;
use fleet_registry::{Jitter, Mono, Now, StateMachine};
use fleet_units::UnitName;

use crate::config::AgentConfig;
use crate::effect::{DiskEffect, DiskEvent, Effect, Event, Memory, SystemdEffect, SystemdEvent};
use crate::report::Report;

use ending::Mode;
pub use membership::Foreign;
use progress::Progress;
use publish::Publisher;
use restored::Unknown;
pub use standing::Standing;
use store::Calls;
pub use told::UnitSnapshot;
use unit::Unit;
use work::Work;

/// The pause before a disk that could not be read is tried again.
const RESCAN: Duration = Duration::from_secs(5);

/// How far the local track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    /// The disk is being read.
    Scanning,
    /// systemd is being asked about what was found.
    Listing,
    /// What runs is known.
    Adopted,
}

/// The agent of one machine.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    jitter: Jitter,
    mode: Mode,

    local: Local,
    /// Whether systemd can be called.
    systemd: bool,
    /// The cluster that this machine belongs to.
    cluster: Option<ClusterId>,
    /// What is on disk of what was acknowledged.
    memory: Memory,
    /// What is being written of it.
    remembering: Option<(Memory, Progress)>,

    lease: Option<i64>,
    /// Until then it lives for certain, whatever the session has come to say of it.
    lease_until: Mono,
    /// When this fleetd registered, for people.
    since: u64,
    standing: Standing,
    /// A lease was lost since the machine was last caught up.
    gap: bool,
    /// Until then a machine that catches up waits for all that it stops.
    patient_until: Option<Mono>,
    /// The last trouble that was reported, so that it is not repeated.
    trouble: Option<Report>,
    /// Highest generation that this machine's record says it has seen.
    seen_published: u64,
    /// Whether the store is known to be no older than what was carried out here; before that, nobody is told how far
    /// that is.
    vetted: bool,
    unknown: Unknown,
    calls: Calls,
    /// The revision at which this machine's record was written last: every write of the agent compares it.
    own_revision: i64,
    /// A write may take effect yet. Nothing more is written before it cannot, which writing the machine's record anew sees
    /// to.
    in_doubt: bool,
    /// The machine says something else of itself than what may be being written: it is written again once it registered.
    redescribed: bool,
    /// The newest revision of the store that was seen.
    revision: i64,
    /// The disk could not be read, and is tried again then.
    rescan_at: Option<Mono>,
    /// Watches may be opened again from then on.
    reread_at: Option<Mono>,

    /// The newest schedule known of this machine's cluster.
    schedule: Option<ScheduleRecord>,
    units: BTreeMap<UnitName, Unit>,
    work: Work,
    publisher: Publisher,
    fence: fence::Keeper,
}

/// What people and the rest of fleetd may want to know of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStatus {
    /// Whether what runs has been adopted.
    pub adopted: bool,
    /// How the machine stands with the cluster.
    pub standing: Standing,
    /// The cluster that it belongs to.
    pub cluster: Option<ClusterId>,
    /// The newest schedule known.
    pub generation: Option<u64>,
    /// The generation that was acknowledged.
    pub acknowledged: u64,
    /// Whether systemd can be reached.
    pub systemd: bool,
    /// What keeps the machine from taking part, as far as it was reported.
    pub trouble: Option<Report>,
    /// The store that was found instead of this machine's cluster's.
    pub foreign: Option<Foreign>,
}

impl Agent {
    /// An agent that has not begun yet.
    #[must_use]
    pub fn new(config: AgentConfig) -> Self {
        Self {
            jitter: Jitter::new(config.seed),
            publisher: Publisher::new(config.facts.id.clone(), config.layout.clone()),
            config,
            mode: Mode::Running,
            local: Local::Scanning,
            systemd: false,
            cluster: None,
            memory: Memory::default(),
            remembering: None,
            lease: None,
            lease_until: Mono::ZERO,
            since: 0,
            standing: Standing::NoLease,
            gap: false,
            patient_until: None,
            trouble: None,
            seen_published: 0,
            vetted: false,
            unknown: Unknown::default(),
            calls: Calls::default(),
            own_revision: 0,
            in_doubt: false,
            redescribed: false,
            revision: 0,
            rescan_at: None,
            reread_at: None,
            schedule: None,
            units: BTreeMap::new(),
            work: Work::default(),
            fence: fence::Keeper::default(),
        }
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        AgentStatus {
            adopted: self.local == Local::Adopted,
            standing: self.standing.clone(),
            cluster: self.cluster.clone(),
            generation: self.schedule.as_ref().map(|s| s.generation),
            acknowledged: self.memory.acknowledged,
            systemd: self.systemd,
            trouble: self.trouble.clone().filter(|_| self.standing != Standing::Present),
            foreign: self.foreign(),
        }
    }

    /// The units that this machine holds, with what it holds of each. For tests and the simulator.
    pub fn held(&self) -> impl Iterator<Item = (&UnitName, &crate::reconcile::Held)> {
        self.units.iter().filter_map(|(name, unit)| Some((name, unit.held.as_ref()?)))
    }

    fn on_session(&mut self, now: Now, event: &SessionEvent, out: &mut Vec<Effect>) {
        self.fence_session(event);
        match event {
            SessionEvent::Started { lease, ttl, sent } => {
                self.stand_down(out);
                self.lease = Some(*lease);
                self.lease_until = *sent + *ttl;
                self.begin(now, out);
            }
            SessionEvent::Lost { .. } => {
                if self.standing.registered() {
                    out.push(Effect::Log(Report::Unregistered { why: "its lease is lost".into() }));
                }
                self.stand_down(out);
                self.lease = None;
                self.standing = Standing::NoLease;
                self.gap = true;
            }
            SessionEvent::Acknowledged { ttl, sent, .. } => {
                let doubted = now.mono >= self.lease_until;
                self.lease_until = *sent + *ttl;
                if doubted {
                    self.mark_all();
                }
            }
        }
    }

    fn on_systemd(&mut self, now: Now, event: SystemdEvent, out: &mut Vec<Effect>) {
        match event {
            SystemdEvent::Connected => {
                self.systemd = true;
                self.fence_unknown();
                self.list_all(out);
            }
            SystemdEvent::Disconnected { why } => {
                if self.systemd {
                    out.push(Effect::Log(Report::SystemdTrouble { why }));
                }
                self.systemd = false;
                self.fence_unknown();
            }
            SystemdEvent::Listed { op, result } => self.on_listed(now, op, result, out),
            SystemdEvent::Linked { op, units } => self.on_linked(now, op, units, out),
            SystemdEvent::Unlinked { op, units } => self.on_unlinked(now, op, units, out),
            SystemdEvent::Reloaded { op, result } => self.on_reloaded(now, op, result, out),
            SystemdEvent::JobDone { op, unit, result, report } => self.on_job(now, op, &unit, result, report, out),
            SystemdEvent::Fence { op, result } => self.on_fence(now, op, result, out),
            SystemdEvent::Changed { unit, report } if self.fence_changed(&unit, &report) => {}
            SystemdEvent::Changed { unit, report } => self.on_changed(now, &unit, report),
        }
    }

    fn on_disk(&mut self, now: Now, event: DiskEvent, out: &mut Vec<Effect>) {
        match event {
            DiskEvent::Scanned(Ok(found)) => self.on_scanned(found, out),
            DiskEvent::Scanned(Err(why)) => {
                // Without its notes an agent would take its own units for strangers: it waits until it can read them.
                self.rescan_at = Some(now.mono + RESCAN);
                self.say(Report::DiskTrouble { what: "what fleet left on disk cannot be read".into(), why }, out);
            }
            DiskEvent::Cluster(result) => self.on_cluster_reread(now, result, out),
            DiskEvent::ClusterWritten(result) => self.on_cluster_written(now, result, out),
            DiskEvent::MemoryWritten(result) => self.on_memory_written(now, result, out),
            DiskEvent::Unit { op, unit, result } => self.on_unit_disk(now, op, &unit, result, out),
        }
    }

    fn list_all(&mut self, out: &mut Vec<Effect>) {
        if self.local == Local::Scanning {
            return;
        }
        let units: Vec<UnitName> = self.units.keys().cloned().collect();
        out.push(Effect::Systemd(SystemdEffect::Watch(units.clone())));
        let op = self.work.op();
        self.work.listing = Some(op);
        out.push(Effect::Systemd(SystemdEffect::List { op, units }));
    }

    /// Does everything that the last event has made possible.
    fn advance(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.drive_fence(now, out);
        self.drive(now, out);
        self.acknowledge(now, out);
        self.flush(now, out);
        self.end_if_done(out);
    }
}

impl StateMachine for Agent {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Start => out.push(Effect::Disk(DiskEffect::Scan)),
            Event::Store(event) => self.on_store(now, event, &mut out),
            Event::Session(event) => self.on_session(now, &event, &mut out),
            Event::Systemd(event) => self.on_systemd(now, event, &mut out),
            Event::Disk(event) => self.on_disk(now, event, &mut out),
            Event::Tick => self.on_tick(now, &mut out),
            Event::Accept { found } => self.join(now, found, &mut out),
            Event::StopOrphan(unit) => self.stop_orphan(&unit),
            Event::Facts(facts) => self.on_facts(*facts, &mut out),
            Event::Tell => out.push(Effect::Told(self.snapshot())),
            Event::Leave => self.leave(&mut out),
            Event::Detach => self.mode = Mode::Detaching,
        }
        self.advance(now, &mut out);
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        let standing = match self.standing {
            Standing::Waiting { until } => Some(until),
            _ => None,
        };
        let registered = self.standing.registered();
        let publish = if registered && !self.in_doubt { self.publisher.due() } else { None };
        let reread = if registered { self.reread_at } else { None };
        let fence = self.fence_wakeup();
        let times = [standing, publish, reread, fence, self.patient_until, self.rescan_at, self.work.wakeup()];
        times.into_iter().flatten().min()
    }
}

impl Agent {
    fn on_tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        if matches!(self.standing, Standing::Waiting { until } if until <= now.mono) {
            self.begin_again(now, out);
        }
        if self.standing.registered() && self.reread_at.is_some_and(|at| at <= now.mono) {
            self.read(out);
        }
        if self.rescan_at.is_some_and(|at| at <= now.mono) {
            self.rescan_at = None;
            out.push(Effect::Disk(DiskEffect::Scan));
        }
        self.patient_until.take_if(|until| *until <= now.mono);
        self.wake_units(now);
    }

    fn mark_all(&mut self) {
        let names: BTreeSet<UnitName> = self.units.keys().cloned().collect();
        self.work.dirty.extend(names);
    }
}
