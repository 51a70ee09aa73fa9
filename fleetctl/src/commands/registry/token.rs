//! `fleetctl registry token`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::TokenRequest;

use crate::cli::Token;
use crate::error::CommandError;
use crate::output::Output;

/// Prints a token: alone on standard output, so that it can be passed on, and what to do with it beside it.
pub(super) async fn run(arguments: &Token, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let request = TokenRequest { ttl_seconds: Some(arguments.ttl.as_secs()), uses: Some(arguments.uses) };
    let answer = client.make_token(&request).await.map_err(CommandError::doing("Error making a token"))?;
    let machines = match answer.uses {
        1 => "one machine".to_owned(),
        uses => format!("{uses} machines"),
    };
    writeln!(
        output.err()?,
        "Good for {machines} until {}. Whoever has it can join: set registry_join= to it in /etc/fleet/fleet.conf there, or \
         to a file that holds it, and start fleetd.",
        answer.expires
    )?;
    writeln!(output.out(), "{}", answer.token)?;
    Ok(0)
}
