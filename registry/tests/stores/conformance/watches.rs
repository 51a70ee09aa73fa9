//! Watches.

use fleet_registry::store::{DeleteRequest, ErrorKind, EventFilter, Operation, PutRequest, WatchRequest, prefix_end};
use futures::StreamExt;

use crate::harness::{Subject, story, within};

fn puts(prefix: &str, count: usize, size: usize) -> Vec<Operation> {
    (0..count).map(|n| Operation::Put(PutRequest::new(format!("{prefix}{n:03}"), vec![b'x'; size]))).collect()
}

pub(crate) async fn from_now(s: &Subject) {
    s.put("w/old", "1").await;
    let mut watch = s.watch(WatchRequest::prefix("w/", 0)).await;
    s.put("w/a", "1").await;
    s.put("other", "1").await;
    s.put("w/a", "2").await;
    s.delete_key("w/a").await;
    assert_eq!(story(&watch.events(3).await), ["put w/a=1", "put w/a=2", "delete w/a"]);
}

pub(crate) async fn from_a_revision(s: &Subject) {
    let first = s.put("w/a", "1").await;
    s.put("w/b", "1").await;
    s.delete_key("w/a").await;
    let mut all = s.watch(WatchRequest::prefix("w/", first)).await;
    assert_eq!(story(&all.events(3).await), ["put w/a=1", "put w/b=1", "delete w/a"]);
    let mut later = s.watch(WatchRequest::prefix("w/", first + 2)).await;
    let events = later.events(1).await;
    assert_eq!(story(&events), ["delete w/a"]);
    assert_eq!(events[0].kv.mod_revision, first + 2);
    assert_eq!((events[0].kv.create_revision, events[0].kv.version, events[0].kv.lease), (0, 0, 0));
    s.put("w/c", "1").await;
    assert_eq!(story(&all.events(1).await), ["put w/c=1"]);
    assert_eq!(story(&later.events(1).await), ["put w/c=1"]);
}

pub(crate) async fn one_key(s: &Subject) {
    let mut watch = s.watch(WatchRequest::key("key", 0)).await;
    s.put("ke", "1").await;
    s.put("key/", "1").await;
    s.put("key", "1").await;
    let request = DeleteRequest { key: "k".into(), range_end: prefix_end(b"k"), prev_kv: false };
    s.delete(request).await.expect("a deletion");
    assert_eq!(story(&watch.events(2).await), ["put key=1", "delete key"]);
}

pub(crate) async fn one_revision_in_one_item(s: &Subject) {
    let mut watch = s.watch(WatchRequest::prefix("w/", 0)).await;
    s.all(puts("w/", 100, 10)).await.expect("a transaction");
    let events = watch.item().await.expect("an item");
    assert_eq!(events.len(), 100);
    assert!(events.iter().all(|event| event.kv.mod_revision == events[0].kv.mod_revision));
}

pub(crate) async fn big_revision(s: &Subject) {
    // Together more than a server of etcd's puts into one message.
    for batch in 0..4 {
        s.all(puts(&format!("w/{batch}/"), 10, 100_000)).await.expect("a transaction");
    }
    let start = WatchRequest { prev_kv: true, ..WatchRequest::prefix("w/", 0) };
    let mut watch = s.watch(start).await;
    let request = DeleteRequest { key: "w/".into(), range_end: prefix_end(b"w/"), prev_kv: false };
    s.delete(request).await.expect("a deletion");
    let events = watch.item().await.expect("an item");
    assert_eq!(events.len(), 40, "all of one revision, however big");
    assert!(events.iter().all(|event| event.prev_kv.as_ref().is_some_and(|kv| kv.value.len() == 100_000)));
}

pub(crate) async fn previous_values(s: &Subject) {
    let first = s.put("key", "1").await;
    let request = WatchRequest { prev_kv: true, ..WatchRequest::key("key", first) };
    let mut watch = s.watch(request).await;
    s.put("key", "2").await;
    s.delete_key("key").await;
    let events = watch.events(3).await;
    let before: Vec<_> = events.iter().map(|event| event.prev_kv.as_ref().map(|kv| kv.value.clone())).collect();
    assert_eq!(before, [None, Some("1".into()), Some("2".into())]);
}

pub(crate) async fn filters(s: &Subject) {
    let only = |filter| WatchRequest { filters: vec![filter], ..WatchRequest::prefix("w/", 0) };
    let mut puts = s.watch(only(EventFilter::NoDelete)).await;
    let mut deletions = s.watch(only(EventFilter::NoPut)).await;
    s.put("w/a", "1").await;
    s.delete_key("w/a").await;
    s.put("w/a", "2").await;
    s.delete_key("w/a").await;
    assert_eq!(story(&puts.events(2).await), ["put w/a=1", "put w/a=2"]);
    assert_eq!(story(&deletions.events(2).await), ["delete w/a", "delete w/a"]);
}

pub(crate) async fn compacted(s: &Subject) {
    let first = s.put("key", "1").await;
    let second = s.put("key", "2").await;
    let third = s.put("key", "3").await;
    s.compact(second).await.expect("a compaction");
    let mut watch = s.watch(WatchRequest::key("key", first)).await;
    let error = watch.item().await.expect_err("its beginning is gone");
    assert_eq!((error.kind, error.compact_revision), (ErrorKind::Compacted, second));
    let mut watch = s.watch(WatchRequest::key("key", second)).await;
    let events = watch.events(2).await;
    assert_eq!(story(&events), ["put key=2", "put key=3"]);
    assert_eq!(events[1].kv.mod_revision, third);
}

pub(crate) async fn future_start(s: &Subject) {
    let now = s.put("key", "1").await;
    let mut watch = s.watch(WatchRequest::key("key", now + 2)).await;
    s.put("key", "2").await;
    s.put("key", "3").await;
    assert_eq!(story(&watch.events(1).await), ["put key=3"]);
}

pub(crate) async fn many_revisions(s: &Subject) {
    let first = s.put("w/a", "0").await;
    for n in 1..500 {
        s.put("w/a", &n.to_string()).await;
    }
    let mut watch = s.watch(WatchRequest::prefix("w/", first)).await;
    let events = watch.events(500).await;
    let revisions: Vec<i64> = events.iter().map(|event| event.kv.mod_revision).collect();
    assert_eq!(revisions, (first..first + 500).collect::<Vec<_>>(), "each once, in order");
}

pub(crate) async fn lease_expiry_is_seen(s: &Subject) {
    let lease = s.grant(2).await;
    for key in ["w/a", "w/b"] {
        s.put_request(PutRequest { lease, ..PutRequest::new(key, "1") }).await.expect("a put");
    }
    let mut watch = s.watch(WatchRequest::prefix("w/", 0)).await;
    let events = watch.item().await.expect("an item");
    assert_eq!(story(&events), ["delete w/a", "delete w/b"]);
}

pub(crate) async fn survives_compaction(s: &Subject) {
    let mut stream = s.store.watch(WatchRequest::prefix("w/", 0));
    within("a watch", stream.next()).await.expect("an item").expect("created");
    // Nothing of this concerns the watch, and all of it is forgotten.
    for n in 0..20 {
        s.put("other", &n.to_string()).await;
    }
    let last = s.put("other", "last").await;
    s.compact(last).await.expect("a compaction");
    s.put("w/a", "1").await;
    let item = within("an event", stream.next()).await.expect("an item");
    let text = format!("{item:?}");
    assert!(item.is_ok_and(|item| matches!(item, fleet_registry::store::WatchItem::Events { .. })), "{text}");
}
