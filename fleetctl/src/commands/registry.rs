//! `fleetctl registry`

mod backup;
mod migrate;
mod restore;
mod token;

use fleet_api::Client;

use crate::cli::{Registry, RegistryAction};
use crate::error::CommandError;
use crate::output::Output;

/// Does what was asked of the registry.
pub async fn run(arguments: &Registry, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    match &arguments.action {
        RegistryAction::Backup(backup) => backup::run(backup, client, output).await,
        RegistryAction::Migrate(migrate) => migrate::run(migrate),
        RegistryAction::Restore(restore) => restore::run(restore, client, output).await,
        RegistryAction::Token(token) => token::run(token, client, output).await,
    }
}
