//! The leader's machine loses its power, and its units come to run elsewhere.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

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
    let (mut took, mut taken_over, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..extent.rounds() {
        let loss = lose(scene)?;
        took.push(loss.last);
        taken_over.push(loss.first - loss.lease);
        moved.push(loss.units);
    }
    let (took, taken_over): (Sample, Sample) = (took.into_iter().collect(), taken_over.into_iter().collect());
    let row = Row::absolute(
        RowName::LeaderLost,
        "leader's machine lost, until its units run elsewhere",
        took.median(),
        "s",
        LEASE + 1.0,
    )
    .with_floor(LEASE)
    .with_detail(format!("{moved:?} units moved; slowest {:.2} s; the floor is the lease", took.max()));
    let over = Row::absolute(
        RowName::TakeOver,
        "leader's lease ended, until the first of its units runs elsewhere",
        taken_over.median(),
        "s",
        2.0,
    )
    .with_detail(format!("slowest {:.2} s", taken_over.max()));
    Ok(vec![row, over])
}

/// What the loss of a leader's machine came to, in seconds since.
struct Loss {
    /// Its lease was seen to have ended.
    lease: f64,
    /// The first of its units ran elsewhere.
    first: f64,
    /// The last of them did.
    last: f64,
    /// How many there were.
    units: usize,
}

fn lose(scene: &Scene) -> Result<Loss> {
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
    let began: Sample = units.iter().map(|unit| millis_between(begin, running[*unit].1) / 1e3).collect();
    let lease = lease_ended(scene, begin)?;
    scene.node(leader).boot()?;
    scene.wait_present()?;
    Ok(Loss { lease, first: began.min(), last: began.max(), units: units.len() })
}

/// When the first machine said that nobody leads: its watch tells it as soon as the key is gone. In seconds since.
fn lease_ended(scene: &Scene, begin: Duration) -> Result<f64> {
    let mut ended = Vec::new();
    for node in scene.cluster.nodes().filter(|node| node.leader().is_some()) {
        let command = ["journalctl", "--unit=fleet.service", "--output=json", "--output-fields=MESSAGE", "--no-pager"];
        let grep = ["--grep=nobody leads the cluster"];
        let told = node.exec(command.into_iter().chain(grep))?;
        // Without a match it ends with 1.
        for line in told.stdout.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).context("cannot read the journal")?;
            let micros = entry["__MONOTONIC_TIMESTAMP"].as_str().context("an entry without its time")?.parse()?;
            let after = millis_between(begin, Duration::from_micros(micros)) / 1e3;
            ended.extend((after > 0.0).then_some(after));
        }
    }
    let ended: Sample = ended.into_iter().collect();
    ensure!(ended.min().is_finite(), "no machine has said that nobody leads");
    Ok(ended.min())
}
