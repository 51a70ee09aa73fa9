//! From what was typed to units: names, the files here, and what the cluster knows.
//!
//! In fleet's order: a unit that the cluster knows is kept, a file here is used, an instance is made of its template in
//! the cluster, and then of a template beside where its file would be.

pub mod given;
pub mod pattern;

mod local;
mod stdin;

use fleet_api::v2::UnitView;
use fleet_units::{DesiredState, UnitHash, UnitName};

pub use local::Local;

/// Where the text of a unit comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The cluster knows the unit, and keeps its text.
    Known,
    /// A file here: its text.
    File(Local),
    /// The template of that name in the cluster.
    Template {
        /// The template.
        name: UnitName,
        /// Whether it runs on every machine that fits.
        is_global: bool,
    },
}

/// What is to be done with one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The unit.
    pub name: UnitName,
    /// What the cluster knows of it.
    pub view: Option<UnitView>,
    /// Where its text comes from.
    pub source: Source,
    /// Whether the text replaces the cluster's.
    pub replace: bool,
    /// What a person should know, on stderr.
    pub warnings: Vec<String>,
    /// What fleet said on stdout.
    pub notices: Vec<String>,
}

/// Why a unit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nobody knows it.
    #[error("unable to find Unit({0}) in Registry or on filesystem")]
    Unknown(UnitName),
    /// Nobody knows it, nor its template.
    #[error(
        "failed getting Unit({name}) from template: unable to find template Unit({template}) in Registry or on filesystem"
    )]
    NoTemplate {
        /// The instance.
        name: UnitName,
        /// Its template.
        template: UnitName,
    },
}

/// What the cluster and the files here say of one name.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// The unit in the cluster.
    pub unit: Option<&'a UnitView>,
    /// Its template in the cluster.
    pub template: Option<&'a UnitView>,
    /// Its file here.
    pub file: Option<Local>,
    /// The file of its template here.
    pub template_file: Option<Local>,
}

/// Decides where the text of a unit comes from. `replace` holds the states in which it may be replaced, where that was
/// asked for. Nothing is to be done with a unit for which this gives none: the warning says why.
pub fn decide(name: &UnitName, known: Known<'_>, replace: Option<&[DesiredState]>) -> Result<Decision, ResolveError> {
    let template = name.template().filter(|_| name.is_instance());
    let Some(unit) = known.unit else {
        let source = match (known.file, known.template, known.template_file, template) {
            (Some(file), ..) => Source::File(file),
            (None, Some(view), _, Some(name)) => Source::Template { name, is_global: view.global },
            (None, _, Some(file), _) => Source::File(file),
            (None, _, None, Some(template)) => return Err(ResolveError::NoTemplate { name: name.clone(), template }),
            (None, _, None, None) => return Err(ResolveError::Unknown(name.clone())),
        };
        return Ok(Decision::Do(Box::new(Resolved::new(name, None, source))));
    };
    let mut resolved = Resolved::new(name, Some(unit.clone()), Source::Known);
    let other = known.file.or(known.template_file).map(|file| (file.hash, Source::File(file)));
    let other = other.or_else(|| {
        known.template.and_then(|view| Some((view.hash?, Source::Template { name: template?, is_global: view.global })))
    });
    let Some((hash, source)) = other else { return Ok(Decision::Do(Box::new(resolved))) };
    match replace {
        None => resolved.warn_if_other(hash, &source),
        Some(_) if Some(hash) == unit.hash => {
            resolved.notices.push(format!("Found same Unit({name}) in Registry, nothing to do"));
        }
        Some(allowed) => {
            // Global units have no current state of their own.
            let state = unit.current_state.or(unit.desired_state).unwrap_or_default();
            if !allowed.contains(&state) {
                return Ok(Decision::Skip(format!(
                    "Warning: can not replace Unit({name}) in state '{state}', use the appropriate command"
                )));
            }
            resolved.source = source;
            resolved.replace = true;
        }
    }
    Ok(Decision::Do(Box::new(resolved)))
}

/// What [`decide`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on with it.
    Do(Box<Resolved>),
    /// Leave it alone, for this reason.
    Skip(String),
}

impl Resolved {
    fn new(name: &UnitName, view: Option<UnitView>, source: Source) -> Self {
        let warnings = match &source {
            Source::File(file) => file.warnings.clone(),
            _ => Vec::new(),
        };
        Self { name: name.clone(), view, source, replace: false, warnings, notices: Vec::new() }
    }

    /// Comments and blank lines make no difference: the canonical text counts.
    fn warn_if_other(&mut self, hash: UnitHash, source: &Source) {
        let known = self.view.as_ref().and_then(|view| view.hash);
        if let (Source::File(file), Some(known)) = (source, known)
            && known != hash
        {
            let kind = if file.is_template { "local template unit file" } else { "local unit file" };
            self.warnings.push(format!(
                "WARNING: Unit {} in registry differs from {kind} {}. Add --replace to override.",
                self.name,
                file.path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests;
