//! How far the machines were tried for units of one kind.
//!
//! What a machine is given only ever adds to the reasons for which it cannot take a unit, and puts it further back in its
//! bucket. So the machines that were tried for one instance of a template, and could not take it, are not tried again for
//! the next, until something leaves a machine or a machine changes.

use super::Standing;
use super::built::{Bucket, BucketIx};
use crate::placement::cluster::Cluster;
use crate::placement::slots::UnitIx;

/// Kinds of which this is remembered, of each profile.
const KINDS: usize = 8;

/// How far a bucket was tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    pub(super) bucket: BucketIx,
    /// What its machines have in common.
    pub(super) of: Bucket,
    /// No machine before this can take a unit of the kind; none where no machine of it can.
    pub(super) from: Option<Standing>,
    /// How many of the group are there, and how many preferences are not met: the least is tried first.
    pub(super) score: (u32, u32),
    /// Only machines of values that so many of the group are on: of a bucket of many values there are several lanes.
    pub(super) only: Option<u32>,
}

/// What was tried for units of one kind.
#[derive(Debug, Clone)]
struct Course {
    /// Some of that kind.
    members: Vec<UnitIx>,
    lanes: Vec<Lane>,
}

/// What was tried, the kind that came last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Courses {
    /// Of [`Cluster::frees`], when all this was found out.
    frees: u64,
    courses: Vec<Course>,
}

impl Cluster {
    /// What was tried for units of this kind, and still holds; it is taken out.
    pub(super) fn resume(&self, courses: &mut Courses, members: &[UnitIx]) -> Option<Vec<Lane>> {
        if courses.frees != self.frees {
            *courses = Courses { frees: self.frees, courses: Vec::new() };
        }
        let known = courses.courses.iter().rposition(|course| self.are_of_one_kind(&course.members, members));
        known.map(|at| courses.courses.remove(at).lanes)
    }
}

impl Courses {
    /// Remembers what was tried for these.
    pub(super) fn remember(&mut self, members: &[UnitIx], lanes: Vec<Lane>) {
        if self.courses.len() == KINDS {
            self.courses.remove(0);
        }
        self.courses.push(Course { members: members.to_vec(), lanes });
    }

    /// Forgets all: an order changed otherwise than by what its machines were given.
    pub(super) fn clear(&mut self) {
        self.courses.clear();
    }
}
