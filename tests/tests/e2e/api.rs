//! The API, asked by programs: CoreOS fleet's answers, and a message for every mistake.

use anyhow::{Context, Result};
use fleet_tests::cluster::Cluster;
use serde_json::{Value, json};

use crate::support::{Answer, Person, SLEEPER, curl, once, until, view};

const JSON: [&str; 4] = ["--header", "Content-Type: application/json", "--data-binary", "@-"];

/// Programs written for CoreOS fleet's API would lose it, or their connection: each unit is made, changed, listed, and
/// deleted as ever.
#[test]
fn version_1_serves_programs_written_for_fleet() {
    Cluster::builder().machines(2).option_on(2, "listen", "192.0.2.2:49153").run(|cluster| {
        cluster.wait_machines(2)?;
        let options = json!([{"section": "Service", "name": "ExecStart", "value": "/bin/sleep infinity"}]);
        let body = json!({"desiredState": "launched", "options": options}).to_string();
        let answer = send(cluster, "PUT", "/fleet/v1/units/old.service", &body)?;
        assert_eq!((answer.status, answer.body.as_str()), (201, ""), "{answer:?}");
        let run = once(cluster, &["old.service"])?["old.service"].clone();

        let unit: Value = until("it is not launched", || {
            let unit: Value = get(cluster, "/fleet/v1/units/old.service")?;
            anyhow::ensure!(unit["currentState"] == "launched", "{unit}");
            Ok(unit)
        })?;
        assert_eq!(unit["options"], options);
        assert_eq!(unit["machineID"], json!(cluster.node(run.machine).machine_id()));
        let states: Value = get(cluster, "/fleet/v1/state?unitName=old.service")?;
        assert_eq!(states["states"][0]["systemdActiveState"], "active");
        let machines: Value = get(cluster, "/v1-alpha/machines")?;
        assert_eq!(machines["machines"][1]["primaryIP"], "192.0.2.2");
        assert_eq!(get(cluster, "/fleet/v1/units")?["units"][0]["name"], "old.service");
        // Over TCP where that was asked for, from another machine.
        let person = Person::at(cluster, 1);
        let list = person.fleetctl("--endpoint=http://192.0.2.2:49153 list-units --no-legend --fields=unit,sub")?;
        assert_eq!(list.split_whitespace().collect::<Vec<_>>(), ["old.service", "running"]);

        let stop = send(cluster, "PUT", "/fleet/v1/units/old.service", r#"{"desiredState":"inactive"}"#)?;
        assert_eq!(stop.status, 204, "{stop:?}");
        until("it is not inactive", || {
            let view = view(cluster, 2, "old.service")?;
            anyhow::ensure!(view.machine.is_none() && view.states.is_empty(), "{view:?}");
            Ok(())
        })?;
        assert_eq!(cluster.running_on("old.service"), Vec::<u8>::new());
        assert_eq!(curl(cluster, 1, "/fleet/v1/units/old.service", &["--request", "DELETE"], b"")?.status, 204);
        let gone = curl(cluster, 1, "/fleet/v1/units/old.service", &[], b"")?;
        assert_eq!((gone.status, gone.message()?.as_str()), (404, "unit does not exist"));

        mistakes(cluster)
    });
}

/// Each gets a status and a message, on a connection that stays whole.
fn mistakes(cluster: &Cluster) -> Result<()> {
    let unit = "/fleet/v1/units/x.service";
    let many = "x".repeat(40 << 20);
    for (method, path, content_type, body, status) in [
        ("PUT", unit, "application/json", "{", 400),
        ("PUT", unit, "application/json", "[1]", 400),
        ("PUT", unit, "application/json", r#"{"desiredState":"bogus"}"#, 400),
        ("PUT", unit, "application/json", r#"{"name":"y.service"}"#, 400),
        ("PUT", unit, "application/json", r#"{"desiredState":"launched"}"#, 409),
        ("PUT", "/fleet/v1/units/nonsense", "application/json", "{}", 400),
        ("PUT", unit, "text/plain", "{}", 415),
        ("PUT", unit, "application/json", many.as_str(), 413),
        ("POST", "/fleet/v2/units", "application/json", many.as_str(), 413),
        ("POST", "/fleet/v2/units", "application/json", "\u{0}", 400),
        ("POST", "/fleet/v2/units", "text/plain", "{}", 415),
        ("POST", "/fleet/v2/destroy", "application/json", r#"{"names":7}"#, 400),
        ("PATCH", "/fleet/v1/machines", "application/json", r#"[{"op":"move","path":"/m/metadata/k"}]"#, 400),
        ("GET", "/fleet/v1/units?nextPageToken=%%%", "application/json", "", 400),
        ("GET", "/fleet/v1/state/x.service", "application/json", "", 404),
        ("GET", "/fleet/v9/units", "application/json", "", 404),
        ("POST", "/fleet/v1/units", "application/json", "{}", 405),
    ] {
        let header = format!("Content-Type: {content_type}");
        let options = ["--request", method, "--header", &header, "--data-binary", "@-"];
        let shown = format!("{method} {path} with {} bytes of {content_type}", body.len());
        let answer = curl(cluster, 1, path, &options, body.as_bytes()).context(shown.clone())?;
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert!(!answer.message().context(shown.clone())?.is_empty(), "{shown}: {answer:?}");
    }
    // One bad unit does not keep the good one beside it out.
    let body = json!({"units": [{"name": "bad", "text": SLEEPER}, {"name": "good.service", "text": SLEEPER}]});
    let answer: Value = serde_json::from_str(&send(cluster, "POST", "/fleet/v2/units", &body.to_string())?.body)?;
    assert_eq!([&answer["units"][0]["outcome"], &answer["units"][1]["outcome"]], ["refused", "created"]);
    assert_eq!(get(cluster, "/fleet/v1/units")?["units"].as_array().map(Vec::len), Some(1));
    Ok(())
}

fn send(cluster: &Cluster, method: &str, path: &str, body: &str) -> Result<Answer> {
    let options: Vec<&str> = ["--request", method].into_iter().chain(JSON).collect();
    curl(cluster, 1, path, &options, body.as_bytes())
}

fn get(cluster: &Cluster, path: &str) -> Result<Value> {
    let answer = curl(cluster, 1, path, &[], b"")?;
    anyhow::ensure!(answer.status == 200, "GET {path}: {answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}
