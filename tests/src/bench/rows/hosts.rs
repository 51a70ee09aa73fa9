//! A thousand machines without a systemd, over a real etcd: a start of many units, the loss of a tenth of them, and the
//! loss of their leader.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_registry::shell::boot_now;
use fleet_registry::{Layout, Mono, Store};
use fleet_units::UnitName;
use tokio::runtime::Builder;

use crate::bench::metrics::Requests;
use crate::bench::row::{Row, RowName};
use crate::bench::suite::Extent;
use crate::hosts::{self, Host, HostConfig, HostThread, Observer, OwnEtcd, Truth, Warnings};

/// What the promises are made for.
const HOSTS: usize = 1_000;
const UNITS: usize = 20_000;
/// Units that are started while the leader is lost.
const MORE: usize = 1_000;
/// Units of a template.
const INSTANCES: usize = 100;
/// One leads, two stand by.
const LEADERS: usize = 3;
/// fleet's default.
const TTL: Duration = Duration::from_secs(10);
/// Far longer than anything takes.
const LIMIT: Duration = Duration::from_secs(120);

/// All of it, one after the other.
pub(crate) fn hosts(extent: Extent) -> Result<Vec<Row>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut scene = Scene::start(extent.hosts(HOSTS)).await?;
        let mut rows = scene.start_units(extent.hosts(UNITS)).await?;
        rows.push(scene.lose_hosts().await?);
        rows.push(scene.lose_leader(extent.hosts(MORE)).await?);
        scene.check()?;
        Ok(rows)
    })
}

/// The cluster.
struct Scene {
    etcd: OwnEtcd,
    observer: Observer,
    truth: Truth,
    warnings: Warnings,
    /// The leader first.
    leaders: Vec<HostThread>,
    others: Vec<Host>,
    /// Units that are to run.
    units: usize,
    registered: Duration,
}

impl Scene {
    async fn start(count: usize) -> Result<Self> {
        let etcd = OwnEtcd::start().await?;
        let (truth, warnings) = (Truth::default(), Warnings::default());
        let url = etcd.url();
        let observer = Observer::start(move || Ok(Arc::new(hosts::connect(&url)?)))?;
        let mut leaders = Vec::new();
        for n in 0..LEADERS {
            let (endpoint, truth, warnings) = (etcd.url(), truth.clone(), warnings.clone());
            let connect = move || Ok(Arc::new(hosts::connect(&endpoint)?) as Arc<dyn Store>);
            leaders.push(HostThread::start(connect, move |store| {
                Host::start(HostConfig::nth(n, TTL), store, truth, warnings)
            })?);
            // The first is to lead.
            observer.wait("a leader", LIMIT, |seen| seen.leader.is_some() && seen.present == n + 1).await?;
        }
        let begun = boot_now().mono;
        let mut others = Vec::new();
        for n in LEADERS..count {
            others.push(Host::start(
                HostConfig::nth(n, TTL),
                Arc::new(etcd.connect()?),
                truth.clone(),
                warnings.clone(),
            ));
        }
        let all =
            observer.wait("every machine", LIMIT, |seen| seen.present == count && seen.scheduled == count).await?;
        let registered = all.at - begun;
        Ok(Self { etcd, observer, truth, warnings, leaders, others, units: 0, registered })
    }

    /// Starts units as the API does, and waits until all of them are reported to run.
    async fn start_units(&mut self, count: usize) -> Result<Vec<Row>> {
        let before = (self.requests()?, self.leaders[0].cpu_time().await?, self.etcd.cpu_time()?);
        let begun = boot_now().mono;
        self.submit(count).await?;
        let submitted = boot_now().mono - begun;
        let all = self.all_run().await?;
        let after = (self.requests()?, self.leaders[0].cpu_time().await?, self.etcd.cpu_time()?);
        let took = all.saturating_sub(begun).as_secs_f64();
        let present = self.leaders.len() + self.others.len();
        let methods = after.0.since(&before.0, Duration::from_secs(1));
        let requests: f64 = methods.values().sum();
        let engine = (after.1 - before.1).as_secs_f64();
        let title = format!("{count} units started on {present} simulated machines, all reported running");
        let start = Row::absolute(RowName::HostsStart, &title, took, "s", 40.0).with_detail(format!(
            "written by the API within {:.1} s; etcd's CPU {:.1} s; the machines had registered within {:.1} s; {}",
            submitted.as_secs_f64(),
            (after.2 - before.2).as_secs_f64(),
            self.registered.as_secs_f64(),
            self.warnings,
        ));
        let by_method = methods.iter().map(|(method, count)| format!("{method} {count:.0}")).collect::<Vec<_>>();
        let a_unit = requests / count as f64;
        let requests = Row::absolute(RowName::HostsRequests, "requests to etcd for that, a unit", a_unit, "", 5.0)
            .with_detail(by_method.join(", "));
        let engine = Row::absolute(RowName::HostsEngine, "CPU of the leader's fleetd for that", engine, "s", 3.0);
        Ok(vec![start, requests, engine])
    }

    /// A tenth of the machines loses power.
    async fn lose_hosts(&mut self) -> Result<Row> {
        let present = self.leaders.len() + self.others.len();
        let lost = present / 10;
        self.observer.mark();
        let begun = boot_now().mono;
        for host in self.others.drain(..lost) {
            host.lose_power().await;
        }
        let moved = self.units - self.truth.now().0;
        let left = present - lost;
        self.observer.wait("the loss of a lease", LIMIT, |seen| seen.machine_lost.is_some()).await?;
        let gone = self.observer.wait("the loss of every lease", LIMIT, |seen| seen.present == left).await?;
        let all = self.all_run().await?;
        let title = format!("{lost} of {present} machines lost, until their units are reported running elsewhere");
        let took = (all - begun).as_secs_f64();
        let row = Row::absolute(RowName::HostsLost, &title, took, "s", TTL.as_secs_f64() + 5.0);
        Ok(row.with_floor(TTL.as_secs_f64()).with_detail(format!(
            "the floor is the lease; {moved} units moved; the last lease was gone after {:.1} s",
            (gone.at - begun).as_secs_f64()
        )))
    }

    /// The leader loses power while units are started.
    async fn lose_leader(&mut self, count: usize) -> Result<Row> {
        let fence = self.observer.wait("a leader", LIMIT, |seen| seen.leader.is_some()).await?.leader;
        self.observer.mark();
        self.submit(count / 2).await?;
        self.leaders.remove(0).lose_power()?;
        let begun = boot_now().mono;
        self.submit(count - count / 2).await?;
        let decided = |seen: &hosts::Seen| seen.decided.is_some() && seen.leader.is_some_and(|now| Some(now) != fence);
        let seen = self.observer.wait("the next leader's first decision", LIMIT, decided).await?;
        let (lost, decided) = seen.leader_lost.zip(seen.decided).context("no leader was lost")?;
        let all = self.all_run().await?;
        let took = (decided - lost).as_secs_f64() * 1e3;
        let title = "a leader lost while units start: from its lease's end to the first decision";
        Ok(Row::absolute(RowName::HostsLeader, title, took, "ms", 2_000.0).with_detail(format!(
            "its lease ended {:.1} s after its power, and {count} units that were started meanwhile all ran {:.1} s \
             after that",
            (lost - begun).as_secs_f64(),
            (all.saturating_sub(lost)).as_secs_f64()
        )))
    }

    /// What really runs is what is wanted, once each, and nothing ever ran twice.
    fn check(&self) -> Result<()> {
        let (running, twice) = self.truth.now();
        ensure!(twice.is_empty(), "{} units ran twice: {}", twice.len(), twice[0]);
        ensure!(running == self.units, "{running} of {} units run", self.units);
        Ok(())
    }

    async fn all_run(&self) -> Result<Mono> {
        let units = self.units;
        Ok(self.observer.wait("every unit reported to run", LIMIT, |seen| seen.running == units).await?.at)
    }

    /// Writes so many more units that are to run.
    async fn submit(&mut self, count: usize) -> Result<()> {
        let (store, layout) = (self.etcd.connect()?, Layout::default());
        let mut operations = Vec::new();
        for n in self.units..self.units + count {
            let (name, text) = unit(n)?;
            operations.extend(hosts::started(&layout, &name, &text)?);
        }
        self.units += count;
        // One transaction after the other, as one request to the API is answered.
        hosts::write(&store, operations, 1).await
    }

    fn requests(&self) -> Result<Requests> {
        Requests::of(self.etcd.address())
    }
}

/// The units come in templates, of which some ask for a zone, and some spread.
fn unit(n: usize) -> Result<(UnitName, String)> {
    let template = n / INSTANCES;
    let name = format!("app{template}@{n}.service");
    let more = match template % 5 {
        0 => "MachineMetadata=zone=z1\n",
        1 => "MachineMetadata=disk=ssd\n",
        2 => "Conflicts=%p@*.service\n",
        _ => "",
    };
    let text = format!("[Service]\nExecStart=/usr/bin/something --of={template}\n[X-Fleet]\n{more}");
    Ok((UnitName::parse(&name)?, text))
}
