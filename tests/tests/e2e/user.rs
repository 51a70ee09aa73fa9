//! fleetd of a user, whose units run in the user's own systemd.

use anyhow::{Result, ensure};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::FileSpec;
use nix::sys::signal::Signal;

use crate::support::{SLEEPER, until};

/// A user's systemd, as logind would start it.
const MANAGER: &str = "\
[Service]
Type=notify
Delegate=yes
KillMode=mixed
Environment=XDG_RUNTIME_DIR=/run/user/0
ExecStartPre=/bin/mkdir -p -m 0700 /run/user/0
ExecStart=/lib/systemd/systemd --user
";

/// What a user installs as `~/.config/systemd/user/fleet.service`.
const FLEETD: &str = "\
[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/fleetd
Restart=always
RestartSec=1s
KillMode=mixed
TimeoutStopSec=infinity
RuntimeDirectory=fleet
RuntimeDirectoryPreserve=yes

[Install]
WantedBy=default.target
";

/// Whoever runs fleet without being root would lose what root has: a crash or a restart of fleetd touches no unit, and a
/// stop for good, which the user's systemd knows to be one, stops what it started.
#[test]
fn a_users_units_survive_a_users_fleetd() {
    let options = [
        ("systemd_user", "true"),
        ("units_directory", "/run/user/0/fleet/units"),
        ("state_directory", "/root/fleet"),
        ("registry_dir", "/root/fleet/registry"),
        ("listen", "/run/user/0/fleet.sock"),
    ];
    let builder = Cluster::builder().machines(1).agent_ttl("2s").fleetd_unit("manager.service", MANAGER);
    let builder = options.into_iter().fold(builder, |builder, (name, value)| builder.option(name, value));
    let user = "/etc/systemd/user";
    let builder = builder.lab(|lab| {
        lab.file(FileSpec::contents(format!("{user}/fleet.service"), FLEETD))
            .file(FileSpec::link(format!("{user}/default.target.wants/fleet.service"), "../fleet.service"))
    });
    builder.run(|cluster| {
        let node = cluster.node(1);
        let fleetctl = |words: &str| -> Result<String> {
            let command = ["fleetctl", "--endpoint", "unix:///run/user/0/fleet.sock"];
            node.exec(command.into_iter().chain(words.split_whitespace()))?.ok()
        };
        let systemctl = |words: &str| -> Result<String> {
            let command = ["env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user"];
            node.exec(command.into_iter().chain(words.split_whitespace()))?.ok()
        };
        let machines = || {
            until("the user's fleetd does not serve", || {
                let list = fleetctl("list-machines --no-legend")?;
                ensure!(list.lines().count() == 1, "{list}");
                Ok(())
            })
        };
        machines()?;
        node.write_file("/root/mine.service", SLEEPER)?;
        fleetctl("start /root/mine.service")?;
        let running = node.processes_of("mine.service");
        ensure!(running.len() == 1, "{running:?}");
        ensure!(systemctl("is-active mine.service")?.trim() == "active", "it is not the user's");

        let killed = node.processes_named("fleetd");
        node.signal("fleetd", Signal::SIGKILL)?;
        until("fleetd does not come back", || {
            let now = node.processes_named("fleetd");
            ensure!(now.len() == 1 && now != killed, "{now:?}");
            Ok(())
        })?;
        machines()?;
        systemctl("restart fleet.service")?;
        machines()?;
        fleetctl("list-units")?;
        assert_eq!(node.processes_of("mine.service"), running, "the unit was touched");
        systemctl("stop fleet.service")?;
        assert_eq!(node.processes_of("mine.service"), Vec::<u32>::new(), "a stopped fleetd left a unit");
        systemctl("start fleet.service")?;
        until("the unit does not run again", || {
            ensure!(node.processes_of("mine.service").len() == 1);
            Ok(())
        })
    });
}
