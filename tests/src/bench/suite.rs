//! Which rows are measured, in which order, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::report::Report;
use super::row::{Row, RowName};
use super::rows;
use super::scene::Scene;

/// The promises are made for so many machines and units.
const MACHINES: u8 = 5;
pub(crate) const UNITS: usize = 200;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What the promises say.
    Full,
    /// A fraction of that, for a first impression.
    Quick,
}

impl Extent {
    fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }

    /// Alternating pairs of single starts.
    pub(crate) fn pairs(self) -> usize {
        self.of(100, 10)
    }

    /// Rounds of what takes seconds.
    pub(crate) fn rounds(self) -> usize {
        self.of(3, 1)
    }

    /// Rounds of what takes seconds and is compared with nearly the same, at most: an odd number.
    pub(crate) fn close_rounds(self) -> usize {
        self.of(7, 1)
    }

    /// How long a unit that flaps is watched.
    pub(crate) fn flapping(self) -> Duration {
        self.of(Duration::from_secs(10), Duration::from_secs(4))
    }

    /// Machines without a systemd, and their units.
    pub(crate) fn hosts(self, full: usize) -> usize {
        self.of(full, full / 10)
    }

    /// Repetitions of what takes milliseconds.
    pub(crate) fn repetitions(self) -> usize {
        self.of(50, 10)
    }

    /// Restarts of a daemon.
    pub(crate) fn restarts(self) -> usize {
        self.of(10, 3)
    }

    /// How long the cluster is watched at rest.
    pub(crate) fn rest(self) -> Duration {
        self.of(Duration::from_secs(60), Duration::from_secs(12))
    }
}

/// The rows to measure.
#[derive(Clone, Debug)]
pub struct Suite {
    extent: Extent,
    rows: BTreeSet<RowName>,
}

/// How rows are measured.
#[derive(Clone, Copy)]
enum Measure {
    /// On booted machines.
    Booted(fn(&mut Scene, Extent) -> Result<Vec<Row>>),
    /// In a process that is alone.
    Alone(fn(Extent) -> Result<Vec<Row>>),
}
use Measure::{Alone, Booted};

/// The embedded registry beside a real etcd.
const REGISTRY: [RowName; 8] = [
    RowName::RegistryPut,
    RowName::RegistryPuts,
    RowName::RegistryRead,
    RowName::RegistryReads,
    RowName::RegistryTxn,
    RowName::RegistryWatch,
    RowName::RegistryKeepAlive,
    RowName::RegistryMemory,
];

/// What is measured together, in an order in which each leaves behind what the next one needs. Who leads is lost last:
/// until then no leader has been anything else, which its memory would show. What needs no machines comes before they
/// are there to be a burden.
const GROUPS: &[(&[RowName], Measure)] = &[
    (&[RowName::Place, RowName::PlaceSpread], Alone(rows::place)),
    (&[RowName::PlaceNothing, RowName::PlaceOne], Alone(rows::change)),
    (&[RowName::MachineGone, RowName::FullMachineGone, RowName::RackGone], Alone(rows::loss)),
    (&[RowName::Explain], Alone(rows::explain)),
    (&[RowName::AntiAffinity, RowName::Affinity], Alone(rows::shapes)),
    (&[RowName::Curve], Alone(rows::curve)),
    (&[RowName::QualityExact, RowName::QualityPacked, RowName::QualityEven], Alone(rows::quality)),
    (&[RowName::MemoryScheduler], Alone(rows::memory)),
    (&[RowName::Commit], Alone(rows::commit)),
    (
        &[RowName::HostsStart, RowName::HostsRequests, RowName::HostsEngine, RowName::HostsLost, RowName::HostsLeader],
        Alone(rows::hosts),
    ),
    (&REGISTRY, Alone(rows::registry)),
    (&[RowName::StartNoBlock, RowName::Start], Booted(rows::start)),
    (&[RowName::Start200], Booted(rows::start_200)),
    (&[RowName::RestRequests, RowName::RestCpu, RowName::MemoryAgent], Booted(rows::rest)),
    (&[RowName::ListUnits], Booted(rows::list_units)),
    (&[RowName::Ready], Booted(rows::ready)),
    (&[RowName::Crash], Booted(rows::crash)),
    (&[RowName::Start1000, RowName::MemoryEngine], Booted(rows::start_1000)),
    (&[RowName::HeadOfLine, RowName::HeadOfLineWrites, RowName::FlappingWrites], Booted(rows::head_of_line)),
    (&[RowName::LeaderLost, RowName::TakeOver], Booted(rows::leader_lost)),
];

impl Suite {
    /// All rows, or those named. Rows that are measured together come together.
    pub fn new(extent: Extent, rows: &[RowName]) -> Self {
        let all = GROUPS.iter().flat_map(|(names, _)| *names).copied();
        Self { extent, rows: all.filter(|row| rows.is_empty() || rows.contains(row)).collect() }
    }

    /// Measures; where rows need booted machines, boots them, and ends them. `tell` is told what is being done.
    pub fn run(&self, tell: impl Fn(&str)) -> Result<Report> {
        let mut booted = None;
        let mut rows = Vec::new();
        for (names, measure) in GROUPS.iter().filter(|(names, _)| names.iter().any(|name| self.rows.contains(name))) {
            rows.extend(match measure {
                Alone(measure) => {
                    tell(&format!("measuring {}", title(names)));
                    measure(self.extent)?
                }
                Booted(measure) => {
                    let scene = match &mut booted {
                        Some(scene) => scene,
                        None => {
                            tell(&format!("booting {MACHINES} machines beside an etcd"));
                            booted.insert(Scene::new(MACHINES)?)
                        }
                    };
                    tell(&format!("measuring {}", title(names)));
                    measure(scene, self.extent)?
                }
            });
        }
        if let Some(scene) = booted {
            scene.cluster.end()?;
        }
        Ok(Report { machines: MACHINES, units: UNITS, quick: self.extent == Extent::Quick, rows })
    }
}

fn title(names: &[RowName]) -> String {
    use clap::ValueEnum;
    let values = names.iter().filter_map(|name| name.to_possible_value());
    values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
}
