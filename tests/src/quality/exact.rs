//! The best placement there is, by trying all.

use super::problem::{Problem, Room};
use super::{Assignment, Judgement};

/// The best placement; for a handful of machines and units.
#[must_use]
pub fn exact(problem: &Problem) -> Assignment {
    let left = vec![None; problem.units()];
    let mut search = Search { problem, room: problem.empty(), present: left.clone(), best: left, worth: None };
    search.from(0, problem.units());
    search.best
}

struct Search<'a> {
    problem: &'a Problem,
    room: Room,
    present: Assignment,
    best: Assignment,
    worth: Option<Judgement>,
}

impl Search<'_> {
    /// Tries all that can become of the groups from this one on, where at most so many units can be placed in all.
    fn from(&mut self, group: usize, at_most: usize) {
        if self.worth.as_ref().is_some_and(|best| at_most < best.placed) {
            return;
        }
        let Some(members) = self.problem.groups.get(group) else {
            let worth = self.problem.judge(&self.present);
            if self.worth.as_ref().is_none_or(|best| worth.value() > best.value()) {
                self.best.clone_from(&self.present);
                self.worth = Some(worth);
            }
            return;
        };
        for machine in 0..self.problem.machines() {
            if self.problem.put(&mut self.room, members, machine) {
                members.iter().for_each(|&unit| self.present[unit] = Some(machine));
                self.from(group + 1, at_most);
                self.problem.take(&mut self.room, members, machine);
            }
        }
        members.iter().for_each(|&unit| self.present[unit] = None);
        self.from(group + 1, at_most - members.len());
    }
}
