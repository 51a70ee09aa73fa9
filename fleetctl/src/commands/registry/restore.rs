//! `fleetctl registry restore`

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use bytes::Bytes;
use fleet_api::Client;
use fleet_api::v2::{MachineRef, RegistryContent, RestoreAnswer, RestoreEffect, RestoreEffectKind, RestoreRequest};
use sha2::{Digest, Sha256};

use crate::cli::Restore;
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;

/// A request's body is well below what fleetd takes.
const PART_BYTES: u64 = 4 << 20;

/// Shows what putting a backup in the registry's place would mean, and does it when a person says so.
pub(super) async fn run(arguments: &Restore, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = || CommandError::doing("Error restoring the registry");
    let sha256 = upload(&arguments.file, client).await?;
    let request = RestoreRequest { sha256, accept: false };
    let seen = client.restore_registry(&request).await.map_err(doing())?;
    write!(output.out(), "{}", preview(&seen))?;
    if seen.backup.cluster != seen.present.cluster {
        return Err(CommandError::with_hint(
            "The backup is of another cluster: with it, machines would find a foreign registry, and touch nothing.",
            "Nothing was changed. To make a registry of it elsewhere, use \"fleetd registry restore\".",
        ));
    }
    if !seen.embedded {
        return Err(CommandError::with_hint(
            "The fleetd that was asked does not carry the registry. Nothing was changed.",
            "Ask the one that does (--endpoint); an etcd is restored by its own \"etcdctl snapshot restore\".",
        ));
    }
    if !arguments.yes && !confirmed(output)? {
        return Err(CommandError::with_hint("Nothing was changed.", "Say --yes to restore without being asked."));
    }
    let done = client.restore_registry(&RestoreRequest { accept: true, ..request }).await.map_err(doing())?;
    writeln!(
        output.out(),
        "The registry is restored. The former one is kept in {}.",
        done.kept.as_deref().unwrap_or("no file")
    )?;
    Ok(0)
}

/// Sends the file. Returns its SHA-256.
async fn upload(path: &Path, client: &Client) -> Result<String, CommandError> {
    let cannot = |error: io::Error| CommandError::message(format!("Cannot read {}: {error}.", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let mut sum = Sha256::new();
    let mut offset = 0;
    loop {
        let mut part = Vec::new();
        (&mut file).take(PART_BYTES).read_to_end(&mut part).map_err(cannot)?;
        if part.is_empty() && offset > 0 {
            break;
        }
        sum.update(&part);
        let length = part.len() as u64;
        let sent = client.upload_snapshot(offset, Bytes::from(part)).await;
        sent.map_err(CommandError::doing("Error sending the backup"))?;
        offset += length;
        if length == 0 {
            break;
        }
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Asks, where there is a person to ask.
fn confirmed(output: &mut Output) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    write!(output.err()?, "Restore the registry? [y/N] ")?;
    output.err()?.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// What a restore would mean.
fn preview(seen: &RestoreAnswer) -> String {
    let content = |content: &RegistryContent| {
        let cluster = content.cluster.as_deref().unwrap_or("none");
        format!("revision {}, {} units, cluster {cluster}", content.revision, content.units)
    };
    let mut text = format!("Backup:   {}\nRegistry: {}\n", content(&seen.backup), content(&seen.present));
    if !seen.verified {
        text.push_str(
            "No checksum vouches for the backup: it was not made by \"snapshot save\" or \"registry backup\".\n",
        );
    }
    if seen.users {
        text.push_str("The etcd that it is of asked for users and passwords; this registry does not.\n");
    }
    if seen.effects.is_empty() {
        text.push_str("What runs goes on as it is.\n");
    }
    for (kind, words) in [
        (RestoreEffectKind::Stop, "stop"),
        (RestoreEffectKind::Start, "start"),
        (RestoreEffectKind::Move, "move: they stop, and start elsewhere"),
        (RestoreEffectKind::Replace, "stop, and start with the backup's text"),
        (RestoreEffectKind::Orphan, "go on running as orphans: the backup does not know them"),
        (RestoreEffectKind::Other, "change in a way that this fleetctl does not know"),
    ] {
        let of_kind: Vec<&RestoreEffect> = seen.effects.iter().filter(|effect| effect.kind == kind).collect();
        if !of_kind.is_empty() {
            text.push_str(&format!("\nUnits that {words}: {}\n", of_kind.len()));
            of_kind.iter().for_each(|effect| text.push_str(&format!("    {}\n", line(effect))));
        }
    }
    text.push_str("\nChanges since the backup are lost. Machines see it as an outage that ends: leases begin anew.\n");
    text
}

fn line(effect: &RestoreEffect) -> String {
    let shown = |machine: &MachineRef| fields::machine(machine, false);
    match (&effect.from, &effect.to) {
        (Some(from), Some(to)) if from != to => format!("{} from {} to {}", effect.unit, shown(from), shown(to)),
        (Some(at), _) | (None, Some(at)) => format!("{} on {}", effect.unit, shown(at)),
        (None, None) => effect.unit.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str) -> Option<MachineRef> {
        Some(MachineRef { id: id.repeat(32), address: "192.0.2.2".into() })
    }

    #[test]
    fn every_unit_is_named_with_what_becomes_of_it() {
        let effect = |kind, unit: &str, from, to| RestoreEffect { kind, unit: unit.into(), from, to };
        let content = |revision| RegistryContent { cluster: Some("c".into()), revision, units: 3 };
        let seen = RestoreAnswer {
            backup: content(7),
            present: content(90),
            effects: vec![
                effect(RestoreEffectKind::Stop, "a.service", at("1"), None),
                effect(RestoreEffectKind::Move, "b.service", at("1"), at("2")),
                effect(RestoreEffectKind::Orphan, "c.service", at("2"), None),
            ],
            verified: true,
            ..RestoreAnswer::default()
        };
        insta::assert_snapshot!(preview(&seen), @r"
        Backup:   revision 7, 3 units, cluster c
        Registry: revision 90, 3 units, cluster c

        Units that stop: 1
            a.service on 11111111.../192.0.2.2

        Units that move: they stop, and start elsewhere: 1
            b.service from 11111111.../192.0.2.2 to 22222222.../192.0.2.2

        Units that go on running as orphans: the backup does not know them: 1
            c.service on 22222222.../192.0.2.2

        Changes since the backup are lost. Machines see it as an outage that ends: leases begin anew.
        ");
        let said = preview(&RestoreAnswer { users: true, ..RestoreAnswer::default() });
        assert!(
            said.contains("goes on as it is") && said.contains("No checksum") && said.contains("passwords"),
            "{said}"
        );
    }
}
