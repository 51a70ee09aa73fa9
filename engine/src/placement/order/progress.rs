//! How far the machines were tried for units of one kind.
//!
//! What a machine is given only ever adds to the reasons for which it cannot take a unit, and puts it further back in its
//! bucket. So the machines that were tried for one instance of a template, and could not take it, are not tried again for
//! the next, until something leaves a machine or a machine changes.

use super::Standing;
use super::built::BucketIx;
use crate::placement::cluster::Cluster;
use crate::placement::slots::UnitIx;

/// Kinds of which this is remembered.
const KINDS: usize = 8;

/// The machine of each bucket before which all were tried in vain; none where all of it were.
pub(super) type Tried = Vec<(BucketIx, Option<Standing>)>;

/// What was tried for units of one kind.
#[derive(Debug, Clone)]
struct Progress {
    /// Some of that kind.
    members: Vec<UnitIx>,
    tried: Tried,
}

/// What was tried, the kind that came last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Progresses {
    /// Of [`Cluster::frees`], when all this was found out.
    frees: u64,
    kinds: Vec<Progress>,
}

/// Notes up to where a bucket was tried, if that is further than before.
pub(super) fn note(tried: &mut Tried, bucket: BucketIx, at: Option<Standing>) {
    match tried.iter_mut().find(|(known, _)| *known == bucket) {
        Some((_, upto)) => *upto = upto.zip(at).map(|(upto, at)| upto.max(at)),
        None => tried.push((bucket, at)),
    }
}

impl Cluster {
    /// What was tried for units of this kind, and still holds; it is taken out.
    pub(super) fn resume(&mut self, members: &[UnitIx]) -> Tried {
        if self.orders.progresses.frees != self.frees {
            self.orders.progresses = Progresses { frees: self.frees, kinds: Vec::new() };
        }
        let known = |progress: &Progress| self.are_alike(&progress.members, members);
        let at = self.orders.progresses.kinds.iter().rposition(known);
        at.map_or_else(Tried::new, |at| self.orders.progresses.kinds.remove(at).tried)
    }

    /// Remembers what was tried for these.
    pub(super) fn remember(&mut self, members: &[UnitIx], tried: Tried) {
        let kinds = &mut self.orders.progresses.kinds;
        if kinds.len() == KINDS {
            kinds.remove(0);
        }
        kinds.push(Progress { members: members.to_vec(), tried });
    }
}
