//! The cluster that all rows share, and what they do to it.

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::cluster::{Cluster, Registry};
use crate::lab::{FileSpec, Node, poll};

use super::inside::{Lap, PROGRAM};
use super::roles::Roles;
use super::units::{self, FLEET, FLOOR};

/// A fleetd is there at once; the second standby may take a moment longer.
const PRESENT_LIMIT: Duration = Duration::from_secs(60);

/// A thousand units take seconds; a busy host may take longer.
pub(crate) const UNITS_LIMIT: Duration = Duration::from_secs(180);

/// What a command leaves behind it (states written, watchers told) is done with after this.
const SETTLED: Duration = Duration::from_millis(150);

/// Machines, etcd, and fleet on them.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    machines: u8,
    batches: usize,
}

impl Scene {
    /// Boots everything, and waits until the machines have found each other and their parts.
    pub(crate) fn new(machines: u8) -> Result<Self> {
        let own = env::current_exe().context("cannot find the benchmark's own program")?;
        let cluster = Cluster::builder()
            .machines(machines)
            .registry(Registry::Etcd(1))
            .lab(|lab| lab.file(FileSpec::executable(PROGRAM, own)))
            .start()?;
        let scene = Self { cluster, machines, batches: 0 };
        scene.wait_present()?;
        Ok(scene)
    }

    /// Waits until every machine is there, one leads, and two stand by.
    pub(crate) fn wait_present(&self) -> Result<()> {
        poll(PRESENT_LIMIT, || {
            let roles = self.roles().map_err(|e| format!("{e:#}"))?;
            let complete = roles.leader.is_some() && roles.standbys.len() == 2;
            if complete && roles.present.len() == usize::from(self.machines) {
                Ok(())
            } else {
                Err(format!("{roles:?}"))
            }
        })
        .map_err(|reason| anyhow!("the cluster is not complete: {reason}"))
    }

    pub(crate) fn roles(&self) -> Result<Roles> {
        Roles::now(&self.cluster)
    }

    pub(crate) fn node(&self, number: u8) -> Node<'_> {
        self.cluster.node(number)
    }

    /// The machine at which the person sits: one that is only an agent, so that nothing is near by chance.
    pub(crate) fn console(&self) -> Result<Node<'_>> {
        Ok(self.node(self.agents_only()?.0))
    }

    /// The machine where the person sits, and one that nobody asks anything.
    pub(crate) fn agents_only(&self) -> Result<(u8, u8)> {
        match self.roles()?.agents_only(&self.cluster)?[..] {
            [console, .., quiet] => Ok((console, quiet)),
            _ => Err(anyhow!("there are not two machines that are only agents")),
        }
    }

    /// A name for units that there were none of before.
    pub(crate) fn new_batch(&mut self) -> String {
        self.batches += 1;
        self.batches.to_string()
    }

    /// Every unit that fleet runs, on which machine, and since when its process is there.
    pub(crate) fn running(&self) -> Result<BTreeMap<String, (u8, Duration)>> {
        let mut all = BTreeMap::new();
        for node in self.cluster.nodes().filter(|node| node.leader().is_some()) {
            let here = units::running(node, &format!("{FLEET}-*"))?;
            all.extend(here.into_iter().map(|(unit, since)| (unit, (node.number(), since))));
        }
        Ok(all)
    }

    /// Waits until all these run, and says where and since when.
    pub(crate) fn wait_running(&self, names: &[String]) -> Result<BTreeMap<String, (u8, Duration)>> {
        poll(UNITS_LIMIT, || {
            let running = self.running().map_err(|e| format!("{e:#}"))?;
            match names.iter().filter(|name| !running.contains_key(*name)).count() {
                0 => Ok(running),
                missing => Err(format!("{missing} of {} units do not run", names.len())),
            }
        })
        .map_err(|reason| anyhow!(reason))
    }

    /// Waits until so many units whose names begin so are begun on a machine. Nobody there notices: who asks systemd of a
    /// thousand units again and again is measured with them.
    pub(crate) fn wait_groups(&self, machine: u8, beginning: &str, count: usize) -> Result<()> {
        poll(UNITS_LIMIT, || match self.node(machine).count_units(beginning) {
            begun if begun >= count => Ok(()),
            begun => Err(format!("{begun} of {count} units are begun")),
        })
        .map_err(|reason| anyhow!(reason))
    }

    /// Starts so many units with fleet and leaves them running, unless they do already.
    pub(crate) fn have_units(&mut self, count: usize) -> Result<()> {
        if self.running()?.len() == count {
            return Ok(());
        }
        self.clear()?;
        let names = units::names(FLEET, &self.new_batch(), count);
        let console = self.console()?;
        let mut command = vec!["fleetctl".to_owned(), "start".to_owned()];
        for name in &names {
            command.push(units::write_home(console, name, &units::text(name))?);
        }
        Lap::of(console, command.iter().map(String::as_str))?;
        self.wait_running(&names).map(drop)
    }

    /// Takes every unit away, fleet's and systemd's own.
    pub(crate) fn clear(&self) -> Result<()> {
        let console = self.console()?;
        let units = Lap::of(console, ["fleetctl", "list-unit-files", "--no-legend", "--fields=unit"])?.stdout;
        let units: Vec<&str> = units.split_whitespace().collect();
        if !units.is_empty() {
            Lap::of(console, ["fleetctl", "destroy"].into_iter().chain(units))?;
        }
        for node in self.cluster.nodes() {
            let script = format!("systemctl stop '{FLOOR}-*' && rm -f /run/systemd/system/{FLOOR}-*");
            Lap::of(node, ["sh", "-c", &script])?;
        }
        // systemd is not asked of each before they are gone, which would keep it from stopping them.
        let left = || self.cluster.nodes().map(|node| node.count_units(&format!("{FLEET}-"))).sum::<usize>();
        poll(UNITS_LIMIT, || match left() {
            0 => Ok(()),
            left => Err(format!("{left} units are not gone")),
        })
        .map_err(|reason| anyhow!(reason))?;
        poll(UNITS_LIMIT, || match self.running() {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(format!("{} units still run", left.len())),
            Err(e) => Err(format!("{e:#}")),
        })
        .map_err(|reason| anyhow!(reason))
    }

    /// Waits for the end of what a command leaves behind it, so that the next one is not measured with it.
    pub(crate) fn settle(&self) {
        thread::sleep(SETTLED);
    }
}
