//! Which keys a mirror has handed over, each with the revision at which it was written.
//!
//! There are hundreds of thousands of them and neighbours have most of their text in common, so each is kept as what it
//! does not share with the one before it. They lie in blocks, so that a change touches a few dozen of them.

use std::collections::BTreeMap;
use std::ops::Bound;

/// A block with more keys than this is divided.
const MAX_KEYS: usize = 48;

/// By so much a block grows at once.
const GROWTH: usize = 96;

/// Keys in order, with revisions.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Blocks by a bound: all keys of a block are at or behind its own, and before the next one's.
    blocks: BTreeMap<Box<[u8]>, Block>,
    len: usize,
}

/// Some keys that follow each other: of each how many bytes it shares with the one before it, the others, and the
/// revision.
#[derive(Debug, Clone, Default)]
struct Block {
    bytes: Vec<u8>,
    len: usize,
}

/// Reads a block from its beginning.
struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the next entry begins.
    at: usize,
    /// The entry that was read last.
    key: Vec<u8>,
    revision: i64,
}

impl<'a> Reader<'a> {
    fn new(block: &'a Block) -> Self {
        Self { bytes: &block.bytes, at: 0, key: Vec::with_capacity(128), revision: 0 }
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// Reads the next entry; false at the end.
    fn next(&mut self) -> bool {
        if self.at == self.bytes.len() {
            return false;
        }
        // Lengths were written from lengths.
        let (shared, rest) = (self.number() as usize, self.number() as usize);
        self.key.truncate(shared);
        self.key.extend_from_slice(&self.bytes[self.at..self.at + rest]);
        self.at += rest;
        self.revision = self.number() as i64;
        true
    }
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Writes a key that follows another.
fn put_entry(to: &mut Vec<u8>, before: &[u8], key: &[u8], revision: i64) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_number(to, shared as u64);
    put_number(to, (key.len() - shared) as u64);
    to.extend_from_slice(&key[shared..]);
    put_number(to, revision as u64);
}

impl Block {
    /// Has a key at this revision from now on, or not at all. Answers the revision that it had.
    fn set(&mut self, key: &[u8], revision: Option<i64>) -> Option<i64> {
        let mut reader = Reader::new(self);
        let mut before = Vec::with_capacity(128);
        let (mut from, mut is_more) = (0, reader.next());
        while is_more && reader.key[..] < *key {
            before.clone_from(&reader.key);
            from = reader.at;
            is_more = reader.next();
        }
        let old = (is_more && reader.key[..] == *key).then_some(reader.revision);
        if old == revision {
            return old;
        }
        // The entry behind it is written anew as well: it follows another one now.
        let mut new = Vec::with_capacity(2 * key.len() + 40);
        if let Some(revision) = revision {
            put_entry(&mut new, &before, key, revision);
        }
        if old.is_some() {
            is_more = reader.next();
        }
        let upto = if is_more { reader.at } else { self.bytes.len() };
        if is_more {
            let before = if revision.is_some() { key } else { &before };
            put_entry(&mut new, before, &reader.key, reader.revision);
        }
        let grows = new.len().saturating_sub(upto - from);
        if self.bytes.capacity() - self.bytes.len() < grows {
            self.bytes.reserve_exact(grows + GROWTH);
        }
        self.bytes.splice(from..upto, new);
        self.len = self.len + usize::from(revision.is_some()) - usize::from(old.is_some());
        old
    }

    /// Takes out the second half; answers its first key as well.
    fn divide(&mut self) -> Option<(Box<[u8]>, Self)> {
        let mut reader = Reader::new(self);
        let mut end = 0;
        for _ in 0..self.len / 2 {
            reader.next();
            end = reader.at;
        }
        let (mut bound, mut before, mut second) = (None, Vec::new(), Self::default());
        while reader.next() {
            bound.get_or_insert_with(|| Box::from(&reader.key[..]));
            put_entry(&mut second.bytes, &before, &reader.key, reader.revision);
            before.clone_from(&reader.key);
            second.len += 1;
        }
        second.bytes.shrink_to_fit();
        self.bytes.truncate(end);
        self.bytes.shrink_to_fit();
        self.len -= second.len;
        Some((bound?, second))
    }
}

/// Where the block of a key is: the last of these.
fn upto(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

impl Known {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Has a key at this revision from now on; answers the revision that it had.
    pub(super) fn insert(&mut self, key: &[u8], revision: i64) -> Option<i64> {
        let Some((_, block)) = self.blocks.range_mut::<[u8], _>(upto(key)).next_back() else {
            self.blocks.entry(Box::default()).or_default().set(key, Some(revision));
            self.len += 1;
            return None;
        };
        let old = block.set(key, Some(revision));
        self.len += usize::from(old.is_none());
        if block.len > MAX_KEYS
            && let Some((bound, second)) = block.divide()
        {
            self.blocks.insert(bound, second);
        }
        old
    }

    /// Forgets a key; answers the revision that it had.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<i64> {
        let (bound, block) = self.blocks.range_mut::<[u8], _>(upto(key)).next_back()?;
        let old = block.set(key, None)?;
        self.len -= 1;
        // The first block is there for whatever comes before all others.
        if block.len == 0 && !bound.is_empty() {
            let bound = bound.clone();
            self.blocks.remove(&bound);
        }
        Some(old)
    }

    /// Tells of all keys from one on, in order, until it is told to stop.
    pub(super) fn walk(&self, from: &[u8], mut tell: impl FnMut(&[u8]) -> bool) {
        let first = self.blocks.range::<[u8], _>(upto(from)).next_back();
        let others = self.blocks.range::<[u8], _>((Bound::Excluded(from), Bound::Unbounded));
        for (_, block) in first.into_iter().chain(others) {
            let mut reader = Reader::new(block);
            while reader.next() {
                if reader.key[..] >= *from && !tell(&reader.key) {
                    return;
                }
            }
        }
    }

    /// All revisions count for nothing from now on: they are 0.
    pub(super) fn forget_revisions(&mut self) {
        for block in self.blocks.values_mut() {
            let (mut reader, mut bytes, mut before) = (Reader::new(block), Vec::new(), Vec::new());
            while reader.next() {
                put_entry(&mut bytes, &before, &reader.key, 0);
                before.clone_from(&reader.key);
            }
            block.bytes = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(known: &Known, from: &[u8]) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        known.walk(from, |key| {
            keys.push(key.to_vec());
            true
        });
        keys
    }

    fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<i64>)>> {
        let key = proptest::collection::vec(prop_oneof![4 => 0_u8..3, 1 => any::<u8>()], 0..7);
        proptest::collection::vec((key, proptest::option::weighted(0.8, 0..i64::MAX)), 0..400)
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_order(changes in changes(), from in proptest::collection::vec(0_u8..3, 0..5)) {
            let (mut known, mut map) = (Known::default(), BTreeMap::new());
            for (key, revision) in changes {
                match revision {
                    Some(revision) => prop_assert_eq!(known.insert(&key, revision), map.insert(key, revision)),
                    None => prop_assert_eq!(known.remove(&key), map.remove(&key)),
                }
                prop_assert_eq!(known.len(), map.len());
            }
            prop_assert!(keys(&known, &[]).iter().eq(map.keys()));
            prop_assert!(keys(&known, &from).iter().eq(map.range(from..).map(|(key, _)| key)));
            known.forget_revisions();
            for key in map.into_keys() {
                prop_assert_eq!(known.remove(&key), Some(0));
            }
            prop_assert_eq!((known.len(), known.blocks.len() <= 1), (0, true));
        }
    }

    #[test]
    fn a_key_takes_little_more_than_what_tells_it_from_its_neighbour() {
        let mut known = Known::default();
        let keys: Vec<String> =
            (0..5_000).map(|n| format!("/_coreos.com/fleet/v3/states/{:032x}/web@{n}.service", n / 10)).collect();
        keys.iter().for_each(|key| _ = known.insert(key.as_bytes(), 1_000_000));
        let taken: usize = known.blocks.iter().map(|(bound, block)| bound.len() + block.bytes.capacity() + 40).sum();
        assert!(taken < 40 * keys.len(), "{} bytes a key", taken / keys.len());
    }
}
