//! Whether one's own session allows to take another machine's absence at its word (invariant 5 of the design).

use std::time::Duration;

use super::SessionEvent;
use crate::step::Mono;

/// What the acknowledgements of one's own keep-alives prove about the store.
///
/// A store that answered oneself without a gap longer than a third of the lease, for one whole lease, was there for
/// the keep-alives of others too: a lease that ended meanwhile ended because its machine was gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    run: Option<Run>,
}

/// Acknowledged sendings without a gap between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// The granted lease.
    ttl: Duration,
    /// The first sending.
    since: Mono,
    /// The newest sending.
    last: Mono,
}

impl Run {
    fn is_gap(&self, until: Mono) -> bool {
        until.saturating_sub(self.last) > self.ttl / 3
    }
}

impl Evidence {
    /// Nothing proven yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what the session said.
    pub fn observe(&mut self, event: &SessionEvent) {
        match *event {
            SessionEvent::Started { ttl, sent, .. } => {
                self.run = Some(Run { ttl, since: sent, last: sent });
            }
            SessionEvent::Acknowledged { ttl, sent, .. } => match &mut self.run {
                Some(run) if sent <= run.last => {}
                Some(run) if run.ttl == ttl && !run.is_gap(sent) => run.last = sent,
                _ => self.run = Some(Run { ttl, since: sent, last: sent }),
            },
            // The lease ended although nobody here let go of it: whatever the reason, others may have lost theirs by it.
            SessionEvent::Lost { .. } => self.run = None,
        }
    }

    /// Whether keep-alives were acknowledged without a gap longer than a third of the lease during the last whole lease.
    #[must_use]
    pub fn trusted(&self, now: Mono) -> bool {
        self.run.is_some_and(|run| !run.is_gap(now) && now.saturating_sub(run.since) >= run.ttl)
    }

    /// When the last gap ended: the first sending after it that was acknowledged. None while there is a gap.
    ///
    /// Who is not [`trusted`](Self::trusted) waits one full lease from the first linearizable read that was sent at or
    /// after this time.
    #[must_use]
    pub fn last_gap_end(&self, now: Mono) -> Option<Mono> {
        self.run.filter(|run| !run.is_gap(now)).map(|run| run.since)
    }
}

#[cfg(test)]
mod tests;
