//! `OnDisconnect=stop` through hundreds of cuts: units that take a lock which only one process anywhere can have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::{Node, SHARED};
use nix::sys::signal::Signal;

use crate::fence::lame;
use crate::support::{LIMIT, Person, leader, settled, throughout, until, within};

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
            Self::Dead => revive(node),
            Self::CutAndDead => {
                node.restore_network()?;
                revive(node)
            }
        }
    }
}

/// Repairs a fleetd that could not start, without waiting until systemd tries again by itself.
fn revive(node: Node<'_>) -> Result<()> {
    lame(node, false)?;
    node.exec(["systemctl", "start", "--no-block", "fleet.service"])?.ok().map(drop)
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

/// Machines that are struck: all but those that may lead. An engine that is struck as often trusts no absence, and moves
/// nothing.
const STRUCK: std::ops::RangeInclusive<u8> = 3..=9;
const MACHINES: u8 = *STRUCK.end();
/// Enough for each machine that is struck to have some most of the time.
const UNITS: u8 = 28;

/// How long one fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    /// Nothing is to be stopped for it, or only just.
    Short,
    /// The lease, more or less: the fence falls, and the unit starts again where it was.
    Lease,
    /// The lease is 3 s, etcd takes up to half a second more, and the unit's bound is 2 s: another machine has the unit
    /// before the fault ends.
    Long,
}

impl Span {
    fn draw(dice: &mut Dice) -> (Self, Duration) {
        match dice.below(100) {
            0..75 => (Self::Short, dice.millis(20, 480)),
            75..84 => (Self::Lease, dice.millis(1_500, 4_000)),
            _ => (Self::Long, dice.millis(6_500, 8_500)),
        }
    }
}

/// Takes the lock, and screams when another has it.
fn locker() -> String {
    let script = format!(
        "exec 9>>{SHARED}/lock-%i; flock -n 9 || {{ echo %i twice, on %H >>{SHARED}/screams; exit 1; }}; \
         echo %i on %H >>{SHARED}/runs; exec sleep infinity"
    );
    format!(
        "[Service]\nExecStart=/bin/sh -c '{script}'\nTimeoutStopSec=250ms\n\
         [X-Fleet]\nOnDisconnect=stop\nMachineMetadata=struck=yes\n"
    )
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How often a unit ran on another machine than the time before.
fn moves(runs: &[String]) -> usize {
    let mut hosts = BTreeMap::new();
    let moved = |line: &&String| {
        let (unit, host) = line.split_once(" on ").unwrap_or_default();
        hosts.insert(unit.to_owned(), host.to_owned()).is_some_and(|before| before != host)
    };
    runs.iter().filter(moved).count()
}

/// At least so many times, however busy the host is.
const CUTS: usize = 200;

/// How long machines are struck; `FENCE_SECONDS` sets another time for a longer run.
fn duration() -> Duration {
    let seconds = std::env::var("FENCE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(55))
}

/// How often the leader's fleetd dies meanwhile: the next one did not see machines go.
const LEADERS: u32 = 2;

/// The promise itself: units that lock a file which all machines share, while machines are cut off and their fleetd
/// hangs, dies, and starts again in every way, for random times up to well beyond the lease, many at once. None ever finds
/// the lock taken, though units move all the time, and each runs again afterwards.
#[test]
fn through_hundreds_of_cuts_no_unit_runs_twice() {
    let mut builder = Cluster::builder().machines(MACHINES).registry(Registry::Etcd(1)).agent_ttl("3s");
    for machine in STRUCK {
        builder = builder.option_on(machine, "disable_engine", "true").metadata_on(machine, "struck=yes");
    }
    // Half of the machines may be away at a time: this is not about the brake.
    builder.option("engine_brake_hold", "1s").run(|cluster| {
        settled(cluster, 1, MACHINES.into())?;
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
            while begin.elapsed() < duration() || cuts.load(Ordering::Relaxed) < CUTS {
                let fault = FAULTS[dice.below(FAULTS.len() as u64) as usize];
                let (span, length) = Span::draw(&mut dice);
                fault.begin(node).with_context(|| format!("{fault:?} of {}", node.name()))?;
                throughout(length, "during a fault", quiet)?;
                fault.end(node).with_context(|| format!("the end of {fault:?} of {}", node.name()))?;
                cuts.fetch_add(1, Ordering::Relaxed);
                long.fetch_add(usize::from(span == Span::Long), Ordering::Relaxed);
                throughout(dice.millis(50, 350), "after a fault", quiet)?;
            }
            Ok(())
        };
        let depose = || -> Result<()> {
            for nth in 1..=LEADERS {
                let at = duration() * nth / (LEADERS + 1);
                throughout(at.saturating_sub(begin.elapsed()), "while a leader leads", quiet)?;
                let leads = until("nobody leads", || leader(cluster, 1).or_else(|_| leader(cluster, 2)))?;
                cluster.node(leads).signal("fleetd", Signal::SIGKILL)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let (strike, depose) = (&strike, &depose);
            let struck = cluster.nodes().filter(|node| STRUCK.contains(&node.number()));
            let mut strikers: Vec<_> = struck.map(|node| scope.spawn(move || strike(node))).collect();
            strikers.push(scope.spawn(depose));
            strikers.into_iter().try_for_each(|striker| striker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
        })?;
        let struck = begin.elapsed();
        within(LIMIT * 2, "not every unit runs again", || {
            names.iter().try_for_each(|unit| {
                let on = cluster.running_on(unit);
                ensure!(on.len() == 1, "{unit} runs on {on:?}");
                Ok(())
            })
        })?;
        quiet()?;
        let (cuts, long, starts) = (cuts.into_inner(), long.into_inner(), lines(&runs));
        let moves = moves(&starts);
        println!(
            "in {:.0} s {cuts} cuts, {long} of them well beyond the lease: {} starts of {UNITS} units, {moves} of them on another \
             machine than before, no scream",
            struck.as_secs_f64(),
            starts.len()
        );
        assert!(cuts >= CUTS, "only {cuts} cuts");
        assert!(moves >= 20, "units seldom ran elsewhere: {moves} moves, {starts:?}");
        Ok(())
    });
}
