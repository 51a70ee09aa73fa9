//! What really runs, beside what fleet says of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;

use super::{Person, until};

/// Every unit that a machine has from fleet: unit and machine, with systemd's active and sub state.
type Picture = BTreeMap<(String, u8), (String, String)>;

/// What systemd makes of all that lies in fleet's folder, one block a unit.
const SHOW: &str = "cd /run/fleet/units 2>/dev/null && ls | grep '[.]' | xargs --no-run-if-empty \
    systemctl show --property=Id,ActiveState,SubState -- ; true";

/// Asked of systemd, on every machine that is on; what runs is compared with the machine's cgroups, seen from outside.
fn truth(cluster: &Cluster) -> Result<Picture> {
    let mut picture = Picture::new();
    for node in cluster.nodes().filter(|node| node.leader().is_some()) {
        let shown = node.exec(["sh", "-c", SHOW])?.ok()?;
        for block in shown.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                value.map(str::to_owned).with_context(|| format!("systemctl shows no {name} in {block:?}"))
            };
            let (unit, active, sub) = (field("Id")?, field("ActiveState")?, field("SubState")?);
            let processes = node.processes_of(&unit).len();
            ensure!((sub == "running") == (processes > 0), "{unit} is {sub} with {processes} processes");
            picture.insert((unit, node.number()), (active, sub));
        }
    }
    Ok(picture)
}

/// What a person at this machine is told.
fn told(cluster: &Cluster, machine: u8) -> Result<Picture> {
    let list = "list-units --no-legend --full --fields=unit,machine,active,sub";
    let list = Person::at(cluster, machine).fleetctl(list)?;
    let parse = |line: &str| {
        let [unit, machine, active, sub] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let (_, address) = machine.split_once('/')?;
        let number = cluster.nodes().find(|node| node.ip().to_string() == address)?.number();
        Some(((unit.to_owned(), number), (active.to_owned(), sub.to_owned())))
    };
    list.lines().map(|line| parse(line).with_context(|| format!("fleetctl list-units prints {line:?}"))).collect()
}

/// Waits until what fleet says at this machine is what systemd says on all machines.
pub(crate) fn agreed(cluster: &Cluster, machine: u8) -> Result<()> {
    until("fleet does not say what systemd says", || {
        let (truth, told) = (truth(cluster)?, told(cluster, machine)?);
        ensure!(truth == told, "true: {truth:?}\ntold: {told:?}");
        Ok(())
    })
}
