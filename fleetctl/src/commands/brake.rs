//! `fleetctl brake`

use std::io::Write;
use std::time::Duration;

use fleet_api::Client;
use fleet_api::v2::{BrakeView, ClusterStatus};
use tokio::time::{Instant, sleep};

use super::{cluster, machines};
use crate::cli::{Brake, BrakeAction};
use crate::error::CommandError;
use crate::output::Output;

/// How long the leader may take to take the brake off.
const LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked whether it did.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the brake, or releases it.
pub async fn run(arguments: &Brake, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    match arguments.action {
        BrakeAction::Status => {
            let cluster = machines::cluster(client, output).await?;
            writeln!(output.out(), "{}", words(&cluster))?;
            Ok(u8::from(cluster.brake.is_some()))
        }
        BrakeAction::Release => release(client, output).await,
    }
}

/// The brake in a sentence.
pub fn words(status: &ClusterStatus) -> String {
    match &status.brake {
        None => "The brake is off.".to_owned(),
        Some(brake) => format!(
            "The brake has been on for {}: {}. Nothing of theirs moves until they return, engine_brake_hold has passed, or \
             \"fleetctl brake release\".",
            cluster::age(status.now, brake.since),
            cluster::brake_words(brake)
        ),
    }
}

/// Releases the brake, and waits until the leader has taken it off.
async fn release(client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = || CommandError::doing("Error releasing the brake");
    if client.release_brake().await.map_err(doing())?.brake.is_none() {
        writeln!(output.out(), "The brake is off already.")?;
        return Ok(0);
    }
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        let status = client.cluster().await.map_err(doing())?;
        match status.brake {
            None if !status.stale => {
                writeln!(output.out(), "The brake is released: units of machines that are lost move.")?;
                return Ok(0);
            }
            // The leader wrote it anew at the same moment, because more machines were lost.
            Some(BrakeView { released: false, .. }) => _ = client.release_brake().await.map_err(doing())?,
            _ => {}
        }
        sleep(LOOK).await;
    }
    Err(CommandError::with_hint(
        "The release is written, but no leader has taken the brake off yet.",
        "It is done as soon as one leads; \"fleetctl cluster status\" shows whether one does.",
    ))
}
