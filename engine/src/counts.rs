//! What an engine has done since it was started, counted for whoever watches it over time.

use std::time::Duration;

use crate::placement::Departure;
use crate::placement::Outcome;
use crate::report::Report;

/// How often what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Since when it leads, in milliseconds since 1970; 0 while it does not.
    pub leads_since: u64,
    /// Passes over what had changed.
    pub passes: u64,
    /// How long they took together.
    pub time: Duration,
    /// Units that were given to a machine.
    pub scheduled: u64,
    /// Units that were taken off one.
    pub unscheduled: u64,
    /// Schedules that could not be written, and were decided anew.
    pub failed_writes: u64,
    /// Units taken off because their machine was lost.
    pub machine_away: u64,
    /// Units taken off because their machine suits them no more.
    pub unsuited: u64,
    /// Units for which there was no machine.
    pub unplaceable: u64,
}

impl EngineCounts {
    /// Takes in what an engine reports.
    pub fn note(&mut self, report: &Report, wall: u64) {
        match report {
            Report::Elected { .. } => self.leads_since = wall,
            Report::Deposed { .. } => self.leads_since = 0,
            Report::WriteFailed { .. } => self.failed_writes += 1,
            Report::Decided(decision) => {
                let joined = decision.joined.len() + usize::from(matches!(decision.outcome, Outcome::Placed { .. }));
                self.scheduled += joined as u64;
                self.unplaceable += u64::from(matches!(decision.outcome, Outcome::Unplaceable { .. }));
                for (_, why) in &decision.left {
                    self.unscheduled += 1;
                    self.machine_away += u64::from(matches!(why, Departure::Lost));
                    self.unsuited += u64::from(matches!(why, Departure::Rejected(_)));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet_units::{MachineId, UnitName};

    use super::*;
    use crate::placement::{Choice, Decision, Rejections};

    #[test]
    fn what_was_decided_is_counted_by_its_reason() {
        let machine = |id: &str| MachineId::parse(id).unwrap();
        let decided = |left: Vec<(MachineId, Departure)>, outcome| {
            let unit = UnitName::parse("a.service").unwrap();
            Report::Decided(Decision {
                unit,
                uid: 1,
                left,
                joined: Vec::new(),
                outcome,
                held: None,
                displaced_by: None,
                circle: None,
            })
        };
        let mut counts = EngineCounts::default();
        counts.note(&Report::Elected { why: String::new(), fence: 1 }, 5);
        let placed = Outcome::Placed { machine: machine("m2"), why: Choice::Only };
        counts.note(&decided(vec![(machine("m1"), Departure::Lost)], placed), 6);
        let nowhere = Outcome::Unplaceable { rejections: Rejections::default() };
        counts.note(&decided(vec![(machine("m2"), Departure::Withdrawn)], nowhere), 7);
        let expected = EngineCounts {
            leads_since: 5,
            scheduled: 1,
            unscheduled: 2,
            machine_away: 1,
            unplaceable: 1,
            ..EngineCounts::default()
        };
        assert_eq!(counts, expected);
        counts.note(&Report::Deposed { why: String::new() }, 8);
        assert_eq!(counts.leads_since, 0, "who does not lead says so");
    }
}
