//! Which keys a request means.

use std::ops::Bound;

use bytes::Bytes;

/// One key, a range, or everything from a key on, by etcd's convention for `range_end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRange {
    start: Bytes,
    end: End,
}

/// Start and end, for an ordered map.
pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The start key alone.
    Single,
    /// No end.
    Open,
    /// Up to this key, exclusive.
    Before(Bytes),
}

impl KeyRange {
    pub(super) fn new(key: &Bytes, range_end: &Bytes) -> Self {
        let end = match range_end.as_ref() {
            [] => End::Single,
            [0] => End::Open,
            _ => End::Before(range_end.clone()),
        };
        Self { start: key.clone(), end }
    }

    /// The key, if it is one.
    pub(super) fn single(&self) -> Option<&Bytes> {
        matches!(self.end, End::Single).then_some(&self.start)
    }

    /// Whether it has no end.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => self.start == key,
            End::Open => *key >= *self.start,
            End::Before(end) => *key >= *self.start && *key < **end,
        }
    }

    /// Bounds for an ordered map, or `None` when the range is empty.
    pub(super) fn bounds(&self) -> Option<Bounds<'_>> {
        let start = Bound::Included(&*self.start);
        match &self.end {
            End::Single => Some((start, Bound::Included(&*self.start))),
            End::Open => Some((start, Bound::Unbounded)),
            End::Before(end) => (self.start < *end).then_some((start, Bound::Excluded(&**end))),
        }
    }
}
