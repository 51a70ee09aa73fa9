//! A version of a key, in one piece of memory.
//!
//! A store holds many of them for a long time, and each is in the history of its key and in the log of its revision: so
//! numbers, key, and value lie together, once, and what refers to them is small.

use std::sync::Arc;

use bytes::Bytes;

use crate::store::{EventKind, KeyValue};

/// One change of one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    bytes: Arc<[u8]>,
}

/// What there is to a version beside its key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Written or deleted.
    pub kind: EventKind,
    /// Its place within its revision.
    pub sub: u32,
    /// The revision in which its key came to be; 0 of a deletion.
    pub create_revision: i64,
    /// Its revision.
    pub mod_revision: i64,
    /// How many versions of the key there were since then; 0 of a deletion.
    pub version: i64,
    /// The key's lease; 0 for none.
    pub lease: i64,
}

/// Where in a version's bytes things are: revision, place, length of the key with a mark for a deletion, the other numbers,
/// the key, the value.
const SUB: usize = 8;
const KEY_LENGTH: usize = 12;
const CREATE: usize = 16;
const VERSION: usize = 24;
const LEASE: usize = 32;
const KEY: usize = 40;

/// The mark of a deletion. A request, and so a key, is far shorter.
const DELETION: u32 = 1 << 31;

impl Version {
    /// A version of a key.
    #[must_use]
    pub fn new(numbers: Numbers, key: &[u8], value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(KEY + key.len() + value.len());
        bytes.extend(numbers.mod_revision.to_ne_bytes());
        bytes.extend(numbers.sub.to_ne_bytes());
        let mark = if numbers.kind == EventKind::Delete { DELETION } else { 0 };
        bytes.extend((key.len() as u32 & !DELETION | mark).to_ne_bytes());
        bytes.extend(numbers.create_revision.to_ne_bytes());
        bytes.extend(numbers.version.to_ne_bytes());
        bytes.extend(numbers.lease.to_ne_bytes());
        bytes.extend(key);
        bytes.extend(value);
        Self { bytes: bytes.into() }
    }

    /// A key that was deleted.
    #[must_use]
    pub fn deletion(mod_revision: i64, sub: u32, key: &[u8]) -> Self {
        let numbers = Numbers { kind: EventKind::Delete, sub, create_revision: 0, mod_revision, version: 0, lease: 0 };
        Self::new(numbers, key, &[])
    }

    /// All of its numbers.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers {
            kind: self.kind(),
            sub: self.sub(),
            create_revision: self.number(CREATE),
            mod_revision: self.revision(),
            version: self.number(VERSION),
            lease: self.lease(),
        }
    }

    /// Written or deleted.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        if self.small(KEY_LENGTH) & DELETION == 0 { EventKind::Put } else { EventKind::Delete }
    }

    /// Its revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.number(0)
    }

    /// Its place within its revision.
    #[must_use]
    pub fn sub(&self) -> u32 {
        self.small(SUB)
    }

    /// Its revision, and the place within it.
    #[must_use]
    pub fn place(&self) -> (i64, u32) {
        (self.revision(), self.sub())
    }

    /// The key's lease; 0 for none.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.number(LEASE)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[KEY..self.value_at()]
    }

    /// The value; empty of a deletion.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.value_at()..]
    }

    /// The key as it is answered. It keeps the version in memory.
    #[must_use]
    pub fn key_value(&self) -> KeyValue {
        let Numbers { create_revision, mod_revision, version, lease, .. } = self.numbers();
        let bytes = Bytes::from_owner(self.clone());
        let (key, value) = (bytes.slice(KEY..self.value_at()), bytes.slice(self.value_at()..));
        KeyValue { key, value, create_revision, mod_revision, version, lease }
    }

    /// Itself, if it is no deletion.
    pub(super) fn live(&self) -> Option<&Self> {
        (self.kind() == EventKind::Put).then_some(self)
    }

    fn value_at(&self) -> usize {
        KEY + (self.small(KEY_LENGTH) & !DELETION) as usize
    }

    fn number(&self, at: usize) -> i64 {
        self.bytes[at..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes))
    }

    fn small(&self, at: usize) -> u32 {
        self.bytes[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

impl AsRef<[u8]> for Version {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut shown = f.debug_struct("Version");
        shown.field("numbers", &self.numbers()).field("key", &text(self.key())).field("value", &text(self.value()));
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_gives_back_what_it_was_made_of() {
        let numbers =
            Numbers { kind: EventKind::Put, sub: 7, create_revision: 3, mod_revision: i64::MAX, version: 5, lease: -1 };
        let version = Version::new(numbers, b"key", b"value");
        assert_eq!((version.numbers(), version.key(), version.value()), (numbers, &b"key"[..], &b"value"[..]));
        let kv = version.key_value();
        assert_eq!((&kv.key[..], &kv.value[..], kv.mod_revision), (&b"key"[..], &b"value"[..], i64::MAX));
        let deletion = Version::deletion(9, 1, b"key");
        assert_eq!((deletion.kind(), deletion.place(), deletion.value()), (EventKind::Delete, (9, 1), &b""[..]));
        assert!(deletion.live().is_none() && version.live().is_some());
    }

    /// With a hundred thousand small keys each byte here is a tenth of a megabyte.
    #[test]
    fn what_refers_to_a_version_is_small() {
        assert_eq!(size_of::<Version>(), 2 * size_of::<usize>());
    }
}
