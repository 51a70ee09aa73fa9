//! One situation each.

use super::*;
use crate::loopback::{Connection, Fault};
use crate::memory::Memory;
use crate::store::{ErrorKind, Event, EventKind, StoreError, WatchItem};

fn loaded(keys: &[&str]) -> Rig {
    let mut rig = Rig::new(1, 1_000);
    keys.iter().for_each(|name| rig.put(name, "1"));
    rig.input(MirrorInput::Start);
    rig.run(seconds(1));
    rig.assert_whole();
    rig.told();
    rig.asked.clear();
    rig
}

#[test]
fn loads_pages_at_the_revision_of_the_first_and_watches_from_the_next() {
    let mut rig = Rig::new(1, 2);
    for name in ["a", "b", "c", "d", "e"] {
        rig.put(name, "1");
    }
    let loaded_at = rig.revision();
    rig.store.put(rig.now, PutRequest::new("/elsewhere", "1")).unwrap();
    rig.input(MirrorInput::Start);
    // Another write between the first page and the second belongs to the watch.
    let pages_at = rig.revision();
    rig.put("b", "2");
    rig.run(seconds(1));
    assert_eq!(names(&rig.told()), ["a", "b", "c", "d", "e", "complete", "b", "complete"]);
    rig.assert_whole();
    let revisions: Vec<i64> = rig
        .asked
        .iter()
        .map(|effect| match effect {
            StoreEffect::Call { request: Request::Range(range), .. } => range.revision,
            StoreEffect::Watch { request, .. } => request.start_revision,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pages_at, loaded_at + 1);
    assert_eq!(revisions, [0, pages_at, pages_at, pages_at + 1]);
}

#[test]
fn an_empty_root_is_complete_too() {
    let mut rig = loaded(&[]);
    assert_eq!(rig.mirror.revision(), 1);
    rig.put("a", "1");
    rig.run(seconds(1));
    assert_eq!(names(&rig.told()), ["a", "complete"]);
}

#[test]
fn mirrors_a_single_key_and_none_that_only_begins_like_it() {
    let mut rig = Rig::new(1, 1_000);
    rig.mirror = Mirror::new(MirrorConfig::key(key("schedule/m1"), Owner::Agent, 1));
    rig.put("schedule/m1", "1");
    rig.put("schedule/m12", "1");
    for effect in rig.mirror.step(Now { mono: rig.now, wall: 0 }, MirrorInput::Start) {
        let MirrorEffect::Store(effect) = effect else { panic!("{effect:?}") };
        rig.store.perform(rig.now, effect);
    }
    let [event] = &rig.store.poll(rig.now)[..] else { panic!("one answer") };
    let effects = rig.mirror.step(Now { mono: rig.now, wall: 0 }, MirrorInput::Store(event.clone()));
    assert_eq!(names(&effects), ["schedule/m1", "complete"]);
}

#[test]
fn events_of_one_revision_come_together_and_those_of_several_apart() {
    let mut rig = loaded(&["a", "b"]);
    rig.commit(&[("c", "1"), ("a", "2")], &["b"]);
    rig.put("d", "1");
    let revision = rig.revision();
    rig.run(seconds(1));
    let told = rig.told();
    let changes: Vec<_> = told
        .iter()
        .filter_map(|effect| match effect {
            MirrorEffect::Changes { revision, changes } => Some((*revision, changes.len())),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [(revision - 1, 3), (revision, 1)]);
    assert_eq!(told.last(), Some(&MirrorEffect::Complete { revision }));
    rig.assert_whole();
}

#[test]
fn events_that_were_handed_over_already_are_dropped() {
    let mut rig = loaded(&["a"]);
    let id = WatchId { owner: Owner::Mirror, seq: rig.mirror.names };
    let old = KeyValue { key: key("a"), value: "1".into(), mod_revision: rig.mirror.revision(), ..KeyValue::default() };
    let events = vec![Event { kind: EventKind::Put, kv: old, prev_kv: None }];
    let header = rig.store.memory.header();
    rig.input(MirrorInput::Store(StoreEvent::Watch { id, item: Ok(WatchItem::Events { header, events }) }));
    assert_eq!(rig.told(), []);
}

#[test]
fn progress_moves_what_is_complete() {
    let mut rig = loaded(&["a"]);
    rig.store.put(rig.now, PutRequest::new("/elsewhere", "1")).unwrap();
    let now = rig.now;
    rig.store.link.progress(&mut rig.store.memory, now);
    rig.run(seconds(1));
    assert_eq!(rig.told(), [MirrorEffect::Complete { revision: rig.revision() }]);
    assert_eq!(rig.mirror.revision(), rig.revision());
}

#[test]
fn a_broken_watch_goes_on_where_it_ended() {
    let mut rig = loaded(&["a", "b"]);
    let ended_at = rig.revision();
    let now = rig.now;
    rig.store.link.break_watches(&mut rig.store.memory, now);
    rig.commit(&[("c", "1")], &["b"]);
    rig.run(seconds(2));
    assert_eq!(names(&rig.told()), ["stale", "c", "-b", "complete"]);
    let StoreEffect::Watch { request, .. } = &rig.asked[0] else { panic!("{:?}", rig.asked) };
    assert_eq!(request.start_revision, ended_at + 1);
    rig.assert_whole();
}

#[test]
fn a_watch_that_missed_only_foreign_keys_is_complete_without_waiting_for_an_event() {
    let mut rig = loaded(&["a"]);
    let now = rig.now;
    rig.store.link.break_watches(&mut rig.store.memory, now);
    rig.store.put(rig.now, PutRequest::new("/elsewhere", "1")).unwrap();
    rig.run(seconds(1));
    assert_eq!(names(&rig.told()), ["stale", "complete"]);
    assert_eq!(rig.mirror.revision(), rig.revision());
}

#[test]
fn retries_wait_longer_and_longer_up_to_five_seconds() {
    let mut rig = loaded(&["a"]);
    let now = rig.now;
    rig.store.down(now);
    let mut waits = Vec::new();
    for _ in 0..60 {
        // Polling is what tells the mirror that the watch broke.
        for event in rig.store.poll(rig.now) {
            rig.input(MirrorInput::Store(event));
        }
        let wakeup = rig.mirror.wakeup().unwrap();
        waits.push(wakeup - rig.now);
        rig.now = wakeup;
        rig.input(MirrorInput::Tick);
    }
    assert!(waits.iter().all(|w| (RETRY_MIN..=RETRY_MAX).contains(w)), "{waits:?}");
    assert!(waits[0] <= RETRY_FIRST);
    assert!(waits[10..].iter().any(|w| *w > seconds(4)), "{waits:?}");
    assert_eq!(names(&rig.told()).len(), 2, "a long outage is told once as it begins, and once as it refuses");
}

#[test]
fn whoever_hears_from_the_store_spares_the_mirror_the_rest_of_its_wait() {
    let mut rig = loaded(&["a"]);
    let now = rig.now;
    rig.store.down(now);
    rig.run(seconds(60));
    let now = rig.now;
    rig.store.up(now);
    rig.put("b", "1");
    rig.input(MirrorInput::Reachable);
    rig.run(Duration::ZERO);
    rig.assert_whole();
    rig.asked.clear();
    rig.input(MirrorInput::Reachable);
    assert_eq!(rig.asked, [], "nothing to hurry");
}

#[test]
fn a_compaction_that_overtook_the_watch_is_made_up_for_by_differences() {
    let mut rig = loaded(&["a", "b", "c"]);
    let now = rig.now;
    rig.store.down(now);
    rig.put("a", "2");
    rig.commit(&[("d", "1")], &["b"]);
    rig.store.compact(now).unwrap();
    rig.store.up(now);
    rig.run(seconds(3));
    let told = names(&rig.told());
    assert_eq!(told, ["stale", "stale", "a", "-b", "d", "complete"], "c did not change");
    rig.assert_whole();
}

#[test]
fn a_page_that_was_compacted_away_starts_the_load_anew() {
    let mut rig = Rig::new(1, 1);
    ["a", "b", "c"].iter().for_each(|name| rig.put(name, "1"));
    rig.input(MirrorInput::Start);
    rig.put("a", "2");
    let now = rig.now;
    rig.store.compact(now).unwrap();
    rig.run(seconds(2));
    assert_eq!(names(&rig.told()), ["a", "stale", "a", "b", "c", "complete"]);
    rig.assert_whole();
}

#[test]
fn an_outage_between_two_pages_costs_only_the_page() {
    let mut rig = Rig::new(1, 1);
    ["a", "b", "c"].iter().for_each(|name| rig.put(name, "1"));
    rig.store.link.inject(Fault::None);
    rig.store.link.inject(Fault::LoseAnswer);
    rig.input(MirrorInput::Start);
    rig.run(seconds(4));
    assert_eq!(names(&rig.told()), ["a", "stale", "b", "c", "complete"]);
}

#[test]
fn a_restored_backup_is_noticed_by_its_lower_revision() {
    let mut rig = loaded(&["a", "b"]);
    let backup = rig.store.memory.clone();
    rig.commit(&[("c", "1")], &["b"]);
    rig.run(seconds(1));
    rig.told();
    let now = rig.now;
    rig.store.replace(now, backup);
    rig.run(seconds(3));
    assert_eq!(names(&rig.told()), ["stale", "restored", "a", "b", "-c", "complete"], "all is told again");
    rig.assert_whole();
}

#[test]
fn another_cluster_is_noticed_by_its_id_even_where_revisions_agree() {
    let mut rig = loaded(&["a", "b"]);
    let mut other = Memory::new(99);
    for name in ["a", "c"] {
        let put = Operation::Put(PutRequest::new(key(name), "other"));
        other.apply(rig.now, Request::Txn(TxnRequest { success: vec![put], ..TxnRequest::default() })).unwrap();
    }
    assert_eq!(other.header().revision, rig.revision());
    let now = rig.now;
    rig.store.replace(now, other);
    rig.run(seconds(3));
    assert_eq!(names(&rig.told()), ["stale", "restored", "a", "-b", "c", "complete"]);
    assert_eq!(rig.copy[&key("a")].value, "other");
    rig.assert_whole();
}

#[test]
fn a_watch_that_is_not_opened_is_given_up() {
    let mut rig = loaded(&["a"]);
    let now = rig.now;
    rig.store.link.break_watches(&mut rig.store.memory, now);
    rig.store.link.connect(&mut rig.store.memory, now, Connection::Silent);
    rig.run(seconds(7));
    rig.put("b", "1");
    let now = rig.now;
    rig.store.up(now);
    rig.run(seconds(6));
    assert!(rig.asked.iter().any(|effect| matches!(effect, StoreEffect::CancelWatch { .. })));
    rig.assert_whole();
}

#[test]
fn a_watch_that_lost_an_event_is_found_out_within_minutes() {
    for (puts, deletes) in [(vec![("c", "1")], vec![]), (vec![], vec!["b"]), (vec![("a", "2")], vec![])] {
        let mut rig = loaded(&["a", "b"]);
        rig.commit(&puts, &deletes);
        // The event is read off the store's end and thrown away.
        drop(rig.store.poll(rig.now));
        rig.run(seconds(8 * 60));
        assert!(names(&rig.told()).contains(&"stale".to_owned()));
        rig.assert_whole();
    }
}

#[test]
fn a_load_of_many_pages_tells_only_differences_too() {
    let mut rig = loaded(&["a", "b", "c", "d", "e"]);
    rig.input(MirrorInput::Stop);
    rig.mirror.config.page = 2;
    rig.commit(&[("d", "2")], &["b", "e"]);
    rig.input(MirrorInput::Start);
    rig.run(seconds(1));
    assert_eq!(names(&rig.told()), ["-b", "d", "-e", "complete"]);
    rig.assert_whole();
}

#[test]
fn at_rest_a_mirror_asks_nothing_but_a_check_every_few_minutes() {
    let mut rig = loaded(&["a"]);
    rig.run(seconds(3600));
    assert!((10..=15).contains(&rig.asked.len()), "{}", rig.asked.len());
    assert!(rig.told().iter().all(|effect| matches!(effect, MirrorEffect::Complete { .. })));
}

#[test]
fn stopped_and_started_again_it_tells_what_is_different() {
    let mut rig = loaded(&["a", "b"]);
    rig.input(MirrorInput::Stop);
    assert!(!rig.mirror.is_complete());
    assert_eq!(rig.mirror.wakeup(), None);
    rig.commit(&[("c", "1")], &["b"]);
    rig.run(seconds(10));
    assert_eq!(rig.told(), []);
    rig.input(MirrorInput::Start);
    rig.run(seconds(1));
    assert_eq!(names(&rig.told()), ["-b", "c", "complete"]);
}

#[test]
fn answers_to_others_are_ignored() {
    let mut rig = loaded(&["a"]);
    let id = CallId { owner: Owner::Engine, seq: rig.mirror.names };
    let error = StoreError::new(ErrorKind::Unavailable, "down");
    rig.input(MirrorInput::Store(StoreEvent::Answer { id, result: Err(error.clone()) }));
    let id = WatchId { owner: Owner::Engine, seq: rig.mirror.names };
    rig.input(MirrorInput::Store(StoreEvent::Watch { id, item: Err(error) }));
    assert_eq!(rig.told(), []);
}
