//! `fleet-demo`: what `make demo` shows. Boots machines with fleetd on each, and does fleet's main job on them, printing
//! every command and its output as a person would see it.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fleet_tests::cluster::{Cluster, Registry};
use fleet_tests::lab::poll;

const HELLO: &str = include_str!("../../../examples/hello.service");
const UNIT: &str = "hello.service";

/// The lease is 10 s; a slow machine may need a little more for the rest.
const MOVE_LIMIT: Duration = Duration::from_secs(30);

/// Shows fleet at work on real machines that are booted for it.
#[derive(Parser)]
struct Options {
    /// How many machines.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=50))]
    machines: u8,
    /// Use a real etcd of three members instead of the embedded registry.
    #[arg(long)]
    etcd: bool,
    /// Leave the cluster running and say how to use it.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("fleet-demo: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let registry = if options.etcd { Registry::Etcd(3) } else { Registry::Joined };
    let begin = Instant::now();
    let cluster = Cluster::builder().machines(options.machines).registry(registry).start_showing(shown)?;
    cluster.wait_machines(options.machines.into())?;
    say(&format!(
        "{} machines with a systemd of their own are up, fleetd on each, {}: {:.1} s.",
        options.machines,
        if options.etcd { "beside an etcd of three members" } else { "the registry inside the first machine's fleetd" },
        begin.elapsed().as_secs_f64(),
    ));
    for node in cluster.nodes() {
        node.write_file("/root/hello.service", HELLO)?;
    }
    if options.keep {
        return keep(cluster);
    }
    Demo { cluster: &cluster, at: 1 }.show()?;
    cluster.end()?;
    say("The machines are gone, and nothing is left of them.");
    Ok(())
}

fn keep(cluster: Cluster) -> Result<()> {
    let demo = Demo { cluster: &cluster, at: 1 };
    demo.fleetctl(&["list-machines"])?;
    let lab = lab_program()?;
    say("The cluster stays up. Use it and end it like this (/root/hello.service is on every machine):");
    println!("    {lab} exec 1 fleetctl start /root/hello.service");
    println!("    {lab} exec 1 fleetctl list-units");
    println!("    {lab} exec 2 bash                 # a shell on the second machine");
    println!("    {lab} kill 2                      # power loss of the second machine");
    println!("    {lab} boot 2                      # and its return");
    println!("    {lab} down                        # ends it all");
    cluster.leave()
}

/// What was typed on a machine that joins, and what it printed.
fn shown(machine: &str, command: &str, said: &str) {
    prompt(machine, command);
    if !said.is_empty() {
        println!("{said}");
    }
    println!();
}

/// `fleet-lab`, as it can be typed from here.
fn lab_program() -> Result<String> {
    let path = std::env::current_exe().context("cannot find this program")?.with_file_name("fleet-lab");
    let here = std::env::current_dir().unwrap_or_default();
    Ok(path.strip_prefix(&here).unwrap_or(&path).display().to_string())
}

struct Demo<'a> {
    cluster: &'a Cluster,
    /// The machine at which the person sits.
    at: u8,
}

impl Demo<'_> {
    fn show(mut self) -> Result<()> {
        self.fleetctl(&["list-machines"])?;
        self.type_command(&["cat", "hello.service"])?;
        self.fleetctl(&["load", UNIT])?;
        self.fleetctl(&["start", UNIT])?;
        self.fleetctl(&["list-unit-files"])?;
        self.fleetctl(&["list-units"])?;
        self.fleetctl(&["status", UNIT])?;

        let runs = self.machine_that_runs()?;
        self.at = self.another_than(runs)?;
        say(&format!("It runs on {}; its journal, followed from {}:", self.name(runs), self.name(self.at)));
        self.follow_journal()?;

        self.lose(runs)?;
        self.fleetctl(&["list-machines"])?;
        self.fleetctl(&["list-units"])?;

        self.fleetctl(&["stop", UNIT])?;
        self.fleetctl(&["list-unit-files"])?;
        self.fleetctl(&["destroy", UNIT])?;
        self.fleetctl(&["list-unit-files"])?;
        let left = self.cluster.running_on(UNIT);
        ensure!(left.is_empty(), "{UNIT} still runs on machines {left:?}");
        Ok(())
    }

    fn fleetctl(&self, args: &[&str]) -> Result<()> {
        let command: Vec<&str> = std::iter::once("fleetctl").chain(args.iter().copied()).collect();
        self.type_command(&command)
    }

    /// Runs a command in the folder that holds `hello.service`, and prints it and what it prints.
    fn type_command(&self, command: &[&str]) -> Result<()> {
        prompt(&self.name(self.at), &command.join(" "));
        let output = self.cluster.node(self.at).exec(self.in_home(command))?;
        print!("{}", output.stdout);
        eprint!("{}", output.stderr);
        println!();
        io::stdout().flush()?;
        ensure!(output.success(), "`{}` failed: {}", command.join(" "), output.status);
        Ok(())
    }

    fn follow_journal(&self) -> Result<()> {
        let command = ["fleetctl", "journal", "-f", UNIT];
        prompt(&self.name(self.at), &command.join(" "));
        let stream = self.cluster.node(self.at).spawn(self.in_home(&command))?;
        for _ in 0..6 {
            println!("{}", stream.next_line(Duration::from_secs(15))?);
        }
        println!("^C\n");
        stream.kill()
    }

    /// Cuts a machine's power, and shows how long it takes until its unit runs elsewhere.
    fn lose(&self, machine: u8) -> Result<()> {
        say(&format!("Now {} loses its power.", self.name(machine)));
        let begin = Instant::now();
        self.cluster.node(machine).power_off_hard()?;
        let now_on = poll(MOVE_LIMIT, || match self.cluster.running_on(UNIT)[..] {
            [other] if other != machine => Ok(other),
            ref running => Err(format!("it runs on machines {running:?}")),
        })
        .map_err(|reason| anyhow::anyhow!("{UNIT} was not moved: {reason}"))?;
        let took = begin.elapsed().as_secs_f64();
        say(&format!("{UNIT} runs on {} after {took:.1} s (the lease is 10 s).", self.name(now_on)));
        // What systemd said reaches the registry some milliseconds after the process is there.
        poll(MOVE_LIMIT, || {
            let list = self.cluster.fleetctl(self.at, ["list-units", "--no-legend"]).map_err(|e| format!("{e:#}"))?;
            if list.stdout.contains("running") { Ok(()) } else { Err(list.stdout) }
        })
        .map_err(|list| anyhow::anyhow!("list-units does not show {UNIT} as running: {list}"))
    }

    fn machine_that_runs(&self) -> Result<u8> {
        match self.cluster.running_on(UNIT)[..] {
            [machine] => Ok(machine),
            ref machines => anyhow::bail!("{UNIT} runs on machines {machines:?}, not on one"),
        }
    }

    fn another_than(&self, machine: u8) -> Result<u8> {
        self.cluster.nodes().map(|node| node.number()).find(|&n| n != machine).context("there is no other machine")
    }

    fn name(&self, machine: u8) -> String {
        self.cluster.node(machine).name()
    }

    fn in_home<'s>(&self, command: &[&'s str]) -> Vec<&'s str> {
        ["env", "--chdir=/root", "HOME=/root"].into_iter().chain(command.iter().copied()).collect()
    }
}

fn prompt(machine: &str, command: &str) {
    let line = format!("root@{machine}:~# {command}");
    if io::stdout().is_terminal() {
        println!("\x1b[1m{line}\x1b[0m");
    } else {
        println!("{line}");
    }
}

fn say(text: &str) {
    println!("# {text}\n");
}
