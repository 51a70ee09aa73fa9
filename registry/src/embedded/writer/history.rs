//! What of the history can go: what is too old, too many revisions ago, or too many bytes ago.

use std::collections::VecDeque;
use std::time::Duration;

use crate::embedded::config::EmbeddedConfig;
use crate::memory::{Change, Memory};
use crate::step::Mono;

/// Where the store stood at a time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    time: Mono,
    revision: i64,
    /// Bytes written until then.
    bytes: u64,
}

/// Marks along the way, and when to look at them next.
#[derive(Debug)]
pub(in crate::embedded) struct History {
    revisions: i64,
    age: Duration,
    bytes: u64,
    interval: Duration,
    marks: VecDeque<Mark>,
    written: u64,
    due: Mono,
}

impl History {
    pub(in crate::embedded) fn new(config: &EmbeddedConfig, now: Mono, memory: &Memory) -> Self {
        let mark = Mark { time: now, revision: memory.header().revision, bytes: 0 };
        Self {
            revisions: config.history_revisions.max(1),
            age: config.history_age,
            bytes: config.history_bytes,
            interval: config.compaction_interval,
            marks: VecDeque::from([mark]),
            written: 0,
            due: now + config.compaction_interval,
        }
    }

    /// When to look next.
    pub(in crate::embedded) fn due(&self) -> Mono {
        self.due
    }

    /// Takes note of a commit.
    pub(in crate::embedded) fn note(&mut self, now: Mono, revision: i64, changes: &[Change]) {
        let size = |change: &Change| match change {
            Change::Version(version) => version.key().len() + version.value().len(),
            _ => 0,
        };
        self.written += changes.iter().map(size).sum::<usize>() as u64;
        // A hundred marks over the time, or over the bytes, whichever are more.
        let last = self.marks.back().map_or((Mono::ZERO, 0), |mark| (mark.time, mark.bytes));
        if now.saturating_sub(last.0) >= self.age / 100 || self.written - last.1 >= self.bytes / 100 {
            self.marks.push_back(Mark { time: now, revision, bytes: self.written });
        }
    }

    /// The revision below which history can go, when it is time to look.
    pub(in crate::embedded) fn compaction(&mut self, now: Mono, revision: i64) -> Option<i64> {
        if now < self.due {
            return None;
        }
        self.due = now + self.interval;
        let mut target = revision - self.revisions;
        while let Some(mark) = self.marks.front().copied() {
            let old = now.saturating_sub(mark.time) > self.age || self.written - mark.bytes > self.bytes;
            if !old && mark.revision >= target {
                break;
            }
            target = target.max(mark.revision);
            self.marks.pop_front();
        }
        // The current revision itself always stays.
        (target > 1).then(|| target.min(revision))
    }
}
