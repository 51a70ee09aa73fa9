//! A few broken units among many: the others start as fast as without them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::inside::now;
use crate::bench::metrics::Requests;
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::Extent;
use crate::bench::units::{self, FLOOR};

use super::many::{MANY, fleet_beside};
use super::rest::CALM;

/// What systemd refuses, what hangs in its start, and what flaps a hundred times a second.
const BROKEN: [(&str, &str); 3] = [
    ("refused", "[Service]\nExecStart=not/absolute\n"),
    ("hanging", "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/usr/bin/sleep infinity\n"),
    ("flapping", FLAPPING),
];

const FLAPPING: &str =
    "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestart=always\nRestartSec=10ms\nExecStart=/bin/false\n";

/// On a busy host there are fewer rounds, but more than so many, so that the whole table stays under ten minutes.
const BUDGET: Duration = Duration::from_secs(120);
const ENOUGH: usize = 2;

/// What a unit's start may cost the registry, in writes, whatever is broken beside it. How many states are written together
/// depends on how busy the host is.
const WRITES_OF_ONE: f64 = 2.0;

/// What a unit that flaps may cost the registry, in writes a second: two, and what else happens to be written meanwhile.
const FLAPPING_WRITES: f64 = 2.5;

/// 1,000 units on one machine, with and without one of each kind before them. What a unit that flaps costs systemd itself
/// is in both: without it, one of systemd's own flaps there.
pub(crate) fn head_of_line(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    let (mut times, mut writes) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for round in 0..extent.close_rounds() {
        // Which leaves an odd number of them done.
        if round > ENOUGH && round % 2 == 1 && begun.elapsed() > BUDGET {
            break;
        }
        let (console, target) = scene.agents_only()?;
        // In turn, so that neither is always the one that finds the machine warm. The last one has the broken units.
        let (with, without) = match round % 2 {
            0 => {
                let without = without_broken(scene, console, target)?;
                (with_broken(scene, console, target)?, without)
            }
            _ => (with_broken(scene, console, target)?, without_broken(scene, console, target)?),
        };
        times.push((with.millis, without.millis));
        writes.push((with.writes, without.writes));
    }
    thread::sleep(CALM);
    let flapping = writes_a_second(scene, extent.flapping())?;
    scene.clear()?;

    let title = "1,000 new units, of which one is refused, one hangs, and one flaps, until all others run";
    let line = Row::pairs(RowName::HeadOfLine, title, &times, 1.1);
    // Single pairs differ by a quarter on a busy host.
    let line = if extent == Extent::Quick { line.only_printed() } else { line };
    let ratios: Vec<String> = times.iter().map(|(with, without)| format!("{:.2}", with / without)).collect();
    let detail = format!("{}; ratios in their order: {}", line.detail, ratios.join(" "));
    let median = |of: fn(&(f64, f64)) -> f64| writes.iter().map(of).collect::<Sample>().median();
    let title = "writes to etcd until those run, beside those without the broken ones";
    let most = WRITES_OF_ONE * MANY as f64;
    let written =
        Row::absolute(RowName::HeadOfLineWrites, title, median(|w| w.0), "", most).with_floor(median(|w| w.1));
    let title = "writes to etcd while one of 1,000 units flaps, and one hangs in its start";
    let flapping = Row::absolute(RowName::FlappingWrites, title, flapping, "/s", FLAPPING_WRITES);
    Ok(vec![line.with_detail(detail), written, flapping])
}

/// One start of many.
struct Run {
    /// Until the last one ran.
    millis: f64,
    /// To the registry, until then.
    writes: f64,
}

fn with_broken(scene: &mut Scene, console: u8, target: u8) -> Result<Run> {
    scene.clear()?;
    let machine = scene.node(target).machine_id();
    let batch = scene.new_batch();
    let mut broken = Vec::new();
    for (kind, text) in BROKEN {
        // Names that come first, and are handled first where anything is handled in order.
        let name = format!("a-{kind}-{batch}.service");
        let text = format!("{text}\n[X-Fleet]\nMachineID={machine}\n");
        broken.push(units::write_home(scene.node(console), &name, &text)?);
    }
    run(scene, console, target, &broken)
}

fn without_broken(scene: &mut Scene, console: u8, target: u8) -> Result<Run> {
    scene.clear()?;
    let name = format!("{FLOOR}-flapping.service");
    let node = scene.node(target);
    units::write_systemd(node, &name, FLAPPING)?;
    node.exec(["systemctl", "start", "--no-block", &name])?.ok()?;
    run(scene, console, target, &[])
}

fn run(scene: &mut Scene, console: u8, target: u8, broken: &[String]) -> Result<Run> {
    scene.settle();
    let before = requests(scene)?;
    let millis = fleet_beside(scene, console, MANY - BROKEN.len(), target, broken)?;
    scene.settle();
    Ok(Run { millis, writes: requests(scene)?.writes_since(&before) })
}

fn writes_a_second(scene: &Scene, span: Duration) -> Result<f64> {
    let (begin, before) = (now()?, requests(scene)?);
    thread::sleep(span);
    let (end, after) = (now()?, requests(scene)?);
    Ok(after.writes_since(&before) / end.saturating_sub(begin).as_secs_f64())
}

fn requests(scene: &Scene) -> Result<Requests> {
    Requests::now(scene.cluster.lab(), scene.cluster.etcd().context("there is no etcd")?)
}
