//! What is asked of the store before an absence is believed: whether the store is there, and how long leases still live.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_registry::store::{RangeRequest, Request, Response, ResponseBody, StoreError};
use fleet_registry::{CallId, Key, Now, Owner, StoreEffect};

use super::{Engine, EngineEffect};
use crate::absence::Absence;

/// After a probe that failed.
const PROBE_PAUSE: Duration = Duration::from_millis(200);

/// These questions are named apart from a leader's calls.
const PROBES: u64 = 1 << 62;

impl Engine {
    /// Asks whether the store is there, when absences wait for that.
    pub(super) fn probe(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if self.probe.is_some() || now.mono < self.probe_after || !self.absence.wants_read(now.mono) {
            return;
        }
        self.names += 1;
        let id = CallId { owner: Owner::Engine, seq: PROBES + self.names };
        let request = Request::Range(RangeRequest::key(self.config.layout.encode(&Key::Leader)));
        out.push(EngineEffect::Store(StoreEffect::Call { id, request }));
        self.probe = Some((id.seq, now.mono));
    }

    /// Asks how long the leases of the others still live, when absences are to be judged.
    pub(super) fn census(&mut self, now: Now, out: &mut Vec<EngineEffect>) {
        if !self.absence.wants_census(now.mono) {
            return;
        }
        let leases: Vec<i64> = self
            .view
            .machines
            .iter()
            .filter(|(id, _)| **id != self.config.machine)
            .map(|(_, machine)| machine.lease)
            .collect();
        let step = leases.len().div_ceil(Absence::CENSUS_SAMPLE).max(1);
        let mut calls = BTreeSet::new();
        for lease in leases.iter().step_by(step) {
            self.names += 1;
            let id = CallId { owner: Owner::Engine, seq: PROBES + self.names };
            let request = Request::LeaseTimeToLive { id: *lease, keys: false };
            out.push(EngineEffect::Store(StoreEffect::Call { id, request }));
            calls.insert(id.seq);
        }
        self.absence.census_begins(now.mono, calls, leases.len());
    }

    /// Takes the answer to one of these questions; says whether it was to one.
    pub(super) fn question_answered(&mut self, now: Now, seq: u64, result: &Result<Response, StoreError>) -> bool {
        if let Some((_, sent)) = self.probe.take_if(|(probe, _)| *probe == seq) {
            match result {
                Ok(_) => self.absence.read(sent, now.mono),
                Err(_) => self.probe_after = now.mono + PROBE_PAUSE,
            }
        } else if seq > PROBES {
            let left = match result {
                Ok(Response { body: ResponseBody::LeaseTimeToLive(lease), .. }) => u64::try_from(lease.ttl).ok(),
                _ => None,
            };
            self.absence.census_answered(seq, left.map(Duration::from_secs));
        } else {
            return false;
        }
        true
    }
}
