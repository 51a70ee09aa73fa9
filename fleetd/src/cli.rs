//! The command line: every option of the configuration as a flag, and a few words besides.

mod migrate;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::archive::MigrateArguments;
use crate::config::{self, Config, ListenAddress, OPTIONS, Raw, Sources};

/// What fleetd was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Be the daemon.
    Run(RunArguments),
    /// Check the configuration and print it.
    Check(RunArguments),
    /// Serve the embedded registry alone.
    Registry(RegistryArguments),
    /// Move the registry to etcd, or back.
    Migrate(MigrateArguments),
    /// Make a registry of a snapshot.
    Restore(RestoreArguments),
    /// Print the version.
    Version,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunArguments {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Options given as flags.
    pub flags: Vec<(&'static str, String)>,
    /// `--dev`: all of a user's own, and no configuration.
    pub dev: bool,
}

impl RunArguments {
    /// Reads the configuration that they lead to, with the environment as it is.
    ///
    /// # Errors
    /// When it cannot be read, or makes no sense.
    pub fn load(&self) -> anyhow::Result<(Config, Raw)> {
        let dev = if self.dev { config::dev_defaults(|name| std::env::var(name).ok())? } else { Vec::new() };
        let sources = Sources { dev, file: self.config.as_deref(), flags: self.flags.clone() };
        Ok(config::load(sources, std::env::vars())?)
    }
}

/// `fleetd registry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryArguments {
    /// Where to serve.
    pub listen: ListenAddress,
    /// Where the data is.
    pub directory: PathBuf,
    /// Serve in plain text beyond this machine.
    pub insecure: bool,
}

/// `fleetd registry restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreArguments {
    /// The snapshot.
    pub snapshot: PathBuf,
    /// Where the data is to be.
    pub directory: PathBuf,
    /// Put a registry that is there aside.
    pub replace: bool,
}

/// Text for the person, and the exit code that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to print.
    pub message: String,
    /// 0 for help, 1 for arguments that fleetd does not take, 2 for flags that it does not know.
    pub code: u8,
}

/// Reads the arguments, the program's name first.
///
/// # Errors
/// With what to print when there is nothing to run.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let arguments = arguments.into_iter().enumerate().map(|(i, a)| if i == 0 { a } else { two_dashes(a) });
    let matches = command().try_get_matches_from(arguments).map_err(|error| Refusal {
        message: error.to_string(),
        code: match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => 2,
        },
    })?;
    if matches.get_flag("version") {
        return Ok(Invocation::Version);
    }
    match matches.subcommand() {
        Some(("version", _)) => Ok(Invocation::Version),
        Some(("registry", matches)) => registry(matches),
        Some((other, _)) => Err(Refusal {
            message: format!("fleetd takes no arguments, and `{other}` is one: did you mean `fleetctl {other}`?\n"),
            code: 1,
        }),
        None => {
            let run = run_arguments(&matches);
            Ok(if matches.get_flag("check") { Invocation::Check(run) } else { Invocation::Run(run) })
        }
    }
}

/// Flags may be written with one dash, as in Go.
fn two_dashes(argument: OsString) -> OsString {
    match argument.to_str().and_then(|a| a.strip_prefix('-')) {
        Some(flag) if flag.len() > 1 && flag.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            OsString::from(format!("--{flag}"))
        }
        _ => argument,
    }
}

fn command() -> Command {
    let mut command = Command::new("fleetd")
        .about("The fleet daemon: runs units on this machine, and decides for the cluster where units run")
        .after_help("To tell the cluster what to run, use fleetctl.")
        .disable_help_subcommand(true)
        .allow_external_subcommands(true)
        .args_conflicts_with_subcommands(true)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("PATH")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Configuration file; must exist [default: /etc/fleet/fleet.conf if it exists]"),
        )
        .arg(
            Arg::new("dev").long("dev").action(ArgAction::SetTrue).help(
                "Try fleet as a user: no root, no configuration, the registry inside, and the user's own systemd",
            ),
        )
        .arg(Arg::new("check").long("check").action(ArgAction::SetTrue).help("Check the configuration, and print it"))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("Print the version"))
        .subcommand(Command::new("version").about("Print the version"))
        .subcommand(
            Command::new("registry")
                .about("Serve the embedded registry alone")
                .arg(
                    Arg::new("listen")
                        .long("listen")
                        .value_name("ADDRESS")
                        .default_value("127.0.0.1:2379")
                        .value_parser(ListenAddress::parse)
                        .help("Address or path of a unix socket"),
                )
                .arg(data_dir())
                .args_conflicts_with_subcommands(true)
                .subcommand(migrate::command())
                .subcommand(
                    Command::new("restore")
                        .about("Make a registry of a snapshot, while no fleetd has it open; fleetctl does it while one runs")
                        .arg(data_dir())
                        .arg(
                            Arg::new("replace")
                                .long("replace")
                                .action(ArgAction::SetTrue)
                                .help("Put a registry that is there already aside"),
                        )
                        .arg(
                            Arg::new("snapshot")
                                .value_name("FILE")
                                .required(true)
                                .value_parser(clap::value_parser!(PathBuf))
                                .help("What fleetctl registry backup or etcdctl snapshot save wrote, or the database of an etcd"),
                        ),
                )
                .arg(
                    Arg::new("insecure")
                        .long("insecure")
                        .action(ArgAction::SetTrue)
                        .help("Serve in plain text beyond this machine"),
                ),
        );
    for option in OPTIONS {
        let mut arg = Arg::new(option.name).long(option.name).alias(dashed(option.name)).help(option.help);
        arg = match option.switch {
            true => arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL"),
            false => arg.value_name("VALUE").allow_hyphen_values(true),
        };
        command = command.arg(arg);
    }
    command
}

fn data_dir() -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("DIRECTORY")
        .default_value("/var/lib/fleet/registry")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Where the data is")
}

/// `etcd-servers` for `etcd_servers`. Made at most once a process, hence leaked: clap's names are static.
fn dashed(name: &'static str) -> &'static str {
    if name.contains('_') { Box::leak(name.replace('_', "-").into_boxed_str()) } else { name }
}

fn run_arguments(matches: &ArgMatches) -> RunArguments {
    let flag = |name: &'static str| matches.get_one::<String>(name).map(|value| (name, value.clone()));
    RunArguments {
        config: matches.get_one::<PathBuf>("config").cloned(),
        flags: OPTIONS.iter().filter_map(|option| flag(option.name)).collect(),
        dev: matches.get_flag("dev"),
    }
}

fn registry(matches: &ArgMatches) -> Result<Invocation, Refusal> {
    if let Some(("migrate", matches)) = matches.subcommand() {
        let missing = || Refusal { message: "fleetd registry migrate: --to is needed\n".to_owned(), code: 2 };
        return migrate::read(matches).map(Invocation::Migrate).ok_or_else(missing);
    }
    if let Some(("restore", matches)) = matches.subcommand() {
        let missing = || Refusal { message: "fleetd registry restore: FILE is needed\n".to_owned(), code: 2 };
        let path = |name| matches.get_one::<PathBuf>(name).cloned().ok_or_else(missing);
        return Ok(Invocation::Restore(RestoreArguments {
            snapshot: path("snapshot")?,
            directory: path("data-dir")?,
            replace: matches.get_flag("replace"),
        }));
    }
    let missing = || Refusal { message: "fleetd registry: --listen and --data-dir are needed\n".to_owned(), code: 2 };
    Ok(Invocation::Registry(RegistryArguments {
        listen: matches.get_one::<ListenAddress>("listen").cloned().ok_or_else(missing)?,
        directory: matches.get_one::<PathBuf>("data-dir").cloned().ok_or_else(missing)?,
        insecure: matches.get_flag("insecure"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Invocation, Refusal> {
        parse(std::iter::once("fleetd").chain(arguments.iter().copied()).map(OsString::from))
    }

    fn run(arguments: &[&str]) -> RunArguments {
        match parsed(arguments) {
            Ok(Invocation::Run(run)) => run,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn every_option_is_a_flag_in_each_spelling() {
        for option in OPTIONS {
            let value = if option.switch { "false" } else { "x" };
            for name in [option.name.to_owned(), option.name.replace('_', "-")] {
                for dashes in ["-", "--"] {
                    let arguments = run(&[&format!("{dashes}{name}={value}")]);
                    assert_eq!(arguments.flags, [(option.name, value.to_owned())]);
                }
            }
        }
        assert_eq!(run(&["--disable_engine"]).flags, [("disable_engine", "true".to_owned())]);
        assert_eq!(run(&["-config", "/x", "--public_ip", "1.2.3.4"]).config, Some(PathBuf::from("/x")));
    }

    #[test]
    fn the_words() {
        for version in [&["version"][..], &["--version"], &["-version"]] {
            assert_eq!(parsed(version), Ok(Invocation::Version));
        }
        assert_eq!(parsed(&["--check"]), Ok(Invocation::Check(RunArguments::default())));
        let Ok(Invocation::Registry(registry)) = parsed(&["registry", "--listen", "/r.sock", "--data-dir", "/d"])
        else {
            panic!("no registry");
        };
        assert_eq!(registry.listen, ListenAddress::Unix("/r.sock".into()));
        assert!(!registry.insecure);
        let restore = RestoreArguments { snapshot: "/s".into(), directory: "/d".into(), replace: true };
        let words = ["registry", "restore", "/s", "--data-dir", "/d", "--replace"];
        assert_eq!(parsed(&words), Ok(Invocation::Restore(restore)));
        assert_eq!(parsed(&["registry", "restore"]).unwrap_err().code, 2);
        let Ok(Invocation::Migrate(migrate)) = parsed(&["registry", "migrate", "--to", "embedded"]) else {
            panic!("no migration");
        };
        assert_eq!((migrate.to, migrate.service.as_str()), (crate::archive::Destination::Embedded, "fleet.service"));
        assert_eq!(parsed(&["registry", "migrate", "--to", "nowhere"]).unwrap_err().code, 2);
    }

    #[test]
    fn what_is_no_argument_or_flag_is_refused_with_its_code() {
        let refusal = parsed(&["list-units"]).unwrap_err();
        assert_eq!(refusal.code, 1);
        assert!(refusal.message.contains("fleetctl list-units"), "{}", refusal.message);
        assert_eq!(parsed(&["--no-such-flag"]).unwrap_err().code, 2);
        assert_eq!(parsed(&["registry", "--listen", "nowhere"]).unwrap_err().code, 2);
        assert_eq!(parsed(&["--help"]).unwrap_err().code, 0);
    }
}
