//! Which options meet in the scenarios: every two of them in one unit, or they are refused when it is submitted; every two
//! between two units of which a line tells together; and each with what befalls machines and units.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fleet_units::{Requirements, UnitFile};

use crate::model::unit;

/// What each is in a table; a value that stands for it; whether a pattern is meant.
const OPTIONS: [(&str, &str); 18] = [
    ("MachineID", "m1"),
    ("MachineOf", "peer.service"),
    ("MachineOf, a pattern", "peer@*.service"),
    ("MachineMetadata", "zone=a"),
    ("Conflicts", "other.service"),
    ("Replaces", "another.service"),
    ("Global", "true"),
    ("Memory", "1M"),
    ("CPU", "1%"),
    ("PreferMetadata", "disk=ssd"),
    ("SpreadBy", "zone"),
    ("SpreadGroup", "group"),
    ("MaxPerMachine", "1"),
    ("Priority", "1"),
    ("Preempt", "yes"),
    ("After", "before.service"),
    ("Requires", "needed.service"),
    ("OnFailure", "move"),
];

/// Pairs that cannot meet in one unit, since it would be refused, and in which words.
const REFUSED: [(&str, &str, &str); 21] = [
    ("MachineID", "MachineOf", "MachineID cannot be used with Peers"),
    ("MachineID", "MachineOf, a pattern", "MachineID cannot be used with Peers"),
    ("MachineID", "Conflicts", "MachineID cannot be used with Conflicts"),
    ("MachineID", "Replaces", "MachineID cannot be used with Replaces"),
    ("MachineID", "Global", "MachineID cannot be used with Global"),
    ("MachineID", "PreferMetadata", "PreferMetadata cannot be used with MachineID"),
    ("MachineID", "SpreadBy", "SpreadBy cannot be used with MachineID"),
    ("MachineID", "MaxPerMachine", "MaxPerMachine cannot be used with MachineID"),
    ("MachineID", "OnFailure", "OnFailure=move cannot be used with MachineID"),
    ("Global", "MachineOf", "Global cannot be used with Peers"),
    ("Global", "MachineOf, a pattern", "Global cannot be used with Peers"),
    ("Global", "Replaces", "Global cannot be used with Replaces"),
    ("Global", "Preempt", "Global cannot be used with Preempt"),
    ("Global", "PreferMetadata", "PreferMetadata cannot be used with Global"),
    ("Global", "SpreadBy", "SpreadBy cannot be used with Global"),
    ("Global", "MaxPerMachine", "MaxPerMachine cannot be used with Global"),
    ("Global", "SpreadGroup", "SpreadGroup cannot be used with Global"),
    ("Global", "OnFailure", "OnFailure=move cannot be used with Global"),
    ("MachineOf", "OnFailure", "OnFailure=move cannot be used with MachineOf"),
    ("MachineOf, a pattern", "OnFailure", "OnFailure=move cannot be used with MachineOf"),
    ("Conflicts", "Replaces", "Conflicts cannot be used with Replaces"),
];

/// What operators and machines do, which each option meets: to a machine that has a unit of it, or to the unit.
const EVENTS: [&str; 4] = ["drain", "cordon", "lose", "leave"];

/// Options that an event does not meet, and why.
const NEVER: [(&str, &str, &str); 0] = [];

type Name = &'static str;

/// What met what, and in which scenario.
#[derive(Default)]
struct Met {
    in_one: BTreeMap<(Name, Name), String>,
    between: BTreeMap<(Name, Name), String>,
    with: BTreeMap<(Name, Name), String>,
}

/// A scenario as far as it was read.
#[derive(Default)]
struct Story<'a> {
    units: BTreeMap<&'a str, BTreeSet<Name>>,
    listed: BTreeMap<&'a str, Vec<&'a str>>,
    cordoned: BTreeSet<&'a str>,
}

fn sorted(one: Name, two: Name) -> (Name, Name) {
    (one.min(two), one.max(two))
}

fn options(text: &str) -> BTreeSet<Name> {
    let read = |option: &str| {
        let (key, value) = option.trim().split_once('=')?;
        let is_pattern = key == "MachineOf" && value.contains(['*', '?', '[']);
        let name = if is_pattern { "MachineOf, a pattern" } else { key };
        OPTIONS.iter().map(|(known, _)| *known).find(|known| *known == name)
    };
    text.split(';').filter_map(read).collect()
}

impl<'a> Story<'a> {
    fn options_of(&self, name: &str) -> impl Iterator<Item = Name> + use<'_, 'a> {
        self.units.get(name).into_iter().flatten().copied()
    }

    /// Takes in a line, and what meets there.
    fn read(&mut self, line: &'a str, file: &str, met: &mut Met) {
        if let Some(told) = line.strip_prefix("> ") {
            return self.read_answer(told, file, met);
        }
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match command {
            "unit" => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                self.units.insert(name, options(text));
            }
            "start" | "load" => words.iter().for_each(|name| _ = self.units.entry(name).or_default()),
            "cordon" => self.cordoned.extend(words),
            "uncordon" => self.cordoned.retain(|id| !words.contains(id)),
            "drain" | "lose" => {
                let there = words.iter().filter_map(|id| self.listed.get(id)).flatten();
                let there: Vec<Name> = there.flat_map(|name| self.options_of(name)).collect();
                self.note_event(command, there, file, met);
            }
            "leave" => {
                let its = self.options_of(words[0]).collect();
                self.note_event(command, its, file, met);
            }
            _ => {}
        }
    }

    fn note_event(&self, command: &str, options: Vec<Name>, file: &str, met: &mut Met) {
        let event = EVENTS.into_iter().find(|event| *event == command).expect("one of them");
        for option in options {
            met.with.entry((option, event)).or_insert_with(|| file.to_owned());
        }
    }

    /// A line of what was decided: all units that it names meet.
    fn read_answer(&mut self, told: &'a str, file: &str, met: &mut Met) {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
        let words = told.split(|c: char| !is_of_name(c));
        let names: BTreeSet<&str> = words.filter(|word| self.units.contains_key(word)).collect();
        for one in &names {
            for option in self.options_of(one) {
                for other in self.options_of(one).filter(|other| *other != option) {
                    met.in_one.entry(sorted(option, other)).or_insert_with(|| file.to_owned());
                }
                for other in names.iter().filter(|other| *other != one).flat_map(|other| self.options_of(other)) {
                    met.between.entry(sorted(option, other)).or_insert_with(|| file.to_owned());
                }
            }
        }
        if let Some((id, units)) = told.strip_prefix("= ").and_then(|told| told.split_once(": ")) {
            let units = units.split(',').next().unwrap_or_default();
            self.listed.insert(id, units.split_whitespace().collect());
        } else if !self.cordoned.is_empty() {
            let its = told.split(' ').next().map(|name| self.options_of(name).collect());
            self.note_event("cordon", its.unwrap_or_default(), file, met);
        }
    }
}

fn met() -> Met {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut met = Met::default();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut story = Story::default();
        text.lines().for_each(|line| story.read(line.trim(), &file, &mut met));
    }
    met
}

fn is_refused(one: Name, two: Name) -> bool {
    REFUSED.iter().any(|(a, b, _)| sorted(a, b) == sorted(one, two))
}

#[test]
fn every_pair_of_options_meets_in_a_scenario() {
    let met = met();
    let names: Vec<Name> = OPTIONS.iter().map(|(name, _)| *name).collect();
    let submitted = REFUSED.iter().filter_map(|(one, two, _)| Some((one, two, met.in_one.get(&sorted(one, two))?)));
    assert_eq!(submitted.collect::<Vec<_>>(), [], "nobody could submit that");
    let mut missing = Vec::new();
    for (n, &one) in names.iter().enumerate() {
        for &two in &names[n..] {
            if one != two && !is_refused(one, two) && !met.in_one.contains_key(&sorted(one, two)) {
                missing.push(format!("{one} and {two} in one unit"));
            }
            if !met.between.contains_key(&sorted(one, two)) {
                missing.push(format!("{one} of a unit and {two} of another"));
            }
        }
        for event in EVENTS {
            let never = NEVER.iter().any(|(option, other, _)| (*option, *other) == (one, event));
            if !never && !met.with.contains_key(&(one, event)) {
                missing.push(format!("{one} and {event}"));
            }
        }
    }
    assert!(missing.is_empty(), "no scenario has {} of them:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn pairs_that_never_meet_are_refused_at_submit() {
    let refused = |chosen: &[Name]| {
        let line = |name: &Name| {
            let (_, value) = OPTIONS.iter().find(|(known, _)| known == name).expect("an option");
            format!("{}={value}\n", name.split(',').next().unwrap())
        };
        let lines: String = chosen.iter().map(line).collect();
        let name = unit("one.service");
        let file = UnitFile::parse(&format!("[X-Fleet]\n{lines}")).unwrap();
        Requirements::parse(&file, &name).unwrap().validate_for(&name).err().map(|error| error.to_string())
    };
    for (n, (one, _)) in OPTIONS.iter().enumerate() {
        assert_eq!(refused(&[*one]), None, "{one} alone");
        for (two, _) in &OPTIONS[n + 1..] {
            let listed = REFUSED.iter().find(|(a, b, _)| sorted(a, b) == sorted(one, two));
            let words = listed.map(|(_, _, words)| (*words).to_owned());
            assert_eq!(refused(&[*one, *two]), words, "{one} and {two}");
        }
    }
}
