//! SIGUSR1: how things stand, as one line of JSON on standard output.

use std::io::Write;
use std::time::Duration;

use fleet_agent::{AgentHandle, UnitSnapshot};
use fleet_engine::EngineHandle;
use fleet_registry::record::Target;
use fleet_units::MachineId;
use serde_json::{Map, Value, json};

use super::reach::Reach;
use crate::http::VERSION;

/// An agent that takes longer has no time to tell.
const LIMIT: Duration = Duration::from_secs(2);

/// Prints it.
pub(super) async fn print(agent: &AgentHandle, engine: Option<&EngineHandle>, reach: &Reach, machine: &MachineId) {
    let units = tokio::time::timeout(LIMIT, agent.control().units()).await.unwrap_or_default();
    let mut all = fleets(&units, machine);
    let agent = agent.status().borrow().clone();
    let engine = engine.map(|engine| (engine.status().borrow().clone(), engine.counter()()));
    let ours = json!({
        "version": VERSION,
        "registry": { "inTouch": reach.in_touch() },
        "agent": {
            "adopted": agent.adopted,
            "standing": format!("{:?}", agent.standing),
            "cluster": agent.cluster,
            "generation": agent.generation,
            "acknowledged": agent.acknowledged,
            "systemd": agent.systemd,
            "units": units.iter().map(|unit| (unit.unit.to_string(), described(unit))).collect::<Map<_, _>>(),
        },
        "engine": engine.map(|(engine, counts)| json!({
            "leads": engine.leads,
            "leader": engine.leader,
            "standsBy": engine.stands_by,
            "revision": engine.revision,
            "brake": engine.brake,
            "passes": counts.passes,
        })),
    });
    if let Value::Object(ours) = ours {
        all.extend(ours);
    }
    // Whoever redirected the output may have closed it.
    _ = writeln!(std::io::stdout().lock(), "{}", Value::Object(all));
}

/// What CoreOS fleet's dump held, under its keys.
fn fleets(units: &[UnitSnapshot], machine: &MachineId) -> Map<String, Value> {
    let mut targets = Map::new();
    let mut states = Map::new();
    for unit in units {
        if let Some(target) = unit.wanted {
            targets.insert(unit.unit.to_string(), name(target).into());
        }
        if let Some([load, active, sub]) = &unit.states {
            let state = json!({
                "LoadState": load, "ActiveState": active, "SubState": sub, "MachineID": machine.as_str(),
                "UnitName": unit.unit.as_str(),
            });
            states.insert(unit.unit.to_string(), state);
        }
    }
    let subscribed: Vec<&str> = units.iter().map(|unit| unit.unit.as_str()).collect();
    let mut all = Map::new();
    all.insert("Agent".into(), json!({ "Cache": { "TargetStates": targets } }));
    all.insert("UnitStatePublisher".into(), json!({ "Cache": states, "ToPublish": {} }));
    all.insert("UnitStateGenerator".into(), json!({ "Subscribed": subscribed }));
    all
}

fn described(unit: &UnitSnapshot) -> Value {
    json!({
        "wanted": unit.wanted.map(name),
        "reached": unit.reached.map(name),
        "states": unit.states,
        "doing": unit.doing,
        "error": unit.error,
    })
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Loaded => "loaded",
        Target::Launched => "launched",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fleet_dumped_is_there_under_its_keys() {
        let unit = UnitSnapshot {
            unit: fleet_units::UnitName::parse("a.service").unwrap(),
            wanted: Some(Target::Launched),
            reached: None,
            states: Some(["loaded", "active", "running"].map(str::to_owned)),
            doing: None,
            error: String::new(),
        };
        let all = Value::Object(fleets(&[unit], &MachineId::parse("m1").unwrap()));
        assert_eq!(all["Agent"]["Cache"]["TargetStates"]["a.service"], "launched");
        assert_eq!(all["UnitStatePublisher"]["Cache"]["a.service"]["SubState"], "running");
        assert_eq!(all["UnitStateGenerator"]["Subscribed"], json!(["a.service"]));
    }
}
