//! A sorted set of small values that is changed all the time: pieces of a few dozen, each in one place of memory.

/// A piece that has more than this becomes two.
const PIECE: usize = 96;

/// A sorted set.
#[derive(Debug, Clone)]
pub(super) struct Sorted<T> {
    /// None of them is empty.
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T: Ord + Copy> Sorted<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The first value from one on.
    pub(super) fn from(&self, value: &T) -> Option<T> {
        let piece = self.pieces.get(self.piece(value))?;
        piece.get(piece.partition_point(|other| other < value)).copied()
    }

    /// Puts a value in, which is not there.
    pub(super) fn insert(&mut self, value: T) {
        // What comes after all goes into the last piece.
        let at = self.piece(&value).min(self.pieces.len().saturating_sub(1));
        let Some(piece) = self.pieces.get_mut(at) else { return self.pieces.push(vec![value]) };
        piece.insert(piece.partition_point(|other| *other < value), value);
        if piece.len() > PIECE {
            let rest = piece.split_off(PIECE / 2);
            self.pieces.insert(at + 1, rest);
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, value: &T) {
        let at = self.piece(value);
        let Some(piece) = self.pieces.get_mut(at) else { return };
        if let Ok(place) = piece.binary_search(value) {
            piece.remove(place);
            if piece.is_empty() {
                self.pieces.remove(at);
            }
        }
    }

    /// The piece that has a value, if any has.
    fn piece(&self, value: &T) -> usize {
        self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last < value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_holds_what_a_set_holds() {
        let (mut sorted, mut set) = (Sorted::default(), BTreeSet::new());
        for n in 0..3_000_u32 {
            let value = n.wrapping_mul(2_654_435_761) % 2_100;
            match n % 5 {
                0 if set.remove(&value) => sorted.remove(&value),
                1..4 if set.insert(value) => sorted.insert(value),
                _ => assert_eq!(sorted.from(&value), set.range(value..).next().copied(), "from {value}"),
            }
        }
        set.iter().for_each(|value| sorted.remove(value));
        assert!(sorted.is_empty() && sorted.from(&0).is_none());
    }
}
