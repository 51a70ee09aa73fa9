//! Unit names: what is valid, and what their parts are.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name that fleet accepts, in bytes.
const MAX_LEN: usize = 256;

/// Every suffix that has ever named a systemd unit type.
const TYPES: [&str; 13] = [
    "automount",
    "busname",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "snapshot",
    "socket",
    "swap",
    "target",
    "timer",
];

/// The types that fleet allows templates and instances of.
const TEMPLATE_TYPES: [&str; 5] = ["path", "service", "socket", "target", "timer"];

/// A valid unit name such as `hello.service` or `web@1.service`.
///
/// Cloning is cheap: names are shared, not copied.
///
/// ```
/// use fleet_units::UnitName;
///
/// let name = UnitName::parse("web@1.service").unwrap();
/// assert_eq!(name.prefix(), "web");
/// assert_eq!(name.instance(), Some("1"));
/// assert_eq!(name.template().unwrap().as_str(), "web@.service");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(Arc<str>);

/// Why a text is not a unit name, in the words of CoreOS fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing in it.
    #[error("unit name cannot be empty")]
    Empty,
    /// It is longer than 256 bytes.
    #[error("unit name exceeds maximum length ({MAX_LEN})")]
    TooLong,
    /// It has no dot, hence no type.
    #[error("unit name must contain \".\"")]
    NoDot,
    /// It ends in a dot, hence has no type.
    #[error("unit name cannot end in \".\"")]
    TrailingDot,
    /// What follows the last dot is no unit type.
    #[error("invalid unit type: {0:?}")]
    InvalidType(String),
    /// A template or an instance of a type that has none.
    #[error("invalid unit type for template: {0:?}")]
    InvalidTemplateType(String),
    /// A character that unit names may not have.
    #[error("invalid character {0:?} in unit name")]
    InvalidCharacter(char),
    /// A template needs a name before its `@`.
    #[error("unit name cannot start in \"@\"")]
    LeadingAt,
}

impl UnitName {
    /// Checks and wraps a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        validate(text)?;
        Ok(Self(text.into()))
    }

    /// Turns what a person typed into a unit name: the base name of a path,
    /// with `.service` appended when it ends in no unit type.
    ///
    /// The result is not checked; [`UnitName::parse`] does that.
    ///
    /// ```
    /// use fleet_units::UnitName;
    ///
    /// assert_eq!(UnitName::mangle("units/hello"), "hello.service");
    /// assert_eq!(UnitName::mangle("hello.timer"), "hello.timer");
    /// assert_eq!(UnitName::mangle("app.v2"), "app.v2.service");
    /// ```
    pub fn mangle(argument: &str) -> String {
        let path = argument.trim_end_matches('/');
        let base = path.rsplit_once('/').map_or(path, |(_, base)| base);
        match base.rsplit_once('.') {
            Some((_, suffix)) if TYPES.contains(&suffix) => base.to_owned(),
            _ if base.is_empty() => String::new(),
            _ => format!("{base}.service"),
        }
    }

    /// The whole name (`%n`).
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type: what follows the last dot, such as `service`.
    pub fn unit_type(&self) -> &str {
        self.split_type().1
    }

    /// The name without its type (`%N`).
    pub fn stem(&self) -> &str {
        self.split_type().0
    }

    /// The stem before the first `@`, or all of it (`%p`).
    pub fn prefix(&self) -> &str {
        let stem = self.stem();
        stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
    }

    /// What follows the first `@` (`%i`): empty for a template, and none for a
    /// name without `@`.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// Whether this names a template, such as `web@.service`.
    pub fn is_template(&self) -> bool {
        self.instance() == Some("")
    }

    /// Whether this names an instance of a template, such as `web@1.service`.
    pub fn is_instance(&self) -> bool {
        self.instance().is_some_and(|instance| !instance.is_empty())
    }

    /// The template that an instance comes from. A template is its own; other
    /// names have none.
    pub fn template(&self) -> Option<Self> {
        if self.is_template() {
            return Some(self.clone());
        }
        // A part of a valid name is valid: shorter, of the same type and characters.
        Some(Self(self.template_text()?.into()))
    }

    /// The same as a text.
    pub(crate) fn template_text(&self) -> Option<String> {
        let (stem, unit_type) = self.split_type();
        let prefix = &stem[..=stem.find('@')?];
        Some([prefix, ".", unit_type].concat())
    }

    fn split_type(&self) -> (&str, &str) {
        // A valid name has a dot; the fallback only keeps this total.
        self.0.rsplit_once('.').unwrap_or((&self.0, ""))
    }
}

/// Fleet's checks, in fleet's order, so that messages agree.
fn validate(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_LEN {
        return Err(NameError::TooLong);
    }
    let (stem, suffix) = name.rsplit_once('.').ok_or(NameError::NoDot)?;
    if suffix.is_empty() {
        return Err(NameError::TrailingDot);
    }
    if !TYPES.contains(&suffix) {
        return Err(NameError::InvalidType(suffix.to_owned()));
    }
    if stem.contains('@') && !TEMPLATE_TYPES.contains(&suffix) {
        return Err(NameError::InvalidTemplateType(suffix.to_owned()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    if let Some(character) = stem.chars().find(|&c| !allowed(c)) {
        return Err(NameError::InvalidCharacter(character));
    }
    if stem.starts_with('@') {
        return Err(NameError::LeadingAt);
    }
    Ok(())
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitName({:?})", self.as_str())
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Maps by name can be asked with plain text.
impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for UnitName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for UnitName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for UnitName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests;
