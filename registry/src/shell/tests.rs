use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use futures::stream::{self, StreamExt};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use super::*;
use crate::memory::MemoryStore;
use crate::session::{SessionConfig, SessionEvent};
use crate::step::{CallId, Mono, Now, Owner, StateMachine, StoreEffect, StoreEvent, WatchId};
use crate::store::{
    Answer, ErrorKind, Operation, PutRequest, Request, Response, ResponseBody, Store, StoreError, TxnRequest,
    WatchItem, WatchRequest, WatchStream,
};

const LIMIT: Duration = Duration::from_secs(20);

const WATCH: WatchId = WatchId { owner: Owner::Engine, seq: 1 };

fn call(seq: u64, request: Request) -> StoreEffect {
    StoreEffect::Call { id: CallId { owner: Owner::Engine, seq }, request }
}

fn put(key: String) -> Request {
    let success = vec![Operation::Put(PutRequest::new(key, "x"))];
    Request::Txn(TxnRequest { success, ..TxnRequest::default() })
}

async fn next<T>(events: &mut UnboundedReceiver<T>) -> T {
    timeout(LIMIT, events.recv()).await.expect("something comes in time").expect("the channel is open")
}

/// A store whose connection can be cut: then nothing is answered.
#[derive(Clone)]
struct Cuttable {
    store: MemoryStore,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Cuttable {
    fn new() -> Self {
        Self { store: MemoryStore::new(1), cut: tokio::sync::watch::Sender::new(false) }
    }
}

impl Store for Cuttable {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            if *self.cut.borrow() {
                std::future::pending::<()>().await;
            }
            self.store.call(request).await
        })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        self.store.watch(request)
    }
}

fn shell(store: impl Store + 'static, timeout: Duration) -> (StoreShell, UnboundedReceiver<StoreEvent>) {
    let (tx, rx) = mpsc::unbounded_channel();
    (StoreShell::new(Arc::new(store), timeout, tx), rx)
}

/// Notes the order in which requests are sent; answers them the other way round.
#[derive(Clone, Default)]
struct Recorder {
    sent: Arc<Mutex<Vec<i64>>>,
    waiting: Arc<Mutex<VecDeque<tokio::sync::oneshot::Sender<()>>>>,
}

impl Store for Recorder {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let Request::LeaseKeepAlive { id } = request else { panic!("{request:?}") };
            let (tx, rx) = tokio::sync::oneshot::channel();
            self.sent.lock().unwrap().push(id);
            self.waiting.lock().unwrap().push_front(tx);
            rx.await.map_err(|_| StoreError::new(ErrorKind::Other, "gone"))?;
            let body = ResponseBody::LeaseKeepAlive { id, ttl: 1 };
            Ok(Response { header: crate::store::Header::default(), body })
        })
    }

    fn watch(&self, _: WatchRequest) -> WatchStream {
        Box::pin(stream::empty())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_out_in_order_and_run_side_by_side() {
    let recorder = Recorder::default();
    let (shell, mut events) = shell(recorder.clone(), LIMIT);
    for id in 0_i64..200 {
        shell.perform(call(id.unsigned_abs(), Request::LeaseKeepAlive { id }));
    }
    // All are under way at once; let the last go first.
    let all_sent = async {
        while recorder.waiting.lock().unwrap().len() < 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, all_sent).await.unwrap();
    assert_eq!(*recorder.sent.lock().unwrap(), (0..200).collect::<Vec<_>>());
    let last = recorder.waiting.lock().unwrap().pop_front().unwrap();
    last.send(()).unwrap();
    let StoreEvent::Answer { id, result: Ok(_) } = next(&mut events).await else { panic!("an answer") };
    assert_eq!(id.seq, 199);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_with_an_unknown_outcome() {
    let store = Cuttable::new();
    store.cut.send_replace(true);
    let (shell, mut events) = shell(store, Duration::from_millis(50));
    let sent = boot_now().mono;
    shell.perform(call(1, put("key".to_owned())));
    let StoreEvent::Answer { result: Err(error), .. } = next(&mut events).await else { panic!("an error") };
    assert_eq!(error.kind, ErrorKind::Unknown);
    assert!(error.outcome_unknown() && error.message.contains("within 50ms"), "{error}");
    assert!(boot_now().mono - sent >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_watch_tells_until_it_is_cancelled() {
    let (shell, mut events) = shell(MemoryStore::new(1), LIMIT);
    let request = WatchRequest::prefix("key", 1);
    shell.perform(StoreEffect::Watch { id: WATCH, request });
    assert!(matches!(next(&mut events).await, StoreEvent::Watch { id: WATCH, item: Ok(WatchItem::Created { .. }) }));
    shell.perform(call(1, put("key1".to_owned())));
    let mut told = [next(&mut events).await, next(&mut events).await];
    told.sort_by_key(|event| matches!(event, StoreEvent::Watch { .. }));
    assert!(matches!(
        &told[..],
        [StoreEvent::Answer { result: Ok(_), .. }, StoreEvent::Watch { item: Ok(WatchItem::Events { .. }), .. }]
    ));
    shell.perform(StoreEffect::CancelWatch { id: WATCH });
    for seq in 2..10 {
        shell.perform(call(seq, put(format!("key{seq}"))));
        // At most one event was under way when the watch was cancelled.
        while !matches!(next(&mut events).await, StoreEvent::Answer { id, .. } if id.seq == seq) {
            assert_eq!(seq, 2, "the watch is quiet by now");
        }
    }
}

#[tokio::test]
async fn a_watch_that_just_ends_ends_with_an_error() {
    let (shell, mut events) = shell(Recorder::default(), LIMIT);
    shell.perform(StoreEffect::Watch { id: WATCH, request: WatchRequest::default() });
    let StoreEvent::Watch { id: WATCH, item: Err(error) } = next(&mut events).await else { panic!("an error") };
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

/// Counts how many streams are alive.
struct Counted {
    alive: Arc<()>,
}

impl Store for Counted {
    fn call(&self, _: Request) -> Answer<'_> {
        Box::pin(std::future::pending())
    }

    fn watch(&self, _: WatchRequest) -> WatchStream {
        let alive = Arc::clone(&self.alive);
        let created = Ok(WatchItem::Created { header: crate::store::Header::default() });
        let rest = stream::once(async move {
            let _alive = alive;
            std::future::pending().await
        });
        Box::pin(stream::once(async { created }).chain(rest))
    }
}

#[tokio::test]
async fn nothing_is_left_when_the_shell_is_dropped() {
    let alive = Arc::new(());
    let (shell, mut events) = shell(Counted { alive: Arc::clone(&alive) }, LIMIT);
    for seq in 0..3 {
        let id = WatchId { owner: Owner::Engine, seq };
        shell.perform(StoreEffect::Watch { id, request: WatchRequest::default() });
        next(&mut events).await;
    }
    assert!(Arc::strong_count(&alive) > 1);
    drop(shell);
    let ended = async { while events.recv().await.is_some() {} };
    timeout(LIMIT, ended).await.expect("the watches end");
    let freed = async {
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, freed).await.expect("the store is let go");
}

#[test]
fn monotonic_time_is_the_kernels_and_goes_on() {
    let uptime = || -> f64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = uptime();
    let first = boot_now();
    let second = boot_now();
    let after = uptime();
    assert!(first.mono <= second.mono);
    // /proc/uptime counts in hundredths.
    assert!(before - 0.02 <= first.mono.as_secs_f64() && second.mono.as_secs_f64() <= after + 0.02);
    assert!(first.wall > 1_700_000_000_000);
}

/// Wakes itself a few times, then says so; repeats what its owner tells it.
struct Clockwork {
    wakeup: Option<Mono>,
    left: u32,
}

#[derive(Debug, PartialEq)]
enum Tock {
    Rung(u32),
    Said(&'static str),
    End,
}

impl StateMachine for Clockwork {
    type Event = Input<&'static str>;
    type Effect = Tock;

    fn step(&mut self, now: Now, event: Input<&'static str>) -> Vec<Tock> {
        match event {
            Input::Own("end") => vec![Tock::End],
            Input::Own(said) => {
                self.wakeup = Some(now.mono + Duration::from_millis(5));
                vec![Tock::Said(said)]
            }
            Input::Store(_) => vec![],
            Input::Tick => {
                assert!(self.wakeup.is_some_and(|wakeup| wakeup <= now.mono), "not before its time");
                self.left -= 1;
                self.wakeup = (self.left > 0).then_some(now.mono + Duration::from_millis(5));
                vec![Tock::Rung(self.left)]
            }
        }
    }

    fn wakeup(&self) -> Option<Mono> {
        self.wakeup
    }
}

#[tokio::test]
async fn a_machine_is_driven_by_its_owner_and_the_clock_until_it_ends() {
    let (_events, mut store) = mpsc::unbounded_channel();
    let (own, mut inputs) = mpsc::unbounded_channel();
    let mut machine = Clockwork { wakeup: None, left: 3 };
    own.send("go").unwrap();
    let mut seen = Vec::new();
    let on_effect = |effect| {
        if effect == Tock::Rung(0) {
            own.send("end").unwrap();
        }
        let end = effect == Tock::End;
        seen.push(effect);
        if end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    timeout(LIMIT, drive(&mut machine, &mut store, &mut inputs, |input| input, on_effect)).await.unwrap().unwrap();
    assert_eq!(seen, [Tock::Said("go"), Tock::Rung(2), Tock::Rung(1), Tock::Rung(0), Tock::End]);
}

#[tokio::test]
async fn a_wakeup_in_the_past_rings_at_once() {
    let (_events, mut store) = mpsc::unbounded_channel();
    let (_own, mut inputs) = mpsc::unbounded_channel::<&str>();
    let mut machine = Clockwork { wakeup: Some(Mono::ZERO), left: 1 };
    let on_effect = |_| ControlFlow::Break(());
    timeout(LIMIT, drive(&mut machine, &mut store, &mut inputs, |input| input, on_effect)).await.unwrap().unwrap();
    assert_eq!(machine.left, 0);
}

#[tokio::test]
async fn driving_ends_when_the_owner_is_gone() {
    let (_events, mut store) = mpsc::unbounded_channel();
    let (own, mut inputs) = mpsc::unbounded_channel::<&str>();
    drop(own);
    let mut machine = Clockwork { wakeup: None, left: 1 };
    let driven = drive(&mut machine, &mut store, &mut inputs, |input| input, |_| ControlFlow::Continue(()));
    timeout(LIMIT, driven).await.unwrap().unwrap();
}

fn config(ttl: u64) -> SessionConfig {
    SessionConfig { ttl: Duration::from_secs(ttl), seed: 1 }
}

async fn leases(store: &dyn Store) -> Vec<i64> {
    match store.call(Request::Leases).await.unwrap().body {
        ResponseBody::Leases(leases) => leases,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_is_kept_alive_and_latecomers_learn_of_it() {
    let store = MemoryStore::new(1);
    let session = spawn_session(Arc::new(store.clone()), config(2));
    let mut early = session.subscribe();
    let SessionEvent::Started { lease, .. } = next(&mut early).await else { panic!("started first") };
    assert_eq!(leases(&store).await, [lease]);
    let mut last = Mono::ZERO;
    // Longer than the lease.
    for _ in 0..5 {
        let SessionEvent::Acknowledged { sent, received, .. } = next(&mut early).await else { panic!("kept alive") };
        assert!(last < sent && sent <= received && received <= boot_now().mono);
        last = sent;
    }
    let mut late = session.subscribe();
    assert!(matches!(next(&mut late).await, SessionEvent::Started { lease: l, .. } if l == lease));
    assert!(matches!(next(&mut late).await, SessionEvent::Acknowledged { sent, .. } if sent >= last));
    assert_eq!(leases(&store).await, [lease]);

    timeout(LIMIT, session.stop()).await.unwrap();
    assert_eq!(leases(&store).await, [] as [i64; 0]);
    let ends = async { while early.recv().await.is_some() {} };
    timeout(LIMIT, ends).await.expect("the channel ends with the session");
}

#[tokio::test]
async fn an_abandoned_session_leaves_its_lease_to_run_out() {
    let store = MemoryStore::new(1);
    for end in ["abandon", "drop"] {
        let session = spawn_session(Arc::new(store.clone()), config(2));
        let mut events = session.subscribe();
        let SessionEvent::Started { lease, .. } = next(&mut events).await else { panic!("started first") };
        match end {
            "abandon" => timeout(LIMIT, session.abandon()).await.unwrap(),
            _ => drop(session),
        }
        let ends = async { while events.recv().await.is_some() {} };
        timeout(LIMIT, ends).await.expect("the channel ends with the session");
        assert!(leases(&store).await.contains(&lease), "{end}");
        let runs_out = async {
            while leases(&store).await.contains(&lease) {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, runs_out).await.expect("nobody keeps it alive");
    }
}

#[tokio::test]
async fn a_session_that_is_cut_off_loses_its_lease_and_gets_another() {
    let store = Cuttable::new();
    let session = spawn_session_with_timeout(Arc::new(store.clone()), config(2), Duration::from_millis(100));
    let mut events = session.subscribe();
    let SessionEvent::Started { lease, .. } = next(&mut events).await else { panic!("started first") };
    store.cut.send_replace(true);
    let mut heard = next(&mut events).await;
    while matches!(heard, SessionEvent::Acknowledged { .. }) {
        heard = next(&mut events).await;
    }
    assert_eq!(heard, SessionEvent::Lost { lease });
    let latecomer = session.subscribe();
    store.cut.send_replace(false);
    for mut events in [events, latecomer] {
        let heard = next(&mut events).await;
        assert!(matches!(heard, SessionEvent::Started { lease: new, .. } if new != lease), "{heard:?}");
    }
    timeout(LIMIT, session.stop()).await.unwrap();
}

#[tokio::test]
async fn stopping_without_a_store_does_not_take_longer_than_the_lease() {
    let store = Cuttable::new();
    let session = spawn_session_with_timeout(Arc::new(store.clone()), config(3), Duration::from_millis(100));
    next(&mut session.subscribe()).await;
    store.cut.send_replace(true);
    timeout(Duration::from_secs(4), session.stop()).await.expect("it gives up");
}
