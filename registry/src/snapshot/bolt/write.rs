//! Writing a file from its beginning to its end: pages are laid out first, then made one after another.

use std::ops::Range;

use super::{
    BRANCH, BUCKET, BUCKET_BYTES, ELEMENT_BYTES, FREELIST, HEAD_BYTES, LEAF, MAGIC, META, META_BYTES, PAGE_BYTES,
    VERSION, checksum,
};

/// The most elements that a page may have: its count has 16 bits, and the last number means another thing.
const MAX_ELEMENTS: usize = 0xfffe;

/// Two metas and an empty freelist.
const FIRST_PAGE: u64 = 3;

/// Keys and values of a bucket, by place, in the order of the keys. They are asked for twice.
pub(in crate::snapshot) trait Pairs: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Key and value.
    fn pair(&self, index: usize) -> (Vec<u8>, Vec<u8>);
}

impl Pairs for Vec<(Vec<u8>, Vec<u8>)> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn pair(&self, index: usize) -> (Vec<u8>, Vec<u8>) {
        self[index].clone()
    }
}

/// A node of a tree: a page with those that belong to it.
struct Node {
    first_key: Vec<u8>,
    page: u64,
    bytes: usize,
    /// Of a leaf its pairs, of a branch its nodes in the level below.
    content: Range<usize>,
}

impl Node {
    fn pages(&self) -> usize {
        self.bytes.div_ceil(PAGE_BYTES)
    }
}

/// A bucket's tree, leaves first.
struct Tree {
    pairs: Box<dyn Pairs>,
    levels: Vec<Vec<Node>>,
}

impl Tree {
    /// Lays a tree out from a page on, which is moved behind it.
    fn new(pairs: Box<dyn Pairs>, next: &mut u64) -> Self {
        let mut leaves = Level::new(1);
        for index in 0..pairs.len() {
            let (key, value) = pairs.pair(index);
            let bytes = key.len() + value.len();
            leaves.add(key, bytes, index + 1 == pairs.len());
        }
        let mut levels = vec![leaves.finish(next)];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            // A branch with a single child would be a level without an end.
            let mut level = Level::new(2);
            for (index, node) in below.iter().enumerate() {
                level.add(node.first_key.clone(), node.first_key.len(), index + 1 == below.len());
            }
            levels.push(level.finish(next));
        }
        Self { pairs, levels }
    }

    fn root(&self) -> u64 {
        self.levels.last().and_then(|level| level.first()).map_or(0, |node| node.page)
    }

    fn node(&self, level: usize, node: &Node) -> Vec<u8> {
        if level == 0 {
            let pairs = node.content.clone().map(|index| self.pairs.pair(index)).collect::<Vec<_>>();
            return leaf(node.page, 0, &pairs);
        }
        let children = &self.levels[level - 1][node.content.clone()];
        let mut page = head(node.page, BRANCH, children.len(), node.pages());
        let mut data = children.len() * ELEMENT_BYTES;
        for (index, child) in children.iter().enumerate() {
            page.extend(((data - index * ELEMENT_BYTES) as u32).to_le_bytes());
            page.extend((child.first_key.len() as u32).to_le_bytes());
            page.extend(child.page.to_le_bytes());
            data += child.first_key.len();
        }
        children.iter().for_each(|child| page.extend(&child.first_key));
        padded(page)
    }
}

/// The nodes of a level, filled one after another.
struct Level {
    /// What a node has at least, though it grow beyond a page.
    least: usize,
    nodes: Vec<Node>,
    /// The node that is being filled.
    open: Node,
}

impl Level {
    fn new(least: usize) -> Self {
        Self { least, nodes: Vec::new(), open: Self::empty(0) }
    }

    fn empty(from: usize) -> Node {
        Node { first_key: Vec::new(), page: 0, bytes: HEAD_BYTES, content: from..from }
    }

    fn add(&mut self, key: Vec<u8>, bytes: usize, last: bool) {
        let bytes = bytes + ELEMENT_BYTES;
        let count = self.open.content.len();
        // A last one alone stays with those before it, where a node needs two.
        let full = self.open.bytes + bytes > PAGE_BYTES || count == MAX_ELEMENTS;
        if count >= self.least && full && !(last && self.least > 1) {
            let next = Self::empty(self.open.content.end);
            self.nodes.push(std::mem::replace(&mut self.open, next));
        }
        if self.open.content.is_empty() {
            self.open.first_key = key;
        }
        self.open.content.end += 1;
        self.open.bytes += bytes;
    }

    /// The nodes, with their pages. A bucket without keys has one leaf, without elements.
    fn finish(mut self, next: &mut u64) -> Vec<Node> {
        self.nodes.push(self.open);
        for node in &mut self.nodes {
            node.page = *next;
            *next += node.pages() as u64;
        }
        self.nodes
    }
}

/// The pages of a file, in order; each item is whole pages.
pub(in crate::snapshot) struct Pages {
    buckets: Vec<(Vec<u8>, Tree)>,
    /// Bucket, level, and place in the level of every node.
    nodes: Vec<(usize, usize, usize)>,
    next: usize,
    root: u64,
    end: u64,
}

impl Pages {
    /// Lays out a file of buckets, which come in the order of their names and fit on one page.
    pub(in crate::snapshot) fn new(buckets: Vec<(&str, Box<dyn Pairs>)>) -> Self {
        let mut next = FIRST_PAGE;
        let buckets: Vec<(Vec<u8>, Tree)> =
            buckets.into_iter().map(|(name, pairs)| (name.into(), Tree::new(pairs, &mut next))).collect();
        let mut nodes = Vec::new();
        for (bucket, (_, tree)) in buckets.iter().enumerate() {
            for (level, in_level) in tree.levels.iter().enumerate() {
                nodes.extend((0..in_level.len()).map(|place| (bucket, level, place)));
            }
        }
        Self { buckets, nodes, next: 0, root: next, end: next + 1 }
    }

    /// How long the file is.
    pub(in crate::snapshot) fn bytes(&self) -> u64 {
        self.end * PAGE_BYTES as u64
    }

    /// Both metas and the freelist, which is empty.
    fn begin(&self) -> Vec<u8> {
        let mut pages = self.meta(0);
        pages.extend(self.meta(1));
        pages.extend(padded(head(2, FREELIST, 0, 1)));
        pages
    }

    fn meta(&self, transaction: u64) -> Vec<u8> {
        let mut meta = Vec::with_capacity(META_BYTES);
        for number in [MAGIC, VERSION, PAGE_BYTES as u32, 0] {
            meta.extend(number.to_le_bytes());
        }
        for number in [self.root, 0, 2, self.end, transaction] {
            meta.extend(u64::to_le_bytes(number));
        }
        meta.extend(checksum(&meta).to_le_bytes());
        let mut page = head(transaction, META, 0, 1);
        page.extend(meta);
        padded(page)
    }

    /// The page that names the buckets.
    fn names(&self) -> Vec<u8> {
        let bucket = |(name, tree): &(Vec<u8>, Tree)| {
            let mut value = Vec::with_capacity(BUCKET_BYTES);
            value.extend(tree.root().to_le_bytes());
            value.extend(0_u64.to_le_bytes());
            (name.clone(), value)
        };
        leaf(self.root, BUCKET, &self.buckets.iter().map(bucket).collect::<Vec<_>>())
    }
}

impl Iterator for Pages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let step = self.next;
        self.next += 1;
        match step.checked_sub(1) {
            None => Some(self.begin()),
            Some(place) if place == self.nodes.len() => Some(self.names()),
            Some(place) => {
                let (bucket, level, node) = *self.nodes.get(place)?;
                let tree = &self.buckets[bucket].1;
                Some(tree.node(level, &tree.levels[level][node]))
            }
        }
    }
}

fn leaf(id: u64, flags: u32, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let bytes = |(key, value): &(Vec<u8>, Vec<u8>)| ELEMENT_BYTES + key.len() + value.len();
    let pages = (HEAD_BYTES + pairs.iter().map(bytes).sum::<usize>()).div_ceil(PAGE_BYTES);
    let mut page = head(id, LEAF, pairs.len(), pages);
    let mut data = pairs.len() * ELEMENT_BYTES;
    for (index, (key, value)) in pairs.iter().enumerate() {
        // A node is about a page, or one value: a request is at most 1.5 MiB.
        for number in [flags, (data - index * ELEMENT_BYTES) as u32, key.len() as u32, value.len() as u32] {
            page.extend(number.to_le_bytes());
        }
        data += key.len() + value.len();
    }
    for (key, value) in pairs {
        page.extend(key);
        page.extend(value);
    }
    padded(page)
}

fn head(id: u64, kind: u16, count: usize, pages: usize) -> Vec<u8> {
    let mut page = Vec::with_capacity(pages * PAGE_BYTES);
    page.extend(id.to_le_bytes());
    page.extend(kind.to_le_bytes());
    page.extend((count as u16).to_le_bytes());
    page.extend((pages as u32 - 1).to_le_bytes());
    page
}

/// Fills the last page up.
fn padded(mut pages: Vec<u8>) -> Vec<u8> {
    pages.resize(pages.len().next_multiple_of(PAGE_BYTES), 0);
    pages
}
