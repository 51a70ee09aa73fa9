//! Describing a cluster, and starting it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::lab::{FileSpec, Lab, LabBuilder};
use crate::programs::find_program;

use super::config::{self, Options};
use super::handle::Cluster;
use super::joined;
use super::turns::Turn;

/// The units that fleet is shipped with.
const SHIPPED_UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/systemd");

const SERVICE: &str = "fleet.service";
const SOCKET: &str = "fleet.socket";

/// What units with `OnDisconnect=stop` need; fleetd starts them itself.
const FENCE_UNITS: [&str; 2] = ["fleet-connected.target", "fleet-fence@.service"];

/// What the cluster keeps its records in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// The registry inside fleetd, on machine 1, in plain text: the lab's network has no way out.
    Embedded,
    /// The same with certificates: the other machines join it with a token.
    Joined,
    /// A real etcd of one or three members, beside the machines.
    Etcd(u8),
}

/// Describes a cluster before it is started.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    machines: u8,
    registry: Registry,
    options: Options,
    machine_options: BTreeMap<u8, Options>,
    units: Option<Vec<(String, String)>>,
    fleetd_at_boot: bool,
    fence_units: bool,
    lab: LabBuilder,
}

impl ClusterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            machines: 3,
            registry: Registry::Embedded,
            options: Options::new(),
            machine_options: BTreeMap::new(),
            units: None,
            fleetd_at_boot: true,
            fence_units: true,
            lab: Lab::builder(),
        }
    }

    /// The number of machines; three unless said otherwise.
    pub fn machines(mut self, machines: u8) -> Self {
        self.machines = machines;
        self
    }

    /// What the cluster keeps its records in; the embedded registry unless said otherwise.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Sets an option of `fleet.conf` on every machine.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets an option of `fleet.conf` on one machine.
    pub fn option_on(mut self, machine: u8, name: &str, value: &str) -> Self {
        self.machine_options.entry(machine).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// The time after which a machine that was not heard of counts as lost, as `10s`.
    pub fn agent_ttl(self, ttl: &str) -> Self {
        self.option("agent_ttl", ttl)
    }

    /// A machine's metadata, as `zone=a,disk=ssd`.
    pub fn metadata_on(self, machine: u8, metadata: &str) -> Self {
        self.option_on(machine, "metadata", metadata)
    }

    /// Installs this unit in place of the shipped `fleet.service` and `fleet.socket`.
    pub fn fleetd_unit(mut self, name: &str, text: &str) -> Self {
        self.units.get_or_insert_default().push((name.to_owned(), text.to_owned()));
        self
    }

    /// Installs fleetd but leaves it to the test to start it.
    pub fn without_fleetd_at_boot(mut self) -> Self {
        self.fleetd_at_boot = false;
        self
    }

    /// Leaves out the units that `OnDisconnect=stop` needs, as an installation that is not complete.
    pub fn without_fence_units(mut self) -> Self {
        self.fence_units = false;
        self
    }

    /// Changes the lab below: more files, small disks.
    pub fn lab(mut self, change: impl FnOnce(LabBuilder) -> LabBuilder) -> Self {
        self.lab = change(self.lab);
        self
    }

    /// Boots the machines, with fleetd starting on each; [`Cluster::wait_machines`] tells when
    /// they have found each other.
    pub fn start(self) -> Result<Cluster> {
        self.start_showing(|_, _, _| ())
    }

    /// As [`ClusterBuilder::start`]; what a person would type to have machines join is shown: on which, the
    /// command, and what it prints.
    pub fn start_showing(self, show: impl FnMut(&str, &str, &str)) -> Result<Cluster> {
        let (registry, fleetd_at_boot) = (self.registry, self.fleetd_at_boot);
        let lab = self.install()?.start_without_booting()?;
        if let Registry::Etcd(members) = registry {
            lab.etcd(members)?;
        }
        let cluster = Cluster::new(lab, registry);
        cluster.lab().boot_all()?;
        if registry == Registry::Joined && fleetd_at_boot {
            joined::join(&cluster, show)?;
        }
        Ok(cluster)
    }

    /// Starts the cluster, when it has its turn, and gives it to `test`, whose error fails the calling test with
    /// every machine's last log lines.
    #[track_caller]
    pub fn run(self, test: impl FnOnce(&Cluster) -> Result<()>) {
        let _turn = Turn::take();
        let cluster = match self.start() {
            Ok(cluster) => cluster,
            Err(e) => panic!("{e:#}"),
        };
        if let Err(e) = test(&cluster) {
            panic!("{e:?}");
        }
    }

    /// The lab with fleet's programs, units, and configuration on its machines.
    fn install(self) -> Result<LabBuilder> {
        let mut lab = self.lab.machines(self.machines);
        for program in ["fleetd", "fleetctl"] {
            lab = lab.file(FileSpec::executable(Path::new("/usr/bin").join(program), find_program(program)?));
        }
        let units = match self.units {
            Some(units) => units,
            None => shipped(&[SERVICE, SOCKET])?,
        };
        lab = lab.file(FileSpec::contents("/etc/group", groups()?));
        if self.fence_units {
            for (name, text) in shipped(&FENCE_UNITS)? {
                lab = lab.file(FileSpec::contents(Path::new("/usr/lib/systemd/system").join(name), text));
            }
        }
        for (name, text) in &units {
            // Machines that have not joined yet have nothing to start.
            lab = if self.fleetd_at_boot && self.registry != Registry::Joined {
                lab.enabled_unit(name, text)
            } else {
                lab.file(FileSpec::contents(Path::new("/etc/systemd/system").join(name), text.as_str()))
            };
        }
        for machine in 1..=self.machines {
            let mut options = config::basics(self.registry, machine);
            options.extend(self.options.clone());
            options.extend(self.machine_options.get(&machine).cloned().unwrap_or_default());
            lab = lab.file_on(machine, FileSpec::contents("/etc/fleet/fleet.conf", config::render(&options)));
        }
        Ok(lab)
    }
}

/// The host's groups and fleet's, as systemd-sysusers, which machines of a lab do not run, would have them.
fn groups() -> Result<String> {
    let groups = fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    let others = groups.lines().filter(|line| !line.starts_with("fleet:")).map(|line| format!("{line}\n"));
    Ok(others.chain(["fleet:x:989:\n".to_owned()]).collect())
}

fn shipped(names: &[&str]) -> Result<Vec<(String, String)>> {
    names
        .iter()
        .map(|name| {
            let path = Path::new(SHIPPED_UNITS).join(name);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(((*name).to_owned(), text))
        })
        .collect()
}
