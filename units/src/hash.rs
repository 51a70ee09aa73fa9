//! The hash by which fleet knows a unit's content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// How many characters of a hash people are shown.
const SHORT_LEN: usize = 7;

/// The SHA-1 of a unit's canonical text, as CoreOS fleet computed it.
///
/// It identifies content for people and for API v1; it is not a defence
/// against anyone who crafts collisions.
///
/// ```
/// use fleet_units::UnitFile;
///
/// let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap();
/// let hash = file.hash();
/// assert_eq!(hash.to_string(), "86943ac9f3754cb90f8dd38bf6da7b0cad074592");
/// assert_eq!(hash.short(), "86943ac");
/// assert_eq!(hash.to_string().parse(), Ok(hash));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitHash([u8; 20]);

/// The text is not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid unit hash {0:?}: expected 40 hexadecimal digits")]
pub struct HashError(String);

impl UnitHash {
    /// Hashes a canonical text.
    pub fn of(canonical: &str) -> Self {
        Self(Sha1::digest(canonical.as_bytes()).into())
    }

    /// The first seven digits, as listings show them.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(SHORT_LEN);
        hex
    }

    /// The hash as bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for UnitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UnitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitHash({self})")
    }
}

impl FromStr for UnitHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let error = || HashError(text.to_owned());
        let bytes: Vec<u8> = digits
            .filter(|digits| digits.len() == 40)
            .ok_or_else(error)?
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        bytes.try_into().map(Self).map_err(|_| error())
    }
}

impl TryFrom<String> for UnitHash {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UnitHash> for String {
    fn from(hash: UnitHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_sha1() {
        assert_eq!(UnitHash::of("").to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }

    #[test]
    fn reads_hexadecimal_in_either_case() {
        let hash = UnitHash::of("x");
        assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<UnitHash>(&json).unwrap(), hash);
    }

    #[test]
    fn refuses_other_text() {
        let long = "0".repeat(41);
        let foreign = format!("{}g", "0".repeat(39));
        for text in ["", "abc", &long, &foreign, "é"] {
            assert_eq!(text.parse::<UnitHash>(), Err(HashError(text.to_owned())));
        }
    }
}
