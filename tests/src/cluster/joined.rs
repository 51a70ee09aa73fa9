//! Machines join the registry of the first one, as a person would have them do it.

use anyhow::Result;

use super::config::{REGISTRY_MACHINE, TOKEN_FILE};
use super::handle::Cluster;

const START: &str = "systemctl enable --now fleet";

/// Starts the registry's machine, has it make a token, and starts the others with it.
pub(super) fn join(cluster: &Cluster, mut show: impl FnMut(&str, &str, &str)) -> Result<()> {
    let mut shell = |machine: u8, command: &str| -> Result<String> {
        let said = cluster.node(machine).exec(["sh", "-c", command])?.ok()?;
        show(&cluster.node(machine).name(), command, said.trim_end());
        Ok(said)
    };
    shell(REGISTRY_MACHINE, START)?;
    let others: Vec<u8> = cluster.nodes().map(|node| node.number()).filter(|&n| n != REGISTRY_MACHINE).collect();
    let token = shell(REGISTRY_MACHINE, &format!("fleetctl registry token --uses={}", others.len().max(1)))?;
    for machine in others {
        let keep = format!("umask 077; echo '{}' > {TOKEN_FILE}", token.trim());
        shell(machine, &format!("{keep}; {START}"))?;
    }
    Ok(())
}
