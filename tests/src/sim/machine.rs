//! One simulated machine: power, disk, systemd, and the fleetd on it.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_agent::{Agent, AgentConfig, Effect, Event, MachineFacts};
use fleet_engine::{Engine, EngineConfig, EngineEffect};
use fleet_registry::loopback::{Connection, Link};
use fleet_registry::{Layout, Mono, Session, SessionConfig, SessionEffect, StateMachine, StoreEvent};
use fleet_units::MachineId;

use super::clock::Clock;
use super::crowded::capacity;
use super::disk::Disk;
use super::fault::ANOTHER;
use super::reality::number;
use super::systemd::Systemd;

/// The lease.
pub(super) const TTL: Duration = Duration::from_secs(10);
/// How long the brake holds.
pub(super) const BRAKE_HOLD: Duration = Duration::from_secs(40);
/// How long the records of a lost machine are kept.
pub(super) const RETENTION: Duration = Duration::from_secs(6 * 3_600);
/// How long the store may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// A running fleetd.
pub(super) struct Fleetd {
    pub(super) session: Session,
    pub(super) engine: Engine,
    pub(super) agent: Agent,
}

/// An effect on its way out of a fleetd.
pub(super) enum Owed {
    Session(SessionEffect),
    Engine(EngineEffect),
    Agent(Effect),
}

/// What waits for a fleetd that is paused.
pub(super) enum Waiting {
    Owed(Owed),
    Store(StoreEvent),
    Agent(Event),
}

/// What befalls a fleetd after so many more effects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It dies, and is started again after that.
    Dies(Duration),
    /// It is stopped as by a debugger, and goes on after that.
    Pauses(Duration),
}

/// A machine.
pub(super) struct Machine {
    pub(super) id: MachineId,
    pub(super) zone: &'static str,
    pub(super) clock: Clock,
    pub(super) link: Link,
    /// A watch of its has news.
    pub(super) news: bool,
    /// What the link does when nothing else befalls the store.
    pub(super) connection: Connection,
    pub(super) systemd: Systemd,
    pub(super) disk: Disk,
    pub(super) fleetd: Option<Fleetd>,
    /// When fleetd starts (again).
    pub(super) starts_at: Option<Mono>,
    /// Stopped, as by a debugger, until then.
    pub(super) paused_until: Option<Mono>,
    pub(super) waiting: Vec<Waiting>,
    /// fleetd is being stopped for good, and started again after that.
    pub(super) leaving: Option<Duration>,
    /// After so many more effects this happens.
    pub(super) fate: Option<(usize, Fate)>,
    /// When something last befell this machine that does not befall all.
    pub(super) disturbed: Mono,
    /// fleetds that ran here.
    pub(super) lives: u32,
    pub(super) boots: u32,
}

impl Machine {
    pub(super) fn new(n: usize, clock: Clock) -> Self {
        Self {
            id: format!("m{n:02}").parse().expect("a machine id"),
            zone: ["a", "b", "c"][n % 3],
            clock,
            link: Link::new(TIMEOUT),
            news: false,
            connection: Connection::Up,
            systemd: Systemd::default(),
            disk: Disk::default(),
            fleetd: None,
            starts_at: None,
            paused_until: None,
            waiting: Vec::new(),
            leaving: None,
            fate: None,
            disturbed: Mono::ZERO,
            lives: 0,
            boots: 1,
        }
    }

    /// A fleetd that has not begun.
    pub(super) fn make_fleetd(&self, layout: &Layout, seed: u64) -> Fleetd {
        let instance = format!("{}-{}", self.id, self.boots);
        let facts = MachineFacts {
            id: self.id.clone(),
            hostname: self.id.to_string(),
            address: None,
            peer: None,
            metadata: BTreeMap::from([("zone".to_owned(), self.zone.to_owned())]),
            capacity: capacity(number(&self.id)),
            version: "simulated".to_owned(),
            boot_id: format!("boot-{instance}"),
            instance: instance.clone(),
            carries_registry: false,
        };
        Fleetd {
            session: Session::new(SessionConfig { ttl: TTL, seed }),
            engine: Engine::new(EngineConfig {
                machine: self.id.clone(),
                instance,
                layout: layout.clone(),
                carries_registry: false,
                brake_hold: BRAKE_HOLD,
                machine_retention: RETENTION,
                seed: seed ^ 1,
                ttl: TTL,
            }),
            agent: Agent::new(AgentConfig {
                facts,
                layout: layout.clone(),
                units_directory: "/run/fleet/units".into(),
                state_directory: "/var/lib/fleet".into(),
                systemd_user: false,
                request_timeout: TIMEOUT,
                ttl: TTL,
                seed: seed ^ 2,
            }),
        }
    }

    /// Whether people made it a member of another cluster.
    pub(super) fn is_stranger(&self) -> bool {
        self.disk.cluster.as_ref().is_some_and(|cluster| cluster.0 == ANOTHER)
    }

    /// Something befalls it, until then.
    pub(super) fn disturb(&mut self, until: Mono) {
        self.disturbed = self.disturbed.max(until);
    }

    /// The fleetd that runs here, unless it is paused.
    pub(super) fn awake(&self) -> Option<&Fleetd> {
        self.fleetd.as_ref().filter(|_| self.paused_until.is_none())
    }

    /// When something happens here, in the world's time, if nothing else happens before; `now` if something does already.
    pub(super) fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let outside = [self.link.next_deadline(), self.systemd.next_deadline(), self.starts_at, self.paused_until];
        let inside =
            self.awake().map(|f| [f.session.wakeup(), f.engine.wakeup(), f.agent.wakeup()]).unwrap_or_default();
        let inside = inside.into_iter().flatten().min().map(|at| self.clock.when(at));
        outside.into_iter().chain([inside, self.news.then_some(now)]).flatten().min()
    }
}
