//! What clients send: page tokens, and the bodies of both versions, as far as into the store.

use std::sync::Arc;
use std::time::Duration;

use fleet_api::v1::{self, PageToken};
use fleet_api::v2::{DestroyRequest, OperateRequest, Outcome, UnitsRequest};
use fleet_registry::memory::MemoryStore;
use fleet_registry::record::{ContentRecord, Record, UnitRecord};
use fleet_registry::store::{RangeRequest, Request, ResponseBody};
use fleet_registry::{Key, Layout, Store};
use fleet_units::{DesiredState, UnitFile, UnitName, UnitOption};
use fleetd::cluster::{Change, Text, Writer};

/// A token that is taken is written as it was read, and its pages cover a list once.
pub(crate) fn page_tokens(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    for limit in [1, 3, 100, u16::MAX] {
        let Ok(token) = PageToken::parse(text, limit) else { continue };
        assert_eq!(PageToken::parse(&token.to_string(), limit), Ok(token));
        for total in [0, 1, 7, 1_000, usize::MAX] {
            let (range, next) = token.window(total);
            assert!(range.start <= range.end && range.end <= total && range.len() <= usize::from(limit));
            if let Some(next) = next {
                assert_eq!(next.window(total).0.start, range.end);
            }
        }
    }
}

/// A unit of version 1: what is accepted can be stored and read.
pub(crate) fn version_1(data: &[u8]) {
    let Ok(unit) = serde_json::from_slice::<v1::Unit>(data) else { return };
    let (Ok(name), desired) = (UnitName::parse(&unit.name), unit.desired_state.parse::<DesiredState>()) else { return };
    let option = |o: v1::UnitOption| UnitOption { section: o.section, name: o.name, value: o.value };
    let Ok(file) = UnitFile::from_options(unit.options.into_iter().map(option).collect()) else { return };
    let Ok(text) = Text::check(&name, file.canonical(), Default::default()) else { return };
    assert_eq!(text.hash, file.hash());
    store(vec![Change { name, text: Some(text), desired: desired.ok(), replace: true, restart: false }]);
}

/// Requests of version 2: what is accepted can be stored and read, and said again it changes nothing.
pub(crate) fn version_2(data: &[u8]) {
    _ = serde_json::from_slice::<DestroyRequest>(data);
    _ = serde_json::from_slice::<OperateRequest>(data);
    let Ok(request) = serde_json::from_slice::<UnitsRequest>(data) else { return };
    let written = serde_json::to_vec(&request).expect("a request is written");
    assert_eq!(serde_json::from_slice::<UnitsRequest>(&written).ok().as_ref(), Some(&request));
    let changes: Vec<Change> = request.units.into_iter().filter_map(|unit| Change::check(unit).ok()).collect();
    if changes.len() <= 8 {
        store(changes);
    }
}

/// Makes the changes in an empty store, and looks at what came of them.
fn store(changes: Vec<Change>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let (memory, layout) = (Arc::new(MemoryStore::new(1)), Layout::default());
        let writer = Writer::new(Arc::<MemoryStore>::clone(&memory), layout.clone(), Duration::from_secs(5));
        let (_, applied) = writer.change(changes.clone(), 0, "fuzz").await.expect("the store takes it");
        assert_eq!(applied.len(), changes.len());
        for (change, applied) in changes.iter().zip(&applied) {
            if applied.outcome == Outcome::Refused {
                continue;
            }
            let record: UnitRecord = read(&memory, &layout, &Key::Unit(change.name.clone())).await;
            let content: ContentRecord = read(&memory, &layout, &Key::Content(record.content.clone())).await;
            assert_eq!(content.key(), record.content);
            let file = UnitFile::parse(&content.text).expect("what is stored can be read");
            assert_eq!(file.hash(), record.hash);
        }
        let idle = |change: &Change| Change { restart: false, ..change.clone() };
        if let [change] = &changes[..] {
            let again = writer.change(vec![idle(change)], 1, "fuzz").await.expect("the store takes it").1;
            assert!(matches!(again[0].outcome, Outcome::Unchanged | Outcome::Refused), "{again:?}");
        }
    });
}

async fn read<R: Record>(memory: &MemoryStore, layout: &Layout, key: &Key) -> R {
    let request = Request::Range(RangeRequest::key(layout.encode(key)));
    match memory.call(request).await.expect("the store reads").body {
        ResponseBody::Range(range) => R::decode(&range.kvs.first().expect("it was written").value).expect("readable"),
        other => panic!("{other:?}"),
    }
}
