//! The shapes of Kubernetes' scheduler_perf, its required affinity between pods as `Conflicts=` and `MachineOf=`; and how
//! the cost grows with the number of units.

use anyhow::{Result, ensure};
use fleet_engine::placement::{Cluster, Outcome};

use crate::bench::one_core::{cpu_millis, on_one_core};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::suite::Extent;
use crate::synthetic::{Shape, Synthetic, Unit};

const MACHINES: usize = 5_000;

/// What scheduler_perf's own thresholds are, in pods a second, with a real API server and etcd in the process.
const REQUIRED_ANTI_AFFINITY: f64 = 60.0;
const REQUIRED_AFFINITY: f64 = 35.0;

/// 2,000 units of which no two may share a machine, beside 1,000 such units that are there; and 5,000 units that must be
/// where one of 50 others is, which are there too.
pub(crate) fn shapes(extent: Extent) -> Result<Vec<Row>> {
    let alone = "Conflicts=pod@*.service\n".into();
    let pod = |n: usize| Unit::new(&format!("pod@{n}.service"), &alone, 1 + i64::from(n >= 1_000));
    let pods: Vec<Unit> = (0..3_000).map(pod).collect();
    let (there, new) = pods.split_at(1_000);
    let leaders: Vec<Unit> = (0..50).map(|n| Unit::new(&format!("lead{n}.service"), &"".into(), 1)).collect();
    let follower = |n: usize| {
        let beside = format!("MachineOf=lead{}.service\n", n % 50).into();
        Unit::new(&format!("follow@{n}.service"), &beside, 2)
    };
    let followers: Vec<Unit> = (0..5_000).map(follower).collect();
    on_one_core(|| {
        let title = "5,000 machines: Conflicts as anti-affinity";
        let conflicts = rate(extent, there, new)?;
        let conflicts = Row::at_least(RowName::AntiAffinity, title, conflicts, "units/s", 100_000.0)
            .with_floor(REQUIRED_ANTI_AFFINITY)
            .with_detail("the floor is scheduler_perf's threshold for required anti-affinity".to_owned());
        let title = "5,000 machines: MachineOf as affinity";
        let affinity = rate(extent, &leaders, &followers)?;
        let affinity = Row::at_least(RowName::Affinity, title, affinity, "units/s", 100_000.0)
            .with_floor(REQUIRED_AFFINITY)
            .with_detail("the floor is scheduler_perf's threshold for required affinity".to_owned());
        Ok(vec![conflicts, affinity])
    })
}

/// How many new units a second are taken in, placed and planned in a cluster that has others.
fn rate(extent: Extent, there: &[Unit], new: &[Unit]) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..extent.rounds() {
        let empty = Synthetic::new(Shape { constraints: false, ..Shape::plain(MACHINES, 0) });
        let mut state = Synthetic { units: there.to_vec(), ..empty }.told();
        state.pass();
        state.take_plan();
        let (took, placed) = cpu_millis(|| place(&mut state, new))?;
        ensure!(placed == new.len(), "{placed} of {} units are placed", new.len());
        rates.push(new.len() as f64 / took * 1e3);
    }
    Ok(rates.into_iter().collect::<Sample>().median())
}

/// Answers how many were placed.
fn place(state: &mut Cluster, units: &[Unit]) -> usize {
    for unit in units {
        state.set_unit(&unit.name, unit.spec.clone());
    }
    let decisions = state.pass();
    state.take_plan();
    decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Placed { .. })).count()
}

/// The cost of a unit among few and among many, on the same machines.
pub(crate) fn curve(extent: Extent) -> Result<Vec<Row>> {
    on_one_core(|| {
        let mut curve = Vec::new();
        for units in [1_000, 3_000, 10_000, 30_000, 100_000] {
            let cluster = Synthetic::new(Shape::spread(10_000, units));
            let (machines, units) = (Synthetic { units: Vec::new(), ..cluster.clone() }, cluster.units);
            let mut times = Vec::new();
            for _ in 0..extent.rounds() {
                let mut state = machines.told();
                let (took, _) = cpu_millis(|| place(&mut state, &units))?;
                times.push(took * 1e3 / units.len() as f64);
            }
            curve.push((units.len(), times.into_iter().collect::<Sample>().median()));
        }
        let told: Vec<String> = curve.iter().map(|(units, each)| format!("{units}: {each:.2} µs")).collect();
        let (first, last) = (curve[0].1, curve[curve.len() - 1].1);
        let title = "cost of a unit among 100,000, by that among 1,000";
        let row = Row::absolute(RowName::Curve, title, last / first, "×", 1.0);
        Ok(vec![row.with_detail(format!("a unit on 10,000 machines, among {}", told.join(", ")))])
    })
}
