//! The mirror behind the API: loaded when asked for, dropped when nobody asks, and never behind a write's answer.

use std::sync::Arc;
use std::time::Duration;

use fleet_api::v2::UnitChange;
use fleet_registry::memory::MemoryStore;

use super::*;

fn cluster() -> Cluster {
    let config = ClusterConfig { layout: Layout::default(), timeout: Duration::from_secs(1), seed: 1, advice: None };
    Cluster::new(Arc::new(MemoryStore::new(1)), config, Arc::new(|| true))
}

async fn submit(cluster: &Cluster, name: &str) -> i64 {
    let text = Some("[Service]\nExecStart=/bin/true\n".to_owned());
    let change = Change::check(UnitChange { name: name.to_owned(), text, ..UnitChange::default() }).unwrap();
    cluster.writer().change(vec![change], 0, "").await.unwrap().0
}

#[tokio::test]
async fn a_write_is_seen_by_whoever_asks_after_its_answer() {
    let cluster = cluster();
    let held = cluster.live().await.unwrap();
    for n in 0..50 {
        let name = format!("u{n}.service");
        let revision = submit(&cluster, &name).await;
        cluster.reached(revision).await;
        let seen = held.read(|picture| picture.view.units.keys().any(|unit| unit.as_str() == name));
        assert!(seen, "{name} at revision {revision}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_nobody_asks_is_dropped_and_loaded_again() {
    let cluster = cluster();
    let held = cluster.live().await.unwrap();
    tokio::time::sleep(IDLE * 3).await;
    assert!(cluster.inner.slot().is_some(), "it stays while somebody holds it");
    drop(held);
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    assert!(cluster.inner.slot().is_some(), "it stays for a while");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cluster.inner.slot().is_none(), "it is dropped");
    submit(&cluster, "a.service").await;
    let again = cluster.live().await.unwrap();
    assert_eq!(again.read(|picture| picture.view.units.len()), 1);
}

/// Who is told to ask again in ten minutes would be told the same then, by a mirror that was loaded anew.
#[tokio::test(start_paused = true)]
async fn a_mirror_stays_for_who_will_ask_again() {
    let cluster = cluster();
    let held = cluster.live().await.unwrap();
    held.keep_until(tokio::time::Instant::now() + IDLE * 2);
    drop(held);
    tokio::time::sleep(IDLE * 3 - Duration::from_secs(1)).await;
    assert!(cluster.inner.slot().is_some(), "it is kept");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cluster.inner.slot().is_none(), "it is dropped in the end");
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_mirror() {
    let cluster = cluster();
    let asked = futures::future::join_all((0..20).map(|_| cluster.known())).await;
    assert!(asked.iter().all(Result::is_ok));
    let slot = cluster.inner.slot().clone().unwrap();
    // Those who asked, the task, the service, and this test.
    assert_eq!(Arc::strong_count(&slot), 20 + 3);
}

/// A store that does what it is asked, and whose answer gets lost every other time something was written.
struct Lossy {
    store: MemoryStore,
    writes: std::sync::atomic::AtomicUsize,
}

impl Store for Lossy {
    fn call(&self, request: fleet_registry::store::Request) -> fleet_registry::store::Answer<'_> {
        use fleet_registry::store::{ErrorKind, Operation, Request, StoreError};
        let writes =
            matches!(&request, Request::Txn(txn) if !txn.success.iter().all(|o| matches!(o, Operation::Range(_))));
        Box::pin(async move {
            let answer = self.store.call(request).await;
            if writes && self.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2) {
                return Err(StoreError::new(ErrorKind::Unknown, "the connection broke"));
            }
            answer
        })
    }

    fn watch(&self, request: fleet_registry::store::WatchRequest) -> fleet_registry::store::WatchStream {
        self.store.watch(request)
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_made_once() {
    use fleet_api::v2::{DestroyOutcome, Outcome};
    use fleet_units::{DesiredState, UnitName};
    let store = Lossy { store: MemoryStore::new(1), writes: Default::default() };
    let config = ClusterConfig { layout: Layout::default(), timeout: Duration::from_secs(1), seed: 1, advice: None };
    let cluster = Cluster::new(Arc::new(store), config, Arc::new(|| true));
    let name = UnitName::parse("a.service").unwrap();
    let writer = cluster.writer();
    let unit = |restart| UnitChange {
        name: name.to_string(),
        text: Some("[Service]\nExecStart=/bin/true\n".to_owned()),
        desired_state: Some(DesiredState::Launched),
        restart,
        ..UnitChange::default()
    };
    let created = writer.change(vec![Change::check(unit(false)).unwrap()], 1, "").await.unwrap().1;
    assert_eq!(created[0].outcome, Outcome::Created);
    for n in 1..=7 {
        let change = Change::check(unit(true)).unwrap();
        let (_, applied) = writer.change(vec![change], 1 + n, "").await.unwrap();
        assert_eq!(applied[0].outcome, Outcome::Changed);
        let existing = writer.read(std::slice::from_ref(&name)).await.unwrap();
        assert_eq!(existing[0].as_ref().unwrap().as_ref().unwrap().unit.value.restarts, n, "each counts once");
    }
    let (_, outcomes) = writer.destroy(std::slice::from_ref(&name)).await.unwrap();
    assert_eq!(outcomes, [DestroyOutcome::Destroyed]);
    assert_eq!(writer.read(&[name]).await.unwrap(), [Ok(None)]);
}

/// A connection that is merely silent breaks late: until then nobody is told old things as new ones.
#[tokio::test(start_paused = true)]
async fn what_is_known_is_old_while_the_registry_is_silent() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (heard, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(MemoryStore::new(1)));
    let config = ClusterConfig { layout: Layout::default(), timeout: Duration::from_secs(1), seed: 1, advice: None };
    let in_touch = Arc::clone(&heard);
    let cluster = Cluster::new(asked, config, Arc::new(move || in_touch.load(Ordering::SeqCst)));
    assert!(cluster.live().await.unwrap().status().live());

    heard.store(false, Ordering::SeqCst);
    assert!(!cluster.known().await.unwrap().status().live());
    let error = cluster.live().await.err().unwrap().to_string();
    assert!(error.contains("it was not heard of for half a lease"), "{error}");

    // It is heard of again while somebody waits.
    let (waiting, ()) = tokio::join!(cluster.live(), async {
        tokio::time::sleep(GRACE / 2).await;
        heard.store(true, Ordering::SeqCst);
    });
    assert!(waiting.unwrap().status().live());
}
