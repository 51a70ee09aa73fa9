//! What the agent is told about its machine while it runs, and what it tells about its units.

use fleet_registry::record::Target;
use fleet_units::UnitName;

use super::{Agent, Standing};
use crate::config::MachineFacts;
use crate::effect::Effect;
use crate::report::Report;

/// One unit of this machine, as the agent has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSnapshot {
    /// Which.
    pub unit: UnitName,
    /// What the schedule wants of it.
    pub wanted: Option<Target>,
    /// How far it got.
    pub reached: Option<Target>,
    /// systemd's load, active, and sub state, as far as it said.
    pub states: Option<[String; 3]>,
    /// What is being done with it.
    pub doing: Option<String>,
    /// What is wrong with it; empty when nothing is.
    pub error: String,
}

impl Agent {
    /// The machine says something else of itself from now on. Which machine it is stays as it is.
    pub(super) fn on_facts(&mut self, facts: MachineFacts, out: &mut Vec<Effect>) {
        let known = &mut self.config.facts;
        if known.metadata == facts.metadata && known.capacity == facts.capacity {
            return;
        }
        (known.metadata, known.capacity) = (facts.metadata, facts.capacity);
        out.push(Effect::Log(Report::Redescribed));
        if self.standing.registered() {
            self.rewrite_presence(self.standing != Standing::Present, out);
        } else {
            // What is under way may still say what was before.
            self.redescribed = true;
        }
    }

    /// All units, by name.
    pub(super) fn snapshot(&self) -> Vec<UnitSnapshot> {
        let snapshot = |(name, unit): (&UnitName, &super::unit::Unit)| UnitSnapshot {
            unit: name.clone(),
            wanted: unit.wanted.as_ref().map(|wanted| wanted.target),
            reached: unit.held.as_ref().and_then(|held| held.reached()),
            states: unit.report.as_ref().map(|r| [r.load.clone(), r.active.clone(), r.sub.clone()]),
            doing: unit.running.as_ref().map(|running| format!("{:?}", running.action).to_lowercase()),
            error: unit.trouble().to_owned(),
        };
        self.units.iter().map(snapshot).collect()
    }
}
