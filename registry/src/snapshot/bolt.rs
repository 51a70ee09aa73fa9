//! The file format of bbolt, in which etcd keeps its database.
//!
//! The file is pages of one size; numbers are little-endian. A page begins with its id, its kind, the number of its
//! elements, and the number of pages that follow and belong to it. Pages 0 and 1 are metas: of the two that hold
//! together, the one of the later transaction counts, and it names the page where the root bucket begins. A bucket is a
//! B+ tree whose leaves hold keys and values in order; a bucket within a bucket is a value that names the page where its
//! own tree begins, or that holds its only page itself.

mod read;
mod write;

pub(super) use read::Bolt;
pub use read::Source;
pub(super) use write::{Pages, Pairs};

/// The size of the pages that are written here.
pub(super) const PAGE_BYTES: usize = 4096;

/// Id, kind, count, and overflow of a page.
const HEAD_BYTES: usize = 16;
/// An element of a page: where its key and value are, and how long; or key and page of a child.
const ELEMENT_BYTES: usize = 16;
/// Magic, version, page size, flags; root and sequence of the root bucket; freelist, end, transaction; checksum.
const META_BYTES: usize = 64;
/// A bucket as a value: the page of its root, 0 where that follows; and its sequence.
const BUCKET_BYTES: usize = 16;

/// Kinds of pages.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREELIST: u16 = 0x10;

/// Marks an element of a leaf whose value is a bucket.
const BUCKET: u32 = 1;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;

/// FNV-1a, 64 bits: the checksum of a meta.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
