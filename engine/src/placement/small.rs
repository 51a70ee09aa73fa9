//! A set of few values, as a rule of none or one: those take no room of their own.

use std::ops::Deref;
use std::slice;

/// A sorted set that is read as a list. One value lies in it; more of them lie elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Small<T> {
    /// There is none.
    #[default]
    Empty,
    /// There is this one.
    One(T),
    /// There are several.
    #[expect(clippy::box_collection, reason = "a list in itself would make a set of one three times as large")]
    Many(Box<Vec<T>>),
}

impl<T> Deref for Small<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Empty => &[],
            Self::One(value) => slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl<T: Ord> Small<T> {
    /// Whether a value is in it.
    pub(super) fn contains(&self, value: &T) -> bool {
        self.binary_search(value).is_ok()
    }

    /// Puts a value in; false if it was there.
    pub(super) fn insert(&mut self, value: T) -> bool {
        let Err(at) = self.binary_search(&value) else { return false };
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(value),
            Self::One(other) if at == 0 => Self::Many(Box::new(vec![value, other])),
            Self::One(other) => Self::Many(Box::new(vec![other, value])),
            Self::Many(mut values) => {
                values.insert(at, value);
                Self::Many(values)
            }
        };
        true
    }

    /// Takes a value out; false if it was not there.
    pub(super) fn remove(&mut self, value: &T) -> bool {
        let Ok(at) = self.binary_search(value) else { return false };
        *self = match std::mem::take(self) {
            Self::Empty | Self::One(_) => Self::Empty,
            Self::Many(mut values) => {
                values.remove(at);
                Self::of_sorted(*values)
            }
        };
        true
    }

    fn of_sorted(mut values: Vec<T>) -> Self {
        match values.len() {
            0 | 1 => values.pop().map_or(Self::Empty, Self::One),
            _ => Self::Many(Box::new(values)),
        }
    }
}

impl<T: Ord> From<Vec<T>> for Small<T> {
    fn from(mut values: Vec<T>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self::of_sorted(values)
    }
}

impl<T: Ord> FromIterator<T> for Small<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::from(values.into_iter().collect::<Vec<T>>())
    }
}

impl<'a, T> IntoIterator for &'a Small<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_value_takes_no_room_of_its_own() {
        assert_eq!(size_of::<Small<u32>>(), 16);
        assert_eq!(Small::from(vec![7, 7]), Small::One(7));
    }

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((any::<bool>(), 0_u8..5), 0..30)) {
            let (mut small, mut set) = (Small::default(), BTreeSet::new());
            for (comes, value) in changes {
                if comes {
                    prop_assert_eq!(small.insert(value), set.insert(value));
                } else {
                    prop_assert_eq!(small.remove(&value), set.remove(&value));
                }
                prop_assert!(small.iter().eq(&set));
                prop_assert!((0..5).all(|value| small.contains(&value) == set.contains(&value)));
                // However it came to be: what has the same values is the same.
                prop_assert_eq!(&small, &set.iter().copied().collect());
            }
        }
    }
}
