//! fleetd is killed, and its machine is of full use again.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::bench::inside::{Lap, millis_between, now};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::{Extent, UNITS};
use crate::bench::units::{self, FLEET};

/// Asks until fleetd answers from the registry. The socket is systemd's and stays: who asks too early waits.
const ASK: &str = "until curl --silent --fail --output /dev/null --unix-socket /run/fleet.sock \
    http://localhost/fleet/v2/machines; do :; done";

/// From SIGKILL until fleetd answers, and until a new unit that only this machine may have runs on it. The units that are
/// there must not notice.
pub(crate) fn crash(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    scene.have_units(UNITS)?;
    let number = scene.agents_only()?.1;
    let machine = scene.node(number).machine_id();
    let (mut answers, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..extent.restarts() {
        let name = units::names(FLEET, &scene.new_batch(), 1).remove(0);
        let node = scene.node(number);
        let file = units::write_home(node, &name, &units::text_for(&name, &machine))?;
        let before = units::running(node, &format!("{FLEET}-*"))?;
        scene.settle();
        let begin = now()?;
        node.signal("fleetd", Signal::SIGKILL)?;
        let asked = Lap::of(node, ["sh", "-c", ASK])?;
        Lap::of(node, ["fleetctl", "start", &file])?;
        let mut after = units::running(node, &format!("{FLEET}-*"))?;
        let started = after.remove(&name);
        ensure!(after == before, "units of {} were touched by the crash of its fleetd", node.name());
        let Some(started) = started else { anyhow::bail!("{name} does not run") };
        answers.push(millis_between(begin, asked.end));
        runs.push(millis_between(begin, started));
        Lap::of(node, ["fleetctl", "destroy", &name])?;
    }
    scene.wait_present()?;
    let (answers, runs): (Sample, Sample) = (answers.into_iter().collect(), runs.into_iter().collect());
    let title = "fleetd killed, until a new unit runs on its machine";
    let detail = format!("its API answers after {:.0} ms; slowest {:.0} ms", answers.median(), runs.max());
    Ok(vec![Row::absolute(RowName::Crash, title, runs.median(), "ms", 1_000.0).with_detail(detail)])
}
