//! The registry of a real `fleetd`, backed up and put back, while it runs and while it does not.

mod common;

use bytes::Bytes;
use common::{Running, fleetd, output};
use fleet_api::v2::{RestoreRequest, UnitChange, UnitsRequest};
use fleet_api::{ApiError, Client};
use fleet_units::DesiredState;
use futures::StreamExt;
use sha2::{Digest, Sha256};

fn client(running: &Running) -> Client {
    Client::new(format!("unix://{}", running.socket().display()).parse().unwrap())
}

async fn submit(client: &Client, name: &str) {
    let change = UnitChange {
        name: name.to_owned(),
        text: Some("[Service]\nExecStart=/bin/sleep 1000\n".to_owned()),
        desired_state: Some(DesiredState::Inactive),
        ..UnitChange::default()
    };
    let answer = client.change_units(&UnitsRequest { units: vec![change] }).await.unwrap();
    assert_eq!(answer.units.len(), 1, "{answer:?}");
}

async fn names(client: &Client) -> Vec<String> {
    client.units::<&str>(&[]).await.unwrap().units.into_iter().map(|unit| unit.name).collect()
}

#[tokio::test]
async fn a_backup_is_put_back_while_fleetd_runs_and_into_a_new_registry() {
    let mut running = Running::start("registry=embedded\nregistry_listen=127.0.0.1:0");
    running.wait_for_socket();
    let client = client(&running);
    submit(&client, "kept.service").await;
    let parts: Vec<_> = client.registry_snapshot().await.unwrap().collect().await;
    let backup: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap()).collect();
    submit(&client, "later.service").await;

    // Nothing is done with what was not uploaded, or not whole.
    let sha256: String = Sha256::digest(&backup).iter().map(|byte| format!("{byte:02x}")).collect();
    let request = RestoreRequest { sha256, accept: false };
    assert_eq!(client.restore_registry(&request).await.unwrap_err().status(), Some(409));
    let (first, second) = backup.split_at(backup.len() / 2);
    client.upload_snapshot(0, Bytes::copy_from_slice(first)).await.unwrap();
    let refused = client.restore_registry(&request).await;
    assert!(matches!(refused, Err(ApiError::Refused { status: 409, .. })), "{refused:?}");
    client.upload_snapshot(first.len() as u64, Bytes::copy_from_slice(second)).await.unwrap();

    let seen = client.restore_registry(&request).await.unwrap();
    assert!(seen.verified && seen.embedded && seen.kept.is_none(), "{seen:?}");
    assert_eq!((seen.backup.units, seen.present.units), (1, 2));
    assert_eq!(seen.backup.cluster, seen.present.cluster);
    assert_eq!(names(&client).await, ["kept.service", "later.service"], "looking changes nothing");

    let done = client.restore_registry(&RestoreRequest { accept: true, ..request.clone() }).await.unwrap();
    let kept = done.kept.unwrap();
    assert!(std::fs::metadata(&kept).is_ok(), "{kept}");
    let limit = std::time::Instant::now() + common::LIMIT;
    while names(&client).await != ["kept.service"] {
        assert!(std::time::Instant::now() < limit, "{:?}: {}", names(&client).await, running.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    submit(&client, "again.service").await;
    running.signal("TERM");
    assert_eq!(running.end(), 0, "{}", running.log());

    // The same into a registry that nobody has open.
    let file = running.directory.path().join("backup");
    std::fs::write(&file, &backup).unwrap();
    let registry = running.directory.path().join("registry");
    let mut restore = fleetd();
    restore.args(["registry", "restore", "--data-dir"]).arg(&registry).arg(&file);
    let (code, _, error) = output(&mut restore);
    assert!(code == 1 && error.contains("--replace"), "{error}");
    let (code, said, error) = output(restore.arg("--replace"));
    assert!(code == 0 && said.contains("former registry is kept"), "{said}{error}");
    let (code, _, error) = output(
        fleetd().args(["registry", "restore", "--data-dir"]).arg(&registry).arg(running.directory.path().join("log")),
    );
    assert!(code == 1 && error.contains("it is no snapshot"), "{error}");
    running.child = common::command_in(running.directory.path()).spawn().unwrap();
    running.wait_for_socket();
    assert_eq!(names(&client).await, ["kept.service"]);
}
