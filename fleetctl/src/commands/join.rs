//! `fleetctl join`

use std::io::Write;

use fleet_api::Client;
use fleet_api::v2::{ForeignRegistry, JoinRequest, Membership};

use crate::cli::Join;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// Shows whose registry the machine finds, and what joining would mean; with `--accept`, joins.
pub async fn run(arguments: &Join, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let before = client.membership().await.map_err(CommandError::doing("Error retrieving the machine's cluster"))?;
    let Some(foreign) = &before.foreign else {
        let words = at_home(&before);
        if arguments.accept {
            return Err(CommandError::with_hint(words, "There is nothing to accept."));
        }
        writeln!(output.out(), "{words}")?;
        return Ok(0);
    };
    if !arguments.accept {
        write!(output.out(), "{}", preview(&before, foreign))?;
        return Ok(0);
    }
    let request = JoinRequest { cluster: foreign.cluster.clone() };
    let after = client.join(&request).await.map_err(CommandError::doing("Error joining the cluster"))?;
    write!(output.out(), "{}", joined(&after, foreign))?;
    Ok(0)
}

/// Nothing is foreign.
pub fn at_home(machine: &Membership) -> String {
    let shown = fields::machine(&machine.machine, false);
    match &machine.cluster {
        Some(cluster) if machine.present => {
            format!("Machine {shown} is a member of cluster {cluster}, and finds that cluster's registry.")
        }
        Some(cluster) => format!("Machine {shown} is a member of cluster {cluster}, and finds no other's registry."),
        None => format!("Machine {shown} is a member of no cluster yet, and joins the one whose registry it finds."),
    }
}

/// What joining would mean.
pub fn preview(machine: &Membership, foreign: &ForeignRegistry) -> String {
    let shown = fields::machine(&machine.machine, false);
    let own = machine.cluster.as_deref().unwrap_or("unknown");
    let (found, would) = match &foreign.cluster {
        Some(other) => (format!("is that of cluster {other}"), format!("a member of cluster {other}")),
        None => ("is empty".to_owned(), "the first member of a new cluster".to_owned()),
    };
    let mut text = format!(
        "Machine {shown} is a member of cluster {own}, but the registry that it finds {found}.\n\
         It touches nothing until it finds its own again, or a person decides.\n\n\
         \"fleetctl join --accept\" would make it {would}, without a restart of fleetd.\n",
    );
    text.push_str(&match foreign.units.len() {
        0 => "It holds no units.\n".to_owned(),
        1 => "The unit that it holds would go on running as an orphan:\n".to_owned(),
        units => format!("The {units} units that it holds would go on running as orphans:\n"),
    });
    for unit in &foreign.units {
        text.push_str(&format!("    {unit}\n"));
    }
    if !foreign.units.is_empty() {
        text.push_str(
            "An orphan is left alone until the new cluster puts a unit of the same name and text on this machine, which it\n\
             then is, or until \"fleetctl orphans stop\". If their own cluster still runs them elsewhere, they run twice.\n",
        );
    }
    text
}

/// What has become of it.
pub fn joined(machine: &Membership, foreign: &ForeignRegistry) -> String {
    let shown = fields::machine(&machine.machine, false);
    let cluster = machine.cluster.as_deref().unwrap_or("unknown");
    let mut text = format!("Machine {shown} is a member of cluster {cluster} now.\n");
    if !foreign.units.is_empty() {
        text.push_str(&format!("Units that run as orphans: {}; see \"fleetctl orphans\".\n", foreign.units.len()));
    }
    if !machine.present {
        text.push_str("It does not take part yet; \"fleetctl cluster status\" shows when it does.\n");
    }
    text
}
