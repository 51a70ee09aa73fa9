//! One lease per fleetd, shared by presence, leadership, and standby.
//!
//! Everything counts from the *sending* of a request that was acknowledged, never from the arrival of its answer: the
//! store renewed the lease at some time after that sending, so that the lease lives at least one TTL from then on.

mod evidence;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::jitter::Jitter;
use crate::planted::{self, Fault};
use crate::step::{CallId, Mono, Now, Owner, StateMachine, StoreEffect, StoreEvent};
use crate::store::{ErrorKind, Request, Response, ResponseBody, StoreError};

pub use evidence::Evidence;

/// How often a revocation is tried before the lease is left to run out.
const REVOCATIONS: u32 = 3;

/// What a session needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// The lease's time to live to ask for (`agent_ttl`); etcd counts in whole seconds, so it is rounded up.
    pub ttl: Duration,
    /// Spreads retries.
    pub seed: u64,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionInput {
    /// Ask for a lease.
    Start,
    /// From the store.
    Store(StoreEvent),
    /// The wakeup time has come.
    Tick,
    /// Revoke the lease and end.
    Stop,
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEffect {
    /// Of the store.
    Store(StoreEffect),
    /// Tell everyone who shares the lease.
    Event(SessionEvent),
    /// After [`SessionInput::Stop`]: the lease is revoked, or left to run out because the store does not answer.
    Ended,
}

/// What those who share the lease are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A lease was granted.
    Started {
        /// The lease.
        lease: i64,
        /// The time to live that the store granted; may be more than was asked for.
        ttl: Duration,
        /// When the request went out.
        sent: Mono,
    },
    /// A keep-alive was acknowledged. `sent` only ever grows.
    Acknowledged {
        /// The lease.
        lease: i64,
        /// The time to live that the store granted.
        ttl: Duration,
        /// When the keep-alive went out.
        sent: Mono,
        /// When the answer came in.
        received: Mono,
    },
    /// The store says that the lease is gone, or a whole TTL has passed since the last acknowledged sending. A new one is
    /// asked for; [`SessionEvent::Started`] follows.
    Lost {
        /// The lease.
        lease: i64,
    },
}

/// The session's state machine.
#[derive(Debug, Clone)]
pub struct Session {
    config: SessionConfig,
    jitter: Jitter,
    calls: u64,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Before the start, and after the end.
    Idle,
    /// No lease, and none asked for until `retry`.
    Waiting { retry: Mono },
    /// A lease was asked for.
    Granting { call: u64, sent: Mono, stopping: bool },
    /// There is a lease.
    Live(Live),
    /// The lease is being revoked; `call` is none between two attempts.
    Revoking { lease: i64, until: Mono, call: Option<u64>, attempts: u32, retry: Mono },
}

#[derive(Debug, Clone)]
struct Live {
    lease: i64,
    ttl: Duration,
    /// Sending of the newest acknowledged request.
    acknowledged: Mono,
    /// Keep-alives under way, by call, with the time of their sending.
    pending: BTreeMap<u64, Mono>,
    /// When the next keep-alive goes out.
    next: Mono,
}

impl Live {
    fn ends(&self) -> Mono {
        self.acknowledged + self.ttl
    }
}

/// Between two keep-alives at rest: 0.3 of the lease, so that the gap stays below a third.
fn interval(ttl: Duration) -> Duration {
    ttl * 3 / 10
}

impl Session {
    /// A session that begins at [`SessionInput::Start`].
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        let jitter = Jitter::new(config.seed);
        Self { config, jitter, calls: 0, phase: Phase::Idle }
    }

    /// The lease, while there is one.
    #[must_use]
    pub fn lease(&self) -> Option<i64> {
        match &self.phase {
            Phase::Live(live) => Some(live.lease),
            _ => None,
        }
    }

    /// Within a sixth of the lease, jittered so that a cluster does not come back in step.
    fn retry_delay(&mut self, ttl: Duration) -> Duration {
        self.jitter.between(ttl / 8, ttl / 6)
    }

    fn call(&mut self, request: Request, out: &mut Vec<SessionEffect>) -> u64 {
        self.calls += 1;
        let id = CallId { owner: Owner::Session, seq: self.calls };
        out.push(SessionEffect::Store(StoreEffect::Call { id, request }));
        id.seq
    }

    fn grant(&mut self, now: Mono, out: &mut Vec<SessionEffect>) {
        let seconds = self.config.ttl.as_millis().div_ceil(1000).max(1);
        let ttl = i64::try_from(seconds).unwrap_or(i64::MAX);
        let call = self.call(Request::LeaseGrant { ttl, id: 0 }, out);
        self.phase = Phase::Granting { call, sent: now, stopping: false };
    }

    fn retry_grant(&mut self, now: Mono) {
        let retry = now + self.retry_delay(self.config.ttl);
        self.phase = Phase::Waiting { retry };
    }

    fn revoke(&mut self, now: Mono, lease: i64, until: Mono, attempts: u32, out: &mut Vec<SessionEffect>) {
        let call = Some(self.call(Request::LeaseRevoke { id: lease }, out));
        self.phase = Phase::Revoking { lease, until, call, attempts: attempts + 1, retry: now };
    }

    fn end(&mut self, out: &mut Vec<SessionEffect>) {
        self.phase = Phase::Idle;
        out.push(SessionEffect::Ended);
    }

    fn lose(&mut self, now: Mono, lease: i64, out: &mut Vec<SessionEffect>) {
        out.push(SessionEffect::Event(SessionEvent::Lost { lease }));
        self.grant(now, out);
    }

    fn stop(&mut self, now: Mono, out: &mut Vec<SessionEffect>) {
        match &mut self.phase {
            Phase::Idle | Phase::Waiting { .. } => self.end(out),
            // The grant may take effect all the same: wait for its answer, so as not to leave a lease behind.
            Phase::Granting { stopping, .. } => *stopping = true,
            Phase::Live(live) => {
                let (lease, until) = (live.lease, live.ends());
                self.revoke(now, lease, until, 0, out);
            }
            Phase::Revoking { .. } => {}
        }
    }

    fn answer(&mut self, now: Mono, seq: u64, result: Result<Response, StoreError>, out: &mut Vec<SessionEffect>) {
        match &mut self.phase {
            Phase::Granting { call, sent, stopping } if *call == seq => {
                let (sent, stopping) = (*sent, *stopping);
                self.granted(now, sent, stopping, result, out);
            }
            Phase::Live(live) => {
                if let Some(sent) = live.pending.remove(&seq) {
                    self.kept_alive(now, sent, result, out);
                }
            }
            Phase::Revoking { until, call, attempts, retry, .. } if *call == Some(seq) => {
                let gone = match &result {
                    Ok(_) => true,
                    Err(e) => e.kind == ErrorKind::LeaseNotFound,
                };
                *call = None;
                *retry = now + self.config.ttl / 20;
                if gone || *attempts >= REVOCATIONS || *retry >= *until {
                    self.end(out);
                }
            }
            // The answer to a call of an earlier phase.
            _ => {}
        }
    }

    fn granted(
        &mut self,
        now: Mono,
        sent: Mono,
        stopping: bool,
        result: Result<Response, StoreError>,
        out: &mut Vec<SessionEffect>,
    ) {
        let granted = match result.map(|r| r.body) {
            Ok(ResponseBody::LeaseGrant { id, ttl }) => {
                Some((id, Duration::from_secs(u64::try_from(ttl).unwrap_or(0))))
            }
            _ => None,
        };
        match granted {
            Some((lease, ttl)) if stopping => self.revoke(now, lease, sent + ttl, 0, out),
            None if stopping => self.end(out),
            // An answer that took longer than the lease itself is as good as none.
            Some((lease, ttl)) if now < sent + ttl => {
                out.push(SessionEffect::Event(SessionEvent::Started { lease, ttl, sent }));
                let next = sent + interval(ttl);
                self.phase = Phase::Live(Live { lease, ttl, acknowledged: sent, pending: BTreeMap::new(), next });
            }
            _ => self.retry_grant(now),
        }
    }

    fn kept_alive(
        &mut self,
        now: Mono,
        sent: Mono,
        result: Result<Response, StoreError>,
        out: &mut Vec<SessionEffect>,
    ) {
        let Phase::Live(live) = &mut self.phase else { return };
        let lease = live.lease;
        let ttl = match result {
            Ok(Response { body: ResponseBody::LeaseKeepAlive { id, ttl }, .. }) if id == lease => ttl,
            Err(e) if e.kind == ErrorKind::LeaseNotFound => 0,
            // The next one is due within a sixth of the lease from this one's sending.
            _ => return,
        };
        if ttl <= 0 {
            return self.lose(now, lease, out);
        }
        let sent = if planted::is(Fault::LeaseFromReceipt) { now } else { sent };
        // An older one overtaken by a newer tells nothing new.
        if sent > live.acknowledged {
            live.ttl = Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
            live.acknowledged = sent;
            live.next = sent + interval(live.ttl);
            live.pending.retain(|_, other| *other > sent);
            out.push(SessionEffect::Event(SessionEvent::Acknowledged { lease, ttl: live.ttl, sent, received: now }));
        }
    }

    /// What is due by the clock.
    fn due(&mut self, now: Mono, out: &mut Vec<SessionEffect>) {
        match &mut self.phase {
            Phase::Waiting { retry } if now >= *retry => self.grant(now, out),
            Phase::Live(live) if now >= live.ends() => {
                let lease = live.lease;
                self.lose(now, lease, out);
            }
            Phase::Live(live) if now >= live.next => {
                let (id, ttl) = (live.lease, live.ttl);
                let seq = self.call(Request::LeaseKeepAlive { id }, out);
                // Kept trying while it is unanswered; an acknowledgement moves `next` out again.
                let next = now + self.retry_delay(ttl);
                if let Phase::Live(live) = &mut self.phase {
                    live.pending.insert(seq, now);
                    live.next = next;
                }
            }
            Phase::Revoking { until, .. } if now >= *until => self.end(out),
            Phase::Revoking { lease, until, call: None, attempts, retry } if now >= *retry => {
                let (lease, until, attempts) = (*lease, *until, *attempts);
                self.revoke(now, lease, until, attempts, out);
            }
            _ => {}
        }
    }
}

impl StateMachine for Session {
    type Event = SessionInput;
    type Effect = SessionEffect;

    fn step(&mut self, now: Now, event: SessionInput) -> Vec<SessionEffect> {
        let mut out = Vec::new();
        let mono = now.mono;
        match event {
            SessionInput::Start if matches!(self.phase, Phase::Idle) => self.grant(mono, &mut out),
            SessionInput::Start | SessionInput::Tick => {}
            SessionInput::Stop => self.stop(mono, &mut out),
            SessionInput::Store(StoreEvent::Answer { id, result }) if id.owner == Owner::Session => {
                self.answer(mono, id.seq, result, &mut out);
            }
            SessionInput::Store(_) => {}
        }
        // After the event, not before: an acknowledgement that was waiting while this process slept still counts.
        self.due(mono, &mut out);
        out
    }

    fn wakeup(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Idle | Phase::Granting { .. } => None,
            Phase::Waiting { retry } => Some(*retry),
            Phase::Live(live) => Some(live.next.min(live.ends())),
            Phase::Revoking { until, call: Some(_), .. } => Some(*until),
            Phase::Revoking { until, retry, .. } => Some((*until).min(*retry)),
        }
    }
}

#[cfg(test)]
mod tests;
