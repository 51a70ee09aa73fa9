//! The engine as fleetd runs it: on tokio, over a store that is shared, with the real clock.

use std::sync::Arc;
use std::time::Duration;

use fleet_engine::{EngineConfig, EngineHandle, EngineStatus, spawn};
use fleet_registry::memory::MemoryStore;
use fleet_registry::shell::{SessionHandle, spawn_session};
use fleet_registry::{Layout, SessionConfig, Store};

const LIMIT: Duration = Duration::from_secs(20);

fn start(store: &Arc<dyn Store>, name: &str) -> (SessionHandle, EngineHandle) {
    let ttl = Duration::from_secs(10);
    let session = spawn_session(Arc::clone(store), SessionConfig { ttl, seed: 1 });
    let config = EngineConfig {
        machine: name.parse().unwrap(),
        instance: name.to_owned(),
        layout: Layout::default(),
        carries_registry: false,
        brake_hold: Duration::from_secs(300),
        machine_retention: Duration::ZERO,
        seed: 1,
        ttl,
    };
    let engine = spawn(config, Arc::clone(store), session.subscribe());
    (session, engine)
}

async fn until(engine: &EngineHandle, holds: impl FnMut(&EngineStatus) -> bool) -> EngineStatus {
    let mut status = engine.status();
    let found = tokio::time::timeout(LIMIT, status.wait_for(holds)).await.expect("it comes to that in time");
    found.expect("the engine lives").clone()
}

#[tokio::test]
async fn it_leads_stands_by_resigns_and_takes_over() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let (_session_1, first) = start(&store, "m1");
    let status = until(&first, |status| status.leads && status.revision > 0).await;
    assert_eq!(status.leader.map(|leader| leader.machine.to_string()).as_deref(), Some("m1"));
    let (_session_2, second) = start(&store, "m2");
    let status = until(&second, |status| status.stands_by && status.leader.is_some()).await;
    assert!(!status.leads);
    first.resign().await;
    until(&second, |status| status.leads).await;
}
