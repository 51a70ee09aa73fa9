//! A cluster at rest, and a look at it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::inside::{Lap, now};
use crate::bench::metrics::Requests;
use crate::bench::process::{Memory, Process};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::scene::Scene;
use crate::bench::suite::{Extent, UNITS};

/// After this nothing of a start goes on any more.
pub(super) const CALM: Duration = Duration::from_secs(5);

/// Keep-alives are owed each third of this.
const LEASE: f64 = 10.0;

/// Requests to etcd, CPU time of every fleetd, and memory of one that is only an agent, with 200 units that run.
pub(crate) fn rest(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    scene.have_units(UNITS)?;
    thread::sleep(CALM);
    let etcd = scene.cluster.etcd().context("there is no etcd")?;
    let lab = scene.cluster.lab();
    let (begin, requests, used) = (now()?, Requests::now(lab, etcd)?, cpu_times(scene)?);
    thread::sleep(extent.rest());
    let (end, requests_after, used_after) = (now()?, Requests::now(lab, etcd)?, cpu_times(scene)?);
    let span = end.saturating_sub(begin);
    let (console, quiet) = scene.agents_only()?;
    let memory = Process::fleetd(scene.node(quiet))?.memory()?;

    let machines = scene.cluster.nodes().count() as f64;
    let methods = requests_after.since(&requests, span);
    let requests = Row::absolute(
        RowName::RestRequests,
        "requests to etcd at rest, 200 units, 5 machines",
        methods.values().sum(),
        "/s",
        0.3 * machines + 0.5,
    )
    .with_floor(machines * 3.0 / LEASE)
    .with_detail(methods.iter().map(|(method, rate)| format!("{method} {rate:.2}")).collect::<Vec<_>>().join(", "));

    let cpu: BTreeMap<u8, f64> = used
        .iter()
        .map(|(&node, &before)| (node, used_after[&node].saturating_sub(before)))
        .map(per_second(span))
        .collect();
    let names = scene.roles()?.names(&scene.cluster);
    let mut detail = String::new();
    for (node, load) in &cpu {
        let asked = if *node == console { ", asked by people" } else { "" };
        let _ = write!(detail, "{}{load:.2} ({}{asked})", if detail.is_empty() { "" } else { ", " }, names[node]);
    }
    let most = cpu.values().copied().collect::<Sample>().max();
    let cpu = Row::absolute(RowName::RestCpu, "CPU of the busiest fleetd at rest", most, "ms/s", 0.5)
        .with_floor(0.0)
        .with_detail(detail);
    Ok(vec![requests, cpu, agent_memory(memory)])
}

fn per_second(span: Duration) -> impl Fn((u8, Duration)) -> (u8, f64) {
    move |(node, used)| (node, used.as_secs_f64() * 1e3 / span.as_secs_f64())
}

fn cpu_times(scene: &Scene) -> Result<BTreeMap<u8, Duration>> {
    scene.cluster.nodes().map(|node| Ok((node.number(), Process::fleetd(node)?.cpu_time()?))).collect()
}

/// The row shows the one of the two bounds that is nearer to being missed.
fn agent_memory(memory: Memory) -> Row {
    let name = RowName::MemoryAgent;
    let anonymous =
        Row::absolute(name, "memory of a fleetd that is only an agent, anonymous", memory.anonymous, "MB", 8.0);
    let resident =
        Row::absolute(name, "memory of a fleetd that is only an agent, resident", memory.resident, "MB", 16.0);
    let nearer = if memory.resident / 16.0 > memory.anonymous / 8.0 { resident } else { anonymous };
    nearer.with_detail(format!("{:.1} MB anonymous (≤ 8), {:.1} MB resident (≤ 16)", memory.anonymous, memory.resident))
}

/// `fleetctl list-units`, the whole command, beside `systemctl list-units` of one machine's own.
pub(crate) fn list_units(scene: &mut Scene, extent: Extent) -> Result<Vec<Row>> {
    scene.have_units(UNITS)?;
    let console = scene.console()?;
    let laps = Lap::repeat(console, extent.repetitions(), ["fleetctl", "list-units", "--no-legend"])?;
    for lap in &laps {
        let listed = lap.stdout.lines().count();
        ensure!(listed == UNITS, "list-units lists {listed} units, not {UNITS}");
    }
    let floors = Lap::repeat(console, extent.repetitions(), ["systemctl", "list-units", "--no-legend", "--no-pager"])?;
    let median = |laps: &[Lap]| laps.iter().map(Lap::millis).collect::<Sample>().median();
    let p95 = laps.iter().map(Lap::millis).collect::<Sample>().p95();
    let row =
        Row::absolute(RowName::ListUnits, "list-units with 200 units, the whole command", median(&laps), "ms", 10.0)
            .with_floor(median(&floors))
            .with_detail(format!(
                "{} runs; p95 {p95:.1} ms; the floor is systemctl list-units on one machine",
                laps.len()
            ));
    Ok(vec![row])
}
