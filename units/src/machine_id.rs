//! The identity of a machine.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many characters the short form of a machine id has.
const SHORT_LEN: usize = 8;

/// A machine's id: normally the 32 hexadecimal digits of `/etc/machine-id`.
///
/// Any non-empty text of ASCII letters, digits, `_`, and `-` is accepted, since
/// ids become parts of registry keys and file names, and test clusters like
/// readable ones. Cloning is cheap.
///
/// ```
/// use fleet_units::MachineId;
///
/// let id = MachineId::parse("4b1d7f5a3c9e4d0f8a6b2c1d0e9f8a7b").unwrap();
/// assert_eq!(id.short(), "4b1d7f5a");
/// assert!(id.matches("4b1d7f5a"));
/// assert!(!id.matches("4b1d"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(Arc<str>);

/// Why a text is not a machine id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineIdError {
    /// There is nothing in it.
    #[error("machine id cannot be empty")]
    Empty,
    /// A character that could not stand in a key or a file name.
    #[error("invalid character {character:?} in machine id {id:?}")]
    InvalidCharacter {
        /// The offending character.
        character: char,
        /// The whole text.
        id: String,
    },
}

impl MachineId {
    /// Checks and wraps the text of an id.
    pub fn parse(text: &str) -> Result<Self, MachineIdError> {
        if text.is_empty() {
            return Err(MachineIdError::Empty);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        match text.chars().find(|&c| !allowed(c)) {
            Some(character) => Err(MachineIdError::InvalidCharacter { character, id: text.to_owned() }),
            None => Ok(Self(text.into())),
        }
    }

    /// The full id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters, which is what people are shown.
    pub fn short(&self) -> &str {
        // Ids are ASCII, so every index is a character boundary.
        self.0.get(..SHORT_LEN).unwrap_or(&self.0)
    }

    /// Whether `wanted` is this id in full, or exactly its short form.
    pub fn matches(&self, wanted: &str) -> bool {
        wanted == self.as_str() || (wanted.len() == SHORT_LEN && wanted == self.short())
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineId({:?})", self.as_str())
    }
}

impl AsRef<str> for MachineId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Maps by id can be asked with plain text.
impl Borrow<str> for MachineId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for MachineId {
    type Err = MachineIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for MachineId {
    type Error = MachineIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for MachineId {
    type Error = MachineIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_in_full_or_by_exactly_eight_characters() {
        let id = MachineId::parse("a1b2c3d4e5f6").unwrap();
        assert!(id.matches("a1b2c3d4e5f6"));
        assert!(id.matches("a1b2c3d4"));
        for other in ["", "a", "a1b2c3d", "a1b2c3d4e", "A1B2C3D4", "b1b2c3d4"] {
            assert!(!id.matches(other), "{other:?} must not match");
        }
    }

    #[test]
    fn short_ids_are_their_own_short_form() {
        let id = MachineId::parse("m1").unwrap();
        assert_eq!(id.short(), "m1");
        assert!(id.matches("m1"));
    }

    #[test]
    fn refuses_what_could_not_be_a_key() {
        assert_eq!(MachineId::parse(""), Err(MachineIdError::Empty));
        for (text, character) in [("a/b", '/'), ("a b", ' '), ("a\n", '\n'), ("é", 'é')] {
            assert_eq!(
                MachineId::parse(text),
                Err(MachineIdError::InvalidCharacter { character, id: text.to_owned() })
            );
        }
    }

    #[test]
    fn json_is_a_checked_string() {
        let id: MachineId = serde_json::from_str(r#""m-1_x""#).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""m-1_x""#);
        let error = serde_json::from_str::<MachineId>(r#""m/1""#).unwrap_err();
        assert!(error.to_string().contains(r#"invalid character '/' in machine id "m/1""#));
    }
}
