//! Whatever happens in whatever order, and wherever fleetd dies: what must never be never is, and in the end what runs
//! is what is scheduled.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_agent::Standing;
use fleet_registry::record::Target;
use proptest::prelude::*;

use crate::world::{World, unit};

const NAMES: [&str; 4] = ["a.service", "b.service", "c.service", "d.service"];

#[derive(Debug, Clone)]
enum Step {
    Give { unit: usize, uid: i64, text: u8, target: Target },
    Take(usize),
    Restart(usize),
    Publish,
    Run(u64),
    Die,
    DieAfter(usize),
    DiskFull(bool),
    BusBreaks,
    Down,
    Up,
    SlowStop(usize, u64),
    SlowStart(usize, u64),
    Refer(usize),
    VanishRecord,
}

fn step() -> impl Strategy<Value = Step> {
    let unit = 0..NAMES.len();
    let target = prop_oneof![Just(Target::Loaded), Just(Target::Launched)];
    prop_oneof![
        4 => (unit.clone(), 1..3_i64, 0..2_u8, target).prop_map(|(unit, uid, text, target)| Step::Give { unit, uid, text, target }),
        2 => unit.clone().prop_map(Step::Take),
        1 => unit.clone().prop_map(Step::Restart),
        6 => Just(Step::Publish),
        6 => (0..3000_u64).prop_map(Step::Run),
        3 => (0..20_u64).prop_map(Step::Run),
        1 => Just(Step::Die),
        3 => (1..8_usize).prop_map(Step::DieAfter),
        1 => any::<bool>().prop_map(Step::DiskFull),
        1 => Just(Step::BusBreaks),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
        1 => (unit.clone(), 0..15_000_u64).prop_map(|(u, ms)| Step::SlowStop(u, ms)),
        1 => (unit.clone(), 0..15_000_u64).prop_map(|(u, ms)| Step::SlowStart(u, ms)),
        1 => unit.prop_map(Step::Refer),
        1 => Just(Step::VanishRecord),
    ]
}

/// Everything that was ever published: what each generation lists.
#[derive(Default)]
struct History {
    scheduled: BTreeMap<usize, (i64, u8, Target, u64)>,
    listed: BTreeMap<u64, Vec<usize>>,
    newest: u64,
}

fn perform(w: &mut World, history: &mut History, step: Step) {
    match step {
        Step::Give { unit, uid, text, target } => {
            w.give(
                NAMES[unit],
                uid,
                &format!("[Service]\nEnvironment=VERSION={text}\nExecStart=/bin/sleep infinity\n"),
                target,
            );
            history.scheduled.insert(unit, (uid, text, target, 0));
        }
        Step::Take(unit) => {
            if history.scheduled.remove(&unit).is_some() {
                w.take(NAMES[unit]);
            }
        }
        Step::Restart(unit) => {
            if let Some(entry) = history.scheduled.get_mut(&unit) {
                entry.3 += 1;
                w.alter(NAMES[unit], |a| a.restarts += 1);
            }
        }
        Step::Publish => {
            history.newest = w.publish();
            history.listed.insert(history.newest, history.scheduled.keys().copied().collect());
        }
        Step::Run(ms) => run(w, history, Duration::from_millis(ms)),
        Step::Die => w.restart(),
        Step::DieAfter(effects) => w.dies_after = Some(effects),
        Step::DiskFull(full) => w.disk.error = full.then(|| "no space left on device".to_owned()),
        Step::BusBreaks => w.systemd.disconnect(w.now),
        Step::Down => w.store.down(w.now),
        Step::Up => w.store.up(w.now),
        Step::SlowStop(name, ms) => _ = w.systemd.slow_stop.insert(unit(NAMES[name]), Duration::from_millis(ms)),
        Step::SlowStart(name, ms) => _ = w.systemd.slow_start.insert(unit(NAMES[name]), Duration::from_millis(ms)),
        Step::Refer(name) => _ = w.systemd.referred.insert(unit(NAMES[name])),
        Step::VanishRecord => w.delete_machine(),
    }
}

/// Runs, and looks after every millisecond whether what was acknowledged is true.
fn run(w: &mut World, history: &History, time: Duration) {
    let end = w.now + time;
    let mut acknowledged = w.applied();
    let mut stopping = w.stopping();
    while w.now < end {
        w.run(Duration::from_millis(1).min(end - w.now));
        let applied = w.applied();
        assert!(applied >= acknowledged, "acknowledged {acknowledged:?}, then {applied:?}");
        // What a newer one lists again may run; what it does not list must be gone, unless it is said to be stopping.
        let still = w.stopping();
        if (applied > acknowledged || stopping != still)
            && let Some(generation) = applied
        {
            for (i, name) in NAMES.iter().enumerate() {
                let since = history.listed.range(generation..).any(|(_, listed)| listed.contains(&i));
                let may_run = since || still.contains(&unit(name));
                assert!(may_run || !w.is_active(name), "{name} runs, and {generation} is acknowledged");
            }
        }
        (acknowledged, stopping) = (applied, still);
    }
}

proptest! {
    #[test]
    fn in_the_end_what_runs_is_what_is_scheduled(steps in proptest::collection::vec(step(), 1..60)) {
        let mut w = World::new();
        let mut history = History::default();
        for step in steps {
            perform(&mut w, &mut history, step);
        }
        w.store.up(w.now);
        w.systemd.slow_start.clear();
        w.disk.error = None;
        if w.dies_after.is_some() {
            w.restart();
        }
        perform(&mut w, &mut history, Step::Publish);
        let newest = history.newest;
        w.until("the newest is acknowledged", |w| {
            w.applied() == Some(newest) && w.stopping().is_empty() && w.agent.status().standing == Standing::Present
        });
        run(&mut w, &history, Duration::from_secs(90));
        for (i, name) in NAMES.iter().enumerate() {
            match history.scheduled.get(&i) {
                Some((uid, _, Target::Launched, restarts)) => {
                    let state = w.state(name).unwrap();
                    prop_assert!(w.is_active(name), "{} {:?}", name, state);
                    prop_assert_eq!((state.uid, state.active.as_str()), (*uid, "active"));
                    prop_assert!(state.restarts >= *restarts);
                    prop_assert_eq!(state.error, "");
                }
                Some((uid, _, Target::Loaded, _)) => {
                    prop_assert!(!w.is_active(name) && w.systemd.is_linked(&unit(name)));
                    prop_assert_eq!(w.state(name).unwrap().uid, *uid);
                }
                None => {
                    prop_assert!(!w.is_active(name) && !w.systemd.is_linked(&unit(name)));
                    prop_assert_eq!(w.state(name), None);
                    prop_assert!(!w.disk.units.contains_key(&unit(name)));
                }
            }
        }
        // And then nothing is done any more.
        let asked = w.systemd.asked.len();
        let revision = w.revision();
        w.restart();
        w.run(Duration::from_secs(30));
        prop_assert_eq!(w.systemd.asked.len(), asked, "{:?}", &w.systemd.asked[asked..]);
        prop_assert!(w.revision() - revision <= 3, "{} writes for a restart of fleetd", w.revision() - revision);
    }
}
