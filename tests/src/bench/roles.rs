//! Which machine has which part in the cluster, read in the store and not asked of fleetd: asking would make it load what
//! it has no other use for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use fleet_registry::record::LeaderRecord;
use fleet_registry::{Key, Layout};
use fleet_units::MachineId;

use crate::cluster::Cluster;

/// Who leads, who stands by, and who is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Roles {
    pub(crate) present: Vec<MachineId>,
    pub(crate) leader: Option<MachineId>,
    pub(crate) standbys: Vec<MachineId>,
}

impl Roles {
    /// As etcd holds them now.
    pub(crate) fn now(cluster: &Cluster) -> Result<Self> {
        let etcd = cluster.etcd().context("the benchmark needs a real etcd")?;
        let layout = Layout::default();
        let mut roles = Self::default();
        for folder in ["machines/", "engine/"] {
            let prefix = format!("{}{folder}", layout.root());
            roles.add(&layout, &etcd.etcdctl(["get", "--prefix", &prefix])?.ok()?)?;
        }
        Ok(roles)
    }

    /// Adds what etcdctl prints: keys and values in turn, a line each.
    fn add(&mut self, layout: &Layout, text: &str) -> Result<()> {
        let mut lines = text.lines();
        while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
            let machine = || -> Result<MachineId> {
                let record: LeaderRecord = serde_json::from_str(value).with_context(|| format!("cannot read {key}"))?;
                Ok(record.machine)
            };
            match layout.decode(key.as_bytes()) {
                Some(Key::Machine(id)) => self.present.push(id),
                Some(Key::Leader) => self.leader = Some(machine()?),
                Some(Key::Standby(_)) => self.standbys.push(machine()?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The leader's number in the lab.
    pub(crate) fn leader(&self, cluster: &Cluster) -> Result<u8> {
        let leader = self.leader.as_ref().context("nobody leads")?;
        let node = cluster.nodes().find(|node| node.machine_id() == leader.to_string());
        Ok(node.with_context(|| format!("{leader} leads, which is none of these machines"))?.number())
    }

    /// The machines without a part in the engine, by their numbers in the lab.
    pub(crate) fn agents_only(&self, cluster: &Cluster) -> Result<Vec<u8>> {
        let engines: Vec<String> = self.leader.iter().chain(&self.standbys).map(MachineId::to_string).collect();
        let nodes = cluster.nodes().filter(|node| !engines.contains(&node.machine_id()));
        let agents: Vec<u8> = nodes.map(|node| node.number()).collect();
        if agents.len() < 2 {
            bail!("fewer than two machines are only agents: the others are {engines:?}");
        }
        Ok(agents)
    }

    /// What each machine is, by its number in the lab.
    pub(crate) fn names(&self, cluster: &Cluster) -> BTreeMap<u8, &'static str> {
        let is = |machine: &MachineId, id: &str| machine.to_string() == id;
        let name = |id: &str| match &self.leader {
            Some(leader) if is(leader, id) => "leader",
            _ if self.standbys.iter().any(|standby| is(standby, id)) => "standby",
            _ => "agent only",
        };
        cluster.nodes().map(|node| (node.number(), name(&node.machine_id()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_from_what_etcdctl_prints() {
        let id = |n: u8| format!("f1ee700000004000800000000000000{n}");
        let root = Layout::default().root().to_owned();
        let part = |n| format!(r#"{{"v":1,"machine":"{}","instance":"i","since":1,"why":"no leader"}}"#, id(n));
        let text = format!(
            "{root}engine/leader\n{}\n{root}engine/standby/0\n{}\n{root}machines/{}\n{{}}\n{root}machines/{}.peer\n{{}}\n",
            part(1),
            part(2),
            id(1),
            id(1),
        );
        let mut roles = Roles::default();
        roles.add(&Layout::default(), &text).unwrap();
        let machine = |n| Some(id(n).parse().unwrap());
        assert_eq!(roles.leader, machine(1));
        assert_eq!((roles.standbys, roles.present), (vec![machine(2).unwrap()], vec![machine(1).unwrap()]));
    }
}
