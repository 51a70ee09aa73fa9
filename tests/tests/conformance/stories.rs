//! Stories written by hand: one for each thing that systemd does and that the agent relies on.

use fleet_tests::conformance::{Step, Story};

const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

fn service(lines: &str) -> String {
    format!("[Service]\n{lines}\n")
}

fn write(unit: &str, text: &str) -> Step {
    Step::Write(unit.into(), text.into())
}

fn until(unit: &str, sub: &str, restarts: Option<u32>) -> Step {
    Step::Until { unit: unit.into(), sub: sub.into(), restarts }
}

/// Steps in short: `a is STATE` waits for a SubState (with a number, for so many restarts too), `;` for all answers, `.`
/// until nothing goes on.
fn steps(text: &str) -> Vec<Step> {
    let words = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["."] => Step::Settle,
        [";"] => Step::Answered,
        ["reload"] => Step::Reload,
        ["reexec"] => Step::Reexecute,
        ["link", unit] => Step::Link(unit.into()),
        ["unlink", unit] => Step::Unlink(unit.into()),
        ["start", unit] => Step::Start(unit.into()),
        ["stop", unit] => Step::Stop(unit.into()),
        ["restart", unit] => Step::Restart(unit.into()),
        ["kill", unit] => Step::Kill(unit.into()),
        ["rm", unit] => Step::Remove(unit.into()),
        ["mask", unit] => Step::Mask(unit.into()),
        [unit, "is", sub] => until(unit, sub, None),
        [unit, "is", sub, count] => until(unit, sub, count.parse().ok()),
        _ => panic!("no step: {line:?}"),
    };
    text.split(',').map(|line| words(line.trim())).collect()
}

/// A story of one unit `a` with this text, linked, then these steps, and a last look.
fn one(name: &str, text: &str, then: &str) -> Story {
    let mut all = vec![write("a", text), Step::Link("a".into()), Step::Answered];
    all.extend(steps(then));
    all.push(Step::Settle);
    Story { name: name.into(), steps: all }
}

/// All of them.
pub(crate) fn stories() -> Vec<Story> {
    let slow = service("ExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 0.4");
    let stubborn = service(
        "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'trap \"\" TERM; systemd-notify --ready; sleep infinity'\nTimeoutStopSec=0.5",
    );
    let ready = service(
        "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 0.4; systemd-notify --ready; sleep infinity'",
    );
    let never = service("Type=notify\nExecStart=/bin/sleep infinity\nTimeoutStartSec=0.6");
    let once = service("Type=oneshot\nExecStart=/bin/sleep 0.4");
    let remains = service("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true");
    let fails = service("Type=oneshot\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'");
    let dies = service("ExecStart=/bin/sh -c 'sleep 0.3; exit 3'");
    let ends = service("ExecStart=/bin/sleep 0.3");
    let restarts = service("ExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=0.3");
    let flaps = "[Unit]\nStartLimitBurst=3\n[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 3'\nRestart=on-failure\nRestartSec=0.2\n";
    let flaps_well = "[Unit]\nStartLimitBurst=3\n[Service]\nExecStart=/bin/sleep 0.2\nRestart=always\nRestartSec=0.2\n";
    let changed = |then: &str| {
        let mut all = vec![write("a", SLEEPER), Step::Link("a".into()), Step::Answered];
        all.extend(steps(then));
        all
    };
    let mut stories = vec![
        one("start", SLEEPER, "start a, ., start a, ., stop a, ., stop a"),
        one("listed-first", SLEEPER, "., start a, ., stop a"),
        one("restart-inactive", SLEEPER, "restart a, ., restart a"),
        one("stop-slow", &slow, "start a, ., stop a, a is stop, ."),
        one("stop-by-force", &stubborn, "start a, ., stop a, a is stop-sigterm, ."),
        one("restart-by-force", &stubborn, "start a, ., restart a, ."),
        one("ready", &ready, "start a, a is start, ., stop a"),
        one("never-ready", &never, "start a, a is start, ., start a, a is start, stop a, ."),
        one("once", &once, "start a, a is start, ., start a, ."),
        one("once-stopped", &once, "start a, a is start, stop a, ."),
        one("once-replaced", &once, "start a, a is start, stop a, ., start a, a is start, restart a, ."),
        one("unlinked-twice", SLEEPER, "start a, ., stop a, ., unlink a, ., unlink a"),
        one("remains", &remains, "start a, ., start a, ., restart a, ., stop a"),
        one("fails", &fails, "start a, ., start a, ., stop a, ., unlink a"),
        one("dies", &dies, "start a, a is failed, ., start a, ., a is failed"),
        one("ends", &ends, "start a, a is running, a is dead, ."),
        one("killed", SLEEPER, "start a, ., kill a, a is failed, ., restart a"),
        one("restarts", &restarts, "start a, ., kill a, a is auto-restart, a is running, ., stop a"),
        one("restarts-stopped", &restarts, "start a, ., kill a, a is auto-restart, stop a, ."),
        one("restarts-started", &restarts, "start a, ., kill a, a is auto-restart, start a, ."),
        one("restarts-restarted", &restarts, "start a, ., kill a, a is auto-restart, restart a, ."),
        one("restarts-reloaded", &restarts, "start a, ., kill a, a is auto-restart, reload, ;, a is running"),
        one(
            "flaps",
            flaps,
            "start a, a is failed 3, ., start a, a is auto-restart, a is failed 3, ., unlink a, ., link a, ;, start a, a is failed 3",
        ),
        one("flaps-started", flaps, "start a, a is auto-restart, start a, a is failed 2, ., restart a"),
        one("flaps-well", flaps_well, "start a, a is failed 3, ."),
        one("refused", "[Service]\nExecStart=not/absolute\n", "., start a, ., stop a, ., restart a"),
        one("empty", "[Unit]\nDescription=nothing\n", "start a, ., unlink a"),
        one("no-program", &service("Type=oneshot\nExecStart=/nonexistent"), "start a, ."),
        one("masked", SLEEPER, "mask a, reload, ., start a, ., stop a"),
        one("unlinked-running", SLEEPER, "start a, ., unlink a, ., reload, ., start a, ., stop a, ., start a"),
        one("unlinked-idle", SLEEPER, "., unlink a, ., start a, stop a, restart a"),
        one("unlinked-failed", SLEEPER, "start a, ., kill a, a is failed, unlink a, ., reload"),
        one("vanished", SLEEPER, "start a, ., rm a, reload, ., start a, ., stop a, ., unlink a"),
        one("vanished-idle", SLEEPER, "., rm a, start a, ., reload, ., link a"),
        one("reload-under-jobs", &slow, "start a, ., stop a, a is stop, reload, ."),
        one("reload-under-start", &ready, "start a, a is start, reload, ."),
        one("replaced", &ready, "start a, a is start, stop a, ., start a, a is start, start a, ."),
        one("replaced-by-restart", &ready, "start a, a is start, restart a, ., restart a, a is start, start a, ."),
        one("start-after-stop", &slow, "start a, ., stop a, a is stop, start a, ."),
        one("reexecuted", SLEEPER, "start a, ., reexec, ., stop a, ., start a"),
        Story { name: "unknown".into(), steps: steps("start a, stop b, restart c, ., unlink a, link b, .") },
    ];
    let mut story = changed("start a, .");
    story.extend([write("a", &slow), Step::Link("a".into()), Step::Settle]);
    story.extend(steps("reload, ., stop a, ., start a, ."));
    stories.push(Story { name: "changed-running".into(), steps: story });
    let mut story = changed("start a, ., stop a, .");
    story.extend([write("a", &fails), Step::Link("a".into())]);
    story.extend(steps("., start a, ."));
    stories.push(Story { name: "changed-idle".into(), steps: story });
    let mut story = changed("start a, ., kill a, a is failed");
    story.extend([write("a", &slow), Step::Link("a".into())]);
    story.extend(steps("., start a, ., stop a, ."));
    stories.push(Story { name: "changed-failed".into(), steps: story });
    let mut story = changed("start a, .");
    story.extend([write("a", "[Service]\nExecStart=not/absolute\n")]);
    story.extend(steps("reload, ., start a, ., stop a, ., start a, ."));
    stories.push(Story { name: "broken-while-running".into(), steps: story });
    stories
}
