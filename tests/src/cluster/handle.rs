//! A running cluster, as tests handle it.

use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::lab::{Etcd, Lab, Node, Output, poll};

use super::builder::{ClusterBuilder, Registry};

/// fleetd starts in milliseconds; a machine that was lost comes back within its lease.
const MACHINES_LIMIT: Duration = Duration::from_secs(30);

/// A running cluster. When it is dropped its machines end, as those of its lab do.
#[derive(Debug)]
pub struct Cluster {
    lab: Lab,
    registry: Registry,
}

impl Cluster {
    /// Describes a cluster.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::new()
    }

    pub(crate) fn new(lab: Lab, registry: Registry) -> Self {
        Self { lab, registry }
    }

    /// The machines, without what fleet is to them.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A machine; the first has the number 1. Panics when there is none of that number.
    #[track_caller]
    pub fn node(&self, number: u8) -> Node<'_> {
        self.lab.node(number)
    }

    /// All machines in order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.lab.nodes()
    }

    /// The real etcd below, where there is one.
    pub fn etcd(&self) -> Option<Etcd<'_>> {
        match self.registry {
            Registry::Etcd(members) => Some(Etcd::of(&self.lab, members)),
            Registry::Embedded | Registry::Joined => None,
        }
    }

    /// Runs fleetctl on a machine, for at most a minute.
    pub fn fleetctl<'s>(&self, machine: u8, args: impl IntoIterator<Item = &'s str>) -> Result<Output> {
        self.node(machine).exec(std::iter::once("fleetctl").chain(args))
    }

    /// Waits until exactly so many machines are present, as the first one that is on sees it.
    pub fn wait_machines(&self, count: usize) -> Result<()> {
        poll(MACHINES_LIMIT, || {
            let seen = self.machines_seen().map_err(|e| format!("{e:#}"))?;
            if seen.len() == count { Ok(()) } else { Err(format!("fleetctl lists these machines: {seen:?}")) }
        })
        .map_err(|reason| anyhow!("there are not {count} machines: {reason}"))
    }

    fn machines_seen(&self) -> Result<Vec<String>> {
        let on = self.nodes().find(|node| node.leader().is_some()).ok_or_else(|| anyhow!("all machines are off"))?;
        let list = self.fleetctl(on.number(), ["list-machines", "--no-legend", "--full"])?.ok()?;
        Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// The machines on which a unit has processes: the truth, not what fleet says.
    pub fn running_on(&self, unit: &str) -> Vec<u8> {
        self.nodes().filter(|node| !node.processes_of(unit).is_empty()).map(Node::number).collect()
    }

    /// Leaves the cluster running: `fleet-lab exec` reaches it, and `fleet-lab down` ends it.
    pub fn leave(self) -> Result<()> {
        self.lab.leave()
    }

    /// Ends the cluster, and removes what it had on disk.
    pub fn end(self) -> Result<()> {
        self.lab.end()
    }
}
