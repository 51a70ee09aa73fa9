//! A hundred machines in real time over one embedded registry.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_registry::Layout;
use fleet_registry::embedded::{Embedded, EmbeddedConfig};
use fleet_tests::hosts::{self, Host, HostConfig, HostThread, Observer, Truth, Warnings};
use fleet_units::UnitName;
use tokio::runtime::Builder;

const HOSTS: usize = 100;
const UNITS: usize = 1_000;
/// Machines that are lost, the leader among them.
const LOST: usize = 10;
const TTL: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(60);

/// Whoever grows beyond a handful of machines: every one of a hundred is taken in, with a watch, a lease, and a connection
/// of its own at one registry; a thousand units all come to run and to be reported; and when a tenth of the machines is
/// lost at once with the leader among them, all run elsewhere, none of them ever twice.
#[test]
fn a_hundred_machines_run_a_thousand_units_and_outlive_a_tenth_of_them_with_the_leader() -> Result<()> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let registry = Embedded::open(directory.path(), EmbeddedConfig::default())?;
        let server = registry.serve(&"127.0.0.1:0".parse()?).await?;
        let url = server.address().to_string();
        let (truth, layout) = (Truth::default(), Layout::default());
        let warnings = Warnings::default();
        let observer = {
            let url = url.clone();
            Observer::start(move || Ok(Arc::new(hosts::connect(&url)?)))?
        };
        let start = |n| -> Result<Host> {
            let store = Arc::new(hosts::connect(&url)?);
            Ok(Host::start(HostConfig::nth(n, TTL), store, truth.clone(), warnings.clone()))
        };
        // The first leads, on a thread of its own.
        let leader = {
            let (url, truth, warnings) = (url.clone(), truth.clone(), warnings.clone());
            let connect = move || Ok(Arc::new(hosts::connect(&url)?) as Arc<dyn fleet_registry::Store>);
            HostThread::start(connect, move |store| Host::start(HostConfig::nth(0, TTL), store, truth, warnings))?
        };
        observer.wait("a leader", LIMIT, |seen| seen.leader.is_some() && seen.present == 1).await?;
        let mut others = (1..HOSTS).map(start).collect::<Result<Vec<Host>>>()?;
        observer.wait("every machine", LIMIT, |seen| seen.present == HOSTS && seen.scheduled == HOSTS).await?;

        let mut operations = Vec::new();
        for n in 0..UNITS {
            let name = UnitName::parse(&format!("app{}@{n}.service", n / 50))?;
            operations.extend(hosts::started(&layout, &name, "[Service]\nExecStart=/usr/bin/something\n")?);
        }
        hosts::write(&hosts::connect(&url)?, operations, 1).await?;
        observer.wait("every unit", LIMIT, |seen| seen.running == UNITS).await?;
        ensure!(truth.now() == (UNITS, Vec::new()), "{:?}", truth.now());

        let fence = observer.wait("a leader", LIMIT, |seen| seen.leader.is_some()).await?.leader;
        for host in others.drain(..LOST - 1) {
            host.lose_power().await;
        }
        leader.lose_power()?;
        ensure!(truth.now().0 < UNITS, "what ran there still runs");
        let left = HOSTS - LOST;
        let is_over = |seen: &hosts::Seen| {
            let led = seen.leader.is_some_and(|now| Some(now) != fence);
            led && seen.present == left && seen.running == UNITS
        };
        observer.wait("every unit elsewhere under another leader", LIMIT, is_over).await?;
        let reports = observer.reports();
        let (running, twice) = truth.now();
        ensure!(twice.is_empty() && running == UNITS, "{running} units run; twice: {twice:?}");
        let once = reports.values().filter(|machines| machines.len() == 1).count();
        ensure!(once == UNITS, "{once} of {UNITS} units are reported by one machine");
        drop(others);
        server.stop().await;
        Ok(())
    })
}
