//! Units that another one names: `MachineOf=`, `After=` and `Requires=`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::options::Section;
use super::{RequirementError, Requirements};
use crate::{Glob, NameError, UnitName};

/// A unit, or a pattern of units, that another one names.
///
/// ```
/// use fleet_units::{Peer, UnitName};
///
/// let dbs = Peer::parse("db@*.service").unwrap();
/// assert!(dbs.matches(&UnitName::parse("db@1.service").unwrap()));
/// assert_eq!(dbs.unit(), None);
/// assert!(Peer::parse("db").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Peer {
    /// One unit.
    Unit(UnitName),
    /// Every unit whose name matches.
    Pattern(Glob),
}

impl Peer {
    /// Reads a unit's name, or a pattern: what is no name and has one of `*?[` in it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match UnitName::parse(text) {
            Ok(unit) => Ok(Self::Unit(unit)),
            Err(error) => {
                let glob = Glob::new(text);
                let is_pattern = glob.is_valid() && text.contains(['*', '?', '[']);
                if is_pattern { Ok(Self::Pattern(glob)) } else { Err(error) }
            }
        }
    }

    /// The unit, where it is one.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Pattern(_) => None,
        }
    }

    /// Whether it names this unit.
    pub fn matches(&self, name: &UnitName) -> bool {
        match self {
            Self::Unit(unit) => unit == name,
            Self::Pattern(glob) => glob.matches(name.as_str()),
        }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unit(unit) => unit.as_str(),
            Self::Pattern(glob) => glob.as_str(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for Peer {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.as_str().to_owned()
    }
}

impl Section<'_> {
    /// The units that an option names, under all its spellings.
    pub(super) fn peers(&self, option: &'static str, spellings: &[&str]) -> Result<Vec<Peer>, RequirementError> {
        let mut peers = Vec::new();
        for value in self.words(spellings) {
            match Peer::parse(&value.expanded) {
                Ok(peer) => peers.push(peer),
                Err(_) if self.is_open(&value) => {}
                Err(source) => return Err(RequirementError::Peer { option, value: value.expanded, source }),
            }
        }
        Ok(peers)
    }
}

impl Requirements {
    /// Refuses options that contradict each other, and those that make no sense for a unit of this name.
    pub fn validate_for(&self, name: &UnitName) -> Result<(), RequirementError> {
        let names_it = |peers: &[Peer]| peers.iter().any(|peer| peer.unit() == Some(name));
        if let Some((option, _)) = self.peer_options().into_iter().find(|(_, peers)| names_it(peers)) {
            return Err(RequirementError::Itself { option, name: name.clone() });
        }
        self.validate()
    }

    /// The options that name other units to be with or to wait for.
    pub(super) fn peer_options(&self) -> [(&'static str, &[Peer]); 3] {
        [("MachineOf", &self.machine_of), ("After", &self.after), ("Requires", &self.requires)]
    }
}
