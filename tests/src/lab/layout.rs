//! Where a lab keeps what on the host's disk.

use std::env;
use std::path::{Path, PathBuf};

/// Names the folder in which labs keep their disks.
const DIR_VARIABLE: &str = "FLEET_LAB_DIR";

/// On a disk (a killed machine boots again with its own), and never in `/run` or `/tmp`,
/// which are private to the lab and to each machine.
const DEFAULT_DIR: &str = "/var/tmp/fleet-lab";

/// Where machines see the folder that all of them share.
pub const SHARED: &str = "/shared";

/// The folder that holds the folders of all labs: `FLEET_LAB_DIR`, or `/var/tmp/fleet-lab`.
pub fn base_dir() -> PathBuf {
    env::var_os(DIR_VARIABLE).filter(|dir| !dir.is_empty()).unwrap_or(DEFAULT_DIR.into()).into()
}

/// The folder of one lab.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(base: &Path, name: &str) -> Self {
        Self { dir: base.join(name) }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The socket that the lab process listens on.
    pub(crate) fn control(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// What the lab process said when the lab was made.
    pub(crate) fn hello(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// There when the lab was told to outlive whoever started it.
    pub(crate) fn stays(&self) -> PathBuf {
        self.dir.join("stays")
    }

    /// What all machines have and the host's root has not: the middle layer.
    pub(crate) fn common(&self) -> PathBuf {
        self.dir.join("common")
    }

    /// The folder of all machines' disks.
    pub(crate) fn machines(&self) -> PathBuf {
        self.dir.join("machines")
    }

    /// A machine's disk: the upper layer, overlay's work folder, and the root made of them.
    pub(crate) fn machine(&self, machine: &str) -> PathBuf {
        self.machines().join(machine)
    }

    pub(crate) fn upper(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("upper")
    }

    pub(crate) fn work(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("work")
    }

    pub(crate) fn root(&self, machine: &str) -> PathBuf {
        self.machine(machine).join("root")
    }

    /// The folder that all machines and the host share.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }

    /// What a machine or a daemon wrote on its console.
    pub(crate) fn console(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.console"))
    }

    /// The data of a daemon that runs in the lab beside the machines.
    pub(crate) fn daemon_data(&self, name: &str) -> PathBuf {
        self.dir.join("daemons").join(name)
    }
}
