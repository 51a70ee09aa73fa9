//! The message bus and systemd itself are restarted under fleetd.

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::Node;

use crate::support::{Person, Runs, SLEEPER, once, runs, settled, until, view};

/// The machine whose bus and systemd are disturbed; it is no member of the registry.
const DISTURBED: u8 = 2;

/// Hangs in its start until somebody writes into its pipe.
const HANGS: &str = "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\n\
                     ExecStartPre=/usr/bin/mkfifo /run/pipe-%i\n\
                     ExecStart=/bin/sh -c 'read line </run/pipe-%i; systemd-notify --ready; exec sleep infinity'\n";

/// What befalls the machine.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Reload,
    Reexec,
    BusKilled,
    BusRestarted,
    /// There is none while a unit fails and another is asked for.
    BusAway,
    /// One after another, without a pause.
    All,
}

const DISTURBANCES: [Disturbance; 6] = [
    Disturbance::Reload,
    Disturbance::Reexec,
    Disturbance::BusKilled,
    Disturbance::BusRestarted,
    Disturbance::BusAway,
    Disturbance::All,
];

impl Disturbance {
    fn begin(self, node: Node<'_>) -> Result<()> {
        let bus = node.processes_named(BUS);
        match self {
            Self::Reload => systemctl(node, "daemon-reload")?,
            Self::Reexec => systemctl(node, "daemon-reexec")?,
            Self::BusKilled => systemctl(node, "kill --signal=SIGKILL dbus.service")?,
            Self::BusRestarted => systemctl(node, "restart dbus.service")?,
            Self::BusAway => systemctl(node, "stop dbus.socket dbus.service")?,
            Self::All => {
                let all = [Self::BusKilled, Self::Reexec, Self::Reload, Self::BusKilled];
                return all.iter().try_for_each(|one| one.begin(node));
            }
        }
        until("the bus is what it was", || {
            let now = node.processes_named(BUS);
            let as_meant = match self {
                Self::Reload | Self::Reexec => now == bus,
                Self::BusKilled | Self::BusRestarted => now.len() == 1 && now != bus,
                Self::BusAway | Self::All => now.is_empty(),
            };
            ensure!(as_meant, "{BUS} was {bus:?} and is {now:?}");
            Ok(())
        })
    }

    fn end(self, node: Node<'_>) -> Result<()> {
        if matches!(self, Self::BusAway) { systemctl(node, "start dbus.socket") } else { Ok(()) }
    }
}

const BUS: &str = "dbus-daemon";

fn systemctl(node: Node<'_>, words: &str) -> Result<()> {
    node.exec(["systemctl"].into_iter().chain(words.split(' ')))?.ok().map(drop)
}

/// fleetd and the two units that run all the time; none may be another process afterwards.
fn untouched(cluster: &Cluster, node: Node<'_>) -> Result<(Vec<u32>, Runs)> {
    let fleetd = node.processes_named("fleetd");
    ensure!(fleetd.len() == 1, "fleetd is {fleetd:?}");
    Ok((fleetd, runs(cluster, &["calm@1.service", "calm@2.service"])?))
}

/// What fleet says of a unit's state.
fn shown(cluster: &Cluster, unit: &str) -> Result<(String, String)> {
    let states = view(cluster, 1, unit)?.states;
    let state = states.first().with_context(|| format!("{unit} has no state"))?;
    Ok((state.active.clone(), state.sub.clone()))
}

/// Waits until fleet says this of a unit.
fn shows(cluster: &Cluster, unit: &str, active: &str, sub: &str) -> Result<()> {
    until("fleet does not show what is so", || {
        let now = shown(cluster, unit)?;
        ensure!(now == (active.to_owned(), sub.to_owned()), "{unit} is shown as {now:?}");
        Ok(())
    })
}

/// An update of the bus or of systemd would take fleetd or the units along, or leave fleet blind: states that nobody
/// corrects, starts that never end. fleetd connects again by itself, nothing of what runs is touched, what happened
/// meanwhile is shown, the start that was under way ends well, and the next one does.
#[test]
fn the_bus_and_systemd_may_be_restarted_under_fleetd() {
    Cluster::builder().machines(2).run(|cluster| {
        settled(cluster, 1, 2)?;
        let (person, node) = (Person::at(cluster, 1), cluster.node(DISTURBED));
        let here = format!("[X-Fleet]\nMachineID={}\n", node.machine_id());
        for (template, text) in [("calm", SLEEPER), ("hangs", HANGS), ("next", SLEEPER)] {
            person.save(&format!("{template}@.service"), format!("{text}{here}"))?;
        }
        person.fleetctl("start calm@1.service calm@2.service")?;
        let before = untouched(cluster, node)?;
        for (n, disturbance) in DISTURBANCES.into_iter().enumerate() {
            let (hangs, next, fails) =
                (format!("hangs@{n}.service"), format!("next@{n}.service"), format!("calm@1{n}.service"));
            person.fleetctl(&format!("start {fails}"))?;
            person.fleetctl(&format!("start --no-block {hangs}"))?;
            shows(cluster, &hangs, "activating", "start")?;
            let starting = node.processes_of(&hangs);

            let after = || format!("after {disturbance:?}");
            disturbance.begin(node).with_context(|| format!("{disturbance:?}"))?;
            systemctl(node, &format!("kill --signal=SIGKILL {fails}"))?;
            person.fleetctl(&format!("start --no-block {next}"))?;
            disturbance.end(node)?;
            shows(cluster, &fails, "failed", "failed").with_context(after)?;
            shows(cluster, &next, "active", "running").with_context(after)?;
            once(cluster, &[&next])?;

            assert_eq!(shown(cluster, &hangs)?.0, "activating", "after {disturbance:?}");
            assert_eq!(node.processes_of(&hangs), starting, "{disturbance:?}: the start under way was begun again");
            node.exec(["sh", "-c", &format!("echo go >/run/pipe-{n}")])?.ok()?;
            shows(cluster, &hangs, "active", "running").with_context(after)?;
            // That its job ended was seen too: what follows in the same lane is done.
            person.fleetctl(&format!("stop {hangs}")).with_context(after)?;
            assert_eq!(untouched(cluster, node)?, before, "after {disturbance:?}");
        }
        Ok(())
    });
}
