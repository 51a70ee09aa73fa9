//! The scheduler alone, on clusters that are made up: what placing takes from nothing, and after a change.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fleet_engine::placement::{Cluster, MachineFacts, Outcome, Presence};
use fleet_units::MachineId;

use crate::bench::one_core::{cpu_millis, on_one_core};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::suite::Extent;
use crate::synthetic::{Shape, Synthetic, Unit};

/// What the promises are made for.
const MACHINES: usize = 10_000;
const UNITS: usize = 100_000;

/// Units of a machine that is lost with more than its share.
const FULL: usize = 1_000;

/// From nothing: the cluster is told of every machine and unit, decides, reports, and plans every schedule.
pub(crate) fn place(extent: Extent) -> Result<Vec<Row>> {
    let (plain, spread) = (Shape::plain(MACHINES, UNITS), Shape::spread(MACHINES, UNITS));
    let place = |name, title, shape, limit| from_nothing(extent, &Synthetic::new(shape), name, title, limit);
    on_one_core(|| {
        Ok(vec![
            place(RowName::Place, "100,000 units placed on 10,000 machines", plain, 300.0)?,
            place(RowName::PlaceSpread, "the same, spread over zones, with conflicts", spread, 500.0)?,
        ])
    })
}

fn from_nothing(extent: Extent, cluster: &Synthetic, name: RowName, title: &str, limit: f64) -> Result<Row> {
    let (mut totals, mut passes, mut plans) = (Vec::new(), Vec::new(), Vec::new());
    let mut placed = 0;
    for _ in 0..2 * extent.rounds() {
        let (told, mut state) = cpu_millis(|| cluster.told())?;
        let (passed, decisions) = cpu_millis(|| state.pass())?;
        let (planned, _) = cpu_millis(|| state.take_plan())?;
        placed = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Placed { .. })).count();
        totals.push(told + passed + planned);
        passes.push(passed);
        plans.push(planned);
    }
    let sample = |times: Vec<f64>| times.into_iter().collect::<Sample>();
    let (totals, passes, plans) = (sample(totals), sample(passes), sample(plans));
    // The work is the same in every round: what one takes longer than another is the host's.
    Ok(Row::absolute(name, title, totals.min(), "ms", limit).with_detail(format!(
        "{placed} of {} placed; the best of {} rounds, the median is {:.0} ms; deciding and reporting {:.0} ms, planning \
         schedules {:.0} ms, the rest is taking in machines and units",
        cluster.units.len(),
        2 * extent.rounds(),
        totals.median(),
        passes.min(),
        plans.min()
    )))
}

/// A cluster at rest, with spread and conflicts.
fn at_rest() -> (Synthetic, Cluster) {
    let cluster = Synthetic::new(Shape::spread(MACHINES, UNITS));
    let mut state = cluster.told();
    settle(&mut state);
    (cluster, state)
}

fn settle(state: &mut Cluster) {
    while state.is_dirty() {
        state.pass();
    }
    state.take_plan();
}

/// Nothing changed, and one unit more.
pub(crate) fn change(extent: Extent) -> Result<Vec<Row>> {
    on_one_core(|| {
        let (cluster, mut state) = at_rest();
        // All that is known is told once more.
        let (again, decisions) = cpu_millis(|| {
            for facts in &cluster.machines {
                state.set_machine(facts.clone());
            }
            for unit in &cluster.units {
                state.set_unit(&unit.name, unit.spec.clone());
            }
            state.pass().len() + state.take_plan().len()
        })?;
        let (rest, _) = cpu_millis(|| state.pass())?;
        let nothing = Row::absolute(RowName::PlaceNothing, "decisions when nothing changed", decisions as f64, "", 0.0)
            .with_detail(format!(
                "all machines and units were told again ({again:.0} ms to compare them), and nothing was to be decided \
                 ({:.2} µs)",
                rest * 1e3
            ));
        let options = "Memory=512M\nCPU=25%\nSpreadBy=zone\nConflicts=%p@*.service\n".into();
        let mut times = Vec::new();
        for n in 0..extent.repetitions() * 40 {
            let unit = Unit::new(&format!("new{}@{n}.service", n % 7), &options, i64::MAX);
            let (took, decisions) = cpu_millis(|| {
                state.set_unit(&unit.name, unit.spec);
                let decisions = state.pass();
                let plans = state.take_plan();
                (decisions, plans)
            })?;
            let placed = matches!(decisions.0[..], [ref one] if matches!(one.outcome, Outcome::Placed { .. }));
            ensure!(placed && decisions.1.len() == 1, "one new unit is one decision: {:?}", decisions.0);
            times.push(took * 1e3);
        }
        let times: Sample = times.into_iter().collect();
        let one = Row::absolute(RowName::PlaceOne, "one new unit there, report included, p99", times.p99(), "µs", 50.0)
            .with_detail(format!("median {:.1} µs, slowest {:.1} µs", times.median(), times.max()));
        Ok(vec![nothing, one])
    })
}

/// A machine that is lost, one with more units than its share, and a rack.
pub(crate) fn loss(extent: Extent) -> Result<Vec<Row>> {
    on_one_core(|| {
        let (cluster, mut state) = at_rest();
        let mut times = Vec::new();
        for facts in cluster.machines.iter().step_by(97).take(extent.repetitions()) {
            times.push(lose(&mut state, [facts])?.0);
        }
        let times: Sample = times.into_iter().collect();
        let one = Row::absolute(RowName::MachineGone, "one machine of 10,000 lost", times.median(), "ms", 1.0)
            .with_detail(format!("slowest {:.2} ms", times.max()));
        let (full, plenty) = full_machine(&mut state);
        let (took, moved) = best_loss(extent, &state, &[&full])?;
        ensure!(moved >= plenty, "{moved} of {plenty} units moved");
        let full = Row::absolute(RowName::FullMachineGone, "one with 1,000 units lost", took, "ms", 10.0)
            .with_detail(format!("{moved} units have another machine"));
        let rack: Vec<_> = cluster.machines.iter().filter(|facts| facts.metadata["rack"] == "r7").collect();
        let (took, moved) = best_loss(extent, &state, &rack)?;
        let rack = Row::absolute(RowName::RackGone, "a rack of 400 machines lost", took, "ms", 50.0)
            .with_detail(format!("{moved} units have another machine"));
        Ok(vec![one, full, rack])
    })
}

/// The best of several rounds that each lose the same machines of the same cluster.
fn best_loss(extent: Extent, state: &Cluster, lost: &[&MachineFacts]) -> Result<(f64, usize)> {
    let mut best = (f64::INFINITY, 0);
    for _ in 0..extent.rounds() {
        let (took, moved) = lose(&mut state.clone(), lost.iter().copied())?;
        best = (best.0.min(took), moved);
    }
    Ok(best)
}

/// Why a unit is nowhere, machine by machine.
pub(crate) fn explain(extent: Extent) -> Result<Vec<Row>> {
    on_one_core(|| {
        let (_, mut state) = at_rest();
        let options = "MachineMetadata=\"zone=z1\" \"disk=ssd\"\nMemory=1T\nCPU=25%\n".into();
        let unit = Unit::new("too-large.service", &options, i64::MAX);
        state.set_unit(&unit.name, unit.spec);
        settle(&mut state);
        let mut times = Vec::new();
        let mut rejecting = 0;
        for _ in 0..extent.repetitions() {
            let (took, explanation) = cpu_millis(|| state.explain(&unit.name))?;
            let explanation = explanation.context("the unit is not known")?;
            rejecting = explanation.rejecting().iter().map(|alike| alike.machines.len()).sum();
            times.push(took);
        }
        ensure!(rejecting == MACHINES, "{rejecting} of {MACHINES} machines reject it");
        let times: Sample = times.into_iter().collect();
        let row = Row::absolute(RowName::Explain, "explain of a unit that is nowhere, p99", times.p99(), "ms", 20.0);
        Ok(vec![row.with_detail(format!("median {:.1} ms; the engine alone", times.median()))])
    })
}

/// Loses machines; answers milliseconds, and how many units got another.
fn lose<'a>(state: &mut Cluster, lost: impl IntoIterator<Item = &'a MachineFacts>) -> Result<(f64, usize)> {
    let lost: Vec<MachineFacts> =
        lost.into_iter().map(|facts| MachineFacts { presence: Presence::Gone, ..facts.clone() }).collect();
    let (took, (decisions, _)) = cpu_millis(|| {
        for facts in lost {
            state.set_machine(facts);
        }
        (state.pass(), state.take_plan())
    })?;
    let moved = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Placed { .. })).count();
    Ok((took, moved))
}

/// A machine that is found with as many units as a large one may have.
fn full_machine(state: &mut Cluster) -> (MachineFacts, usize) {
    let id = MachineId::parse("full").expect("letters are an id");
    let metadata = BTreeMap::from([("zone".to_owned(), "z0".to_owned())]);
    let facts = MachineFacts { metadata, ..MachineFacts::new(id.clone()) };
    state.set_machine(facts.clone());
    let options = "Memory=16M\nCPU=1%\n".into();
    let units = (0..FULL).map(|n| Unit::new(&format!("small{}@{n}.service", n % 20), &options, i64::MAX));
    let units: Vec<Unit> = units.collect();
    for unit in &units {
        state.set_unit(&unit.name, unit.spec.clone());
    }
    state.set_schedule(&id, units.iter().map(|unit| &unit.name), std::iter::empty());
    settle(state);
    (facts, units.len())
}
