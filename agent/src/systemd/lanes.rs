//! How many jobs the agent has systemd hold at once.
//!
//! For as long as a job lasts, systemd has the message bus watch whoever asked for it, and the bus allows any one
//! program 512 such rules. At the next one systemd loses its own connection to the bus, for everybody (measured: 1,000
//! starts at once). Jobs beyond a bound wait here instead. Starts and stops have a bound each, so that starts which
//! hang hold up no stop.

use std::collections::{BTreeSet, VecDeque};

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
}

impl Lanes {
    /// Takes a job in, and gives it back if there is room for it.
    pub(super) fn enter(&mut self, go: Go) -> Option<Go> {
        let lane = if go.job == Job::Stop { &mut self.stops } else { &mut self.starts };
        lane.waiting.push_back(go);
        lane.next()
    }

    /// A job has ended, or was never taken: the one that has its room now.
    pub(super) fn leave(&mut self, op: Op) -> Option<Go> {
        let mut lanes = [&mut self.starts, &mut self.stops].into_iter();
        lanes.find_map(|lane| lane.under_way.remove(&op).then(|| lane.next()).flatten())
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

    fn go(number: u64, job: Job) -> Go {
        Go { op: number, unit: UnitName::parse("a.service").unwrap(), job }
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
