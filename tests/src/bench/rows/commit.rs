//! A leader over a real etcd: placing a whole cluster from nothing, and committing it.

mod cluster;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fleet_engine::EngineConfig;
use fleet_engine::placement::Outcome;
use fleet_registry::etcd::EtcdStore;
use fleet_registry::record::{Record, ScheduleRecord};
use fleet_registry::shell::{boot_now, spawn_session};
use fleet_registry::store::{
    Answer, Operation, RangeRequest, Request, ResponseBody, Store, TxnRequest, WatchRequest, WatchStream,
};
use fleet_registry::{Layout, Mono, SessionConfig};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use cluster::Made;

use crate::bench::one_core::{cpu_millis, on_one_core};
use crate::bench::row::{Row, RowName};
use crate::bench::sample::Sample;
use crate::bench::suite::Extent;
use crate::hosts::{self, OwnEtcd};

/// What the promise is made for.
const MACHINES: usize = 10_000;
const UNITS: usize = 100_000;

/// What committing may take beside the engine's own work.
const COMMIT_MILLIS: f64 = 500.0;

/// Far longer than it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Schedules that are read back at once.
const PAGE: i64 = 500;

/// As a fleetd has them.
const THREADS: usize = 2;
const TTL: Duration = Duration::from_secs(10);

/// From the moment at which the leader has the last record until the last schedule is committed.
pub(crate) fn commit(extent: Extent) -> Result<Vec<Row>> {
    let cluster = Made::new(MACHINES, UNITS)?;
    let alone = |_| on_one_core(|| engine_alone(&cluster));
    let alone: Vec<(f64, usize)> = (0..extent.rounds()).map(alone).collect::<Result<_>>()?;
    let placed = alone.first().map_or(0, |(_, placed)| *placed);
    let engine = alone.iter().map(|(took, _)| *took).collect::<Sample>().median();
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().context("no runtime")?;
    let committed = |_| runtime.block_on(round(&cluster, placed));
    let rounds: Vec<Committed> = (0..extent.rounds()).map(committed).collect::<Result<_>>()?;
    let median = |of: fn(&Committed) -> f64| rounds.iter().map(of).collect::<Sample>().median();
    let title = "100,000 units placed on 10,000 machines and committed to etcd";
    let row = Row::absolute(RowName::Commit, title, median(|c| c.total), "ms", engine + COMMIT_MILLIS)
        .with_floor(engine)
        .with_detail(format!(
            "the floor is the engine alone; {placed} units placed; from the last record's arrival to the first \
             transaction {:.0} ms (of that {:.0} ms for taking in records, deciding, and planning), from there to the \
             last answer {:.0} ms; {:.0} transactions of {:.1} MB",
            median(|c| c.to_first),
            median(|c| c.pass),
            median(|c| c.total - c.to_first),
            median(|c| c.transactions),
            median(|c| c.megabytes),
        ));
    Ok(vec![row])
}

/// As the row of the engine alone: milliseconds, and how many units are placed.
fn engine_alone(cluster: &Made) -> Result<(f64, usize)> {
    let (took, (decisions, _)) = cpu_millis(|| {
        let mut told = cluster.told();
        (told.pass(), told.take_plan())
    })?;
    let placed = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Placed { .. })).count();
    Ok((took, placed))
}

/// One round, in milliseconds and so on.
struct Committed {
    total: f64,
    to_first: f64,
    pass: f64,
    transactions: f64,
    megabytes: f64,
}

async fn round(cluster: &Made, placed: usize) -> Result<Committed> {
    let etcd = OwnEtcd::start().await?;
    let (store, layout) = (etcd.connect()?, Layout::default());
    hosts::write(&store, cluster.records(&layout)?, 8).await?;
    let timed =
        Arc::new(Timed { etcd: etcd.connect()?, layout: layout.clone(), log: Mutex::default(), news: Notify::new() });
    let session = spawn_session(Arc::clone(&timed) as Arc<dyn Store>, SessionConfig { ttl: TTL, seed: 1 });
    let engine = fleet_engine::spawn(
        EngineConfig {
            machine: "leader".parse().context("letters are an id")?,
            instance: "first".to_owned(),
            layout: layout.clone(),
            carries_registry: false,
            brake_hold: Duration::ZERO,
            machine_retention: Duration::ZERO,
            seed: 1,
            ttl: TTL,
        },
        Arc::clone(&timed) as Arc<dyn Store>,
        session.subscribe(),
    );
    let log = tokio::time::timeout(LIMIT, timed.written(cluster.machines.len())).await;
    let log = log.with_context(|| format!("not every schedule was written within {LIMIT:?}"))?;
    let pass = engine.counter()().time;
    drop((engine, session));
    check(&store, &layout, cluster.machines.len(), placed).await?;
    let (loaded, first, last) = (log.loaded, log.first_sent.unwrap_or_default(), log.last_answered);
    let millis = |from: Mono, to: Mono| to.saturating_sub(from).as_secs_f64() * 1e3;
    Ok(Committed {
        total: millis(loaded, last),
        to_first: millis(loaded, first),
        pass: pass.as_secs_f64() * 1e3,
        transactions: log.transactions as f64,
        megabytes: log.bytes as f64 / 1e6,
    })
}

/// Every machine has a schedule, and every unit that the engine places is in one of them.
async fn check(store: &EtcdStore, layout: &Layout, machines: usize, placed: usize) -> Result<()> {
    let (mut units, mut listed, mut found) = (BTreeSet::new(), 0, 0);
    let mut request = RangeRequest { limit: PAGE, ..RangeRequest::prefix(schedules(layout)) };
    loop {
        let answer = store.call(Request::Range(request.clone())).await.context("the schedules cannot be read back")?;
        let ResponseBody::Range(page) = answer.body else { bail!("etcd answered something else") };
        for kv in &page.kvs {
            let schedule = ScheduleRecord::decode(&kv.value)?;
            listed += schedule.units.len();
            units.extend(schedule.units.into_keys());
        }
        found += page.kvs.len();
        match page.kvs.last() {
            Some(last) if page.more => request.key = [&last.key[..], &[0]].concat().into(),
            _ => break,
        }
    }
    ensure!(found == machines, "{found} of {machines} machines have a schedule");
    ensure!(units.len() == listed, "{} units are listed twice", listed - units.len());
    ensure!(listed == placed, "{listed} units are listed, and the engine alone places {placed}");
    Ok(())
}

/// What all keys of schedules begin with.
fn schedules(layout: &Layout) -> String {
    format!("{}schedule/", layout.root())
}

/// An etcd whose answers are timed.
struct Timed {
    etcd: EtcdStore,
    layout: Layout,
    log: Mutex<Log>,
    news: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Log {
    /// When the last page of records came.
    loaded: Mono,
    /// When the first transaction of schedules was asked for.
    first_sent: Option<Mono>,
    /// When the last of them was answered.
    last_answered: Mono,
    transactions: usize,
    /// Schedules that were written.
    schedules: usize,
    bytes: usize,
}

impl Timed {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many schedules are written.
    async fn written(&self, count: usize) -> Log {
        loop {
            let news = self.news.notified();
            let log = *self.log();
            if log.schedules >= count {
                return log;
            }
            news.await;
        }
    }

    /// How many schedules a transaction writes, and how large they are.
    fn schedules(&self, txn: &TxnRequest) -> (usize, usize) {
        let prefix = schedules(&self.layout);
        let sizes = txn.success.iter().filter_map(|operation| match operation {
            Operation::Put(put) if put.key.starts_with(prefix.as_bytes()) => Some(put.value.len()),
            _ => None,
        });
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }
}

impl Store for Timed {
    fn call(&self, request: Request) -> Answer<'_> {
        let page = matches!(&request, Request::Range(range) if !range.range_end.is_empty());
        let (schedules, bytes) = match &request {
            Request::Txn(txn) => self.schedules(txn),
            _ => (0, 0),
        };
        if schedules > 0 {
            self.log().first_sent.get_or_insert(boot_now().mono);
        }
        Box::pin(async move {
            let answer = self.etcd.call(request).await;
            let mut log = self.log();
            if page {
                log.loaded = boot_now().mono;
            }
            let written =
                matches!(&answer, Ok(answer) if matches!(&answer.body, ResponseBody::Txn(txn) if txn.succeeded));
            if schedules > 0 && written {
                log.last_answered = boot_now().mono;
                log.transactions += 1;
                log.schedules += schedules;
                log.bytes += bytes;
                self.news.notify_one();
            }
            drop(log);
            answer
        })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        self.etcd.watch(request)
    }
}
