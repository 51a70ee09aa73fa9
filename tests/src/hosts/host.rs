//! One machine at work: session, agent, and engine in their shells.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use fleet_agent::{Agent, AgentConfig, Effect, Event, MachineFacts, Severity};
use fleet_engine::{EngineConfig, EngineHandle};
use fleet_registry::record::Capacity;
use fleet_registry::shell::{
    DEFAULT_REQUEST_TIMEOUT, Input, SessionHandle, StoreShell, boot_now, drive, spawn_session,
};
use fleet_registry::{Layout, SessionConfig, Store};
use fleet_units::MachineId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::machine::Machine;
use super::truth::Truth;
use super::warnings::Warnings;

/// How long the brake holds, where so many are lost that it goes on.
const BRAKE_HOLD: Duration = Duration::from_secs(300);

/// The records of lost machines stay as long as anybody looks.
const RETENTION: Duration = Duration::from_secs(3_600);

/// What a machine is.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Its id.
    pub id: MachineId,
    /// What it says of itself.
    pub metadata: BTreeMap<String, String>,
    /// What it gives to units.
    pub capacity: Capacity,
    /// The lease's time to live.
    pub ttl: Duration,
    /// Whether it may lead.
    pub engine: bool,
    /// Spreads its retries.
    pub seed: u64,
}

impl HostConfig {
    /// One of many machines in five zones, each third with a fast disk, that may lead.
    #[must_use]
    pub fn nth(n: usize, ttl: Duration) -> Self {
        let metadata =
            [("zone", format!("z{}", n % 5)), ("disk", if n.is_multiple_of(3) { "ssd" } else { "hdd" }.to_owned())];
        Self {
            id: MachineId::parse(&format!("f1ee7000{n:024x}")).expect("hexadecimal digits are an id"),
            metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            capacity: Capacity { memory: Some(8 << 30), cpu_millis: Some(4000), ..Capacity::default() },
            ttl,
            engine: true,
            seed: 1 + 7919 * u64::try_from(n).unwrap_or(0),
        }
    }
}

/// A machine that is on. Dropping it is a loss of power: nothing is said to anybody, and its lease runs out.
#[derive(Debug)]
pub struct Host {
    session: SessionHandle,
    engine: Option<EngineHandle>,
    agent: JoinHandle<()>,
}

impl Host {
    /// Turns a machine on, with this way to the store. Warnings of its agent are counted.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(config: HostConfig, store: Arc<dyn Store>, truth: Truth, warnings: Warnings) -> Self {
        let layout = Layout::default();
        let (ttl, seed) = (config.ttl, config.seed);
        let session = spawn_session(Arc::clone(&store), SessionConfig { ttl, seed });
        let engine = config.engine.then(|| {
            let engine = EngineConfig {
                machine: config.id.clone(),
                instance: instance(&config.id),
                layout: layout.clone(),
                carries_registry: false,
                brake_hold: BRAKE_HOLD,
                machine_retention: RETENTION,
                seed: seed ^ 1,
                ttl,
            };
            fleet_engine::spawn(engine, Arc::clone(&store), session.subscribe())
        });
        let agent = agent(config, layout);
        let mut told = session.subscribe();
        let (events, mut own) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = told.recv().await {
                if events.send(Event::Session(event)).is_err() {
                    return;
                }
            }
        });
        let (store_events, mut answers) = mpsc::unbounded_channel();
        let shell = StoreShell::new(store, DEFAULT_REQUEST_TIMEOUT, store_events);
        let agent = tokio::spawn(async move {
            let mut machine = Machine::new(agent.0, agent.1, truth);
            let perform = |effect| {
                match effect {
                    Effect::Store(effect) => shell.perform(effect),
                    Effect::Log(report) if report.severity() >= Severity::Warning => warnings.note(&report.to_string()),
                    Effect::Left => return ControlFlow::Break(()),
                    _ => {}
                }
                ControlFlow::Continue(())
            };
            for effect in machine.start(boot_now()) {
                _ = perform(effect);
            }
            let to_event = |input| match input {
                Input::Store(event) => Event::Store(event),
                Input::Own(event) => event,
                Input::Tick => Event::Tick,
            };
            drive(&mut machine, &mut answers, &mut own, to_event, perform).await.expect("the kernel gives timers");
        });
        Self { session, engine, agent }
    }

    /// Its engine, where it has one.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineHandle> {
        self.engine.as_ref()
    }

    /// Turns it off; when this returns, nothing of it runs.
    pub async fn lose_power(self) {
        let Self { session, engine, mut agent } = self;
        drop(engine);
        agent.abort();
        // Aborted, as it was told to be.
        _ = (&mut agent).await;
        session.abandon().await;
    }
}

fn instance(id: &MachineId) -> String {
    format!("{id}-1")
}

fn agent(config: HostConfig, layout: Layout) -> (MachineId, Agent) {
    let id = config.id;
    let facts = MachineFacts {
        id: id.clone(),
        hostname: format!("host-{}", id.short()),
        address: None,
        peer: None,
        metadata: config.metadata,
        capacity: config.capacity,
        version: "2.0.0".to_owned(),
        boot_id: format!("boot-{id}"),
        instance: instance(&id),
        carries_registry: false,
    };
    let agent = Agent::new(AgentConfig {
        facts,
        layout,
        units_directory: "/run/fleet/units".into(),
        state_directory: "/var/lib/fleet".into(),
        systemd_user: false,
        request_timeout: DEFAULT_REQUEST_TIMEOUT,
        ttl: config.ttl,
        seed: config.seed ^ 2,
    });
    (id, agent)
}
