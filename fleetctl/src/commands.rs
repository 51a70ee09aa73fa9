//! One module a command.

pub mod brake;
pub mod cat;
pub mod cluster;
pub mod cordon;
pub mod destroy;
pub mod drain;
pub mod explain;
pub mod fd_forward;
pub mod forget;
pub mod import;
pub mod join;
pub mod journal;
pub mod list_machines;
pub mod list_unit_files;
pub mod list_units;
pub mod load;
pub mod machine;
pub mod orphans;
pub mod plan;
pub mod rebalance;
pub mod registry;
pub mod restart;
pub mod snapshot;
pub mod ssh;
pub mod start;
pub mod status;
pub mod stop;
pub mod submit;
pub mod uncordon;
pub mod unload;
pub mod verify;
pub mod version;

mod change;
mod follow;
mod lookup;
mod machines;
mod remote;
mod waiting;
mod words;

use std::io::Write;

use crate::cli::Command;
use crate::error::CommandError;
use crate::output::Output;
use crate::settings::Settings;

/// Runs a command, and gives what the process ends with.
pub async fn run(command: &Command, settings: &Settings, output: &mut Output) -> Result<u8, CommandError> {
    for warning in &settings.warnings {
        writeln!(output.err()?, "{warning}")?;
    }
    let (client, ssh) = (&settings.client(), &settings.ssh);
    match command {
        Command::Brake(arguments) => brake::run(arguments, client, output).await,
        Command::Cat(arguments) => cat::run(arguments, client, output).await,
        Command::Cluster(arguments) => cluster::run(arguments, client, output).await,
        Command::Cordon(arguments) => cordon::run(arguments, client, output).await,
        Command::Destroy(arguments) => destroy::run(arguments, client, output).await,
        Command::Drain(arguments) => drain::run(arguments, client, output).await,
        Command::Explain(arguments) => explain::run(arguments, client, output).await,
        Command::FdForward(arguments) => fd_forward::run(arguments, output).await,
        Command::Forget(arguments) => forget::run(arguments, client, output).await,
        Command::Import(arguments) => import::run(arguments, settings, client, output).await,
        Command::Join(arguments) => join::run(arguments, client, output).await,
        Command::Journal(arguments) => journal::run(arguments, ssh, client, output).await,
        Command::ListMachines(arguments) => list_machines::run(arguments, client, output).await,
        Command::ListUnitFiles(arguments) => list_unit_files::run(arguments, client, output).await,
        Command::ListUnits(arguments) => list_units::run(arguments, client, output).await,
        Command::Load(arguments) => load::run(arguments, client, output).await,
        Command::Machine(arguments) => machine::run(arguments, client, output).await,
        Command::Orphans(arguments) => orphans::run(arguments, client, output).await,
        Command::Plan(arguments) => plan::run(arguments, settings, client, output).await,
        Command::Rebalance(arguments) => rebalance::run(arguments, client, output).await,
        Command::Registry(arguments) => registry::run(arguments, client, output).await,
        Command::Restart(arguments) => restart::run(arguments, client, output).await,
        Command::Snapshot => snapshot::run(client, output).await,
        Command::Ssh(arguments) => ssh::run(arguments, ssh, client, output).await,
        Command::Start(arguments) => start::run(arguments, settings, client, output).await,
        Command::Status(arguments) => status::run(arguments, ssh, client, output).await,
        Command::Stop(arguments) => stop::run(arguments, client, output).await,
        Command::Submit(arguments) => submit::run(arguments, client, output).await,
        Command::Uncordon(arguments) => uncordon::run(arguments, client, output).await,
        Command::Unload(arguments) => unload::run(arguments, client, output).await,
        Command::Verify(_) => Err(verify::deprecated()),
        Command::Version => version::run(output),
    }
}
