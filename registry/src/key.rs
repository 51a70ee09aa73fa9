//! Where each record lives below the cluster's prefix.

use bytes::Bytes;
use fleet_units::{MachineId, UnitName};

use crate::record::ContentKey;

/// A key of the cluster, typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `cluster`
    Cluster,
    /// `units/<unit>`
    Unit(UnitName),
    /// `contents/<sha256>`
    Content(ContentKey),
    /// `machines/<id>`
    Machine(MachineId),
    /// `operator/<id>`
    Operator(MachineId),
    /// `schedule/<machine>`
    Schedule(MachineId),
    /// `applied/<machine>`
    Applied(MachineId),
    /// `states/<machine>/<unit>`
    State(MachineId, UnitName),
    /// `notes/<unit>`
    Note(UnitName),
    /// `engine/leader`
    Leader,
    /// `engine/standby/<n>`
    Standby(u32),
    /// `engine/brake`
    Brake,
}

/// The default of `etcd_key_prefix`, as CoreOS fleet's.
pub const DEFAULT_PREFIX: &str = "/_coreos.com/fleet/";

/// Turns typed keys into stored ones and back.
///
/// ```
/// use fleet_registry::{Key, Layout};
/// let layout = Layout::new("/_coreos.com/fleet/");
/// let key = Key::Unit("hello.service".parse().unwrap());
/// assert_eq!(layout.encode(&key), "/_coreos.com/fleet/v3/units/hello.service");
/// assert_eq!(layout.decode(&layout.encode(&key)), Some(key));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX)
    }
}

impl Layout {
    /// The layout below `prefix`; `v3/` is added so that a tree of CoreOS fleet beside it stays untouched.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { root: format!("{}/v3/", prefix.trim_end_matches('/')) }
    }

    /// Everything of the cluster lives below this, slash included.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The stored key.
    #[must_use]
    pub fn encode(&self, key: &Key) -> Bytes {
        let tail = match key {
            Key::Cluster => "cluster".to_owned(),
            Key::Unit(u) => format!("units/{u}"),
            Key::Content(c) => format!("contents/{c}"),
            Key::Machine(m) => format!("machines/{m}"),
            Key::Operator(m) => format!("operator/{m}"),
            Key::Schedule(m) => format!("schedule/{m}"),
            Key::Applied(m) => format!("applied/{m}"),
            Key::State(m, u) => format!("states/{m}/{u}"),
            Key::Note(u) => format!("notes/{u}"),
            Key::Leader => "engine/leader".to_owned(),
            Key::Standby(n) => format!("engine/standby/{n}"),
            Key::Brake => "engine/brake".to_owned(),
        };
        Bytes::from(format!("{}{tail}", self.root))
    }

    /// The typed key, or `None` for a key that this version does not know.
    #[must_use]
    pub fn decode(&self, key: &[u8]) -> Option<Key> {
        let tail = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        let unit = |s: &str| UnitName::parse(s).ok();
        let machine = |s: &str| s.parse::<MachineId>().ok();
        // As it is written, and no other way (`+1`, `01`): no two stored keys mean one record.
        let number = |s: &str| s.parse::<u32>().ok().filter(|n| n.to_string() == s);
        match tail.split_once('/') {
            None if tail == "cluster" => Some(Key::Cluster),
            Some(("units", u)) => unit(u).map(Key::Unit),
            Some(("contents", c)) if !c.is_empty() => Some(Key::Content(ContentKey(c.into()))),
            Some(("machines", m)) => machine(m).map(Key::Machine),
            Some(("operator", m)) => machine(m).map(Key::Operator),
            Some(("schedule", m)) => machine(m).map(Key::Schedule),
            Some(("applied", m)) => machine(m).map(Key::Applied),
            Some(("states", rest)) => {
                let (m, u) = rest.split_once('/')?;
                Some(Key::State(machine(m)?, unit(u)?))
            }
            Some(("notes", u)) => unit(u).map(Key::Note),
            Some(("engine", "leader")) => Some(Key::Leader),
            Some(("engine", "brake")) => Some(Key::Brake),
            Some(("engine", rest)) => number(rest.strip_prefix("standby/")?).map(Key::Standby),
            _ => None,
        }
    }

    /// The stored prefix of a machine's states, `states/<machine>/`.
    #[must_use]
    pub fn states_of(&self, machine: &MachineId) -> Bytes {
        Bytes::from(format!("{}states/{machine}/", self.root))
    }
}

#[cfg(test)]
mod tests;
