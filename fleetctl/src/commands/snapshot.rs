//! `fleetctl snapshot`

use std::io::Write;

use fleet_api::Client;
use futures::{StreamExt, pin_mut};

use crate::error::CommandError;
use crate::output::Output;

/// Prints the records that decisions hang on.
pub async fn run(client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = || CommandError::doing("Error taking a snapshot of the cluster");
    let chunks = client.snapshot().await.map_err(doing())?;
    pin_mut!(chunks);
    while let Some(chunk) = chunks.next().await {
        output.out().write_all(&chunk.map_err(doing())?)?;
    }
    writeln!(output.out())?;
    Ok(0)
}
