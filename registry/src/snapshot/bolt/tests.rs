//! What was written reads back, whatever its shape; what was not is refused with its place.

use super::*;
use crate::snapshot::SnapshotError;

type Content = Vec<(Vec<u8>, Vec<u8>)>;

fn written(buckets: &[(&str, Content)]) -> Vec<u8> {
    let pages = buckets.iter().map(|(name, content)| (*name, Box::new(content.clone()) as Box<dyn Pairs>));
    let pages = Pages::new(pages.collect());
    let length = pages.bytes();
    let bytes: Vec<u8> = pages.flatten().collect();
    assert_eq!(bytes.len() as u64, length);
    bytes
}

fn read(bytes: &[u8], name: &str) -> Result<Content, SnapshotError> {
    let mut content = Content::new();
    Bolt::open(bytes, bytes.len() as u64)?.bucket(name, &mut |pair| {
        let start = pair.offset as usize;
        assert_eq!(&bytes[start..start + pair.key.len()], pair.key, "the offset is where the key is");
        content.push((pair.key.to_vec(), pair.value.to_vec()));
        Ok(())
    })?;
    Ok(content)
}

fn numbered(count: u64, value: usize) -> Content {
    (0..count).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; value])).collect()
}

#[test]
fn buckets_of_any_shape_read_back() {
    // Nothing; values around a page's size; one that needs many pages; a tree of three levels.
    let mut uneven = Content::new();
    for size in 4040..4110 {
        uneven.push((vec![b'k', size as u8], vec![b'v'; size]));
    }
    uneven.sort();
    let large = vec![(b"large".to_vec(), vec![7; 1_500_000]), (b"small".to_vec(), Vec::new())];
    let buckets = [
        ("empty", Content::new()),
        ("large", large),
        ("many", numbered(40_000, 0)),
        ("one", numbered(1, 5)),
        ("uneven", uneven),
    ];
    let bytes = written(&buckets);
    for (name, content) in &buckets {
        assert!(read(&bytes, name).unwrap() == *content, "bucket {name}");
    }
    assert!(!Bolt::open(&bytes[..], bytes.len() as u64).unwrap().bucket("other", &mut |_| Ok(())).unwrap());
}

/// The page of the root bucket, and the page where the only bucket begins.
fn roots(bytes: &[u8]) -> (usize, usize) {
    let root = bytes.len() - PAGE_BYTES;
    let first = HEAD_BYTES + ELEMENT_BYTES + "b".len();
    let at = root + first;
    (root, u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize * PAGE_BYTES)
}

/// What is said when the bytes at an offset are others.
fn refused(bytes: &[u8], at: usize, instead: &[u8]) -> (u64, String) {
    let mut bytes = bytes.to_vec();
    bytes[at..at + instead.len()].copy_from_slice(instead);
    match read(&bytes, "b") {
        Err(SnapshotError::Damaged { offset, why }) => (offset, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    // One branch, and leaves under it.
    let bytes = written(&[("b", numbered(1000, 20))]);
    let (root, branch) = roots(&bytes);
    let child = branch + HEAD_BYTES + 8;
    let (offset, why) = refused(&bytes, child, &(branch / PAGE_BYTES).to_le_bytes());
    assert_eq!((offset, why.contains("belongs to two others")), (branch as u64, true), "a page within itself: {why}");
    let (_, why) = refused(&bytes, child, &u64::MAX.to_le_bytes());
    assert!(why.contains("cut short"), "a page that is not there: {why}");
    let (_, why) = refused(&bytes, child, &0_u64.to_le_bytes());
    assert!(why.contains("kind 0x4"), "a page of another kind: {why}");
    let leaf = 3 * PAGE_BYTES;
    let (offset, why) = refused(&bytes, leaf + 12, &u32::MAX.to_le_bytes());
    assert_eq!((offset, why.contains("longer than the file")), (leaf as u64, true), "{why}");
    let element = leaf + HEAD_BYTES + ELEMENT_BYTES;
    let (offset, why) = refused(&bytes, element + 4, &8_u32.to_le_bytes());
    assert_eq!((offset, why.contains("key reaches")), (element as u64, true), "two keys at one place: {why}");
    let (offset, why) = refused(&bytes, element + 12, &u32::MAX.to_le_bytes());
    assert_eq!((offset, why.contains("value reaches")), (element as u64, true), "{why}");
    let (_, why) = refused(&bytes, leaf + 10, &u16::MAX.to_le_bytes());
    assert!(why.contains("beyond its page"), "{why}");
    let (_, why) = refused(&bytes, leaf, &99_u64.to_le_bytes());
    assert!(why.contains("bears another number"), "{why}");
    let (_, why) = refused(&bytes, root + HEAD_BYTES, &0_u32.to_le_bytes());
    assert!(why.contains("no bucket"), "{why}");
    let (_, why) = refused(&bytes, leaf + HEAD_BYTES, &BUCKET.to_le_bytes());
    assert!(why.contains("this is a bucket"), "{why}");
    let mut swapped = bytes.clone();
    swapped[child..child + 8].copy_from_slice(&4_u64.to_le_bytes());
    swapped[child + ELEMENT_BYTES..child + ELEMENT_BYTES + 8].copy_from_slice(&3_u64.to_le_bytes());
    assert!(read(&swapped, "b").unwrap_err().to_string().contains("not in order"));
}

#[test]
fn either_meta_will_do() {
    let bytes = written(&[("b", numbered(10, 20))]);
    for meta in [0, PAGE_BYTES] {
        let mut damaged = bytes.clone();
        damaged[meta + HEAD_BYTES + 16] ^= 1;
        assert_eq!(read(&damaged, "b").unwrap(), numbered(10, 20));
        damaged[PAGE_BYTES - meta + HEAD_BYTES + 56] ^= 1;
        assert!(matches!(read(&damaged, "b"), Err(SnapshotError::NotBolt)));
    }
    assert!(matches!(read(&bytes[..100], "b"), Ok(_) | Err(SnapshotError::NotBolt | SnapshotError::Damaged { .. })));
    assert!(matches!(read(&[], "b"), Err(SnapshotError::NotBolt)));
}
