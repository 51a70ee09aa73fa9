//! The real `fleetd`, as a person or systemd starts it, without a systemd below it: what it refuses, and how it ends.

mod common;

use std::io::Read;
use std::os::unix::net::UnixStream;

use common::{Running, command_in, fleetd, output};

#[test]
fn words_flags_and_files_that_mean_nothing() {
    for version in ["version", "--version", "-version"] {
        let (code, out, _) = output(fleetd().arg(version));
        assert_eq!((code, out.as_str()), (0, concat!("fleetd version ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    let (code, _, error) = output(fleetd().arg("list-units"));
    assert_eq!(code, 1);
    assert!(error.contains("fleetctl list-units"), "{error}");
    assert_eq!(output(fleetd().arg("--bogus")).0, 2);
    let (code, _, error) = output(fleetd().args(["--config", "/nonexistent"]));
    assert_eq!(code, 1);
    assert_eq!(error.matches("No such file").count(), 1, "{error}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.conf");
    std::fs::write(&path, "\nagent_ttl=10\n").unwrap();
    let (code, _, error) = output(fleetd().arg("--check").arg("--config").arg(&path));
    assert_eq!(code, 1);
    assert!(error.contains("fleet.conf:2: agent_ttl=10: expected a duration"), "{error}");
    std::fs::write(&path, "public_ipp=1\n").unwrap();
    let (code, out, error) = output(fleetd().arg("--check").arg("--config").arg(&path).env("FLEET_TOKEN_LIMIT", "7"));
    assert_eq!(code, 0);
    assert!(error.contains("did you mean public_ip?"), "{error}");
    assert!(out.contains("token_limit=7  # environment FLEET_TOKEN_LIMIT"), "{out}");
}

#[test]
fn a_registry_in_plain_text_beyond_this_machine_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, error) =
        output(fleetd().args(["registry", "--listen", "0.0.0.0:0", "--data-dir"]).arg(directory.path()));
    assert_eq!(code, 1);
    assert!(error.contains("root on every machine") && error.contains("--insecure"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn without_a_registry_the_api_says_so_and_both_ways_out() {
    let mut running = Running::start("etcd_servers=http://127.0.0.1:1");
    running.wait_for_socket();
    let answer = running.get("/fleet/v1/units");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("unable to communicate with etcd") && answer.contains("etcd_servers"), "{answer}");
    running.wait_for_log("the registry cannot be reached");
    running.signal("TERM");
    assert_eq!(running.end(), 0);
}

#[test]
fn signals_that_are_no_end_do_not_end_it_and_a_second_one_is_refused() {
    let mut running = Running::start("registry=embedded\nregistry_listen=DIR/registry.sock");
    running.wait_for_socket();
    assert!(running.get("/fleet/v1/units").starts_with("HTTP/1.1 200"));

    let second = command_in(running.directory.path()).status().unwrap();
    assert_eq!(second.code(), Some(1));
    assert!(running.log().contains("another fleetd serves"), "{}", running.log());

    running.signal("HUP");
    running.wait_for_log("SIGHUP");
    running.signal("USR1");
    running.wait_for_log("\"inTouch\":true");
    let line = running.log().lines().find(|line| line.starts_with('{')).unwrap().to_owned();
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
    assert!(running.get("/fleet/v1/units").starts_with("HTTP/1.1 200"));

    running.signal("INT");
    assert_eq!(running.end(), 0);
    assert!(running.log().contains("units go on"), "{}", running.log());
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_a_start() {
    use std::io::Write;
    let mut running = Running::start("registry=embedded\nregistry_listen=DIR/registry.sock");
    running.wait_for_socket();
    let body = r#"{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true"}]}"#;
    let mut stream = UnixStream::connect(running.socket()).unwrap();
    write!(
        stream,
        "PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.child = command_in(running.directory.path()).spawn().unwrap();
    running.wait_for_socket();
    assert!(running.get("/fleet/v1/units/a.service").starts_with("HTTP/1.1 200"), "{}", running.log());
}
