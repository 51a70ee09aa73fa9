//! Stories that stress one promise: what is drawn for them makes likely what ordinary ones meet once in many thousands.
//!
//! They are for planted faults, each of which must be found within few stories of small clusters.

use std::time::Duration;

use fleet_registry::loopback::{Connection, Delays, Fault};
use fleet_units::{DesiredState, UnitName};

use super::deed::{Deed, Step, Who};
use super::operator::{crowd, names, single};
use super::rng::Rng;
use super::world::World;

/// What a story stresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Leaders stand still between a decision and its write, people change their minds, and others lead meanwhile.
    PausedLeaders,
    /// Answers take seconds, and machines are cut off while a unit is between its stop and its start.
    SlowAnswers,
    /// Requests of some machines take seconds, so that others are back before what was decided of them takes effect.
    SlowRequests,
    /// fleetds stand still for longer than their leases while people change what their machines are to run.
    PausedAgents,
    /// Writes take effect long after they were given up, and people change their minds meanwhile.
    LateWrites,
    /// Watches break while people change things.
    BrokenWatches,
    /// Nothing goes wrong but that units take long to start and stop.
    SlowUnits,
    /// Machines are copied, and people make them members of another cluster and of their own again.
    Strangers,
    /// Every unit has `OnDisconnect=stop` and takes long to stop; answers take seconds, machines are cut off, and fleetds
    /// stand still.
    Fenced,
    /// Units compete for room and wait for each other, take long to start and stop, and people change their minds.
    Crowded,
}

/// A machine of a theme is never held to be prompt, whatever its links do.
const ALWAYS: Duration = Duration::from_secs(86_400);

impl Theme {
    /// The units that it is about.
    pub(super) fn units(self, count: usize) -> Vec<UnitName> {
        match self {
            Self::Fenced => (0..count).map(single).collect(),
            Self::Crowded => crowd(count),
            _ => names(count),
        }
    }

    /// Sets the links up.
    pub(super) fn begin(self, world: &mut World) {
        let mut rng = Rng::new(world.seed ^ 0x7e3e);
        for machine in &mut world.machines {
            let delays = &mut machine.link.delays;
            match self {
                Self::SlowAnswers | Self::Fenced => delays.answer = rng.millis(1_500, 4_000),
                Self::SlowRequests if rng.chance(50) => delays.request = rng.millis(1_500, 4_000),
                Self::BrokenWatches => delays.answer = rng.millis(20, 400),
                _ => continue,
            }
            machine.link.set_timeout(Duration::from_secs(5));
            machine.disturb(ALWAYS);
        }
    }

    /// The links are as fast as they are elsewhere again.
    pub(super) fn end(world: &mut World) {
        for machine in &mut world.machines {
            machine.link.delays = Delays::default();
        }
    }

    /// What happens in it.
    pub(super) fn steps(self, rng: &mut Rng) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut add = |deed, then| steps.push(Step { deed, then });
        // Every machine is trusted from then on.
        add(Deed::Mend, rng.millis(8_000, 12_000));
        for _ in 0..8 {
            self.round(rng, &mut add);
        }
        steps
    }

    fn round(self, rng: &mut Rng, add: &mut impl FnMut(Deed, Duration)) {
        let (unit, who) = (rng.below(1 << 20), Who::Machine(rng.below(1 << 20)));
        match self {
            Self::PausedLeaders => {
                let [first, then] = change_of_mind(rng, unit);
                let (after, time) = (rng.below(5), rng.millis(11_000, 22_000));
                add(Deed::PauseAt { who: Who::Leader, after, time }, Duration::ZERO);
                add(first, rng.millis(10, 200));
                add(then, rng.millis(15_000, 30_000));
            }
            Self::SlowAnswers => {
                add(Deed::Slow { who, unit, time: rng.millis(10_000, 20_000) }, rng.millis(20_000, 24_000));
                // What is loaded only is stopped, and its text stays: nothing is to be fetched when it is to start again.
                add(Deed::Desire { unit, desired: DesiredState::Loaded }, rng.millis(200, 1_000));
                add(Deed::Desire { unit, desired: DesiredState::Launched }, rng.millis(4_000, 7_000));
                add(Deed::CutFrom { unit, how: Connection::Silent }, rng.millis(15_000, 25_000));
                add(Deed::MendAll, rng.millis(2_000, 20_000));
                add(Deed::Heal(who), Duration::ZERO);
            }
            Self::SlowRequests => {
                add(Deed::CutFrom { unit, how: Connection::Refused }, rng.millis(9_000, 16_000));
                add(Deed::MendAll, rng.millis(8_000, 25_000));
            }
            Self::PausedAgents => {
                add(Deed::Pause(who, rng.millis(11_000, 20_000)), rng.millis(0, 4_000));
                for unit in (0..4).map(|_| rng.below(1 << 20)).collect::<Vec<_>>() {
                    add(Deed::Restart { unit }, rng.millis(0, 1_000));
                }
                add(Deed::MendAll, rng.millis(15_000, 25_000));
            }
            Self::LateWrites => {
                let late = Fault::Delay { request: rng.millis(1_000, 8_000), answer: Duration::ZERO };
                let [first, then] = change_of_mind(rng, unit);
                add(Deed::Call(Who::Leader, late), Duration::ZERO);
                add(first, rng.millis(10, 1_500));
                add(if rng.chance(50) { then } else { Deed::Cordon(who) }, rng.millis(0, 3_000));
                add(Deed::Free(who), rng.millis(0, 6_000));
            }
            Self::BrokenWatches => {
                add(Deed::BreakWatches(who), rng.millis(0, 400));
                let [first, then] = change_of_mind(rng, unit);
                add(first, rng.millis(0, 400));
                add(Deed::BreakWatches(who), rng.millis(0, 400));
                add(then, rng.millis(0, 2_000));
            }
            Self::SlowUnits | Self::Crowded => {
                add(Deed::Slow { who, unit, time: rng.millis(3_000, 10_000) }, rng.millis(0, 1_000));
                for unit in (0..4).map(|_| rng.below(1 << 20)).collect::<Vec<_>>() {
                    add(change_of_mind(rng, unit)[1].clone(), rng.millis(0, 500));
                }
                add(Deed::Heal(who), rng.millis(0, 4_000));
            }
            Self::Strangers => {
                add(Deed::Copy(who), rng.millis(500, 5_000));
                add(Deed::Elsewhere, rng.millis(8_000, 14_000));
                add(Deed::Accept(who), rng.millis(2_000, 20_000));
                add(Deed::Home, rng.millis(12_000, 20_000));
                add(Deed::Accept(who), rng.millis(2_000, 12_000));
            }
            Self::Fenced => {
                add(Deed::Slow { who, unit, time: rng.millis(2_000, 6_000) }, rng.millis(20_000, 30_000));
                add(Deed::CutFrom { unit, how: Connection::Silent }, rng.millis(0, 4_000));
                add(Deed::Pause(who, rng.millis(15_000, 25_000)), rng.millis(20_000, 40_000));
                add(Deed::MendAll, rng.millis(5_000, 20_000));
            }
        }
    }
}

/// A person wants something, and then that it be as it was.
fn change_of_mind(rng: &mut Rng, unit: usize) -> [Deed; 2] {
    let text = rng.below(3);
    let desire = |desired| Deed::Desire { unit, desired };
    let submit = Deed::Submit { unit, text, desired: DesiredState::Launched };
    match rng.below(3) {
        0 => [desire(DesiredState::Launched), desire(DesiredState::Inactive)],
        1 => [desire(DesiredState::Inactive), desire(DesiredState::Launched)],
        _ => [Deed::Destroy { unit }, submit],
    }
}
