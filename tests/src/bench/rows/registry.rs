//! The embedded registry beside a real etcd on the same disk, asked the same by the same client.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use fleet_registry::etcd::{EtcdConfig, EtcdStore};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, Store, TxnRequest, WatchItem, WatchRequest};
use futures::StreamExt;
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

use super::super::inside::{millis_between, now};
use super::super::process::Process;
use super::super::row::{Row, RowName};
use super::super::sample::Sample;
use super::super::suite::Extent;
use crate::hosts::{OwnEtcd, free_address};
use crate::programs::find_program;

/// Both are there within a second, and answer within milliseconds; a busy host may take longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether one is there.
const PAUSE: Duration = Duration::from_millis(20);

/// What fleet's own records are like.
const VALUE_BYTES: usize = 200;

/// Callers at once, where several are.
const CALLERS: usize = 64;

/// The most that etcd takes in one transaction.
const OPERATIONS: usize = 128;

/// Keys over which memory is compared.
const KEYS: usize = 100_000;

/// What is asked of both.
struct Question {
    name: RowName,
    title: &'static str,
    callers: usize,
    /// Calls a round.
    calls: usize,
    call: fn(Arc<EtcdStore>, usize) -> BoxFuture<'static, Result<()>>,
}

const QUESTIONS: [Question; 7] = [
    Question { name: RowName::RegistryPut, title: "a put", callers: 1, calls: 300, call: put },
    Question { name: RowName::RegistryPuts, title: "a put, 64 at once", callers: CALLERS, calls: 6_400, call: put },
    Question { name: RowName::RegistryRead, title: "a linearizable read", callers: 1, calls: 1_000, call: read },
    Question {
        name: RowName::RegistryReads,
        title: "a linearizable read, 64 at once",
        callers: CALLERS,
        calls: 12_800,
        call: read,
    },
    Question { name: RowName::RegistryTxn, title: "a transaction of 128 puts", callers: 1, calls: 100, call: txn },
    Question { name: RowName::RegistryWatch, title: "a put, until a watch tells", callers: 1, calls: 300, call: told },
    Question {
        name: RowName::RegistryKeepAlive,
        title: "a keep-alive, 64 at once",
        callers: CALLERS,
        calls: 3_200,
        call: keep_alive,
    },
];

/// How long each question takes to be answered, and how much memory keys take.
pub(crate) fn registry(extent: Extent) -> Result<Vec<Row>> {
    Runtime::new().context("cannot start a runtime")?.block_on(async {
        let (ours, theirs) = (Server::embedded().await?, Server::etcd().await?);
        let mut rows = Vec::new();
        for question in &QUESTIONS {
            rows.push(compare(question, &ours, &theirs, extent.close_rounds()).await?);
        }
        drop((ours, theirs));
        let (ours, theirs) = (filled(Server::embedded().await?).await?, filled(Server::etcd().await?).await?);
        let title = "memory with 100,000 keys of 200 bytes";
        let row = Row::absolute(RowName::RegistryMemory, title, ours, "MB", f64::NAN).with_floor(theirs);
        rows.push(row.times_floor(0.5));
        Ok(rows)
    })
}

/// Asks both in turn; who comes first changes from round to round.
async fn compare(question: &Question, ours: &Server, theirs: &Server, rounds: usize) -> Result<Row> {
    // Connections, and what a server does when it is asked for the first time, are no part of it.
    for server in [ours, theirs] {
        ask(question, server, question.callers * 2).await?;
    }
    let mut pairs = Vec::new();
    let (mut our_calls, mut their_calls) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let order = if round % 2 == 0 { [ours, theirs] } else { [theirs, ours] };
        let mut took = [0.0; 2];
        for server in order {
            let (millis, calls) = ask(question, server, question.calls).await?;
            let is_ours = std::ptr::eq(server, ours);
            took[usize::from(!is_ours)] = millis / question.calls as f64;
            if is_ours { &mut our_calls } else { &mut their_calls }.extend(calls);
        }
        pairs.push((took[0], took[1]));
    }
    let (our_calls, their_calls): (Sample, Sample) =
        (our_calls.into_iter().collect(), their_calls.into_iter().collect());
    let row = Row::pairs(question.name, question.title, &pairs, 1.0);
    let detail = format!(
        "time a call; {rounds} rounds of {} calls, {} at once; one call: median {:.3} ms, p95 {:.3} ms; of etcd {:.3} ms, {:.3} ms",
        question.calls,
        question.callers,
        our_calls.median(),
        our_calls.p95(),
        their_calls.median(),
        their_calls.p95()
    );
    Ok(row.with_detail(detail))
}

/// Makes so many calls, some of them at once. Answers how long all took, and each.
async fn ask(question: &Question, server: &Server, calls: usize) -> Result<(f64, Vec<f64>)> {
    let (call, next) = (question.call, Arc::new(AtomicUsize::new(0)));
    let begin = now()?;
    let callers = (0..question.callers).map(|caller| {
        let (store, next) = (Arc::clone(&server.stores[caller]), Arc::clone(&next));
        tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return Ok::<_, anyhow::Error>(took);
                }
                let begin = now()?;
                call(Arc::clone(&store), number).await?;
                took.push(millis_between(begin, now()?));
            }
        })
    });
    let mut all = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        all.extend(caller.await.context("a caller did not end")??);
    }
    Ok((millis_between(begin, now()?), all))
}

fn key(number: usize) -> String {
    format!("/bench/{:06}", number % KEYS)
}

fn value() -> Vec<u8> {
    vec![b'x'; VALUE_BYTES]
}

fn puts(numbers: impl Iterator<Item = usize>) -> Request {
    let puts = numbers.map(|number| Operation::Put(PutRequest::new(key(number), value())));
    Request::Txn(TxnRequest { success: puts.collect(), ..TxnRequest::default() })
}

fn put(store: Arc<EtcdStore>, number: usize) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { done(store.call(puts(std::iter::once(number))).await) })
}

fn txn(store: Arc<EtcdStore>, number: usize) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { done(store.call(puts((0..OPERATIONS).map(|n| number * OPERATIONS + n))).await) })
}

fn read(store: Arc<EtcdStore>, number: usize) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { done(store.call(Request::Range(RangeRequest::key(key(number % 300)))).await) })
}

fn keep_alive(store: Arc<EtcdStore>, _: usize) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { done(store.call(Request::LeaseKeepAlive { id: LEASE }).await) })
}

/// The lease that is kept alive.
const LEASE: i64 = 4711;

/// Puts a key that is watched, and waits for the watch to tell of it.
fn told(store: Arc<EtcdStore>, number: usize) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let watched = format!("/watched/{number}");
        let mut watch = store.watch(WatchRequest::key(watched.clone(), 0));
        match watch.next().await {
            Some(Ok(WatchItem::Created { .. })) => {}
            other => bail!("a watch is not created but answers {other:?}"),
        }
        let put = Operation::Put(PutRequest::new(watched, value()));
        done(store.call(Request::Txn(TxnRequest { success: vec![put], ..TxnRequest::default() })).await)?;
        while let Some(item) = watch.next().await {
            if matches!(item.map_err(|e| anyhow!("a watch ended: {e}"))?, WatchItem::Events { .. }) {
                return Ok(());
            }
        }
        bail!("a watch ended")
    })
}

fn done<T, E: std::fmt::Display>(answer: Result<T, E>) -> Result<()> {
    answer.map(drop).map_err(|e| anyhow!("a call failed: {e}"))
}

/// Fills a server that is new and asks the kernel for its memory.
async fn filled(server: Server) -> Result<f64> {
    for first in (0..KEYS).step_by(OPERATIONS) {
        done(server.stores[0].call(puts(first..(first + OPERATIONS).min(KEYS))).await)?;
    }
    Ok(server.process.memory()?.resident)
}

/// A server in a process of its own, ended with this value.
struct Server {
    /// A connection a caller, as every fleetd has its own.
    stores: Vec<Arc<EtcdStore>>,
    process: Process,
    _ended: Box<dyn Send>,
}

impl Server {
    async fn embedded() -> Result<Self> {
        let dir = TempDir::new_in(folder()?)?;
        let address = free_address()?;
        let mut command = Command::new(find_program("fleetd")?);
        command.args(["registry", "--listen", &address, "--data-dir"]).arg(dir.path().join("data"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot run fleetd")?;
        let child = Ended(child);
        Self::begin(&format!("http://{address}"), child.0.id(), Box::new((child, dir))).await
    }

    async fn etcd() -> Result<Self> {
        let etcd = OwnEtcd::start_in(&folder()?).await?;
        Self::begin(&etcd.url(), etcd.pid(), Box::new(etcd)).await
    }

    /// Waits until it answers, and makes the lease that is kept alive.
    async fn begin(url: &str, pid: u32, ended: Box<dyn Send>) -> Result<Self> {
        let config = EtcdConfig { endpoints: vec![url.to_owned()], request_timeout: LIMIT, ..EtcdConfig::default() };
        let connect = || EtcdStore::connect(config.clone()).map(Arc::new);
        let stores = (0..CALLERS).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
        let end = Instant::now() + LIMIT;
        while let Err(error) = stores[0].call(Request::LeaseGrant { ttl: 600, id: LEASE }).await {
            ensure!(Instant::now() < end, "the registry at {url} does not answer: {error}");
            sleep(PAUSE).await;
        }
        Ok(Self { stores, process: Process::of(pid), _ended: ended })
    }
}

/// Beside the program rather than in /tmp, which may be memory.
fn folder() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a program lies in a folder")?.to_owned())
}

/// A process that is killed with this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
