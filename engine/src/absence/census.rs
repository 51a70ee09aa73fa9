//! Before one machine's absence is taken as its loss, the others are counted: those whose lease has not been renewed
//! either will be absent in a moment, and then the brake is to find nothing moved yet.
//!
//! Leases that died of one cause end spread over a third of a lease, as their last renewals were. A healthy machine's
//! lease never has less than some two thirds left; one with less than half is doubtful.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_registry::Mono;

/// At most so many machines are asked about; they stand for the rest.
pub(super) const SAMPLE: usize = 64;

/// What is known of the others.
#[derive(Debug, Clone, Default)]
pub(super) enum Census {
    /// Nothing.
    #[default]
    None,
    /// Questions are under way.
    Asking { calls: BTreeSet<u64>, asked: usize, doubtful: usize, others: usize, since: Mono },
    /// Asked at that time; so many of the others are doubtful.
    Done { asked_at: Mono, doubtful: usize },
}

impl Census {
    /// Begins with these calls, which stand for so many machines.
    pub(super) fn begin(now: Mono, calls: BTreeSet<u64>, others: usize) -> Self {
        let asked = calls.len();
        if asked == 0 {
            return Self::Done { asked_at: now, doubtful: 0 };
        }
        Self::Asking { calls, asked, doubtful: 0, others, since: now }
    }

    /// Takes in one answer: how much of its lease a machine has left; none if there was no answer. False if it was not
    /// asked for.
    pub(super) fn answered(&mut self, call: u64, left: Option<Duration>, ttl: Duration) -> bool {
        let Self::Asking { calls, asked, doubtful, others, since } = self else { return false };
        if !calls.remove(&call) {
            return false;
        }
        *doubtful += usize::from(left.is_none_or(|left| left < ttl / 2));
        if calls.is_empty() {
            let doubtful = (*doubtful * *others).div_ceil(*asked);
            *self = Self::Done { asked_at: *since, doubtful };
        }
        true
    }
}
