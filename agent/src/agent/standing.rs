//! How the machine stands with the cluster: whose store it is, its presence, and catching up.

use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{ClusterId, ClusterRecord, FORMAT, MachineRecord, Record};
use fleet_registry::store::{
    Compare, Event as StoreChange, EventKind, KeyValue, Operation, PutRequest, RangeRequest, Request, Response,
    ResponseBody, StoreError, TxnRequest, WatchRequest,
};
use fleet_registry::{Key, Mono, Now};

use super::progress::Progress;
use super::store::{CatchingUp, Purpose, Watched, range, txn};
use super::write::Fenced;
use super::{Agent, Local, Mode};
use crate::effect::{DiskEffect, Effect, Memory};
use crate::report::Report;

/// How long to wait before a store of another cluster is looked at again: a person has to act.
const FOREIGN_PAUSE: Duration = Duration::from_secs(10);

/// How the machine stands with the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no lease: nothing can be registered.
    NoLease,
    /// Something went wrong, or a person has to act: all is tried again then.
    Waiting {
        /// When.
        until: Mono,
    },
    /// It is being found out whose store this is.
    Checking,
    /// The machine's record is being written.
    Registering,
    /// Another machine, or this machine's last boot, holds the record.
    Refused,
    /// The schedule is being read.
    Reading {
        /// Whether the record says that the machine is catching up.
        catching_up: bool,
    },
    /// What is no longer the machine's own is being stopped; nothing is started yet.
    CatchingUp {
        /// Whether the last word of it is under way to the store.
        writing: bool,
    },
    /// The machine takes part.
    Present,
}

impl Standing {
    /// Whether the machine's record is there and its schedule was read.
    #[must_use]
    pub fn registered(&self) -> bool {
        matches!(self, Self::CatchingUp { .. } | Self::Present)
    }
}

impl Agent {
    pub(super) fn presence_key(&self) -> bytes::Bytes {
        self.config.layout.encode(&Key::Machine(self.config.facts.id.clone()))
    }

    /// Ends what depends on the lease: watches, and answers that are under way.
    pub(super) fn stand_down(&mut self, out: &mut Vec<Effect>) {
        self.calls.forget();
        self.forget_unknown();
        self.vetted = false;
        self.publisher.lost();
        self.cancel_watches(out);
        self.reread_at = None;
    }

    /// Starts over: whose store is it?
    pub(super) fn begin(&mut self, _now: Now, out: &mut Vec<Effect>) {
        self.stand_down(out);
        if self.lease.is_none() {
            self.standing = Standing::NoLease;
            return;
        }
        self.standing = Standing::Checking;
        // What this machine remembers comes first; adoption begins this anew.
        if self.local == Local::Adopted {
            let key = self.config.layout.encode(&Key::Cluster);
            self.call(Purpose::ClusterRead, Request::Range(RangeRequest::key(key)), out);
        }
    }

    /// Starts over after a pause; where the store was another cluster's, a person may have accepted it meanwhile.
    pub(super) fn begin_again(&mut self, now: Now, out: &mut Vec<Effect>) {
        if matches!(self.trouble, Some(Report::ForeignStore { .. })) {
            self.standing = Standing::Checking;
            out.push(Effect::Disk(DiskEffect::ReadCluster));
        } else {
            self.begin(now, out);
        }
    }

    pub(super) fn on_cluster_reread(
        &mut self,
        now: Now,
        result: Result<Option<ClusterId>, String>,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Ok(cluster) if cluster != self.cluster => {
                self.cluster = cluster;
                self.forget_schedule();
            }
            Ok(_) => {}
            Err(why) => self.say(Report::DiskTrouble { what: "the cluster's id cannot be read".into(), why }, out),
        }
        if self.standing == Standing::Checking {
            self.begin(now, out);
        }
    }

    /// Tries everything again after a while.
    fn pause(&mut self, now: Now, base: Duration) {
        let pause = self.jitter.between(base * 3 / 4, base);
        self.standing = Standing::Waiting { until: now.mono + pause };
    }

    pub(super) fn store_trouble(&mut self, now: Now, why: &str, out: &mut Vec<Effect>) {
        self.say(Report::StoreTrouble { why: why.to_owned() }, out);
        self.pause(now, self.config.ttl / 6);
    }

    /// Reports trouble once, however often it is met.
    pub(super) fn say(&mut self, report: Report, out: &mut Vec<Effect>) {
        let silent = |report: &Report| matches!(report, Report::StoreTrouble { .. });
        // A store that does not answer gives other reasons all the time; it is one outage.
        let goes_on = self.trouble.as_ref().is_some_and(|last| *last == report || (silent(last) && silent(&report)));
        if !goes_on {
            out.push(Effect::Log(report.clone()));
        }
        self.trouble = Some(report);
    }

    pub(super) fn on_cluster_read(&mut self, now: Now, result: Result<Response, StoreError>, out: &mut Vec<Effect>) {
        let kv = match result.map(|r| r.body) {
            Ok(ResponseBody::Range(range)) => range.kvs.into_iter().next(),
            Ok(_) => return self.store_trouble(now, "it answered something else than was asked", out),
            Err(error) => return self.store_trouble(now, &error.message, out),
        };
        let found = match kv.map(|kv| ClusterRecord::decode(&kv.value)).transpose() {
            Ok(record) => record.map(|r| r.id),
            Err(error) => {
                let key = String::from_utf8_lossy(&self.config.layout.encode(&Key::Cluster)).into_owned();
                self.say(Report::Unreadable { key, why: error.to_string() }, out);
                if self.cluster.is_none() {
                    return self.pause(now, FOREIGN_PAUSE);
                }
                let request = Request::Range(RangeRequest::key(self.presence_key()));
                return self.call(Purpose::Recognise, request, out);
            }
        };
        match (found, self.cluster.clone()) {
            (None, None) => self.found_cluster(now, out),
            (Some(found), None) => {
                out.push(Effect::Log(Report::Joined(found.clone())));
                self.remember_cluster(found, out);
            }
            (Some(found), Some(own)) if found == own || planted::is(Fault::ForeignStore) => self.register(now, out),
            (found, Some(remembered)) => {
                self.say(Report::ForeignStore { remembered, found }, out);
                self.pause(now, FOREIGN_PAUSE);
            }
        }
    }

    /// Whose store it is cannot be read; but where this very fleetd's own record is, that is where it was.
    pub(super) fn on_recognised(&mut self, now: Now, result: Result<Response, StoreError>, out: &mut Vec<Effect>) {
        let kv = match result.map(|response| response.body) {
            Ok(ResponseBody::Range(range)) => range.kvs.into_iter().next(),
            Ok(_) => None,
            Err(error) => return self.store_trouble(now, &error.message, out),
        };
        match kv.and_then(|kv| Some((MachineRecord::decode(&kv.value).ok()?, kv))) {
            Some((theirs, kv)) if theirs.instance == self.config.facts.instance => {
                self.standing = Standing::Registering;
                self.since = now.wall;
                self.take_back(&theirs, &kv, out);
            }
            _ => self.pause(now, FOREIGN_PAUSE),
        }
    }

    fn found_cluster(&mut self, now: Now, out: &mut Vec<Effect>) {
        let id = ClusterId(format!("{:016x}{:016x}", self.jitter.bits(), self.jitter.bits()));
        let key = self.config.layout.encode(&Key::Cluster);
        let record = ClusterRecord { v: FORMAT, id: id.clone(), created: now.wall, extra: Default::default() };
        let request = TxnRequest {
            compare: vec![Compare::absent(key.clone())],
            success: vec![Operation::Put(PutRequest::new(key, record.encode()))],
            failure: Vec::new(),
        };
        self.transact(Purpose::ClusterCreate(id), request, out);
    }

    pub(super) fn on_cluster_created(
        &mut self,
        now: Now,
        id: ClusterId,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        match result.map(txn) {
            Ok(Some(txn)) if txn.succeeded => {
                out.push(Effect::Log(Report::Founded(id.clone())));
                self.remember_cluster(id, out);
            }
            // Someone else was faster.
            Ok(_) => self.begin(now, out),
            Err(error) => self.store_trouble(now, &error.message, out),
        }
    }

    pub(super) fn remember_cluster(&mut self, id: ClusterId, out: &mut Vec<Effect>) {
        self.cluster = Some(id.clone());
        self.memory = Memory::default();
        out.push(Effect::Disk(DiskEffect::WriteCluster(id)));
    }

    pub(super) fn on_cluster_written(&mut self, now: Now, result: Result<(), String>, out: &mut Vec<Effect>) {
        match result {
            Ok(()) if self.standing == Standing::Checking => self.register(now, out),
            Ok(()) => {}
            Err(why) => {
                // A machine that cannot remember its cluster could not notice another: it takes no part.
                self.say(Report::DiskTrouble { what: "the cluster's id cannot be remembered".into(), why }, out);
                self.cluster = None;
                self.pause(now, FOREIGN_PAUSE);
            }
        }
    }

    /// This machine's record, as it should be now.
    pub(super) fn presence(&self, catching_up: bool) -> Operation {
        let facts = &self.config.facts;
        let record = MachineRecord {
            v: FORMAT,
            id: facts.id.clone(),
            hostname: facts.hostname.clone(),
            address: facts.address.clone(),
            peer: facts.peer.clone(),
            metadata: facts.metadata.clone(),
            capacity: facts.capacity.clone(),
            version: facts.version.clone(),
            boot_id: facts.boot_id.clone(),
            instance: facts.instance.clone(),
            schedule_seen: self.seen(),
            catching_up,
            leaving: self.mode == Mode::Leaving,
            carries_registry: facts.carries_registry,
            since: self.since,
            extra: Default::default(),
        };
        let lease = self.lease.unwrap_or_default();
        Operation::Put(PutRequest { lease, ..PutRequest::new(self.presence_key(), record.encode()) })
    }

    fn register(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.standing = Standing::Registering;
        self.since = now.wall;
        let key = self.presence_key();
        let request = TxnRequest {
            compare: vec![Compare::absent(key.clone())],
            success: vec![self.presence(true)],
            failure: vec![Operation::Range(RangeRequest::key(key))],
        };
        self.transact(Purpose::Register, request, out);
    }

    pub(super) fn on_registered(&mut self, now: Now, result: Result<Response, StoreError>, out: &mut Vec<Effect>) {
        let revision = result.as_ref().map_or(0, |response| response.header.revision);
        let txn = match result.map(txn) {
            Ok(Some(txn)) => txn,
            Ok(None) => return self.store_trouble(now, "it answered something else than was asked", out),
            Err(error) => return self.store_trouble(now, &error.message, out),
        };
        if txn.succeeded {
            return self.registered(revision, !planted::is(Fault::NoCatchingUp), out);
        }
        let Some(kv) = range(&txn, 0).first() else { return self.register(now, out) };
        match MachineRecord::decode(&kv.value) {
            Ok(theirs) if theirs.instance == self.config.facts.instance || planted::is(Fault::CopyTakesOver) => {
                self.take_back(&theirs, kv, out);
            }
            other => {
                self.report_holder(other.ok().as_ref(), out);
                self.standing = Standing::Refused;
                let request = WatchRequest::key(kv.key.clone(), kv.mod_revision + 1);
                self.watch(Watched::Presence, request, out);
            }
        }
    }

    /// A fleetd of this very boot wrote the record: the machine was never absent, so nothing was given elsewhere.
    fn take_back(&mut self, theirs: &MachineRecord, kv: &KeyValue, out: &mut Vec<Effect>) {
        let catching_up = theirs.catching_up || self.gap;
        let request = TxnRequest {
            compare: vec![Compare::modified_at(kv.key.clone(), kv.mod_revision)],
            success: vec![self.presence(catching_up)],
            failure: Vec::new(),
        };
        self.transact(Purpose::TakeBack { catching_up }, request, out);
    }

    fn report_holder(&mut self, theirs: Option<&MachineRecord>, out: &mut Vec<Effect>) {
        let describe = |hostname: &str, address: Option<&String>| match address {
            Some(address) => format!("{hostname} at {address}"),
            None => hostname.to_owned(),
        };
        let facts = &self.config.facts;
        let ours = describe(&facts.hostname, facts.address.as_ref());
        let report = match theirs {
            Some(t) if t.hostname == facts.hostname && t.address == facts.address => Report::LastBoot { theirs: ours },
            Some(t) => Report::Cloned { theirs: describe(&t.hostname, t.address.as_ref()), ours },
            None => Report::Cloned { theirs: "a record that cannot be read".into(), ours },
        };
        self.say(report, out);
    }

    pub(super) fn on_taken_back(
        &mut self,
        now: Now,
        catching_up: CatchingUp,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        let revision = result.as_ref().map_or(0, |response| response.header.revision);
        match result.map(txn) {
            Ok(Some(txn)) if txn.succeeded => self.registered(revision, catching_up, out),
            Ok(_) => self.register(now, out),
            Err(error) => self.store_trouble(now, &error.message, out),
        }
    }

    /// The machine's record was written, at this revision: whatever was written before is in nobody's doubt any more.
    fn registered(&mut self, revision: i64, catching_up: CatchingUp, out: &mut Vec<Effect>) {
        self.trouble = None;
        (self.own_revision, self.in_doubt) = (revision, false);
        let machine = self.config.facts.id.to_string();
        out.push(Effect::Log(Report::Registered { machine, lease: self.lease.unwrap_or_default() }));
        self.seen_published = self.seen();
        self.standing = Standing::Reading { catching_up };
        self.read(out);
    }

    /// Something about this machine's own record changed.
    pub(super) fn on_presence_event(&mut self, now: Now, event: &StoreChange, out: &mut Vec<Effect>) {
        let ours = event.kind == EventKind::Put && Some(event.kv.lease) == self.lease;
        if ours {
            return;
        }
        if self.standing == Standing::Refused {
            if event.kind == EventKind::Delete {
                self.begin(now, out);
            }
            return;
        }
        self.unregistered(now, "someone deleted or replaced it", out);
    }

    pub(super) fn unregistered(&mut self, now: Now, why: &str, out: &mut Vec<Effect>) {
        out.push(Effect::Log(Report::Unregistered { why: why.to_owned() }));
        self.gap = true;
        self.fence_falls();
        self.begin(now, out);
    }

    /// Says that the machine is caught up, once it is.
    pub(super) fn catch_up(&mut self, out: &mut Vec<Effect>) {
        // An acknowledgement under way must not overtake this one; and one that failed is tried again after the schedule was
        // read again.
        let waits = self.publisher.is_acknowledging() || self.reread_at.is_some() || self.in_doubt;
        if self.standing != (Standing::CatchingUp { writing: false }) || waits {
            return;
        }
        let Some(progress) = self.caught_up() else { return };
        self.standing = Standing::CatchingUp { writing: true };
        self.publisher.withdraw();
        let mut success = vec![self.presence(false)];
        if self.schedule.is_some() {
            success.push(self.applied_record(&progress));
        }
        self.transact(Purpose::CatchUp { progress }, self.fenced(success), out);
    }

    pub(super) fn on_caught_up(
        &mut self,
        now: Now,
        progress: Progress,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        match self.fenced_outcome(result) {
            Fenced::Written { revision } => {
                self.own_revision = revision;
                self.gap = false;
                self.standing = Standing::Present;
                out.push(Effect::Log(Report::CaughtUp { generation: progress.generation }));
                if progress.generation > 0 {
                    self.publisher.acknowledged(progress);
                }
                if self.mode == Mode::Leaving {
                    // What was just written may be from before.
                    self.rewrite_presence(false, out);
                }
                self.mark_all();
            }
            // It is to be said again.
            Fenced::Overtaken => self.standing = Standing::CatchingUp { writing: false },
            Fenced::Gone => self.unregistered(now, "it is not there any more", out),
            Fenced::Failed(error) => {
                self.standing = Standing::CatchingUp { writing: false };
                self.doubt(now, &error, out);
            }
        }
    }
}
