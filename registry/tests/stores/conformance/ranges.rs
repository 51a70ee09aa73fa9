//! Many keys at once.

use fleet_registry::store::{DeleteRequest, ErrorKind, RangeRequest, SortOrder, SortTarget, prefix_end};

use crate::harness::{Subject, names};

async fn fill(s: &Subject, keys: &[&str]) -> Vec<i64> {
    let mut revisions = Vec::new();
    for key in keys {
        revisions.push(s.put(key, key).await);
    }
    revisions
}

pub(crate) async fn prefixes(s: &Subject) {
    fill(s, &["a", "a/", "a/1", "a/2", "a0", "b"]).await;
    assert_eq!(s.names("a/").await, ["a/", "a/1", "a/2"]);
    assert_eq!(s.names("a").await, ["a", "a/", "a/1", "a/2", "a0"]);
    assert_eq!(s.names("c").await, Vec::<String>::new());
    let backwards = RangeRequest { key: "b".into(), range_end: "a".into(), ..RangeRequest::default() };
    assert_eq!(s.range(backwards).await.expect("a range").count, 0);
    let request = DeleteRequest { key: "a/".into(), range_end: prefix_end(b"a/"), prev_kv: true };
    let deleted = s.delete(request).await.expect("a deletion");
    assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (3, 3));
    assert_eq!(s.names("a").await, ["a", "a0"]);
}

pub(crate) async fn from_a_key_on(s: &Subject) {
    fill(s, &["a", "b", "c"]).await;
    let open = |key: &'static [u8]| RangeRequest {
        key: key.into(),
        range_end: [0].as_slice().into(),
        ..RangeRequest::default()
    };
    assert_eq!(names(&s.range(open(b"b")).await.expect("a range")), ["b", "c"]);
    assert_eq!(names(&s.range(open(b"\0")).await.expect("a range")), ["a", "b", "c"]);
    let request = DeleteRequest { key: "b".into(), range_end: [0].as_slice().into(), prev_kv: false };
    assert_eq!(s.delete(request).await.expect("a deletion").deleted, 2);
}

pub(crate) async fn paging_at_a_revision(s: &Subject) {
    let keys: Vec<String> = (0..25).map(|n| format!("p/{n:02}")).collect();
    fill(s, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut request = RangeRequest { limit: 10, ..RangeRequest::prefix("p/") };
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = s.range(request.clone()).await.expect("a page");
        assert_eq!(page.count, 25 - i64::try_from(seen.len()).expect("few"), "what was there when it began");
        seen.extend(names(&page));
        pages += 1;
        if request.revision == 0 {
            request.revision = s.put("p/00a", "late").await - 1;
            s.delete_key("p/24").await;
        }
        if !page.more {
            break;
        }
        let mut next = seen.last().expect("a page has keys").clone().into_bytes();
        next.push(0);
        request.key = next.into();
    }
    assert_eq!((pages, seen), (3, keys));
}

pub(crate) async fn old_revisions(s: &Subject) {
    let one = s.put("key", "one").await;
    let two = s.put("key", "two").await;
    s.delete_key("key").await;
    let four = s.put("key", "four").await;
    let at = async |revision| {
        let request = RangeRequest { revision, ..RangeRequest::key("key") };
        let kv = s.range(request).await.expect("history").kvs.pop();
        kv.map(|kv| (String::from_utf8_lossy(&kv.value).into_owned(), kv.version))
    };
    assert_eq!(at(one - 1).await, None);
    assert_eq!(at(one).await, Some(("one".to_owned(), 1)));
    assert_eq!(at(two).await, Some(("two".to_owned(), 2)));
    assert_eq!(at(two + 1).await, None);
    assert_eq!(at(four).await, Some(("four".to_owned(), 1)));
    s.compact(two).await.expect("a compaction");
    assert_eq!(at(two).await, Some(("two".to_owned(), 2)), "the compacted revision itself stays");
    let request = RangeRequest { revision: one, ..RangeRequest::key("key") };
    let error = s.range(request).await.expect_err("it is gone");
    assert_eq!(error.kind, ErrorKind::Compacted);
    s.compact(four).await.expect("a compaction");
    assert_eq!(at(four).await, Some(("four".to_owned(), 1)));
    assert_eq!(at(0).await, Some(("four".to_owned(), 1)));
}

pub(crate) async fn sorting(s: &Subject) {
    for (key, value) in [("b", "1"), ("a", "3"), ("c", "2")] {
        s.put(key, value).await;
    }
    s.put("b", "1").await;
    let sorted = async |sort_target, sort_order, limit| {
        let all = RangeRequest { key: "a".into(), range_end: "d".into(), ..RangeRequest::default() };
        names(&s.range(RangeRequest { sort_target, sort_order, limit, ..all }).await.expect("a range")).concat()
    };
    use SortOrder::{Ascend, Descend, None};
    use SortTarget::{Create, Key, Mod, Value, Version};
    assert_eq!(sorted(Key, None, 0).await, "abc");
    assert_eq!(sorted(Key, Descend, 0).await, "cba");
    assert_eq!(sorted(Key, Descend, 2).await, "cb", "sorted before it is cut");
    assert_eq!(sorted(Create, Ascend, 0).await, "bac");
    assert_eq!(sorted(Mod, Ascend, 0).await, "acb");
    assert_eq!(sorted(Mod, Descend, 1).await, "b");
    assert_eq!(sorted(Value, Ascend, 0).await, "bca");
    assert_eq!(sorted(Value, None, 0).await, "bca", "a target without an order ascends");
    assert_eq!(sorted(Version, Descend, 1).await, "b");
}

pub(crate) async fn bounds_on_revisions(s: &Subject) {
    let revisions = fill(s, &["a", "b", "c"]).await;
    let rewritten = s.put("a", "again").await;
    let all = RangeRequest { key: "a".into(), range_end: "d".into(), ..RangeRequest::default() };
    let matching = async |request: RangeRequest| {
        let range = s.range(request).await.expect("a range");
        assert_eq!(range.count, 3, "the count leaves bounds aside");
        names(&range).concat()
    };
    assert_eq!(matching(RangeRequest { min_mod_revision: revisions[2], ..all.clone() }).await, "ac");
    assert_eq!(matching(RangeRequest { max_mod_revision: revisions[1], ..all.clone() }).await, "b");
    assert_eq!(matching(RangeRequest { min_create_revision: revisions[1], ..all.clone() }).await, "bc");
    assert_eq!(matching(RangeRequest { max_create_revision: revisions[0], ..all.clone() }).await, "a");
    assert_eq!(matching(RangeRequest { min_mod_revision: rewritten + 1, ..all }).await, "");
}

pub(crate) async fn keys_and_counts(s: &Subject) {
    fill(s, &["a", "b", "c"]).await;
    let all = RangeRequest { key: "a".into(), range_end: "d".into(), ..RangeRequest::default() };
    let keys = s.range(RangeRequest { keys_only: true, ..all.clone() }).await.expect("keys");
    assert!(keys.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 0));
    assert_eq!(names(&keys), ["a", "b", "c"]);
    let count = s.range(RangeRequest { count_only: true, limit: 1, ..all.clone() }).await.expect("a count");
    assert_eq!((count.count, count.kvs.len(), count.more), (3, 0, false));
    let some = s.range(RangeRequest { limit: 2, ..all.clone() }).await.expect("some");
    assert_eq!((some.count, some.kvs.len(), some.more), (3, 2, true));
    let exact = s.range(RangeRequest { limit: 3, ..all }).await.expect("all");
    assert_eq!((exact.count, exact.kvs.len(), exact.more), (3, 3, false));
}
