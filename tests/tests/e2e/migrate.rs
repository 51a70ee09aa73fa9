//! The registry moves to an etcd, and back, under a cluster that runs.

use anyhow::ensure;
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::Node;

use crate::support::{Person, Watched, once, settled};

const KEPT: [&str; 4] = ["u@1.service", "u@2.service", "u@3.service", "u@4.service"];

/// Where the etcd that it moves to finds its certificates.
const TRUST: &str = "/var/lib/leaving/trust";

/// An etcd that was not set up well.
const FAILING: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=/bin/false\nRestart=on-failure\n\
    RestartSec=100ms\n";

/// As an operator sets it up before: it listens where the registry does, and has no data yet.
fn etcd(scheme: &str, more: &str) -> String {
    format!(
        "[Service]\nType=notify\nExecStart=/usr/bin/etcd --name one --data-dir /var/lib/leaving/data \
         --listen-client-urls {scheme}://192.0.2.1:2379 --advertise-client-urls {scheme}://192.0.2.1:2379 \
         --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
         --initial-cluster one=http://127.0.0.1:2380 {more}\n"
    )
}

fn migrate(node: Node<'_>, to: &str) -> anyhow::Result<String> {
    let options = "--etcd-service leaving.service --etcd-data-dir /var/lib/leaving/data --etcd-name one \
        --etcd-peer-url http://127.0.0.1:2380 --etcd-tls-dir";
    let words = ["fleetctl", "registry", "migrate", "--to", to];
    node.exec(words.into_iter().chain(options.split_whitespace()).chain([TRUST]))?.ok()
}

/// Operators who outgrow one machine's registry would have to stop everything to move on: units run on untouched through
/// both moves, none moves to another machine, and the cluster takes orders after each. A move that cannot be made leaves
/// all as it was.
#[test]
fn the_registry_moves_to_etcd_and_back_under_running_units() {
    Cluster::builder().machines(2).agent_ttl("2s").run(|cluster| there_and_back(cluster, &etcd("http", "")));
}

/// With certificates, too: machines that joined with a token go on with what they got for it, and the etcd lets in nobody
/// who has no such certificate.
#[test]
fn a_registry_with_certificates_moves_to_etcd_and_back() {
    let certificates = format!(
        "--client-cert-auth --trusted-ca-file {TRUST}/ca.crt --cert-file {TRUST}/server.pem --key-file {TRUST}/server.pem"
    );
    let unit = etcd("https", &certificates);
    Cluster::builder().machines(2).registry(Registry::Joined).agent_ttl("2s").run(|cluster| {
        there_and_back(cluster, &unit)?;
        // The registry is as it was: machines can join it.
        cluster.fleetctl(1, ["registry", "token"])?.ok().map(drop)
    });
}

fn there_and_back(cluster: &Cluster, unit: &str) -> anyhow::Result<()> {
    settled(cluster, 1, 2)?;
    let (node, person) = (cluster.node(1), Person::at(cluster, 2));
    let kept = Watched::start(cluster, 1, &KEPT)?;

    // etcd cannot start, and systemd tries again and again.
    node.exec(["mkdir", "/var/lib/leaving"])?.ok()?;
    node.write_file("/etc/systemd/system/leaving.service", FAILING)?;
    node.exec(["systemctl", "daemon-reload"])?.ok()?;
    let refused = migrate(node, "etcd").expect_err("it cannot start").to_string();
    ensure!(refused.contains("all is as it was"), "{refused}");
    let state = node.exec(["systemctl", "show", "--property=ActiveState", "--value", "leaving.service"])?.ok()?;
    ensure!(["inactive", "failed"].contains(&state.trim()), "etcd is {state}");
    settled(cluster, 1, 2)?;
    kept.untouched()?;

    node.write_file("/etc/systemd/system/leaving.service", unit)?;
    node.exec(["systemctl", "daemon-reload"])?.ok()?;
    let said = migrate(node, "etcd")?;
    ensure!(said.contains("each looked at"), "{said}");
    settled(cluster, 1, 2)?;
    person.fleetctl("start u@5.service")?;
    once(cluster, &["u@5.service"])?;
    kept.untouched()?;
    let status = person.fleetctl("cluster status")?;
    ensure!(!status.contains("embedded"), "{status}");
    if unit.contains("https") {
        let stranger = ["--endpoints=https://192.0.2.1:2379", "--insecure-skip-tls-verify", "get", "x"];
        let stranger = node.exec(["env", "ETCDCTL_API=3", "etcdctl"].into_iter().chain(stranger))?;
        ensure!(!stranger.success(), "etcd answers who has no certificate: {stranger:?}");
    }

    let said = migrate(node, "embedded")?;
    ensure!(said.contains("each looked at"), "{said}");
    ensure!(!node.exec(["systemctl", "is-active", "leaving.service"])?.success(), "etcd still runs");
    settled(cluster, 1, 2)?;
    person.fleetctl("start u@6.service")?;
    once(cluster, &["u@5.service", "u@6.service"])?;
    kept.untouched()
}
