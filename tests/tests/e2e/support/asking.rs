//! Asking fleetd itself, where fleetctl does not show what is asked for.

use anyhow::{Context, Result, bail, ensure};
use fleet_api::v2::{MachineList, UnitList, UnitView};
use fleet_tests::cluster::Cluster;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::until;

/// An answer of fleetd.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// What the answer says, or an error where it is none of success.
    fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        if self.status != 200 {
            bail!("fleetd answered {self:?}");
        }
        serde_json::from_str(&self.body).with_context(|| format!("fleetd answered {self:?}"))
    }

    /// The message of fleet's error entity.
    pub(crate) fn message(&self) -> Result<String> {
        let entity: serde_json::Value =
            serde_json::from_str(&self.body).with_context(|| format!("fleetd answered {self:?}"))?;
        let (code, message) = (&entity["error"]["code"], &entity["error"]["message"]);
        if *code != json!(self.status) {
            bail!("the code is not the status: {self:?}");
        }
        message.as_str().map(str::to_owned).with_context(|| format!("there is no message in {self:?}"))
    }
}

/// Asks the fleetd of a machine with curl, which sends whatever it is told to.
pub(crate) fn curl(cluster: &Cluster, machine: u8, path: &str, options: &[&str], body: &[u8]) -> Result<Answer> {
    let url = format!("http://localhost{path}");
    let command = ["curl", "--silent", "--show-error", "--max-time", "30", "--unix-socket", "/run/fleet.sock"];
    let command = command.into_iter().chain(["--write-out", "\n%{http_code}", &url]).chain(options.iter().copied());
    let node = cluster.node(machine);
    let said = node.exec_with(command, body.to_vec(), std::time::Duration::from_secs(40))?.ok()?;
    let (body, status) = said.rsplit_once('\n').context("curl says no status")?;
    Ok(Answer { status: status.parse()?, body: body.to_owned() })
}

/// What fleetd on this machine knows of a unit; an error where it knows none of that name.
pub(crate) fn view(cluster: &Cluster, machine: u8, unit: &str) -> Result<UnitView> {
    let list: UnitList = curl(cluster, machine, &format!("/fleet/v2/units?name={unit}"), &[], b"")?.decode()?;
    list.units.into_iter().find(|view| view.name == unit).with_context(|| format!("fleetd knows no {unit}"))
}

/// The machines that are present, as fleetd on this machine sees them.
pub(crate) fn machines(cluster: &Cluster, machine: u8) -> Result<MachineList> {
    curl(cluster, machine, "/fleet/v2/machines", &[], b"")?.decode()
}

/// Waits until exactly so many machines are present and are given units.
pub(crate) fn settled(cluster: &Cluster, machine: u8, count: usize) -> Result<()> {
    until("the machines are not settled", || {
        let list = machines(cluster, machine)?;
        let ready = list.machines.iter().filter(|machine| !machine.catching_up).count();
        ensure!(!list.stale && ready == count && list.machines.len() == count, "{list:?}");
        Ok(())
    })
}

/// The machine whose engine decides.
pub(crate) fn leader(cluster: &Cluster, machine: u8) -> Result<u8> {
    let list = machines(cluster, machine)?;
    let leader = list.machines.iter().find(|machine| machine.leader).context("no machine leads")?;
    let node = cluster.nodes().find(|node| node.machine_id() == leader.id);
    Ok(node.with_context(|| format!("the leader is no machine of this lab: {leader:?}"))?.number())
}

/// Gives a machine another value for a key of its metadata.
pub(crate) fn patch_metadata(cluster: &Cluster, machine: u8, key: &str, value: &str) -> Result<()> {
    let path = format!("/{}/metadata/{key}", cluster.node(machine).machine_id());
    let body = json!([{"op": "replace", "path": path, "value": value}]).to_string();
    let json = ["--request", "PATCH", "--header", "Content-Type: application/json", "--data-binary", "@-"];
    let answer = curl(cluster, machine, "/fleet/v1/machines", &json, body.as_bytes())?;
    if answer.status != 204 {
        bail!("fleetd refused other metadata: {answer:?}");
    }
    Ok(())
}
