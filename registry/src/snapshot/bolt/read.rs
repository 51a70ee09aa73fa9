//! Reading a file that anybody may have made: every offset is checked, no page is read twice, and nothing is held in
//! memory but one page of each level.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{
    BRANCH, BUCKET, BUCKET_BYTES, ELEMENT_BYTES, HEAD_BYTES, LEAF, MAGIC, META, META_BYTES, VERSION, checksum,
};
use crate::snapshot::error::{SnapshotError, damaged};

/// Sizes of pages that there are.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 9..=16;
/// No tree is deeper: each level at least doubles what it holds.
const MAX_DEPTH: usize = 32;
/// No page with those that belong to it is longer: etcd's largest values are far smaller.
const MAX_NODE_BYTES: u64 = 256 * 1024 * 1024;
/// etcd's buckets are a dozen.
const MAX_BUCKETS: usize = 1000;

/// What a file is read from.
pub trait Source {
    /// How long it is.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer with what stands at an offset.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or there is less.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Source for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Key and value, and where in the file they are.
pub(in crate::snapshot) struct Pair<'a> {
    pub(in crate::snapshot) offset: u64,
    pub(in crate::snapshot) key: &'a [u8],
    pub(in crate::snapshot) value: &'a [u8],
    flags: u32,
}

/// Takes pairs in order; what it finds wrong with one ends the reading.
type Visit<'a> = dyn FnMut(Pair<'_>) -> Result<(), SnapshotError> + 'a;

/// Where a bucket's pairs are.
enum Bucket {
    /// A tree that begins at this page.
    Tree(u64),
    /// A page within a value, at this offset.
    Inline(u64, Vec<u8>),
}

/// An open file.
pub(in crate::snapshot) struct Bolt<'a, S: ?Sized> {
    source: &'a S,
    length: u64,
    page_bytes: u64,
    /// Pages that have been read, or belong to one that has.
    read: Vec<bool>,
    buckets: BTreeMap<Vec<u8>, Bucket>,
}

struct Page {
    offset: u64,
    /// With its head.
    bytes: Vec<u8>,
}

impl<'a, S: Source + ?Sized> Bolt<'a, S> {
    /// Reads metas and the names of buckets. What stands behind `length` is none of the file's.
    pub(in crate::snapshot) fn open(source: &'a S, length: u64) -> Result<Self, SnapshotError> {
        let (page_bytes, root) = newest_meta(source, length)?.ok_or(SnapshotError::NotBolt)?;
        let pages = usize::try_from(length / page_bytes).map_err(|_| SnapshotError::NotBolt)?;
        let mut bolt = Self { source, length, page_bytes, read: vec![false; pages], buckets: BTreeMap::new() };
        let mut buckets = BTreeMap::new();
        bolt.walk(root, &mut |pair| {
            let bucket = bucket(&pair).filter(|_| buckets.len() < MAX_BUCKETS);
            let bucket =
                bucket.ok_or_else(|| damaged(pair.offset, "this is no bucket, and etcd has only buckets here"))?;
            buckets.insert(pair.key.to_vec(), bucket);
            Ok(())
        })?;
        bolt.buckets = buckets;
        Ok(bolt)
    }

    /// Reads a bucket, once. Returns whether there is one of this name.
    pub(in crate::snapshot) fn bucket(&mut self, name: &str, visit: &mut Visit<'_>) -> Result<bool, SnapshotError> {
        let mut pairs_only = |pair: Pair<'_>| match pair.flags {
            0 => visit(pair),
            _ => Err(damaged(pair.offset, "this is a bucket, and etcd has only values here")),
        };
        match self.buckets.remove(name.as_bytes()) {
            None => return Ok(false),
            Some(Bucket::Tree(root)) => self.walk(root, &mut pairs_only)?,
            Some(Bucket::Inline(offset, bytes)) => {
                let page = Page { offset, bytes };
                if page.kind() != LEAF {
                    return Err(damaged(offset, "this is no leaf, and should be one"));
                }
                page.leaf(&mut None, &mut pairs_only)?;
            }
        }
        Ok(true)
    }

    fn walk(&mut self, root: u64, visit: &mut Visit<'_>) -> Result<(), SnapshotError> {
        self.descend(root, 0, &mut None, visit)
    }

    fn descend(
        &mut self,
        id: u64,
        depth: usize,
        last: &mut Option<Vec<u8>>,
        visit: &mut Visit<'_>,
    ) -> Result<(), SnapshotError> {
        let page = self.page(id)?;
        match page.kind() {
            LEAF => page.leaf(last, visit),
            BRANCH if depth == MAX_DEPTH => Err(damaged(page.offset, "the tree is deeper than any can be")),
            BRANCH => {
                for child in page.children()? {
                    self.descend(child, depth + 1, last, visit)?;
                }
                Ok(())
            }
            kind => Err(damaged(page.offset, format!("a page of kind {kind:#x}, where a branch or a leaf should be"))),
        }
    }

    /// A page and those that belong to it.
    fn page(&mut self, id: u64) -> Result<Page, SnapshotError> {
        let outside =
            || damaged(self.length, format!("the file ends here, and page {id} should follow: it was cut short"));
        let offset = id.checked_mul(self.page_bytes).ok_or_else(outside)?;
        let left = self.length.checked_sub(offset).filter(|left| *left >= self.page_bytes).ok_or_else(outside)?;
        let mut head = [0; HEAD_BYTES];
        self.source.read_at(offset, &mut head)?;
        if number(&head, 0) != Some(id) {
            return Err(damaged(offset, format!("page {id} bears another number")));
        }
        let bytes = (u64::from(short(&head, 12).unwrap_or_default()) + 1) * self.page_bytes;
        if bytes > left || bytes > MAX_NODE_BYTES {
            return Err(damaged(offset, format!("page {id} is longer than the file, or than any page can be")));
        }
        for page in id..id + bytes / self.page_bytes {
            let read = usize::try_from(page).ok().and_then(|page| self.read.get_mut(page));
            if read.is_none_or(|read| std::mem::replace(read, true)) {
                return Err(damaged(offset, format!("page {page} belongs to two others")));
            }
        }
        let mut page = Page { offset, bytes: vec![0; usize::try_from(bytes).unwrap_or_default()] };
        self.source.read_at(offset, &mut page.bytes)?;
        Ok(page)
    }
}

impl Page {
    fn kind(&self) -> u16 {
        u16::from_le_bytes([self.byte(8), self.byte(9)])
    }

    fn count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(10), self.byte(11)]))
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// Hands over the pairs of a leaf, whose keys must come after the last one.
    fn leaf(&self, last: &mut Option<Vec<u8>>, visit: &mut Visit<'_>) -> Result<(), SnapshotError> {
        let mut free = HEAD_BYTES + self.count() * ELEMENT_BYTES;
        for index in 0..self.count() {
            let at = HEAD_BYTES + index * ELEMENT_BYTES;
            let offset = self.offset + at as u64;
            let fields = [0, 4, 8, 12].map(|field| short(&self.bytes, at + field).map(|n| n as usize));
            let [Some(flags), Some(position), Some(key), Some(value)] = fields else {
                return Err(damaged(offset, "an element reaches beyond its page"));
            };
            // Values do not overlap: so all of them together are no longer than the file.
            let start = at + position;
            let (key, rest) = self
                .bytes
                .get(start..)
                .filter(|_| start >= free)
                .and_then(|bytes| bytes.split_at_checked(key))
                .ok_or_else(|| damaged(offset, "an element's key reaches beyond its page"))?;
            let value =
                rest.get(..value).ok_or_else(|| damaged(offset, "an element's value reaches beyond its page"))?;
            free = start + key.len() + value.len();
            if last.as_ref().is_some_and(|last| last.as_slice() >= key) {
                return Err(damaged(offset, "the keys are not in order"));
            }
            *last = Some(key.to_vec());
            visit(Pair { offset: self.offset + start as u64, key, value, flags: flags as u32 })?;
        }
        Ok(())
    }

    /// The pages of a branch's children.
    fn children(&self) -> Result<Vec<u64>, SnapshotError> {
        let child = |index| {
            let at = HEAD_BYTES + index * ELEMENT_BYTES;
            number(&self.bytes, at + 8).ok_or_else(|| damaged(self.offset, "a branch reaches beyond its page"))
        };
        (0..self.count()).map(child).collect()
    }
}

/// Page size and root of the meta that counts.
fn newest_meta<S: Source + ?Sized>(source: &S, length: u64) -> Result<Option<(u64, u64)>, SnapshotError> {
    let mut newest: Option<(u64, u64, u64)> = None;
    // The first is at the beginning; where the second is follows from the size of pages.
    let places = PAGE_SIZES.map(|bits| 1_u64 << bits);
    for place in std::iter::once(0).chain(places) {
        let mut page = [0; HEAD_BYTES + META_BYTES];
        if place + page.len() as u64 > length {
            continue;
        }
        source.read_at(place, &mut page)?;
        let Some((page_bytes, root, transaction)) = meta(&page) else { continue };
        if (place == 0 || place == page_bytes) && newest.is_none_or(|(newest, ..)| newest < transaction) {
            newest = Some((transaction, page_bytes, root));
        }
    }
    Ok(newest.map(|(_, page_bytes, root)| (page_bytes, root)))
}

/// Page size, root, and transaction, if all of it holds together.
fn meta(page: &[u8]) -> Option<(u64, u64, u64)> {
    let (head, meta) = page.split_at_checked(HEAD_BYTES)?;
    let page_bytes = short(meta, 8)?;
    let good = u16::from_le_bytes([head[8], head[9]]) & META != 0
        && (short(meta, 0)?, short(meta, 4)?) == (MAGIC, VERSION)
        && page_bytes.is_power_of_two()
        && PAGE_SIZES.contains(&page_bytes.trailing_zeros())
        && number(meta, 56)? == checksum(meta.get(..56)?);
    Some((u64::from(page_bytes), number(meta, 16)?, number(meta, 48)?)).filter(|_| good)
}

fn bucket(pair: &Pair<'_>) -> Option<Bucket> {
    let root = number(pair.value, 0)?;
    let inline = pair.value.get(BUCKET_BYTES..)?;
    let offset = pair.offset + (pair.key.len() + BUCKET_BYTES) as u64;
    let bucket = if root == 0 { Bucket::Inline(offset, inline.to_vec()) } else { Bucket::Tree(root) };
    Some(bucket).filter(|_| pair.flags == BUCKET)
}

fn short(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
