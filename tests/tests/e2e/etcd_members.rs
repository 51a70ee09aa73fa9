//! A real etcd of three members in trouble of every kind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::Etcd;

use crate::support::{Person, Watched, once, said, settled, stale_and_refused, throughout, until};

const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// Longer than two leases, which are three seconds here.
const OUTAGE: Duration = Duration::from_secs(7);

/// Etcd takes so much and no more; an empty one has some 50 kB.
const QUOTA: u64 = 8 << 20;

/// Operators with an etcd would lose what runs to troubles that etcd survives, or that pass: a member that dies, that
/// hangs, or that one machine alone does not reach; the majority away for longer than every lease; a history that is
/// gone; a disk that is full. Nothing that runs is touched, and what was acknowledged is there.
#[test]
fn what_befalls_an_etcd_of_three_members_touches_nothing() {
    Cluster::builder().machines(3).registry(Registry::Etcd(3)).agent_ttl("3s").run(|cluster| {
        settled(cluster, 2, 3)?;
        let etcd = cluster.etcd().context("this cluster has an etcd")?;
        let person = Person::at(cluster, 2);
        let watched = Watched::start(cluster, 2, &UNITS)?;
        let scene = Scene { cluster, etcd, person, watched };
        scene.its_leader_dies()?;
        scene.each_member_hangs()?;
        scene.a_machine_reaches_one_member_alone()?;
        scene.the_majority_is_away()?;
        scene.history_is_compacted_behind_a_fleetd()?;
        scene.its_disk_is_full()?;
        scene.watched.settles(2, &[])?;
        Ok(())
    });
}

struct Scene<'a> {
    cluster: &'a Cluster,
    etcd: Etcd<'a>,
    person: Person<'a>,
    watched: Watched<'a>,
}

impl Scene<'_> {
    /// A new unit can be started and is gone again, and nothing else is touched by that.
    fn works(&self, unit: &str) -> Result<()> {
        until(&format!("{unit} cannot be started"), || self.person.fleetctl(&format!("start {unit}")).map(drop))?;
        once(self.cluster, &[unit])?;
        until(&format!("{unit} cannot be destroyed"), || self.person.fleetctl(&format!("destroy {unit}")).map(drop))?;
        self.watched.untouched()
    }

    fn its_leader_dies(&self) -> Result<()> {
        let leader = self.etcd.leader()?;
        self.etcd.kill(leader)?;
        self.works("u@11.service")?;
        self.etcd.start_member(leader)?;
        self.etcd.wait_ready(Duration::from_secs(30))
    }

    /// Its connections stay open and nothing comes over them: to the fleetds that use it, it is cut off.
    fn each_member_hangs(&self) -> Result<()> {
        for member in 1..=self.etcd.members() {
            self.etcd.pause(member)?;
            throughout(OUTAGE / 2, "a member that hangs touched units", || self.watched.untouched())?;
            self.works(&format!("u@2{member}.service"))?;
            self.etcd.resume(member)?;
            self.etcd.wait_ready(Duration::from_secs(30))?;
        }
        Ok(())
    }

    fn a_machine_reaches_one_member_alone(&self) -> Result<()> {
        let node = self.cluster.node(2);
        let members = ["192.0.2.251".parse()?, "192.0.2.252".parse()?];
        for member in members {
            node.blackhole(member)?;
        }
        throughout(OUTAGE / 2, "a machine that reaches one member touched units", || self.watched.untouched())?;
        self.works("u@31.service")?;
        for member in members {
            node.unblackhole(member)?;
        }
        Ok(())
    }

    fn the_majority_is_away(&self) -> Result<()> {
        let before = self.log_lines("the registry")?;
        for member in [1, 2] {
            self.etcd.kill(member)?;
        }
        throughout(OUTAGE, "an etcd without a majority touched units", || self.watched.untouched())?;
        stale_and_refused(self.cluster, 2, &UNITS)?;
        for member in [1, 2] {
            self.etcd.start_member(member)?;
        }
        self.etcd.wait_ready(Duration::from_secs(30))?;
        settled(self.cluster, 2, 3)?;
        let now = self.log_lines("the registry")?;
        for (machine, (before, now)) in before.iter().zip(&now).enumerate() {
            let said = now.len() - before.len();
            let lines = now[before.len()..].join("\n");
            // The lease, the registry, and the records: each once; and the last two again, once they are back.
            ensure!((2..=6).contains(&said), "machine {}: {said} lines of one outage:\n{lines}", machine + 1);
            ensure!(lines.contains("the registry answers, after"), "its end is not said:\n{lines}");
        }
        self.works("u@41.service")
    }

    /// What each machine's fleetd said of this.
    fn log_lines(&self, of: &str) -> Result<Vec<Vec<String>>> {
        let of_it = |lines: Vec<String>| lines.into_iter().filter(|line| line.contains(of)).collect();
        Ok(said(self.cluster)?.into_iter().map(of_it).collect())
    }

    fn history_is_compacted_behind_a_fleetd(&self) -> Result<()> {
        let away = self.cluster.node(3);
        away.exec(["systemctl", "kill", "--signal=STOP", "fleet.service"])?.ok()?;
        for number in 0..5 {
            self.etcd.etcdctl(["put", "beside", &number.to_string()])?.ok()?;
        }
        let status = self.etcd.etcdctl(["get", "beside", "--write-out=json"])?.ok()?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let revision = status["header"]["revision"].to_string();
        let compacted = self.etcd.etcdctl(["compact", &revision])?.ok();
        away.exec(["systemctl", "kill", "--signal=CONT", "fleet.service"])?.ok()?;
        compacted?;
        settled(self.cluster, 3, 3)?;
        self.works("u@51.service")
    }

    fn its_disk_is_full(&self) -> Result<()> {
        let etcd = self.etcd.with_quota(QUOTA);
        for member in 1..=etcd.members() {
            etcd.kill(member)?;
            etcd.start_member(member)?;
            etcd.wait_ready(Duration::from_secs(30))?;
        }
        let filler = "x".repeat(100_000);
        let full = (0..200).any(|n| !etcd.etcdctl(["put", &format!("filler/{n}"), &filler]).is_ok_and(|o| o.success()));
        ensure!(full, "etcd takes more than its quota");

        let refused = until("a unit was started without room for its record", || {
            let refused = self.person.types("start u@61.service")?;
            ensure!(!refused.success(), "{refused:?}");
            Ok(refused)
        })?;
        ensure!(refused.stderr.contains("space"), "the reason is not said: {refused:?}");
        throughout(OUTAGE, "a full etcd touched units", || self.watched.untouched())?;

        etcd.etcdctl(["del", "--prefix", "filler/"])?.ok()?;
        let status = etcd.etcdctl(["get", "beside", "--write-out=json"])?.ok()?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        etcd.etcdctl(["compact", &status["header"]["revision"].to_string()])?.ok()?;
        etcd.etcdctl(["defrag"])?.ok()?;
        etcd.etcdctl(["alarm", "disarm"])?.ok()?;
        self.works("u@61.service")
    }
}
