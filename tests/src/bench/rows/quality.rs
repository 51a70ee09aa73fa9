//! How good the placements are, beside an exhaustive search and a random first fit of the same clusters.

use anyhow::{Result, ensure};

use crate::bench::row::{Row, RowName};
use crate::bench::suite::Extent;
use crate::quality::{Assignment, Judgement, Problem, exact, first_fit};
use crate::sim::rng::Rng;
use crate::synthetic::{Shape, Synthetic};

/// Small clusters, few enough of everything that all placements can be tried.
const SMALL: u64 = 100;
const SMALL_MACHINES: usize = 4;
const SMALL_UNITS: usize = 9;

/// A large one.
const MACHINES: usize = 1_000;
const UNITS: usize = 10_000;

/// How much of all memory and processors units ask for: so much that not all of them may fit.
const FILLED: u64 = 95;

/// The rows of both.
pub(crate) fn quality(_: Extent) -> Result<Vec<Row>> {
    let mut rows = small()?;
    rows.extend(large()?);
    Ok(rows)
}

/// What the engine makes of a cluster.
fn engine(cluster: &Synthetic, problem: &Problem) -> Assignment {
    let mut state = cluster.told();
    while state.is_dirty() {
        state.pass();
    }
    problem.found(|name| state.places(name))
}

/// Judgements of many clusters as one.
#[derive(Default)]
struct Sum {
    placed: usize,
    memory: u64,
    uneven: u32,
    groups: usize,
    worst: u32,
}

impl Sum {
    fn add(&mut self, judgement: &Judgement) {
        self.placed += judgement.placed;
        self.memory += judgement.memory;
        self.uneven += judgement.uneven.iter().sum::<u32>();
        self.groups += judgement.uneven.len();
        self.worst = self.worst.max(judgement.uneven.iter().copied().max().unwrap_or(0));
    }

    fn uneven(&self) -> f64 {
        f64::from(self.uneven) / self.groups.max(1) as f64
    }
}

fn judged(problem: &Problem, found: &Assignment) -> Result<Judgement> {
    if let Some(unit) = problem.broken(found) {
        anyhow::bail!("a rule is broken for {unit}");
    }
    Ok(problem.judge(found))
}

fn small() -> Result<Vec<Row>> {
    let (mut own, mut best, mut random) = (Sum::default(), Sum::default(), Sum::default());
    for seed in 0..SMALL {
        let shape = Shape { seed, ..Shape::spread(SMALL_MACHINES, SMALL_UNITS) };
        let cluster = Synthetic::new(shape).filled(FILLED);
        let problem = Problem::of(&cluster);
        own.add(&judged(&problem, &engine(&cluster, &problem))?);
        best.add(&judged(&problem, &exact(&problem))?);
        random.add(&judged(&problem, &first_fit(&problem, &mut Rng::new(seed)))?);
    }
    ensure!(own.placed <= best.placed, "an exhaustive search missed a placement");
    let share = |sum: &Sum| 100.0 * sum.placed as f64 / best.placed as f64;
    let memory = |sum: &Sum| 100.0 * sum.memory as f64 / best.memory as f64;
    let detail = format!(
        "{SMALL} clusters of {SMALL_MACHINES} machines and {SMALL_UNITS} units that ask for {FILLED}% of them; floor: \
         random first fit; memory {:.1}%, by random first fit {:.1}%; most less fewest of a template by zone {:.2} on \
         average, by exhaustive search {:.2}, by random first fit {:.2}",
        memory(&own),
        memory(&random),
        own.uneven(),
        best.uneven(),
        random.uneven()
    );
    let title = "units placed, of those that an exhaustive search places";
    let row = Row::at_least(RowName::QualityExact, title, share(&own), "%", 95.0);
    Ok(vec![row.with_floor(share(&random)).with_detail(detail)])
}

fn large() -> Result<Vec<Row>> {
    let cluster = Synthetic::new(Shape::spread(MACHINES, UNITS)).filled(FILLED);
    let problem = Problem::of(&cluster);
    let own = judged(&problem, &engine(&cluster, &problem))?;
    let random = judged(&problem, &first_fit(&problem, &mut Rng::new(1)))?;
    let (mut own_sum, mut random_sum) = (Sum::default(), Sum::default());
    own_sum.add(&own);
    random_sum.add(&random);
    let memory = random.memory.max(1) as f64;
    let title = "memory packed, 10,000 units on 1,000 machines, of random first fit's";
    let packed = Row::at_least(RowName::QualityPacked, title, 100.0 * own.memory as f64 / memory, "%", 95.0);
    let packed = packed.with_detail(format!(
        "units that ask for {FILLED}% of all; {} of {} placed, by random first fit {}; used memory of the emptiest and \
         the fullest machine {:.0}% and {:.0}%, by random first fit {:.0}% and {:.0}%",
        own.placed,
        problem.units(),
        random.placed,
        100.0 * own.fullest.1,
        100.0 * own.fullest.0,
        100.0 * random.fullest.1,
        100.0 * random.fullest.0
    ));
    let title = "most less fewest units of a template by zone, there";
    let even = Row::absolute(RowName::QualityEven, title, own_sum.uneven(), "units", 1.0)
        .with_floor(random_sum.uneven())
        .with_detail(format!(
            "mean of {} templates; floor: random first fit; the worst {}, by random first fit {}",
            own_sum.groups, own_sum.worst, random_sum.worst
        ));
    Ok(vec![packed, even])
}
