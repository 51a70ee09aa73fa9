//! `fleetctl cat`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::UnitText;

use crate::cli::UnitNames;
use crate::error::CommandError;
use crate::output::Output;

/// Prints a unit's text, byte for byte as it was submitted.
pub async fn run(arguments: &UnitNames, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let name = super::lookup::one(&arguments.units, "One unit file must be provided", client).await?;
    let text = client.unit_text(name.as_str()).await.map_err(|error| match error.is_not_found() {
        true => CommandError::message(format!("Unit {name} not found")),
        false => CommandError::doing(format!("Error retrieving Unit {name}"))(error),
    })?;
    output.out().write_all(render(&text).as_bytes())?;
    Ok(0)
}

/// What is printed: the text, and below it each drop-in under a line that names its file.
pub fn render(unit: &UnitText) -> String {
    let mut text = unit.text.clone();
    for (file, drop_in) in &unit.drop_ins {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("\n# {file}\n{drop_in}"));
    }
    text
}
