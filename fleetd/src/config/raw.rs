//! Options as text, with the place where each was set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::options::{OPTIONS, find, nearest};
use super::{ConfigError, dialect};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the default.
    Default,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// On the command line.
    Flag,
    /// By `--dev`, for want of anything else.
    Dev,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("command line"),
            Self::Dev => f.write_str("--dev"),
        }
    }
}

/// Every option's text and source, and what was found that is no option.
#[derive(Debug, Clone)]
pub struct Raw {
    values: BTreeMap<&'static str, (String, Source)>,
    /// Lines for the log: unknown keys and ignored sections.
    pub warnings: Vec<String>,
}

impl Default for Raw {
    fn default() -> Self {
        let values = OPTIONS.iter().map(|o| (o.name, (o.default.to_owned(), Source::Default))).collect();
        Self { values, warnings: Vec::new() }
    }
}

impl Raw {
    /// An option's text and where it was set.
    ///
    /// # Panics
    /// On a name that [`OPTIONS`] does not hold: a slip in this crate.
    #[must_use]
    pub fn get(&self, name: &str) -> (&str, &Source) {
        let (value, source) = self.values.get(name).expect("an option of the table");
        (value, source)
    }

    /// Whether anybody set the option.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        *self.get(name).1 != Source::Default
    }

    /// Takes what a file says.
    ///
    /// # Errors
    /// When a line is none of the dialect.
    pub fn read_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let found = dialect::read(text).map_err(|(line, message)| ConfigError::Line {
            path: path.to_owned(),
            line,
            message,
        })?;
        for (line, name) in found.sections {
            self.warnings.push(format!("{}:{line}: ignoring section [{name}]: fleet.conf has none", path.display()));
        }
        for entry in found.entries {
            let source = Source::File { path: path.to_owned(), line: entry.line };
            match find(&entry.key) {
                Some(option) => _ = self.values.insert(option.name, (entry.value, source)),
                None => self.warnings.push(format!("{source}: unknown option {}{}", entry.key, hint(&entry.key))),
            }
        }
        Ok(())
    }

    /// Takes what the environment says. A variable that is set and empty counts as set.
    pub fn read_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("FLEET_") else { continue };
            match find(name) {
                Some(option) => _ = self.values.insert(option.name, (value, Source::Environment { variable })),
                // Others use the prefix too: only a slip of the pen is worth a word.
                None if nearest(name).is_some() => {
                    self.warnings.push(format!("environment: unknown variable {variable}{}", hint(name)));
                }
                None => {}
            }
        }
    }

    /// Takes what `--dev` says, before anything else.
    pub fn set_dev(&mut self, name: &'static str, value: String) {
        self.values.insert(name, (value, Source::Dev));
    }

    /// Takes one option, and where it was set, from another reading.
    pub fn take_from(&mut self, other: &Self, name: &'static str) {
        self.values.extend(other.values.get(name).map(|value| (name, value.clone())));
    }

    /// Takes a flag of the command line.
    pub fn set_flag(&mut self, name: &'static str, value: String) {
        self.values.insert(name, (value, Source::Flag));
    }
}

fn hint(name: &str) -> String {
    nearest(name).map_or_else(String::new, |close| format!("; did you mean {close}?"))
}
