//! A few broken units among many: the others start as fast as without them.

use anyhow::Result;

use crate::bench::row::{Row, RowName};
use crate::bench::scene::Scene;
use crate::bench::suite::Extent;
use crate::bench::units::{self, FLOOR};

use super::many::{MANY, fleet_beside};

/// What systemd refuses, what hangs in its start, and what flaps a hundred times a second.
const BROKEN: [(&str, &str); 3] = [
    ("refused", "[Service]\nExecStart=not/absolute\n"),
    ("hanging", "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/usr/bin/sleep infinity\n"),
    ("flapping", FLAPPING),
];

const FLAPPING: &str =
    "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestart=always\nRestartSec=10ms\nExecStart=/bin/false\n";

/// 1,000 units on one machine, with and without one of each kind before them. What a unit that flaps costs systemd itself
/// is in both: without it, one of systemd's own flaps there.
pub(crate) fn head_of_line(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    let mut pairs = Vec::new();
    for round in 0..extent.rounds() {
        let (console, target) = scene.agents_only()?;
        // In turn, so that neither is always the one that finds the machine warm.
        let (with, without) = match round % 2 {
            0 => {
                let without = without_broken(scene, console, target)?;
                (with_broken(scene, console, target)?, without)
            }
            _ => (with_broken(scene, console, target)?, without_broken(scene, console, target)?),
        };
        pairs.push((with, without));
    }
    scene.clear()?;
    let title = "1,000 new units, of which one is refused, one hangs, and one flaps, until all others run";
    Ok(vec![Row::pairs(RowName::HeadOfLine, title, &pairs, 1.1)])
}

fn with_broken(scene: &mut Scene, console: u8, target: u8) -> Result<f64> {
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
    fleet_beside(scene, console, MANY - BROKEN.len(), target, &broken)
}

fn without_broken(scene: &mut Scene, console: u8, target: u8) -> Result<f64> {
    scene.clear()?;
    let name = format!("{FLOOR}-flapping.service");
    let node = scene.node(target);
    units::write_systemd(node, &name, FLAPPING)?;
    node.exec(["systemctl", "start", "--no-block", &name])?.ok()?;
    fleet_beside(scene, console, MANY - BROKEN.len(), target, &[])
}
