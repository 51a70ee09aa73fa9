//! How often units are moved for failing, counted by what their machines' systemd says when they are taken away.

use std::collections::BTreeMap;

use fleet_registry::record::{Assignment, ContentKey, UnitRecord};
use fleet_units::{DesiredState, UnitName};

use super::operator::MOVES;

/// One text, and one wish of a person that it be started.
type Start = (i64, ContentKey, u64);

/// What became of the moves of each unit since it was started last.
#[derive(Debug, Default)]
pub(super) struct Moves {
    counts: BTreeMap<UnitName, (Start, Count)>,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Moved(u32),
    /// It was not wanted meanwhile, which may have been seen or not: then counting begins anew.
    Unclear,
}

impl Moves {
    fn of(&mut self, unit: &UnitName, start: Start) -> &mut Count {
        let entry = self.counts.entry(unit.clone()).or_insert_with(|| (start.clone(), Count::Moved(0)));
        if entry.0 != start {
            *entry = (start, Count::Moved(0));
        }
        &mut entry.1
    }

    /// A person wrote a unit.
    pub(super) fn wanted(&mut self, unit: &UnitName, uid: i64, record: &UnitRecord) {
        let count = self.of(unit, (uid, record.content.clone(), record.restarts));
        if record.desired != DesiredState::Launched {
            *count = Count::Unclear;
        }
    }

    /// A unit that failed was taken from a machine that is well and that operators say nothing of.
    pub(super) fn moved(&mut self, unit: &UnitName, a: &Assignment) -> Result<(), String> {
        match self.of(unit, (a.uid, a.content.clone(), a.restarts)) {
            Count::Unclear => Ok(()),
            Count::Moved(count) => {
                *count += 1;
                let count = *count;
                if count > MOVES {
                    return Err(format!("{unit} was moved {count} times for failing, and may be {MOVES} times"));
                }
                Ok(())
            }
        }
    }
}
