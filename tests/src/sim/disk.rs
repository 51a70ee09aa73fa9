//! What fleet keeps on a machine's disk, and what systemd reads there.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet_agent::{DiskEffect, DiskEvent, Found, FoundUnit, Memory};
use fleet_registry::record::{ClusterId, ContentRecord};
use fleet_units::UnitName;

/// What fleet keeps on a machine's disk.
#[derive(Debug, Default)]
pub struct Disk {
    /// The cluster that the machine belongs to.
    pub cluster: Option<ClusterId>,
    /// What it remembers of it.
    pub memory: Memory,
    /// fleet's directory of units, as fleetd finds it.
    pub units: BTreeMap<UnitName, FoundUnit>,
    /// The texts of the unit files, as systemd finds them.
    pub texts: BTreeMap<UnitName, Arc<ContentRecord>>,
    /// Nothing about units can be written, for this reason.
    pub error: Option<String>,
    /// Nor what fleet remembers of the machine.
    pub state_error: Option<String>,
}

impl Disk {
    /// The power failed: what was in memory (`/run`) is gone.
    pub fn power_loss(&mut self) {
        self.units.clear();
        self.texts.clear();
    }

    /// Carries out what the agent wants done.
    pub fn perform(&mut self, effect: DiskEffect) -> DiskEvent {
        match effect {
            DiskEffect::Scan => DiskEvent::Scanned(Ok(self.found())),
            DiskEffect::ReadCluster => DiskEvent::Cluster(Ok(self.cluster.clone())),
            DiskEffect::WriteCluster(id) => {
                if self.state_error.is_none() {
                    (self.cluster, self.memory) = (Some(id), Memory::default());
                }
                DiskEvent::ClusterWritten(outcome(&self.state_error))
            }
            DiskEffect::WriteMemory(memory) => {
                if self.state_error.is_none() {
                    self.memory = memory;
                }
                DiskEvent::MemoryWritten(outcome(&self.state_error))
            }
            DiskEffect::WriteUnit { op, unit, content, note } => {
                if self.error.is_none() {
                    self.units.insert(unit.clone(), FoundUnit { note: Ok(note), file: true, content: None });
                    self.texts.insert(unit.clone(), content);
                }
                DiskEvent::Unit { op, unit, result: outcome(&self.error) }
            }
            DiskEffect::WriteNote { op, unit, note } => {
                if self.error.is_none() {
                    let file = self.texts.contains_key(&unit);
                    self.units.insert(unit.clone(), FoundUnit { note: Ok(note), file, content: None });
                }
                DiskEvent::Unit { op, unit, result: outcome(&self.error) }
            }
            DiskEffect::RemoveUnit { op, unit, .. } => {
                if self.error.is_none() {
                    self.units.remove(&unit);
                    self.texts.remove(&unit);
                }
                DiskEvent::Unit { op, unit, result: outcome(&self.error) }
            }
        }
    }

    fn found(&self) -> Found {
        Found { cluster: self.cluster.clone(), memory: self.memory.clone(), units: self.units.clone() }
    }

    /// Whether something cannot be written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.error.is_some() || self.state_error.is_some()
    }
}

fn outcome(error: &Option<String>) -> Result<(), String> {
    error.clone().map_or(Ok(()), Err)
}
