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

    running.signal("USR1");
    running.wait_for_log("\"inTouch\":true");
    let line = running.log().lines().find(|line| line.starts_with('{')).unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for fleets in [&line["Agent"]["Cache"]["TargetStates"], &line["UnitStatePublisher"]["Cache"]] {
        assert!(fleets.is_object(), "what fleet's own dump held is not there: {line}");
    }
    assert!(running.get("/fleet/v1/units").starts_with("HTTP/1.1 200"));

    running.signal("INT");
    assert_eq!(running.end(), 0);
    assert!(running.log().contains("units go on"), "{}", running.log());
}

/// Whoever reloads would change nothing, or lose the sockets: the configuration is read again, and what cannot be followed
/// is named.
#[test]
fn a_reload_is_followed_without_a_restart_and_a_bad_one_changes_nothing() {
    let mut running = Running::start("registry=embedded\nregistry_listen=DIR/registry.sock");
    running.wait_for_socket();
    let path = running.directory.path().join("fleet.conf");
    let before = std::fs::read_to_string(&path).unwrap();
    let reload = |running: &mut Running, more: &str, words: &str| {
        std::fs::write(&path, format!("{before}{more}")).unwrap();
        running.signal("HUP");
        running.wait_for_log(words);
    };
    reload(&mut running, "token_limit=7\n", "changed: nothing");
    assert!(!running.log().contains("DEBUG "), "{}", running.log());
    reload(&mut running, "verbosity=1\ntoken_limit=7\n", "changed: verbosity");
    running.wait_for_log("DEBUG ");
    assert!(running.log().contains("only after `systemctl restart fleet`: token_limit"), "{}", running.log());
    assert!(running.get("/fleet/v1/units").starts_with("HTTP/1.1 200"));
    let reserve = "capacity=memory=1G,cpu=100%\ncapacity_reserve=memory=256M\nverbosity=1\n";
    reload(&mut running, reserve, "changed: capacity, capacity_reserve");
    reload(&mut running, "verbosity=1\n", "changed: capacity, capacity_reserve");
    reload(&mut running, "agent_ttl=soon\n", "SIGHUP: nothing was changed");
    assert!(running.log().contains("agent_ttl=soon: expected a duration"), "{}", running.log());
    reload(&mut running, "", "changed: verbosity\n");
    assert!(running.get("/fleet/v1/units").starts_with("HTTP/1.1 200"), "the sockets are as they were");
}

#[test]
fn files_to_speak_to_etcd_with_are_read_again_at_a_reload_and_by_check() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let pem = rcgen::generate_simple_self_signed(["etcd".to_owned()]).unwrap().cert.pem();
    std::fs::write(&ca, &pem).unwrap();
    let options = format!("etcd_servers=https://127.0.0.1:1\netcd_cafile={}", ca.display());
    let mut running = Running::start(&options);
    running.wait_for_socket();
    running.signal("HUP");
    running.wait_for_log("changed: nothing");
    std::fs::write(&ca, "nonsense").unwrap();
    running.signal("HUP");
    running.wait_for_log("holds nothing in PEM format");
    let config = running.directory.path().join("fleet.conf");
    std::fs::remove_file(&ca).unwrap();
    let (code, _, error) = output(fleetd().arg("--check").arg("--config").arg(&config));
    assert_eq!(code, 1);
    assert!(error.contains("etcd_cafile") && error.contains("ca.pem"), "{error}");
    std::fs::write(&ca, &pem).unwrap();
    assert_eq!(output(fleetd().arg("--check").arg("--config").arg(&config)).0, 0);
}

#[test]
fn a_trial_without_a_users_session_says_what_is_missing() {
    let (code, _, error) = output(fleetd().arg("--dev").env_remove("XDG_RUNTIME_DIR"));
    assert_eq!(code, 1);
    assert!(error.contains("XDG_RUNTIME_DIR"), "{error}");
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
