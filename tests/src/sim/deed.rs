//! What happens in a story: drawn from its seed before it is told, so that any part of it can be left out.

use std::time::Duration;

use fleet_registry::loopback::{Connection, Fault};
use fleet_units::{DesiredState, UnitName};

use super::machine::Fate;
use super::reality::number;
use super::rng::Rng;
use super::systemd::Systemd;
use super::world::World;

/// One thing that happens, and how long it is quiet after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) deed: Deed,
    pub(super) then: Duration,
}

/// Which machine it befalls. Numbers are taken by the size of the cluster, so that they fit a smaller one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Leader,
    Machine(usize),
}

/// What an operator or a fault does. Units are numbers too.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    Submit {
        unit: usize,
        text: usize,
        desired: DesiredState,
    },
    Desire {
        unit: usize,
        desired: DesiredState,
    },
    Restart {
        unit: usize,
    },
    Destroy {
        unit: usize,
    },
    Resubmit {
        unit: usize,
        text: usize,
    },
    Cordon(Who),
    Drain(Who),
    Zone(Who, usize),
    Free(Who),
    PowerLoss(Who, Duration),
    Kill(Who, Duration),
    Die {
        who: Who,
        after: usize,
        again: Duration,
    },
    PauseAt {
        who: Who,
        after: usize,
        time: Duration,
    },
    Pause(Who, Duration),
    Cut(Who, Connection),
    /// The link of the machine that has this unit.
    CutFrom {
        unit: usize,
        how: Connection,
    },
    /// Two links of three.
    CutMost(Connection),
    /// One link that is cut works again.
    Mend,
    MendAll,
    /// fleetd is stopped for good, and started again after that.
    Leave(Who, Duration),
    /// An operator gives up a machine that is absent.
    Forget(Who),
    /// A snapshot of the store is taken.
    BackUp,
    /// It is restored from that, as another store or the same.
    Restore {
        another: bool,
    },
    /// The store's address leads to another cluster's.
    Elsewhere,
    Home,
    Outage(Connection),
    OutageEnds,
    Call(Who, Fault),
    BreakWatches(Who),
    Compact,
    ReleaseBrake,
    Refuse {
        who: Who,
        unit: usize,
    },
    Break {
        who: Who,
        unit: usize,
    },
    Slow {
        who: Who,
        unit: usize,
        time: Duration,
    },
    /// systemd hangs there for good with the unit's stop, or with its start.
    Hang {
        who: Who,
        unit: usize,
        stop: bool,
    },
    /// Its start fails on so many of four machines.
    BreakMost {
        unit: usize,
        of_four: usize,
    },
    /// What systemd did wrong there is over.
    Heal(Who),
    Bus(Who),
    /// Nothing can be written any more: of units, of what fleet remembers, or of both.
    FillDisk {
        who: Who,
        units: bool,
        state: bool,
    },
    MakeRoom(Who),
    /// A copy of the machine boots elsewhere.
    Copy(Who),
    /// A person makes a machine a member of the cluster that it found.
    Accept(Who),
    SetClock(Who, i64),
}

fn cut(rng: &mut Rng) -> Connection {
    [Connection::Refused, Connection::Silent, Connection::Deaf][rng.below(3)]
}

impl Deed {
    /// Something that operators do.
    pub(super) fn operator(rng: &mut Rng) -> Self {
        let (unit, text) = (rng.below(1 << 20), rng.below(3));
        let who = Who::Machine(rng.below(1 << 20));
        match rng.below(14) {
            0..=2 => Self::Submit { unit, text, desired: DesiredState::Launched },
            3 => Self::Submit { unit, text, desired: DesiredState::Loaded },
            4 => Self::Desire { unit, desired: DesiredState::Launched },
            5 => Self::Desire { unit, desired: DesiredState::Loaded },
            6 => Self::Desire { unit, desired: DesiredState::Inactive },
            7 => Self::Restart { unit },
            8 => Self::Destroy { unit },
            9 => Self::Resubmit { unit, text },
            10 => match rng.chance(50) {
                true => Self::Leave(who, rng.millis(1_000, 20_000)),
                false => Self::Forget(who),
            },
            11 => Self::ReleaseBrake,
            _ => match rng.below(4) {
                0 => Self::Cordon(who),
                1 => Self::Drain(who),
                2 => Self::Zone(who, text),
                _ => Self::Free(who),
            },
        }
    }

    /// Something that goes wrong. Leaders are hit more often than chance has it.
    pub(super) fn fault(rng: &mut Rng) -> Self {
        let n = rng.below(1 << 20);
        let who = if rng.chance(30) { Who::Leader } else { Who::Machine(n) };
        let unit = rng.below(1 << 20);
        match rng.below(18) {
            0 => Self::PowerLoss(who, rng.millis(1_000, 40_000)),
            1 => Self::Kill(who, rng.millis(50, 15_000)),
            2 | 3 => Self::Die { who, after: rng.below(30), again: rng.millis(100, 8_000) },
            4 => Self::PauseAt { who, after: rng.below(30), time: rng.millis(100, 25_000) },
            5 => Self::Cut(who, cut(rng)),
            6 | 7 => Self::Mend,
            8 => match rng.chance(50) {
                true => Self::Outage(cut(rng)),
                false => Self::OutageEnds,
            },
            9 => Self::Pause(who, rng.millis(100, 25_000)),
            10 => Self::Call(who, call(rng)),
            11 => Self::BreakWatches(who),
            12 => Self::Compact,
            13 => match rng.below(10) {
                0 => Self::Refuse { who, unit },
                1 => Self::Break { who, unit },
                2 => Self::Slow { who, unit, time: rng.millis(100, 30_000) },
                3 => Self::Hang { who, unit, stop: rng.chance(50) },
                4 | 5 => Self::BreakMost { unit, of_four: 1 + rng.below(3) },
                6 | 7 => {
                    let units = rng.chance(60);
                    Self::FillDisk { who, units, state: !units || rng.chance(50) }
                }
                8 => Self::MakeRoom(who),
                _ => Self::Heal(who),
            },
            14 => Self::SetClock(who, i64::try_from(rng.below(2_000_000_000)).unwrap_or(0) - 1_000_000_000),
            15 => match rng.below(7) {
                0 => Self::CutMost(cut(rng)),
                1 | 2 => Self::Elsewhere,
                3 => Self::Accept(who),
                4 => Self::Copy(who),
                _ => Self::Home,
            },
            16 => Self::MendAll,
            _ => Self::Bus(who),
        }
    }
}

/// What befalls one call.
fn call(rng: &mut Rng) -> Fault {
    match rng.below(5) {
        0 => Fault::Refuse,
        1 => Fault::LoseRequest,
        2 => Fault::LoseAnswer,
        3 => Fault::Repeat,
        _ => Fault::Delay { request: rng.millis(0, 2_000), answer: rng.millis(0, 2_000) },
    }
}

impl World {
    /// Which machine is meant now.
    fn find(&self, who: Who) -> usize {
        let leader = || self.machines.iter().position(|m| self.truth.leader.as_ref() == Some(&m.id));
        match who {
            Who::Leader => leader().unwrap_or(0),
            Who::Machine(n) => n % self.machines.len(),
        }
    }

    /// Does it.
    pub(super) fn perform(&mut self, units: &[UnitName], deed: &Deed) {
        let unit = |n: usize| &units[n % units.len()];
        self.keep_orphans_only();
        match *deed {
            Deed::Submit { unit: n, text, desired } => self.submit(unit(n), text, desired),
            Deed::Desire { unit: n, desired } => {
                self.change(unit(n), &format!("{desired:?}"), |record| record.desired = desired);
            }
            Deed::Restart { unit: n } => self.change(unit(n), "restart", |record| record.restarts += 1),
            Deed::Destroy { unit: n } => self.destroy(unit(n)),
            Deed::Resubmit { unit: n, text } => {
                self.destroy(unit(n));
                self.submit(unit(n), text, DesiredState::Launched);
            }
            Deed::Cordon(who) => self.operate(self.find(who), |record| record.cordoned = true),
            Deed::Drain(who) => self.operate(self.find(who), |record| record.draining = true),
            Deed::Zone(who, zone) => {
                let zone = ["a", "b", "c"][zone % 3].to_owned();
                self.operate(self.find(who), |record| _ = record.metadata.insert("zone".to_owned(), Some(zone)));
            }
            Deed::Free(who) => self.operate(self.find(who), |_| {}),
            Deed::PowerLoss(who, again) => self.power_loss(self.find(who), again),
            Deed::Kill(who, again) => self.kill(self.find(who), again),
            Deed::Die { who, after, again } => self.machine(who).fate = Some((after, Fate::Dies(again))),
            Deed::PauseAt { who, after, time } => self.machine(who).fate = Some((after, Fate::Pauses(time))),
            Deed::Pause(who, time) => self.pause(self.find(who), time),
            Deed::Cut(who, how) => self.connect(self.find(who), how),
            Deed::Mend => {
                if let Some(n) = self.machines.iter().position(|m| m.connection != Connection::Up) {
                    self.connect(n, Connection::Up);
                }
            }
            Deed::CutFrom { unit: n, how } => {
                let listed = self.truth.listed(unit(n)).next().map(|(id, _)| number(id));
                listed.into_iter().for_each(|n| self.connect(n, how));
            }
            Deed::CutMost(how) => {
                let most = (0..self.machines.len()).filter(|n| n % 3 != 0);
                most.collect::<Vec<_>>().into_iter().for_each(|n| self.connect(n, how));
            }
            Deed::MendAll => self.mend_all(),
            Deed::Leave(who, again) => self.leave(self.find(who), again),
            Deed::Forget(who) => self.forget(self.find(who)),
            Deed::BackUp => self.back_up(),
            Deed::Restore { another } => self.restore(another),
            Deed::Elsewhere => self.go_elsewhere(),
            Deed::Home => self.go_home(),
            Deed::Outage(how) => self.set_outage(Some(how)),
            Deed::OutageEnds => self.set_outage(None),
            Deed::Call(who, fault) => self.inject(self.find(who), fault),
            Deed::BreakWatches(who) => self.break_watches(self.find(who)),
            Deed::Compact => self.compact(),
            Deed::Refuse { who, unit: n } => {
                self.trouble(who, unit(n)).refused.insert(unit(n).clone());
            }
            Deed::Break { who, unit: n } => {
                self.trouble(who, unit(n)).broken.insert(unit(n).clone());
            }
            Deed::Slow { who, unit: n, time } => {
                // There where it is, and at once.
                let listed = self.truth.listed(unit(n)).next().map(|(id, _)| number(id));
                let systemd = self.trouble(listed.map_or(who, Who::Machine), unit(n));
                systemd.slow_start.insert(unit(n).clone(), time);
                systemd.slow_stop.insert(unit(n).clone(), time);
                self.change(unit(n), "restart", |record| record.restarts += 1);
            }
            Deed::Hang { who, unit: n, stop } => self.hang(self.find(who), unit(n), stop),
            Deed::BreakMost { unit: n, of_four } => self.break_most(unit(n), n, of_four),
            Deed::ReleaseBrake => self.release_brake(),
            Deed::Heal(who) => self.heal(self.find(who)),
            Deed::FillDisk { who, units, state } => self.fill_disk(self.find(who), units, state),
            Deed::MakeRoom(who) => self.make_room(self.find(who)),
            Deed::Copy(who) => self.copy_machine(self.find(who)),
            Deed::Accept(who) => self.accept(self.find(who)),
            Deed::Bus(who) => self.restart_bus(self.find(who)),
            Deed::SetClock(who, millis) => {
                self.machine(who).clock.step_wall(millis);
                self.say(self.find(who), format_args!("the wall clock is set, by {millis} ms"));
            }
        }
    }

    fn machine(&mut self, who: Who) -> &mut super::machine::Machine {
        let n = self.find(who);
        &mut self.machines[n]
    }

    /// The systemd of a machine that is to have trouble with a unit.
    fn trouble(&mut self, who: Who, unit: &UnitName) -> &mut Systemd {
        let n = self.find(who);
        self.reality.trouble(self.now, n, unit.clone());
        &mut self.machines[n].systemd
    }
}
