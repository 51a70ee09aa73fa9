//! One row of the table: a figure, its floor, and what it must reach.

use clap::ValueEnum;
use serde::Serialize;

use super::sample::Sample;

/// The rows, by the names under which they can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowName {
    /// `fleetctl start --no-block` of a new unit, until its process runs.
    StartNoBlock,
    /// `fleetctl start` of a new unit, until it returns.
    Start,
    /// 200 new units in one `fleetctl start`, until all run.
    #[value(name = "start-200")]
    #[serde(rename = "start-200")]
    Start200,
    /// Requests to etcd at rest.
    RestRequests,
    /// CPU time of every fleetd at rest.
    RestCpu,
    /// Memory of a fleetd that is only an agent.
    MemoryAgent,
    /// `fleetctl list-units`, the whole command.
    ListUnits,
    /// From fleetd's start until it is ready.
    Ready,
    /// From the loss of the leader's machine until its units run elsewhere.
    LeaderLost,
    /// From the end of a leader's lease until the first of its units runs elsewhere.
    TakeOver,
    /// From the crash of a fleetd until its machine takes and runs a new unit.
    Crash,
    /// 1,000 new units of which a few are broken, until all others run.
    HeadOfLine,
    /// Writes to etcd for those units.
    HeadOfLineWrites,
    /// Writes to etcd while one of those units flaps.
    FlappingWrites,
    /// 1,000 new units on one machine in one `fleetctl start`, until all run.
    #[value(name = "start-1000")]
    #[serde(rename = "start-1000")]
    Start1000,
    /// Memory of the leader's fleetd with 1,000 units.
    MemoryEngine,
    /// A made-up cluster placed from nothing and committed to a real etcd.
    Commit,
    /// 20,000 units on 1,000 machines without a systemd, until all are reported running.
    HostsStart,
    /// Requests to etcd for those units.
    HostsRequests,
    /// CPU time of the leader for those units.
    HostsEngine,
    /// From the loss of a tenth of those machines until their units run elsewhere.
    HostsLost,
    /// From the end of their leader's lease to the next leader's first decision.
    HostsLeader,
    /// 100,000 units are placed on 10,000 machines, from nothing.
    Place,
    /// The same with spread over zones and conflicts within each template.
    PlaceSpread,
    /// Nothing changed in that cluster.
    PlaceNothing,
    /// One more unit in that cluster.
    PlaceOne,
    /// The units of a machine that is lost are placed again.
    MachineGone,
    /// The same for a machine with 1,000 units.
    FullMachineGone,
    /// The same for a rack of 400 machines.
    RackGone,
    /// Why a unit is nowhere, in that cluster.
    Explain,
    /// Units that conflict, a second.
    AntiAffinity,
    /// Units that must be where others are, a second.
    Affinity,
    /// How the cost of a unit grows with their number.
    Curve,
    /// Units placed, of those that an exhaustive search places.
    QualityExact,
    /// Memory packed in a crowded cluster, of what a random first fit packs.
    QualityPacked,
    /// How evenly templates are spread over zones there.
    QualityEven,
    /// Memory of an engine and its mirror with 100,000 units on 10,000 machines.
    MemoryScheduler,
    /// A put to the embedded registry, beside a real etcd.
    RegistryPut,
    /// The same, 64 at once.
    RegistryPuts,
    /// A linearizable read.
    RegistryRead,
    /// The same, 64 at once.
    RegistryReads,
    /// A transaction of 128 puts.
    RegistryTxn,
    /// From a put until a watch tells of it.
    RegistryWatch,
    /// A keep-alive, 64 at once.
    RegistryKeepAlive,
    /// Memory with 100,000 keys.
    RegistryMemory,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Limit {
    /// At most so much, in the figure's own unit.
    AtMost(f64),
    /// At least so much, in the figure's own unit.
    AtLeast(f64),
    /// At most so many times its floor.
    TimesFloor(f64),
}

/// A row as it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: RowName,
    /// What was measured, for the table.
    pub(crate) title: String,
    pub(crate) figure: f64,
    /// Of the figure and of the floor.
    pub(crate) unit: &'static str,
    pub(crate) floor: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) must_reach: Limit,
    /// Whether missing it fails the run.
    pub(crate) required: bool,
    /// What explains the figure.
    pub(crate) detail: String,
}

impl Row {
    /// A figure that is held to a bound of its own.
    pub(crate) fn absolute(name: RowName, title: &str, figure: f64, unit: &'static str, at_most: f64) -> Self {
        Self {
            name,
            title: title.to_owned(),
            figure,
            unit,
            floor: None,
            ratio: None,
            must_reach: Limit::AtMost(at_most),
            required: true,
            detail: String::new(),
        }
    }

    /// A figure that is the better the larger it is.
    pub(crate) fn at_least(name: RowName, title: &str, figure: f64, unit: &'static str, least: f64) -> Self {
        Self { must_reach: Limit::AtLeast(least), ..Self::absolute(name, title, figure, unit, f64::NAN) }
    }

    /// Times in milliseconds, each measured beside its floor: the medians of both, and of the ratios of the pairs.
    pub(crate) fn pairs(name: RowName, title: &str, pairs: &[(f64, f64)], times_floor: f64) -> Self {
        let figures: Sample = pairs.iter().map(|(figure, _)| *figure).collect();
        let floors: Sample = pairs.iter().map(|(_, floor)| *floor).collect();
        let ratios: Sample = pairs.iter().map(|(figure, floor)| figure / floor).collect();
        Self {
            floor: Some(floors.median()),
            ratio: Some(ratios.median()),
            must_reach: Limit::TimesFloor(times_floor),
            detail: format!(
                "{} pairs; p95 {:.1} ms, of the floor {:.1} ms, of the ratio {:.2}",
                pairs.len(),
                figures.p95(),
                floors.p95(),
                ratios.p95()
            ),
            ..Self::absolute(name, title, figures.median(), "ms", f64::NAN)
        }
    }

    pub(crate) fn with_floor(self, floor: f64) -> Self {
        Self { floor: Some(floor), ratio: (floor > 0.0).then(|| self.figure / floor), ..self }
    }

    /// Held to so many times its floor instead.
    pub(crate) fn times_floor(self, times: f64) -> Self {
        Self { must_reach: Limit::TimesFloor(times), ..self }
    }

    pub(crate) fn with_detail(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    /// Printed, and no reason to fail.
    pub(crate) fn only_printed(self) -> Self {
        Self { required: false, ..self }
    }

    /// Whether it reaches what it must; a figure that is none does not.
    pub(crate) fn is_met(&self) -> bool {
        match self.must_reach {
            Limit::AtMost(most) => self.figure <= most,
            Limit::AtLeast(least) => self.figure >= least,
            Limit::TimesFloor(times) => self.ratio.is_some_and(|ratio| ratio <= times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_its_own() {
        let row = |figure| Row::absolute(RowName::Ready, "", figure, "ms", 30.0);
        assert!(row(30.0).is_met() && !row(30.1).is_met() && !row(f64::NAN).is_met());
        assert!(!row(31.0).with_floor(31.0).is_met());
        let row = |figure| Row::at_least(RowName::Ready, "", figure, "units/s", 30.0);
        assert!(row(30.0).is_met() && !row(29.9).is_met() && !row(f64::NAN).is_met());
    }

    #[test]
    fn pairs_are_compared_one_by_one() {
        // The host was slow during the last two pairs, for both alike.
        let row = Row::pairs(RowName::Start, "", &[(14.0, 10.0), (15.0, 10.0), (40.0, 30.0), (45.0, 30.0)], 1.5);
        assert_eq!((row.figure, row.floor, row.ratio), (27.5, Some(20.0), Some(1.45)));
        assert!(row.is_met());
        assert!(!Row::pairs(RowName::Start, "", &[(16.0, 10.0)], 1.5).is_met());
        assert!(!Row::pairs(RowName::Start, "", &[], 1.5).is_met());
    }
}
