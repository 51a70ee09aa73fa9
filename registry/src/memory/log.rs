//! What each revision changed.

use std::collections::VecDeque;

use super::version::Version;

/// The revisions in their order, without a gap. Starts at the compacted revision, or earlier while a watcher lags behind
/// it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The revision at its beginning.
    first: i64,
    revisions: VecDeque<Box<[Version]>>,
}

impl Log {
    /// An empty one, which begins with a revision that is to come.
    pub(super) fn new(first: i64) -> Self {
        Self { first, revisions: VecDeque::new() }
    }

    /// Enters a revision, which is none that is there already. Those that were left out changed nothing.
    pub(super) fn enter(&mut self, revision: i64, versions: Vec<Version>) {
        while self.next() < revision {
            self.revisions.push_back(Box::default());
        }
        self.revisions.push_back(versions.into_boxed_slice());
    }

    /// What the last revision changed.
    pub(super) fn last(&self) -> &[Version] {
        self.revisions.back().map_or(&[], |versions| versions)
    }

    /// What each revision from `from` on changed.
    pub(super) fn from(&self, from: i64) -> impl Iterator<Item = (i64, &[Version])> {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(0).min(self.revisions.len());
        let first = self.first + skipped as i64;
        let rest = self.revisions.range(skipped..).map(|versions| &versions[..]);
        (first..).zip(rest).filter(|(_, versions)| !versions.is_empty())
    }

    /// Forgets what came before a revision.
    pub(super) fn trim(&mut self, revision: i64) {
        let count = usize::try_from(revision.saturating_sub(self.first)).unwrap_or(0).min(self.revisions.len());
        self.revisions.drain(..count);
        self.first += count as i64;
        // What a burst has taken is given back.
        if self.revisions.capacity() / 4 > self.revisions.len() {
            self.revisions.shrink_to(self.revisions.len() * 2);
        }
    }

    fn next(&self) -> i64 {
        self.first + self.revisions.len() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(log: &Log, from: i64) -> Vec<(i64, usize)> {
        log.from(from).map(|(revision, versions)| (revision, versions.len())).collect()
    }

    #[test]
    fn it_is_read_from_anywhere_and_cut_anywhere() {
        let mut log = Log::new(5);
        let versions = |count: u32| (0..count).map(|sub| Version::deletion(1, sub, b"a")).collect::<Vec<_>>();
        log.enter(5, versions(1));
        log.enter(6, versions(2));
        log.enter(8, versions(3));
        let all = [(5, 1), (6, 2), (8, 3)];
        assert_eq!(told(&log, -1), all);
        assert_eq!(told(&log, 6), all[1..]);
        assert_eq!(told(&log, 7), all[2..]);
        assert_eq!(told(&log, 100), []);
        log.trim(2);
        assert_eq!(told(&log, 0), all);
        log.trim(6);
        assert_eq!(told(&log, 0), all[1..]);
        log.trim(100);
        assert_eq!((told(&log, 0), log.last().len()), (vec![], 0));
        log.enter(9, versions(4));
        assert_eq!((told(&log, 0), log.last().len()), (vec![(9, 4)], 4));
    }
}
