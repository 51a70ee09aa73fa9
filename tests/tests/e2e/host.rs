//! fleetd on its host: sockets, group, signals, every type of unit, and a trial by a user.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::{FileSpec, Node};
use serde_json::Value;

use crate::support::{Person, SLEEPER, once, runs, until};

const SYSUSERS: &str = include_str!("../../../examples/systemd/sysusers.conf");

/// The systemd of the user `daemon`, as logind would start it.
const MANAGER: &str = "\
[Service]
Type=notify
User=daemon
Delegate=yes
KillMode=mixed
Environment=XDG_RUNTIME_DIR=/run/user/1
ExecStartPre=+/bin/sh -c 'mkdir -p /run/user && install -d -o daemon -g daemon -m 0700 /run/user/1'
ExecStart=/lib/systemd/systemd --user
";

/// What that user types in a terminal.
const TRIAL: &str = "\
[Service]
Type=exec
User=daemon
Environment=XDG_RUNTIME_DIR=/run/user/1 HOME=/run/user/1/home
ExecStart=/usr/bin/fleetd --dev
";

/// Whoever has socket drop-ins, members of the group, metadata to reload, or units that are no services would find
/// something missing on a machine with the new fleet.
#[test]
fn fleetd_is_at_home_on_its_host() {
    let system = "/etc/systemd/system";
    let builder = Cluster::builder().machines(1).lab(|lab| {
        lab.file(FileSpec::contents("/usr/lib/sysusers.d/fleet.conf", SYSUSERS))
            .file(FileSpec::contents(
                format!("{system}/fleet.socket.d/30-ListenStream.conf"),
                "[Socket]\nListenStream=127.0.0.1:49153\nListenStream=/run/fleet-too.sock\n",
            ))
            .file(FileSpec::contents(format!("{system}/manager.service"), MANAGER))
            .file(FileSpec::contents(format!("{system}/trial.service"), TRIAL))
    });
    builder.run(|cluster| {
        cluster.wait_machines(1)?;
        let node = cluster.node(1);
        sockets(node)?;
        types(cluster)?;
        signals(cluster)?;
        trial(node)
    });
}

fn sockets(node: Node<'_>) -> Result<()> {
    for endpoint in ["http://127.0.0.1:49153", "unix:///run/fleet-too.sock", "unix:///var/run/fleet.sock"] {
        let list = node.exec(["fleetctl", "--endpoint", endpoint, "list-machines", "--no-legend"])?.ok()?;
        assert_eq!(list.lines().count(), 1, "{endpoint}: {list}");
    }
    let owner = node.exec(["stat", "--format=%U:%G %a", "/run/fleet.sock"])?.ok()?;
    assert_eq!(owner.trim(), "root:fleet 660");
    // Whoever reads what is in there reads every unit's secrets.
    let owner = node.exec(["stat", "--format=%U %a", "/var/lib/fleet"])?.ok()?;
    assert_eq!(owner.trim(), "root 700");
    let make = "sed -i /^fleet:/d /etc/group && systemd-sysusers fleet.conf && getent group fleet";
    let group = node.exec(["sh", "-c", make])?.ok()?;
    assert!(group.starts_with("fleet:"), "{group}");
    Ok(())
}

/// Every type of unit that systemd still has is loaded, started, and gone again; `[Install]` is carried out.
fn types(cluster: &Cluster) -> Result<()> {
    let (node, person) = (cluster.node(1), Person::at(cluster, 1));
    let started = ["echo.socket", "tick.timer", "look.path", "mnt-fleet.mount", "all.target", "work.slice"];
    let loaded =
        ["echo.service", "tick.service", "look.service", "mnt-auto.mount", "mnt-auto.automount", "swapfile.swap"];
    for (name, text) in [
        ("echo.socket", "[Socket]\nListenStream=/run/echo.sock\n"),
        ("tick.timer", "[Timer]\nOnActiveSec=1d\n"),
        ("look.path", "[Path]\nPathExists=/nonexistent\n"),
        ("mnt-fleet.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/fleet\nType=tmpfs\n"),
        ("all.target", "[Unit]\nDescription=all\n"),
        ("work.slice", "[Slice]\nCPUWeight=50\n"),
        ("echo.service", SLEEPER),
        ("tick.service", SLEEPER),
        ("look.service", SLEEPER),
        ("mnt-auto.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/auto\nType=tmpfs\n"),
        ("mnt-auto.automount", "[Automount]\nWhere=/mnt/auto\n"),
        ("swapfile.swap", "[Swap]\nWhat=/swapfile\n"),
        (
            "wanted.service",
            "[Service]\nExecStart=/bin/sleep infinity\n\n[Install]\nWantedBy=all.target\nAlias=other.service\n",
        ),
    ] {
        person.save(name, text)?;
    }
    person.fleetctl(&format!("load {}", loaded.join(" ")))?;
    person.fleetctl(&format!("start {} wanted.service", started.join(" ")))?;
    let show = |property: &str, units: &[&str]| -> Result<Vec<String>> {
        let property = format!("--property={property}");
        let said = node.exec(["systemctl", "show", "--value", &property].iter().chain(units))?.ok()?;
        Ok(said.split_whitespace().map(str::to_owned).collect())
    };
    assert_eq!(show("ActiveState", &started)?, ["active"; 6]);
    assert_eq!(show("LoadState", &loaded)?, ["loaded"; 6]);
    assert_eq!(show("ActiveState", &loaded)?, ["inactive"; 6], "they were loaded, not started");
    let enabled =
        "test -L /run/systemd/system/all.target.wants/wanted.service && test -L /run/systemd/system/other.service";
    node.exec(["sh", "-c", enabled])?.ok()?;
    let all = started.iter().chain(&loaded).chain(&["wanted.service"]).copied().collect::<Vec<_>>().join(" ");
    person.fleetctl(&format!("destroy {all}"))?;
    until("units are left behind", || {
        let left = node.exec(["sh", "-c", "ls /run/fleet/units; ls -d /run/systemd/system/*wanted* /run/systemd/system/*other* 2>&1 | grep -v 'No such'"])?;
        ensure!(left.stdout.is_empty(), "{left:?}");
        Ok(())
    })
}

/// A reload publishes what the configuration says and touches no unit; SIGUSR1 tells what runs.
fn signals(cluster: &Cluster) -> Result<()> {
    let (node, person) = (cluster.node(1), Person::at(cluster, 1));
    person.save("stays.service", SLEEPER)?;
    person.fleetctl("start stays.service")?;
    let before = once(cluster, &["stays.service"])?;
    let fleetd = node.processes_named("fleetd");
    let options = "metadata=zone=b capacity=memory=2G capacity_reserve=memory=256M,cpu=0%";
    let change = format!("printf '%s\\n' {options} >> /etc/fleet/fleet.conf && systemctl reload fleet.service");
    node.exec(["sh", "-c", &change])?.ok()?;
    until("what changed is not published", || {
        let list = person.fleetctl("list-machines --no-legend --fields=metadata,memory")?;
        ensure!(list.split_whitespace().eq(["zone=b", "0B/1.7G"]), "{list}");
        let all: Value = serde_json::from_str(&person.fleetctl("list-machines -o json")?)?;
        let capacity = &all["machines"][0]["capacity"];
        // The machine of a lab sees its host's processors, and as many are there for this program.
        let cores = std::thread::available_parallelism()?.get();
        ensure!(capacity["memory"] == 1_879_048_192_u64 && capacity["cpuMillis"] == 1000 * cores, "{all}");
        Ok(())
    })?;
    node.exec(["systemctl", "kill", "--signal=USR1", "fleet.service"])?.ok()?;
    until("nothing was dumped", || {
        let log = node.exec(["journalctl", "--unit=fleet.service", "--output=cat", "--no-pager"])?.ok()?;
        let line = log.lines().find(|line| line.starts_with('{') && line.contains("TargetStates"));
        let dump: Value = serde_json::from_str(line.unwrap_or("null"))?;
        ensure!(dump["Agent"]["Cache"]["TargetStates"]["stays.service"] == "launched", "{dump}");
        ensure!(dump["UnitStatePublisher"]["Cache"]["stays.service"]["SubState"] == "running", "{dump}");
        Ok(())
    })?;
    assert_eq!(runs(cluster, &["stays.service"])?, before);
    assert_eq!(node.processes_named("fleetd"), fleetd, "a reload is no restart");
    Ok(())
}

/// A user without any right tries fleet beside the machine's own, and leaves nothing behind.
fn trial(node: Node<'_>) -> Result<()> {
    node.exec(["systemctl", "start", "manager.service"])?.ok()?;
    node.exec(["systemctl", "start", "trial.service"])?.ok()?;
    let user = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "env", "XDG_RUNTIME_DIR=/run/user/1"];
    let fleetctl = |words: &str| -> Result<String> {
        let command = user.into_iter().chain(["fleetctl"]).chain(words.split_whitespace());
        node.exec_with(command, Vec::new(), Duration::from_secs(60))?.ok()
    };
    until("the user's fleetd does not serve", || {
        let list = fleetctl("list-machines --no-legend")?;
        ensure!(list.lines().count() == 1, "{list}");
        Ok(())
    })?;
    node.write_file("/tmp/mine.service", SLEEPER)?;
    fleetctl("start /tmp/mine.service")?;
    let [running] = node.processes_of("mine.service")[..] else {
        anyhow::bail!("{:?}", node.processes_of("mine.service"));
    };
    let command = user.into_iter().chain(["systemctl", "--user", "is-active", "mine.service"]);
    assert_eq!(node.exec(command)?.ok()?.trim(), "active", "{running} is not the user's");
    assert_eq!(node.exec(["fleetctl", "list-units", "--no-legend", "--fields=unit"])?.ok()?.trim(), "stays.service");
    node.exec(["systemctl", "kill", "--signal=INT", "trial.service"])?.ok()?;
    until("the trial does not end", || {
        let state = node.exec(["systemctl", "show", "--value", "--property=ActiveState", "trial.service"])?.ok()?;
        ensure!(state.trim() == "inactive", "{state}");
        ensure!(node.processes_of("mine.service").is_empty(), "what it started goes on");
        Ok(())
    })
}
