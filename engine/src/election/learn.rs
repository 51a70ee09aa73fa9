//! What a candidate or leader makes of the news about `engine/leader`.

use fleet_registry::Now;
use fleet_registry::store::{Compare, DeleteRequest, EventKind, Operation, Request, StoreError, TxnRequest, WatchItem};

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
            if holder.as_ref().is_some_and(|holder| holder.create_revision == fence) {
                return;
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
                let why = match before.and_then(|before| before.record) {
                    _ if first => "no leader",
                    Some(record) if record.why == RESIGNING => "leader resigned",
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
                self.tell(holder.record, out);
                self.claim_standby(now, out);
            }
        }
    }

    fn is_own(&self, holder: &Holder) -> bool {
        let own = |record: &fleet_registry::record::LeaderRecord| {
            record.machine == self.config.machine && record.instance == self.config.instance
        };
        holder.record.as_ref().is_some_and(own)
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
