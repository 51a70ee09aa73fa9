//! Scenarios in `tests/golden/`: commands, and after each `plan` what was decided and what is written, with reasons.
//!
//! | command | does |
//! |---|---|
//! | `machine ID [key=value…] [registry] [host:NAME] [memory:4G] [cpu:200%]` | a machine comes |
//! | `capacity ID [memory:4G] [cpu:200%]` | it has more or less for units than before |
//! | `metadata ID [key=value…]`, `cordon`, `uncordon`, `drain`, `undrain ID…` | an operator says something of it |
//! | `hold ID…`, `lose ID…`, `return ID…`, `caught-up ID…`, `forget ID…` | it is absent, lost, back, … |
//! | `unit NAME [option; option…]` | a unit is submitted, or its text changed |
//! | `start`, `load`, `stop`, `destroy NAME…` | people want it to run, or not |
//! | `fail`, `forgive NAME…` | systemd gave up on it where it is, and it is to leave; that is forgotten |
//! | `active`, `broken`, `quiet NAME…` | it is active where it is listed; systemd gave it up there; neither is said |
//! | `found NAME [ID…]` | these machines hold it without having been given it |
//! | `ack ID…` | a machine acknowledges what was written for it |
//! | `ack-but ID NAME…` | the same, but it is still stopping these |
//! | `plan` | decide and write; the lines after it that begin with `>` are what comes of it |
//! | `explain NAME` | every machine's verdict |
//! | `leave NAME ID`, `settle NAME` | somebody asks it to leave that machine; that is over |
//! | `rebalance [N]` | the moves, N at most, that even out the load |
//! | `what-if start NAME…`, `lose`, `drain ID…`, `metadata ID key=value…` | what would come of it |
//!
//! `UPDATE_GOLDEN=1` rewrites what follows `plan`, `explain` and `what-if`; look at the difference before committing it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use fleet_engine::placement::{Activity, Capacity, MachineFacts, Presence};
use fleet_registry::record::{Assignment, Target};
use fleet_units::{DesiredState, UnitName, parse_bytes, parse_cpu};

use crate::advice;
use crate::model::{Model, machine, unit};

/// What no scenario may have.
const BROKEN: &str = "> BROKEN: ";

fn play(script: &str) -> String {
    let mut model = Model::default();
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        let _ = writeln!(out, "{line}");
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        model.next_revision();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "plan" => plan(&mut model, &mut out),
            "explain" => explain(&model, rest, &mut out),
            "rebalance" => advice::rebalance(&model, rest, &mut out),
            "what-if" => advice::what_if(&model, rest, &mut out),
            "unit" => {
                let (name, options) = rest.split_once(' ').unwrap_or((rest, ""));
                model.submit(&unit(name), options);
            }
            _ => rest_of(&mut model, command, rest),
        }
    }
    out
}

fn rest_of(model: &mut Model, command: &str, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match command {
        "machine" | "metadata" => {
            let id = machine(words[0]);
            let mut facts = model.machines.get(&id).cloned().unwrap_or_else(|| MachineFacts::new(id));
            facts.metadata.clear();
            for word in &words[1..] {
                match word.split_once('=') {
                    Some((key, value)) => drop(facts.metadata.insert(key.to_owned(), value.to_owned())),
                    None if *word == "registry" => facts.carries_registry = true,
                    None => describe(&mut facts, word),
                }
            }
            model.set_machine(facts);
        }
        "leave" => model.cluster.set_avoided(&unit(words[0]), Some(machine(words[1]))),
        "settle" => model.cluster.set_avoided(&unit(words[0]), None),
        "capacity" => model.change_machine(&machine(words[0]), |facts| {
            facts.capacity = Capacity::default();
            words[1..].iter().for_each(|word| describe(facts, word));
        }),
        "found" => model.find(&unit(words[0]), words[1..].iter().map(|id| machine(id)).collect()),
        "ack-but" => model.acknowledge(&machine(words[0]), &words[1..].iter().map(|name| unit(name)).collect()),
        _ => words.iter().for_each(|word| each(model, command, word)),
    }
}

/// `host:NAME`, `memory:4G`, `cpu:200%`.
fn describe(facts: &mut MachineFacts, word: &str) {
    match word.split_once(':') {
        Some(("host", name)) => facts.hostname = name.to_owned(),
        Some(("memory", size)) => facts.capacity.memory = Some(parse_bytes(size).expect(word)),
        Some(("cpu", share)) => facts.capacity.cpu_millis = Some(parse_cpu(share).expect(word)),
        _ => panic!("what is {word}?"),
    }
}

fn each(model: &mut Model, command: &str, word: &str) {
    let id = || machine(word);
    match command {
        "cordon" => model.change_machine(&id(), |facts| facts.cordoned = true),
        "uncordon" => model.change_machine(&id(), |facts| facts.cordoned = false),
        "drain" => model.change_machine(&id(), |facts| facts.draining = true),
        "undrain" => model.change_machine(&id(), |facts| facts.draining = false),
        "hold" => model.change_machine(&id(), |facts| facts.presence = Presence::Held),
        "lose" => model.change_machine(&id(), |facts| facts.presence = Presence::Gone),
        "return" => model.change_machine(&id(), |facts| {
            (facts.presence, facts.catching_up) = (Presence::Present, true);
        }),
        "caught-up" => model.change_machine(&id(), |facts| facts.catching_up = false),
        "forget" => model.forget_machine(&id()),
        "ack" => model.acknowledge(&id(), &BTreeSet::new()),
        "start" => model.desire(&unit(word), DesiredState::Launched),
        "load" => model.desire(&unit(word), DesiredState::Loaded),
        "stop" => model.desire(&unit(word), DesiredState::Inactive),
        "destroy" => model.destroy(&unit(word)),
        "active" => model.say(&unit(word), Some(Activity::Active)),
        "broken" => model.say(&unit(word), Some(Activity::Failed)),
        "quiet" => model.say(&unit(word), None),
        "fail" => model.fail(&unit(word)),
        "forgive" => model.forgive(&unit(word)),
        other => panic!("no such command: {other}"),
    }
}

fn plan(model: &mut Model, out: &mut String) {
    let (decisions, plans) = model.plan();
    for decision in &decisions {
        let _ = writeln!(out, "> {decision}");
    }
    for plan in &plans {
        let word = |(name, given): (&UnitName, &Assignment)| match given.target {
            Target::Launched => name.to_string(),
            Target::Loaded => format!("{name} (loaded)"),
        };
        let units: Vec<String> = plan.units.iter().map(word).collect();
        let units = if units.is_empty() { "nothing".to_owned() } else { units.join(" ") };
        let leaving: Vec<&str> = plan.leaving.keys().map(|name| name.as_str()).collect();
        let leaving = if leaving.is_empty() { String::new() } else { format!(", leaving {}", leaving.join(" ")) };
        let absent: Vec<&str> = plan.relies_on_loss.iter().map(|id| id.as_str()).collect();
        let absent = if absent.is_empty() { String::new() } else { format!(", while {} is absent", absent.join(" ")) };
        let _ = writeln!(out, "> = {}: {units}{leaving}{absent}", plan.id);
    }
    if decisions.is_empty() && plans.is_empty() {
        let _ = writeln!(out, "> nothing to do");
    }
    let broken = [model.violations(), model.missed(), model.disordered(), model.outranked(), model.misplaced()];
    for rule in broken.iter().flatten() {
        let _ = writeln!(out, "{BROKEN}{rule}");
    }
}

fn explain(model: &Model, name: &str, out: &mut String) {
    let Some(explanation) = model.cluster.clone().explain(&unit(name)) else {
        let _ = writeln!(out, "> no such unit");
        return;
    };
    let _ = writeln!(out, "> {}", explanation.reason());
    if let Some((id, why)) = &explanation.anew {
        let _ = writeln!(out, "> placed anew: on {id}: {why}");
    }
    for found in &explanation.verdicts {
        let here = if explanation.places.contains(&found.machine) { "has it" } else { "could take it" };
        let verdict = found.rejection.as_ref().map_or_else(|| here.to_owned(), ToString::to_string);
        let member = found.member.as_ref().map_or_else(String::new, |member| format!(" (for {member})"));
        let _ = writeln!(out, "> - {} ({}): {verdict}{member}", found.machine, found.load);
    }
    for alike in explanation.rejecting() {
        let _ = writeln!(out, "> {} {}", alike.machines.len(), alike.reason());
    }
    if let Some(remedy) = &explanation.remedy {
        let _ = writeln!(out, "> smallest change: {remedy}");
    }
    // Whoever knows the records alone answers the same.
    let (told, _) = model.told_anew().cluster.explain_in_place(&unit(name)).expect("it is told of the unit");
    assert_eq!((&told.places, &told.anew), (&explanation.places, &explanation.anew), "after\n{out}");
    assert_eq!(told.verdicts, explanation.verdicts, "after\n{out}");
    assert_eq!(told.circle, explanation.circle, "after\n{out}");
    if !model.cluster.is_dirty() {
        assert_eq!(told.outcome.is_pending(), explanation.outcome.is_pending(), "after\n{out}");
    }
}

#[test]
fn scenarios_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 150, "only {} scenarios in {}", files.len(), folder.display());
    let mut wrong = Vec::new();
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let actual = play(&expected);
        assert_eq!(actual, play(&expected), "{}: the same facts gave different decisions", file.display());
        if actual.contains(BROKEN) {
            wrong.push(format!("--- {} breaks a rule\n{actual}", file.display()));
        }
        if actual != expected {
            if update {
                std::fs::write(&file, &actual).unwrap();
            } else {
                wrong.push(format!("--- {}\n{}", file.display(), difference(&expected, &actual)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 accepts this", wrong.join("\n"));
}

/// The lines that differ.
fn difference(expected: &str, actual: &str) -> String {
    let mut out = String::new();
    let (mut old, mut new) = (expected.lines().peekable(), actual.lines().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return out,
            (Some(a), Some(b)) if a == b => drop((old.next(), new.next())),
            (Some(a), _) if a.starts_with('>') => out += &format!("-{}\n", old.next().unwrap_or_default()),
            (_, Some(_)) => out += &format!("+{}\n", new.next().unwrap_or_default()),
            (Some(_), None) => out += &format!("-{}\n", old.next().unwrap_or_default()),
        }
    }
}
