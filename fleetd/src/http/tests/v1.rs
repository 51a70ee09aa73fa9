//! API v1, as CoreOS fleet's clients meet it.

use fleet_registry::Key;
use fleet_registry::record::Target;

use super::{Served, content, machine};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[tokio::test]
async fn paths_and_methods_answer_as_fleets_did() {
    let served = Served::new().await;
    // Where fleet said nothing.
    let elsewhere = "there is no such resource: the API is under /fleet/v1 and /fleet/v2";
    let units = "only GET supported against this resource";
    let unit = "only GET, PUT and DELETE supported against this resource";
    let machines = "only GET and PATCH supported against this resource";
    for (method, path, status, message) in [
        ("GET", "/", 405, elsewhere),
        ("GET", "/fleet/v1", 405, elsewhere),
        ("GET", "/fleet/v1/", 404, elsewhere),
        ("GET", "/fleet/v1/units/", 404, elsewhere),
        ("GET", "/fleet/v1/units/a/b", 404, elsewhere),
        ("GET", "/fleet/v1/machines/", 404, elsewhere),
        ("GET", "/nowhere", 404, elsewhere),
        ("POST", "/fleet/v1/units", 405, units),
        ("PUT", "/fleet/v1/state", 405, units),
        ("POST", "/v1-alpha/units/a.service", 405, unit),
        ("DELETE", "/fleet/v1/machines", 405, machines),
        ("PUT", "/fleet/v1/discovery", 400, "only HTTP GET supported against this resource"),
        ("GET", "/fleet/v1/units/absent.service", 404, "unit does not exist"),
        ("DELETE", "/fleet/v1/units/absent.service", 404, "unit does not exist"),
        ("GET", "/fleet/v1/state/absent.service", 404, "unit state does not exist"),
    ] {
        let answer = served.ask(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.message(), message, "{method} {path}");
        assert_eq!(answer.headers["server"], concat!("fleetd/", env!("CARGO_PKG_VERSION")));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(served.ask("HEAD", "/fleet/v1/units", &[], "").await.status, 405);
    for path in ["/fleet/v1/units", "/v1-alpha/state?alt=json", "/fleet/v1/machines"] {
        assert_eq!(served.get(path).await.body, "{}", "{path}");
    }
    assert_eq!(served.get("/fleet/v1/discovery").await.json()["id"], "fleet:v1");
}

#[tokio::test]
async fn a_unit_is_created_changed_and_destroyed() {
    let served = Served::new().await;
    let path = "/fleet/v1/units/hello.service";
    let created = served.put_unit("hello.service", "/bin/true", "").await;
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    assert!(!created.headers.contains_key("content-type"));
    assert_eq!(
        served.get(path).await.body,
        concat!(
            r#"{"currentState":"inactive","desiredState":"inactive","name":"hello.service","#,
            r#""options":[{"name":"ExecStart","section":"Service","value":"/bin/true"}]}"#,
        )
    );
    let launched = served.send("PUT", path, r#"{"desiredState":"launched"}"#).await;
    assert_eq!((launched.status, launched.body.as_str()), (204, ""));
    assert_eq!(served.get(path).await.json()["desiredState"], "launched");
    // The same text again asks only for the state.
    assert_eq!(served.put_unit("hello.service", "/bin/true", "loaded").await.status, 204);
    assert_eq!(served.get(path).await.json()["desiredState"], "loaded");
    // Another text replaces it.
    assert_eq!(served.put_unit("hello.service", "/bin/false", "").await.status, 201);
    let replaced = served.get(path).await.json();
    assert_eq!(replaced["options"][0]["value"], "/bin/false");
    assert_eq!(replaced["desiredState"], "inactive");
    assert_eq!(served.ask("DELETE", path, &[], "").await.status, 204);
    assert_eq!(served.get(path).await.status, 404);
    assert_eq!(served.ask("DELETE", path, &[], "").await.status, 404);
}

#[tokio::test]
async fn a_put_that_makes_no_sense_says_so_and_changes_nothing() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "loaded").await;
    let before = served.get("/fleet/v1/units").await.body;
    for (name, body, status, words) in [
        ("a.service", "{", 400, "unable to decode body: "),
        ("a.service", "[]", 400, "unable to decode body: "),
        (
            "a.service",
            r#"{"name":"b.service"}"#,
            400,
            r#"name in URL "a.service" differs from unit name in request body "b.service""#,
        ),
        ("a.service", r#"{"desiredState":"bogus"}"#, 400, "bogus"),
        ("a.service", "{}", 409, "must provide DesiredState to update existing unit"),
        ("a", r#"{"desiredState":"loaded"}"#, 400, r#"must contain ".""#),
        ("b.service", r#"{"desiredState":"launched"}"#, 409, "unit does not exist and options field empty"),
        (
            "t@.service",
            r#"{"desiredState":"launched","options":[{"section":"S","name":"a","value":"b"}]}"#,
            400,
            "cannot activate template",
        ),
        (
            "b.service",
            r#"{"options":[{"section":"X-Fleet","name":"Global","value":"true"},{"section":"X-Fleet","name":"MachineID","value":"m"},{"section":"Service","name":"ExecStart","value":"/x"}]}"#,
            400,
            "MachineID cannot be used with Global",
        ),
    ] {
        let answer = served.send("PUT", &format!("/fleet/v1/units/{name}"), body).await;
        assert_eq!(answer.status, status, "{name} {body}: {}", answer.body);
        assert!(answer.message().contains(words), "{name} {body}: {}", answer.body);
    }
    assert_eq!(served.get("/fleet/v1/units").await.body, before);
}

#[tokio::test]
async fn the_content_type_counts_before_anything_else() {
    let served = Served::new().await;
    let path = "/fleet/v1/units/a.service";
    for (headers, message) in [
        (&[][..], "expected 1 Content-Type, got 0"),
        (&[("Content-Type", "text/plain")], "only acceptable Content-Type is application/json"),
        (
            &[("Content-Type", "application/json"), ("Content-Type", "application/json")],
            "expected 1 Content-Type, got 2",
        ),
    ] {
        let answer = served.ask("PUT", path, headers, "{").await;
        assert_eq!(answer.status, 415);
        assert_eq!(answer.message(), message);
    }
    let parameters = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(served.ask("PUT", path, &parameters, "{}").await.status, 409);
}

#[tokio::test]
async fn listings_come_in_pages() {
    let served = Served::new().await;
    for n in 0..6 {
        served.put_unit(&format!("u{n}.service"), "/bin/true", "").await;
    }
    let first = served.get("/fleet/v1/units").await.json();
    let token = first["nextPageToken"].as_str().unwrap();
    let second = served.get(&format!("/fleet/v1/units?nextPageToken={token}")).await.json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["units"].as_array().unwrap().iter().map(|u| u["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["u0.service", "u1.service", "u2.service"]);
    assert_eq!(names(&second), ["u3.service", "u4.service", "u5.service"]);
    assert!(second["nextPageToken"].is_null(), "a full last page is the last");
    for (query, words) in [
        ("nextPageToken=%21", ""),
        ("nextPageToken=ZAACAA==", "token limit must be 3"),
        ("nextPageToken=AwAAAA==", "token page must be greater than zero"),
        ("nextPageToken=AwABAA==&nextPageToken=AwABAA==", "too many values for page token"),
    ] {
        let answer = served.get(&format!("/fleet/v1/units?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.message().contains(words), "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_current_state_is_what_the_scheduled_machine_has_reached() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "launched").await;
    served.add_machine("m1", &[]).await;
    let text = content("/bin/true");
    let uid = served.client().units(&["a.service"]).await.unwrap().units[0].uid;
    let path = "/fleet/v1/units/a.service";
    let current = |state: &'static str| move |unit: &serde_json::Value| unit["currentState"] == state;

    served.schedule("m1", &[("a.service", uid, &text)], &[], 1).await;
    assert_eq!(served.until(path, |unit| unit["machineID"] == "m1").await["currentState"], "inactive");
    // What an earlier unit of that name left behind says nothing of this one.
    served.report("m1", "a.service", uid - 1, &text, Some(Target::Launched)).await;
    served.until("/fleet/v1/state", |page| page["states"][0]["name"] == "a.service").await;
    served.until(path, current("inactive")).await;
    served.report("m1", "a.service", uid, &text, Some(Target::Loaded)).await;
    served.until(path, current("loaded")).await;
    served.report("m1", "a.service", uid, &text, Some(Target::Launched)).await;
    served.until(path, current("launched")).await;

    let state = served.get("/fleet/v1/state/a.service").await.json();
    assert_eq!(state["hash"], "86943ac9f3754cb90f8dd38bf6da7b0cad074592");
    assert_eq!(state["systemdSubState"], "running");
    for (query, count) in
        [("unitName=a.service", 1), ("unitName=b.service", 0), ("machineID=m1", 1), ("machineID=m", 0)]
    {
        let page = served.get(&format!("/fleet/v1/state?{query}")).await.json();
        assert_eq!(page["states"].as_array().map_or(0, Vec::len), count, "{query}");
    }

    // A global unit has no one machine, and no state of its own.
    let body = r#"{"desiredState":"launched","options":[{"section":"Service","name":"ExecStart","value":"/x"},
        {"section":"X-Fleet","name":"Global","value":"true"}]}"#;
    served.send("PUT", "/fleet/v1/units/g.service", body).await;
    let global = served.get("/fleet/v1/units/g.service").await.json();
    let keys: Vec<&String> = global.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["desiredState", "name", "options"]);

    // A lost machine's last words are hidden here.
    served.delete(Key::Machine(machine("m1"))).await;
    served.until(path, current("inactive")).await;
    assert_eq!(served.get("/fleet/v1/state").await.body, "{}");
}

#[tokio::test]
async fn metadata_is_patched_in_both_spellings() {
    let served = Served::new().await;
    served.add_machine("m1", &[("zone", "a"), ("disk", "ssd")]).await;
    let path = "/fleet/v1/machines";
    let patch = r#"[{"op":"add","path":"/m1/metadata/zone","value":"b"},
                    {"op":"replace","path":"/m1/metadata/ram","value":{"value":"64"}},
                    {"op":"remove","path":"/m1/metadata/disk"},
                    {"op":"add","path":"/unknown/metadata/x","value":"y"}]"#;
    // The content type is not looked at here.
    let answer = served.ask("PATCH", path, &[], patch).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.headers["content-type"], "application/json");
    let expected = r#"{"machines":[{"id":"m1","metadata":{"ram":"64","zone":"b"},"primaryIP":"192.0.2.9"}]}"#;
    assert_eq!(served.get(path).await.body, expected);
    for (patch, message) in [
        (r#"[{"op":"copy","path":"/m1/metadata/a","value":"b"}]"#, "invalid op: expect add, remove, or replace"),
        (r#"[{"op":"add","path":"/m1/other/a","value":"b"}]"#, "machine metadata path invalid"),
        (r#"[{"op":"add","path":"/m1/metadata/a b","value":"b"}]"#, "machine metadata path invalid"),
        (r#"[{"op":"add","path":"/m1/metadata/a"}]"#, "invalid value: add and replace require a value"),
        // Nothing is applied when one operation makes no sense.
        (
            r#"[{"op":"add","path":"/m1/metadata/a","value":"b"},{"op":"add","path":"x"}]"#,
            "machine metadata path invalid",
        ),
    ] {
        let answer = served.ask("PATCH", path, &[], patch).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.message(), message);
    }
    assert_eq!(served.ask("PATCH", path, &[], "nonsense").await.status, 400);
    assert_eq!(served.get(path).await.body, expected);
}

#[tokio::test]
async fn without_a_store_every_question_gets_503_with_the_reason() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "").await;
    assert_eq!(served.get("/fleet/v1/units").await.status, 200);
    served.store.up.send_replace(false);
    for (method, path, body) in [
        ("GET", "/fleet/v1/units", ""),
        ("GET", "/fleet/v1/state", ""),
        ("GET", "/fleet/v1/machines", ""),
        ("DELETE", "/fleet/v1/units/a.service", ""),
        ("PUT", "/fleet/v1/units/a.service", r#"{"desiredState":"launched"}"#),
    ] {
        let answer = served.send(method, path, body).await;
        assert_eq!(answer.status, 503, "{method} {path}");
        assert_eq!(answer.headers["retry-after"], "1", "{method} {path}");
        let message = answer.message();
        assert!(message.starts_with("fleet server unable to communicate with etcd"), "{message}");
        assert!(message.contains("set etcd_servers"), "{message}");
    }
    served.store.up.send_replace(true);
    served.until("/fleet/v1/units", |page| page["units"][0]["name"] == "a.service").await;
}

/// Dashboards and alerts that were written for fleet would show nothing.
#[tokio::test]
async fn metrics_have_every_name_that_fleet_documented() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "").await;
    let metrics = served.get("/metrics").await;
    assert_eq!((metrics.status, metrics.headers["content-type"].to_str().unwrap()), (200, TEXT_FORMAT));
    for line in [
        "fleet_engine_leader_start_time 0",
        "fleet_engine_task_count_total{type=\"attemptscheduleunit\"} 0",
        "fleet_engine_task_count_total{type=\"unscheduleunit\"} 0",
        "fleet_engine_task_failure_count_total{type=\"attemptscheduleunit\"} 0",
        "fleet_engine_reconcile_count_total 0",
        "fleet_engine_reconcile_duration_second_count 0",
        "fleet_engine_reconcile_failure_count_total{type=\"machine_away\"} 0",
        "fleet_engine_reconcile_failure_count_total{type=\"run\"} 0",
        "fleet_engine_reconcile_failure_count_total{type=\"schedule\"} 0",
        "fleet_registry_operation_count_total{type=\"set\"} 1",
        "fleet_registry_operation_failed_count_total{type=\"set\"} 0",
        "fleet_registry_operation_duration_second_count{ops=\"set\"} 1",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is not in {}", metrics.body);
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        let value = metrics.body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
    }
    assert_eq!(served.ask("POST", "/metrics", &[], "").await.status, 405);

    // What this process knows of itself needs no registry.
    let alone = Served::new().await;
    alone.store.up.send_replace(false);
    let metrics = alone.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("\nfleet_registry_followed 0\n"), "{}", metrics.body);
}
