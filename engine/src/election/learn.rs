//! What a candidate or leader makes of the news about `engine/leader`.

use fleet_registry::Now;
use fleet_registry::record::Record;
use fleet_registry::store::{
    Compare, DeleteRequest, EventKind, Operation, PutRequest, Request, StoreError, TxnRequest, WatchItem,
};

use super::{Election, ElectionEffect, Holder, LAST, Phase, RESIGNING, SPREAD};

impl Election {
    /// Takes in what the watch says.
    pub(super) fn watched(&mut self, now: Now, item: Result<WatchItem, StoreError>, out: &mut Vec<ElectionEffect>) {
        match item {
            Ok(WatchItem::Events { events, .. }) => {
                for event in events {
                    let holder = match event.kind {
                        EventKind::Put => Some(Holder::from(&event.kv)),
                        EventKind::Delete => None,
                    };
                    self.learn(now, event.kv.mod_revision, holder, out);
                }
            }
            Ok(_) => {}
            Err(_) => self.read_later(now, out),
        }
    }

    /// Takes in who holds the key at a revision.
    pub(super) fn learn(&mut self, now: Now, revision: i64, holder: Option<Holder>, out: &mut Vec<ElectionEffect>) {
        let before = match &self.latest {
            Some((known, _)) if revision < *known => return,
            Some((_, before)) => before.clone(),
            None => None,
        };
        let first = self.latest.is_none();
        self.latest = Some((revision, holder.clone()));
        if let Phase::Leading { fence } = self.phase {
            let same = |holder: &&Holder| holder.create_revision == fence && !self.is_of_another(holder);
            if let Some(holder) = holder.as_ref().filter(same) {
                return self.keep(now, holder, out);
            }
            let why = if holder.is_none() { "its key is gone" } else { "another leads" };
            self.deposed(why, out);
        }
        if !matches!(self.phase, Phase::Idle | Phase::Following | Phase::Waiting { .. }) {
            return;
        }
        let Some(lease) = self.lease else { return };
        match holder {
            None => {
                let why = match before.map(|before| before.record) {
                    _ if first => "no leader",
                    Some(Ok(record)) if record.why == RESIGNING => "leader resigned",
                    _ => "leader's lease ended",
                };
                self.tell(None, out);
                if !matches!(self.phase, Phase::Waiting { .. }) {
                    let at = now.mono + self.patience();
                    self.phase = Phase::Waiting { at, why: why.to_owned() };
                }
            }
            Some(holder) if self.is_own(&holder) && holder.lease == lease => {
                // It was created by an attempt whose answer got lost.
                let why = holder.record.map(|record| record.why).unwrap_or_default();
                self.lead(holder.create_revision, why, out);
            }
            Some(holder) if self.is_own(&holder) => {
                // Left over from before fleetd restarted, or from a lease that was lost. Deleted and not taken over: the
                // fence must change, since writes of that life may still be under way.
                let key = self.key();
                let request = Request::Txn(TxnRequest {
                    compare: vec![Compare::created_at(key.clone(), holder.create_revision)],
                    success: vec![Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })],
                    failure: Vec::new(),
                });
                let call = self.call(request, out);
                self.phase = Phase::Clearing { call };
            }
            Some(holder) => {
                self.phase = Phase::Following;
                if let Err(error) = &holder.record
                    && before.is_none_or(|before| before.record != holder.record)
                {
                    out.push(ElectionEffect::Unreadable { why: error.to_string() });
                }
                self.tell(holder.record.ok(), out);
                self.claim_standby(now, out);
            }
        }
    }

    fn is_own(&self, holder: &Holder) -> bool {
        let own = |record: &fleet_registry::record::LeaderRecord| {
            record.machine == self.config.machine && record.instance == self.config.instance
        };
        holder.record.as_ref().is_ok_and(own)
    }

    /// Whether the key hangs on the lease of another. In a store that was restored from a backup revisions count from there
    /// on, so that another leader's key may have been created at the very same one as this one's in the store before.
    fn is_of_another(&self, holder: &Holder) -> bool {
        holder.lease != 0 && Some(holder.lease) != self.lease
    }

    /// This machine leads, and somebody wrote over its record: without its lease it would outlive this machine. Its one
    /// writer puts it right; that it is the same key still is compared.
    fn keep(&mut self, now: Now, holder: &Holder, out: &mut Vec<ElectionEffect>) {
        let Some(lease) = self.lease.filter(|lease| holder.lease != *lease || holder.record.is_err()) else { return };
        let key = self.key();
        let record = self.record(now, "its record was written over");
        let put = PutRequest { lease, ..PutRequest::new(key.clone(), record.encode()) };
        let request = TxnRequest {
            compare: vec![Compare::created_at(key, holder.create_revision)],
            success: vec![Operation::Put(put)],
            failure: Vec::new(),
        };
        self.call(Request::Txn(request), out);
    }

    /// How long to wait before standing.
    fn patience(&mut self) -> std::time::Duration {
        if self.config.carries_registry {
            LAST
        } else if self.standby.is_held() {
            std::time::Duration::ZERO
        } else {
            self.jitter.between(std::time::Duration::ZERO, SPREAD)
        }
    }

    fn tell(&mut self, leader: Option<fleet_registry::record::LeaderRecord>, out: &mut Vec<ElectionEffect>) {
        if self.said.as_ref() != Some(&leader) {
            self.said = Some(leader.clone());
            out.push(ElectionEffect::Leader(leader));
        }
    }
}
