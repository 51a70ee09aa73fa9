//! SIGHUP: the configuration is read again, and what can follow it without a restart does. No unit is touched.

use fleet_agent::{AgentControl, MachineFacts};
use fleet_registry::etcd::EtcdStore;

use super::{Read, capacity, etcd_config};
use crate::config::{Config, OPTIONS, Raw};

/// The options that follow without a restart.
const FOLLOWING: [&str; 7] =
    ["verbosity", "metadata", "capacity", "capacity_reserve", "etcd_cafile", "etcd_certfile", "etcd_keyfile"];

/// Reads the configuration again, and has it followed.
pub(super) struct Reloader {
    pub(super) read: Read,
    /// What the machine says of itself.
    pub(super) facts: MachineFacts,
    pub(super) agent: AgentControl,
    /// The etcd outside, where there is one: its files may be others under the same names.
    pub(super) etcd: Option<EtcdStore>,
}

impl Reloader {
    /// Does it, and says in the log what came of it. A configuration that makes no sense changes nothing.
    pub(super) fn reload(&mut self) {
        if let Err(error) = self.follow() {
            tracing::error!("SIGHUP: nothing was changed: {error:#}; `fleetd --check` says the same before a reload");
        }
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        let (config, raw) = self.read.arguments.load()?;
        for warning in &raw.warnings {
            tracing::warn!("{warning}");
        }
        let changed = changes(&self.read.raw, &raw);
        if let Some(etcd) = &self.etcd {
            // Endpoints stay as they were: the cluster behind them could be another.
            let endpoints = Config::from_raw(&self.read.raw)?.etcd.servers;
            let files = fleet_registry::etcd::EtcdConfig { endpoints, ..etcd_config(&config.etcd) };
            etcd.reconnect(&files)?;
        }
        crate::logging::set_verbose(config.verbose);
        self.facts.metadata.clone_from(&config.metadata);
        self.facts.capacity = capacity::of_this_machine(&config);
        self.agent.describe(self.facts.clone());
        tracing::debug!("SIGHUP: this log says more than usual");
        let (now, later): (Vec<&str>, Vec<&str>) = changed.into_iter().partition(|name| FOLLOWING.contains(name));
        tracing::info!("SIGHUP: the configuration was read again; changed: {}", listed(&now));
        if !later.is_empty() {
            tracing::warn!("SIGHUP: these follow only after `systemctl restart fleet`: {}", listed(&later));
        }
        // What waits for a restart is spoken of again at the next signal.
        for name in now {
            self.read.raw.take_from(&raw, name);
        }
        Ok(())
    }
}

/// The options whose text differs.
fn changes(old: &Raw, new: &Raw) -> Vec<&'static str> {
    OPTIONS.iter().map(|option| option.name).filter(|name| old.get(name).0 != new.get(name).0).collect()
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
