//! Circles of units that name each other, found by whoever knows who names whom: the same code refuses one when it is
//! submitted and names one that has come about all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use fleet_units::{Peer, Requirements, UnitName};

/// Units of which each names the next, and the last the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(Vec<UnitName>);

impl Cycle {
    /// A circle of these, told from the one that comes first by name.
    pub(super) fn new(mut units: Vec<UnitName>) -> Self {
        if let Some(first) = units.iter().enumerate().min_by_key(|(_, unit)| (*unit).clone()).map(|(at, _)| at) {
            units.rotate_left(first);
        }
        Self(units)
    }

    /// The units, each once.
    #[must_use]
    pub fn units(&self) -> &[UnitName] {
        &self.0
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in &self.0 {
            write!(f, "{unit} → ")?;
        }
        self.0.first().map_or(Ok(()), |first| write!(f, "{first}"))
    }
}

/// The shortest way from one unit to another along what each names, both included; from a unit to itself it is a
/// circle. Looks at each unit once.
fn way(
    from: &UnitName,
    to: &UnitName,
    mut names: impl FnMut(&UnitName) -> BTreeSet<UnitName>,
) -> Option<Vec<UnitName>> {
    let mut came_from: BTreeMap<UnitName, UnitName> = BTreeMap::new();
    let mut queue = VecDeque::from([from.clone()]);
    while let Some(unit) = queue.pop_front() {
        for next in names(&unit) {
            if next == *to {
                let mut way = vec![next, unit];
                while let Some(before) = way.last().filter(|last| *last != from).and_then(|last| came_from.get(last)) {
                    way.push(before.clone());
                }
                way.reverse();
                return Some(way);
            }
            if next != *from && !came_from.contains_key(&next) {
                came_from.insert(next.clone(), unit.clone());
                queue.push_back(next);
            }
        }
    }
    None
}

/// The shortest circle that leads from a unit back to it.
pub(super) fn circle(unit: &UnitName, names: impl FnMut(&UnitName) -> BTreeSet<UnitName>) -> Option<Cycle> {
    let mut circle = way(unit, unit, names)?;
    circle.pop();
    Some(Cycle::new(circle))
}

/// Why a unit that asks for this must not be submitted beside those that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Circular {
    /// Starts wait for each other.
    Starts(Cycle),
    /// It drives away what it must be with.
    Replaces {
        /// The unit that drives away.
        by: UnitName,
        /// The one that it drives away.
        unit: UnitName,
        /// How `MachineOf=` leads from one to the other.
        way: Vec<UnitName>,
    },
}

impl std::error::Error for Circular {}

impl fmt::Display for Circular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starts(cycle) => {
                write!(f, "After and Requires make a circle, in which no unit could be started: {cycle}")
            }
            Self::Replaces { by, unit, way } => {
                let way: Vec<&str> = way.iter().map(UnitName::as_str).collect();
                let way = way.join(" → ");
                write!(f, "{by} replaces {unit}, and MachineOf puts them on one machine: {way}")
            }
        }
    }
}

/// Refuses a unit that would close a circle. `units` answers the names that begin so, and `requirements` what a unit of
/// such a name asks for, this one included as it is to be.
///
/// # Errors
/// When it closes one; which is named.
pub fn refuse_circles(
    unit: &UnitName,
    units: impl Fn(&str) -> Vec<UnitName>,
    requirements: impl Fn(&UnitName) -> Option<Arc<Requirements>>,
) -> Result<(), Circular> {
    let named = |name: &UnitName, peers: &[Peer]| -> BTreeSet<UnitName> {
        let one = |peer: &Peer| match peer {
            Peer::Unit(other) => vec![other.clone()],
            Peer::Pattern(glob) => {
                let mut matching = units(glob.literal_prefix());
                matching.retain(|other| glob.matches(other.as_str()) && !other.is_template());
                matching
            }
        };
        peers.iter().flat_map(one).filter(|other| other != name).collect()
    };
    if unit.is_template() {
        return Ok(());
    }
    let Some(own) = requirements(unit) else { return Ok(()) };
    let starts = |name: &UnitName| {
        let Some(wanted) = requirements(name) else { return BTreeSet::new() };
        let mut after = named(name, &wanted.after);
        after.extend(named(name, &wanted.requires));
        after
    };
    if (!own.after.is_empty() || !own.requires.is_empty())
        && let Some(circle) = circle(unit, starts)
    {
        return Err(Circular::Starts(circle));
    }
    if own.machine_of.is_empty() || own.replaces.is_empty() {
        return Ok(());
    }
    let beside =
        |name: &UnitName| requirements(name).map_or_else(BTreeSet::new, |wanted| named(name, &wanted.machine_of));
    let replaces = |other: &UnitName| own.replaces.iter().any(|glob| glob.matches(other.as_str()));
    let mut seen = BTreeSet::from([unit.clone()]);
    let mut stack = vec![unit.clone()];
    while let Some(at) = stack.pop() {
        for next in beside(&at) {
            if next != *unit && replaces(&next) {
                let way = way(unit, &next, beside).unwrap_or_default();
                return Err(Circular::Replaces { by: unit.clone(), unit: next, way });
            }
            if seen.insert(next.clone()) {
                stack.push(next);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet_units::UnitFile;

    fn unit(name: &str) -> UnitName {
        UnitName::parse(name).expect("a name")
    }

    /// Units with their sections, the last of which is submitted.
    fn submit(units: &[(&str, &str)]) -> Result<(), String> {
        let read = |(name, section): &(&str, &str)| {
            let file = UnitFile::parse(&format!("[X-Fleet]\n{section}\n")).expect("a file");
            (unit(name), Arc::new(Requirements::parse(&file, &unit(name)).expect("sound options")))
        };
        let all: BTreeMap<UnitName, Arc<Requirements>> = units.iter().map(read).collect();
        let begin = |prefix: &str| all.keys().filter(|name| name.as_str().starts_with(prefix)).cloned().collect();
        let (last, _) = units.last().expect("one");
        refuse_circles(&unit(last), begin, |name| all.get(name).cloned()).map_err(|error| error.to_string())
    }

    #[test]
    fn starts_that_wait_for_each_other_are_named() {
        let two = submit(&[("b.service", "After=a.service"), ("a.service", "Requires=b.service")]);
        let words = "After and Requires make a circle, in which no unit could be started: ";
        assert_eq!(two.unwrap_err(), format!("{words}a.service → b.service → a.service"));
        let three = submit(&[
            ("b.service", "After=c.service"),
            ("c.service", "Requires=a.service x.service"),
            ("x.service", ""),
            ("a.service", "After=b.service"),
        ]);
        assert_eq!(three.unwrap_err(), format!("{words}a.service → b.service → c.service → a.service"));
        let patterns = submit(&[("web@1.service", "After=web@*.service"), ("web@2.service", "After=web@*.service")]);
        assert_eq!(patterns.unwrap_err(), format!("{words}web@1.service → web@2.service → web@1.service"));
    }

    #[test]
    fn what_makes_no_circle_may_be_submitted() {
        // Two ways to one unit, a unit that is not there, a template, and a circle that others made.
        submit(&[
            ("d.service", ""),
            ("b.service", "After=d.service"),
            ("c.service", "After=d.service gone.service"),
            ("x.service", "After=y.service"),
            ("y.service", "After=x.service"),
            ("a.service", "After=b.service c.service\nRequires=x.service"),
        ])
        .unwrap();
        submit(&[("web@1.service", "After=web@.service"), ("web@.service", "After=web@*.service")]).unwrap();
        // Units that must be with each other are put on one machine, and may start in an order.
        submit(&[("b.service", "MachineOf=a.service\nAfter=a.service"), ("a.service", "MachineOf=b.service")]).unwrap();
    }

    #[test]
    fn nobody_replaces_what_it_must_be_with() {
        let chain = [
            ("c.service", ""),
            ("b.service", "MachineOf=c.service"),
            ("a.service", "MachineOf=b.service\nReplaces=c.*"),
        ];
        assert_eq!(
            submit(&chain).unwrap_err(),
            "a.service replaces c.service, and MachineOf puts them on one machine: a.service → b.service → c.service"
        );
        submit(&[("c.service", ""), ("b.service", ""), ("a.service", "MachineOf=b.service\nReplaces=c.*")]).unwrap();
    }
}
