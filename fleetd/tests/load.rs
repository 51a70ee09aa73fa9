//! A real fleetd under a thousand clients at once: each request has an answer, memory is bounded, and nothing is left
//! behind.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::Running;
use fleet_api::v2::{DestroyRequest, UnitChange, UnitsRequest, WatchLine};
use fleet_api::{ApiError, Client};
use fleet_units::DesiredState;
use futures::StreamExt;
use futures::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// Clients that list and write.
const BUSY: usize = 800;
/// Requests of each.
const REQUESTS: usize = 8;
/// Clients that watch and read.
const WATCHERS: usize = 100;
/// Clients that ask for a list or a watch, and do not read.
const DEAF: usize = 60;
/// Clients that have sent half a request.
const HALF: usize = 40;
/// Units that are there all the time.
const UNITS: usize = 300;
/// What fleetd may grow by under all of them, in kilobytes: a hundred a client.
const GROWTH: usize = 100 * 1024;
/// Requests between two looks at its memory.
const LOOK: usize = 200;

fn submit(name: String, desired: DesiredState) -> UnitsRequest {
    let text = Some(format!("[Unit]\nDescription={}\n[Service]\nExecStart=/bin/true\n", "x".repeat(400)));
    UnitsRequest { units: vec![UnitChange { name, text, desired_state: Some(desired), ..UnitChange::default() }] }
}

/// What the clients saw.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    refused: AtomicUsize,
    cut_off: AtomicUsize,
    unanswered: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
    peak: AtomicUsize,
}

impl Tally {
    fn take<T>(&self, begun: Instant, answer: Result<T, ApiError>) {
        match answer {
            Ok(_) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            Err(ApiError::Refused { status: 429 | 503, .. }) => _ = self.refused.fetch_add(1, Ordering::Relaxed),
            Err(error) => self.unanswered.lock().unwrap().push(error.to_string()),
        }
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = slowest.max(begun.elapsed());
    }
}

/// A client that lists all, lists one, writes, and destroys, in turn.
async fn busy(client: Client, n: usize, tally: Arc<Tally>, running: Arc<Running>) {
    for turn in 0..REQUESTS {
        let begun = Instant::now();
        let name = format!("busy-{n}.service");
        match (n + turn) % 4 {
            0 => tally.take(begun, client.units::<&str>(&[]).await),
            1 => tally.take(begun, client.change_units(&submit(name, DesiredState::Launched)).await),
            2 => tally.take(begun, client.units(&[format!("u{}.service", n % UNITS)]).await),
            _ => tally.take(begun, client.destroy(&DestroyRequest { names: vec![name] }).await),
        }
        if tally.answered.load(Ordering::Relaxed).is_multiple_of(LOOK) {
            tally.peak.fetch_max(running.status("VmRSS"), Ordering::Relaxed);
        }
    }
}

/// A client that watches until it sees the last unit that is written, and watches again when it is cut off.
async fn watch_to_the_end(client: Client, tally: Arc<Tally>) {
    loop {
        let mut lines = Box::pin(client.watch_units::<&str>(&[]).await.unwrap());
        while let Some(Ok(line)) = lines.next().await {
            // Who fell behind sees it in a snapshot.
            let is_over = match line {
                WatchLine::Unit { unit, .. } => unit.name == "last.service",
                WatchLine::Snapshot { units, .. } => units.iter().any(|unit| unit.name == "last.service"),
                _ => false,
            };
            if is_over {
                return;
            }
        }
        tally.cut_off.fetch_add(1, Ordering::Relaxed);
    }
}

async fn connection(running: &Running, sent: &str) -> UnixStream {
    let mut stream = UnixStream::connect(running.socket()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_thousand_clients_are_all_answered_and_leave_nothing_behind() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8_192), hard).unwrap();
    let mut running = Running::start("registry=embedded\nregistry_listen=DIR/registry.sock");
    running.wait_for_socket();
    let running = Arc::new(running);
    let client: Client = Client::new(format!("unix://{}", running.socket().display()).parse().unwrap());
    let units = (0..UNITS).flat_map(|n| submit(format!("u{n}.service"), DesiredState::Loaded).units).collect();
    client.change_units(&UnitsRequest { units }).await.unwrap();
    join_all((0..20).map(|_| client.units::<&str>(&[]))).await;
    running.wait_for_descriptors(64);
    let before = (running.descriptors(), running.status("Threads"), running.status("VmRSS"));

    let mut held = Vec::new();
    for n in 0..DEAF {
        let query = if n % 2 == 0 { "" } else { "?watch=true" };
        held.push(connection(&running, &format!("GET /fleet/v2/units{query} HTTP/1.1\r\nHost: fleet\r\n\r\n")).await);
    }
    for _ in 0..HALF {
        held.push(connection(&running, "GET /fleet/v2/units HTTP/1.1\r\nHo").await);
    }
    let tally = Arc::new(Tally::default());
    let watchers: Vec<_> =
        (0..WATCHERS).map(|_| tokio::spawn(watch_to_the_end(client.clone(), Arc::clone(&tally)))).collect();
    let begun = Instant::now();
    let clients = (0..BUSY).map(|n| tokio::spawn(busy(client.clone(), n, Arc::clone(&tally), Arc::clone(&running))));
    for client in join_all(clients).await {
        client.unwrap();
    }
    let took = begun.elapsed();
    let peak = tally.peak.load(Ordering::Relaxed).max(running.status("VmRSS"));
    client.change_units(&submit("last.service".to_owned(), DesiredState::Launched)).await.unwrap();
    for watcher in join_all(watchers).await {
        watcher.expect("it sees the last change");
    }
    drop(held);

    let unanswered = tally.unanswered.lock().unwrap().clone();
    assert!(unanswered.is_empty(), "{} without an answer, such as: {:?}", unanswered.len(), unanswered.first());
    let (answered, refused) = (tally.answered.load(Ordering::Relaxed), tally.refused.load(Ordering::Relaxed));
    assert_eq!(answered + refused, BUSY * REQUESTS);
    println!(
        "{answered} answered and {refused} refused in {:.1} s, the slowest in {:.1} s; {} kB before, {peak} kB at most; \
         watches cut off: {}",
        took.as_secs_f64(),
        tally.slowest.lock().unwrap().as_secs_f64(),
        before.2,
        tally.cut_off.load(Ordering::Relaxed)
    );
    running.wait_for_descriptors(before.0);
    assert!(running.status("Threads") <= before.1 + 2, "{} threads, {} before", running.status("Threads"), before.1);
    assert!(peak < before.2 + GROWTH, "{peak} kB, {} kB before", before.2);
    let list = client.units::<&str>(&[]).await.unwrap();
    assert!(list.units.len() > UNITS && !list.stale);
}

/// Units that come and go in the accelerated day.
const POOL: usize = 40;
/// Rounds of it: each submits, starts, restarts, stops, and destroys every unit of the pool with a text of its own.
const ROUNDS: usize = 60;
/// Rounds after which everything has grown to what it needs.
const WARM: usize = 20;

/// One round, of five requests for all units together.
async fn round(client: &Client, round: usize) {
    let name = |n: usize| format!("pool-{n}.service");
    let each = |change: &dyn Fn(usize) -> UnitChange| UnitsRequest { units: (0..POOL).map(change).collect() };
    let text = |n: usize| {
        let text = format!("[Unit]\nDescription=round {round} of {n}\n[Service]\nExecStart=/bin/true\n");
        UnitChange { name: name(n), text: Some(text), ..UnitChange::default() }
    };
    let want = |n: usize, desired| UnitChange { name: name(n), desired_state: Some(desired), ..UnitChange::default() };
    let restart = |n: usize| UnitChange { name: name(n), restart: true, ..UnitChange::default() };
    client.change_units(&each(&text)).await.unwrap();
    client.change_units(&each(&|n| want(n, DesiredState::Launched))).await.unwrap();
    client.change_units(&each(&restart)).await.unwrap();
    client.change_units(&each(&|n| want(n, DesiredState::Loaded))).await.unwrap();
    client.destroy(&DestroyRequest { names: (0..POOL).map(name).collect() }).await.unwrap();
}

#[tokio::test]
async fn a_day_of_operations_leaves_no_more_memory_threads_or_file_descriptors() {
    let mut running = Running::start("registry=embedded\nregistry_listen=DIR/registry.sock");
    running.wait_for_socket();
    let client: Client = Client::new(format!("unix://{}", running.socket().display()).parse().unwrap());
    let begun = Instant::now();
    let mut warm = None;
    for n in 0..ROUNDS {
        round(&client, n).await;
        if n + 1 == WARM {
            running.wait_for_descriptors(64);
            warm = Some((running.descriptors(), running.status("Threads"), running.status("VmRSS")));
        }
    }
    let (descriptors, threads, memory) = warm.unwrap();
    running.wait_for_descriptors(descriptors);
    let after = (running.status("Threads"), running.status("VmRSS"));
    println!(
        "{} operations in {:.1} s: {memory} kB after a third of them, {} kB after all; threads {threads}, then {}; \
         file descriptors {descriptors}, then {}",
        ROUNDS * POOL * 5,
        begun.elapsed().as_secs_f64(),
        after.1,
        after.0,
        running.descriptors()
    );
    assert!(after.0 <= threads, "{} threads, {threads} before", after.0);
    // Texts and history are kept for an hour, and these come within seconds.
    assert!(after.1 < memory + 24 * 1024, "{} kB, {memory} kB before", after.1);
    assert!(client.units::<&str>(&[]).await.unwrap().units.is_empty());
}
