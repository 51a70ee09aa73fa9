//! What CoreOS fleet's tree in etcd says.

use std::collections::BTreeMap;

use fleet_units::{DesiredState, UnitFile, UnitName};
use serde::Deserialize;

use crate::etcd2::Node;

/// All that is worth taking over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OldCluster {
    /// Units, by name.
    pub units: Vec<OldUnit>,
    /// What people said of machines: an empty value removes a key.
    pub metadata: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// Machines whose CoreOS fleet is alive, by id, with their addresses.
    pub alive: BTreeMap<String, String>,
    /// What cannot be taken over, and why.
    pub trouble: Vec<String>,
}

/// A unit as CoreOS fleet had it.
#[derive(Debug, PartialEq, Eq)]
pub struct OldUnit {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What people want of it.
    pub desired: DesiredState,
    /// The machine that it is on.
    pub machine: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    unit_hash: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    raw: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Machine {
    #[serde(rename = "PublicIP")]
    public_ip: String,
}

/// Reads the directories `job`, `unit`, and `machines`.
#[must_use]
pub fn read(job: &Node, unit: &Node, machines: &Node) -> OldCluster {
    let mut cluster = OldCluster::default();
    for job in &job.nodes {
        // A late heartbeat left the rest of a unit that was destroyed.
        let Some(object) = job.child("object") else { continue };
        match read_unit(job, object, unit, &mut cluster.trouble) {
            Ok(unit) => cluster.units.push(unit),
            Err(why) => cluster.trouble.push(format!("{}: {why}: it is left out", job.name())),
        }
    }
    for machine in &machines.nodes {
        let id = machine.name().to_owned();
        // Presence of a fleetd that is alive runs out by itself.
        if let Some(object) = machine.child("object").filter(|object| object.ttl.is_some()) {
            let known: Machine = parse(object).unwrap_or_default();
            cluster.alive.insert(id.clone(), known.public_ip);
        }
        let said = machine.child("metadata").into_iter().flat_map(|metadata| &metadata.nodes);
        let said: BTreeMap<String, Option<String>> =
            said.map(|key| (key.name().to_owned(), key.value.clone().filter(|value| !value.is_empty()))).collect();
        if !said.is_empty() {
            cluster.metadata.insert(id, said);
        }
    }
    cluster.units.sort_by(|a, b| a.name.cmp(&b.name));
    cluster
}

fn read_unit(job: &Node, object: &Node, texts: &Node, trouble: &mut Vec<String>) -> Result<OldUnit, String> {
    let name = job.name().to_owned();
    let parsed = UnitName::parse(&name).map_err(|error| error.to_string())?;
    let object: Object = parse(object).map_err(|why| format!("its record cannot be read ({why})"))?;
    let hash: String = object.unit_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = texts.child(&hash).ok_or_else(|| format!("its text unit/{hash} is not there"))?;
    let content: Content = parse(text).map_err(|why| format!("its text unit/{hash} cannot be read ({why})"))?;
    let file = UnitFile::parse(&content.raw).map_err(|error| format!("its text cannot be used: {error}"))?;
    if file.hash().to_string() != hash {
        trouble.push(format!("{name}: its text is not the one that its hash {hash} names: it is taken as it is"));
    }
    let mut desired = match job.child("target-state").and_then(|state| state.value.as_deref()) {
        None | Some("") => DesiredState::Inactive,
        Some(state) => state.parse().unwrap_or_else(|_| {
            // CoreOS fleet took any word, and could not even delete the unit then.
            trouble.push(format!("{name}: the desired state {state:?} means nothing: it is taken as inactive"));
            DesiredState::Inactive
        }),
    };
    if parsed.is_template() && desired != DesiredState::Inactive {
        trouble.push(format!("{name}: a template cannot run: it is taken as inactive"));
        desired = DesiredState::Inactive;
    }
    let machine = job.child("target").and_then(|target| target.value.clone()).filter(|id| !id.is_empty());
    Ok(OldUnit { name, text: content.raw, desired, machine })
}

fn parse<T: for<'de> Deserialize<'de>>(node: &Node) -> Result<T, String> {
    serde_json::from_str(node.value.as_deref().unwrap_or_default()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(key: &str, value: &str) -> Node {
        Node { key: key.into(), value: Some(value.into()), ..Node::default() }
    }

    fn directory(key: &str, nodes: Vec<Node>) -> Node {
        Node { key: key.into(), nodes, ..Node::default() }
    }

    /// A unit of the text `[Service]\nExecStart=/bin/true\n`.
    fn job(name: &str, more: &[(&str, &str)]) -> Node {
        let hash = "[134,148,58,201,243,117,76,185,15,141,211,139,246,218,123,12,173,7,69,146]";
        let object = format!(r#"{{"Name":"{name}","UnitHash":{hash}}}"#);
        let key = format!("/_coreos.com/fleet/job/{name}");
        let mut nodes = vec![leaf(&format!("{key}/object"), &object)];
        nodes.extend(more.iter().map(|(child, value)| leaf(&format!("{key}/{child}"), value)));
        directory(&key, nodes)
    }

    fn texts() -> Node {
        let raw = r#"{"Raw":"[Service]\nExecStart=/bin/true\n"}"#;
        directory("/unit", vec![leaf("/unit/86943ac9f3754cb90f8dd38bf6da7b0cad074592", raw)])
    }

    #[test]
    fn units_come_with_text_desired_state_and_machine() {
        let jobs = vec![
            job("web.service", &[("target-state", "launched"), ("target", "m1"), ("job-state", "m1")]),
            job("a@.service", &[("target-state", "launched")]),
            job("odd.service", &[("target-state", "bogus")]),
            job("new.service", &[]),
            directory("/job/husk.service", vec![leaf("/job/husk.service/job-state", "m1")]),
            job("nonsense", &[]),
        ];
        let mut machines = directory("/machines/m1", vec![leaf("/machines/m1/object", r#"{"PublicIP":"192.0.2.1"}"#)]);
        let nodes = vec![leaf("/machines/m1/metadata/zone", "a"), leaf("/machines/m1/metadata/old", "")];
        machines.nodes.push(directory("/machines/m1/metadata", nodes));
        let dead = directory("/machines", vec![machines.clone()]);
        let cluster = read(&directory("/job", jobs.clone()), &texts(), &dead);
        let found: Vec<_> = cluster.units.iter().map(|u| (u.name.as_str(), u.desired, u.machine.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("a@.service", DesiredState::Inactive, None),
                ("new.service", DesiredState::Inactive, None),
                ("odd.service", DesiredState::Inactive, None),
                ("web.service", DesiredState::Launched, Some("m1")),
            ]
        );
        assert_eq!(cluster.units[0].text, "[Service]\nExecStart=/bin/true\n");
        assert_eq!(cluster.metadata["m1"]["zone"].as_deref(), Some("a"));
        assert_eq!(cluster.metadata["m1"]["old"], None);
        assert!(cluster.alive.is_empty(), "a record that stays is of a machine that is gone, or of a backup");
        let trouble = cluster.trouble.join("\n");
        for words in ["a@.service: a template", "odd.service: the desired state \"bogus\"", "nonsense: unit name must"]
        {
            assert!(trouble.contains(words), "{trouble}");
        }
        assert_eq!(cluster.trouble.len(), 3, "{trouble}");

        machines.nodes[0].ttl = Some(12);
        let alive = read(&directory("/job", jobs), &texts(), &directory("/machines", vec![machines])).alive;
        assert_eq!(alive["m1"], "192.0.2.1");
    }

    #[test]
    fn a_unit_whose_text_is_lost_is_named() {
        let cluster = read(&directory("/job", vec![job("web.service", &[])]), &Node::default(), &Node::default());
        assert_eq!(cluster.units, []);
        assert!(cluster.trouble[0].contains("web.service: its text unit/86943ac9"), "{:?}", cluster.trouble);
    }
}
