use std::time::Duration;

use super::*;
use crate::step::{CallId, Owner, WatchId};
use crate::store::{ErrorKind, EventKind, RangeRequest, ResponseBody, WatchItem, WatchRequest};

const NOW: Mono = Duration::from_secs(100);

const WATCH: WatchId = WatchId { owner: Owner::Engine, seq: 1 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(seq: u64) -> CallId {
    CallId { owner: Owner::Engine, seq }
}

fn put(seq: u64, key: &'static str) -> StoreEffect {
    let success = vec![Operation::Put(PutRequest::new(key, "x"))];
    StoreEffect::Call { id: id(seq), request: Request::Txn(TxnRequest { success, ..TxnRequest::default() }) }
}

fn watch(store: &mut Loopback) {
    let request = WatchRequest::prefix("key", 1);
    store.perform(NOW, StoreEffect::Watch { id: WATCH, request });
}

fn is_there(store: &mut Loopback, now: Mono, key: &'static str) -> bool {
    let response = store.call(now, Request::Range(RangeRequest::key(key))).unwrap();
    matches!(response.body, ResponseBody::Range(range) if range.count == 1)
}

/// Events in a few letters: `1+` is the first call answered, `1?` its time-out, `1!` its refusal, `*` a watch created,
/// `>key` an event, `x` a broken watch.
fn short(events: &[StoreEvent]) -> Vec<String> {
    let mut words = Vec::new();
    for event in events {
        match event {
            StoreEvent::Answer { id, result } => words.push(match result.as_ref().map_err(|e| e.kind) {
                Ok(_) => format!("{}+", id.seq),
                Err(ErrorKind::Unknown) => format!("{}?", id.seq),
                Err(_) => format!("{}!", id.seq),
            }),
            StoreEvent::Watch { item, .. } => match item {
                Ok(WatchItem::Created { .. }) => words.push("*".to_owned()),
                Ok(WatchItem::Progress { .. }) => words.push("progress".to_owned()),
                Ok(WatchItem::Events { events, .. }) => words.extend(events.iter().map(|event| {
                    let key = String::from_utf8_lossy(&event.kv.key);
                    if event.kind == EventKind::Put { format!(">{key}") } else { format!(">-{key}") }
                })),
                Err(_) => words.push("x".to_owned()),
            },
        }
    }
    words
}

#[test]
fn answers_and_events_come_in_order() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.perform(NOW, put(1, "key1"));
    store.perform(NOW, put(2, "key2"));
    assert_eq!(short(&store.poll(NOW)), ["*", "1+", "2+", ">key1", ">key2"]);
    assert_eq!(store.poll(NOW), []);
}

#[test]
fn what_is_under_way_arrives_when_it_is_time() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.poll(NOW);
    store.link.delays = Delays { request: ms(100), answer: ms(50), watch: ms(500) };
    store.perform(NOW, put(1, "key1"));
    assert_eq!(store.next_deadline(), Some(NOW + ms(100)));
    assert_eq!(store.poll(NOW + ms(99)), []);
    assert!(!is_there(&mut store, NOW + ms(99), "key1"));
    assert_eq!(store.poll(NOW + ms(100)), []);
    assert!(is_there(&mut store, NOW + ms(100), "key1"));
    assert_eq!(short(&store.poll(NOW + ms(150))), ["1+"]);
    assert_eq!(short(&store.poll(NOW + ms(600))), [">key1"]);
}

#[test]
fn faults_befall_one_call_each() {
    let rows = [
        (Fault::None, vec!["1+"], vec![], true),
        (Fault::Refuse, vec!["1!"], vec![], false),
        (Fault::LoseRequest, vec![], vec!["1?"], false),
        (Fault::LoseAnswer, vec![], vec!["1?"], true),
        (Fault::Repeat, vec!["1+", "1+"], vec![], true),
        (Fault::Delay { request: ms(600), answer: ms(300) }, vec![], vec!["1+"], true),
        // It takes effect, but nobody waits for it any more.
        (Fault::Delay { request: ms(900), answer: ms(900) }, vec![], vec!["1?"], true),
    ];
    for (fault, at_once, later, takes_effect) in rows {
        let mut store = Loopback::new(1);
        store.link.inject(fault);
        store.perform(NOW, put(1, "key1"));
        store.perform(NOW, put(2, "key2"));
        let mut now = short(&store.poll(NOW));
        assert_eq!(now.pop().as_deref(), Some("2+"), "{fault:?} befalls the first call alone");
        assert_eq!(now, at_once, "{fault:?}");
        assert_eq!(short(&store.poll(NOW + ms(1_000))), later, "{fault:?}");
        assert_eq!(is_there(&mut store, NOW + ms(1_000), "key1"), takes_effect, "{fault:?}");
        assert_eq!(store.poll(NOW + ms(10_000)), [], "{fault:?}");
    }
}

#[test]
fn a_request_slower_than_the_time_out_is_given_up_before_it_takes_effect() {
    let mut store = Loopback::new(1);
    store.link.inject(Fault::Delay { request: ms(3_000), answer: ms(0) });
    store.perform(NOW, put(1, "key1"));
    assert_eq!(short(&store.poll(NOW + ms(1_000))), ["1?"]);
    assert!(!is_there(&mut store, NOW + ms(1_000), "key1"));
    assert_eq!(store.poll(NOW + ms(3_000)), []);
    assert!(is_there(&mut store, NOW + ms(3_000), "key1"));
}

#[test]
fn connections() {
    let rows = [
        // What the call comes to at once and after its time-out, whether it took effect, and what of the watch.
        (Connection::Up, vec!["1+", ">key1"], vec![], true, vec![">key9"]),
        (Connection::Refused, vec!["x", "1!"], vec![], false, vec![]),
        (Connection::Silent, vec![], vec!["1?"], false, vec![">key9"]),
        (Connection::Deaf, vec![], vec!["1?"], true, vec![">key1", ">key9"]),
    ];
    for (connection, at_once, later, takes_effect, after) in rows {
        let mut store = Loopback::new(1);
        watch(&mut store);
        store.poll(NOW);
        store.link.connect(&mut store.memory, NOW, connection);
        store.perform(NOW, put(1, "key1"));
        assert_eq!(short(&store.poll(NOW)), at_once, "{connection:?}");
        assert_eq!(short(&store.poll(NOW + ms(1_000))), later, "{connection:?}");
        assert_eq!(is_there(&mut store, NOW + ms(1_000), "key1"), takes_effect, "{connection:?}");
        store.up(NOW + ms(2_000));
        store.put(NOW + ms(2_000), PutRequest::new("key9", "x")).unwrap();
        assert_eq!(short(&store.poll(NOW + ms(2_000))), after, "{connection:?}");
    }
}

#[test]
fn a_watch_opened_on_a_refused_connection_breaks_at_once() {
    let mut store = Loopback::new(1);
    store.down(NOW);
    watch(&mut store);
    assert_eq!(short(&store.poll(NOW)), ["x"]);
}

#[test]
fn a_cancelled_watch_is_quiet() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.poll(NOW);
    store.perform(NOW, StoreEffect::CancelWatch { id: WATCH });
    store.perform(NOW, put(1, "key1"));
    assert_eq!(short(&store.poll(NOW)), ["1+"]);
}

#[test]
fn events_of_one_watch_do_not_overtake_each_other() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.poll(NOW);
    store.link.delays.watch = ms(500);
    store.put(NOW, PutRequest::new("key1", "x")).unwrap();
    assert_eq!(store.poll(NOW), []);
    store.link.delays.watch = ms(0);
    store.put(NOW, PutRequest::new("key2", "x")).unwrap();
    assert_eq!(store.poll(NOW), []);
    assert_eq!(short(&store.poll(NOW + ms(500))), [">key1", ">key2"]);
}

#[test]
fn leases_run_out_in_virtual_time_and_watches_tell() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.call(NOW, Request::LeaseGrant { ttl: 5, id: 7 }).unwrap();
    store.put(NOW, PutRequest { lease: 7, ..PutRequest::new("key1", "x") }).unwrap();
    assert_eq!(short(&store.poll(NOW)), ["*", ">key1"]);
    let end = store.next_deadline().unwrap();
    assert!(end >= NOW + ms(5_000));
    assert_eq!(store.poll(end - ms(1)), []);
    assert_eq!(short(&store.poll(end)), [">-key1"]);
}

#[test]
fn a_dead_client_hears_nothing_but_what_it_sent_takes_effect() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.link.delays.request = ms(100);
    store.perform(NOW, put(1, "key1"));
    store.link.abandon(&mut store.memory);
    assert_eq!(store.poll(NOW + ms(5_000)), []);
    assert!(is_there(&mut store, NOW + ms(5_000), "key1"));
}

#[test]
fn many_links_share_one_store() {
    let mut memory = Memory::new(1);
    let (mut a, mut b) = (Link::new(ms(1_000)), Link::new(ms(1_000)));
    let request = WatchRequest::prefix("key", 1);
    b.perform(&mut memory, NOW, StoreEffect::Watch { id: WATCH, request });
    a.perform(&mut memory, NOW, put(1, "key1"));
    assert_eq!(short(&a.poll(&mut memory, NOW)), ["1+"]);
    assert_eq!(short(&b.poll(&mut memory, NOW)), ["*", ">key1"]);
    a.connect(&mut memory, NOW, Connection::Silent);
    b.perform(&mut memory, NOW, put(1, "key2"));
    assert_eq!(a.poll(&mut memory, NOW), []);
    assert_eq!(short(&b.poll(&mut memory, NOW)), ["1+", ">key2"]);
}

#[test]
fn another_store_in_its_place_breaks_watches() {
    let mut store = Loopback::new(1);
    watch(&mut store);
    store.poll(NOW);
    store.replace(NOW, Memory::new(2));
    assert_eq!(short(&store.poll(NOW)), ["x"]);
    watch(&mut store);
    store.perform(NOW, put(1, "key1"));
    assert_eq!(short(&store.poll(NOW)), ["*", "1+", ">key1"]);
}
