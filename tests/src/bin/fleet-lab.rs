//! `fleet-lab`: boots machines by hand, and is the process behind every lab of the tests.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fleet_tests::lab::{self, Lab};

/// Real machines for fleet's tests, on this one.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The lab to use, when several run.
    #[arg(long, global = true)]
    lab: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot machines; they last until standard input ends, or until `down` with --keep.
    Up {
        /// How many.
        #[arg(short, default_value_t = 3)]
        number: u8,
        /// Leave them running.
        #[arg(long)]
        keep: bool,
    },
    /// Run a command on a machine.
    Exec {
        /// The machine's number.
        node: u8,
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Cut a machine's power.
    Kill {
        /// The machine's number.
        node: u8,
    },
    /// Boot a machine that is off, with the disk that it had.
    Boot {
        /// The machine's number.
        node: u8,
    },
    /// End a lab that was kept.
    Down,
    /// Remove what labs left that were killed.
    Sweep,
    /// Become the lab process (for the lab's own use).
    #[command(hide = true)]
    Hold,
    /// Be the lab process (for the lab's own use).
    #[command(hide = true)]
    Serve {
        /// The lab's name.
        name: String,
    },
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("fleet-lab: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let attach = || Lab::attach(options.lab.as_deref());
    match options.command {
        Command::Up { number, keep } => up(number, keep),
        Command::Exec { node, command } => Err(attach()?.find_node(node)?.command(command)?.exec().into()),
        Command::Kill { node } => attach()?.find_node(node)?.power_off_hard(),
        Command::Boot { node } => attach()?.find_node(node)?.boot(),
        Command::Down => attach()?.end(),
        Command::Sweep => {
            for folder in lab::sweep::sweep()? {
                writeln!(io::stdout(), "removed {}", folder.display())?;
            }
            Ok(())
        }
        Command::Hold => lab::hold::hold(),
        Command::Serve { name } => lab::serve::serve(&name),
    }
}

fn up(number: u8, keep: bool) -> Result<()> {
    let begin = Instant::now();
    let lab = Lab::builder().machines(number).start()?;
    let took = begin.elapsed().as_secs_f64();
    // Who has read enough may close the pipe; `println!` would panic then.
    let mut out = io::stdout();
    writeln!(out, "{} booted {number} machines in {took:.2} s", lab.name())?;
    for node in lab.nodes() {
        writeln!(out, "{}  {}  {}", node.number(), node.name(), node.ip())?;
    }
    if keep {
        writeln!(out, "fleet-lab exec NODE COMMAND runs a command on one; fleet-lab down ends them")?;
        return lab.leave();
    }
    writeln!(out, "they last until standard input ends")?;
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}
