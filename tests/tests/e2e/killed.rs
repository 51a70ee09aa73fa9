//! fleetd is killed in the middle of what it does, at whichever moment.

use std::env;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;
use nix::sys::signal::Signal;

use crate::support::{
    Person, Watched, assert_never_two, clock, leader, once, patch_metadata, settled, spans, telling, throughout, until,
};

/// What has no part in it, and is not to be touched.
const BYSTANDERS: [&str; 3] = ["u@1.service", "u@2.service", "u@3.service"];

/// Whose fleetd is killed, round after round.
const ROUNDS: [Victim; 4] = [Victim::Agent, Victim::Leader, Victim::All, Victim::Agent];

/// A change takes a few tens of milliseconds, and longer on a busy machine.
const LATEST: u64 = 300;

/// Names the seed of the moments, to run the same ones again.
const SEED: &str = "FLEET_SEED";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The machine that does what is asked for.
    Agent,
    /// The machine that decides.
    Leader,
    /// All machines, and with them the registry.
    All,
}

/// A person would find a unit neither started nor failed, or twice, after a crash at the wrong moment.
#[test]
fn a_start_survives_the_death_of_fleetd_at_any_moment() {
    rounds(|cluster, crash, round| {
        let unit = format!("u@1{round}.service");
        // Placement goes by the number of units: the next one is known.
        crash.during(&format!("start --no-block {unit}"), 2)?;
        let run = once(cluster, &[&unit])?;
        assert_never_two(&spans(cluster, &unit)?, &[run[&unit].machine]);
        Ok(())
    });
}

/// Whoever runs a unit that must not run twice would lose their data by a crash in the middle of its move.
#[test]
fn a_move_survives_the_death_of_fleetd_at_any_moment() {
    rounds(|cluster, crash, round| {
        let (from, to) = if round % 2 == 0 { (2, 3) } else { (3, 2) };
        if round == 0 {
            patch_metadata(cluster, from, "role", "web")?;
            crash.person.save("m.service", telling("") + "[X-Fleet]\nMachineMetadata=role=web\n")?;
            crash.person.fleetctl("start m.service")?;
        }
        patch_metadata(cluster, to, "role", "web")?;
        crash.during(&format!("machine metadata {} role=none", cluster.node(from).machine_id()), from)?;
        until("the unit does not move", || {
            let on = once(cluster, &["m.service"])?["m.service"].machine;
            ensure!(on == to, "it is on machine {on}");
            Ok(())
        })?;
        let been: Vec<u8> = [2].into_iter().chain([3, 2].into_iter().cycle().take(round + 1)).collect();
        assert_never_two(&spans(cluster, "m.service")?, &been);
        Ok(())
    });
}

/// Whoever mends a unit would have the broken one run on, or both, or none.
#[test]
fn a_replacement_survives_the_death_of_fleetd_at_any_moment() {
    rounds(|cluster, crash, round| {
        let id = cluster.node(2).machine_id();
        let text =
            |round: usize| telling(&format!("Environment=ROUND={round}")) + &format!("[X-Fleet]\nMachineID={id}\n");
        if round == 0 {
            crash.person.save("r.service", text(99))?;
            crash.person.fleetctl("start r.service")?;
        }
        let before = spans(cluster, "r.service")?.len();
        crash.person.save("r.service", text(round))?;
        crash.during("start --replace --no-block r.service", 2)?;
        until("the new text does not run", || {
            once(cluster, &["r.service"])?;
            let shown = cluster.node(2).exec(["systemctl", "show", "--property=Environment", "r.service"])?.ok()?;
            ensure!(shown.trim() == format!("Environment=ROUND={round}"), "{shown}");
            Ok(())
        })?;
        let spans = spans(cluster, "r.service")?;
        assert_never_two(&spans, &vec![2; spans.len()]);
        // A crash between a start and its note may repeat it once.
        let new = spans.len() - before;
        ensure!((1..=2).contains(&new), "it was started {new} times: {spans:#?}");
        Ok(())
    });
}

/// A person would have a unit run on that nobody knows of any more.
#[test]
fn a_destruction_survives_the_death_of_fleetd_at_any_moment() {
    rounds(|cluster, crash, round| {
        let unit = format!("u@1{round}.service");
        crash.person.fleetctl(&format!("start {unit}"))?;
        let on = once(cluster, &[&unit])?[&unit].machine;
        crash.during(&format!("destroy --no-block {unit}"), on)?;
        until("the unit is not gone", || {
            let on = cluster.running_on(&unit);
            ensure!(on.is_empty(), "it runs on {on:?}");
            let list = crash.person.fleetctl("list-units --no-legend")?;
            ensure!(!list.contains(&unit), "{list}");
            let files = cluster.node(2).exec(["ls", "-A", "/run/fleet/units"])?.ok()?;
            ensure!(!files.contains(&unit), "{files}");
            Ok(())
        })?;
        assert_never_two(&spans(cluster, &unit)?, &[on]);
        Ok(())
    });
}

/// A person would find a unit that they destroyed in every list for ever, and one that moves would never arrive, where
/// fleetd died just after it had unlinked it: what systemd does not know any more is as good as unlinked.
#[test]
fn a_unit_that_is_unlinked_already_is_removed() {
    Cluster::builder().machines(1).run(|cluster| {
        settled(cluster, 1, 1)?;
        let watched = Watched::start(cluster, 1, &BYSTANDERS)?;
        let person = Person::at(cluster, 1);
        person.save("single.service", telling(""))?;
        person.fleetctl("start u@10.service single.service")?;
        for unit in ["u@10.service", "single.service"] {
            once(cluster, &[unit])?;
            cluster.node(1).exec(["systemctl", "disable", "--runtime", unit])?.ok()?;
            cluster.node(1).exec(["systemctl", "stop", unit])?.ok()?;
            person.fleetctl(&format!("destroy --no-block {unit}"))?;
            until("the unit is not gone", || {
                let files = cluster.node(1).exec(["ls", "-A", "/run/fleet/units"])?.ok()?;
                let list = person.fleetctl("list-units --no-legend")?;
                ensure!(!files.contains(unit) && !list.contains(unit), "{files}{list}");
                Ok(())
            })?;
        }
        watched.settles(1, &[])?;
        Ok(())
    });
}

/// A cluster, and one round after the other of something that goes on while fleetd is killed.
fn rounds(mut round: impl FnMut(&Cluster, &mut Crash<'_>, usize) -> Result<()>) {
    let seed = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::try_from(clock(SystemTime::now()) % 1_000_000).unwrap_or_default());
    println!("{SEED}={seed} makes it be killed at the same moments again");
    Cluster::builder().machines(3).agent_ttl("4s").run(|cluster| {
        settled(cluster, 1, 3)?;
        let watched = Watched::start(cluster, 1, &BYSTANDERS)?;
        let person = Person::at(cluster, 1);
        let mut crash = Crash { cluster, person, random: seed, victim: Victim::Agent };
        for (number, victim) in ROUNDS.into_iter().enumerate() {
            crash.victim = victim;
            round(cluster, &mut crash, number).with_context(|| format!("round {number}, victim {victim:?}"))?;
            settled(cluster, 1, 3)?;
            watched.settles(1, &[]).with_context(|| format!("after round {number}, victim {victim:?}"))?;
        }
        Ok(())
    });
}

/// What is killed, and when.
struct Crash<'a> {
    cluster: &'a Cluster,
    person: Person<'a>,
    random: u64,
    victim: Victim,
}

impl Crash<'_> {
    /// Has `fleetctl` with these words at work, kills the victims in the middle of it or of what follows, and types it
    /// again if it failed. `agent` is the machine that has most to do.
    fn during(&mut self, words: &str, agent: u8) -> Result<()> {
        let victims = match self.victim {
            Victim::Agent => vec![agent],
            Victim::Leader => vec![until("no machine leads", || leader(self.cluster, 1))?],
            Victim::All => vec![1, 2, 3],
        };
        until("fleetd does not come back everywhere", || {
            let without = self.cluster.nodes().find(|node| node.processes_named("fleetd").is_empty());
            ensure!(without.is_none(), "{without:?}");
            Ok(())
        })?;
        // A linear congruential generator is random enough for a moment.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((self.random >> 33) % (LATEST * 1000));
        println!("{moment:?} into `{words}`, fleetd is killed on {victims:?}");
        let mut command = self.person.follows(words)?;
        throughout(moment, "a bystander was touched", || {
            BYSTANDERS.iter().try_for_each(|unit| {
                ensure!(self.cluster.running_on(unit).len() == 1, "{unit} does not run");
                Ok(())
            })
        })?;
        for victim in victims {
            self.cluster.node(victim).signal("fleetd", Signal::SIGKILL)?;
        }
        let ended = until("fleetctl does not end", || command.try_wait()?.context("it runs on"))?;
        if !ended.success() {
            until("fleetctl does not do what it did not do before", || self.person.fleetctl(words).map(drop))?;
        }
        Ok(())
    }
}
