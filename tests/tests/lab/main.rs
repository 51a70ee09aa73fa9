//! The lab itself, tested with plain systemd units: fleet is not needed for any of this.

mod faults;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleet_tests::lab::owner::Owner;
use fleet_tests::lab::{FileSpec, Lab, Node, cgroup, check_requirements, wait_for};

const LIMIT: Duration = Duration::from_secs(20);

const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Two processes, one of them in a session of its own.
const PAIR: &str = "[Service]\nExecStart=/bin/sh -c 'setsid sleep 1000 & exec sleep 2000'\n";

#[test]
fn machines_boot_with_bus_journal_and_identity() {
    Lab::builder().machines(3).run(|lab| {
        for node in lab.nodes() {
            assert_eq!(node.exec(["hostname"])?.ok()?.trim(), node.name());
            assert_eq!(node.read_file("/etc/machine-id")?.trim(), node.machine_id());
            let state = node.exec(["systemctl", "is-system-running", "--wait"])?;
            assert_eq!(state.stdout.trim(), "running", "{}", node.exec(["systemctl", "--failed"])?.stdout);
            node.exec([
                "busctl",
                "--system",
                "call",
                "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager",
                "Subscribe",
            ])?
            .ok()?;
        }
        let boot_ids: std::collections::BTreeSet<String> =
            lab.nodes().map(|node| node.read_file("/proc/sys/kernel/random/boot_id")).collect::<Result<_, _>>()?;
        assert_eq!(boot_ids.len(), 3);
        Ok(())
    });
}

#[test]
fn nothing_that_the_host_has_set_up_runs_in_a_machine() {
    Lab::builder().run(|lab| {
        let running = lab
            .node(1)
            .exec(["systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"])?
            .ok()?;
        let names: Vec<&str> = running.lines().filter_map(|l| l.split_whitespace().next()).collect();
        assert_eq!(names, ["dbus.service", "systemd-journald.service"]);
        assert_eq!(lab.node(1).read_file("/etc/fstab")?, "");
        Ok(())
    });
}

#[test]
fn what_a_unit_runs_is_seen_from_outside() {
    Lab::builder().machines(2).enabled_unit("pair.service", PAIR).run(|lab| {
        let pair = |node: Node| {
            wait_for(LIMIT, || {
                let pids = node.processes_of("pair.service");
                let comm = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let names: Vec<String> = pids.iter().map(comm).collect();
                if names == ["sleep\n"; 2] { Ok(pids) } else { Err(format!("pair.service runs {names:?}")) }
            })
        };
        let (here, there) = (pair(lab.node(1)), pair(lab.node(2)));
        assert!(here.iter().all(|pid| !there.contains(pid)), "machines share processes");

        lab.node(1).exec(["systemctl", "stop", "pair.service"])?.ok()?;
        assert!(lab.node(1).processes_of("pair.service").is_empty());
        assert_eq!(lab.node(2).processes_of("pair.service"), there, "stopped on another machine");
        Ok(())
    });
}

#[test]
fn a_machine_without_power_boots_again_with_its_disk() {
    Lab::builder().machines(2).file(FileSpec::contents("/etc/systemd/system/sleeper.service", SLEEPER)).run(|lab| {
        let node = lab.node(1);
        node.write_file("/var/lib/lab/kept", "kept\n")?;
        node.write_file("/run/lost", "lost\n")?;
        node.exec(["systemctl", "start", "sleeper.service"])?.ok()?;
        let pids = node.processes_of("sleeper.service");
        assert_eq!(pids.len(), 1);

        node.power_off_hard()?;
        assert!(!Path::new(&format!("/proc/{}", pids[0])).exists());
        assert!(node.exec(["true"]).is_err(), "a machine that is off ran a command");
        assert_eq!(node.read_file("/var/lib/lab/kept")?, "kept\n", "read while off");
        node.write_file("/var/lib/lab/left", "left while off\n")?;

        node.boot()?;
        assert_eq!(node.read_file("/var/lib/lab/kept")?, "kept\n");
        assert_eq!(node.read_file("/var/lib/lab/left")?, "left while off\n");
        assert!(node.read_file("/run/lost").is_err());
        assert!(node.processes_of("sleeper.service").is_empty());
        reach(lab, 1, 2).unwrap();
        Ok(())
    });
}

#[test]
fn a_machine_shuts_down_in_order() {
    let unit = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/usr/bin/touch /var/stopped\n";
    Lab::builder().enabled_unit("orderly.service", unit).run(|lab| {
        let node = lab.node(1);
        wait_for(LIMIT, || match node.processes_of("orderly.service").len() {
            1 => Ok(()),
            n => Err(format!("orderly.service has {n} processes")),
        });
        node.poweroff()?;
        assert!(node.leader().is_none());
        node.read_file("/var/stopped")?;
        node.boot()
    });
}

#[test]
fn machines_have_no_way_out_of_the_lab() {
    Lab::builder().run(|lab| {
        let routes = lab.node(1).exec(["ip", "route"])?.ok()?;
        assert!(!routes.contains("default"), "{routes}");
        assert!(!lab.net_exec(["ip", "route"])?.ok()?.contains("default"));
        Ok(())
    });
}

#[test]
fn a_test_reaches_machines_from_within_their_network() {
    // An echo for whoever connects to its port, and to its socket.
    let socket = "[Socket]\nListenStream=7\nListenStream=/run/echo.sock\nAccept=yes\n";
    let service = "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n";
    let service = FileSpec::contents("/etc/systemd/system/echo@.service", service);
    Lab::builder().enabled_unit("echo.socket", socket).file(service).run(|lab| {
        let address = SocketAddr::from((lab.node(1).ip(), 7));
        let answer = lab.in_network(|| echo(TcpStream::connect_timeout(&address, LIMIT)?))?;
        assert_eq!(answer?, "hello");
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err(), "the host has a way in");
        assert_eq!(echo(UnixStream::connect(lab.node(1).host_path("/run/echo.sock")?)?)?, "hello");
        Ok(())
    });
}

#[test]
fn a_paused_process_does_nothing_until_it_is_resumed() {
    let ticker = "[Service]\nExecStart=/bin/sh -c 'while echo tick; do sleep 0.05; done'\nSyslogIdentifier=ticker\n";
    Lab::builder().enabled_unit("ticker.service", ticker).run(|lab| {
        let node = lab.node(1);
        let pid = wait_for(LIMIT, || {
            node.processes_of("ticker.service").first().copied().ok_or_else(|| "no ticker".to_owned())
        });
        let stopped = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") T "));
        node.pause("sh")?;
        wait_for(LIMIT, || if stopped(pid) { Ok(()) } else { Err("it runs".to_owned()) });
        node.resume("sh")?;
        wait_for(LIMIT, || if stopped(pid) { Err("it is stopped".to_owned()) } else { Ok(()) });
        assert!(node.pause("no-such-thing").is_err());
        Ok(())
    });
}

#[test]
fn a_journal_is_followed_while_it_grows() {
    Lab::builder().run(|lab| {
        let node = lab.node(1);
        let follow = node.spawn(["journalctl", "-f", "-n", "0", "-o", "json", "-t", "lab-test"])?;
        // journalctl says nothing when it has begun: write until it has seen a line.
        let line = wait_for(LIMIT, || {
            node.exec(["logger", "-t", "lab-test", "hello"]).map_err(|e| e.to_string())?;
            follow.next_line(Duration::from_millis(600)).map_err(|e| e.to_string())
        });
        assert!(line.contains(r#""MESSAGE":"hello""#), "{line}");
        drop(follow);
        wait_for(LIMIT, || match node.exec(["pgrep", "-x", "journalctl"]) {
            Ok(output) if output.success() => Err("journalctl still runs".to_owned()),
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        });
        Ok(())
    });
}

#[test]
fn a_command_that_hangs_is_given_up_on() {
    Lab::builder().run(|lab| {
        let node = lab.node(1);
        let hung = node.exec_with(["sleep", "987654"], Vec::new(), Duration::from_millis(300));
        assert!(hung.unwrap_err().to_string().contains("did not end within"));
        wait_for(LIMIT, || match node.exec(["pgrep", "-f", "sleep 987654"]) {
            Ok(output) if output.success() => Err("it still runs".to_owned()),
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        });
        Ok(())
    });
}

#[test]
fn two_labs_live_side_by_side() {
    let first = Lab::builder().machines(2).enabled_unit("sleeper.service", SLEEPER).start().unwrap();
    let second = Lab::builder().machines(2).start().unwrap();
    assert_ne!(first.name(), second.name());
    second.node(1).write_file("/etc/only-here", "x").unwrap();
    assert!(first.node(1).read_file("/etc/only-here").is_err());
    assert!(second.node(1).processes_of("sleeper.service").is_empty());
    second.end().unwrap();
    wait_for(LIMIT, || match first.node(1).processes_of("sleeper.service").len() {
        1 => Ok(()),
        n => Err(format!("sleeper.service has {n} processes")),
    });
    reach(&first, 1, 2).unwrap();
}

#[test]
fn an_ended_lab_leaves_nothing() {
    let lab = Lab::builder().machines(2).start().unwrap();
    let (name, dir) = (lab.name().to_owned(), lab.dir().to_owned());
    assert!(dir.exists());
    drop(lab);
    assert_leaves_no_process(&name);
    assert!(!dir.exists());
    for hierarchy in cgroup::hierarchies().unwrap() {
        assert!(!hierarchy.join(&name).exists());
    }
}

/// The process that has a lab is killed; so the lab hears of it by its input's end only.
#[test]
fn a_killed_owner_takes_its_lab_along() {
    let mut up = Up::start();
    let links = host_links();
    up.process.kill().unwrap();
    up.process.wait().unwrap();
    assert_leaves_no_process(&up.lab);
    assert_leaves_no_mount(&up.lab);
    assert_eq!(host_links(), links);
    sweep();
    assert_swept(&up.lab);
}

/// The lab process itself is killed, under a test that goes on.
#[test]
fn a_killed_lab_process_takes_its_machines_along() {
    let lab = Lab::builder().machines(2).enabled_unit("sleeper.service", SLEEPER).start().unwrap();
    let name = lab.name().to_owned();
    let owner = Owner::parse(&name).unwrap();
    Command::new("kill").args(["-KILL", &owner.pid().to_string()]).status().unwrap();
    assert_leaves_no_process(&name);
    assert_leaves_no_mount(&name);
    assert!(lab.node(1).exec(["true"]).is_err());
    assert!(lab.node(1).boot().is_err());
    drop(lab);
    assert_swept(&name);
}

/// Of no use to the test itself: whoever ran `up` is gone when the machines are used.
#[test]
fn a_lab_that_was_left_lasts_until_it_is_ended() {
    let lab = || Command::new(env!("CARGO_BIN_EXE_fleet-lab"));
    // All of its output is read to the end: the lab must not hold on to it.
    let up = lab().args(["up", "-n", "2", "--keep"]).output().unwrap();
    let said = String::from_utf8_lossy(&up.stdout);
    let name = said.split(' ').next().unwrap_or_default().to_owned();
    let on = |args: &[&str]| lab().args(["--lab", &name]).args(args).output().unwrap();
    let hostname = on(&["exec", "2", "hostname"]);
    let killed = on(&["kill", "2"]);
    let dead = on(&["exec", "2", "true"]);
    let booted = on(&["boot", "2"]);
    let code = on(&["exec", "2", "sh", "-c", "exit 7"]);
    let down = on(&["down"]);

    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    assert_eq!(hostname.stdout, b"node2\n");
    assert!(killed.status.success() && booted.status.success());
    assert_eq!(dead.stderr, b"fleet-lab: node2 is off\n");
    assert_eq!(code.status.code(), Some(7));
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert_leaves_no_process(&name);
    assert_swept(&name);
}

#[test]
fn a_sweep_leaves_the_living_alone() {
    Lab::builder().run(|lab| {
        sweep();
        assert!(lab.dir().exists());
        lab.node(1).exec(["true"])?.ok()?;
        Ok(())
    });
}

#[test]
fn a_real_etcd_serves_machines_and_survives_a_member() {
    Lab::builder().run(|lab| {
        let etcd = lab.etcd(3)?;
        etcd.etcdctl(["put", "k", "1"])?.ok()?;
        let url = &etcd.client_urls()[0];
        let endpoint = format!("--endpoints={url}");
        let get = [
            "env",
            "ETCDCTL_API=3",
            "etcdctl",
            &endpoint,
            "--command-timeout=1s",
            "--dial-timeout=1s",
            "get",
            "k",
            "--print-value-only",
        ];
        assert_eq!(lab.node(1).exec(get)?.ok()?.trim(), "1");

        etcd.kill(1)?;
        assert!(!lab.node(1).exec(get)?.success());
        let second = format!("--endpoints={}", etcd.client_urls()[1]);
        wait_for(LIMIT, || {
            let put = ["env", "ETCDCTL_API=3", "etcdctl", &second, "put", "k", "2"];
            lab.net_exec(put).and_then(|o| o.ok()).map_err(|e| e.to_string())
        });
        etcd.start_member(1)?;
        etcd.wait_ready(LIMIT)?;
        assert_eq!(lab.node(1).exec(get)?.ok()?.trim(), "2");

        for member in 1..=3 {
            etcd.pause(member)?;
        }
        let get = ["env", "ETCDCTL_API=3", "etcdctl", &second, "--command-timeout=300ms", "get", "k"];
        assert!(!lab.net_exec(get)?.success());
        for member in 1..=3 {
            etcd.resume(member)?;
        }
        etcd.wait_ready(LIMIT)
    });
}

#[test]
fn a_lab_that_cannot_be_says_why_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet-lab"))
        .args(["up", "-n", "1"])
        // Where machines have a file system of their own.
        .env("FLEET_LAB_DIR", "/run/labs")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot keep their disks in /run/labs"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn what_is_missing_is_named() {
    // As another user: this test runs as root, so that a lab has all it needs otherwise.
    check_requirements().unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(env!("CARGO_BIN_EXE_fleet-lab"))
        .args(["up", "-n", "1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("root (run as root)") && said.lines().count() == 1, "{said}");
}

/// Whether one machine gets an answer from another: systemd's own tools lack a ping, but a
/// neighbour that answers for its address is one that is reached.
fn reach(lab: &Lab, from: u8, to: u8) -> Result<(), String> {
    let address = lab.node(to).ip().to_string();
    // A closed port is refused at once; a machine out of reach says nothing.
    let script = format!("timeout 0.5 bash -c 'exec 3<>/dev/tcp/{address}/9' 2>&1");
    let output = lab.node(from).exec(["bash", "-c", &script]).map_err(|e| e.to_string())?;
    if output.stdout.contains("refused") {
        Ok(())
    } else {
        Err(format!("machine {from} does not reach machine {to}: {}", output.stdout))
    }
}

/// What comes back from a stream that `hello` is sent to.
fn echo(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A lab in the hands of another process than the test's.
struct Up {
    process: Child,
    lab: String,
}

impl Up {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_fleet-lab"))
            .args(["up", "-n", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let lab = line.split(' ').next().unwrap_or_default().to_owned();
        assert!(Owner::parse(&lab).is_some_and(Owner::is_alive), "{line:?}");
        process.stdin.as_mut().unwrap().flush().unwrap();
        Self { process, lab }
    }
}

fn sweep() {
    assert!(Command::new(env!("CARGO_BIN_EXE_fleet-lab")).arg("sweep").status().unwrap().success());
}

fn assert_swept(lab: &str) {
    for parent in cgroup::hierarchies().unwrap().into_iter().chain([fleet_tests::lab::base_dir()]) {
        assert!(!parent.join(lab).exists(), "{} was not swept", parent.join(lab).display());
    }
}

/// Looks at every process of the host, and at the cgroup in which all of the lab's were.
fn assert_leaves_no_process(lab: &str) {
    wait_for(LIMIT, || {
        let left: Vec<String> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            .filter(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|c| c.contains(lab)))
            // A dead child that its parent has not heard of yet runs no more.
            .filter(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z ")))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?} of {lab} still run")) }
    });
}

fn assert_leaves_no_mount(lab: &str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(lab), "{mounts}");
}

/// The network links of the host, which labs have no part in.
fn host_links() -> Vec<String> {
    let mut links: Vec<String> = fs::read_dir("/sys/class/net")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    links.sort();
    links
}
