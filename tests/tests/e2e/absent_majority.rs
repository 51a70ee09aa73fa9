//! An etcd that has lost its majority for a long time. By its name it begins first: other clusters are at work meanwhile.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fleet_tests::cluster::{Cluster, Registry, at_rest};

use crate::support::{Person, Watched, once, said, settled, stale_and_refused, until};

const UNITS: [&str; 4] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];

/// Thirty of the leases that machines have unless somebody sets another time.
const AWAY: Duration = Duration::from_secs(300);

/// What there is to say of an outage: that the registry is away, and what that means to this machine's lease, its agent, and
/// its engine. It is tried again hundreds of times meanwhile.
const FEW: usize = 20;

/// How often everything is looked at meanwhile.
const LOOKS: u32 = 12;

/// Whoever mends an etcd has other things in mind than what ran beside it. For as long as that takes nothing is touched,
/// what was known can be read, nothing is taken that could get lost, and the log tells of it once; then all goes on.
#[test]
fn an_etcd_without_its_majority_for_five_minutes_touches_nothing() {
    Cluster::builder().machines(2).registry(Registry::Etcd(3)).run(|cluster| {
        settled(cluster, 2, 2)?;
        let etcd = cluster.etcd().context("this cluster has an etcd")?;
        let watched = Watched::start(cluster, 2, &UNITS)?;
        // A machine knows what others run once somebody asked there.
        Person::at(cluster, 1).fleetctl("list-units")?;
        let before = said(cluster)?;
        for member in [1, 2] {
            etcd.kill(member)?;
        }
        let begun = Instant::now();
        at_rest(|| {
            (1..=LOOKS).try_for_each(|look| {
                sleep((AWAY * look / LOOKS).saturating_sub(begun.elapsed()));
                watched.untouched()?;
                stale_and_refused(cluster, 1, &UNITS)?;
                stale_and_refused(cluster, 2, &UNITS)
            })
        })?;
        let during = said(cluster)?;
        for member in [1, 2] {
            etcd.start_member(member)?;
        }
        etcd.wait_ready(Duration::from_secs(30))?;
        settled(cluster, 2, 2)?;
        until("not all machines say that it is over", || {
            let after = said(cluster)?;
            for (during, after) in during.iter().zip(&after) {
                let end = &after[during.len()..];
                let told = end.iter().filter(|line| line.starts_with("the registry answers, after")).count();
                ensure!(told == 1, "the end is not told once: {end:#?}");
            }
            Ok(())
        })?;
        for (before, during) in before.iter().zip(&during) {
            let outage = &during[before.len()..];
            let told = outage.iter().filter(|line| line.starts_with("the registry cannot be reached")).count();
            ensure!(told == 1 && outage.len() <= FEW, "it is not told once: {outage:#?}");
        }
        Person::at(cluster, 2).fleetctl("start u@5.service")?;
        once(cluster, &["u@5.service"])?;
        watched.settles(2, &[])?;
        Ok(())
    });
}
