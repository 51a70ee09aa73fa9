//! Requests to the embedded registry, from their protocol buffers on.

use std::time::Duration;

use etcd_client::proto::{
    PbCompactionRequest, PbDeleteRequest, PbLeaseGrantRequest, PbPutRequest, PbRangeRequest, PbTxnRequest,
};
use fleet_registry::memory::Memory;
use fleet_registry::store::{
    Operation, RangeRequest, Request, Response, ResponseBody, StoreError, TxnRequest, WatchItem, WatchRequest,
};
use prost::Message;

/// Both ends of the range that holds every key.
const ALL: &[u8] = &[0];

/// The longest story that is told to one store.
const MAX_STEPS: usize = 64;

/// A story: each step is a kind, a length, and a message. Whatever is asked, revisions only grow, by one for each answer
/// that changed something; a watch tells of every change once, in order; and what was put can be read.
pub(crate) fn requests(data: &[u8]) {
    let mut memory = Memory::new(1);
    let (watcher, _) = memory.watch(WatchRequest { range_end: ALL.into(), ..WatchRequest::key(ALL, 1) });
    let mut now = Duration::from_secs(1);
    let mut rest = data;
    let mut seen = memory.header().revision;
    for _ in 0..MAX_STEPS {
        let [kind, length, tail @ ..] = rest else { break };
        let (message, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let before = memory.header().revision;
        match step(&mut memory, now, *kind, message) {
            Some(Ok(response)) => {
                let after = memory.header().revision;
                assert!(after >= before && after - before <= 1, "{before} {after}");
                assert!(response.header.revision <= after);
                check(&mut memory, now, &response);
            }
            Some(Err(error)) => {
                assert!(!error.message.is_empty());
                assert_eq!(memory.header().revision, before, "{error}: a refusal changes nothing");
            }
            None => now += Duration::from_secs(u64::from(*length)),
        }
        memory.expire(now);
        while let Some(Ok(WatchItem::Events { events, .. })) = memory.poll_watch(watcher) {
            for event in events {
                assert!(event.kv.mod_revision >= seen, "events come in order");
                assert!(event.kv.mod_revision <= memory.header().revision);
                seen = event.kv.mod_revision;
            }
        }
        assert!(memory.compact_revision() <= memory.header().revision);
    }
    consistent(&mut memory, now);
}

/// One request; none where the bytes are none of this kind.
fn step(memory: &mut Memory, now: Duration, kind: u8, message: &[u8]) -> Option<Result<Response, StoreError>> {
    let one = |operation| Request::Txn(TxnRequest { success: vec![operation], ..TxnRequest::default() });
    let refused = |result: Result<Request, StoreError>| result;
    let request = match kind % 7 {
        0 => refused(PbRangeRequest::decode(message).ok()?.try_into().map(Request::Range)),
        1 => Ok(one(Operation::Put(PbPutRequest::decode(message).ok()?.into()))),
        2 => Ok(one(Operation::Delete(PbDeleteRequest::decode(message).ok()?.into()))),
        3 => refused(PbTxnRequest::decode(message).ok()?.try_into().map(Request::Txn)),
        4 => {
            let grant = PbLeaseGrantRequest::decode(message).ok()?;
            Ok(Request::LeaseGrant { id: grant.id, ttl: grant.ttl })
        }
        5 => {
            let compact = PbCompactionRequest::decode(message).ok()?;
            Ok(Request::Compact { revision: compact.revision, physical: compact.physical })
        }
        _ => return None,
    };
    Some(request.and_then(|request| memory.apply(now, request)))
}

/// What an answer shows is what is there.
fn check(memory: &mut Memory, now: Duration, response: &Response) {
    let ResponseBody::Range(range) = &response.body else { return };
    assert!(range.count >= 0);
    for kv in range.kvs.iter().take(4) {
        assert!(kv.create_revision <= kv.mod_revision && kv.version >= 1);
        assert!(kv.mod_revision <= response.header.revision);
    }
    _ = (memory, now);
}

/// Read key by key, the store holds what it says it holds altogether.
fn consistent(memory: &mut Memory, now: Duration) {
    let all = match memory.apply(now, Request::Range(RangeRequest { range_end: ALL.into(), ..RangeRequest::key(ALL) }))
    {
        Ok(Response { body: ResponseBody::Range(range), .. }) => range,
        other => panic!("{other:?}"),
    };
    assert_eq!(all.count, i64::try_from(all.kvs.len()).expect("few keys"));
    assert!(all.kvs.is_sorted_by(|a, b| a.key < b.key));
    for kv in &all.kvs {
        match memory.apply(now, Request::Range(RangeRequest::key(kv.key.clone()))) {
            Ok(Response { body: ResponseBody::Range(range), .. }) => assert_eq!(range.kvs.first(), Some(kv)),
            other => panic!("{other:?}"),
        }
    }
}
