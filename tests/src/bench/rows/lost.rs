//! The leader's machine loses its power, and its units come to run elsewhere.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::bench::inside::{millis_between, now};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::{Extent, UNITS};
use crate::lab::poll;

/// The lease of the cluster.
const LEASE: f64 = 10.0;

/// Far past the promise.
const LIMIT: Duration = Duration::from_secs(60);

/// From the loss until the last of its units has a process elsewhere.
pub(crate) fn leader_lost(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    scene.have_units(UNITS)?;
    let (mut took, mut moved) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds() {
        let (seconds, units) = lose(scene)?;
        took.push(seconds);
        moved.push(units);
    }
    let took: Sample = took.into_iter().collect();
    let row = Row::absolute(
        RowName::LeaderLost,
        "leader's machine lost, until its units run elsewhere",
        took.median(),
        "s",
        LEASE + 1.0,
    )
    .with_floor(LEASE)
    .with_detail(format!("{moved:?} units moved; slowest {:.2} s; the floor is the lease", took.max()))
    .only_printed();
    Ok(vec![row])
}

fn lose(scene: &Scene) -> Result<(f64, usize)> {
    // For a whole lease an engine that is new, or was cut off, has no evidence that an absence is not its own.
    thread::sleep(Duration::from_secs_f64(LEASE));
    let leader = scene.roles()?.leader(&scene.cluster)?;
    let here = scene.running()?;
    let units: Vec<&String> = here.iter().filter(|(_, (node, _))| *node == leader).map(|(unit, _)| unit).collect();
    ensure!(!units.is_empty(), "the leader's machine runs no units");
    let begin = now()?;
    scene.node(leader).power_off_hard()?;
    let running = poll(LIMIT, || {
        let running = scene.running().map_err(|e| format!("{e:#}"))?;
        match units.iter().filter(|unit| !running.contains_key(**unit)).count() {
            0 => Ok(running),
            left => Err(format!("{left} of {} units do not run elsewhere", units.len())),
        }
    })
    .map_err(|reason| anyhow!(reason))?;
    let last = units.iter().map(|unit| millis_between(begin, running[*unit].1)).collect::<Sample>().max();
    scene.node(leader).boot()?;
    scene.wait_present()?;
    Ok((last / 1e3, units.len()))
}
