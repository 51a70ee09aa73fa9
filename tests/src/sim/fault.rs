//! What can go wrong with machines and with the store.

use std::time::Duration;

use bytes::Bytes;
use fleet_agent::Event;
use fleet_registry::Key;
use fleet_registry::loopback::{Connection, Fault};
use fleet_registry::memory::Memory;
use fleet_registry::record::{ClusterId, ClusterRecord, Extra, FORMAT, Record, ScheduleRecord};
use fleet_registry::store::{Operation, PutRequest, Request, TxnRequest};

use super::world::World;

/// How long an agent that met another cluster's store may take until it looks again.
const LOOKS_AGAIN: Duration = Duration::from_secs(10);

/// The other cluster's id.
pub(super) const ANOTHER: &str = "another";

impl World {
    /// fleetd is gone from one moment to the next, and started again later.
    pub(super) fn kill(&mut self, n: usize, again: Duration) {
        let machine = &mut self.machines[n];
        machine.link.abandon(&mut self.memory);
        machine.systemd.forget_callers();
        machine.waiting.clear();
        (machine.fleetd, machine.fate, machine.paused_until) = (None, None, None);
        machine.leaving = None;
        // Not before the power is back: until then its clock stands still.
        machine.starts_at = Some((self.now + again).max(machine.clock.booted()));
        machine.disturb(self.now + again);
        self.touch(n);
        self.say(n, format_args!("fleetd is dead"));
    }

    /// Power loss: nothing runs, and nothing in /run is left.
    pub(super) fn power_loss(&mut self, n: usize, again: Duration) {
        self.kill(n, again);
        let machine = &mut self.machines[n];
        machine.systemd.power_loss();
        machine.disk.power_loss();
        machine.boots += 1;
        machine.clock.reboot(self.now + again);
        self.look_at_systemd(n);
        self.say(n, format_args!("power loss"));
    }

    /// fleetd stands still, shorter or longer than its lease.
    pub(super) fn pause(&mut self, n: usize, time: Duration) {
        let machine = &mut self.machines[n];
        if machine.fleetd.is_some() && machine.paused_until.is_none() {
            machine.paused_until = Some(self.now + time);
            machine.disturb(self.now + time);
            self.touch(n);
            self.say(n, format_args!("fleetd stands still"));
        }
    }

    /// Changes what a machine's link does.
    pub(super) fn connect(&mut self, n: usize, connection: Connection) {
        self.machines[n].connection = connection;
        self.machines[n].disturb(self.now);
        self.say(n, format_args!("link: {connection:?}"));
        self.plug(n);
    }

    /// Changes what all links do, or lets each do its own again.
    pub(super) fn set_outage(&mut self, outage: Option<Connection>) {
        self.outage = outage;
        self.reality.outage_changed = self.now;
        self.timeline.push(self.now, "store", format_args!("outage: {outage:?}"));
        (0..self.machines.len()).for_each(|n| self.plug(n));
    }

    fn plug(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        machine.link.connect(&mut self.memory, self.now, self.outage.unwrap_or(machine.connection));
        // What its watches had to tell meanwhile.
        machine.news = true;
        self.touch(n);
    }

    /// Every link works again.
    pub(super) fn mend_all(&mut self) {
        for n in 0..self.machines.len() {
            if self.machines[n].connection != Connection::Up {
                self.connect(n, Connection::Up);
            }
        }
    }

    /// fleetd is stopped for good: it gives back what it can, and ends.
    pub(super) fn leave(&mut self, n: usize, again: Duration) {
        let machine = &mut self.machines[n];
        if machine.awake().is_none() || machine.leaving.is_some() {
            return;
        }
        machine.leaving = Some(again);
        machine.disturb(self.now);
        self.touch(n);
        self.say(n, format_args!("fleetd is stopped for good"));
        self.agent(n, Event::Leave);
    }

    /// The store's address leads to the store of another cluster, which has empty schedules for all these machines.
    pub(super) fn go_elsewhere(&mut self) {
        if self.own.is_some() {
            return;
        }
        let mut other = Memory::new(self.seed ^ 0xf0e1);
        let put = |key: &Key, value: Bytes| Operation::Put(PutRequest::new(self.layout.encode(key), value));
        let id = ClusterId(ANOTHER.to_owned());
        let cluster = ClusterRecord { v: FORMAT, id, created: 0, extra: Extra::new() };
        let mut success = vec![put(&Key::Cluster, cluster.encode())];
        for machine in &self.machines {
            let (units, leaving) = Default::default();
            let empty = ScheduleRecord { v: FORMAT, generation: 1_000_000, units, leaving, extra: Extra::new() };
            success.push(put(&Key::Schedule(machine.id.clone()), empty.encode()));
        }
        let written = other.apply(self.now, Request::Txn(TxnRequest { success, ..TxnRequest::default() }));
        self.check(written.map(|_| ()).map_err(|error| error.to_string()));
        self.timeline.push(self.now, "store", format_args!("another cluster's"));
        let own = self.change_store(other);
        self.own = Some(own);
    }

    /// It leads to the own store again.
    pub(super) fn go_home(&mut self) {
        if let Some(own) = self.own.take() {
            self.timeline.push(self.now, "store", format_args!("their own again"));
            self.change_store(own);
            // Agents that met a store that is not theirs look again after a while.
            self.reality.outage_changed = self.now + LOOKS_AGAIN;
        }
    }

    /// Puts another store in place of this one; watches break.
    pub(super) fn change_store(&mut self, other: Memory) -> Memory {
        for n in 0..self.machines.len() {
            self.machines[n].link.break_watches(&mut self.memory, self.now);
            self.touch(n);
        }
        self.reality.outage_changed = self.now;
        self.forget_watchers();
        std::mem::replace(&mut self.memory, other)
    }

    /// This befalls the machine's next call.
    pub(super) fn inject(&mut self, n: usize, fault: Fault) {
        self.say(n, format_args!("the next call: {fault:?}"));
        self.machines[n].link.inject(fault);
        // The next keep-alive meets it at the latest.
        self.machines[n].disturb(self.now + Duration::from_secs(8));
    }

    /// The machine's watches break.
    pub(super) fn break_watches(&mut self, n: usize) {
        self.say(n, format_args!("watches break"));
        self.machines[n].disturb(self.now);
        self.machines[n].link.break_watches(&mut self.memory, self.now);
        self.touch(n);
    }

    /// The store forgets all history.
    pub(super) fn compact(&mut self) {
        let revision = self.memory.header().revision;
        self.timeline.push(self.now, "store", format_args!("compacted at {revision}"));
        // Refused when nothing was written since the last one.
        let _ = self.memory.apply(self.now, Request::Compact { revision, physical: true });
    }

    /// The machine's message bus is restarted.
    pub(super) fn restart_bus(&mut self, n: usize) {
        self.say(n, format_args!("the message bus restarts"));
        self.machines[n].disturb(self.now);
        if self.machines[n].fleetd.is_some() {
            self.machines[n].systemd.disconnect(self.now);
            self.touch(n);
        }
    }
}
