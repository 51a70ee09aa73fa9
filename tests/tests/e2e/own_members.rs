//! An etcd whose members are on the cluster's own machines, as people set it up: a newer one than Debian 12's where it can
//! be had.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::{Cluster, ClusterBuilder};
use fleet_tests::lab::FileSpec;
use fleet_tests::newer_etcd;

use crate::support::{Person, Watched, once, settled, throughout, until};

const MACHINES: u8 = 3;
const UNITS: [&str; 6] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service", "u@5.service", "u@6.service"];

/// A token that nobody used for so long is taken no more.
const TOKEN_TTL: Duration = Duration::from_secs(2);

/// Longer than an etcd takes to see that it has no leader, and than two of fleetd's leases.
const CUT_OFF: Duration = Duration::from_secs(10);

/// The ports on which members speak to each other; clients have another one.
const BETWEEN_MEMBERS: [&str; 2] = ["dport", "sport"];

/// Operators keep etcd where fleet is, with users and passwords. Its tokens run out, and a member may be cut off from the
/// others while the fleetd beside it reaches it well: it answers, and knows nothing any more. Nothing that runs is
/// touched, and that fleetd goes on with another member.
#[test]
fn an_etcd_on_the_machines_themselves_with_passwords_touches_nothing() {
    let cluster = with_members(Cluster::builder().machines(MACHINES).agent_ttl("4s")).expect("the members' programs");
    cluster.run(|cluster| {
        settled(cluster, 2, usize::from(MACHINES))?;
        let watched = Watched::start(cluster, 2, &UNITS)?;
        for command in ["user add root:secret", "role add root", "user grant-role root root", "auth enable"] {
            etcdctl(cluster, command)?;
        }
        let anonymous = etcdctl(cluster, "get x").expect_err("it asks for no password").to_string();
        ensure!(anonymous.contains("user name is empty"), "{anonymous}");
        works(cluster, 1, "u@11.service", &watched)?;
        tokens_run_out(cluster, &watched)?;
        a_member_is_cut_off_from_the_others(cluster, &watched)?;
        watched.settles(2, &[])?;
        Ok(())
    });
}

fn tokens_run_out(cluster: &Cluster, watched: &Watched<'_>) -> Result<()> {
    let frozen = cluster.node(3);
    frozen.exec(["systemctl", "kill", "--signal=STOP", "fleet.service"])?.ok()?;
    let held = throughout(TOKEN_TTL + Duration::from_secs(1), "a frozen fleetd lost units", || watched.untouched());
    frozen.exec(["systemctl", "kill", "--signal=CONT", "fleet.service"])?.ok()?;
    held?;
    works(cluster, 3, "u@21.service", watched)?;
    let said = frozen.exec(["journalctl", "--unit=fleet.service", "--output=cat", "--no-pager"])?.ok()?;
    ensure!(!said.contains("invalid auth token"), "it is trouble to nobody:\n{said}");
    Ok(())
}

fn a_member_is_cut_off_from_the_others(cluster: &Cluster, watched: &Watched<'_>) -> Result<()> {
    let node = cluster.node(1);
    for port in BETWEEN_MEMBERS {
        node.exec(["ip", "rule", "add", "pref", "5", "ipproto", "tcp", port, "2380", "blackhole"])?.ok()?;
    }
    let alone = "--endpoints=http://192.0.2.1:2379 --user=root:secret endpoint health";
    until("the member answers though it is cut off", || {
        etcdctl(cluster, alone).err().map(drop).ok_or_else(|| anyhow::anyhow!("it is healthy"))
    })?;
    throughout(CUT_OFF, "a member that was cut off touched units", || watched.untouched())?;
    works(cluster, 1, "u@31.service", watched)?;
    for port in BETWEEN_MEMBERS {
        node.exec(["ip", "rule", "del", "pref", "5", "ipproto", "tcp", port, "2380", "blackhole"])?.ok()?;
    }
    until("the member does not come back", || etcdctl(cluster, alone).map(drop))?;
    works(cluster, 1, "u@32.service", watched)
}

/// A new unit can be started at this machine and is gone again, and nothing else is touched by that.
fn works(cluster: &Cluster, machine: u8, unit: &str, watched: &Watched<'_>) -> Result<()> {
    let person = Person::at(cluster, machine);
    until(&format!("{unit} cannot be started"), || person.fleetctl(&format!("start {unit}")).map(drop))?;
    once(cluster, &[unit])?;
    until(&format!("{unit} cannot be destroyed"), || person.fleetctl(&format!("destroy {unit}")).map(drop))?;
    watched.untouched()
}

fn etcdctl(cluster: &Cluster, words: &str) -> Result<String> {
    let program = ["env", "ETCDCTL_API=3", "etcdctl"];
    cluster.node(1).exec(program.into_iter().chain(words.split_whitespace()))?.ok()
}

/// Each machine has a member, which its fleetd uses before the others.
fn with_members(mut cluster: ClusterBuilder) -> Result<ClusterBuilder> {
    for (option, value) in [("registry", "etcd"), ("etcd_username", "root"), ("etcd_password", "secret")] {
        cluster = cluster.option(option, value);
    }
    let client = |machine: u8| format!("http://192.0.2.{machine}:2379");
    for machine in 1..=MACHINES {
        let own_first = (0..MACHINES).map(|n| client((machine - 1 + n) % MACHINES + 1)).collect::<Vec<_>>();
        cluster = cluster.option_on(machine, "etcd_servers", &own_first.join(","));
        cluster = cluster.lab(|lab| {
            let unit = "/etc/systemd/system/member.service";
            lab.file_on(machine, FileSpec::contents(unit, member(machine)))
                .file_on(machine, FileSpec::link("/etc/systemd/system/multi-user.target.wants/member.service", unit))
        });
    }
    if let Some(newer) = newer_etcd()? {
        for program in ["etcd", "etcdctl"] {
            let file = FileSpec::executable(format!("/usr/bin/{program}"), newer.join(program));
            cluster = cluster.lab(|lab| lab.file(file));
        }
    }
    Ok(cluster)
}

fn member(machine: u8) -> String {
    let peer = |machine: u8| format!("http://192.0.2.{machine}:2380");
    let client = format!("http://192.0.2.{machine}:2379");
    let all = (1..=MACHINES).map(|machine| format!("m{machine}={}", peer(machine))).collect::<Vec<_>>().join(",");
    format!(
        "[Service]\nExecStart=/usr/bin/etcd --name m{machine} --data-dir /var/lib/member --log-level error \
         --listen-client-urls {client},http://127.0.0.1:2379 --advertise-client-urls {client} \
         --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster {all} \
         --auth-token-ttl {}\n",
        TOKEN_TTL.as_secs(),
        peer = peer(machine),
    )
}
