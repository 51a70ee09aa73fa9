//! A set of numbers as one bit each: what is marked again and again, and gone through in order once.

use std::marker::PhantomData;

use super::slots::Slot;

const BITS: usize = u64::BITS as usize;

/// Numbers that are marked. It takes a bit for each number below the highest one.
#[derive(Debug, Clone)]
pub(super) struct Marks<I> {
    words: Vec<u64>,
    count: usize,
    index: PhantomData<I>,
}

impl<I> Default for Marks<I> {
    fn default() -> Self {
        Self { words: Vec::new(), count: 0, index: PhantomData }
    }
}

impl<I: Slot> Marks<I> {
    /// Marks a number; false if it was marked.
    pub(super) fn insert(&mut self, number: I) -> bool {
        let (word, bit) = place(number);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += usize::from(is_new);
        is_new
    }

    /// Unmarks a number.
    pub(super) fn remove(&mut self, number: I) {
        let (word, bit) = place(number);
        if self.contains(number) {
            self.words[word] &= !bit;
            self.count -= 1;
        }
    }

    /// Whether a number is marked.
    pub(super) fn contains(&self, number: I) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether none is.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All that are marked, the lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = I> {
        let words = self.words.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(at, &word)| {
            let rest = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            let bits = rest.take_while(|rest| *rest != 0).map(u64::trailing_zeros);
            // Numbers have thirty-two bits.
            bits.map(move |bit| I::at((at * BITS) as u32 + bit))
        })
    }
}

fn place<I: Slot>(number: I) -> (usize, u64) {
    (number.position() / BITS, 1 << (number.position() % BITS))
}

impl<I: Slot> Extend<I> for Marks<I> {
    fn extend<T: IntoIterator<Item = I>>(&mut self, numbers: T) {
        numbers.into_iter().for_each(|number| _ = self.insert(number));
    }
}

impl<'a, I: Slot + 'a> Extend<&'a I> for Marks<I> {
    fn extend<T: IntoIterator<Item = &'a I>>(&mut self, numbers: T) {
        self.extend(numbers.into_iter().copied());
    }
}

impl<I: Slot> FromIterator<I> for Marks<I> {
    fn from_iter<T: IntoIterator<Item = I>>(numbers: T) -> Self {
        let mut marks = Self::default();
        marks.extend(numbers);
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::UnitIx;
    use super::*;

    #[test]
    fn what_is_marked_comes_in_order_and_once() {
        let numbers = |marks: &Marks<UnitIx>| marks.iter().map(Slot::position).collect::<Vec<_>>();
        let mut marks: Marks<UnitIx> = [700, 3, 64, 63, 3].map(UnitIx::at).into_iter().collect();
        assert_eq!(numbers(&marks), [3, 63, 64, 700]);
        assert!(!marks.insert(UnitIx::at(64)) && marks.insert(UnitIx::at(0)));
        marks.remove(UnitIx::at(63));
        marks.remove(UnitIx::at(9_999));
        assert_eq!(numbers(&marks), [0, 3, 64, 700]);
        assert!(marks.contains(UnitIx::at(700)) && !marks.contains(UnitIx::at(701)));
        [0, 3, 64, 700].map(UnitIx::at).into_iter().for_each(|number| marks.remove(number));
        assert!(marks.is_empty());
    }
}
