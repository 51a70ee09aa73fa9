mod faults;
mod steps;

use std::collections::BTreeMap;

use super::*;
use crate::loopback::Loopback;
use crate::store::{DeleteRequest, Operation, PutRequest, RangeRequest, ResponseBody, TxnRequest};

const ROOT: &str = "/fleet/v3/";

fn key(name: &str) -> Bytes {
    Bytes::from(format!("{ROOT}{name}"))
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A mirror at the end of a link, and a copy made of what it hands over.
struct Rig {
    mirror: Mirror,
    store: Loopback,
    now: Mono,
    copy: BTreeMap<Bytes, KeyValue>,
    /// Everything that was handed over, without the store's effects.
    told: Vec<MirrorEffect>,
    /// Requests and watches that were made.
    asked: Vec<StoreEffect>,
}

impl Rig {
    fn new(seed: u64, page: i64) -> Self {
        let mirror = Mirror::new(MirrorConfig { page, ..MirrorConfig::prefix(ROOT, Owner::Mirror, seed) });
        let store = Loopback::new(seed);
        Self { mirror, store, now: seconds(100), copy: BTreeMap::new(), told: Vec::new(), asked: Vec::new() }
    }

    fn input(&mut self, input: MirrorInput) {
        for effect in self.mirror.step(Now { mono: self.now, wall: 0 }, input) {
            match effect {
                MirrorEffect::Store(effect) => {
                    self.asked.push(effect.clone());
                    self.store.perform(self.now, effect);
                }
                effect => {
                    self.take_in(&effect);
                    self.told.push(effect);
                }
            }
        }
    }

    fn take_in(&mut self, effect: &MirrorEffect) {
        match effect {
            MirrorEffect::Changes { revision, changes } => {
                assert!(!changes.is_empty(), "no empty changes");
                for change in changes {
                    match &change.new {
                        Some(kv) => {
                            assert!(kv.mod_revision <= *revision);
                            self.copy.insert(change.key.clone(), kv.clone());
                        }
                        None => {
                            let old = self.copy.remove(&change.key);
                            assert!(old.is_some(), "{:?} was deleted twice", change.key);
                        }
                    }
                }
            }
            // What is complete is what the store held at that revision.
            MirrorEffect::Complete { revision } => {
                if let Some(there) = self.there(*revision) {
                    assert_eq!(self.copy, there, "complete at {revision}");
                }
            }
            MirrorEffect::Stale { .. } | MirrorEffect::Restored { .. } | MirrorEffect::Store(_) => {}
        }
    }

    /// What the store holds at a revision, or none if that was compacted.
    fn there(&mut self, revision: i64) -> Option<BTreeMap<Bytes, KeyValue>> {
        let request = Request::Range(RangeRequest { revision, ..RangeRequest::prefix(ROOT) });
        let response = self.store.memory.clone().apply(self.now, request).ok()?;
        let ResponseBody::Range(range) = response.body else { panic!("{response:?}") };
        Some(range.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect())
    }

    /// Lets time pass.
    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            for event in self.store.poll(self.now) {
                self.input(MirrorInput::Store(event));
            }
            let next = [self.store.link.next_deadline(), self.mirror.wakeup()].into_iter().flatten().min();
            match next {
                Some(next) if next <= until => {
                    self.now = self.now.max(next);
                    if self.mirror.wakeup().is_some_and(|wakeup| wakeup <= self.now) {
                        self.input(MirrorInput::Tick);
                    }
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        self.store.put(self.now, PutRequest::new(key(name), value.to_owned())).unwrap();
    }

    /// Puts and deletes in one revision.
    fn commit(&mut self, puts: &[(&str, &str)], deletes: &[&str]) {
        let puts = puts.iter().map(|(name, value)| Operation::Put(PutRequest::new(key(name), (*value).to_owned())));
        let deletes =
            deletes.iter().map(|name| Operation::Delete(DeleteRequest { key: key(name), ..DeleteRequest::default() }));
        let success = puts.chain(deletes).collect();
        self.store.call(self.now, Request::Txn(TxnRequest { success, ..TxnRequest::default() })).unwrap();
    }

    /// What was handed over since this was last called.
    fn told(&mut self) -> Vec<MirrorEffect> {
        std::mem::take(&mut self.told)
    }

    fn revision(&self) -> i64 {
        self.store.memory.header().revision
    }

    /// The mirror has everything, and says so.
    fn assert_whole(&mut self) {
        assert!(self.mirror.is_complete(), "{:?}", self.mirror);
        let there = self.there(0).unwrap();
        assert_eq!(self.copy, there);
    }
}

/// Names of the keys of some changes, deleted ones with a minus.
fn names(effects: &[MirrorEffect]) -> Vec<String> {
    let mut names = Vec::new();
    for effect in effects {
        match effect {
            MirrorEffect::Changes { changes, .. } => names.extend(changes.iter().map(|change| {
                let name = String::from_utf8_lossy(&change.key[ROOT.len()..]).into_owned();
                if change.new.is_some() { name } else { format!("-{name}") }
            })),
            MirrorEffect::Complete { .. } => names.push("complete".to_owned()),
            MirrorEffect::Stale { .. } => names.push("stale".to_owned()),
            MirrorEffect::Restored { .. } => names.push("restored".to_owned()),
            MirrorEffect::Store(_) => {}
        }
    }
    names
}
