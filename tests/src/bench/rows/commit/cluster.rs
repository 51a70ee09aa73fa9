//! The cluster that is placed and committed, as records and as an engine alone is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use fleet_engine::placement::{self, Cluster, MachineFacts, UnitSpec};
use fleet_registry::record::{Capacity, ContentKey, MachineRecord};
use fleet_registry::store::Operation;
use fleet_registry::{Key, Layout};
use fleet_units::{DesiredState, MachineId, Requirements, UnitFile, UnitName};

use crate::hosts;

/// Units of a template, memory and processors that each asks for, and what it asks of a machine's metadata, in turns.
const SIZES: [usize; 8] = [1, 2, 5, 5, 10, 10, 50, 200];
const MEMORY: [&str; 7] = ["128M", "256M", "256M", "512M", "512M", "1G", "2G"];
const CPU: [&str; 5] = ["5%", "10%", "10%", "25%", "50%"];
const METADATA: [&str; 11] = ["", "", "", "", "", "", "", "", "\"zone=z1\"", "\"disk=ssd\"", "\"zone=z2\" \"zone=z3\""];
/// Gibibytes and cores of machines, in turns.
const MACHINES: [(u64, u64); 5] = [(8, 4), (8, 4), (16, 8), (32, 16), (64, 32)];

/// Machines that are present, and units that are to be started.
pub(super) struct Made {
    pub(super) machines: Vec<MachineFacts>,
    units: Vec<(UnitName, String)>,
    specs: Vec<UnitSpec>,
}

impl Made {
    pub(super) fn new(machines: usize, units: usize) -> Result<Self> {
        let machines = (0..machines).map(machine).collect::<Result<_>>()?;
        let units: Vec<_> = (0..).flat_map(template).take(units).map(named).collect::<Result<_>>()?;
        let specs = units.iter().enumerate().map(spec).collect::<Result<_>>()?;
        Ok(Self { machines, units, specs })
    }

    /// A cluster that was told all of it, and has decided nothing.
    pub(super) fn told(&self) -> Cluster {
        let mut cluster = Cluster::new();
        for facts in &self.machines {
            cluster.set_machine(facts.clone());
        }
        for ((name, _), spec) in self.units.iter().zip(&self.specs) {
            cluster.set_unit(name, spec.clone());
        }
        cluster
    }

    /// What its machines and its API would have written.
    pub(super) fn records(&self, layout: &Layout) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        for facts in &self.machines {
            let placement::Capacity { memory, cpu_millis } = facts.capacity;
            let capacity = Capacity { memory, cpu_millis, ..Capacity::default() };
            let metadata = facts.metadata.clone();
            let record = MachineRecord { metadata, capacity, ..MachineRecord::new(facts.id.clone()) };
            operations.push(hosts::put(layout, &Key::Machine(facts.id.clone()), &record));
        }
        for (name, text) in &self.units {
            operations.extend(hosts::started(layout, name, text)?);
        }
        Ok(operations)
    }
}

fn machine(n: usize) -> Result<MachineFacts> {
    let mut facts = MachineFacts::new(MachineId::parse(&format!("{n:032x}"))?);
    let (gibibytes, cores) = MACHINES[n % MACHINES.len()];
    facts.capacity = placement::Capacity { memory: Some(gibibytes << 30), cpu_millis: Some(cores * 1_000) };
    let disk = if n.is_multiple_of(3) { "ssd" } else { "hdd" };
    facts.metadata = BTreeMap::from([
        ("zone".to_owned(), format!("z{}", n / MACHINES.len() % 5)),
        ("disk".to_owned(), disk.to_owned()),
    ]);
    Ok(facts)
}

/// The names of a template's units, and their text.
fn template(n: usize) -> impl Iterator<Item = (String, String)> {
    let (memory, cpu) = (MEMORY[n % MEMORY.len()], CPU[n % CPU.len()]);
    let metadata = METADATA[n % METADATA.len()];
    let text = format!(
        "[Service]\nExecStart=/usr/bin/something --of={n}\n[X-Fleet]\nMemory={memory}\nCPU={cpu}\n\
         MachineMetadata={metadata}\n"
    );
    (0..SIZES[n % SIZES.len()]).map(move |instance| (format!("app{n}@{instance}.service"), text.clone()))
}

fn named((name, text): (String, String)) -> Result<(UnitName, String)> {
    Ok((UnitName::parse(&name)?, text))
}

fn spec((n, (name, text)): (usize, &(UnitName, String))) -> Result<UnitSpec> {
    Ok(UnitSpec {
        uid: i64::try_from(n)? + 1,
        content: ContentKey::of(text, &BTreeMap::new()),
        desired: DesiredState::Launched,
        restarts: 0,
        requirements: Ok(Arc::new(Requirements::parse(&UnitFile::parse(text)?, name)?)),
        readable: true,
    })
}
