//! Patterns of names, as in `fleetctl stop 'web@*'`.

use fleet_api::v2::UnitView;
use fleet_units::{Glob, UnitName};

use crate::error::CommandError;

/// What makes a name a pattern.
const MARKS: [char; 3] = ['*', '?', '['];

/// Whether this is a pattern of names. Folders above it may be called as they like.
pub fn is_pattern(argument: &str) -> bool {
    argument.rsplit('/').next().is_some_and(|base| base.contains(MARKS))
}

/// The units of the cluster that the pattern matches. Templates are left out unless the pattern says that it means them: nobody who stops `web@*` means `web@`.
pub fn matches(argument: &str, units: &[UnitView]) -> Result<Vec<UnitName>, CommandError> {
    let pattern = with_type(argument);
    let glob = Glob::new(pattern.as_str());
    if !glob.is_valid() {
        return Err(CommandError::with_hint(
            format!("{argument:?} is no pattern of names."),
            "There are * for any characters, ? for any one, and [a-z] or [^a-z] for one of some.",
        ));
    }
    let means_templates = pattern.contains("@.");
    let known = units.iter().filter(|unit| unit.desired_state.is_some() && glob.matches(&unit.name));
    let names = known.filter_map(|unit| UnitName::parse(&unit.name).ok());
    Ok(names.filter(|name| means_templates || !name.is_template()).collect())
}

/// A pattern without a type is one of services, as a name is.
fn with_type(argument: &str) -> String {
    let base = argument.rsplit_once('/').map_or(argument, |(_, base)| base);
    match base.rsplit_once('.') {
        Some((_, kind)) if kind.contains(MARKS) => base.to_owned(),
        _ => UnitName::mangle(base),
    }
}

#[cfg(test)]
mod tests {
    use fleet_units::DesiredState;

    use super::*;

    fn unit(name: &str) -> UnitView {
        UnitView {
            name: name.into(),
            uid: 1,
            hash: None,
            desired_state: Some(DesiredState::Launched),
            current_state: None,
            global: false,
            description: String::new(),
            machine: None,
            scheduled_to: 0,
            states: Vec::new(),
            note: None,
            restarts: 0,
        }
    }

    #[test]
    fn patterns_match_whole_names_of_units_that_the_cluster_knows() {
        let mut units: Vec<UnitView> =
            ["db.service", "web@.service", "web@1.service", "web@2.service", "web@2.timer"].map(unit).to_vec();
        units.push(UnitView { desired_state: None, ..unit("web@3.service") });
        let matched = |pattern: &str| {
            let names = matches(pattern, &units).unwrap();
            names.iter().map(UnitName::as_str).collect::<Vec<_>>().join(" ")
        };
        let cases = [
            ("web@*", "web@1.service web@2.service"),
            ("web@?.service", "web@1.service web@2.service"),
            ("web@2.*", "web@2.service web@2.timer"),
            ("web@[^1].service", "web@2.service"),
            ("web*@.service", "web@.service"),
            ("*", "db.service web@1.service web@2.service"),
            ("eb@*", ""),
        ];
        for (pattern, expected) in cases {
            assert_eq!(matched(pattern), expected, "{pattern}");
        }
        assert!(is_pattern("units/web@*") && !is_pattern("[units]/web@1"));
        let words = matches("web@[", &units).unwrap_err().words().unwrap_or_default();
        assert!(words.starts_with("\"web@[\" is no pattern of names."), "{words}");
    }
}
