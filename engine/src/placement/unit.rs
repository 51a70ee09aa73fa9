//! A unit, with what the indexes know of it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use fleet_registry::record::Target;
use fleet_units::{DesiredState, MachineId, Requirements, UnitName};

use super::decision::Outcome;
use super::facts::UnitSpec;
use super::failures::Failures;
use super::hold::{Activity, Hold};
use super::order::ProfileIx;
use super::patterns::PatternRefs;
use super::replaces::ReplacesCircle;
use super::resources::Amount;
use super::slots::{GroupIx, MachineIx, UnitIx};
use super::small::Small;

/// How a name begins, to sort by. Few names have their first sixteen bytes in common, and those compare as one number: a
/// hundred thousand are in order before as many names were read twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameStart(u128);

impl NameStart {
    pub(super) fn of(name: &UnitName) -> Self {
        let name = name.as_str().as_bytes();
        let mut first = [0; 16];
        let length = name.len().min(first.len());
        first[..length].copy_from_slice(&name[..length]);
        Self(u128::from_be_bytes(first))
    }
}

/// How a unit ranks among those to be decided about, but for its name.
pub(super) type Seniority = (Reverse<i32>, i64);

/// A unit.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) name: UnitName,
    pub(super) is_template: bool,
    /// False where no unit's `MachineOf=` names it.
    pub(super) is_named: bool,
    /// None for one that is destroyed, or that only a schedule knows: it leaves wherever it is.
    pub(super) spec: Option<UnitSpec>,
    /// Machines that list it.
    pub(super) places: Small<MachineIx>,
    /// Machines that it was taken off and that have not acknowledged.
    pub(super) leaving: Small<MachineIx>,
    pub(super) conflicts: PatternRefs,
    /// What it asks of the order in which machines are tried.
    pub(super) profile: Option<ProfileIx>,
    /// What it uses of its machine.
    pub(super) asks: Amount,
    /// The group that it is counted in.
    pub(super) group: Option<GroupIx>,
    /// How many of its group may be on its machine.
    pub(super) limit: Option<u32>,
    /// What was last decided.
    pub(super) outcome: Outcome,
    /// Machines on which it is active, or has failed.
    pub(super) activity: Small<(MachineId, Activity)>,
    /// What few units have.
    pub(super) rare: Rare,
}

/// What few units have.
#[derive(Debug, Clone)]
pub(super) struct Uncommon {
    pub(super) replaces: PatternRefs,
    /// Who displaced it, until it has a machine again.
    pub(super) displaced_by: Option<UnitName>,
    /// Those whom it replaces, and who replace it, in a circle.
    pub(super) circle: Option<ReplacesCircle>,
    /// Machines that are kept for it.
    pub(super) claims: Small<MachineIx>,
    /// Where it failed.
    pub(super) failures: Failures,
    /// Machines that were told to launch it, where its start is ordered.
    pub(super) launched: Small<MachineIx>,
    /// Machines that list it and where its start waits.
    pub(super) waits_on: Small<MachineIx>,
    /// Why, and for whom.
    pub(super) hold: Option<Hold>,
    pub(super) waits_for: Option<UnitIx>,
    /// A machine that it was asked to leave.
    pub(super) avoids: Option<MachineId>,
    /// Machines that hold it without having been given it.
    pub(super) found: BTreeSet<MachineId>,
}

/// The same of all others.
static NOTHING: Uncommon = Uncommon {
    replaces: PatternRefs::NONE,
    displaced_by: None,
    circle: None,
    claims: Small::Empty,
    failures: Failures::NONE,
    launched: Small::Empty,
    waits_on: Small::Empty,
    hold: None,
    waits_for: None,
    avoids: None,
    found: BTreeSet::new(),
};

/// What few units have: it takes room only once something was written to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rare(Option<Box<Uncommon>>);

impl Deref for Rare {
    type Target = Uncommon;

    #[inline]
    fn deref(&self) -> &Uncommon {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut Uncommon {
        self.0.get_or_insert_with(|| Box::new(NOTHING.clone()))
    }
}

impl Rare {
    /// What is written there already; none for a unit that has nothing of all this.
    pub(super) fn known(&mut self) -> Option<&mut Uncommon> {
        self.0.as_deref_mut()
    }
}

impl Unit {
    pub(super) fn new(name: UnitName) -> Self {
        Self {
            is_template: name.is_template(),
            is_named: false,
            name,
            spec: None,
            places: Small::Empty,
            leaving: Small::Empty,
            conflicts: PatternRefs::NONE,
            profile: None,
            asks: Amount::default(),
            group: None,
            limit: None,
            outcome: Outcome::Withdrawn,
            activity: Small::Empty,
            rare: Rare::default(),
        }
    }

    /// What it asks of a machine, where its text can be used.
    pub(super) fn requirements(&self) -> Option<&Arc<Requirements>> {
        self.spec.as_ref()?.requirements.as_ref().ok()
    }

    /// Whether its start waits for others.
    pub(super) fn orders_its_start(&self) -> bool {
        self.spec.as_ref().is_some_and(UnitSpec::orders_its_start)
    }

    /// What a machine that lists it is to do with it; none when it needs no machine.
    pub(super) fn target(&self, machine: MachineIx) -> Option<Target> {
        let target = self.spec.as_ref()?.target()?;
        Some(if self.rare.waits_on.contains(&machine) { Target::Loaded } else { target })
    }

    /// Whether people want it to have a machine.
    pub(super) fn is_wanted(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.desired > DesiredState::Inactive)
    }

    /// Whether its text cannot be used (just now): then it stays wherever it is.
    pub(super) fn is_unreadable(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.requirements.is_err())
    }

    /// Whether its very record cannot be read: what a schedule says of it is left as it is.
    pub(super) fn is_as_is(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| !spec.readable)
    }

    /// Whether it is to run on every machine that suits it.
    pub(super) fn is_global(&self) -> bool {
        self.requirements().is_some_and(|requirements| requirements.global)
    }

    /// Whether it is to be given one machine.
    pub(super) fn is_placeable(&self) -> bool {
        self.is_wanted() && !self.is_template && self.requirements().is_some_and(|wanted| !wanted.global)
    }

    /// How it ranks when room is short: the higher first.
    pub(super) fn priority(&self) -> i32 {
        self.requirements().map_or(0, |wanted| wanted.priority)
    }

    /// Units are decided by priority, those of one priority in the order in which they were submitted, and those of one
    /// transaction by name.
    pub(super) fn seniority(&self) -> Seniority {
        (Reverse(self.priority()), self.spec.as_ref().map_or(0, |spec| spec.uid))
    }
}
