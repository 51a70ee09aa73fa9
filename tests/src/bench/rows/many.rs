//! Many new units in one command, until all run.

use anyhow::{Context, Result, ensure};

use crate::bench::inside::{Lap, millis_between};
use crate::bench::process::Process;
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::{Extent, UNITS};
use crate::bench::units::{self, FLEET, FLOOR};

/// What the leader's memory is promised for.
pub(crate) const MANY: usize = 1000;

/// 200 units on all machines; systemd's own start the same number on one. The last round's units stay.
pub(crate) fn start_200(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    let mut pairs = Vec::new();
    for _ in 0..extent.rounds() {
        scene.clear()?;
        let console = scene.console()?.number();
        let floor = floor(scene, console, UNITS)?;
        scene.clear()?;
        pairs.push((fleet(scene, console, UNITS, None)?, floor));
    }
    Ok(vec![Row::pairs(RowName::Start200, "200 new units on 5 machines, until all run", &pairs, 2.0).only_printed()])
}

/// 1,000 units on one machine, by fleet and by its systemd alone; then what they cost the leader in memory.
pub(crate) fn start_1000(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    let mut pairs = Vec::new();
    let mut reloads = 0;
    for _ in 0..extent.rounds() {
        scene.clear()?;
        let (console, target) = scene.agents_only()?;
        let floor = floor(scene, target, MANY)?;
        scene.clear()?;
        let loaded = last_reload(scene, target)?;
        pairs.push((fleet(scene, console, MANY, Some(target))?, floor));
        reloads += usize::from(last_reload(scene, target)? != loaded);
    }
    let leader = scene.roles()?.leader(&scene.cluster)?;
    let memory = Process::fleetd(scene.node(leader))?.memory()?;
    let many = Row::pairs(RowName::Start1000, "1,000 new units on one machine, until all run", &pairs, 1.2);
    let detail = match reloads {
        0 => format!("{}; no daemon-reload", many.detail),
        some => format!("{}; systemd was RELOADED in {some} of them", many.detail),
    };
    let engine = Row::absolute(
        RowName::MemoryEngine,
        "memory of the leader with 1,000 units, anonymous",
        memory.anonymous,
        "MB",
        25.0,
    )
    .with_detail(format!("{:.1} MB resident", memory.resident));
    Ok(vec![many.with_detail(detail).only_printed(), engine])
}

/// Milliseconds from `fleetctl start` until the last unit's process is there.
fn fleet(scene: &mut Scene, console: u8, count: usize, only_on: Option<u8>) -> Result<f64> {
    start_with(scene, console, count, only_on, &["start"])
}

/// The same for one machine, with files of units beside them that are not waited for.
pub(crate) fn fleet_beside(scene: &mut Scene, console: u8, count: usize, target: u8, files: &[String]) -> Result<f64> {
    let words: Vec<&str> = ["start", "--no-block"].into_iter().chain(files.iter().map(String::as_str)).collect();
    start_with(scene, console, count, Some(target), &words)
}

fn start_with(scene: &mut Scene, console: u8, count: usize, only_on: Option<u8>, words: &[&str]) -> Result<f64> {
    let batch = scene.new_batch();
    let names = units::names(FLEET, &batch, count);
    let console = scene.node(console);
    let mut command: Vec<String> = ["fleetctl"].iter().chain(words).map(|&word| word.to_owned()).collect();
    for name in &names {
        let text = match only_on {
            Some(machine) => units::text_for(name, &scene.node(machine).machine_id()),
            None => units::text(name),
        };
        command.push(units::write_home(console, name, &text)?);
    }
    scene.settle();
    let lap = Lap::of(console, command.iter().map(String::as_str))?;
    if let Some(machine) = only_on {
        scene.wait_groups(machine, &units::beginning(FLEET, &batch), count)?;
    }
    let running = scene.wait_running(&names)?;
    if let Some(machine) = only_on {
        ensure!(names.iter().all(|name| running[name].0 == machine), "not all units run on the machine that they name");
    }
    Ok(names.iter().map(|name| millis_between(lap.begin, running[name].1)).collect::<Sample>().max())
}

/// Milliseconds from `systemctl start` until the last unit's process is there.
fn floor(scene: &mut Scene, machine: u8, count: usize) -> Result<f64> {
    let names = units::names(FLOOR, &scene.new_batch(), count);
    let node = scene.node(machine);
    for name in &names {
        units::write_systemd(node, name, &units::text(name))?;
    }
    scene.settle();
    let lap = Lap::of(node, ["systemctl", "start"].into_iter().chain(names.iter().map(String::as_str)))?;
    let running = units::running(node, &format!("{FLOOR}-*"))?;
    let mut took = Vec::new();
    for name in &names {
        let begun = running.get(name).with_context(|| format!("{name} does not run"))?;
        took.push(millis_between(lap.begin, *begun));
    }
    Ok(took.into_iter().collect::<Sample>().max())
}

/// When a machine's systemd last read all its units anew.
fn last_reload(scene: &Scene, machine: u8) -> Result<String> {
    scene.node(machine).exec(["systemctl", "show", "--property=UnitsLoadTimestampMonotonic"])?.ok()
}
