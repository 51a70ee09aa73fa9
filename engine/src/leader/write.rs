//! Schedules on their way to the registry: fenced, compared, in transactions of bounded size.
//!
//! Transactions of one wave are under way together, in any order; the next wave goes out when the whole of the last is
//! known to have taken effect. What takes units from a lost machine is in an earlier wave than what gives them to
//! others, or in the same transaction, so that no unit is ever listed twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{Record, ScheduleRecord};
use fleet_registry::store::{Compare, Operation, PutRequest, RangeRequest, TxnRequest};
use fleet_registry::{Key, Layout};
use fleet_units::MachineId;

/// etcd takes 128 compares: the leader's, one a schedule, and one a lost machine.
const MAX_COMPARES: usize = 128;

/// Bytes of schedules in a transaction; etcd takes 1.5 MiB.
const MAX_BYTES: usize = 1 << 20;

/// Transactions under way at once.
const MAX_IN_FLIGHT: usize = 16;

/// One schedule to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub(crate) machine: MachineId,
    pub(crate) record: Arc<ScheduleRecord>,
    /// Mod revision of the value that it replaces; 0 where there is none.
    pub(crate) replaces: i64,
    /// Machines that must be absent for it.
    pub(crate) absent: BTreeSet<MachineId>,
    /// Whether it takes units from a lost machine.
    pub(crate) takes_from_lost: bool,
}

impl Write {
    /// A schedule that is to stand in the place of what has this mod revision.
    pub(crate) fn new(machine: MachineId, record: ScheduleRecord, replaces: i64) -> Self {
        Self { machine, record: Arc::new(record), replaces, absent: BTreeSet::new(), takes_from_lost: false }
    }
}

/// Writes that are one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<Write>,
    bytes: usize,
    absent: BTreeSet<MachineId>,
}

impl Batch {
    fn takes(&self, write: &Write) -> bool {
        let absent = self.absent.union(&write.absent).count();
        self.writes.is_empty()
            || (1 + self.writes.len() + 1 + absent <= MAX_COMPARES && self.bytes + bytes(&write.record) <= MAX_BYTES)
    }

    fn push(&mut self, write: Write) {
        self.bytes += bytes(&write.record);
        self.absent.extend(write.absent.iter().cloned());
        self.writes.push(write);
    }

    /// The write of a machine's schedule.
    pub(crate) fn write_of(&mut self, machine: &MachineId) -> Option<&mut Write> {
        let at = self.writes.binary_search_by(|write| write.machine.cmp(machine)).ok()?;
        self.writes.get_mut(at)
    }

    /// The transaction. Schedules are encoded here, while those of others are on their way. When it fails, it answers what stands in its way: the leader's key, then each schedule's, then
    /// each machine's, without their values.
    pub(crate) fn request(&self, layout: &Layout, fence: i64) -> TxnRequest {
        let leader = layout.encode(&Key::Leader);
        let look = |key: Bytes| Operation::Range(RangeRequest { keys_only: true, ..RangeRequest::key(key) });
        let mut txn = TxnRequest {
            compare: vec![Compare::created_at(leader.clone(), fence)],
            success: Vec::new(),
            failure: vec![look(leader)],
        };
        if planted::is(Fault::NoFence) {
            txn.compare.clear();
        }
        for write in &self.writes {
            let key = layout.encode(&Key::Schedule(write.machine.clone()));
            txn.compare.push(Compare::modified_at(key.clone(), write.replaces));
            txn.success.push(Operation::Put(PutRequest::new(key.clone(), write.record.encode())));
            txn.failure.push(look(key));
        }
        for machine in &self.absent {
            let key = layout.encode(&Key::Machine(machine.clone()));
            if !planted::is(Fault::NoAbsenceCompare) {
                txn.compare.push(Compare::absent(key.clone()));
            }
            txn.failure.push(look(key));
        }
        txn
    }

    /// The machines that it looks at when it fails, in the order of its answers after the leader's key and the
    /// schedules'.
    pub(crate) fn absent(&self) -> &BTreeSet<MachineId> {
        &self.absent
    }
}

/// Batches that are under way or wait for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    waves: VecDeque<VecDeque<Batch>>,
    pub(crate) in_flight: BTreeMap<u64, Batch>,
}

impl Writer {
    /// Whether anything is under way or waits for it.
    pub(crate) fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || !self.waves.is_empty()
    }

    /// Takes up writes.
    pub(crate) fn enqueue(&mut self, writes: Vec<Write>) {
        let whole = batches(writes);
        if whole.len() <= 1 {
            self.waves.extend((!whole.is_empty()).then_some(whole));
            return;
        }
        let writes = whole.into_iter().flat_map(|batch| batch.writes);
        let (first, second): (Vec<Write>, Vec<Write>) = writes.partition(|write| write.takes_from_lost);
        self.waves.extend([batches(first), batches(second)].into_iter().filter(|wave| !wave.is_empty()));
    }

    /// The next batch to send, if one may go out now.
    pub(crate) fn next(&mut self) -> Option<Batch> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        while self.waves.front().is_some_and(VecDeque::is_empty) {
            if !self.in_flight.is_empty() {
                return None;
            }
            self.waves.pop_front();
        }
        self.waves.front_mut()?.pop_front()
    }

    /// Forgets what was not sent yet.
    pub(crate) fn drop_queue(&mut self) {
        self.waves.clear();
    }
}

/// As many bytes as a schedule takes at most once it is encoded.
fn bytes(record: &ScheduleRecord) -> usize {
    /// What is said of a unit beside its name and its text, and of a schedule beside its units.
    const REST: usize = 160;
    let is_plain = record.extra.is_empty() && record.units.values().all(|given| given.extra.is_empty());
    if !is_plain {
        return record.encode().len();
    }
    // What is no letter may take two bytes.
    let units = record.units.iter().map(|(name, given)| 2 * name.as_str().len() + given.content.0.len() + REST);
    let leaving = record.leaving.keys().map(|name| 2 * name.as_str().len() + REST);
    REST + units.sum::<usize>() + leaving.sum::<usize>()
}

/// Writes in the order of their machines, in as few batches as will do.
fn batches(mut writes: Vec<Write>) -> VecDeque<Batch> {
    writes.sort_by(|a, b| a.machine.cmp(&b.machine));
    let mut batches = VecDeque::new();
    let mut batch = Batch::default();
    for write in writes {
        if !batch.takes(&write) {
            batches.push_back(std::mem::take(&mut batch));
        }
        batch.push(write);
    }
    if !batch.writes.is_empty() {
        batches.push_back(batch);
    }
    batches
}
