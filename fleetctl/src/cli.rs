//! What there is to type: the commands and flags of CoreOS fleet 0.11 and 1.0, and those for operators.

mod list;
mod registry;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use list::{List, ListFormat, ListMachines};
pub use registry::{Backup, Registry, RegistryAction, Restore, Token};

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

/// Flags of every command, before or after it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "GLOBAL OPTIONS")]
pub struct Global {
    /// Where fleetd listens: unix:///PATH, http://HOST:PORT, or https://HOST:PORT [default: unix:///var/run/fleet.sock]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Print what is asked of fleetd to stderr
    #[arg(long, global = true)]
    pub debug: bool,
    /// Print the version and exit
    #[arg(long, short = 'v', global = true)]
    pub version: bool,
    /// Seconds to wait for an answer of fleetd [default: 30]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub request_timeout: Option<String>,
    /// Print help
    #[arg(long, short = 'h', global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// API is the only driver: fleetctl asks fleetd, never the registry
    #[arg(long, global = true, hide = true)]
    pub driver: Option<String>,
    /// Reach fleetd and machines through this host, by ssh
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub tunnel: Option<String>,
    /// Who logs in by ssh [default: who your ssh configuration says, else core]
    #[arg(long, global = true, value_name = "NAME")]
    pub ssh_username: Option<String>,
    /// Seconds that connecting by ssh may take [default: 10]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub ssh_timeout: Option<String>,
    /// Whether a host's key has to be known; false believes any, and remembers none
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub strict_host_key_checking: Option<String>,
    /// Where keys of hosts are kept [default: as your ssh configuration says]
    #[arg(long, global = true, value_name = "FILE")]
    pub known_hosts_file: Option<String>,
    /// The certificates of authorities that vouch for an https:// endpoint [default: the system's]
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-cafile")]
    pub ca_file: Option<String>,
    /// The certificate to show there
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-certfile")]
    pub cert_file: Option<String>,
    /// Its key
    #[arg(long, global = true, value_name = "FILE", alias = "etcd-keyfile")]
    pub key_file: Option<String>,
    /// Flags that fleet had for etcd, accepted so that scripts go on working.
    #[command(flatten)]
    pub former: Former,
}

/// Flags for etcd, which fleetctl reads in `import` alone: it never talks to the registry otherwise.
#[derive(Args, Clone, Debug, Default)]
#[expect(missing_docs, reason = "named as in fleet")]
pub struct Former {
    #[arg(long, global = true, hide = true)]
    pub etcd_key_prefix: Option<String>,
    #[arg(long, global = true, hide = true)]
    pub experimental_api: bool,
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

/// Units by name.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct UnitNames {
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Whether and how long to wait for a change to come true.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "OPTIONS")]
pub struct Blocking {
    /// Do not wait until it has happened
    #[arg(long)]
    pub no_block: bool,
    /// Wait at most N times two seconds; 0 is for ever
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub block_attempts: u32,
}

/// Units that the cluster knows.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct ChangeUnits {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// The units: names, or patterns of names
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// A socket here.
#[derive(Args, Debug)]
pub struct FdForward {
    /// The path of the socket
    #[arg(value_name = "SOCKET", help_heading = "ARGUMENTS")]
    pub sockets: Vec<String>,
}

/// Where to log in, and what to do there.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct SshTo {
    /// The machine, by its id, the beginning of one, or its hostname; all arguments are the command then
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// The machine that has this unit; all arguments are the command then
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Let programs there use your keys
    #[arg(long, short = 'A')]
    pub forward_agent: bool,
    /// The port of ssh there
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// A machine or a unit, and the command; nothing after the first is read as a flag
    #[arg(value_name = "MACHINE|UNIT COMMAND", help_heading = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Units that the cluster knows, or that are files here.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct CreateUnits {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// Which units, and how.
    #[command(flatten)]
    pub submit: Submit,
}

/// Units to start.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct StartUnits {
    /// Which units, and how.
    #[command(flatten)]
    pub create: CreateUnits,
    /// Start what was planned, and only if it still comes to what the plan said; without units, those that were planned
    /// from here, as they were then
    #[arg(long, value_name = "TOKEN")]
    pub plan: Option<String>,
}

/// How to even out the load.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Rebalance {
    /// Move no more units than this
    #[arg(long, value_name = "N")]
    pub max_moves: Option<usize>,
    /// How many of one group (the instances of a template, or a SpreadGroup=) may be away at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub at_once: usize,
    /// Only show what would be moved
    #[arg(long)]
    pub dry_run: bool,
    /// Print what is to be moved for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// A change to think through.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Plan {
    /// Which units are to be started, and how.
    #[command(flatten)]
    pub submit: Submit,
    /// These machines are lost
    #[arg(long, value_name = "MACHINE", num_args = 1..)]
    pub lose: Vec<String>,
    /// These machines are drained
    #[arg(long, value_name = "MACHINE", num_args = 1..)]
    pub drain: Vec<String>,
    /// A machine, and how its metadata changes: key=value sets, key- removes
    #[arg(long, value_names = ["MACHINE", "CHANGE"], num_args = 2..)]
    pub metadata: Vec<String>,
    /// Ask a file that "fleetctl snapshot" wrote, instead of a cluster
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<String>,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// Units to create where the cluster does not know them.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Submit {
    /// Replace units whose file here is another than the cluster's
    #[arg(long)]
    pub replace: bool,
    /// Signed units were removed from fleet long ago
    #[arg(long, hide = true)]
    pub sign: bool,
    /// The name of the one unit that is read from standard input
    #[arg(long, value_name = "UNIT")]
    pub name: Option<String>,
    /// The units: names, patterns of names, paths of unit files or of folders with them, or - for standard input
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Machines.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Machines {
    /// The machines: ids, beginnings of one, or hostnames
    #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
    pub machines: Vec<String>,
}

/// Machines to drain.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Drain {
    /// Whether to wait.
    #[command(flatten)]
    pub blocking: Blocking,
    /// The machines: ids, beginnings of one, or hostnames
    #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
    pub machines: Vec<String>,
}

/// What to do with the brake.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Brake {
    /// What to do
    #[arg(value_name = "ACTION", help_heading = "ARGUMENTS", value_enum, default_value_t = BrakeAction::Status)]
    pub action: BrakeAction,
}

/// What to do with the brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BrakeAction {
    /// Show whether it is on, and why; ends with 1 where it is
    Status,
    /// Machines that are absent are lost indeed: run elsewhere what they ran
    Release,
}

/// What to do with the cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Cluster {
    /// What to do
    #[arg(value_name = "ACTION", help_heading = "ARGUMENTS", value_enum, default_value_t = ClusterAction::Status)]
    pub action: ClusterAction,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// A unit to explain.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Explain {
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
    /// Print it for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
}

/// How to print something for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object
    Json,
}

/// What to take over.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Import {
    /// The etcd that CoreOS fleet used, which must speak version 2 of its API (up to etcd 3.5, with --enable-v2):
    /// http://[USER:PASSWORD@]HOST:PORT, or https:// with --ca-file, --cert-file, and --key-file
    #[arg(long, value_name = "URL")]
    pub etcd2: String,
    /// Only show what would be taken over
    #[arg(long)]
    pub dry_run: bool,
    /// Start units even where a CoreOS fleet outside this cluster still runs them
    #[arg(long)]
    pub force: bool,
}

/// Whether to join.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Join {
    /// Make the machine whose fleetd is asked a member of the cluster whose registry it finds; without this, only show
    /// what that would mean
    #[arg(long)]
    pub accept: bool,
}

/// What to do with orphans.
#[derive(Args, Debug)]
pub struct Orphans {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub action: Option<OrphansAction>,
}

/// What to do with orphans.
#[derive(Debug, Subcommand)]
pub enum OrphansAction {
    /// List them
    #[command(help_template = COMMAND_HELP)]
    List,
    /// Stop orphans and remove their unit files; units of the cluster are refused
    #[command(help_template = COMMAND_HELP)]
    Stop {
        /// Only on this machine: its id, the beginning of it, or its hostname
        #[arg(long, value_name = "MACHINE")]
        machine: Option<String>,
        /// The orphans
        #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
        units: Vec<String>,
    },
}

/// What to do with the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterAction {
    /// Show who leads, what is missing, and what is wrong; ends with 1 where something is
    Status,
}

/// What to do with one machine.
#[derive(Args, Debug)]
pub struct Machine {
    /// What to do.
    #[command(subcommand)]
    pub action: MachineAction,
}

/// What to do with one machine.
#[derive(Debug, Subcommand)]
pub enum MachineAction {
    /// Show a machine's metadata, or change it; what is changed here goes before its configuration
    #[command(help_template = COMMAND_HELP)]
    Metadata {
        /// The machine: its id, the beginning of it, or its hostname
        #[arg(value_name = "MACHINE", help_heading = "ARGUMENTS")]
        machine: String,
        /// key=value sets, key- removes
        #[arg(value_name = "CHANGE", help_heading = "ARGUMENTS")]
        changes: Vec<String>,
    },
}

/// What to show of a journal.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Journal {
    /// How many lines of the past
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub lines: u64,
    /// Go on with what comes
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// An output mode of journalctl
    #[arg(long, value_name = "MODE", default_value = "short")]
    pub output: String,
    /// Only on this machine; else that of each machine that has the unit
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// Read it as root, where it is read by ssh: fleetd does so anyhow
    #[arg(long)]
    pub sudo: bool,
    /// The port of ssh, towards a fleetd that cannot be asked for it
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// The unit
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}

/// Units whose status to show.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct Status {
    /// Only on this machine
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// The port of ssh, towards a fleetd that cannot be asked for it
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// The units
    #[arg(value_name = "UNIT", help_heading = "ARGUMENTS")]
    pub units: Vec<String>,
}
