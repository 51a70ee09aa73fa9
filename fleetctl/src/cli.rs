//! What there is to type: the commands and flags of CoreOS fleet 0.11 and 1.0, and those for operators.

mod cluster;
mod global;
mod list;
mod machines;
mod registry;
mod units;

use clap::{Parser, Subcommand, ValueEnum};

pub use cluster::{Brake, BrakeAction, Cluster, ClusterAction, Import, Join, Plan, Rebalance};
pub use global::{Former, Global};
pub use list::{List, ListFormat, ListMachines};
pub use machines::{Drain, FdForward, Machine, MachineAction, Machines, Orphans, OrphansAction, SshTo};
pub use registry::{Backup, Migrate, Registry, RegistryAction, Restore, Token};
pub use units::{Blocking, ChangeUnits, CreateUnits, Explain, Journal, StartUnits, Status, Submit, UnitNames};

/// What `help` shows, in fleet's order.
const ROOT_HELP: &str = "\
NAME:
\tfleetctl - {about}

USAGE:
\tfleetctl [global options] <command> [command options] [arguments...]

VERSION:
\t{version}

COMMANDS:
{subcommands}

GLOBAL OPTIONS:
{options}

Global options can also be set by environment variables: FLEETCTL_ENDPOINT for --endpoint, and so on.
Run \"fleetctl help <command>\" for more about a command.
";

/// What `help COMMAND` shows.
const COMMAND_HELP: &str = "\
NAME:
\t{bin} - {about}

USAGE:
\t{usage}

{all-args}
";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "fleetctl",
    about = "a command-line interface to fleet, the cluster-wide systemd",
    version,
    help_template = ROOT_HELP,
    infer_subcommands = true,
    args_override_self = true,
    subcommand_required = false,
    disable_version_flag = true,
    disable_help_flag = true,
    max_term_width = 120
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show or release the brake, which holds units back when most machines are lost at once
    #[command(help_template = COMMAND_HELP)]
    Brake(Brake),
    /// Print the text of a unit, as it was submitted
    #[command(help_template = COMMAND_HELP)]
    Cat(UnitNames),
    /// Look at the cluster as a whole
    #[command(help_template = COMMAND_HELP)]
    Cluster(Cluster),
    /// Give machines no more units; they keep what they have
    #[command(help_template = COMMAND_HELP)]
    Cordon(Machines),
    /// Stop units and remove them from the cluster
    #[command(help_template = COMMAND_HELP)]
    Destroy(ChangeUnits),
    /// Move the units of machines to others, and give them no more
    #[command(help_template = COMMAND_HELP)]
    Drain(Drain),
    /// Say why a unit is where it is, or why no machine can take it
    #[command(help_template = COMMAND_HELP)]
    Explain(Explain),
    /// Connect standard input and output to a unix socket here; what the other end of a tunnel runs
    #[command(help_template = COMMAND_HELP)]
    FdForward(FdForward),
    /// Delete what is left of machines that will not come back
    #[command(help_template = COMMAND_HELP)]
    Forget(Machines),
    /// Take over the units of a CoreOS fleet, and what is wanted of them, from its etcd
    #[command(help_template = COMMAND_HELP)]
    Import(Import),
    /// Show whether this machine finds its own cluster's registry, or join the cluster whose registry it finds
    #[command(help_template = COMMAND_HELP)]
    Join(Join),
    /// Print the journal of a unit, whichever machine it is on
    #[command(help_template = COMMAND_HELP)]
    Journal(Journal),
    /// List the machines of the cluster
    #[command(help_template = COMMAND_HELP)]
    ListMachines(ListMachines),
    /// List the units that the cluster knows, and what is wanted of them
    #[command(help_template = COMMAND_HELP)]
    ListUnitFiles(List),
    /// List what systemd says of units, machine by machine
    #[command(help_template = COMMAND_HELP)]
    ListUnits(List),
    /// Put units on machines, without starting them
    #[command(help_template = COMMAND_HELP)]
    Load(CreateUnits),
    /// Look at one machine, or change it
    #[command(help_template = COMMAND_HELP)]
    Machine(Machine),
    /// List or stop units that run under fleet and that the cluster did not ask for
    #[command(help_template = COMMAND_HELP)]
    Orphans(Orphans),
    /// Say what would come of starting units, or of losing, draining or changing machines; nothing is changed
    #[command(help_template = COMMAND_HELP)]
    Plan(Plan),
    /// Even out how many units machines have, by the fewest moves and a few at a time
    #[command(help_template = COMMAND_HELP)]
    Rebalance(Rebalance),
    /// Back up the registry, restore it, and let machines join it
    #[command(help_template = COMMAND_HELP)]
    Registry(Registry),
    /// Restart units, where they are
    #[command(help_template = COMMAND_HELP)]
    Restart(ChangeUnits),
    /// Print the records that decisions hang on, texts of units included, for plan --snapshot
    #[command(help_template = COMMAND_HELP)]
    Snapshot,
    /// Open a shell on a machine, or run a command there, by ssh
    #[command(help_template = COMMAND_HELP)]
    Ssh(SshTo),
    /// Start units
    #[command(help_template = COMMAND_HELP)]
    Start(StartUnits),
    /// Print what systemctl status says of units, whichever machine they are on
    #[command(help_template = COMMAND_HELP)]
    Status(Status),
    /// Stop units; they stay loaded on their machines
    #[command(help_template = COMMAND_HELP)]
    Stop(ChangeUnits),
    /// Make units known to the cluster, without giving them a machine
    #[command(help_template = COMMAND_HELP)]
    Submit(Submit),
    /// Give machines units again: ends a cordon and a drain
    #[command(help_template = COMMAND_HELP)]
    Uncordon(Machines),
    /// Stop units and take them off their machines; the cluster still knows them
    #[command(help_template = COMMAND_HELP)]
    Unload(ChangeUnits),
    /// Signed units were removed from fleet long ago
    #[command(help_template = COMMAND_HELP)]
    Verify(UnitNames),
    /// Print the version
    #[command(help_template = COMMAND_HELP)]
    Version,
}

/// How to print something for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object
    Json,
}
