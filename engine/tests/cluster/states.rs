//! What the rig's agents say of their units, where a test wants to hear of it.

use std::collections::{BTreeMap, BTreeSet};

use fleet_registry::Key;
use fleet_registry::record::{Assignment, FORMAT, StateRecord, Target};
use fleet_units::UnitName;

use crate::rig::{Rig, unit};

/// What an agent says of units.
#[derive(Default)]
pub(crate) struct States {
    /// Whether it says anything.
    pub spoken: bool,
    /// Units that fail at once on this machine.
    pub broken: BTreeSet<UnitName>,
    written: BTreeMap<UnitName, StateRecord>,
}

fn state(assignment: &Assignment, active: &str, sub: &str, result: &str) -> StateRecord {
    StateRecord {
        v: FORMAT,
        uid: assignment.uid,
        content: assignment.content.clone(),
        restarts: assignment.restarts,
        reached: Some(Target::Launched),
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
        result: result.to_owned(),
        since: 1,
        n_restarts: 0,
        main_pid: 0,
        stop_bound_ms: None,
        error: String::new(),
        extra: BTreeMap::new(),
    }
}

impl Rig {
    /// From now on agents say how their units are, and these fail on these machines.
    pub(crate) fn broken(&mut self, name: &str, machines: &[&str]) {
        for node in &mut self.nodes {
            node.states.spoken = true;
            if machines.contains(&node.id.as_str()) {
                node.states.broken.insert(unit(name));
            } else {
                node.states.broken.remove(&unit(name));
            }
        }
        for n in 0..self.nodes.len() {
            self.speak(n);
        }
    }

    /// A machine's agent writes what changed.
    pub(crate) fn speak(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if !node.states.spoken || !node.alive {
            return;
        }
        let say = |(name, assignment): (&UnitName, &Assignment)| {
            let state = match node.states.broken.contains(name) {
                true => state(assignment, "failed", "failed", "exit-code"),
                false => state(assignment, "active", "running", "success"),
            };
            (name.clone(), state)
        };
        let now: BTreeMap<UnitName, StateRecord> = node.runs.iter().map(say).collect();
        let id = node.id.clone();
        let before = std::mem::replace(&mut node.states.written, now.clone());
        for name in before.keys().filter(|name| !now.contains_key(*name)) {
            self.delete(&Key::State(id.clone(), name.clone()));
        }
        for (name, state) in now.iter().filter(|(name, state)| before.get(*name) != Some(*state)) {
            self.put(&Key::State(id.clone(), name.clone()), state);
        }
    }

    /// A machine says something of a unit that is not so any more, or will not be for long.
    pub(crate) fn claim(&mut self, name: &str, machine: &str, words: (&str, &str, &str)) {
        let n = self.find(machine);
        let assignment = self.nodes[n].runs[&unit(name)].clone();
        let state = state(&assignment, words.0, words.1, words.2);
        let id = self.nodes[n].id.clone();
        self.put(&Key::State(id, unit(name)), &state);
    }
}
