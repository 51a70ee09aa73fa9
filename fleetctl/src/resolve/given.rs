//! From what was typed to the units that are meant: names, patterns, folders, and standard input.

use std::collections::BTreeSet;
use std::path::Path;

use fleet_api::v2::UnitView;
use fleet_units::UnitName;

use super::local::{self, Local};
use super::{pattern, stdin};
use crate::error::CommandError;

/// What standard input is called on the command line.
pub const STDIN: &str = "-";

/// A unit that is meant, and what the files here say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The unit.
    pub name: UnitName,
    /// Its file.
    pub file: Option<Local>,
    /// The file of its template.
    pub template: Option<Local>,
}

/// What is known besides the files.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// The units that the cluster knows, where [`asks_for_units`] says that they are needed.
    pub units: &'a [UnitView],
    /// What was read from standard input, where it is meant.
    pub stdin: &'a str,
    /// What the unit there is called.
    pub name: Option<&'a str>,
    /// Whether templates in a folder are meant too: nothing else can be done with them than submitting.
    pub templates: bool,
}

/// Whether the cluster has to be asked for its units before it is clear what is meant.
pub fn asks_for_units(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| pattern::is_pattern(argument) || may_be_folder(argument))
}

/// The units that are meant, each once. What is wrong with any file is said of all.
pub fn expand(arguments: &[String], context: &Context<'_>) -> Result<Vec<Given>, CommandError> {
    let (mut given, mut seen, mut errors) = (Vec::new(), BTreeSet::new(), Vec::new());
    for argument in arguments {
        for found in one(argument, context)? {
            match found {
                Ok(found) if seen.insert(found.name.clone()) => given.push(found),
                Ok(_) => {}
                Err(error) => errors.push(error.to_string()),
            }
        }
    }
    match errors.is_empty() {
        true => Ok(given),
        false => Err(CommandError::message(format!("Error creating units: {}", errors.join("\n")))),
    }
}

type Found = Result<Given, local::LocalError>;

fn one(argument: &str, context: &Context<'_>) -> Result<Vec<Found>, CommandError> {
    if argument == STDIN {
        return Ok(stdin::split(context.stdin, context.name)?.into_iter().map(of_text).collect());
    }
    if pattern::is_pattern(argument) {
        let names = pattern::matches(argument, context.units)?;
        if names.is_empty() {
            return Err(CommandError::message(format!(
                "Error creating units: no unit in Registry matches {argument:?}"
            )));
        }
        return Ok(names.into_iter().map(|name| Ok(Given { name, file: None, template: None })).collect());
    }
    let name = UnitName::mangle(argument);
    let is_known = || context.units.iter().any(|unit| unit.name == name && unit.desired_state.is_some());
    if is_folder(argument) || (may_be_folder(argument) && !is_known()) {
        return folder(argument, context.templates);
    }
    let name = UnitName::parse(&name)
        .map_err(|error| CommandError::message(format!("invalid unit name {argument:?}: {error}")))?;
    Ok(vec![of_file(argument, name)])
}

fn of_file(argument: &str, name: UnitName) -> Found {
    let (file, template) = local::find(argument, &name)?;
    Ok(Given { name, file, template })
}

fn of_text(text: stdin::Text) -> Found {
    let file = Some(local::of_text(&text.name, text.text, text.drop_ins)?);
    Ok(Given { name: text.name, file, template: None })
}

/// Whether this can only mean a folder.
fn is_folder(argument: &str) -> bool {
    (argument.ends_with('/') || matches!(argument.rsplit('/').next(), Some("." | ".."))) && Path::new(argument).is_dir()
}

/// Whether this names a folder here, and may name a unit as well: `redis` beside a folder of that name.
fn may_be_folder(argument: &str) -> bool {
    let name = UnitName::mangle(argument);
    let has_type = argument.trim_end_matches('/').ends_with(&name);
    !has_type && Path::new(argument).is_dir() && !Path::new(&format!("{argument}.service")).exists()
}

/// The unit files in a folder, by name.
fn folder(argument: &str, templates: bool) -> Result<Vec<Found>, CommandError> {
    let failed =
        |error: std::io::Error| CommandError::message(format!("Error creating units: cannot read {argument}: {error}"));
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(argument).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_str().and_then(|name| UnitName::parse(name).ok());
        names.extend(name.filter(|name| entry.path().is_file() && (templates || !name.is_template())));
    }
    if names.is_empty() {
        return Err(CommandError::message(format!("Error creating units: there are no unit files in {argument}")));
    }
    let folder = argument.trim_end_matches('/');
    Ok(names.into_iter().map(|name| of_file(&format!("{folder}/{name}"), name)).collect())
}

#[cfg(test)]
mod tests {
    use fleet_units::DesiredState;

    use super::*;

    const TEXT: &str = "[Service]\nExecStart=/bin/true\n";

    fn expanded(argument: &str, context: &Context<'_>) -> Result<String, String> {
        let given = expand(&[argument.to_owned()], context).map_err(|error| error.words().unwrap_or_default())?;
        let word = |given: &Given| match &given.file {
            Some(file) => format!("{} of {}", given.name, file.path.display()),
            None => given.name.to_string(),
        };
        Ok(given.iter().map(word).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_folder_is_its_unit_files() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.service", "a.timer", "web@.service", "README.md", "b.conf"] {
            std::fs::write(folder.path().join(file), TEXT).unwrap();
        }
        std::fs::create_dir(folder.path().join("c.service")).unwrap();
        let path = folder.path().display().to_string();
        let all = Context { templates: true, ..Context::default() };
        let files = format!("a.timer of {path}/a.timer, b.service of {path}/b.service");
        for argument in [path.clone(), format!("{path}/"), format!("{path}/.")] {
            let expected = files.replace(&path, argument.trim_end_matches('/'));
            assert_eq!(expanded(&argument, &Context::default()), Ok(expected), "{argument}");
        }
        assert_eq!(expanded(&path, &all), Ok(format!("{files}, web@.service of {path}/web@.service")));
        let empty = tempfile::tempdir().unwrap();
        let words = expanded(&empty.path().display().to_string(), &all).unwrap_err();
        assert!(words.contains("there are no unit files in"), "{words}");
    }

    /// Scripts that start `redis` beside a folder of that name go on working.
    #[test]
    fn a_unit_that_the_cluster_knows_goes_before_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redis");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("x.service"), TEXT).unwrap();
        let argument = path.display().to_string();
        assert!(asks_for_units(std::slice::from_ref(&argument)));
        let mut unit: UnitView = serde_json::from_str(r#"{"name":"redis.service","uid":1}"#).unwrap();
        unit.desired_state = Some(DesiredState::Inactive);
        let known = Context { units: &[unit], ..Context::default() };
        assert_eq!(expanded(&argument, &known), Ok("redis.service".to_owned()));
        assert_eq!(expanded(&argument, &Context::default()), Ok(format!("x.service of {argument}/x.service")));
        // A file goes before both.
        std::fs::write(folder.path().join("redis.service"), TEXT).unwrap();
        assert!(!asks_for_units(std::slice::from_ref(&argument)));
    }

    #[test]
    fn standard_input_holds_units_under_their_names() {
        let context = Context { stdin: "# a.service\n[Service]\nExecStart=/bin/true\n", ..Context::default() };
        assert_eq!(expanded("-", &context), Ok("a.service of -".to_owned()));
        let named = Context { stdin: TEXT, name: Some("b"), ..Context::default() };
        assert_eq!(expanded("-", &named), Ok("b.service of -".to_owned()));
        let bad = Context { stdin: "[Service]\nExecStart\n", name: Some("b"), ..Context::default() };
        assert!(expanded("-", &bad).unwrap_err().starts_with("Error creating units: -: line 2: "));
    }
}
