//! `fleetctl cluster`

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use fleet_api::Client;
use fleet_api::v2::{BrakeView, ClusterStatus, MachineRef, MachineView, RegistryView, Stopping};

use crate::cli::{Cluster, ClusterAction, Format};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::table;

/// Units of one kind that are named; the others are counted.
const SHOWN: usize = 10;

/// How much the clocks of two machines may differ before a stop counts as hung.
const CLOCKS_MS: u64 = 10_000;

/// Shows the cluster as a whole. Ends with 1 where something is wrong.
pub async fn run(arguments: &Cluster, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let ClusterAction::Status = arguments.action;
    let status = client.cluster().await.map_err(CommandError::doing("Error retrieving the cluster's status"))?;
    let findings = findings(&status);
    match arguments.output {
        None => output.out().write_all(render(&status, &findings).as_bytes())?,
        Some(Format::Json) => writeln!(output.out(), "{}", json(&status, &findings))?,
    }
    Ok(u8::from(findings.iter().any(|finding| finding.is_wrong)))
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Something has to be done about it; else it is as it should be at times.
    pub is_wrong: bool,
    /// In words, with what to do.
    pub words: String,
}

/// The status as fleetd tells it, with what is found in it.
pub fn json(status: &ClusterStatus, findings: &[Finding]) -> serde_json::Value {
    let findings =
        findings.iter().map(|finding| serde_json::json!({"wrong": finding.is_wrong, "words": finding.words}));
    let mut object = serde_json::json!(status);
    object["findings"] = findings.collect();
    object
}

/// What is printed: a line for each fact, then one for each finding.
pub fn render(status: &ClusterStatus, findings: &[Finding]) -> String {
    let leader = match &status.leader {
        Some(leader) => format!("{}, for {}", fields::machine(&leader.machine, false), age(status.now, leader.since)),
        None => "none".to_owned(),
    };
    let registry = match status.stale {
        false => format!("followed, revision {}", status.revision),
        true => format!("out of touch, last at revision {}", status.revision),
    };
    let rows = [
        ["cluster", status.id.as_deref().unwrap_or("unknown")],
        ["registry", &registry],
        ["", &registry_words(&status.registry)],
        ["leader", &leader],
        ["standbys", &machines(&status.standbys)],
        ["machines", &count(status)],
        ["brake", if status.brake.is_some() { "on" } else { "off" }],
    ];
    let rows: Vec<_> = rows.into_iter().filter(|[_, value]| !value.is_empty()).collect();
    let mut text = table::render(&rows);
    for finding in findings {
        let kind = if finding.is_wrong { "WRONG" } else { "NOTE" };
        text.push_str(&format!("{kind}: {}\n", finding.words));
    }
    text
}

/// Everything that is not as at rest: first what is wrong.
pub fn findings(status: &ClusterStatus) -> Vec<Finding> {
    let wrong = |words: String| Finding { is_wrong: true, words };
    let note = |words: String| Finding { is_wrong: false, words };
    let mut found = Vec::new();
    if status.stale {
        let why = status.why.as_deref().unwrap_or("no answer");
        found.push(wrong(format!("fleetd has lost touch with the registry, so this may be old: {why}")));
    }
    if let Some(why) = &status.here {
        found.push(wrong(format!("the machine that is asked does not take part: {why}")));
    }
    for alarm in &status.registry.alarms {
        found.push(wrong(format!("the registry has an alarm: {alarm}")));
    }
    if status.id.is_none() {
        found.push(wrong("the registry holds no id of the cluster: no fleetd has started on it".to_owned()));
    }
    if status.leader.is_none() {
        found.push(wrong("no machine leads, so nothing is decided".to_owned()));
    }
    if let Some(brake) = &status.brake {
        let next = if brake.released { "it is released, and about to go off" } else { "see \"fleetctl brake\"" };
        found.push(wrong(format!("the brake is on: {}; {next}", brake_words(brake))));
    }
    for record in &status.unreadable {
        found.push(wrong(format!("the record {} is left alone: {}", record.key, record.why)));
    }
    for orphan in &status.orphans {
        let machine = fields::machine(&orphan.machine, false);
        found.push(wrong(format!(
            "{} runs on {machine} without this cluster having asked for it; it is left alone until \"fleetctl orphans \
             stop {}\"",
            orphan.unit, orphan.unit
        )));
    }
    let failed = status.failed.iter().map(|trouble| {
        let machine = fields::machine(&trouble.state.machine, false);
        format!("unit {} failed on {machine} with result {:?}", trouble.unit, trouble.state.result)
    });
    found.extend(at_most(SHOWN, "units failed", failed).map(wrong));
    for stopping in &status.stopping {
        let machine = fields::machine(&stopping.machine, false);
        let (since, is_hung) = (age(status.now, stopping.since), is_hung(status.now, stopping));
        let words = format!("{} has been stopping on {machine} for {since}", stopping.unit);
        found.push(match stopping.limit_ms {
            Some(limit) if is_hung => wrong(format!("{words}, longer than its own limit of {}", age(limit, 0))),
            Some(limit) => note(format!("{words}; its own limit is {}", age(limit, 0))),
            None => note(format!("{words}; its own time-out sets no limit")),
        });
    }
    for lost in &status.lost {
        let id = fields::machine_id(&lost.id, false);
        found.push(match lost.units {
            0 => note(format!("machine {id} is lost; \"fleetctl forget {}\" if it will not come back", lost.id)),
            units => wrong(format!("machine {id} is lost, and {units} of its units have not moved")),
        });
    }
    for machine in &status.machines {
        let shown = name(machine);
        if machine.draining {
            found.push(note(format!("machine {shown} is draining")));
        } else if machine.cordoned {
            found.push(note(format!("machine {shown} is cordoned")));
        }
        if machine.leaving {
            found.push(note(format!(
                "machine {shown} is leaving: its fleetd is being stopped, and gives its units back"
            )));
        } else if machine.catching_up {
            found.push(note(format!("machine {shown} is catching up, and is given nothing new until it has")));
        }
    }
    found.extend(version_skew(&status.machines).map(note));
    found
}

/// The first of these, and how many more there are.
fn at_most(shown: usize, what: &str, lines: impl ExactSizeIterator<Item = String>) -> impl Iterator<Item = String> {
    let rest = lines.len().saturating_sub(shown);
    lines.take(shown).chain((rest > 0).then(|| format!("{rest} more {what}")))
}

/// Whether a unit should have stopped by now: its machine's clock may differ from the server's by some seconds.
fn is_hung(now: u64, stopping: &Stopping) -> bool {
    stopping.limit_ms.is_some_and(|limit| now > stopping.since.saturating_add(limit).saturating_add(CLOCKS_MS))
}

/// The registry as the machine that is asked reaches it; empty where it says nothing.
fn registry_words(registry: &RegistryView) -> String {
    let mut words = Vec::new();
    if registry.embedded {
        words.push("inside the fleetd that is asked".to_owned());
    } else if !registry.endpoints.is_empty() {
        words.push(format!("etcd at {}", registry.endpoints.join(", ")));
    }
    words.extend(registry.version.as_ref().map(|version| format!("version {version}")));
    words.extend(registry.size.map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6)));
    if let (Some(latency), Some(answered)) = (registry.latency_ms, registry.answered_ms) {
        words.push(format!("last keep-alive {:.1} s ago, answered in {latency} ms", answered as f64 / 1e3));
    }
    words.join(", ")
}

/// Which machines run which version, where there is more than one.
fn version_skew(machines: &[MachineView]) -> Option<String> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for machine in machines.iter().filter(|machine| !machine.version.is_empty()) {
        versions.entry(&machine.version).or_default().push(name(machine));
    }
    if versions.len() < 2 {
        return None;
    }
    let each = versions.iter().map(|(version, machines)| format!("{version} on {}", machines.join(", ")));
    Some(format!("fleetd's version is {}", each.collect::<Vec<_>>().join("; ")))
}

/// Whose loss put the brake on.
pub(super) fn brake_words(brake: &BrakeView) -> String {
    format!("{} of {} machines were lost at once ({})", brake.lost.len(), brake.present_before, machines(&brake.lost))
}

/// How long it has been so, in its two largest units.
pub(super) fn age(now: u64, since: u64) -> String {
    let seconds = Duration::from_millis(now.saturating_sub(since)).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn count(status: &ClusterStatus) -> String {
    match status.lost.len() {
        0 => format!("{} present", status.machines.len()),
        lost => format!("{} present, {lost} lost", status.machines.len()),
    }
}

fn machines(machines: &[MachineRef]) -> String {
    match machines {
        [] => "none".to_owned(),
        machines => machines.iter().map(|machine| fields::machine(machine, false)).collect::<Vec<_>>().join(", "),
    }
}

fn name(machine: &MachineView) -> String {
    fields::machine(&MachineRef { id: machine.id.clone(), address: machine.address.clone() }, false)
}
