//! `OnDisconnect=stop`: a unit that never runs twice, whatever happens to its machine's fleetd and network.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::{Node, SHARED};
use nix::sys::signal::Signal;

use crate::support::{LIMIT, Person, SLEEPER, patch_metadata, settled, throughout, until, view, within};

/// What every machine of these tests has.
const LEASE: Duration = Duration::from_secs(4);

/// Machines of these tests share two cores.
const SLACK: Duration = Duration::from_secs(8);

/// Stops at once: its bound is 4 × 0.5 s + 1 s.
const SINGLE: &str = "[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=500ms\n[X-Fleet]\nOnDisconnect=stop\n";

/// Does not want to stop: systemd kills it after 2 s. Its bound is (1 + 4) × 2 s + 1 s.
const SLOW: &str = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 60\nTimeoutStopSec=2s\n\
                    [X-Fleet]\nOnDisconnect=stop\n";
/// May run twice.
const KEPT: &str = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\n";

const SLOW_BOUND: Duration = Duration::from_secs(11);

/// The machine where a unit runs.
fn host(cluster: &Cluster, unit: &str) -> Result<u8> {
    until("the unit does not run", || {
        let on = cluster.running_on(unit);
        ensure!(on.len() == 1, "{unit} runs on {on:?}");
        Ok(on[0])
    })
}

/// Units on machine 2 that may run on machine 3 as well: two that may never run twice, and one that is kept.
fn with_units(test: impl FnOnce(&Cluster, Node<'_>) -> Result<()>) {
    let builder = Cluster::builder().machines(3).registry(Registry::Etcd(1)).agent_ttl("4s");
    builder.metadata_on(2, "spot=a").metadata_on(3, "spot=b").run(|cluster| {
        cluster.wait_machines(3)?;
        let person = Person::at(cluster, 1);
        for (name, text) in [("db", SINGLE), ("slow", SLOW), ("kept", KEPT)] {
            person.save(&format!("{name}.service"), format!("{text}MachineMetadata=spot=a\n"))?;
        }
        person.fleetctl("start db.service slow.service kept.service")?;
        for unit in ["db.service", "slow.service", "kept.service"] {
            assert_eq!(host(cluster, unit)?, 2);
        }
        patch_metadata(cluster, 3, "spot", "a")?;
        test(cluster, cluster.node(2))
    });
}

/// Waits until the fenced units are gone from their machine, and then run elsewhere, the slow one after its bound only.
fn moves(cluster: &Cluster, node: Node<'_>, begin: Instant) -> Result<()> {
    let kept = node.processes_of("kept.service");
    within(LEASE, "db.service is not stopped within its lease", || {
        ensure!(node.processes_of("db.service").is_empty(), "it runs");
        Ok(())
    })?;
    let stopped = begin.elapsed();
    until("nobody is told what slow.service waits for", || {
        let note = view(cluster, 1, "slow.service")?.note.context("no note")?;
        ensure!(note.reason.contains("must have stopped"), "{note:?}");
        Ok(())
    })?;
    within(LEASE + SLOW_BOUND + SLACK, "slow.service does not run elsewhere", || {
        let on = cluster.running_on("slow.service");
        ensure!(on.len() == 1 && on[0] != node.number(), "it runs on {on:?}");
        Ok(())
    })?;
    let slow = begin.elapsed();
    assert!(slow >= SLOW_BOUND, "slow.service runs elsewhere after {slow:?}, and may take {SLOW_BOUND:?} to stop");
    assert_ne!(host(cluster, "db.service")?, node.number());
    println!("db.service stopped {stopped:?} after the fault, slow.service ran elsewhere {slow:?} after it");
    assert_eq!(node.processes_of("kept.service"), kept, "a unit that is to be kept was touched");
    Ok(())
}

/// Somebody's database would have two writers: fleetd hangs, and another machine is given the unit while the old one
/// still runs it. systemd stops it before the lease has ended, without fleetd; a unit beside it that does not ask for
/// this is not touched, and one that takes long to stop is waited for.
#[test]
fn a_machine_whose_fleetd_hangs_stops_what_must_not_run_twice() {
    with_units(|cluster, node| {
        let begin = Instant::now();
        node.pause("fleetd")?;
        moves(cluster, node, begin)?;
        node.resume("fleetd")?;
        settled(cluster, 1, 3)
    });
}

/// The same with a fleetd that is dead and cannot start again.
#[test]
fn a_machine_whose_fleetd_is_dead_stops_what_must_not_run_twice() {
    with_units(|cluster, node| {
        let begin = Instant::now();
        lame(node, true)?;
        moves(cluster, node, begin)?;
        lame(node, false)?;
        settled(cluster, 1, 3)
    });
}

/// An installation without the fence's units would run them unfenced, or say nothing: it runs everything else, and says
/// what is missing.
#[test]
fn without_its_units_nothing_is_fenced_and_people_are_told_why() {
    Cluster::builder().machines(1).agent_ttl("4s").without_fence_units().run(|cluster| {
        cluster.wait_machines(1)?;
        let person = Person::at(cluster, 1);
        person.save("db.service", SINGLE)?;
        person.save("web.service", SLEEPER)?;
        person.fleetctl("start --no-block db.service web.service")?;
        host(cluster, "web.service")?;
        until("nobody is told why it does not run", || {
            let states = view(cluster, 1, "db.service")?.states;
            let error = states.first().and_then(|state| state.error.clone()).unwrap_or_default();
            ensure!(error.contains("fleet-connected.target") && error.contains("come with fleet"), "{states:?}");
            Ok(())
        })?;
        assert!(cluster.running_on("db.service").is_empty());
        Ok(())
    });
}

/// Kills fleetd so that it cannot start again, or lets it.
fn lame(node: Node<'_>, lame: bool) -> Result<()> {
    node.exec(["chmod", if lame { "-x" } else { "+x" }, "/usr/bin/fleetd"])?.ok()?;
    // It may be between two attempts to start.
    if lame && !node.processes_named("fleetd").is_empty() {
        let _ = node.signal("fleetd", Signal::SIGKILL);
    }
    Ok(())
}

/// What befalls a machine.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Cut,
    CutAndReload,
    CutAndReexec,
    Hang,
    HangAndReload,
    Dead,
    CutAndDead,
}

const FAULTS: [Fault; 7] = [
    Fault::Cut,
    Fault::CutAndReload,
    Fault::CutAndReexec,
    Fault::Hang,
    Fault::HangAndReload,
    Fault::Dead,
    Fault::CutAndDead,
];

impl Fault {
    fn begin(self, node: Node<'_>) -> Result<()> {
        match self {
            Self::Cut => node.cut_network()?,
            Self::CutAndReload | Self::CutAndReexec => {
                node.cut_network()?;
                let verb = if matches!(self, Self::CutAndReload) { "daemon-reload" } else { "daemon-reexec" };
                node.exec(["systemctl", verb])?.ok()?;
            }
            Self::Hang | Self::HangAndReload => {
                until("fleetd does not run", || node.pause("fleetd"))?;
                if matches!(self, Self::HangAndReload) {
                    node.exec(["systemctl", "daemon-reload"])?.ok()?;
                }
            }
            Self::Dead => lame(node, true)?,
            Self::CutAndDead => {
                node.cut_network()?;
                lame(node, true)?;
            }
        }
        Ok(())
    }

    fn end(self, node: Node<'_>) -> Result<()> {
        match self {
            Self::Cut | Self::CutAndReload | Self::CutAndReexec => node.restore_network(),
            Self::Hang | Self::HangAndReload => node.resume("fleetd"),
            Self::Dead => lame(node, false),
            Self::CutAndDead => {
                lame(node, false)?;
                node.restore_network()
            }
        }
    }
}

/// Small and even enough for choosing faults; the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

const MACHINES: u8 = 8;
const UNITS: u8 = 8;

/// Takes a lock that only one process anywhere can have, and screams when another has it.
fn locker() -> String {
    let script = format!(
        "exec 9>>{SHARED}/lock-%i; flock -n 9 || {{ echo %i twice, on %H >>{SHARED}/screams; exit 1; }}; \
         echo %i on %H >>{SHARED}/runs; exec sleep infinity"
    );
    format!("[Service]\nExecStart=/bin/sh -c '{script}'\nTimeoutStopSec=500ms\n[X-Fleet]\nOnDisconnect=stop\n")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How long machines are struck; `FENCE_SECONDS` sets another time for a longer run.
fn duration() -> Duration {
    let seconds = std::env::var("FENCE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// The promise itself: units that lock a file which all machines share, while machines are cut off and their fleetd
/// hangs, dies, and starts again in every way, for random times around the lease, many at once. None ever finds the lock
/// taken, and each runs again afterwards.
#[test]
fn through_hundreds_of_cuts_no_unit_runs_twice() {
    let builder = Cluster::builder().machines(MACHINES).registry(Registry::Etcd(1)).agent_ttl("3s");
    // Half of the machines may be away at a time: this is not about the brake.
    builder.option("engine_brake_hold", "1s").run(|cluster| {
        cluster.wait_machines(MACHINES.into())?;
        let person = Person::at(cluster, 1);
        person.save("lock@.service", locker())?;
        let names: Vec<String> = (1..=UNITS).map(|n| format!("lock@{n}.service")).collect();
        person.fleetctl(&format!("start {}", names.join(" ")))?;
        let (screams, runs) = (cluster.lab().shared().join("screams"), cluster.lab().shared().join("runs"));
        let quiet = || {
            let heard = lines(&screams);
            ensure!(heard.is_empty(), "units ran twice: {heard:?}");
            Ok(())
        };
        let (cuts, long) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begin = Instant::now();
        let strike = |node: Node<'_>| -> Result<()> {
            let mut dice = Dice(u64::from(node.number()) * 7919);
            while begin.elapsed() < duration() {
                let fault = FAULTS[dice.below(FAULTS.len() as u64) as usize];
                let is_long = dice.below(100) < 40;
                let span = if is_long { dice.millis(2_500, 6_000) } else { dice.millis(50, 1_500) };
                fault.begin(node).with_context(|| format!("{fault:?} of {}", node.name()))?;
                throughout(span, "during a fault", quiet)?;
                fault.end(node).with_context(|| format!("the end of {fault:?} of {}", node.name()))?;
                cuts.fetch_add(1, Ordering::Relaxed);
                long.fetch_add(usize::from(is_long), Ordering::Relaxed);
                throughout(dice.millis(100, 800), "after a fault", quiet)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let strike = &strike;
            let strikers: Vec<_> = cluster.nodes().map(|node| scope.spawn(move || strike(node))).collect();
            strikers.into_iter().try_for_each(|striker| striker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
        })?;
        within(LIMIT * 2, "not every unit runs again", || {
            names.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 1, "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        quiet()?;
        let (cuts, long, starts) = (cuts.into_inner(), long.into_inner(), lines(&runs).len());
        println!("{cuts} cuts, {long} of them around the lease or longer: {starts} starts of {UNITS} units, no scream");
        assert!(cuts >= 100, "only {cuts} cuts");
        assert!(starts > usize::from(UNITS) + long / 8, "units did not run elsewhere: {starts} starts");
        Ok(())
    });
}
