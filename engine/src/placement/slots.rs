//! Dense numbers for names, so that the indexes hold four bytes instead of a string.
//!
//! Numbers are reused and say nothing about age or order: whatever must come out the same for the same state is ordered
//! by name (or by uid and name), never by number.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::marker::PhantomData;
use std::ops::{Bound, Index, IndexMut};

/// The number of a slot.
pub(super) trait Slot: Copy {
    /// Wraps a position.
    fn at(position: u32) -> Self;
    /// The position.
    fn position(self) -> usize;
}

macro_rules! slots {
    ($($(#[$doc:meta])* $name:ident),*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(u32);

        impl Slot for $name {
            fn at(position: u32) -> Self { Self(position) }
            fn position(self) -> usize { self.0 as usize }
        }
    )* };
}

slots!(
    /// A unit.
    UnitIx,
    /// A machine.
    MachineIx,
    /// A pattern of unit names.
    PatternIx,
    /// Units that are counted together.
    GroupIx,
    /// A key of the machines' metadata.
    KeyIx,
    /// A value of such a key, among the values of that key.
    ValueIx
);

/// How many values lie together: they are never moved, and little is set aside for those to come.
const CHUNK: usize = 64;

/// Values by number, and their numbers by name.
#[derive(Debug, Clone)]
pub(super) struct Slots<I, V, K = Box<str>> {
    by_name: BTreeMap<K, I>,
    chunks: Vec<Vec<Option<V>>>,
    free: Vec<I>,
    index: PhantomData<I>,
}

impl<I, V, K> Default for Slots<I, V, K> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), chunks: Vec::new(), free: Vec::new(), index: PhantomData }
    }
}

impl<I: Slot, V, K: Ord + Borrow<str>> Slots<I, V, K> {
    /// The number of a name.
    pub(super) fn find(&self, name: &str) -> Option<I> {
        self.by_name.get(name).copied()
    }

    /// The number of a name, made with `value` if there is none yet.
    pub(super) fn find_or_insert<'a>(&mut self, name: &'a str, value: impl FnOnce() -> V) -> I
    where
        K: From<&'a str>,
    {
        self.find(name).unwrap_or_else(|| self.insert(name, value).unwrap_or_else(|known| known))
    }

    /// Gives a number to a name that has none; if it has one, that is answered with `Err`.
    pub(super) fn insert(&mut self, name: impl Into<K>, value: impl FnOnce() -> V) -> Result<I, I> {
        match self.by_name.entry(name.into()) {
            Entry::Occupied(known) => Err(*known.get()),
            Entry::Vacant(place) => {
                let index = *place.insert(self.free.pop().unwrap_or_else(|| reserve(&mut self.chunks)));
                self.chunks[index.position() / CHUNK][index.position() % CHUNK] = Some(value());
                Ok(index)
            }
        }
    }

    /// Forgets a name; its number may be given to another.
    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        let index = self.by_name.remove(name)?;
        self.free.push(index);
        self.chunks[index.position() / CHUNK][index.position() % CHUNK].take()
    }

    /// All, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (I, &V)> {
        self.by_name.values().map(|&index| (index, &self[index]))
    }

    /// Those whose name begins so, in the order of their names.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = I> + 'a {
        self.by_name
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(name, _)| (*name).borrow().starts_with(prefix))
            .map(|(_, &index)| index)
    }

    /// Who comes before and after a name.
    pub(super) fn neighbours(&self, name: &str) -> (Option<I>, Option<I>) {
        let before = self.by_name.range::<str, _>((Bound::Unbounded, Bound::Excluded(name))).next_back();
        let after = self.by_name.range::<str, _>((Bound::Excluded(name), Bound::Unbounded)).next();
        (before.map(|(_, &index)| index), after.map(|(_, &index)| index))
    }

    /// What a number stands for, if it still stands for something.
    #[inline]
    pub(super) fn get(&self, index: I) -> Option<&V> {
        self.chunks.get(index.position() / CHUNK)?.get(index.position() % CHUNK)?.as_ref()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// A slot that nobody had yet.
fn reserve<I: Slot, V>(chunks: &mut Vec<Vec<Option<V>>>) -> I {
    if chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
        chunks.push(Vec::with_capacity(CHUNK));
    }
    let before = (chunks.len() - 1) * CHUNK;
    let chunk = &mut chunks[before / CHUNK];
    chunk.push(None);
    // Names are bounded by the memory that holds them: far below four billion.
    I::at((before + chunk.len() - 1) as u32)
}

impl<I: Slot, V, K: Ord + Borrow<str>> Index<I> for Slots<I, V, K> {
    type Output = V;

    #[inline]
    fn index(&self, index: I) -> &V {
        self.get(index).expect("a number is used only while its name is there")
    }
}

impl<I: Slot, V, K: Ord + Borrow<str>> IndexMut<I> for Slots<I, V, K> {
    #[inline]
    fn index_mut(&mut self, index: I) -> &mut V {
        let chunk = self.chunks.get_mut(index.position() / CHUNK);
        let slot = chunk.and_then(|chunk| chunk.get_mut(index.position() % CHUNK));
        slot.and_then(Option::as_mut).expect("a number is used only while its name is there")
    }
}
