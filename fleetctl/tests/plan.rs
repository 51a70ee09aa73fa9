//! What `fleetctl plan` prints, and that it asks a file as it asks a cluster.

mod common;

use std::path::Path;
use std::process::Command;

use common::{MACHINES, visible};
use fleet_api::v2::{FateKind, MachineRef, PlanAnswer, RefusedUnit, UnitFate};
use fleetctl::commands::plan;
use insta::assert_snapshot;

fn machine(index: usize) -> MachineRef {
    MachineRef { id: MACHINES[index].to_owned(), address: format!("192.0.2.{}", index + 2) }
}

fn fate(name: &str, fate: FateKind, from: &[usize], to: &[usize], reason: &str) -> UnitFate {
    let machines = |indices: &[usize]| indices.iter().map(|&index| machine(index)).collect();
    UnitFate { name: name.into(), fate, from: machines(from), to: machines(to), reason: reason.into() }
}

fn answer() -> PlanAnswer {
    PlanAnswer {
        revision: 12,
        token: Some("0123456789abcdef".into()),
        units: vec![
            fate("all.service", FateKind::Spread, &[0, 1, 0, 1, 0], &[], "the machine is lost"),
            fate("db.service", FateKind::Stays, &[], &[0], "it is there already"),
            fate("tape.service", FateKind::Unplaced, &[], &[], "no machine: 2 of 2 lack disk=tape"),
            fate("web@1.service", FateKind::Placed, &[], &[1], "least loaded (0 units, 4c2c1ae0 has 1)"),
            fate("web@2.service", FateKind::Moved, &[0], &[1], "the machine is lost; no other machine can take it"),
            fate("web@3.service", FateKind::Displaced, &[0], &[], "the machine is lost; no machine is present"),
        ],
        ..PlanAnswer::default()
    }
}

#[test]
fn a_plan_is_a_line_a_unit() {
    assert_snapshot!(visible(&plan::render(&answer(), true)));
}

#[test]
fn what_is_in_the_way_comes_first() {
    let refused = RefusedUnit { name: "a.service".into(), message: "MachineID cannot be used with Global".into() };
    let found = PlanAnswer { brake: true, token: None, refused: vec![refused], ..answer() };
    assert_snapshot!(visible(&plan::render(&PlanAnswer { units: Vec::new(), ..found.clone() }, false)));
    let text = plan::render(&PlanAnswer { token: Some("0123".into()), ..found }, false);
    assert!(text.contains("\"fleetctl start --plan 0123\" and the same units starts them"), "{text}");
}

/// A cluster of one machine that has a unit, in the words of its registry.
fn snapshot() -> serde_json::Value {
    let [here, _] = MACHINES;
    let machine = serde_json::json!({"v": 1, "id": here, "hostname": "web-1", "version": "", "boot_id": "",
        "instance": "", "metadata": {"zone": "a"}, "address": "192.0.2.2"});
    let text = serde_json::json!({"v": 1, "text": "[Service]\nExecStart=/bin/true\n"});
    let key = "9ea4f7a6eb8b5e0c1c1a9d8a3bd1f6f0";
    let hash = fleet_units::UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap().hash();
    let unit = serde_json::json!({"v": 1, "content": key, "hash": hash, "desired": "launched", "changed": 0});
    let given = serde_json::json!({"uid": 3, "content": key, "target": "launched"});
    let record = |value| serde_json::json!({"created": 3, "modified": 3, "value": value});
    let units = serde_json::json!({"old.service": given});
    serde_json::json!({"v": 1, "revision": 9, "records": {
        format!("machines/{here}"): record(machine),
        format!("schedule/{here}"): record(serde_json::json!({"v": 1, "generation": 1, "units": units})),
        format!("contents/{key}"): record(text),
        "units/old.service": record(unit),
    }})
}

fn fleetctl(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetctl"));
    command.current_dir(folder).env_remove("FLEETCTL_ENDPOINT").env("HOME", folder);
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A person would need the cluster to ask what it would do.
#[test]
fn a_file_is_asked_as_a_cluster_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("cluster.json", &snapshot().to_string());
    write("near.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=zone=a\n");
    write("far.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=zone=b\n");

    let (code, out, err) = fleetctl(folder, &["plan", "--snapshot", "cluster.json", "near", "far"]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let lines: Vec<Vec<&str>> =
        out.lines().map(|line| line.split('\t').filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[1], ["far.service", "nowhere", "-", "-", "no machine: 1 of 1 lacks zone=b"]);
    assert_eq!(lines[2][..2], ["near.service", "placed"]);
    assert!(!out.contains("--plan"), "nothing can be started without a cluster: {out}");

    let metadata = ["plan", "--snapshot", "cluster.json", "far.service", "--metadata", "web-1", "zone=b", "-o", "json"];
    let (code, out, _) = fleetctl(folder, &metadata);
    let found: PlanAnswer = serde_json::from_str(&out).unwrap();
    assert_eq!((code, found.units[0].fate, &found.token), (Some(0), FateKind::Placed, &None), "{out}");

    // Whatever else there is to say: a program reads one object.
    write("old.service", "[Service]\nExecStart=/bin/true\n");
    let same = ["plan", "--snapshot", "cluster.json", "--replace", "old.service", "-o", "json"];
    let (_, out, err) = fleetctl(folder, &same);
    let found: PlanAnswer = serde_json::from_str(&out).unwrap();
    assert!(found.revision == 9 && err.contains("Found same Unit(old.service)"), "{out}{err}");

    let (code, out, _) = fleetctl(folder, &["plan", "--snapshot", "cluster.json", "--lose", "4c2c"]);
    assert!(code == Some(1) && out.contains("old.service") && out.contains("left-without"), "{out}");

    for (arguments, words) in [
        (vec!["plan"], "Nothing to plan."),
        (vec!["plan", "--snapshot", "none.json", "near"], "cannot read snapshot none.json"),
        (vec!["plan", "--snapshot", "near.service", "near"], "near.service: it is no snapshot of a cluster"),
        (vec!["plan", "--snapshot", "cluster.json", "--lose", "nobody"], "There is no machine \"nobody\"."),
        (vec!["plan", "--snapshot", "cluster.json", "gone"], "unable to find Unit(gone.service)"),
        (
            vec!["plan", "--snapshot", "cluster.json", "--metadata", "web-1", "zone=b", "near.service"],
            "Nothing is said to change of near.service.",
        ),
        (
            vec!["plan", "--snapshot", "cluster.json", "--metadata", "zone=b", "web-1"],
            "zone=b is a change of no machine.",
        ),
        (
            vec!["plan", "--snapshot", "cluster.json", "--metadata", "web-1", "zone="],
            "\"zone=\" is no change of metadata.",
        ),
        (vec!["start", "--plan", "0123"], "there is no plan \"0123\" here"),
    ] {
        let (code, out, err) = fleetctl(folder, &arguments);
        assert!(code == Some(1) && err.contains(words), "{arguments:?}: {out}{err}");
    }
}
