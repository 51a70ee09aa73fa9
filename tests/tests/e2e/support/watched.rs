//! Units that are watched from before a fault to after it.

use std::cell::RefCell;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;

use super::spans::{Span, clock, overlaps, spans};
use super::truth::agreed;
use super::{Person, Run, Runs, once, runs, telling, until};

/// Units that ran, once each, before whatever happens.
pub(crate) struct Watched<'a> {
    cluster: &'a Cluster,
    units: Vec<&'a str>,
    before: Runs,
    out_of_touch: RefCell<Vec<OutOfTouch>>,
}

/// Since when nobody could tell a machine anything.
struct OutOfTouch {
    machine: u8,
    since: u128,
    until: Option<u128>,
}

impl<'a> Watched<'a> {
    /// Submits `u@.service`, which tells when it runs, and starts these instances of it at this machine.
    pub(crate) fn start(cluster: &'a Cluster, machine: u8, units: &[&'a str]) -> Result<Self> {
        let person = Person::at(cluster, machine);
        person.save("u@.service", telling(""))?;
        // From whichever machine more are started.
        person.fleetctl("submit u@.service")?;
        person.fleetctl(&format!("start {}", units.join(" ")))?;
        Self::begin(cluster, units)
    }

    /// Waits until each of these units, which are [`telling`] ones, runs once, and watches them from then on.
    pub(crate) fn begin(cluster: &'a Cluster, units: &[&'a str]) -> Result<Self> {
        let before = once(cluster, units)?;
        Ok(Self { cluster, units: units.to_vec(), before, out_of_touch: RefCell::default() })
    }

    /// The units that ran on this machine; it is an error if there are none.
    pub(crate) fn on(&self, machine: u8) -> Result<Vec<&'a str>> {
        let on: Vec<&str> = self.units.iter().copied().filter(|unit| self.before[*unit].machine == machine).collect();
        ensure!(!on.is_empty(), "nothing to lose on machine {machine}: {:?}", self.before);
        Ok(on)
    }

    /// From now on until everything agrees again, this machine may run on what is given to others.
    pub(crate) fn loses_touch(&self, machine: u8) {
        let since = clock(SystemTime::now());
        self.out_of_touch.borrow_mut().push(OutOfTouch { machine, since, until: None });
    }

    /// Each of the units has the run that it had.
    pub(crate) fn untouched(&self) -> Result<()> {
        self.untouched_but(&[])
    }

    /// Each of the units but these has the run that it had.
    pub(crate) fn untouched_but(&self, moved: &[&str]) -> Result<()> {
        let rest: Vec<&str> = self.units.iter().copied().filter(|unit| !moved.contains(unit)).collect();
        let now = runs(self.cluster, &rest)?;
        for (unit, run) in now {
            ensure!(run == self.before[&unit], "{unit} was touched: {:?} is now {run:?}", self.before[&unit]);
        }
        Ok(())
    }

    /// After the fault: once fleet at this machine says what systemd says on all machines, `moved` run once, and are
    /// other runs; all others have the run that they had; and no unit ever ran twice, but where its machine was out of
    /// touch.
    pub(crate) fn settles(&self, machine: u8, moved: &[&str]) -> Result<Runs> {
        let after = until("units do not run once", || {
            let after = runs(self.cluster, &self.units)?;
            let still = moved.iter().find(|unit| after[**unit] == self.before[**unit]);
            ensure!(still.is_none(), "{still:?} has the run that it had: {after:?}");
            Ok(after)
        })?;
        agreed(self.cluster, machine)?;
        let now = clock(SystemTime::now());
        self.out_of_touch.borrow_mut().iter_mut().for_each(|out| out.until = out.until.or(Some(now)));
        self.untouched_but(moved)?;
        let later = runs(self.cluster, &self.units)?;
        ensure!(after == later, "units do not stay as they are: {after:#?}\n{later:#?}");
        for unit in &self.units {
            self.never_twice(unit, &after[*unit])?;
        }
        Ok(after)
    }

    /// By what the unit told: it runs as systemd says, and never ran twice but where that cannot be helped.
    fn never_twice(&self, unit: &str, run: &Run) -> Result<()> {
        let spans = spans(self.cluster, unit)?;
        let shown = || spans.iter().map(Span::to_string).collect::<Vec<_>>().join("\n");
        let open: Vec<&str> = spans.iter().filter(|s| s.end.is_none()).map(|s| s.invocation.as_str()).collect();
        ensure!(open == [run.invocation.as_str()], "{unit} runs as {run:?}, and says:\n{}", shown());
        for (one, other) in overlaps(&spans) {
            ensure!(
                self.excused(one, other) || self.excused(other, one),
                "{unit} ran twice at once, as {one} and as {other}; all it says:\n{}",
                shown()
            );
        }
        Ok(())
    }

    /// Whether `left` ran on, on a machine that nobody could tell that it was given to others as `given`.
    fn excused(&self, left: &Span, given: &Span) -> bool {
        let within = |out: &OutOfTouch| {
            let over = left.end.zip(out.until).is_some_and(|(end, until)| end <= until);
            left.machine == out.machine && left.begin < out.since && out.since < given.begin && over
        };
        self.out_of_touch.borrow().iter().any(within)
    }
}
