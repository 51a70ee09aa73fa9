//! How many jobs the agent has systemd hold at once.
//!
//! For as long as a job lasts, systemd has the message bus watch whoever asked for it, and the bus allows any one
//! program 512 such rules. At the next one systemd loses its own connection to the bus, for everybody (measured: 1,000
//! starts at once). Jobs beyond a bound wait here instead. Starts and stops have a bound each, so that starts which
//! hang hold up no stop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleet_units::UnitName;

use crate::effect::{Job, Op};

/// Jobs in each lane: both together leave room for what others ask of systemd.
const LANE: usize = 192;

/// A job that may be asked for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Go {
    pub op: Op,
    pub unit: UnitName,
    pub job: Job,
}

#[derive(Debug, Default)]
struct Lane {
    under_way: BTreeSet<Op>,
    waiting: VecDeque<Go>,
}

/// Jobs under way, and those that wait for room.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    starts: Lane,
    stops: Lane,
    /// Which unit each waiting job is of.
    waiting: BTreeMap<UnitName, Op>,
}

impl Lanes {
    /// Takes the job of a unit out that still waits for room. Whoever asks for another one means that instead: a start
    /// that came to its turn after the stop that was asked for later would undo it.
    pub(super) fn supersede(&mut self, unit: &UnitName) -> Option<Op> {
        let op = self.waiting.remove(unit)?;
        for lane in [&mut self.starts, &mut self.stops] {
            lane.waiting.retain(|go| go.op != op);
        }
        Some(op)
    }

    /// Takes a job in, and gives it back if there is room for it. No other job of that unit waits.
    pub(super) fn enter(&mut self, go: Go) -> Option<Go> {
        self.waiting.insert(go.unit.clone(), go.op);
        let lane = if go.job == Job::Stop { &mut self.stops } else { &mut self.starts };
        lane.waiting.push_back(go);
        let next = lane.next();
        self.gone(next)
    }

    /// A job has ended, or was never taken: the one that has its room now.
    pub(super) fn leave(&mut self, op: Op) -> Option<Go> {
        let left =
            [&mut self.starts, &mut self.stops].into_iter().find_map(|lane| lane.under_way.remove(&op).then_some(lane));
        let next = left.and_then(Lane::next);
        self.gone(next)
    }

    fn gone(&mut self, next: Option<Go>) -> Option<Go> {
        if let Some(go) = &next {
            self.waiting.remove(&go.unit);
        }
        next
    }
}

impl Lane {
    fn next(&mut self) -> Option<Go> {
        let room = self.under_way.len() < LANE;
        let go = self.waiting.pop_front_if(|_| room)?;
        self.under_way.insert(go.op);
        Some(go)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: u64) -> UnitName {
        UnitName::parse(&format!("u{number}.service")).unwrap()
    }

    fn go(number: u64, job: Job) -> Go {
        Go { op: number, unit: unit(number), job }
    }

    #[test]
    fn jobs_beyond_the_bound_wait_for_room_in_their_order() {
        let mut lanes = Lanes::default();
        let bound = LANE as u64;
        for number in 0..bound {
            assert_eq!(lanes.enter(go(number, Job::Start)), Some(go(number, Job::Start)));
        }
        assert_eq!(lanes.enter(go(bound, Job::Restart)), None);
        assert_eq!(lanes.enter(go(bound + 1, Job::Start)), None);
        assert_eq!(lanes.leave(7), Some(go(bound, Job::Restart)));
        assert_eq!(lanes.leave(7), None, "it has left already");
        assert_eq!(lanes.leave(bound), Some(go(bound + 1, Job::Start)));
        assert_eq!(lanes.leave(0), None, "nothing waits");
    }

    #[test]
    fn a_start_that_waits_for_room_does_not_come_after_the_stop_that_was_asked_for_later() {
        let mut lanes = Lanes::default();
        let bound = LANE as u64;
        for number in 0..=bound {
            lanes.enter(go(number, Job::Start));
        }
        let stop = Go { op: 9999, unit: unit(bound), job: Job::Stop };
        assert_eq!(lanes.supersede(&stop.unit), Some(bound));
        assert_eq!(lanes.enter(stop.clone()), Some(stop));
        assert_eq!(lanes.supersede(&unit(bound)), None, "it waits no more");
        assert_eq!(lanes.supersede(&unit(0)), None, "what was asked for is systemd's to replace");
        assert_eq!(lanes.leave(0), None, "nothing is left to start");
    }

    #[test]
    fn starts_that_hang_hold_up_no_stop() {
        let mut lanes = Lanes::default();
        for number in 0..=LANE as u64 {
            lanes.enter(go(number, Job::Start));
        }
        let stop = go(9999, Job::Stop);
        assert_eq!(lanes.enter(stop.clone()), Some(stop));
        assert_eq!(lanes.leave(9999), None, "its room is no start's");
    }
}
