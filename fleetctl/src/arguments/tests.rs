//! What was typed, and what clap is given.

use clap::CommandFactory;

use super::normalise;
use crate::cli::Cli;

fn normalised(line: &str) -> String {
    let arguments = line.split_whitespace().map(Into::into);
    let normalised = normalise(arguments, &Cli::command());
    normalised.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn both_styles_mean_the_same() {
    let cases = [
        ("fleetctl start -no-block a", "fleetctl start --no-block a"),
        ("fleetctl start --no-block a", "fleetctl start --no-block a"),
        ("fleetctl start -block-attempts=3 a", "fleetctl start --block-attempts=3 a"),
        ("fleetctl start -block-attempts 3 a", "fleetctl start --block-attempts 3 a"),
        ("fleetctl list-units -l", "fleetctl list-units -l"),
        ("fleetctl list-units --l", "fleetctl list-units -l"),
        ("fleetctl list-units -full=true", "fleetctl list-units --full"),
        ("fleetctl list-units --full=false", "fleetctl list-units"),
        ("fleetctl list-units -l=true --fields=unit", "fleetctl list-units -l --fields=unit"),
        ("fleetctl journal --f -n 5 a", "fleetctl journal -f -n 5 a"),
        ("fleetctl journal -lines=5 a", "fleetctl journal --lines=5 a"),
        ("fleetctl -endpoint http://m1 help", "fleetctl --endpoint http://m1 help"),
        ("fleetctl -etcd-keyfile=x version", "fleetctl --etcd-keyfile=x version"),
        ("fleetctl -strict-host-key-checking=false version", "fleetctl --strict-host-key-checking=false version"),
        ("fleetctl ssh -A m1", "fleetctl ssh -A -- m1"),
        ("fleetctl ssh --A m1", "fleetctl ssh -A -- m1"),
        ("fleetctl -help", "fleetctl --help"),
        ("fleetctl journal -fn5 -n20 a", "fleetctl journal -fn5 -n20 a"),
        ("fleetctl start -nonsense a", "fleetctl start --nonsense a"),
    ];
    for (typed, expected) in cases {
        assert_eq!(normalised(typed), expected);
    }
}

#[test]
fn what_is_not_known_stays() {
    for line in [
        "fleetctl start --nonsense=1 a",
        "fleetctl list-units --full=maybe",
        "fleetctl start -- -no-block",
        "fleetctl start -",
        "-full",
        "",
    ] {
        assert_eq!(normalised(line), line);
    }
}

#[test]
fn beginnings_mean_what_they_meant_in_fleet() {
    for (typed, expected) in [
        ("fleetctl j a", "fleetctl journal a"),
        ("fleetctl un a", "fleetctl unload a"),
        ("fleetctl d a", "fleetctl destroy a"),
        ("fleetctl c a", "fleetctl cat a"),
        ("fleetctl list-m", "fleetctl list-machines"),
        ("fleetctl stat a", "fleetctl status a"),
        ("fleetctl -endpoint list-m f x", "fleetctl --endpoint list-m fd-forward x"),
        ("fleetctl -endpoint=x -debug r a", "fleetctl --endpoint=x --debug restart a"),
        // Several of fleet's, or none: not for here to decide.
        ("fleetctl st a", "fleetctl st a"),
        ("fleetctl ver", "fleetctl ver"),
        ("fleetctl drain c", "fleetctl drain c"),
        ("fleetctl join", "fleetctl join"),
    ] {
        assert_eq!(normalised(typed), expected);
    }
}

#[test]
fn ssh_leaves_the_command_alone() {
    for (typed, expected) in [
        ("fleetctl ssh m1 ls -l", "fleetctl ssh -- m1 ls -l"),
        ("fleetctl ssh m1 -- ls -l", "fleetctl ssh -- m1 ls -l"),
        ("fleetctl ss -ssh-port 2222 m1 ls -full", "fleetctl ssh --ssh-port 2222 -- m1 ls -full"),
        ("fleetctl ssh -unit a ls -l -- x", "fleetctl ssh --unit a -- ls -l -- x"),
        ("fleetctl ssh --machine=m1 -- ls -l", "fleetctl ssh --machine=m1 -- ls -l"),
        ("fleetctl --tunnel ssh list-units -l", "fleetctl --tunnel ssh list-units -l"),
    ] {
        assert_eq!(normalised(typed), expected);
    }
}
