//! One new unit: until its process runs, and until the command returns.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::inside::{Lap, millis_between};
use crate::bench::row::{Row, RowName};
use crate::bench::scene::Scene;
use crate::bench::suite::Extent;
use crate::bench::units::{self, FLEET, FLOOR};

/// Starts units in turn with systemctl, `fleetctl start --no-block`, and `fleetctl start`, all on one machine. For fleet
/// the file is on that machine's disk and the process may be on any; systemd's own finds the file in its folder.
///
/// When the processes began is read at the end, so that nothing but the starts themselves goes on between them.
pub(crate) fn start(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    let batch = scene.new_batch();
    let console = scene.console()?;
    let floor_names = units::names(FLOOR, &batch, extent.pairs());
    let fleet_names = units::names(FLEET, &batch, 2 * extent.pairs());
    let (mut floors, mut unblocked, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
    for (floor, pair) in floor_names.iter().zip(fleet_names.chunks_exact(2)) {
        units::write_systemd(console, floor, &units::text(floor))?;
        floors.push(Lap::of(console, ["systemctl", "start", floor])?);
        scene.settle();
        let file = units::write_home(console, &pair[0], &units::text(&pair[0]))?;
        unblocked.push(Lap::of(console, ["fleetctl", "start", "--no-block", &file])?);
        scene.settle();
        let file = units::write_home(console, &pair[1], &units::text(&pair[1]))?;
        blocked.push(Lap::of(console, ["fleetctl", "start", &file])?);
        scene.settle();
    }
    let floor_running = units::running(console, &format!("{FLOOR}-*"))?;
    let fleet_running = scene.wait_running(&fleet_names)?;
    let mut to_process = Vec::new();
    for ((floor, name), (lap, base)) in
        floor_names.iter().zip(fleet_names.iter().step_by(2)).zip(unblocked.iter().zip(&floors))
    {
        let begun = *floor_running.get(floor).with_context(|| format!("{floor} does not run"))?;
        to_process.push((since(lap, fleet_running[name].1), since(base, begun)));
    }
    let to_return: Vec<(f64, f64)> = blocked.iter().map(Lap::millis).zip(floors.iter().map(Lap::millis)).collect();
    let until_running =
        Row::pairs(RowName::StartNoBlock, "start --no-block of a new unit, until its process runs", &to_process, 1.5);
    let until_returned = Row::pairs(RowName::Start, "start of a new unit, until it returns", &to_return, 2.0);
    Ok(vec![until_running, until_returned])
}

fn since(lap: &Lap, process: Duration) -> f64 {
    millis_between(lap.begin, process)
}
