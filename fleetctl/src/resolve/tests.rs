//! Where the text of a unit comes from, for everything that the cluster and the files here can say.

use std::path::PathBuf;

use fleet_units::UnitFile;

use super::*;

fn name(text: &str) -> UnitName {
    UnitName::parse(text).unwrap()
}

fn text(command: &str) -> String {
    format!("[Service]\nExecStart={command}\n")
}

/// A unit or template of the cluster that runs this command.
fn view(unit: &str, command: &str, state: DesiredState) -> UnitView {
    UnitView {
        name: unit.to_owned(),
        uid: 7,
        hash: Some(UnitFile::parse(&text(command)).unwrap().hash()),
        desired_state: Some(state),
        current_state: Some(state),
        global: false,
        description: String::new(),
        machine: None,
        states: Vec::new(),
        note: None,
        scheduled_to: 0,
        restarts: 0,
    }
}

/// A file here that runs this command.
fn file(path: &str, command: &str) -> Local {
    Local {
        path: PathBuf::from(path),
        text: text(command),
        drop_ins: Default::default(),
        hash: UnitFile::parse(&text(command)).unwrap().hash(),
        is_template: path.contains("@."),
        is_global: false,
        warnings: Vec::new(),
    }
}

/// What is done, in a few words.
fn summary(decision: Result<Decision, ResolveError>) -> String {
    match decision {
        Ok(Decision::Do(unit)) => {
            let source = match &unit.source {
                Source::Known => "keep".to_owned(),
                Source::File(file) => format!("file {}", file.path.display()),
                Source::Template { name, .. } => format!("template {name}"),
            };
            let replace = if unit.replace { "replace by " } else { "" };
            let said: Vec<_> = unit.warnings.into_iter().chain(unit.notices).collect();
            format!("{replace}{source}; {}", said.join(" "))
        }
        Ok(Decision::Skip(why)) => format!("skip; {why}"),
        Err(error) => format!("error; {error}"),
    }
}

#[test]
fn a_unit_that_nobody_knows_is_made_of_what_comes_first() {
    let template = view("a@.service", "/bin/old", DesiredState::Inactive);
    let cases = [
        ("a.service", Known { file: Some(file("a.service", "/bin/new")), ..Known::default() }, "file a.service; "),
        (
            "a@1.service",
            Known { file: Some(file("a@1.service", "x")), template: Some(&template), ..Known::default() },
            "file a@1.service; ",
        ),
        (
            "a@1.service",
            Known { template: Some(&template), template_file: Some(file("a@.service", "x")), ..Known::default() },
            "template a@.service; ",
        ),
        (
            "a@1.service",
            Known { template_file: Some(file("a@.service", "x")), ..Known::default() },
            "file a@.service; ",
        ),
        ("a.service", Known::default(), "error; unable to find Unit(a.service) in Registry or on filesystem"),
        (
            "a@1.service",
            Known::default(),
            "error; failed getting Unit(a@1.service) from template: unable to find template Unit(a@.service) in Registry \
             or on filesystem",
        ),
        ("a@.service", Known::default(), "error; unable to find Unit(a@.service) in Registry or on filesystem"),
    ];
    for (unit, known, expected) in cases {
        assert_eq!(summary(decide(&name(unit), known, None)), expected);
    }
}

#[test]
fn a_unit_that_the_cluster_knows_is_kept() {
    let old = view("a@1.service", "/bin/old", DesiredState::Launched);
    let differs = |kind: &str, path: &str| {
        format!(
            "keep; WARNING: Unit a@1.service in registry differs from local {kind} {path}. Add --replace to override."
        )
    };
    let cases = [
        (Known { unit: Some(&old), ..Known::default() }, "keep; ".to_owned()),
        (
            Known { unit: Some(&old), file: Some(file("a@1.service", "/bin/old")), ..Known::default() },
            "keep; ".to_owned(),
        ),
        (
            Known { unit: Some(&old), file: Some(file("d/a@1.service", "/bin/new")), ..Known::default() },
            differs("unit file", "d/a@1.service"),
        ),
        (
            Known { unit: Some(&old), template_file: Some(file("a@.service", "/bin/new")), ..Known::default() },
            differs("template unit file", "a@.service"),
        ),
    ];
    for (known, expected) in cases {
        assert_eq!(summary(decide(&name("a@1.service"), known, None)), expected);
    }
}

#[test]
fn replacing_takes_another_text_in_a_state_that_allows_it() {
    let allowed = [DesiredState::Inactive, DesiredState::Loaded];
    let loaded = view("a.service", "/bin/old", DesiredState::Loaded);
    let launched = view("a.service", "/bin/old", DesiredState::Launched);
    let cases = [
        (&loaded, Some("/bin/new"), "replace by file a.service; "),
        (&loaded, Some("/bin/old"), "keep; Found same Unit(a.service) in Registry, nothing to do"),
        (&loaded, None, "keep; "),
        (
            &launched,
            Some("/bin/new"),
            "skip; Warning: can not replace Unit(a.service) in state 'launched', use the appropriate command",
        ),
        (&launched, Some("/bin/old"), "keep; Found same Unit(a.service) in Registry, nothing to do"),
    ];
    for (unit, command, expected) in cases {
        let known =
            Known { unit: Some(unit), file: command.map(|command| file("a.service", command)), ..Known::default() };
        assert_eq!(summary(decide(&name("a.service"), known, Some(&allowed))), expected);
    }
}
