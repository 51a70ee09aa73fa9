//! Unit files on standard input: several in one, as `systemctl cat` prints them.

use std::collections::BTreeMap;

use fleet_units::{UnitName, is_drop_in_name};

use crate::error::CommandError;

/// A unit that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Its name.
    pub(super) name: UnitName,
    /// What it says.
    pub(super) text: String,
    /// Its drop-ins.
    pub(super) drop_ins: BTreeMap<String, String>,
}

/// What a line that begins a file names.
enum Heading {
    Unit(UnitName),
    DropIn { unit: UnitName, file: String },
}

/// Splits a text at lines such as `# hello.service` and `# /etc/systemd/system/hello.service.d/10.conf`. With a name all of
/// it is one unit.
pub(super) fn split(text: &str, name: Option<&str>) -> Result<Vec<Text>, CommandError> {
    if let Some(name) = name {
        let name = UnitName::parse(&UnitName::mangle(name))
            .map_err(|error| CommandError::message(format!("invalid unit name {name:?}: {error}")))?;
        return Ok(vec![Text { name, text: text.to_owned(), drop_ins: BTreeMap::new() }]);
    }
    let mut units: Vec<Text> = Vec::new();
    let mut drop_in: Option<String> = None;
    for line in text.split_inclusive('\n') {
        match heading(line) {
            Some(Heading::Unit(name)) => {
                drop_in = None;
                units.push(Text { name, text: String::new(), drop_ins: BTreeMap::new() });
            }
            Some(Heading::DropIn { unit, file }) => {
                let last =
                    units.last_mut().filter(|last| last.name == unit || last.name.template() == Some(unit.clone()));
                let last = last.ok_or_else(|| {
                    CommandError::message(format!("standard input: drop-in {file} stands before its unit {unit}"))
                })?;
                last.drop_ins.insert(file.clone(), String::new());
                drop_in = Some(file);
            }
            None => match (units.last_mut(), &drop_in) {
                (Some(unit), Some(file)) => unit.drop_ins.entry(file.clone()).or_default().push_str(line),
                (Some(unit), None) => unit.text.push_str(line),
                (None, _) if line.trim().is_empty() => {}
                (None, _) => return Err(nameless()),
            },
        }
    }
    match units.is_empty() {
        false => Ok(units),
        true => Err(nameless()),
    }
}

fn nameless() -> CommandError {
    CommandError::with_hint(
        "Standard input does not say which unit it is.",
        "Give its name with --name, or begin each unit with a line such as \"# hello.service\".",
    )
}

fn heading(line: &str) -> Option<Heading> {
    let path = line.trim_end().strip_prefix("# ").filter(|path| !path.contains(char::is_whitespace))?;
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    if let Ok(name) = UnitName::parse(file) {
        return Some(Heading::Unit(name));
    }
    let folder = folder.rsplit('/').next()?.strip_suffix(".d")?;
    let unit = UnitName::parse(folder).ok().filter(|_| is_drop_in_name(file))?;
    Some(Heading::DropIn { unit, file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, name: Option<&str>) -> String {
        match split(text, name) {
            Ok(units) => {
                let word = |unit: &Text| format!("{}={:?}{:?}", unit.name, unit.text, unit.drop_ins);
                units.iter().map(word).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.words().unwrap_or_default(),
        }
    }

    #[test]
    fn several_units_in_one() {
        let text =
            "\n# /etc/systemd/system/a.service\n# Mine.\n[Service]\n\n# /run/a.service.d/1.conf\nNice=1\n# b.timer\nx";
        assert_eq!(words(text, None), r##"a.service="# Mine.\n[Service]\n\n"{"1.conf": "Nice=1\n"} b.timer="x"{}"##);
        assert_eq!(words("# a.service\nx\n", Some("c.path")), r##"c.path="# a.service\nx\n"{}"##);
        assert_eq!(words("# a@1.service\nx\n# a@.service.d/1.conf\ny", None), r##"a@1.service="x\n"{"1.conf": "y"}"##);
    }

    #[test]
    fn what_has_no_name_is_refused() {
        for text in ["", "[Service]\n# a.service\n", "# a service\n", "# a.conf\n"] {
            assert!(words(text, None).starts_with("Standard input does not say which unit it is."), "{text}");
        }
        assert!(words("# a.service.d/1.conf\n", None).contains("stands before its unit a.service"));
        assert!(words("x", Some("a b")).contains("invalid unit name \"a b\""));
    }
}
