//! What each failure says, and how the process ends.

use std::time::Duration;

use clap::FromArgMatches;

use super::*;

fn api(source: ApiError) -> CommandError {
    CommandError::doing("Error listing")(source)
}

fn unreachable(endpoint: &str, kind: io::ErrorKind) -> CommandError {
    api(ApiError::Unreachable { endpoint: endpoint.into(), source: kind.into() })
}

/// What is said when this is typed, and how the process ends.
fn typed(line: &str) -> (String, u8) {
    let mut command = Cli::command();
    let arguments = crate::arguments::normalise(line.split_whitespace().map(Into::into), &command);
    let parsed = command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed.map_err(CommandError::Usage) {
        Ok(_) => (String::new(), 0),
        Err(error) => (error.words().unwrap_or_default(), error.exit_code()),
    }
}

#[test]
fn nobody_at_the_endpoint_says_what_to_do() {
    let words = unreachable("unix:///run/fleet.sock", io::ErrorKind::NotFound).words();
    insta::assert_snapshot!(words.unwrap_or_default(), @r"
    Error listing: cannot connect to fleetd at unix:///run/fleet.sock: entity not found
    Possible issues:
      * fleetd does not run there: systemctl start fleet
      * it listens elsewhere: name the place with --endpoint, or in FLEETCTL_ENDPOINT
    ");
    let words = unreachable("http://m1:2379", io::ErrorKind::ConnectionRefused).words();
    insta::assert_snapshot!(words.unwrap_or_default(), @r"
    Error listing: cannot connect to fleetd at http://m1:2379: connection refused
    Possible issues:
      * that is etcd's port: fleetctl asks fleetd, as in --endpoint=unix:///var/run/fleet.sock
      * fleetd does not run there: systemctl start fleet
      * it listens elsewhere: name the place with --endpoint, or in FLEETCTL_ENDPOINT
    ");
    let words = unreachable("unix:///run/fleet.sock", io::ErrorKind::PermissionDenied).words();
    insta::assert_snapshot!(words.unwrap_or_default(), @r"
    Error listing: cannot connect to fleetd at unix:///run/fleet.sock: permission denied
    Possible issues:
      * you may not use this socket: run fleetctl as root, or as a member of its group
    ");
}

#[test]
fn the_servers_words_are_passed_on() {
    let refused = ApiError::Refused { status: 503, message: "fleetd has no registry: no answer from m1:2379".into() };
    assert_eq!(api(refused).words().as_deref(), Some("Error listing: fleetd has no registry: no answer from m1:2379"));
}

#[test]
fn every_failure_has_its_exit_code() {
    let timed_out = ApiError::TimedOut { endpoint: "x".into(), limit: Duration::from_secs(1) };
    let cases = [
        (api(timed_out), 1),
        (CommandError::message("x"), 1),
        (CommandError::Said(130), 130),
        (CommandError::Output(io::ErrorKind::BrokenPipe.into()), 0),
        (CommandError::Output(io::ErrorKind::StorageFull.into()), 1),
    ];
    for (error, code) in cases {
        assert_eq!(error.exit_code(), code, "{error:?}");
    }
    assert_eq!(CommandError::Output(io::ErrorKind::BrokenPipe.into()).words(), None);
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let cases = [
        ("fleetctl nonsense", "fleetctl: unknown subcommand: \"nonsense\"\nRun \"fleetctl help\" for usage."),
        (
            "fleetctl list-unit",
            "fleetctl: unknown subcommand: \"list-unit\"\nDid you mean this?\n\tlist-unit-files\n\tlist-units\n\
             Run \"fleetctl help\" for usage.",
        ),
        ("fleetctl start -nonsense a", "error: unexpected argument '--nonsense' found"),
        ("fleetctl start --block-attempts=x a", "error: invalid value 'x' for '--block-attempts <N>'"),
        ("fleetctl start --block-attempts=-1 a", "error: invalid value '-1' for '--block-attempts <N>'"),
        ("fleetctl list-units --fields", "error: a value is required for '--fields <FIELDS>'"),
    ];
    for (line, expected) in cases {
        let (words, code) = typed(line);
        assert!(words.starts_with(expected), "{line}: {words}");
        assert_eq!(code, 2, "{line}");
    }
}

#[test]
fn what_fleet_accepted_is_accepted() {
    for line in [
        "fleetctl",
        "fleetctl version",
        "fleetctl list-m -l",
        "fleetctl stat a.service",
        "fleetctl --driver=API --strict-host-key-checking=false --ssh-username core list-units",
        "fleetctl -etcd-key-prefix=/x --etcd-cafile=a --etcd-certfile=b -etcd-keyfile=c list-machines",
        "fleetctl list-machines --known-hosts-file x --experimental-api=true --ssh-timeout=1.5",
        "fleetctl journal --sudo --ssh-port=22 -f --lines 5 --output=cat a",
        "fleetctl start -no-block -block-attempts=3 a b",
        "fleetctl destroy a --no-block",
        "fleetctl submit --replace -- -odd.service",
    ] {
        assert_eq!(typed(line), (String::new(), 0), "{line}");
    }
}

#[test]
fn help_is_no_failure() {
    for line in [
        "fleetctl help",
        "fleetctl --help",
        "fleetctl -h",
        "fleetctl -help",
        "fleetctl help start",
        "fleetctl start -h",
    ] {
        assert_eq!(typed(line).1, 0, "{line}");
    }
    assert!(typed("fleetctl help").0.contains(env!("CARGO_PKG_VERSION")));
}
