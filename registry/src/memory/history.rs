//! The versions of one key.

use super::version::Version;

/// A key's versions since the last compaction, oldest first. Most keys have one: it takes no memory beside its own.
#[derive(Debug, Clone)]
pub(super) struct History {
    last: Version,
    older: Option<Box<Older>>,
}

#[derive(Debug, Clone)]
struct Older(Vec<Version>);

impl History {
    pub(super) fn new(version: Version) -> Self {
        Self { last: version, older: None }
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, version: Version) {
        let last = std::mem::replace(&mut self.last, version);
        match &mut self.older {
            Some(older) => older.0.push(last),
            None => self.older = Some(Box::new(Older(vec![last]))),
        }
    }

    pub(super) fn last(&self) -> &Version {
        &self.last
    }

    /// The one that was there at a revision.
    pub(super) fn at(&self, revision: i64) -> Option<&Version> {
        if self.last.revision() <= revision {
            return Some(&self.last);
        }
        let older = self.older();
        older[..older.partition_point(|version| version.revision() <= revision)].last()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Version> {
        self.older().iter().chain([&self.last])
    }

    /// Keeps those that are wanted; `None` when none is.
    pub(super) fn keeping(self, mut wanted: impl FnMut(&Version) -> bool) -> Option<Self> {
        let mut older = self.older.map(|older| older.0).unwrap_or_default();
        older.retain(&mut wanted);
        let last = if wanted(&self.last) { self.last } else { older.pop()? };
        older.shrink_to_fit();
        Some(Self { last, older: (!older.is_empty()).then(|| Box::new(Older(older))) })
    }

    fn older(&self) -> &[Version] {
        self.older.as_ref().map_or(&[], |older| &older.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(revisions: &[i64]) -> History {
        let mut versions = revisions.iter().map(|revision| Version::deletion(*revision, 0, b"a"));
        let mut history = History::new(versions.next().expect("a version"));
        versions.for_each(|version| history.push(version));
        history
    }

    fn told(history: &History) -> Vec<i64> {
        history.iter().map(Version::revision).collect()
    }

    #[test]
    fn each_revision_finds_what_was_there() {
        let history = history(&[3, 5, 9]);
        let at = |revision| history.at(revision).map(Version::revision);
        assert_eq!([2, 3, 4, 5, 8, 9, 10].map(at), [None, Some(3), Some(3), Some(5), Some(5), Some(9), Some(9)]);
    }

    #[test]
    fn what_is_not_wanted_goes() {
        let kept = |wanted: &[i64]| {
            history(&[3, 5, 9]).keeping(|version| wanted.contains(&version.revision())).map(|history| told(&history))
        };
        for wanted in [&[3, 5, 9][..], &[5, 9], &[3, 9], &[3, 5], &[9], &[5], &[3]] {
            assert_eq!(kept(wanted), Some(wanted.to_vec()));
        }
        assert_eq!(kept(&[]), None);
    }

    #[test]
    fn a_key_with_one_version_takes_no_more_than_that() {
        assert_eq!(size_of::<History>(), 3 * size_of::<usize>());
    }
}
