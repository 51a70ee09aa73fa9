//! What people write to the registry, and what is there.

use std::collections::BTreeMap;

use fleet_registry::mirror::KvChange;
use fleet_registry::record::{
    BrakeRecord, ContentRecord, FORMAT, LeaderRecord, NoteRecord, OperatorRecord, Record, ScheduleRecord, UnitRecord,
};
use fleet_registry::store::{
    DeleteRequest, KeyValue, Operation, PutRequest, RangeRequest, Request, ResponseBody, TxnRequest,
};
use fleet_registry::view::Contents;
use fleet_registry::{Key, View};
use fleet_units::{DesiredState, UnitFile};

use super::{Node, Rig, machine, text, unit};

impl Rig {
    pub(crate) fn put(&mut self, key: &Key, value: &impl Record) {
        let put = PutRequest::new(self.layout.encode(key), value.encode());
        self.write(Operation::Put(put));
    }

    /// Somebody writes this by hand, as etcdctl does.
    pub(crate) fn garble(&mut self, key: &Key, value: &str) {
        let put = PutRequest::new(self.layout.encode(key), value.to_owned());
        self.write(Operation::Put(put));
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        let key = self.layout.encode(key);
        self.write(Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() }));
    }

    pub(crate) fn write(&mut self, operation: Operation) {
        let request = Request::Txn(TxnRequest { success: vec![operation], ..TxnRequest::default() });
        self.memory.apply(self.now, request).expect("the store takes it");
    }

    /// Submits units in one transaction, as the API does.
    pub(crate) fn submit(&mut self, units: &[(&str, &str, DesiredState)]) {
        let mut success = BTreeMap::new();
        for (name, text, desired) in units {
            let file = UnitFile::parse(text).expect("a unit file");
            let content =
                ContentRecord { v: FORMAT, text: text.to_string(), drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
            let record = UnitRecord {
                v: FORMAT,
                content: content.key(),
                hash: file.hash(),
                desired: *desired,
                avoids: None,
                restarts: 0,
                changed: 0,
                changed_by: String::new(),
                extra: BTreeMap::new(),
            };
            success.insert(self.layout.encode(&Key::Content(content.key())), content.encode());
            success.insert(self.layout.encode(&Key::Unit(unit(name))), record.encode());
        }
        let success = success.into_iter().map(|(key, value)| Operation::Put(PutRequest::new(key, value))).collect();
        let request = Request::Txn(TxnRequest { success, ..TxnRequest::default() });
        self.memory.apply(self.now, request).expect("the store takes it");
    }

    pub(crate) fn start(&mut self, name: &str, fleet: &str) {
        self.submit(&[(name, &text(fleet), DesiredState::Launched)]);
    }

    pub(crate) fn desire(&mut self, name: &str, desired: DesiredState) {
        let key = Key::Unit(unit(name));
        let mut record: UnitRecord = self.get(&key).expect("the unit is there");
        record.desired = desired;
        self.put(&key, &record);
    }

    pub(crate) fn operate(&mut self, name: &str, act: impl FnOnce(&mut OperatorRecord)) {
        let mut record = OperatorRecord {
            v: FORMAT,
            metadata: BTreeMap::new(),
            cordoned: false,
            draining: false,
            extra: BTreeMap::new(),
        };
        act(&mut record);
        self.put(&Key::Operator(machine(name)), &record);
    }

    pub(crate) fn kv(&mut self, key: &Key) -> Option<KeyValue> {
        let request = Request::Range(RangeRequest::key(self.layout.encode(key)));
        match self.memory.apply(self.now, request).expect("the store reads").body {
            ResponseBody::Range(range) => range.kvs.into_iter().next(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get<T: Record>(&mut self, key: &Key) -> Option<T> {
        self.kv(key).map(|kv| T::decode(&kv.value).expect("a record"))
    }

    /// All that the registry holds, as any fleetd sees it.
    pub(crate) fn view(&mut self) -> View {
        let request = Request::Range(RangeRequest::prefix(self.layout.root().to_owned()));
        let ResponseBody::Range(range) = self.memory.apply(self.now, request).expect("the store reads").body else {
            panic!("no range");
        };
        let mut view = View::new(self.layout.clone(), Contents::Keep);
        for found in range.kvs {
            view.apply(&KvChange { key: found.key.clone(), new: Some(found) });
        }
        view
    }

    /// How many keys there are below a part of the layout.
    pub(crate) fn count(&mut self, below: &str) -> usize {
        let request = Request::Range(RangeRequest::prefix(format!("{}{below}", self.layout.root())));
        match self.memory.apply(self.now, request).expect("the store reads").body {
            ResponseBody::Range(range) => range.kvs.len(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn schedule(&mut self, name: &str) -> Option<ScheduleRecord> {
        // As an agent takes it: one that cannot be read is none.
        self.kv(&Key::Schedule(machine(name))).and_then(|kv| ScheduleRecord::decode(&kv.value).ok())
    }

    pub(crate) fn note(&mut self, name: &str) -> Option<NoteRecord> {
        self.get(&Key::Note(unit(name)))
    }

    pub(crate) fn brake(&mut self) -> Option<BrakeRecord> {
        self.get(&Key::Brake)
    }

    pub(crate) fn leader(&mut self) -> Option<String> {
        self.get::<LeaderRecord>(&Key::Leader).map(|leader| leader.machine.to_string())
    }

    /// Machines whose schedule lists a unit.
    pub(crate) fn listed(&mut self, name: &str) -> Vec<String> {
        let ids: Vec<String> = self.nodes.iter().map(|node| node.id.to_string()).collect();
        let lists = |schedule: &ScheduleRecord| schedule.units.contains_key(&unit(name));
        ids.into_iter().filter(|id| self.schedule(id).as_ref().is_some_and(lists)).collect()
    }

    /// Machines that really run a unit.
    pub(crate) fn running(&self, name: &str) -> Vec<&str> {
        let runs = |node: &&Node| node.runs.contains_key(&unit(name));
        self.nodes.iter().filter(runs).map(|node| node.id.as_str()).collect()
    }

    /// What all engines logged, in words.
    pub(crate) fn log(&self) -> Vec<String> {
        self.nodes.iter().flat_map(|node| node.log.iter().map(|report| format!("{}: {report}", node.id))).collect()
    }

    /// Transactions that wrote schedules, by any engine.
    pub(crate) fn schedule_writes(&self) -> usize {
        let prefix = format!("{}schedule/", self.layout.root());
        let writes = |request: &&Request| match request {
            Request::Txn(txn) => txn.success.iter().any(|operation| match operation {
                Operation::Put(put) => put.key.starts_with(prefix.as_bytes()),
                _ => false,
            }),
            _ => false,
        };
        self.nodes.iter().flat_map(|node| &node.requests).filter(writes).count()
    }
}
