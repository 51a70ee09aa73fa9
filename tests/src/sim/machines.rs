//! What befalls machines from outside fleet: full disks, copies of a machine, and people who make one a member of another
//! cluster.

use std::time::Duration;

use fleet_agent::Event;
use fleet_registry::loopback::Connection;

use super::clock::Clock;
use super::disk::Disk;
use super::machine::{Machine, TTL};
use super::world::World;

/// After a disk was full everything is tried again within so long.
const TRIED_AGAIN: Duration = Duration::from_secs(70);
/// How long a copy of a machine is there: no longer than the machine's own lease surely lives.
const COPY: Duration = Duration::from_millis(2_500);
/// Boots of a copy, which tell it from the machine.
const BOOTS: u32 = 1_000;

impl World {
    /// Nothing can be written on a machine's disk any more, of units, of what fleet remembers, or of both.
    pub(super) fn fill_disk(&mut self, n: usize, units: bool, state: bool) {
        self.say(n, format_args!("the disk is full, for units: {units}, for the state: {state}"));
        let full = |is: bool| is.then(|| "no space left on device".to_owned());
        let disk = &mut self.machines[n].disk;
        (disk.error, disk.state_error) = (full(units), full(state));
    }

    /// There is room again.
    pub(super) fn make_room(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        if machine.disk.is_full() {
            (machine.disk.error, machine.disk.state_error) = (None, None);
            machine.disturb(self.now + TRIED_AGAIN);
            self.say(n, format_args!("the disk has room again"));
        }
    }

    /// A copy of a machine's disk boots elsewhere while the machine is there: it is refused, touches nothing, and the
    /// machine is not touched. Then it is switched off.
    pub(super) fn copy_machine(&mut self, n: usize) {
        let original = &self.machines[n];
        let id = original.id.clone();
        let steady = original.awake().is_some() && original.connection == Connection::Up && original.fate.is_none();
        let present = self.truth.present.get(&id).map(|record| record.instance.clone());
        // One whose own lease may end meanwhile leaves its place to its copy, and that is no mistake.
        let renewed = original.disturbed + TTL < self.now && original.leaving.is_none();
        let reachable = self.outage.is_none() && self.own.is_none();
        let Some(instance) = present.filter(|_| steady && renewed && reachable) else { return };
        let mut copy = Machine::new(n, Clock::new(self.now, 0));
        copy.boots = BOOTS;
        copy.link.delays = original.link.delays;
        copy.disk =
            Disk { cluster: original.disk.cluster.clone(), memory: original.disk.memory.clone(), ..Disk::default() };
        copy.starts_at = Some(self.now);
        self.say(n, format_args!("a copy of this machine boots"));
        self.add_machine(copy);
        self.run(COPY);
        let copy = self.drop_machine();
        self.say(n, format_args!("its copy is switched off"));
        if let Some((job, unit)) = copy.systemd.asked.first() {
            self.check(Err(format!("a copy of {id} is to {job:?} {unit}")));
        }
        let now = self.truth.present.get(&id).map(|record| &record.instance);
        if now != Some(&instance) {
            let what = format!("a copy of {id} took its place: {instance} was there, and {now:?} is");
            self.check(Err(what));
        }
    }

    /// People make a machine a member of the cluster whose store it found: the first from this one on that found another's.
    pub(super) fn accept(&mut self, from: usize) {
        let count = self.machines.len();
        let found = |n: &usize| self.machines[*n].awake().is_some_and(|fleetd| fleetd.agent.status().foreign.is_some());
        if let Some(n) = (from..from + count).map(|n| n % count).find(found) {
            self.accept_at(n);
        }
    }

    fn accept_at(&mut self, n: usize) {
        let foreign = self.machines[n].awake().and_then(|fleetd| fleetd.agent.status().foreign);
        if let Some(foreign) = foreign {
            self.say(n, format_args!("join --accept: {:?}", foreign.found));
            self.machines[n].disturb(self.now);
            self.agent(n, Event::Accept { found: foreign.found });
        }
    }

    /// Whoever joined another cluster is made a member of the own one again.
    pub(super) fn bring_back(&mut self) {
        if self.own.is_none() {
            (0..self.machines.len()).for_each(|n| self.accept_at(n));
        }
    }
}
