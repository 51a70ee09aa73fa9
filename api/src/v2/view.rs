//! A unit as a person sees it: what is asked for, where it is, and what systemd says there.

use std::collections::BTreeMap;

use fleet_units::{DesiredState, UnitHash};
use serde::{Deserialize, Serialize};

use super::{MachineRef, is_false, is_zero};

/// `GET /fleet/v2/units`, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitList {
    /// The store's revision that this shows.
    pub revision: i64,
    /// Whether the server has lost touch with the store, so that this may be old.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// The units.
    pub units: Vec<UnitView>,
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitView {
    /// Its name.
    pub name: String,
    /// Which unit of that name: destroyed and submitted again, it is another.
    pub uid: i64,
    /// CoreOS fleet's hash of its text. Absent once it is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<UnitHash>,
    /// What people want of it. Absent once it is destroyed, while machines still have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// How far the cluster got with it. Absent for global units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_state: Option<DesiredState>,
    /// Whether it runs on every machine that fits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub global: bool,
    /// From its unit file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The machine that it is scheduled to. Absent for global units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineRef>,
    /// For global units: how many machines it is scheduled to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scheduled_to: u32,
    /// What each machine that has it says of it, sorted by machine id.
    #[serde(default)]
    pub states: Vec<StateView>,
    /// Why it waits, or why it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<NoteView>,
    /// How often people asked for a restart.
    #[serde(default)]
    pub restarts: u64,
}

/// What systemd on one machine says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// The machine.
    pub machine: MachineRef,
    /// Which unit of that name it speaks of.
    #[serde(default)]
    pub uid: i64,
    /// systemd's LoadState.
    pub load: String,
    /// systemd's ActiveState.
    pub active: String,
    /// systemd's SubState.
    pub sub: String,
    /// systemd's Result of the last run; empty where the type has none.
    #[serde(default)]
    pub result: String,
    /// When the active state last changed, in milliseconds since 1970; 0 where it never did.
    #[serde(default)]
    pub since: u64,
    /// Its main process, 0 where there is none.
    #[serde(default)]
    pub main_pid: u32,
    /// How far the agent got with it. Absent while it waits to be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
    /// How many of the restarts that people asked for were carried out.
    #[serde(default)]
    pub restarts: u64,
    /// What went wrong when the agent last tried to load, start, or stop it, in systemd's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long stopping it may take at most, in milliseconds; absent where nothing limits it, or nobody knows yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_bound_ms: Option<u64>,
    /// The hash of the text that is loaded; absent where the server does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<UnitHash>,
    /// It runs there without this cluster having asked for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub orphan: bool,
    /// The machine is not present: these are its last words.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
}

/// How far an agent got with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reached {
    /// systemd has loaded it.
    Loaded,
    /// Its start was asked for.
    Launched,
}

/// Why a unit waits, or why it is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoteView {
    /// What it is about.
    pub kind: NoteKind,
    /// One line for people.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    #[serde(default)]
    pub since: u64,
    /// How often it was moved.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    /// When it may be moved for having failed, in milliseconds since 1970; absent where it does not wait for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// It has a machine.
    Placed,
    /// It will be placed once something else has happened.
    Waiting,
    /// No machine can take it as things are.
    Unplaceable,
    /// It cannot be placed at all as it is written.
    Invalid,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// `GET /fleet/v2/units/NAME/text`: what was submitted, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitText {
    /// The unit file.
    pub text: String,
    /// Its drop-ins: file name to text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<String, String>,
}

/// `GET /fleet/v2/units/NAME/status`: what `systemctl status` says on the machine that has the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// The machine.
    pub machine: MachineRef,
    /// The text.
    pub output: String,
    /// How `systemctl` ended: 3 where the unit is not active.
    pub exit_code: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = concat!(
        r#"{"name":"a.service","uid":7,"hash":"86943ac9f3754cb90f8dd38bf6da7b0cad074592","desiredState":"launched","#,
        r#""currentState":"launched","description":"A","machine":{"id":"m1","address":"192.0.2.2"},"#,
        r#""states":[{"machine":{"id":"m1","address":"192.0.2.2"},"uid":7,"load":"loaded","active":"active","#,
        r#""sub":"running","result":"success","since":1,"mainPid":42,"reached":"launched","restarts":0,"#,
        r#""hash":"86943ac9f3754cb90f8dd38bf6da7b0cad074592"}],"#,
        r#""note":{"kind":"placed","reason":"least loaded","since":1},"restarts":0}"#,
    );

    #[test]
    fn a_running_unit_reads_back() {
        let view: UnitView = serde_json::from_str(RUNNING).unwrap();
        assert_eq!(view.states[0].main_pid, 42);
        assert_eq!(view.states[0].reached, Some(Reached::Launched));
        assert_eq!(serde_json::to_string(&view).unwrap(), RUNNING);
    }

    #[test]
    fn a_destroyed_unit_has_no_desired_state() {
        let view: UnitView = serde_json::from_str(r#"{"name":"a.service","uid":7,"states":[]}"#).unwrap();
        assert_eq!(view.desired_state, None);
        assert_eq!(view.hash, None);
    }

    #[test]
    fn kinds_of_newer_versions_are_borne() {
        let note: NoteView = serde_json::from_str(r#"{"kind":"on-holiday","reason":"x"}"#).unwrap();
        assert_eq!(note.kind, NoteKind::Other);
    }
}
