//! From the start of a daemon's program until systemd has it for ready.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::inside::PROGRAM;
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::{Extent, UNITS};
use crate::bench::units::{self, FLOOR};
use crate::lab::Node;

/// Restarts a fleetd that has units to adopt; the floor is a program that does nothing but say that it is ready.
pub(crate) fn ready(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    scene.have_units(UNITS)?;
    let node = scene.node(scene.agents_only()?.1);
    let adopted = units::running(node, &format!("{}-*", units::FLEET))?;
    let floor = format!("{FLOOR}-ready.service");
    let text = format!("[Service]\nType=notify\nExecStart={PROGRAM} inside ready\n");
    units::write_systemd(node, &floor, &text)?;
    let (mut figures, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..extent.restarts() {
        figures.push(restart(node, "fleet.service")?);
        scene.settle();
        floors.push(restart(node, &floor)?);
        scene.settle();
    }
    node.exec(["systemctl", "stop", &floor])?.ok()?;
    let after = units::running(node, &format!("{}-*", units::FLEET))?;
    anyhow::ensure!(after == adopted, "units of {} were touched while its fleetd was restarted", node.name());
    scene.wait_present()?;
    let (figures, floors): (Sample, Sample) = (figures.into_iter().collect(), floors.into_iter().collect());
    let row = Row::absolute(RowName::Ready, "fleetd from exec to ready", figures.median(), "ms", 30.0)
        .with_floor(floors.median())
        .with_detail(format!("{} units adopted; slowest {:.1} ms", adopted.len(), figures.max()));
    Ok(vec![row])
}

fn restart(node: Node<'_>, unit: &str) -> Result<f64> {
    // systemd would take many restarts in a row for a failure.
    node.exec(["systemctl", "reset-failed", unit])?;
    node.exec(["systemctl", "restart", unit])?.ok()?;
    let begun = timestamp(node, unit, "ExecMainStartTimestampMonotonic")?;
    let ready = timestamp(node, unit, "ActiveEnterTimestampMonotonic")?;
    Ok((ready.as_secs_f64() - begun.as_secs_f64()) * 1e3)
}

fn timestamp(node: Node<'_>, unit: &str, property: &str) -> Result<Duration> {
    let shown = node.exec(["systemctl", "show", "--value", "--property", property, unit])?.ok()?;
    let micros = shown.trim().parse().with_context(|| format!("{property} of {unit} is {shown:?}"))?;
    Ok(Duration::from_micros(micros))
}
