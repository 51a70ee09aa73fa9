//! Stories made up by chance, from a seed.
//!
//! Each job is answered before the next is asked for: how far one has come when the next is asked for is a matter of how
//! busy the host is. Jobs that meet are what some of the stories written by hand are about, where a state is waited for.

use fleet_tests::conformance::{Step, Story};
use fleet_tests::sim::Rng;

/// Units that do all that units do; what takes time takes long enough to be met by the next step.
/// Without a limit on starts, since that is about times. What is not to end when it is told to is told by a signal that
/// nothing ends of: a shell with a trap is deaf only from when it has come to that, which a stop may come before.
const TEXTS: [&str; 10] = [
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 0.3\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\nTimeoutStopSec=0.3\nKillSignal=SIGWINCH\nExecStart=/bin/sh -c 'sleep 0.3; systemd-notify --ready; sleep infinity'\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 0.3; systemd-notify --ready; sleep infinity'\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=/bin/sleep infinity\nTimeoutStartSec=0.3\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sleep 0.3\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.3\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=not/absolute\n",
    "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\nRestart=on-failure\nRestartSec=0.3\n",
];

const UNITS: [&str; 3] = ["a", "b", "c"];

/// So many stories of so many steps each.
pub(crate) fn stories(count: u64, steps: usize) -> Vec<Story> {
    (1..=count).map(|seed| story(seed, steps)).collect()
}

fn story(seed: u64, count: usize) -> Story {
    let rng = &mut Rng::new(seed);
    let mut steps = Vec::new();
    for unit in UNITS {
        steps.push(write(unit, rng));
        steps.push(Step::Link(unit.into()));
    }
    steps.push(Step::Settle);
    for _ in 0..count {
        let unit = UNITS[rng.below(UNITS.len())].to_owned();
        match rng.below(15) {
            0..=4 => steps.push(Step::Start(unit)),
            5..=7 => steps.push(Step::Stop(unit)),
            10 => steps.extend([Step::Reload, Step::Answered]),
            11 => steps.extend([Step::Settle, Step::Kill(unit.clone()), Step::Settle, Step::Start(unit)]),
            12 => steps.extend([Step::Settle, Step::Unlink(unit), Step::Answered]),
            13 => steps.extend([Step::Settle, Step::Link(unit), Step::Answered]),
            14 => {
                steps.extend([Step::Settle, Step::Stop(unit.clone()), Step::Settle]);
                steps.extend([write(&unit, rng), Step::Link(unit), Step::Answered, Step::Reload, Step::Answered]);
            }
            _ => steps.push(Step::Restart(unit)),
        }
        steps.push(if rng.chance(30) { Step::Settle } else { Step::Answered });
    }
    steps.push(Step::Settle);
    Story { name: format!("random-{seed}"), steps }
}

fn write(unit: &str, rng: &mut Rng) -> Step {
    Step::Write(unit.into(), TEXTS[rng.below(TEXTS.len())].into())
}
